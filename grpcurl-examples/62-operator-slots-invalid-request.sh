#!/usr/bin/env bash
# Operator: slots of a day that no calendar has. The details name field and rule.
. "$(dirname "$0")/env.sh"

grpcurl -plaintext -d @ "$OPERATOR_ADDRESS" boxoffice.operator.v1.SlotService/ListSlots <<JSON
{"merchant_id": "museum", "date": "2026-02-30"}
JSON
