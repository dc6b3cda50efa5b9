#!/usr/bin/env bash
# Five slots in one request, each answered in its place. Only the first is available: the second
# is sold out, the third and the fourth do not exist, and the last is the first again, for a party
# larger than its fifty spots. The same call with buf curl.
. "$(dirname "$0")/env.sh"

buf curl --protocol grpc --http2-prior-knowledge -d @- "http://$ADDRESS/ext.maps.booking.partner.v3.BookingService/BatchAvailabilityLookup" <<JSON
{
  "merchant_id": "museum",
  "slot_time": [
    {"service_id": "museum-entry", "start_sec": $(at 10:00), "duration_sec": 7200},
    {"service_id": "museum-entry", "start_sec": $(at 08:00), "duration_sec": 7200},
    {"service_id": "museum-entry", "start_sec": $(at 10:30), "duration_sec": 7200},
    {"service_id": "museum-cinema", "start_sec": $(at 10:00), "duration_sec": 7200},
    {
      "service_id": "museum-entry",
      "start_sec": $(at 10:00),
      "duration_sec": 7200,
      "resource_ids": {"party_size": 51}
    }
  ]
}
JSON
