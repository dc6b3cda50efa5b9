"""A log that nobody reads, and threads that are not to be had."""

import http.client
import json
import os
import subprocess
import time

from attack import attack
from stage import MERCHANT, line_item

#: A user that has no other process, so that a limit of processes is one of threads.
LONELY_USER = 48151

#: The ends of pipes that nobody reads, kept open: a closed pipe would be no obstacle.
UNREAD = []


def unread(_):
    """Standard error as a pipe of which nobody ever reads a byte."""
    reader, writer = os.pipe()
    UNREAD.append(reader)
    return {"stderr": writer}


@attack("unread-log", peak_mib=200, settings={"log": "trace"}, popen=unread)
def unread_log(stage):
    """A log of everything that goes to a full pipe: calls and probes go on."""
    connection = http.client.HTTPConnection("127.0.0.1", stage.port, timeout=5)
    body = json.dumps({"merchant_id": MERCHANT, "item": [line_item()]})
    complaints, give_up = [], time.monotonic() + 20
    try:
        while not (stage.metric("boxoffice_log_lines_dropped_total") or 0) and time.monotonic() < give_up:
            for _ in range(50):
                connection.request("POST", "/v3/CheckOrderFulfillability", body, {"content-type": "application/json"})
                connection.getresponse().read()
        if not stage.metric("boxoffice_log_lines_dropped_total"):
            complaints.append("no lines are counted as dropped")
    except (OSError, http.client.HTTPException) as error:
        complaints.append(f"calls stand still: {error!r}")
    return complaints


def lonely(_):
    """The server as a user of its own, whom a limit of processes binds."""
    return {"user": LONELY_USER, "group": LONELY_USER, "extra_groups": []}


def open_to_all(folder, _):
    """A folder that the lonely user may write to."""
    folder.chmod(0o777)
    return {"store": "memory"}


@attack("no-threads", peak_mib=300, settings=open_to_all, popen=lonely)
def no_threads(stage):
    """The system gives the running server no further thread; lists and all else go on."""
    words = ["prlimit", "--pid", str(stage.process.pid), "--nproc=1:1"]
    subprocess.run(words, check=True, user=LONELY_USER, group=LONELY_USER, extra_groups=[])
    odd = {stage.call("ListOrders", {"user_id": f"user-{number}"})[0] for number in range(50)} - {200, 503}
    return [f"lists answered with {sorted(odd)}"] if odd else []
