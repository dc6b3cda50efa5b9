"""Tests of ListOrders: everything that was created is found."""

from invariants import faults_of_status


class Lists:
    """Lists orders, given by their ids in the order in which they were created."""

    def __init__(self, stage, created):
        self.stage, self.report, self.created = stage, stage.report, created

    def play(self):
        by_ids = lambda *ids: {"order_ids": {"order_id": list(ids)}}
        unknown, some = self.stage.unknown, self.created[:1]
        if self.created:
            self.finds("orders by their ids", by_ids(*self.created), self.created)
            self.finds("an unknown id among them", by_ids(unknown, *some), some)
        self.finds("all orders of the user", {"user_id": self.stage.user}, self.created[::-1])
        self.finds("orders of an unknown user", {"user_id": unknown}, [])
        answer = self.stage.caller.post("ListOrders", {})
        self.report.add("list: nobody's orders", "400", faults_of_status(answer, 400), answer.body)

    def finds(self, name, message, expected):
        answer = self.stage.caller.post("ListOrders", message)
        found = [order.get("order_id") for order in answer.body.get("order", [])]
        faults = faults_of_status(answer, 200)
        if found != expected:
            faults.append(f"{found} instead of {expected}")
        self.report.add(f"list: {name}", f"{len(expected)} orders", faults, answer.body)
