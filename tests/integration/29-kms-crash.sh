#!/usr/bin/env bash
# kill -9 of a daemon under load, KILLS times on SQLite and on PostgreSQL, at random moments: clients release, change and use keys over gRPC and HTTPS. Nothing that was
# acknowledged is lost: each start checks every row and the chain, and the receipts of all clients are verified offline. No file holds a secret in
# clear. KILLS=500 is the long run; SEED repeats one (as far as clocks let it); STORES="sqlite postgresql".
. "$(dirname "$0")/kms.sh"
. "$(dirname "$0")/pg.sh"
KILLS=${KILLS:-12}
SEED=${SEED:-$((RANDOM * 32768 + RANDOM))}
RANDOM=$SEED
STORES=${STORES:-sqlite postgresql}
if [[ $STORES == *postgresql* ]]; then
    (pg_find) >/dev/null || { echo "   PostgreSQL is not to be had here: SQLite alone"; STORES=sqlite; }
fi
run_begin test-kms-crash
export RUN
if [[ $STORES == *postgresql* ]]; then pg_find; pg_begin; fi

# load NAME SECONDS: see kms_load.c; what is acknowledged goes to RUN/new.NAME
load() {
    reach
    "$BIN/kms-load" run "$@" "${REACH[@]}" --sim-dir "$RUN/sim" --admin-key "$RUN/admin.key" --bind workload --tag "$TAG" --receipt "$RUN/receipts" \
        >"$RUN/new.$1" 2>"$RUN/log/load.$1"
}

# web NAME: the same over HTTPS with curl, until the daemon is gone; lines as those of kms-load.
web() {
    local i name value answer
    for ((i = 1; i < 1000; i++)); do
        name=web/$1-$i
        value=ccz-marker-0Pq7vX2mK9tL4sWz-$(printf 'secret/%s/1' "$name" | sha256sum | cut -d ' ' -f 1)
        answer=$(curl -sS --noproxy '*' -f -m 20 --cacert "$RUN/tls.crt" --cert "$RUN/admin.crt" --key "$RUN/admin.key" -H 'Content-Type: application/json' \
            -d "{\"name\":\"$name\",\"value\":\"$(printf %s "$value" | base64 -w0)\",\"policy\":\"workload\",\"checkVersion\":true}" \
            "https://127.0.0.1:$PORT/v1/PutSecret" 2>>"$RUN/log/web.log") || return 0
        python3 -c 'import base64, json, sys; r = json.loads(sys.argv[2])["receipt"]
print("put secret/" + sys.argv[1], 1, r["auditSeq"], base64.b64decode(r["auditSha256"]).hex())' "$name" "$answer" >>"$RUN/new.web"
    done
}

# kill_loaded CYCLE: a daemon, four clients, and its end.
kill_loaded() {
    local i=$1 c w pids=() status
    if ((i % 40 == 1)); then # versions of one item have a limit
        TAG=$STORE-$i
        kms key create "load-$TAG" --alg aes-256-gcm --bind workload >/dev/null 2>"$RUN/err" || die "no key: $(cat "$RUN/err")"
    fi
    rm -f "$RUN"/new.*
    PORT=$(cat "$RUN/https.port")
    for c in a b c; do
        load "$i-$c" 60 &
        pids+=($!)
    done
    : >"$RUN/new.web"
    web "$STORE-$i" &
    pids+=($!)
    for ((w = 0; w < 3000; w++)); do # on a busy machine it takes a while
        [ ! -s "$RUN/new.$i-a" ] || [ ! -s "$RUN/new.$i-b" ] || [ ! -s "$RUN/new.$i-c" ] || [ ! -s "$RUN/new.web" ] || break
        sleep 0.01
    done
    sleep "0.$(printf %03d $((RANDOM % 400)))"
    kill -KILL "${PIDS[kms]}"
    wait "${PIDS[kms]}" 2>/dev/null || true
    unset "PIDS[kms]"
    for c in "${pids[@]}"; do
        status=0
        wait "$c" || status=$?
        [ "$status" = 0 ] || { cat "$RUN"/log/load.* >&2; die "cycle $i: status $status of a client (SEED=$SEED)"; }
    done
    cat "$RUN"/new.* >"$RUN/last"
    [ "$(cut -d ' ' -f 1 "$RUN/last" | sort -u | wc -l)" -gt 1 ] || { tail -n 3 "$RUN"/log/load.* "$RUN/log/kms.log" >&2; die "cycle $i: there was no load (SEED=$SEED)"; }
    rm -f "$RUN"/log/load.*
    cat "$RUN/last" >>"$RUN/acked"
}

verify_lines() { reach; "$BIN/kms-load" verify "${REACH[@]}" --sim-dir "$RUN/sim" <"$1"; }

# crash_store OPTION...: of the daemon.
crash_store() {
    local i before=0 lines
    rm -rf "$RUN/kms" "$RUN/sim" "$RUN/counter" "$RUN/acked" "$RUN/receipts" "$RUN/admin.key"
    mkdir "$RUN/counter"
    kms_setup "$@" --epoch "file:$RUN/counter/epoch"
    policy_for "$RUN/load-policy.json" "$BIN/kms-load"
    openssl req -x509 -new -key "$RUN/admin.key" -subj /CN=admin -days 2 -out "$RUN/admin.crt" 2>/dev/null
    KMSD+=(--https 127.0.0.1:0 --https-port-file "$RUN/https.port" --tls-cert "$RUN/tls.crt" --tls-key "$RUN/tls.key" "${NO_RATES[@]}")
    kms_start
    kms policy put workload "$RUN/load-policy.json" >/dev/null 2>&1
    for ((i = 1; i <= KILLS; i++)); do
        kill_loaded "$i"
        if [ "$STORE" = postgresql ] && ((i % 5 == 0)); then pg_crash; fi
        kms_start # checks every row, value and line of the chain, and the counter
        verify_lines "$RUN/last" 2>"$RUN/err" || { cat "$RUN/err" >&2; die "cycle $i (SEED=$SEED)"; }
        [ -t 1 ] && printf '\r   %s: kill %d of %d' "$STORE" "$i" "$KILLS"
    done
    # after the last one, everything once more
    grep -v '^released\|^rotated' "$RUN/acked" | shuf -n 1000 --random-source=<(yes) >"$RUN/some"
    verify_lines "$RUN/some"
    check_offline
    kill -KILL "${PIDS[kms]}" # its WAL stays
    wait "${PIDS[kms]}" 2>/dev/null || true
    unset "PIDS[kms]"
    [ "$STORE" = sqlite ] || psql -X -q -h "$PG" -p 5499 -U tester -d postgres -c CHECKPOINT
    "$ROOT/tests/integration/kms_clear.py" "$RUN/kms/master.key" "$RUN/kms" "$RUN/counter" "$RUN/log" ${PG:+"$PG"}
    lines=$("$BIN/cczoo-kmsd" check --state "$RUN/kms" "$@" --epoch "file:$RUN/counter/epoch") || die "the store does not open"
    say "$lines"
}

# check_offline: receipts of releases, and lines of everything else, are in the signed export; no version was given twice.
check_offline() {
    local released
    kms audit keys >"$RUN/keys.pem" 2>/dev/null
    rm -f "$RUN/export.jsonl"
    kms audit export "$RUN/export.jsonl" >/dev/null 2>&1
    released=$(grep -c '^released' "$RUN/acked")
    status 0 "$BIN/cczoo" kms audit verify "$RUN/export.jsonl" --key "$RUN/keys.pem" --receipt "$RUN/receipts"
    [ "$(wc -l <"$RUN/receipts")" -ge "$released" ] || die "fewer receipts than releases"
    has out "^accepted: $(wc -l <"$RUN/receipts") receipts\$"
    "$ROOT/tests/integration/kms_acked.py" "$RUN/export.jsonl" "$RUN/acked"
}

step "set-up: SEED=$SEED"
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=kms -addext subjectAltName=IP:127.0.0.1 -days 2 -keyout "$RUN/tls.key" \
    -out "$RUN/tls.crt" 2>/dev/null
for STORE in $STORES; do
    step "$KILLS kills on $STORE"
    case $STORE in
    sqlite) crash_store ;;
    postgresql) crash_store --database "host=$PG port=5499 user=tester dbname=postgres" ;;
    *) die "no such store: $STORE" ;;
    esac
done

step "no core"
"$ROOT/tests/integration/kms_core.py" "$RUN/core" "$BIN/cczoo-kmsd" run --state "$RUN/kms" --listen 127.0.0.1:0 --port-file "$RUN/core.port" --tee sim-sgx \
    --sim-dir "$RUN/sim" --trust-sim "$RUN/sim/trust" "${KMSD[@]}"
say ok
