#!/usr/bin/env bash
# REST: health. The answer is an empty message with status 200.
. "$(dirname "$0")/env.sh"

curl -sS -w '\n%{http_code}\n' "http://$ADDRESS/v3/HealthCheck"
