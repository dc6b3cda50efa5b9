"""Tests of CheckAvailability and BatchAvailabilityLookup: both agree with what was sold."""

from invariants import faults_of_status, number


class LookUps:
    """Looks at slots without a cart."""

    def __init__(self, stage):
        self.stage, self.report = stage, stage.report

    def ask(self, slot):
        known = {"merchant_id": slot.service.merchant, "service_id": slot.service.id, **slot.times}
        return self.stage.caller.post("CheckAvailability", {"slot": known})

    def count(self, slot):
        """The spots of a slot; no test."""
        return number(self.ask(slot).body, "count_available")

    def agree(self, name, slot, at_most=None):
        """The slot has the spots that it has by the feeds and the orders. Where its pools are several,
        they do not say how many that is together; then there are no more than there were."""
        answer = self.ask(slot)
        found = number(answer.body, "count_available")
        expected = slot.spots if slot.has_one_pool else at_most
        faults = faults_of_status(answer, 200)
        if expected is not None and not self.agrees(slot, found, expected):
            faults.append(f"{found} spots, by the feeds and orders {expected}")
        self.report.add(f"look-up: {name}, CheckAvailability", f"{expected} spots", faults, answer.body)
        self.agree_in_batch(name, slot, found > 0)

    def agrees(self, slot, found, expected):
        return self.stage.agrees(found, expected) if slot.has_one_pool else 0 <= found <= expected

    def agree_in_batch(self, name, slot, available):
        known = {"service_id": slot.service.id, **slot.times}
        unknown = dict(known, service_id=self.stage.unknown)
        message = {"merchant_id": slot.service.merchant, "slot_time": [unknown, known]}
        answer = self.stage.caller.post("BatchAvailabilityLookup", message)
        seen = answer.body.get("slot_time_availability", [])
        found = [(each.get("slot_time", {}).get("service_id"), each.get("available", False)) for each in seen]
        expected = [(unknown["service_id"], False), (known["service_id"], available)]
        faults = faults_of_status(answer, 200)
        if found != expected:
            faults.append(f"{found} instead of {expected}")
        self.report.add(f"look-up: {name}, BatchAvailabilityLookup", str([False, available]), faults, answer.body)
