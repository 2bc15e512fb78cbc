/* SPDX-License-Identifier: Apache-2.0 */
#include "secagg/secagg_priv.h"

#include <stdlib.h>
#include <string.h>

enum state { AT_START, AT_NEIGHBOURS, AT_INBOX, AT_INPUT, AT_END, BROKEN };

/* The client's own secrets, and what it has for each neighbour. */
struct own {
    uint8_t mask_priv[CCZI_SA_KEY], seed[CCZI_SA_KEY]; /* in this order: what is shared out */
    uint8_t box_priv[CCZI_SA_KEY], self_key[CCZI_SA_KEY];
};
struct pair {
    uint8_t mask_key[CCZI_SA_KEY], to[CCZI_SA_KEY], from[CCZI_SA_KEY];
    uint8_t shares[CCZI_SA_SHARES]; /* of the neighbour's secrets */
};

struct ccz_secagg_client {
    struct cczi_sa_params p;
    uint32_t self;
    const struct ccz_key *identity;
    const uint8_t (*roster)[CCZ_SECAGG_ID_SIZE];
    enum state state;
    struct cczi_sa_public pub;
    struct ccz_secret *own, *pairs;
    uint32_t peers;
    uint32_t *member;            /* numbers of the neighbours, sorted */
    struct cczi_sa_public *keys; /* and their keys */
    bool *sealed;                /* who has sent shares, and so is part of the masks */
    struct cczi_sa_mask *masks;
    size_t masks_len;
    uint64_t masked;
    uint8_t *signed_set; /* NULL: nothing signed yet */
};

static struct own *own_of(struct ccz_secagg_client *c)
{
    return (struct own *)(void *)ccz_secret_bytes(c->own);
}

static struct pair *pair_of(struct ccz_secagg_client *c, uint32_t i)
{
    return (struct pair *)(void *)(ccz_secret_bytes(c->pairs) + i * sizeof(struct pair));
}

static void forget(struct ccz_secagg_client *c)
{
    free(c->masks);
    c->masks = NULL;
    c->masks_len = 0;
    ccz_secret_free(c->own);
    ccz_secret_free(c->pairs);
    c->own = c->pairs = NULL;
}

void ccz_secagg_client_free(struct ccz_secagg_client *c)
{
    if (!c)
        return;
    forget(c);
    free(c->member);
    free(c->keys);
    free(c->sealed);
    free(c->signed_set);
    free(c);
}

static ccz_rc internal(struct ccz_err *err, ccz_rc rc)
{
    return ccz_fail(err, rc, rc == CCZ_E_NOMEM ? "secagg:memory" : "secagg:crypto", 0, "%s",
                    ccz_rc_str(rc));
}

static ccz_rc check_identity(const struct ccz_secagg_client_cfg *cfg, struct ccz_err *err)
{
    uint8_t xy[CCZ_SECAGG_ID_SIZE];
    if (cfg->round.attested_server)
        return !cfg->identity ? CCZ_OK
                              : ccz_fail(err, CCZ_E_ARG, "secagg:identity", cfg->self,
                                         "an identity and an attested server exclude each other");
    if (!cfg->identity || ccz_key_curve(cfg->identity) != CCZ_P256 ||
        ccz_key_xy(xy, cfg->identity) != CCZ_OK)
        return ccz_fail(err, CCZ_E_ARG, "secagg:identity", cfg->self, "a P-256 key is needed");
    if (memcmp(xy, cfg->roster[cfg->self], sizeof(xy)) != 0)
        return ccz_fail(err, CCZ_E_ARG, "secagg:identity", cfg->self,
                        "the roster has another key for member %u", cfg->self);
    return CCZ_OK;
}

static ccz_rc draw_secrets(struct ccz_secagg_client *c)
{
    ccz_rc rc = ccz_secret_new(&c->own, sizeof(struct own));
    if (rc != CCZ_OK)
        return rc;
    struct own *o = own_of(c);
    rc = ccz_random(o, sizeof(*o));
    if (rc == CCZ_OK)
        rc = ccz_x25519_public(c->pub.mask, o->mask_priv);
    if (rc == CCZ_OK)
        rc = ccz_x25519_public(c->pub.box, o->box_priv);
    if (rc == CCZ_OK)
        rc = cczi_sa_self_key(o->self_key, &c->p, c->self, o->seed);
    if (rc == CCZ_OK && c->identity)
        rc = cczi_sa_sign_keys(&c->pub, &c->p, c->self, c->identity);
    return rc;
}

ccz_rc ccz_secagg_client_new(struct ccz_secagg_client **out,
                             const struct ccz_secagg_client_cfg *cfg, struct ccz_err *err)
{
    *out = NULL;
    CCZ_AUTO(ccz_secagg_client) c = calloc(1, sizeof(*c));
    if (!c)
        return internal(err, CCZ_E_NOMEM);
    ccz_rc rc = cczi_sa_params_init(&c->p, &cfg->round, cfg->roster, err);
    if (rc != CCZ_OK)
        return rc;
    if (cfg->self >= cfg->round.members)
        return ccz_refuse_num(err, CCZ_E_ARG, "secagg:self", cfg->self, cfg->round.members - 1);
    rc = check_identity(cfg, err);
    if (rc != CCZ_OK)
        return rc;
    c->self = cfg->self;
    c->identity = cfg->identity;
    c->roster = cfg->roster;
    rc = draw_secrets(c);
    if (rc != CCZ_OK)
        return internal(err, rc);
    *out = ccz_secagg_client_take(&c);
    return CCZ_OK;
}

static void put_keys(struct ccz_buf *out, const struct cczi_sa_params *p,
                     const struct cczi_sa_public *k)
{
    ccz_buf_put(out, k, p->cfg.attested_server ? 2 * CCZI_SA_KEY : sizeof(*k));
}

/* ------------------------------------------------------------------------- neighbours' keys */

static ccz_rc take_keys(struct ccz_secagg_client *c, const struct cczi_sa_msg *m, uint32_t i,
                        struct ccz_err *err)
{
    uint32_t member = cczi_sa_msg_member(m, i);
    struct cczi_sa_public *k = &c->keys[i];
    memcpy(k, cczi_sa_msg_body(m, i), m->entry_size - 4);
    c->member[i] = member;
    ccz_rc rc = CCZ_OK;
    if (member == c->self || cczi_sa_share_keys(k, &c->pub))
        rc = ccz_fail(err, CCZ_E_PEER, "secagg:key-repeated", member,
                      "a key of this client comes back as one of member %u", member);
    for (uint32_t j = 0; rc == CCZ_OK && j < i; j++)
        if (cczi_sa_share_keys(k, &c->keys[j]))
            rc = ccz_fail(err, CCZ_E_PEER, "secagg:key-repeated", member,
                          "members %u and %u have a key in common", c->member[j], member);
    if (rc == CCZ_OK)
        rc = cczi_sa_check_keys(k, &c->p, member, c->roster, err);
    return rc;
}

static ccz_rc derive_pair(struct ccz_secagg_client *c, uint32_t i, struct ccz_x25519_key *mask,
                          struct ccz_x25519_key *box, struct ccz_err *err)
{
    struct pair *q = pair_of(c, i);
    const struct cczi_sa_public *k = &c->keys[i];
    ccz_rc rc =
        cczi_sa_pair_key(q->mask_key, &c->p, c->self, mask, c->pub.mask, c->member[i], k->mask);
    if (rc == CCZ_OK)
        rc =
            cczi_sa_box_keys(q->to, q->from, &c->p, c->self, box, c->pub.box, c->member[i], k->box);
    if (rc == CCZ_E_PEER)
        return ccz_fail(err, rc, "secagg:weak-key", c->member[i],
                        "a key of member %u is a point of small order", c->member[i]);
    return rc == CCZ_OK ? rc : internal(err, rc);
}

static ccz_rc derive_pairs(struct ccz_secagg_client *c, struct ccz_err *err)
{
    CCZ_AUTO(ccz_x25519_key) mask = NULL;
    CCZ_AUTO(ccz_x25519_key) box = NULL;
    ccz_rc rc = ccz_x25519_key_new(&mask, own_of(c)->mask_priv);
    if (rc == CCZ_OK)
        rc = ccz_x25519_key_new(&box, own_of(c)->box_priv);
    if (rc != CCZ_OK)
        return internal(err, rc);
    for (uint32_t i = 0; rc == CCZ_OK && i < c->peers; i++)
        rc = derive_pair(c, i, mask, box, err);
    return rc;
}

/* What a box is bound to beyond its key. */
static struct ccz_span box_aad(uint8_t out[CCZI_SA_TAG + 8], const struct ccz_secagg_client *c,
                               uint32_t from, uint32_t to)
{
    uint8_t *at = cczi_sa_put(out, c->p.digest, CCZI_SA_TAG);
    at = cczi_sa_put_le(at, from, 4);
    cczi_sa_put_le(at, to, 4);
    return CCZ_SPAN(out, CCZI_SA_TAG + 8);
}

static const uint8_t NONCE[CCZ_AEAD_NONCE_SIZE]; /* each key seals one box */

static ccz_rc put_sealed(struct ccz_buf *out, struct ccz_secagg_client *c, uint32_t i,
                         const uint8_t *shares, struct ccz_aead *aead)
{
    uint8_t commits[CCZI_SA_COMMITS], box[CCZI_SA_BOX], aad[CCZI_SA_TAG + 8];
    uint32_t to = c->member[i];
    ccz_rc rc = cczi_sa_commit_share(commits, &c->p, c->self, to, false, shares);
    if (rc == CCZ_OK)
        rc = cczi_sa_commit_share(commits + CCZI_SA_DIGEST, &c->p, c->self, to, true,
                                  shares + CCZI_SA_SHARE);
    if (rc == CCZ_OK)
        rc = ccz_aead_seal(aead, box, box + CCZI_SA_SHARES, pair_of(c, i)->to, NONCE,
                           box_aad(aad, c, c->self, to), CCZ_SPAN(shares, CCZI_SA_SHARES));
    ccz_buf_le32(out, to);
    ccz_buf_put(out, commits, sizeof(commits));
    ccz_buf_put(out, box, sizeof(box));
    return rc;
}

static ccz_rc put_shares(struct ccz_buf *out, struct ccz_secagg_client *c)
{
    CCZ_AUTO(ccz_secret) bytes = NULL;
    CCZ_AUTO(ccz_aead) aead = NULL;
    uint8_t commit[CCZI_SA_DIGEST];
    struct own *o = own_of(c);
    ccz_rc rc = ccz_secret_new(&bytes, (size_t)c->peers * CCZI_SA_SHARES);
    if (rc == CCZ_OK)
        rc = ccz_aead_new(&aead, CCZ_AES_256_GCM);
    if (rc == CCZ_OK)
        rc = cczi_sa_split(ccz_secret_bytes(bytes), o->mask_priv, c->member, c->peers,
                           c->p.cfg.threshold);
    if (rc == CCZ_OK)
        rc = cczi_sa_commit_seed(commit, &c->p, c->self, o->seed);
    if (rc != CCZ_OK)
        return rc;
    cczi_sa_msg_begin(out, &c->p, CCZI_SA_SEALED);
    ccz_buf_put(out, commit, sizeof(commit));
    ccz_buf_le32(out, c->peers);
    for (uint32_t i = 0; rc == CCZ_OK && i < c->peers; i++)
        rc = put_sealed(out, c, i, ccz_secret_bytes(bytes) + (size_t)i * CCZI_SA_SHARES, aead);
    return rc;
}

static ccz_rc few(struct ccz_err *err, const char *what, uint32_t got, uint32_t want)
{
    return ccz_fail(err, CCZ_E_DENIED, "secagg:few", got, "%u %s, expected at least %u", got, what,
                    want);
}

static ccz_rc on_neighbours(struct ccz_buf *out, struct ccz_secagg_client *c,
                            const struct cczi_sa_msg *m, struct ccz_err *err)
{
    if (m->len < c->p.cfg.threshold)
        return few(err, "neighbours", m->len, c->p.cfg.threshold);
    if (m->len > CCZ_SECAGG_DEGREE_MAX)
        return ccz_fail(err, CCZ_E_DENIED, "secagg:few", m->len, "%u neighbours, at most %d",
                        m->len, CCZ_SECAGG_DEGREE_MAX);
    c->peers = m->len;
    c->member = calloc(m->len, sizeof(*c->member));
    c->keys = calloc(m->len, sizeof(*c->keys));
    c->sealed = calloc(m->len, sizeof(*c->sealed));
    ccz_rc rc = ccz_secret_new(&c->pairs, m->len * sizeof(struct pair));
    if (!c->member || !c->keys || !c->sealed || rc != CCZ_OK)
        return internal(err, CCZ_E_NOMEM);
    for (uint32_t i = 0; rc == CCZ_OK && i < m->len; i++)
        rc = take_keys(c, m, i, err);
    if (rc == CCZ_OK)
        rc = derive_pairs(c, err);
    if (rc != CCZ_OK)
        return rc;
    rc = put_shares(out, c);
    c->state = AT_INBOX;
    return rc == CCZ_OK ? rc : internal(err, rc);
}

/* ------------------------------------------------------------------------------ shares, masks */

static ccz_rc open_box(struct ccz_secagg_client *c, const struct cczi_sa_msg *m, uint32_t i,
                       struct ccz_aead *aead, struct ccz_err *err)
{
    uint8_t aad[CCZI_SA_TAG + 8];
    uint32_t from = cczi_sa_msg_member(m, i);
    uint32_t at = cczi_sa_find(c->member, c->peers, from);
    if (at == c->peers)
        return ccz_fail(err, CCZ_E_DENIED, "secagg:sets", from,
                        "shares of member %u, which is no neighbour", from);
    struct pair *q = pair_of(c, at);
    const uint8_t *box = cczi_sa_msg_body(m, i);
    ccz_rc rc = ccz_aead_open(aead, q->shares, box + CCZI_SA_SHARES, q->from, NONCE,
                              box_aad(aad, c, from, c->self), CCZ_SPAN(box, CCZI_SA_SHARES));
    if (rc == CCZ_E_SIG)
        return ccz_fail(err, rc, "secagg:share-tag", from,
                        "the shares of member %u are not what it sealed for this client", from);
    if (rc != CCZ_OK)
        return internal(err, rc);
    c->sealed[at] = true;
    c->masks[c->masks_len++] = (struct cczi_sa_mask){q->mask_key, cczi_sa_negative(c->self, from)};
    return CCZ_OK;
}

static ccz_rc on_inbox(struct ccz_buf *out, struct ccz_secagg_client *c,
                       const struct cczi_sa_msg *m, struct ccz_err *err)
{
    (void)out; /* the masked vector is the answer */
    CCZ_AUTO(ccz_aead) aead = NULL;
    if (m->len < c->p.cfg.threshold)
        return few(err, "neighbours have sent shares", m->len, c->p.cfg.threshold);
    c->masks = calloc((size_t)m->len + 1, sizeof(*c->masks));
    ccz_rc rc = c->masks ? ccz_aead_new(&aead, CCZ_AES_256_GCM) : CCZ_E_NOMEM;
    if (rc != CCZ_OK)
        return internal(err, rc);
    for (uint32_t i = 0; rc == CCZ_OK && i < m->len; i++)
        rc = open_box(c, m, i, aead, err);
    c->masks[c->masks_len++] = (struct cczi_sa_mask){own_of(c)->self_key, false};
    c->state = AT_INPUT;
    return rc;
}

bool ccz_secagg_client_masking(const struct ccz_secagg_client *c)
{
    return c->state == AT_INPUT && c->masked < c->p.cfg.len;
}

ccz_rc ccz_secagg_client_mask(uint32_t *y, struct ccz_secagg_client *c, uint64_t offset, size_t len,
                              struct ccz_err *err)
{
    if (c->state != AT_INPUT)
        return ccz_fail(err, CCZ_E_DENIED, "secagg:phase", c->state, "no vector is due now");
    if (offset != c->masked || len > c->p.cfg.len - offset)
        return ccz_fail(err, CCZ_E_DENIED, "secagg:mask-order", (int64_t)offset,
                        "%zu elements from %llu on, but %llu of %llu are masked", len,
                        (unsigned long long)offset, (unsigned long long)c->masked,
                        (unsigned long long)c->p.cfg.len);
    c->masked += len; /* also if it fails: part of it may be out */
    ccz_rc rc = cczi_sa_apply(y, offset, len, c->masks, c->masks_len);
    return rc == CCZ_OK ? rc : internal(err, rc);
}

/* ------------------------------------------------------------------------ who delivered, reveal */

/*
 * Whom this client has masks with must be in the one set or the other, whom it has none with in neither; on a sparse graph
 * it can say so of its neighbours only. `gone` is NULL while only those who delivered are named.
 */
static ccz_rc check_member(const struct ccz_secagg_client *c, uint32_t i, const uint8_t *in,
                           const uint8_t *gone, struct ccz_err *err)
{
    bool there = cczi_sa_bit(in, i), lost = gone && cczi_sa_bit(gone, i);
    if (there && lost)
        return ccz_fail(err, CCZ_E_DENIED, "secagg:both-shares", i,
                        "member %u is to be opened both ways", i);
    uint32_t at = cczi_sa_find(c->member, c->peers, i);
    bool known = at < c->peers, sealed = known && c->sealed[at];
    if (i == c->self) {
        if (!there)
            return ccz_fail(err, CCZ_E_DENIED, "secagg:self-dropped", i,
                            "this client is said to have vanished");
        return CCZ_OK;
    }
    bool extra = (there || lost) && !sealed && (known || c->p.cfg.degree == 0);
    bool omitted = gone && sealed && !there && !lost;
    if (extra || omitted)
        return ccz_fail(err, CCZ_E_DENIED, "secagg:sets", i,
                        extra ? "member %u has not sent shares, but is named"
                              : "member %u has sent shares, but is not named",
                        i);
    return CCZ_OK;
}

static ccz_rc check_sets(const struct ccz_secagg_client *c, const uint8_t *in, const uint8_t *gone,
                         struct ccz_err *err)
{
    ccz_rc rc = CCZ_OK;
    for (uint32_t i = 0; rc == CCZ_OK && i < c->p.cfg.members; i++)
        rc = check_member(c, i, in, gone, err);
    if (rc != CCZ_OK)
        return rc;
    uint32_t count = cczi_sa_count(in, c->p.bitmap_size);
    return count >= c->p.cfg.quorum ? CCZ_OK : few(err, "vectors", count, c->p.cfg.quorum);
}

static ccz_rc on_delivered(struct ccz_buf *out, struct ccz_secagg_client *c,
                           const struct cczi_sa_msg *m, struct ccz_err *err)
{
    uint8_t sig[CCZI_SA_SIG];
    ccz_rc rc = check_sets(c, m->fixed.ptr, NULL, err);
    if (rc != CCZ_OK)
        return rc;
    c->signed_set = malloc(c->p.bitmap_size);
    if (!c->signed_set)
        return internal(err, CCZ_E_NOMEM);
    memcpy(c->signed_set, m->fixed.ptr, c->p.bitmap_size);
    rc = cczi_sa_sign_set(sig, &c->p, c->signed_set, c->identity);
    if (rc != CCZ_OK)
        return internal(err, rc);
    cczi_sa_msg_begin(out, &c->p, CCZI_SA_SIGNED);
    ccz_buf_put(out, sig, sizeof(sig));
    return CCZ_OK;
}

/* Enough of those who delivered have signed the same set as this client. */
static ccz_rc check_agreement(const struct ccz_secagg_client *c, const struct cczi_sa_msg *m,
                              struct ccz_err *err)
{
    const uint8_t *in = m->fixed.ptr;
    uint32_t good = 0;
    if (memcmp(in, c->signed_set, c->p.bitmap_size) != 0)
        return ccz_fail(err, CCZ_E_DENIED, "secagg:mixed-sets", 0,
                        "the set is not the one that this client signed");
    for (uint32_t i = 0; i < m->len && good < c->p.cfg.threshold; i++) {
        uint32_t member = cczi_sa_msg_member(m, i);
        good += cczi_sa_bit(in, member) &&
                cczi_sa_check_set(cczi_sa_msg_body(m, i), &c->p, in, c->roster[member]) == CCZ_OK;
    }
    if (good < c->p.cfg.threshold)
        return ccz_fail(err, CCZ_E_SIG, "secagg:agreement", good,
                        "%u valid signatures of the set, expected %u", good, c->p.cfg.threshold);
    return CCZ_OK;
}

static ccz_rc on_unmask(struct ccz_buf *out, struct ccz_secagg_client *c,
                        const struct cczi_sa_msg *m, struct ccz_err *err)
{
    const uint8_t *in = m->fixed.ptr, *gone = in + c->p.bitmap_size;
    ccz_rc rc = check_sets(c, in, gone, err);
    if (rc == CCZ_OK && c->roster)
        rc = check_agreement(c, m, err);
    if (rc != CCZ_OK)
        return rc;
    uint32_t len = 0;
    for (uint32_t i = 0; i < c->peers; i++)
        len += c->sealed[i];
    cczi_sa_msg_begin(out, &c->p, CCZI_SA_REVEAL);
    ccz_buf_le32(out, len);
    for (uint32_t i = 0; i < c->peers; i++) {
        if (!c->sealed[i])
            continue;
        bool there = cczi_sa_bit(in, c->member[i]);
        ccz_buf_le32(out, c->member[i]);
        ccz_buf_u8(out, there);
        ccz_buf_put(out, pair_of(c, i)->shares + (there ? CCZI_SA_SHARE : 0), CCZI_SA_SHARE);
    }
    c->state = AT_END;
    forget(c);
    return CCZ_OK;
}

/* ---------------------------------------------------------------------------------------- steps */

/* Is this the message that is due? With a roster the signing comes between input and reveal. */
static bool due(const struct ccz_secagg_client *c, enum cczi_sa_kind kind)
{
    bool agrees = c->roster && !c->signed_set;
    switch (c->state) {
    case AT_NEIGHBOURS:
        return kind == CCZI_SA_NEIGHBOURS;
    case AT_INBOX:
        return kind == CCZI_SA_INBOX;
    case AT_INPUT:
        return c->masked == c->p.cfg.len && kind == (agrees ? CCZI_SA_DELIVERED : CCZI_SA_UNMASK);
    default:
        return false;
    }
}

static ccz_rc receive(struct ccz_buf *out, struct ccz_secagg_client *c, struct ccz_span in,
                      struct ccz_err *err)
{
    struct cczi_sa_msg m;
    ccz_rc rc = cczi_sa_msg_parse(&m, &c->p, in, err);
    if (rc != CCZ_OK)
        return rc;
    if (!due(c, m.kind))
        return ccz_fail(err, CCZ_E_DENIED, "secagg:phase", (int64_t)m.kind,
                        "message of kind %d is not due", (int)m.kind);
    switch (m.kind) {
    case CCZI_SA_NEIGHBOURS:
        return on_neighbours(out, c, &m, err);
    case CCZI_SA_INBOX:
        return on_inbox(out, c, &m, err);
    case CCZI_SA_DELIVERED:
        return on_delivered(out, c, &m, err);
    default:
        return on_unmask(out, c, &m, err);
    }
}

ccz_rc ccz_secagg_client_step(struct ccz_buf *out, struct ccz_secagg_client *c, struct ccz_span in,
                              struct ccz_err *err)
{
    size_t before = out->size;
    ccz_rc rc = CCZ_OK;
    if (c->state == BROKEN || (c->state == AT_START && in.size))
        rc = ccz_fail(err, CCZ_E_DENIED, "secagg:phase", c->state,
                      c->state == BROKEN ? "this client has ended its part" : "not started");
    else if (c->state == AT_START) {
        cczi_sa_msg_begin(out, &c->p, CCZI_SA_KEYS);
        put_keys(out, &c->p, &c->pub);
        c->state = AT_NEIGHBOURS;
    } else {
        rc = receive(out, c, in, err);
    }
    if (rc == CCZ_OK && out->bad)
        rc = ccz_fail(err, CCZ_E_NOMEM, "secagg:memory", 0, "no room for the answer");
    if (rc != CCZ_OK) {
        c->state = BROKEN;
        forget(c);
        if (!out->bad)
            out->size = before;
    }
    return rc;
}
