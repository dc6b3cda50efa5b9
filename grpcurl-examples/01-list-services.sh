#!/usr/bin/env bash
# Lists the services of the server. Reflection describes them, so no script needs a proto file.
. "$(dirname "$0")/env.sh"

grpcurl -plaintext "$ADDRESS" list
