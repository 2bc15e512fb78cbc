/* SPDX-License-Identifier: Apache-2.0 */
/* The JSON of python-paillier's command line: keys as JWK-like objects, ciphertexts as decimal text. */
#include <cczoo/bignum.h>
#include <cczoo/codec.h>

#include "base/ct.h"
#include "paillier/paillier_priv.h"

#include <string.h>

enum { C_DIGITS_MAX = 2 * CCZ_PAILLIER_BITS_MAX * 10 / 33 + 2, ITEM_SIZE_MAX = C_DIGITS_MAX + 32 };

static ccz_rc bad(struct ccz_err *err, const char *what)
{
    return ccz_fail(err, CCZ_E_FORMAT, "paillier:json", 0, "%s", what);
}

/* ------------------------------------------------------------------------------------ keys */

static void put_number(struct ccz_buf *out, const char *name, const uint8_t *bytes, size_t size)
{
    ccz_buf_printf(out, ",\"%s\":\"", name);
    ccz_base64_put(out, CCZ_SPAN(bytes, size), CCZ_BASE64_URL);
    ccz_buf_put_str(out, "\"");
}

static void put_kid(struct ccz_buf *out, const char *kid)
{
    ccz_buf_put_str(out, ",\"kid\":");
    ccz_json_put_str(out, ccz_span_str(kid ? kid : ""));
    ccz_buf_put_str(out, "}");
}

void ccz_paillier_pub_to_json(struct ccz_buf *out, const struct ccz_paillier_pub *pub,
                              const char *kid)
{
    ccz_buf_put_str(out, "{\"kty\":\"DAJ\",\"alg\":\"PAI-GN1\",\"key_ops\":[\"encrypt\"]");
    put_number(out, "n", pub->n_bytes, pub->size);
    if (pub->djn)
        put_number(out, "h", pub->h, pub->size);
    put_kid(out, kid);
}

ccz_rc ccz_paillier_key_to_json(struct ccz_buf *out, const struct ccz_paillier_key *k,
                                const char *kid, struct ccz_err *err)
{
    ccz_buf_put_str(out, "{\"kty\":\"DAJ\",\"key_ops\":[\"decrypt\"]");
    put_number(out, "p", k->p_bytes, k->size);
    put_number(out, "q", k->q_bytes, k->size);
    ccz_buf_put_str(out, ",\"pub\":");
    ccz_paillier_pub_to_json(out, k->pub, kid);
    put_kid(out, kid);
    return out->bad ? ccz_fail(err, CCZ_E_LIMIT, "paillier:buffer", 0, "the buffer is full")
                    : CCZ_OK;
}

/* The string @p key of @p j is @p want. */
static bool says(const struct ccz_jnode *j, const char *key, const char *want)
{
    return ccz_span_eq(ccz_jnode_str(ccz_jnode_get(j, key)), ccz_span_str(want));
}

/* Number @p name into @p out, which is empty if there is none. Zero bytes in front are dropped. */
static ccz_rc take_number(struct ccz_buf *out, const struct ccz_jnode *j, const char *name,
                          struct ccz_err *err)
{
    struct ccz_span text = ccz_jnode_str(ccz_jnode_get(j, name));
    ccz_buf_init(out, CCZ_PAILLIER_N_SIZE_MAX + 8);
    out->wipe = true;
    if (!text.ptr)
        return ccz_jnode_get(j, name) ? bad(err, "a number is no string") : CCZ_OK;
    ccz_rc rc = ccz_base64_get(out, text, CCZ_BASE64_URL, err);
    if (rc != CCZ_OK)
        return rc;
    size_t zeros = 0;
    while (zeros < out->size && out->ptr[zeros] == 0)
        zeros++;
    ccz_buf_consume(out, zeros);
    return CCZ_OK;
}

static ccz_rc pub_from(struct ccz_paillier_pub **out, const struct ccz_jnode *j,
                       const struct ccz_paillier_pub_cfg *cfg, struct ccz_err *err)
{
    CCZ_AUTO_BUF n;
    CCZ_AUTO_BUF h;
    ccz_buf_init(&h, 0);
    ccz_rc rc = take_number(&n, j, "n", err);
    if (rc != CCZ_OK)
        return rc;
    if (!says(j, "kty", "DAJ") || !says(j, "alg", "PAI-GN1"))
        return bad(err, "expected kty DAJ and alg PAI-GN1");
    if ((rc = take_number(&h, j, "h", err)) != CCZ_OK)
        return rc;
    if (n.size == 0)
        return bad(err, "there is no n");
    uint8_t padded[CCZ_PAILLIER_N_SIZE_MAX] = {0}; /* an h with zeros in front */
    if (h.size == 0 || h.size > n.size || n.size > sizeof(padded))
        return ccz_paillier_pub_new(out, ccz_buf_span(&n), ccz_buf_span(&h), cfg, err);
    memcpy(padded + n.size - h.size, h.ptr, h.size);
    return ccz_paillier_pub_new(out, ccz_buf_span(&n), CCZ_SPAN(padded, n.size), cfg, err);
}

ccz_rc ccz_paillier_pub_from_json(struct ccz_paillier_pub **out, struct ccz_span text,
                                  const struct ccz_paillier_pub_cfg *cfg, struct ccz_err *err)
{
    CCZ_AUTO(ccz_jdoc) d = NULL;
    *out = NULL;
    ccz_rc rc = ccz_jdoc_parse(&d, text, err);
    return rc == CCZ_OK ? pub_from(out, ccz_jdoc_root(d), cfg, err) : rc;
}

/* The document is read in place, so that no copy of the secret is left behind. */
ccz_rc ccz_paillier_key_from_json(struct ccz_paillier_key **out, struct ccz_span text,
                                  const struct ccz_paillier_pub_cfg *cfg, struct ccz_err *err)
{
    CCZ_AUTO(ccz_jdoc) d = NULL;
    CCZ_AUTO(ccz_paillier_pub) pub = NULL;
    CCZ_AUTO(ccz_paillier_key) k = NULL;
    CCZ_AUTO_BUF p;
    CCZ_AUTO_BUF q;
    ccz_buf_init(&p, 0);
    ccz_buf_init(&q, 0);
    *out = NULL;
    ccz_rc rc = ccz_jdoc_parse(&d, text, err);
    if (rc != CCZ_OK)
        return rc;
    const struct ccz_jnode *j = ccz_jdoc_root(d);
    if (!says(j, "kty", "DAJ"))
        return bad(err, "expected kty DAJ");
    if ((rc = pub_from(&pub, ccz_jnode_get(j, "pub"), cfg, err)) != CCZ_OK ||
        (rc = take_number(&p, j, "p", err)) != CCZ_OK ||
        (rc = take_number(&q, j, "q", err)) != CCZ_OK)
        return rc;
    struct ccz_span h = pub->djn ? CCZ_SPAN(pub->h, pub->size) : CCZ_SPAN(NULL, 0);
    if ((rc = cczi_key_import(&k, ccz_buf_span(&p), ccz_buf_span(&q), h, cfg, err)) != CCZ_OK)
        return rc;
    if ((rc = cczi_same_key(pub, k->pub, err)) != CCZ_OK)
        return rc;
    *out = ccz_paillier_key_take(&k);
    return CCZ_OK;
}

/* ----------------------------------------------------------------------------- ciphertexts */

ccz_rc ccz_paillier_vec_to_json(struct ccz_buf *out, const struct ccz_paillier_vec *v,
                                struct ccz_err *err)
{
    uint8_t c[CCZ_PAILLIER_C_SIZE_MAX];
    if (v->pack.slot_bits)
        return ccz_fail(err, CCZ_E_MISMATCH, "paillier:packing", v->pack.slot_bits,
                        "this format knows no packed numbers");
    if (v->random != CCZI_RANDOM_FULL) {
        ccz_rc rc = ccz_fail(err, CCZ_E_DENIED, "paillier:not-randomised", 0,
                             "plain numbers could be computed from these ciphertexts");
        return ccz_hint(err, rc, "call ccz_paillier_randomise() first");
    }
    if (v->len != 1)
        ccz_buf_put_str(out, "[");
    for (size_t i = 0; i < v->len; i++) {
        ccz_mont_to_bytes(v->pub->m, c, v->w + i * v->pub->len, 1);
        ccz_buf_put_str(out, i ? ",{\"v\":\"" : "{\"v\":\"");
        if (ccz_bignum_to_decimal(out, CCZ_SPAN(c, 2 * v->pub->size)) != CCZ_OK)
            return cczi_no_memory(err);
        ccz_buf_printf(out, "\",\"e\":%d}", (int)v->exponent);
    }
    if (v->len != 1)
        ccz_buf_put_str(out, "]");
    return out->bad ? ccz_fail(err, CCZ_E_LIMIT, "paillier:buffer", 0, "the buffer is full")
                    : CCZ_OK;
}

/* One object; *exponent is that of the first. */
static ccz_rc take_item(uint8_t *c, int64_t *exponent, bool first, const struct ccz_jnode *j,
                        size_t size, struct ccz_err *err)
{
    int64_t e;
    struct ccz_span digits = ccz_jnode_str(ccz_jnode_get(j, "v"));
    if (!digits.ptr || !ccz_jnode_int(&e, ccz_jnode_get(j, "e")))
        return bad(err, "expected an object with a string v and an integer e");
    ccz_rc rc = ccz_bignum_from_decimal(c, size, digits);
    if (rc == CCZ_E_NOMEM)
        return cczi_no_memory(err);
    if (rc != CCZ_OK)
        return ccz_fail(err, CCZ_E_FORMAT, "paillier:c-range", 0,
                        "v is no decimal number below n^2");
    if (first)
        *exponent = e;
    if (*exponent != e || e < -CCZI_PAI_EXPONENT_MAX || e > CCZI_PAI_EXPONENT_MAX) {
        rc = ccz_refuse_num(err, CCZ_E_FORMAT, "paillier:exponent", e, *exponent);
        return ccz_hint(err, rc, "read numbers of different exponents one by one");
    }
    return CCZ_OK;
}

/* The bound that the caller vouches for. */
static ccz_rc declare(struct ccz_paillier_vec *v, int64_t exponent, unsigned bits,
                      struct ccz_err *err)
{
    if (bits > v->pub->bits - 3)
        return ccz_refuse_num(err, CCZ_E_ARG, "paillier:bits", bits, v->pub->bits - 3);
    v->exponent = (int32_t)exponent;
    v->bound = bits ? cczi_bound_bits(bits) : v->pub->limit;
    v->random = CCZI_RANDOM_FULL;
    return CCZ_OK;
}

ccz_rc ccz_paillier_vec_from_json(struct ccz_paillier_vec **out, const struct ccz_paillier_pub *pub,
                                  struct ccz_span text, unsigned bits, size_t len_max,
                                  struct ccz_err *err)
{
    CCZ_AUTO(ccz_jdoc) d = NULL;
    CCZ_AUTO(ccz_paillier_vec) v = NULL;
    CCZ_AUTO_BUF residues;
    *out = NULL;
    ccz_rc rc = ccz_jdoc_parse(&d, text, err);
    const struct ccz_jnode *j = rc == CCZ_OK ? ccz_jdoc_root(d) : NULL;
    bool many = ccz_jnode_type(j) == CCZ_JSON_ARRAY;
    size_t len = many ? ccz_jnode_len(j) : 1, size = 2 * pub->size;
    ccz_buf_init(&residues, len * size);
    if (rc != CCZ_OK)
        return rc;
    if (len > len_max)
        return ccz_refuse_num(err, CCZ_E_LIMIT, "paillier:len", (int64_t)len, (int64_t)len_max);
    uint8_t *c = ccz_buf_extend(&residues, len * size);
    if (!c || (rc = cczi_vec_new(&v, pub, len, err)) != CCZ_OK)
        return cczi_no_memory(err);
    int64_t exponent = 0;
    const struct ccz_jnode *item = many ? ccz_jnode_first(j) : j;
    for (size_t i = 0; i < len; i++, item = ccz_jnode_next(item))
        if ((rc = take_item(c + i * size, &exponent, i == 0, item, size, err)) != CCZ_OK)
            return rc;
    if ((rc = declare(v, exponent, bits, err)) != CCZ_OK ||
        (rc = cczi_vec_load(v, c, err)) != CCZ_OK)
        return rc;
    *out = ccz_paillier_vec_take(&v);
    return CCZ_OK;
}
