/* SPDX-License-Identifier: Apache-2.0 */
/*
 * MAC keys of the counter that earlier master keys gave. A rekey renews the counter of the server that does it; those of other
 * machines it cannot reach, and they stay under the key of their day. So the store keeps these keys, sealed as every other value and
 * under a name that no caller can write: who opens it reads such a counter by them, and compares it as always.
 */
#include "master_priv.h"

#include "kms_priv.h"

#include <string.h>

enum { KEY_SIZE = 32 };

static const struct cczi_kms_slot slot = {.ref = {.kind = CCZI_KMS_SYSTEM, .name = "epoch-keys"},
                                          .version = 1};

/* The newest first. @retval CCZ_E_NOT_FOUND the store was never rekeyed with a counter (err is not filled) */
static ccz_rc keys_get(struct ccz_secret **out, struct cczi_kms_item *it, struct ccz_kms_store *s,
                       struct ccz_err *err)
{
    *out = NULL;
    ccz_rc rc = cczi_kms_item_get(it, s, &slot.ref, slot.version, err);
    if (rc == CCZ_OK)
        rc = cczi_kms_unseal(out, &s->sealer, &it->slot, ccz_buf_span(&it->sealed), err);
    if (rc == CCZ_OK && ccz_secret_size(*out) % KEY_SIZE != 0)
        return ccz_fail(err, CCZ_E_SIG, "kms:epoch", (int64_t)ccz_secret_size(*out),
                        "the keys of earlier counters are not ones that we keep");
    return rc;
}

ccz_rc cczi_kms_epoch_keep(struct ccz_kms_store *s, int64_t now_s, struct ccz_err *err)
{
    struct cczi_kms_item it;
    CCZ_AUTO(ccz_secret) before = NULL;
    CCZ_AUTO(ccz_secret) keys = NULL;
    cczi_kms_item_init(&it);
    ccz_rc rc = keys_get(&before, &it, s, err);
    if (rc == CCZ_OK)
        rc = cczi_kms_item_delete(s, &it, err);
    else if (rc == CCZ_E_NOT_FOUND)
        rc = CCZ_OK;
    cczi_kms_item_deinit(&it);
    if (rc != CCZ_OK)
        return rc;
    const size_t most = (CCZI_EPOCH_PAST_MAX - 1) * KEY_SIZE;
    const size_t had = before ? ccz_secret_size(before) : 0, stay = had < most ? had : most;
    rc = ccz_secret_new(&keys, KEY_SIZE + stay);
    if (rc != CCZ_OK)
        return ccz_fail(err, rc, "kms:epoch", 0, "no memory for the keys of earlier counters");
    memcpy(ccz_secret_bytes(keys), ccz_secret_view(s->epoch->key), KEY_SIZE);
    if (stay)
        memcpy(ccz_secret_bytes(keys) + KEY_SIZE, ccz_secret_view(before), stay);
    return cczi_kms_item_put(s, &slot, now_s, 0, (struct ccz_span){0},
                             CCZ_SPAN(ccz_secret_view(keys), ccz_secret_size(keys)), err);
}

ccz_rc cczi_kms_epoch_load_past(ccz_rc *loaded, uint64_t *seq, struct ccz_kms_epoch *e,
                                struct ccz_kms_store *s, struct ccz_err *why, struct ccz_err *err)
{
    if (*loaded != CCZ_E_SIG)
        return CCZ_OK;
    struct cczi_kms_item it;
    cczi_kms_item_init(&it);
    ccz_rc rc = keys_get(&e->past, &it, s, err);
    cczi_kms_item_deinit(&it);
    if (rc == CCZ_OK)
        *loaded = cczi_kms_epoch_load(seq, e, why);
    return rc == CCZ_E_NOT_FOUND ? CCZ_OK : rc;
}
