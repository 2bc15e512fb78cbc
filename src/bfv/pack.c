/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Many sparse results in one ciphertext, see bfv.h.
 *
 * A ciphertext has n units of room; a result of stride S takes n / S of them, from a multiple of its size. Nodes of a
 * binary tree: the node of size z at unit u holds what is at positions o + i n / z, with o the bits of u reversed, and its
 * children are those of size z / 2 at u and u + z / 2, the second of which is shifted by half a stride. Results come in
 * descending size, so that they fill the units without holes, and a node can be joined with its left sibling as soon as it
 * is complete: the stack holds the left siblings that wait.
 *
 * Exactness: let the phase of A be f at a multiple p of s. g maps X^p to (-1)^(p / s) X^p and no other power to +-X^p. At
 * even p / s the sum (A + X^s B) / 2 + g((A - X^s B) / 2) has f_A / 2 + f_A / 2 = f_A from A modulo the odd Q, and
 * b / 2 - b / 2 = 0 from B; at odd p / s nothing from A and f_B(p - s) from B. So phases of useful coefficients are copied,
 * with their plaintext and their noise; each key switch adds its own noise once and nothing doubles it later.
 */
#include "bfv_priv.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { LEVELS_MAX = 17 }; /* strides 2^0 .. 2^16 */

static ccz_rc no_memory(struct ccz_err *err)
{
    return ccz_fail(err, CCZ_E_NOMEM, "bfv:memory", 0, "out of memory");
}

static unsigned log2_of(size_t x)
{
    return (unsigned)(63 - __builtin_clzll(x));
}

ccz_rc ccz_bfv_pack_cfg(struct ccz_bfv_cfg *out, const struct ccz_bfv *c, size_t limbs,
                        struct ccz_err *err)
{
    *out = (struct ccz_bfv_cfg){0};
    uint64_t most = 0;
    if (limbs < 1 || limbs > c->data_len || limbs > CCZ_RLWE_SPECIAL_MAX)
        return ccz_refuse_num(err, CCZ_E_ARG, "bfv:limbs", (int64_t)limbs, (int64_t)c->data_len);
    struct ccz_bfv_cfg cfg = {.ring = {.n = c->n, .data_len = limbs, .special_len = limbs},
                              .plain_prime = c->plain_bits ? 0 : c->t.q,
                              .plain_bits = c->plain_bits};
    cfg.ring.security_insecure = ccz_rlwe_security(c->ring) == 0;
    uint64_t avoid[CCZ_RLWE_SPECIAL_MAX + 1];
    for (size_t i = 0; i < limbs; i++) {
        cfg.ring.primes[i] = avoid[i] = ccz_rlwe_prime(c->ring, i);
        most = most > avoid[i] ? most : avoid[i];
    }
    avoid[limbs] = c->plain_bits ? avoid[0] : c->t.q;
    const unsigned bits = log2_of(most) + 1;
    ccz_rc rc = ccz_ntt_primes(cfg.ring.primes + limbs, limbs, bits, c->n, CCZ_PRIMES_BELOW, avoid,
                               limbs + 1, err);
    if (rc == CCZ_OK)
        *out = cfg;
    return rc;
}

/* ------------------------------------------------------------------------------------- places */

/* What fills one ciphertext: nodes that wait for their sibling. */
struct tree {
    size_t n, used; /* units */
    size_t len, at[LEVELS_MAX], size[LEVELS_MAX];
    uint32_t last; /* stride */
};

static ccz_rc check_stride(const struct tree *t, uint32_t stride, struct ccz_err *err)
{
    if (stride == 0 || stride > t->n || stride & (stride - 1))
        return ccz_fail(err, CCZ_E_ARG, "bfv:stride", stride,
                        "stride %u is no power of two up to %zu", stride, t->n);
    if (stride < t->last)
        return ccz_refuse_num(err, CCZ_E_ARG, "bfv:pack-order", stride, t->last);
    return CCZ_OK;
}

static bool has_room(const struct tree *t, uint32_t stride)
{
    return t->used + t->n / stride <= t->n;
}

/* A node is on top. @return its left sibling is complete: join them */
static bool can_join(const struct tree *t)
{
    return t->at[t->len - 1] / t->size[t->len - 1] % 2 == 1;
}

/* @return stride of the joined node */
static size_t join_top(struct tree *t)
{
    t->len--;
    t->size[t->len - 1] *= 2;
    return t->n / t->size[t->len - 1];
}

static void push(struct tree *t, uint32_t stride)
{
    t->at[t->len] = t->used;
    t->size[t->len++] = t->n / stride;
    t->used += t->n / stride;
    t->last = stride;
}

static uint32_t offset_of(size_t at, size_t n)
{
    uint32_t out = 0;
    for (unsigned bits = log2_of(n); bits > 0; bits--, at >>= 1)
        out = out << 1 | (at & 1);
    return out;
}

static uint32_t join_all(struct tree *t)
{
    uint32_t doublings = 0;
    while (t->len && can_join(t))
        doublings |= (uint32_t)1 << log2_of(join_top(t));
    return doublings;
}

/* Nodes without a sibling count as larger ones: the rest of those is garbage. */
static uint32_t join_rest(struct tree *t)
{
    uint32_t doublings = 0;
    while (t->len > 1) {
        while (!can_join(t))
            t->size[t->len - 1] *= 2;
        doublings |= join_all(t);
    }
    return doublings;
}

ccz_rc ccz_bfv_pack_places(struct ccz_bfv_place *out, size_t *outputs, uint32_t *doublings,
                           const uint32_t *strides, size_t len, size_t n, struct ccz_err *err)
{
    struct tree t = {.n = n};
    *outputs = 0;
    *doublings = 0;
    for (size_t i = 0; i < len; i++) {
        ccz_rc rc = check_stride(&t, strides[i], err);
        if (rc != CCZ_OK)
            return rc;
        if (!has_room(&t, strides[i])) {
            *doublings |= join_rest(&t);
            t = (struct tree){.n = n, .last = t.last};
            ++*outputs;
        }
        out[i] = (struct ccz_bfv_place){(uint32_t)*outputs, offset_of(t.used, n)};
        push(&t, strides[i]);
        *doublings |= join_all(&t);
    }
    *doublings |= join_rest(&t);
    *outputs += t.len > 0;
    return CCZ_OK;
}

/* --------------------------------------------------------------------------------------- keys */

struct ccz_bfv_pack_key {
    const struct ccz_bfv *ctx;
    struct ccz_rlwe_swk *transfer;
    struct ccz_rlwe_galois_set *set; /* NULL: no doublings */
    uint32_t doublings;
};

static uint32_t elt_of(size_t n, unsigned level)
{
    return (uint32_t)(n >> level) + 1;
}

static ccz_rc check_doublings(uint32_t doublings, size_t n, struct ccz_err *err)
{
    if (doublings < n) /* strides below n */
        return CCZ_OK;
    return ccz_fail(err, CCZ_E_ARG, "bfv:stride", doublings,
                    "a doubling to a stride of %zu or more", n);
}

ccz_rc ccz_bfv_pack_key_new(struct ccz_bfv_pack_key **out, struct ccz_bfv_eval *e,
                            const struct ccz_rlwe_sk *sk, const struct ccz_rlwe_sk *from,
                            uint32_t doublings, struct ccz_err *err)
{
    *out = NULL;
    const struct ccz_bfv *c = e->ctx;
    uint32_t elts[LEVELS_MAX];
    size_t len = 0;
    ccz_rc rc = check_doublings(doublings, c->n, err);
    if (rc != CCZ_OK)
        return rc;
    CCZ_AUTO(ccz_bfv_pack_key) k = calloc(1, sizeof(*k));
    if (!k)
        return no_memory(err);
    k->ctx = c;
    k->doublings = doublings;
    for (unsigned b = 0; (size_t)1 << b < c->n; b++)
        if (doublings >> b & 1)
            elts[len++] = elt_of(c->n, b);
    rc = ccz_rlwe_transfer_new(&k->transfer, e->work, sk, from, err);
    if (rc == CCZ_OK && len > 0)
        rc = ccz_rlwe_galois_set_new(&k->set, e->work, sk, elts, len, err);
    if (rc == CCZ_OK)
        *out = ccz_bfv_pack_key_take(&k);
    return rc;
}

void ccz_bfv_pack_key_free(struct ccz_bfv_pack_key *k)
{
    if (!k)
        return;
    ccz_rlwe_swk_free(k->transfer);
    ccz_rlwe_galois_set_free(k->set);
    free(k);
}

/* Format: doublings, size of the transfer key, both as le32; transfer key; set of Galois keys. */
enum { HEADER_SIZE = 8 };

static size_t count(uint32_t doublings)
{
    size_t len = 0;
    for (; doublings; doublings &= doublings - 1)
        len++;
    return len;
}

size_t ccz_bfv_pack_key_size(const struct ccz_bfv *c, uint32_t doublings)
{
    const size_t primes = c->data_len + ccz_rlwe_special_len(c->ring), len = count(doublings);
    const size_t alpha = ccz_rlwe_special_len(c->ring), digits = (c->data_len + alpha - 1) / alpha;
    size_t body = 4 + CCZ_RLWE_SEED_SIZE;
    for (size_t i = 0; i < primes; i++)
        body += digits * ((c->n * (log2_of(ccz_rlwe_prime(c->ring, i)) + 1) + 7) / 8);
    const size_t header = 8 + CCZ_RLWE_PARAMS_ID_SIZE + CCZ_RLWE_KEY_ID_SIZE;
    return HEADER_SIZE + header + CCZ_RLWE_KEY_ID_SIZE + body + (len ? header + 4 + len * body : 0);
}

ccz_rc ccz_bfv_pack_key_write(struct ccz_buf *out, const struct ccz_bfv_pack_key *k,
                              struct ccz_err *err)
{
    ccz_buf_le32(out, k->doublings);
    ccz_buf_le32(out, (uint32_t)(ccz_bfv_pack_key_size(k->ctx, 0) - HEADER_SIZE));
    ccz_rc rc = ccz_rlwe_transfer_write(out, k->transfer, err);
    return rc == CCZ_OK && k->set ? ccz_rlwe_galois_set_write(out, k->set, err) : rc;
}

static ccz_rc check_set(const struct ccz_bfv_pack_key *k, struct ccz_err *err)
{
    bool all = ccz_rlwe_galois_len(k->set) == count(k->doublings);
    for (unsigned b = 0; (size_t)1 << b < k->ctx->n; b++)
        all = all && (!(k->doublings >> b & 1) ||
                      ccz_rlwe_galois_find(k->set, elt_of(k->ctx->n, b)) != NULL);
    return all ? CCZ_OK
               : ccz_fail(err, CCZ_E_FORMAT, "bfv:pack-key", 0, "not the keys for the doublings");
}

ccz_rc ccz_bfv_pack_key_read(struct ccz_bfv_pack_key **out, struct ccz_bfv_eval *e,
                             struct ccz_span in, const uint8_t *from_id, uint32_t doublings,
                             struct ccz_err *err)
{
    *out = NULL;
    ccz_rc rc = check_doublings(doublings, e->ctx->n, err);
    if (rc != CCZ_OK)
        return rc;
    const size_t want = ccz_bfv_pack_key_size(e->ctx, doublings);
    const size_t first = ccz_bfv_pack_key_size(e->ctx, 0) - HEADER_SIZE;
    struct ccz_rd rd = ccz_rd_from(in);
    const uint32_t got_doublings = ccz_rd_le32(&rd), got_first = ccz_rd_le32(&rd);
    if (in.size != want || got_doublings != doublings || got_first != first)
        return ccz_fail(err, CCZ_E_FORMAT, "bfv:pack-key", (int64_t)in.size,
                        "%zu bytes for doublings %x where %zu for %x are expected", in.size,
                        (unsigned)got_doublings, want, (unsigned)doublings);
    CCZ_AUTO(ccz_bfv_pack_key) k = calloc(1, sizeof(*k));
    if (!k)
        return no_memory(err);
    k->ctx = e->ctx;
    k->doublings = doublings;
    rc = ccz_rlwe_transfer_read(&k->transfer, e->work, ccz_rd_take(&rd, first), from_id, NULL, err);
    if (rc == CCZ_OK && doublings) {
        rc = ccz_rlwe_galois_set_read(&k->set, e->work, ccz_rd_take(&rd, rd.left),
                                      ccz_rlwe_swk_id(k->transfer), err);
        if (rc == CCZ_OK)
            rc = check_set(k, err);
    }
    if (rc == CCZ_OK)
        *out = ccz_bfv_pack_key_take(&k);
    return rc;
}

/* -------------------------------------------------------------------------------------- packer */

struct ccz_bfv_packer {
    struct ccz_bfv_eval *e;
    const struct ccz_bfv_pack_key *k;
    struct tree tree;
    bool failed; /* half of a join was done: what is in the nodes is of no use */
    struct ccz_bfv_ct *node[LEVELS_MAX]; /* of the tree's stack; made at first use */
    struct ccz_bfv_ct *diff, *turned;
    uint64_t *shift[LEVELS_MAX]; /* X^(2^b) / 2 in evaluation form: [limbs][n]; made at first use */
};

ccz_rc ccz_bfv_packer_new(struct ccz_bfv_packer **out, struct ccz_bfv_eval *e,
                          const struct ccz_bfv_pack_key *k, struct ccz_err *err)
{
    *out = NULL;
    ccz_rc rc = cczi_bfv_context(k->ctx == e->ctx, err);
    if (rc != CCZ_OK)
        return rc;
    CCZ_AUTO(ccz_bfv_packer) p = calloc(1, sizeof(*p));
    if (!p)
        return no_memory(err);
    p->e = e;
    p->k = k;
    p->tree.n = e->ctx->n;
    rc = ccz_bfv_ct_new(&p->diff, e->ctx, err);
    if (rc == CCZ_OK)
        rc = ccz_bfv_ct_new(&p->turned, e->ctx, err);
    if (rc == CCZ_OK)
        *out = ccz_bfv_packer_take(&p);
    return rc;
}

void ccz_bfv_packer_free(struct ccz_bfv_packer *p)
{
    if (!p)
        return;
    for (size_t i = 0; i < LEVELS_MAX; i++) {
        ccz_bfv_ct_free(p->node[i]);
        ccz_rlwe_words_free(p->shift[i]);
    }
    ccz_bfv_ct_free(p->diff);
    ccz_bfv_ct_free(p->turned);
    free(p);
}

static uint64_t half_mod(const struct ccz_bfv *c, size_t i)
{
    return (cczi_bfv_modulus(c, i)->q + 1) / 2;
}

static ccz_rc shift_init(struct ccz_bfv_packer *p, unsigned level, struct ccz_err *err)
{
    const struct ccz_bfv *c = p->e->ctx;
    if (p->shift[level])
        return CCZ_OK;
    uint64_t *v = ccz_rlwe_words_new(c->data_len * c->n);
    if (!v)
        return no_memory(err);
    memset(v, 0, c->data_len * c->n * sizeof(*v));
    for (size_t i = 0; i < c->data_len; i++)
        v[i * c->n + ((size_t)1 << level)] = half_mod(c, i);
    ccz_rlwe_forward(v, p->e->work, c->data_len);
    p->shift[level] = v;
    return CCZ_OK;
}

struct join_job {
    const struct ccz_bfv *c;
    struct ccz_bfv_ct *a, *b, *diff;
    const uint64_t *shift;
};

/* a / 2, X^s b / 2: their difference, and in a their sum */
static void join_limb(void *arg, size_t i)
{
    const struct join_job *j = arg;
    const struct ccz_modulus *m = cczi_bfv_modulus(j->c, i);
    const struct ccz_mulc half = ccz_mulc_from(half_mod(j->c, i), m);
    const size_t n = j->c->n, at = i * n;
    for (size_t part = 0; part < 2; part++) {
        uint64_t *a = j->a->ct.c[part] + at, *b = j->b->ct.c[part] + at;
        j->c->k->mul(b, b, j->shift + at, n, m);
        j->c->k->mul_const(a, a, half, n, m);
        j->c->k->sub(j->diff->ct.c[part] + at, a, b, n, m);
        j->c->k->add(a, a, b, n, m);
    }
}

static void add_turned(void *arg, size_t i)
{
    const struct join_job *j = arg;
    const size_t n = j->c->n, at = i * n;
    for (size_t part = 0; part < 2; part++) {
        uint64_t *a = j->a->ct.c[part] + at;
        j->c->k->add(a, a, j->b->ct.c[part] + at, n, cczi_bfv_modulus(j->c, i));
    }
}

static struct cczi_bfv_noise switched(const struct ccz_bfv *c, struct cczi_bfv_noise v)
{
    const size_t alpha = ccz_rlwe_special_len(c->ring);
    double digit = 0, all = 0;
    for (size_t i = 0; i < c->data_len; i += alpha) {
        double d = 0;
        for (size_t k = i; k < i + alpha && k < c->data_len; k++)
            d += log2((double)ccz_rlwe_prime(c->ring, k));
        digit = fmax(digit, d);
        all += d;
    }
    const double log2_p = ccz_rlwe_log2_qp(c->ring) - all;
    return cczi_bfv_switched(v, c->n, (c->data_len + alpha - 1) / alpha, digit, log2_p);
}

/* The two top nodes, to the stride 2^level. */
static ccz_rc join(struct ccz_bfv_packer *p, unsigned level, struct ccz_err *err)
{
    struct ccz_bfv_eval *e = p->e;
    struct ccz_bfv_ct *a = p->node[p->tree.len - 1], *b = p->node[p->tree.len];
    if (!(p->k->doublings >> level & 1))
        return ccz_fail(err, CCZ_E_ARG, "bfv:no-key", level,
                        "no key for doubling to a stride of 2^%u", level);
    const struct cczi_bfv_noise most = {fmax(a->sigma, b->sigma), fmax(a->fixed, b->fixed)};
    const struct cczi_bfv_noise v = switched(e->ctx, most);
    ccz_rc rc = cczi_bfv_fits(e->ctx, v, a->ct.limbs, err);
    if (rc == CCZ_OK)
        rc = shift_init(p, level, err);
    if (rc == CCZ_OK)
        rc = cczi_bfv_output(p->diff, e, false, err);
    if (rc != CCZ_OK)
        return rc;
    struct join_job j = {.c = e->ctx, .a = a, .b = b, .diff = p->diff, .shift = p->shift[level]};
    ccz_rlwe_parallel(e->work, a->ct.limbs, join_limb, &j);
    cczi_bfv_finish(p->diff, a, v, false);
    const struct ccz_rlwe_swk *key = ccz_rlwe_galois_find(p->k->set, elt_of(e->ctx->n, level));
    rc = ccz_rlwe_automorph(&p->turned->ct, e->work, &p->diff->ct, key, err);
    if (rc != CCZ_OK)
        return rc;
    j.b = p->turned;
    ccz_rlwe_parallel(e->work, a->ct.limbs, add_turned, &j);
    cczi_bfv_finish(a, a, v, false);
    return CCZ_OK;
}

static ccz_rc join_ready(struct ccz_bfv_packer *p, struct ccz_err *err)
{
    ccz_rc rc = CCZ_OK;
    while (rc == CCZ_OK && can_join(&p->tree))
        rc = join(p, log2_of(join_top(&p->tree)), err);
    p->failed = rc != CCZ_OK;
    return rc;
}

static ccz_rc check_usable(const struct ccz_bfv_packer *p, struct ccz_err *err)
{
    return p->failed ? ccz_fail(err, CCZ_E_ARG, "bfv:pack-failed", 0,
                                "an earlier call on this packer has failed")
                     : CCZ_OK;
}

bool ccz_bfv_packer_has_room(const struct ccz_bfv_packer *p, uint32_t stride)
{
    return stride > 0 && has_room(&p->tree, stride);
}

ccz_rc ccz_bfv_packer_add(struct ccz_bfv_packer *p, const struct ccz_bfv_ct *in, uint32_t stride,
                          struct ccz_err *err)
{
    struct ccz_bfv_eval *e = p->e;
    ccz_rc rc = check_usable(p, err);
    if (rc == CCZ_OK)
        rc = check_stride(&p->tree, stride, err);
    if (rc != CCZ_OK)
        return rc;
    if (!has_room(&p->tree, stride))
        return ccz_fail(err, CCZ_E_LIMIT, "bfv:pack-full", stride,
                        "no room for a result of stride %u: finish this ciphertext first", stride);
    if (in->is_private)
        return ccz_fail(err, CCZ_E_POLICY, "bfv:not-flooded", 0,
                        "garbage of packed results is not hidden by flooding them later");
    if (in->ctx->plain_bits != e->ctx->plain_bits || in->ctx->t.q != e->ctx->t.q)
        return ccz_fail(err, CCZ_E_MISMATCH, "bfv:plain", in->ctx->plain_bits,
                        "another plaintext modulus than that of the context of packing");
    struct ccz_bfv_ct **node = &p->node[p->tree.len];
    if (!*node)
        rc = ccz_bfv_ct_new(node, e->ctx, err);
    if (rc == CCZ_OK && in->ct.limbs != e->ctx->data_len)
        rc = ccz_refuse_num(err, CCZ_E_ARG, "bfv:level", (int64_t)in->ct.limbs,
                            (int64_t)e->ctx->data_len);
    const struct cczi_bfv_noise v = switched(e->ctx, cczi_bfv_noise_of(in));
    if (rc == CCZ_OK)
        rc = cczi_bfv_fits(e->ctx, v, e->ctx->data_len, err);
    if (rc == CCZ_OK)
        rc = ccz_rlwe_transfer(&(*node)->ct, e->work, &in->ct, p->k->transfer, err);
    if (rc != CCZ_OK)
        return rc;
    cczi_bfv_finish(*node, *node, v, false);
    push(&p->tree, stride);
    return join_ready(p, err);
}

ccz_rc ccz_bfv_packer_finish(struct ccz_bfv_ct *out, struct ccz_bfv_packer *p, struct ccz_err *err)
{
    struct tree *t = &p->tree;
    ccz_rc rc = check_usable(p, err);
    if (rc == CCZ_OK)
        rc = cczi_bfv_context(out->ctx == p->e->ctx, err);
    if (rc == CCZ_OK && t->len == 0)
        rc = ccz_fail(err, CCZ_E_ARG, "bfv:empty", 0, "nothing was added");
    while (rc == CCZ_OK && t->len > 1) {
        while (!can_join(t))
            t->size[t->len - 1] *= 2;
        rc = join_ready(p, err);
    }
    if (rc == CCZ_OK && ccz_bfv_copy(out, p->node[0]) != CCZ_OK)
        rc = no_memory(err);
    if (rc == CCZ_OK)
        *t = (struct tree){.n = t->n, .last = t->last};
    return rc;
}
