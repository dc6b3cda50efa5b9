#!/usr/bin/env bash
# A merchant that nobody knows is a mistake in the request, not an answer about a cart. The
# details name the field. The same call, made with buf curl.
. "$(dirname "$0")/env.sh"

buf curl --protocol grpc --http2-prior-knowledge -d @- "http://$ADDRESS/ext.maps.booking.partner.v3.BookingService/CheckOrderFulfillability" <<JSON
{"merchant_id": "nobody"}
JSON
