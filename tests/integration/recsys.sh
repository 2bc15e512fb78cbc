# A KMS, a trainer and a server of recommendations in the software TEE, with made-up ratings; sourced by tests. Made of the
# steps of solution 09.
# shellcheck shell=bash
TOP=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
CCZOO_RATINGS=/nonexistent # none are fetched: made_up_ratings()
. "$TOP/solutions/09-secure-recsys/parties.sh"
PARAMETERS=(--kind implicit-ials --factors 12 --iterations 6 --reg 0.02 --unobserved 0.2 --seed 1)
RUNNING=(--bootstrap 0)
FORMAT=csv # ids are texts

# made_up_ratings: 120 users of three tastes, 60 films of three kinds; ratings.csv and movies.csv in RUN/made-up.
made_up_ratings() {
    RATINGS=$RUN/made-up
    mkdir "$RATINGS"
    awk 'BEGIN {
        print "user,item,rating,timestamp"
        for (u = 0; u < 120; u++)
            for (i = 0; i < 60; i++) {
                x = (u * 7919 + i * 104729 + u * i * 31) % 1009
                if (i == u % 60 || x < (i % 3 == u % 3 ? 420 : 60))
                    printf "u%d,film %d,%d,%d\n", u, i, 1 + x % 5, 1000 + u * 100 + x
            }
    }' >"$RATINGS/ratings.csv"
    awk 'BEGIN { print "movieId,title,genres"; for (i = 0; i < 60; i++) printf "film %d,Title %d of kind %d,none\n", i, i, i % 3 }' \
        >"$RATINGS/movies.csv"
}

# recsys_server OPTIONS...: everything up to a server of model version 1.
recsys_server() {
    made_up_ratings
    make_platform
    start_kms
    protect_ratings
    order
    new_model_key 1
    train "$BIN/cczoo-trainer" 1 >>"$RUN/log/train.log" 2>&1 || die "no model: $(tail -n 2 "$RUN/log/train.log")"
    publish 1
    rm -f "$RUN/server.port" "$RUN/server.rest"
    served "$BIN/cczoo-served" --port-file "$RUN/server.port" --rest 127.0.0.1:0 --rest-port-file "$RUN/server.rest" "$@"
    start server "${SERVED[@]}"
    wait_file server "$RUN/server.port" 30
    REST=https://127.0.0.1:$(cat "$RUN/server.rest")
}
