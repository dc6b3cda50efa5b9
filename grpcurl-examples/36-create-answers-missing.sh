#!/usr/bin/env bash
# The salon has intake questions. One answer is not among the choices and one is missing:
# ITEM_UNFULFILLABLE_OTHER_REASON, with a reason that names the questions.
. "$(dirname "$0")/env.sh"

grpcurl -plaintext -d @ "$ADDRESS" ext.maps.booking.partner.v3.BookingService/CreateOrder <<JSON
{
  "idempotency_token": "unanswered-$RUN",
  "order": {
    "merchant_id": "salon",
    "user_information": {"user_id": "user-$RUN", "given_name": "Ada", "family_name": "Lovelace"},
    "item": [
      {
        "service_id": "haircut",
        "start_sec": $(at 09:00),
        "duration_sec": 3600,
        "price": {"price_micros": 40000000, "currency_code": "USD"},
        "intake_form_answers": {
          "answer": [
            {"id": "hair_length", "response": ["shoulder"]}
          ]
        }
      }
    ]
  }
}
JSON
