/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which KMS this is. A secret of the store, sealed like every other value under a name that no caller can write, and an id
 * derived from it: a rekey keeps both, and nobody can make a store with the id of another one without its secret.
 */
#include "kms_priv.h"

#include <string.h>

enum { SECRET_SIZE = 32 };

static const struct cczi_kms_slot slot = {.ref = {.kind = CCZI_KMS_SYSTEM, .name = "instance"},
                                          .version = 1};

static ccz_rc set_id(struct ccz_kms_store *s, const struct ccz_secret *secret, struct ccz_err *err)
{
    uint8_t mac[32];
    const struct ccz_span label = ccz_span_str("cczoo kms instance");
    ccz_rc rc =
        ccz_hmac(mac, CCZ_SHA256, CCZ_SPAN(ccz_secret_view(secret), SECRET_SIZE), &label, 1);
    if (rc != CCZ_OK)
        return ccz_fail(err, rc, "kms:instance", 0, "cannot derive the id of this KMS");
    memcpy(s->instance, mac, sizeof(s->instance));
    return CCZ_OK;
}

ccz_rc cczi_kms_instance_make(struct ccz_kms_store *s, int64_t now_s, struct ccz_err *err)
{
    CCZ_AUTO(ccz_secret) secret = NULL;
    ccz_rc rc = ccz_secret_new(&secret, SECRET_SIZE);
    if (rc == CCZ_OK)
        rc = ccz_random(ccz_secret_bytes(secret), SECRET_SIZE);
    if (rc != CCZ_OK)
        return ccz_fail(err, rc, "kms:instance", 0, "cannot make the secret of this KMS");
    rc = cczi_kms_item_put(s, &slot, now_s, 0, (struct ccz_span){0},
                           CCZ_SPAN(ccz_secret_view(secret), SECRET_SIZE), err);
    return rc == CCZ_OK ? set_id(s, secret, err) : rc;
}

ccz_rc cczi_kms_instance_load(struct ccz_kms_store *s, struct ccz_err *err)
{
    struct cczi_kms_item it;
    CCZ_AUTO(ccz_secret) secret = NULL;
    cczi_kms_item_init(&it);
    ccz_rc rc = cczi_kms_item_get(&it, s, &slot.ref, slot.version, err);
    if (rc == CCZ_OK)
        rc = cczi_kms_unseal(&secret, &s->sealer, &it.slot, ccz_buf_span(&it.sealed), err);
    cczi_kms_item_deinit(&it);
    if (rc == CCZ_E_NOT_FOUND || (rc == CCZ_OK && ccz_secret_size(secret) != SECRET_SIZE))
        return ccz_fail(err, CCZ_E_SIG, "kms:instance", 0,
                        "the store does not say which KMS it is");
    return rc == CCZ_OK ? set_id(s, secret, err) : rc;
}
