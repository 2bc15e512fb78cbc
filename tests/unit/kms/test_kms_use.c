/* SPDX-License-Identifier: Apache-2.0 */
/* Uses of keys through the handler: what each gives, who may, and every way in which it is refused. */
#define _GNU_SOURCE
#include "ccz_test.h"
#include "kms/use_fixture.h"

#include <cczoo/codec.h>

enum { ROOM = 2048 };

#define IS(expr, want, at) CHECK(use_is((expr), (want), (at)))

static struct ccz_kms_store *store(void)
{
    struct ccz_kms_store *s = fix_memory_store();
    fix_populate(s);
    return s;
}

static void checked(struct ccz_kms_store *s)
{
    (void)fix_check(s);
    ccz_kms_store_free(s);
}

/* ----------------------------------------------------------------------- what it does */

static void test_encrypt(void)
{
    struct ccz_kms_store *s = store();
    static const char *const kinds[] = {"aes-128-gcm", "aes-256-gcm", "chacha20-poly1305"};
    char sealed[ROOM], other[ROOM];
    for (size_t i = 0; i < 3; i++) {
        IS(use_make(s, kinds[i], kinds[i], NULL, "server"), CCZ_OK, "");
        IS(use_encrypt_at(sealed, ROOM, s, kinds[i], 0, "row 7", "attack at dawn", FIX_NOW), CCZ_OK,
           "");
        CHECK(strncmp(sealed, "ccz1:1:", 7) == 0);
        IS(use_decrypt_at(s, kinds[i], "row 7", sealed, "attack at dawn", FIX_NOW), CCZ_OK, "");
        /* another context, another key of the same kind, another version, a changed text */
        IS(use_decrypt_at(s, kinds[i], "row 8", sealed, "", FIX_NOW), CCZ_E_SIG, "kms:key-decrypt");
        IS(use_decrypt_at(s, kinds[i], NULL, sealed, "", FIX_NOW), CCZ_E_SIG, "kms:key-decrypt");
        IS(use_make(s, "twin", kinds[i], NULL, "server"), CCZ_OK, "");
        IS(use_decrypt_at(s, "twin", "row 7", sealed, "", FIX_NOW), CCZ_E_SIG, "kms:key-decrypt");
        IS(use_rotate(s, kinds[i]), CCZ_OK, "");
        (void)snprintf(other, sizeof(other), "ccz1:2:%s", sealed + 7);
        IS(use_decrypt_at(s, kinds[i], "row 7", other, "", FIX_NOW), CCZ_E_SIG, "kms:key-decrypt");
        (void)snprintf(other, sizeof(other), "ccz1:3:%s", sealed + 7);
        IS(use_decrypt_at(s, kinds[i], "row 7", other, "", FIX_NOW), CCZ_E_NOT_FOUND,
           "kms:key-version");
        IS(use_decrypt_at(s, kinds[i], "row 7", sealed + 1, "", FIX_NOW), CCZ_E_FORMAT,
           "kms:key-text");
        sealed[12] ^= 1;
        CHECK(use_decrypt_at(s, kinds[i], "row 7", sealed, "", FIX_NOW) != CCZ_OK);
        IS(fix_msg(
               NULL, s, FIX_ADMIN, "Delete", cczi_msg_delete_req,
               &(struct cczi_msg_delete_req){.target = ccz_span_str("key/twin"), .no_recovery = 1},
               &use_err),
           CCZ_OK, "");
    }
    checked(s);
}

static void test_data_key(void)
{
    struct ccz_kms_store *s = store();
    struct use_got g, back;
    use_got_init(&g);
    use_got_init(&back);
    IS(use_make(s, "k", "aes-256-gcm", NULL, "server"), CCZ_OK, "");
    struct cczi_msg_use_req m = {.key = ccz_span_str("k"), .aad = ccz_span_str("file 1")};
    IS(use(&g, s, "DataKey", cczi_msg_data_key_req, &m), CCZ_OK, "");
    CHECK(g.r.value.size == 32 && g.r.version == 1 && g.r.instance.size == 16);
    m.sealed = g.r.sealed;
    IS(use(&back, s, "Decrypt", cczi_msg_decrypt_req, &m), CCZ_OK, "");
    CHECK(ccz_span_eq(back.r.value, g.r.value));
    m = (struct cczi_msg_use_req){.key = ccz_span_str("k"), .size = 64, .sealed_only = 1};
    IS(use(&g, s, "DataKey", cczi_msg_data_key_req, &m), CCZ_OK, "");
    CHECK(g.r.value.size == 0 && g.r.sealed.size > 64);
    m.sealed = g.r.sealed;
    IS(use(&back, s, "Decrypt", cczi_msg_decrypt_req, &m), CCZ_OK, "");
    CHECK(back.r.value.size == 64);
    m.size = 1025;
    IS(use(&g, s, "DataKey", cczi_msg_data_key_req, &m), CCZ_E_LIMIT, "kms:request");
    use_got_deinit(&g);
    use_got_deinit(&back);
    checked(s);
}

static void test_rewrap(void)
{
    struct ccz_kms_store *s = store();
    struct use_got g;
    char old[ROOM], new[ROOM];
    use_got_init(&g);
    IS(use_make(s, "k", "aes-256-gcm", NULL, "server"), CCZ_OK, "");
    IS(use_encrypt(old, ROOM, s, "k", "kept"), CCZ_OK, "");
    IS(use_rotate(s, "k"), CCZ_OK, "");
    struct cczi_msg_use_req m = {.key = ccz_span_str("k"), .sealed = ccz_span_str(old)};
    IS(use(&g, s, "Rewrap", cczi_msg_rewrap_req, &m), CCZ_OK, "");
    CHECK(g.r.version == 2 && g.r.value.size == 0); /* nobody sees the text */
    (void)snprintf(new, sizeof(new), "%.*s", (int)g.r.sealed.size, (const char *)g.r.sealed.ptr);
    CHECK(strncmp(new, "ccz1:2:", 7) == 0);
    IS(use_decrypt(s, "k", new, "kept"), CCZ_OK, "");
    m.sealed = ccz_span_str(new);
    m.version = 1; /* back under a version that makes nothing new any more */
    IS(use(&g, s, "Rewrap", cczi_msg_rewrap_req, &m), CCZ_E_DENIED, "kms:key-version-old");
    const struct cczi_msg_key_set_req min = {.name = ccz_span_str("k"), .min_decrypt = 2};
    IS(use_set_at(s, "SetMinimum", cczi_msg_set_minimum_req, &min, FIX_NOW), CCZ_OK, "");
    m = (struct cczi_msg_use_req){.key = ccz_span_str("k"), .sealed = ccz_span_str(old)};
    IS(use(&g, s, "Rewrap", cczi_msg_rewrap_req, &m), CCZ_E_DENIED, "kms:key-version-old");
    use_got_deinit(&g);
    checked(s);
}

static void test_wrap(void)
{
    struct ccz_kms_store *s = store();
    struct use_got g, back;
    use_got_init(&g);
    use_got_init(&back);
    IS(use_make(s, "k", "aes-256-gcm", NULL, "server"), CCZ_OK, "");
    IS(use_make(s, "rsa", "rsa-2048", "wrap,unwrap", "server"), CCZ_OK, "");
    static const char *const names[] = {"k", "rsa"};
    for (size_t i = 0; i < 2; i++) {
        struct cczi_msg_use_req m = {.key = ccz_span_str(names[i]),
                                     .text = ccz_span_str("0123456789abcdef")};
        IS(use(&g, s, "Wrap", cczi_msg_wrap_req, &m), CCZ_OK, "");
        CHECK(g.r.value.size == (i ? 256 : 24));
        m = (struct cczi_msg_use_req){.key = ccz_span_str(names[i]), .proof = g.r.value};
        IS(use(&back, s, "Unwrap", cczi_msg_unwrap_req, &m), CCZ_OK, "");
        CHECK(ccz_span_eq(back.r.value, ccz_span_str("0123456789abcdef")));
        m.proof.size--;
        IS(use(&back, s, "Unwrap", cczi_msg_unwrap_req, &m), CCZ_E_SIG, "kms:key-unwrap");
    }
    use_got_deinit(&g);
    use_got_deinit(&back);
    checked(s);
}

static void test_mac_derive(void)
{
    struct ccz_kms_store *s = store();
    struct use_got g, back;
    use_got_init(&g);
    use_got_init(&back);
    IS(use_make(s, "mac", "hmac-sha256", NULL, "server"), CCZ_OK, "");
    struct cczi_msg_use_req m = {.key = ccz_span_str("mac"), .text = ccz_span_str("message")};
    IS(use(&g, s, "Hmac", cczi_msg_hmac_req, &m), CCZ_OK, "");
    CHECK(g.r.value.size == 32);
    m.proof = g.r.value;
    IS(use(&back, s, "HmacVerify", cczi_msg_hmac_verify_req, &m), CCZ_OK, "");
    CHECK(back.r.value.size == 0 && back.r.version == 1);
    m.text = ccz_span_str("massage");
    IS(use(&back, s, "HmacVerify", cczi_msg_hmac_verify_req, &m), CCZ_E_SIG, "kms:key-mac");
    m = (struct cczi_msg_use_req){.key = ccz_span_str("mac"), .aad = ccz_span_str("tenant 1")};
    IS(use(&g, s, "Derive", cczi_msg_derive_req, &m), CCZ_OK, "");
    CHECK(g.r.value.size == 32);
    IS(use(&back, s, "Derive", cczi_msg_derive_req, &m), CCZ_OK, "");
    CHECK(ccz_span_eq(g.r.value, back.r.value));
    m.aad = ccz_span_str("tenant 2");
    IS(use(&back, s, "Derive", cczi_msg_derive_req, &m), CCZ_OK, "");
    CHECK(!ccz_span_eq(g.r.value, back.r.value));
    m.size = 15;
    IS(use(&back, s, "Derive", cczi_msg_derive_req, &m), CCZ_E_LIMIT, "kms:key-input");
    use_got_deinit(&g);
    use_got_deinit(&back);
    checked(s);
}

static void test_sign(void)
{
    struct ccz_kms_store *s = store();
    struct use_got g, back, pub;
    use_got_init(&g);
    use_got_init(&back);
    use_got_init(&pub);
    static const struct {
        const char *kind, *ops;
        size_t sig_size;
    } cases[] = {{"ecdsa-p256", NULL, 64},
                 {"ecdsa-p384", NULL, 96},
                 {"ed25519", NULL, 64},
                 {"rsa-2048", "sign,verify,public-key", 256}};
    for (size_t i = 0; i < 4; i++) {
        IS(use_make(s, cases[i].kind, cases[i].kind, cases[i].ops, "server"), CCZ_OK, "");
        struct cczi_msg_use_req m = {.key = ccz_span_str(cases[i].kind),
                                     .text = ccz_span_str("contract")};
        IS(use(&g, s, "Sign", cczi_msg_sign_req, &m), CCZ_OK, "");
        CHECK(g.r.value.size == cases[i].sig_size && g.r.version == 1);
        m.proof = g.r.value;
        IS(use(&back, s, "Verify", cczi_msg_verify_req, &m), CCZ_OK, "");
        m.text = ccz_span_str("contact");
        IS(use(&back, s, "Verify", cczi_msg_verify_req, &m), CCZ_E_SIG, "pkey:signature");
        /* its public half verifies elsewhere */
        IS(use(&pub, s, "PublicKey", cczi_msg_public_key_req, &m), CCZ_OK, "");
        CHECK(ccz_span_eq(pub.r.kind, ccz_span_str(cases[i].kind)) && pub.r.receipt.size == 0);
        CCZ_AUTO(ccz_pkey) k = NULL;
        const struct ccz_sign_how how = {.hash = i == 1 ? CCZ_SHA384 : CCZ_SHA256};
        CHECK(ccz_pkey_from_spki(&k, pub.r.value, NULL) == CCZ_OK);
        CHECK(ccz_pkey_verify(k, &how, ccz_span_str("contract"), g.r.value, NULL) == CCZ_OK);
    }
    struct cczi_msg_use_req m = {.key = ccz_span_str("ecdsa-p256"),
                                 .text = ccz_span_str("contract"),
                                 .form = ccz_span_str("der")};
    IS(use(&g, s, "Sign", cczi_msg_sign_req, &m), CCZ_OK, "");
    CHECK(g.r.value.ptr[0] == 0x30);
    m.form = ccz_span_str("asn1");
    IS(use(&g, s, "Sign", cczi_msg_sign_req, &m), CCZ_E_FORMAT, "kms:key-form");
    m.form.size = 0;
    m.hash = ccz_span_str("md5");
    IS(use(&g, s, "Sign", cczi_msg_sign_req, &m), CCZ_E_FORMAT, "kms:key-hash");
    m.hash.size = 0;
    m.padding = ccz_span_str("none");
    IS(use(&g, s, "Sign", cczi_msg_sign_req, &m), CCZ_E_FORMAT, "kms:key-padding");
    m.padding.size = 0;
    m.prehashed = 1; /* eight bytes are no hash */
    IS(use(&g, s, "Sign", cczi_msg_sign_req, &m), CCZ_E_FORMAT, "pkey:digest-size");
    use_got_deinit(&g);
    use_got_deinit(&back);
    use_got_deinit(&pub);
    checked(s);
}

/* ------------------------------------------------------------------------------- who */

/* Each method of keys: who may, and how it ends for them ("" = it is done; else behind all that asks who they are). */
enum need { OPERATOR, AUDITOR, WORKLOAD, READER };
static const struct who {
    const char *method;
    enum need need;
    const char *end;
    const char *key; /* or name */
    const struct cczi_msg_field *fields;
} who_methods[] = {
    {"Generate", OPERATOR, "", "new", cczi_msg_generate_req},
    {"ImportToken", OPERATOR, "kms:exists", "k", cczi_msg_import_token_req},
    {"Import", OPERATOR, "kms:exists", "k", cczi_msg_import_req},
    {"Rotate", OPERATOR, "", "k", cczi_msg_rotate_req},
    {"SetMinimum", OPERATOR, "", "k", cczi_msg_set_minimum_req},
    {"SetPeriod", OPERATOR, "", "k", cczi_msg_set_period_req},
    {"SetExpiry", OPERATOR, "", "k", cczi_msg_set_expiry_req},
    {"KeyInfo", AUDITOR, "", "k", cczi_msg_rotate_req},
    {"Encrypt", WORKLOAD, "", "k", cczi_msg_encrypt_req},
    {"Decrypt", WORKLOAD, "kms:key-decrypt", "k", cczi_msg_decrypt_req},
    {"DataKey", WORKLOAD, "", "k", cczi_msg_data_key_req},
    {"Rewrap", WORKLOAD, "kms:key-decrypt", "k", cczi_msg_rewrap_req},
    {"Wrap", WORKLOAD, "", "k", cczi_msg_wrap_req},
    {"Unwrap", WORKLOAD, "kms:key-unwrap", "k", cczi_msg_unwrap_req},
    {"Derive", WORKLOAD, "", "k", cczi_msg_derive_req},
    {"Hmac", WORKLOAD, "", "mac", cczi_msg_hmac_req},
    {"HmacVerify", WORKLOAD, "kms:key-mac", "mac", cczi_msg_hmac_verify_req},
    {"Sign", WORKLOAD, "", "pair", cczi_msg_sign_req},
    {"Verify", WORKLOAD, "pkey:signature", "pair", cczi_msg_verify_req},
    {"IssueCertificate", WORKLOAD, "x509:csr", "ca", cczi_msg_issue_req},
    {"PublicKey", READER, "", "pair", cczi_msg_public_key_req},
};
enum { WHO_METHODS = sizeof(who_methods) / sizeof(who_methods[0]) };

/* A request of that method; the caller frees it. */
static void who_request(struct ccz_buf *body, const struct who *w)
{
    const struct cczi_msg_key_req key = {.name = ccz_span_str(w->key),
                                         .kind = ccz_span_str("aes-256-gcm"),
                                         .token = ccz_span_str("t")};
    const struct cczi_msg_key_set_req set = {.name = ccz_span_str(w->key), .min_decrypt = 1};
    const struct cczi_msg_use_req use = {.key = ccz_span_str(w->key),
                                         .aad = ccz_span_str("context"),
                                         .text = ccz_span_str("0123456789abcdef"),
                                         .sealed = ccz_span_str("ccz1:1:AQID"),
                                         .proof = ccz_span_str("0123456789abcdef01234567")};
    const struct cczi_msg_issue_req issue = {.key = ccz_span_str(w->key),
                                             .names = ccz_span_str("als.example"),
                                             .csr = ccz_span_str("no request")};
    const void *msg = w->fields == cczi_msg_issue_req            ? (const void *)&issue
                      : w->need == WORKLOAD || w->need == READER ? (const void *)&use
                      : w - who_methods < 3                      ? (const void *)&key
                                                                 : (const void *)&set;
    ccz_buf_init(body, CCZ_KMS_MESSAGE_SIZE_MAX);
    cczi_msg_put(body, w->fields, msg);
}

static ccz_rc who_call(struct ccz_buf *out, struct ccz_kms_store *s, const struct who *w,
                       enum fix_who who)
{
    struct ccz_buf body;
    who_request(&body, w);
    use_err = (struct ccz_err){0};
    ccz_rc rc = fix_call(out, s, who, w->method, ccz_buf_span(&body), &use_err);
    ccz_buf_free(&body);
    return rc;
}

/* Requests cut at each byte, and with each byte changed: an answer or a reason, and a store that checks. */
static void test_malformed(void)
{
    struct ccz_kms_store *s = store();
    IS(use_make(s, "k", "aes-256-gcm", NULL, "server"), CCZ_OK, "");
    IS(use_make(s, "mac", "hmac-sha256", NULL, "server"), CCZ_OK, "");
    IS(use_make(s, "pair", "ecdsa-p256", NULL, "server"), CCZ_OK, "");
    IS(use_make_ca(s, "ca", "als.example", "server"), CCZ_OK, "");
    for (size_t i = 0; i < WHO_METHODS; i++) {
        const struct who *w = &who_methods[i];
        enum fix_who who = w->need == WORKLOAD ? FIX_WORKLOAD : FIX_ADMIN;
        struct ccz_buf body;
        who_request(&body, w);
        for (size_t cut = 0; cut < body.size; cut++) {
            struct ccz_err err = {0};
            ccz_rc rc = fix_call(NULL, s, who, w->method, CCZ_SPAN(body.ptr, cut), &err);
            CHECK(rc == CCZ_OK || (err.where[0] && err.rc == rc));
            body.ptr[cut] ^= 0x55;
            rc = fix_call(NULL, s, who, w->method, ccz_buf_span(&body), &err);
            CHECK(rc == CCZ_OK || err.where[0]);
            body.ptr[cut] ^= 0x55;
        }
        ccz_buf_free(&body);
        (void)fix_check(s);
    }
    checked(s);
}

/* Where a call ends by who asks. NULL = where it ends for those who may. */
static const char *const who_ends[4][FIX_WHO_LEN] = {
    [OPERATOR] = {NULL, "kms:role", "kms:admin-unknown", "kms:admin-required", "kms:admin-required",
                  "kms:admin-required"},
    [AUDITOR] = {NULL, NULL, "kms:admin-unknown", "kms:admin-required", "kms:admin-required",
                 "kms:admin-required"},
    [WORKLOAD] = {"kms:workload-required", "kms:workload-required", "kms:workload-required", NULL,
                  "kms:evidence-stale", "kms:workload-required"},
    [READER] = {NULL, NULL, "kms:workload-required", NULL, "kms:evidence-stale",
                "kms:workload-required"},
};

static void test_who(void)
{
    struct ccz_buf out;
    size_t of_keys = 0;
    ccz_buf_init(&out, CCZ_KMS_MESSAGE_SIZE_MAX);
    for (size_t i = 0; i < WHO_METHODS * FIX_WHO_LEN; i++) {
        const struct who *w = &who_methods[i / FIX_WHO_LEN];
        enum fix_who who = (enum fix_who)(i % FIX_WHO_LEN);
        char path[64];
        struct ccz_kms_store *s = store();
        IS(use_make(s, "k", "aes-256-gcm", NULL, "server"), CCZ_OK, "");
        IS(use_make(s, "mac", "hmac-sha256", NULL, "server"), CCZ_OK, "");
        IS(use_make(s, "pair", "ecdsa-p256", NULL, "server"), CCZ_OK, "");
        IS(use_make_ca(s, "ca", "als.example", "server"), CCZ_OK, "");
        (void)snprintf(path, sizeof(path), "%s%s", CCZI_KMS_SERVICE, w->method);
        const struct cczi_kms_method *m = cczi_kms_method_find(path);
        CHECK(m);
        of_keys += who == 0;
        uint64_t before = fix_check(s).audit_lines;
        const char *end = who_ends[w->need][who] ? who_ends[w->need][who] : w->end;
        ccz_rc rc = who_call(&out, s, w, who);
        if (strcmp(use_err.where, end) != 0 || (rc == CCZ_OK) != (*end == 0))
            fprintf(stderr, "%s by %u ends at \"%s\" (%s), expected \"%s\"\n", w->method, who,
                    use_err.where, use_err.msg, end);
        CHECK(strcmp(use_err.where, end) == 0 && (rc == CCZ_OK) == (*end == 0));
        CHECK(fix_check(s).audit_lines == before + (rc != CCZ_OK || m->recorded));
        ccz_kms_store_free(s);
    }
    const struct cczi_kms_method *first = cczi_kms_method_find(CCZI_KMS_SERVICE "Generate"),
                                 *last = cczi_kms_method_find(CCZI_KMS_SERVICE "PublicKey");
    CHECK((size_t)(last - first) + 1 == of_keys); /* none is forgotten */
    ccz_buf_free(&out);
}

/* A binding of one operation says nothing of another. */
static void test_by_operation(void)
{
    struct ccz_kms_store *s = store();
    char sealed[ROOM];
    IS(use_make(s, "k", "aes-256-gcm", NULL, NULL), CCZ_OK, "");
    IS(use_encrypt(sealed, ROOM, s, "k", "x"), CCZ_E_DENIED, "kms:unbound");
    IS(use_bind(s, "k", "encrypt", "server"), CCZ_OK, "");
    IS(use_encrypt(sealed, ROOM, s, "k", "x"), CCZ_OK, "");
    IS(use_decrypt(s, "k", sealed, "x"), CCZ_E_DENIED, "kms:unbound");
    IS(use_bind(s, "k", "decrypt", "other"), CCZ_OK, "");
    IS(use_decrypt(s, "k", sealed, "x"), CCZ_E_POLICY, "policy:mrenclave");
    /* the default decides what has no binding of its own, and nothing else */
    IS(use_bind(s, "k", NULL, "server"), CCZ_OK, "");
    IS(use_decrypt(s, "k", sealed, "x"), CCZ_E_POLICY, "policy:mrenclave");
    IS(use_bind(s, "k", "decrypt", NULL), CCZ_OK, "");
    IS(use_decrypt(s, "k", sealed, "x"), CCZ_OK, "");
    IS(use_bind(s, "k", "decrypt", NULL), CCZ_E_NOT_FOUND, "kms:not-found");
    IS(use_bind(s, "k", NULL, "other"), CCZ_OK, "");
    IS(use_decrypt(s, "k", sealed, "x"), CCZ_E_POLICY, "policy:mrenclave");
    IS(use_encrypt(sealed, ROOM, s, "k", "x"), CCZ_OK, "");
    /* what no binding can be of */
    IS(use_bind(s, "k", "sign", "server"), CCZ_E_DENIED, "kms:key-usage");
    IS(use_bind(s, "k", "encrypt,decrypt", "server"), CCZ_E_FORMAT, "kms:key-op-name");
    IS(use_bind(s, "k", "release", "server"), CCZ_E_FORMAT, "kms:key-op-name");
    IS(use_bind(s, "k", "fly", "server"), CCZ_E_FORMAT, "kms:key-op-name");
    IS(use_bind(s, "model", "encrypt", "server"), CCZ_E_UNSUPPORTED, "kms:key-unmanaged");
    IS(use_bind(s, "k", "encrypt", "absent"), CCZ_E_NOT_FOUND, "kms:not-found");
    /* a policy that only one operation uses is in use */
    const struct cczi_msg_delete_req del = {.target = ccz_span_str("policy/server")};
    IS(use_bind(s, "k", "wrap", "server"), CCZ_OK, "");
    IS(fix_msg(NULL, s, FIX_ADMIN, "Delete", cczi_msg_delete_req, &del, &use_err), CCZ_E_DENIED,
       "kms:policy-in-use");
    checked(s);
}

/* Without evidence, or with evidence of another session, nobody uses a key that was not made for that. */
static void test_unattested(void)
{
    struct ccz_kms_store *s = store();
    struct use_got g;
    uint8_t spki[32];
    use_got_init(&g);
    fix_spki(spki, FIX_STRANGER);
    CHECK(ccz_kms_store_set_admin(s, spki, CCZ_KMS_ROLE_CLIENT, FIX_NOW, NULL) == CCZ_OK);
    const struct cczi_msg_key_req open = {.name = ccz_span_str("open"),
                                          .kind = ccz_span_str("aes-256-gcm"),
                                          .unattested_insecure = 1};
    IS(use_make_at(s, &open, FIX_NOW), CCZ_OK, "");
    IS(use_make(s, "closed", "aes-256-gcm", NULL, "server"), CCZ_OK, "");
    struct cczi_msg_use_req m = {.key = ccz_span_str("open"), .text = ccz_span_str("x")};
    IS(use_at(&g, s, FIX_STRANGER, "Encrypt", cczi_msg_encrypt_req, &m, FIX_NOW), CCZ_OK, "");
    /* roles that are not `client`; nobody; evidence of another session, with the client's key */
    IS(use_at(&g, s, FIX_ADMIN, "Encrypt", cczi_msg_encrypt_req, &m, FIX_NOW), CCZ_E_DENIED,
       "kms:workload-required");
    IS(use_at(&g, s, FIX_NOBODY, "Encrypt", cczi_msg_encrypt_req, &m, FIX_NOW), CCZ_E_DENIED,
       "kms:workload-required");
    IS(use_at(&g, s, FIX_STALE, "Encrypt", cczi_msg_encrypt_req, &m, FIX_NOW), CCZ_E_DENIED,
       "kms:evidence-stale");
    /* evidence is judged, also where none is needed */
    IS(use_at(&g, s, FIX_WORKLOAD, "Encrypt", cczi_msg_encrypt_req, &m, FIX_NOW), CCZ_E_DENIED,
       "kms:unbound");
    m.key = ccz_span_str("closed");
    IS(use_at(&g, s, FIX_STRANGER, "Encrypt", cczi_msg_encrypt_req, &m, FIX_NOW), CCZ_E_DENIED,
       "kms:key-unattested");
    CHECK(use_err.hint[0]);
    /* and it is a client of uses alone */
    IS(fix_release(NULL, s, FIX_STRANGER, "key/open", 0, &use_err), CCZ_E_DENIED,
       "kms:workload-required");
    const struct cczi_msg_key_set_req rotate = {.name = ccz_span_str("open")};
    IS(fix_msg(NULL, s, FIX_STRANGER, "Rotate", cczi_msg_rotate_req, &rotate, &use_err),
       CCZ_E_DENIED, "kms:role");
    use_got_deinit(&g);
    checked(s);
}

/* A client is one where it was made one. */
static void test_namespaces(void)
{
    struct ccz_kms_store *s = store();
    struct use_got g;
    use_got_init(&g);
    struct ccz_kms_grant grant = {.ns = "vault", .roles = CCZ_KMS_ROLE_CLIENT};
    fix_spki(grant.principal, FIX_STRANGER);
    CHECK(ccz_kms_store_grant(s, &grant, FIX_NOW, NULL) == CCZ_OK);
    static const char *const names[] = {"vault/k", "other/k", "k"};
    for (size_t i = 0; i < 3; i++) {
        const struct cczi_msg_key_req m = {.name = fix_str(names[i]),
                                           .kind = ccz_span_str("aes-256-gcm"),
                                           .unattested_insecure = 1};
        const struct cczi_msg_use_req u = {.key = fix_str(names[i]), .text = ccz_span_str("x")};
        IS(use_make_at(s, &m, FIX_NOW), CCZ_OK, "");
        IS(use_at(&g, s, FIX_STRANGER, "Encrypt", cczi_msg_encrypt_req, &u, FIX_NOW),
           i ? CCZ_E_DENIED : CCZ_OK, "kms:workload-required");
    }
    use_got_deinit(&g);
    checked(s);
}

enum { ANNE = 0x60, BOB };

/* A call by a pinned key of its own. */
static ccz_rc call_by(struct ccz_buf *out, struct ccz_kms_store *s, int who, const char *method,
                      const struct cczi_msg_field *fields, const void *msg)
{
    struct ccz_ratls_peer peer = {.pinned = true};
    struct ccz_buf body;
    memset(peer.spki_sha256, who, 32);
    ccz_buf_init(&body, CCZ_KMS_MESSAGE_SIZE_MAX);
    cczi_msg_put(&body, fields, msg);
    use_err = (struct ccz_err){0};
    ccz_rc rc = fix_call_as(out, s, &peer, method, ccz_buf_span(&body), &use_err);
    ccz_buf_free(&body);
    return rc;
}

/* Where approvals are needed nobody alone makes a key that may leave, or one that is used without evidence, or says who uses what. What
 * was approved may take long to make, too. */
static void test_guarded(void)
{
    struct ccz_kms_store *s = store();
    struct ccz_buf out, body;
    struct cczi_msg_propose_resp p = {0};
    ccz_buf_init(&out, CCZ_KMS_MESSAGE_SIZE_MAX);
    ccz_buf_init(&body, CCZ_KMS_MESSAGE_SIZE_MAX);
    struct ccz_kms_grant anne = {.ns = "pay", .roles = CCZ_KMS_ROLE_AUTHOR | CCZ_KMS_ROLE_OPERATOR},
                         bob = {.ns = "pay", .roles = CCZ_KMS_ROLE_APPROVER};
    memset(anne.principal, ANNE, 32);
    memset(bob.principal, BOB, 32);
    CHECK(ccz_kms_store_grant(s, &anne, FIX_NOW, NULL) == CCZ_OK &&
          ccz_kms_store_grant(s, &bob, FIX_NOW, NULL) == CCZ_OK);
    CHECK(ccz_kms_store_set_quorum(s, "pay", 1, FIX_NOW, NULL) == CCZ_OK);
    struct cczi_msg_key_req m = {.name = ccz_span_str("pay/out"),
                                 .kind = ccz_span_str("rsa-2048"),
                                 .ops = ccz_span_str("sign,export"),
                                 .exportable = 1};
    IS(call_by(NULL, s, ANNE, "Generate", cczi_msg_generate_req, &m), CCZ_E_DENIED,
       "kms:approval-needed");
    IS(call_by(NULL, s, ANNE, "ImportToken", cczi_msg_import_token_req, &m), CCZ_E_DENIED,
       "kms:approval-needed");
    IS(call_by(NULL, s, ANNE, "Import", cczi_msg_import_req, &m), CCZ_E_DENIED,
       "kms:approval-needed");
    m.exportable = 0;
    m.unattested_insecure = 1;
    IS(call_by(NULL, s, ANNE, "Generate", cczi_msg_generate_req, &m), CCZ_E_DENIED,
       "kms:approval-needed");
    const struct cczi_msg_key_req plain = {.name = ccz_span_str("pay/k"),
                                           .kind = ccz_span_str("aes-256-gcm")};
    IS(call_by(NULL, s, ANNE, "Generate", cczi_msg_generate_req, &plain), CCZ_OK, "");
    struct cczi_msg_bind_req bind = {.item = ccz_span_str("key/pay/k"),
                                     .op = ccz_span_str("encrypt")};
    IS(call_by(NULL, s, ANNE, "Bind", cczi_msg_bind_req, &bind), CCZ_E_DENIED,
       "kms:approval-needed");
    /* proposed and approved: made once, by the approval */
    m.exportable = 1;
    m.unattested_insecure = 0;
    m.expires_s = FIX_NOW + 1000;
    cczi_msg_put(&body, cczi_msg_generate_req, &m);
    const struct cczi_msg_propose_req propose = {.method = ccz_span_str("Generate"),
                                                 .body = ccz_buf_span(&body)};
    IS(call_by(&out, s, ANNE, "Propose", cczi_msg_propose_req, &propose), CCZ_OK, "");
    CHECK(cczi_msg_get(&p, cczi_msg_propose_resp, ccz_buf_span(&out), NULL) == CCZ_OK);
    CHECK(fix_check(s).keys == 1);
    uint8_t sha256[32];
    memcpy(sha256, p.sha256.ptr, sizeof(sha256)); /* it lies in `out` */
    struct ccz_kms_proposal shown = {.body = propose.body};
    (void)snprintf(shown.method, sizeof(shown.method), "Generate");
    ccz_buf_clear(&out);
    ccz_kms_proposal_print(&out, &shown);
    CHECK(strcmp(ccz_buf_str(&out), "Generate key=pay/out kind=rsa-2048 ops=sign,export EXPORTABLE "
                                    "expires_s=1700001000 rotate_every_s=0") == 0);
    uint64_t before = fix_check(s).audit_lines;
    const struct cczi_msg_approve_req approve = {.id = p.id, .sha256 = CCZ_SPAN(sha256, 32)};
    IS(call_by(NULL, s, BOB, "Approve", cczi_msg_approve_req, &approve), CCZ_OK, "");
    CHECK(fix_check(s).keys == 2 && fix_check(s).audit_lines == before + 2);
    CHECK(use_meta(s, "pay/out").exportable && use_meta(s, "pay/out").latest == 1);
    /* until when it may leave was agreed on, too: nobody alone makes that longer */
    struct cczi_msg_key_set_req end = {.name = m.name, .expires_s = FIX_NOW + 500};
    IS(call_by(NULL, s, ANNE, "SetExpiry", cczi_msg_set_expiry_req, &end), CCZ_OK, "");
    static const uint64_t longer[] = {FIX_NOW + 501, FIX_NOW + 1000, 0};
    for (size_t i = 0; i < sizeof(longer) / sizeof(longer[0]); i++) {
        end.expires_s = longer[i];
        IS(call_by(NULL, s, ANNE, "SetExpiry", cczi_msg_set_expiry_req, &end), CCZ_E_DENIED,
           "kms:approval-needed");
    }
    CHECK(use_meta(s, "pay/out").expires_s == FIX_NOW + 500);
    end.name = plain.name; /* one that neither leaves nor is used without evidence */
    IS(call_by(NULL, s, ANNE, "SetExpiry", cczi_msg_set_expiry_req, &end), CCZ_OK, "");
    end.name = m.name;
    ccz_buf_clear(&body);
    cczi_msg_put(&body, cczi_msg_set_expiry_req, &end);
    const struct cczi_msg_propose_req never = {.method = ccz_span_str("SetExpiry"),
                                               .body = ccz_buf_span(&body)};
    IS(call_by(&out, s, ANNE, "Propose", cczi_msg_propose_req, &never), CCZ_OK, "");
    p = (struct cczi_msg_propose_resp){0};
    CHECK(cczi_msg_get(&p, cczi_msg_propose_resp, ccz_buf_span(&out), NULL) == CCZ_OK);
    memcpy(sha256, p.sha256.ptr, sizeof(sha256));
    shown.body = never.body;
    (void)snprintf(shown.method, sizeof(shown.method), "SetExpiry");
    ccz_buf_clear(&out);
    ccz_kms_proposal_print(&out, &shown);
    CHECK(strcmp(ccz_buf_str(&out), "SetExpiry key=pay/out expires never expires_s=0") == 0);
    const struct cczi_msg_approve_req agree = {.id = p.id, .sha256 = CCZ_SPAN(sha256, 32)};
    IS(call_by(NULL, s, BOB, "Approve", cczi_msg_approve_req, &agree), CCZ_OK, "");
    CHECK(use_meta(s, "pay/out").expires_s == 0);
    ccz_buf_free(&out);
    ccz_buf_free(&body);
    checked(s);
}

/* ----------------------------------------------------------------------------- state */

/* The kind cannot, and this key may not: both, whatever the policy says. */
static void test_usage(void)
{
    struct ccz_kms_store *s = store();
    struct use_got g;
    use_got_init(&g);
    IS(use_make(s, "aead", "aes-256-gcm", "encrypt", "server"), CCZ_OK, "");
    IS(use_make(s, "pair", "ecdsa-p256", "sign", "server"), CCZ_OK, "");
    struct cczi_msg_use_req m = {.key = ccz_span_str("aead"), .text = ccz_span_str("x")};
    IS(use(&g, s, "Sign", cczi_msg_sign_req, &m), CCZ_E_UNSUPPORTED, "kms:key-op");
    IS(use(&g, s, "Wrap", cczi_msg_wrap_req, &m), CCZ_E_DENIED, "kms:key-usage");
    m.key = ccz_span_str("pair");
    IS(use(&g, s, "Encrypt", cczi_msg_encrypt_req, &m), CCZ_E_UNSUPPORTED, "kms:key-op");
    m.proof = ccz_span_str("no signature");
    IS(use(&g, s, "Verify", cczi_msg_verify_req, &m), CCZ_E_DENIED, "kms:key-usage");
    m.key = ccz_span_str("model"); /* released, not used */
    IS(use(&g, s, "Encrypt", cczi_msg_encrypt_req, &m), CCZ_E_UNSUPPORTED, "kms:key-unmanaged");
    m.key = ccz_span_str("absent");
    IS(use(&g, s, "Encrypt", cczi_msg_encrypt_req, &m), CCZ_E_NOT_FOUND, "kms:not-found");
    m.key = ccz_span_str("a b");
    IS(use(&g, s, "Encrypt", cczi_msg_encrypt_req, &m), CCZ_E_FORMAT, "kms:name");
    use_got_deinit(&g);
    checked(s);
}

static void test_versions(void)
{
    struct ccz_kms_store *s = store();
    char one[ROOM], two[ROOM], three[ROOM];
    IS(use_make(s, "k", "aes-256-gcm", NULL, "server"), CCZ_OK, "");
    IS(use_encrypt(one, ROOM, s, "k", "1"), CCZ_OK, "");
    IS(use_rotate(s, "k"), CCZ_OK, "");
    IS(use_encrypt(two, ROOM, s, "k", "2"), CCZ_OK, "");
    CHECK(strncmp(two, "ccz1:2:", 7) == 0);
    IS(use_encrypt_at(three, ROOM, s, "k", 1, NULL, "x", FIX_NOW), CCZ_E_DENIED,
       "kms:key-version-old");
    IS(use_encrypt_at(three, ROOM, s, "k", 9, NULL, "x", FIX_NOW), CCZ_E_NOT_FOUND,
       "kms:key-version");
    IS(use_rotate(s, "k"), CCZ_OK, "");
    IS(use_encrypt(three, ROOM, s, "k", "3"), CCZ_OK, "");
    /* one version disabled, deleted, destroyed: the others go on */
    IS(use_change(s, "Disable", "k", 1, FIX_NOW), CCZ_OK, "");
    IS(use_decrypt(s, "k", one, "1"), CCZ_E_DENIED, "kms:key-version-disabled");
    IS(use_decrypt(s, "k", two, "2"), CCZ_OK, "");
    IS(use_change(s, "Enable", "k", 1, FIX_NOW), CCZ_OK, "");
    IS(use_decrypt(s, "k", one, "1"), CCZ_OK, "");
    IS(use_delete(s, "k", 1, FIX_NOW), CCZ_OK, "");
    IS(use_decrypt(s, "k", one, "1"), CCZ_E_DENIED, "kms:deleted");
    IS(use_change(s, "Destroy", "k", 1, FIX_NOW + 86400), CCZ_E_DENIED, "kms:recovery-window");
    IS(use_change(s, "Destroy", "k", 1, FIX_NOW + 7 * 86400), CCZ_OK, "");
    IS(use_decrypt(s, "k", one, "1"), CCZ_E_DENIED, "kms:key-version-gone");
    /* below the minimum */
    struct cczi_msg_key_set_req min = {.name = ccz_span_str("k"), .min_decrypt = 3};
    IS(use_set_at(s, "SetMinimum", cczi_msg_set_minimum_req, &min, FIX_NOW), CCZ_OK, "");
    IS(use_decrypt(s, "k", two, "2"), CCZ_E_DENIED, "kms:key-version-old");
    IS(use_decrypt(s, "k", three, "3"), CCZ_OK, "");
    min.min_decrypt = 2;
    min.min_encrypt = 2;
    IS(use_set_at(s, "SetMinimum", cczi_msg_set_minimum_req, &min, FIX_NOW), CCZ_OK, "");
    IS(use_decrypt(s, "k", two, "2"), CCZ_OK, "");
    IS(use_encrypt_at(three, ROOM, s, "k", 2, NULL, "x", FIX_NOW), CCZ_OK, "");
    min.min_decrypt = 4;
    IS(use_set_at(s, "SetMinimum", cczi_msg_set_minimum_req, &min, FIX_NOW), CCZ_E_ARG,
       "kms:key-minimum");
    checked(s);
}

/* The whole key: disabled, expired, deleted, destroyed. */
static void test_whole_key(void)
{
    struct ccz_kms_store *s = store();
    char sealed[ROOM], more[ROOM];
    const int64_t day_s = 86400;
    IS(use_make(s, "k", "aes-256-gcm", NULL, "server"), CCZ_OK, "");
    IS(use_bind(s, "k", "decrypt", "server"), CCZ_OK, "");
    IS(use_encrypt(sealed, ROOM, s, "k", "x"), CCZ_OK, "");
    IS(use_rotate(s, "k"), CCZ_OK, "");
    IS(use_change(s, "Disable", "k", 0, FIX_NOW), CCZ_OK, "");
    IS(use_change(s, "Disable", "k", 0, FIX_NOW), CCZ_E_MISMATCH, "kms:no-change");
    IS(use_decrypt(s, "k", sealed, "x"), CCZ_E_DENIED, "kms:key-disabled");
    IS(use_rotate(s, "k"), CCZ_E_DENIED, "kms:key-disabled");
    IS(use_change(s, "Enable", "k", 0, FIX_NOW), CCZ_OK, "");
    IS(use_decrypt(s, "k", sealed, "x"), CCZ_OK, "");
    /* an expired key makes nothing new; what it made can be read */
    struct cczi_msg_key_set_req expiry = {.name = ccz_span_str("k"), .expires_s = FIX_NOW + 10};
    IS(use_set_at(s, "SetExpiry", cczi_msg_set_expiry_req, &expiry, FIX_NOW), CCZ_OK, "");
    IS(use_encrypt_at(more, ROOM, s, "k", 0, NULL, "x", FIX_NOW + 10), CCZ_E_EXPIRED,
       "kms:key-expired");
    IS(use_decrypt_at(s, "k", NULL, sealed, "x", FIX_NOW + 10), CCZ_OK, "");
    expiry.expires_s = FIX_NOW;
    IS(use_set_at(s, "SetExpiry", cczi_msg_set_expiry_req, &expiry, FIX_NOW), CCZ_E_ARG,
       "kms:key-expiry");
    expiry.expires_s = 0;
    IS(use_set_at(s, "SetExpiry", cczi_msg_set_expiry_req, &expiry, FIX_NOW), CCZ_OK, "");
    /* deleted: a week in which it does nothing and comes back as it was */
    IS(use_change(s, "Destroy", "k", 0, FIX_NOW), CCZ_E_DENIED, "kms:key-not-deleting");
    IS(use_delete(s, "k", 0, FIX_NOW), CCZ_OK, "");
    IS(use_delete(s, "k", 0, FIX_NOW), CCZ_E_DENIED, "kms:key-deleting");
    IS(use_decrypt(s, "k", sealed, "x"), CCZ_E_DENIED, "kms:key-deleting");
    IS(use_rotate(s, "k"), CCZ_E_DENIED, "kms:key-deleting");
    IS(use_change(s, "Destroy", "k", 0, FIX_NOW + 7 * day_s - 1), CCZ_E_DENIED, "kms:key-early");
    IS(use_change(s, "Undelete", "k", 0, FIX_NOW + 7 * day_s + 1), CCZ_OK, "");
    IS(use_change(s, "Undelete", "k", 0, FIX_NOW), CCZ_E_DENIED, "kms:key-not-deleting");
    IS(use_decrypt(s, "k", sealed, "x"), CCZ_OK, "");
    uint64_t before = fix_check(s).bindings;
    IS(use_delete(s, "k", 0, FIX_NOW), CCZ_OK, "");
    IS(use_change(s, "Destroy", "k", 0, FIX_NOW + 7 * day_s), CCZ_OK, "");
    CHECK(fix_check(s).keys == 0 && fix_check(s).bindings == before - 2);
    IS(use_decrypt(s, "k", sealed, "x"), CCZ_E_NOT_FOUND, "kms:not-found");
    /* one of the same name starts anew: bound to nothing, and with other material */
    IS(use_make(s, "k", "aes-256-gcm", NULL, NULL), CCZ_OK, "");
    IS(use_decrypt(s, "k", sealed, "x"), CCZ_E_DENIED, "kms:unbound");
    IS(use_bind(s, "k", NULL, "server"), CCZ_OK, "");
    IS(use_decrypt(s, "k", sealed, "x"), CCZ_E_SIG, "kms:key-decrypt");
    checked(s);
}

/* The entry of a list for a key. */
static struct cczi_msg_item listed(struct ccz_kms_store *s, struct ccz_buf *out, const char *item)
{
    const struct cczi_msg_name from = {0};
    struct cczi_msg_item m = {0};
    CHECK(fix_msg(out, s, FIX_ADMIN, "List", cczi_msg_name, &from, &use_err) == CCZ_OK);
    struct ccz_rd r = ccz_rd_from(ccz_buf_span(out));
    struct ccz_pb_field f;
    while (ccz_pb_next(&f, &r) && !ccz_span_eq(m.item, ccz_span_str(item))) {
        m = (struct cczi_msg_item){0};
        CHECK(f.number != CCZI_MSG_REPEATED ||
              cczi_msg_get(&m, cczi_msg_item, f.bytes, NULL) == CCZ_OK);
    }
    return m;
}

/* Lists show what is true of a whole key. */
static void test_listed(void)
{
    struct ccz_kms_store *s = store();
    struct ccz_buf out;
    ccz_buf_init(&out, CCZ_KMS_MESSAGE_SIZE_MAX);
    IS(use_make(s, "k", "ed25519", NULL, "server"), CCZ_OK, "");
    struct cczi_msg_item m = listed(s, &out, "key/k");
    CHECK(m.version == 1 && ccz_span_eq(m.alg, ccz_span_str("ed25519")) && !m.disabled &&
          !m.delete_after_s);
    IS(use_change(s, "Disable", "k", 0, FIX_NOW), CCZ_OK, "");
    IS(use_delete(s, "k", 0, FIX_NOW), CCZ_OK, "");
    m = listed(s, &out, "key/k");
    CHECK(m.disabled && m.delete_after_s == FIX_NOW + 7 * 86400);
    m = listed(s, &out, "key/model");
    CHECK(m.version == 1 && !m.disabled && !m.delete_after_s);
    ccz_buf_free(&out);
    checked(s);
}

/* A key that works inside stays there, unless it was made to leave. */
static void test_export(void)
{
    struct ccz_kms_store *s = store();
    struct ccz_buf out;
    ccz_buf_init(&out, CCZ_KMS_MESSAGE_SIZE_MAX);
    struct cczi_msg_key_req m = {.name = ccz_span_str("may"),
                                 .kind = ccz_span_str("aes-256-gcm"),
                                 .exportable = 1,
                                 .policy = ccz_span_str("server")};
    IS(use_make(s, "stays", "aes-256-gcm", NULL, "server"), CCZ_OK, "");
    IS(use_make_at(s, &m, FIX_NOW), CCZ_OK, "");
    IS(fix_release(&out, s, FIX_WORKLOAD, "key/stays", 0, &use_err), CCZ_E_DENIED,
       "kms:key-export");
    CHECK(out.size == 0);
    IS(fix_release(&out, s, FIX_WORKLOAD, "key/may", 0, &use_err), CCZ_OK, "");
    struct cczi_msg_release_resp r = {0};
    CHECK(cczi_msg_get(&r, cczi_msg_release_resp, ccz_buf_span(&out), NULL) == CCZ_OK);
    CHECK(r.value.size == 32 && ccz_span_eq(r.alg, ccz_span_str("aes-256-gcm")));
    /* the policy of "export" decides, not the one of other operations */
    IS(use_bind(s, "may", "export", "other"), CCZ_OK, "");
    IS(fix_release(&out, s, FIX_WORKLOAD, "key/may", 0, &use_err), CCZ_E_POLICY,
       "policy:mrenclave");
    IS(use_bind(s, "may", "export", "server"), CCZ_OK, "");
    IS(use_change(s, "Disable", "may", 0, FIX_NOW), CCZ_OK, "");
    IS(fix_release(&out, s, FIX_WORKLOAD, "key/may", 0, &use_err), CCZ_E_DENIED,
       "kms:key-disabled");
    ccz_buf_free(&out);
    checked(s);
}

/* ------------------------------------------------------------------------- the record */

static char g_log[1 << 16];
static void keep_log(void *arg, enum ccz_log_level level, const char *module, const char *line)
{
    (void)arg;
    (void)level;
    (void)module;
    size_t n = strlen(g_log);
    (void)snprintf(g_log + n, sizeof(g_log) - n, "%s\n", line);
}

/* Whether any audit line has that text. */
static bool on_record(struct ccz_kms_store *s, const char *text)
{
    bool found = false;
    CHECK(cczi_kms_begin_read(s, NULL) == CCZ_OK);
    struct cczi_q q = cczi_q_start(&s->db, CCZI_SQL_AUDIT_FROM);
    cczi_q_int(&q, 0);
    cczi_q_int(&q, 1000);
    while (cczi_q_row(&q)) {
        struct ccz_span e = cczi_q_col(&q, 2);
        found = found || memmem(e.ptr, e.size, text, strlen(text)) != NULL;
    }
    CHECK(cczi_q_end(&q, NULL) == CCZ_OK);
    cczi_kms_rollback(s);
    return found;
}

/* Each use leaves a line that says who, what, which version and by which policy; and no values, neither there nor in the log. */
static void test_record(void)
{
    struct ccz_kms_store *s = store();
    struct use_got g;
    char sealed[ROOM];
    use_got_init(&g);
    ccz_log_install(keep_log, NULL, CCZ_LOG_DEBUG);
    IS(use_make(s, "k", "aes-256-gcm", NULL, "server"), CCZ_OK, "");
    IS(use_encrypt_at(sealed, ROOM, s, "k", 0, "aad-marker", "text-marker", FIX_NOW), CCZ_OK, "");
    IS(use_decrypt_at(s, "k", "aad-marker", sealed, "text-marker", FIX_NOW), CCZ_OK, "");
    CHECK(use_decrypt_at(s, "k", "wrong-marker", sealed, "", FIX_NOW) == CCZ_E_SIG);
    CHECK(use_decrypt_at(s, "k", "aad-marker", "ccz1:1:bad-marker!", "", FIX_NOW) == CCZ_E_FORMAT);
    IS(use_make(s, "mac", "hmac-sha256", NULL, "server"), CCZ_OK, "");
    struct cczi_msg_use_req m = {.key = ccz_span_str("mac"),
                                 .text = ccz_span_str("mac-marker"),
                                 .aad = ccz_span_str("context-marker"),
                                 .proof = ccz_span_str("proof-marker")};
    IS(use(&g, s, "Hmac", cczi_msg_hmac_req, &m), CCZ_OK, "");
    IS(use(&g, s, "HmacVerify", cczi_msg_hmac_verify_req, &m), CCZ_E_SIG, "kms:key-mac");
    IS(use(&g, s, "Derive", cczi_msg_derive_req, &m), CCZ_OK, "");
    ccz_log_install(NULL, NULL, CCZ_LOG_ERROR);
    CHECK(on_record(s, "{\"op\":\"Encrypt\",\"verdict\":\"accept\",\"item\":\"key/"
                       "k\",\"version\":1,\"policy\":\"server\""));
    CHECK(on_record(s, "{\"op\":\"Decrypt\",\"verdict\":\"reject\",\"item\":\"key/k\""));
    CHECK(on_record(s, "\"where\":\"kms:key-mac\""));
    CHECK(strstr(g_log, "Encrypt verdict=accept item=key/k"));
    CHECK(!on_record(s, "marker") && !strstr(g_log, "marker"));
    CHECK(!on_record(s, sealed + 7) && !strstr(g_log, sealed + 7));
    use_got_deinit(&g);
    checked(s);
}

/* Opened keys are kept, and never met by another row. */
static void test_opened(void)
{
    struct ccz_kms_store *s = store();
    char sealed[ROOM];
    IS(use_make(s, "k", "aes-256-gcm", NULL, "server"), CCZ_OK, "");
    for (int i = 0; i < 5; i++)
        IS(use_encrypt(sealed, ROOM, s, "k", "x"), CCZ_OK, "");
    struct cczi_kms_opened_stat st = cczi_kms_opened_stat(s->opened);
    CHECK(st.opened == 1 && st.hits == 4 && st.len == 1);
    IS(use_rotate(s, "k"), CCZ_OK, "");
    IS(use_decrypt(s, "k", sealed, "x"), CCZ_OK, "");
    IS(use_encrypt(sealed, ROOM, s, "k", "x"), CCZ_OK, "");
    st = cczi_kms_opened_stat(s->opened);
    CHECK(st.opened == 2 && st.hits == 5);
    /* more keys than there is room for: the oldest go, everything still opens */
    char name[16];
    for (int i = 0; i < CCZI_KMS_OPENED_MAX + 3; i++) {
        (void)snprintf(name, sizeof(name), "n%d", i);
        IS(use_make(s, name, "aes-128-gcm", NULL, "server"), CCZ_OK, "");
        IS(use_encrypt(sealed, ROOM, s, name, "x"), CCZ_OK, "");
    }
    st = cczi_kms_opened_stat(s->opened);
    CHECK(st.len == CCZI_KMS_OPENED_MAX);
    IS(use_encrypt(sealed, ROOM, s, "k", "x"), CCZ_OK, "");
    IS(use_decrypt(s, "k", sealed, "x"), CCZ_OK, "");
    checked(s);
}

/* Keys that nobody may use any more, or nobody does, do not stay in memory. */
static void test_opened_forgotten(void)
{
    struct ccz_kms_store *s = store();
    char sealed[ROOM];
    IS(use_make(s, "k", "aes-256-gcm", NULL, "server"), CCZ_OK, "");
    IS(use_make(s, "other", "aes-256-gcm", NULL, "server"), CCZ_OK, "");
    IS(use_encrypt(sealed, ROOM, s, "other", "x"), CCZ_OK, "");
    IS(use_encrypt(sealed, ROOM, s, "k", "x"), CCZ_OK, "");
    IS(use_rotate(s, "k"), CCZ_OK, "");
    IS(use_encrypt(sealed, ROOM, s, "k", "x"), CCZ_OK, "");
    CHECK(cczi_kms_opened_stat(s->opened).len == 3);
    IS(use_change(s, "Disable", "k", 1, FIX_NOW), CCZ_OK, ""); /* one version */
    CHECK(cczi_kms_opened_stat(s->opened).len == 2);
    IS(use_change(s, "Disable", "k", 0, FIX_NOW), CCZ_OK, ""); /* the whole key */
    CHECK(cczi_kms_opened_stat(s->opened).len == 1);
    IS(use_change(s, "Enable", "k", 0, FIX_NOW), CCZ_OK, "");
    IS(use_encrypt(sealed, ROOM, s, "k", "x"), CCZ_OK, "");
    CHECK(cczi_kms_opened_stat(s->opened).len == 2);
    const struct cczi_msg_delete_req gone = {.target = fix_str("key/k"), .no_recovery = 1};
    IS(fix_msg(NULL, s, FIX_ADMIN, "Delete", cczi_msg_delete_req, &gone, &use_err), CCZ_OK, "");
    CHECK(cczi_kms_opened_stat(s->opened).len == 1);
    for (int i = 0; i < 2 * CCZI_KMS_OPENED_IDLE; i++) { /* in use all the time */
        cczi_kms_opened_tick(s->opened);
        IS(use_encrypt(sealed, ROOM, s, "other", "x"), CCZ_OK, "");
    }
    CHECK(cczi_kms_opened_stat(s->opened).opened == 4);
    for (int i = 1; i < CCZI_KMS_OPENED_IDLE; i++)
        cczi_kms_opened_tick(s->opened);
    CHECK(cczi_kms_opened_stat(s->opened).len == 1);
    cczi_kms_opened_tick(s->opened);
    CHECK(cczi_kms_opened_stat(s->opened).len == 0);
    IS(use_encrypt(sealed, ROOM, s, "other", "x"), CCZ_OK, "");
    IS(use_delete(s, "other", 0, FIX_NOW), CCZ_OK, "");
    CHECK(cczi_kms_opened_stat(s->opened).len == 0);
    checked(s);
}

/* --------------------------------------------------------- what somebody did to the database */

static void sql(struct ccz_kms_store *s, const char *text)
{
    CHECK(cczi_kms_db_exec(&s->db, text, NULL) == CCZ_OK);
}

/* Metadata that were taken away, changed, or given to another key, do not make a key do what it may not. */
static void test_tampered(void)
{
    struct ccz_kms_store *s = store();
    struct ccz_buf out;
    char sealed[ROOM];
    ccz_buf_init(&out, CCZ_KMS_MESSAGE_SIZE_MAX);
    const struct cczi_msg_key_req exportable = {.name = ccz_span_str("may"),
                                                .kind = ccz_span_str("aes-256-gcm"),
                                                .exportable = 1,
                                                .policy = ccz_span_str("server")};
    IS(use_make_at(s, &exportable, FIX_NOW), CCZ_OK, "");
    IS(use_make(s, "k", "aes-256-gcm", NULL, "server"), CCZ_OK, "");
    sql(s, "CREATE TABLE kept AS SELECT * FROM key_meta");
    sql(s, "DELETE FROM key_meta WHERE name = 'k'");
    IS(fix_release(&out, s, FIX_WORKLOAD, "key/k", 0, &use_err), CCZ_E_SIG, "kms:key-meta");
    IS(use_encrypt(sealed, ROOM, s, "k", "x"), CCZ_E_UNSUPPORTED, "kms:key-unmanaged");
    CHECK(ccz_kms_store_check(NULL, s, &use_err) == CCZ_E_SIG &&
          strcmp(use_err.where, "kms:row-set") == 0);
    sql(s, "INSERT INTO key_meta SELECT 'k', meta, mac FROM kept WHERE name = 'may'");
    IS(fix_release(&out, s, FIX_WORKLOAD, "key/k", 0, &use_err), CCZ_E_SIG, "kms:row-mac");
    sql(s, "DELETE FROM key_meta");
    sql(s, "INSERT INTO key_meta SELECT * FROM kept");
    sql(s, "DROP TABLE kept");
    IS(fix_release(&out, s, FIX_WORKLOAD, "key/k", 0, &use_err), CCZ_E_DENIED, "kms:key-export");
    IS(use_encrypt(sealed, ROOM, s, "k", "x"), CCZ_OK, "");
    /* an older state of the metadata, in which the key was not deleted: genuine once, found by the check */
    sql(s, "CREATE TABLE kept AS SELECT * FROM key_meta");
    IS(use_delete(s, "k", 0, FIX_NOW), CCZ_OK, "");
    sql(s, "DELETE FROM key_meta");
    sql(s, "INSERT INTO key_meta SELECT * FROM kept");
    CHECK(ccz_kms_store_check(NULL, s, &use_err) == CCZ_E_SIG &&
          strcmp(use_err.where, "kms:row-set") == 0);
    ccz_buf_free(&out);
    ccz_kms_store_free(s);
}

int main(int argc, char **argv)
{
    static const struct ccz_test tests[] = {
        {"kms.use_encrypt", test_encrypt},
        {"kms.use_data_key", test_data_key},
        {"kms.use_rewrap", test_rewrap},
        {"kms.use_wrap", test_wrap},
        {"kms.use_mac_derive", test_mac_derive},
        {"kms.use_sign", test_sign},
        {"kms.use_who", test_who},
        {"kms.use_malformed", test_malformed},
        {"kms.use_by_operation", test_by_operation},
        {"kms.use_unattested", test_unattested},
        {"kms.use_namespaces", test_namespaces},
        {"kms.use_guarded", test_guarded},
        {"kms.use_usage", test_usage},
        {"kms.use_versions", test_versions},
        {"kms.use_whole_key", test_whole_key},
        {"kms.use_listed", test_listed},
        {"kms.use_export", test_export},
        {"kms.use_record", test_record},
        {"kms.use_opened", test_opened},
        {"kms.use_opened_forgotten", test_opened_forgotten},
        {"kms.use_tampered", test_tampered},
    };
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
