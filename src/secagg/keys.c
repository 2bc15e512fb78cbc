/* SPDX-License-Identifier: Apache-2.0 */
/* Signatures, derived keys, commitments. Each has a label of its own, and the digest of the configuration in it. */
#include "secagg/secagg_priv.h"

#include <string.h>

#define LABEL(text) CCZ_SPAN(text, sizeof(text))

static const char KEYS_LABEL[] = "cczoo secagg keys 1", SET_LABEL[] = "cczoo secagg set 1";
enum {
    KEYS_TEXT = sizeof(KEYS_LABEL) + CCZI_SA_DIGEST + 4 + 2 * CCZI_SA_KEY,
    SET_TEXT = sizeof(SET_LABEL) + 2 * CCZI_SA_DIGEST
};

/* What a member signs of its keys. */
static struct ccz_span keys_text(uint8_t out[KEYS_TEXT], const struct cczi_sa_public *k,
                                 const struct cczi_sa_params *p, uint32_t member)
{
    uint8_t *at = cczi_sa_put(out, KEYS_LABEL, sizeof(KEYS_LABEL));
    at = cczi_sa_put(at, p->digest, sizeof(p->digest));
    at = cczi_sa_put_le(at, member, 4);
    at = cczi_sa_put(at, k->mask, sizeof(k->mask));
    cczi_sa_put(at, k->box, sizeof(k->box));
    return CCZ_SPAN(out, KEYS_TEXT);
}

ccz_rc cczi_sa_sign_keys(struct cczi_sa_public *k, const struct cczi_sa_params *p, uint32_t member,
                         const struct ccz_key *identity)
{
    uint8_t text[KEYS_TEXT];
    struct ccz_span parts = keys_text(text, k, p, member);
    return ccz_ecdsa_sign(k->sig, identity, &parts, 1);
}

ccz_rc cczi_sa_check_keys(const struct cczi_sa_public *k, const struct cczi_sa_params *p,
                          uint32_t member, const uint8_t (*roster)[CCZ_SECAGG_ID_SIZE],
                          struct ccz_err *err)
{
    uint8_t text[KEYS_TEXT];
    if (memcmp(k->mask, k->box, CCZI_SA_KEY) == 0)
        return ccz_fail(err, CCZ_E_PEER, "secagg:equal-keys", member,
                        "both keys of member %u are the same", member);
    if (roster &&
        ccz_ecdsa_verify_p256(roster[member], k->sig, keys_text(text, k, p, member)) != CCZ_OK)
        return ccz_fail(err, CCZ_E_SIG, "secagg:signature", member,
                        "keys of member %u are not signed by its identity", member);
    return CCZ_OK;
}

bool cczi_sa_share_keys(const struct cczi_sa_public *a, const struct cczi_sa_public *b)
{
    return memcmp(a->mask, b->mask, CCZI_SA_KEY) == 0 || memcmp(a->box, b->box, CCZI_SA_KEY) == 0 ||
           memcmp(a->mask, b->box, CCZI_SA_KEY) == 0 || memcmp(a->box, b->mask, CCZI_SA_KEY) == 0;
}

static ccz_rc set_text(uint8_t out[SET_TEXT], const struct cczi_sa_params *p, const uint8_t *bitmap)
{
    uint8_t *at = cczi_sa_put(out, SET_LABEL, sizeof(SET_LABEL));
    at = cczi_sa_put(at, p->digest, sizeof(p->digest));
    return ccz_sha256(at, CCZ_SPAN(bitmap, p->bitmap_size));
}

ccz_rc cczi_sa_sign_set(uint8_t sig[CCZI_SA_SIG], const struct cczi_sa_params *p,
                        const uint8_t *bitmap, const struct ccz_key *identity)
{
    uint8_t text[SET_TEXT];
    const struct ccz_span parts = CCZ_SPAN(text, sizeof(text));
    ccz_rc rc = set_text(text, p, bitmap);
    return rc == CCZ_OK ? ccz_ecdsa_sign(sig, identity, &parts, 1) : rc;
}

ccz_rc cczi_sa_check_set(const uint8_t sig[CCZI_SA_SIG], const struct cczi_sa_params *p,
                         const uint8_t *bitmap, const uint8_t id[CCZ_SECAGG_ID_SIZE])
{
    uint8_t text[SET_TEXT];
    ccz_rc rc = set_text(text, p, bitmap);
    return rc == CCZ_OK ? ccz_ecdsa_verify_p256(id, sig, CCZ_SPAN(text, sizeof(text))) : rc;
}

/* HKDF over what two keys have in common; members and public keys in it: no key fits another pair or direction. */
static ccz_rc agree(uint8_t *out, const struct cczi_sa_params *p, struct ccz_span label,
                    const uint8_t *common, uint32_t a, const uint8_t *a_pub, uint32_t b,
                    const uint8_t *b_pub)
{
    uint8_t info[32 + 2 * 4 + 2 * CCZI_SA_KEY] = {0};
    memcpy(info, label.ptr, label.size);
    cczi_sa_put_le(info + 32, a, 4);
    cczi_sa_put_le(info + 36, b, 4);
    memcpy(info + 40, a_pub, CCZI_SA_KEY);
    memcpy(info + 40 + CCZI_SA_KEY, b_pub, CCZI_SA_KEY);
    return ccz_hkdf(out, CCZI_SA_KEY, CCZ_SHA256, CCZ_SPAN(p->digest, sizeof(p->digest)),
                    CCZ_SPAN(common, CCZI_SA_KEY), CCZ_SPAN(info, sizeof(info)));
}

ccz_rc cczi_sa_pair_key(uint8_t out[CCZI_SA_KEY], const struct cczi_sa_params *p, uint32_t self,
                        struct ccz_x25519_key *priv, const uint8_t *pub, uint32_t peer,
                        const uint8_t *peer_pub)
{
    uint8_t common[CCZI_SA_KEY];
    bool first = self < peer;
    ccz_rc rc = ccz_x25519_key_agree(common, priv, peer_pub);
    if (rc == CCZ_OK)
        rc = agree(out, p, LABEL("cczoo secagg mask"), common, first ? self : peer,
                   first ? pub : peer_pub, first ? peer : self, first ? peer_pub : pub);
    ccz_wipe(common, sizeof(common));
    return rc;
}

ccz_rc cczi_sa_box_keys(uint8_t to[CCZI_SA_KEY], uint8_t from[CCZI_SA_KEY],
                        const struct cczi_sa_params *p, uint32_t self, struct ccz_x25519_key *priv,
                        const uint8_t *pub, uint32_t peer, const uint8_t *peer_pub)
{
    uint8_t common[CCZI_SA_KEY];
    ccz_rc rc = ccz_x25519_key_agree(common, priv, peer_pub);
    if (rc == CCZ_OK)
        rc = agree(to, p, LABEL("cczoo secagg box"), common, self, pub, peer, peer_pub);
    if (rc == CCZ_OK)
        rc = agree(from, p, LABEL("cczoo secagg box"), common, peer, peer_pub, self, pub);
    ccz_wipe(common, sizeof(common));
    return rc;
}

ccz_rc cczi_sa_self_key(uint8_t out[CCZI_SA_KEY], const struct cczi_sa_params *p, uint32_t member,
                        const uint8_t seed[CCZI_SA_KEY])
{
    uint8_t info[32] = "cczoo secagg self";
    cczi_sa_put_le(info + 28, member, 4);
    return ccz_hkdf(out, CCZI_SA_KEY, CCZ_SHA256, CCZ_SPAN(p->digest, sizeof(p->digest)),
                    CCZ_SPAN(seed, CCZI_SA_KEY), CCZ_SPAN(info, sizeof(info)));
}

ccz_rc cczi_sa_commit_seed(uint8_t out[CCZI_SA_DIGEST], const struct cczi_sa_params *p,
                           uint32_t member, const uint8_t seed[CCZI_SA_KEY])
{
    uint8_t number[4];
    cczi_sa_put_le(number, member, 4);
    const struct ccz_span parts[] = {LABEL("cczoo secagg seed"),
                                     CCZ_SPAN(p->digest, sizeof(p->digest)), CCZ_SPAN(number, 4),
                                     CCZ_SPAN(seed, CCZI_SA_KEY)};
    return ccz_hash(out, CCZ_SHA256, parts, 4);
}

ccz_rc cczi_sa_commit_share(uint8_t out[CCZI_SA_DIGEST], const struct cczi_sa_params *p,
                            uint32_t dealer, uint32_t holder, bool self_seed,
                            const uint8_t share[CCZI_SA_SHARE])
{
    uint8_t numbers[9];
    cczi_sa_put_le(numbers, dealer, 4);
    cczi_sa_put_le(numbers + 4, holder, 4);
    numbers[8] = self_seed;
    const struct ccz_span parts[] = {
        LABEL("cczoo secagg share"), CCZ_SPAN(p->digest, sizeof(p->digest)),
        CCZ_SPAN(numbers, sizeof(numbers)), CCZ_SPAN(share, CCZI_SA_SHARE)};
    return ccz_hash(out, CCZ_SHA256, parts, 4);
}
