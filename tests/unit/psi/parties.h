/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_PSI_PARTIES_H
#define CCZ_PSI_PARTIES_H
/* Sender and receiver as threads, joined by a channel in memory. Define _GNU_SOURCE first. */
#include "ccz_test.h"
#include "psi/psi_priv.h"
#include "test_rng.h"

#include <pthread.h>

struct party {
    struct ccz_chan *chan;
    const struct ccz_psi_ids *ids;
    struct ccz_psi_cfg cfg;
    struct ccz_psi_result *result;
    ccz_rc rc;
    struct ccz_err err;
    void *(*run)(void *party); /* NULL: ccz_psi_run() */
    int64_t timeout_ms;        /* 0: 20 s */
    uint64_t sent_len;         /* [out] messages */
};

static inline void *party_run(void *arg)
{
    struct party *p = arg;
    p->rc = ccz_psi_run(&p->result, p->chan, p->ids, &p->cfg, &p->err);
    return NULL;
}

/* p[0] sends, p[1] receives; what breaks messages goes to @p fault's side. */
static inline void run_pair(struct party p[2], const struct ccz_chan_fault_cfg *fault, int side)
{
    pthread_t t;
    CHECK(ccz_chan_pair(&p[0].chan, &p[1].chan, NULL, NULL) == CCZ_OK);
    if (fault)
        CHECK(ccz_chan_fault_new(&p[side].chan, p[side].chan, fault, NULL) == CCZ_OK);
    for (int i = 0; i < 2; i++)
        ccz_chan_set_timeout(p[i].chan, p[i].timeout_ms ? p[i].timeout_ms : 20000);
    if (!p[0].cfg.role)
        p[0].cfg.role = CCZ_PSI_SENDER;
    if (!p[1].cfg.role)
        p[1].cfg.role = CCZ_PSI_RECEIVER;
    CHECK(pthread_create(&t, NULL, p[0].run ? p[0].run : party_run, &p[0]) == 0);
    (void)(p[1].run ? p[1].run(&p[1]) : party_run(&p[1]));
    CHECK(pthread_join(t, NULL) == 0);
    for (int i = 0; i < 2; i++) {
        if (!p[i].run)
            CHECK((p[i].rc == CCZ_OK) == (p[i].result != NULL));
        p[i].sent_len = ccz_chan_stats(p[i].chan).sent_len;
        ccz_chan_free(p[i].chan);
    }
}

static inline void free_results(struct party p[2])
{
    ccz_psi_result_free(p[0].result);
    ccz_psi_result_free(p[1].result);
}

/* Ids "id-<number>" for numbers[0 .. len-1]. */
static inline struct ccz_psi_ids *ids_of(const uint64_t *numbers, size_t len,
                                         const struct ccz_psi_ids_cfg *cfg)
{
    struct ccz_psi_ids *ids;
    struct ccz_span *spans = malloc(len * sizeof(*spans) + 1);
    char *text = malloc(len * 24 + 1);
    CHECK(spans && text);
    for (size_t i = 0; i < len; i++) {
        int n = snprintf(text + 24 * i, 24, "id-%llu", (unsigned long long)numbers[i]);
        spans[i] = CCZ_SPAN(text + 24 * i, (size_t)n);
    }
    struct ccz_err err = {0};
    ccz_rc rc = ccz_psi_ids_new(&ids, spans, len, cfg, &err);
    if (rc != CCZ_OK)
        fprintf(stderr, "%s: %s\n", err.where, err.msg);
    CHECK(rc == CCZ_OK);
    free(spans);
    free(text);
    return ids;
}
#endif
