"""What holds for every answer, whatever was asked."""

FULFILL, LINE, TOGETHER = "CAN_FULFILL", "UNFULFILLABLE_LINE_ITEM", "UNFULFILLABLE_SERVICE_COMBINATION"
UNAVAILABLE, BOUNDS, TICKETS = (
    "SLOT_UNAVAILABLE", "TICKET_CONSTRAINT_VIOLATED", "UNFULFILLABLE_TICKET_COMBINATION",
)
ORDER_RESULTS = {FULFILL, LINE, TOGETHER, "ORDER_UNFULFILLABLE_OTHER_REASON"}
ITEM_RESULTS = {
    FULFILL, UNAVAILABLE, BOUNDS, TICKETS,
    "CHILD_TICKETS_WITHOUT_ADULT", "INCORRECT_PRICE", "ITEM_UNFULFILLABLE_OTHER_REASON",
}
ECHOED = ("service_id", "start_sec", "duration_sec")


def number(message, name):
    """A whole number, which may be text and is 0 where it is left out."""
    return int(message.get(name, 0))


def micros_of(price):
    return number(price, "price_micros")


def result_of(verdict):
    return verdict.get("result")


def faults_of_status(answer, expected):
    return [] if answer.status == expected else [f"HTTP status {answer.status} instead of {expected}"]


def faults_of_check(items, body, order, results):
    """`order` has the results that the order may have, `results` those of each item."""
    verdict = body.get("fulfillability")
    if verdict is None:
        return ["no fulfillability"]
    faults = faults_of_verdict(items, verdict, results)
    if result_of(verdict) not in order:
        faults.append(f"the order's result is {result_of(verdict)}")
    return faults or faults_of_fees(body, items)


def faults_of_verdict(items, verdict, results):
    faults = [] if result_of(verdict) in ORDER_RESULTS else [f"{result_of(verdict)} is no result of an order"]
    found = verdict.get("item_fulfillability", [])
    if len(found) != len(items):
        return faults + [f"{len(found)} item_fulfillability for {len(items)} items"]
    for at, (item, each) in enumerate(zip(items, found)):
        if result_of(each) not in ITEM_RESULTS:
            faults.append(f"{result_of(each)} is no result of item {at}")
        if echo(each.get("item", {})) != echo(item):
            faults.append(f"item {at} is echoed as {each.get('item')}")
        if result_of(each) != UNAVAILABLE and "availability" not in each:
            faults.append(f"item {at} has no availability")
    if len(results) == len(found):
        wrong = [at for at, each in enumerate(found) if result_of(each) not in results[at]]
        faults += [f"item {at} is {result_of(found[at])}" for at in wrong]
    unfulfilled = any(result_of(each) != FULFILL for each in found)
    if unfulfilled != (result_of(verdict) == LINE):
        faults.append(f"{result_of(verdict)} does not go with the results of the items")
    return faults


def echo(item):
    tickets = [(each.get("ticket_id"), number(each, "count")) for each in item.get("tickets", [])]
    return tickets, [str(item.get(name)) for name in ECHOED]


def faults_of_fees(body, items):
    """The fees by name add up to the total of fees."""
    fees = body.get("fees", {})
    total = sum(micros_of(fee.get("fee_amount", {})) for fee in fees.get("per_order_fee", []))
    for fee in fees.get("per_ticket_fee", []):
        service = fee.get("service_id")
        of_service = [item for item in items if service in (None, item["service_id"])]
        tickets = [each for item in of_service for each in item["tickets"]]
        count = sum(each["count"] for each in tickets if each["ticket_id"] == fee.get("ticket_id"))
        total += micros_of(fee.get("fee_amount", {})) * count
    reported = micros_of(body.get("fees_and_taxes", {}))
    return [] if reported == total else [f"fees_and_taxes are {reported} and the fees add up to {total}"]


def faults_of_creation(request, body, expected):
    """`expected` is None for an order, else the cause of the failure and the results of the items."""
    order, failure = body.get("order"), body.get("order_failure")
    if (order is None) == (failure is None):
        return ["expected either an order or a failure"]
    if expected is None:
        return [f"it failed: {failure}"] if failure else faults_of_order(request["order"]["item"], order)
    return ["it succeeded"] if failure is None else faults_of_failure(request["order"]["item"], failure, *expected)


def faults_of_failure(items, failure, cause, results):
    faults = [] if failure.get("cause") == cause else [f"the cause is {failure.get('cause')}"]
    if failure.get("cause") != "ORDER_UNFULFILLABLE":
        return faults
    if "fulfillability" not in failure:
        return faults + ["no fulfillability"]
    return faults + faults_of_verdict(items, failure["fulfillability"], results)


def faults_of_order(items, order):
    faults = [] if order.get("order_id") else ["no order_id"]
    found = order.get("item", [])
    if [echo(item) for item in found] != [echo(item) for item in items]:
        faults.append("other items than asked for")
    states = [item.get("status") for item in found]
    return faults + [f"an item is {state}" for state in states if state != "CONFIRMED"]


def items_of(body):
    """The verdicts on items, of a check or of an order that failed."""
    body = body.get("order_failure", body)
    return body.get("fulfillability", {}).get("item_fulfillability", [])


def corrected(micros, warning):
    """That the first item's price was corrected to this one."""
    def faults(body):
        item = items_of(body)[0].get("item", {})
        found = micros_of(item.get("price", {})), item.get("warning_reason")
        return [] if found == (micros, warning) else [f"corrected to {found} instead of {(micros, warning)}"]
    return faults
