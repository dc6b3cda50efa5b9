#!/usr/bin/env bash
# Operator: an order of which no item waits for the merchant.
. "$(dirname "$0")/env.sh"

order=$(visit "confirmed-$RUN")

operate OrderService/ConfirmItems <<JSON
{
  "name": "orders/$order",
  "decision": "MERCHANT_DECISION_CONFIRM",
  "request_id": "00000000-0000-4000-8000-000000000077"
}
JSON
