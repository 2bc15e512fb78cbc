/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What survives a restart of a client: a protected file bound to "client-NAME". Plaintext: "CCZFLcl1", size of the head (8), head,
 * vectors. Head, protobuf: 1 layout's digest, 2 run, 3 key of the server, 4 newest round seen, 5 its digest, 6 twice: generations
 * {1 round, 2 control variate (0, 1), 3 residual (0, 1)}, whose vectors follow in that order; 7 that round was the last (0, 1; absent: 0).
 */
#include "fl/client.h"

#include <cczoo/codec.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char MAGIC[8] = {'C', 'C', 'Z', 'F', 'L', 'c', 'l', '1'};
enum { HEAD_SIZE_MAX = 4096, PIECE = 1 << 20 };
enum { H_LAYOUT = 1, H_RUN, H_KEY, H_SEEN, H_SEEN_DIGEST, H_GEN, H_COMPLETE };
enum { G_ROUND = 1, G_VARIATE, G_RESIDUAL };

/* ------------------------------------------------------------------------------- generations */

static void clear(struct hfl_generation *g)
{
    free(g->variate);
    free(g->residual);
    *g = (struct hfl_generation){0};
}

void cczi_hfl_generations_free(struct ccz_fl_client *c)
{
    clear(&c->gen[0]);
    clear(&c->gen[1]);
}

void cczi_hfl_generations_cut(struct ccz_fl_client *c, uint64_t accepted)
{
    for (unsigned i = 0; i < 2; i++)
        if (c->gen[i].round > accepted)
            clear(&c->gen[i]);
}

static bool give_vectors(struct hfl_generation *g, bool variate, bool residual, uint64_t len)
{
    if (variate && !g->variate)
        g->variate = cczi_hfl_vector(len);
    if (residual && !g->residual)
        g->residual = cczi_hfl_vector(len);
    return (g->variate || !variate) && (g->residual || !residual);
}

ccz_rc cczi_hfl_generations(struct hfl_generation **last, struct hfl_generation **next,
                            struct ccz_fl_client *c, struct ccz_err *err)
{
    unsigned i = c->gen[1].round > c->gen[0].round;
    bool residual = c->task.codec == CCZ_AGG_INT8 || c->task.codec == CCZ_AGG_TOPK;
    *last = &c->gen[i];
    *next = &c->gen[!i];
    (*next)->round = 0;
    bool good = give_vectors(*last, c->task.scaffold, residual, c->layout->len) &&
                give_vectors(*next, c->task.scaffold, residual, c->layout->len);
    return good ? CCZ_OK : cczi_hfl_no_memory(err);
}

/* -------------------------------------------------------------------------------------- file */

static void bound_name(char out[96], const struct ccz_fl_client *c)
{
    (void)snprintf(out, 96, "client-%s", c->name);
}

static void put_generation(struct ccz_buf *out, const struct hfl_generation *g)
{
    size_t mark = ccz_pb_open(out, H_GEN);
    ccz_pb_put_uint(out, G_ROUND, g->round);
    ccz_pb_put_uint(out, G_VARIATE, g->variate != NULL);
    ccz_pb_put_uint(out, G_RESIDUAL, g->residual != NULL);
    ccz_pb_close(out, mark);
}

static ccz_rc put_vector(struct cczi_hfl_seal *f, const float *x, uint64_t len, struct ccz_err *err)
{
    ccz_rc rc = CCZ_OK;
    uint64_t size = x ? len * sizeof(float) : 0;
    for (uint64_t at = 0; rc == CCZ_OK && at < size; at += PIECE)
        rc = cczi_hfl_seal_put(
            f, CCZ_SPAN((const uint8_t *)x + at, size - at < PIECE ? (size_t)(size - at) : PIECE),
            err);
    return rc;
}

static void put_head(struct ccz_buf *out, const struct ccz_fl_client *c)
{
    ccz_pb_put_bytes(out, H_LAYOUT, CCZ_SPAN(c->layout->digest, sizeof(c->layout->digest)));
    ccz_pb_put_bytes(out, H_RUN, CCZ_SPAN(c->run, sizeof(c->run)));
    ccz_pb_put_bytes(out, H_KEY, CCZ_SPAN(c->key, sizeof(c->key)));
    ccz_pb_put_uint(out, H_SEEN, c->seen_round);
    ccz_pb_put_bytes(out, H_SEEN_DIGEST, CCZ_SPAN(c->seen_digest, sizeof(c->seen_digest)));
    for (unsigned i = 0; i < 2; i++)
        put_generation(out, &c->gen[i]);
    ccz_pb_put_uint(out, H_COMPLETE, c->complete);
}

ccz_rc cczi_hfl_state_save(const struct ccz_fl_client *c, struct ccz_err *err)
{
    struct cczi_hfl_seal *f;
    char bound[96];
    CCZ_AUTO_BUF head;
    uint64_t len = c->layout->len, vectors = 0;
    ccz_buf_init(&head, HEAD_SIZE_MAX);
    if (!c->cfg.state_file)
        return CCZ_OK;
    ccz_buf_put(&head, MAGIC, sizeof(MAGIC));
    ccz_buf_le64(&head, 0);
    put_head(&head, c);
    if (head.bad)
        return cczi_hfl_no_memory(err);
    for (unsigned i = 0; i < 8; i++)
        head.ptr[sizeof(MAGIC) + i] = (uint8_t)((head.size - sizeof(MAGIC) - 8) >> (8 * i));
    for (unsigned i = 0; i < 2; i++)
        vectors += (c->gen[i].variate ? 1U : 0U) + (c->gen[i].residual ? 1U : 0U);
    bound_name(bound, c);
    ccz_rc rc = cczi_hfl_seal_create(&f, c->cfg.state_file, bound, c->cfg.state_key,
                                     head.size + vectors * len * sizeof(float), err);
    if (rc != CCZ_OK)
        return rc;
    rc = cczi_hfl_seal_put(f, ccz_buf_span(&head), err);
    for (unsigned i = 0; rc == CCZ_OK && i < 2; i++) {
        rc = put_vector(f, c->gen[i].variate, len, err);
        if (rc == CCZ_OK)
            rc = put_vector(f, c->gen[i].residual, len, err);
    }
    if (rc == CCZ_OK)
        return cczi_hfl_seal_finish(f, err);
    cczi_hfl_seal_abort(f);
    return rc;
}

static ccz_rc malformed(struct ccz_err *err)
{
    return ccz_fail(err, CCZ_E_FORMAT, "fl:checkpoint-format", 0, "not a state of a client");
}

static ccz_rc get_vector(float **out, uint64_t present, struct ccz_fl_client *c,
                         struct cczi_hfl_seal *f, struct ccz_err *err)
{
    if (present > 1)
        return malformed(err);
    if (!present)
        return CCZ_OK;
    *out = cczi_hfl_vector(c->layout->len);
    return *out ? cczi_hfl_seal_get(*out, f, c->layout->len * sizeof(float), err)
                : cczi_hfl_no_memory(err);
}

static ccz_rc take_generation(struct hfl_generation *g, struct ccz_fl_client *c, struct ccz_span in,
                              struct cczi_hfl_seal *f, struct ccz_err *err)
{
    struct ccz_rd r = ccz_rd_from(in);
    struct ccz_pb_field p;
    uint64_t v[4] = {0};
    while (ccz_pb_next(&p, &r))
        if (p.number <= G_RESIDUAL)
            v[p.number] = p.num;
    if (r.bad)
        return malformed(err);
    g->round = v[G_ROUND];
    ccz_rc rc = get_vector(&g->variate, v[G_VARIATE], c, f, err);
    return rc == CCZ_OK ? get_vector(&g->residual, v[G_RESIDUAL], c, f, err) : rc;
}

static bool take_fixed(uint8_t *out, size_t size, struct ccz_span in)
{
    if (in.size == size)
        memcpy(out, in.ptr, size);
    return in.size == size;
}

static ccz_rc take_head(struct ccz_fl_client *c, struct ccz_span in, struct cczi_hfl_seal *f,
                        struct ccz_err *err)
{
    struct ccz_rd r = ccz_rd_from(in);
    struct ccz_pb_field p;
    unsigned gens = 0, seen = 0;
    bool good = true;
    ccz_rc rc = CCZ_OK;
    while (rc == CCZ_OK && good && ccz_pb_next(&p, &r)) {
        seen |= p.number < H_GEN ? 1U << p.number : 0;
        if (p.number == H_LAYOUT)
            good = p.bytes.size == sizeof(c->layout->digest);
        if (p.number == H_LAYOUT && good &&
            memcmp(p.bytes.ptr, c->layout->digest, p.bytes.size) != 0)
            rc = ccz_refuse_bytes(err, CCZ_E_MISMATCH, "fl:layout", p.bytes.ptr, p.bytes.size,
                                  c->layout->digest, sizeof(c->layout->digest));
        else if (p.number == H_RUN)
            good = take_fixed(c->run, sizeof(c->run), p.bytes);
        else if (p.number == H_KEY)
            good = take_fixed(c->key, sizeof(c->key), p.bytes);
        else if (p.number == H_SEEN)
            c->seen_round = p.num;
        else if (p.number == H_SEEN_DIGEST)
            good = take_fixed(c->seen_digest, sizeof(c->seen_digest), p.bytes);
        else if (p.number == H_GEN && gens < 2)
            rc = take_generation(&c->gen[gens++], c, p.bytes, f, err);
        else if (p.number == H_COMPLETE)
            c->complete = p.num == 1;
    }
    if (rc == CCZ_OK && (r.bad || !good || gens != 2 || seen != (1U << H_GEN) - 2))
        rc = malformed(err);
    return rc;
}

static ccz_rc load(struct ccz_fl_client *c, struct cczi_hfl_seal *f, struct ccz_err *err)
{
    uint8_t start[sizeof(MAGIC) + 8], head[HEAD_SIZE_MAX];
    ccz_rc rc = cczi_hfl_seal_get(start, f, sizeof(start), err);
    if (rc != CCZ_OK)
        return rc;
    struct ccz_rd r = ccz_rd_from(CCZ_SPAN(start + sizeof(MAGIC), 8));
    uint64_t size = ccz_rd_le64(&r);
    if (memcmp(start, MAGIC, sizeof(MAGIC)) != 0 || size > sizeof(head))
        return malformed(err);
    rc = cczi_hfl_seal_get(head, f, size, err);
    if (rc == CCZ_OK)
        rc = take_head(c, CCZ_SPAN(head, (size_t)size), f, err);
    if (rc == CCZ_OK)
        c->known = c->seen = true;
    return rc;
}

ccz_rc cczi_hfl_state_load(struct ccz_fl_client *c, struct ccz_err *err)
{
    struct cczi_hfl_seal *f;
    struct ccz_err why = {0};
    char bound[96];
    if (!c->cfg.state_file)
        return CCZ_OK;
    bound_name(bound, c);
    ccz_rc rc = cczi_hfl_seal_open(&f, c->cfg.state_file, bound, c->cfg.state_key, &why);
    if (rc == CCZ_E_NOT_FOUND)
        return CCZ_OK;
    if (rc == CCZ_OK) {
        rc = load(c, f, &why);
        cczi_hfl_seal_close(f);
    }
    if (rc != CCZ_OK && err)
        *err = why;
    return rc;
}
