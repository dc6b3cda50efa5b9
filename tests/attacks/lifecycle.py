"""A log without a reader, and a limit of threads."""

import http.client
import json
import os
import subprocess
import time

from attack import attack
from stage import MERCHANT, line_item

#: A user without other processes, so that its limit of processes limits the threads of the server.
LIMITED_USER = 48151

#: The read ends of pipes that are never read. They stay open: writes to a closed pipe would not block.
UNREAD = []


def unread(_):
    """Standard error as a pipe without a reader."""
    reader, writer = os.pipe()
    UNREAD.append(reader)
    return {"stderr": writer}


@attack("unread-log", peak_mib=200, settings={"log": "trace"}, popen=unread)
def unread_log(stage):
    """A verbose log into a full pipe: calls and probes continue."""
    connection = http.client.HTTPConnection("127.0.0.1", stage.port, timeout=5)
    body = json.dumps({"merchant_id": MERCHANT, "item": [line_item()]})
    failures, deadline = [], time.monotonic() + 20
    try:
        while not (stage.metric("boxoffice_log_lines_dropped_total") or 0) and time.monotonic() < deadline:
            for _ in range(50):
                connection.request("POST", "/v3/CheckOrderFulfillability", body, {"content-type": "application/json"})
                connection.getresponse().read()
        if not stage.metric("boxoffice_log_lines_dropped_total"):
            failures.append("no dropped lines are counted")
    except (OSError, http.client.HTTPException) as error:
        failures.append(f"calls are blocked: {error!r}")
    return failures


def as_limited_user(_):
    """Runs the server as that user."""
    return {"user": LIMITED_USER, "group": LIMITED_USER, "extra_groups": []}


def open_to_all(folder, _):
    """Makes the folder writable for that user."""
    folder.chmod(0o777)
    return {"store": "memory"}


@attack("no-threads", peak_mib=300, settings=open_to_all, popen=as_limited_user)
def no_threads(stage):
    """The running server gets no further thread; calls are still answered."""
    words = ["prlimit", "--pid", str(stage.process.pid), "--nproc=1:1"]
    subprocess.run(words, check=True, user=LIMITED_USER, group=LIMITED_USER, extra_groups=[])
    odd = {stage.call("ListOrders", {"user_id": f"user-{number}"})[0] for number in range(50)} - {200, 503}
    return [f"lists answered with {sorted(odd)}"] if odd else []
