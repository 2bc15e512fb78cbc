# Sourced by the tests that kill parties of a training: what they train on, and kills between two states.
# shellcheck shell=bash
. "$(dirname "${BASH_SOURCE[0]}")/../../scripts/lib.sh"
kills=0

# fedlr_tables LABEL HOSTS GUEST_COLS: 150 rows of six numbers x, labelled by whether LABEL and some noise are above 0, for each party
# in $RUN/data; keys in $RUN/key; a software TEE.
fedlr_tables() {
    python3 - <<PY
import random
random.seed(7)
with open("$RUN/all.csv", "w") as f:
    f.write("id,y,a,b,c,d,e,f\n")
    for i in range(150):
        x = [random.gauss(0, 1) for _ in range(6)]
        y = $1 + random.gauss(0, 1) > 0
        f.write(f"r{i},{int(y)}," + ",".join(f"{v:.6f}" for v in x) + "\n")
PY
    "$BIN/cczoo-fedlr" split --data "$RUN/all.csv" --out "$RUN/data" --hosts "$2" --guest-cols "$3" >/dev/null
    "$BIN/cczoo-fedlr" keygen --out "$RUN/key" --bits 2048 >/dev/null
    "$BIN/cczoo" sim init "$RUN/sim" 2>/dev/null
}

# next_stage NAME SECONDS: until there are other states than now (the script's stage() says which), NAME has ended, or so long.
next_stage() {
    local before i
    before=$(stage)
    for ((i = 0; i < $2 * 100; i++)); do
        [ "$(stage)" = "$before" ] && running "$1" || break
        sleep 0.01
    done
}

# short_nap: up to 80 ms, so that each kill comes at another moment.
short_nap() { sleep "0.0$((kills * 37 % 9))"; }

# kill9 NAME: false if it is not there any more.
kill9() {
    running "$1" || return 1
    kill -KILL "${PIDS[$1]}"
    unset "PIDS[$1]"
    kills=$((kills + 1))
}
