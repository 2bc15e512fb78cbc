/* SPDX-License-Identifier: Apache-2.0 */
/* Writing and reading: header, then what the kind needs; see rlwe.h. */
#include "rlwe_priv.h"

#include "base/ct.h"

#include <stdlib.h>
#include <string.h>

enum { VERSION = 1, HEADER_SIZE = 8 + CCZ_RLWE_PARAMS_ID_SIZE + CCZ_RLWE_KEY_ID_SIZE };
enum { FLAG_NTT = 1, FLAG_SEEDED = 2 };
static const uint8_t magic[4] = {'C', 'C', 'Z', 'H'};

static void put_header(struct ccz_buf *b, enum ccz_rlwe_kind kind, const struct ccz_rlwe *r,
                       const uint8_t *key_id)
{
    ccz_buf_put(b, magic, sizeof(magic));
    ccz_buf_u8(b, VERSION);
    ccz_buf_u8(b, (uint8_t)kind);
    ccz_buf_le16(b, 0);
    ccz_buf_put(b, r->params_id, sizeof(r->params_id));
    ccz_buf_put(b, key_id, CCZ_RLWE_KEY_ID_SIZE);
}

/* @param key_id  of the object; `want` NULL: any */
static ccz_rc get_header(uint8_t *key_id, struct ccz_rd *in, enum ccz_rlwe_kind kind,
                         const struct ccz_rlwe *r, const uint8_t *want, struct ccz_err *err)
{
    if (in->left < HEADER_SIZE)
        return ccz_fail(err, CCZ_E_FORMAT, "rlwe:size", (int64_t)in->left,
                        "shorter than the header of %d bytes", HEADER_SIZE);
    struct ccz_span m = ccz_rd_take(in, sizeof(magic));
    uint8_t version = ccz_rd_u8(in), got_kind = ccz_rd_u8(in);
    uint16_t reserved = ccz_rd_le16(in);
    struct ccz_span id = ccz_rd_take(in, CCZ_RLWE_PARAMS_ID_SIZE);
    ccz_rd_copy(in, key_id, CCZ_RLWE_KEY_ID_SIZE);
    if (memcmp(m.ptr, magic, sizeof(magic)) != 0)
        return ccz_refuse_bytes(err, CCZ_E_FORMAT, "rlwe:magic", m.ptr, m.size, magic,
                                sizeof(magic));
    if (version != VERSION)
        return ccz_refuse_num(err, CCZ_E_UNSUPPORTED, "rlwe:version", version, VERSION);
    if (got_kind != kind)
        return ccz_refuse_num(err, CCZ_E_FORMAT, "rlwe:kind", got_kind, kind);
    if (reserved)
        return ccz_refuse_num(err, CCZ_E_FORMAT, "rlwe:header", reserved, 0);
    if (memcmp(id.ptr, r->params_id, id.size) != 0)
        return ccz_refuse_bytes(err, CCZ_E_MISMATCH, "rlwe:params", id.ptr, id.size, r->params_id,
                                sizeof(r->params_id));
    return want ? cczi_rlwe_same_key(key_id, want, err) : CCZ_OK;
}

/* Bytes of the first `limbs` primes, or of all. */
static size_t packed_size(const struct ccz_rlwe *r, size_t limbs)
{
    size_t size = 0;
    for (size_t i = 0; i < limbs; i++)
        size += cczi_rlwe_packed_size(r->n, r->mod[i].bits);
    return size;
}

static void put_limb(struct ccz_buf *b, const struct ccz_rlwe *r, const uint64_t *v, size_t prime)
{
    uint8_t *to = ccz_buf_extend(b, cczi_rlwe_packed_size(r->n, r->mod[prime].bits));
    if (to)
        cczi_rlwe_pack(to, v, r->n, r->mod[prime].bits);
}

static ccz_rc get_limb(uint64_t *v, struct ccz_rd *in, const struct ccz_rlwe *r, size_t prime,
                       struct ccz_err *err)
{
    struct ccz_span s = ccz_rd_take(in, cczi_rlwe_packed_size(r->n, r->mod[prime].bits));
    if (!s.ptr)
        return ccz_fail(err, CCZ_E_FORMAT, "rlwe:size", 0, "truncated");
    cczi_rlwe_unpack(v, s.ptr, r->n, r->mod[prime].bits);
    if (!r->k->below(v, r->n, r->mod[prime].q))
        return ccz_fail(err, CCZ_E_FORMAT, "rlwe:residue", (int64_t)prime,
                        "a residue is not below its prime (number %zu)", prime);
    return CCZ_OK;
}

/* The rest of the input must have exactly this size. */
static ccz_rc check_size(const struct ccz_rd *in, size_t size, struct ccz_err *err)
{
    if (in->left == size)
        return CCZ_OK;
    return ccz_refuse_num(err, CCZ_E_FORMAT, "rlwe:size", (int64_t)in->left, (int64_t)size);
}

static ccz_rc no_memory(struct ccz_err *err)
{
    return ccz_fail(err, CCZ_E_NOMEM, "rlwe:read", 0, "out of memory");
}

static ccz_rc transparent(struct ccz_err *err)
{
    return ccz_fail(err, CCZ_E_FORMAT, "rlwe:transparent", 0,
                    "the ciphertext shows its message: its other parts are zero");
}

static ccz_rc written(const struct ccz_buf *b, struct ccz_err *err)
{
    if (!b->bad)
        return CCZ_OK;
    return ccz_fail(err, CCZ_E_LIMIT, "rlwe:buffer", (int64_t)b->max_size,
                    "does not fit into a buffer of %zu bytes, or out of memory", b->max_size);
}

/* -------------------------------------------------------------------------------- ciphertexts */

static size_t body_size(const struct ccz_rlwe *r, size_t parts, size_t limbs, bool seeded)
{
    return seeded ? CCZ_RLWE_SEED_SIZE + packed_size(r, limbs) : parts * packed_size(r, limbs);
}

size_t ccz_rlwe_ct_size(const struct ccz_rlwe_ct *ct, size_t meta_size)
{
    return HEADER_SIZE + 4 + meta_size + body_size(ct->ctx, ct->parts, ct->limbs, ct->seeded);
}

ccz_rc ccz_rlwe_ct_write(struct ccz_buf *out, const struct ccz_rlwe_ct *ct, struct ccz_span meta,
                         struct ccz_err *err)
{
    const struct ccz_rlwe *r = ct->ctx;
    if (ct->parts == 0)
        return ccz_fail(err, CCZ_E_ARG, "rlwe:empty", 0, "the ciphertext is empty");
    if (ccz_rlwe_ct_transparent(ct)) /* no reader would take it, but everybody could read it */
        return transparent(err);
    if (meta.size > CCZ_RLWE_META_SIZE_MAX)
        return ccz_refuse_num(err, CCZ_E_ARG, "rlwe:header", (int64_t)meta.size,
                              CCZ_RLWE_META_SIZE_MAX);
    put_header(out, CCZ_RLWE_KIND_CT, r, ct->key_id);
    ccz_buf_u8(out, (uint8_t)ct->parts);
    ccz_buf_u8(out, (uint8_t)ct->limbs);
    ccz_buf_u8(out, (uint8_t)((ct->ntt ? FLAG_NTT : 0) | (ct->seeded ? FLAG_SEEDED : 0)));
    ccz_buf_u8(out, (uint8_t)meta.size);
    ccz_buf_put_span(out, meta);
    if (ct->seeded)
        ccz_buf_put(out, ct->seed, sizeof(ct->seed));
    for (size_t p = 0; p < (ct->seeded ? 1 : ct->parts); p++)
        for (size_t i = 0; i < ct->limbs; i++)
            put_limb(out, r, ct->c[p] + i * r->n, i);
    return written(out, err);
}

struct expand_job {
    struct ccz_rlwe_work *w;
    struct ccz_rlwe_ct *ct;
    _Atomic int failed; /* rc */
};

static void expand_limb(void *arg, size_t i, size_t thread)
{
    struct expand_job *j = arg;
    ccz_rc rc = cczi_rlwe_uniform(j->ct->c[1] + i * j->w->r->n, j->w, thread, j->ct->seed,
                                  CCZI_RLWE_UNIFORM_CT, 0, i);
    if (rc != CCZ_OK)
        j->failed = rc;
}

static ccz_rc get_parts(struct ccz_rlwe_ct *ct, size_t parts, size_t limbs, struct ccz_rlwe_work *w,
                        struct ccz_rd *in, struct ccz_err *err)
{
    const struct ccz_rlwe *r = w->r;
    if (ccz_rlwe_ct_reserve(ct, parts) != CCZ_OK)
        return no_memory(err);
    if (ct->seeded)
        ccz_rd_copy(in, ct->seed, sizeof(ct->seed));
    for (size_t p = 0; p < (ct->seeded ? 1 : parts); p++) {
        for (size_t i = 0; i < limbs; i++) {
            ccz_rc rc = get_limb(ct->c[p] + i * r->n, in, r, i, err);
            if (rc != CCZ_OK)
                return rc;
        }
    }
    if (ct->seeded) {
        struct expand_job j = {.w = w, .ct = ct};
        cczi_pool_run(w->pool, limbs, expand_limb, &j);
        if (j.failed)
            return ccz_fail(err, (ccz_rc)j.failed, "rlwe:random", 0, "the expansion failed");
    }
    ct->parts = parts;
    ct->limbs = limbs;
    if (ccz_rlwe_ct_transparent(ct)) {
        ct->parts = 0;
        return transparent(err);
    }
    return CCZ_OK;
}

ccz_rc ccz_rlwe_ct_read(struct ccz_rlwe_ct *out, void *meta, size_t meta_size,
                        struct ccz_rlwe_work *w, struct ccz_span in, const uint8_t *key_id,
                        struct ccz_err *err)
{
    out->parts = 0;
    struct ccz_rd rd = ccz_rd_from(in);
    ccz_rc rc = cczi_rlwe_same(out->ctx, w->r, err);
    if (rc == CCZ_OK)
        rc = get_header(out->key_id, &rd, CCZ_RLWE_KIND_CT, w->r, key_id, err);
    if (rc != CCZ_OK)
        return rc;
    size_t parts = ccz_rd_u8(&rd), limbs = ccz_rd_u8(&rd);
    uint8_t flags = ccz_rd_u8(&rd), got_meta = ccz_rd_u8(&rd);
    if (rd.bad)
        return ccz_fail(err, CCZ_E_FORMAT, "rlwe:size", (int64_t)in.size, "truncated");
    const bool seeded = flags & FLAG_SEEDED;
    if (parts < 2 || parts > 3 || limbs < 1 || limbs > w->r->data_len || flags > 3 ||
        got_meta != meta_size || (seeded && (parts != 2 || !(flags & FLAG_NTT))))
        return ccz_fail(err, CCZ_E_FORMAT, "rlwe:header", (int64_t)rd.left,
                        "%zu parts, %zu primes, flags %u, %u bytes of the scheme", parts, limbs,
                        flags, got_meta);
    rc = check_size(&rd, meta_size + body_size(w->r, parts, limbs, seeded), err);
    if (rc != CCZ_OK)
        return rc;
    out->ntt = flags & FLAG_NTT;
    out->seeded = seeded;
    ccz_rd_copy(&rd, meta, meta_size);
    rc = get_parts(out, parts, limbs, w, &rd, err);
    if (rc != CCZ_OK)
        memset(meta, 0, meta_size);
    return rc;
}

/* -------------------------------------------------------------------------------- secret keys */

ccz_rc ccz_rlwe_sk_write(struct ccz_secret **out, const struct ccz_rlwe_sk *sk, struct ccz_err *err)
{
    *out = NULL;
    const size_t n = sk->r->n;
    CCZ_AUTO(ccz_secret) s = NULL;
    CCZ_AUTO_BUF b;
    ccz_buf_init(&b, HEADER_SIZE);
    put_header(&b, CCZ_RLWE_KIND_SK, sk->r, sk->id);
    if (b.bad || ccz_secret_new(&s, HEADER_SIZE + n / 4) != CCZ_OK)
        return ccz_fail(err, CCZ_E_NOMEM, "rlwe:key", 0, "out of memory");
    uint8_t *to = ccz_secret_bytes(s);
    const int8_t *c = (const int8_t *)ccz_secret_view(sk->coeff);
    memcpy(to, b.ptr, HEADER_SIZE);
    for (size_t i = 0; i < n; i++)
        to[HEADER_SIZE + i / 4] |= (uint8_t)((c[i] + 1) << 2 * (i % 4));
    *out = ccz_secret_take(&s);
    return CCZ_OK;
}

ccz_rc ccz_rlwe_sk_read(struct ccz_rlwe_sk **out, struct ccz_rlwe_work *w,
                        const struct ccz_secret *in, struct ccz_err *err)
{
    *out = NULL;
    const size_t n = w->r->n;
    uint8_t id[CCZ_RLWE_KEY_ID_SIZE];
    struct ccz_rd rd = ccz_rd_from(CCZ_SPAN(ccz_secret_view(in), ccz_secret_size(in)));
    ccz_rc rc = get_header(id, &rd, CCZ_RLWE_KIND_SK, w->r, NULL, err);
    if (rc == CCZ_OK)
        rc = check_size(&rd, n / 4, err);
    if (rc != CCZ_OK)
        return rc;
    CCZ_AUTO(ccz_rlwe_sk) sk = NULL;
    if (cczi_rlwe_sk_alloc(&sk, w->r) != CCZ_OK)
        return no_memory(err);
    memcpy(sk->id, id, sizeof(id));
    int8_t *c = (int8_t *)ccz_secret_bytes(sk->coeff);
    uint32_t bad = 0;
    for (size_t i = 0; i < n; i++) {
        uint32_t v = (uint32_t)rd.ptr[i / 4] >> 2 * (i % 4) & 3;
        bad |= v & v >> 1; /* 3 stands for nothing */
        c[i] = (int8_t)((int)v - 1);
    }
    CCZ_CT_PUBLIC(&bad, sizeof(bad)); /* whether it is a key at all */
    if (bad)
        return ccz_fail(err, CCZ_E_FORMAT, "rlwe:secret", 0, "a coefficient is not -1, 0 or 1");
    cczi_rlwe_sk_expand(sk, w);
    *out = ccz_rlwe_sk_take(&sk);
    return CCZ_OK;
}

/* -------------------------------------------------------------------------------- public keys */

size_t ccz_rlwe_pk_size(const struct ccz_rlwe *r)
{
    return HEADER_SIZE + CCZ_RLWE_SEED_SIZE + packed_size(r, r->data_len);
}

ccz_rc ccz_rlwe_pk_write(struct ccz_buf *out, const struct ccz_rlwe_pk *pk, struct ccz_err *err)
{
    const struct ccz_rlwe *r = pk->r;
    put_header(out, CCZ_RLWE_KIND_PK, r, pk->id);
    ccz_buf_put(out, pk->seed, sizeof(pk->seed));
    for (size_t i = 0; i < r->data_len; i++)
        put_limb(out, r, pk->b + i * r->n, i);
    return written(out, err);
}

ccz_rc ccz_rlwe_pk_read(struct ccz_rlwe_pk **out, struct ccz_rlwe_work *w, struct ccz_span in,
                        const uint8_t *key_id, struct ccz_err *err)
{
    *out = NULL;
    const struct ccz_rlwe *r = w->r;
    uint8_t id[CCZ_RLWE_KEY_ID_SIZE];
    struct ccz_rd rd = ccz_rd_from(in);
    ccz_rc rc = get_header(id, &rd, CCZ_RLWE_KIND_PK, r, key_id, err);
    if (rc == CCZ_OK)
        rc = check_size(&rd, CCZ_RLWE_SEED_SIZE + packed_size(r, r->data_len), err);
    if (rc != CCZ_OK)
        return rc;
    CCZ_AUTO(ccz_rlwe_pk) pk = NULL;
    if (cczi_rlwe_pk_alloc(&pk, r) != CCZ_OK)
        return no_memory(err);
    memcpy(pk->id, id, sizeof(id));
    ccz_rd_copy(&rd, pk->seed, sizeof(pk->seed));
    for (size_t i = 0; rc == CCZ_OK && i < r->data_len; i++)
        rc = get_limb(pk->b + i * r->n, &rd, r, i, err);
    if (rc != CCZ_OK)
        return rc;
    rc = cczi_rlwe_pk_uniform(pk, w);
    if (rc != CCZ_OK)
        return ccz_fail(err, rc, "rlwe:random", 0, "the expansion failed");
    *out = ccz_rlwe_pk_take(&pk);
    return CCZ_OK;
}

/* ----------------------------------------------------------------------------- switching keys */

/* Element, seed, then b of every prime and digit. */
static size_t swk_body_size(const struct ccz_rlwe *r)
{
    return 4 + CCZ_RLWE_SEED_SIZE + r->dnum * packed_size(r, r->primes_len);
}

static void put_swk(struct ccz_buf *out, const struct ccz_rlwe_swk *k)
{
    const struct ccz_rlwe *r = k->r;
    ccz_buf_le32(out, k->elt);
    ccz_buf_put(out, k->seed, sizeof(k->seed));
    for (size_t i = 0; i < r->primes_len; i++)
        for (size_t d = 0; d < r->dnum; d++)
            put_limb(out, r, cczi_rlwe_swk_at(k, i, d, 0), i);
}

static ccz_rc get_swk(struct ccz_rlwe_swk **out, struct ccz_rlwe_work *w, struct ccz_rd *in,
                      const uint8_t *id, struct ccz_err *err)
{
    *out = NULL;
    const struct ccz_rlwe *r = w->r;
    uint32_t elt = ccz_rd_le32(in);
    if (elt && (elt % 2 == 0 || elt >= 2 * r->n))
        return ccz_fail(err, CCZ_E_FORMAT, "rlwe:galois-element", elt,
                        "%u is not odd and below %zu", elt, 2 * r->n);
    CCZ_AUTO(ccz_rlwe_swk) k = NULL;
    ccz_rc rc = cczi_rlwe_swk_alloc(&k, r, elt, err);
    if (rc != CCZ_OK)
        return rc;
    memcpy(k->id, id, sizeof(k->id));
    ccz_rd_copy(in, k->seed, sizeof(k->seed));
    for (size_t i = 0; rc == CCZ_OK && i < r->primes_len; i++)
        for (size_t d = 0; rc == CCZ_OK && d < r->dnum; d++)
            rc = get_limb(cczi_rlwe_swk_at(k, i, d, 0), in, r, i, err);
    if (rc != CCZ_OK)
        return rc;
    rc = cczi_rlwe_swk_uniform(k, w);
    if (rc != CCZ_OK)
        return ccz_fail(err, rc, "rlwe:random", 0, "the expansion failed");
    *out = ccz_rlwe_swk_take(&k);
    return CCZ_OK;
}

ccz_rc ccz_rlwe_swk_write(struct ccz_buf *out, const struct ccz_rlwe_swk *k, struct ccz_err *err)
{
    if (k->transfer)
        return ccz_refuse_num(err, CCZ_E_ARG, "rlwe:kind", CCZ_RLWE_KIND_TRANSFER,
                              CCZ_RLWE_KIND_SWK);
    put_header(out, CCZ_RLWE_KIND_SWK, k->r, k->id);
    put_swk(out, k);
    return written(out, err);
}

ccz_rc ccz_rlwe_swk_read(struct ccz_rlwe_swk **out, struct ccz_rlwe_work *w, struct ccz_span in,
                         const uint8_t *key_id, struct ccz_err *err)
{
    *out = NULL;
    uint8_t id[CCZ_RLWE_KEY_ID_SIZE];
    struct ccz_rd rd = ccz_rd_from(in);
    ccz_rc rc = get_header(id, &rd, CCZ_RLWE_KIND_SWK, w->r, key_id, err);
    if (rc == CCZ_OK)
        rc = check_size(&rd, swk_body_size(w->r), err);
    return rc == CCZ_OK ? get_swk(out, w, &rd, id, err) : rc;
}

ccz_rc ccz_rlwe_transfer_write(struct ccz_buf *out, const struct ccz_rlwe_swk *k,
                               struct ccz_err *err)
{
    if (!k->transfer)
        return ccz_refuse_num(err, CCZ_E_ARG, "rlwe:kind", CCZ_RLWE_KIND_SWK,
                              CCZ_RLWE_KIND_TRANSFER);
    put_header(out, CCZ_RLWE_KIND_TRANSFER, k->r, k->id);
    ccz_buf_put(out, k->from_id, sizeof(k->from_id));
    put_swk(out, k);
    return written(out, err);
}

ccz_rc ccz_rlwe_transfer_read(struct ccz_rlwe_swk **out, struct ccz_rlwe_work *w,
                              struct ccz_span in, const uint8_t *from_id, const uint8_t *key_id,
                              struct ccz_err *err)
{
    *out = NULL;
    uint8_t id[CCZ_RLWE_KEY_ID_SIZE], from[CCZ_RLWE_KEY_ID_SIZE];
    struct ccz_rd rd = ccz_rd_from(in);
    ccz_rc rc = get_header(id, &rd, CCZ_RLWE_KIND_TRANSFER, w->r, key_id, err);
    if (rc == CCZ_OK)
        rc = check_size(&rd, sizeof(from) + swk_body_size(w->r), err);
    if (rc != CCZ_OK)
        return rc;
    ccz_rd_copy(&rd, from, sizeof(from));
    if (from_id)
        rc = cczi_rlwe_same_key(from, from_id, err);
    struct ccz_rd peek = rd;
    uint32_t elt = ccz_rd_le32(&peek);
    if (rc == CCZ_OK && elt)
        rc = ccz_refuse_num(err, CCZ_E_FORMAT, "rlwe:galois-element", elt, 0);
    CCZ_AUTO(ccz_rlwe_swk) k = NULL;
    if (rc == CCZ_OK)
        rc = get_swk(&k, w, &rd, id, err);
    if (rc != CCZ_OK)
        return rc;
    k->transfer = true;
    memcpy(k->from_id, from, sizeof(from));
    *out = ccz_rlwe_swk_take(&k);
    return CCZ_OK;
}

ccz_rc ccz_rlwe_galois_set_write(struct ccz_buf *out, const struct ccz_rlwe_galois_set *s,
                                 struct ccz_err *err)
{
    if (s->len == 0)
        return ccz_fail(err, CCZ_E_ARG, "rlwe:empty", 0, "a set without keys");
    put_header(out, CCZ_RLWE_KIND_GALOIS, s->keys[0]->r, s->keys[0]->id);
    ccz_buf_le32(out, (uint32_t)s->len);
    for (size_t i = 0; i < s->len; i++)
        put_swk(out, s->keys[i]);
    return written(out, err);
}

static ccz_rc get_set(struct ccz_rlwe_galois_set *s, struct ccz_rlwe_work *w, struct ccz_rd *in,
                      size_t len, const uint8_t *id, struct ccz_err *err)
{
    for (size_t i = 0; i < len; i++) {
        struct ccz_rlwe_swk *k;
        ccz_rc rc = get_swk(&k, w, in, id, err);
        if (rc != CCZ_OK)
            return rc;
        if (k->elt == 0 || (i > 0 && k->elt <= s->keys[i - 1]->elt))
            rc = ccz_fail(err, CCZ_E_FORMAT, "rlwe:galois-order", (int64_t)i,
                          "elements are not ascending");
        else if (cczi_rlwe_set_add(s, k) != CCZ_OK)
            rc = no_memory(err);
        if (rc != CCZ_OK) {
            ccz_rlwe_swk_free(k);
            return rc;
        }
    }
    return CCZ_OK;
}

ccz_rc ccz_rlwe_galois_set_read(struct ccz_rlwe_galois_set **out, struct ccz_rlwe_work *w,
                                struct ccz_span in, const uint8_t *key_id, struct ccz_err *err)
{
    *out = NULL;
    uint8_t id[CCZ_RLWE_KEY_ID_SIZE];
    struct ccz_rd rd = ccz_rd_from(in);
    ccz_rc rc = get_header(id, &rd, CCZ_RLWE_KIND_GALOIS, w->r, key_id, err);
    if (rc != CCZ_OK)
        return rc;
    size_t len = ccz_rd_le32(&rd);
    if (rd.bad || len < 1 || len > w->r->n)
        return ccz_fail(err, CCZ_E_FORMAT, "rlwe:header", (int64_t)len,
                        "truncated, or %zu keys where 1 to %zu can be", len, w->r->n);
    rc = check_size(&rd, len * swk_body_size(w->r), err);
    if (rc != CCZ_OK)
        return rc;
    CCZ_AUTO(ccz_rlwe_galois_set) s = calloc(1, sizeof(*s));
    if (!s)
        return no_memory(err);
    rc = get_set(s, w, &rd, len, id, err);
    if (rc == CCZ_OK)
        *out = ccz_rlwe_galois_set_take(&s);
    return rc;
}
