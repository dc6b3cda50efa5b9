#!/usr/bin/env bash
# Five adults with an eighth off cost 6562.5 yen. The yen has no smaller unit, and half a yen
# rounds to even: caller and server agree on 6562 yen.
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
