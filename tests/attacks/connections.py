"""Idle connections."""

import http.client
import resource
import subprocess
import time

from attack import attack
from stage import new_order

#: Orders of some 60 kB each.
ORDERS = 160

#: For the preparation of two spare segments.
SPARES_LIMIT_SEC = 60

#: As many as fill half of the first segment of the store, of 4 MiB, so that spare ones are prepared.
HALF_SEGMENT = 35

#: As many as fill the first two segments, of 4 and 64 MiB, and begin a third one.
SEGMENTS = 1300


@attack("idle-connections", peak_mib=300)
def idle_connections(stage):
    """500 connections that never send a byte."""
    for _ in range(500):
        stage.connect()
    stage.hold(1)


@attack("no-descriptors", peak_mib=400, descriptors=1024, may_fail=60)
def no_descriptors(stage):
    """1,100 silent connections to a server that may open 1,024 files, while orders are created."""
    allow_files(4096)
    kept = caller(stage)
    sell(stage, 0, kept)
    failures = flood(stage, 1100)
    for number in range(1, ORDERS):
        # Most come over a connection that was there before, some over a new one.
        failures += sell(stage, number, kept if number % 20 else caller(stage))
        if len(failures) == 3:
            break
    return failures + store_failures(stage)


@attack("connections-full", peak_mib=400, settings={"max_connections": 400}, may_fail=60)
def connections_full(stage):
    """1,500 silent connections to a server of 400: new ones are served, and the metrics count evictions."""
    allow_files(4096)
    failures = flood(stage, 1500)
    failures += sell(stage, 0, caller(stage))
    try:
        evicted = stage.metric("boxoffice_connections_evicted_total")
    except (OSError, http.client.HTTPException) as error:
        return [*failures, f"no metrics: {error!r}"]
    return failures if evicted else [*failures, "no metric counts closed connections"]


@attack("half-heads", peak_mib=200, probe="livez", may_fail=5)
def half_heads(stage):
    """600 incomplete request heads at the admin listener."""
    failures = []
    for number in range(600):
        try:
            stage.connect(admin=True).sendall(b"GET /livez HTTP/1.1\r\nhost: h\r\nx-never:")
        except OSError as error:
            failures.append(f"connection {number}: {error!r}")
            break
    try:
        # The prober keeps its connection; this one is new.
        begun = time.monotonic()
        status, took = stage.get("/livez"), time.monotonic() - begun
        if status != 200 or took > 1:
            failures.append(f"/livez: {status} after {took:.1f} s")
    except OSError as error:
        failures.append(f"/livez: {error!r}")
    return failures


def caller(stage):
    """A connection with a timeout of 5 seconds."""
    return http.client.HTTPConnection("127.0.0.1", stage.port, timeout=5)


def flood(stage, count):
    """Opens silent connections; returns the failure if one is not accepted."""
    for number in range(count):
        try:
            stage.connect()
        except OSError as error:
            return [f"connection {number}: {error!r}"]
    return []


def sell(stage, number, connection):
    """Creates an order of some 60 kB; returns the failure, if any."""
    order = new_order("large", number, 15, "x" * 4000)
    try:
        status, answer = stage.call("CreateOrder", order, connection)
    except TimeoutError as error:
        connection.close()
        return [f"order {number}: {error!r}"]
    except (OSError, http.client.HTTPException):
        # An idle connection may have been evicted; the retry opens a new one.
        connection.close()
        try:
            status, answer = stage.call("CreateOrder", order, connection)
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            return [f"order {number}: {error!r}"]
    return [] if status == 200 else [f"order {number}: {status} {answer[:200]!r}"]


def store_failures(stage):
    """The failure of the store, or of its metric."""
    try:
        return [] if stage.metric("boxoffice_store_open") else ["the store has failed"]
    except (OSError, http.client.HTTPException) as error:
        return [f"no metrics: {error!r}"]


def allow_files(count):
    """Raises the soft limit of descriptors of this process, up to the hard limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(max(soft, count), hard), hard))


@attack("store-without-descriptors", peak_mib=400, may_fail=10**6, silence=60, recovery=60)
def store_without_descriptors(stage):
    """Every descriptor is taken away: the store goes on, also into the segments that it has opened before."""
    process = stage.process.pid
    stage.fill("large", HALF_SEGMENT)
    wait_for_spares(stage)
    # The connection is there before.
    connection = http.client.HTTPConnection("127.0.0.1", stage.port, timeout=60)
    failures = sell(stage, HALF_SEGMENT, connection)
    with subprocess.Popen(["ls", f"/proc/{process}/fd"], stdout=subprocess.PIPE) as listed:
        files = len(listed.stdout.read().split())
    subprocess.run(["prlimit", "--pid", str(process), f"--nofile={files}:"], check=True)
    for number in range(HALF_SEGMENT + 1, SEGMENTS):
        status, answer = stage.call("CreateOrder", new_order("large", number, 15, "x" * 4000), connection)
        if status != 200:
            failures.append(f"order {number}: {status} {answer[:200]!r}")
            break
    subprocess.run(["prlimit", "--pid", str(process), "--nofile=4096:"], check=True)
    return failures + store_failures(stage)


def wait_for_spares(stage):
    """Waits until both spare segments are open and named; to be ready, they need no descriptor more."""
    last = stage.folder / "data" / "orders" / "000003.log"
    deadline = time.monotonic() + SPARES_LIMIT_SEC
    while not last.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    if not last.exists():
        raise SystemExit(f"{last} is not prepared within {SPARES_LIMIT_SEC} s")
