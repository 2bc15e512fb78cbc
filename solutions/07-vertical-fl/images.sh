# The default story: images cut in two. Sourced by run.sh.
# shellcheck shell=bash
step "1 software TEE (SIMULATED); 60,000 images cut in two: left halves and labels, right halves"
make_platform
make_images --positive 1 --thin 50 | sed 's/^/   /'

step "2 private set intersection, then split training of a two-class network; label protection is on"
config=(--epochs 3 --batch 256 --staleness 1)
state=(--retry 60)
leader leader fashion-mnist "${config[@]}" "${state[@]}" --positive 1 --state "$RUN/leader.state" --seal "$RUN/leader.seal" \
    --report "$RUN/report.jsonl"
start_follower() { follower follower fashion-mnist "${config[@]}" "${state[@]}" --state "$RUN/follower.state" --seal "$RUN/follower.seal"; }
start_follower
wait_line leader '^epoch 1 '
sleep 0.2
kill -KILL "${PIDS[follower]}"
mv "$RUN/log/follower.log" "$RUN/log/follower-killed.log"
start_follower
finish follower leader
told leader
say "the follower was killed with SIGKILL behind the first epoch, and began again: $(grep '^done' "$RUN/log/follower.log")"

step "3 one epoch without protection: what the follower could read from its gradients"
leader open fashion-mnist --epochs 1 --positive 1 --protect none-insecure
follower open-follower fashion-mnist --epochs 1
finish open-follower open
told open | grep -E 'epoch|leakage'

step "4 the same network in one place, which has all columns"
"$BIN/cczoo-vfl" local --model "$NETS/fashion-mnist/whole" --split "$NETS/fashion-mnist/leader" --data "$RUN/data/leader" \
    --data-2 "$RUN/data/follower-1" --tensorflow "$TF/libtensorflow_cc.so.2" --positive 1 --epochs 3 2>/dev/null | tail -n 1 | sed 's/^/   /'
sed -n '$s/.*"test_accuracy":\(......\)[0-9]*,.*"rows_per_s":\([0-9]*\).*"leakage_raw":{[^}]*"norm_auc":\(.....\)[^}]*},"leakage_sent":{[^}]*"norm_auc":\(.....\).*/   split: test accuracy \1, \2 rows\/s; norm attack \3 -> \4/p' \
    "$RUN/report.jsonl"
