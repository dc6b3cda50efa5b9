#!/usr/bin/env bash
# A request with many violations: all are reported together, each with its field.
. "$(dirname "$0")/env.sh"

grpcurl -plaintext -d @ "$ADDRESS" ext.maps.booking.partner.v3.BookingService/CreateOrder <<JSON
{
  "order": {
    "order_id": "my-order",
    "merchant_id": "nobody",
    "user_information": {"given_name": "Ada", "family_name": "Lovelace, Countess of Lovelace, born Byron"},
    "payment_information": {"payment_processed_by": "PROCESSED_BY_PARTNER"},
    "item": [{"service_id": "museum-entry", "status": "CONFIRMED"}]
  }
}
JSON
