#!/usr/bin/env bash
# The cruise requires prepayment. The order neither asks for a charge nor states a payment:
# PAYMENT_ERROR, and nothing is booked.
. "$(dirname "$0")/env.sh"

grpcurl -plaintext -d @ "$ADDRESS" ext.maps.booking.partner.v3.BookingService/CreateOrder <<JSON
{
  "idempotency_token": "unpaid-$RUN",
  "order": {
    "merchant_id": "harbour",
    "user_information": {"user_id": "user-$RUN", "given_name": "Ada", "family_name": "Lovelace"},
    "payment_information": {
      "fees_and_taxes": {"price_micros": 5680000, "currency_code": "USD"}
    },
    "item": [
      {
        "service_id": "harbour-cruise",
        "start_sec": $(at 15:00),
        "duration_sec": 5400,
        "tickets": [{"ticket_id": "adult", "count": 2}],
        "price": {"price_micros": 64000000, "currency_code": "USD"}
      }
    ]
  }
}
JSON
