#!/usr/bin/env bash
# Operator: the slots of a day with what is sold, held and left. It is a day on which no other script books.
. "$(dirname "$0")/env.sh"

operate SlotService/ListSlots <<JSON
{"merchant_id": "salon", "service_id": "haircut", "date": "$(date --utc --date="@$((DAY + 20 * 86400))" +%F)"}
JSON
