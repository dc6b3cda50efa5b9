"""Incomplete messages, and messages of very many fields."""

import time

import protobuf
from attack import attack
from http2 import framed

MIB = 1024 * 1024


@attack("endless-messages", peak_mib=400, settings={"call_timeout": "2s", "payment_timeout": "1s"})
def endless_messages(stage):
    """40 connections with 256 calls each, whose messages announce 1 MB and stop after 60 kB."""
    begun = framed(b"")[:1] + (1_000_000).to_bytes(4, "big") + bytes(60_000)
    connections = [stage.http2() for _ in range(40)]
    for connection in connections:
        for _ in range(256):
            connection.call("CheckOrderFulfillability", begun, end=False)
    stage.hold(1)


@attack("half-bodies", peak_mib=300, settings={"call_timeout": "2s", "payment_timeout": "1s"})
def half_bodies(stage):
    """64 bodies over REST at each listener that announce 1 MB and stop one byte before their end."""
    sockets = []
    for admin, path in ((False, "/v3/CreateOrder"), (True, "/grpc.health.v1.Health/Check")):
        for _ in range(64):
            sockets.append((stage.connect(admin), path))
    for stream, path in sockets:
        stream.settimeout(1)
        head = f"POST {path} HTTP/1.1\r\nhost: h\r\ncontent-type: application/json\r\ncontent-length: {MIB}\r\n\r\n"
        try:
            stream.sendall(head.encode() + b" " * (MIB - 1))
        except OSError:
            # The server has closed the connection: one form of rejection.
            continue
    stage.hold(1)


def hostile_messages():
    """Messages of about one and about four megabytes that would decode to very many structs."""
    for most in (MIB // 2 - 100, 2 * MIB - 100):
        yield protobuf.field(2, b"") * most
        yield protobuf.field(2, protobuf.field(4, b"") * most)
        yield protobuf.field(2, protobuf.field(7, protobuf.field(1, b"") * most))


@attack("hostile-fields", peak_mib=250)
def hostile_fields(stage):
    """Messages of up to two million empty items, tickets, or answers, 16 at a time."""
    end = time.monotonic() + 3
    messages = list(hostile_messages())
    while time.monotonic() < end:
        connection = stage.http2(window=MIB)
        for number in range(16):
            connection.call("CheckOrderFulfillability", framed(messages[number % len(messages)]))
        while connection.over() < 16 and not connection.closed.is_set() and time.monotonic() < end + 5:
            time.sleep(0.005)
        if connection.over() < 16 and not connection.closed.is_set():
            return ["a message of nothing but empty fields is not answered"]
    return []
