# A private PostgreSQL on a unix socket; sourced, behind kms.sh, by tests of the KMS on it.
# shellcheck shell=bash

# pg_find: before run_begin. Sets pgbin and as; skips the test where there is no server, or nobody whom it would run as.
pg_find() {
    [ -x "$BIN/kms-pg-cases" ] || { echo "skipped: built without libpq"; exit 77; }
    pgbin=$(find /usr/lib/postgresql -maxdepth 3 -path '*/bin/initdb' 2>/dev/null | sort -V | tail -n 1)
    [ -n "$pgbin" ] || { echo "skipped: no PostgreSQL server"; exit 77; }
    pgbin=$(dirname "$pgbin")
    as=()
    [ "$(id -u)" != 0 ] || as=(runuser -u postgres --) # the server refuses to run as root
    [ "$(id -u)" != 0 ] || id postgres >/dev/null 2>&1 || { echo "skipped: no user postgres"; exit 77; }
}

pg_ctl() { (cd / && "${as[@]}" "$pgbin/pg_ctl" -D "$PG/data" -s -w "$@" >>"$RUN/log/pg_ctl.log" 2>&1 </dev/null); }

pg_end() { # also when something failed: nothing may end it early
    local status=$?
    set +e
    if declare -F pg_before_end >/dev/null; then pg_before_end; fi
    pg_ctl -m immediate stop
    rm -rf "$PG"
    (exit "$status")
    run_end
}

# pg_begin [OPTION]: behind run_begin. Sets PG, its folder with socket and data; OPTION goes to the server.
pg_begin() {
    PG=$(mktemp -d /tmp/cczoo-pg.XXXXXX) # short: the path of a socket has a limit
    chmod 711 "$PG"
    [ "$(id -u)" != 0 ] || chown postgres "$PG"
    trap pg_end EXIT
    (cd / && "${as[@]}" "$pgbin/initdb" -D "$PG/data" -U tester -A trust >>"$RUN/log/initdb.log" 2>&1) || die "initdb: $(tail -n 3 "$RUN/log/initdb.log")"
    PG_OPTIONS="-c listen_addresses= -c unix_socket_directories=$PG -c port=5499 -c log_min_messages=fatal ${1:-}"
    pg_ctl -l "$PG/log" -o "$PG_OPTIONS" start || die "PostgreSQL does not start"
}

# pg_crash: as when the power fails, and up again.
pg_crash() { pg_ctl -m immediate -l "$PG/log" -o "$PG_OPTIONS" restart || die "PostgreSQL does not come up"; }
