/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Uses of keys: each is the same few steps around one operation. Who asks (handle.c) | the key's metadata | the policy of this
 * operation, or that the key allows clients without evidence | state of key and version | the operation | the answer. State
 * is told to those alone who may use the key.
 */
#include "use_priv.h"

#include <cczoo/codec.h>

#include <string.h>

enum {
    SLOW_MESSAGE_SIZE = 65536, /* from there on a hash takes a good part of a millisecond */
    SLOW_WRAP_SIZE = 4096,     /* KWP encrypts each block six times, one after the other */
    KEY_SIZE_USUAL = 32
};

/* ------------------------------------------------------------------------ operations */

static struct ccz_span view(const struct ccz_secret *s)
{
    return CCZ_SPAN(ccz_secret_view(s), ccz_secret_size(s));
}

static uint32_t version_of(const struct cczi_kms_work *w)
{
    return cczi_kms_key_number(w->key->key);
}

static ccz_rc do_encrypt(struct cczi_kms_work *w, struct ccz_err *err)
{
    CCZ_AUTO_BUF raw;
    ccz_buf_init(&raw, CCZ_KMS_MESSAGE_SIZE_MAX);
    ccz_rc rc = cczi_kms_key_encrypt(&raw, w->key->key, w->use.aad, w->use.text, err);
    if (rc == CCZ_OK)
        cczi_kms_key_text_put(&w->sealed, version_of(w), ccz_buf_span(&raw));
    return rc;
}

static ccz_rc do_decrypt(struct cczi_kms_work *w, struct ccz_err *err)
{
    CCZ_AUTO(ccz_secret) text = NULL;
    ccz_rc rc = cczi_kms_key_decrypt(&text, w->key->key, w->use.aad, ccz_buf_span(&w->given), err);
    if (rc == CCZ_OK)
        ccz_buf_put_span(&w->value, view(text));
    return rc;
}

static ccz_rc do_data_key(struct cczi_kms_work *w, struct ccz_err *err)
{
    CCZ_AUTO_BUF raw;
    CCZ_AUTO(ccz_secret) plain = NULL;
    ccz_buf_init(&raw, CCZ_KMS_MESSAGE_SIZE_MAX);
    size_t size = w->use.size ? (size_t)w->use.size : KEY_SIZE_USUAL;
    ccz_rc rc = cczi_kms_key_data_key(w->use.sealed_only ? NULL : &plain, &raw, w->key->key, size,
                                      w->use.aad, err);
    if (rc != CCZ_OK)
        return rc;
    cczi_kms_key_text_put(&w->sealed, version_of(w), ccz_buf_span(&raw));
    if (plain)
        ccz_buf_put_span(&w->value, view(plain));
    return CCZ_OK;
}

static ccz_rc do_rewrap(struct cczi_kms_work *w, struct ccz_err *err)
{
    CCZ_AUTO_BUF raw;
    ccz_buf_init(&raw, CCZ_KMS_MESSAGE_SIZE_MAX);
    ccz_rc rc = cczi_kms_key_rewrap(&raw, w->key->key, w->from->key, w->use.aad,
                                    ccz_buf_span(&w->given), err);
    if (rc == CCZ_OK)
        cczi_kms_key_text_put(&w->sealed, version_of(w), ccz_buf_span(&raw));
    return rc;
}

static ccz_rc do_wrap(struct cczi_kms_work *w, struct ccz_err *err)
{
    return cczi_kms_key_wrap(&w->value, w->key->key, w->use.text, err);
}

static ccz_rc do_unwrap(struct cczi_kms_work *w, struct ccz_err *err)
{
    CCZ_AUTO(ccz_secret) text = NULL;
    ccz_rc rc = cczi_kms_key_unwrap(&text, w->key->key, w->use.proof, err);
    if (rc == CCZ_OK)
        ccz_buf_put_span(&w->value, view(text));
    return rc;
}

static ccz_rc do_derive(struct cczi_kms_work *w, struct ccz_err *err)
{
    CCZ_AUTO(ccz_secret) out = NULL;
    size_t size = w->use.size ? (size_t)w->use.size : KEY_SIZE_USUAL;
    ccz_rc rc = cczi_kms_key_derive(&out, w->key->key, w->use.aad, size, err);
    if (rc == CCZ_OK)
        ccz_buf_put_span(&w->value, view(out));
    return rc;
}

static ccz_rc do_hmac(struct cczi_kms_work *w, struct ccz_err *err)
{
    uint8_t mac[CCZI_KMS_KEY_MAC_SIZE];
    ccz_rc rc = cczi_kms_key_hmac(mac, w->key->key, w->use.text, err);
    if (rc == CCZ_OK)
        ccz_buf_put(&w->value, mac, sizeof(mac));
    return rc;
}

static ccz_rc do_hmac_verify(struct cczi_kms_work *w, struct ccz_err *err)
{
    return cczi_kms_key_hmac_verify(w->key->key, w->use.text, w->use.proof, err);
}

static ccz_rc do_sign(struct cczi_kms_work *w, struct ccz_err *err)
{
    return cczi_kms_key_sign(&w->value, w->key->key, &w->how, w->use.text, err);
}

static ccz_rc do_verify(struct cczi_kms_work *w, struct ccz_err *err)
{
    return cczi_kms_key_verify(w->key->key, &w->how, w->use.text, w->use.proof, err);
}

static ccz_rc do_public_key(struct cczi_kms_work *w, struct ccz_err *err)
{
    ccz_rc rc = cczi_kms_key_public(&w->value, w->key->key, err);
    return rc == CCZ_OK ? cczi_kms_key_public_pem(&w->sealed, w->key->key, err) : rc;
}

static const struct {
    const struct cczi_msg_field *fields;
    ccz_rc (*run)(struct cczi_kms_work *w, struct ccz_err *err);
} ops[CCZI_OPS] = {
    [CCZI_OP_ENCRYPT] = {cczi_msg_encrypt_req, do_encrypt},
    [CCZI_OP_DECRYPT] = {cczi_msg_decrypt_req, do_decrypt},
    [CCZI_OP_DATA_KEY] = {cczi_msg_data_key_req, do_data_key},
    [CCZI_OP_REWRAP] = {cczi_msg_rewrap_req, do_rewrap},
    [CCZI_OP_WRAP] = {cczi_msg_wrap_req, do_wrap},
    [CCZI_OP_UNWRAP] = {cczi_msg_unwrap_req, do_unwrap},
    [CCZI_OP_DERIVE] = {cczi_msg_derive_req, do_derive},
    [CCZI_OP_HMAC] = {cczi_msg_hmac_req, do_hmac},
    [CCZI_OP_HMAC_VERIFY] = {cczi_msg_hmac_verify_req, do_hmac_verify},
    [CCZI_OP_SIGN] = {cczi_msg_sign_req, do_sign},
    [CCZI_OP_VERIFY] = {cczi_msg_verify_req, do_verify},
    [CCZI_OP_PUBLIC] = {cczi_msg_public_key_req, do_public_key},
};

static void run_op(struct cczi_kms_work *w)
{
    w->rc = ops[w->op].run(w, &w->err);
    if (w->rc == CCZ_OK && (w->value.bad || w->sealed.bad))
        w->rc = ccz_fail(&w->err, CCZ_E_NOMEM, "kms:key-memory", 0, "out of memory");
}

/* --------------------------------------------------------------------------- request */

static ccz_rc bad_word(struct ccz_err *err, const char *where, struct ccz_span got,
                       const char *expected)
{
    char text[CCZ_ERR_VALUE_SIZE];
    ccz_escape(text, sizeof(text), got);
    return ccz_refuse(err, CCZ_E_FORMAT, where, text, expected);
}

static bool word_is(struct ccz_span word, const char *text)
{
    return ccz_span_eq(word, ccz_span_str(text));
}

/* How to sign; what is left out is what the kind does best. */
static ccz_rc take_how(struct ccz_sign_how *how, const struct cczi_msg_use_req *m,
                       enum cczi_kms_key_kind kind, struct ccz_err *err)
{
    *how = (struct ccz_sign_how){.prehashed = m->prehashed != 0};
    if (m->hash.size == 0 && kind == CCZI_KEY_ECDSA_P384)
        how->hash = CCZ_SHA384;
    else if (word_is(m->hash, "sha384"))
        how->hash = CCZ_SHA384;
    else if (word_is(m->hash, "sha512"))
        how->hash = CCZ_SHA512;
    else if (m->hash.size != 0 && !word_is(m->hash, "sha256"))
        return bad_word(err, "kms:key-hash", m->hash, "sha256, sha384 or sha512");
    if (word_is(m->form, "der"))
        how->form = CCZ_SIG_DER;
    else if (m->form.size != 0 && !word_is(m->form, "raw"))
        return bad_word(err, "kms:key-form", m->form, "raw or der");
    if (word_is(m->padding, "pkcs1"))
        how->padding = CCZ_RSA_PKCS1;
    else if (m->padding.size != 0 && !word_is(m->padding, "pss"))
        return bad_word(err, "kms:key-padding", m->padding, "pss or pkcs1");
    return CCZ_OK;
}

static bool takes_sealed(enum cczi_kms_key_op op)
{
    return op == CCZI_OP_DECRYPT || op == CCZI_OP_REWRAP;
}

/* @param[out] given  version that the ciphertext names, 0 = there is none */
static ccz_rc take_request(uint32_t *given, struct cczi_kms_work *w, struct cczi_kms_call *call,
                           enum cczi_kms_key_op op, struct ccz_err *err)
{
    *given = 0;
    w->op = op;
    ccz_rc rc = cczi_msg_get(&w->use, ops[op].fields, call->req->body, err);
    if (rc == CCZ_OK)
        rc = cczi_kms_take_key(call, w->use.key, err);
    if (rc == CCZ_OK && takes_sealed(op))
        rc = cczi_kms_key_text_get(given, &w->given, w->use.sealed, err);
    return rc;
}

/* ----------------------------------------------------------------------------- state */

ccz_rc cczi_kms_allow_use(struct cczi_kms_call *call, const struct cczi_kms_key_meta *m,
                          enum cczi_kms_key_op op, struct ccz_err *err)
{
    if (call->req->peer->attested)
        return cczi_kms_judge(call, op, err);
    if (op == CCZI_OP_PUBLIC && (call->roles & CCZI_KMS_READERS))
        return CCZ_OK;
    if ((call->roles & CCZ_KMS_ROLE_CLIENT) && m->unattested)
        return CCZ_OK;
    ccz_refuse(err, CCZ_E_DENIED, "kms:key-unattested", "a client without evidence",
               "an attested workload");
    return cczi_kms_hint(err, CCZ_E_DENIED);
}

ccz_rc cczi_kms_may_use(const struct cczi_kms_key_meta *m, enum cczi_kms_key_op op,
                        uint32_t version, const struct cczi_kms_item *it, int64_t now_s,
                        struct ccz_err *err)
{
    enum cczi_kms_version_state state = CCZI_VERSION_GONE;
    if (it)
        state = it->state.disabled ? CCZI_VERSION_DISABLED : CCZI_VERSION_ENABLED;
    ccz_rc rc = cczi_kms_hint(err, cczi_kms_key_may(m, op, version, state, now_s, err));
    return rc == CCZ_OK ? cczi_kms_item_usable(it, now_s, err) : rc;
}

ccz_rc cczi_kms_open_version(struct cczi_kms_opened_key **out, struct cczi_kms_item *it,
                             struct cczi_kms_call *call, const struct cczi_kms_key_meta *m,
                             enum cczi_kms_key_op op, uint32_t version, struct ccz_err *err)
{
    ccz_rc rc = cczi_kms_item_get(it, call->store, &call->ref, version, err);
    if (rc == CCZ_OK || rc == CCZ_E_NOT_FOUND)
        rc = cczi_kms_may_use(m, op, version, rc == CCZ_OK ? it : NULL, call->req->now_s, err);
    if (rc == CCZ_OK && strcmp(it->slot.alg, cczi_kms_key_kind_name(m->kind)) != 0)
        rc = ccz_refuse(err, CCZ_E_SIG, "kms:key-meta", it->slot.alg,
                        cczi_kms_key_kind_name(m->kind));
    return rc == CCZ_OK ? cczi_kms_opened_get(out, call->store->opened, &call->store->sealer, it,
                                              m->kind, err)
                        : rc;
}

/* Opens one version, if it may be used. @param[out] made_for  its row, or NULL */
static ccz_rc open_version(struct cczi_kms_opened_key **out, uint8_t *made_for,
                           struct cczi_kms_call *call, const struct cczi_kms_key_meta *m,
                           enum cczi_kms_key_op op, uint32_t version, struct ccz_err *err)
{
    struct cczi_kms_item it;
    cczi_kms_item_init(&it);
    ccz_rc rc = cczi_kms_open_version(out, &it, call, m, op, version, err);
    if (rc == CCZ_OK && made_for)
        memcpy(made_for, it.mac, sizeof(it.mac));
    cczi_kms_item_deinit(&it);
    return rc;
}

/* The key, and of Rewrap the one that the ciphertext is of. */
static ccz_rc open_keys(struct cczi_kms_work *w, struct cczi_kms_call *call,
                        const struct cczi_kms_key_meta *m, uint32_t given, struct ccz_err *err)
{
    uint32_t version =
        cczi_kms_key_version(m, w->op == CCZI_OP_DECRYPT ? given : (uint32_t)w->use.version);
    ccz_rc rc = open_version(&w->key, w->made_for, call, m, w->op, version, err);
    if (rc == CCZ_OK)
        call->version = version;
    if (rc != CCZ_OK || w->op != CCZI_OP_REWRAP)
        return rc;
    uint32_t least = m->min_encrypt ? m->min_encrypt : m->latest; /* it makes something new */
    if (version < least) {
        ccz_refuse_num(err, CCZ_E_DENIED, "kms:key-version-old", version, least);
        return cczi_kms_hint(err, CCZ_E_DENIED);
    }
    return open_version(&w->from, NULL, call, m, w->op, given, err);
}

/* ------------------------------------------------------------------------------- run */

/* Opened AEAD keys have one cipher context each, which the thread of transactions uses: their operations are never left to others. */
_Static_assert(CCZI_KMS_KEY_TEXT_SIZE_MAX <= SLOW_MESSAGE_SIZE,
               "AEAD operations would share a context between threads");

/* What else waits in this transaction should not have to wait for this. */
static bool is_slow(const struct cczi_kms_work *w, enum cczi_kms_key_kind kind)
{
    bool rsa = kind == CCZI_KEY_RSA_2048 || kind == CCZI_KEY_RSA_3072 || kind == CCZI_KEY_RSA_4096;
    switch (w->op) {
    case CCZI_OP_SIGN:
    case CCZI_OP_DECRYPT:
    case CCZI_OP_REWRAP:
        return rsa || w->use.text.size > SLOW_MESSAGE_SIZE;
    case CCZI_OP_UNWRAP:
        return rsa || w->use.proof.size > SLOW_WRAP_SIZE;
    case CCZI_OP_WRAP:
        return w->use.text.size > SLOW_WRAP_SIZE;
    default:
        return w->use.text.size > SLOW_MESSAGE_SIZE;
    }
}

static ccz_rc answer(struct ccz_buf *response, const struct cczi_kms_work *w,
                     struct cczi_kms_call *call, enum cczi_kms_key_kind kind, struct ccz_err *err)
{
    if (w->rc != CCZ_OK) {
        *err = w->err;
        return cczi_kms_hint(err, w->rc);
    }
    uint8_t instance[CCZ_KMS_INSTANCE_SIZE];
    ccz_kms_store_instance(instance, call->store);
    struct cczi_msg_use_resp out = {.value = ccz_buf_span(&w->value),
                                    .version = call->version,
                                    .instance = CCZ_SPAN(instance, sizeof(instance))};
    if (w->op == CCZI_OP_PUBLIC) {
        out.kind = ccz_span_str(cczi_kms_key_kind_name(kind));
        out.pem = ccz_buf_span(&w->sealed);
    } else {
        out.sealed = ccz_buf_span(&w->sealed);
    }
    cczi_msg_put(response, cczi_msg_use_resp, &out);
    return CCZ_OK;
}

static ccz_rc use(struct ccz_buf *response, struct cczi_kms_call *call, enum cczi_kms_key_op op,
                  struct ccz_err *err)
{
    CCZ_AUTO(cczi_kms_work) w = NULL;
    struct cczi_kms_key_meta m = {0};
    uint32_t given = 0;
    ccz_rc rc = cczi_kms_work_new(&w, run_op, err);
    if (rc == CCZ_OK)
        rc = take_request(&given, w, call, op, err);
    if (rc == CCZ_OK)
        rc = cczi_kms_meta_of(&m, call, err);
    if (rc == CCZ_OK)
        rc = cczi_kms_allow_use(call, &m, op, err);
    if (rc == CCZ_OK && (op == CCZI_OP_SIGN || op == CCZI_OP_VERIFY))
        rc = take_how(&w->how, &w->use, m.kind, err);
    if (rc == CCZ_OK)
        rc = open_keys(w, call, &m, given, err);
    if (rc != CCZ_OK)
        return rc;
    if (is_slow(w, m.kind)) {
        const struct cczi_kms_work *done = cczi_kms_work_of(call, w->made_for);
        return done ? answer(response, done, call, m.kind, err) : cczi_kms_later(call, &w, err);
    }
    cczi_kms_work_do(w);
    return answer(response, w, call, m.kind, err);
}

#define USE(name, op)                                                                              \
    ccz_rc cczi_kms_run_##name(struct ccz_buf *response, struct cczi_kms_call *call,               \
                               struct ccz_err *err)                                                \
    {                                                                                              \
        return use(response, call, op, err);                                                       \
    }
USE(encrypt, CCZI_OP_ENCRYPT)
USE(decrypt, CCZI_OP_DECRYPT)
USE(data_key, CCZI_OP_DATA_KEY)
USE(rewrap, CCZI_OP_REWRAP)
USE(wrap, CCZI_OP_WRAP)
USE(unwrap, CCZI_OP_UNWRAP)
USE(derive, CCZI_OP_DERIVE)
USE(hmac, CCZI_OP_HMAC)
USE(hmac_verify, CCZI_OP_HMAC_VERIFY)
USE(sign, CCZI_OP_SIGN)
USE(verify, CCZI_OP_VERIFY)
USE(public_key, CCZI_OP_PUBLIC)
