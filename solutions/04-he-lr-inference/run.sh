#!/usr/bin/env bash
# Records are scored by a server that cannot read them. See README.md.
. "$(dirname "$0")/parties.sh"
run_begin "$NAME"
record "$NAME" false # until the last line says otherwise
field() { sed -n "s/.*$2.*/\1/p" <<<"$1" | head -n 1; }
show() { sed 's/^/   /' <<<"$1"; }

step "1 software TEE (SIMULATED), and a server for each model"
make_platform
for m in original cancer credit; do
    serve "$m" --model "$DATA/$m.json" "${ATTESTED[@]}" "$RUN/sim"
done
serve wide --model "$DATA/credit.json" --degree 7 "${ATTESTED[@]}" "$RUN/sim"
serve blind "${ATTESTED[@]}" "$RUN/sim"
say "the client accepts only the measured server (policy.json), whatever the encryption already hides from it"

step "2 the workload of the original: 2,000 records of 80 features"
say "one feature per ciphertext, as the original packs them:"
plain=$(score "$ADDR_original" original --label label --compare "$DATA/original.json" --per-ct 1)
show "$plain"
say "packed:"
packed=$(score "$ADDR_original" original --label label --compare "$DATA/original.json" --per-ct 4)
show "$packed"
grep -q 'equal classes: 2000 of 2000' <<<"$packed" || die "the classes differ from those in the clear"

step "3 one record of 30 features at a time"
say "one feature per ciphertext:"
plain=$(score "$ADDR_cancer" cancer --label label --rows 1 --limit 10 --per-ct 1)
show "$plain"
say "a whole record in one ciphertext:"
packed=$(score "$ADDR_cancer" cancer --label label --rows 1 --limit 10)
show "$packed"
bytes='a request: \([0-9]*\) bytes, reply [0-9]*'
reply='a request: [0-9]* bytes, reply \([0-9]*\)'
old=$(($(field "$plain" "$bytes") + $(field "$plain" "$reply")))
new=$(($(field "$packed" "$bytes") + $(field "$packed" "$reply")))
ms='a request: \([0-9.]*\) ms'
faster=$(awk "BEGIN { printf \"%.1f\", $(field "$plain" "$ms") / $(field "$packed" "$ms") }")
say "$((old / new)) times fewer bytes, $faster times faster"

step "4 real records, held out when the models were trained"
say "cell samples (WDBC), is it benign?"
show "$(score "$ADDR_cancer" cancer --label label --compare "$DATA/cancer.json" | grep -E '^accuracy|^in the clear')"
say "credit card applications, is it accepted? polynomial of degree 3, then of degree 7"
show "$(score "$ADDR_credit" credit --label label --compare "$DATA/credit.json" | grep -E '^accuracy|^in the clear')"
show "$(score "$ADDR_wide" credit --label label --compare "$DATA/credit.json" | grep -E '^accuracy|^in the clear')"

step "5 the model encrypted too: the server knows neither records nor weights"
show "$(score "$ADDR_blind" cancer --label label --own-model "$DATA/cancer.json" --rows 142)"

step "6 a long file in bounded memory"
few=$(score "$ADDR_original" large --limit 4096 --per-ct 2)
many=$(score "$ADDR_original" large --per-ct 2)
show "$many"
memory='peak memory \([0-9]*\) MB'
say "peak memory of the client for 4,096 rows: $(field "$few" "$memory") MB, for 20,000: $(field "$many" "$memory") MB"
say "peak memory of the server: $(awk '/VmHWM/ { print int($2 / 1024) }' "/proc/${PIDS[original]}/status") MB"
record "$NAME" true
say "ok: the same classes as in the clear, from servers that saw ciphertexts"
