/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A protocol that counts before it shows rows. This one does it in the clear, which shows what the run makes of the number.
 * Linked with -Wl,--wrap=cczi_psi_protocol.
 */
#define _GNU_SOURCE
#include "parties.h"

#include <stdatomic.h>

static atomic_int buckets_run;

/* The sender shows its items; the receiver counts. */
static ccz_rc plain_count(uint64_t *len, struct cczi_psi_run *run, const struct cczi_psi_set *set,
                          struct ccz_err *err)
{
    *len = 0;
    if (run->cfg->role == CCZ_PSI_SENDER)
        return ccz_chan_send(run->chan, CCZ_SPAN(set->items, set->len * sizeof(*set->items)), err);
    struct cczi_psi_rec *theirs = malloc(set->peer_len * sizeof(*theirs));
    CHECK(theirs);
    ccz_rc rc = ccz_chan_recv_exact(theirs, set->peer_len * sizeof(*theirs), run->chan, err);
    for (size_t i = 0; rc == CCZ_OK && i < set->peer_len; i++)
        for (size_t k = 0; k < set->len; k++)
            *len += memcmp(theirs[i].b, set->items[k].b, 16) == 0;
    free(theirs);
    return rc;
}

static ccz_rc counted_bucket(struct cczi_psi_list **out, struct cczi_psi_run *run,
                             const struct cczi_psi_set *set, struct ccz_err *err)
{
    buckets_run++;
    return cczi_psi_vole_bucket(out, run, set, err);
}

const struct cczi_psi_protocol *__wrap_cczi_psi_protocol(enum ccz_psi_protocol p);
const struct cczi_psi_protocol *__wrap_cczi_psi_protocol(enum ccz_psi_protocol p)
{
    static const struct cczi_psi_protocol counting = {
        .name = "test", .bucket = counted_bucket, .count = plain_count};
    (void)p;
    return &counting;
}

/* 3,000 ids each, 700 in common. */
static void run_counting(struct party p[2], const struct ccz_psi_cfg *cfg)
{
    enum { N = 3000, COMMON = 700 };
    static uint64_t numbers[2][N];
    for (size_t i = 0; i < N; i++) {
        numbers[0][i] = i;
        numbers[1][i] = N - COMMON + i;
    }
    for (int i = 0; i < 2; i++) {
        p[i] = (struct party){.cfg = *cfg};
        p[i].ids = ids_of(numbers[i], N, NULL);
    }
    buckets_run = 0;
    run_pair(p, NULL, 0);
    for (int i = 0; i < 2; i++)
        ccz_psi_ids_free((struct ccz_psi_ids *)p[i].ids);
}

static void test_count_minimum(void)
{
    for (int both = 0; both < 2; both++) {
        for (uint64_t min = 699; min <= 701; min++) {
            const struct ccz_psi_cfg cfg = {.min_intersection = min,
                                            .learns = both ? CCZ_PSI_BOTH : CCZ_PSI_RECEIVER_ONLY,
                                            .bucket_len = both ? 1024 : 0};
            struct party p[2];
            run_counting(p, &cfg);
            for (int i = 0; i < 2; i++) {
                CHECK(p[i].rc == (min <= 700 ? CCZ_OK : CCZ_E_POLICY));
                CHECK(min <= 700 || strcmp(p[i].err.where, "psi:minimum") == 0);
            }
            /* no row protocol was begun if there are too few */
            CHECK(buckets_run == (min > 700 ? 0 : both ? 8 : 2));
            CHECK(min > 700 || (p[1].result->len == 700 && p[1].result->rows));
            free_results(p);
        }
    }
}

static void test_count_only(void)
{
    for (int both = 0; both < 2; both++) {
        const struct ccz_psi_cfg cfg = {.output = CCZ_PSI_CARDINALITY,
                                        .learns = both ? CCZ_PSI_BOTH : CCZ_PSI_RECEIVER_ONLY};
        struct party p[2];
        run_counting(p, &cfg);
        CHECK(p[0].rc == CCZ_OK && p[1].rc == CCZ_OK && buckets_run == 0);
        CHECK(p[1].result->learned && p[1].result->len == 700 && !p[1].result->rows);
        CHECK(p[0].result->learned == both && p[0].result->len == (both ? 700u : 0u));
        free_results(p);
    }
}

static const struct ccz_test tests[] = {{"psi.count_minimum", test_count_minimum},
                                        {"psi.count_only", test_count_only}};

int main(int argc, char **argv)
{
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
