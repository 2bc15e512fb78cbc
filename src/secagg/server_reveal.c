/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who delivered leaves its self mask in the sum; who vanished leaves the halves of the masks that its neighbours had
 * with it. Both are removed with what the shares open.
 */
#include "secagg/server_priv.h"

#include <stdlib.h>
#include <string.h>

enum { BLOCK_KEYS = 1024 };

/* ------------------------------------------------------------------------------------- key ring */

void cczi_sa_keyring_free(struct cczi_sa_keyring *r)
{
    for (size_t i = 0; i < r->cap / BLOCK_KEYS; i++)
        ccz_secret_free(r->block[i]);
    free(r->block);
    free(r->masks);
    *r = (struct cczi_sa_keyring){0};
}

/* Room for one more key. */
static ccz_rc new_key(uint8_t **key, struct cczi_sa_keyring *r, bool negative)
{
    if (r->len == r->cap) {
        size_t blocks = r->cap / BLOCK_KEYS;
        struct ccz_secret **b = realloc(r->block, (blocks + 1) * sizeof(*b));
        if (!b)
            return CCZ_E_NOMEM;
        r->block = b;
        struct cczi_sa_mask *m = realloc(r->masks, (r->cap + BLOCK_KEYS) * sizeof(*m));
        if (!m)
            return CCZ_E_NOMEM;
        r->masks = m;
        ccz_rc rc = ccz_secret_new(&b[blocks], (size_t)BLOCK_KEYS * CCZI_SA_KEY);
        if (rc != CCZ_OK)
            return rc;
        r->cap += BLOCK_KEYS;
    }
    *key = ccz_secret_bytes(r->block[r->len / BLOCK_KEYS]) + r->len % BLOCK_KEYS * CCZI_SA_KEY;
    r->masks[r->len++] = (struct cczi_sa_mask){*key, negative};
    return CCZ_OK;
}

/* --------------------------------------------------------------------------------------- shares */

/* Entries are exactly of the neighbours that are to be opened, each in the right way. */
static bool right_entries(const struct ccz_secagg_server *s, uint32_t member,
                          const struct cczi_sa_msg *m)
{
    const uint32_t *n = cczi_sa_neighbours(s, member);
    uint32_t at = 0;
    for (uint32_t i = 0; i < s->degree; i++) {
        if (!s->member[n[i]].shares)
            continue;
        if (at == m->len || cczi_sa_msg_member(m, at) != n[i] ||
            *cczi_sa_msg_body(m, at) != s->member[n[i]].input)
            return false;
        at++;
    }
    return at == m->len;
}

static ccz_rc take_share(struct ccz_secagg_server *s, uint32_t holder, uint32_t dealer,
                         const uint8_t *body)
{
    struct cczi_sa_member *d = &s->member[dealer];
    uint8_t commit[CCZI_SA_DIGEST];
    bool self_seed = body[0];
    uint32_t at = cczi_sa_find(cczi_sa_neighbours(s, dealer), s->degree, holder);
    ccz_rc rc = cczi_sa_commit_share(commit, &s->p, dealer, holder, self_seed, body + 1);
    if (rc != CCZ_OK)
        return rc;
    const uint8_t *want =
        d->commits + (size_t)at * CCZI_SA_COMMITS + (self_seed ? CCZI_SA_DIGEST : 0);
    if (memcmp(commit, want, sizeof(commit)) != 0) {
        s->stats.wrong_shares++; /* holder or dealer lies: others have shares, too */
        return CCZ_OK;
    }
    memcpy(d->opened + (size_t)at * CCZI_SA_SHARE, body + 1, CCZI_SA_SHARE);
    d->has_opened[at] = true;
    return CCZ_OK;
}

static ccz_rc room_for_shares(struct ccz_secagg_server *s)
{
    for (uint32_t i = 0; i < s->p.cfg.members; i++) {
        struct cczi_sa_member *m = &s->member[i];
        if (!m->shares || m->has_opened)
            continue;
        if (!m->opened)
            m->opened = calloc(s->degree, CCZI_SA_SHARE);
        m->has_opened = m->opened ? calloc(s->degree, sizeof(*m->has_opened)) : NULL;
        if (!m->has_opened)
            return CCZ_E_NOMEM;
    }
    return CCZ_OK;
}

ccz_rc cczi_sa_take_reveal(struct ccz_secagg_server *s, uint32_t member,
                           const struct cczi_sa_msg *m, struct ccz_err *err)
{
    if (!right_entries(s, member, m))
        return ccz_fail(err, CCZ_E_PEER, "secagg:sets", member,
                        "member %u reveals other shares than it was asked for", member);
    ccz_rc rc = room_for_shares(s);
    for (uint32_t i = 0; rc == CCZ_OK && i < m->len; i++)
        rc = take_share(s, member, cczi_sa_msg_member(m, i), cczi_sa_msg_body(m, i));
    if (rc != CCZ_OK)
        return cczi_sa_internal(err, rc);
    s->member[member].revealed = true;
    return CCZ_OK;
}

/* ------------------------------------------------------------------------------------- secrets */

static ccz_rc combine(uint8_t secret[CCZI_SA_KEY], const struct ccz_secagg_server *s,
                      uint32_t dealer, struct ccz_err *err)
{
    const struct cczi_sa_member *d = &s->member[dealer];
    const uint32_t *n = cczi_sa_neighbours(s, dealer);
    uint32_t len = 0, want = s->p.cfg.threshold;
    const uint8_t **shares = calloc(want, sizeof(*shares));
    uint32_t *holders = calloc(want, sizeof(*holders));
    ccz_rc rc = shares && holders ? CCZ_OK : CCZ_E_NOMEM;
    for (uint32_t i = 0; rc == CCZ_OK && d->has_opened && i < s->degree && len < want; i++)
        if (d->has_opened[i]) {
            shares[len] = d->opened + (size_t)i * CCZI_SA_SHARE;
            holders[len++] = n[i];
        }
    if (rc != CCZ_OK)
        (void)cczi_sa_internal(err, rc);
    else if (len < want)
        rc = ccz_fail(err, CCZ_E_PEER, "secagg:shares", dealer,
                      "%u good shares of member %u, expected %u (%u wrong ones of all members)",
                      len, dealer, want, s->stats.wrong_shares);
    else if ((rc = cczi_sa_combine(secret, shares, holders, len)) != CCZ_OK)
        (void)cczi_sa_internal(err, rc);
    free(shares);
    free(holders);
    return rc;
}

static ccz_rc not_the_secret(uint32_t dealer, struct ccz_err *err)
{
    return ccz_fail(err, CCZ_E_PEER, "secagg:secret", dealer,
                    "what member %u has shared out is not its secret", dealer);
}

static ccz_rc open_self(struct ccz_secagg_server *s, uint32_t dealer, const uint8_t *seed,
                        struct ccz_err *err)
{
    uint8_t commit[CCZI_SA_DIGEST], *key;
    ccz_rc rc = cczi_sa_commit_seed(commit, &s->p, dealer, seed);
    if (rc == CCZ_OK && memcmp(commit, s->member[dealer].seed_commit, sizeof(commit)) != 0)
        return not_the_secret(dealer, err);
    if (rc == CCZ_OK)
        rc = new_key(&key, &s->ring, true);
    if (rc == CCZ_OK)
        rc = cczi_sa_self_key(key, &s->p, dealer, seed);
    return rc == CCZ_OK ? rc : cczi_sa_internal(err, rc);
}

static ccz_rc open_pairs(struct ccz_secagg_server *s, uint32_t dealer, const uint8_t *priv,
                         struct ccz_err *err)
{
    uint8_t pub[CCZI_SA_KEY], *key;
    CCZ_AUTO(ccz_x25519_key) mask = NULL;
    const uint32_t *n = cczi_sa_neighbours(s, dealer);
    ccz_rc rc = ccz_x25519_key_new(&mask, priv);
    if (rc == CCZ_OK)
        rc = ccz_x25519_key_public(pub, mask);
    if (rc == CCZ_OK && memcmp(pub, s->member[dealer].pub.mask, sizeof(pub)) != 0)
        return not_the_secret(dealer, err);
    for (uint32_t i = 0; rc == CCZ_OK && i < s->degree; i++) {
        if (!s->member[n[i]].input)
            continue;
        /* the neighbour's half: subtracted where the neighbour added it */
        rc = new_key(&key, &s->ring, !cczi_sa_negative(n[i], dealer));
        if (rc == CCZ_OK)
            rc = cczi_sa_pair_key(key, &s->p, dealer, mask, pub, n[i], s->member[n[i]].pub.mask);
    }
    return rc == CCZ_OK ? rc : cczi_sa_internal(err, rc);
}

ccz_rc cczi_sa_open_all(struct ccz_secagg_server *s, struct ccz_err *err)
{
    uint8_t secret[CCZI_SA_KEY];
    ccz_rc rc = CCZ_OK;
    for (uint32_t i = 0; rc == CCZ_OK && i < s->p.cfg.members; i++) {
        if (!s->member[i].shares)
            continue;
        rc = combine(secret, s, i, err);
        if (rc == CCZ_OK)
            rc = s->member[i].input ? open_self(s, i, secret, err) : open_pairs(s, i, secret, err);
    }
    ccz_wipe(secret, sizeof(secret));
    s->stats.masks = s->ring.len;
    return rc;
}

ccz_rc ccz_secagg_server_unmask(uint32_t *sum, const struct ccz_secagg_server *s, uint64_t offset,
                                size_t len, struct ccz_err *err)
{
    if (s->phase != CCZ_SECAGG_UNMASK)
        return ccz_fail(err, CCZ_E_DENIED, "secagg:phase", s->phase,
                        "masks are not known in phase %s", ccz_secagg_phase_name(s->phase));
    if (offset > s->p.cfg.len || len > s->p.cfg.len - offset)
        return ccz_fail(err, CCZ_E_ARG, "secagg:len", (int64_t)offset,
                        "%zu elements from %llu on, of %llu", len, (unsigned long long)offset,
                        (unsigned long long)s->p.cfg.len);
    ccz_rc rc = cczi_sa_apply(sum, offset, len, s->ring.masks, s->ring.len);
    return rc == CCZ_OK ? rc : cczi_sa_internal(err, rc);
}
