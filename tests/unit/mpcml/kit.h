/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_TEST_MPCML_KIT_H
#define CCZ_TEST_MPCML_KIT_H
/* Two parties in two threads that run the same program; regressions on made-up data of both. */
#include <cczoo/mpcml.h>

#include "ccz_test.h"
#include "test_rng.h"

#include <math.h>
#include <pthread.h>

#define OK(call)                                                                                   \
    do {                                                                                           \
        struct ccz_err ok_err = {0}, *e = &ok_err;                                                 \
        ccz_rc ok_rc = (call);                                                                     \
        if (ok_rc != CCZ_OK)                                                                       \
            fprintf(stderr, "%s:%d: %s %s\n", __FILE__, __LINE__, e->where, e->msg);               \
        CHECK(ok_rc == CCZ_OK);                                                                    \
    } while (0)

enum { KIT_REVEALS = 64 };
struct kit_party {
    struct ccz_chan *chan, *dealer;
    const struct ccz_mpcml_program *program;
    struct ccz_mpcml_run_cfg cfg;
    struct ccz_mpc_stats stats;
    ccz_rc rc;
    struct ccz_err err;
    struct ccz_mpc_reveal reveals[KIT_REVEALS]; /* as they were told */
    size_t reveals_len;
};
struct kit_pair {
    struct kit_party p[2];
    struct ccz_chan *dealer[2];
};

static inline void kit_on_reveal(void *arg, const struct ccz_mpc_reveal *r)
{
    struct kit_party *p = arg;
    CHECK(p->reveals_len < KIT_REVEALS);
    p->reveals[p->reveals_len++] = *r;
}

static inline void *kit_thread(void *arg)
{
    struct kit_party *p = arg;
    p->rc = ccz_mpcml_run(&p->stats, p->chan, p->program, &p->cfg, &p->err);
    if (p->dealer)
        ccz_chan_close(p->dealer, NULL);
    return NULL;
}

static inline void *kit_dealer(void *arg)
{
    struct kit_pair *k = arg;
    struct ccz_err err;
    if (ccz_mpc_dealer_run(k->dealer[0], k->dealer[1], NULL, &err) != CCZ_OK)
        fprintf(stderr, "dealer: %s %s\n", err.where, err.msg);
    return NULL;
}

static inline void kit_init(struct kit_pair *k, const struct ccz_mpcml_program *p0,
                            const struct ccz_mpcml_program *p1, const char *setting)
{
    memset(k, 0, sizeof(*k));
    OK(ccz_chan_pair(&k->p[0].chan, &k->p[1].chan, NULL, e));
    for (unsigned i = 0; i < 2; i++) {
        ccz_chan_set_timeout(k->p[i].chan, 60000);
        k->p[i].program = i ? p1 : p0;
        k->p[i].cfg.role = i;
        k->p[i].cfg.setting = ccz_mpcml_setting_named(setting);
        CHECK(k->p[i].cfg.setting);
        k->p[i].cfg.on_reveal = kit_on_reveal;
        k->p[i].cfg.arg = &k->p[i];
        if (k->p[i].cfg.setting->source != CCZ_MPC_SOURCE_DEALER)
            continue;
        OK(ccz_chan_pair(&k->p[i].dealer, &k->dealer[i], NULL, e));
        k->p[i].cfg.dealer = k->p[i].dealer;
    }
}

/* Both to the end. */
static inline void kit_run(struct kit_pair *k)
{
    pthread_t t, d;
    if (k->dealer[0])
        CHECK(pthread_create(&d, NULL, kit_dealer, k) == 0);
    CHECK(pthread_create(&t, NULL, kit_thread, &k->p[0]) == 0);
    (void)kit_thread(&k->p[1]);
    CHECK(pthread_join(t, NULL) == 0);
    if (k->dealer[0])
        CHECK(pthread_join(d, NULL) == 0);
}

static inline void kit_free(struct kit_pair *k)
{
    for (unsigned i = 0; i < 2; i++) {
        ccz_chan_free(k->p[i].chan);
        ccz_chan_free(k->p[i].dealer);
        ccz_chan_free(k->dealer[i]);
    }
}

static inline void kit_expect(const struct kit_party *p, ccz_rc rc, const char *where)
{
    if (p->rc != rc || strcmp(p->err.where, where) != 0)
        fprintf(stderr, "party %u: got %s %s (%s), expected %s %s\n", p->cfg.role,
                ccz_rc_name(p->rc), p->err.where, p->err.msg, ccz_rc_name(rc), where);
    CHECK(p->rc == rc && strcmp(p->err.where, where) == 0);
}

static inline uint64_t kit_bytes(const struct ccz_mpc_stats *s, unsigned phase)
{
    return s->phase[phase].sent_size + s->phase[phase].received_size;
}

/* ------------------------------------------------------------------------------- regressions */

/* Data of both parties, and two objects with them. */
struct kit_lr {
    struct ccz_mpcml_lr_cfg cfg;
    struct ccz_mpcml_lr_data data[2];
    double *x[2], *y[2], *score_x[2];
    struct ccz_mpcml_lr *lr[2];
};

static inline double kit_real(uint64_t *state)
{
    double sum = 0;
    for (int i = 0; i < 4; i++)
        sum += (double)(rnd(state) >> 11) / (double)(UINT64_C(1) << 53) - 0.5;
    return sum * 1.7;
}

/* Features of about unit variance; labels that follow a hidden model with noise. */
static inline void kit_lr_init(struct kit_lr *k, const struct ccz_mpcml_lr_cfg *cfg, uint64_t seed)
{
    const bool by_rows = cfg->split == CCZ_MPCML_ROWS;
    uint64_t state = seed * 0x9e3779b97f4a7c15u + 1;
    memset(k, 0, sizeof(*k));
    k->cfg = *cfg;
    for (unsigned p = 0; p < 2; p++) {
        const size_t rows = cfg->rows[p], columns = cfg->columns[p], score = cfg->score_rows[p];
        CHECK((k->x[p] = calloc(rows * columns + 1, sizeof(double))));
        CHECK((k->y[p] = calloc(rows + 1, sizeof(double))));
        CHECK((k->score_x[p] = calloc(score * columns + 1, sizeof(double))));
        for (size_t i = 0; i < rows * columns; i++)
            k->x[p][i] = kit_real(&state);
        for (size_t i = 0; i < score * columns; i++)
            k->score_x[p][i] = 2 * kit_real(&state);
    }
    for (unsigned p = 0; p < 2; p++)
        for (size_t i = 0; i < cfg->rows[p]; i++) {
            double z = 0.3 * kit_real(&state);
            for (unsigned q = 0; q < 2; q++)
                for (size_t j = 0; j < cfg->columns[q] && (!by_rows || p == q); j++)
                    z += k->x[q][i * cfg->columns[q] + j] * ((double)(j % 3) - 0.7 * (q + 1));
            k->y[p][i] = cfg->model == CCZ_MPCML_LINEAR ? z / 3 : z > 0;
        }
    for (unsigned p = 0; p < 2; p++) {
        k->data[p] =
            (struct ccz_mpcml_lr_data){.x = k->x[p], .y = k->y[p], .score_x = k->score_x[p]};
        if (!by_rows && cfg->labels != p)
            k->data[p].y = NULL;
        OK(ccz_mpcml_lr_new(&k->lr[p], p, cfg, &k->data[p], e));
    }
}

static inline void kit_lr_free(struct kit_lr *k)
{
    for (unsigned p = 0; p < 2; p++) {
        ccz_mpcml_lr_free(k->lr[p]);
        free(k->x[p]);
        free(k->y[p]);
        free(k->score_x[p]);
    }
}

static inline void kit_lr_start(struct kit_pair *pair, const struct kit_lr *k, const char *setting)
{
    kit_init(pair, ccz_mpcml_lr_program(k->lr[0]), ccz_mpcml_lr_program(k->lr[1]), setting);
}

/* Words of all weights, from what was revealed. OWN: of both parties, put together. */
static inline void kit_lr_words(int64_t *out, const struct kit_lr *k)
{
    const struct ccz_mpcml_lr_result r[2] = {ccz_mpcml_lr_result(k->lr[0]),
                                             ccz_mpcml_lr_result(k->lr[1])};
    const size_t len = ccz_mpcml_lr_weights_len(&k->cfg);
    const size_t *c = k->cfg.columns;
    if (k->cfg.weights == CCZ_MPCML_WEIGHTS_SHARED) {
        for (size_t j = 0; j < len; j++)
            out[j] = (int64_t)(r[0].share[j] + r[1].share[j]);
        return;
    }
    if (k->cfg.weights != CCZ_MPCML_WEIGHTS_OWN) {
        const unsigned who = k->cfg.weights == CCZ_MPCML_WEIGHTS_TO_1;
        CHECK(r[who].weights_len == len);
        memcpy(out, r[who].words, len * sizeof(*out));
        return;
    }
    for (unsigned p = 0; p < 2; p++) {
        const bool one = !k->cfg.no_intercept && k->cfg.labels == p;
        CHECK(r[p].weights_len == c[p] + one);
        if (c[p])
            memcpy(out + (p ? c[0] : 0), r[p].words, c[p] * sizeof(*out));
        if (one)
            out[len - 1] = r[p].words[c[p]];
    }
}

#endif
