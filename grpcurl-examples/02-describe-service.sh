#!/usr/bin/env bash
# The methods of the service, with the messages that they take and give. Any of these messages can
# be described the same way, by its name without the dot in front.
. "$(dirname "$0")/env.sh"

grpcurl -plaintext "$ADDRESS" describe ext.maps.booking.partner.v3.BookingService
