#!/usr/bin/env bash
. "$(dirname "$0")/solution.sh"
or_skip "TensorFlow" "$ROOT/scripts/fetch-tensorflow" >/dev/null
or_skip "the trained model" "$ROOT/scripts/train-model" >/dev/null
# the photos are a part of their own: without them the rest must run, and say so
photos=0
"$ROOT/scripts/fetch-efficientnet" >/dev/null && "$ROOT/scripts/fetch-onnxruntime" >/dev/null || photos=$?
[ $photos = 0 ] || [ $photos = 77 ] || die "status $photos while fetching what the photos need"
solution_test 03-tf-serving-cluster
if [ $photos = 0 ]; then
    expect_lines "$ROOT/solutions/03-tf-serving-cluster/expected-photos.txt"
else
    [ "$(grep -c 'skipped: the photos need .*, which cannot be had here' "$OUTPUT")" = 2 ] || die "the photos were skipped, and not in so many words"
fi
