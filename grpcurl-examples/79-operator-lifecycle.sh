#!/usr/bin/env bash
# Operator: what a refund goes through.
. "$(dirname "$0")/env.sh"

operate LifecycleService/DescribeLifecycle <<JSON
{"entity": "refund", "format": "LIFECYCLE_FORMAT_MERMAID"}
JSON
