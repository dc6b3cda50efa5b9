#!/usr/bin/env bash
# Operator: the afternoon is withdrawn, and the customer is content with the morning.
. "$(dirname "$0")/env.sh"

order=$(visit "withdrawn-$RUN")

operate OrderService/WithdrawItems <<JSON
{
  "order_items": {"name": "orders/$order", "items": [1]},
  "reason": "flooded",
  "request_id": "00000000-0000-4000-8000-000000000068"
}
JSON

operate OrderService/CustomerAction <<JSON
{
  "name": "orders/$order",
  "decision": "CUSTOMER_DECISION_AMEND",
  "request_id": "00000000-0000-4000-8000-000000000168"
}
JSON
