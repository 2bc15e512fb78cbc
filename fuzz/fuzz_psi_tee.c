/* SPDX-License-Identifier: Apache-2.0 */
/* A party of a session by bytes: first its greeting, then its messages, each behind two bytes of length. The server
 * ends with an answer or a reason, and tells it to the other party that waits. */
#include "psi/tee_priv.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

static void expect(bool ok)
{
    if (!ok)
        abort();
}

static struct ccz_psi_ids *g_ids;

static void *other(void *arg)
{
    struct ccz_psi_result *r = NULL;
    struct ccz_err err = {0};
    const struct ccz_psi_tee_join_cfg cfg = {.terms = {.parties = 2}};
    ccz_rc rc = ccz_psi_tee_join(&r, arg, g_ids, &cfg, &err);
    expect((rc == CCZ_OK) == (r != NULL) && (rc == CCZ_OK || err.where[0]));
    ccz_psi_result_free(r);
    return NULL;
}

struct serving {
    struct ccz_psi_tee *tee;
    struct ccz_chan *chan;
};

static void *serve_other(void *arg)
{
    struct serving *s = arg;
    struct ccz_err err = {0};
    ccz_rc rc = ccz_psi_tee_serve(s->tee, 1, s->chan, &err);
    expect(rc == CCZ_OK || err.where[0]);
    return NULL;
}

static void send_pieces(struct ccz_chan *c, const uint8_t *data, size_t size)
{
    while (size >= 2) {
        size_t n = data[0] | (size_t)data[1] << 8;
        n = n < size - 2 ? n : size - 2;
        if (ccz_chan_send(c, CCZ_SPAN(data + 2, n), NULL) != CCZ_OK)
            break;
        data += 2 + n;
        size -= 2 + n;
    }
    ccz_chan_close(c, "the end of the input");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct ccz_psi_tee_cfg cfg = {.terms = {.parties = 2}, .len_max = 1000, .wait_ms = 1000};
    struct ccz_chan *c[4];
    struct serving s;
    struct ccz_err err = {0};
    pthread_t t[2];
    const struct ccz_span one = {(const uint8_t *)"id", 2};
    if (!g_ids)
        expect(ccz_psi_ids_new(&g_ids, &one, 1, NULL, NULL) == CCZ_OK);
    expect(ccz_psi_tee_new(&s.tee, &cfg, NULL) == CCZ_OK);
    expect(ccz_chan_pair(&c[0], &c[1], NULL, NULL) == CCZ_OK);
    expect(ccz_chan_pair(&c[2], &c[3], NULL, NULL) == CCZ_OK);
    for (int i = 0; i < 4; i++)
        ccz_chan_set_timeout(c[i], 1000);
    s.chan = c[2];
    expect(pthread_create(&t[0], NULL, serve_other, &s) == 0);
    expect(pthread_create(&t[1], NULL, other, c[3]) == 0);
    send_pieces(c[1], data, size);
    ccz_rc rc = ccz_psi_tee_serve(s.tee, 0, c[0], &err);
    expect(rc == CCZ_OK || err.where[0]);
    for (int i = 0; i < 2; i++)
        expect(pthread_join(t[i], NULL) == 0);
    for (int i = 0; i < 4; i++)
        ccz_chan_free(c[i]);
    ccz_psi_tee_free(s.tee);
    return 0;
}
