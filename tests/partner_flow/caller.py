"""Calls over REST, timed and counted."""

import base64
import collections
import http.client
import json
import ssl
import time
import urllib.parse

CALL_LIMIT_SEC = 30

Answer = collections.namedtuple("Answer", "status body bytes")
Call = collections.namedtuple("Call", "method seconds failed")


class Caller:
    """A client of one server, on a connection that is kept."""

    def __init__(self, server, ca=None, user=None, password=None):
        url = urllib.parse.urlsplit(server)
        if url.scheme not in ("http", "https") or not url.hostname:
            raise SystemExit(f"{server!r} is not an address like https://example.com or http://127.0.0.1:50051")
        self.base = url.path.rstrip("/") + "/v3/"
        self.headers = {"Content-Type": "application/json"}
        if user is not None:
            pair = base64.b64encode(f"{user}:{password}".encode()).decode()
            self.headers["Authorization"] = f"Basic {pair}"
        self.connect = lambda: connection(url, ca)
        self.connection = self.connect()
        self.calls = []

    def get(self, method):
        return self.call("GET", method, None)

    def post(self, method, message):
        return self.call("POST", method, json.dumps(message))

    def call(self, http_method, method, body):
        begun = time.monotonic()
        answer = self.answer(http_method, method, body)
        failed = answer.status is None or answer.status >= 500 or answer.status == 429
        self.calls.append(Call(method, time.monotonic() - begun, failed))
        return answer

    def answer(self, http_method, method, body):
        try:
            self.connection.request(http_method, self.base + method, body, self.headers)
            response = self.connection.getresponse()
            data = response.read()
        except (OSError, http.client.HTTPException) as error:
            self.connection.close()
            self.connection = self.connect()
            return Answer(None, {"no answer": f"{type(error).__name__}: {error}"}, b"")
        try:
            return Answer(response.status, json.loads(data), data)
        except ValueError:
            return Answer(response.status, {"no JSON": data.decode(errors="replace")}, data)


def connection(url, ca):
    if url.scheme == "http":
        return http.client.HTTPConnection(url.hostname, url.port or 80, timeout=CALL_LIMIT_SEC)
    context = ssl.create_default_context(cafile=ca)
    return http.client.HTTPSConnection(url.hostname, url.port or 443, timeout=CALL_LIMIT_SEC, context=context)
