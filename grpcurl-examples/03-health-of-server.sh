#!/usr/bin/env bash
# Health of the server as a whole.
. "$(dirname "$0")/env.sh"

grpcurl -plaintext "$ADDRESS" grpc.health.v1.Health/Check
