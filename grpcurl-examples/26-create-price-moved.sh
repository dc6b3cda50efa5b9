#!/usr/bin/env bash
# An outdated price stops the order: nothing is sold at a price that the request does not carry. A
# check of the same item is fulfilled with a warning.
. "$(dirname "$0")/env.sh"

grpcurl -plaintext -d @ "$ADDRESS" ext.maps.booking.partner.v3.BookingService/CreateOrder <<JSON
{
  "idempotency_token": "moved-$RUN",
  "order": {
    "merchant_id": "museum",
    "user_information": {"user_id": "user-$RUN", "given_name": "Ada", "family_name": "Lovelace"},
    "item": [
      {
        "service_id": "museum-entry",
        "start_sec": $(at 10:00),
        "duration_sec": 7200,
        "tickets": [{"ticket_id": "adult", "count": 2}],
        "price": {"price_micros": 44000000, "currency_code": "USD"}
      }
    ]
  }
}
JSON
