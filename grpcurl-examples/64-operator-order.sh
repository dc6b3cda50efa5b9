#!/usr/bin/env bash
# Operator: an order with its items and what was paid for it. It is created beforehand.
. "$(dirname "$0")/env.sh"

order=$(visit "shown-$RUN")

operate OrderService/GetOrder <<JSON
{"name": "orders/$order", "read_mask": "name,state,items,payment"}
JSON
