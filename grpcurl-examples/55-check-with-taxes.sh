#!/usr/bin/env bash
# Two services with a tax each: one fee per rate, on the totals of the lines. The cruise has the
# merchant's rate, 8.875 %, and the supper its own, 10 %.
. "$(dirname "$0")/env.sh"

grpcurl -plaintext -d @ "$ADDRESS" ext.maps.booking.partner.v3.BookingService/CheckOrderFulfillability <<JSON
{
  "merchant_id": "harbour",
  "item": [
    {
      "service_id": "harbour-cruise",
      "start_sec": $(at 15:00),
      "duration_sec": 5400,
      "tickets": [{"ticket_id": "adult", "count": 2}],
      "price": {"price_micros": 64000000, "currency_code": "USD"}
    },
    {
      "service_id": "harbour-supper",
      "start_sec": $(at 18:00),
      "duration_sec": 7200,
      "tickets": [{"ticket_id": "menu", "count": 2}],
      "price": {"price_micros": 91000000, "currency_code": "USD"}
    }
  ]
}
JSON
