#!/usr/bin/env bash
# Google has charged the user: nothing is charged, and the order echoes the payment information of
# the request.
. "$(dirname "$0")/env.sh"

grpcurl -plaintext -d @ "$ADDRESS" ext.maps.booking.partner.v3.BookingService/CreateOrder <<JSON
{
  "idempotency_token": "google-$RUN",
  "order": {
    "merchant_id": "museum",
    "user_information": {"user_id": "user-$RUN", "given_name": "Ada", "family_name": "Lovelace"},
    "payment_information": {
      "prepayment_status": "PREPAYMENT_PROVIDED",
      "payment_transaction_id": "google-$RUN",
      "price": {"price_micros": 25000000, "currency_code": "USD"},
      "payment_processed_by": "PROCESSED_BY_GOOGLE"
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
  }
}
JSON
