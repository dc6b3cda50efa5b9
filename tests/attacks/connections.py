"""Connections that are there and do nothing."""

import http.client
import resource
import subprocess
import time

from attack import attack
from stage import new_order

#: Orders of some 60 kB each, so that the store writes a table, for which it opens a file.
TABLE = 160


@attack("idle-connections", peak_mib=300)
def idle_connections(stage):
    """500 connections that never say a word."""
    for _ in range(500):
        stage.connect()
    stage.hold(1)


@attack("no-descriptors", peak_mib=400, descriptors=1024, may_fail=60)
def no_descriptors(stage):
    """1,100 silent connections to a server that may open 1,024 files, while orders go on."""
    allow_files(4096)
    kept = caller(stage)
    sell(stage, 0, kept)
    complaints = flood(stage, 1100)
    for number in range(1, TABLE):
        # Most come over a connection that was there before, some over a new one.
        complaints += sell(stage, number, kept if number % 20 else caller(stage))
        if len(complaints) == 3:
            break
    return complaints + store_complaints(stage)


@attack("connections-full", peak_mib=400, settings={"max_connections": 400}, may_fail=60)
def connections_full(stage):
    """1,500 silent connections to a server of 400: newcomers are served, and the pages tell."""
    allow_files(4096)
    complaints = flood(stage, 1500)
    complaints += sell(stage, 0, caller(stage))
    try:
        told = stage.metric("boxoffice_connections_evicted_total")
    except (OSError, http.client.HTTPException) as error:
        return [*complaints, f"no metrics: {error!r}"]
    return complaints if told else [*complaints, "no metric tells of closed connections"]


@attack("half-heads", peak_mib=200, probe="livez", may_fail=5)
def half_heads(stage):
    """600 heads that never end at the admin listener."""
    complaints = []
    for number in range(600):
        try:
            stage.connect(admin=True).sendall(b"GET /livez HTTP/1.1\r\nhost: h\r\nx-never:")
        except OSError as error:
            complaints.append(f"connection {number}: {error!r}")
            break
    try:
        # The prober keeps its connection; this one is new.
        begun = time.monotonic()
        status, took = stage.get("/livez"), time.monotonic() - begun
        if status != 200 or took > 1:
            complaints.append(f"/livez: {status} after {took:.1f} s")
    except OSError as error:
        complaints.append(f"/livez: {error!r}")
    return complaints


def caller(stage):
    """A caller with some patience."""
    return http.client.HTTPConnection("127.0.0.1", stage.port, timeout=5)


def flood(stage, count):
    """Opens silent connections; says if that stops before there are so many."""
    for number in range(count):
        try:
            stage.connect()
        except OSError as error:
            return [f"connection {number}: {error!r}"]
    return []


def sell(stage, number, connection):
    """Creates an order of some 60 kB; says what went wrong, if anything did."""
    order = new_order("table", number, 15, "x" * 4000)
    try:
        status, answer = stage.call("CreateOrder", order, connection)
    except TimeoutError as error:
        connection.close()
        return [f"order {number}: {error!r}"]
    except (OSError, http.client.HTTPException):
        # An idle connection may have made room for another; the next try makes a new one.
        connection.close()
        try:
            status, answer = stage.call("CreateOrder", order, connection)
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            return [f"order {number}: {error!r}"]
    return [] if status == 200 else [f"order {number}: {status} {answer[:200]!r}"]


def store_complaints(stage):
    """Whether the store has failed, or nobody can say."""
    try:
        return [] if stage.metric("boxoffice_store_open") else ["the store has failed"]
    except (OSError, http.client.HTTPException) as error:
        return [f"no metrics: {error!r}"]


def allow_files(count):
    """Lets this process open so many files, if it may."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(max(soft, count), hard), hard))


@attack("store-without-descriptors", peak_mib=400, may_fail=10**6, silence=60, recovery=60)
def store_without_descriptors(stage):
    """Every descriptor is taken away while the store has to write a table: it fails, and says of what."""
    process = stage.process.pid
    with subprocess.Popen(["ls", f"/proc/{process}/fd"], stdout=subprocess.PIPE) as listed:
        files = len(listed.stdout.read().split())
    subprocess.run(["prlimit", "--pid", str(process), f"--nofile={files + 2}:"], check=True)
    connection = http.client.HTTPConnection("127.0.0.1", stage.port, timeout=60)
    statuses = set()
    for number in range(3 * TABLE):
        status, answer = stage.call("CreateOrder", new_order("table", number, 15, "x" * 4000), connection)
        statuses.add((status, b"STORE_UNAVAILABLE" in answer))
        if status == 503:
            break
    subprocess.run(["prlimit", "--pid", str(process), "--nofile=4096:"], check=True)
    time.sleep(0.2)
    stage.log.seek(0)
    log = stage.log.read()
    if (503, True) not in statuses:
        return [f"the store goes on without a file: {statuses}"]
    if "the disk is not at fault" not in log:
        return [f"the log does not say what was missing: {log[-600:]}"]
    return []
