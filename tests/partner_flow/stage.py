"""What all tests share: the server, the report, and the slots that are still to be used."""

import itertools
import time

from invariants import FULFILL, micros_of, result_of

# Slots are taken from so far ahead, so that none closes on the way.
AHEAD_SEC = 26 * 3600
SLOTS_TRIED = 60


class Line:
    """A line of an order: a slot, tickets, the right price, and the fees of an order of it alone."""

    def __init__(self, slot, tickets, micros=None, fees=0):
        self.slot, self.tickets, self.fees = slot, tickets, fees
        self.micros = slot.service.price_of(tickets) if micros is None else micros

    def of(self, tickets):
        return Line(self.slot, tickets)

    def at(self, micros):
        return Line(self.slot, self.tickets, micros, self.fees)

    @property
    def name(self):
        return f"{self.slot.service.merchant}/{self.slot.service.id}"

    @property
    def merchant(self):
        return self.slot.service.merchant

    @property
    def spots(self):
        """Open spots for the line's tickets, by the feeds and what was sold since."""
        return min(self.slot.spots_for(ticket) for ticket in self.tickets or [None])

    def message(self, **others):
        price = {"price_micros": str(self.micros), "currency_code": self.slot.service.currency}
        tickets = [{"ticket_id": ticket, "count": count} for ticket, count in self.tickets.items()]
        return {
            "service_id": self.slot.service.id, **self.slot.times, "tickets": tickets, "price": price, **others,
        }


class Stage:
    """One run against one server. Alone, nobody else buys there, and every count has to be exact."""

    def __init__(self, caller, offer, report, alone):
        self.caller, self.offer, self.report, self.alone = caller, offer, report, alone
        run = f"{time.time_ns():x}"
        self.user, self.unknown = f"partner-flow-{run}", f"unknown-{run}"
        self.tokens = (f"partner-flow-{run}-{at}" for at in itertools.count())
        self.used = set()

    def agrees(self, found, expected):
        return found == expected if self.alone else 0 <= found <= expected

    def upcoming(self, service):
        """The first slots of a service that no test has used yet."""
        begin = time.time() + AHEAD_SEC
        slots = (slot for slot in service.slots.values() if slot.start_sec >= begin and slot not in self.used)
        return itertools.islice(slots, SLOTS_TRIED)

    def another(self, line):
        """The same line in a slot of the service that no test has used yet; else in the same slot."""
        for slot in self.upcoming(line.slot.service):
            found = line.tickets in slot.lines() and self.look(Line(slot, line.tickets))
            if found:
                self.used.add(slot)
                return found
        return line

    def check(self, lines):
        message = {"merchant_id": lines[0].merchant, "item": [line.message() for line in lines]}
        return self.caller.post("CheckOrderFulfillability", message).body

    def look(self, line):
        """The line at its right price with its fees, if it can be sold, by itself or with others."""
        body = self.check([line])
        items = body.get("fulfillability", {}).get("item_fulfillability", [])
        if [result_of(item) for item in items] != [FULFILL]:
            return None
        fees = micros_of(body.get("fees_and_taxes", {}))
        return Line(line.slot, line.tickets, micros_of(items[0]["item"]["price"]), fees)

    def stands_alone(self, line):
        """Whether an order may have this line and no other."""
        return result_of(self.check([line]).get("fulfillability", {})) == FULFILL

    def unknown_messages(self, line):
        """Messages of lines that ask for what there is not, each with what that is."""
        yield "an unknown service", line.message(service_id=self.unknown)
        yield "an unknown start", line.message(start_sec=str(line.slot.start_sec + 1))
        yield "an unknown length", line.message(duration_sec=str(line.slot.duration_sec + 1))
