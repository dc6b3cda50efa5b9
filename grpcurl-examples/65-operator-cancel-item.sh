#!/usr/bin/env bash
# Operator: the afternoon of a visit is cancelled and all of its money goes back. The refund is a step until it is done.
. "$(dirname "$0")/env.sh"

order=$(visit "cancelled-$RUN")

operate OrderService/CancelOrder <<JSON
{
  "name": "orders/$order",
  "items": [1],
  "refund": {"full": {}},
  "reason": "called in sick",
  "request_id": "00000000-0000-4000-8000-000000000065"
}
JSON
