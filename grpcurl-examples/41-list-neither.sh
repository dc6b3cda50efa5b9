#!/usr/bin/env bash
# Neither a user nor ids: an error.
. "$(dirname "$0")/env.sh"

grpcurl -plaintext -d '{}' "$ADDRESS" ext.maps.booking.partner.v3.BookingService/ListOrders
