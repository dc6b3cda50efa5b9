#!/usr/bin/env bash
# Children without an adult: CHILD_TICKETS_WITHOUT_ADULT.
. "$(dirname "$0")/env.sh"

grpcurl -plaintext -d @ "$ADDRESS" ext.maps.booking.partner.v3.BookingService/CheckOrderFulfillability <<JSON
{
  "merchant_id": "museum",
  "item": [
    {
      "service_id": "museum-entry",
      "start_sec": $(at 10:00),
      "duration_sec": 7200,
      "tickets": [{"ticket_id": "child", "count": 2}],
      "price": {"price_micros": 20000000, "currency_code": "USD"}
    }
  ]
}
JSON
