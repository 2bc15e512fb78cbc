/* SPDX-License-Identifier: Apache-2.0 */
/* Signed checkpoints: text, signature, who signs. A text is read by making it again from what was understood: so there is one text for
 * each checkpoint, and nothing in it that was not looked at. */
#include "kms_priv.h"

#include <cczoo/codec.h>

#include <stdio.h>
#include <string.h>

/* U+2014 and a space, as signed notes mark their signatures. */
static const char mark[] = "\xe2\x80\x94 ";
enum { SIGNATURE_SIZE = 32 + 64 };

ccz_rc ccz_kms_key_id(uint8_t out[32], const struct ccz_key *key)
{
    if (ccz_key_curve(key) != CCZ_P256)
        return CCZ_E_UNSUPPORTED;
    uint8_t xy[64];
    ccz_rc rc = ccz_key_xy(xy, key);
    if (rc != CCZ_OK)
        return rc;
    CCZ_AUTO_BUF jwk;
    ccz_buf_init(&jwk, 256);
    ccz_buf_put_str(&jwk, "{\"crv\":\"P-256\",\"kty\":\"EC\",\"x\":\"");
    ccz_base64_put(&jwk, CCZ_SPAN(xy, 32), CCZ_BASE64_URL);
    ccz_buf_put_str(&jwk, "\",\"y\":\"");
    ccz_base64_put(&jwk, CCZ_SPAN(xy + 32, 32), CCZ_BASE64_URL);
    ccz_buf_put_str(&jwk, "\"}");
    return jwk.bad ? CCZ_E_NOMEM : ccz_sha256(out, ccz_buf_span(&jwk));
}

void ccz_kms_origin(char out[CCZ_KMS_ORIGIN_SIZE], const uint8_t first_hash[32])
{
    char hex[33];
    ccz_hex(hex, first_hash, 16);
    (void)snprintf(out, CCZ_KMS_ORIGIN_SIZE, "cczoo.kms/audit/%s", hex);
}

/* ----------------------------------------------------------------------------- text */

/* What is signed. */
static void put_signed(struct ccz_buf *out, const struct ccz_kms_checkpoint *c)
{
    char at[21];
    ccz_time_format(at, c->time_s);
    ccz_buf_printf(out, "%s\n%llu\n", c->origin, (unsigned long long)c->size);
    ccz_base64_put(out, CCZ_SPAN(c->root, sizeof(c->root)), CCZ_BASE64_STD);
    ccz_buf_printf(out, "\ntime %s\n", at);
}

void ccz_kms_checkpoint_put(struct ccz_buf *out, const struct ccz_kms_checkpoint *c)
{
    uint8_t blob[SIGNATURE_SIZE];
    memcpy(blob, c->key_id, 32);
    memcpy(blob + 32, c->sig, 64);
    put_signed(out, c);
    ccz_buf_printf(out, "\n%s%s ", mark, c->origin);
    ccz_base64_put(out, CCZ_SPAN(blob, sizeof(blob)), CCZ_BASE64_STD);
    ccz_buf_put_str(out, "\n");
}

/* The next line, without its LF; ptr NULL if there is none. */
static struct ccz_span take_text_line(struct ccz_span *text)
{
    const uint8_t *end = text->size ? memchr(text->ptr, '\n', text->size) : NULL;
    if (!end)
        return (struct ccz_span){0};
    struct ccz_span line = CCZ_SPAN(text->ptr, (size_t)(end - text->ptr));
    *text = ccz_span_sub(*text, line.size + 1, text->size - line.size - 1);
    return line;
}

static bool read_origin(char out[CCZ_KMS_ORIGIN_SIZE], struct ccz_span t)
{
    if (t.size == 0 || t.size >= CCZ_KMS_ORIGIN_SIZE)
        return false;
    for (size_t i = 0; i < t.size; i++) {
        uint8_t c = t.ptr[i];
        if (!((c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
              c == '.' || c == '/' || c == '_' || c == '-'))
            return false;
    }
    memcpy(out, t.ptr, t.size);
    out[t.size] = 0;
    return true;
}

static bool read_size(uint64_t *out, struct ccz_span t)
{
    *out = 0;
    if (t.size == 0 || t.size > 15) /* 2^48 has 15 digits */
        return false;
    for (size_t i = 0; i < t.size; i++) {
        if (t.ptr[i] < '0' || t.ptr[i] > '9')
            return false;
        *out = *out * 10 + (uint64_t)(t.ptr[i] - '0');
    }
    return *out >= 1 && *out <= CCZ_KMS_TREE_SIZE_MAX;
}

static bool read_base64(uint8_t *out, size_t size, struct ccz_span t)
{
    CCZ_AUTO_BUF b;
    ccz_buf_init(&b, SIGNATURE_SIZE);
    bool ok = ccz_base64_get(&b, t, CCZ_BASE64_STD, NULL) == CCZ_OK && b.size == size;
    if (ok)
        memcpy(out, b.ptr, size);
    return ok;
}

static bool starts_with(struct ccz_span *t, const char *prefix)
{
    size_t n = strlen(prefix);
    if (t->size < n || memcmp(t->ptr, prefix, n) != 0)
        return false;
    *t = ccz_span_sub(*t, n, t->size - n);
    return true;
}

/* @return 0, or the number of the line that is wrong */
static unsigned read_text(struct ccz_kms_checkpoint *c, struct ccz_span text)
{
    if (!read_origin(c->origin, take_text_line(&text)))
        return 1;
    if (!read_size(&c->size, take_text_line(&text)))
        return 2;
    if (!read_base64(c->root, sizeof(c->root), take_text_line(&text)))
        return 3;
    struct ccz_span t = take_text_line(&text);
    if (!starts_with(&t, "time ") ||
        ccz_time_parse(&c->time_s, (const char *)t.ptr, t.size) != CCZ_OK)
        return 4;
    t = take_text_line(&text);
    if (!t.ptr || t.size)
        return 5;
    uint8_t blob[SIGNATURE_SIZE];
    t = take_text_line(&text);
    if (!starts_with(&t, mark) || !starts_with(&t, c->origin) || !starts_with(&t, " ") ||
        !read_base64(blob, sizeof(blob), t))
        return 6;
    memcpy(c->key_id, blob, 32);
    memcpy(c->sig, blob + 32, 64);
    return text.size ? 7 : 0;
}

ccz_rc ccz_kms_checkpoint_parse(struct ccz_kms_checkpoint *out, struct ccz_span text,
                                struct ccz_err *err)
{
    *out = (struct ccz_kms_checkpoint){0};
    struct ccz_kms_checkpoint c = {0};
    unsigned line = read_text(&c, text);
    if (line)
        return ccz_fail(err, CCZ_E_FORMAT, "kms:checkpoint", line,
                        "line %u of the checkpoint is not what it must be", line);
    CCZ_AUTO_BUF again;
    ccz_buf_init(&again, CCZ_KMS_CHECKPOINT_SIZE_MAX);
    ccz_kms_checkpoint_put(&again, &c);
    if (again.bad)
        return ccz_fail(err, CCZ_E_NOMEM, "kms:checkpoint", 0, "out of memory");
    if (!ccz_span_eq(text, ccz_buf_span(&again))) /* leading zeros, another spelling of a date */
        return ccz_fail(err, CCZ_E_FORMAT, "kms:checkpoint", 0,
                        "the checkpoint is not written the one way that it can be");
    *out = c;
    return CCZ_OK;
}

/* ------------------------------------------------------------------------ signature */

ccz_rc ccz_kms_checkpoint_check(const struct ccz_kms_checkpoint *c,
                                const struct ccz_key *const *keys, size_t len, struct ccz_err *err)
{
    CCZ_AUTO_BUF text;
    ccz_buf_init(&text, CCZ_KMS_CHECKPOINT_SIZE_MAX);
    put_signed(&text, c);
    if (text.bad)
        return ccz_fail(err, CCZ_E_NOMEM, "kms:checkpoint", 0, "out of memory");
    struct ccz_span signed_text = ccz_buf_span(&text);
    uint8_t id[32] = {0};
    for (size_t i = 0; i < len; i++) {
        ccz_rc rc = ccz_kms_key_id(id, keys[i]);
        if (rc != CCZ_OK)
            return ccz_fail(err, rc, "kms:checkpoint-key", (int64_t)i,
                            "a key for checkpoints is one of P-256");
        if (!ccz_ct_eq(id, c->key_id, sizeof(id)))
            continue;
        rc = ccz_ecdsa_verify(keys[i], c->sig, sizeof(c->sig), &signed_text, 1);
        return rc == CCZ_OK
                   ? CCZ_OK
                   : ccz_fail(err, rc, "kms:checkpoint-signature", (int64_t)c->size,
                              "the signature of the checkpoint of %llu lines does not verify",
                              (unsigned long long)c->size);
    }
    ccz_refuse_bytes(err, CCZ_E_SIG, "kms:checkpoint-key", c->key_id, sizeof(c->key_id), id,
                     len ? sizeof(id) : 0);
    return ccz_hint(err, CCZ_E_SIG, "the checkpoint is by another key than those that may sign");
}

ccz_rc cczi_kms_signer_init(struct cczi_kms_signer *s, struct ccz_key *key,
                            const uint8_t first_hash[32], struct ccz_err *err)
{
    *s = (struct cczi_kms_signer){.key = key};
    ccz_kms_origin(s->origin, first_hash);
    ccz_rc rc = ccz_kms_key_id(s->key_id, key);
    if (rc == CCZ_OK)
        return CCZ_OK;
    cczi_kms_signer_deinit(s);
    return ccz_fail(err, rc, "kms:checkpoint-sign", 0, "cannot use this key to sign checkpoints");
}

void cczi_kms_signer_deinit(struct cczi_kms_signer *s)
{
    ccz_key_free(s->key);
    *s = (struct cczi_kms_signer){0};
}

ccz_rc cczi_kms_checkpoint_sign(struct ccz_kms_checkpoint *out, const struct cczi_kms_signer *s,
                                const struct cczi_kms_tree *t, int64_t now_s, struct ccz_err *err)
{
    *out = (struct ccz_kms_checkpoint){0};
    struct ccz_kms_checkpoint c = {.size = t->size, .time_s = now_s};
    memcpy(c.origin, s->origin, sizeof(c.origin));
    memcpy(c.key_id, s->key_id, sizeof(c.key_id));
    CCZ_AUTO_BUF text;
    ccz_buf_init(&text, CCZ_KMS_CHECKPOINT_SIZE_MAX);
    ccz_rc rc = s->key && t->size ? cczi_kms_tree_root(c.root, t) : CCZ_E_ARG;
    put_signed(&text, &c);
    struct ccz_span signed_text = ccz_buf_span(&text);
    if (rc == CCZ_OK)
        rc = text.bad ? CCZ_E_NOMEM : ccz_ecdsa_sign(c.sig, s->key, &signed_text, 1);
    if (rc != CCZ_OK)
        return ccz_fail(err, rc, "kms:checkpoint-sign", (int64_t)t->size,
                        "cannot sign a checkpoint of the audit log");
    *out = c;
    return CCZ_OK;
}
