/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SoftSpokenOT (Roy 2022, sections 3 and 4) with the repetition code. Group j has 2^k streams F_x. The owner of the trees knows
 * u = sum F_x and, per bit b of x, v_b = sum of the F_x whose x has bit b. The other side, which lacks F_Delta, sums F_x over the x
 * whose x + Delta has bit b: that is q_b = v_b + Delta_b u. A correction u + w per group turns u into the same w everywhere.
 */
#include "base/ct.h"
#include "ot_priv.h"

#include <cczoo/crypto.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CHUNK = 64, PLANES = CCZI_OT_DELTA_BITS, CHECK_LEN = 1 + PLANES };

/* ------------------------------------------------------------------------------------- hello */

enum { HELLO_SIZE = 72, NONCE_SIZE = 32 };

/* Who wants what; the session shows as a hash. */
static ccz_rc make_hello(uint8_t out[HELLO_SIZE], bool sender, enum cczi_ot_kind kind, unsigned k,
                         size_t len, const struct ccz_ot_cfg *cfg)
{
    struct cczi_transcript t;
    uint8_t tag[32];
    cczi_transcript_start(&t, "cczoo ot, session tag",
                          CCZ_SPAN(cfg->session, sizeof(cfg->session)));
    cczi_transcript_draw(tag, &t, "tag");
    memcpy(out, "CCZOT\0\0\1", 8);
    out[8] = sender;
    out[9] = (uint8_t)kind;
    out[10] = (uint8_t)k;
    memset(out + 11, 0, 5);
    for (int i = 0; i < 8; i++)
        out[16 + i] = (uint8_t)((uint64_t)len >> 8 * i);
    memcpy(out + 24, tag, 16);
    if (t.rc != CCZ_OK)
        return t.rc;
    return ccz_random(out + HELLO_SIZE - NONCE_SIZE, NONCE_SIZE);
}

static ccz_rc refuse_hello(struct ccz_err *err, const char *what, uint64_t got, uint64_t expected)
{
    char got_text[64], expected_text[64];
    (void)snprintf(got_text, sizeof(got_text), "%s %llu", what, (unsigned long long)got);
    (void)snprintf(expected_text, sizeof(expected_text), "%s %llu", what,
                   (unsigned long long)expected);
    (void)ccz_refuse(err, CCZ_E_PEER, "ot:hello", got_text, expected_text);
    return ccz_hint(err, CCZ_E_PEER, "both parties need the same configuration and opposite roles");
}

ccz_rc cczi_hello_check(const uint8_t peer[72], const uint8_t own[72], struct ccz_err *err)
{
    struct ccz_rd p = ccz_rd_from(CCZ_SPAN(peer + 8, 16));
    struct ccz_rd o = ccz_rd_from(CCZ_SPAN(own + 8, 16));
    if (memcmp(peer, own, 8) != 0)
        return ccz_refuse_bytes(err, CCZ_E_PEER, "ot:hello", peer, 8, own, 8);
    uint64_t role = ccz_rd_u8(&p), kind = ccz_rd_u8(&p), k = ccz_rd_le32(&p);
    uint64_t own_role = ccz_rd_u8(&o), own_kind = ccz_rd_u8(&o), own_k = ccz_rd_le32(&o);
    uint64_t zero = ccz_rd_le16(&p), len = ccz_rd_le64(&p);
    (void)ccz_rd_le16(&o);
    uint64_t own_len = ccz_rd_le64(&o);
    if (role != 1 - own_role)
        return refuse_hello(err, "role", role, 1 - own_role);
    if (kind != own_kind)
        return refuse_hello(err, "protocol", kind, own_kind);
    if (k != own_k || zero != 0)
        return refuse_hello(err, "k", k, own_k);
    if (len != own_len)
        return refuse_hello(err, "length", len, own_len);
    if (memcmp(peer + 24, own + 24, 16) != 0)
        return ccz_refuse_bytes(err, CCZ_E_PEER, "ot:hello", peer + 24, 16, own + 24, 16);
    return CCZ_OK;
}

static ccz_rc greet(struct cczi_soft *s, enum cczi_ot_kind kind, size_t len,
                    const struct ccz_ot_cfg *cfg, struct ccz_err *err)
{
    uint8_t own[HELLO_SIZE], peer[HELLO_SIZE];
    if (make_hello(own, s->sender, kind, s->k, len, cfg) != CCZ_OK)
        return ccz_fail(err, CCZ_E_INTERNAL, "ot:random", 0, "the random generator failed");
    ccz_rc rc = ccz_chan_send(s->chan, CCZ_SPAN(own, sizeof(own)), err);
    if (rc == CCZ_OK)
        rc = ccz_chan_recv_exact(peer, sizeof(peer), s->chan, err);
    if (rc == CCZ_OK)
        rc = cczi_hello_check(peer, own, err);
    if (rc != CCZ_OK)
        return rc;
    cczi_transcript_start(&s->t, "cczoo ot", CCZ_SPAN(cfg->session, sizeof(cfg->session)));
    cczi_transcript_put(&s->t, "sender", CCZ_SPAN(s->sender ? own : peer, HELLO_SIZE));
    cczi_transcript_put(&s->t, "receiver", CCZ_SPAN(s->sender ? peer : own, HELLO_SIZE));
    return CCZ_OK;
}

/* ------------------------------------------------------------------------------------ set-up */

/* Seeds of a group to keys. The sender's are put in order of x + Delta by exchanging pairs, bit by bit, so that the missing one
 * is the first and no address depends on Delta. */
static void arrange(struct cczi_aes *keys, struct ccz_f128 *seeds, size_t leaves, uint64_t delta,
                    const struct cczi_ot_kernels *kernels)
{
    for (size_t step = 1; step < leaves; step *= 2) {
        uint64_t mask = 0 - (delta / step & 1);
        for (size_t i = 0; i < leaves; i++) {
            if (i & step)
                continue;
            struct ccz_f128 d = cczi_f128_and(cczi_f128_add(seeds[i], seeds[i + step]), mask);
            seeds[i] = cczi_f128_add(seeds[i], d);
            seeds[i + step] = cczi_f128_add(seeds[i + step], d);
        }
    }
    for (size_t i = 0; i < leaves; i++) {
        uint8_t key[16];
        memcpy(key, &seeds[i], sizeof(key));
        kernels->aes_key(&keys[i], key);
        ccz_wipe(key, sizeof(key));
    }
}

static ccz_rc setup_sender(struct ccz_f128 *leaves, struct cczi_soft *s,
                           const struct ccz_ot_cfg *cfg, struct ccz_err *err)
{
    uint8_t secrets[PLANES][32];
    struct ccz_f128 keys[PLANES];
    if (cfg->delta)
        s->delta = *cfg->delta;
    else if (ccz_random(&s->delta, sizeof(s->delta)) != CCZ_OK)
        return ccz_fail(err, CCZ_E_INTERNAL, "ot:random", 0, "the random generator failed");
    CCZI_AUTO_F128 others = {~s->delta.lo, ~s->delta.hi}; /* the siblings' sides */
    ccz_rc rc = cczi_base_ot_recv_send(secrets, others, PLANES, &s->t, s->chan, err);
    if (rc == CCZ_OK)
        rc = cczi_base_ot_recv_finish(keys, secrets, others, PLANES, &s->t, s->chan, err);
    CCZ_CT_SECRET(&s->delta, sizeof(s->delta)); /* libsodium branches on whether points are valid */
    if (rc == CCZ_OK)
        rc = cczi_trees_recv(leaves, keys, s->delta, s->k, s->kernels, &s->t, s->chan, err);
    ccz_wipe(secrets, sizeof(secrets));
    ccz_wipe(keys, sizeof(keys));
    return rc;
}

static ccz_rc setup_receiver(struct ccz_f128 *leaves, struct cczi_soft *s, struct ccz_err *err)
{
    struct ccz_f128 keys[PLANES][2];
    ccz_rc rc = cczi_base_ot_send(keys, PLANES, &s->t, s->chan, err);
    if (rc == CCZ_OK)
        rc = cczi_trees_send(leaves, keys, s->k, s->kernels, &s->t, s->chan, err);
    ccz_wipe(keys, sizeof(keys));
    return rc;
}

static size_t leaves_of(const struct cczi_soft *s)
{
    return (size_t)1 << s->k;
}

static size_t groups_of(const struct cczi_soft *s)
{
    return PLANES / s->k;
}

static ccz_rc check_cfg(const struct ccz_ot_cfg *cfg, struct ccz_err *err)
{
    if (cfg->k != 0 && cfg->k != 1 && cfg->k != 2 && cfg->k != 4 && cfg->k != 8)
        return ccz_refuse_num(err, CCZ_E_ARG, "ot:k", cfg->k, 4);
    if (cfg->delta && !(cfg->delta->lo | cfg->delta->hi))
        return ccz_fail(err, CCZ_E_ARG, "ot:delta", 0, "delta is zero");
    return CCZ_OK;
}

ccz_rc cczi_soft_init(struct cczi_soft *s, bool sender, enum cczi_ot_kind kind, size_t len,
                      struct ccz_chan *chan, const struct ccz_ot_cfg *cfg, struct ccz_err *err)
{
    CCZI_AUTO_ARRAY leaves = {0};
    *s = (struct cczi_soft){
        .kernels = cczi_ot_kernels(), .chan = chan, .k = cfg->k ? cfg->k : 4, .sender = sender};
    ccz_rc rc = check_cfg(cfg, err);
    if (rc == CCZ_OK)
        rc = cczi_array_init(&leaves, groups_of(s) * leaves_of(s), err);
    if (rc == CCZ_OK)
        rc = greet(s, kind, len, cfg, err);
    if (rc == CCZ_OK)
        rc = sender ? setup_sender(leaves.at, s, cfg, err) : setup_receiver(leaves.at, s, err);
    if (rc == CCZ_OK)
        rc = cczi_transcript_check(&s->t, err);
    if (rc != CCZ_OK)
        return rc;
    s->keys = aligned_alloc(64, leaves.len * sizeof(*s->keys));
    if (!s->keys)
        return ccz_fail(err, CCZ_E_NOMEM, "ot:memory", 0, "out of memory");
    for (size_t g = 0; g < groups_of(s); g++) {
        size_t at = g * s->k;
        uint64_t part = (at < 64 ? s->delta.lo : s->delta.hi) >> (at & 63); /* 0: the receiver */
        arrange(s->keys + g * leaves_of(s), leaves.at + g * leaves_of(s), leaves_of(s), part,
                s->kernels);
    }
    uint8_t key[32];
    cczi_transcript_draw(key, &s->t, "hash of random OTs");
    cczi_hash_init(&s->hash, s->kernels, key);
    return cczi_transcript_check(&s->t, err);
}

void cczi_soft_deinit(struct cczi_soft *s)
{
    if (s->keys)
        ccz_wipe(s->keys, groups_of(s) * leaves_of(s) * sizeof(*s->keys));
    free(s->keys);
    ccz_wipe(s, sizeof(*s));
}

/* ----------------------------------------------------------------------------- planes of a chunk */

/* What one chunk of at most CHUNK blocks needs. */
struct chunk {
    struct ccz_f128 planes[PLANES][CHUNK];
    struct ccz_f128 streams[1 << CCZI_OT_K_MAX][CHUNK];
};

static void add_to(struct ccz_f128 *r, const struct ccz_f128 *a, size_t len)
{
    for (size_t i = 0; i < len; i++)
        r[i] = cczi_f128_add(r[i], a[i]);
}

/* Planes of group g from its streams; what is left in streams[0] is the sum of all. */
static void fold(struct chunk *c, size_t g, size_t len, const struct cczi_soft *s)
{
    const struct cczi_aes *keys = s->keys + g * leaves_of(s);
    for (size_t x = s->sender; x < leaves_of(s); x++)
        s->kernels->ctr(c->streams[x], len, s->at, &keys[x]);
    if (s->sender) /* the one it does not have is in no plane */
        memset(c->streams[0], 0, len * sizeof(c->streams[0][0]));
    for (unsigned b = 0; b < s->k; b++) {
        struct ccz_f128 *plane = c->planes[g * s->k + b];
        memset(plane, 0, len * sizeof(*plane));
        for (size_t x = 0; x < leaves_of(s) >> b; x += 2) {
            add_to(plane, c->streams[x + 1], len);
            for (size_t i = 0; i < len; i++)
                c->streams[x / 2][i] = cczi_f128_add(c->streams[x][i], c->streams[x + 1][i]);
        }
    }
}

/* Sum of planes[i] x^i per block. */
static void combine(struct ccz_f128 *comb, const struct chunk *c, size_t len)
{
    memset(comb, 0, len * sizeof(*comb));
    for (size_t p = PLANES; p-- > 0;)
        for (size_t i = 0; i < len; i++)
            comb[i] = cczi_f128_add(cczi_f128_mulx(comb[i]), c->planes[p][i]);
}

/* Bit j of m[i] becomes bit i of m[j]. */
static void transpose(struct ccz_f128 m[PLANES])
{
    for (int i = 0; i < 64; i++) {
        uint64_t t = m[i].hi;
        m[i].hi = m[i + 64].lo;
        m[i + 64].lo = t;
    }
    uint64_t mask = 0x00000000ffffffffu;
    for (int s = 32; s > 0; s /= 2, mask ^= mask << s)
        for (int i = 0; i < PLANES; i += 2 * s)
            for (struct ccz_f128 *a = m + i, *b = a + s; a < m + i + s; a++, b++) {
                uint64_t lo = ((a->lo >> s) ^ b->lo) & mask, hi = ((a->hi >> s) ^ b->hi) & mask;
                b->lo ^= lo;
                b->hi ^= hi;
                a->lo ^= lo << s;
                a->hi ^= hi << s;
            }
}

static void to_rows(struct ccz_f128 *rows, size_t row_len, const struct chunk *c)
{
    struct ccz_f128 m[PLANES];
    for (size_t i = 0; i * PLANES < row_len; i++) {
        size_t left = row_len - i * PLANES;
        for (size_t p = 0; p < PLANES; p++)
            m[p] = c->planes[p][i];
        transpose(m);
        memcpy(rows + i * PLANES, m, (left < PLANES ? left : PLANES) * sizeof(*m));
    }
    ccz_wipe(m, sizeof(m));
}

static size_t rows_in(size_t row_len, size_t from, size_t blocks)
{
    size_t left = row_len > from * PLANES ? row_len - from * PLANES : 0;
    return left < blocks * PLANES ? left : blocks * PLANES;
}

static uint64_t delta_mask(const struct cczi_soft *s, size_t plane)
{
    return 0 - ((plane < 64 ? s->delta.lo : s->delta.hi) >> (plane & 63) & 1);
}

/* ------------------------------------------------------------------------------------ messages */

/* One more block than asked for: it blinds what the check opens. */
struct batch {
    struct cczi_array msg;    /* corrections [groups][blocks], then sum of w, sum of each plane */
    struct cczi_array planes; /* [PLANES][blocks] */
    struct cczi_array comb;   /* [blocks], or nothing if it is not asked for */
    struct cczi_array w;      /* [blocks], receiver */
    struct cczi_array chunk;  /* one struct chunk */
    size_t blocks;
};

static ccz_rc batch_init(struct batch *b, size_t blocks, bool comb, const struct cczi_soft *s,
                         struct ccz_err *err)
{
    *b = (struct batch){.blocks = blocks + 1};
    ccz_rc rc = cczi_array_init(&b->msg, groups_of(s) * b->blocks + CHECK_LEN, err);
    if (rc == CCZ_OK)
        rc = cczi_array_init(&b->planes, PLANES * b->blocks, err);
    if (rc == CCZ_OK && comb)
        rc = cczi_array_init(&b->comb, b->blocks, err);
    if (rc == CCZ_OK && !s->sender)
        rc = cczi_array_init(&b->w, b->blocks, err);
    if (rc == CCZ_OK)
        rc = cczi_array_init(&b->chunk, sizeof(struct chunk) / sizeof(struct ccz_f128), err);
    return rc;
}

static void batch_deinit(struct batch *b)
{
    cczi_array_deinit(&b->msg);
    cczi_array_deinit(&b->planes);
    cczi_array_deinit(&b->comb);
    cczi_array_deinit(&b->w);
    cczi_array_deinit(&b->chunk);
}

/* The challenge depends on the corrections, so that they are fixed before it. */
static struct ccz_f128 challenge(struct cczi_soft *s, const struct batch *b)
{
    cczi_transcript_put(&s->t, "corrections",
                        CCZ_SPAN(b->msg.at, (b->msg.len - CHECK_LEN) * sizeof(*b->msg.at)));
    return cczi_transcript_draw_f128(&s->t, "consistency");
}

/*
 * What the check is about: sum of plane[i] chi^(i+1), the blinding block included, of each plane by itself. Added up with weights
 * they would not do: corrections that are multiples of each other by those weights cancel, and one guess of k bits would get
 * errors into all groups.
 */
static void hash_planes(struct ccz_f128 sums[PLANES], const struct batch *b, struct ccz_f128 chi,
                        const struct cczi_soft *s)
{
    for (size_t p = 0; p < PLANES; p++)
        sums[p] = s->kernels->poly(b->planes.at + p * b->blocks, b->blocks, chi);
}

/* The lowest bit of the rows of a chunk becomes the choice, for the sender 0. */
static void mark_choices(struct chunk *c, const struct batch *b, size_t from, size_t len)
{
    if (b->w.at)
        memcpy(c->planes[0], b->w.at + from, len * sizeof(c->planes[0][0]));
    else
        memset(c->planes[0], 0, len * sizeof(c->planes[0][0]));
}

/* Takes what the check and the caller need out of a chunk. */
static void keep_chunk(struct ccz_f128 *rows, size_t row_len, struct batch *b, size_t from,
                       size_t len, const struct cczi_soft *s)
{
    struct chunk *c = (struct chunk *)(void *)b->chunk.at;
    for (size_t p = 0; p < PLANES; p++)
        memcpy(b->planes.at + p * b->blocks + from, c->planes[p], len * sizeof(*b->planes.at));
    if (b->comb.at)
        combine(b->comb.at + from, c, len);
    if (s->odd)
        mark_choices(c, b, from, len);
    if (rows_in(row_len, from, len) > 0)
        to_rows(rows + from * PLANES, rows_in(row_len, from, len), c);
}

static void send_chunk(struct ccz_f128 *rows, size_t row_len, struct batch *b, size_t from,
                       size_t len, struct cczi_soft *s)
{
    struct chunk *c = (struct chunk *)(void *)b->chunk.at;
    for (size_t g = 0; g < groups_of(s); g++) {
        fold(c, g, len, s);
        const struct ccz_f128 *correction = b->msg.at + g * b->blocks + from;
        for (size_t p = g * s->k; p < (g + 1) * s->k; p++)
            for (size_t i = 0; i < len; i++)
                c->planes[p][i] =
                    cczi_f128_add(c->planes[p][i], cczi_f128_and(correction[i], delta_mask(s, p)));
    }
    keep_chunk(rows, row_len, b, from, len, s);
    s->at += len;
}

static ccz_rc send_batch(struct ccz_f128 *rows, size_t row_len, struct batch *b,
                         struct cczi_soft *s, struct ccz_err *err)
{
    ccz_rc rc = ccz_chan_recv_exact(b->msg.at, b->msg.len * sizeof(*b->msg.at), s->chan, err);
    if (rc != CCZ_OK)
        return rc;
    struct ccz_f128 chi = challenge(s, b);
    if ((rc = cczi_transcript_check(&s->t, err)) != CCZ_OK)
        return rc;
    for (size_t from = 0; from < b->blocks; from += CHUNK)
        send_chunk(rows, row_len, b, from, b->blocks - from < CHUNK ? b->blocks - from : CHUNK, s);
    const struct ccz_f128 *opened = b->msg.at + b->msg.len - CHECK_LEN;
    struct ccz_f128 sums[PLANES];
    hash_planes(sums, b, chi, s);
    for (size_t p = 0; p < PLANES; p++) /* back to the receiver's planes */
        sums[p] = cczi_f128_add(sums[p], cczi_f128_and(opened[0], delta_mask(s, p)));
    bool same = cczi_same(sums, opened + 1, sizeof(sums));
    ccz_wipe(sums, sizeof(sums));
    if (!same)
        return ccz_fail(err, CCZ_E_PEER, "ot:consistency", 0,
                        "the receiver's corrections are inconsistent: it cheats");
    cczi_transcript_put(&s->t, "opened", CCZ_SPAN(opened, CHECK_LEN * sizeof(*opened)));
    return CCZ_OK;
}

static ccz_rc unusable(const struct cczi_soft *s, struct ccz_err *err)
{
    return ccz_fail(err, s->broken, "ot:unusable", 0, "an earlier call failed");
}

ccz_rc cczi_soft_send(struct ccz_f128 *rows, size_t row_len, struct ccz_f128 *comb, size_t blocks,
                      struct cczi_soft *s, struct ccz_err *err)
{
    struct batch b;
    if (s->broken != CCZ_OK)
        return unusable(s, err);
    ccz_rc rc = batch_init(&b, blocks, comb, s, err);
    if (rc == CCZ_OK)
        rc = send_batch(rows, row_len, &b, s, err);
    s->broken = rc;
    if (rc == CCZ_OK && comb)
        memcpy(comb, b.comb.at, blocks * sizeof(*comb));
    batch_deinit(&b);
    return rc;
}

static void recv_chunk(struct ccz_f128 *rows, size_t row_len, struct batch *b, size_t from,
                       size_t len, struct cczi_soft *s)
{
    struct chunk *c = (struct chunk *)(void *)b->chunk.at;
    for (size_t g = 0; g < groups_of(s); g++) {
        fold(c, g, len, s);
        struct ccz_f128 *correction = b->msg.at + g * b->blocks + from;
        for (size_t i = 0; i < len; i++)
            correction[i] = cczi_f128_add(c->streams[0][i], b->w.at[from + i]);
    }
    keep_chunk(rows, row_len, b, from, len, s);
    s->at += len;
}

static ccz_rc recv_batch(struct ccz_f128 *rows, size_t row_len, struct batch *b,
                         const struct ccz_f128 *w, struct cczi_soft *s, struct ccz_err *err)
{
    ccz_rc rc = cczi_random_f128(b->w.at + b->blocks - 1, 1, s->kernels, err);
    if (rc != CCZ_OK)
        return rc;
    memcpy(b->w.at, w, (b->blocks - 1) * sizeof(*w));
    for (size_t from = 0; from < b->blocks; from += CHUNK)
        recv_chunk(rows, row_len, b, from, b->blocks - from < CHUNK ? b->blocks - from : CHUNK, s);
    struct ccz_f128 chi = challenge(s, b), *opened = b->msg.at + b->msg.len - CHECK_LEN;
    opened[0] = s->kernels->poly(b->w.at, b->blocks, chi);
    hash_planes(opened + 1, b, chi, s);
    cczi_transcript_put(&s->t, "opened", CCZ_SPAN(opened, CHECK_LEN * sizeof(*opened)));
    rc = cczi_transcript_check(&s->t, err);
    if (rc != CCZ_OK)
        return rc;
    return ccz_chan_send(s->chan, CCZ_SPAN(b->msg.at, b->msg.len * sizeof(*b->msg.at)), err);
}

ccz_rc cczi_soft_recv(struct ccz_f128 *rows, size_t row_len, struct ccz_f128 *comb,
                      const struct ccz_f128 *w, size_t blocks, struct cczi_soft *s,
                      struct ccz_err *err)
{
    struct batch b;
    if (s->broken != CCZ_OK)
        return unusable(s, err);
    ccz_rc rc = batch_init(&b, blocks, comb, s, err);
    if (rc == CCZ_OK)
        rc = recv_batch(rows, row_len, &b, w, s, err);
    s->broken = rc;
    if (rc == CCZ_OK && comb)
        memcpy(comb, b.comb.at, blocks * sizeof(*comb));
    batch_deinit(&b);
    return rc;
}

/* ---------------------------------------------------------------------------------------- sizes */

uint64_t cczi_soft_size(uint64_t blocks, unsigned k)
{
    return 16 * (PLANES / k * (blocks + 1) + CHECK_LEN);
}

uint64_t cczi_setup_size(unsigned k)
{
    uint64_t sums = PLANES / k * (2 * (uint64_t)(k - 1) + 2);
    return 2 * HELLO_SIZE + PLANES * 64 + 32 + 16 * sums + 32;
}
