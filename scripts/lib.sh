# Functions for the scripts of solutions and for integration tests; sourced by bash.
# A script sets RUN (its private folder under the state folder) with run_begin and gets everything it
# started stopped and RUN removed when it ends, however it ends (KEEP=1 keeps both).
# shellcheck shell=bash
set -euo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
BIN=${CCZOO_BIN:-$ROOT/build/release/bin}
STATE=${CCZOO_STATE:-$HOME/.local/state/cczoo}
CACHE=${CCZOO_CACHE:-$HOME/.cache/cczoo}
export CCZOO_STATE=$STATE CCZOO_CACHE=$CACHE
RUN=""
declare -A PIDS=()

if [ -t 1 ]; then BOLD=$'\e[1m'; PLAIN=$'\e[0m'; else BOLD=; PLAIN=; fi

step() { printf '%s== %s%s\n' "$BOLD" "$*" "$PLAIN"; }
say() { printf '   %s\n' "$*"; }
die() { printf 'error: %s\n' "$*" >&2; exit 3; }

# or_skip WHAT COMMAND...: for tests. Status 77 of a script that fetches: not to be had here (no network), so the test is skipped; others fail.
or_skip() {
    local what=$1 status=0
    shift
    "$@" || status=$?
    [ $status != 0 ] || return 0
    [ $status = 77 ] || die "status $status of $*"
    echo "skipped: $what cannot be had here" >&2
    exit 77
}

# status WANT COMMAND...: for tests. Runs it, keeps its stdout and stderr in RUN, compares its exit status.
status() {
    local want=$1 got=0
    shift
    "$@" >"$RUN/out" 2>"$RUN/err" || got=$?
    [ "$got" = "$want" ] || { cat "$RUN/out" "$RUN/err" >&2; die "status $got, expected $want: $*"; }
}

# has out|err PATTERN: for tests. A file in RUN has a line like that.
has() { grep -qE "$2" "$RUN/$1" || { cat "$RUN/$1" >&2; die "no line like '$2' in $1"; }; }

# run_begin NAME: a fresh private folder for this run.
run_begin() {
    umask 077
    mkdir -p "$STATE/tmp" "$STATE/runs"
    RUN=$(mktemp -d "$STATE/tmp/$1.XXXXXX")
    mkdir "$RUN/log"
    trap run_end EXIT
    trap 'exit 130' INT TERM
}

# drop FOLDER: what was told to end may still write its logs.
drop() {
    local i
    for ((i = 0; i < 20; i++)); do
        if rm -rf "$1" 2>/dev/null; then return; fi
        sleep 0.5
    done
    rm -rf "$1"
}

run_end() {
    local status=$?
    trap - EXIT INT TERM
    [ "$status" != 77 ] || status=3 # whether a test is skipped is decided before run_begin: this is a failure that looks like it
    if [ "${KEEP:-0}" = 1 ] && [ "$status" = 0 ]; then
        say "kept running; logs and keys of this run are in $RUN"
        for name in "${!PIDS[@]}"; do say "  $name: pid ${PIDS[$name]}"; done
        say "stop it with: kill ${PIDS[*]}; rm -rf $RUN"
        exit 0
    fi
    for name in "${!PIDS[@]}"; do stop "$name"; done
    if [ "$status" != 0 ] && [ -n "$RUN" ]; then
        local kept="$STATE/last-failure"
        rm -rf "$kept"
        cp -r "$RUN/log" "$kept" 2>/dev/null && printf 'logs of the failed run: %s\n' "$kept" >&2
    fi
    [ -z "$RUN" ] || drop "$RUN"
    exit "$status"
}

# start NAME COMMAND...: runs in the background, output in RUN/log/NAME.log
start() {
    local name=$1
    shift
    "$@" >>"$RUN/log/$name.log" 2>&1 </dev/null &
    started "$name"
}

# started NAME: the last background process is NAME; bash need not announce how it ends.
started() {
    PIDS[$1]=$!
    disown "$!"
}

# stop NAME [SIGNAL]: ends a started process and waits for it (10 s, then KILL).
stop() {
    local pid=${PIDS[$1]:-} signal i
    [ -n "$pid" ] || return 0
    for signal in "${2:-TERM}" KILL; do
        kill -"$signal" "$pid" 2>/dev/null || break
        for ((i = 0; i < 100; i++)); do
            kill -0 "$pid" 2>/dev/null || break 2
            sleep 0.1
        done
    done
    unset "PIDS[$1]"
}

# wait_file NAME FILE SECONDS: until the process NAME has written FILE; its log explains a failure.
wait_file() {
    local i
    for ((i = 0; i < $3 * 20; i++)); do
        [ -s "$2" ] && return 0
        kill -0 "${PIDS[$1]}" 2>/dev/null || break
        sleep 0.05
    done
    tail -n 5 "$RUN/log/$1.log" >&2
    die "$1 did not start"
}

# wait_log NAME PATTERN: such a line comes into the log of the process NAME, within a minute.
wait_log() {
    local i
    for ((i = 0; i < 600; i++)); do
        if grep -qE "$2" "$RUN/log/$1.log"; then return 0; fi
        sleep 0.1
    done
    tail -n 10 "$RUN/log/$1.log" >&2
    die "no line like '$2'"
}

running() { kill -0 "${PIDS[$1]}" 2>/dev/null; }

# gone NAME...: waits for the end of started processes, LIMIT seconds each (default 300).
gone() {
    local name i
    for name in "$@"; do
        for ((i = 0; i < 20 * ${LIMIT:-300}; i++)); do
            running "$name" || break
            sleep 0.05
        done
        running "$name" && die "$name does not end"
        unset "PIDS[$name]"
    done
}

# finish NAME...: likewise; each must have said that it is done.
finish() {
    local name
    gone "$@"
    for name in "$@"; do
        grep -q '^done' "$RUN/log/$name.log" || {
            tail -n 3 "$RUN/log/$name.log" >&2
            die "$name did not end well"
        }
    done
}

# record NAME true|false: what `cczoo table` shows as the status of a solution.
record() {
    mkdir -p "$STATE/runs"
    printf '{"ok":%s,"time":"%s"}\n' "$2" "$(date -u +%Y-%m-%dT%H:%M:%SZ)" >"$STATE/runs/$1.json.tmp"
    mv "$STATE/runs/$1.json.tmp" "$STATE/runs/$1.json"
}

# median NUMBER...: for benches.
median() { printf '%s\n' "$@" | sort -g | awk '{v[NR]=$1} END {print (NR%2) ? v[(NR+1)/2] : (v[NR/2]+v[NR/2+1])/2}'; }

# expect_refusal PATTERN COMMAND...: the command must end with status 1 and a matching "refused:" line.
expect_refusal() {
    local pattern=$1 out status=0
    shift
    out=$("$@" 2>&1) || status=$?
    if [ "$status" != 1 ] || ! grep -qE "^refused: $pattern" <<<"$out"; then
        printf '%s\n' "$out" >&2
        die "expected exit status 1 and a line like 'refused: $pattern', got status $status"
    fi
    grep -E "^refused: $pattern" <<<"$out" | head -n 1
}
