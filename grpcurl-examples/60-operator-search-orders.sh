#!/usr/bin/env bash
# Operator: the orders of a user, with some of their fields. One is created beforehand.
. "$(dirname "$0")/env.sh"

grpcurl -plaintext -d @ "$ADDRESS" ext.maps.booking.partner.v3.BookingService/CreateOrder >/dev/null <<JSON
{
  "idempotency_token": "searched-$RUN",
  "order": {
    "merchant_id": "museum",
    "user_information": {"user_id": "searched-$RUN", "given_name": "Ada", "family_name": "Lovelace"},
    "item": [
      {
        "service_id": "museum-entry",
        "start_sec": $(at 14:00),
        "duration_sec": 7200,
        "tickets": [{"ticket_id": "adult", "count": 1}],
        "price": {"price_micros": 25000000, "currency_code": "USD"}
      }
    ]
  }
}
JSON

grpcurl -plaintext -d @ "$OPERATOR_ADDRESS" boxoffice.operator.v1.OrderService/SearchOrders <<JSON
{"user_id": "searched-$RUN", "read_mask": "name,state,customer"}
JSON
