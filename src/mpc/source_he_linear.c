/* SPDX-License-Identifier: Apache-2.0 */
/* Matrix products and convolutions in coefficients; the layout is in source_he_tile.c. */
#include "mpc/source_he_priv.h"

#include <stdlib.h>
#include <string.h>

static ccz_rc no_memory(struct ccz_err *err)
{
    return ccz_fail(err, CCZ_E_NOMEM, "mpc:memory", 0, "out of memory");
}

static uint64_t mask_of(const struct cczi_he_suite *s)
{
    return ~UINT64_C(0) >> (64 - s->bits);
}

/* Piece @p i of all: its image, the part that holds it, and its first output. */
struct piece {
    const struct cczi_he_part *part;
    size_t image; /* in the part */
    size_t y, x;
};

static struct piece piece_at(const struct cczi_he_group *g, const struct cczi_he_job *j, size_t i)
{
    const size_t tiles = g->tiles_y * g->tiles_x, tile = i % tiles;
    struct piece p = {
        .image = i / tiles, .y = tile / g->tiles_x * g->step_y, .x = tile % g->tiles_x * g->step_x};
    for (p.part = j->parts; p.image >= p.part->images; p.part++)
        p.image -= p.part->images;
    return p;
}

/* Pieces of block @p block: the last one may have fewer. */
static size_t pieces_in(const struct cczi_he_group *g, size_t block)
{
    const size_t first = block * g->images_w, left = g->pieces - first;
    return left < g->images_w ? left : g->images_w;
}

/* Channels of the job in channel tile @p tile: [*from, *to), and where its coefficients begin. */
static size_t channels_in(const struct cczi_he_group *g, const struct cczi_he_job *j, size_t tile,
                          size_t *from, size_t *to)
{
    *from = tile * g->chan;
    *to = *from + g->chan < j->c ? *from + g->chan : j->c;
    return j->c_off; /* 0 if there is more than one tile */
}

/* ---------------------------------------------------------------------------- encrypted operand */

/* One pixel of one channel, as it was before strides were taken out; 0 in the padding. */
static uint64_t pixel(const struct cczi_he_job *j, const struct piece *p, size_t ch, size_t y,
                      size_t x)
{
    const size_t phase = ch / j->in_c, row = y * j->stride + phase / j->s_x,
                 col = x * j->stride + phase % j->s_x;
    if (row < j->pad || row - j->pad >= j->in_h || col < j->pad || col - j->pad >= j->in_w)
        return 0;
    const struct cczi_he_part *a = p->part;
    return a->v[p->image * a->v_image + ch % j->in_c * a->v_c + (row - j->pad) * a->v_y +
                (col - j->pad) * a->v_x];
}

static void place_piece(uint64_t *out, const struct cczi_he_group *g, const struct cczi_he_job *j,
                        const struct piece *p, size_t tile)
{
    size_t from, to;
    const size_t at = channels_in(g, j, tile, &from, &to);
    for (size_t y = 0; y < g->h_t && p->y + y < j->h; y++)
        for (size_t x = 0; x < g->w_t && p->x + x < j->w; x++)
            for (size_t ch = from; ch < to; ch++)
                out[(y * g->w_t + x) * g->chan + at + ch - from] =
                    pixel(j, p, ch, p->y + y, p->x + x);
}

static ccz_rc encrypt_block(struct ccz_buf *out, const struct cczi_he_plan *p,
                            const struct cczi_he_group *g, struct cczi_he_suite *s, size_t block,
                            size_t tile, uint64_t *v, struct ccz_err *err)
{
    CCZ_AUTO(ccz_bfv_pt) pt = NULL;
    CCZ_AUTO(ccz_bfv_ct) ct = NULL;
    memset(v, 0, p->n * sizeof(*v));
    for (size_t k = 0; k < g->len; k++) {
        const struct cczi_he_job *j = cczi_he_job_of(p, g, k);
        for (size_t i = 0; i < pieces_in(g, block); i++) {
            const struct piece piece = piece_at(g, j, block * g->images_w + i);
            place_piece(v + i * g->outs_w * g->area, g, j, &piece, tile);
        }
    }
    ccz_rc rc = ccz_bfv_pt_new(&pt, s->c, err);
    if (rc == CCZ_OK)
        rc = ccz_bfv_ct_new(&ct, s->c, err);
    if (rc == CCZ_OK)
        rc = ccz_bfv_encode_coeff(pt, v, p->n, err);
    if (rc == CCZ_OK)
        rc = ccz_bfv_encrypt_sk(ct, s->e, s->sk, pt, 0, err);
    return rc == CCZ_OK ? ccz_bfv_ct_write(out, ct, err) : rc;
}

ccz_rc cczi_he_linear_up(struct ccz_buf *out, const struct cczi_he_plan *p, struct cczi_he_suite *s,
                         struct ccz_err *err)
{
    uint64_t *v = calloc(p->n, sizeof(*v));
    ccz_rc rc = v ? CCZ_OK : no_memory(err);
    for (size_t i = 0; rc == CCZ_OK && i < p->groups_len; i++) {
        const struct cczi_he_group *g = &p->groups[i];
        for (size_t block = 0; rc == CCZ_OK && block < g->blocks; block++)
            for (size_t tile = 0; rc == CCZ_OK && tile < g->chan_tiles; tile++)
                rc = encrypt_block(out, p, g, s, block, tile, v, err);
    }
    if (v)
        ccz_wipe(v, p->n * sizeof(*v));
    free(v);
    return rc;
}

/* ------------------------------------------------------------------------------- known operand */

/* Weight (i, k) of channel @p ch of the kernel without strides; 0 beyond the true one. */
static uint64_t weight(const struct cczi_he_job *j, size_t o, size_t ch, size_t i, size_t k)
{
    const size_t phase = ch / j->in_c, row = i * j->stride + phase / j->s_x,
                 col = k * j->stride + phase % j->s_x;
    if (row >= j->k_h || col >= j->k_w)
        return 0;
    return j->x[o * j->x_o + ch % j->in_c * j->x_c + row * j->x_y + col * j->x_x];
}

/* Outputs o_from .. of channel tile @p tile, ready to multiply with. */
static ccz_rc factor(struct ccz_bfv_pt *pt, const struct cczi_he_plan *p,
                     const struct cczi_he_group *g, const struct cczi_he_job *j,
                     struct cczi_he_suite *s, size_t o_from, size_t tile, uint64_t *v,
                     struct ccz_err *err)
{
    const uint64_t mask = mask_of(s);
    size_t from, to, terms = 0;
    const size_t c_at = channels_in(g, j, tile, &from, &to);
    memset(v, 0, p->n * sizeof(*v));
    for (size_t o = o_from; o < j->o && o < o_from + g->outs_w; o++)
        for (size_t i = 0; i < j->kh; i++)
            for (size_t k = 0; k < j->kw; k++)
                for (size_t ch = from; ch < to; ch++, terms++) {
                    const size_t up = (o - o_from) * g->area,
                                 down = (i * g->w_t + k) * g->chan + c_at + ch - from;
                    const uint64_t x = weight(j, o, ch, i, k);
                    v[up >= down ? up - down : p->n + up - down] = (up >= down ? x : 0 - x) & mask;
                }
    ccz_rc rc = ccz_bfv_encode_coeff(pt, v, p->n, err);
    if (rc == CCZ_OK)
        rc = ccz_bfv_pt_declare(pt, s->max_abs, terms, err);
    return rc == CCZ_OK ? ccz_bfv_pt_prepare(pt, s->e, 0, err) : rc;
}

/* -------------------------------------------------------------------------------------- outputs */

/* Adds (or subtracts) the coefficients offset + .. of the outputs o_from .. in a block to where they belong. */
static void scatter(const struct cczi_he_group *g, const struct cczi_he_job *j, size_t block,
                    size_t o_from, const uint64_t *v, size_t offset, uint64_t mask, bool subtract)
{
    for (size_t i = 0; i < pieces_in(g, block); i++) {
        const struct piece p = piece_at(g, j, block * g->images_w + i);
        const struct cczi_he_part *a = p.part;
        for (size_t o = o_from; o < j->o && o < o_from + g->outs_w; o++)
            for (size_t y = 0; y < g->step_y && p.y + y < j->oh; y++)
                for (size_t x = 0; x < g->step_x && p.x + x < j->ow; x++) {
                    const size_t at = (i * g->outs_w + o - o_from) * g->area +
                                      (y * g->w_t + x) * g->chan + offset;
                    uint64_t *to = &a->out[p.image * a->out_image + o * a->out_o +
                                           (p.y + y) * a->out_y + (p.x + x) * a->out_x];
                    *to = (*to + (subtract ? 0 - v[at] : v[at])) & mask;
                }
    }
}

/* ------------------------------------------------------------------------------------ evaluation */

struct eval {
    const struct cczi_he_plan *p;
    struct cczi_he_suite *s;
    const struct cczi_he_rng *rng;
    struct ccz_buf *out;
    struct ccz_rd up;
    struct ccz_bfv_ct **in;  /* of the group: [blocks][chan_tiles] */
    struct ccz_bfv_pt **fac; /* [chan_tiles] */
    size_t in_len, fac_len;
    struct ccz_bfv_pt *mask;
    struct ccz_bfv_ct *sum, *back, *packed;
    struct ccz_bfv_packer *packer;
    size_t outs; /* so far */
    uint64_t *v;
};

static void eval_deinit(struct eval *e)
{
    for (size_t i = 0; e->in && i < e->in_len; i++)
        ccz_bfv_ct_free(e->in[i]);
    for (size_t i = 0; e->fac && i < e->fac_len; i++)
        ccz_bfv_pt_free(e->fac[i]);
    free(e->in);
    free(e->fac);
    ccz_bfv_pt_free(e->mask);
    ccz_bfv_ct_free(e->sum);
    ccz_bfv_ct_free(e->back);
    ccz_bfv_ct_free(e->packed);
    ccz_bfv_packer_free(e->packer);
    if (e->v)
        ccz_wipe(e->v, e->p->n * sizeof(*e->v));
    free(e->v);
}

static ccz_rc eval_init(struct eval *e, struct ccz_err *err)
{
    const struct cczi_he_plan *p = e->p;
    for (size_t i = 0; i < p->groups_len; i++) {
        const struct cczi_he_group *g = &p->groups[i];
        e->in_len = e->in_len > g->blocks * g->chan_tiles ? e->in_len : g->blocks * g->chan_tiles;
        e->fac_len = e->fac_len > g->chan_tiles ? e->fac_len : g->chan_tiles;
    }
    e->in = calloc(e->in_len + 1, sizeof(struct ccz_bfv_ct *));
    e->fac = calloc(e->fac_len + 1, sizeof(struct ccz_bfv_pt *));
    e->v = calloc(p->n, sizeof(*e->v));
    if (!e->in || !e->fac || !e->v)
        return no_memory(err);
    ccz_rc rc = ccz_bfv_pt_new(&e->mask, e->s->c, err);
    for (size_t i = 0; rc == CCZ_OK && i < e->in_len; i++)
        rc = ccz_bfv_ct_new(&e->in[i], e->s->c, err);
    for (size_t i = 0; rc == CCZ_OK && i < e->fac_len; i++)
        rc = ccz_bfv_pt_new(&e->fac[i], e->s->c, err);
    if (rc == CCZ_OK)
        rc = ccz_bfv_ct_new(&e->sum, e->s->c, err);
    if (rc == CCZ_OK)
        rc = ccz_bfv_ct_new(&e->back, e->s->c, err);
    if (rc == CCZ_OK)
        rc = ccz_bfv_ct_new(&e->packed, e->s->pack_c, err);
    return rc == CCZ_OK ? ccz_bfv_packer_new(&e->packer, e->s->pack_e, e->s->pack, err) : rc;
}

static ccz_rc finish_packed(struct eval *e, struct ccz_err *err)
{
    ccz_rc rc = ccz_bfv_packer_finish(e->packed, e->packer, err);
    return rc == CCZ_OK ? ccz_bfv_ct_write(e->out, e->packed, err) : rc;
}

static ccz_rc read_group(struct eval *e, const struct cczi_he_group *g, struct ccz_err *err)
{
    const size_t size = cczi_he_up_size(e->s->c);
    ccz_rc rc = CCZ_OK;
    for (size_t i = 0; rc == CCZ_OK && i < g->blocks * g->chan_tiles; i++) {
        const struct ccz_span bytes = ccz_rd_take(&e->up, size);
        rc = ccz_bfv_ct_read_fresh(e->in[i], e->s->e, bytes, ccz_rlwe_pk_id(e->s->pk), err);
        /* half the size of others, and with the noise bound that parameters were chosen for */
        if (rc == CCZ_OK && (!e->in[i]->ct.seeded ||
                             e->in[i]->ct.limbs != ccz_rlwe_data_len(ccz_bfv_ring(e->s->c))))
            rc = ccz_fail(err, CCZ_E_PEER, "mpc:he-ciphertext", (int64_t)i,
                          "not a fresh encryption under the secret key");
    }
    return rc;
}

/* One sum, masked: its useful coefficients leave for the packed ciphertext, this party keeps the mask. */
static ccz_rc one_out(struct eval *e, const struct cczi_he_group *g, const struct cczi_he_job *j,
                      size_t o_from, size_t block, struct ccz_err *err)
{
    struct cczi_he_suite *s = e->s;
    const uint32_t stride = (uint32_t)g->chan;
    ccz_rc rc = ccz_bfv_dot_plain(e->sum, s->e,
                                  (const struct ccz_bfv_ct *const *)e->in + block * g->chan_tiles,
                                  (const struct ccz_bfv_pt *const *)e->fac, g->chan_tiles, err);
    if (rc == CCZ_OK)
        rc = e->rng->fill(e->rng->arg, e->v, e->p->n, s->bits, err);
    if (rc == CCZ_OK)
        rc = ccz_bfv_encode_coeff(e->mask, e->v, e->p->n, err);
    if (rc == CCZ_OK)
        rc = ccz_bfv_flood(e->sum, s->e, e->sum, e->mask, s->pk, s->flood_bits, err);
    if (rc == CCZ_OK)
        rc = ccz_bfv_mod_switch(e->back, s->e, e->sum, s->return_limbs, err);
    if (rc == CCZ_OK) /* what follows works on what the other party will see */
        cczi_he_ct_public(e->back);
    if (rc == CCZ_OK && !ccz_bfv_packer_has_room(e->packer, stride))
        rc = finish_packed(e, err);
    if (rc == CCZ_OK)
        rc = ccz_bfv_packer_add(e->packer, e->back, stride, err);
    if (rc == CCZ_OK)
        scatter(g, j, block, o_from, e->v, 0, mask_of(s), true);
    e->outs++;
    return rc;
}

static ccz_rc eval_job(struct eval *e, const struct cczi_he_group *g, const struct cczi_he_job *j,
                       struct ccz_err *err)
{
    ccz_rc rc = CCZ_OK;
    for (size_t o = 0; rc == CCZ_OK && o < j->o; o += g->outs_w) {
        for (size_t tile = 0; rc == CCZ_OK && tile < g->chan_tiles; tile++)
            rc = factor(e->fac[tile], e->p, g, j, e->s, o, tile, e->v, err);
        for (size_t block = 0; rc == CCZ_OK && block < g->blocks; block++)
            rc = one_out(e, g, j, o, block, err);
    }
    return rc;
}

ccz_rc cczi_he_linear_eval(struct ccz_buf *out, const struct cczi_he_plan *p,
                           struct cczi_he_suite *s, struct ccz_span up,
                           const struct cczi_he_rng *rng, struct ccz_err *err)
{
    struct eval e = {.p = p, .s = s, .rng = rng, .out = out, .up = ccz_rd_from(up)};
    ccz_rc rc = eval_init(&e, err);
    for (size_t i = 0; rc == CCZ_OK && i < p->groups_len; i++) {
        const struct cczi_he_group *g = &p->groups[i];
        rc = read_group(&e, g, err);
        for (size_t k = 0; rc == CCZ_OK && k < g->len; k++)
            rc = eval_job(&e, g, cczi_he_job_of(p, g, k), err);
    }
    if (rc == CCZ_OK && p->outs > 0)
        rc = finish_packed(&e, err);
    if (rc == CCZ_OK && !ccz_rd_done(&e.up))
        rc = ccz_fail(err, CCZ_E_PEER, "mpc:he-size", (int64_t)up.size,
                      "not %zu ciphertexts of %zu bytes", p->up, cczi_he_up_size(s->c));
    eval_deinit(&e);
    return rc;
}

/* ------------------------------------------------------------------------------------ decryption */

struct down {
    const struct cczi_he_plan *p;
    struct cczi_he_suite *s;
    struct ccz_rd in;
    struct ccz_bfv_ct *ct;
    struct ccz_bfv_pt *pt;
    size_t outs, decrypted;
};

/* Decrypts up to the ciphertext that holds the next output. */
static ccz_rc next_packed(struct down *d, struct ccz_err *err)
{
    struct cczi_he_suite *s = d->s;
    const size_t size = cczi_he_down_size(s->pack_c, s->return_limbs);
    ccz_rc rc = CCZ_OK;
    while (rc == CCZ_OK && d->decrypted <= d->p->places[d->outs].output) {
        const struct ccz_span bytes = ccz_rd_take(&d->in, size);
        rc = ccz_bfv_ct_read(d->ct, s->pack_e, bytes, ccz_rlwe_sk_id(s->pack_sk), err);
        if (rc == CCZ_OK && d->ct->ct.limbs != s->return_limbs)
            rc = ccz_refuse_num(err, CCZ_E_PEER, "mpc:he-ciphertext", (int64_t)d->ct->ct.limbs,
                                (int64_t)s->return_limbs);
        if (rc == CCZ_OK)
            rc = ccz_bfv_decrypt(d->pt, s->pack_e, s->pack_sk, d->ct, err);
        d->decrypted++;
    }
    return rc;
}

static ccz_rc down_group(struct down *d, const struct cczi_he_group *g, struct ccz_err *err)
{
    ccz_rc rc = CCZ_OK;
    for (size_t k = 0; rc == CCZ_OK && k < g->len; k++) {
        const struct cczi_he_job *j = cczi_he_job_of(d->p, g, k);
        for (size_t o = 0; rc == CCZ_OK && o < j->o; o += g->outs_w)
            for (size_t block = 0; rc == CCZ_OK && block < g->blocks; block++) {
                rc = next_packed(d, err);
                if (rc == CCZ_OK)
                    scatter(g, j, block, o, d->pt->m, d->p->places[d->outs].offset, mask_of(d->s),
                            false);
                d->outs++;
            }
    }
    return rc;
}

ccz_rc cczi_he_linear_down(const struct cczi_he_plan *p, struct cczi_he_suite *s,
                           struct ccz_span down, struct ccz_err *err)
{
    struct down d = {.p = p, .s = s, .in = ccz_rd_from(down)};
    ccz_rc rc = ccz_bfv_ct_new(&d.ct, s->pack_c, err);
    if (rc == CCZ_OK)
        rc = ccz_bfv_pt_new(&d.pt, s->pack_c, err);
    for (size_t i = 0; rc == CCZ_OK && i < p->groups_len; i++)
        rc = down_group(&d, &p->groups[i], err);
    if (rc == CCZ_OK && !ccz_rd_done(&d.in))
        rc = ccz_fail(err, CCZ_E_PEER, "mpc:he-size", (int64_t)down.size,
                      "not %zu ciphertexts of %zu bytes", p->down,
                      cczi_he_down_size(s->pack_c, s->return_limbs));
    ccz_bfv_ct_free(d.ct);
    ccz_bfv_pt_free(d.pt);
    return rc;
}
