#!/usr/bin/env bash
# Operator: an order has no open steps, so none can be tried again.
. "$(dirname "$0")/env.sh"

order=$(visit "settled-$RUN")

operate OrderService/ListSteps <<JSON
{"parent": "orders/$order"}
JSON

operate OrderService/RetryStep <<JSON
{"name": "orders/$order/steps/1", "request_id": "00000000-0000-4000-8000-000000000070"}
JSON
