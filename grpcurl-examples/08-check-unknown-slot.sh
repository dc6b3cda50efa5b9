#!/usr/bin/env bash
# An unknown slot and an unknown service, as a caller with an old feed may request:
# SLOT_UNAVAILABLE without a number of open spots.
. "$(dirname "$0")/env.sh"

grpcurl -plaintext -d @ "$ADDRESS" ext.maps.booking.partner.v3.BookingService/CheckOrderFulfillability <<JSON
{
  "merchant_id": "museum",
  "item": [
    {
      "service_id": "museum-entry",
      "start_sec": $(at 10:30),
      "duration_sec": 7200,
      "tickets": [{"ticket_id": "adult", "count": 1}],
      "price": {"price_micros": 25000000, "currency_code": "USD"}
    },
    {
      "service_id": "museum-cinema",
      "start_sec": $(at 10:00),
      "duration_sec": 7200,
      "tickets": [{"ticket_id": "adult", "count": 1}],
      "price": {"price_micros": 25000000, "currency_code": "USD"}
    }
  ]
}
JSON
