#!/usr/bin/env bash
# Operator: 12.50 dollars go back, and the booking stands.
. "$(dirname "$0")/env.sh"

order=$(visit "refunded-$RUN")

operate OrderService/RefundItems <<JSON
{
  "name": "orders/$order",
  "refund": {"amount": {"micros": 12500000, "currency_code": "USD"}},
  "reason": "cold coffee",
  "request_id": "00000000-0000-4000-8000-000000000066"
}
JSON
