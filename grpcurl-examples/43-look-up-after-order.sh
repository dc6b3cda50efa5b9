#!/usr/bin/env bash
# Forty spots, an order of two, then thirty-eight spots, too few for a party of forty. An answered
# order has taken its spots.
. "$(dirname "$0")/env.sh"

count() {
    grpcurl -plaintext -d @ "$ADDRESS" ext.maps.booking.partner.v3.BookingService/CheckAvailability <<JSON
{
  "slot": {
    "merchant_id": "museum",
    "service_id": "museum-night",
    "start_sec": $(at 20:00),
    "duration_sec": 7200
  }
}
JSON
}

count

grpcurl -plaintext -d @ "$ADDRESS" ext.maps.booking.partner.v3.BookingService/CreateOrder <<JSON
{
  "idempotency_token": "night-$RUN",
  "order": {
    "merchant_id": "museum",
    "user_information": {"user_id": "night-$RUN", "given_name": "Ada", "family_name": "Lovelace"},
    "item": [
      {
        "service_id": "museum-night",
        "start_sec": $(at 20:00),
        "duration_sec": 7200,
        "tickets": [{"ticket_id": "adult", "count": 2}],
        "price": {"price_micros": 60000000, "currency_code": "USD"}
      }
    ]
  }
}
JSON

count

grpcurl -plaintext -d @ "$ADDRESS" ext.maps.booking.partner.v3.BookingService/BatchAvailabilityLookup <<JSON
{
  "merchant_id": "museum",
  "slot_time": [
    {
      "service_id": "museum-night",
      "start_sec": $(at 20:00),
      "duration_sec": 7200,
      "resource_ids": {"party_size": 40}
    }
  ]
}
JSON
