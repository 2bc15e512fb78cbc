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

/* RFC 7517, 5: what is not understood, or not as it has to be, is ignored. It verifies nothing, and one such key, or one for another use,
 * must not keep the others from being changed. A private key is another matter: whoever wrote it has given it away. */
static ccz_rc add(struct ccz_jwks *s, const struct ccz_json *j, struct ccz_err *err)
{
    CCZ_AUTO(ccz_jwk) k = NULL;
    struct ccz_err why = {0};
    ccz_rc rc = cczi_jwk_from_json(&k, j, &why);
    if (rc == CCZ_E_UNSUPPORTED || rc == CCZ_E_FORMAT) {
        s->left_out++;
        return CCZ_OK;
    }
    if (rc == CCZ_OK)
        s->keys[s->len++] = ccz_jwk_take(&k);
    else if (err)
        *err = why;
    return rc;
}

/* Of two keys with one kid neither is the one that a token names. */
static void leave_out_same(struct ccz_jwks *s)
{
    bool same[CCZ_JWKS_LEN_MAX] = {false};
    size_t kept = 0;
    for (size_t i = 0; i < s->len; i++)
        for (size_t k = 0; k < i && s->keys[i]->kid[0]; k++)
            if (strcmp(s->keys[i]->kid, s->keys[k]->kid) == 0)
                same[i] = same[k] = true;
    for (size_t i = 0; i < s->len; i++) {
        if (same[i])
            ccz_jwk_free(s->keys[i]);
        else
            s->keys[kept++] = s->keys[i];
    }
    s->left_out += s->len - kept;
    s->len = kept;
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
    if (rc != CCZ_OK)
        return rc;
    leave_out_same(s);
    *out = ccz_jwks_take(&s);
    return CCZ_OK;
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
