#!/usr/bin/env bash
# An item without tickets is an appointment: one spot at the price of the service.
. "$(dirname "$0")/env.sh"

grpcurl -plaintext -d @ "$ADDRESS" ext.maps.booking.partner.v3.BookingService/CheckOrderFulfillability <<JSON
{
  "merchant_id": "salon",
  "item": [
    {
      "service_id": "colouring",
      "start_sec": $(at 10:00),
      "duration_sec": 7200,
      "price": {"price_micros": 95500000, "currency_code": "USD"}
    }
  ]
}
JSON
