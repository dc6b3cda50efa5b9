#!/usr/bin/env bash
# Held spots are not for sale to others: of twelve seats, five are held and seven left. Run by
# hand, the hold lasts ten minutes.
. "$(dirname "$0")/env.sh"

grpcurl -plaintext -d @ "$ADDRESS" ext.maps.booking.partner.v3.BookingService/CheckOrderFulfillability <<JSON
{
  "merchant_id": "rafting",
  "cart_id": "held-$RUN",
  "item": [
    {
      "service_id": "raft-trip",
      "start_sec": $(at 09:00),
      "duration_sec": 10800,
      "tickets": [{"ticket_id": "seat", "count": 5}],
      "price": {"price_micros": 300000000, "currency_code": "USD"}
    }
  ]
}
JSON

grpcurl -plaintext -d @ "$ADDRESS" ext.maps.booking.partner.v3.BookingService/CheckAvailability <<JSON
{
  "slot": {
    "merchant_id": "rafting",
    "service_id": "raft-trip",
    "start_sec": $(at 09:00),
    "duration_sec": 10800
  }
}
JSON
