#!/usr/bin/env bash
# Two parties with different columns of the same rows train one network, split between them. See README.md.
# usage: run.sh [images|credit|ratings]    WORKERS: processes of each party, of credit and ratings; default 1
. "$(dirname "$0")/parties.sh"
what=${1:-images}
run_begin "$NAME"
[ "$what" != images ] || record "$NAME" false # until the last line says otherwise
make_attested

case $what in
    images)
        ((${WORKERS:-1} == 1)) || die "WORKERS is for credit and ratings"
        . "$HERE/images.sh"
        ;;
    credit | ratings) . "$HERE/tables.sh" ;;
    *) die "usage: run.sh [images|credit|ratings]" ;;
esac
[ "$what" != images ] || record "$NAME" true
say "ok: one network, trained by two parties; neither columns nor labels left their owner"
