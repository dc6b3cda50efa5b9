#!/usr/bin/env bash
# Services that must not share an order, though each item alone could be sold:
# UNFULFILLABLE_SERVICE_COMBINATION.
. "$(dirname "$0")/env.sh"

grpcurl -plaintext -d @ "$ADDRESS" ext.maps.booking.partner.v3.BookingService/CheckOrderFulfillability <<JSON
{
  "merchant_id": "museum",
  "item": [
    {
      "service_id": "museum-entry",
      "start_sec": $(at 10:00),
      "duration_sec": 7200,
      "tickets": [{"ticket_id": "adult", "count": 1}],
      "price": {"price_micros": 25000000, "currency_code": "USD"}
    },
    {
      "service_id": "museum-night",
      "start_sec": $(at 20:00),
      "duration_sec": 7200,
      "tickets": [{"ticket_id": "adult", "count": 1}],
      "price": {"price_micros": 30000000, "currency_code": "USD"}
    }
  ]
}
JSON
