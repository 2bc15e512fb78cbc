#!/usr/bin/env bash
. "$(dirname "$0")/solution.sh"
or_skip "the data" "$ROOT/solutions/08-mpc-lr/prepare.sh" >/dev/null
solution_test 08-mpc-lr
python3 - "$OUTPUT" <<'PY'
import re, sys
text = open(sys.argv[1]).read()
planned = re.search(r"total +([\d.]+) kB both ways, (\d+) rounds.*; planned ([\d.]+) kB, (\d+) rounds", text)
size, rounds, expected_size, expected_rounds = map(float, planned.groups())
if abs(size - expected_size) > 0.15 * expected_size or rounds != expected_rounds:
    sys.exit(f"{size} kB and {rounds} rounds, planned {expected_size} and {expected_rounds}")
if size > 25000:  # of a training with WDBC
    sys.exit(f"{size} kB for the training, expected at most 25 MB")
night, day = (float(re.search(rf"{when}: +([\d.]+) kB", text)[1]) for when in ("at night", "by day"))
if day > 0.2 * night:
    sys.exit(f"by day {day} kB, expected a fifth of {night} at most")
fewer, trips = map(float, re.search(r"rounds: ([\d.]+) times fewer bytes than he-each, ([\d.]+) times", text).groups())
if fewer < 1.8 or trips < 1.5:
    sys.exit(f"the default saves {fewer} times the bytes and {trips} times the rounds, expected 1.8 and 1.5")
PY
