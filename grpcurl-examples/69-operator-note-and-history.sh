#!/usr/bin/env bash
# Operator: a note, and everything that has happened to the order.
. "$(dirname "$0")/env.sh"

order=$(visit "noted-$RUN")

operate OrderService/AddNote >/dev/null <<JSON
{
  "name": "orders/$order",
  "note": "asked for a quiet corner",
  "request_id": "00000000-0000-4000-8000-000000000069"
}
JSON

operate OrderService/ListHistory <<JSON
{"parent": "orders/$order"}
JSON
