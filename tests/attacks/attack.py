"""The registry of attacks, their bounds, and the row that reports one.

An attack is a function of a stage (see stage.py), registered under its name:

    @attack("silent-connections", peak_mib=200, descriptors=1024)
    def silent(stage):
        for _ in range(1100):
            stage.connect()
        stage.hold(2)

It returns when the attack is over; the connections that it opened by the stage are closed then. It may
return a list of failures of its own, such as a wrong answer. The part of a generator before its first
`yield` is a preparation, which is not measured.
"""

import dataclasses
import inspect

ATTACKS = {}


@dataclasses.dataclass
class Attack:
    """An attack with its bounds and the settings of its server."""

    name: str
    act: object
    #: Maximum resident memory of the server, in MiB.
    peak_mib: int
    #: Settings as flags without dashes, {"call_timeout": "1s"}, or a function of the stage's folder and the
    #: program that gives them.
    settings: object
    #: The soft limit of descriptors, if not the usual one.
    descriptors: int | None
    #: The calls of the prober: "check" or "livez".
    probe: str
    #: Maximum number of failed or rejected probes during the attack.
    may_fail: int
    #: Maximum time in seconds without a successful probe.
    silence: float
    #: Maximum seconds from the end of the attack to quick answers.
    recovery: float
    #: A function of the stage's folder with more arguments of subprocess.Popen, such as {"preexec_fn": ...}.
    popen: object


def attack(
    name,
    *,
    peak_mib,
    settings=None,
    descriptors=None,
    probe="check",
    may_fail=0,
    silence=3.0,
    recovery=5.0,
    popen=None,
):
    """Registers a function as an attack."""

    def register(act):
        ATTACKS[name] = Attack(
            name, act, peak_mib, settings or {}, descriptors, probe, may_fail, silence, recovery, popen
        )
        return act

    return register


def begin(attack, stage):
    """Prepares an attack. Returns the function that runs it and returns its failures."""
    if not inspect.isgeneratorfunction(attack.act):
        return lambda: attack.act(stage) or []
    steps = attack.act(stage)
    next(steps)

    def act():
        try:
            next(steps)
        except StopIteration as end:
            return end.value or []
        raise AssertionError(f"{attack.name} yields more than once")

    return act


def quantile(values, part):
    """The quantile of the values at this part, from 0 to 1."""
    return sorted(values)[min(len(values) - 1, int(len(values) * part))] if values else float("nan")


class Row:
    """The measurements of an attack and its failures."""

    HEAD = (
        f"{'attack':24} {'peak RSS':>9}   {'before p50 / p99':>18}   {'during p50 / p99':>18}"
        f"   {'failed':>9}   {'silence':>8}   {'recovery':>8}   verdict"
    )

    def __init__(self, attack, measured, failures):
        self.attack, self.measured = attack, measured
        self.failures = [f"{attack.name}: {failure}" for failure in failures + self.broken()]

    def broken(self):
        """The exceeded bounds."""
        seen, bounds, broken = self.measured, self.attack, []
        if seen.ended is not None:
            broken.append(f"the server ended, by {seen.ended}")
        if seen.peak_mib > bounds.peak_mib:
            broken.append(f"{seen.peak_mib:.0f} MiB of memory, more than {bounds.peak_mib}")
        if seen.failed > bounds.may_fail:
            broken.append(f"{seen.failed} of {seen.failed + len(seen.during)} probes failed: {seen.why}")
        if seen.silence > bounds.silence:
            broken.append(f"no successful probe for {seen.silence:.1f} s, longer than {bounds.silence}")
        if seen.recovery is None or seen.recovery > bounds.recovery:
            broken.append(f"not recovered within {bounds.recovery} s")
        return broken

    def line(self):
        seen = self.measured
        recovery = "never" if seen.recovery is None else f"{seen.recovery:.1f} s"
        failed = f"{seen.failed}/{seen.failed + len(seen.during)}"
        return (
            f"{self.attack.name:24} {seen.peak_mib:5.0f} MiB   {times(seen.before):>18}   {times(seen.during):>18}"
            f"   {failed:>9}   {seen.silence:6.2f} s   {recovery:>8}   {'BROKEN' if self.failures else 'ok'}"
        )


def times(values):
    """Median and 99th percentile of these seconds, in milliseconds."""
    return f"{quantile(values, 0.5) * 1000:.1f} / {quantile(values, 0.99) * 1000:.1f} ms"
