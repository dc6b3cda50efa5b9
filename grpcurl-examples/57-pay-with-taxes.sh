#!/usr/bin/env bash
# The same cruise, charged by the partner: 64.00 and the tax, which the order may state.
. "$(dirname "$0")/env.sh"

grpcurl -plaintext -d @ "$ADDRESS" ext.maps.booking.partner.v3.BookingService/CreateOrder <<JSON
{
  "idempotency_token": "taxed-$RUN",
  "order": {
    "merchant_id": "harbour",
    "user_information": {"user_id": "user-$RUN", "given_name": "Ada", "family_name": "Lovelace"},
    "payment_information": {
      "fees_and_taxes": {"price_micros": 5680000, "currency_code": "USD"},
      "tax_amount": {"price_micros": 5680000, "currency_code": "USD"},
      "payment_processed_by": "PROCESSED_BY_PARTNER"
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
  },
  "payment_processing_parameters": {"unparsed_payment_method_token": "approve"}
}
JSON
