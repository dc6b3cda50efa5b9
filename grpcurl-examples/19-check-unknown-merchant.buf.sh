#!/usr/bin/env bash
# An unknown merchant is an invalid request, not a verdict on a cart. The details name the field.
# The same call with buf curl.
. "$(dirname "$0")/env.sh"

buf curl --protocol grpc --http2-prior-knowledge -d @- "http://$ADDRESS/ext.maps.booking.partner.v3.BookingService/CheckOrderFulfillability" <<JSON
{"merchant_id": "nobody"}
JSON
