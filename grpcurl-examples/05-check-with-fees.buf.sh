#!/usr/bin/env bash
# A cart that can be sold as it is: CAN_FULFILL, with every fee by name and the sum of all fees.
# The same call with buf curl.
. "$(dirname "$0")/env.sh"

buf curl --protocol grpc --http2-prior-knowledge -d @- "http://$ADDRESS/ext.maps.booking.partner.v3.BookingService/CheckOrderFulfillability" <<JSON
{
  "merchant_id": "concert-hall",
  "item": [
    {
      "service_id": "symphony",
      "start_sec": $(at 19:30),
      "duration_sec": 9000,
      "tickets": [{"ticket_id": "stalls", "count": 2}, {"ticket_id": "balcony", "count": 1}],
      "price": {"price_micros": 205000000, "currency_code": "USD"}
    }
  ]
}
JSON
