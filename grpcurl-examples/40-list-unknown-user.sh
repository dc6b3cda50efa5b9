#!/usr/bin/env bash
# A user without orders: an empty list, printed as an empty object.
. "$(dirname "$0")/env.sh"

grpcurl -plaintext -d @ "$ADDRESS" ext.maps.booking.partner.v3.BookingService/ListOrders <<JSON
{"user_id": "nobody-$RUN"}
JSON
