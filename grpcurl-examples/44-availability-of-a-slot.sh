#!/usr/bin/env bash
# Open spots of an open slot, a sold-out slot and an unknown slot.
. "$(dirname "$0")/env.sh"

count() {
    grpcurl -plaintext -d @ "$ADDRESS" ext.maps.booking.partner.v3.BookingService/CheckAvailability <<JSON
{
  "slot": {
    "merchant_id": "museum",
    "service_id": "museum-entry",
    "start_sec": $(at "$1"),
    "duration_sec": 7200
  }
}
JSON
}

count 10:00
count 08:00
count 10:30
