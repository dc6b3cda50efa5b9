#!/usr/bin/env bash
# The bank requires authentication: PAYMENT_REQUIRES_3DS1 with the values for the user's browser.
# A second request carries the bank's answer and the merchant data of the failure, and is
# approved.
. "$(dirname "$0")/env.sh"

failure=$(grpcurl -plaintext -d @ "$ADDRESS" ext.maps.booking.partner.v3.BookingService/CreateOrder <<JSON
{
  "idempotency_token": "challenged-$RUN",
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
  "payment_processing_parameters": {"unparsed_payment_method_token": "3ds1"}
}
JSON
)
echo "$failure"

merchant_data=$(sed -n 's/.*"mdMerchantData": *"\([^"]*\)".*/\1/p' <<<"$failure")
grpcurl -plaintext -d @ "$ADDRESS" ext.maps.booking.partner.v3.BookingService/CreateOrder <<JSON
{
  "idempotency_token": "answered-$RUN",
  "order": {
    "merchant_id": "museum",
    "user_information": {"user_id": "user-$RUN", "given_name": "Ada", "family_name": "Lovelace"},
    "payment_information": {
      "price": {"price_micros": 25000000, "currency_code": "USD"},
      "payment_processed_by": "PROCESSED_BY_PARTNER",
      "pa_response": "what the bank answered",
      "md_merchant_data": "$merchant_data"
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
  "payment_processing_parameters": {"unparsed_payment_method_token": "3ds1"}
}
JSON
