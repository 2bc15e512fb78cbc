/* SPDX-License-Identifier: Apache-2.0 */
/* The client's side of a conversation, over any transport. */
#include <cczoo/helr.h>

#include <stdlib.h>
#include <string.h>

struct ccz_helr_remote {
    struct ccz_helr_client *client;
    struct ccz_helr_remote_cfg cfg;
    struct ccz_buf request, reply;
    struct ccz_helr_stats stats;
};

/* The keys, and the model if it is ours: once, and again if the server has forgotten them. */
static ccz_rc open_session(struct ccz_helr_remote *r, struct ccz_err *err)
{
    CCZ_AUTO_BUF msg, ready;
    ccz_buf_init(&msg, CCZ_HELR_KEYS_SIZE_MAX);
    ccz_buf_init(&ready, 1024);
    ccz_rc rc = ccz_helr_client_keys(&msg, r->client, err);
    if (rc == CCZ_OK)
        rc = r->cfg.call(r->cfg.arg, &ready, "Keys", ccz_buf_span(&msg), err);
    if (rc == CCZ_OK)
        rc = ccz_helr_client_ready(r->client, ccz_buf_span(&ready), err);
    r->stats.once_size += msg.size;
    if (rc != CCZ_OK || !r->cfg.client.model)
        return rc;
    ccz_buf_clear(&msg);
    ccz_buf_clear(&ready);
    rc = ccz_helr_client_model(&msg, r->client, r->cfg.model_rows, err);
    if (rc == CCZ_OK)
        rc = r->cfg.call(r->cfg.arg, &ready, "Model", ccz_buf_span(&msg), err);
    if (rc == CCZ_OK)
        rc = ccz_helr_client_ready(r->client, ccz_buf_span(&ready), err);
    r->stats.once_size += msg.size;
    return rc;
}

ccz_rc ccz_helr_remote_new(struct ccz_helr_remote **out, const struct ccz_helr_remote_cfg *cfg,
                           struct ccz_err *err)
{
    *out = NULL;
    CCZ_AUTO(ccz_helr_remote) r = calloc(1, sizeof(*r));
    if (!r)
        return ccz_fail(err, CCZ_E_NOMEM, "helr:memory", 0, "out of memory");
    r->cfg = *cfg;
    ccz_buf_init(&r->request, CCZ_HELR_REQUEST_SIZE_MAX);
    ccz_buf_init(&r->reply, CCZ_HELR_REPLY_SIZE_MAX);
    ccz_rc rc = cfg->call(cfg->arg, &r->reply, "Info", (struct ccz_span){0}, err);
    if (rc == CCZ_OK)
        rc = ccz_helr_client_new(&r->client, ccz_buf_span(&r->reply), &cfg->client, err);
    if (rc == CCZ_OK && r->cfg.model_rows == 0)
        r->cfg.model_rows = ccz_helr_client_info(r->client)->ring.n / 2;
    if (rc == CCZ_OK)
        rc = open_session(r, err);
    if (rc == CCZ_OK)
        *out = ccz_helr_remote_take(&r);
    return rc;
}

void ccz_helr_remote_free(struct ccz_helr_remote *r)
{
    if (!r)
        return;
    ccz_helr_client_free(r->client);
    ccz_buf_free(&r->request);
    ccz_buf_free(&r->reply);
    free(r);
}

struct ccz_helr_client *ccz_helr_remote_client(struct ccz_helr_remote *r)
{
    return r->client;
}

struct ccz_helr_stats ccz_helr_remote_stats(const struct ccz_helr_remote *r)
{
    return r->stats;
}

static ccz_rc send_request(struct ccz_helr_remote *r, struct ccz_err *err)
{
    struct ccz_err local = {0};
    struct ccz_span request = ccz_buf_span(&r->request);
    ccz_buf_clear(&r->reply);
    ccz_rc rc = r->cfg.call(r->cfg.arg, &r->reply, "Score", request, &local);
    if (rc == CCZ_E_NOT_FOUND && strcmp(local.where, "helr:session") == 0) {
        rc = open_session(r, &local); /* has the same name as before: the request stays good */
        if (rc == CCZ_OK)
            rc = r->cfg.call(r->cfg.arg, &r->reply, "Score", request, &local);
    }
    if (rc != CCZ_OK && err)
        *err = local;
    return rc;
}

ccz_rc ccz_helr_remote_score(double *score, struct ccz_helr_remote *r, const double *x, size_t rows,
                             struct ccz_err *err)
{
    struct ccz_helr_stats *st = &r->stats;
    int64_t start_ns = ccz_mono_ns();
    memset(score, 0, rows * sizeof(*score));
    ccz_buf_clear(&r->request);
    ccz_rc rc = ccz_helr_encrypt(&r->request, r->client, x, rows, err);
    int64_t encrypted_ns = ccz_mono_ns();
    if (rc == CCZ_OK)
        rc = send_request(r, err);
    int64_t answered_ns = ccz_mono_ns();
    if (rc == CCZ_OK)
        rc = ccz_helr_decrypt(score, r->client, ccz_buf_span(&r->reply), rows, err);
    if (rc != CCZ_OK)
        return rc;
    st->requests++;
    st->sent_size += r->request.size;
    st->received_size += r->reply.size;
    st->encrypt_ns += encrypted_ns - start_ns;
    st->call_ns += answered_ns - encrypted_ns;
    st->decrypt_ns += ccz_mono_ns() - answered_ns;
    return CCZ_OK;
}
