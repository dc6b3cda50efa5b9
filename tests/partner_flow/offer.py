"""What the exported feeds offer: services, their tickets and prices, and slots with open spots."""

import collections
import gzip
import json
import pathlib
import re
import tomllib

Bounds = collections.namedtuple("Bounds", "min max", defaults=(None, None))


class Offer:
    """Everything that a folder with exported feeds offers, slots by their start."""

    def __init__(self, folder):
        folder = pathlib.Path(folder)
        self.merchants = [merchant["merchant_id"] for merchant in elements(folder, "merchants", "merchant")]
        limits = read_limits(folder / "rules.toml")
        services = [Service(element, limits) for element in elements(folder, "services", "service")]
        self.services = {(service.merchant, service.id): service for service in services}
        for entry in elements(folder, "availability", "service_availability", "availability"):
            self.services[entry["merchant_id"], entry["service_id"]].add(entry)
        for service in services:
            service.slots = collections.OrderedDict(sorted(service.slots.items()))

    def services_of(self, merchant):
        return [service for service in self.services.values() if service.merchant == merchant]


class Service:
    """A service of the service feed, with what the rules file says of counts."""

    def __init__(self, element, limits):
        self.merchant, self.id = element["merchant_id"], element["service_id"]
        tickets = element.get("ticket_type", [])
        self.tickets = {ticket["ticket_type_id"]: micros(ticket["price"]) for ticket in tickets}
        self.price = micros(element["price"]) if "price" in element else None
        priced = [element["price"]] if "price" in element else [ticket["price"] for ticket in tickets]
        self.currency = priced[0]["currency_code"]
        self.is_prepaid = element.get("prepayment_type") in ("REQUIRED", 1)
        self.questions = element.get("intake_form", {}).get("field", [])
        self.ticket_questions = element.get("per_ticket_intake_form", {}).get("field", [])
        self.limits = limits.get((self.merchant, self.id), [])
        self.slots = {}

    def add(self, entry):
        key = int(entry["start_sec"]), int(entry["duration_sec"])
        self.slots.setdefault(key, Slot(self, *key)).add(entry)

    def price_of(self, tickets):
        """What a line costs by the feed; deals are not in it."""
        if not tickets:
            return self.price
        return sum(self.tickets[ticket] * count for ticket, count in tickets.items())

    def answers(self, tickets):
        """An answer to every question that has to be answered."""
        once = [question for question in self.questions if is_asked(question, tickets)]
        each = [question for question in self.ticket_questions if is_asked(question, tickets)]
        answers = [{"id": question["id"], "response": [answer_to(question)]} for question in once]
        for question in each:
            only = question.get("ticket_type_restrict") or list(tickets)
            count = sum(tickets.get(ticket, 0) for ticket in only)
            answers.append({"id": question["id"], "response": [answer_to(question)] * count})
        return answers


class Slot:
    """A service at a time. Entries of the feed with the same ticket types add up to one pool."""

    def __init__(self, service, start_sec, duration_sec):
        self.service, self.start_sec, self.duration_sec = service, start_sec, duration_sec
        self.pools, self.tags = collections.Counter(), set()

    def add(self, entry):
        self.pools[frozenset(entry.get("ticket_type_id", []))] += int(entry.get("spots_open", 0))
        self.tags.add(entry.get("availability_tag"))

    def spots_for(self, ticket):
        """Open spots for one ticket type, or without tickets for None: every pool that serves binds."""
        serving = [spots for tickets, spots in self.pools.items() if not tickets or ticket in tickets]
        return min(serving, default=0)

    def sell(self, tickets):
        """Takes spots as an order does: from every pool that serves a ticket."""
        for ticket, count in (tickets or {None: 1}).items():
            for pool in self.pools:
                if not pool or ticket in pool:
                    self.pools[pool] -= count

    @property
    def times(self):
        return {"start_sec": str(self.start_sec), "duration_sec": str(self.duration_sec)}

    @property
    def has_one_pool(self):
        return len(self.pools) == 1

    @property
    def spots(self):
        """The open spots of a slot that has one pool."""
        [spots] = self.pools.values()
        return spots

    def bounds(self, ticket=None):
        """Fewest and most tickets of a line, or of one type in it."""
        found = Bounds()
        for limits in self.service.limits:
            if limits.get("availability_tag", next(iter(self.tags))) not in self.tags:
                continue
            if not limits.get("from_sec", 0) <= self.start_sec < limits.get("until_sec", float("inf")):
                continue
            said = limits if ticket is None else limits.get("ticket", {}).get(ticket, {})
            found = Bounds(said.get("min", found.min), said.get("max", found.max))
        return found

    def allows(self, ticket, count):
        """Whether the rules on counts allow a line of so many tickets of one type."""
        bounds = [self.bounds(), self.bounds(ticket)]
        return all((each.min or 0) <= count and (each.max is None or count <= each.max) for each in bounds)

    def lines(self):
        """Lines of one ticket type each, or of none, that the feeds and the rules on counts allow."""
        lines = [{}] if self.service.price is not None and self.spots_for(None) > 0 else []
        for ticket in self.service.tickets:
            fewest = max(1, self.bounds().min or 0, self.bounds(ticket).min or 0)
            if self.allows(ticket, fewest) and fewest <= self.spots_for(ticket):
                lines.append({ticket: fewest})
        return lines


def elements(folder, stem, *lists):
    """The elements of all shards of a feed, plain or zipped."""
    name = re.compile(rf"{stem}([-_.].*)?\.json(\.gz)?")
    shards = [read(path) for path in sorted(folder.iterdir()) if name.fullmatch(path.name)]
    if not shards:
        raise SystemExit(f"there is no {stem} feed in {folder}")
    totals = {shard.get("metadata", {}).get("total_shards", 1) for shard in shards}
    if totals != {len(shards)}:
        raise SystemExit(f"the {stem} feed has {len(shards)} files and says that it has {totals}")
    found = shards
    for name in lists:
        found = [element for each in found for element in each[name]]
    return found


def read(path):
    opened = gzip.open(path, "rt") if path.suffix == ".gz" else open(path, encoding="utf-8")
    with opened as file:
        return json.load(file)


def read_limits(path):
    """Limits on counts by service, the later ones of a list over those before."""
    if not path.exists():
        return {}
    tables = tomllib.loads(path.read_text()).get("service", [])
    limits = lambda table: [table.get("limits", {})] + table.get("slot_limits", [])
    return {(table["merchant"], table["id"]): limits(table) for table in tables}


def micros(price):
    return int(price["price_micros"])


def is_asked(question, tickets):
    only = question.get("ticket_type_restrict")
    return question.get("is_required") and (not only or any(ticket in only for ticket in tickets))


def answer_to(question):
    if question["type"] in ("MULTIPLE_CHOICE", "DROPDOWN", "CHECKBOXES"):
        return question["choice_text"][0]["value"]
    return "true" if question["type"] == "BOOLEAN" else "An answer"
