#!/usr/bin/env bash
# The services that the server offers. It describes itself, so no proto file is needed here or in
# any other script.
. "$(dirname "$0")/env.sh"

grpcurl -plaintext "$ADDRESS" list
