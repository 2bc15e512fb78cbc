# Further data: credit by columns, or ratings and films. Sourced by run.sh.
# shellcheck shell=bash
CREDIT_SHA256=bd94085134e4eb845c96b34c93ed65a223f89d089bacb273ef96f57509ce0bed
credit() { # German credit: 1,000 customers; the bank has account and loan, its partner work, age and home
    local arff
    arff=$("$ROOT/scripts/fetch-debian-file" weka usr/share/doc/weka/examples/credit-g.arff "$CREDIT_SHA256")
    python3 "$HERE/credit.py" "$arff" "$RUN/data"
}
ratings() { # MovieLens: who rated what and how, and what kind of film it is
    local folder=${MOVIELENS:-}
    [ -n "$folder" ] || folder=$("$ROOT/scripts/fetch-movielens")
    python3 "$HERE/ratings.py" "$folder" "$RUN/data"
}
step "1 software TEE (SIMULATED), $what cut by columns"
make_platform
"$what" | sed 's/^/   /'
case $what in
    credit) config=(--epochs 40 --batch 50 --checkpoint-steps 0) net=credit ;;
    ratings) config=(--epochs 3 --batch 512) net=${NETWORK:-ratings-wide-deep} ;;
esac

if ((${WORKERS:-1} > 1)); then
    step "2 private set intersection, split training by $WORKERS workers of each party"
    workers "$WORKERS" "$net" "${config[@]}"
    mapfile -t all < <(seq -f leader-%g "$WORKERS"; seq -f follower-%g "$WORKERS")
    finish "${all[@]}"
    first=leader-1
else
    step "2 private set intersection, split training"
    leader leader "$net" "${config[@]}"
    follower follower "$net" "${config[@]}"
    finish follower leader
    first=leader
fi
told "$first" | awk '/^ *epoch/ { n++ } n % 10 == 0 || n < 4 || /done/ || !/epoch|leakage/'

step "3 the same network in one place"
"$BIN/cczoo-vfl" local --model "$NETS/$net/whole" --split "$NETS/$net/leader" --data "$RUN/data/leader" \
    --data-2 "$RUN/data/follower-1" --tensorflow "$TF/libtensorflow_cc.so.2" --epochs "${config[1]}" --batch "${config[3]}" 2>/dev/null |
    tail -n 1 | sed 's/^/   /'
