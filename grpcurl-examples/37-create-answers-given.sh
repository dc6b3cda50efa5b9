#!/usr/bin/env bash
# The same appointment with valid answers. A question with check boxes takes any number of them.
. "$(dirname "$0")/env.sh"

grpcurl -plaintext -d @ "$ADDRESS" ext.maps.booking.partner.v3.BookingService/CreateOrder <<JSON
{
  "idempotency_token": "answered-hair-$RUN",
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
            {"id": "hair_length", "response": ["long"]},
            {"id": "first_visit", "response": ["true"]},
            {"id": "extras", "response": ["wash", "beard"]}
          ]
        }
      }
    ]
  }
}
JSON
