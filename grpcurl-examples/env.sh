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

# The tools; GRPCURL and BUF replace them.
grpcurl() { command "${GRPCURL:-grpcurl}" "$@"; }
buf() { command "${BUF:-buf}" "$@"; }
