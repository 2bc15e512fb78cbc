#!/usr/bin/env bash
# gRPC inside RA-TLS: the client verifies the server; then each verifies the other. See README.md.
. "$(dirname "$0")/parties.sh"
run_begin "$NAME"
record "$NAME" false # until the last line says otherwise
show() { sed 's/^/   /'; }

step "1 software TEE (SIMULATED), one server for anybody, one for attested clients"
make_platform
one_way open
two_way mutual
say "server $SERVER_ID"
say "client $CLIENT_ID"

step "2 one-way: the client verifies the server"
greet "$ADDR_open" --name ada 2>&1 | show

step "3 two-way: and the server verifies the client"
greet_attested "$ADDR_mutual" --name ada 2>&1 | tee "$RUN/two.txt" | show
grep -q "to me you are $CLIENT_ID" "$RUN/two.txt" || die "the server does not know who called"

step "4 a stream to the server: 64 MiB, summed there"
head -c 67108864 /dev/urandom >"$RUN/data"
greet_attested "$ADDR_mutual" --call sum <"$RUN/data" 2>/dev/null | tee "$RUN/sum.txt" | show
[ "$(cut -d' ' -f1 "$RUN/sum.txt")" = "$(sha256sum "$RUN/data" | cut -d' ' -f1)" ] || die "the sum is wrong"
say "as sha256sum says; peak memory of the server: $(awk '/VmHWM/ { print int($2 / 1024) }' "/proc/${PIDS[mutual]}/status") MB"

step "5 a stream from the server: the file that it shares"
greet_attested "$ADDR_mutual" --call fetch >"$RUN/fetched" 2>/dev/null
cmp "$RUN/fetched" "$SHARE" || die "what came is not what the server shares"
say "$(stat -c %s "$RUN/fetched") bytes, equal to the original"

record "$NAME" true
say "ok: nothing was sent before the evidence was verified"
