#!/usr/bin/env bash
# Operator: everything on record about a person, and its erasure.
. "$(dirname "$0")/env.sh"

visit "forgotten-$RUN" >/dev/null

operate OrderService/ExportCustomer <<JSON
{"user_id": "forgotten-$RUN"}
JSON

operate OrderService/EraseCustomer <<JSON
{"user_id": "forgotten-$RUN", "request_id": "$(request_id 78)"}
JSON
