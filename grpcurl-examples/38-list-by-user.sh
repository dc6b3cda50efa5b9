#!/usr/bin/env bash
# All orders of one user, newest first. Two are created beforehand.
. "$(dirname "$0")/env.sh"

create() {
    grpcurl -plaintext -d @ "$ADDRESS" ext.maps.booking.partner.v3.BookingService/CreateOrder <<JSON
{
  "idempotency_token": "$1",
  "order": {
    "merchant_id": "museum",
    "user_information": {"user_id": "lister-$RUN", "given_name": "Ada", "family_name": "Lovelace"},
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

create "older-$RUN" 1 25000000
create "newer-$RUN" 2 50000000

grpcurl -plaintext -d @ "$ADDRESS" ext.maps.booking.partner.v3.BookingService/ListOrders <<JSON
{"user_id": "lister-$RUN"}
JSON
