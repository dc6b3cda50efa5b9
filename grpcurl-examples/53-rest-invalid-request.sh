#!/usr/bin/env bash
# REST: a request with several violations. The status is 400, and every invalid field is named.
. "$(dirname "$0")/env.sh"

curl -sS -w '\n%{http_code}\n' -H 'content-type: application/json' -d @- "http://$ADDRESS/v3/CreateOrder" <<JSON
{
  "order": {
    "merchant_id": "nobody",
    "user_information": {"user_id": "rest-$RUN", "given_name": "Ada", "family_name": "Lovelace"},
    "item": [{"service_id": "museum-entry", "start_sec": "$(at 10:00)", "duration_sec": "7200", "status": "CONFIRMED"}]
  }
}
JSON
