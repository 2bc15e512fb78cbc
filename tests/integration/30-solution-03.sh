#!/usr/bin/env bash
. "$(dirname "$0")/solution.sh"
if ! "$ROOT/scripts/fetch-tensorflow" >/dev/null || ! "$ROOT/scripts/train-model" >/dev/null; then
    echo "skipped: TensorFlow or the trained model cannot be had here"
    exit 77
fi
solution_test 03-tf-serving-cluster
