#!/usr/bin/env bash
# Outdated prices: CAN_FULFILL at the corrected total, with a warning about the direction of the
# change.
. "$(dirname "$0")/env.sh"

grpcurl -plaintext -d @ "$ADDRESS" ext.maps.booking.partner.v3.BookingService/CheckOrderFulfillability <<JSON
{
  "merchant_id": "museum",
  "item": [
    {
      "service_id": "museum-entry",
      "start_sec": $(at 10:00),
      "duration_sec": 7200,
      "tickets": [{"ticket_id": "adult", "count": 2}],
      "price": {"price_micros": 44000000, "currency_code": "USD"}
    },
    {
      "service_id": "museum-entry",
      "start_sec": $(at 10:00),
      "duration_sec": 7200,
      "tickets": [{"ticket_id": "senior", "count": 1}],
      "price": {"price_micros": 20000000, "currency_code": "USD"}
    }
  ]
}
JSON
