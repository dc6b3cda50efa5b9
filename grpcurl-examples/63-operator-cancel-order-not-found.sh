#!/usr/bin/env bash
# Operator: the cancellation of an order that is not there.
. "$(dirname "$0")/env.sh"

grpcurl -plaintext -d '{"name": "orders/nobody", "request_id": "5a3c5d1e-8d0c-4a6e-9d55-0d3f6c1a7b10"}' "$OPERATOR_ADDRESS" \
  boxoffice.operator.v1.OrderService/CancelOrder
