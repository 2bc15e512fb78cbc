/* SPDX-License-Identifier: Apache-2.0 */
/* Keys that come in wrapped, through the handler: what works, and every blob and token that does not. */
#define _GNU_SOURCE
#include "ccz_test.h"
#include "kms/quota.h"
#include "kms/use_fixture.h"

enum { ROOM = 2048 };

#define IS(expr, want, at) CHECK(use_is((expr), (want), (at)))

/* Parameters of one import, and the blob that answers them. */
struct site {
    struct ccz_kms_store *store;
    struct ccz_buf response, blob;
    struct cczi_msg_import_token_resp p; /* borrows from response */
    struct cczi_msg_key_req what;
    struct ccz_secret *key;
};

static void ask_token_at(struct site *t, int64_t now_s)
{
    use_err = (struct ccz_err){0};
    t->what.token = t->what.blob = (struct ccz_span){0};
    IS(fix_msg_at(&t->response, t->store, FIX_ADMIN, "ImportToken", cczi_msg_import_token_req,
                  &t->what, now_s, &use_err),
       CCZ_OK, "");
    CHECK(cczi_msg_get(&t->p, cczi_msg_import_token_resp, ccz_buf_span(&t->response), NULL) ==
          CCZ_OK);
    ccz_buf_clear(&t->blob);
    CHECK(cczi_kms_import_wrap(&t->blob, t->p.wrapping_key, t->key, NULL) == CCZ_OK);
    t->what.token = t->p.token;
    t->what.blob = ccz_buf_span(&t->blob);
}

static void ask_token(struct site *t)
{
    ask_token_at(t, FIX_NOW);
}

static ccz_rc send_at(struct site *t, int64_t now_s)
{
    use_err = (struct ccz_err){0};
    return fix_msg_at(NULL, t->store, FIX_ADMIN, "Import", cczi_msg_import_req, &t->what, now_s,
                      &use_err);
}

static ccz_rc send_blob(struct site *t)
{
    return send_at(t, FIX_NOW);
}

static void site_init(struct site *t)
{
    *t = (struct site){.store = fix_memory_store()};
    fix_populate(t->store);
    ccz_buf_init(&t->response, CCZ_KMS_MESSAGE_SIZE_MAX);
    ccz_buf_init(&t->blob, CCZI_KMS_IMPORT_BLOB_SIZE_MAX);
    t->what = (struct cczi_msg_key_req){.name = ccz_span_str("in"),
                                        .kind = ccz_span_str("aes-256-gcm"),
                                        .policy = ccz_span_str("server")};
    t->key = fix_master(0x5a); /* any 32 bytes */
}

static void site_free(struct site *t)
{
    (void)fix_check(t->store);
    ccz_kms_store_free(t->store);
    ccz_buf_free(&t->response);
    ccz_buf_free(&t->blob);
    ccz_secret_free(t->key);
}

/* The very key arrives: what it encrypted elsewhere opens here. */
static void test_arrives(void)
{
    struct site t;
    struct use_got g;
    CCZ_AUTO(cczi_kms_key) here = NULL;
    CCZ_AUTO_BUF raw;
    CCZ_AUTO_BUF text;
    ccz_buf_init(&raw, ROOM);
    ccz_buf_init(&text, ROOM);
    use_got_init(&g);
    site_init(&t);
    ask_token(&t);
    IS(send_blob(&t), CCZ_OK, "");
    CHECK(use_meta(t.store, "in").imported);
    CHECK(cczi_kms_key_open(&here, CCZI_KEY_AES_256_GCM, 1, t.key, NULL) == CCZ_OK);
    CHECK(cczi_kms_key_encrypt(&raw, here, (struct ccz_span){0}, ccz_span_str("made outside"),
                               NULL) == CCZ_OK);
    cczi_kms_key_text_put(&text, 1, ccz_buf_span(&raw));
    IS(use_decrypt(t.store, "in", ccz_buf_str(&text), "made outside"), CCZ_OK, "");
    /* a new version of it; the key says what that is. It does not rotate by itself, nor is a generated one mixed in */
    IS(use_rotate(t.store, "in"), CCZ_E_DENIED, "kms:key-imported");
    t.what.new_version = 1;
    t.what.policy = (struct ccz_span){0};
    ask_token(&t);
    IS(send_blob(&t), CCZ_OK, "");
    CHECK(use_meta(t.store, "in").latest == 2);
    const struct cczi_msg_key_set_req period = {.name = ccz_span_str("in"),
                                                .rotate_every_s = 86400};
    IS(use_set_at(t.store, "SetPeriod", cczi_msg_set_period_req, &period, FIX_NOW), CCZ_E_DENIED,
       "kms:key-imported");
    t.what.exportable = 1;
    IS(send_blob(&t), CCZ_E_FORMAT, "kms:request");
    t.what.exportable = 0;
    t.what.kind = ccz_span_str("aes-128-gcm");
    IS(send_blob(&t), CCZ_E_MISMATCH, "kms:key-kind");
    t.what.kind = ccz_span_str("aes-256-gcm");
    IS(use_make(t.store, "made", "aes-256-gcm", NULL, "server"), CCZ_OK, "");
    t.what.name = ccz_span_str("made");
    IS(send_blob(&t), CCZ_E_DENIED, "kms:key-imported");
    use_got_deinit(&g);
    site_free(&t);
}

/* Where there is no room for it, the token is not used up for nothing. */
static void test_quota(void)
{
    struct site t;
    site_init(&t);
    ask_token(&t);
    cczi_kms_quotas_limit(t.store->quotas, &(struct ccz_kms_quota){.items = 1});
    IS(send_blob(&t), CCZ_E_LIMIT, "kms:quota-items");
    cczi_kms_quotas_limit(t.store->quotas, &(struct ccz_kms_quota){.items = 100});
    IS(send_blob(&t), CCZ_OK, "");
    site_free(&t);
}

static void test_pair(void)
{
    struct site t;
    struct use_got g;
    use_got_init(&g);
    site_init(&t);
    CCZ_AUTO(ccz_pkey) pair = NULL;
    ccz_secret_free(t.key);
    CHECK(ccz_pkey_generate(&pair, CCZ_PKEY_P256, NULL) == CCZ_OK);
    CHECK(ccz_pkey_to_pkcs8(&t.key, pair, NULL) == CCZ_OK);
    t.what.kind = ccz_span_str("ecdsa-p256");
    t.what.ops = ccz_span_str("sign,public-key");
    ask_token(&t);
    IS(send_blob(&t), CCZ_OK, "");
    const struct cczi_msg_use_req m = {.key = ccz_span_str("in"), .text = ccz_span_str("signed")};
    IS(use(&g, t.store, "Sign", cczi_msg_sign_req, &m), CCZ_OK, "");
    const struct ccz_sign_how how = {0};
    CHECK(ccz_pkey_verify(pair, &how, ccz_span_str("signed"), g.r.value, NULL) == CCZ_OK);
    /* a pair of another kind under a good token */
    t.what.name = ccz_span_str("in2");
    t.what.kind = ccz_span_str("ed25519");
    ask_token(&t);
    IS(send_blob(&t), CCZ_E_FORMAT, "kms:key-kind");
    use_got_deinit(&g);
    site_free(&t);
}

/* A token is good for one attempt, here, until then, for what it was asked for. */
static void test_token(void)
{
    struct site t, other;
    site_init(&t);
    IS(fix_msg(NULL, t.store, FIX_ADMIN, "Import", cczi_msg_import_req, &t.what, &use_err),
       CCZ_E_SIG, "kms:import-token"); /* nobody has asked yet */
    ask_token(&t);
    struct cczi_msg_key_req good = t.what;
    /* bound: name, kind, use, export, expiry */
    t.what.name = ccz_span_str("in3");
    IS(send_blob(&t), CCZ_E_SIG, "kms:import-token");
    t.what = good;
    t.what.kind = ccz_span_str("chacha20-poly1305");
    IS(send_blob(&t), CCZ_E_SIG, "kms:import-token");
    t.what = good;
    t.what.ops = ccz_span_str("encrypt");
    IS(send_blob(&t), CCZ_E_SIG, "kms:import-token");
    t.what = good;
    t.what.exportable = 1;
    IS(send_blob(&t), CCZ_E_SIG, "kms:import-token");
    t.what = good;
    t.what.unattested_insecure = 1;
    IS(send_blob(&t), CCZ_E_SIG, "kms:import-token");
    t.what = good;
    t.what.expires_s = FIX_NOW + 5000;
    IS(send_blob(&t), CCZ_E_SIG, "kms:import-token");
    /* a MAC with one bit changed, and one of the right size that is not ours */
    char token[CCZI_KMS_IMPORT_TOKEN_SIZE_MAX + 1] = "";
    memcpy(token, good.token.ptr, good.token.size);
    t.what = good;
    t.what.token = ccz_span_str(token);
    token[good.token.size - 3] = token[good.token.size - 3] == 'A' ? 'B' : 'A';
    IS(send_blob(&t), CCZ_E_SIG, "kms:import-token");
    /* late; and from a future that the clock went back from */
    t.what = good;
    IS(send_at(&t, FIX_NOW + 3600), CCZ_E_EXPIRED, "kms:import-expired");
    IS(send_at(&t, FIX_NOW - 2 * 86400), CCZ_E_EXPIRED, "kms:import-expired");
    /* another server: another wrapping key and another key of tokens */
    site_init(&other);
    ask_token(&other);
    struct cczi_msg_key_req theirs = other.what;
    other.what.token = good.token;
    other.what.blob = good.blob;
    IS(send_blob(&other), CCZ_E_SIG, "kms:import-token");
    t.what.token = theirs.token;
    IS(send_blob(&t), CCZ_E_SIG, "kms:import-token");
    t.what = good;
    t.what.blob = theirs.blob; /* a good token, and a blob for another wrapping key: used now */
    IS(send_blob(&t), CCZ_E_SIG, "kms:import-blob");
    t.what = good;
    IS(send_blob(&t), CCZ_E_DENIED, "kms:import-used");
    /* also after a success: the name is free again, the token is not */
    ask_token(&t);
    good = t.what;
    IS(send_blob(&t), CCZ_OK, "");
    const struct cczi_msg_delete_req gone = {.target = ccz_span_str("key/in"), .no_recovery = 1};
    IS(fix_msg(NULL, t.store, FIX_ADMIN, "Delete", cczi_msg_delete_req, &gone, &use_err), CCZ_OK,
       "");
    IS(send_blob(&t), CCZ_E_DENIED, "kms:import-used");
    site_free(&other);
    site_free(&t);
}

static void test_blob(void)
{
    struct site t;
    site_init(&t);
    static const struct {
        size_t at; /* byte to change, from the front; or SIZE_MAX: cut */
    } cases[] = {{0}, {383}, {384}, {400}, {SIZE_MAX}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        ask_token(&t);
        if (cases[i].at == SIZE_MAX)
            t.what.blob.size -= 8;
        else
            t.blob.ptr[cases[i].at] ^= 1;
        IS(send_blob(&t), CCZ_E_SIG, "kms:import-blob");
    }
    ask_token(&t);
    t.what.blob.size = 0;
    IS(send_blob(&t), CCZ_E_SIG, "kms:import-blob");
    /* of a wrong size, and one that nobody filled */
    ccz_secret_free(t.key);
    CHECK(ccz_secret_from(&t.key, "0123456789abcdef", 16) == CCZ_OK);
    ask_token(&t);
    IS(send_blob(&t), CCZ_E_FORMAT, "kms:key-size");
    ccz_secret_free(t.key);
    CHECK(ccz_secret_new(&t.key, 32) == CCZ_OK);
    memset(ccz_secret_bytes(t.key), 0, 32);
    ask_token(&t);
    IS(send_blob(&t), CCZ_E_FORMAT, "kms:key-weak");
    site_free(&t);
}

/* What was checked before the work is checked again behind it: a name that is taken meanwhile stays with who took it. */
static void test_meanwhile(void)
{
    struct site t;
    site_init(&t);
    ask_token(&t);
    struct fix_batch b;
    fix_batch_begin(&b);
    fix_batch_add(&b, FIX_ADMIN, "Import", cczi_msg_import_req, &t.what);
    cczi_kms_batch_pass(t.store, b.entry, b.len);
    CHECK(b.entry[0].later && b.entry[0].answer.size == 0 && b.entry[0].receipt.audit_seq == 0);
    IS(use_make(t.store, "in", "aes-256-gcm", NULL, "server"), CCZ_OK, "");
    cczi_kms_work_do(b.entry[0].work);
    CHECK(b.entry[0].work->rc == CCZ_OK);
    cczi_kms_batch_pass(t.store, b.entry, b.len);
    CHECK(!b.entry[0].later && b.entry[0].rc == CCZ_E_EXISTS &&
          strcmp(b.entry[0].err.where, "kms:exists") == 0 && b.entry[0].receipt.audit_seq != 0);
    CHECK(!use_meta(t.store, "in").imported);
    fix_batch_end(&b);
    site_free(&t);
}

/* Material that came under one promise is not stored under another one, which the key of that name makes meanwhile. */
static void test_promise(void)
{
    struct site t;
    struct fix_batch b;
    site_init(&t);
    ask_token(&t);
    IS(send_blob(&t), CCZ_OK, "");
    t.what.new_version = 1; /* of a key that never leaves */
    t.what.policy = (struct ccz_span){0};
    ask_token(&t);
    fix_batch_begin(&b);
    fix_batch_add(&b, FIX_ADMIN, "Import", cczi_msg_import_req, &t.what);
    cczi_kms_batch_pass(t.store, b.entry, b.len);
    CHECK(b.entry[0].later);
    cczi_kms_work_do(b.entry[0].work);
    CHECK(b.entry[0].work->rc == CCZ_OK);
    const struct cczi_msg_delete_req gone = {.target = ccz_span_str("key/in"), .no_recovery = 1};
    IS(fix_msg(NULL, t.store, FIX_ADMIN, "Delete", cczi_msg_delete_req, &gone, &use_err), CCZ_OK,
       "");
    t.what.new_version = 0;
    t.what.exportable = 1;
    ask_token(&t);
    IS(send_blob(&t), CCZ_OK, "");
    cczi_kms_batch_pass(t.store, b.entry, b.len);
    CHECK(!b.entry[0].later && b.entry[0].rc == CCZ_E_MISMATCH);
    CHECK(strcmp(b.entry[0].err.where, "kms:import-changed") == 0 && b.entry[0].err.hint[0]);
    CHECK(b.entry[0].receipt.audit_seq != 0 && use_meta(t.store, "in").latest == 1);
    fix_batch_end(&b);
    site_free(&t);
}

int main(int argc, char **argv)
{
    static const struct ccz_test tests[] = {
        {"kms.use_import", test_arrives},         {"kms.import_quota", test_quota},
        {"kms.use_import_pair", test_pair},       {"kms.use_import_token", test_token},
        {"kms.use_import_blob", test_blob},       {"kms.use_import_meanwhile", test_meanwhile},
        {"kms.use_import_promise", test_promise},
    };
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
