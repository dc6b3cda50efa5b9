#!/usr/bin/env bash
# Too few and too many tickets: TICKET_CONSTRAINT_VIOLATED with every violated limit. A limit
# without a ticket_id applies to the whole line. The first item violates a limit of the line, the
# second one of a ticket type, the third both.
. "$(dirname "$0")/env.sh"

grpcurl -plaintext -d @ "$ADDRESS" ext.maps.booking.partner.v3.BookingService/CheckOrderFulfillability <<JSON
{
  "merchant_id": "museum",
  "item": [
    {
      "service_id": "museum-entry",
      "start_sec": $(at 17:00),
      "duration_sec": 7200,
      "tickets": [{"ticket_id": "senior", "count": 1}],
      "price": {"price_micros": 18000000, "currency_code": "USD"}
    },
    {
      "service_id": "museum-entry",
      "start_sec": $(at 17:00),
      "duration_sec": 7200,
      "tickets": [{"ticket_id": "adult", "count": 5}],
      "price": {"price_micros": 125000000, "currency_code": "USD"}
    },
    {
      "service_id": "museum-entry",
      "start_sec": $(at 17:00),
      "duration_sec": 7200,
      "tickets": [{"ticket_id": "adult", "count": 6}, {"ticket_id": "senior", "count": 5}],
      "price": {"price_micros": 240000000, "currency_code": "USD"}
    }
  ]
}
JSON
