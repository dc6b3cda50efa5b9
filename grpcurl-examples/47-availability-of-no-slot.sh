#!/usr/bin/env bash
# No slot: an error.
. "$(dirname "$0")/env.sh"

grpcurl -plaintext -d '{}' "$ADDRESS" ext.maps.booking.partner.v3.BookingService/CheckAvailability
