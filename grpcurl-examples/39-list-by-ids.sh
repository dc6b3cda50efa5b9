#!/usr/bin/env bash
# Orders by id, in the requested sequence. An unknown id is left out, a repeated one comes once.
# Two orders are created beforehand.
. "$(dirname "$0")/env.sh"

create() {
    grpcurl -plaintext -d @ "$ADDRESS" ext.maps.booking.partner.v3.BookingService/CreateOrder <<JSON
{
  "idempotency_token": "$1",
  "order": {
    "merchant_id": "museum",
    "user_information": {"user_id": "user-$RUN", "given_name": "Ada", "family_name": "Lovelace"},
    "item": [
      {
        "service_id": "museum-entry",
        "start_sec": $(at 14:00),
        "duration_sec": 7200,
        "tickets": [{"ticket_id": "adult", "count": $2}],
        "price": {"price_micros": $3, "currency_code": "USD"}
      }
    ]
  }
}
JSON
}

order_id() {
    sed -n 's/.*"orderId": *"\([^"]*\)".*/\1/p'
}

first=$(create "one-$RUN" 1 25000000 | order_id)
second=$(create "two-$RUN" 2 50000000 | order_id)

grpcurl -plaintext -d @ "$ADDRESS" ext.maps.booking.partner.v3.BookingService/ListOrders <<JSON
{"order_ids": {"order_id": ["$first", "no-such-order", "$second", "$first"]}}
JSON
