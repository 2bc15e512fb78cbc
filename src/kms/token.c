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
    s->token.opened++;
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

static void forget_signer(struct cczi_kms_token_key *k)
{
    ccz_key_free(k->key);
    *k = (struct cczi_kms_token_key){0};
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
    struct cczi_kms_token_key *k = &s->token.signs;
    if (rc == CCZ_OK && !(k->key && memcmp(k->mac, it.mac, sizeof(k->mac)) == 0)) {
        forget_signer(k);
        rc = open_key(&k->key, s, &it, err);
        if (rc == CCZ_OK)
            rc = kid_of(k->kid, k->key, err);
        if (rc == CCZ_OK)
            memcpy(k->mac, it.mac, sizeof(k->mac));
        else
            forget_signer(k);
    }
    cczi_kms_item_deinit(&it);
    if (rc == CCZ_OK)
        *out = k;
    return rc;
}

/* ------------------------------------------------------------------------------ the set */

static void forget_published(struct cczi_kms_token_keys *t)
{
    while (t->published_len)
        ccz_jwk_free(t->published[--t->published_len].jwk);
}

void cczi_kms_token_keys_deinit(struct cczi_kms_token_keys *k)
{
    forget_signer(&k->signs);
    forget_published(k);
}

/* The public half of a row: the one that is known, which moves to @p out, or of the private one. */
static ccz_rc publish(struct cczi_kms_token_public *out, struct ccz_kms_store *s,
                      const struct cczi_kms_item *it, struct ccz_err *err)
{
    struct cczi_kms_token_keys *t = &s->token;
    memcpy(out->mac, it->mac, sizeof(out->mac));
    for (size_t i = 0; i < t->published_len; i++) {
        struct cczi_kms_token_public *p = &t->published[i];
        if (!p->jwk || memcmp(p->mac, it->mac, sizeof(p->mac)) != 0)
            continue;
        out->jwk = p->jwk;
        p->jwk = NULL;
        return CCZ_OK;
    }
    CCZ_AUTO(ccz_key) key = NULL;
    ccz_rc rc = open_key(&key, s, it, err);
    return rc == CCZ_OK ? ccz_jwk_from_key(&out->jwk, key, err) : rc;
}

typedef ccz_rc (*live_fn)(void *arg, struct ccz_kms_store *s, const struct cczi_kms_item *it,
                          struct ccz_err *err);
/* The key that signs, and those behind it whose tokens may still be around, newest first. */
static ccz_rc each_live(struct ccz_kms_store *s, int64_t now_s, live_fn fn, void *arg,
                        struct ccz_err *err)
{
    uint32_t version = 0;
    ccz_rc rc = cczi_kms_item_last(&version, s, &token_ref, err);
    int64_t created_s = now_s; /* of the one that took over */
    for (size_t n = 0; rc == CCZ_OK && version > 0 && n < CCZI_KMS_TOKEN_PUBLISHED_MAX &&
                       now_s - created_s < CCZI_KMS_TOKEN_KEY_KEPT_S;
         n++, version--) {
        struct cczi_kms_item it;
        cczi_kms_item_init(&it);
        rc = cczi_kms_item_get(&it, s, &token_ref, version, err);
        if (rc == CCZ_OK)
            rc = fn(arg, s, &it, err);
        created_s = it.created_s;
        cczi_kms_item_deinit(&it);
    }
    return rc;
}

struct key_set {
    struct cczi_kms_token_public of[CCZI_KMS_TOKEN_PUBLISHED_MAX];
    const struct ccz_jwk *keys[CCZI_KMS_TOKEN_PUBLISHED_MAX];
    size_t len;
};

static ccz_rc add_live(void *arg, struct ccz_kms_store *s, const struct cczi_kms_item *it,
                       struct ccz_err *err)
{
    struct key_set *set = arg;
    ccz_rc rc = publish(&set->of[set->len], s, it, err);
    set->keys[set->len] = set->of[set->len].jwk;
    set->len += rc == CCZ_OK;
    return rc;
}

ccz_rc cczi_kms_token_keys_put(struct ccz_buf *jwks, struct ccz_kms_store *s, int64_t now_s,
                               struct ccz_err *err)
{
    struct key_set set = {0};
    const struct cczi_kms_token_key *k;
    ccz_rc rc = cczi_kms_token_key(&k, s, now_s, err); /* makes the first, and rotates */
    if (rc == CCZ_OK)
        rc = each_live(s, now_s, add_live, &set, err);
    if (rc == CCZ_OK)
        ccz_jwks_put(jwks, set.keys, set.len);
    forget_published(&s->token); /* what is not in the set any more */
    memcpy(s->token.published, set.of, set.len * sizeof(set.of[0]));
    s->token.published_len = set.len;
    if (rc == CCZ_OK && jwks->bad)
        rc = ccz_fail(err, CCZ_E_NOMEM, "kms:response", 0, "no memory for the keys of tokens");
    return rc;
}

/* ------------------------------------------------------------------------------ by hand */

struct live {
    size_t len;
    int64_t newest_s;
    uint32_t version; /* the newest */
};

static ccz_rc count_live(void *arg, struct ccz_kms_store *s, const struct cczi_kms_item *it,
                         struct ccz_err *err)
{
    (void)s;
    (void)err;
    struct live *l = arg;
    if (l->len++ == 0) {
        l->newest_s = it->created_s;
        l->version = it->slot.version;
    }
    return CCZ_OK;
}

ccz_rc cczi_kms_token_rotate_now(struct ccz_kms_store *s, int64_t now_s, struct ccz_err *err)
{
    enum { BY_HAND_MAX = CCZ_KMS_VERSIONS_MAX / 2 };
    struct live l = {0};
    ccz_rc rc = each_live(s, now_s, count_live, &l, err);
    int64_t age_s = now_s - l.newest_s; /* negative: the clock was wrong then, and says nothing */
    if (rc != CCZ_OK || l.len == 0)
        return rc == CCZ_OK ? cczi_kms_token_rotate(s, now_s, err) : rc;
    if (age_s >= 0 && age_s < CCZI_KMS_TOKEN_ROTATE_MIN_S)
        rc = ccz_fail(err, CCZ_E_LIMIT, "kms:token-key-soon", CCZI_KMS_TOKEN_ROTATE_MIN_S - age_s,
                      "the key for tokens is %lld s old, another one may come in %lld s",
                      (long long)age_s, (long long)(CCZI_KMS_TOKEN_ROTATE_MIN_S - age_s));
    else if (l.len >= CCZI_KMS_TOKEN_LIVE_MAX)
        rc = ccz_refuse_num(err, CCZ_E_LIMIT, "kms:token-keys", (int64_t)l.len + 1,
                            CCZI_KMS_TOKEN_LIVE_MAX);
    else if (l.version >= BY_HAND_MAX)
        rc = ccz_refuse_num(err, CCZ_E_LIMIT, "kms:versions", l.version + 1, BY_HAND_MAX);
    return rc == CCZ_OK ? cczi_kms_token_rotate(s, now_s, err) : cczi_kms_hint(err, rc);
}
