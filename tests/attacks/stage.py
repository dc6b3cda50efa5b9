"""A server under attack, a well-behaved prober, and the measurements of both."""

import contextlib
import dataclasses
import http.client
import json
import multiprocessing
import os
import pathlib
import resource
import socket
import subprocess
import tempfile
import threading
import time

import http2
from attack import Row, begin, quantile

MIB = 1024 * 1024
START_LIMIT_SEC = 30
#: Seconds that the prober runs before an attack, and its timeout for a single answer.
CALM_SEC, PROBE_LIMIT_SEC = 1.0, 5.0
#: Number of quick answers in a row that make a recovery; quick is this, or ten times the median before.
RECOVERED_ANSWERS, QUICK_SEC = 10, 0.05

MERCHANT, SERVICE, QUESTION, DURATION = "arena", "visit", "note", 3600
#: A slot of the catalogue that never sells out.
START = (int(time.time()) // 86400 + 2) * 86400


def play(program, attack):
    """Runs an attack on a server that is started for it, and returns its row."""
    with contextlib.ExitStack() as opened:
        folder = pathlib.Path(opened.enter_context(tempfile.TemporaryDirectory()))
        stage = Stage(program, attack, folder, opened)
        act = begin(attack, stage)
        prober = Prober(stage, attack)
        opened.callback(prober.kill)
        time.sleep(CALM_SEC)
        begun = time.monotonic()
        with contextlib.ExitStack() as attackers:
            stage.attackers = attackers
            failures = act()
            ended = time.monotonic()
        measured = prober.end(begun, ended)
        measured.ended = stage.process.poll()
        return Row(attack, measured, list(failures))


class Stage:
    """A running server on free ports with a catalogue and a folder of its own."""

    def __init__(self, program, attack, folder, opened):
        self.program, self.folder, self.attackers = program, folder, opened
        self.port, self.admin_port = free_ports(2)
        write_catalog(folder / "catalog")
        more = attack.settings(folder, program) if callable(attack.settings) else attack.settings
        self.settings = {
            "listen": f"127.0.0.1:{self.port}",
            "admin_listen": f"127.0.0.1:{self.admin_port}",
            "operator_listen": "off",
            "catalog": folder / "catalog",
            "data_dir": folder / "data",
            "drain_delay": "0s",
            "log": "warn",
            "workers": "2",
            **more,
        }
        self.log = opened.enter_context((folder / "log").open("w+"))
        popen = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": self.log, "env": clean()}
        if attack.descriptors is not None:
            popen["preexec_fn"] = lambda: lower_descriptors(attack.descriptors)
        if attack.popen is not None:
            popen.update(attack.popen(folder))
        self.process = subprocess.Popen([program, *self.flags()], **popen)
        opened.callback(self.kill)
        self.wait_for_answer()

    def flags(self, **changes):
        """The settings of the server as flags, with some changed."""
        words = {**self.settings, **changes}
        return [f"--{name.replace('_', '-')}={value}" for name, value in words.items()]

    def wait_for_answer(self):
        deadline = time.monotonic() + START_LIMIT_SEC
        while self.process.poll() is None and time.monotonic() < deadline:
            with contextlib.suppress(OSError, http.client.HTTPException):
                if self.get("/readyz") == 200:
                    return
            time.sleep(0.05)
        self.log.seek(0)
        raise SystemExit(f"the server does not start:\n{self.log.read()}")

    def kill(self):
        self.process.kill()
        self.process.wait()

    def connect(self, admin=False):
        """An attacker's connection, closed at the end of the attack."""
        address = ("127.0.0.1", self.admin_port if admin else self.port)
        return self.attackers.enter_context(socket.create_connection(address, timeout=10))

    def http2(self, window=65535, admin=False):
        """An attacker's HTTP/2 connection with this window for each response, in bytes."""
        return http2.Connection(self.connect(admin), window)

    def hold(self, seconds):
        """Keeps the attack running without further calls."""
        time.sleep(seconds)

    def get(self, path):
        """The status of a page of the admin listener."""
        connection = http.client.HTTPConnection("127.0.0.1", self.admin_port, timeout=PROBE_LIMIT_SEC)
        with contextlib.closing(connection):
            connection.request("GET", path)
            return connection.getresponse().status

    def metric(self, name):
        """The sum of all values of a metric; None if it is missing."""
        connection = http.client.HTTPConnection("127.0.0.1", self.admin_port, timeout=PROBE_LIMIT_SEC)
        with contextlib.closing(connection):
            connection.request("GET", "/metrics")
            page = connection.getresponse().read().decode()
        lines = (line.rsplit(" ", 1) for line in page.splitlines() if not line.startswith("#"))
        values = [float(value) for key, value in lines if key.split("{")[0] == name]
        return sum(values) if values else None

    def call(self, method, message, connection=None):
        """Makes a call over REST and returns status and body."""
        own = connection or http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        body = json.dumps(message)
        own.request("POST", f"/v3/{method}", body, {"content-type": "application/json"})
        response = own.getresponse()
        answer = response.read()
        if connection is None:
            own.close()
        return response.status, answer

    def fill(self, user_id, orders, items=15, text="x" * 4000):
        """Creates orders of a user; each item has an intake answer with this text."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        with contextlib.closing(connection):
            for number in range(orders):
                status, answer = self.call("CreateOrder", new_order(user_id, number, items, text), connection)
                if status != 200 or b"order_id" not in answer:
                    raise SystemExit(f"no order was created: {status} {answer[:500]}")


def clean():
    """The environment without settings of the program."""
    return {name: value for name, value in os.environ.items() if not name.startswith("BOXOFFICE")}


def lower_descriptors(soft):
    """Lowers both limits of descriptors, in the child process before it becomes the server."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, soft))


def free_ports(count):
    """Ports that are free at this moment."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def write_catalog(folder):
    """One service without ticket types, with one slot that never sells out."""
    folder.mkdir()
    about = {"processing_instruction": "PROCESS_AS_COMPLETE", "shard_number": 0, "total_shards": 1}
    about.update(nonce="1", generation_timestamp=str(int(time.time())))
    names = {"merchant_id": MERCHANT, "service_id": SERVICE}
    address = {"country": "US", "locality": "Here", "postal_code": "10001", "street_address": "1 Road"}
    merchant = {"merchant_id": MERCHANT, "name": "Arena", "telephone": "+1 555 010 0001", "category": "arena"}
    merchant.update(url="https://arena.example.com", geo={"address": address})
    question = {"id": QUESTION, "type": "PARAGRAPH", "localized_label": {"value": "Note"}}
    service = {**names, "localized_service_name": {"value": "Visit"}, "intake_form": {"field": [question]}}
    service["price"] = {"price_micros": "1000000", "currency_code": "USD"}
    slot = {**names, "start_sec": START, "duration_sec": DURATION, "spots_total": 10**6, "spots_open": 10**6}
    slot["confirmation_mode"] = "CONFIRMATION_MODE_SYNCHRONOUS"
    for name, member in [
        ("merchants", {"merchant": [merchant]}),
        ("services", {"service": [service]}),
        ("availability", {"service_availability": [{"availability": [slot]}]}),
    ]:
        (folder / f"{name}.json").write_text(json.dumps({"metadata": about, **member}))


def line_item(text=None):
    """One visit, as JSON."""
    item = {"service_id": SERVICE, "start_sec": START, "duration_sec": DURATION}
    item["price"] = {"price_micros": "1000000", "currency_code": "USD"}
    if text is not None:
        item["intake_form_answers"] = {"answer": [{"id": QUESTION, "response": [text]}]}
    return item


def new_order(user_id, number, items, text):
    """A request for an order."""
    who = {"user_id": user_id, "given_name": "Ada", "family_name": "Doe", "email": "ada@example.com"}
    who.update(telephone="+1 555 010 0100", language_code="en")
    order = {"user_information": who, "merchant_id": MERCHANT, "item": [line_item(text) for _ in range(items)]}
    return {"order": order, "idempotency_token": f"{user_id}-{number}"}


@dataclasses.dataclass
class Measured:
    """The measurements of the prober."""

    peak_mib: float
    before: list
    during: list
    failed: int
    why: str
    silence: float
    recovery: float | None
    #: The exit code of a server that ended by itself.
    ended: int | None = None


class Prober:
    """A client with sequential calls, in a process of its own so that the attack does not delay it."""

    def __init__(self, stage, attack):
        fork = multiprocessing.get_context("fork")
        self.over = fork.Event()
        self.result, result = fork.Pipe(duplex=False)
        port = stage.admin_port if attack.probe == "livez" else stage.port
        words = (port, attack, stage.process.pid, self.over, result)
        self.process = fork.Process(target=watch, args=words, daemon=True)
        self.process.start()

    def kill(self):
        self.process.kill()
        self.process.join()

    def end(self, begun, ended):
        """Waits for the recovery after the attack, and returns the measurements."""
        self.over.set()
        answers, peak, quick = self.result.recv()
        return measure(answers, peak, quick, begun, ended)


def watch(port, attack, pid, over, result):
    """Probes until the server has recovered from the attack, or the time for that has passed."""
    probe = Probe(port, attack.probe)
    answers, peak, quick, row, deadline = [], [0], QUICK_SEC, 0, None
    memory = threading.Thread(target=watch_memory, args=(pid, peak), daemon=True)
    memory.start()
    while deadline is None or (row < RECOVERED_ANSWERS and time.monotonic() < deadline):
        begun = time.monotonic()
        why = probe.ask()
        took = time.monotonic() - begun
        answers.append((begun, took, why))
        if deadline is None and over.is_set():
            deadline, quick = time.monotonic() + attack.recovery, how_quick(answers)
        row = row + 1 if deadline and why is None and took < quick else 0
        time.sleep(0.005 if why is None else 0.02)
    result.send((answers, peak[0], quick))


def how_quick(answers):
    """The limit of a quick answer, from the answers before the attack."""
    calm = [took for begun, took, _ in answers if begun < answers[0][0] + CALM_SEC]
    return max(QUICK_SEC, 10 * quantile(calm, 0.5))


class Probe:
    """A persistent connection, opened again after an error."""

    def __init__(self, port, kind):
        self.port, self.kind, self.connection = port, kind, None
        self.body = json.dumps({"merchant_id": MERCHANT, "item": [line_item()]})

    def ask(self):
        """Makes one call; returns the error, if any."""
        try:
            self.connection = self.connection or http.client.HTTPConnection(
                "127.0.0.1", self.port, timeout=PROBE_LIMIT_SEC
            )
            if self.kind == "livez":
                self.connection.request("GET", "/livez")
            else:
                words = {"content-type": "application/json"}
                self.connection.request("POST", "/v3/CheckOrderFulfillability", self.body, words)
            response = self.connection.getresponse()
            answer = response.read()
        except (OSError, http.client.HTTPException) as error:
            self.connection = None
            return repr(error)
        return None if response.status == 200 else f"{response.status} {answer[:200]!r}"


def watch_memory(pid, peak):
    """Tracks the peak resident memory of a process, in bytes."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        while True:
            pages = int(pathlib.Path(f"/proc/{pid}/statm").read_text().split()[1])
            peak[0] = max(peak[0], pages * resource.getpagesize())
            time.sleep(0.01)


def measure(answers, peak, quick, begun, ended):
    """The measurements before, during and after an attack with this start and end."""
    good = [(at, took) for at, took, why in answers if why is None]
    during = [(at, took, why) for at, took, why in answers if begun <= at < ended]
    failed = [why for _, _, why in during if why is not None]
    moments = [begun, *(at + took for at, took in good if begun <= at + took <= ended), ended]
    return Measured(
        peak_mib=peak / MIB,
        before=[took for at, took in good if at + took < begun],
        during=[took for _, took, why in during if why is None],
        failed=len(failed),
        why=failed[0] if failed else "",
        silence=max(later - earlier for earlier, later in zip(moments, moments[1:])),
        recovery=recovery(answers, quick, ended),
    )


def recovery(answers, quick, ended):
    """Seconds from the end of an attack to the first of the final quick answers in a row."""
    row = None
    for at, took, why in reversed(answers):
        if why is not None or took >= quick or at + took < ended:
            break
        row = at + took - ended
    return row
