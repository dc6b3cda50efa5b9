"""A minimal HTTP/2 client that can violate the protocol."""

import contextlib
import dataclasses
import socket
import struct
import threading

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RESET, SETTINGS, PING, GOAWAY, WINDOW_UPDATE = 0, 1, 3, 4, 6, 7, 8
ACK = END_STREAM = 1
END_HEADERS = 4
INITIAL_WINDOW_SIZE = 4
SERVICE = "/ext.maps.booking.partner.v3.BookingService/"


def frame(kind, flags, stream, payload=b""):
    """One frame."""
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def framed(message):
    """A message as gRPC sends it."""
    return b"\0" + struct.pack(">I", len(message)) + message


def head(path, headers=()):
    """The header block of a request, with literal names and values, without the dynamic table."""
    pairs = [(":method", "POST"), (":scheme", "http"), (":authority", "localhost"), (":path", path)]
    pairs += headers or [("content-type", "application/grpc"), ("te", "trailers")]
    return b"".join(b"\0" + text(name) + text(value) for name, value in pairs)


def text(words):
    """A string of less than 127 bytes, as HPACK has it."""
    return bytes([len(words)]) + words.encode()


@dataclasses.dataclass
class Answer:
    """The frames received on a stream."""

    data: int = 0
    heads: int = 0
    ended: bool = False
    reset: int | None = None

    def is_rejected(self):
        """Whether it is a status without a message."""
        return self.ended and self.heads == 1 and self.data == 0


class Connection:
    """A connection on a socket, with a reader thread."""

    def __init__(self, stream, window=65535):
        self.socket, self.next, self.answers = stream, 1, {}
        self.closed, self.lock = threading.Event(), threading.Lock()
        settings = struct.pack(">HI", INITIAL_WINDOW_SIZE, window)
        self.send(PREFACE + frame(SETTINGS, 0, 0, settings))
        if window > 65535:
            self.send(frame(WINDOW_UPDATE, 0, 0, struct.pack(">I", 2**31 - 1 - 65535)))
        self.socket.settimeout(None)
        threading.Thread(target=self.read, daemon=True).start()

    def send(self, data):
        """Sends bytes; whether the connection still takes them."""
        with self.lock, contextlib.suppress(OSError):
            self.socket.sendall(data)
            return True
        return False

    def call(self, method, message=b"", *, end=True, path=None, headers=()):
        """Starts a call, complete or without its end, and returns its stream."""
        stream, self.next = self.next, self.next + 2
        self.answers[stream] = Answer()
        begun = frame(HEADERS, END_HEADERS, stream, head(path or SERVICE + method, headers))
        pieces = [message[at : at + 16384] for at in range(0, len(message), 16384)] or [b""]
        last = len(pieces) - 1
        frames = [
            frame(DATA, END_STREAM if end and at == last else 0, stream, piece) for at, piece in enumerate(pieces)
        ]
        self.send(begun + b"".join(frames))
        return stream

    def more(self, stream, data):
        """Sends more of a message."""
        return self.send(frame(DATA, 0, stream, data))

    def read(self):
        """Reads to the end, and acknowledges settings, pings and data like a regular client."""
        with contextlib.suppress(OSError, EOFError), self.socket.makefile("rb") as stream:
            while True:
                kind, flags, number, payload = read_frame(stream)
                self.take(kind, flags, self.answers.get(number), payload)
        self.closed.set()

    def take(self, kind, flags, answer, payload):
        if kind in (SETTINGS, PING) and not flags & ACK:
            self.send(frame(kind, ACK, 0, payload if kind == PING else b""))
        elif kind == DATA and payload:
            self.send(frame(WINDOW_UPDATE, 0, 0, struct.pack(">I", len(payload))))
        if answer is None:
            return
        answer.data += len(payload) if kind == DATA else 0
        answer.heads += kind == HEADERS
        answer.ended |= kind in (DATA, HEADERS) and bool(flags & END_STREAM)
        if kind == RESET:
            answer.reset = struct.unpack(">I", payload)[0]

    def over(self):
        """The number of calls that have ended or were reset."""
        return sum(answer.ended or answer.reset is not None for answer in self.answers.values())


def read_frame(stream):
    """The next frame; EOFError where there is none."""
    start = stream.read(9)
    if len(start) < 9:
        raise EOFError
    length = struct.unpack(">I", b"\0" + start[:3])[0]
    kind, flags, number = struct.unpack(">BBI", start[3:])
    return kind, flags, number & 0x7FFFFFFF, stream.read(length)


def finish(stream):
    """Closes a socket at once."""
    with contextlib.suppress(OSError):
        stream.shutdown(socket.SHUT_RDWR)
    stream.close()
