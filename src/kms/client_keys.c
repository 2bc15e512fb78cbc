/* SPDX-License-Identifier: Apache-2.0 */
/* The caller's side of keys that work inside. What a server answers is checked like any other input. */
#include "client_priv.h"
#include "use_priv.h"

#include <cczoo/codec.h>
#include <cczoo/kms_use.h>

#include <stdio.h>
#include <string.h>

static struct ccz_span span_of(const char *s)
{
    return s ? ccz_span_str(s) : (struct ccz_span){0};
}

static struct ccz_span view(const struct ccz_secret *s)
{
    return CCZ_SPAN(ccz_secret_view(s), ccz_secret_size(s));
}

static struct cczi_msg_key_req spec_msg(const struct ccz_kms_key_spec *spec)
{
    return (struct cczi_msg_key_req){
        .name = ccz_span_str(spec->name),
        .kind = span_of(spec->kind),
        .ops = span_of(spec->ops),
        .policy = span_of(spec->policy),
        .exportable = spec->exportable,
        .unattested_insecure = spec->unattested_insecure,
        .expires_s = (uint64_t)spec->expires_s,
        .rotate_every_s = (uint64_t)spec->rotate_every_s,
        .names = span_of(spec->names),
    };
}

/* ----------------------------------------------------------------------- make, import */

ccz_rc ccz_kms_key_generate(struct ccz_kms_receipt *receipt, struct ccz_rpc_client *c,
                            const struct ccz_kms_key_spec *spec, struct ccz_err *err)
{
    const struct cczi_msg_key_req m = spec_msg(spec);
    return cczi_kms_client_put(NULL, receipt, c, "Generate", cczi_msg_generate_req, &m, err);
}

ccz_rc ccz_kms_propose_key(struct ccz_kms_proposed *out, struct ccz_rpc_client *c,
                           const struct ccz_kms_key_spec *spec, uint32_t valid_s,
                           struct ccz_err *err)
{
    const struct cczi_msg_key_req m = spec_msg(spec);
    return cczi_kms_propose(out, c, "Generate", cczi_msg_generate_req, &m, valid_s, err);
}

void ccz_kms_import_init(struct ccz_kms_import *p)
{
    *p = (struct ccz_kms_import){0};
    ccz_buf_init(&p->wrapping_key, CCZ_PKEY_SPKI_SIZE_MAX);
}

void ccz_kms_import_deinit(struct ccz_kms_import *p)
{
    ccz_buf_free(&p->wrapping_key);
}

ccz_rc ccz_kms_import_token(struct ccz_kms_import *out, struct ccz_rpc_client *c,
                            const struct ccz_kms_key_spec *spec, bool new_version, int64_t life_s,
                            struct ccz_err *err)
{
    struct cczi_msg_key_req m = spec_msg(spec);
    m.new_version = new_version;
    m.life_s = (uint64_t)life_s;
    CCZ_AUTO_BUF response = {0};
    struct cczi_msg_import_token_resp r = {0};
    ccz_rc rc = cczi_kms_call(&response, c, "ImportToken", cczi_msg_import_token_req, &m, err);
    if (rc != CCZ_OK)
        return rc;
    if (cczi_msg_get(&r, cczi_msg_import_token_resp, ccz_buf_span(&response), NULL) != CCZ_OK ||
        r.token.size == 0 || r.token.size >= sizeof(out->token) || r.wrapping_key.size == 0)
        return cczi_kms_malformed(err);
    cczi_kms_take_text(out->token, sizeof(out->token), r.token);
    out->expires_s = (int64_t)r.expires_s;
    ccz_buf_clear(&out->wrapping_key);
    ccz_buf_put_span(&out->wrapping_key, r.wrapping_key);
    return out->wrapping_key.bad ? cczi_kms_malformed(err) : CCZ_OK;
}

ccz_rc ccz_kms_import_wrap(struct ccz_buf *blob, struct ccz_span wrapping_key,
                           const struct ccz_secret *key, struct ccz_err *err)
{
    return cczi_kms_import_wrap(blob, wrapping_key, key, err);
}

ccz_rc ccz_kms_import_blob(uint32_t *version, struct ccz_kms_receipt *receipt,
                           struct ccz_rpc_client *c, const struct ccz_kms_key_spec *spec,
                           bool new_version, const char *token, struct ccz_span blob,
                           struct ccz_err *err)
{
    struct cczi_msg_key_req m = spec_msg(spec);
    m.new_version = new_version;
    m.token = ccz_span_str(token);
    m.blob = blob;
    return cczi_kms_client_put(version, receipt, c, "Import", cczi_msg_import_req, &m, err);
}

ccz_rc ccz_kms_key_import(uint32_t *version, struct ccz_kms_receipt *receipt,
                          struct ccz_rpc_client *c, const struct ccz_kms_key_spec *spec,
                          bool new_version, const struct ccz_secret *key, struct ccz_err *err)
{
    struct ccz_kms_import p;
    CCZ_AUTO_BUF blob;
    ccz_buf_init(&blob, CCZI_KMS_IMPORT_BLOB_SIZE_MAX);
    ccz_kms_import_init(&p);
    ccz_rc rc = ccz_kms_import_token(&p, c, spec, new_version, 0, err);
    if (rc == CCZ_OK)
        rc = ccz_kms_import_wrap(&blob, ccz_buf_span(&p.wrapping_key), key, err);
    if (rc == CCZ_OK)
        rc = ccz_kms_import_blob(version, receipt, c, spec, new_version, p.token,
                                 ccz_buf_span(&blob), err);
    ccz_kms_import_deinit(&p);
    return rc;
}

/* ----------------------------------------------------------------------------- manage */

ccz_rc ccz_kms_key_rotate(uint32_t *version, struct ccz_kms_receipt *receipt,
                          struct ccz_rpc_client *c, const char *key, struct ccz_err *err)
{
    const struct cczi_msg_key_set_req m = {.name = ccz_span_str(key)};
    return cczi_kms_client_put(version, receipt, c, "Rotate", cczi_msg_rotate_req, &m, err);
}

ccz_rc ccz_kms_key_set_minimum(struct ccz_kms_receipt *receipt, struct ccz_rpc_client *c,
                               const char *key, uint32_t min_decrypt, uint32_t min_encrypt,
                               struct ccz_err *err)
{
    const struct cczi_msg_key_set_req m = {
        .name = ccz_span_str(key), .min_decrypt = min_decrypt, .min_encrypt = min_encrypt};
    return cczi_kms_change(receipt, c, "SetMinimum", cczi_msg_set_minimum_req, &m, err);
}

ccz_rc ccz_kms_key_set_period(struct ccz_kms_receipt *receipt, struct ccz_rpc_client *c,
                              const char *key, int64_t rotate_every_s, struct ccz_err *err)
{
    const struct cczi_msg_key_set_req m = {.name = ccz_span_str(key),
                                           .rotate_every_s = (uint64_t)rotate_every_s};
    return cczi_kms_change(receipt, c, "SetPeriod", cczi_msg_set_period_req, &m, err);
}

ccz_rc ccz_kms_key_set_expiry(struct ccz_kms_receipt *receipt, struct ccz_rpc_client *c,
                              const char *key, int64_t expires_s, struct ccz_err *err)
{
    const struct cczi_msg_key_set_req m = {.name = ccz_span_str(key),
                                           .expires_s = (uint64_t)expires_s};
    return cczi_kms_change(receipt, c, "SetExpiry", cczi_msg_set_expiry_req, &m, err);
}

ccz_rc ccz_kms_propose_expiry(struct ccz_kms_proposed *out, struct ccz_rpc_client *c,
                              const char *key, int64_t expires_s, uint32_t valid_s,
                              struct ccz_err *err)
{
    const struct cczi_msg_key_set_req m = {.name = ccz_span_str(key),
                                           .expires_s = (uint64_t)expires_s};
    return cczi_kms_propose(out, c, "SetExpiry", cczi_msg_set_expiry_req, &m, valid_s, err);
}

/* @param item  storage of what the message borrows */
static struct cczi_msg_bind_req bind_msg(char item[CCZ_KMS_ITEM_SIZE + 64], const char *key,
                                         const char *op, const char *policy)
{
    (void)snprintf(item, CCZ_KMS_ITEM_SIZE + 64, "key/%s", key);
    return (struct cczi_msg_bind_req){
        .item = ccz_span_str(item), .policy = span_of(policy), .op = span_of(op)};
}

ccz_rc ccz_kms_bind_op(struct ccz_kms_receipt *receipt, struct ccz_rpc_client *c, const char *key,
                       const char *op, const char *policy, struct ccz_err *err)
{
    char item[CCZ_KMS_ITEM_SIZE + 64];
    const struct cczi_msg_bind_req m = bind_msg(item, key, op, policy);
    return cczi_kms_change(receipt, c, "Bind", cczi_msg_bind_req, &m, err);
}

ccz_rc ccz_kms_propose_bind_op(struct ccz_kms_proposed *out, struct ccz_rpc_client *c,
                               const char *key, const char *op, const char *policy,
                               uint32_t valid_s, struct ccz_err *err)
{
    char item[CCZ_KMS_ITEM_SIZE + 64];
    const struct cczi_msg_bind_req m = bind_msg(item, key, op, policy);
    return cczi_kms_propose(out, c, "Bind", cczi_msg_bind_req, &m, valid_s, err);
}

static ccz_rc take_bindings(struct ccz_kms_key_info *info, struct ccz_span in, struct ccz_err *err)
{
    struct ccz_rd r = ccz_rd_from(in);
    struct ccz_pb_field f;
    while (ccz_pb_next(&f, &r)) {
        if (f.number != CCZI_MSG_REPEATED)
            continue;
        struct cczi_msg_key_binding m = {0};
        size_t i = info->bindings_len;
        if (f.wire != CCZ_PB_LEN || i == sizeof(info->bindings) / sizeof(info->bindings[0]) ||
            cczi_msg_get(&m, cczi_msg_key_binding, f.bytes, NULL) != CCZ_OK)
            return cczi_kms_malformed(err);
        cczi_kms_take_text(info->bindings[i].op, sizeof(info->bindings[i].op), m.op);
        cczi_kms_take_text(info->bindings[i].policy, sizeof(info->bindings[i].policy), m.policy);
        info->bindings_len++;
    }
    return r.bad ? cczi_kms_malformed(err) : CCZ_OK;
}

ccz_rc ccz_kms_key_info(struct ccz_kms_key_info *out, struct ccz_rpc_client *c, const char *key,
                        struct ccz_err *err)
{
    *out = (struct ccz_kms_key_info){0};
    const struct cczi_msg_key_set_req req = {.name = ccz_span_str(key)};
    struct cczi_msg_key_info m = {0};
    CCZ_AUTO_BUF response = {0};
    ccz_rc rc = cczi_kms_call(&response, c, "KeyInfo", cczi_msg_rotate_req, &req, err);
    if (rc == CCZ_OK &&
        (cczi_msg_get(&m, cczi_msg_key_info, ccz_buf_span(&response), NULL) != CCZ_OK ||
         m.latest == 0))
        rc = cczi_kms_malformed(err);
    if (rc != CCZ_OK)
        return rc;
    struct ccz_kms_key_info info = {
        .latest = (uint32_t)m.latest,
        .min_decrypt = (uint32_t)m.min_decrypt,
        .min_encrypt = (uint32_t)m.min_encrypt,
        .exportable = m.exportable != 0,
        .imported = m.imported != 0,
        .disabled = m.disabled != 0,
        .unattested_insecure = m.unattested_insecure != 0,
        .created_s = (int64_t)m.created_s,
        .expires_s = (int64_t)m.expires_s,
        .delete_after_s = (int64_t)m.delete_after_s,
        .rotate_every_s = (int64_t)m.rotate_every_s,
        .next_rotation_s = (int64_t)m.next_rotation_s,
    };
    cczi_kms_take_text(info.kind, sizeof(info.kind), m.kind);
    cczi_kms_take_text(info.ops, sizeof(info.ops), m.ops);
    rc = take_bindings(&info, ccz_buf_span(&response), err);
    if (rc == CCZ_OK)
        *out = info;
    return rc;
}

/* -------------------------------------------------------------------------------- use */

/* What the answer to a use has to hold. */
enum { WANT_VALUE = 1, WANT_SEALED = 2, NO_RECEIPT = 4 };

/* @param[out] out  borrows from @p response */
static ccz_rc use(struct cczi_msg_use_resp *out, struct ccz_buf *response, struct ccz_kms_use *use,
                  struct ccz_rpc_client *c, const char *method, const struct cczi_msg_field *fields,
                  const struct cczi_msg_use_req *m, unsigned want, struct ccz_err *err)
{
    *out = (struct cczi_msg_use_resp){0};
    struct ccz_kms_use u = {0};
    ccz_rc rc = cczi_kms_call(response, c, method, fields, m, err);
    if (rc != CCZ_OK)
        return rc;
    if (cczi_msg_get(out, cczi_msg_use_resp, ccz_buf_span(response), NULL) != CCZ_OK ||
        out->version == 0 || ((want & WANT_VALUE) && out->value.size == 0) ||
        ((want & WANT_SEALED) && out->sealed.size == 0))
        return cczi_kms_malformed(err);
    u.version = (uint32_t)out->version;
    rc = cczi_kms_take_instance(u.instance, out->instance, err);
    if (rc == CCZ_OK && !(want & NO_RECEIPT))
        rc = cczi_kms_take_receipt(&u.receipt, out->receipt, err);
    if (rc == CCZ_OK && use)
        *use = u;
    return rc;
}

static ccz_rc keep(struct ccz_buf *out, struct ccz_span bytes, struct ccz_err *err)
{
    size_t before = out->size;
    ccz_buf_put_span(out, bytes);
    if (!out->bad)
        return CCZ_OK;
    out->size = before;
    return ccz_fail(err, CCZ_E_LIMIT, "kms:response", (int64_t)bytes.size,
                    "the result does not fit");
}

static ccz_rc keep_secret(struct ccz_secret **out, struct ccz_span bytes, struct ccz_err *err)
{
    ccz_rc rc = ccz_secret_from(out, bytes.ptr, bytes.size);
    return rc == CCZ_OK ? rc : ccz_fail(err, rc, "kms:response", 0, "no memory for the result");
}

ccz_rc ccz_kms_encrypt(struct ccz_buf *sealed, struct ccz_kms_use *u, struct ccz_rpc_client *c,
                       const char *key, uint32_t version, struct ccz_span aad,
                       const struct ccz_secret *text, struct ccz_err *err)
{
    const struct cczi_msg_use_req m = {
        .key = ccz_span_str(key), .version = version, .aad = aad, .text = view(text)};
    struct cczi_msg_use_resp r;
    CCZ_AUTO_BUF response = {0};
    ccz_rc rc = use(&r, &response, u, c, "Encrypt", cczi_msg_encrypt_req, &m, WANT_SEALED, err);
    return rc == CCZ_OK ? keep(sealed, r.sealed, err) : rc;
}

ccz_rc ccz_kms_decrypt(struct ccz_secret **text, struct ccz_kms_use *u, struct ccz_rpc_client *c,
                       const char *key, struct ccz_span aad, const char *sealed,
                       struct ccz_err *err)
{
    *text = NULL;
    const struct cczi_msg_use_req m = {
        .key = ccz_span_str(key), .aad = aad, .sealed = ccz_span_str(sealed)};
    struct cczi_msg_use_resp r;
    CCZ_AUTO_BUF response = {0};
    ccz_rc rc = use(&r, &response, u, c, "Decrypt", cczi_msg_decrypt_req, &m, WANT_VALUE, err);
    return rc == CCZ_OK ? keep_secret(text, r.value, err) : rc;
}

ccz_rc ccz_kms_data_key(struct ccz_secret **plain, struct ccz_buf *sealed, struct ccz_kms_use *u,
                        struct ccz_rpc_client *c, const char *key, uint32_t version,
                        struct ccz_span aad, size_t size, struct ccz_err *err)
{
    if (plain)
        *plain = NULL;
    const struct cczi_msg_use_req m = {.key = ccz_span_str(key),
                                       .version = version,
                                       .aad = aad,
                                       .size = size,
                                       .sealed_only = plain == NULL};
    struct cczi_msg_use_resp r;
    CCZ_AUTO_BUF response = {0};
    ccz_rc rc = use(&r, &response, u, c, "DataKey", cczi_msg_data_key_req, &m,
                    plain ? WANT_SEALED | WANT_VALUE : WANT_SEALED, err);
    if (rc == CCZ_OK && plain && size && r.value.size != size)
        rc = cczi_kms_malformed(err);
    if (rc == CCZ_OK)
        rc = keep(sealed, r.sealed, err);
    return rc == CCZ_OK && plain ? keep_secret(plain, r.value, err) : rc;
}

ccz_rc ccz_kms_rewrap(struct ccz_buf *out, struct ccz_kms_use *u, struct ccz_rpc_client *c,
                      const char *key, uint32_t version, struct ccz_span aad, const char *sealed,
                      struct ccz_err *err)
{
    const struct cczi_msg_use_req m = {
        .key = ccz_span_str(key), .version = version, .aad = aad, .sealed = ccz_span_str(sealed)};
    struct cczi_msg_use_resp r;
    CCZ_AUTO_BUF response = {0};
    ccz_rc rc = use(&r, &response, u, c, "Rewrap", cczi_msg_rewrap_req, &m, WANT_SEALED, err);
    return rc == CCZ_OK ? keep(out, r.sealed, err) : rc;
}

ccz_rc ccz_kms_wrap(struct ccz_buf *wrapped, struct ccz_kms_use *u, struct ccz_rpc_client *c,
                    const char *key, uint32_t version, const struct ccz_secret *text,
                    struct ccz_err *err)
{
    const struct cczi_msg_use_req m = {
        .key = ccz_span_str(key), .version = version, .text = view(text)};
    struct cczi_msg_use_resp r;
    CCZ_AUTO_BUF response = {0};
    ccz_rc rc = use(&r, &response, u, c, "Wrap", cczi_msg_wrap_req, &m, WANT_VALUE, err);
    return rc == CCZ_OK ? keep(wrapped, r.value, err) : rc;
}

ccz_rc ccz_kms_unwrap(struct ccz_secret **text, struct ccz_kms_use *u, struct ccz_rpc_client *c,
                      const char *key, uint32_t version, struct ccz_span wrapped,
                      struct ccz_err *err)
{
    *text = NULL;
    const struct cczi_msg_use_req m = {
        .key = ccz_span_str(key), .version = version, .proof = wrapped};
    struct cczi_msg_use_resp r;
    CCZ_AUTO_BUF response = {0};
    ccz_rc rc = use(&r, &response, u, c, "Unwrap", cczi_msg_unwrap_req, &m, WANT_VALUE, err);
    return rc == CCZ_OK ? keep_secret(text, r.value, err) : rc;
}

ccz_rc ccz_kms_derive(struct ccz_secret **out, struct ccz_kms_use *u, struct ccz_rpc_client *c,
                      const char *key, uint32_t version, struct ccz_span context, size_t size,
                      struct ccz_err *err)
{
    *out = NULL;
    const struct cczi_msg_use_req m = {
        .key = ccz_span_str(key), .version = version, .aad = context, .size = size};
    struct cczi_msg_use_resp r;
    CCZ_AUTO_BUF response = {0};
    ccz_rc rc = use(&r, &response, u, c, "Derive", cczi_msg_derive_req, &m, WANT_VALUE, err);
    if (rc == CCZ_OK && size && r.value.size != size)
        rc = cczi_kms_malformed(err);
    return rc == CCZ_OK ? keep_secret(out, r.value, err) : rc;
}

ccz_rc ccz_kms_hmac(uint8_t mac[32], struct ccz_kms_use *u, struct ccz_rpc_client *c,
                    const char *key, uint32_t version, struct ccz_span message, struct ccz_err *err)
{
    const struct cczi_msg_use_req m = {
        .key = ccz_span_str(key), .version = version, .text = message};
    struct cczi_msg_use_resp r;
    CCZ_AUTO_BUF response = {0};
    ccz_rc rc = use(&r, &response, u, c, "Hmac", cczi_msg_hmac_req, &m, WANT_VALUE, err);
    if (rc == CCZ_OK && r.value.size != 32)
        rc = cczi_kms_malformed(err);
    if (rc == CCZ_OK)
        memcpy(mac, r.value.ptr, 32);
    return rc;
}

ccz_rc ccz_kms_hmac_verify(struct ccz_kms_use *u, struct ccz_rpc_client *c, const char *key,
                           uint32_t version, struct ccz_span message, struct ccz_span mac,
                           struct ccz_err *err)
{
    const struct cczi_msg_use_req m = {
        .key = ccz_span_str(key), .version = version, .text = message, .proof = mac};
    struct cczi_msg_use_resp r;
    CCZ_AUTO_BUF response = {0};
    return use(&r, &response, u, c, "HmacVerify", cczi_msg_hmac_verify_req, &m, 0, err);
}

/* @p how NULL: what is usual for the kind */
static void put_how(struct cczi_msg_use_req *m, const struct ccz_sign_how *how)
{
    static const char *const hashes[] = {
        [CCZ_SHA256] = "sha256", [CCZ_SHA384] = "sha384", [CCZ_SHA512] = "sha512"};
    if (!how)
        return;
    if (!how->usual_hash) /* the server knows the kind */
        m->hash = ccz_span_str(hashes[how->hash]);
    m->prehashed = how->prehashed;
    m->form = ccz_span_str(how->form == CCZ_SIG_DER ? "der" : "raw");
    m->padding = ccz_span_str(how->padding == CCZ_RSA_PKCS1 ? "pkcs1" : "pss");
}

ccz_rc ccz_kms_sign(struct ccz_buf *sig, struct ccz_kms_use *u, struct ccz_rpc_client *c,
                    const char *key, uint32_t version, const struct ccz_sign_how *how,
                    struct ccz_span in, struct ccz_err *err)
{
    struct cczi_msg_use_req m = {.key = ccz_span_str(key), .version = version, .text = in};
    put_how(&m, how);
    struct cczi_msg_use_resp r;
    CCZ_AUTO_BUF response = {0};
    ccz_rc rc = use(&r, &response, u, c, "Sign", cczi_msg_sign_req, &m, WANT_VALUE, err);
    return rc == CCZ_OK ? keep(sig, r.value, err) : rc;
}

ccz_rc ccz_kms_verify(struct ccz_kms_use *u, struct ccz_rpc_client *c, const char *key,
                      uint32_t version, const struct ccz_sign_how *how, struct ccz_span in,
                      struct ccz_span sig, struct ccz_err *err)
{
    struct cczi_msg_use_req m = {
        .key = ccz_span_str(key), .version = version, .text = in, .proof = sig};
    put_how(&m, how);
    struct cczi_msg_use_resp r;
    CCZ_AUTO_BUF response = {0};
    return use(&r, &response, u, c, "Verify", cczi_msg_verify_req, &m, 0, err);
}

ccz_rc ccz_kms_public_key(struct ccz_buf *spki, struct ccz_buf *pem, uint32_t *used_version,
                          struct ccz_rpc_client *c, const char *key, uint32_t version,
                          struct ccz_err *err)
{
    const struct cczi_msg_use_req m = {.key = ccz_span_str(key), .version = version};
    struct ccz_kms_use u = {0};
    struct cczi_msg_use_resp r;
    CCZ_AUTO_BUF response = {0};
    ccz_rc rc = use(&r, &response, &u, c, "PublicKey", cczi_msg_public_key_req, &m,
                    WANT_VALUE | NO_RECEIPT, err);
    if (rc == CCZ_OK && r.pem.size == 0)
        rc = cczi_kms_malformed(err);
    if (rc == CCZ_OK && spki)
        rc = keep(spki, r.value, err);
    if (rc == CCZ_OK && pem)
        rc = keep(pem, r.pem, err);
    if (rc == CCZ_OK && used_version)
        *used_version = u.version;
    return rc;
}
