"""Orders over REST, with nothing but what comes with Python."""

import json
import os
import urllib.error
import urllib.request

LINE = {
    "service_id": "museum-entry",
    "start_sec": os.environ["START"],
    "duration_sec": "7200",
    "tickets": [{"ticket_id": "adult", "count": 2}],
    "price": {"price_micros": "50000000", "currency_code": "USD"},
}
ORDER = {
    "idempotency_token": "python-rest",
    "order": {
        "merchant_id": "museum",
        "user_information": {"user_id": "python-rest", "given_name": "Ada", "family_name": "Lovelace"},
        "item": [LINE],
    },
}


def main():
    assert get("HealthCheck") == (200, b"{}")
    checks()
    order_id = creates_once()
    lists(order_id)
    reads_an_error()


def get(method):
    with urllib.request.urlopen(f"http://{os.environ['ADDRESS']}/v3/{method}") as answer:
        return answer.status, answer.read()


def post(method, message):
    url = f"http://{os.environ['ADDRESS']}/v3/{method}"
    request = urllib.request.Request(url, json.dumps(message).encode(), {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


def checks():
    status, answer = post("CheckOrderFulfillability", {"merchant_id": "museum", "item": [LINE]})
    verdict = json.loads(answer)["fulfillability"]
    assert (status, verdict["result"]) == (200, "CAN_FULFILL"), answer
    assert verdict["item_fulfillability"][0]["item"] == LINE, answer


def creates_once():
    status, answer = post("CreateOrder", ORDER)
    assert status == 200, answer
    assert post("CreateOrder", ORDER) == (status, answer), answer
    order = json.loads(answer)["order"]
    assert order["item"][0]["status"] == "CONFIRMED", answer
    return order["order_id"]


def lists(order_id):
    status, answer = post("ListOrders", {"user_id": "python-rest"})
    assert status == 200, answer
    assert [order["order_id"] for order in json.loads(answer)["order"]] == [order_id], answer


def reads_an_error():
    status, answer = post("CreateOrder", {"idempotency_token": "python-rejected"})
    error = json.loads(answer)["error"]
    assert (status, error["code"], error["status"]) == (400, 400, "INVALID_ARGUMENT"), answer
    violations = [detail["fieldViolations"] for detail in error["details"] if "fieldViolations" in detail]
    assert [found["field"] for found in violations[0]] == ["order"], answer


main()
