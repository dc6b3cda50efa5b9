#!/usr/bin/env bash
# Health of the booking service.
. "$(dirname "$0")/env.sh"

grpcurl -plaintext -d '{"service": "ext.maps.booking.partner.v3.BookingService"}' "$ADDRESS" grpc.health.v1.Health/Check
