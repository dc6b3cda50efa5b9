#!/usr/bin/env bash
# REST: two slots, one of them available. Method names are case-insensitive, with an optional
# trailing slash.
. "$(dirname "$0")/env.sh"

curl -sS -H 'content-type: application/json' -d @- "http://$ADDRESS/v3/batchavailabilitylookup/" <<JSON
{
  "merchant_id": "museum",
  "slot_time": [
    {"service_id": "museum-entry", "start_sec": "$(at 10:00)", "duration_sec": "7200"},
    {"service_id": "museum-entry", "start_sec": "$(at 08:00)", "duration_sec": "7200"}
  ]
}
JSON
