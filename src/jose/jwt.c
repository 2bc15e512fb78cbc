/* SPDX-License-Identifier: Apache-2.0 */
/* Claims of JSON Web Tokens (RFC 7519, 4.1; RFC 8725). */
#include "jose_priv.h"

#include <string.h>

static ccz_rc check_rules(const struct ccz_jwt_rules *r, struct ccz_err *err)
{
    bool ok = (r->key == NULL) != (r->keys == NULL) && r->iss && r->now_s >= 0 &&
              r->now_s <= CCZ_JWT_TIME_MAX_S && r->skew_s >= 0 && r->skew_s <= CCZ_JWT_SKEW_MAX_S &&
              r->age_max_s >= 0 && r->age_max_s <= CCZ_JWT_TIME_MAX_S;
    if (ok)
        return CCZ_OK;
    return ccz_fail(err, CCZ_E_ARG, "jwt:rules", 0,
                    "one key or set of keys, an issuer, and times in range are required");
}

static bool same_letters(struct ccz_span a, struct ccz_span b)
{
    for (size_t i = 0; a.size == b.size && i < a.size; i++) {
        uint8_t x = a.ptr[i], y = b.ptr[i];
        if (x != y && !((x ^ y) == 32 && (x | 32) >= 'a' && (x | 32) <= 'z'))
            return false;
    }
    return a.size == b.size;
}

/* RFC 7515, 4.1.9: a media type, whose "application/" is left out unless there is another '/'. */
static struct ccz_span bare_type(struct ccz_span type)
{
    static const char head[] = "application/";
    size_t n = sizeof(head) - 1, rest = type.size > n ? type.size - n : 0;
    bool bare = rest > 0 && same_letters(ccz_span_sub(type, 0, n), ccz_span_str(head)) &&
                !memchr(type.ptr + n, '/', rest);
    return bare ? ccz_span_sub(type, n, rest) : type;
}

/* A token for another purpose, signed by the same issuer, is none for this one (RFC 8725, 3.11). */
static ccz_rc check_typ(const struct ccz_json *header, const char *want, struct ccz_err *err)
{
    const struct ccz_json *typ = ccz_json_get(header, "typ");
    bool ok = typ ? ccz_json_type(typ) == CCZ_JSON_STRING &&
                        same_letters(bare_type(ccz_json_bytes(typ)),
                                     bare_type(ccz_span_str(want ? want : "JWT")))
                  : want == NULL;
    if (ok)
        return CCZ_OK;
    return cczi_refuse_text(err, CCZ_E_FORMAT, "jwt:typ", ccz_json_bytes(typ), want ? want : "JWT");
}

/* A NumericDate in whole seconds. @param needed  else its absence is fine, and *there false */
static ccz_rc get_time(int64_t *out, bool *there, const struct ccz_json *claims, const char *name,
                       bool needed, struct ccz_err *err)
{
    const struct ccz_json *v = ccz_json_get(claims, name);
    *out = 0;
    *there = v != NULL;
    if (!v && !needed)
        return CCZ_OK;
    if (ccz_json_int(out, v) && *out >= 0 && *out <= CCZ_JWT_TIME_MAX_S)
        return CCZ_OK;
    return ccz_fail(err, CCZ_E_FORMAT, "jwt:claim", 0,
                    "\"%s\" is %s whole number of seconds from 0 to the year 9999", name,
                    v ? "no" : "missing: a");
}

/* "got" and "expected" of a time. */
static ccz_rc refuse_time(struct ccz_err *err, const char *where, int64_t got, int64_t now)
{
    char text[21], expected[64];
    ccz_time_format(text, got);
    memcpy(expected, "at ", 3);
    ccz_time_format(expected + 3, now);
    return ccz_refuse(err, CCZ_E_EXPIRED, where, text, expected);
}

static ccz_rc check_times(const struct ccz_json *claims, const struct ccz_jwt_rules *r,
                          struct ccz_err *err)
{
    int64_t exp, nbf, iat;
    bool has_exp, has_nbf, has_iat;
    ccz_rc rc = get_time(&exp, &has_exp, claims, "exp", true, err);
    if (rc != CCZ_OK || (rc = get_time(&nbf, &has_nbf, claims, "nbf", false, err)) != CCZ_OK ||
        (rc = get_time(&iat, &has_iat, claims, "iat", r->age_max_s > 0, err)) != CCZ_OK)
        return rc;
    int64_t now = r->now_s, skew = r->skew_s; /* all in 0..2^38, so that no sum overflows */
    if (now - skew >= exp)
        return refuse_time(err, "jwt:exp", exp, now);
    if (has_nbf && now + skew < nbf)
        return refuse_time(err, "jwt:nbf", nbf, now);
    if (has_iat && now + skew < iat)
        return refuse_time(err, "jwt:iat", iat, now);
    if (r->age_max_s > 0 && now - skew > iat + r->age_max_s)
        return refuse_time(err, "jwt:age", iat, now);
    return CCZ_OK;
}

static ccz_rc check_iss(const struct ccz_json *claims, const char *want, struct ccz_err *err)
{
    const struct ccz_json *iss = ccz_json_get(claims, "iss");
    if (ccz_json_type(iss) != CCZ_JSON_STRING)
        return ccz_fail(err, CCZ_E_FORMAT, "jwt:claim", 0, "\"iss\" is missing, or no string");
    if (ccz_span_eq(ccz_json_bytes(iss), ccz_span_str(want)))
        return CCZ_OK;
    return cczi_refuse_text(err, CCZ_E_UNTRUSTED, "jwt:iss", ccz_json_bytes(iss), want);
}

/* RFC 7519, 4.1.3: one string or several. Who is named nowhere must refuse. */
static ccz_rc check_aud(const struct ccz_json *claims, const char *want, struct ccz_err *err)
{
    const struct ccz_json *aud = ccz_json_get(claims, "aud");
    bool one = ccz_json_type(aud) == CCZ_JSON_STRING;
    if (!aud && !want)
        return CCZ_OK;
    if (!aud || (!one && ccz_json_type(aud) != CCZ_JSON_ARRAY))
        return ccz_fail(err, CCZ_E_FORMAT, "jwt:claim", 0,
                        "\"aud\" is missing, or neither a string nor an array of strings");
    size_t len = one ? 1 : ccz_json_len(aud);
    bool named = false;
    for (size_t i = 0; i < len; i++) {
        const struct ccz_json *v = one ? aud : ccz_json_at(aud, i);
        if (ccz_json_type(v) != CCZ_JSON_STRING)
            return ccz_fail(err, CCZ_E_FORMAT, "jwt:claim", 0, "\"aud\" holds what is no string");
        named = named || (want && ccz_span_eq(ccz_json_bytes(v), ccz_span_str(want)));
    }
    if (named)
        return CCZ_OK;
    return cczi_refuse_text(err, CCZ_E_DENIED, "jwt:aud",
                            one ? ccz_json_bytes(aud) : ccz_json_bytes(ccz_json_at(aud, 0)),
                            want ? want : "no audience");
}

ccz_rc ccz_jwt_verify(struct ccz_json **claims, const struct ccz_jwt_rules *rules,
                      struct ccz_span token, struct ccz_err *err)
{
    *claims = NULL;
    CCZ_AUTO(ccz_json) header = NULL;
    CCZ_AUTO(ccz_json) j = NULL;
    CCZ_AUTO_BUF payload;
    struct ccz_err why = {0};
    ccz_buf_init(&payload, CCZ_JWS_SIZE_MAX);
    ccz_rc rc = check_rules(rules, err);
    if (rc != CCZ_OK)
        return rc;
    struct cczi_jws_keys keys = {rules->key, rules->keys};
    if ((rc = cczi_jws_verify(&payload, &header, NULL, keys, token, err)) != CCZ_OK ||
        (rc = check_typ(header, rules->typ, err)) != CCZ_OK)
        return rc;
    rc = ccz_json_parse(&j, ccz_buf_span(&payload), &why);
    if (rc != CCZ_OK)
        return ccz_fail(err, rc == CCZ_E_NOMEM ? rc : CCZ_E_FORMAT, "jwt:json", why.aux, "%s",
                        why.msg);
    if (ccz_json_type(j) != CCZ_JSON_OBJECT)
        return ccz_fail(err, CCZ_E_FORMAT, "jwt:json", 0, "the claims are no JSON object");
    if ((rc = check_iss(j, rules->iss, err)) != CCZ_OK ||
        (rc = check_aud(j, rules->aud, err)) != CCZ_OK ||
        (rc = check_times(j, rules, err)) != CCZ_OK)
        return rc;
    *claims = ccz_json_take(&j);
    return CCZ_OK;
}
