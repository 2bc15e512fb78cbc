/* SPDX-License-Identifier: Apache-2.0 */
/* Attestation results: what tokens say, who signs them, which keys are published; no network. */
#define _GNU_SOURCE
#include "ccz_test.h"
#include "kms/kms_fixture.h"

static const char tee_key[] = "{\"alg\":\"ECDH-ES+A256KW\",\"crv\":\"P-256\",\"kty\":\"EC\",\"x\":"
                              "\"weNJy2HscCSM6AEDTDg04biOvhFhyyWvOHQfeF_PxMQ\","
                              "\"y\":\"e8lnCO-AlStT-NJVX-crhB7QRYhiix03illJOVAOyck\"}";
static const char signing_key[] = "{\"crv\":\"P-256\",\"kty\":\"EC\",\"use\":\"sig\",\"x\":"
                                  "\"weNJy2HscCSM6AEDTDg04biOvhFhyyWvOHQfeF_PxMQ\","
                                  "\"y\":\"e8lnCO-AlStT-NJVX-crhB7QRYhiix03illJOVAOyck\"}";

struct answer {
    struct ccz_buf buf;
    struct cczi_msg_attest_resp m;
};

static ccz_rc attest_as(struct answer *a, struct ccz_kms_store *s, const struct ccz_ratls_peer *p,
                        const struct cczi_msg_attest_req *m, int64_t now_s, struct ccz_err *err)
{
    CCZ_AUTO_BUF body;
    ccz_buf_init(&body, CCZ_KMS_MESSAGE_SIZE_MAX);
    cczi_attest_req_put(&body, m);
    ccz_buf_init(&a->buf, CCZ_KMS_MESSAGE_SIZE_MAX);
    ccz_rc rc = fix_call_at(&a->buf, s, p, "Attest", ccz_buf_span(&body), now_s, err);
    if (rc == CCZ_OK)
        CHECK(cczi_attest_resp_get(&a->m, ccz_buf_span(&a->buf), NULL) == CCZ_OK);
    return rc;
}

static ccz_rc attest(struct answer *a, struct ccz_kms_store *s, const struct cczi_msg_attest_req *m,
                     struct ccz_err *err)
{
    const struct ccz_ratls_peer p = fix_peer(FIX_WORKLOAD);
    return attest_as(a, s, &p, m, FIX_NOW, err);
}

/* The published keys. */
static struct ccz_jwks *keys_at(struct ccz_kms_store *s, int64_t now_s)
{
    CCZ_AUTO_BUF out;
    ccz_buf_init(&out, CCZ_KMS_MESSAGE_SIZE_MAX);
    struct ccz_ratls_peer nobody = {0};
    struct cczi_msg_token_keys_resp m;
    struct ccz_jwks *keys = NULL;
    CHECK(fix_call_at(&out, s, &nobody, "TokenKeys", (struct ccz_span){0}, now_s, NULL) == CCZ_OK);
    CHECK(cczi_token_keys_resp_get(&m, ccz_buf_span(&out), NULL) == CCZ_OK);
    CHECK(m.issuer.size == 10 + 32 && memcmp(m.issuer.ptr, "cczoo-kms:", 10) == 0);
    CHECK(ccz_jwks_parse(&keys, m.jwks, NULL) == CCZ_OK);
    return keys;
}

static ccz_rc verify(struct ccz_json **claims, struct ccz_kms_store *s, struct ccz_span token,
                     const char *aud, int64_t now_s)
{
    CCZ_AUTO(ccz_jwks) keys = keys_at(s, now_s);
    char hex[2 * CCZ_KMS_INSTANCE_SIZE + 1], iss[64];
    uint8_t instance[CCZ_KMS_INSTANCE_SIZE];
    ccz_kms_store_instance(instance, s);
    ccz_hex(hex, instance, sizeof(instance));
    (void)snprintf(iss, sizeof(iss), "cczoo-kms:%s", hex);
    const struct ccz_jwt_rules rules = {
        .keys = keys, .iss = iss, .aud = aud, .typ = "JWT", .now_s = now_s};
    return ccz_jwt_verify(claims, &rules, token, NULL);
}

static const struct ccz_json *cpu0(const struct ccz_json *claims)
{
    return ccz_json_get(ccz_json_get(claims, "submods"), "cpu0");
}

static const struct ccz_json *annotated(const struct ccz_json *claims)
{
    return ccz_json_get(cpu0(claims), "ear.veraison.annotated-evidence");
}

static bool str_is(const struct ccz_json *j, const char *want)
{
    const char *got = ccz_json_str(j);
    return got && strcmp(got, want) == 0;
}

static void test_token(void)
{
    struct ccz_kms_store *s = fix_memory_store();
    struct answer a;
    struct cczi_msg_attest_req m = {.tee_pubkey = ccz_span_str(tee_key),
                                    .nonce = ccz_span_str("AAECAwQF"),
                                    .audience = ccz_span_str("https://relying.example")};
    CHECK(attest(&a, s, &m, NULL) == CCZ_OK);
    CHECK(a.m.expires_s == FIX_NOW + CCZI_KMS_TOKEN_LIFETIME_S);
    CHECK(a.m.instance.size == CCZ_KMS_INSTANCE_SIZE);
    struct ccz_json *j = NULL;
    int64_t v;
    CHECK(verify(&j, s, a.m.token, "https://relying.example", FIX_NOW) == CCZ_OK);
    CHECK(str_is(ccz_json_get(j, "eat_profile"), CCZ_EAR_PROFILE));
    CHECK(ccz_json_int(&v, ccz_json_get(j, "exp")) && v == FIX_NOW + CCZI_KMS_TOKEN_LIFETIME_S);
    CHECK(strlen(ccz_json_str(ccz_json_get(j, "jti"))) == 32);
    /* simulated: no relying party takes it for a genuine platform */
    CHECK(str_is(ccz_json_get(cpu0(j), "ear.status"), "contraindicated"));
    const struct ccz_json *run = ccz_json_get(annotated(j), "runtime_data_claims");
    CHECK(str_is(ccz_json_get(run, "nonce"), "AAECAwQF"));
    CHECK(str_is(ccz_json_get(ccz_json_get(run, "tee-pubkey"), "x"),
                 "weNJy2HscCSM6AEDTDg04biOvhFhyyWvOHQfeF_PxMQ"));
    const struct ccz_json *body = ccz_json_get(ccz_json_get(annotated(j), "sgx"), "body");
    CHECK(str_is(ccz_json_get(body, "mr_enclave"),
                 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"));
    CHECK(!ccz_json_get(body, "attributes.flags")); /* compact */
    CHECK(!ccz_json_get(cpu0(j), "ear.appraisal-policy-id"));
    ccz_json_free(j);
    /* for somebody else, too late, and after the keys are gone */
    CHECK(verify(&j, s, a.m.token, NULL, FIX_NOW) == CCZ_E_DENIED);
    CHECK(verify(&j, s, a.m.token, "https://relying.example",
                 FIX_NOW + CCZI_KMS_TOKEN_LIFETIME_S) == CCZ_E_EXPIRED);
    ccz_buf_free(&a.buf);
    m = (struct cczi_msg_attest_req){.full_claims = 1};
    CHECK(attest(&a, s, &m, NULL) == CCZ_OK);
    CHECK(verify(&j, s, a.m.token, NULL, FIX_NOW) == CCZ_OK);
    body = ccz_json_get(ccz_json_get(annotated(j), "sgx"), "body");
    CHECK(str_is(ccz_json_get(body, "attributes.flags"), "0500000000000000"));
    CHECK(!ccz_json_get(annotated(j), "runtime_data_claims"));
    ccz_json_free(j);
    ccz_buf_free(&a.buf);
    ccz_kms_store_free(s);
}

/* Claims of each TEE are one JSON object, and what they amount to. */
static void test_vector(void)
{
    const struct {
        enum ccz_tee tee;
        enum ccz_tcb_status tcb;
        bool simulated, debug, revocation_checked;
        enum ccz_ear_status want;
    } t[] = {
        {CCZ_TEE_SGX, CCZ_TCB_UP_TO_DATE, false, false, true, CCZ_EAR_AFFIRMING},
        {CCZ_TEE_SGX, CCZ_TCB_UP_TO_DATE, true, false, true, CCZ_EAR_CONTRAINDICATED},
        {CCZ_TEE_SGX, CCZ_TCB_UP_TO_DATE, false, true, true, CCZ_EAR_CONTRAINDICATED},
        {CCZ_TEE_TDX, CCZ_TCB_SW_HARDENING_NEEDED, false, false, true, CCZ_EAR_WARNING},
        {CCZ_TEE_TDX, CCZ_TCB_CONFIGURATION_NEEDED, false, false, true, CCZ_EAR_WARNING},
        {CCZ_TEE_TDX, CCZ_TCB_TD_RELAUNCH_ADVISED, false, false, true, CCZ_EAR_WARNING},
        {CCZ_TEE_TDX, CCZ_TCB_OUT_OF_DATE, false, false, true, CCZ_EAR_CONTRAINDICATED},
        {CCZ_TEE_TDX, CCZ_TCB_REVOKED, false, false, true, CCZ_EAR_CONTRAINDICATED},
        {CCZ_TEE_TDX, CCZ_TCB_NONE, false, false, true, CCZ_EAR_CONTRAINDICATED},
        {CCZ_TEE_SNP, CCZ_TCB_NONE, false, false, true, CCZ_EAR_AFFIRMING},
        {CCZ_TEE_SNP, CCZ_TCB_NONE, false, false, false, CCZ_EAR_WARNING},
    };
    for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
        const struct ccz_claims c = {.tee = t[i].tee,
                                     .tcb_status = t[i].tcb,
                                     .simulated = t[i].simulated,
                                     .debug = t[i].debug,
                                     .revocation_checked = t[i].revocation_checked,
                                     .advisory = {"INTEL-SA-00289", "INTEL-SA-00615"},
                                     .advisory_len = 2};
        const struct ccz_ear_vector v = cczi_kms_ear_vector(&c);
        CHECK(ccz_ear_status(&v) == t[i].want);
        CHECK((v.value[CCZ_EAR_HARDWARE] == 97) == t[i].simulated &&
              (v.value[CCZ_EAR_INSTANCE_IDENTITY] == 97) == t[i].simulated);
        CHECK(v.value[CCZ_EAR_EXECUTABLES] == 0); /* nobody has judged those */
        for (int full = 0; full < 2; full++) {
            CCZ_AUTO_BUF b;
            CCZ_AUTO(ccz_json) j = NULL;
            bool sim = !t[i].simulated;
            ccz_buf_init(&b, 16384);
            cczi_kms_ear_claims(&b, &c, full);
            CHECK(!b.bad && ccz_json_parse(&j, ccz_buf_span(&b), NULL) == CCZ_OK);
            CHECK(ccz_json_bool(&sim, ccz_json_get(j, "simulated")) && sim == t[i].simulated);
            CHECK((ccz_json_get(j, "earliest_expiration_date") != NULL) == full);
            CHECK((ccz_json_len(ccz_json_get(j, "advisory_ids")) == 2) ==
                  (t[i].tee != CCZ_TEE_SNP));
        }
    }
}

/* A token says that a policy accepts no longer than it does. */
static void test_policy_ends(void)
{
    static const char ending[] =
        "{\"version\":1,\"rules\":[{\"name\":\"g\",\"tee\":\"sgx\",\"sim\":true,\"mrenclave\":"
        "\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\",\"tcb_status\":["
        "\"OutOfDate\"],\"grace\":{\"until\":\"2023-11-14T22:13:30Z\",\"tcb_status\":[\"UpToDate\"]"
        "}}]}";
    struct ccz_kms_store *s = fix_memory_store();
    struct ccz_err err = {0};
    struct answer a;
    struct ccz_json *j = NULL;
    int64_t v = 0;
    fix_populate(s);
    CHECK(fix_put_policy(s, "ending", ending, false, &err) == CCZ_OK);
    CHECK(fix_put_secret(s, "for-ending", "x", "ending", false, &err) == CCZ_OK);
    const struct cczi_msg_attest_req m = {.policy = ccz_span_str("ending")};
    CHECK(attest(&a, s, &m, &err) == CCZ_OK);
    CHECK(a.m.expires_s == FIX_NOW + 10);
    CHECK(verify(&j, s, a.m.token, NULL, FIX_NOW + 9) == CCZ_OK);
    CHECK(ccz_json_int(&v, ccz_json_get(j, "exp")) && v == FIX_NOW + 10);
    ccz_json_free(j);
    ccz_buf_free(&a.buf);
    ccz_kms_store_free(s);
}

static void test_policy(void)
{
    struct ccz_kms_store *s = fix_memory_store();
    struct ccz_err err = {0};
    struct answer a;
    struct ccz_json *j = NULL;
    int64_t v = 0;
    fix_populate(s);
    struct cczi_msg_attest_req m = {.policy = ccz_span_str("server")};
    CHECK(attest(&a, s, &m, &err) == CCZ_OK);
    CHECK(verify(&j, s, a.m.token, NULL, FIX_NOW) == CCZ_OK);
    CHECK(str_is(ccz_json_get(cpu0(j), "ear.appraisal-policy-id"), "server"));
    const struct ccz_json *vector = ccz_json_get(cpu0(j), "ear.trustworthiness-vector");
    CHECK(ccz_json_int(&v, ccz_json_get(vector, "executables")) && v == 3);
    ccz_json_free(j);
    j = NULL;
    /* one that accepts as well, and that the issuer does not vouch for: a tenant has made it */
    CHECK(fix_put_policy(s, "evil/any", fix_policy, false, &err) == CCZ_OK);
    CHECK(fix_put_secret(s, "evil/s", "x", "evil/any", false, &err) == CCZ_OK);
    m.policy = ccz_span_str("evil/any");
    ccz_buf_free(&a.buf);
    CHECK(attest(&a, s, &m, &err) == CCZ_OK);
    CHECK(verify(&j, s, a.m.token, NULL, FIX_NOW) == CCZ_OK);
    CHECK(str_is(ccz_json_get(cpu0(j), "ear.appraisal-policy-id"), "evil/any"));
    vector = ccz_json_get(cpu0(j), "ear.trustworthiness-vector");
    CHECK(vector && !ccz_json_get(vector, "executables"));
    ccz_json_free(j);
    ccz_buf_free(&a.buf);
    /* of a policy that refuses, one for nothing (which would accept), and none at all a peer learns the same; those who read the log
     * learn which */
    static const char *const policies[] = {"strict", "loose", "nowhere"};
    static const char *const reasons[] = {"\"where\":\"policy:mrenclave\"",
                                          "\"where\":\"kms:attest-unbound\"",
                                          "\"where\":\"kms:not-found\""};
    CHECK(fix_put_policy(s, "strict", fix_policy_other, false, NULL) == CCZ_OK);
    CHECK(fix_put_secret(s, "for-strict", "v", "strict", false, NULL) == CCZ_OK);
    CHECK(fix_put_policy(s, "loose", fix_policy, false, NULL) == CCZ_OK);
    uint64_t seen = fix_check(s).evidence;
    CCZ_AUTO_BUF tail;
    ccz_buf_init(&tail, CCZ_KMS_MESSAGE_SIZE_MAX);
    for (size_t i = 0; i < 3; i++) {
        err = (struct ccz_err){0};
        m.policy = ccz_span_str(policies[i]);
        CHECK(attest(&a, s, &m, &err) == CCZ_E_POLICY);
        CHECK(strcmp(err.where, "kms:attest-policy") == 0 && strcmp(err.got, "this peer") == 0);
        CHECK(strncmp(err.expected, "see decision D", 14) == 0 && !strstr(err.msg, policies[i]));
        ccz_buf_free(&a.buf);
        struct cczi_msg_audit_req last = {s->head.seq - 1, 1};
        CHECK(fix_msg(&tail, s, FIX_ADMIN, "AuditTail", cczi_msg_audit_req, &last, NULL) == CCZ_OK);
        CHECK(memmem(tail.ptr, tail.size, reasons[i], strlen(reasons[i])) != NULL);
    }
    CHECK(fix_check(s).evidence == seen + 1); /* under "strict" */
    m.policy = ccz_span_str("../server");
    CHECK(attest(&a, s, &m, &err) == CCZ_E_FORMAT && strcmp(err.where, "kms:name") == 0);
    ccz_buf_free(&a.buf);
    ccz_kms_store_free(s);
}

static void test_refused(void)
{
    struct ccz_kms_store *s = fix_memory_store();
    const struct {
        struct cczi_msg_attest_req m;
        ccz_rc rc;
        const char *where;
    } t[] = {
        {{.nonce = ccz_span_str("n")}, CCZ_E_FORMAT, "kms:attest-nonce"},
        {{.audience = CCZ_SPAN("a\0b", 3)}, CCZ_E_FORMAT, "kms:attest-text"},
        {{.audience = ccz_span_str("\xff")}, CCZ_E_FORMAT, "kms:attest-text"},
        {{.tee_pubkey = ccz_span_str(tee_key), .nonce = ccz_span_str("\xc0\x80")},
         CCZ_E_FORMAT,
         "kms:attest-text"},
        {{.tee_pubkey = ccz_span_str(signing_key)}, CCZ_E_UNSUPPORTED, "kms:attest-key"},
        {{.tee_pubkey = ccz_span_str("{\"kty\":\"oct\",\"k\":\"AA\"}")},
         CCZ_E_DENIED,
         "jwk:private"},
        {{.tee_pubkey = ccz_span_str("{")}, CCZ_E_FORMAT, "jwk:json"},
        {{.full_claims = 2}, CCZ_E_LIMIT, "kms:request"},
    };
    for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
        struct ccz_err err = {0};
        struct answer a;
        CHECK(attest(&a, s, &t[i].m, &err) == t[i].rc && strcmp(err.where, t[i].where) == 0);
        CHECK(a.buf.size == 0);
        ccz_buf_free(&a.buf);
    }
    ccz_kms_store_free(s);
}

/* -------------------------------------------------------------------------------- keys */

static void kid_of_token(char kid[CCZ_JWK_THUMBPRINT_SIZE + 1], struct ccz_kms_store *s,
                         int64_t now_s)
{
    struct answer a;
    const struct cczi_msg_attest_req m = {.full_claims = 0};
    struct ccz_ratls_peer p = fix_peer(FIX_WORKLOAD);
    p.claims.collateral_expires_s = now_s + 86400; /* it came just now */
    CCZ_AUTO(ccz_jwks) keys = keys_at(s, now_s);
    CCZ_AUTO_BUF payload;
    const struct ccz_jwk *used = NULL;
    ccz_buf_init(&payload, CCZ_JWS_SIZE_MAX);
    CHECK(attest_as(&a, s, &p, &m, now_s, NULL) == CCZ_OK);
    CHECK(ccz_jws_verify_set(&payload, &used, keys, a.m.token, NULL) == CCZ_OK);
    CHECK(used == ccz_jwks_at(keys, 0)); /* the one that signs is the first of the set */
    memcpy(kid, ccz_jwk_kid(used), CCZ_JWK_THUMBPRINT_SIZE + 1);
    ccz_buf_free(&a.buf);
}

static void rotate(struct ccz_kms_store *s, int64_t now_s)
{
    CHECK(fix_msg_at(NULL, s, FIX_ADMIN, "RotateTokenKey", cczi_msg_none, NULL, now_s, NULL) ==
          CCZ_OK);
}

static size_t keys_len(struct ccz_kms_store *s, int64_t now_s)
{
    CCZ_AUTO(ccz_jwks) keys = keys_at(s, now_s);
    return ccz_jwks_len(keys);
}

static void test_rotation(void)
{
    struct ccz_kms_store *s = fix_memory_store();
    char a[CCZ_JWK_THUMBPRINT_SIZE + 1], b[sizeof(a)], c[sizeof(a)];
    kid_of_token(a, s, FIX_NOW);
    kid_of_token(b, s, FIX_NOW + 1);
    CHECK(strcmp(a, b) == 0 && keys_len(s, FIX_NOW + 1) == 1);
    /* by hand: the old one stays as long as its tokens may be around */
    rotate(s, FIX_NOW + 60);
    kid_of_token(b, s, FIX_NOW + 61);
    CHECK(strcmp(a, b) != 0 && keys_len(s, FIX_NOW + 61) == 2);
    CHECK(keys_len(s, FIX_NOW + 60 + CCZI_KMS_TOKEN_KEY_KEPT_S - 1) == 2);
    CHECK(keys_len(s, FIX_NOW + 60 + CCZI_KMS_TOKEN_KEY_KEPT_S) == 1);
    /* by age */
    int64_t old_s = FIX_NOW + 60 + CCZI_KMS_TOKEN_KEY_AGE_S;
    kid_of_token(c, s, old_s - 1);
    CHECK(strcmp(b, c) == 0);
    kid_of_token(c, s, old_s);
    CHECK(strcmp(b, c) != 0 && keys_len(s, old_s) == 2);
    /* several within the time that keys are kept */
    rotate(s, old_s + 60);
    rotate(s, old_s + 120);
    CHECK(keys_len(s, old_s + 121) == 4);
    (void)fix_check(s);
    ccz_kms_store_free(s);
}

static const char *rotate_refused(struct ccz_kms_store *s, int64_t now_s)
{
    static struct ccz_err err;
    err = (struct ccz_err){0};
    CHECK(fix_msg_at(NULL, s, FIX_ADMIN, "RotateTokenKey", cczi_msg_none, NULL, now_s, &err) ==
          CCZ_E_LIMIT);
    return err.where;
}

/* By hand: not twice in a minute, and not more than eight that are published at once. Age rotates in any case. */
static void test_limits(void)
{
    struct ccz_kms_store *s = fix_memory_store();
    int64_t t = FIX_NOW;
    rotate(s, t); /* the first one */
    CHECK(strcmp(rotate_refused(s, t), "kms:token-key-soon") == 0);
    CHECK(strcmp(rotate_refused(s, t + CCZI_KMS_TOKEN_ROTATE_MIN_S - 1), "kms:token-key-soon") ==
          0);
    for (size_t n = 1; n < CCZI_KMS_TOKEN_LIVE_MAX; n++)
        rotate(s, t += CCZI_KMS_TOKEN_ROTATE_MIN_S);
    CHECK(keys_len(s, t) == CCZI_KMS_TOKEN_LIVE_MAX);
    CHECK(strcmp(rotate_refused(s, t + 60), "kms:token-keys") == 0);
    /* the first one was followed after a minute, so that it is gone an hour after that */
    CHECK(strcmp(rotate_refused(s, FIX_NOW + 60 + CCZI_KMS_TOKEN_KEY_KEPT_S - 1),
                 "kms:token-keys") == 0);
    rotate(s, t = FIX_NOW + 60 + CCZI_KMS_TOKEN_KEY_KEPT_S);
    CHECK(keys_len(s, t) == CCZI_KMS_TOKEN_LIVE_MAX);
    (void)fix_check(s);
    ccz_kms_store_free(s);
    s = fix_memory_store(); /* a clock that had been wrong keeps nobody out */
    rotate(s, FIX_NOW + 1000000);
    rotate(s, FIX_NOW);
    ccz_kms_store_free(s);
}

/* So many rotations by hand that there would be no numbers left: age still rotates. */
static void test_numbers(void)
{
    struct ccz_kms_store *s = fix_memory_store();
    char a[CCZ_JWK_THUMBPRINT_SIZE + 1], b[sizeof(a)];
    int64_t t = FIX_NOW;
    rotate(s, t);
    for (size_t n = 1; n < CCZ_KMS_VERSIONS_MAX / 2; n++)
        rotate(s, t += CCZI_KMS_TOKEN_KEY_KEPT_S);
    kid_of_token(a, s, t);
    t += CCZI_KMS_TOKEN_KEY_KEPT_S;
    CHECK(strcmp(rotate_refused(s, t), "kms:versions") == 0);
    kid_of_token(b, s, t + CCZI_KMS_TOKEN_KEY_AGE_S);
    CHECK(strcmp(a, b) != 0);
    ccz_kms_store_free(s);
}

/* Anybody may ask for the keys: that opens no private key again, and says at once what was rotated. */
static void test_published(void)
{
    struct ccz_kms_store *s = fix_memory_store();
    CHECK(keys_len(s, FIX_NOW) == 1);
    rotate(s, FIX_NOW + 60);
    CHECK(keys_len(s, FIX_NOW + 60) == 2);
    uint64_t opened = s->token.opened;
    for (int i = 0; i < 20; i++)
        CHECK(keys_len(s, FIX_NOW + 61) == 2);
    CHECK(s->token.opened == opened && s->token.published_len == 2);
    rotate(s, FIX_NOW + 120);
    CCZ_AUTO(ccz_jwks) keys = keys_at(s, FIX_NOW + 120);
    CHECK(ccz_jwks_len(keys) == 3);
    CHECK(s->token.opened > opened && s->token.published_len == 3);
    for (size_t i = 0; i < 3; i++) /* each is the key of its own row, the one that signs first */
        for (size_t k = 0; k < i; k++)
            CHECK(!ccz_jwk_same(ccz_jwks_at(keys, i), ccz_jwks_at(keys, k)));
    CHECK(strcmp(ccz_jwk_kid(ccz_jwks_at(keys, 0)), s->token.signs.kid) == 0);
    int64_t later_s = FIX_NOW + 120 + CCZI_KMS_TOKEN_KEY_KEPT_S;
    opened = s->token.opened;
    CHECK(keys_len(s, later_s) == 1); /* what is published no more is forgotten */
    CHECK(s->token.published_len == 1 && s->token.opened == opened);
    ccz_kms_store_free(s);
}

/* A key that was undone with its transaction signs nothing: nobody could find it. */
static void test_undone(void)
{
    struct ccz_kms_store *s = fix_memory_store();
    const struct cczi_kms_token_key *k = NULL;
    char gone[CCZ_JWK_THUMBPRINT_SIZE + 1], kid[sizeof(gone)];
    struct cczi_kms_head head = s->head;
    CHECK(cczi_kms_begin(s, NULL) == CCZ_OK);
    CHECK(cczi_kms_token_key(&k, s, FIX_NOW, NULL) == CCZ_OK);
    memcpy(gone, k->kid, sizeof(gone));
    cczi_kms_rollback(s);
    s->head = head;
    kid_of_token(kid, s, FIX_NOW);
    CHECK(strcmp(kid, gone) != 0);
    ccz_kms_store_free(s);
}

/* A connection may be old: what was verified when it began is said for as long as its collateral was good, and no longer. */
static void test_expired(void)
{
    struct ccz_kms_store *s = fix_memory_store();
    struct ccz_ratls_peer p = fix_peer(FIX_WORKLOAD);
    struct ccz_err err = {0};
    struct answer a;
    struct ccz_json *j = NULL;
    int64_t v = 0;
    fix_populate(s);
    for (int i = 0; i < 4; i++) { /* since just now, and since a second; with a policy too */
        struct cczi_msg_attest_req m = {.policy =
                                            i & 1 ? ccz_span_str("server") : (struct ccz_span){0}};
        p.claims.collateral_expires_s = FIX_NOW - i / 2;
        CHECK(attest_as(&a, s, &p, &m, FIX_NOW, &err) == CCZ_E_EXPIRED);
        CHECK(strcmp(err.where, "kms:attest-expired") == 0 && err.hint[0] && a.buf.size == 0);
        ccz_buf_free(&a.buf);
    }
    CHECK(!s->token.signs.key); /* none was made */
    const struct cczi_msg_attest_req m = {0};
    p.claims.collateral_expires_s = FIX_NOW + 60;
    CHECK(attest_as(&a, s, &p, &m, FIX_NOW, &err) == CCZ_OK);
    CHECK(a.m.expires_s == FIX_NOW + 60 && s->token.signs.key);
    CHECK(verify(&j, s, a.m.token, NULL, FIX_NOW + 59) == CCZ_OK);
    CHECK(ccz_json_int(&v, ccz_json_get(j, "exp")) && v == FIX_NOW + 60);
    ccz_json_free(j);
    CHECK(verify(&j, s, a.m.token, NULL, FIX_NOW + 60) == CCZ_E_EXPIRED);
    ccz_buf_free(&a.buf);
    ccz_kms_store_free(s);
}

/* ------------------------------------------------------------------------ raw evidence */

/* Attest with evidence at hand, as the KBS door has it. */
static ccz_rc attest_keeping(struct answer *a, struct ccz_kms_store *s, const char *policy,
                             struct ccz_span evidence, int64_t now_s, struct ccz_err *err)
{
    static const struct ccz_kms_info info = {.version = "test", .tee = "sim-sgx"};
    const struct ccz_ratls_peer p = fix_peer(FIX_WORKLOAD);
    const struct cczi_msg_attest_req m = {.policy = fix_str(policy), .keep_evidence = 1};
    CCZ_AUTO_BUF body;
    ccz_buf_init(&body, CCZ_KMS_MESSAGE_SIZE_MAX);
    cczi_attest_req_put(&body, &m);
    ccz_buf_init(&a->buf, CCZ_KMS_MESSAGE_SIZE_MAX);
    const struct ccz_kms_request req = {.path = CCZI_KMS_SERVICE "Attest",
                                        .body = ccz_buf_span(&body),
                                        .peer = &p,
                                        .address = "192.0.2.1:4711",
                                        .now_s = now_s,
                                        .info = &info,
                                        .evidence = evidence};
    ccz_rc rc = ccz_kms_handle(&a->buf, s, &req, err);
    if (rc == CCZ_OK)
        CHECK(cczi_attest_resp_get(&a->m, ccz_buf_span(&a->buf), NULL) == CCZ_OK);
    return rc;
}

static ccz_rc get_evidence(struct ccz_buf *out, struct ccz_kms_store *s, enum fix_who who,
                           const char *ns, struct ccz_span evidence, struct ccz_err *err)
{
    uint8_t sha256[32];
    CHECK(ccz_sha256(sha256, evidence) == CCZ_OK);
    const struct cczi_msg_get_evidence_req m = {fix_str(ns), CCZ_SPAN(sha256, 32)};
    *err = (struct ccz_err){0};
    return fix_msg(out, s, who, "GetEvidence", cczi_msg_get_evidence_req, &m, err);
}

static void test_evidence(void)
{
    struct ccz_kms_store *s = fix_memory_store();
    struct ccz_span quote = ccz_span_str("a quote"), other = ccz_span_str("another");
    struct ccz_err err = {0};
    struct answer a;
    struct ccz_json *j = NULL;
    struct ccz_buf out;
    char hex[2 * CCZ_KMS_INSTANCE_SIZE + 1], digest[65], want[CCZ_KMS_EVIDENCE_URI_SIZE];
    uint8_t sha256[32];
    ccz_buf_init(&out, CCZ_KMS_MESSAGE_SIZE_MAX);
    fix_populate(s);
    CHECK(fix_put_policy(s, "team/p", fix_policy, false, NULL) == CCZ_OK);
    CHECK(fix_put_secret(s, "team/s", "value", "team/p", false, NULL) == CCZ_OK);
    CHECK(attest_keeping(&a, s, "team/p", quote, FIX_NOW, &err) == CCZ_OK);
    CHECK(verify(&j, s, a.m.token, NULL, FIX_NOW) == CCZ_OK);
    ccz_hex(hex, s->instance, sizeof(s->instance));
    CHECK(ccz_sha256(sha256, quote) == CCZ_OK);
    ccz_hex(digest, sha256, sizeof(sha256));
    (void)snprintf(want, sizeof(want), "cczoo-kms:%s/evidence/%s?namespace=team", hex, digest);
    CHECK(str_is(ccz_json_get(ccz_json_get(annotated(j), "sgx"), "raw_evidence"), want));
    CHECK(!memmem(a.m.token.ptr, a.m.token.size, "YSBxdW90ZQ", 10)); /* not itself */
    ccz_json_free(j);
    ccz_buf_free(&a.buf);
    /* auditors of that namespace have it, and nobody else */
    CHECK(get_evidence(&out, s, FIX_AUDITOR, "team", quote, &err) == CCZ_OK);
    struct cczi_msg_get_evidence_resp m = {0};
    CHECK(cczi_msg_get(&m, cczi_msg_get_evidence_resp, ccz_buf_span(&out), NULL) == CCZ_OK &&
          ccz_span_eq(m.evidence, quote) && ccz_span_eq(m.tee, fix_str("sgx")) &&
          m.time_s == FIX_NOW);
    CHECK(get_evidence(&out, s, FIX_AUDITOR, "", quote, &err) == CCZ_E_NOT_FOUND);
    CHECK(get_evidence(&out, s, FIX_AUDITOR, "team", other, &err) == CCZ_E_NOT_FOUND &&
          strcmp(err.where, "kms:not-found") == 0);
    CHECK(get_evidence(&out, s, FIX_WORKLOAD, "team", quote, &err) == CCZ_E_DENIED);
    struct ccz_kms_grant g = {.ns = "team", .roles = CCZ_KMS_ROLE_ADMIN & ~CCZ_KMS_ROLE_AUDITOR};
    fix_spki(g.principal, FIX_STRANGER);
    CHECK(ccz_kms_store_grant(s, &g, FIX_NOW, NULL) == CCZ_OK);
    CHECK(get_evidence(&out, s, FIX_STRANGER, "team", quote, &err) == CCZ_E_DENIED &&
          strcmp(err.where, "kms:role") == 0);
    g.ns = "other";
    g.roles = CCZ_KMS_ROLE_AUDITOR;
    CHECK(ccz_kms_store_grant(s, &g, FIX_NOW, NULL) == CCZ_OK);
    CHECK(get_evidence(&out, s, FIX_STRANGER, "team", quote, &err) == CCZ_E_DENIED);
    /* without a policy: of names without a namespace; the same again takes one place */
    for (int i = 0; i < 3; i++) {
        CHECK(attest_keeping(&a, s, "", quote, FIX_NOW + i, &err) == CCZ_OK);
        ccz_buf_free(&a.buf);
    }
    struct ccz_kms_check c;
    CHECK(ccz_kms_store_check(&c, s, &err) == CCZ_OK && c.raw_evidence == 2);
    ccz_buf_free(&out);
    ccz_kms_store_free(s);
}

/* What is refused keeps nothing; where there is no evidence to keep, the token is refused rather than less than was asked for. */
static void test_evidence_refused(void)
{
    struct ccz_kms_store *s = fix_memory_store();
    struct ccz_span quote = ccz_span_str("a quote");
    struct ccz_err err = {0};
    struct answer a;
    struct ccz_kms_check c;
    fix_populate(s);
    CHECK(attest_keeping(&a, s, "", (struct ccz_span){0}, FIX_NOW, &err) == CCZ_E_UNSUPPORTED &&
          strcmp(err.where, "kms:attest-evidence") == 0 && err.hint[0]);
    ccz_buf_free(&a.buf);
    CHECK(attest_keeping(&a, s, "other", quote, FIX_NOW, &err) == CCZ_E_POLICY);
    ccz_buf_free(&a.buf);
    CHECK(attest_keeping(&a, s, "", quote, FIX_NOW + 86400, &err) == CCZ_E_EXPIRED);
    ccz_buf_free(&a.buf);
    CHECK(ccz_kms_store_check(&c, s, &err) == CCZ_OK && c.raw_evidence == 0);
    ccz_kms_store_free(s);
}

/* Bounds by rows and by bytes, each namespace for itself; the oldest goes first. */
static void test_evidence_bounds(void)
{
    static uint8_t big[CCZ_QUOTE_SIZE_MAX];
    struct ccz_kms_store *s = fix_memory_store();
    struct ccz_err err = {0};
    struct answer a;
    struct ccz_kms_check c;
    fix_populate(s);
    CHECK(cczi_kms_begin(s, NULL) == CCZ_OK);
    for (unsigned i = 0; i < CCZ_KMS_RAW_EVIDENCE_MAX; i++) {
        char text[16];
        (void)snprintf(text, sizeof(text), "%u", i);
        struct cczi_kms_raw e = {.tee = CCZ_TEE_SGX,
                                 .time_s = FIX_NOW - (int64_t)CCZ_KMS_RAW_EVIDENCE_MAX + i,
                                 .evidence = fix_str(text)};
        CHECK(ccz_sha256(e.sha256, e.evidence) == CCZ_OK);
        CHECK(cczi_kms_raw_put(s, &e, NULL) == CCZ_OK);
    }
    struct cczi_kms_raw others = {.ns = "team", .evidence = fix_str("0"), .time_s = 1};
    CHECK(ccz_sha256(others.sha256, others.evidence) == CCZ_OK);
    CHECK(cczi_kms_raw_put(s, &others, NULL) == CCZ_OK);
    CHECK(cczi_kms_commit(s, NULL) == CCZ_OK);
    CHECK(attest_keeping(&a, s, "", fix_str("new"), FIX_NOW, &err) == CCZ_OK);
    ccz_buf_free(&a.buf);
    CHECK(ccz_kms_store_check(&c, s, &err) == CCZ_OK &&
          c.raw_evidence == CCZ_KMS_RAW_EVIDENCE_MAX + 1);
    CHECK(get_evidence(NULL, s, FIX_AUDITOR, "", fix_str("0"), &err) == CCZ_E_NOT_FOUND);
    CHECK(get_evidence(NULL, s, FIX_AUDITOR, "", fix_str("1"), &err) == CCZ_OK);
    CHECK(get_evidence(NULL, s, FIX_AUDITOR, "", fix_str("new"), &err) == CCZ_OK);
    CHECK(get_evidence(NULL, s, FIX_AUDITOR, "team", fix_str("0"), &err) == CCZ_OK);
    /* 256 of the largest fill it */
    for (unsigned i = 0; i < 258; i++) {
        big[0] = (uint8_t)i;
        big[1] = (uint8_t)(i >> 8);
        CHECK(attest_keeping(&a, s, "", CCZ_SPAN(big, sizeof(big)), FIX_NOW + 1 + i, &err) ==
              CCZ_OK);
        ccz_buf_free(&a.buf);
    }
    CHECK(ccz_kms_store_check(&c, s, &err) == CCZ_OK && c.raw_evidence == 256 + 1);
    ccz_kms_store_free(s);
}

static const struct ccz_test tests[] = {
    {"kms.attest", test_token},
    {"kms.attest_vector", test_vector},
    {"kms.attest_policy", test_policy},
    {"kms.attest_policy_ends", test_policy_ends},
    {"kms.attest_refused", test_refused},
    {"kms.attest_expired", test_expired},
    {"kms.token_rotation", test_rotation},
    {"kms.token_limits", test_limits},
    {"kms.token_numbers", test_numbers},
    {"kms.token_published", test_published},
    {"kms.token_undone", test_undone},
    {"kms.evidence", test_evidence},
    {"kms.evidence_refused", test_evidence_refused},
    {"kms.evidence_bounds", test_evidence_bounds},
};

int main(int argc, char **argv)
{
    return ccz_test_main(tests, sizeof(tests) / sizeof(*tests), argc, argv);
}
