/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Products by Paillier's encryption, as the first systems had them (SecureML, FATE), with many values in a plaintext. Who
 * encrypts sends one factor; the other party multiplies by its own, adds a mask to every slot and returns the sums.
 * Numbers are not negative here: a factor is below 2^k, a sum of `terms` products below 2^(2k) terms, and a mask has 64
 * bits more, which hides the sum but for 2^-64. A slot holds their sum.
 *   matrices       one row of the encrypted factor in the slots, the other factor's entries multiply whole plaintexts
 *   elements       one per ciphertext on the way there, in slots on the way back
 */
#include "session.h"

#include <cczoo/paillier.h>
#include <cczoo/ring.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    STATISTICAL = 64, /* of each mask: distances add up, and 2^24 masks leave 2^-40 */
    BITS_MEASURED = 2048,
    HEADER_GUESS = 64,
    ITEMS_AT_ONCE = 4096
};

struct source {
    struct ccz_mpc *m;
    struct ccz_mpc_paillier_cfg cfg;
    struct ccz_paillier_key *key; /* own; NULL: not set up yet */
    struct ccz_paillier_pub *pub[2];
};

/* One product of a party's factor with the other's. MATRIX: rows of `enc` k x width, times `mul` count x k. */
struct job {
    bool matrix;
    size_t count, k, width; /* elements: width alone */
    unsigned encryptor;
    const uint64_t *own; /* matrices: enc row-major by k, or mul row-major by count */
    uint64_t *out;       /* this party's share of the product is added here: [count][width] */
};

/* ------------------------------------------------------------------------------------- layout */

struct layout {
    size_t size;  /* bytes of a residue */
    size_t slot;  /* bytes of a slot */
    size_t slots; /* of a plaintext */
    size_t value; /* bits of a sum */
};

static struct layout layout_of(unsigned key_bits, unsigned bits, size_t terms)
{
    struct layout l = {.size = key_bits / 8, .value = 2 * (size_t)bits};
    for (size_t t = 1; t < terms; t *= 2)
        l.value++;
    l.slot = (l.value + STATISTICAL + 1 + 7) / 8;
    l.slots = (key_bits - 4) / 8 / l.slot;
    return l;
}

/* Ciphertexts there, and back. */
static void items_of(size_t *there, size_t *back, const struct job *j, const struct layout *l)
{
    size_t blocks = (j->width + l->slots - 1) / l->slots;
    *there = j->matrix ? j->k * blocks : blocks * l->slots;
    *back = j->matrix ? j->count * blocks : blocks;
}

/* Residues are big-endian; byte i counts from the lowest. */
static uint8_t *byte_at(uint8_t *residue, const struct layout *l, size_t i)
{
    return residue + l->size - 1 - i;
}

static void put_value(uint8_t *residue, const struct layout *l, size_t slot, uint64_t v)
{
    for (size_t b = 0; b < 8; b++)
        *byte_at(residue, l, slot * l->slot + b) = (uint8_t)(v >> 8 * b);
}

static uint64_t get_value(uint8_t *residue, const struct layout *l, size_t slot)
{
    uint64_t v = 0;
    for (size_t b = 0; b < 8 && b < l->slot; b++)
        v |= (uint64_t)*byte_at(residue, l, slot * l->slot + b) << 8 * b;
    return v;
}

/* Memory of residues, wiped at the end of its scope. */
struct residues {
    uint8_t *at;
    size_t size;
};

static void residues_deinit(struct residues *r)
{
    cczi_mpc_wipe_free(r->at, r->size);
}
#define AUTO_RESIDUES __attribute__((cleanup(residues_deinit))) struct residues

static ccz_rc residues_init(struct residues *r, size_t len, const struct layout *l,
                            struct ccz_err *err)
{
    r->size = len * l->size;
    return cczi_mpc_alloc(&r->at, len, l->size, err);
}

/* -------------------------------------------------------------------------------- messages */

static ccz_rc send_vec(struct source *s, const struct ccz_paillier_vec *v, struct ccz_err *err)
{
    CCZ_AUTO_BUF msg;
    ccz_buf_init(&msg, CCZ_CHAN_MESSAGE_SIZE_MAX);
    ccz_rc rc = ccz_paillier_vec_write(&msg, v, err);
    return rc == CCZ_OK ? ccz_chan_send(s->m->chan, ccz_buf_span(&msg), err) : rc;
}

static ccz_rc recv_vec(struct ccz_paillier_vec **out, struct source *s, unsigned owner, size_t len,
                       struct ccz_err *err)
{
    const size_t size = ccz_paillier_vec_size(s->pub[owner], len);
    CCZ_AUTO(ccz_paillier_vec) v = NULL;
    uint8_t *msg = NULL;
    ccz_rc rc = cczi_mpc_alloc(&msg, size, 1, err);
    if (rc == CCZ_OK)
        rc = ccz_chan_recv_exact(msg, size, s->m->chan, err);
    if (rc == CCZ_OK)
        rc = ccz_paillier_vec_read(&v, s->pub[owner], CCZ_SPAN(msg, size), len, err);
    free(msg);
    if (rc == CCZ_OK && (ccz_paillier_vec_len(v) != len || ccz_paillier_vec_packing(v).slot_bits ||
                         ccz_paillier_vec_exponent(v) != 0))
        rc = ccz_fail(err, CCZ_E_PEER, "mpc:paillier", (int64_t)ccz_paillier_vec_len(v),
                      "ciphertexts of another form than the protocol's");
    if (rc == CCZ_OK)
        *out = ccz_paillier_vec_take(&v);
    return rc;
}

/* Keys of both, once. */
static ccz_rc set_up(struct source *s, struct ccz_err *err)
{
    struct ccz_mpc *m = s->m;
    const unsigned role = m->cfg.role;
    const struct ccz_paillier_keygen_cfg keygen = {.bits = s->cfg.key_bits};
    CCZ_AUTO_BUF own;
    CCZ_AUTO_BUF peer;
    ccz_buf_init(&own, 8192);
    ccz_buf_init(&peer, 8192);
    if (s->key)
        return CCZ_OK;
    ccz_rc rc = ccz_paillier_keygen(&s->key, &keygen, err);
    if (rc != CCZ_OK)
        return rc;
    s->pub[role] = ccz_paillier_key_pub(s->key);
    ccz_paillier_pub_write(&own, s->pub[role]);
    enum ccz_mpc_phase before = cczi_mpc_phase(m, CCZ_MPC_SETUP);
    rc = ccz_chan_send(m->chan, ccz_buf_span(&own), err);
    if (rc == CCZ_OK)
        rc = ccz_chan_recv(&peer, m->chan, err);
    if (rc == CCZ_OK)
        rc = ccz_paillier_pub_read(&s->pub[1 - role], ccz_buf_span(&peer), NULL, err);
    cczi_mpc_count_rounds(m, 1);
    (void)cczi_mpc_phase(m, before);
    if (rc == CCZ_OK && ccz_paillier_bits(s->pub[1 - role]) != s->cfg.key_bits)
        rc = ccz_refuse_num(err, CCZ_E_PEER, "mpc:paillier-bits",
                            ccz_paillier_bits(s->pub[1 - role]), s->cfg.key_bits);
    return rc;
}

/* ----------------------------------------------------------------------------------- encryptor */

static void lay_out(struct residues *r, const struct job *j, const struct layout *l)
{
    for (size_t i = 0; !j->matrix && i < j->width; i++) /* item i / blocks of group i % blocks */
        put_value(r->at + i * l->size, l, 0, j->own[i]);
    for (size_t i = 0; j->matrix && i < j->k; i++)
        for (size_t c = 0; c < j->width; c++)
            put_value(r->at + (c / l->slots * j->k + i) * l->size, l, c % l->slots,
                      j->own[i * j->width + c]);
}

static ccz_rc encrypt(struct source *s, const struct job *j, const struct layout *l,
                      struct ccz_err *err)
{
    const unsigned bits = s->m->cfg.ring_bits, role = s->m->cfg.role;
    const unsigned top = (unsigned)(8 * l->slot * (l->slots - 1));
    const struct ccz_paillier_format f = {.bits = j->matrix ? top + bits : bits};
    const struct ccz_paillier_enc_cfg enc = {.threads = s->cfg.threads};
    AUTO_RESIDUES r = {0};
    CCZ_AUTO(ccz_paillier_plain) p = NULL;
    CCZ_AUTO(ccz_paillier_vec) v = NULL;
    size_t there, back;
    items_of(&there, &back, j, l);
    ccz_rc rc = residues_init(&r, there, l, err);
    if (rc != CCZ_OK)
        return rc;
    lay_out(&r, j, l);
    rc = ccz_paillier_plain_residues(&p, s->pub[role], r.at, there, f, err);
    if (rc == CCZ_OK)
        rc = ccz_paillier_encrypt(&v, p, &enc, err);
    return rc == CCZ_OK ? send_vec(s, v, err) : rc;
}

static ccz_rc decrypt(struct source *s, const struct job *j, const struct layout *l,
                      struct ccz_err *err)
{
    const struct ccz_paillier_dec_cfg dec = {.threads = s->cfg.threads};
    const uint64_t mask = cczi_mpc_mask(s->m);
    const size_t blocks = (j->width + l->slots - 1) / l->slots;
    AUTO_RESIDUES r = {0};
    CCZ_AUTO(ccz_paillier_plain) p = NULL;
    CCZ_AUTO(ccz_paillier_vec) v = NULL;
    size_t there, back;
    items_of(&there, &back, j, l);
    ccz_rc rc = recv_vec(&v, s, s->m->cfg.role, back, err);
    if (rc == CCZ_OK)
        rc = ccz_paillier_decrypt(&p, s->key, v, &dec, err);
    if (rc == CCZ_OK)
        rc = residues_init(&r, back, l, err);
    if (rc != CCZ_OK)
        return rc;
    ccz_paillier_plain_to_residues(r.at, p);
    for (size_t i = 0; i < j->count * j->width; i++) {
        size_t row = i / j->width, c = i % j->width;
        size_t item = j->matrix ? row * blocks + c / l->slots : c % blocks;
        size_t slot = j->matrix ? c % l->slots : c / blocks;
        j->out[i] = (j->out[i] + get_value(r.at + item * l->size, l, slot)) & mask;
    }
    return CCZ_OK;
}

/* ----------------------------------------------------------------------------------- evaluator */

/* Scalars of this party, one per integer. */
static ccz_rc scalars(struct ccz_paillier_plain **out, struct source *s, const uint64_t *v,
                      size_t len, size_t padded, const struct layout *l, unsigned owner,
                      struct ccz_err *err)
{
    AUTO_RESIDUES r = {0};
    const struct ccz_paillier_format f = {.bits = s->m->cfg.ring_bits};
    ccz_rc rc = residues_init(&r, padded, l, err);
    if (rc != CCZ_OK)
        return rc;
    for (size_t i = 0; i < len; i++)
        put_value(r.at + i * l->size, l, 0, v[i]);
    return ccz_paillier_plain_residues(out, s->pub[owner], r.at, padded, f, err);
}

/* Row by row and block by block, inner products that take the same time whatever the numbers. */
static ccz_rc multiply_matrix(struct ccz_paillier_vec **out, struct source *s, const struct job *j,
                              const struct ccz_paillier_vec *v, const struct layout *l,
                              struct ccz_err *err)
{
    const size_t blocks = (j->width + l->slots - 1) / l->slots;
    struct ccz_paillier_vec **sums = NULL;
    ccz_rc rc = cczi_mpc_alloc(&sums, j->count * blocks, sizeof(struct ccz_paillier_vec *), err);
    for (size_t b = 0; b < blocks && rc == CCZ_OK; b++) {
        CCZ_AUTO(ccz_paillier_vec) column = NULL;
        rc = ccz_paillier_vec_slice(&column, v, b * j->k, j->k, err);
        for (size_t i = 0; i < j->count && rc == CCZ_OK; i++) {
            CCZ_AUTO(ccz_paillier_plain) p = NULL;
            rc = scalars(&p, s, j->own + i * j->k, j->k, j->k, l, j->encryptor, err);
            if (rc == CCZ_OK)
                rc = ccz_paillier_dot(&sums[i * blocks + b], column, p, err);
        }
    }
    if (rc == CCZ_OK)
        rc = ccz_paillier_vec_concat(out, (const struct ccz_paillier_vec *const *)sums,
                                     j->count * blocks, err);
    for (size_t i = 0; sums && i < j->count * blocks; i++)
        ccz_paillier_vec_free(sums[i]);
    free(sums);
    return rc;
}

/* Products of all, then slot after slot of all groups at once. */
static ccz_rc multiply_elements(struct ccz_paillier_vec **out, struct source *s,
                                const struct job *j, struct ccz_paillier_vec *v,
                                const struct layout *l, struct ccz_err *err)
{
    const size_t blocks = (j->width + l->slots - 1) / l->slots;
    CCZ_AUTO(ccz_paillier_plain) p = NULL;
    CCZ_AUTO(ccz_paillier_vec) acc = NULL;
    ccz_rc rc = scalars(&p, s, j->own, j->width, blocks * l->slots, l, j->encryptor, err);
    if (rc == CCZ_OK)
        rc = ccz_paillier_mul_plain(v, p, err);
    for (size_t slot = l->slots; slot-- > 0 && rc == CCZ_OK;) {
        CCZ_AUTO(ccz_paillier_vec) next = NULL;
        rc = ccz_paillier_vec_slice(&next, v, slot * blocks, blocks, err);
        if (rc == CCZ_OK && acc)
            rc = ccz_paillier_shift(acc, (unsigned)(8 * l->slot), err);
        if (rc == CCZ_OK && acc)
            rc = ccz_paillier_add(acc, next, err);
        else if (rc == CCZ_OK)
            acc = ccz_paillier_vec_take(&next);
    }
    if (rc == CCZ_OK)
        *out = ccz_paillier_vec_take(&acc);
    return rc;
}

/* Masks of all slots, filled or not: what is in the empty ones is hidden too. out gets minus the masks. */
static ccz_rc add_masks(struct ccz_paillier_vec *v, struct source *s, const struct job *j,
                        const struct layout *l, struct ccz_err *err)
{
    const size_t blocks = (j->width + l->slots - 1) / l->slots;
    const size_t len = ccz_paillier_vec_len(v), extra = 8 * l->slot - l->value - STATISTICAL;
    const uint64_t mask = cczi_mpc_mask(s->m);
    const struct ccz_paillier_format f = {.bits = (unsigned)(8 * l->slot * l->slots)};
    const struct ccz_paillier_enc_cfg enc = {.threads = s->cfg.threads};
    AUTO_RESIDUES r = {0};
    CCZ_AUTO(ccz_paillier_plain) p = NULL;
    ccz_rc rc = residues_init(&r, len, l, err);
    if (rc == CCZ_OK && ccz_random(r.at, r.size) != CCZ_OK)
        rc = ccz_fail(err, CCZ_E_INTERNAL, "mpc:random", 0, "the random generator failed");
    if (rc != CCZ_OK)
        return rc;
    for (size_t i = 0; i < len; i++) {
        uint8_t *residue = r.at + i * l->size;
        for (size_t b = l->slot * l->slots; b < l->size; b++)
            *byte_at(residue, l, b) = 0;
        for (size_t slot = 0; slot < l->slots; slot++) { /* value + 64 bits: the sum cannot carry */
            uint8_t *top = byte_at(residue, l, (slot + 1) * l->slot - 1);
            *top = (uint8_t)(*top & 0xff >> extra);
        }
    }
    for (size_t i = 0; i < j->count * j->width; i++) {
        size_t row = i / j->width, c = i % j->width;
        size_t item = j->matrix ? row * blocks + c / l->slots : c % blocks;
        size_t slot = j->matrix ? c % l->slots : c / blocks;
        j->out[i] = (j->out[i] - get_value(r.at + item * l->size, l, slot)) & mask;
    }
    rc = ccz_paillier_plain_residues(&p, s->pub[j->encryptor], r.at, len, f, err);
    if (rc == CCZ_OK)
        rc = ccz_paillier_add_plain(v, p, err);
    return rc == CCZ_OK ? ccz_paillier_randomise(v, &enc, err) : rc;
}

static ccz_rc evaluate(struct source *s, const struct job *j, const struct layout *l,
                       struct ccz_err *err)
{
    CCZ_AUTO(ccz_paillier_vec) v = NULL;
    CCZ_AUTO(ccz_paillier_vec) sums = NULL;
    size_t there, back;
    items_of(&there, &back, j, l);
    ccz_rc rc = recv_vec(&v, s, j->encryptor, there, err);
    if (rc == CCZ_OK)
        rc = j->matrix ? multiply_matrix(&sums, s, j, v, l, err)
                       : multiply_elements(&sums, s, j, v, l, err);
    if (rc == CCZ_OK)
        rc = add_masks(sums, s, j, l, err);
    return rc == CCZ_OK ? send_vec(s, sums, err) : rc;
}

static ccz_rc run_job(struct source *s, const struct job *j, struct ccz_err *err)
{
    struct layout l = layout_of(s->cfg.key_bits, s->m->cfg.ring_bits, j->matrix ? j->k : 1);
    ccz_rc rc;
    cczi_mpc_count_rounds(s->m, 2);
    if (s->m->cfg.role != j->encryptor)
        return evaluate(s, j, &l, err);
    rc = encrypt(s, j, &l, err);
    return rc == CCZ_OK ? decrypt(s, j, &l, err) : rc;
}

/* ---------------------------------------------------------------------------------------- jobs */

/* A matrix product left (m x k) times right (k x n) of two parties. The wider side is encrypted; if that is the left one, the
 * transposes are multiplied. Shapes alone decide. */
struct cross {
    size_t m, k, n;
    unsigned left;
};
static bool encrypts_right(const struct cross *x)
{
    return x->n >= x->m;
}

static struct job job_of(const struct cross *x)
{
    bool right = encrypts_right(x);
    return (struct job){.matrix = true,
                        .count = right ? x->m : x->n,
                        .k = x->k,
                        .width = right ? x->n : x->m,
                        .encryptor = right ? 1 - x->left : x->left};
}

static ccz_rc run_cross(struct source *s, const struct cross *x, const uint64_t *own, uint64_t *c,
                        struct ccz_err *err)
{
    struct job j = job_of(x);
    const bool mine_left = s->m->cfg.role == x->left, right = encrypts_right(x);
    CCZI_AUTO_WORDS turned = {0};
    CCZI_AUTO_WORDS out = {0};
    CCZI_AUTO_WORDS sum = {0};
    ccz_rc rc = cczi_words_init(&out, x->m * x->n, err);
    if (rc == CCZ_OK)
        rc = cczi_words_init(&sum, x->m * x->n, err);
    j.own = own;
    j.out = out.v;
    if (rc == CCZ_OK && !right) { /* right' left' */
        rc = cczi_words_init(&turned, mine_left ? x->m * x->k : x->k * x->n, err);
        if (rc == CCZ_OK && mine_left)
            ccz_ring_transpose(turned.v, own, x->m, x->k);
        else if (rc == CCZ_OK)
            ccz_ring_transpose(turned.v, own, x->k, x->n);
        j.own = turned.v;
    }
    if (rc == CCZ_OK)
        rc = run_job(s, &j, err);
    if (rc != CCZ_OK)
        return rc;
    if (right)
        memcpy(sum.v, out.v, out.len * sizeof(*out.v));
    else
        ccz_ring_transpose(sum.v, out.v, x->n, x->m);
    ccz_ring_add(c, c, sum.v, sum.len, s->m->cfg.ring_bits);
    return CCZ_OK;
}

/* Elementwise: party 0 encrypts, or the one without the fixed operand. In pieces. */
static ccz_rc run_elements(struct source *s, unsigned encryptor, const uint64_t *own, uint64_t *c,
                           size_t len, struct ccz_err *err)
{
    ccz_rc rc = CCZ_OK;
    for (size_t i = 0; i < len && rc == CCZ_OK; i += ITEMS_AT_ONCE) {
        const struct job j = {.count = 1,
                              .width = len - i < ITEMS_AT_ONCE ? len - i : ITEMS_AT_ONCE,
                              .encryptor = encryptor,
                              .own = own + i,
                              .out = c + i};
        rc = run_job(s, &j, err);
    }
    return rc;
}

/* ------------------------------------------------------------------------------------- source */

static ccz_rc make_conv(struct source *s, struct ccz_mpc_item *t, const struct ccz_mpc_need *n,
                        struct ccz_err *err)
{
    const struct ccz_mpc_conv *c = &n->conv;
    const struct cross x = {c->batch * c->oh * c->ow, c->kh * c->kw * c->c, c->o, 1 - n->owner};
    CCZI_AUTO_WORDS windows = {0};
    if (s->m->cfg.role == n->owner)
        return run_cross(s, &x, t->x, t->c, err);
    ccz_rc rc = cczi_words_init(&windows, x.m * x.k, err);
    if (rc != CCZ_OK)
        return rc;
    cczi_mpc_windows(windows.v, t->v, c);
    return run_cross(s, &x, windows.v, t->c, err);
}

static ccz_rc make(struct source *s, struct ccz_mpc_item *t, const struct ccz_mpc_need *n,
                   struct ccz_err *err)
{
    const unsigned role = s->m->cfg.role, bits = s->m->cfg.ring_bits;
    ccz_rc rc = CCZ_OK;
    switch (n->kind) {
    case CCZ_MPC_MUL:
        ccz_ring_mul(t->c, t->a, t->b, n->n, bits);
        rc = run_elements(s, 0, role == 0 ? t->a : t->b, t->c, n->n, err);
        return rc == CCZ_OK ? run_elements(s, 0, role == 0 ? t->b : t->a, t->c, n->n, err) : rc;
    case CCZ_MPC_SQUARE: { /* (a0 + a1)^2: a0 (2 a1), and the squares */
        CCZI_AUTO_WORDS twice = {0};
        rc = cczi_words_init(&twice, n->n, err);
        if (rc != CCZ_OK)
            return rc;
        ccz_ring_mul(t->c, t->a, t->a, n->n, bits);
        ccz_ring_add(twice.v, t->a, t->a, n->n, bits);
        return run_elements(s, 0, role == 0 ? t->a : twice.v, t->c, n->n, err);
    }
    case CCZ_MPC_MATMUL:
        ccz_ring_matmul_add(t->c, t->a, t->b, n->m, n->k, n->n, bits);
        for (unsigned left = 0; left < 2 && rc == CCZ_OK; left++)
            rc = run_cross(s, &(struct cross){n->m, n->k, n->n, left}, role == left ? t->a : t->b,
                           t->c, err);
        return rc;
    case CCZ_MPC_CROSS_MATMUL:
        return run_cross(s, &(struct cross){n->m, n->k, n->n, n->owner},
                         role == n->owner ? t->x : t->v, t->c, err);
    case CCZ_MPC_CROSS_MUL:
        return run_elements(s, 1 - n->owner, role == n->owner ? t->x : t->v, t->c, n->n, err);
    default:
        return make_conv(s, t, n, err);
    }
}

static bool paillier_can(void *self, const struct ccz_mpc_need *need)
{
    (void)self;
    return need->kind != CCZ_MPC_AND && need->kind != CCZ_MPC_OTS;
}

static void add_job(struct ccz_mpc_cost *out, const struct source *s, const struct job *j)
{
    struct layout l = layout_of(s->cfg.key_bits, s->m->cfg.ring_bits, j->matrix ? j->k : 1);
    size_t there, back;
    items_of(&there, &back, j, &l);
    out->size += 2 * l.size * (there + back) + 2 * HEADER_GUESS;
    out->rounds += 2;
    out->distance[1 - j->encryptor] += ldexp((double)(back * l.slots), -STATISTICAL);
    /* per ciphertext at 2048 bits: encryption and decryption, and 64 squarings for each product */
    double products = j->matrix ? (double)there * (double)j->count : (double)there;
    double scale = (double)s->cfg.key_bits / BITS_MEASURED;
    out->cpu_s += ((double)(there + back) * 400e-6 + products * 150e-6) * scale * scale * scale;
}

static ccz_rc paillier_cost(struct ccz_mpc_cost *out, void *self, const struct ccz_mpc_need *needs,
                            size_t len, struct ccz_err *err)
{
    const struct source *s = self;
    (void)err;
    if (!s->key) {
        out->setup_size = 2 * (s->cfg.key_bits / 4 + 2 * HEADER_GUESS);
        out->rounds = 1;
    }
    for (size_t i = 0; i < len; i++) {
        const struct ccz_mpc_need *n = &needs[i];
        const struct ccz_mpc_conv *c = &n->conv;
        struct cross x = {n->m, n->k, n->n, n->owner};
        if (n->kind == CCZ_MPC_CROSS_CONV2D)
            x = (struct cross){c->batch * c->oh * c->ow, c->kh * c->kw * c->c, c->o, 1 - n->owner};
        bool elements =
            n->kind == CCZ_MPC_MUL || n->kind == CCZ_MPC_SQUARE || n->kind == CCZ_MPC_CROSS_MUL;
        unsigned times = n->kind == CCZ_MPC_MUL || n->kind == CCZ_MPC_MATMUL ? 2 : 1;
        for (unsigned k = 0; k < times && !elements; k++) {
            x.left = times == 2 ? k : x.left;
            struct job j = job_of(&x);
            add_job(out, s, &j);
        }
        for (size_t at = 0; elements && at < n->n; at += ITEMS_AT_ONCE)
            for (unsigned k = 0; k < times; k++)
                add_job(
                    out, s,
                    &(struct job){.count = 1,
                                  .encryptor = n->kind == CCZ_MPC_CROSS_MUL ? 1 - n->owner : 0,
                                  .width = n->n - at < ITEMS_AT_ONCE ? n->n - at : ITEMS_AT_ONCE});
    }
    return CCZ_OK;
}

static ccz_rc paillier_prepare(struct ccz_mpc_item *items, void *self,
                               const struct ccz_mpc_need *needs, size_t len, struct ccz_err *err)
{
    struct source *s = self;
    const unsigned bits = s->m->cfg.ring_bits;
    struct ccz_mpc_cost cost = {0};
    ccz_rc rc = paillier_cost(&cost, s, needs, len, err);
    if (rc == CCZ_OK)
        rc = cczi_mpc_distance_add(s->m, cost.distance, err);
    if (rc == CCZ_OK)
        rc = set_up(s, err);
    for (size_t i = 0; i < len && rc == CCZ_OK; i++) {
        struct ccz_mpc_item *t = &items[i];
        if (t->a)
            rc = cczi_mpc_random(t->a, t->a_len, bits, s->m, err);
        if (rc == CCZ_OK && t->b)
            rc = cczi_mpc_random(t->b, t->b_len, bits, s->m, err);
        if (rc == CCZ_OK && t->v)
            rc = cczi_mpc_random(t->v, t->v_len, bits, s->m, err);
        if (rc == CCZ_OK)
            rc = make(s, t, &needs[i], err);
    }
    return rc;
}

static void paillier_free(void *self)
{
    struct source *s = self;
    ccz_paillier_pub_free(s->pub[0]);
    ccz_paillier_pub_free(s->pub[1]);
    ccz_paillier_key_free(s->key);
    free(s);
}

ccz_rc ccz_mpc_source_paillier_new(struct ccz_mpc_source **out, struct ccz_mpc *m,
                                   const struct ccz_mpc_paillier_cfg *cfg, struct ccz_err *err)
{
    static const struct ccz_mpc_source_ops ops = {.name = "paillier",
                                                  .can = paillier_can,
                                                  .cost = paillier_cost,
                                                  .prepare = paillier_prepare,
                                                  .free = paillier_free};
    struct source *s = NULL;
    *out = NULL;
    unsigned bits = cfg && cfg->key_bits ? cfg->key_bits : CCZ_PAILLIER_BITS_DEFAULT;
    if (bits != 2048 && bits != 3072 && bits != 4096)
        return ccz_refuse_num(err, CCZ_E_ARG, "mpc:paillier-bits", bits, CCZ_PAILLIER_BITS_DEFAULT);
    ccz_rc rc = cczi_mpc_alloc(&s, 1, sizeof(*s), err);
    if (rc != CCZ_OK)
        return rc;
    s->m = m;
    if (cfg)
        s->cfg = *cfg;
    s->cfg.key_bits = bits;
    return ccz_mpc_source_new(out, CCZ_MPC_SOURCE_PAILLIER, &ops, s, err);
}
