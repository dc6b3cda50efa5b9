#!/usr/bin/env bash
# A sold-out slot: SLOT_UNAVAILABLE. An empty availability means that 0 spots are open.
. "$(dirname "$0")/env.sh"

grpcurl -plaintext -d @ "$ADDRESS" ext.maps.booking.partner.v3.BookingService/CheckOrderFulfillability <<JSON
{
  "merchant_id": "museum",
  "item": [
    {
      "service_id": "museum-entry",
      "start_sec": $(at 08:00),
      "duration_sec": 7200,
      "tickets": [{"ticket_id": "adult", "count": 1}],
      "price": {"price_micros": 25000000, "currency_code": "USD"}
    }
  ]
}
JSON
