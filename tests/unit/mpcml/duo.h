/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_TEST_MPCML_DUO_H
#define CCZ_TEST_MPCML_DUO_H
/* Two parties that run a program in two threads of one process. */
#include <cczoo/chan.h>
#include <cczoo/mpcml.h>

#include "ccz_test.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

enum { DUO_REVEALS = 8 };
struct side {
    struct ccz_chan *chan;
    const struct ccz_mpcml_program *program;
    struct ccz_mpcml_run_cfg cfg;
    struct ccz_mpc_stats stats;
    struct ccz_mpc_reveal reveals[DUO_REVEALS];
    size_t reveals_len;
    ccz_rc rc;
    struct ccz_err err;
};

static inline void side_reveals(void *arg, const struct ccz_mpc_reveal *r)
{
    struct side *s = arg;
    CHECK(s->reveals_len < DUO_REVEALS);
    s->reveals[s->reveals_len++] = *r;
}

static inline void duo_init(struct side s[2], const struct ccz_mpcml_program *program0,
                            const struct ccz_mpcml_program *program1, enum ccz_mpc_trunc trunc)
{
    memset(s, 0, 2 * sizeof(*s));
    CHECK(ccz_chan_pair(&s[0].chan, &s[1].chan, NULL, NULL) == CCZ_OK);
    for (unsigned r = 0; r < 2; r++) {
        ccz_chan_set_timeout(s[r].chan, 30000);
        s[r].program = r ? program1 : program0;
        s[r].cfg = (struct ccz_mpcml_run_cfg){
            .role = r, .trunc = trunc, .on_reveal = side_reveals, .arg = &s[r]};
    }
}

static inline void *side_run(void *arg)
{
    struct side *s = arg;
    s->rc = ccz_mpcml_run(&s->stats, s->chan, s->program, &s->cfg, &s->err);
    return NULL;
}

static inline void duo_run(struct side s[2])
{
    pthread_t t;
    CHECK(pthread_create(&t, NULL, side_run, &s[0]) == 0);
    (void)side_run(&s[1]);
    CHECK(pthread_join(t, NULL) == 0);
}

static inline void duo_free(struct side s[2])
{
    for (int r = 0; r < 2; r++) {
        ccz_chan_free(s[r].chan);
        s[r].chan = NULL;
    }
}

static inline void duo_ok(const struct side s[2])
{
    for (int r = 0; r < 2; r++) {
        if (s[r].rc != CCZ_OK)
            fprintf(stderr, "party %d: %s %s\n", r, s[r].err.where, s[r].err.msg);
        CHECK(s[r].rc == CCZ_OK);
    }
}

/* One of both names the reason, the other one heard of it, and nothing was revealed. */
static inline void duo_refused(const struct side s[2], const char *where)
{
    bool named = false;
    for (int r = 0; r < 2; r++) {
        const bool own = strcmp(s[r].err.where, where) == 0;
        if (s[r].rc == CCZ_OK || (!own && !strstr(s[r].err.msg, where)))
            fprintf(stderr, "party %d: got %s (%s), expected %s\n", r, s[r].err.where, s[r].err.msg,
                    where);
        CHECK(s[r].rc != CCZ_OK && (own || strstr(s[r].err.msg, where)));
        CHECK(s[r].reveals_len == 0);
        named = named || own;
    }
    CHECK(named);
}

static inline uint64_t duo_size(const struct ccz_mpc_phase_stats *s)
{
    return s->sent_size + s->received_size;
}
#endif
