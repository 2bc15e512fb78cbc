#!/usr/bin/env bash
# cczoo psi: two parties over mutual RA-TLS with every protocol, three parties with a server in a (software) TEE, and who is refused.
. "$(dirname "$0")/psi.sh"
psi_begin test-psi
# a: 0, 2, 4, .. b: a CSV table of 0, 3, 6, .. in another order
for ((i = 0; i < 3000; i += 2)); do echo "customer-$i"; done >"$RUN/a.txt"
{
    echo "name,id"
    for ((i = 2997; i >= 0; i -= 3)); do echo "\"somebody, $i\", Customer-$i"; done
} >"$RUN/b.csv"
for ((i = 0; i < 3000; i += 5)); do echo "customer-$i"; done >"$RUN/c.txt"
PREPARE=(--domain customer --trim --fold-case)
A=(--ids "$RUN/a.txt" "${PREPARE[@]}")
B=(--ids "$RUN/b.csv" --column id "${PREPARE[@]}")
C=(--ids "$RUN/c.txt" "${PREPARE[@]}")
ids_of() {
    case $1 in
        *.csv) tail -n +2 "$1" | sed 's/.*, Customer/customer/' ;;
        *) cat "$1" ;;
    esac
}
id_of() { # FILE ROWS: the ids of these rows
    awk 'NR == FNR { id[NR - 1] = $0; next } { print id[$1] }' <(ids_of "$1") "$2"
}
listen() { # NAME VERB OPTION...: starts it, sets PORT
    local name=$1
    shift
    rm -f "$RUN/$name.port"
    start "$name" "$BIN/cczoo" psi "$@" --listen 127.0.0.1:0 --port-file "$RUN/$name.port"
    wait_file "$name" "$RUN/$name.port" 20
    PORT=$(cat "$RUN/$name.port")
}

step "usage"
status 2 "$BIN/cczoo" psi
status 0 "$BIN/cczoo" psi --help
status 2 "$BIN/cczoo" psi receive --connect 127.0.0.1:1 "${A[@]}"
grep -q -- '--policy is required' "$RUN/err" || die "a party without a policy"
status 2 "$BIN/cczoo" psi receive --connect 127.0.0.1:1 "${MUTUAL[@]}"
status 2 "$BIN/cczoo" psi receive "${A[@]}" "${MUTUAL[@]}"
status 2 "$BIN/cczoo" psi receive --connect 127.0.0.1:1 "${A[@]}" "${MUTUAL[@]}" --protocol magic
status 2 "$BIN/cczoo" psi receive --connect 127.0.0.1:1 "${A[@]}" "${MUTUAL[@]}" --unattested-insecure
status 2 "$BIN/cczoo" psi serve --listen 127.0.0.1:0 --policy "$RUN/good.json" "${TRUST[@]}"
status 3 "$BIN/cczoo" psi receive --connect 127.0.0.1:1 --ids "$RUN/none" "${MUTUAL[@]}"
printf 'a\nb\na\n' >"$RUN/twice.txt"
status 1 "$BIN/cczoo" psi receive --connect 127.0.0.1:1 --ids "$RUN/twice.txt" "${MUTUAL[@]}"
grep -q 'psi:id-twice' "$RUN/err" || die "a repeated id: $(cat "$RUN/err")"

step "two parties, each protocol, both learn the same alignment"
for protocol in vole vole-semi-honest ecdh unbalanced; do
    listen send send "${A[@]}" "${MUTUAL[@]}" --protocol $protocol --both --out "$RUN/a.rows"
    status 0 "$BIN/cczoo" psi receive --connect "127.0.0.1:$PORT" "${B[@]}" "${MUTUAL[@]}" --protocol $protocol --both --out "$RUN/b.rows"
    grep -q '500 common ids' "$RUN/err" || die "$protocol: $(cat "$RUN/err")"
    ended send 0
    cmp <(id_of "$RUN/a.txt" "$RUN/a.rows") <(id_of "$RUN/b.csv" "$RUN/b.rows") || die "$protocol: alignments differ"
    [ "$(id_of "$RUN/a.txt" "$RUN/a.rows" | sort -u | wc -l)" = 500 ] || die "$protocol: not 500 different ids"
done

step "the receiver listens and is alone in learning; rows on stdout"
listen receive receive "${B[@]}" "${MUTUAL[@]}" --protocol ecdh --pad
status 0 "$BIN/cczoo" psi send --connect "127.0.0.1:$PORT" "${A[@]}" "${MUTUAL[@]}" --protocol ecdh --pad
[ ! -s "$RUN/out" ] || die "the sender has rows"
ended receive 0
[ "$(grep -cE '^[0-9]+$' "$RUN/log/receive.log")" = 500 ] || die "rows of the receiver"

step "a number only, and a minimum that is not reached"
listen send send "${A[@]}" "${MUTUAL[@]}" --protocol ecdh --cardinality
status 0 "$BIN/cczoo" psi receive --connect "127.0.0.1:$PORT" "${B[@]}" "${MUTUAL[@]}" --protocol ecdh --cardinality --json
grep -q '"common":500' "$RUN/out" || die "the number: $(cat "$RUN/out")"
ended send 0
listen send send "${A[@]}" "${MUTUAL[@]}" --protocol ecdh --min 501
status 1 "$BIN/cczoo" psi receive --connect "127.0.0.1:$PORT" "${B[@]}" "${MUTUAL[@]}" --protocol ecdh --min 501
grep -q 'psi:minimum' "$RUN/err" || die "the minimum: $(cat "$RUN/err")"
[ ! -s "$RUN/out" ] || die "rows below the minimum"
ended send 1

step "who is refused: another program, other settings"
listen send send "${A[@]}" "${TRUST[@]}" "${EVIDENCE[@]}" --policy "$RUN/other.json" --timeout 60
status 1 "$BIN/cczoo" psi receive --connect "127.0.0.1:$PORT" "${B[@]}" "${MUTUAL[@]}"
stop send
listen send send "${A[@]}" "${MUTUAL[@]}" --timeout 60
status 1 "$BIN/cczoo" psi receive --connect "127.0.0.1:$PORT" "${B[@]}" "${TRUST[@]}" "${EVIDENCE[@]}" --policy "$RUN/other.json"
status 1 "$BIN/cczoo" psi receive --connect "127.0.0.1:$PORT" "${B[@]}" "${TRUST[@]}" --policy "$RUN/good.json" # no evidence of its own
stop send
listen send send "${A[@]}" "${MUTUAL[@]}" --session contract-1
got=0
"$BIN/cczoo" psi receive --connect "127.0.0.1:$PORT" "${B[@]}" "${MUTUAL[@]}" --session contract-2 >"$RUN/out" 2>"$RUN/err" || got=$?
[ $got != 0 ] && grep -q 'psi:peer-session' "$RUN/err" || die "another session: $(cat "$RUN/err")"
stop send

step "three parties and a server in a TEE; parties need none"
head -c 32 /dev/urandom >"$RUN/key"
chmod 600 "$RUN/key"
PARTY=("${TRUST[@]}" --policy "$RUN/good.json" --timeout 60 --parties 3 --key "$RUN/key" --pad)
listen serve serve "${EVIDENCE[@]}" --unattested-insecure --parties 3 --timeout 60
start join-a "$BIN/cczoo" psi join --name a --connect "127.0.0.1:$PORT" "${A[@]}" "${PARTY[@]}" --out "$RUN/a.rows"
start join-b "$BIN/cczoo" psi join --name b --connect "127.0.0.1:$PORT" "${B[@]}" "${PARTY[@]}" --out "$RUN/b.rows"
status 0 "$BIN/cczoo" psi join --name c --connect "127.0.0.1:$PORT" "${C[@]}" "${PARTY[@]}" --out "$RUN/c.rows"
grep -q '100 common ids' "$RUN/err" || die "three parties: $(cat "$RUN/err")"
ended join-a 0
ended join-b 0
ended serve 0
id_of "$RUN/c.txt" "$RUN/c.rows" >"$RUN/c.ids"
cmp "$RUN/c.ids" <(id_of "$RUN/a.txt" "$RUN/a.rows") || die "a and c differ"
cmp "$RUN/c.ids" <(id_of "$RUN/b.csv" "$RUN/b.rows") || die "b and c differ"

step "a server with another measurement, and a party that says otherwise"
listen serve serve "${EVIDENCE[@]}" --unattested-insecure --parties 2 --timeout 60
status 1 "$BIN/cczoo" psi join --name a --connect "127.0.0.1:$PORT" "${A[@]}" "${TRUST[@]}" --policy "$RUN/other.json"
start join-a "$BIN/cczoo" psi join --name a --connect "127.0.0.1:$PORT" "${A[@]}" "${TRUST[@]}" --policy "$RUN/good.json" --parties 2
got=0
"$BIN/cczoo" psi join --name b --connect "127.0.0.1:$PORT" "${B[@]}" "${TRUST[@]}" --policy "$RUN/good.json" --parties 2 --key "$RUN/key" >"$RUN/out" 2>"$RUN/err" || got=$?
[ $got != 0 ] && grep -q 'psi:tee-key' "$RUN/err" "$RUN/log/join-a.log" || die "another key: $(cat "$RUN/err" "$RUN/log/join-a.log")"
wait "${PIDS[join-a]}" && die "a party goes on although another one failed"
unset "PIDS[join-a]"
