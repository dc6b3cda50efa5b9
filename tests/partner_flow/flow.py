"""All tests, in the order in which they are made."""

from checks import Checks
from invariants import faults_of_status
from lists import Lists
from orders import Orders


def play(stage, stranger):
    """Makes all tests; a stranger is a caller without a password where there has to be one."""
    try_health(stage, stranger)
    checks, orders = Checks(stage), Orders(stage)
    lines = checks.play()
    sold = [line for line in lines if stage.stands_alone(line)]
    if sold:
        orders.play(sold)
    Lists(stage, orders.created).play()


def try_health(stage, stranger):
    answer = stage.caller.get("HealthCheck")
    stage.report.add("health", "200", faults_of_status(answer, 200), answer.body)
    if stranger:
        answer = stranger.post("ListOrders", {"user_id": stage.user})
        stage.report.add("a call without password", "401", faults_of_status(answer, 401), answer.body)
