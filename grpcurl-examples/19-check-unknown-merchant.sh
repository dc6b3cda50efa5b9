#!/usr/bin/env bash
# An unknown merchant is an invalid request, not a verdict on a cart. The details name the field.
. "$(dirname "$0")/env.sh"

grpcurl -plaintext -d @ "$ADDRESS" ext.maps.booking.partner.v3.BookingService/CheckOrderFulfillability <<JSON
{"merchant_id": "nobody"}
JSON
