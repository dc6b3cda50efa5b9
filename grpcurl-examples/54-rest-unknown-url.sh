#!/usr/bin/env bash
# REST: an unknown URL.
. "$(dirname "$0")/env.sh"

curl -sS -w '\n%{http_code}\n' -H 'content-type: application/json' "http://$ADDRESS/v3/CancelOrder" -d '{}'
