#!/usr/bin/env bash
# A sold-out slot: ORDER_UNFULFILLABLE, with the verdict on every item.
. "$(dirname "$0")/env.sh"

grpcurl -plaintext -d @ "$ADDRESS" ext.maps.booking.partner.v3.BookingService/CreateOrder <<JSON
{
  "idempotency_token": "sold-out-$RUN",
  "order": {
    "merchant_id": "museum",
    "user_information": {"user_id": "user-$RUN", "given_name": "Ada", "family_name": "Lovelace"},
    "item": [
      {
        "service_id": "museum-entry",
        "start_sec": $(at 08:00),
        "duration_sec": 7200,
        "tickets": [{"ticket_id": "adult", "count": 1}],
        "price": {"price_micros": 25000000, "currency_code": "USD"}
      }
    ]
  }
}
JSON
