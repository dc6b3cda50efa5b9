"""The tests, in the order in which they are made. Orders that succeed stay: they use up spots."""

import itertools
import time

from laws import faults_of_check, faults_of_creation, faults_of_status, micros_of, number, result_of

# Slots are taken from so far ahead, so that none closes on the way.
AHEAD_SEC = 26 * 3600
TRIED_PER_SERVICE = 60
MOST_SPOTS_TO_FILL = 300
MOST_TICKETS_AT_ONCE = 10

FULFILL, LINE, TOGETHER = "CAN_FULFILL", "UNFULFILLABLE_LINE_ITEM", "UNFULFILLABLE_SERVICE_COMBINATION"
UNAVAILABLE, BOUNDS, TICKETS = "SLOT_UNAVAILABLE", "TICKET_CONSTRAINT_VIOLATED", "UNFULFILLABLE_TICKET_COMBINATION"


class Line:
    """A line of an order: a slot, tickets, the right price, and the fees of an order of it alone."""

    def __init__(self, slot, tickets, micros=None, fees=0):
        self.slot, self.tickets = slot, tickets
        self.micros = slot.service.price_of(tickets) if micros is None else micros
        self.fees = fees

    def but(self, tickets=None, micros=None):
        return Line(self.slot, self.tickets if tickets is None else tickets, self.micros if micros is None else micros)

    @property
    def spots(self):
        return min(self.slot.spots_for(ticket) for ticket in self.tickets or [None])

    def message(self, **others):
        tickets = [{"ticket_id": ticket, "count": count} for ticket, count in self.tickets.items()]
        return {
            "service_id": self.slot.service.id, "start_sec": str(self.slot.start_sec),
            "duration_sec": str(self.slot.duration_sec), "tickets": tickets,
            "price": {"price_micros": str(self.micros), "currency_code": self.slot.service.currency}, **others,
        }


class Flow:
    """All tests against one server. Alone, nobody else buys there, and every count has to be exact."""

    def __init__(self, caller, stranger, offer, report, alone):
        self.caller, self.stranger, self.offer = caller, stranger, offer
        self.report, self.alone = report, alone
        self.run_name = f"{time.time_ns():x}"
        self.tokens = (f"partner-flow-{self.run_name}-{at}" for at in itertools.count())
        self.user = f"partner-flow-{self.run_name}"
        self.used, self.orders = set(), []

    def run(self):
        self.health()
        lines = [line for line in map(self.check_service, self.offer.services.values()) if line]
        if not lines:
            self.report.add("check: something can be booked", "a service with open spots", ["there is none"], {})
            return
        self.check_several(lines)
        for line in lines:
            self.check_prices(line)
            self.check_counts(line)
            self.check_bounds(line)
        self.check_unknown(lines[0])
        sold = [line for line in lines if self.stands_alone(line)]
        for line in sold:
            self.create(line)
        if sold:
            self.create_wrongly(self.another(sold[0]))
            self.create_with_fees(sold)
            self.repeat(self.another(sold[0]))
            self.try_again(self.another(sold[0]))
            self.fill(sold)
        self.list_orders()

    # Health

    def health(self):
        answer = self.caller.get("HealthCheck")
        self.report.add("health", "200", faults_of_status(answer, 200), answer.body)
        if self.stranger:
            answer = self.stranger.post("ListOrders", {"user_id": self.user})
            self.report.add("a call without password", "401", faults_of_status(answer, 401), answer.body)

    # CheckOrderFulfillability

    def check(self, name, lines, order, items, more=None, messages=None):
        """Looks at a cart; `order` and `items` are the results that may come."""
        merchant = lines[0].slot.service.merchant
        messages = messages or [line.message() for line in lines]
        answer = self.caller.post("CheckOrderFulfillability", {"merchant_id": merchant, "item": messages})
        faults = faults_of_status(answer, 200) or faults_of_check(messages, answer.body, order, items)
        if more and not faults:
            faults = more(answer.body)
        self.report.add(name, f"{' or '.join(order)}: {', '.join(map(' or '.join, items))}", faults, answer.body)
        return answer.body if not faults else None

    def check_service(self, service):
        """The first line of the service that can be sold, by itself or with others."""
        tried = 0
        for slot in self.upcoming(service):
            for line in slot.lines():
                found = self.look(Line(slot, line))
                tried += 1
                if found:
                    self.used.add(slot)
                    self.check_line(found)
                    return found
                if tried == TRIED_PER_SERVICE:
                    break
        if tried:
            self.report.add(
                f"check: {service.merchant}/{service.id} can be booked", "some line that can be sold",
                [f"none of {tried} lines of slots with open spots"], {},
            )
        return None

    def look(self, line):
        """The line at its right price with its fees, if it can be sold; no test."""
        message = {"merchant_id": line.slot.service.merchant, "item": [line.message()]}
        body = self.caller.post("CheckOrderFulfillability", message).body
        items = body.get("fulfillability", {}).get("item_fulfillability", [])
        if [result_of(item) for item in items] != [FULFILL]:
            return None
        return Line(line.slot, line.tickets, micros_of(items[0]["item"]["price"]), micros_of(body.get("fees_and_taxes", {})))

    def check_line(self, line):
        name = f"{line.slot.service.merchant}/{line.slot.service.id}"
        self.check(f"check: one line of {name}", [line], [FULFILL, TOGETHER], [[FULFILL]], self.spots_are([line]))

    def spots_are(self, lines):
        def faults(body):
            found = [number(item.get("availability", {}), "spots_open") for item in items_of(body)]
            wrong = [at for at, line in enumerate(lines) if not self.agrees(found[at], line.spots)]
            return [f"item {at} has {found[at]} open spots, by the feeds and orders {lines[at].spots}" for at in wrong]
        return faults

    def agrees(self, found, expected):
        return found == expected if self.alone else 0 <= found <= expected

    def check_several(self, lines):
        merchants = dict.fromkeys(line.slot.service.merchant for line in lines)
        for merchant in merchants:
            of_merchant = [line for line in lines if line.slot.service.merchant == merchant]
            for line in of_merchant[:1]:
                pair = [line, self.another(line)]
                name = f"check: two slots of {merchant}/{line.slot.service.id}"
                self.check(name, pair, [FULFILL, TOGETHER], [[FULFILL], [FULFILL]], self.spots_are(pair))
            if len(of_merchant) > 1:
                name = f"check: {len(of_merchant)} services of {merchant}"
                self.check(name, of_merchant, [FULFILL, TOGETHER], [[FULFILL]] * len(of_merchant), self.spots_are(of_merchant))

    def check_prices(self, line):
        name = f"{line.slot.service.merchant}/{line.slot.service.id}"
        for word, wrong, warning in [
            ("high", line.micros + 1_000_000, "PRICE_DECREASE"),
            ("low", max(line.micros - 1_000_000, 0), "PRICE_INCREASE"),
        ]:
            if wrong != line.micros:
                test = f"check: too {word} a price for {name}"
                self.check(test, [line.but(micros=wrong)], [FULFILL, TOGETHER], [[FULFILL]], corrected(line.micros, warning))

    def check_counts(self, line):
        name = f"{line.slot.service.merchant}/{line.slot.service.id}"
        if not line.tickets:
            return
        [(ticket, _)] = line.tickets.items()
        some = {"ticket_id": ticket, "count": 1}
        for test, tickets in [
            ("an unknown ticket type", [dict(some, ticket_id=f"unknown-{self.run_name}")]),
            ("no tickets of a type", [dict(some, count=0)]),
            ("less than no tickets", [dict(some, count=-1)]),
            ("a known and an unknown ticket type", [some, dict(some, ticket_id=f"unknown-{self.run_name}")]),
        ]:
            self.check(f"check: {test} of {name}", [line], [LINE], [[TICKETS]], messages=[line.message(tickets=tickets)])
        many = line.but({ticket: line.spots + 1})
        self.check(f"check: more tickets of {name} than open spots", [many], [LINE], [[UNAVAILABLE, BOUNDS]])
        half = line.but({ticket: line.spots // 2 + 1})
        bounds = [line.slot.bounds(), line.slot.bounds(ticket)]
        if all(bound.max is None or half.tickets[ticket] <= bound.max for bound in bounds) and line.spots > 1:
            halves = [half, half]
            priced = [FULFILL, UNAVAILABLE]
            self.check(f"check: two lines of {name} that fit only apart", halves, [LINE], [priced, priced])

    def check_bounds(self, line):
        """Too few and too many tickets, where the rules file says how many there may be."""
        service = line.slot.service
        for kind, word in [("min", "below the fewest"), ("max", "above the most")]:
            for found, bound in itertools.islice(self.bounded_lines(line, kind), 1):
                name = f"check: {word} tickets of {service.merchant}/{service.id}"
                self.check(name, [found], [LINE], [[BOUNDS]], tells_bound(f"{kind}_ticket_count", bound))

    def bounded_lines(self, line, kind):
        """Lines of the same ticket type with one ticket too few or too many, and the bound."""
        for slot, ticket in itertools.product(self.upcoming(line.slot.service), line.tickets):
            for bounds in (slot.bounds(), slot.bounds(ticket)):
                bound = getattr(bounds, kind)
                count = bound and (bound - 1 if kind == "min" else bound + 1)
                if count and slot.spots_for(ticket) > 0:
                    yield Line(slot, {ticket: count}), bound

    def check_unknown(self, line):
        unknown = f"unknown-{self.run_name}"
        answer = self.caller.post("CheckOrderFulfillability", {"merchant_id": unknown, "item": [line.message()]})
        self.report.add("check: an unknown merchant", "400", faults_of_status(answer, 400), answer.body)
        for test, message in self.unknown_messages(line):
            self.check(f"check: {test}", [line], [LINE], [[UNAVAILABLE]], messages=[message])
        both = [line.message(), line.message(service_id=unknown)]
        self.check("check: a line that can be sold and one that cannot", [line], [LINE], [[FULFILL], [UNAVAILABLE]], messages=both)

    def unknown_messages(self, line):
        yield "an unknown service", line.message(service_id=f"unknown-{self.run_name}")
        yield "an unknown start", line.message(start_sec=str(line.slot.start_sec + 1))
        yield "an unknown length", line.message(duration_sec=str(line.slot.duration_sec + 1))

    # CreateOrder

    def request(self, token, lines, fees=None, messages=None):
        fees = sum(line.fees for line in lines) if fees is None else fees
        service = lines[0].slot.service
        answers = lambda line: {"intake_form_answers": {"answer": line.slot.service.answers(line.tickets)}}
        order = {
            "merchant_id": service.merchant,
            "item": messages or [line.message(**answers(line)) for line in lines],
            "user_information": {
                "user_id": self.user, "given_name": "Ada", "family_name": "Lovelace",
                "email": "ada@example.com", "telephone": "+44 20 7946 0000",
            },
        }
        if fees:
            price = {"price_micros": str(fees), "currency_code": service.currency}
            order["payment_information"] = {"fees_and_taxes": price}
        return {"idempotency_token": token, "order": order}

    def send(self, name, request, expected, more=None):
        """Creates an order, or fails to; `expected` is None or the cause and results of the failure."""
        answer = self.caller.post("CreateOrder", request)
        faults = faults_of_status(answer, 200) or faults_of_creation(request, answer.body, expected)
        if more and not faults:
            faults = more(answer.body)
        self.report.add(name, "an order" if expected is None else f"{expected[0]}: {expected[1]}", faults, answer.body)
        return answer

    def create(self, line):
        """An order of one line, after which its slot has so many spots less."""
        line = self.look(self.another(line)) or line
        name = f"{line.slot.service.merchant}/{line.slot.service.id}"
        self.look_up(f"look-up: {name} before an order", line.slot, at_most=None)
        before = self.count(line.slot)
        answer = self.send(f"create: one line of {name}", self.request(next(self.tokens), [line]), None)
        self.note(answer, [line])
        self.look_up(f"look-up: {name} after an order", line.slot, at_most=before)

    def note(self, answer, lines):
        """Counts an order that was created."""
        order = answer.body.get("order", {})
        if order.get("order_id"):
            self.orders.append(order["order_id"])
            for line in lines:
                line.slot.sell(line.tickets)

    def create_wrongly(self, line):
        refused = lambda *items: ("ORDER_UNFULFILLABLE", [list(item) for item in items])
        dear, unknown = line.but(micros=line.micros + 1_000_000), f"unknown-{self.run_name}"
        token = lambda: next(self.tokens)
        self.send("create: a wrong price", self.request(token(), [dear], line.fees), refused(["INCORRECT_PRICE"]), corrected(line.micros, "PRICE_DECREASE"))
        for test, message in self.unknown_messages(line):
            self.send(f"create: {test}", self.request(token(), [line], messages=[message]), refused([UNAVAILABLE]))
        if line.tickets:
            tickets = [{"ticket_id": unknown, "count": 1}]
            request = self.request(token(), [line], messages=[line.message(tickets=tickets)])
            self.send("create: an unknown ticket type", request, refused([TICKETS]))
        for test, change in [
            ("an unknown merchant", lambda request: request["order"].update(merchant_id=unknown)),
            ("an order with an id", lambda request: request["order"].update(order_id="mine")),
            ("an order without items", lambda request: request["order"].update(item=[])),
            ("no token", lambda request: request.pop("idempotency_token")),
            ("no user", lambda request: request["order"].pop("user_information")),
        ]:
            request = self.request(token(), [line])
            change(request)
            answer = self.caller.post("CreateOrder", request)
            self.report.add(f"create: {test}", "400", faults_of_status(answer, 400), answer.body)
        self.look_up("look-up: after orders that failed", line.slot, at_most=None)

    def create_with_fees(self, lines):
        line = next((line for line in lines if line.fees), lines[0])
        line = self.look(self.another(line)) or line
        request = self.request(next(self.tokens), [line], line.fees + 1_000_000)
        self.send("create: a wrong fee total", request, ("INCORRECT_FEE_TOTAL", []))

    def repeat(self, line):
        request = self.request(next(self.tokens), [line])
        first = self.send("create: an order to be repeated", request, None)
        self.note(first, [line])
        again = self.caller.post("CreateOrder", request)
        faults = [] if again.bytes == first.bytes else ["other bytes than at first"]
        self.report.add("create: the same token and request again", "the same bytes", faults or faults_of_status(again, 200), again.body)
        request["order"]["user_information"]["given_name"] = "Augusta"
        other = self.caller.post("CreateOrder", request)
        self.report.add("create: the same token, another request", "400", faults_of_status(other, 400), other.body)
        self.look_up("look-up: after a repeated order", line.slot, at_most=None)

    def try_again(self, line):
        token = next(self.tokens)
        dear = self.request(token, [line.but(micros=line.micros + 1_000_000)], line.fees)
        self.send("create: an attempt that fails", dear, ("ORDER_UNFULFILLABLE", [["INCORRECT_PRICE"]]))
        answer = self.send("create: the same token after a failure", self.request(token, [line]), None)
        self.note(answer, [line])
        self.look_up("look-up: after a second attempt", line.slot, at_most=None)

    def fill(self, lines):
        """Sells a slot to its last spot, and then tries to sell one more."""
        line = self.line_to_fill(lines)
        if not line:
            return
        [ticket] = line.tickets or [None]
        name = f"{line.slot.service.merchant}/{line.slot.service.id}"
        while line.spots > 0:
            part = line if ticket is None else Line(line.slot, {ticket: min(line.spots, self.most(line, ticket))})
            priced = self.look(part)
            answer = priced and self.caller.post("CreateOrder", self.request(next(self.tokens), [priced]))
            faults = [f"with {line.spots} spots left"] if not answer else faults_of_status(answer, 200)
            faults = faults or faults_of_creation({"order": {"item": [part.message()]}}, answer.body, None)
            if faults:
                return self.report.add(f"create: {name} up to its last spot", "orders", faults, answer and answer.body)
            self.note(answer, [part])
        self.report.add(f"create: {name} up to its last spot", "orders", [], {})
        self.send(f"create: one more of {name} than there are", self.request(next(self.tokens), [line]), ("ORDER_UNFULFILLABLE", [[UNAVAILABLE]]))
        self.check(f"check: {name} without open spots", [line], [LINE], [[UNAVAILABLE]], self.spots_are([line]))
        self.look_up(f"look-up: {name} without open spots", line.slot, at_most=0)

    def line_to_fill(self, lines):
        """A line of one spot whose slot has the fewest, all of them for anyone."""
        fillable = [
            Line(slot, {ticket: 1 for ticket in line.tickets}, fees=line.fees)
            for line in lines
            for slot in itertools.islice(self.upcoming(line.slot.service), TRIED_PER_SERVICE)
            if slot.has_one_pool and sum(line.tickets.values()) <= 1
        ]
        fillable = [line for line in fillable if 0 < line.spots <= MOST_SPOTS_TO_FILL and (line.slot.bounds().min or 0) <= 1]
        fillable.sort(key=lambda line: line.spots)
        return next((line for line in map(self.look, fillable) if line), None)

    def most(self, line, ticket):
        bounds = [line.slot.bounds().max, line.slot.bounds(ticket).max, MOST_TICKETS_AT_ONCE]
        return min(bound for bound in bounds if bound is not None)

    # ListOrders

    def list_orders(self):
        unknown = f"unknown-{self.run_name}"
        for name, message, expected in [
            ("list: orders by their ids", {"order_ids": {"order_id": self.orders}}, self.orders),
            ("list: an unknown id among them", {"order_ids": {"order_id": [unknown] + self.orders[:1]}}, self.orders[:1]),
            ("list: all orders of the user", {"user_id": self.user}, self.orders[::-1]),
            ("list: orders of an unknown user", {"user_id": unknown}, []),
        ]:
            answer = self.caller.post("ListOrders", message)
            found = [order.get("order_id") for order in answer.body.get("order", [])]
            faults = faults_of_status(answer, 200) or ([] if found == expected else [f"{found} instead of {expected}"])
            self.report.add(name, f"{len(expected)} orders", faults, answer.body)
        answer = self.caller.post("ListOrders", {})
        self.report.add("list: nobody's orders", "400", faults_of_status(answer, 400), answer.body)

    # Availability

    def count(self, slot):
        message = {"slot": {"merchant_id": slot.service.merchant, "service_id": slot.service.id, **times(slot)}}
        return number(self.caller.post("CheckAvailability", message).body, "count_available")

    def look_up(self, name, slot, at_most):
        """Both look-ups agree with the feeds and with what was sold."""
        message = {"slot": {"merchant_id": slot.service.merchant, "service_id": slot.service.id, **times(slot)}}
        answer = self.caller.post("CheckAvailability", message)
        found = number(answer.body, "count_available")
        expected = next(iter(slot.pools.values())) if slot.has_one_pool else at_most
        exact = slot.has_one_pool and self.alone
        wrong = expected is not None and (found != expected if exact else not 0 <= found <= expected)
        faults = faults_of_status(answer, 200) + ([f"{found} spots, by the feeds and orders {expected}"] if wrong else [])
        self.report.add(f"{name}, CheckAvailability", f"{expected} spots", faults, answer.body)
        self.look_up_batch(name, slot, found > 0)

    def look_up_batch(self, name, slot, available):
        known = {"service_id": slot.service.id, **times(slot)}
        unknown = dict(known, service_id=f"unknown-{self.run_name}")
        message = {"merchant_id": slot.service.merchant, "slot_time": [unknown, known]}
        answer = self.caller.post("BatchAvailabilityLookup", message)
        found = [
            (each.get("slot_time", {}).get("service_id"), each.get("available", False))
            for each in answer.body.get("slot_time_availability", [])
        ]
        expected = [(unknown["service_id"], False), (known["service_id"], available)]
        faults = faults_of_status(answer, 200) or ([] if found == expected else [f"{found} instead of {expected}"])
        self.report.add(f"{name}, BatchAvailabilityLookup", f"available: False, {available}", faults, answer.body)

    # Slots

    def upcoming(self, service):
        begin = time.time() + AHEAD_SEC
        return (slot for (start, _), slot in service.slots.items() if start >= begin and slot not in self.used)

    def another(self, line):
        """The same line in a slot of the service that no test has used yet; else in the same slot."""
        for slot in itertools.islice(self.upcoming(line.slot.service), TRIED_PER_SERVICE):
            if line.tickets in slot.lines():
                found = self.look(Line(slot, line.tickets))
                if found:
                    self.used.add(slot)
                    return found
        return line

    def stands_alone(self, line):
        """Whether an order may have this line and no other."""
        message = {"merchant_id": line.slot.service.merchant, "item": [line.message()]}
        return result_of(self.caller.post("CheckOrderFulfillability", message).body.get("fulfillability", {})) == FULFILL


def times(slot):
    return {"start_sec": str(slot.start_sec), "duration_sec": str(slot.duration_sec)}


def items_of(body):
    """The verdicts on items, of a check or of an order that failed."""
    body = body.get("order_failure", body)
    return body.get("fulfillability", {}).get("item_fulfillability", [])


def corrected(micros, warning):
    def faults(body):
        item = items_of(body)[0].get("item", {})
        found = micros_of(item.get("price", {})), item.get("warning_reason")
        return [] if found == (micros, warning) else [f"corrected to {found} instead of {(micros, warning)}"]
    return faults


def tells_bound(name, bound):
    def faults(body):
        violated = items_of(body)[0].get("violated_ticket_constraint", [])
        told = [number(each, name) for each in violated if name in each or len(each) == 0]
        return [] if bound in told else [f"{name} {bound} is not told"]
    return faults
