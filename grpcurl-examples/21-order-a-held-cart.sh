#!/usr/bin/env bash
# The order consumes the hold of its cart: its idempotency_token is the cart_id of the check. Of
# twelve seats two are then sold, not four.
. "$(dirname "$0")/env.sh"

cart="cart-$RUN"

check() {
    grpcurl -plaintext -d @ "$ADDRESS" ext.maps.booking.partner.v3.BookingService/CheckOrderFulfillability <<JSON
{
  "merchant_id": "rafting",
  "cart_id": "$1",
  "item": [
    {
      "service_id": "raft-trip",
      "start_sec": $(at 16:00),
      "duration_sec": 10800,
      "tickets": [{"ticket_id": "seat", "count": 2}],
      "price": {"price_micros": 120000000, "currency_code": "USD"}
    }
  ]
}
JSON
}

check "$cart"

grpcurl -plaintext -d @ "$ADDRESS" ext.maps.booking.partner.v3.BookingService/CreateOrder <<JSON
{
  "idempotency_token": "$cart",
  "order": {
    "merchant_id": "rafting",
    "user_information": {"user_id": "user-$RUN", "given_name": "Ada", "family_name": "Lovelace"},
    "item": [
      {
        "service_id": "raft-trip",
        "start_sec": $(at 16:00),
        "duration_sec": 10800,
        "tickets": [{"ticket_id": "seat", "count": 2}],
        "price": {"price_micros": 120000000, "currency_code": "USD"}
      }
    ]
  }
}
JSON

check ""
