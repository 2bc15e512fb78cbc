#!/usr/bin/env bash
# A plain client and a plain server with nothing, with a pair of stunnel (TLS 1.3, TLS_AES_128_GCM_SHA256), and with a
# pair of `cczoo tunnel` between them; in turns, the same cores for the same parts, medians of ROUNDS. CPU: of both ends
# together, user and system, per GB.
# usage: bench/tunnel_peers.sh [ROUNDS] [SECONDS]
# Parts and cores: client and client end on CPU_A, server end and server on CPU_B (default 0 and 1).
. "$(dirname "$0")/../scripts/lib.sh"
rounds=${1:-7} seconds=${2:-2}
a=${CPU_A:-0} b=${CPU_B:-1}
bench=$(find "$ROOT/build/release" -name bench_tunnel -type f 2>/dev/null | head -n 1)
[ -n "$bench" ] || die "build it first: cmake --build --preset release --target bench_tunnel cczoo"
stunnel=$(command -v stunnel4 || command -v stunnel) || die "stunnel is missing: apt-get install stunnel4"
run_begin bench-tunnel
cd "$RUN"
port() { "$ROOT/scripts/free-port"; }
server=$(port) plain=$(port) tls=$(port) our_plain=$(port) our_tls=$(port)

openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout key.pem -out cert.pem -days 2 -subj /CN=bench \
    2>log/openssl.log
conf() { # FILE CLIENT(yes|no) ACCEPT CONNECT
    printf '%s\n' 'foreground = yes' 'pid =' 'debug = 3' 'socket = l:TCP_NODELAY=1' 'socket = r:TCP_NODELAY=1' '[x]' \
        "client = $2" "accept = 127.0.0.1:$3" "connect = 127.0.0.1:$4" 'sslVersionMin = TLSv1.3' \
        'ciphersuites = TLS_AES_128_GCM_SHA256' >"$1"
    [ "$2" = yes ] || printf '%s\n' "cert = $RUN/cert.pem" "key = $RUN/key.pem" >>"$1"
}
conf out.conf yes "$plain" "$tls"
conf in.conf no "$tls" "$server"
start stunnel-in taskset -c "$b" "$stunnel" in.conf
start stunnel-out taskset -c "$a" "$stunnel" out.conf

"$BIN/cczoo" sim init sim 2>log/sim.log
printf '{"version":1,"rules":[{"name":"tunnel","tee":"sgx","sim":true,"mrenclave":"%s"}]}\n' \
    "$("$BIN/cczoo" sim measure "$BIN/cczoo")" >policy.json
start ours-in taskset -c "$b" "$BIN/cczoo" tunnel server --listen "127.0.0.1:$our_tls" --connect "127.0.0.1:$server" \
    --tee sim-sgx --sim-dir sim --port-file in.port ${TUNNEL_FLAGS:-}
start ours-out taskset -c "$a" "$BIN/cczoo" tunnel client --listen "127.0.0.1:$our_plain" --connect "127.0.0.1:$our_tls" \
    --policy policy.json --trust-sim sim/trust --port-file out.port ${TUNNEL_FLAGS:-}
wait_file ours-in in.port 10
wait_file ours-out out.port 10
sleep 0.5

median() { sort -n | awk '{v[NR] = $1} END {print v[int((NR + 1) / 2)]}'; }
one() { "$bench" "$1" "$server" "$2" "$seconds" "$a" "$b" ${3:-}; } # MODE PORT [SIZE]
ticks() { # NAME...: CPU time of these processes
    local name sum=0 stat
    for name in "$@"; do
        read -ra stat <"/proc/${PIDS[$name]}/stat"
        sum=$((sum + stat[13] + stat[14]))
    done
    echo "$sum"
}
hz=$(getconf CLK_TCK)
for ((i = 0; i < rounds; i++)); do
    for peer in "direct $server" "stunnel $plain" "cczoo $our_plain"; do
        read -r name to <<<"$peer"
        ends=()
        case $name in stunnel) ends=(stunnel-in stunnel-out) ;; cczoo) ends=(ours-in ours-out) ;; esac
        before=$(ticks "${ends[@]}")
        read -r rate mb < <(one stream "$to")
        echo "$rate" >>"stream.$name"
        awk "BEGIN {print ($(ticks "${ends[@]}") - $before) / $hz / $mb * 1000}" >>"cpu.$name"
        one ping "$to" 64 >>"ping.$name"
    done
done
printf 'what\tdirect\tstunnel\tcczoo\tratio to stunnel\tadded to direct\n'
s=$(median <stream.stunnel) c=$(median <stream.cczoo)
printf 'stream MB/s\t%s\t%s\t%s\t%s\t\n' "$(median <stream.direct)" "$s" "$c" "$(awk "BEGIN {printf \"%.2f\", $c / $s}")"
s=$(median <cpu.stunnel) c=$(median <cpu.cczoo)
printf 'CPU s/GB\t\t%s\t%s\t%s\t\n' "$s" "$c" "$(awk "BEGIN {printf \"%.2f\", $c / $s}")"
d=$(median <ping.direct) s=$(median <ping.stunnel) c=$(median <ping.cczoo)
printf 'ping 64 B us\t%s\t%s\t%s\t%s\t%s\n' "$d" "$s" "$c" "$(awk "BEGIN {printf \"%.2f\", $c / $s}")" \
    "$(awk "BEGIN {printf \"%.1f\", $c - $d}")"
