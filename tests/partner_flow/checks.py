"""Tests of CheckOrderFulfillability."""

import itertools

from invariants import (
    BOUNDS, FULFILL, LINE, TICKETS, TOGETHER, UNAVAILABLE, corrected, faults_of_check, faults_of_status, items_of,
    number,
)
from stage import Line

LINES_TRIED = 60


class Checks:
    """Looks at carts of all kinds; nothing is sold."""

    def __init__(self, stage):
        self.stage, self.report = stage, stage.report

    def play(self):
        """Makes the tests and gives one line of each service that can be sold."""
        lines = [line for line in map(self.one_line, self.stage.offer.services.values()) if line]
        if not lines:
            self.report.add("check: something can be booked", "an open slot", ["there is none"], {})
            return lines
        for merchant in dict.fromkeys(line.merchant for line in lines):
            self.several([line for line in lines if line.merchant == merchant])
        for line in lines:
            self.prices(line)
            self.counts(line)
            self.bounds(line)
        self.unknown(lines[0])
        return lines

    def check(self, name, lines, order, items, more=None, messages=None):
        """Looks at a cart; `order` and `items` are the results that may come."""
        messages = messages or [line.message() for line in lines]
        message = {"merchant_id": lines[0].merchant, "item": messages}
        answer = self.stage.caller.post("CheckOrderFulfillability", message)
        faults = faults_of_status(answer, 200) or faults_of_check(messages, answer.body, order, items)
        if more and not faults:
            faults = more(answer.body)
        expected = f"{' or '.join(order)}: {', '.join(map(' or '.join, items))}"
        self.report.add(f"check: {name}", expected, faults, answer.body)

    def one_line(self, service):
        """The first line of the service that can be sold, by itself or with others."""
        offered = (Line(slot, tickets) for slot in self.stage.upcoming(service) for tickets in slot.lines())
        tried = list(itertools.islice(offered, LINES_TRIED))
        line = next((line for line in map(self.stage.look, tried) if line), None)
        if line:
            self.stage.used.add(line.slot)
            self.check(f"one line of {line.name}", [line], [FULFILL, TOGETHER], [[FULFILL]], self.spots_of([line]))
        elif tried:
            faults = [f"none of {len(tried)} lines of slots with open spots"]
            self.report.add(f"check: {tried[0].name} can be booked", "some line that can be sold", faults, {})
        return line

    def spots_of(self, lines):
        def faults(body):
            found = [number(item.get("availability", {}), "spots_open") for item in items_of(body)]
            pairs = [(spots, line.spots) for spots, line in zip(found, lines)]
            wrong = [pair for pair in pairs if not self.stage.agrees(*pair)]
            return [f"{spots} open spots, by the feeds and orders {expected}" for spots, expected in wrong]
        return faults

    def several(self, lines):
        """Two slots of a merchant's first service, and all its services together."""
        pair = [lines[0], self.stage.another(lines[0])]
        for name, cart in [(f"two slots of {lines[0].name}", pair), (f"all services of {lines[0].merchant}", lines)]:
            self.check(name, cart, [FULFILL, TOGETHER], [[FULFILL]] * len(cart), self.spots_of(cart))

    def prices(self, line):
        high, low = line.at(line.micros + 1_000_000), line.at(max(line.micros - 1_000_000, 0))
        for word, wrong, warning in [("high", high, "PRICE_DECREASE"), ("low", low, "PRICE_INCREASE")]:
            if wrong.micros != line.micros:
                name, expected = f"too {word} a price for {line.name}", corrected(line.micros, warning)
                self.check(name, [wrong], [FULFILL, TOGETHER], [[FULFILL]], expected)

    def counts(self, line):
        """Tickets that there are not, in kind or in number; `line` has one type of ticket."""
        for ticket in line.tickets:
            one, unknown = {"ticket_id": ticket, "count": 1}, {"ticket_id": self.stage.unknown, "count": 1}
            for name, tickets in [
                ("an unknown ticket type", [unknown]),
                ("a known and an unknown ticket type", [one, unknown]),
                ("no tickets of a type", [dict(one, count=0)]),
                ("less than no tickets", [dict(one, count=-1)]),
            ]:
                messages = [line.message(tickets=tickets)]
                self.check(f"{name} of {line.name}", [line], [LINE], [[TICKETS]], messages=messages)
            many, half = line.of({ticket: line.spots + 1}), line.of({ticket: line.spots // 2 + 1})
            self.check(f"more tickets of {line.name} than open spots", [many], [LINE], [[UNAVAILABLE, BOUNDS]])
            if line.spots > 1 and line.slot.allows(ticket, half.tickets[ticket]):
                either = [FULFILL, UNAVAILABLE]
                self.check(f"two lines of {line.name} that fit only apart", [half, half], [LINE], [either, either])

    def bounds(self, line):
        """Too few and too many tickets, where the rules file says how many there may be."""
        for kind, step, word in [("min", -1, "below the fewest"), ("max", 1, "above the most")]:
            for found, bound in itertools.islice(self.bounded(line, kind, step), 1):
                expected = tells_bound(f"{kind}_ticket_count", bound)
                self.check(f"{word} tickets of {line.name}", [found], [LINE], [[BOUNDS]], expected)

    def bounded(self, line, kind, step):
        """Lines of the same ticket type that are one step beyond a bound, and the bound."""
        for slot, ticket in itertools.product(self.stage.upcoming(line.slot.service), line.tickets):
            for bounds in (slot.bounds(), slot.bounds(ticket)):
                bound = getattr(bounds, kind)
                if bound and bound + step > 0 and slot.spots_for(ticket) > 0:
                    yield Line(slot, {ticket: bound + step}), bound

    def unknown(self, line):
        message = {"merchant_id": self.stage.unknown, "item": [line.message()]}
        answer = self.stage.caller.post("CheckOrderFulfillability", message)
        self.report.add("check: an unknown merchant", "400", faults_of_status(answer, 400), answer.body)
        for name, message in self.stage.unknown_messages(line):
            self.check(name, [line], [LINE], [[UNAVAILABLE]], messages=[message])
        both = [line.message(), line.message(service_id=self.stage.unknown)]
        self.check("one line that can be sold and one not", [line], [LINE], [[FULFILL], [UNAVAILABLE]], messages=both)


def tells_bound(name, bound):
    def faults(body):
        bounds = [number(each, name) for each in items_of(body)[0].get("violated_ticket_constraint", [])]
        return [] if bound in bounds else [f"{name} {bound} is missing"]
    return faults
