#!/usr/bin/env bash
# Operator: the visitors have come in the morning. The lifecycle has no way back to what the item was before.
. "$(dirname "$0")/env.sh"

order=$(visit "fulfilled-$RUN")

operate OrderService/ChangeState <<JSON
{
  "name": "orders/$order/items/0",
  "from_state": "confirmed",
  "to_state": "fulfilled",
  "request_id": "00000000-0000-4000-8000-000000000073"
}
JSON

operate OrderService/ChangeState <<JSON
{
  "name": "orders/$order/items/0",
  "to_state": "held",
  "request_id": "00000000-0000-4000-8000-000000000173"
}
JSON
