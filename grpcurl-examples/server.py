"""A server of their own for those who play against one.

    BOXOFFICE  the program to start, otherwise the one in target/release or target/debug
"""

import os
import pathlib
import re
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
START_LIMIT_SEC = 30
LISTENING = re.compile(
    r'"message":"listening","address":"([^"]+)","admin_address":"([^"]+)","operator_address":"([^"]+)"'
)


class Server:
    """A server at a free port, with the sample catalogue, simulated payments, and a store that is gone with it."""

    def __init__(self, *words):
        self.log = tempfile.TemporaryFile("w+")
        self.data = tempfile.TemporaryDirectory()
        command = [program(), "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"]
        command += ["--operator-listen", "127.0.0.1:0", "--drain-delay", "0s"]
        command += ["--data-dir", self.data.name, "--catalog", str(ROOT / "examples" / "catalog")]
        command += ["--log-format", "json", "--payments", "simulated", *words]
        try:
            self.process = subprocess.Popen(command, env=clean(), stdin=subprocess.DEVNULL, stderr=self.log)
        except OSError as error:
            sys.exit(f"the server does not start: {error}")
        self.address, self.admin_address, self.operator_address = self.wait_for_addresses()

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
            self.process.wait()
        self.data.cleanup()


def program():
    built = [ROOT / "target" / kind / "boxoffice" for kind in ("release", "debug")]
    found = os.environ.get("BOXOFFICE") or next((path for path in built if path.exists()), None)
    return str(found or sys.exit("no server to start: run cargo build, or set BOXOFFICE or ADDRESS"))


def clean():
    """The environment without settings of the program."""
    return {name: value for name, value in os.environ.items() if not name.startswith("BOXOFFICE")}
