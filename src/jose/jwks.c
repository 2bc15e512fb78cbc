/* SPDX-License-Identifier: Apache-2.0 */
/* JSON Web Key Set (RFC 7517, 5). */
#include "jose_priv.h"

#include <stdlib.h>
#include <string.h>

struct ccz_jwks {
    size_t len, left_out;
    struct ccz_jwk *keys[CCZ_JWKS_LEN_MAX];
};

void ccz_jwks_free(struct ccz_jwks *s)
{
    if (!s)
        return;
    for (size_t i = 0; i < s->len; i++)
        ccz_jwk_free(s->keys[i]);
    free(s);
}

static ccz_rc add(struct ccz_jwks *s, const struct ccz_json *j, struct ccz_err *err)
{
    CCZ_AUTO(ccz_jwk) k = NULL;
    ccz_rc rc = cczi_jwk_from_json(&k, j, err);
    if (rc == CCZ_E_UNSUPPORTED) {
        s->left_out++;
        return CCZ_OK;
    }
    if (rc != CCZ_OK)
        return rc;
    if (ccz_jwks_find(s, ccz_span_str(k->kid)))
        return cczi_refuse_text(err, CCZ_E_FORMAT, "jwks:kid", ccz_span_str(k->kid),
                                "one key of that kid");
    s->keys[s->len++] = ccz_jwk_take(&k);
    return CCZ_OK;
}

ccz_rc ccz_jwks_parse(struct ccz_jwks **out, struct ccz_span json, struct ccz_err *err)
{
    *out = NULL;
    if (json.size > CCZ_JWKS_SIZE_MAX)
        return ccz_refuse_num(err, CCZ_E_LIMIT, "jwks:text", (int64_t)json.size, CCZ_JWKS_SIZE_MAX);
    CCZ_AUTO(ccz_json) j = NULL;
    struct ccz_err why = {0};
    ccz_rc rc = ccz_json_parse(&j, json, &why);
    if (rc != CCZ_OK)
        return ccz_fail(err, rc == CCZ_E_NOMEM ? rc : CCZ_E_FORMAT, "jwks:keys", why.aux, "%s",
                        why.msg);
    const struct ccz_json *keys = ccz_json_get(j, "keys");
    size_t len = ccz_json_len(keys);
    if (ccz_json_type(keys) != CCZ_JSON_ARRAY)
        return ccz_fail(err, CCZ_E_FORMAT, "jwks:keys", 0,
                        "a set of keys is an object with an array \"keys\"");
    if (len > CCZ_JWKS_LEN_MAX)
        return ccz_refuse_num(err, CCZ_E_LIMIT, "jwks:len", (int64_t)len, CCZ_JWKS_LEN_MAX);
    CCZ_AUTO(ccz_jwks) s = calloc(1, sizeof(*s));
    if (!s)
        return ccz_fail(err, CCZ_E_NOMEM, "jwks:memory", 0, "out of memory");
    for (size_t i = 0; i < len && rc == CCZ_OK; i++)
        rc = add(s, ccz_json_at(keys, i), err);
    if (rc == CCZ_OK)
        *out = ccz_jwks_take(&s);
    return rc;
}

size_t ccz_jwks_len(const struct ccz_jwks *s)
{
    return s->len;
}

size_t ccz_jwks_left_out(const struct ccz_jwks *s)
{
    return s->left_out;
}

const struct ccz_jwk *ccz_jwks_at(const struct ccz_jwks *s, size_t i)
{
    return i < s->len ? s->keys[i] : NULL;
}

const struct ccz_jwk *ccz_jwks_find(const struct ccz_jwks *s, struct ccz_span kid)
{
    for (size_t i = 0; i < s->len && kid.size > 0; i++) {
        if (ccz_span_eq(ccz_span_str(s->keys[i]->kid), kid))
            return s->keys[i];
    }
    return NULL;
}

void ccz_jwks_put(struct ccz_buf *out, const struct ccz_jwk *const *keys, size_t len)
{
    ccz_buf_put_str(out, "{\"keys\":[");
    for (size_t i = 0; i < len; i++) {
        if (i)
            ccz_buf_u8(out, ',');
        ccz_jwk_put(out, keys[i], CCZ_JWK_FULL);
    }
    ccz_buf_put_str(out, "]}");
}
