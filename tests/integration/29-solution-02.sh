#!/usr/bin/env bash
. "$(dirname "$0")/solution.sh"
solution_test 02-attestation-kms
lines=$(cat "$ROOT"/solutions/02-attestation-kms/*.c | wc -l)
[ "$lines" -le 200 ] || die "the solution has $lines lines of C"
