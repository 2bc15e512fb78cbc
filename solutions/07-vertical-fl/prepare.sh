#!/usr/bin/env bash
# TensorFlow's C libraries and the split networks, once per machine.
set -euo pipefail
cd "$(dirname "$0")/../.."
echo "== TensorFlow's C libraries"
scripts/fetch-tensorflow | sed 's/^/   /'
echo "== the split networks"
scripts/export-split | sed 's/^/   /'
