#!/usr/bin/env bash
# Operator: a slot is withdrawn with all of its orders, and put on sale again. It is a day on which no other script books.
. "$(dirname "$0")/env.sh"

DAY=$((DAY + 22 * 86400))
visit "flooded-$RUN" >/dev/null
slot='{"merchant_id": "museum", "service_id": "museum-entry", "start_time": "'$(date --utc --date="@$(at 10:00)" +%FT%TZ)'"}'

operate OrderService/WithdrawItems <<JSON
{"slot": $slot, "reason": "flooded", "request_id": "$(request_id 76)"}
JSON

operate SlotService/SetBlock <<JSON
{"slot": $slot, "count": 0, "request_id": "$(request_id 176)"}
JSON
