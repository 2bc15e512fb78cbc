/* SPDX-License-Identifier: Apache-2.0 */
/* The keys that sign attestation results: versions of one sealed row under a name that no caller can write, so that servers that share
 * a database sign with the same one. Everything here happens inside the caller's transaction. */
#include "token.h"
#include "kms_priv.h"

#include <stdio.h>
#include <string.h>

static const struct cczi_kms_ref token_ref = {.kind = CCZI_KMS_SYSTEM, .name = "token-signing"};
static const char token_alg[] = "ecdsa-p256";

/* The key of a row. */
static ccz_rc open_key(struct ccz_key **out, struct ccz_kms_store *s,
                       const struct cczi_kms_item *it, struct ccz_err *err)
{
    CCZ_AUTO(ccz_secret) der = NULL;
    *out = NULL;
    ccz_rc rc = cczi_kms_unseal(&der, &s->sealer, &it->slot, ccz_buf_span(&it->sealed), err);
    return rc == CCZ_OK ? ccz_key_from_pkcs8(out, der, err) : rc;
}

static ccz_rc kid_of(char kid[CCZ_JWK_THUMBPRINT_SIZE + 1], const struct ccz_key *key,
                     struct ccz_err *err)
{
    CCZ_AUTO(ccz_jwk) jwk = NULL;
    ccz_rc rc = ccz_jwk_from_key(&jwk, key, err);
    return rc == CCZ_OK ? ccz_jwk_thumbprint(kid, jwk) : rc;
}

/* Who relies on tokens finds in the log which keys signed them, and since when. That of RotateTokenKey is in its own line. */
static ccz_rc record_key(struct ccz_kms_store *s, const struct cczi_kms_item *it, int64_t now_s,
                         struct ccz_err *err)
{
    char entry[160], kid[CCZ_JWK_THUMBPRINT_SIZE + 1];
    CCZ_AUTO(ccz_key) key = NULL;
    ccz_rc rc = open_key(&key, s, it, err);
    if (rc == CCZ_OK)
        rc = kid_of(kid, key, err);
    if (rc != CCZ_OK)
        return rc;
    int n = snprintf(entry, sizeof(entry),
                     "{\"op\":\"token-key\",\"verdict\":\"accept\",\"key\":\"%s\",\"version\":%u}",
                     kid, it->slot.version);
    struct ccz_kms_receipt receipt;
    return cczi_kms_audit_append(&receipt, s, now_s, CCZ_SPAN(entry, (size_t)n), err);
}

static ccz_rc make_key(struct ccz_kms_store *s, uint32_t version, int64_t now_s,
                       struct ccz_err *err)
{
    struct cczi_kms_slot slot = {.ref = token_ref, .version = version};
    memcpy(slot.alg, token_alg, sizeof(token_alg));
    CCZ_AUTO(ccz_key) key = NULL;
    return cczi_kms_system_key_make(&key, s, &slot, now_s, "kms:token-key", err);
}

ccz_rc cczi_kms_token_rotate(struct ccz_kms_store *s, int64_t now_s, struct ccz_err *err)
{
    uint32_t last = 0;
    ccz_rc rc = cczi_kms_item_last(&last, s, &token_ref, err);
    if (rc == CCZ_OK && last >= CCZ_KMS_VERSIONS_MAX)
        return ccz_fail(err, CCZ_E_LIMIT, "kms:versions", last, "there are %u keys for tokens",
                        last);
    return rc == CCZ_OK ? make_key(s, last + 1, now_s, err) : rc;
}

/* The row of the key that signs now: there is one, and it is not too old. */
static ccz_rc current(struct cczi_kms_item *it, struct ccz_kms_store *s, int64_t now_s,
                      struct ccz_err *err)
{
    ccz_rc rc = cczi_kms_item_get(it, s, &token_ref, 0, err);
    bool old = rc == CCZ_OK && now_s - it->created_s >= CCZI_KMS_TOKEN_KEY_AGE_S &&
               it->slot.version < CCZ_KMS_VERSIONS_MAX;
    if (rc != CCZ_E_NOT_FOUND && !old)
        return rc;
    rc = cczi_kms_token_rotate(s, now_s, err);
    cczi_kms_item_deinit(it);
    cczi_kms_item_init(it);
    if (rc == CCZ_OK)
        rc = cczi_kms_item_get(it, s, &token_ref, 0, err);
    return rc == CCZ_OK ? record_key(s, it, now_s, err) : rc;
}

/* The opened key is known by the MAC of its row, which differs for each row that ever was: one that was undone with its
 * transaction, or came from another server, is never taken for another. */
ccz_rc cczi_kms_token_key(const struct cczi_kms_token_key **out, struct ccz_kms_store *s,
                          int64_t now_s, struct ccz_err *err)
{
    *out = NULL;
    struct cczi_kms_item it;
    cczi_kms_item_init(&it);
    ccz_rc rc = current(&it, s, now_s, err);
    struct cczi_kms_token_key *k = &s->token;
    if (rc == CCZ_OK && !(k->key && memcmp(k->mac, it.mac, sizeof(k->mac)) == 0)) {
        cczi_kms_token_key_deinit(k);
        rc = open_key(&k->key, s, &it, err);
        if (rc == CCZ_OK)
            rc = kid_of(k->kid, k->key, err);
        if (rc == CCZ_OK)
            memcpy(k->mac, it.mac, sizeof(k->mac));
        else
            cczi_kms_token_key_deinit(k);
    }
    cczi_kms_item_deinit(&it);
    if (rc == CCZ_OK)
        *out = k;
    return rc;
}

void cczi_kms_token_key_deinit(struct cczi_kms_token_key *k)
{
    ccz_key_free(k->key);
    *k = (struct cczi_kms_token_key){0};
}

/* ------------------------------------------------------------------------------ the set */

enum { PUBLISHED_MAX = 64 };

struct key_set {
    struct ccz_jwk *keys[PUBLISHED_MAX];
    size_t len;
};

static void key_set_free(struct key_set *set)
{
    for (size_t i = 0; i < set->len; i++)
        ccz_jwk_free(set->keys[i]);
}

/* @param[out] created_s  of the version */
static ccz_rc add_version(struct key_set *set, int64_t *created_s, struct ccz_kms_store *s,
                          uint32_t version, struct ccz_err *err)
{
    struct cczi_kms_item it;
    cczi_kms_item_init(&it);
    CCZ_AUTO(ccz_key) key = NULL;
    ccz_rc rc = cczi_kms_item_get(&it, s, &token_ref, version, err);
    if (rc == CCZ_OK)
        rc = open_key(&key, s, &it, err);
    if (rc == CCZ_OK)
        rc = ccz_jwk_from_key(&set->keys[set->len], key, err);
    if (rc == CCZ_OK)
        set->len++;
    *created_s = it.created_s;
    cczi_kms_item_deinit(&it);
    return rc;
}

ccz_rc cczi_kms_token_keys_put(struct ccz_buf *jwks, struct ccz_kms_store *s, int64_t now_s,
                               struct ccz_err *err)
{
    struct key_set set = {0};
    uint32_t version = 0;
    const struct cczi_kms_token_key *k;
    ccz_rc rc = cczi_kms_token_key(&k, s, now_s, err); /* makes the first, and rotates */
    if (rc == CCZ_OK)
        rc = cczi_kms_item_last(&version, s, &token_ref, err);
    int64_t created_s = now_s; /* of the one that took over */
    while (rc == CCZ_OK && version > 0 && set.len < PUBLISHED_MAX &&
           now_s - created_s < CCZI_KMS_TOKEN_KEY_KEPT_S)
        rc = add_version(&set, &created_s, s, version--, err);
    if (rc == CCZ_OK)
        ccz_jwks_put(jwks, (const struct ccz_jwk *const *)set.keys, set.len);
    key_set_free(&set);
    if (rc == CCZ_OK && jwks->bad)
        rc = ccz_fail(err, CCZ_E_NOMEM, "kms:response", 0, "no memory for the keys of tokens");
    return rc;
}
