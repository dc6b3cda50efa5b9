#!/usr/bin/env bash
# REST: a cart of two items, one of them sold out. That is a normal answer with status 200.
. "$(dirname "$0")/env.sh"

curl -sS -w '\n%{http_code}\n' -H 'content-type: application/json' -d @- "http://$ADDRESS/v3/CheckOrderFulfillability" <<JSON
{
  "merchant_id": "museum",
  "item": [
    {
      "service_id": "museum-entry",
      "start_sec": "$(at 10:00)",
      "duration_sec": "7200",
      "tickets": [{"ticket_id": "adult", "count": 2}],
      "price": {"price_micros": "50000000", "currency_code": "USD"}
    },
    {
      "service_id": "museum-entry",
      "start_sec": "$(at 08:00)",
      "duration_sec": "7200",
      "tickets": [{"ticket_id": "adult", "count": 1}],
      "price": {"price_micros": "25000000", "currency_code": "USD"}
    }
  ]
}
JSON
