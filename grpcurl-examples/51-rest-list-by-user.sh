#!/usr/bin/env bash
# REST: the orders of a user. One is created beforehand.
. "$(dirname "$0")/env.sh"

curl -sS -H 'content-type: application/json' -d @- "http://$ADDRESS/v3/CreateOrder" <<JSON
{
  "idempotency_token": "rest-listed-$RUN",
  "order": {
    "merchant_id": "museum",
    "user_information": {"user_id": "rest-lister-$RUN", "given_name": "Ada", "family_name": "Lovelace"},
    "item": [
      {
        "service_id": "museum-entry",
        "start_sec": "$(at 14:00)",
        "duration_sec": "7200",
        "tickets": [{"ticket_id": "adult", "count": 1}],
        "price": {"price_micros": "25000000", "currency_code": "USD"}
      }
    ]
  }
}
JSON

curl -sS -H 'content-type: application/json' "http://$ADDRESS/v3/ListOrders" -d '{"user_id": "rest-lister-'"$RUN"'"}'
