#!/usr/bin/env bash
# A price in another currency, and no price: INCORRECT_PRICE, because no correction would make it
# the same offer. The answer carries the current price.
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
      "price": {"price_micros": 25000000, "currency_code": "EUR"}
    },
    {
      "service_id": "museum-entry",
      "start_sec": $(at 10:00),
      "duration_sec": 7200,
      "tickets": [{"ticket_id": "adult", "count": 2}]
    }
  ]
}
JSON
