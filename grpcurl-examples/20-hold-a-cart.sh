#!/usr/bin/env bash
# This merchant holds the spots of carts with a cart_id. Six of twelve seats are held, and another
# cart finds six left. A new check of the first cart replaces its hold and releases two seats,
# which the other cart finds. Run by hand, the hold lasts ten minutes.
. "$(dirname "$0")/env.sh"

check() {
    grpcurl -plaintext -d @ "$ADDRESS" ext.maps.booking.partner.v3.BookingService/CheckOrderFulfillability <<JSON
{
  "merchant_id": "rafting",
  "cart_id": "$1",
  "item": [
    {
      "service_id": "raft-trip",
      "start_sec": $(at 13:00),
      "duration_sec": 10800,
      "tickets": [{"ticket_id": "seat", "count": $2}],
      "price": {"price_micros": $3, "currency_code": "USD"}
    }
  ]
}
JSON
}

check "first-$RUN" 6 306000000
check "other-$RUN" 8 408000000
check "first-$RUN" 4 240000000
check "other-$RUN" 8 408000000
