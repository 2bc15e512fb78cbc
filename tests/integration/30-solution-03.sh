#!/usr/bin/env bash
. "$(dirname "$0")/solution.sh"
or_skip "TensorFlow" "$ROOT/scripts/fetch-tensorflow" >/dev/null
or_skip "the trained model" "$ROOT/scripts/train-model" >/dev/null
solution_test 03-tf-serving-cluster
