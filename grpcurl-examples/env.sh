# Shared by all scripts. Before a call of a script is copied into a terminal, source this file there:
# `. ./env.sh`.

# Address of the server.
: "${ADDRESS:=127.0.0.1:50051}"

# Operator's address of the server (`operator_listen`).
: "${OPERATOR_ADDRESS:=127.0.0.1:50053}"

# Name of the run, part of its tokens and users.
: "${RUN:=$(date +%s)}"

# The booked day, as its first second: tomorrow.
: "${DAY:=$((($(date +%s) / 86400 + 1) * 86400))}"

# A time of that day, in UTC: at 19:30
at() { echo $((DAY + 10#${1%:*} * 3600 + 10#${1#*:} * 60)); }

# A request id of this run, by number.
request_id() { printf '00000000-0000-4000-8%03d-%12s' "$1" "$(printf %s "$RUN" | tail -c 12)" | tr ' ' 0; }

# The tools; GRPCURL and BUF replace them.
grpcurl() { command "${GRPCURL:-grpcurl}" "$@"; }
buf() { command "${BUF:-buf}" "$@"; }

# Creates a paid order of the museum under a token: two adults at ten and one at two. Prints its id. The second argument
# is the payment token.
visit() {
  grpcurl -plaintext -d @ "$ADDRESS" ext.maps.booking.partner.v3.BookingService/CreateOrder <<JSON |
{
  "idempotency_token": "$1",
  "payment_processing_parameters": {"unparsed_payment_method_token": "${2:-approve}"},
  "order": {
    "merchant_id": "museum",
    "user_information": {"user_id": "$1", "given_name": "Ada", "family_name": "Lovelace"},
    "payment_information": {
      "payment_processed_by": "PROCESSED_BY_PARTNER",
      "price": {"price_micros": 75000000, "currency_code": "USD"}
    },
    "item": [
      {
        "service_id": "museum-entry",
        "start_sec": $(at 10:00),
        "duration_sec": 7200,
        "tickets": [{"ticket_id": "adult", "count": 2}],
        "price": {"price_micros": 50000000, "currency_code": "USD"}
      },
      {
        "service_id": "museum-entry",
        "start_sec": $(at 14:00),
        "duration_sec": 7200,
        "tickets": [{"ticket_id": "adult", "count": 1}],
        "price": {"price_micros": 25000000, "currency_code": "USD"}
      }
    ]
  }
}
JSON
    sed -n 's/.*"orderId": "\(.*\)".*/\1/p'
}

# Calls a method of the operator's services with the request on standard input.
operate() { grpcurl -plaintext -d @ "$OPERATOR_ADDRESS" "boxoffice.operator.v1.$1"; }
