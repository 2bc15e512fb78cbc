/* SPDX-License-Identifier: Apache-2.0 */
#include "kms_session.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

void kms_session_end(struct kms_session *s)
{
    ccz_rpc_client_free(s->client); /* before the party whose context it uses */
    ccz_party_free(s->party);
    ccz_key_free(s->key);
}

ccz_rc kms_session_begin(struct kms_session *s, const struct kms_reach *r, struct ccz_err *err)
{
    *s = (struct kms_session){0};
    ccz_rc rc = r->admin_key ? ccz_key_load(&s->key, r->admin_key, err) : CCZ_OK;
    if (rc != CCZ_OK)
        return rc;
    const struct ccz_party_cfg party = {.tee = {.provider = r->tee, .sim_dir = r->sim_dir},
                                        .collateral_dir = r->collateral,
                                        .trust_sim_dir = r->trust_sim,
                                        .policy_file = r->policy,
                                        .key = s->key};
    rc = ccz_party_new(&s->party, &party, err);
    if (rc != CCZ_OK)
        return rc;
    const struct ccz_rpc_client_cfg cfg = {.target = r->kms,
                                           .ratls = ccz_party_ratls(s->party),
                                           .message_size_max = CCZ_KMS_MESSAGE_SIZE_MAX};
    struct ccz_ratls_peer peer = {0};
    rc = ccz_rpc_client_new(&s->client, &cfg, err);
    if (rc == CCZ_OK)
        rc = ccz_rpc_client_connect(&peer, s->client, err);
    if (rc == CCZ_OK && peer.claims.simulated)
        ui_simulated("the evidence of this KMS comes from a software TEE");
    return rc;
}

static ccz_rc read_stdin(struct ccz_buf *b, struct ccz_err *err)
{
    for (;;) {
        uint8_t chunk[4096];
        ssize_t n = read(STDIN_FILENO, chunk, sizeof(chunk));
        if (n > 0)
            ccz_buf_put(b, chunk, (size_t)n);
        ccz_wipe(chunk, sizeof(chunk));
        if (n < 0 && errno != EINTR)
            return ccz_fail(err, CCZ_E_IO, "kms:stdin", errno, "cannot read stdin: %s",
                            strerror(errno));
        if (n == 0 || b->bad)
            break;
    }
    if (b->bad || b->size == 0)
        return ccz_fail(err, CCZ_E_LIMIT, "kms:value-size", 0, "expected 1..%zu bytes on stdin",
                        b->max_size);
    return CCZ_OK;
}

ccz_rc kms_read_value(struct ccz_secret **out, const char *file, struct ccz_err *err)
{
    *out = NULL;
    if (strcmp(file, "-") != 0)
        return ccz_file_read_secret(out, file, CCZ_KMS_VALUE_SIZE_MAX, err);
    CCZ_AUTO_BUF b;
    ccz_buf_init(&b, CCZ_KMS_VALUE_SIZE_MAX);
    b.wipe = true;
    ccz_rc rc = read_stdin(&b, err);
    return rc == CCZ_OK ? ccz_secret_from(out, b.ptr, b.size) : rc;
}

ccz_rc kms_read_text(struct ccz_buf *out, const char *file, struct ccz_err *err)
{
    return strcmp(file, "-") == 0 ? read_stdin(out, err) : ccz_file_read(out, file, err);
}
