"""Floods of wrong passwords."""

import base64
import http.client
import json
import subprocess
import threading
import time

from attack import attack
from stage import MERCHANT, line_item

#: Number of clients that guess without a pause.
GUESSERS = 300

#: Maximum seconds to the first answer for the right password.
PATIENCE_SEC = 1.0


def with_users(folder, program):
    """Writes a credentials file with one user."""
    hashed = subprocess.run([program, "hash-password"], input=b"right\n", capture_output=True, check=True)
    path = folder / "users.toml"
    path.write_text(f"[users.ada]\npasswords = ['{hashed.stdout.decode().strip()}']\n")
    return {"credentials": path, "max_password_checks": "1"}


def ask(port, password, source="127.0.0.1"):
    """Makes a call over a new connection; returns its status and duration."""
    begun = time.monotonic()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60, source_address=(source, 0))
    status = ask_over(connection, password)
    connection.close()
    return status, time.monotonic() - begun


def ask_over(connection, password):
    basic = base64.b64encode(f"ada:{password}".encode()).decode()
    body = json.dumps({"merchant_id": MERCHANT, "item": [line_item()]})
    headers = {"content-type": "application/json", "authorization": f"Basic {basic}"}
    connection.request("POST", "/v3/CheckOrderFulfillability", body, headers)
    response = connection.getresponse()
    response.read()
    return response.status


def guess(stage, over, number):
    """Guesses over one connection until the attack is over."""
    connection = http.client.HTTPConnection("127.0.0.1", stage.port, timeout=60)
    tried = 0
    while not over.is_set():
        try:
            ask_over(connection, f"wrong-{number}-{tried}")
            tried += 1
        except (OSError, http.client.HTTPException):
            connection.close()


@attack("wrong-passwords", peak_mib=400, probe="livez", silence=1.0, settings=with_users)
def wrong_passwords(stage):
    """300 connections with wrong passwords, and a new client with the right one."""
    over = threading.Event()
    guessers = [threading.Thread(target=guess, args=(stage, over, number), daemon=True) for number in range(GUESSERS)]
    for guesser in guessers:
        guesser.start()
    time.sleep(2)
    failures = []
    status, took = ask(stage.port, "right", source="127.0.0.1")
    if status != 200 or took > PATIENCE_SEC:
        failures.append(f"the right password: {status} after {took:.1f} s")
    print(f"  wrong-passwords: a new client with the right password has {status} after {took:.2f} s", flush=True)
    over.set()
    return failures
