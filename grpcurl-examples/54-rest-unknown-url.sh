#!/usr/bin/env bash
# Over REST: a URL at which there is nothing.
. "$(dirname "$0")/env.sh"

curl -sS -w '\n%{http_code}\n' -H 'content-type: application/json' "http://$ADDRESS/v3/CancelOrder" -d '{}'
