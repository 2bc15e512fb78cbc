/* SPDX-License-Identifier: Apache-2.0 */
/* The key that signs checkpoints: a sealed row like every other value, under a name that no caller can write. Servers that share a
 * database share it. A new version of it takes over; old versions stay, since their signatures do. */
#include "kms_priv.h"
#include "msg_fields.h"

#include <stdio.h>
#include <string.h>

static const struct cczi_kms_ref signer_ref = {.kind = CCZI_KMS_SYSTEM, .name = "audit-signing"};
static const char signer_alg[] = "ecdsa-p256";

/* @retval CCZ_E_NOT_FOUND  there is none (err is not filled) */
static ccz_rc load_key(struct ccz_key **out, struct ccz_kms_store *s, uint32_t version,
                       struct ccz_err *err)
{
    *out = NULL;
    struct cczi_kms_item it;
    cczi_kms_item_init(&it);
    ccz_rc rc = cczi_kms_item_get(&it, s, &signer_ref, version, err);
    CCZ_AUTO(ccz_secret) der = NULL;
    if (rc == CCZ_OK)
        rc = cczi_kms_unseal(&der, &s->sealer, &it.slot, ccz_buf_span(&it.sealed), err);
    cczi_kms_item_deinit(&it);
    return rc == CCZ_OK ? ccz_key_from_pkcs8(out, der, err) : rc;
}

static const char names_signer[] = "{\"op\":\"audit-key\",";

bool cczi_kms_names_signer(struct ccz_span entry)
{
    const size_t n = sizeof(names_signer) - 1;
    return entry.size >= n && memcmp(entry.ptr, names_signer, n) == 0;
}

void cczi_kms_successor_text(struct ccz_buf *out, const char *origin, const uint8_t old_id[32],
                             const uint8_t new_id[32])
{
    char hex[2][65];
    ccz_hex(hex[0], old_id, 32);
    ccz_hex(hex[1], new_id, 32);
    ccz_buf_printf(out, "cczoo kms audit key\n%s\n%s\n%s\n", origin, hex[0], hex[1]);
}

/* ,"by":..,"signature":..: the key before says that this one signs after it. */
static ccz_rc put_successor(char out[256], const struct ccz_kms_store *s, const uint8_t id[32],
                            const struct ccz_key *before, struct ccz_err *err)
{
    uint8_t old_id[32], sig[64];
    char origin[CCZ_KMS_ORIGIN_SIZE], by[65], hex[129];
    CCZ_AUTO_BUF text;
    ccz_buf_init(&text, 512);
    ccz_kms_origin(origin, s->head.first);
    ccz_rc rc = ccz_kms_key_id(old_id, before);
    cczi_kms_successor_text(&text, origin, old_id, id);
    struct ccz_span signed_text = ccz_buf_span(&text);
    if (rc == CCZ_OK)
        rc = text.bad ? CCZ_E_NOMEM : ccz_ecdsa_sign(sig, before, &signed_text, 1);
    if (rc != CCZ_OK)
        return ccz_fail(err, rc, "kms:checkpoint-sign", 0, "cannot sign the next key");
    ccz_hex(by, old_id, sizeof(old_id));
    ccz_hex(hex, sig, sizeof(sig));
    (void)snprintf(out, 256, ",\"by\":\"%s\",\"signature\":\"%s\"", by, hex);
    return CCZ_OK;
}

/* The log names the keys that sign it. @p before  NULL = the first one */
static ccz_rc record_key(struct ccz_kms_store *s, const struct ccz_key *key,
                         const struct ccz_key *before, int64_t now_s, struct ccz_err *err)
{
    uint8_t id[32];
    char hex[65], entry[400], successor[256] = "";
    ccz_rc rc = ccz_kms_key_id(id, key);
    if (rc != CCZ_OK)
        return ccz_fail(err, rc, "kms:checkpoint-sign", 0, "cannot name a key");
    if (before)
        rc = put_successor(successor, s, id, before, err);
    if (rc != CCZ_OK)
        return rc;
    ccz_hex(hex, id, sizeof(id));
    int n = snprintf(entry, sizeof(entry), "%s\"verdict\":\"accept\",\"key\":\"%s\"%s}",
                     names_signer, hex, successor);
    struct ccz_kms_receipt receipt;
    return cczi_kms_audit_append(&receipt, s, now_s, CCZ_SPAN(entry, (size_t)n), err);
}

ccz_rc cczi_kms_system_key_make(struct ccz_key **out, struct ccz_kms_store *s,
                                const struct cczi_kms_slot *slot, int64_t now_s, const char *where,
                                struct ccz_err *err)
{
    *out = NULL;
    CCZ_AUTO(ccz_key) key = NULL;
    CCZ_AUTO(ccz_secret) der = NULL;
    ccz_rc rc = ccz_key_generate(&key, CCZ_P256);
    if (rc == CCZ_OK)
        rc = ccz_key_to_pkcs8(&der, key);
    if (rc != CCZ_OK)
        return ccz_fail(err, rc, where, 0, "cannot make a key of our own");
    rc = cczi_kms_item_put(s, slot, now_s, 0, (struct ccz_span){0},
                           CCZ_SPAN(ccz_secret_view(der), ccz_secret_size(der)), err);
    if (rc == CCZ_OK)
        *out = ccz_key_take(&key);
    return rc;
}

static ccz_rc make_key(struct ccz_key **out, struct ccz_kms_store *s, uint32_t version,
                       const struct ccz_key *before, int64_t now_s, struct ccz_err *err)
{
    struct cczi_kms_slot slot = {.ref = signer_ref, .version = version};
    memcpy(slot.alg, signer_alg, sizeof(signer_alg));
    CCZ_AUTO(ccz_key) key = NULL;
    *out = NULL;
    ccz_rc rc = cczi_kms_system_key_make(&key, s, &slot, now_s, "kms:checkpoint-sign", err);
    if (rc == CCZ_OK)
        rc = record_key(s, key, before, now_s, err);
    if (rc == CCZ_OK)
        *out = ccz_key_take(&key);
    return rc;
}

ccz_rc cczi_kms_signer_here(struct cczi_kms_signer *out, struct ccz_kms_store *s, int64_t now_s,
                            struct ccz_err *err)
{
    *out = (struct cczi_kms_signer){0};
    CCZ_AUTO(ccz_key) key = NULL;
    ccz_rc rc = load_key(&key, s, 0, err);
    if (rc == CCZ_E_NOT_FOUND)
        rc = make_key(&key, s, 1, NULL, now_s, err);
    /* the log is named by what is sealed: the column of line 1 is anybody's who writes to the database */
    return rc == CCZ_OK ? cczi_kms_signer_init(out, ccz_key_take(&key), s->head.first, err) : rc;
}

/* In a transaction of its own. */
static ccz_rc open_signer(struct ccz_kms_store *s, int64_t now_s, struct ccz_err *err)
{
    struct cczi_kms_signer signer = {0};
    ccz_rc rc = cczi_kms_begin(s, err);
    if (rc != CCZ_OK)
        return rc;
    rc = cczi_kms_signer_here(&signer, s, now_s, err);
    if (rc == CCZ_OK)
        rc = cczi_kms_commit(s, err); /* nothing is signed with a key that may be gone tomorrow */
    else
        cczi_kms_rollback(s);
    if (rc == CCZ_OK)
        rc = cczi_kms_settle(s, err);
    if (rc == CCZ_OK)
        s->signer = signer;
    else
        cczi_kms_signer_deinit(&signer);
    return rc;
}

ccz_rc cczi_kms_signer_ensure(struct ccz_kms_store *s, int64_t now_s, struct ccz_err *err)
{
    if (s->signer.key)
        return CCZ_OK;
    struct cczi_kms_head head = s->head;
    struct cczi_kms_lines lines = s->lines;
    s->lines = (struct cczi_kms_lines){0};
    ccz_rc rc = open_signer(s, now_s, err);
    cczi_kms_lines_free(&s->lines);
    s->lines = lines;
    s->head = head;
    return rc;
}

/* If this fails, no recorded call of the batch is answered: what has no receipt is withheld. */
ccz_rc cczi_kms_sign_batch(void *arg, struct ccz_kms_store *s, struct cczi_kms_entry *entries,
                           size_t len, struct ccz_err *err)
{
    (void)arg;
    bool is_signed = false;
    ccz_rc rc = CCZ_OK;
    for (size_t i = 0; rc == CCZ_OK && i < len; i++) {
        struct cczi_kms_entry *e = &entries[i];
        struct ccz_kms_inclusion r;
        if (e->rc != CCZ_OK || e->receipt.audit_seq == 0)
            continue;
        if (!is_signed) {
            rc = cczi_kms_signer_ensure(s, e->call.req->now_s, err);
            if (rc == CCZ_OK)
                rc = cczi_kms_lines_sign(&s->lines, &s->signer, &s->head.tree, e->call.req->now_s,
                                         err);
            is_signed = rc == CCZ_OK;
        }
        if (rc == CCZ_OK) {
            rc = cczi_kms_lines_receipt(&r, &s->lines, e->receipt.audit_seq);
            if (rc != CCZ_OK)
                ccz_fail(err, rc, "kms:receipt", (int64_t)e->receipt.audit_seq,
                         "there is no signed receipt for line %llu",
                         (unsigned long long)e->receipt.audit_seq);
        }
        if (rc == CCZ_OK)
            ccz_kms_inclusion_put(&e->proof, &r);
    }
    return rc;
}

ccz_rc cczi_kms_signer_each(struct ccz_kms_store *s, cczi_kms_spki_fn fn, void *arg,
                            struct ccz_err *err)
{
    uint32_t last = 0;
    ccz_rc rc = cczi_kms_item_last(&last, s, &signer_ref, err);
    for (uint32_t v = 1; rc == CCZ_OK && v <= last; v++) {
        CCZ_AUTO(ccz_key) key = NULL;
        CCZ_AUTO_BUF spki;
        ccz_buf_init(&spki, 256);
        rc = load_key(&key, s, v, err);
        if (rc == CCZ_OK && ccz_key_spki(&spki, key) != CCZ_OK)
            rc = ccz_fail(err, CCZ_E_INTERNAL, "kms:checkpoint-key", v, "cannot encode a key");
        if (rc == CCZ_OK)
            fn(arg, ccz_buf_span(&spki));
    }
    return rc;
}

/* ------------------------------------------------------------------------- rotation */

static ccz_rc check_age(struct ccz_kms_store *s, uint32_t last, int64_t now_s, struct ccz_err *err)
{
    struct cczi_kms_item it;
    cczi_kms_item_init(&it);
    ccz_rc rc = cczi_kms_item_get(&it, s, &signer_ref, last, err);
    int64_t from_s = it.created_s + CCZ_KMS_AUDIT_KEY_AGE_S;
    cczi_kms_item_deinit(&it);
    if (rc == CCZ_OK && last >= CCZ_KMS_LOG_KEYS_MAX)
        return ccz_refuse_num(err, CCZ_E_LIMIT, "kms:audit-keys", (int64_t)last + 1,
                              CCZ_KMS_LOG_KEYS_MAX);
    if (rc != CCZ_OK || now_s >= from_s)
        return rc;
    char now[21], from[21];
    ccz_time_format(now, now_s);
    ccz_time_format(from, from_s);
    ccz_refuse(err, CCZ_E_DENIED, "kms:audit-key-young", now, from);
    return cczi_kms_hint(err, CCZ_E_DENIED);
}

ccz_rc cczi_kms_signer_rotate(struct ccz_buf *spki, struct cczi_kms_call *call, struct ccz_err *err)
{
    struct ccz_kms_store *s = call->store;
    const int64_t now_s = call->req->now_s;
    uint32_t last = 0;
    CCZ_AUTO(ccz_key) before = NULL;
    CCZ_AUTO(ccz_key) key = NULL;
    ccz_rc rc = cczi_kms_item_last(&last, s, &signer_ref, err);
    if (rc == CCZ_OK && last)
        rc = check_age(s, last, now_s, err);
    if (rc == CCZ_OK && last)
        rc = load_key(&before, s, last, err);
    if (rc == CCZ_OK)
        rc = make_key(&key, s, last + 1, before, now_s, err);
    if (rc == CCZ_OK && ccz_key_spki(spki, key) != CCZ_OK)
        rc = ccz_fail(err, CCZ_E_INTERNAL, "kms:checkpoint-key", last, "cannot encode a key");
    cczi_kms_signer_deinit(
        &s->signer); /* whatever becomes of this: it is loaded when it is needed */
    uint8_t id[32];
    char hex[65];
    if (rc == CCZ_OK && ccz_kms_key_id(id, key) == CCZ_OK) {
        ccz_hex(hex, id, sizeof(id));
        (void)snprintf(call->detail, sizeof(call->detail), "key=%.32s", hex);
    }
    return rc;
}

const struct cczi_msg_field cczi_msg_rotate_audit_key_resp[] = {
    SPAN(1, cczi_msg_rotate_audit_key_resp, key, 256),
    SPAN(CCZI_MSG_RECEIPT, cczi_msg_rotate_audit_key_resp, receipt, 64),
    END,
};

ccz_rc cczi_kms_run_rotate_audit_key(struct ccz_buf *response, struct cczi_kms_call *call,
                                     struct ccz_err *err)
{
    CCZ_AUTO_BUF spki;
    ccz_buf_init(&spki, 256);
    ccz_rc rc = cczi_msg_get(NULL, cczi_msg_none, call->req->body, err);
    if (rc == CCZ_OK)
        rc = cczi_kms_signer_rotate(&spki, call, err);
    if (rc != CCZ_OK)
        return rc;
    const struct cczi_msg_rotate_audit_key_resp out = {.key = ccz_buf_span(&spki)};
    cczi_msg_put(response, cczi_msg_rotate_audit_key_resp, &out);
    return CCZ_OK;
}
