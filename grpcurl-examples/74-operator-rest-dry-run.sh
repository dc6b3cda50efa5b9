#!/usr/bin/env bash
# Operator, over REST: what a cancellation by the policy would come to. The museum has none, so the operator has to say how much.
. "$(dirname "$0")/env.sh"

order=$(visit "tried-$RUN")

curl -sS -w '\n%{http_code}\n' -H 'content-type: application/json' -d @- \
  "http://$OPERATOR_ADDRESS/operator/v1/orders/$order:cancel" <<JSON
{"validate_only": true, "request_id": "00000000-0000-4000-8000-000000000074"}
JSON
