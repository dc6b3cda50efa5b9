#!/usr/bin/env bash
# Whether the server as a whole can take orders.
. "$(dirname "$0")/env.sh"

grpcurl -plaintext "$ADDRESS" grpc.health.v1.Health/Check
