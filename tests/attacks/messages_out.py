"""Large responses that are not read, or requested many at a time."""

import concurrent.futures
import time

import protobuf
from attack import attack
from http2 import framed

#: Orders of some 60 kB, so that a list of them is just below the limit of 16 MiB.
BIG_LIST = 250


def list_of(user_id):
    """A request for a user's orders, as gRPC sends it."""
    return framed(protobuf.field(1, user_id))


@attack("stalled-lists", peak_mib=500, settings={"call_timeout": "2s", "payment_timeout": "1s"})
def stalled_lists(stage):
    """256 lists of 15 MB each on one connection with a window of zero."""
    stage.fill("reader", BIG_LIST)
    yield
    connection = stage.http2(window=0)
    for _ in range(256):
        connection.call("ListOrders", list_of("reader"))
    deadline = time.monotonic() + 8
    while connection.over() < 256 and not connection.closed.is_set() and time.monotonic() < deadline:
        time.sleep(0.05)
    if connection.over() < 256 and not connection.closed.is_set():
        return [f"{256 - connection.over()} unread responses are still in flight"]
    return []


@attack("big-lists", peak_mib=500)
def big_lists(stage):
    """16 clients that read lists of 15 MB over REST as fast as they can."""
    stage.fill("reader", BIG_LIST)
    yield
    end = time.monotonic() + 3

    def caller(_):
        statuses = set()
        while time.monotonic() < end:
            statuses.add(stage.call("ListOrders", {"user_id": "reader"})[0])
        return statuses

    with concurrent.futures.ThreadPoolExecutor(16) as callers:
        statuses = set().union(*callers.map(caller, range(16)))
    odd = statuses - {200, 429}
    return [f"lists answered with {sorted(odd)}"] if odd else []
