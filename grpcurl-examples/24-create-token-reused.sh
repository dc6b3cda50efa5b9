#!/usr/bin/env bash
# Another request under a used token: an error, and nothing is created.
. "$(dirname "$0")/env.sh"

create() {
    grpcurl -plaintext -d @ "$ADDRESS" ext.maps.booking.partner.v3.BookingService/CreateOrder <<JSON
{
  "idempotency_token": "reused-$RUN",
  "order": {
    "merchant_id": "museum",
    "user_information": {"user_id": "user-$RUN", "given_name": "Ada", "family_name": "Lovelace"},
    "item": [
      {
        "service_id": "museum-entry",
        "start_sec": $(at 14:00),
        "duration_sec": 7200,
        "tickets": [{"ticket_id": "adult", "count": $1}],
        "price": {"price_micros": $2, "currency_code": "USD"}
      }
    ]
  }
}
JSON
}

create 1 25000000
create 2 50000000
