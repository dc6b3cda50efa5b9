#!/usr/bin/env bash
# A forbidden combination of ticket types, a private raft and a seat in a shared one:
# UNFULFILLABLE_TICKET_COMBINATION.
. "$(dirname "$0")/env.sh"

grpcurl -plaintext -d @ "$ADDRESS" ext.maps.booking.partner.v3.BookingService/CheckOrderFulfillability <<JSON
{
  "merchant_id": "rafting",
  "item": [
    {
      "service_id": "raft-trip",
      "start_sec": $(at 16:00),
      "duration_sec": 10800,
      "tickets": [{"ticket_id": "private-raft", "count": 1}, {"ticket_id": "seat", "count": 1}],
      "price": {"price_micros": 560000000, "currency_code": "USD"}
    }
  ]
}
JSON
