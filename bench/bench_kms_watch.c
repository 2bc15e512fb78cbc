/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What it costs a release that workloads are recorded and that a policy is on trial, and how long a replay takes. In
 * memory and without a network, so that nothing hides it; CPU time of the one thread.
 *
 *   bench_kms_watch
 *
 * Lines:  kms-watch   off | seen | staged | flood   CPU us per release (batches of 100, median of rounds that take turns)
 *         kms-replay  recorded workloads  CPU ms of the whole replay  CPU ms of its slowest page
 */
#define _GNU_SOURCE
#include "../tests/unit/kms/kms_fixture.h"
#include "bench.h"

enum { ROUNDS = 15, BATCHES = 60, BATCH = 100, WORKLOADS = 10000 };
enum mode { OFF, SEEN, STAGED, FLOOD, MODES };
static const char *const names[MODES] = {"off", "seen", "staged", "flood"};

static struct fix_batch batch;
static unsigned next_identity;

static double round_of(struct ccz_kms_store *s, enum mode mode)
{
    int64_t took = 0;
    for (int i = 0; i < BATCHES; i++) {
        fix_batch_begin(&batch);
        for (int k = 0; k < BATCH; k++) {
            fix_batch_release(&batch, FIX_WORKLOAD, "key/model");
            batch.peer[k].claims.report_data[0] = (uint8_t)k; /* of a session each */
            batch.peer[k].spki_sha256[0] = (uint8_t)k;
            if (mode == FLOOD)
                memcpy(batch.peer[k].claims.config_id, &(unsigned){++next_identity},
                       sizeof(next_identity));
        }
        int64_t from = cpu_ns();
        fix_batch_run(&batch, s);
        took += cpu_ns() - from;
        must(batch.entry[BATCH - 1].rc == CCZ_OK, "a release failed");
        fix_batch_end(&batch);
    }
    return (double)took / 1e3 / (BATCHES * BATCH);
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void releases(void)
{
    static double us[MODES][ROUNDS];
    struct ccz_kms_store *s[MODES];
    for (int m = 0; m < MODES; m++) {
        s[m] = fix_memory_store();
        fix_populate(s[m]);
        if (m == OFF) {
            cczi_kms_watch_free(s[m]->watch);
            s[m]->watch = NULL;
        }
        if (m == STAGED)
            must(fix_stage(s[m], "server", fix_policy_other, FIX_NOW + 3600, NULL) == CCZ_OK,
                 "stage");
    }
    for (int r = 0; r < ROUNDS; r++)
        for (int m = 0; m < MODES; m++)
            us[m][r] = round_of(s[m], (enum mode)m);
    for (int m = 0; m < MODES; m++) {
        qsort(us[m], ROUNDS, sizeof(double), by_value);
        printf("kms-watch\t%s\t%.2f\n", names[m], us[m][ROUNDS / 2]);
        ccz_kms_store_free(s[m]);
    }
}

static void replay(void)
{
    struct ccz_kms_store *s = fix_memory_store();
    fix_populate(s);
    for (int i = 0; i < WORKLOADS / (BATCHES * BATCH) + 1; i++)
        (void)round_of(s, FLOOD);
    uint64_t rows = fix_check(s).evidence, n = 0;
    uint8_t next[32] = {0};
    double all = 0, slowest = 0;
    CCZ_AUTO_BUF out;
    ccz_buf_init(&out, CCZ_KMS_MESSAGE_SIZE_MAX);
    for (bool more = true; more;) {
        struct cczi_msg_page p = {0};
        const struct cczi_msg_replay_req m = {.policy = ccz_span_str("server"),
                                              .json = ccz_span_str(fix_policy_other),
                                              .after = CCZ_SPAN(next, n ? 32 : 0)};
        int64_t from = cpu_ns();
        must(fix_msg(&out, s, FIX_ADMIN, "Replay", cczi_msg_replay_req, &m, NULL) == CCZ_OK,
             "replay");
        double took = (double)(cpu_ns() - from) / 1e6;
        all += took;
        slowest = took > slowest ? took : slowest;
        must(cczi_msg_get(&p, cczi_msg_page, ccz_buf_span(&out), NULL) == CCZ_OK &&
                 p.next.size == 32,
             "page");
        memcpy(next, p.next.ptr, 32);
        struct ccz_rd r = ccz_rd_from(ccz_buf_span(&out));
        struct ccz_pb_field f;
        more = false;
        while (ccz_pb_next(&f, &r)) {
            n += f.number == CCZI_MSG_REPEATED;
            more = more || f.number == CCZI_MSG_MORE;
        }
    }
    must(n == rows, "rows");
    printf("kms-replay\t%llu\t%.1f\t%.1f\n", (unsigned long long)rows, all, slowest);
    ccz_kms_store_free(s);
}

int main(void)
{
    releases();
    replay();
    return 0;
}
