"""The program, started for scripts that talk to it."""

import os
import pathlib
import re
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
START_LIMIT_SEC = 30
LISTENING = re.compile(r'"message":"listening","address":"([^"]+)"(?:,"admin_address":"([^"]+)")?')


class Server:
    """A server of the sample catalogue at free ports, which keeps its orders in memory."""

    def __init__(self, *words):
        self.log = tempfile.TemporaryFile("w+")
        command = [program(), "--listen", "127.0.0.1:0", "--store", "memory", "--drain-delay", "0s"]
        command += ["--catalog", str(ROOT / "examples" / "catalog"), "--log-format", "json", *words]
        try:
            self.process = subprocess.Popen(command, env=clean(), stdin=subprocess.DEVNULL, stderr=self.log)
        except OSError as error:
            sys.exit(f"the server does not start: {error}")
        self.address, self.admin_address = self.wait_for_addresses()

    def wait_for_addresses(self):
        give_up = time.monotonic() + START_LIMIT_SEC
        while self.process.poll() is None and time.monotonic() < give_up:
            self.log.seek(0)
            said = LISTENING.search(self.log.read())
            if said:
                return said.groups()
            time.sleep(0.05)
        self.stop()
        self.log.seek(0)
        sys.exit(f"the server does not start:\n{self.log.read()}")

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(START_LIMIT_SEC)
        except subprocess.TimeoutExpired:
            self.process.kill()


def program():
    built = [ROOT / "target" / kind / "boxoffice" for kind in ("release", "debug")]
    found = os.environ.get("BOXOFFICE") or next((path for path in built if path.exists()), None)
    return str(found or sys.exit("no program to start: run cargo build, or set BOXOFFICE"))


def clean():
    """The environment without settings of the program."""
    return {name: value for name, value in os.environ.items() if not name.startswith("BOXOFFICE")}
