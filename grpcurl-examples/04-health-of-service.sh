#!/usr/bin/env bash
# Whether the booking service can take orders.
. "$(dirname "$0")/env.sh"

grpcurl -plaintext -d '{"service": "ext.maps.booking.partner.v3.BookingService"}' "$ADDRESS" grpc.health.v1.Health/Check
