#!/usr/bin/env bash
# A family of four pays 180.00 instead of 200.00. The first caller knows the deal. The second
# added up the ticket prices: its total is corrected, and ticket_type stays empty, because no
# ticket price has changed.
. "$(dirname "$0")/env.sh"

grpcurl -plaintext -d @ "$ADDRESS" ext.maps.booking.partner.v3.BookingService/CheckOrderFulfillability <<JSON
{
  "merchant_id": "rafting",
  "item": [
    {
      "service_id": "raft-trip",
      "start_sec": $(at 09:00),
      "duration_sec": 10800,
      "tickets": [{"ticket_id": "seat", "count": 2}, {"ticket_id": "youth", "count": 2}],
      "price": {"price_micros": 180000000, "currency_code": "USD"}
    },
    {
      "service_id": "raft-trip",
      "start_sec": $(at 09:00),
      "duration_sec": 10800,
      "tickets": [{"ticket_id": "seat", "count": 2}, {"ticket_id": "youth", "count": 2}],
      "price": {"price_micros": 200000000, "currency_code": "USD"}
    }
  ]
}
JSON
