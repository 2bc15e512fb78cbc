#!/usr/bin/env bash
# Attacks that must be refused, each with its reason. See README.md, "Break it".
. "$(dirname "$0")/parties.sh"
run_begin "$NAME-break"
make_platform
serve good --model "$DATA/cancer.json" "${ATTESTED[@]}" "$RUN/sim"
serve weak --model "$DATA/cancer.json" --original-parameters yes "${ATTESTED[@]}" "$RUN/sim"
serve bare --model "$DATA/cancer.json"
one=(cancer --rows 1 --limit 1)

step "(a) a server offers the parameters of the original: 300 bits of modulus at n = 8192"
expect_refusal 'rlwe:security: ' score "$ADDR_weak" "${one[@]}" | sed 's/^/   /'

step "(b) a ciphertext under another key in somebody's session"
expect_refusal 'rlwe:key-id: ' score "$ADDR_good" "${one[@]}" --attack other-key | sed 's/^/   /'

step "(c) a transparent ciphertext: its message lies open"
expect_refusal 'rlwe:transparent: ' score "$ADDR_good" "${one[@]}" --attack transparent | sed 's/^/   /'

step "(d) a residue that is not below its prime"
expect_refusal 'rlwe:residue: ' score "$ADDR_good" "${one[@]}" --attack residue | sed 's/^/   /'

step "(e) a server without evidence, where the client asks for it"
expect_refusal 'ratls:' score "$ADDR_bare" "${one[@]}" | sed 's/^/   /'

step "(f) a server with one byte changed"
cp "$BIN/cczoo-he-serve" "$RUN/tampered"
chmod u+wx "$RUN/tampered"
"$ROOT/scripts/flip-byte" "$RUN/tampered" "$(grep -abo 'cczoo-he-serve' "$RUN/tampered" | head -n 1 | cut -d: -f1)"
start changed "$RUN/tampered" --listen 127.0.0.1:0 --port-file "$RUN/changed.port" --model "$DATA/cancer.json" "${ATTESTED[@]}" "$RUN/sim"
wait_file changed "$RUN/changed.port" 20
expect_refusal 'policy:mrenclave: ' score "127.0.0.1:$(cat "$RUN/changed.port")" "${one[@]}" | sed 's/^/   /'

say "ok: six attacks, six refusals"
