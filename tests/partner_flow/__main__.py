"""Tries a booking server as Google's order tests do, with what its exported feeds offer.

    python3 tests/partner_flow --server https://booking.example.com --feeds exported-feeds

The orders that it creates stay. Exit code 0 means that every test passed, 1 that some did not.
"""

import argparse
import os
import pathlib
import sys

from caller import Caller
from flow import play
from offer import Offer
from report import Report
from stage import Stage

PASSWORD = "PARTNER_FLOW_PASSWORD"


def main():
    words = arguments()
    password = password_of(words)
    caller = Caller(words.server, words.ca, words.user, password)
    stranger = Caller(words.server, words.ca) if words.user else None
    report = Report(sys.stdout)
    play(Stage(caller, Offer(words.feeds), report, words.alone), stranger)
    passed = report.finish(caller.calls)
    if words.json:
        report.save(words.json)
    return 0 if passed else 1


def arguments():
    words = argparse.ArgumentParser(prog="partner_flow", description=__doc__.split("\n", maxsplit=1)[0])
    for name, kind, words_of_help in [
        ("--server", str, "where it is, with the path in front of /v3/ if there is one"),
        ("--feeds", pathlib.Path, "the folder with its exported feeds, all shards, plain or zipped"),
        ("--ca", str, "PEM file of the authority of its certificate, if that is none that everyone knows"),
        ("--user", str, f"user for HTTP Basic; the password comes from {PASSWORD} or --password-file"),
        ("--password-file", pathlib.Path, "file with the password on its first line"),
        ("--json", pathlib.Path, "file to write the report to"),
    ]:
        words.add_argument(name, type=kind, required=name in ("--server", "--feeds"), help=words_of_help)
    exact = "nobody else buys there, and the feeds are fresh: every count has to be exact"
    words.add_argument("--alone", action="store_true", help=exact)
    return words.parse_args()


def password_of(words):
    if not words.user:
        return None
    if words.password_file:
        return words.password_file.read_text().split("\n")[0]
    return os.environ.get(PASSWORD) or sys.exit(f"no password: set {PASSWORD} or give --password-file")


if __name__ == "__main__":
    sys.exit(main())
