#!/usr/bin/env bash
# The partner charges the card while it creates the order. The simulated gateway reads the outcome
# from the payment token; this one is approved.
. "$(dirname "$0")/env.sh"

grpcurl -plaintext -d @ "$ADDRESS" ext.maps.booking.partner.v3.BookingService/CreateOrder <<JSON
{
  "idempotency_token": "paid-$RUN",
  "order": {
    "merchant_id": "museum",
    "user_information": {"user_id": "user-$RUN", "given_name": "Ada", "family_name": "Lovelace"},
    "payment_information": {
      "price": {"price_micros": 25000000, "currency_code": "USD"},
      "payment_processed_by": "PROCESSED_BY_PARTNER"
    },
    "item": [
      {
        "service_id": "museum-entry",
        "start_sec": $(at 14:00),
        "duration_sec": 7200,
        "tickets": [{"ticket_id": "adult", "count": 1}],
        "price": {"price_micros": 25000000, "currency_code": "USD"}
      }
    ]
  },
  "payment_processing_parameters": {"unparsed_payment_method_token": "approve"}
}
JSON
