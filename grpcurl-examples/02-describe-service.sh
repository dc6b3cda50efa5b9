#!/usr/bin/env bash
# Describes the methods of the service with their messages. Any of these messages can be described
# the same way, by its name without the leading dot.
. "$(dirname "$0")/env.sh"

grpcurl -plaintext "$ADDRESS" describe ext.maps.booking.partner.v3.BookingService
