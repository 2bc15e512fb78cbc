/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Baselines and evaluation at the shape of MovieLens 1M (synthetic): `bench_recsys_eval [THREADS [TIER]...]`, 1 and all tiers by
 * default. Columns: what, seconds of wall time, seconds of processor time (all threads).
 */
#define _POSIX_C_SOURCE 200809L
#include "bench.h"

#include <cczoo/recsys_eval.h>

enum { USERS = 6040, ITEMS = 3706, RATINGS = 1000000 };

static int64_t wall, cpu;

static void begin(void)
{
    wall = wall_ns();
    cpu = cpu_ns();
}

static void end(const char *what)
{
    printf("%s\t%.2f\t%.2f\n", what, (double)(wall_ns() - wall) / 1e9,
           (double)(cpu_ns() - cpu) / 1e9);
    fflush(stdout);
}

static void done(ccz_rc rc, const struct ccz_err *err)
{
    if (rc != CCZ_OK) {
        fprintf(stderr, "error: %s: %s\n", err->where, err->msg);
        exit(1);
    }
}

static struct ccz_recsys_csr *rows_of(const struct ccz_recsys_ratings *r)
{
    struct ccz_recsys_csr *m;
    struct ccz_err err;
    done(ccz_recsys_csr_new(&m, r, CCZ_RECSYS_TWICE_REFUSE, &err), &err);
    return m;
}

static void run_ease(const struct ccz_recsys_csr *train, const struct ccz_recsys_csr *test,
                     unsigned threads, const char *tier)
{
    CCZ_AUTO(ccz_recsys_ease) e = NULL;
    struct ccz_recsys_metrics m;
    struct ccz_err err;
    char text[64];
    begin();
    ccz_rc rc = ccz_recsys_ease_new(
        &e, train, &(struct ccz_recsys_ease_cfg){.threads = threads, .tier = tier}, &err);
    if (rc == CCZ_E_UNAVAILABLE)
        return;
    done(rc, &err);
    (void)snprintf(text, sizeof(text), "EASE, %s", tier);
    end(text);
    begin();
    done(ccz_recsys_evaluate(&m, ccz_recsys_ease_recommend, e, train, test,
                             &(struct ccz_recsys_eval_cfg){.threads = threads}, &err),
         &err);
    (void)snprintf(text, sizeof(text), "evaluation of EASE, %s", tier);
    end(text);
}

int main(int argc, char **argv)
{
    static const char *const all[] = {"portable", "avx2", "avx512"};
    const unsigned threads = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : 1;
    CCZ_AUTO(ccz_recsys_synth) s = NULL;
    CCZ_AUTO(ccz_recsys_popular) popular = NULL;
    CCZ_AUTO(ccz_recsys_knn) knn = NULL;
    struct ccz_recsys_ratings r, a, b;
    struct ccz_recsys_metrics m;
    struct ccz_err err;
    done(ccz_recsys_synth_new(&s,
                              &(struct ccz_recsys_synth_cfg){
                                  .users = USERS, .items = ITEMS, .ratings = RATINGS, .topics = 16},
                              &err),
         &err);
    begin();
    done(ccz_recsys_synth_ratings(&r, s, threads, &err), &err);
    end("1,000,000 synthetic ratings");
    done(ccz_recsys_split(&a, &b, NULL, &r,
                          &(struct ccz_recsys_split_cfg){.kind = CCZ_RECSYS_SPLIT_LAST}, &err),
         &err);
    struct ccz_recsys_csr *train = rows_of(&a), *test = rows_of(&b);
    begin();
    done(ccz_recsys_knn_new(&knn, train, &(struct ccz_recsys_knn_cfg){.threads = threads}, &err),
         &err);
    end("item-kNN, cosine");
    done(ccz_recsys_popular_new(&popular, train, false, &err), &err);
    begin();
    done(ccz_recsys_evaluate(&m, ccz_recsys_popular_recommend, popular, train, test,
                             &(struct ccz_recsys_eval_cfg){.threads = threads}, &err),
         &err);
    end("evaluation of popularity");
    begin();
    done(ccz_recsys_evaluate(&m, ccz_recsys_popular_recommend, popular, train, test,
                             &(struct ccz_recsys_eval_cfg){.bootstrap = 1000, .threads = threads},
                             &err),
         &err);
    end("the same with 1,000 resamples");
    if (argc > 2)
        for (int i = 2; i < argc; i++)
            run_ease(train, test, threads, argv[i]);
    else
        for (int i = 0; i < 3; i++)
            run_ease(train, test, threads, all[i]);
    ccz_recsys_csr_free(train);
    ccz_recsys_csr_free(test);
    ccz_recsys_ratings_deinit(&r);
    ccz_recsys_ratings_deinit(&a);
    ccz_recsys_ratings_deinit(&b);
    return 0;
}
