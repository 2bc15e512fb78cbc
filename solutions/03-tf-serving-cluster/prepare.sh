#!/usr/bin/env bash
# TensorFlow's C libraries and the trained model, once per machine; and what the photos need, as far as it can be had.
set -euo pipefail
cd "$(dirname "$0")/../.."
echo "== TensorFlow's C libraries"
scripts/fetch-tensorflow | sed 's/^/   /'
echo "== the model"
scripts/train-model | sed 's/^/   /'
for what in fetch-onnxruntime fetch-efficientnet; do
    echo "== for the photos: $what"
    scripts/$what | sed 's/^/   /' || [ $? = 77 ] || exit 1
done
