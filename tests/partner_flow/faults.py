"""Servers that are wrong in one way each: a proxy that alters what it passes on.

Each fault has the test that has to find it. A flow that finds no fault in any of them is no test.
"""

import http.server
import itertools
import json
import threading

FAULTS = {}
NUMBERS = itertools.count(1)


class Fault:
    """What is altered in the answers to some methods, or in their requests."""

    def __init__(self, found_by, methods, in_answer, in_request):
        self.found_by, self.methods = found_by, methods
        self.in_answer, self.in_request = in_answer, in_request


def fault(name, found_by, methods):
    """Registers what alters answers, given with their requests."""
    def register(alter):
        FAULTS[name] = Fault(found_by, methods, alter, in_request=lambda request: request)
        return alter
    return register


CHECK, CREATE, LIST = "CheckOrderFulfillability", "CreateOrder", "ListOrders"
BATCH, AVAILABILITY = "BatchAvailabilityLookup", "CheckAvailability"


def items(body):
    return body.get("order_failure", body).get("fulfillability", {}).get("item_fulfillability", [])


@fault("one open spot too many", "check: one line of", [CHECK])
def too_many_spots(request, status, body):
    for item in items(body):
        seen = item.get("availability", {})
        seen["spots_open"] = seen.get("spots_open", 0) + 1
    return status, body


@fault("no item_fulfillability", "check: something can be booked", [CHECK])
def no_items(request, status, body):
    body.get("fulfillability", {}).pop("item_fulfillability", None)
    return status, body


@fault("items in another order", "check: two slots of", [CHECK])
def reversed_items(request, status, body):
    items(body).reverse()
    return status, body


@fault("no availability", "check: one line of", [CHECK])
def no_availability(request, status, body):
    for item in items(body):
        item.pop("availability", None)
    return status, body


@fault("an unspecified result", "check: ", [CHECK])
def unspecified(request, status, body):
    for item in items(body):
        item["result"] = "ITEM_FULFILLABILITY_RESULT_UNSPECIFIED"
    return status, body


@fault("any price is right", "check: too high a price", [CHECK])
def any_price(request, status, body):
    for asked, item in zip(request["item"], items(body)):
        item["item"].pop("warning_reason", None)
        item["item"]["price"] = asked["price"]
    return status, body


@fault("fees that do not add up", "check: ", [CHECK])
def other_fees(request, status, body):
    total = body.setdefault("fees_and_taxes", {})
    total["price_micros"] = str(int(total.get("price_micros", 0)) + 1)
    return status, body


@fault("no bounds", "check: ", [CHECK])
def no_bounds(request, status, body):
    for item in items(body):
        item.pop("violated_ticket_constraint", None)
    return status, body


@fault("more tickets than spots can be sold", "check: more tickets", [CHECK])
def oversold(request, status, body):
    for item in items(body):
        if item["result"] == "SLOT_UNAVAILABLE":
            item["result"] = body["fulfillability"]["result"] = "CAN_FULFILL"
    return status, body


@fault("an unknown merchant is well", "check: an unknown merchant", [CHECK])
def any_merchant(request, status, body):
    return 200, body if status == 200 else {"fulfillability": {"result": "CAN_FULFILL"}}


@fault("another order_id for a repeated request", "create: the same token and request again", [CREATE])
def other_id(request, status, body):
    if "order" in body:
        body["order"]["order_id"] = f"{next(NUMBERS)}-{body['order']['order_id']}"
    return status, body


@fault("a token may be used again", "create: the same token, another request", [CREATE])
def reused_token(request, status, body):
    return 200, body if status == 200 else {"order": {"order_id": "another"}}


@fault("an order that is not confirmed", "create: one line of", [CREATE])
def not_confirmed(request, status, body):
    for item in body.get("order", {}).get("item", []):
        item.pop("status", None)
    return status, body


@fault("a failure that says nothing", "create: a wrong price", [CREATE])
def no_words(request, status, body):
    body.get("order_failure", {}).pop("fulfillability", None)
    return status, body


@fault("every order is created", "create: one more of", [CREATE])
def always_created(request, status, body):
    return status, created(request) if "order_failure" in body else body


def created(request):
    """An order of what is asked for."""
    items = [{**item, "status": "CONFIRMED"} for item in request["order"]["item"]]
    return {"order": {"order_id": f"{next(NUMBERS)}", "item": items}}


@fault("what has to be prepaid is sold unpaid", "create: an order unpaid", [CREATE])
def sold_unpaid(request, status, body):
    is_unpaid = body.get("order_failure", {}).get("cause") == "PAYMENT_ERROR"
    return status, created(request) if is_unpaid else body


@fault("every tenth creation breaks", "limits: CreateOrder fails rarely", [CREATE])
def breaks(request, status, body):
    return (status, body) if next(NUMBERS) % 10 else (503, {"error": {"code": 503}})


@fault("the newest order is not listed", "list: all orders of the user", [LIST])
def not_listed(request, status, body):
    if "user_id" in request:
        body["order"] = body.get("order", [])[1:]
    return status, body


@fault("a stranger's orders are listed", "list: orders of an unknown user", [LIST])
def strangers(request, status, body):
    return status, body or {"order": [{"order_id": "a stranger's"}]}


@fault("every slot is available", "look-up: ", [BATCH])
def always_available(request, status, body):
    for each in body.get("slot_time_availability", []):
        each["available"] = True
    return status, body


@fault("slots that are not known are left out", "look-up: ", [BATCH])
def left_out(request, status, body):
    seen = body.get("slot_time_availability", [])
    body["slot_time_availability"] = [each for each in seen if "available" in each]
    return status, body


@fault("what was sold is still there", "look-up: ", [AVAILABILITY])
def still_there(request, status, body):
    body["count_available"] = body.get("count_available", 0) + 1
    return status, body


@fault("bad health", "health", ["HealthCheck"])
def bad_health(request, status, body):
    return 503, body


def another_token(request):
    """Sells again what is asked for again."""
    request["idempotency_token"] = request.get("idempotency_token", "") + f"-{next(NUMBERS)}"
    return request


FAULTS["a second order for a repeated request"] = Fault(
    "create: the same token and request again", [CREATE], lambda _, status, body: (status, body), another_token,
)


class Proxy(http.server.ThreadingHTTPServer):
    """Passes calls on to a server over `connect()` with one fault, or with none."""

    daemon_threads = True

    def __init__(self, connect, fault=None):
        super().__init__(("127.0.0.1", 0), Passing)
        self.connect, self.fault = connect, fault
        self.address = f"http://127.0.0.1:{self.server_address[1]}"
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def __exit__(self, *_):
        self.shutdown()
        self.server_close()


class Passing(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # An answer goes out in two pieces, of which the second must not wait for the first.
    disable_nagle_algorithm = True

    def do_GET(self):
        self.pass_on(None)

    def do_POST(self):
        self.pass_on(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

    def pass_on(self, request):
        fault = self.server.fault
        if fault and self.path.rpartition("/")[2] in fault.methods:
            status, body = self.ask(fault.in_request(request and dict(request)))
            status, altered = fault.in_answer(request, status, json.loads(body))
            body = json.dumps(altered).encode()
        else:
            status, body = self.ask(request)
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def ask(self, request):
        connection = self.server.connect()
        kept = {name: self.headers[name] for name in ("Authorization", "Content-Type") if name in self.headers}
        connection.request(self.command, self.path, None if request is None else json.dumps(request), kept)
        answer = connection.getresponse()
        body = answer.read()
        connection.close()
        return answer.status, body

    def log_message(self, *_):
        """The report says what came."""
