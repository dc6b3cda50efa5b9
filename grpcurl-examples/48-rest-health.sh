#!/usr/bin/env bash
# Over REST: whether the server can take orders. The answer is an empty message and the status 200.
. "$(dirname "$0")/env.sh"

curl -sS -w '\n%{http_code}\n' "http://$ADDRESS/v3/HealthCheck"
