#!/usr/bin/env bash
# Operator: a place is taken off sale, listed, and put back. It is a day on which no other script books.
. "$(dirname "$0")/env.sh"

DAY=$((DAY + 21 * 86400))
slot='{"merchant_id": "salon", "service_id": "haircut", "start_time": "'$(date --utc --date="@$(at 10:00)" +%FT%TZ)'"}'

operate SlotService/SetBlock <<JSON
{"slot": $slot, "count": 1, "reason": "repair", "request_id": "$(request_id 75)"}
JSON

operate SlotService/ListBlocks <<JSON
{"merchant_id": "salon"}
JSON

operate SlotService/SetBlock <<JSON
{"slot": $slot, "count": 0, "request_id": "$(request_id 175)"}
JSON
