#!/usr/bin/env bash
# A slot or a service that nobody knows is not available; a merchant that nobody knows is a mistake
# in the request: INVALID_ARGUMENT.
. "$(dirname "$0")/env.sh"

grpcurl -plaintext -d @ "$ADDRESS" ext.maps.booking.partner.v3.BookingService/BatchAvailabilityLookup <<JSON
{
  "merchant_id": "nobody",
  "slot_time": [{"service_id": "museum-entry", "start_sec": $(at 10:00), "duration_sec": 7200}]
}
JSON
