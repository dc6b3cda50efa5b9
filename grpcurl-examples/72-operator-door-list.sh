#!/usr/bin/env bash
# Operator: who comes in the late afternoon. The order is created beforehand.
. "$(dirname "$0")/env.sh"

grpcurl -plaintext -d @ "$ADDRESS" ext.maps.booking.partner.v3.BookingService/CreateOrder >/dev/null <<JSON
{
  "idempotency_token": "late-$RUN",
  "order": {
    "merchant_id": "museum",
    "user_information": {"user_id": "late-$RUN", "given_name": "Grace", "family_name": "Hopper"},
    "item": [
      {
        "service_id": "museum-entry",
        "start_sec": $(at 17:00),
        "duration_sec": 7200,
        "tickets": [{"ticket_id": "adult", "count": 2}],
        "price": {"price_micros": 50000000, "currency_code": "USD"}
      }
    ]
  }
}
JSON

operate SlotService/ListDoor <<JSON
{
  "slot": {
    "merchant_id": "museum",
    "service_id": "museum-entry",
    "start_time": "$(date --utc --date="@$(at 17:00)" +%FT%TZ)"
  }
}
JSON
