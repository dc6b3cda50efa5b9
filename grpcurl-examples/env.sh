# What the scripts have in common. Each of them reads it; to copy a call from one of them into a
# terminal, read it there first: `. ./env.sh`.

# Where the server listens.
: "${ADDRESS:=127.0.0.1:50051}"

# Makes the tokens and users of one run differ from those of any other.
: "${RUN:=$(date +%s)}"

# The day that is booked, as the second it begins: tomorrow.
: "${DAY:=$((($(date +%s) / 86400 + 1) * 86400))}"

# A time of that day, in UTC: at 19:30
at() { echo $((DAY + 10#${1%:*} * 3600 + 10#${1#*:} * 60)); }

# The tools, from GRPCURL and BUF where these are set.
grpcurl() { command "${GRPCURL:-grpcurl}" "$@"; }
buf() { command "${BUF:-buf}" "$@"; }
