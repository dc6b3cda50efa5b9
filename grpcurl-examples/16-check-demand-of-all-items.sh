#!/usr/bin/env bash
# Two items of 16 seats each in a room of 30. Each item fits alone, both together do not:
# SLOT_UNAVAILABLE for both.
. "$(dirname "$0")/env.sh"

grpcurl -plaintext -d @ "$ADDRESS" ext.maps.booking.partner.v3.BookingService/CheckOrderFulfillability <<JSON
{
  "merchant_id": "museum",
  "item": [
    {
      "service_id": "museum-lecture",
      "start_sec": $(at 10:30),
      "duration_sec": 3600,
      "tickets": [{"ticket_id": "adult", "count": 16}],
      "price": {"price_micros": 128000000, "currency_code": "USD"}
    },
    {
      "service_id": "museum-lecture",
      "start_sec": $(at 10:30),
      "duration_sec": 3600,
      "tickets": [{"ticket_id": "adult", "count": 16}],
      "price": {"price_micros": 128000000, "currency_code": "USD"}
    }
  ]
}
JSON
