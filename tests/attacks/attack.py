"""What an attack is, all there are, and what is told of one.

An attack is a function of a stage (see stage.py), registered under its name:

    @attack("silent-connections", peak_mib=200, descriptors=1024)
    def silent(stage):
        for _ in range(1100):
            stage.connect()
        stage.hold(2)

It returns when the attack is over; what it opened by way of the stage is closed then. It may return a
list of complaints of its own, such as an answer that should have been another. A generator does what
comes before its first `yield` as a preparation, which is not measured.
"""

import dataclasses
import inspect

ATTACKS = {}


@dataclasses.dataclass
class Attack:
    """An attack with its bounds and the circumstances that its server is started in."""

    name: str
    act: object
    #: The most memory that the server may take, in MiB.
    peak_mib: int
    #: Settings as flags without dashes, {"call_timeout": "1s"}, or a function of the stage's folder and the
    #: program that gives them.
    settings: object
    #: The soft limit of descriptors, if not the usual one.
    descriptors: int | None
    #: What the prober asks for: "check" or "livez".
    probe: str
    #: Checks of the prober that may fail or be refused while the attack goes on.
    may_fail: int
    #: The longest time in seconds without any good answer to the prober.
    silence: float
    #: Seconds within which all is well again after the attack.
    recovery: float
    #: More for subprocess.Popen, such as {"preexec_fn": ...}, by a function of the stage's folder.
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
    """Prepares an attack and gives what then makes it, which gives its complaints."""
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


def share(values, part):
    """The value below which this part of all values lies."""
    return sorted(values)[min(len(values) - 1, int(len(values) * part))] if values else float("nan")


class Row:
    """What came of an attack."""

    HEAD = (
        f"{'attack':24} {'peak RSS':>9}   {'before p50 / p99':>18}   {'during p50 / p99':>18}"
        f"   {'failed':>9}   {'silence':>8}   {'recovery':>8}   verdict"
    )

    def __init__(self, attack, measured, complaints):
        self.attack, self.measured = attack, measured
        self.complaints = [f"{attack.name}: {complaint}" for complaint in complaints + self.broken()]

    def broken(self):
        """The bounds that do not hold."""
        seen, bounds, broken = self.measured, self.attack, []
        if seen.ended is not None:
            broken.append(f"the server ended, by {seen.ended}")
        if seen.peak_mib > bounds.peak_mib:
            broken.append(f"{seen.peak_mib:.0f} MiB of memory, more than {bounds.peak_mib}")
        if seen.failed > bounds.may_fail:
            broken.append(f"{seen.failed} of {seen.failed + len(seen.during)} probes failed: {seen.why}")
        if seen.silence > bounds.silence:
            broken.append(f"no good answer for {seen.silence:.1f} s, longer than {bounds.silence}")
        if seen.recovery is None or seen.recovery > bounds.recovery:
            broken.append(f"not well again within {bounds.recovery} s")
        return broken

    def line(self):
        seen = self.measured
        recovery = "never" if seen.recovery is None else f"{seen.recovery:.1f} s"
        failed = f"{seen.failed}/{seen.failed + len(seen.during)}"
        return (
            f"{self.attack.name:24} {seen.peak_mib:5.0f} MiB   {times(seen.before):>18}   {times(seen.during):>18}"
            f"   {failed:>9}   {seen.silence:6.2f} s   {recovery:>8}   {'BROKEN' if self.complaints else 'ok'}"
        )


def times(values):
    """Half and 99 % of these seconds, in milliseconds."""
    return f"{share(values, 0.5) * 1000:.1f} / {share(values, 0.99) * 1000:.1f} ms"
