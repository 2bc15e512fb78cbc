#!/usr/bin/env bash
# A recommender whose key is taken back is not served any more, within seconds; when the key is given again, SIGHUP serves the same model again.
. "$(dirname "$0")/recsys.sh"
run_begin test-recsys-revoke
recsys_server --kms-poll 1

status_of() { curl -sk -m 20 -o "$RUN/out" -w '%{http_code}' -d '{"signature_name": "recommend_or_popular", "instances": [{"user_id": "u3", "k": 3}]}' "$REST/v1/models/films:predict"; }
until_status() { # STATUS SECONDS
    local i got
    for ((i = 0; i < 10 * $2; i++)); do
        got=$(status_of)
        [ "$got" != "$1" ] || return 0
        sleep 0.1
    done
    tail -n 5 "$RUN/log/server.log" >&2
    die "a call is answered $got, expected $1: $(cat "$RUN/out")"
}

step "served, and the KMS records nothing of being asked"
until_status 200 20
cp "$RUN/out" "$RUN/before"
sleep 4
[ "$(kms audit | grep -c StillReleased || true)" = 0 ] || die "polls are on record"

step "the key is taken back"
kms disable key/films --version 1 >/dev/null
until_status 404 20
wait_log server 'revoked item=key/films version=1 where=kms:disabled'
kill -HUP "${PIDS[server]}"
wait_log server 'model=kept where=kms:disabled'
[ "$(status_of)" = 404 ] || die "it is served again"

step "and given again"
kms enable key/films --version 1 >/dev/null
kill -HUP "${PIDS[server]}"
until_status 200 60
cmp -s "$RUN/out" "$RUN/before" || die "the same model answers otherwise: $(cat "$RUN/out")"
say ok
