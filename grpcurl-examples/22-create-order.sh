#!/usr/bin/env bash
# An order paid on site. It gets an id, and its item is CONFIRMED.
. "$(dirname "$0")/env.sh"

grpcurl -plaintext -d @ "$ADDRESS" ext.maps.booking.partner.v3.BookingService/CreateOrder <<JSON
{
  "idempotency_token": "order-$RUN",
  "order": {
    "merchant_id": "museum",
    "user_information": {"user_id": "user-$RUN", "given_name": "Ada", "family_name": "Lovelace"},
    "item": [
      {
        "service_id": "museum-entry",
        "start_sec": $(at 14:00),
        "duration_sec": 7200,
        "tickets": [{"ticket_id": "adult", "count": 2}, {"ticket_id": "child", "count": 1}],
        "price": {"price_micros": 60000000, "currency_code": "USD"}
      }
    ]
  }
}
JSON
