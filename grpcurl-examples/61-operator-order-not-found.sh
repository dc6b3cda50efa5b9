#!/usr/bin/env bash
# Operator: an order that is not there.
. "$(dirname "$0")/env.sh"

grpcurl -plaintext -d '{"name": "orders/nobody"}' "$OPERATOR_ADDRESS" boxoffice.operator.v1.OrderService/GetOrder
