#!/usr/bin/env bash
# A merchant that nobody knows is a mistake in the request, not an answer about a cart. The
# details name the field.
. "$(dirname "$0")/env.sh"

grpcurl -plaintext -d @ "$ADDRESS" ext.maps.booking.partner.v3.BookingService/CheckOrderFulfillability <<JSON
{"merchant_id": "nobody"}
JSON
