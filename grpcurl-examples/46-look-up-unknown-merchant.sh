#!/usr/bin/env bash
# An unknown slot or service is unavailable; an unknown merchant is an invalid request:
# INVALID_ARGUMENT.
. "$(dirname "$0")/env.sh"

grpcurl -plaintext -d @ "$ADDRESS" ext.maps.booking.partner.v3.BookingService/BatchAvailabilityLookup <<JSON
{
  "merchant_id": "nobody",
  "slot_time": [{"service_id": "museum-entry", "start_sec": $(at 10:00), "duration_sec": 7200}]
}
JSON
