#!/usr/bin/env bash
# Five adults with an eighth off cost 6562.5 yen. The yen has no smaller unit, so half a yen goes
# to the even neighbour: 6562 yen is the price of both the caller and the server.
. "$(dirname "$0")/env.sh"

grpcurl -plaintext -d @ "$ADDRESS" ext.maps.booking.partner.v3.BookingService/CheckOrderFulfillability <<JSON
{
  "merchant_id": "onsen",
  "item": [
    {
      "service_id": "bath",
      "start_sec": $(at 09:00),
      "duration_sec": 5400,
      "tickets": [{"ticket_id": "adult", "count": 5}],
      "price": {"price_micros": 6562500000, "currency_code": "JPY"}
    }
  ]
}
JSON
