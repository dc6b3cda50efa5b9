#!/usr/bin/env bash
# An empty cart: ORDER_UNFULFILLABLE_OTHER_REASON.
. "$(dirname "$0")/env.sh"

grpcurl -plaintext -d @ "$ADDRESS" ext.maps.booking.partner.v3.BookingService/CheckOrderFulfillability <<JSON
{"merchant_id": "museum"}
JSON
