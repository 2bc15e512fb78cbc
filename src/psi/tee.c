/* SPDX-License-Identifier: Apache-2.0 */
/* The server of a session: see tee_priv.h. Each party's thread takes, hashes and sorts its tags; the last one intersects. */
#define _GNU_SOURCE
#include "tee_priv.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { VERSION = 1, BEAT_MS = 2000 };
#define WAIT_MS_DEFAULT INT64_C(600000)

enum state { ABSENT, HERE, READY };
struct party {
    enum state state;
    size_t len;
    uint8_t (*tags)[16]; /* as uploaded */
    struct cczi_psi_mask *
        masks; /* of the tags under a key of the server, sorted: whoever chooses tags cannot choose these */
    uint32_t *places; /* of common tags in the upload, in the common order */
};
struct ccz_psi_tee {
    struct ccz_psi_tee_cfg cfg;
    uint8_t session[32], nonce[32], secret[32];
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct party parties[CCZ_PSI_TEE_PARTIES_MAX];
    unsigned ready;
    int64_t since_ms; /* when the first one was ready */
    bool first_said, done;
    uint8_t prepared[32], key[32]; /* what the first one said */
    ccz_rc failed;                 /* of the session */
    char reason[CCZ_ERR_WHERE_SIZE];
    size_t len;
    uint8_t digest[32];
};

static ccz_rc no_memory(struct ccz_err *err, size_t len)
{
    return ccz_fail(err, CCZ_E_NOMEM, "psi:memory", (int64_t)len, "no memory for %zu entries", len);
}

/* -------------------------------------------------------------------------------------- messages */

void cczi_tee_hello_put(uint8_t out[CCZI_TEE_HELLO_SIZE], const struct cczi_tee_hello *h)
{
    CCZ_AUTO_BUF b;
    ccz_buf_init(&b, CCZI_TEE_HELLO_SIZE);
    ccz_buf_put_str(&b, "PST");
    ccz_buf_u8(&b, VERSION);
    ccz_buf_le32(&b, (uint32_t)h->output << 16 | h->parties);
    ccz_buf_le64(&b, h->len);
    ccz_buf_le64(&b, h->min_intersection);
    ccz_buf_put(&b, h->prepared, 32);
    ccz_buf_put(&b, h->session, 32);
    ccz_buf_put(&b, h->key, 32);
    memset(out, 0, CCZI_TEE_HELLO_SIZE);
    if (!b.bad)
        memcpy(out, b.ptr, b.size);
}

ccz_rc cczi_tee_hello_get(struct cczi_tee_hello *h, const uint8_t in[CCZI_TEE_HELLO_SIZE],
                          struct ccz_err *err)
{
    struct ccz_rd r = ccz_rd_from(CCZ_SPAN(in, CCZI_TEE_HELLO_SIZE));
    *h = (struct cczi_tee_hello){0};
    if (!ccz_span_eq(ccz_rd_take(&r, 3), ccz_span_str("PST")))
        return ccz_fail(err, CCZ_E_PEER, "psi:message", 0, "the peer does not speak this protocol");
    uint8_t version = ccz_rd_u8(&r);
    if (version != VERSION)
        return ccz_refuse_num(err, CCZ_E_UNSUPPORTED, "psi:version", version, VERSION);
    uint32_t what = ccz_rd_le32(&r);
    h->output = (uint8_t)(what >> 16);
    h->parties = what & 0xffff;
    h->len = ccz_rd_le64(&r);
    h->min_intersection = ccz_rd_le64(&r);
    ccz_rd_copy(&r, h->prepared, 32);
    ccz_rd_copy(&r, h->session, 32);
    ccz_rd_copy(&r, h->key, 32);
    if (!ccz_rd_done(&r) || what >> 24 != 0)
        return ccz_fail(err, CCZ_E_PEER, "psi:message", 0, "a malformed greeting");
    return CCZ_OK;
}

ccz_rc cczi_tee_terms_check(const struct ccz_psi_tee_terms *t, struct ccz_err *err)
{
    if (t->parties < 2 || t->parties > CCZ_PSI_TEE_PARTIES_MAX ||
        (unsigned)t->output > CCZ_PSI_CARDINALITY)
        return ccz_fail(err, CCZ_E_ARG, "psi:config", t->parties,
                        "got %u parties, expected 2 to %d, and a kind of output", t->parties,
                        CCZ_PSI_TEE_PARTIES_MAX);
    return CCZ_OK;
}

void cczi_tee_session(uint8_t out[32], struct ccz_span name)
{
    static const uint8_t zero[32];
    cczi_psi_derive(out, "cczoo psi tee session", zero, name);
}

ccz_rc cczi_tee_digest_new(struct ccz_hasher **out, const uint8_t nonce[32], struct ccz_err *err)
{
    ccz_rc rc = ccz_hasher_new(out, CCZ_SHA256);
    if (rc == CCZ_OK)
        rc = ccz_hasher_put(*out, ccz_span_str("cczoo psi tee alignment"));
    if (rc == CCZ_OK)
        rc = ccz_hasher_put(*out, CCZ_SPAN(nonce, 32));
    return rc == CCZ_OK ? rc : ccz_fail(err, rc, "psi:digest", 0, "cannot hash");
}

/* --------------------------------------------------------------------------------------- session */

ccz_rc ccz_psi_tee_new(struct ccz_psi_tee **out, const struct ccz_psi_tee_cfg *cfg,
                       struct ccz_err *err)
{
    *out = NULL;
    ccz_rc rc = cczi_tee_terms_check(&cfg->terms, err);
    if (rc != CCZ_OK)
        return rc;
    if (cfg->len_max > CCZ_PSI_LEN_MAX || cfg->wait_ms < 0)
        return ccz_fail(err, CCZ_E_ARG, "psi:config", 0, "a setting out of range");
    struct ccz_psi_tee *t = calloc(1, sizeof(*t));
    if (!t)
        return no_memory(err, 1);
    t->cfg = *cfg;
    t->cfg.len_max = cfg->len_max ? cfg->len_max : CCZ_PSI_TEE_LEN_MAX;
    t->cfg.wait_ms = cfg->wait_ms ? cfg->wait_ms : WAIT_MS_DEFAULT;
    cczi_tee_session(t->session, cfg->terms.session);
    t->cfg.terms.session = CCZ_SPAN(NULL, 0); /* not ours */
    (void)pthread_mutex_init(&t->lock, NULL);
    pthread_condattr_t attr;
    (void)pthread_condattr_init(&attr);
    (void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&t->changed, &attr);
    (void)pthread_condattr_destroy(&attr);
    if (ccz_random(t->nonce, 32) != CCZ_OK || ccz_random(t->secret, 32) != CCZ_OK) {
        ccz_psi_tee_free(t);
        return ccz_fail(err, CCZ_E_INTERNAL, "psi:random", 0, "no randomness");
    }
    *out = t;
    return CCZ_OK;
}

void ccz_psi_tee_free(struct ccz_psi_tee *t)
{
    if (!t)
        return;
    for (size_t i = 0; i < CCZ_PSI_TEE_PARTIES_MAX; i++) {
        struct party *p = &t->parties[i];
        if (p->tags)
            ccz_wipe(p->tags, p->len * sizeof(*p->tags));
        if (p->masks)
            ccz_wipe(p->masks, p->len * sizeof(*p->masks));
        free(p->tags);
        free(p->masks);
        free(p->places);
    }
    (void)pthread_cond_destroy(&t->changed);
    (void)pthread_mutex_destroy(&t->lock);
    ccz_wipe(t, sizeof(*t));
    free(t);
}

uint64_t ccz_psi_tee_len(const struct ccz_psi_tee *t)
{
    return t->done ? t->len : 0;
}

static ccz_rc refuse_setting(struct ccz_err *err, const char *where, uint64_t got,
                             uint64_t expected)
{
    return ccz_hint(err,
                    ccz_refuse_num(err, CCZ_E_MISMATCH, where, (int64_t)got, (int64_t)expected),
                    "server and parties have to be configured alike");
}

/* Against the server's terms, and what the first party said. */
static ccz_rc compare(struct ccz_psi_tee *t, const struct cczi_tee_hello *h, struct ccz_err *err)
{
    const struct ccz_psi_tee_terms *terms = &t->cfg.terms;
    if (h->parties != terms->parties)
        return refuse_setting(err, "psi:tee-parties", h->parties, terms->parties);
    if (h->output != terms->output)
        return refuse_setting(err, "psi:peer-output", h->output, terms->output);
    if (h->min_intersection != terms->min_intersection)
        return refuse_setting(err, "psi:peer-minimum", h->min_intersection,
                              terms->min_intersection);
    if (memcmp(h->session, t->session, 32) != 0)
        return ccz_refuse_bytes(err, CCZ_E_MISMATCH, "psi:peer-session", h->session, 16, t->session,
                                16);
    if (h->len > t->cfg.len_max)
        return ccz_refuse_num(err, CCZ_E_LIMIT, "psi:peer-len", (int64_t)(h->len >> 1),
                              (int64_t)(t->cfg.len_max >> 1));
    (void)pthread_mutex_lock(&t->lock);
    if (!t->first_said) {
        memcpy(t->prepared, h->prepared, 32);
        memcpy(t->key, h->key, 32);
        t->first_said = true;
    }
    bool prepared = memcmp(t->prepared, h->prepared, 32) == 0,
         key = memcmp(t->key, h->key, 32) == 0;
    (void)pthread_mutex_unlock(&t->lock);
    if (!prepared)
        return ccz_fail(err, CCZ_E_MISMATCH, "psi:peer-ids", 0,
                        "domain, trim and fold_case have to be the same for all parties");
    if (!key)
        return ccz_fail(err, CCZ_E_MISMATCH, "psi:tee-key", 0, "parties have different keys");
    return CCZ_OK;
}

/* ---------------------------------------------------------------------------------------- upload */

static void hash_tags(struct cczi_psi_mask *masks, const uint8_t (*tags)[16], size_t first,
                      size_t len, const struct cczi_ro *ro)
{
    uint8_t in[64][32] = {{0}};
    struct cczi_digest out[64];
    for (size_t i = 0; i < len; i += 64) {
        size_t n = len - i < 64 ? len - i : 64;
        for (size_t j = 0; j < n; j++)
            memcpy(in[j], tags[first + i + j], 16);
        cczi_ro_hash(out, ro, (const uint8_t(*)[32])in, n);
        for (size_t j = 0; j < n; j++)
            masks[first + i + j] =
                cczi_psi_mask_from((const uint8_t *)out[j].w, 16, (uint32_t)(first + i + j));
    }
}

static ccz_rc upload(struct ccz_psi_tee *t, struct party *p, struct ccz_chan *chan,
                     struct ccz_err *err)
{
    struct cczi_ro ro;
    cczi_ro_init(&ro, "cczoo psi tee sort", t->secret);
    ccz_rc rc = CCZ_OK;
    for (size_t at = 0; rc == CCZ_OK && at < p->len; at += CCZI_TEE_BLOCK) {
        size_t n = p->len - at < CCZI_TEE_BLOCK ? p->len - at : CCZI_TEE_BLOCK;
        rc = ccz_chan_recv_exact(p->tags + at, n * sizeof(*p->tags), chan, err);
        if (rc == CCZ_OK)
            hash_tags(p->masks, (const uint8_t(*)[16])p->tags, at, n, &ro);
    }
    if (rc == CCZ_OK)
        rc = cczi_psi_masks_sort(&p->masks, p->len, err);
    for (size_t i = 1; rc == CCZ_OK && i < p->len; i++) {
        if (p->masks[i].hi == p->masks[i - 1].hi && p->masks[i].lo == p->masks[i - 1].lo)
            rc = ccz_fail(err, CCZ_E_PEER, "psi:tee-twice", p->masks[i].at,
                          "the hash at %u came before", p->masks[i].at);
    }
    return rc;
}

static ccz_rc greet(struct ccz_psi_tee *t, struct party *p, struct ccz_chan *chan,
                    struct ccz_err *err)
{
    uint8_t in[CCZI_TEE_HELLO_SIZE];
    struct cczi_tee_hello h;
    ccz_rc rc = ccz_chan_recv_exact(in, sizeof(in), chan, err);
    if (rc == CCZ_OK)
        rc = cczi_tee_hello_get(&h, in, err);
    if (rc == CCZ_OK)
        rc = compare(t, &h, err);
    if (rc != CCZ_OK)
        return rc;
    size_t len = (size_t)h.len;
    p->tags = malloc(len * sizeof(*p->tags) + 1);
    p->masks = malloc(len * sizeof(*p->masks) + 1);
    if (!p->tags || !p->masks)
        return no_memory(err, len);
    p->len = len;
    memset(p->tags, 0, len * sizeof(*p->tags)); /* len is wiped at the end, whatever came */
    memset(p->masks, 0, len * sizeof(*p->masks));
    return ccz_chan_send(chan, CCZ_SPAN(t->nonce, sizeof(t->nonce)), err);
}

/* ---------------------------------------------------------------------------------- intersection */

static int order(const struct cczi_psi_mask *a, const struct cczi_psi_mask *b)
{
    if (a->hi != b->hi)
        return a->hi < b->hi ? -1 : 1;
    return a->lo == b->lo ? 0 : a->lo < b->lo ? -1 : 1;
}

/* Walks all sorted lists at once. Everybody is ready, and nobody else touches them. */
static ccz_rc intersect(struct ccz_psi_tee *t, struct ccz_err *err)
{
    CCZ_AUTO(ccz_hasher) h = NULL;
    unsigned n = t->cfg.terms.parties;
    size_t at[CCZ_PSI_TEE_PARTIES_MAX] = {0}, least = t->parties[0].len;
    for (unsigned i = 1; i < n; i++)
        least = t->parties[i].len < least ? t->parties[i].len : least;
    for (unsigned i = 0; i < n; i++) {
        t->parties[i].places = malloc(least * sizeof(uint32_t) + 1);
        if (!t->parties[i].places)
            return no_memory(err, least);
    }
    ccz_rc rc = cczi_tee_digest_new(&h, t->nonce, err);
    if (rc != CCZ_OK)
        return rc;
    for (; at[0] < t->parties[0].len; at[0]++) {
        const struct cczi_psi_mask *m = &t->parties[0].masks[at[0]];
        bool all = true;
        for (unsigned i = 1; i < n && all; i++) {
            const struct party *p = &t->parties[i];
            while (at[i] < p->len && order(&p->masks[at[i]], m) < 0)
                at[i]++;
            all = at[i] < p->len && order(&p->masks[at[i]], m) == 0;
        }
        if (!all)
            continue;
        for (unsigned i = 0; i < n; i++)
            t->parties[i].places[t->len] = t->parties[i].masks[at[i]].at;
        t->len++;
        if (ccz_hasher_put(h, CCZ_SPAN(t->parties[0].tags[m->at], 16)) != CCZ_OK)
            return ccz_fail(err, CCZ_E_INTERNAL, "psi:digest", 0, "cannot hash");
    }
    return ccz_hasher_done(t->digest, h) == CCZ_OK
               ? CCZ_OK
               : ccz_fail(err, CCZ_E_INTERNAL, "psi:digest", 0, "cannot hash");
}

/* ------------------------------------------------------------------------------------ rendezvous */

static void fail_session(struct ccz_psi_tee *t, ccz_rc rc, const char *where)
{
    (void)pthread_mutex_lock(&t->lock);
    if (t->failed == CCZ_OK && !t->done) {
        t->failed = rc;
        (void)snprintf(t->reason, sizeof(t->reason), "%s", where);
    }
    (void)pthread_cond_broadcast(&t->changed);
    (void)pthread_mutex_unlock(&t->lock);
}

/* Waits for something new, a beat at most, and not beyond @p left_ms; called with the lock. */
static void wait_beat(struct ccz_psi_tee *t, int64_t left_ms)
{
    struct timespec until;
    int64_t ms = left_ms < BEAT_MS ? left_ms + 1 : BEAT_MS;
    (void)clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += ms / 1000;
    until.tv_nsec += ms % 1000 * 1000000;
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    (void)pthread_cond_timedwait(&t->changed, &t->lock, &until);
}

/* Until all are ready and the result is there. The peer hears from us meanwhile. */
static ccz_rc await(struct ccz_psi_tee *t, struct ccz_chan *chan, struct ccz_err *err)
{
    static const uint8_t wait = CCZI_TEE_WAIT;
    ccz_rc rc = CCZ_OK;
    (void)pthread_mutex_lock(&t->lock);
    if (t->since_ms == 0)
        t->since_ms = ccz_mono_ms();
    t->ready++;
    if (t->ready == t->cfg.terms.parties && t->failed == CCZ_OK) {
        rc = intersect(t, err);
        t->done = rc == CCZ_OK;
        (void)pthread_cond_broadcast(&t->changed);
    }
    while (rc == CCZ_OK && !t->done && t->failed == CCZ_OK) {
        wait_beat(t, t->cfg.wait_ms - (ccz_mono_ms() - t->since_ms));
        if (t->done || t->failed != CCZ_OK)
            break;
        int64_t waited = ccz_mono_ms() - t->since_ms;
        (void)pthread_mutex_unlock(&t->lock);
        rc = waited > t->cfg.wait_ms ? ccz_fail(err, CCZ_E_TIMEOUT, "psi:tee-wait", waited,
                                                "other parties did not come")
                                     : ccz_chan_send(chan, CCZ_SPAN(&wait, 1), err);
        (void)pthread_mutex_lock(&t->lock);
    }
    if (rc == CCZ_OK && !t->done)
        rc = ccz_fail(err, CCZ_E_CLOSED, "psi:tee-peer", t->failed, "another party failed: %s",
                      t->reason);
    (void)pthread_mutex_unlock(&t->lock);
    return rc;
}

static ccz_rc answer(const struct ccz_psi_tee *t, const struct party *p, struct ccz_chan *chan,
                     struct ccz_err *err)
{
    uint64_t len = t->len;
    bool few = len < t->cfg.terms.min_intersection;
    uint8_t verdict = few ? CCZI_TEE_FEW : CCZI_TEE_OK;
    const struct ccz_span parts[] = {CCZ_SPAN(&verdict, 1), CCZ_SPAN(&len, 8),
                                     CCZ_SPAN(t->digest, 32)};
    ccz_rc rc = ccz_chan_send_parts(chan, parts, few ? 1 : 3, err);
    if (rc == CCZ_OK && few)
        return ccz_fail(err, CCZ_E_POLICY, "psi:minimum", (int64_t)t->cfg.terms.min_intersection,
                        "fewer common ids than the minimum");
    if (t->cfg.terms.output == CCZ_PSI_CARDINALITY)
        return rc;
    for (size_t at = 0; rc == CCZ_OK && at < t->len; at += CCZI_TEE_BLOCK) {
        size_t n = t->len - at < CCZI_TEE_BLOCK ? t->len - at : CCZI_TEE_BLOCK;
        rc = ccz_chan_send(chan, CCZ_SPAN(p->places + at, n * sizeof(*p->places)), err);
    }
    return rc;
}

ccz_rc ccz_psi_tee_serve(struct ccz_psi_tee *t, unsigned party, struct ccz_chan *chan,
                         struct ccz_err *err)
{
    struct ccz_err local = {0};
    bool fits = party < t->cfg.terms.parties;
    (void)pthread_mutex_lock(&t->lock);
    fits = fits && t->parties[party].state == ABSENT;
    if (fits)
        t->parties[party].state = HERE;
    (void)pthread_mutex_unlock(&t->lock);
    if (!fits) { /* the session goes on without this one */
        ccz_chan_close(chan, "psi:tee-party");
        return ccz_fail(err, CCZ_E_ARG, "psi:tee-party", party,
                        "no such party, or it is here already");
    }
    struct party *p = &t->parties[party];
    ccz_rc rc = greet(t, p, chan, &local);
    if (rc == CCZ_OK)
        rc = upload(t, p, chan, &local);
    if (rc == CCZ_OK)
        rc = await(t, chan, &local);
    if (rc == CCZ_OK)
        rc = answer(t, p, chan, &local);
    if (rc == CCZ_OK)
        return rc;
    fail_session(t, rc, local.where);
    ccz_chan_close(chan, strcmp(local.where, "psi:tee-peer") == 0 ? local.msg : local.where);
    if (err)
        *err = local;
    return rc;
}
