#!/usr/bin/env bash
# An order with the fees that a check of the same cart returns.
. "$(dirname "$0")/env.sh"

grpcurl -plaintext -d @ "$ADDRESS" ext.maps.booking.partner.v3.BookingService/CreateOrder <<JSON
{
  "idempotency_token": "fees-$RUN",
  "order": {
    "merchant_id": "concert-hall",
    "user_information": {"user_id": "user-$RUN", "given_name": "Ada", "family_name": "Lovelace"},
    "payment_information": {"fees_and_taxes": {"price_micros": 19240000, "currency_code": "USD"}},
    "item": [
      {
        "service_id": "symphony",
        "start_sec": $(at 19:30),
        "duration_sec": 9000,
        "tickets": [{"ticket_id": "stalls", "count": 2}, {"ticket_id": "balcony", "count": 1}],
        "price": {"price_micros": 205000000, "currency_code": "USD"}
      }
    ]
  }
}
JSON
