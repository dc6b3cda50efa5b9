#!/usr/bin/env bash
# REST: an order, and the same request again. Both answers are the same order.
. "$(dirname "$0")/env.sh"

create() {
    curl -sS -H 'content-type: application/json' -d @- "http://$ADDRESS/v3/CreateOrder" <<JSON
{
  "idempotency_token": "rest-order-$RUN",
  "order": {
    "merchant_id": "museum",
    "user_information": {"user_id": "rest-$RUN", "given_name": "Ada", "family_name": "Lovelace"},
    "item": [
      {
        "service_id": "museum-entry",
        "start_sec": "$(at 14:00)",
        "duration_sec": "7200",
        "tickets": [{"ticket_id": "adult", "count": 2}],
        "price": {"price_micros": "50000000", "currency_code": "USD"}
      }
    ]
  }
}
JSON
}

create
create
