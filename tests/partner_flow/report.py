"""What was tried, what was expected and what came; and how it stands against Google's limits."""

import json
import math

# Google's limits: the share of failed calls in a day, and the seconds that a call may take.
LIMITS = {
    "CheckOrderFulfillability": (0.10, None),
    "CreateOrder": (0.05, 4.0),
    "BatchAvailabilityLookup": (0.03, 1.5),
}

SHOWN_CHARS = 400


class Report:
    """Gathers tests as they are made and prints each at once."""

    def __init__(self, out):
        self.out, self.tests = out, []

    def add(self, name, expected, faults, got):
        """Notes a test with everything that is wrong with what came."""
        self.tests.append({"name": name, "expected": expected, "passed": not faults, "faults": faults})
        print("FAIL" if faults else "ok  ", name, file=self.out, flush=True)
        if faults:
            print("     expected:", expected, file=self.out)
            for fault in faults:
                print("     fault:   ", fault, file=self.out)
            print("     got:     ", shortened(got), file=self.out)

    def finish(self, calls):
        """Adds the tests of rates and times, prints the summary, and tells whether all is well."""
        times = [timing(method, calls) for method in dict.fromkeys(call.method for call in calls)]
        for row in times:
            self.add_limits(row)
        print("\n  calls  failed     median        95 %        most   method", file=self.out)
        for row in times:
            seconds = "".join(f"{row[name] * 1000:9.1f} ms" for name in ("median", "p95", "most"))
            print(f"{row['calls']:7} {row['failed']:7}{seconds}   {row['method']}", file=self.out)
        failed = sum(not test["passed"] for test in self.tests)
        print(f"\n{len(self.tests)} tests, {failed} failed", file=self.out, flush=True)
        self.result = {"passed": failed == 0, "tests": self.tests, "times": times}
        return failed == 0

    def add_limits(self, row):
        share, seconds = LIMITS.get(row["method"], (None, None))
        if share is not None:
            faults = [f"{row['failed']} of {row['calls']}"] if row["failed"] > share * row["calls"] else []
            self.add(f"limits: {row['method']} fails rarely", f"less than {share:.0%} failed calls", faults, row)
        if seconds is not None:
            faults = [f"{row['most']:.3f} s"] if row["most"] >= seconds else []
            self.add(f"limits: {row['method']} answers in time", f"less than {seconds} s", faults, row)

    def save(self, path):
        with open(path, "w", encoding="utf-8") as file:
            json.dump(self.result, file, indent=2)


def timing(method, calls):
    of_method = [call for call in calls if call.method == method]
    seconds = sorted(call.seconds for call in of_method)
    at = lambda share: seconds[math.ceil(share * len(seconds)) - 1]
    return {
        "method": method, "calls": len(seconds), "failed": sum(call.failed for call in of_method),
        "median": at(0.5), "p95": at(0.95), "most": seconds[-1],
    }


def shortened(value):
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= SHOWN_CHARS else text[:SHOWN_CHARS] + " ..."
