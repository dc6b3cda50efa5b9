"""Tries a booking server as Google's order tests do, with what its exported feeds offer.

    python3 tests/partner_flow --server https://booking.example.com --feeds exported-feeds

The orders that it creates stay. Exit code 0 means that every test passed, 1 that some did not.
"""

import argparse
import os
import pathlib
import sys

from caller import Caller
from flow import Flow
from offer import Offer
from report import Report

PASSWORD = "PARTNER_FLOW_PASSWORD"


def main():
    words = arguments()
    password = password_of(words)
    caller = Caller(words.server, words.ca, words.user, password)
    stranger = Caller(words.server, words.ca) if words.user else None
    report = Report(sys.stdout)
    Flow(caller, stranger, Offer(words.feeds), report, words.alone).run()
    passed = report.finish(caller.calls)
    if words.json:
        report.save(words.json)
    return 0 if passed else 1


def arguments():
    words = argparse.ArgumentParser(prog="partner_flow", description=__doc__.split("\n")[0])
    words.add_argument("--server", required=True, help="where it is, with the path in front of /v3/ if there is one")
    words.add_argument("--feeds", required=True, type=pathlib.Path, help="the folder with its exported feeds, all shards, plain or zipped")
    words.add_argument("--alone", action="store_true", help="nobody else buys there, and the feeds are fresh: every count has to be exact")
    words.add_argument("--ca", help="PEM file of the authority of its certificate, if that is none that everyone knows")
    words.add_argument("--user", help=f"user for HTTP Basic; the password comes from {PASSWORD} or --password-file")
    words.add_argument("--password-file", type=pathlib.Path, help="file with the password on its first line")
    words.add_argument("--json", type=pathlib.Path, help="file to write the report to")
    return words.parse_args()


def password_of(words):
    if not words.user:
        return None
    if words.password_file:
        return words.password_file.read_text().split("\n")[0]
    return os.environ.get(PASSWORD) or sys.exit(f"no password: set {PASSWORD} or give --password-file")


if __name__ == "__main__":
    sys.exit(main())
