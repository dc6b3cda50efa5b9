"""Tests of CreateOrder, each with look-ups that have to agree with what was sold."""

from invariants import UNAVAILABLE, corrected, faults_of_creation, faults_of_status
from lookups import LookUps
from stage import Line

MOST_SPOTS_TO_FILL = 300
MOST_TICKETS_AT_ONCE = 10
# What Google says of an order that it has charged for.
PREPAID = {"payment_processed_by": "PROCESSED_BY_GOOGLE", "prepayment_status": "PREPAYMENT_PROVIDED"}


class Orders:
    """Creates orders, which stay: they use up spots."""

    def __init__(self, stage):
        self.stage, self.report, self.look_ups = stage, stage.report, LookUps(stage)
        self.created = []

    def play(self, lines):
        """Makes the tests with lines that an order may have alone."""
        for line in lines:
            self.one_line(self.stage.another(line))
        for test in (self.wrongly, self.repeated, self.again_after_failure):
            test(self.stage.another(lines[0]))
        self.wrong_fees(next((line for line in lines if line.fees), lines[0]))
        for line in [line for line in lines if line.slot.service.is_prepaid][:1]:
            self.unpaid(self.stage.another(line))
        self.to_the_last_spot(lines)

    def request(self, lines, token=None, fees=None, messages=None):
        service = lines[0].slot.service
        answers = [{"answer": line.slot.service.answers(line.tickets)} for line in lines]
        asked = [line.message(intake_form_answers=given) for line, given in zip(lines, answers)]
        order = {
            "merchant_id": service.merchant, "item": messages or asked,
            "user_information": {
                "user_id": self.stage.user, "given_name": "Ada", "family_name": "Lovelace",
                "email": "ada@example.com", "telephone": "+44 20 7946 0000",
            },
        }
        fees = sum(line.fees for line in lines) if fees is None else fees
        payment = dict(PREPAID) if any(line.slot.service.is_prepaid for line in lines) else {}
        if fees:
            payment["fees_and_taxes"] = {"price_micros": str(fees), "currency_code": service.currency}
        if payment:
            order["payment_information"] = payment
        return {"idempotency_token": token or next(self.stage.tokens), "order": order}

    def create(self, name, line, request):
        """Creates an order of one line, which has to succeed."""
        return self.send(name, request, None, sold=line)

    def fail(self, name, request, cause, results, more=None):
        """Creates an order, which has to fail with this cause and these results of its items."""
        return self.send(name, request, (cause, results), more)

    def send(self, name, request, expected, more=None, sold=None):
        answer = self.stage.caller.post("CreateOrder", request)
        faults = faults_of_status(answer, 200) or faults_of_creation(request, answer.body, expected)
        if more and not faults:
            faults = more(answer.body)
        if sold and not faults:
            self.created.append(answer.body["order"]["order_id"])
            sold.slot.sell(sold.tickets)
        what = "an order" if expected is None else f"{expected[0]}: {expected[1]}"
        self.report.add(f"create: {name}", what, faults, answer.body)
        return answer

    def rejected(self, name, request):
        answer = self.stage.caller.post("CreateOrder", request)
        self.report.add(f"create: {name}", "400", faults_of_status(answer, 400), answer.body)

    def one_line(self, line):
        self.look_ups.agree(f"{line.name} before an order", line.slot)
        before = self.look_ups.count(line.slot)
        self.create(f"one line of {line.name}", line, self.request([line]))
        self.look_ups.agree(f"{line.name} after an order", line.slot, before)

    def wrongly(self, line):
        dear = self.request([line.at(line.micros + 1_000_000)])
        expected = corrected(line.micros, "PRICE_DECREASE")
        self.fail("a wrong price", dear, "ORDER_UNFULFILLABLE", [["INCORRECT_PRICE"]], expected)
        for name, message in self.stage.unknown_messages(line):
            request = self.request([line], messages=[message])
            self.fail(name, request, "ORDER_UNFULFILLABLE", [[UNAVAILABLE]])
        if line.tickets:
            tickets = [{"ticket_id": self.stage.unknown, "count": 1}]
            request = self.request([line], messages=[line.message(tickets=tickets)])
            results = [["UNFULFILLABLE_TICKET_COMBINATION"]]
            self.fail("an unknown ticket type", request, "ORDER_UNFULFILLABLE", results)
        self.against_the_rules(line)
        self.look_ups.agree("after orders that failed", line.slot)

    def against_the_rules(self, line):
        for name, change in [
            ("an unknown merchant", lambda request: request["order"].update(merchant_id=self.stage.unknown)),
            ("an order with an id", lambda request: request["order"].update(order_id="mine")),
            ("an order without items", lambda request: request["order"].update(item=[])),
            ("no token", lambda request: request.pop("idempotency_token")),
            ("no user", lambda request: request["order"].pop("user_information")),
        ]:
            request = self.request([line])
            change(request)
            self.rejected(name, request)

    def wrong_fees(self, line):
        line = self.stage.another(line)
        request = self.request([line], fees=line.fees + 1_000_000)
        self.fail("a wrong fee total", request, "INCORRECT_FEE_TOTAL", [])

    def unpaid(self, line):
        """What has to be paid for when it is booked is not sold without a payment."""
        for name, payment in [("unpaid", {}), ("to be paid later", {"prepayment_status": "PREPAYMENT_NOT_PROVIDED"})]:
            request = self.request([line])
            stated = request["order"]["payment_information"]
            for member in PREPAID:
                stated.pop(member)
            stated.update(payment)
            self.fail(f"an order {name} of what is prepaid", request, "PAYMENT_ERROR", [])
        self.look_ups.agree("after orders that were not paid for", line.slot)

    def repeated(self, line):
        request = self.request([line])
        first = self.create("an order to be repeated", line, request)
        again = self.stage.caller.post("CreateOrder", request)
        faults = [] if again.bytes == first.bytes else ["other bytes than at first"]
        faults += faults_of_status(again, 200)
        self.report.add("create: the same token and request again", "the same bytes", faults, again.body)
        request["order"]["user_information"]["given_name"] = "Augusta"
        self.rejected("the same token, another request", request)
        self.look_ups.agree("after a repeated order", line.slot)

    def again_after_failure(self, line):
        token = next(self.stage.tokens)
        dear = self.request([line.at(line.micros + 1_000_000)], token)
        self.fail("an attempt that fails", dear, "ORDER_UNFULFILLABLE", [["INCORRECT_PRICE"]])
        self.create("the same token after a failure", line, self.request([line], token))
        self.look_ups.agree("after a second attempt", line.slot)

    def to_the_last_spot(self, lines):
        """Sells a slot to its last spot, and then tries to sell one more."""
        one = self.line_to_fill(lines)
        while one and one.spots > 0:
            part = self.stage.look(one.of({ticket: self.most(one, ticket) for ticket in one.tickets}))
            if not part:
                faults = [f"it cannot be, with {one.spots} spots left"]
                return self.report.add(f"create: {one.name} to its last spot", "orders", faults, {})
            left = one.spots
            self.create(f"{one.name} with {left} spots left", part, self.request([part]))
            if one.spots == left:
                return None
        if one:
            self.fail(f"one more of {one.name}", self.request([one]), "ORDER_UNFULFILLABLE", [[UNAVAILABLE]])
            self.look_ups.agree(f"{one.name} without open spots", one.slot)
        return None

    def line_to_fill(self, lines):
        """A line of one spot whose slot has the fewest, all of them for anyone."""
        single = [line for line in lines if sum(line.tickets.values()) <= 1]
        slots = [(slot, line) for line in single for slot in self.stage.upcoming(line.slot.service)]
        fillable = [Line(slot, line.tickets) for slot, line in slots if slot.has_one_pool]
        fillable = [line for line in fillable if 0 < line.spots <= MOST_SPOTS_TO_FILL]
        fillable.sort(key=lambda line: line.spots)
        return next((line for line in map(self.stage.look, fillable) if line), None)

    def most(self, line, ticket):
        return max(count for count in range(1, min(line.spots, MOST_TICKETS_AT_ONCE) + 1)
                   if count == 1 or line.slot.allows(ticket, count))
