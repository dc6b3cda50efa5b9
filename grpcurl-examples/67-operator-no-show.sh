#!/usr/bin/env bash
# Operator: nobody came in the morning.
. "$(dirname "$0")/env.sh"

order=$(visit "absent-$RUN")

operate OrderService/MarkNoShow <<JSON
{"name": "orders/$order", "items": [0], "request_id": "00000000-0000-4000-8000-000000000067"}
JSON
