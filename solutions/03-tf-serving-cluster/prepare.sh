#!/usr/bin/env bash
# TensorFlow's C libraries and the trained model, once per machine.
set -euo pipefail
cd "$(dirname "$0")/../.."
echo "== TensorFlow's C libraries"
scripts/fetch-tensorflow | sed 's/^/   /'
echo "== the model"
scripts/train-model | sed 's/^/   /'
