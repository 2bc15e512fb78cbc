/* SPDX-License-Identifier: Apache-2.0 */
/* JSON Web Key (RFC 7517; members of RFC 7518, 6 and RFC 8037, 2), thumbprints (RFC 7638). */
#include "jose_priv.h"

#include <stdlib.h>
#include <string.h>

enum { EC_SIZE_MAX = 48, JWK_TEXT_OUT_MAX = 4096 };

/* clang-format off */
static const struct alg {
    const char *name;
    unsigned kinds; /* bits: 1 << enum ccz_jwk_kind */
    bool sig;
} algs[] = {
    [CCZ_JOSE_ALG_NONE]        = {"", 0, false},
    [CCZ_JOSE_ES256]           = {"ES256", 1u << CCZ_JWK_P256, true},
    [CCZ_JOSE_ES384]           = {"ES384", 1u << CCZ_JWK_P384, true},
    [CCZ_JOSE_RS256]           = {"RS256", 1u << CCZ_JWK_RSA, true},
    [CCZ_JOSE_PS256]           = {"PS256", 1u << CCZ_JWK_RSA, true},
    [CCZ_JOSE_EDDSA]           = {"EdDSA", 1u << CCZ_JWK_ED25519, true},
    [CCZ_JOSE_ECDH_ES_A256KW]  = {"ECDH-ES+A256KW", 1u << CCZ_JWK_P256 | 1u << CCZ_JWK_P384, false},
    [CCZ_JOSE_RSA_OAEP_256]    = {"RSA-OAEP-256", 1u << CCZ_JWK_RSA, false},
};
static const struct kind {
    const char *kty, *crv, *a, *b; /* member names, NULL: none */
    size_t size;                   /* of a and b; 0: as given */
    enum ccz_jose_alg sig, enc;    /* unless the key says another one */
} kinds[] = {
    [CCZ_JWK_P256]    = {"EC",  "P-256",   "x", "y",  32, CCZ_JOSE_ES256, CCZ_JOSE_ECDH_ES_A256KW},
    [CCZ_JWK_P384]    = {"EC",  "P-384",   "x", "y",  48, CCZ_JOSE_ES384, CCZ_JOSE_ECDH_ES_A256KW},
    [CCZ_JWK_RSA]     = {"RSA", NULL,      "n", "e",   0, CCZ_JOSE_RS256, CCZ_JOSE_RSA_OAEP_256},
    [CCZ_JWK_ED25519] = {"OKP", "Ed25519", "x", NULL, 32, CCZ_JOSE_EDDSA, CCZ_JOSE_ALG_NONE},
};
/* clang-format on */
enum { ALGS_LEN = sizeof(algs) / sizeof(algs[0]), KINDS_LEN = sizeof(kinds) / sizeof(kinds[0]) };

const char *ccz_jose_alg_name(enum ccz_jose_alg alg)
{
    return (size_t)alg < ALGS_LEN ? algs[alg].name : "";
}

void ccz_jwk_free(struct ccz_jwk *k)
{
    if (!k)
        return;
    ccz_key_free(k->ec);
    cczi_jose_rsa_free(k->rsa);
    free(k);
}

/* ------------------------------------------------------------------------------ of parts */

/* The key object of EC and RSA; the numbers are in @p k already. */
static ccz_rc make_object(struct ccz_jwk *k, struct ccz_err *err)
{
    uint8_t xy[2 * EC_SIZE_MAX];
    ccz_rc rc = CCZ_OK;
    switch (k->kind) {
    case CCZ_JWK_P256:
    case CCZ_JWK_P384:
        memcpy(xy, k->a, k->a_size);
        memcpy(xy + k->a_size, k->b, k->b_size);
        rc = ccz_key_from_xy(&k->ec, k->kind == CCZ_JWK_P256 ? CCZ_P256 : CCZ_P384,
                             CCZ_SPAN(xy, k->a_size + k->b_size));
        break;
    case CCZ_JWK_RSA:
        rc = cczi_jose_rsa_public(&k->rsa, CCZ_SPAN(k->a, k->a_size), CCZ_SPAN(k->b, k->b_size));
        if (rc == CCZ_E_FORMAT)
            return ccz_fail(err, rc, "jwk:rsa", (int64_t)(8 * k->a_size),
                            "an RSA key has 2048 to 4096 bits, an odd exponent from 65537 to "
                            "2^32-1, and no leading zeros");
        break;
    case CCZ_JWK_ED25519:
        rc = cczi_jose_ed25519_ok(k->a) ? CCZ_OK : CCZ_E_FORMAT;
        break;
    }
    if (rc == CCZ_OK)
        return rc;
    return ccz_fail(err, rc, "jwk:point", 0, "%s",
                    rc == CCZ_E_FORMAT ? "not a point of the curve, or one that no key has"
                                       : ccz_rc_str(rc));
}

static ccz_rc take_numbers(struct ccz_jwk *k, const struct ccz_jwk_parts *p, struct ccz_err *err)
{
    const struct kind *kind = &kinds[p->kind];
    size_t b_size = kind->b ? kind->size : 0;
    bool fixed = kind->size > 0;
    if (fixed && p->a.size != kind->size)
        return ccz_refuse_num(err, CCZ_E_FORMAT, "jwk:size", (int64_t)p->a.size,
                              (int64_t)kind->size);
    if (fixed && p->b.size != b_size)
        return ccz_refuse_num(err, CCZ_E_FORMAT, "jwk:size", (int64_t)p->b.size, (int64_t)b_size);
    if (p->a.size > sizeof(k->a) || p->b.size > sizeof(k->b))
        return ccz_fail(err, CCZ_E_FORMAT, "jwk:size", (int64_t)p->a.size,
                        "a number is larger than any key that is taken");
    if (p->a.size)
        memcpy(k->a, p->a.ptr, p->a.size);
    if (p->b.size)
        memcpy(k->b, p->b.ptr, p->b.size);
    k->a_size = p->a.size;
    k->b_size = p->b.size;
    return CCZ_OK;
}

ccz_rc ccz_jwk_make(struct ccz_jwk **out, const struct ccz_jwk_parts *p, struct ccz_err *err)
{
    *out = NULL;
    if ((size_t)p->kind >= KINDS_LEN)
        return ccz_fail(err, CCZ_E_UNSUPPORTED, "jwk:kty", p->kind, "no such kind of key");
    if ((size_t)p->alg >= ALGS_LEN ||
        (p->alg != CCZ_JOSE_ALG_NONE && !(algs[p->alg].kinds & 1u << p->kind)))
        return ccz_refuse(err, CCZ_E_UNSUPPORTED, "jwk:alg", ccz_jose_alg_name(p->alg),
                          "an algorithm for that kind of key");
    if (p->use > CCZ_JWK_USE_ENC)
        return ccz_fail(err, CCZ_E_FORMAT, "jwk:use", p->use, "no such use");
    if (p->kid.size > CCZ_JWK_KID_SIZE_MAX || !ccz_utf8_ok(p->kid) ||
        (p->kid.size && memchr(p->kid.ptr, 0, p->kid.size)))
        return ccz_fail(err, CCZ_E_FORMAT, "jwk:kid", (int64_t)p->kid.size,
                        "a kid has 1 to %d bytes of UTF-8 without NUL", CCZ_JWK_KID_SIZE_MAX);
    CCZ_AUTO(ccz_jwk) k = calloc(1, sizeof(*k));
    if (!k)
        return ccz_fail(err, CCZ_E_NOMEM, "jwk:memory", 0, "out of memory");
    k->kind = p->kind;
    k->alg = p->alg;
    k->use = p->use;
    if (p->kid.size)
        memcpy(k->kid, p->kid.ptr, p->kid.size);
    ccz_rc rc = take_numbers(k, p, err);
    if (rc == CCZ_OK)
        rc = make_object(k, err);
    if (rc == CCZ_OK)
        *out = ccz_jwk_take(&k);
    return rc;
}

ccz_rc ccz_jwk_from_key(struct ccz_jwk **out, const struct ccz_key *key, struct ccz_err *err)
{
    uint8_t xy[2 * EC_SIZE_MAX];
    bool p256 = ccz_key_curve(key) == CCZ_P256;
    size_t size = p256 ? 32 : 48;
    struct ccz_jwk_parts p = {.kind = p256 ? CCZ_JWK_P256 : CCZ_JWK_P384,
                              .a = CCZ_SPAN(xy, size),
                              .b = CCZ_SPAN(xy + size, size),
                              .alg = p256 ? CCZ_JOSE_ES256 : CCZ_JOSE_ES384,
                              .use = CCZ_JWK_USE_SIG};
    *out = NULL;
    ccz_rc rc = ccz_key_xy(xy, key);
    if (rc != CCZ_OK)
        return ccz_fail(err, rc, "jwk:point", 0, "%s", ccz_rc_str(rc));
    CCZ_AUTO(ccz_jwk) k = NULL;
    if ((rc = ccz_jwk_make(&k, &p, err)) != CCZ_OK)
        return rc;
    if ((rc = ccz_jwk_thumbprint(k->kid, k)) != CCZ_OK)
        return ccz_fail(err, rc, "jwk:thumbprint", 0, "%s", ccz_rc_str(rc));
    *out = ccz_jwk_take(&k);
    return CCZ_OK;
}

/* ------------------------------------------------------------------------------- of JSON */

/* Private members of all kinds (RFC 7518, 6.2.2, 6.3.2, 6.4; RFC 8037, 2). */
static const char *const private_members[] = {"d", "p", "q", "dp", "dq", "qi", "oth", "k"};

static ccz_rc check_public(const struct ccz_json *j, struct ccz_err *err)
{
    for (size_t i = 0; i < sizeof(private_members) / sizeof(private_members[0]); i++) {
        if (!ccz_json_get(j, private_members[i]))
            continue;
        ccz_fail(err, CCZ_E_DENIED, "jwk:private", 0, "the key has the private member \"%s\"",
                 private_members[i]);
        return ccz_hint(err, CCZ_E_DENIED,
                        "whoever could read this file has the key: make a new one");
    }
    return CCZ_OK;
}

/* A string member. @param needed  else its absence is fine, and *out is empty  */
static ccz_rc get_text(struct ccz_span *out, const struct ccz_json *j, const char *name,
                       bool needed, struct ccz_err *err)
{
    const struct ccz_json *v = ccz_json_get(j, name);
    *out = ccz_json_bytes(v);
    if (v ? ccz_json_type(v) == CCZ_JSON_STRING && out->size > 0 : !needed)
        return CCZ_OK;
    return ccz_fail(err, CCZ_E_FORMAT, "jwk:member", 0, "\"%s\" %s", name,
                    v ? "is not a string that says something" : "is missing");
}

static bool says(struct ccz_span text, const char *name)
{
    return ccz_span_eq(text, ccz_span_str(name));
}

static ccz_rc get_kind(enum ccz_jwk_kind *out, const struct ccz_json *j, struct ccz_err *err)
{
    struct ccz_span kty, crv;
    ccz_rc rc = get_text(&kty, j, "kty", true, err);
    if (rc != CCZ_OK)
        return rc;
    bool known = false;
    for (size_t i = 0; i < KINDS_LEN && !known; i++)
        known = says(kty, kinds[i].kty);
    if (!known)
        return cczi_refuse_text(err, CCZ_E_UNSUPPORTED, "jwk:kty", kty, "EC, RSA or OKP");
    bool rsa = says(kty, "RSA");
    if ((rc = get_text(&crv, j, "crv", !rsa, err)) != CCZ_OK)
        return rc;
    for (size_t i = 0; i < KINDS_LEN; i++) {
        if (says(kty, kinds[i].kty) && (rsa || says(crv, kinds[i].crv))) {
            *out = (enum ccz_jwk_kind)i;
            return CCZ_OK;
        }
    }
    return cczi_refuse_text(err, CCZ_E_UNSUPPORTED, "jwk:crv", crv,
                            says(kty, "EC") ? "P-256 or P-384" : "Ed25519");
}

static ccz_rc get_alg(enum ccz_jose_alg *out, const struct ccz_json *j, enum ccz_jwk_kind kind,
                      struct ccz_err *err)
{
    struct ccz_span alg;
    *out = CCZ_JOSE_ALG_NONE;
    ccz_rc rc = get_text(&alg, j, "alg", false, err);
    if (rc != CCZ_OK || alg.size == 0)
        return rc;
    for (size_t i = CCZ_JOSE_ALG_NONE + 1; i < ALGS_LEN; i++) {
        if (says(alg, algs[i].name) && algs[i].kinds & 1u << kind) {
            *out = (enum ccz_jose_alg)i;
            return CCZ_OK;
        }
    }
    return cczi_refuse_text(err, CCZ_E_UNSUPPORTED, "jwk:alg", alg,
                            "an algorithm for that kind of key");
}

static ccz_rc get_use(enum ccz_jwk_use *out, const struct ccz_json *j, struct ccz_err *err)
{
    struct ccz_span use;
    *out = CCZ_JWK_USE_ANY;
    ccz_rc rc = get_text(&use, j, "use", false, err);
    if (rc != CCZ_OK || use.size == 0)
        return rc;
    bool sig = says(use, "sig") || says(use, "jwt-svid"); /* the latter of SPIFFE's bundles */
    if (!sig && !says(use, "enc"))
        return cczi_refuse_text(err, CCZ_E_UNSUPPORTED, "jwk:use", use, "sig or enc");
    *out = sig ? CCZ_JWK_USE_SIG : CCZ_JWK_USE_ENC;
    return CCZ_OK;
}

/* RFC 7517, 4.3: an array of different strings; those that are not known do no harm. */
static ccz_rc get_key_ops(struct ccz_jwk *k, const struct ccz_json *j, struct ccz_err *err)
{
    static const char *const encrypting[] = {"encrypt", "wrapKey", "deriveKey", "deriveBits"};
    enum { OPS_MAX = 16 };
    const struct ccz_json *ops = ccz_json_get(j, "key_ops");
    if (!ops)
        return CCZ_OK;
    size_t len = ccz_json_len(ops);
    bool ok = ccz_json_type(ops) == CCZ_JSON_ARRAY && len <= OPS_MAX;
    k->no_verify = k->no_encrypt = true;
    for (size_t i = 0; i < len && ok; i++) {
        const struct ccz_json *op = ccz_json_at(ops, i);
        ok = ccz_json_type(op) == CCZ_JSON_STRING;
        struct ccz_span text = ccz_json_bytes(op);
        for (size_t before = 0; before < i && ok; before++)
            ok = !ccz_span_eq(text, ccz_json_bytes(ccz_json_at(ops, before)));
        if (says(text, "verify"))
            k->no_verify = false;
        for (size_t e = 0; e < sizeof(encrypting) / sizeof(encrypting[0]); e++) {
            if (says(text, encrypting[e]))
                k->no_encrypt = false;
        }
    }
    if (ok)
        return CCZ_OK;
    return ccz_fail(err, CCZ_E_FORMAT, "jwk:key-ops", (int64_t)len,
                    "\"key_ops\" is not an array of at most %d different strings", OPS_MAX);
}

/* The number of a member, decoded into @p room. */
static ccz_rc get_number(struct ccz_span *out, struct ccz_buf *room, const struct ccz_json *j,
                         const char *name, struct ccz_err *err)
{
    struct ccz_span text;
    *out = (struct ccz_span){0};
    if (!name)
        return CCZ_OK;
    ccz_rc rc = get_text(&text, j, name, true, err);
    if (rc != CCZ_OK)
        return rc;
    ccz_buf_init(room,
                 CCZI_JOSE_RSA_SIZE_MAX + 1); /* one more, so that too large is seen as that */
    rc = cczi_get_base64url(room, text, "jwk:base64", name, err);
    if (rc == CCZ_E_LIMIT)
        return ccz_fail(err, CCZ_E_FORMAT, "jwk:size", (int64_t)text.size,
                        "\"%s\" is larger than in any key that is taken", name);
    *out = ccz_buf_span(room);
    return rc;
}

ccz_rc cczi_jwk_from_json(struct ccz_jwk **out, const struct ccz_json *j, struct ccz_err *err)
{
    *out = NULL;
    if (ccz_json_type(j) != CCZ_JSON_OBJECT)
        return ccz_fail(err, CCZ_E_FORMAT, "jwk:json", 0, "a key is a JSON object");
    CCZ_AUTO_BUF a;
    CCZ_AUTO_BUF b;
    ccz_buf_init(&a, 0);
    ccz_buf_init(&b, 0);
    struct ccz_jwk_parts p = {0};
    struct ccz_jwk flags = {0};
    const struct ccz_json *kid = ccz_json_get(j, "kid");
    ccz_rc rc = check_public(j, err);
    if (rc != CCZ_OK || (rc = get_kind(&p.kind, j, err)) != CCZ_OK ||
        (rc = get_alg(&p.alg, j, p.kind, err)) != CCZ_OK ||
        (rc = get_use(&p.use, j, err)) != CCZ_OK || (rc = get_key_ops(&flags, j, err)) != CCZ_OK ||
        (rc = get_number(&p.a, &a, j, kinds[p.kind].a, err)) != CCZ_OK ||
        (rc = get_number(&p.b, &b, j, kinds[p.kind].b, err)) != CCZ_OK)
        return rc;
    p.kid = ccz_json_bytes(kid);
    if (kid && p.kid.size == 0)
        return ccz_fail(err, CCZ_E_FORMAT, "jwk:kid", 0, "\"kid\" is no string, or empty");
    rc = ccz_jwk_make(out, &p, err);
    if (rc == CCZ_OK) {
        (*out)->no_verify = flags.no_verify;
        (*out)->no_encrypt = flags.no_encrypt;
    }
    return rc;
}

ccz_rc ccz_jwk_parse(struct ccz_jwk **out, struct ccz_span json, struct ccz_err *err)
{
    *out = NULL;
    if (json.size > CCZ_JWK_SIZE_MAX)
        return ccz_refuse_num(err, CCZ_E_LIMIT, "jwk:text", (int64_t)json.size, CCZ_JWK_SIZE_MAX);
    CCZ_AUTO(ccz_json) j = NULL;
    struct ccz_err why = {0};
    ccz_rc rc = ccz_json_parse(&j, json, &why);
    if (rc != CCZ_OK)
        return ccz_fail(err, rc == CCZ_E_NOMEM ? rc : CCZ_E_FORMAT, "jwk:json", why.aux, "%s",
                        why.msg);
    return cczi_jwk_from_json(out, j, err);
}

/* -------------------------------------------------------------------------------- access */

enum ccz_jwk_kind ccz_jwk_kind(const struct ccz_jwk *k)
{
    return k->kind;
}

const char *ccz_jwk_kid(const struct ccz_jwk *k)
{
    return k->kid;
}

enum ccz_jose_alg ccz_jwk_sig_alg(const struct ccz_jwk *k)
{
    if (k->use == CCZ_JWK_USE_ENC || k->no_verify)
        return CCZ_JOSE_ALG_NONE;
    enum ccz_jose_alg alg = k->alg != CCZ_JOSE_ALG_NONE ? k->alg : kinds[k->kind].sig;
    return algs[alg].sig ? alg : CCZ_JOSE_ALG_NONE;
}

enum ccz_jose_alg ccz_jwk_enc_alg(const struct ccz_jwk *k)
{
    if (k->use == CCZ_JWK_USE_SIG || k->no_encrypt)
        return CCZ_JOSE_ALG_NONE;
    enum ccz_jose_alg alg = k->alg != CCZ_JOSE_ALG_NONE ? k->alg : kinds[k->kind].enc;
    return algs[alg].sig ? CCZ_JOSE_ALG_NONE : alg;
}

bool ccz_jwk_same(const struct ccz_jwk *a, const struct ccz_jwk *b)
{
    return a->kind == b->kind && a->a_size == b->a_size && a->b_size == b->b_size &&
           memcmp(a->a, b->a, a->a_size) == 0 && memcmp(a->b, b->b, a->b_size) == 0;
}

/* ------------------------------------------------------------------------------- writing */

/* `,"name":` or, as the first member, `{"name":` */
static void put_name(struct ccz_buf *out, size_t from, const char *name)
{
    ccz_buf_printf(out, "%c\"%s\":", out->size == from ? '{' : ',', name);
}

static void put_text(struct ccz_buf *out, size_t from, const char *name, const char *text)
{
    put_name(out, from, name);
    cczi_put_jcs_str(out, ccz_span_str(text));
}

static void put_number(struct ccz_buf *out, size_t from, const char *name, struct ccz_span v)
{
    put_name(out, from, name);
    cczi_put_base64url_str(out, v);
}

static void put_certs(struct ccz_buf *out, const struct ccz_span *certs, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        ccz_buf_put_str(out, i ? ",\"" : "[\"");
        ccz_base64_put(out, certs[i], CCZ_BASE64_STD); /* RFC 7517, 4.7: not base64url */
        ccz_buf_u8(out, '"');
    }
    ccz_buf_u8(out, ']');
}

void cczi_jwk_put_certs(struct ccz_buf *out, const struct ccz_jwk *k, enum ccz_jwk_form form,
                        const struct ccz_span *certs, size_t certs_len)
{
    const struct kind *kind = &kinds[k->kind];
    const char *alg = ccz_jose_alg_name(
        k->alg == CCZ_JOSE_ALG_NONE && form == CCZ_JWK_TEE ? ccz_jwk_enc_alg(k) : k->alg);
    size_t from = out->size;
    struct ccz_span a = CCZ_SPAN(k->a, k->a_size), b = CCZ_SPAN(k->b, k->b_size);
    bool rsa = k->kind == CCZ_JWK_RSA; /* whose names sort in between */
    if (form != CCZ_JWK_REQUIRED && *alg)
        put_text(out, from, "alg", alg);
    if (kind->crv)
        put_text(out, from, "crv", kind->crv);
    if (rsa)
        put_number(out, from, kind->b, b);
    if (form == CCZ_JWK_FULL && k->kid[0])
        put_text(out, from, "kid", k->kid);
    put_text(out, from, "kty", kind->kty);
    if (rsa)
        put_number(out, from, kind->a, a);
    if (form == CCZ_JWK_FULL && k->use != CCZ_JWK_USE_ANY)
        put_text(out, from, "use", k->use == CCZ_JWK_USE_SIG ? "sig" : "enc");
    if (!rsa)
        put_number(out, from, kind->a, a);
    if (certs_len) {
        put_name(out, from, "x5c");
        put_certs(out, certs, certs_len);
    }
    if (!rsa && kind->b)
        put_number(out, from, kind->b, b);
    ccz_buf_u8(out, '}');
}

void ccz_jwk_put(struct ccz_buf *out, const struct ccz_jwk *k, enum ccz_jwk_form form)
{
    cczi_jwk_put_certs(out, k, form, NULL, 0);
}

ccz_rc ccz_jwk_thumbprint(char out[CCZ_JWK_THUMBPRINT_SIZE + 1], const struct ccz_jwk *k)
{
    CCZ_AUTO_BUF text;
    CCZ_AUTO_BUF base64;
    uint8_t digest[32];
    ccz_buf_init(&text, JWK_TEXT_OUT_MAX);
    ccz_buf_init(&base64, CCZ_JWK_THUMBPRINT_SIZE);
    ccz_jwk_put(&text, k, CCZ_JWK_REQUIRED);
    ccz_rc rc = text.bad ? CCZ_E_NOMEM : ccz_sha256(digest, ccz_buf_span(&text));
    memset(out, 0, CCZ_JWK_THUMBPRINT_SIZE + 1);
    if (rc != CCZ_OK)
        return rc;
    ccz_base64_put(&base64, CCZ_SPAN(digest, sizeof(digest)), CCZ_BASE64_URL);
    if (base64.bad)
        return CCZ_E_NOMEM;
    memcpy(out, base64.ptr, CCZ_JWK_THUMBPRINT_SIZE);
    return CCZ_OK;
}
