#!/usr/bin/env bash
# Operator: the gateway rejects a refund; it is paid back in cash, and the step is left alone.
. "$(dirname "$0")/env.sh"

order=$(visit "closed-$RUN" refund-fails)

operate OrderService/RefundItems >/dev/null <<JSON
{
  "name": "orders/$order",
  "items": [1],
  "refund": {"full": {}},
  "request_id": "00000000-0000-4000-8000-000000000080"
}
JSON

# The refund is requested after the answer.
steps() { operate OrderService/ListSteps <<<'{"parent": "orders/'"$order"'"}'; }
for _ in {1..50}; do
  steps | grep -q given_up && break
  sleep 0.1
done
steps

operate OrderService/AbandonStep <<JSON
{
  "name": "orders/$order/steps/1",
  "reason": "paid back in cash",
  "request_id": "00000000-0000-4000-8000-000000000180"
}
JSON
