/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Our side of test_jose.py: one job as JSON per line on stdin, one answer per line on stdout, {"ok": .., ..} or {"refused": where}.
 *
 *   {"op": "jwk", "jwk": {..}}                       thumbprint, canonical text of the key
 *   {"op": "sign", "curve": "P-256", "text": b64u}   a new key and a token by it
 *   {"op": "verify", "jwk": {..}, "token": ".."}     the payload
 *   {"op": "jwt", "jwk": {..}, "token": "..", "iss": "..", "aud": "..", "now": n}
 *   {"op": "seal", "jwk": {..}, "text": b64u}        a JWE
 *   {"op": "open", "pkcs8": b64u, "jwe": ".."}       the plaintext
 *   {"op": "jcs", "value": ..}                       canonical text
 */
#include <cczoo/codec.h>
#include <cczoo/jose.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LINE_SIZE_MAX = 1 << 22 };

static struct ccz_err err;

static void put_base64url(struct ccz_buf *out, struct ccz_span bytes)
{
    ccz_buf_u8(out, '"');
    ccz_base64_put(out, bytes, CCZ_BASE64_URL);
    ccz_buf_u8(out, '"');
}

/* A member as text, as it stands in JSON. */
static const char *text_of(const struct ccz_json *job, const char *name)
{
    const char *s = ccz_json_str(ccz_json_get(job, name));
    if (!s) {
        fprintf(stderr, "the job has no \"%s\"\n", name);
        exit(2);
    }
    return s;
}

static void bytes_of(struct ccz_buf *out, const struct ccz_json *job, const char *name)
{
    ccz_buf_init(out, LINE_SIZE_MAX);
    out->wipe = true;
    if (ccz_base64_get(out, ccz_span_str(text_of(job, name)), CCZ_BASE64_URL, &err) != CCZ_OK)
        exit(2);
}

static ccz_rc key_of(struct ccz_jwk **out, struct ccz_span line)
{
    return ccz_jwk_parse(out, ccz_json_raw_member(line, "jwk"), &err);
}

static ccz_rc do_jwk(struct ccz_buf *out, const struct ccz_json *job, struct ccz_span line)
{
    (void)job;
    CCZ_AUTO(ccz_jwk) k = NULL;
    CCZ_AUTO_BUF text;
    char thumbprint[CCZ_JWK_THUMBPRINT_SIZE + 1];
    ccz_buf_init(&text, LINE_SIZE_MAX);
    ccz_rc rc = key_of(&k, line);
    if (rc != CCZ_OK || (rc = ccz_jwk_thumbprint(thumbprint, k)) != CCZ_OK)
        return rc;
    ccz_jwk_put(&text, k, CCZ_JWK_FULL);
    ccz_buf_printf(out, "\"thumbprint\":\"%s\",\"text\":", thumbprint);
    put_base64url(out, ccz_buf_span(&text));
    return CCZ_OK;
}

static ccz_rc do_sign(struct ccz_buf *out, const struct ccz_json *job, struct ccz_span line)
{
    (void)line;
    CCZ_AUTO(ccz_key) key = NULL;
    CCZ_AUTO(ccz_jwk) pub = NULL;
    CCZ_AUTO_BUF payload;
    CCZ_AUTO_BUF token;
    bytes_of(&payload, job, "text");
    ccz_buf_init(&token, LINE_SIZE_MAX);
    ccz_rc rc =
        ccz_key_generate(&key, strcmp(text_of(job, "curve"), "P-256") == 0 ? CCZ_P256 : CCZ_P384);
    if (rc != CCZ_OK || (rc = ccz_jwk_from_key(&pub, key, &err)) != CCZ_OK)
        return rc;
    struct ccz_jws_header h = {.typ = "JWT", .kid = ccz_jwk_kid(pub), .with_jwk = true};
    if ((rc = ccz_jws_sign(&token, key, &h, ccz_buf_span(&payload), &err)) != CCZ_OK)
        return rc;
    ccz_buf_put_str(out, "\"jwk\":");
    ccz_jwk_put(out, pub, CCZ_JWK_FULL);
    ccz_buf_printf(out, ",\"token\":\"%s\"", ccz_buf_str(&token));
    return CCZ_OK;
}

static ccz_rc do_verify(struct ccz_buf *out, const struct ccz_json *job, struct ccz_span line)
{
    CCZ_AUTO(ccz_jwk) k = NULL;
    CCZ_AUTO_BUF payload;
    ccz_buf_init(&payload, LINE_SIZE_MAX);
    ccz_rc rc = key_of(&k, line);
    if (rc != CCZ_OK ||
        (rc = ccz_jws_verify(&payload, k, ccz_span_str(text_of(job, "token")), &err)) != CCZ_OK)
        return rc;
    ccz_buf_put_str(out, "\"text\":");
    put_base64url(out, ccz_buf_span(&payload));
    return CCZ_OK;
}

static ccz_rc do_jwt(struct ccz_buf *out, const struct ccz_json *job, struct ccz_span line)
{
    CCZ_AUTO(ccz_jwk) k = NULL;
    CCZ_AUTO(ccz_json) claims = NULL;
    ccz_rc rc = key_of(&k, line);
    if (rc != CCZ_OK)
        return rc;
    struct ccz_jwt_rules rules = {.key = k, .iss = text_of(job, "iss"), .aud = text_of(job, "aud")};
    if (!ccz_json_int(&rules.now_s, ccz_json_get(job, "now")))
        exit(2);
    rc = ccz_jwt_verify(&claims, &rules, ccz_span_str(text_of(job, "token")), &err);
    if (rc == CCZ_OK)
        ccz_buf_printf(out, "\"claims\":%zu", ccz_json_len(claims));
    return rc;
}

static ccz_rc do_seal(struct ccz_buf *out, const struct ccz_json *job, struct ccz_span line)
{
    CCZ_AUTO(ccz_jwk) k = NULL;
    CCZ_AUTO_BUF text;
    bytes_of(&text, job, "text");
    ccz_rc rc = key_of(&k, line);
    if (rc != CCZ_OK)
        return rc;
    ccz_buf_put_str(out, "\"jwe\":");
    return ccz_jwe_seal(out, k, ccz_buf_span(&text), &err);
}

static ccz_rc do_open(struct ccz_buf *out, const struct ccz_json *job, struct ccz_span line)
{
    (void)line;
    CCZ_AUTO_BUF der;
    CCZ_AUTO_BUF text;
    CCZ_AUTO(ccz_secret) secret = NULL;
    CCZ_AUTO(ccz_jwe_key) k = NULL;
    bytes_of(&der, job, "pkcs8");
    ccz_buf_init(&text, LINE_SIZE_MAX);
    ccz_rc rc = ccz_secret_from(&secret, der.ptr, der.size);
    if (rc != CCZ_OK || (rc = ccz_jwe_key_from_pkcs8(&k, secret, &err)) != CCZ_OK ||
        (rc = ccz_jwe_open(&text, k, ccz_span_str(text_of(job, "jwe")), &err)) != CCZ_OK)
        return rc;
    ccz_buf_put_str(out, "\"text\":");
    put_base64url(out, ccz_buf_span(&text));
    return CCZ_OK;
}

static ccz_rc do_jcs(struct ccz_buf *out, const struct ccz_json *job, struct ccz_span line)
{
    (void)line;
    CCZ_AUTO_BUF text;
    ccz_buf_init(&text, LINE_SIZE_MAX);
    ccz_rc rc = ccz_jcs_put(&text, ccz_json_get(job, "value"), &err);
    if (rc != CCZ_OK)
        return rc;
    ccz_buf_put_str(out, "\"text\":");
    put_base64url(out, ccz_buf_span(&text));
    return CCZ_OK;
}

static const struct {
    const char *name;
    ccz_rc (*run)(struct ccz_buf *out, const struct ccz_json *job, struct ccz_span line);
} ops[] = {{"jwk", do_jwk},   {"sign", do_sign}, {"verify", do_verify}, {"jwt", do_jwt},
           {"seal", do_seal}, {"open", do_open}, {"jcs", do_jcs}};

static void run(struct ccz_span line)
{
    CCZ_AUTO(ccz_json) job = NULL;
    CCZ_AUTO_BUF out;
    ccz_buf_init(&out, LINE_SIZE_MAX);
    if (ccz_json_parse(&job, line, &err) != CCZ_OK)
        exit(2);
    const char *op = text_of(job, "op");
    for (size_t i = 0; i < sizeof(ops) / sizeof(ops[0]); i++) {
        if (strcmp(op, ops[i].name) != 0)
            continue;
        err = (struct ccz_err){.rc = CCZ_OK};
        if (ops[i].run(&out, job, line) == CCZ_OK)
            printf("{\"ok\":true,%s}\n", ccz_buf_str(&out));
        else
            printf("{\"refused\":\"%s\"}\n", err.where);
        (void)fflush(stdout);
        return;
    }
    exit(2);
}

int main(void)
{
    char *line = malloc(LINE_SIZE_MAX);
    if (!line)
        return 2;
    while (fgets(line, LINE_SIZE_MAX, stdin))
        run(ccz_span_str(line));
    free(line);
    return 0;
}
