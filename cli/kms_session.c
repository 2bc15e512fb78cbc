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

/* Nobody was there, or nobody answered: another address may do. Whose evidence is refused is not passed over. */
static bool try_next(ccz_rc rc)
{
    return rc == CCZ_E_UNAVAILABLE || rc == CCZ_E_TIMEOUT || rc == CCZ_E_IO || rc == CCZ_E_CLOSED;
}

static ccz_rc reach_one(struct kms_session *s, const char *target, struct ccz_err *err)
{
    const struct ccz_rpc_client_cfg cfg = {.target = target,
                                           .ratls = ccz_party_ratls(s->party),
                                           .message_size_max = CCZ_KMS_MESSAGE_SIZE_MAX};
    ccz_rc rc = ccz_rpc_client_new(&s->client, &cfg, err);
    s->peer = (struct ccz_ratls_peer){0};
    if (rc == CCZ_OK)
        rc = ccz_rpc_client_connect(&s->peer, s->client, err);
    if (rc == CCZ_OK && s->peer.claims.simulated)
        ui_simulated("the evidence of this KMS comes from a software TEE");
    return rc;
}

bool kms_id_is_usable(const struct kms_reach *r)
{
    if (!r->kms_id || r->admin_key)
        return true;
    ui_error("--kms-id needs --admin-key: a workload cannot ask which KMS it is");
    ui_hint("leave it out, and ask with the key of an auditor: cczoo kms status");
    return false;
}

/* Before anything is told to it. */
static ccz_rc check_id(struct kms_session *s, const char *id, struct ccz_err *err)
{
    struct ccz_kms_instance pin;
    struct ccz_kms_status st;
    struct ccz_kms_release from = {0};
    ccz_rc rc = ccz_kms_instance_parse(&pin, id, err);
    if (rc == CCZ_OK)
        rc = ccz_kms_get_status(&st, s->client, err);
    if (rc != CCZ_OK)
        return rc;
    memcpy(from.instance, st.instance, sizeof(from.instance));
    return ccz_kms_instance_check(&pin, &from, err);
}

/* The first address of "A,B" that answers, and that one alone: all calls of a session go to one KMS. */
static ccz_rc reach_any(struct kms_session *s, const struct kms_reach *r, struct ccz_err *err)
{
    ccz_rc rc = CCZ_E_UNAVAILABLE;
    const char *p = r->kms;
    do {
        char target[512];
        size_t n = strcspn(p, ",");
        if (n >= sizeof(target))
            return ccz_fail(err, CCZ_E_ARG, "kms:address", (int64_t)n, "the address is too long");
        memcpy(target, p, n);
        target[n] = 0;
        ccz_rpc_client_free(s->client);
        s->client = NULL;
        rc = reach_one(s, target, err);
        if (rc == CCZ_OK && r->kms_id)
            rc = check_id(s, r->kms_id, err);
        p += n + (p[n] == ',');
    } while (try_next(rc) && *p);
    return rc;
}

/* What a network error cannot know, and what a peer's word is not taken for. */
static ccz_rc hint_reach(ccz_rc rc, struct ccz_err *err)
{
    if (rc == CCZ_OK || err->hint[0])
        return rc;
    if (strcmp(err->where, "peer:kms:admin-unknown") == 0)
        return ccz_hint(err, rc,
                        "the KMS knows no such --admin-key: an administrator gives it roles, cczoo "
                        "kms role set");
    if (strncmp(err->where, "net:", 4) != 0)
        return rc;
    return ccz_hint(err, rc,
                    "is cczoo-kmsd running there, and is this the address of its --listen?");
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
    return hint_reach(reach_any(s, r, err), err);
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
