/* SPDX-License-Identifier: Apache-2.0 */
/* Checkpoints, proofs between them and keys that sign, from the caller's side. What a server answers is checked like any other input. */
#include "kms_priv.h"

#include <cczoo/codec.h>

#include <string.h>

enum { PROOF_PATH = 1, PROOF_KEYS = 3, ASKED_MAX = 10000 };

struct keys {
    struct ccz_key **key;
    size_t len;
};

static void free_keys(struct keys *k)
{
    for (; k->len; k->len--) {
        ccz_key_free(k->key[k->len - 1]);
        k->key[k->len - 1] = NULL;
    }
}

static ccz_rc take_keys(struct keys *k, uint32_t field, struct ccz_span in, struct ccz_err *err)
{
    struct ccz_rd r = ccz_rd_from(in);
    struct ccz_pb_field f;
    while (ccz_pb_next(&f, &r)) {
        if (f.number != field)
            continue;
        if (f.wire != CCZ_PB_LEN || k->len == CCZ_KMS_LOG_KEYS_MAX)
            return cczi_kms_malformed(err);
        ccz_rc rc = ccz_key_from_spki(&k->key[k->len], f.bytes, err);
        if (rc != CCZ_OK)
            return rc;
        k->len++;
    }
    return r.bad || k->len == 0 ? cczi_kms_malformed(err) : CCZ_OK;
}

ccz_rc ccz_kms_get_checkpoint(struct ccz_kms_checkpoint *out,
                              struct ccz_key *keys[CCZ_KMS_LOG_KEYS_MAX], size_t *len,
                              struct ccz_rpc_client *c, struct ccz_err *err)
{
    *out = (struct ccz_kms_checkpoint){0};
    *len = 0;
    struct keys k = {.key = keys};
    struct cczi_msg_checkpoint m = {0};
    CCZ_AUTO_BUF response = {0};
    ccz_rc rc = cczi_kms_call(&response, c, "Checkpoint", cczi_msg_none, NULL, err);
    if (rc == CCZ_OK && cczi_msg_get(&m, cczi_msg_checkpoint, ccz_buf_span(&response), NULL))
        rc = cczi_kms_malformed(err);
    struct ccz_kms_checkpoint cp = {0};
    if (rc == CCZ_OK)
        rc = ccz_kms_checkpoint_parse(&cp, m.text, err);
    if (rc == CCZ_OK)
        rc = take_keys(&k, CCZI_MSG_REPEATED, ccz_buf_span(&response), err);
    if (rc == CCZ_OK)
        rc = ccz_kms_checkpoint_check(&cp, (const struct ccz_key *const *)keys, k.len, err);
    if (rc != CCZ_OK) {
        free_keys(&k);
        return rc;
    }
    *out = cp;
    *len = k.len;
    return CCZ_OK;
}

/* ------------------------------------------------------------------------- consistency */

static ccz_rc take_path(struct ccz_kms_path *out, struct ccz_span in, struct ccz_err *err)
{
    struct ccz_rd r = ccz_rd_from(in);
    struct ccz_pb_field f;
    *out = (struct ccz_kms_path){0};
    while (ccz_pb_next(&f, &r)) {
        if (f.number != PROOF_PATH)
            continue;
        if (f.wire != CCZ_PB_LEN || f.bytes.size != 32 || out->len == CCZ_KMS_PATH_MAX)
            return cczi_kms_malformed(err);
        memcpy(out->node[out->len++], f.bytes.ptr, 32);
    }
    return r.bad ? cczi_kms_malformed(err) : CCZ_OK;
}

/* A long log is gone through over several calls. */
static ccz_rc ask(struct ccz_buf *response, struct ccz_rpc_client *c, uint64_t old_size,
                  struct ccz_err *err)
{
    const struct cczi_msg_consistency_req m = {.old_size = old_size};
    ccz_rc rc = CCZ_E_UNAVAILABLE;
    for (unsigned i = 0; i < ASKED_MAX; i++) {
        struct ccz_err why = {0};
        rc = cczi_kms_call(response, c, "Consistency", cczi_msg_consistency_req, &m, &why);
        if (rc != CCZ_OK && err)
            *err = why;
        if (rc == CCZ_OK || strcmp(why.where, "kms:audit-index") != 0)
            return rc;
        ccz_buf_free(response);
    }
    return rc;
}

static ccz_rc check_proof(const struct ccz_kms_checkpoint *now, const struct ccz_kms_path *path,
                          const struct ccz_kms_checkpoint *older, const struct keys *k,
                          struct ccz_err *err)
{
    const struct ccz_key *const *keys = (const struct ccz_key *const *)k->key;
    ccz_rc rc = ccz_kms_checkpoint_check(now, keys, k->len, err);
    if (rc == CCZ_OK)
        rc = ccz_kms_checkpoint_check(older, keys, k->len, err);
    if (rc == CCZ_OK && strcmp(now->origin, older->origin) != 0)
        rc = ccz_refuse(err, CCZ_E_SIG, "kms:checkpoint-origin", now->origin, older->origin);
    if (rc == CCZ_OK)
        rc = ccz_kms_consistency_check(older->size, now->size, older->root, now->root, path, err);
    return rc;
}

/* The KMS has fewer lines than the older checkpoint: that is what it looks for. */
static ccz_rc explain(struct ccz_err *err, ccz_rc rc)
{
    if (rc != CCZ_OK && err && strcmp(err->where, "kms:consistency-size") == 0) {
        const struct ccz_err why = *err;
        rc = ccz_refuse(err, CCZ_E_SIG, "kms:rolled-back", why.expected, why.got);
        return ccz_hint(err, rc, "the log has fewer lines than before: an older copy of the store");
    }
    return rc;
}

ccz_rc ccz_kms_get_consistency(struct ccz_kms_checkpoint *now, struct ccz_kms_path *path,
                               struct ccz_key *keys[CCZ_KMS_LOG_KEYS_MAX], size_t *len,
                               struct ccz_rpc_client *c, const struct ccz_kms_checkpoint *older,
                               struct ccz_err *err)
{
    struct keys k = {.key = keys};
    struct cczi_msg_consistency_resp m = {0};
    struct ccz_kms_checkpoint cp = {0};
    struct ccz_kms_path proof = {0};
    CCZ_AUTO_BUF response = {0};
    *now = (struct ccz_kms_checkpoint){0};
    *len = 0;
    ccz_rc rc = explain(err, ask(&response, c, older->size, err));
    if (rc != CCZ_OK)
        return rc;
    struct ccz_span in = ccz_buf_span(&response);
    if (cczi_msg_get(&m, cczi_msg_consistency_resp, in, NULL) != CCZ_OK)
        rc = cczi_kms_malformed(err);
    if (rc == CCZ_OK)
        rc = ccz_kms_checkpoint_parse(&cp, m.checkpoint, err);
    if (rc == CCZ_OK && cp.size != m.size)
        rc = cczi_kms_malformed(err);
    if (rc == CCZ_OK)
        rc = take_path(&proof, in, err);
    if (rc == CCZ_OK)
        rc = take_keys(&k, PROOF_KEYS, in, err);
    if (rc == CCZ_OK)
        rc = check_proof(&cp, &proof, older, &k, err);
    if (rc != CCZ_OK) {
        free_keys(&k);
        return rc;
    }
    *now = cp;
    *len = k.len;
    if (path)
        *path = proof;
    return CCZ_OK;
}

ccz_rc ccz_kms_rotate_audit_key(struct ccz_key **key, struct ccz_kms_receipt *receipt,
                                struct ccz_rpc_client *c, struct ccz_err *err)
{
    struct cczi_msg_rotate_audit_key_resp m = {0};
    CCZ_AUTO_BUF response = {0};
    *key = NULL;
    ccz_rc rc = cczi_kms_call(&response, c, "RotateAuditKey", cczi_msg_none, NULL, err);
    if (rc != CCZ_OK)
        return rc;
    if (cczi_msg_get(&m, cczi_msg_rotate_audit_key_resp, ccz_buf_span(&response), NULL) != CCZ_OK)
        return cczi_kms_malformed(err);
    rc = cczi_kms_take_receipt(receipt, m.receipt, err);
    return rc == CCZ_OK ? ccz_key_from_spki(key, m.key, err) : rc;
}
