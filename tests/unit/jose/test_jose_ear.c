/* SPDX-License-Identifier: Apache-2.0 */
/* Attestation results, nonces, and what was used. */
#include "jose_test.h"
#include "rfc_vectors.h"
#include "test_rng.h"

#include <stdlib.h>

/* The module knows claims by name only: a caller's table looks into them. */
struct ccz_claims {
    int level;
    bool debug;
};

static void test_tiers(void)
{
    for (int v = -128; v <= 127; v++) {
        enum ccz_ear_status want = v >= -1 && v <= 1     ? CCZ_EAR_NONE
                                   : v >= -32 && v <= 31 ? CCZ_EAR_AFFIRMING
                                   : v >= -96 && v <= 95 ? CCZ_EAR_WARNING
                                                         : CCZ_EAR_CONTRAINDICATED;
        CHECK(ccz_ear_tier((int8_t)v) == want);
        for (size_t c = 0; c < CCZ_EAR_CLAIMS; c++) { /* wherever it stands, beside a good one */
            struct ccz_ear_vector vector = {.value = {0}};
            vector.value[c] = (int8_t)v;
            CHECK(ccz_ear_status(&vector) == want);
            vector.value[(c + 1) % CCZ_EAR_CLAIMS] = 2;
            CHECK(ccz_ear_status(&vector) == (want == CCZ_EAR_NONE ? CCZ_EAR_AFFIRMING : want));
        }
    }
    struct ccz_ear_vector zero = {.value = {0}};
    CHECK(ccz_ear_status(&zero) == CCZ_EAR_NONE);
    CHECK(strcmp(ccz_ear_claim_name(CCZ_EAR_SOURCED_DATA), "sourced-data") == 0);
    CHECK(strcmp(ccz_ear_claim_name(CCZ_EAR_CLAIMS), "") == 0);
    CHECK(strcmp(ccz_ear_status_name(CCZ_EAR_CONTRAINDICATED), "contraindicated") == 0);
    CHECK(strcmp(ccz_ear_status_name((enum ccz_ear_status)4), "") == 0);
}

static bool is_new(const struct ccz_claims *c)
{
    return c->level >= 2;
}

static bool is_old(const struct ccz_claims *c)
{
    return c->level == 1;
}

static bool no_debug(const struct ccz_claims *c)
{
    return !c->debug;
}

static void test_appraise(void)
{
    static const struct ccz_ear_rule rules[] = {
        {CCZ_EAR_HARDWARE, 2, is_new},   {CCZ_EAR_EXECUTABLES, 3, NULL},
        {CCZ_EAR_HARDWARE, 32, is_old},  {CCZ_EAR_CONFIGURATION, 2, no_debug},
        {CCZ_EAR_EXECUTABLES, 99, NULL}, {(enum ccz_ear_claim)77, 2, NULL},
    };
    static const struct {
        struct ccz_claims claims;
        int8_t hardware, configuration;
        enum ccz_ear_status status;
    } cases[] = {
        {{2, false}, 2, 2, CCZ_EAR_AFFIRMING},
        {{1, false}, 32, 2, CCZ_EAR_WARNING},
        {{0, false}, CCZ_EAR_NO_RULE, 2, CCZ_EAR_CONTRAINDICATED}, /* no row: never good */
        {{2, true}, 2, CCZ_EAR_NO_RULE, CCZ_EAR_CONTRAINDICATED},
    };
    for (size_t i = 0; i < 4; i++) {
        struct ccz_ear_vector v = ccz_ear_appraise(rules, 6, &cases[i].claims);
        CHECK(v.value[CCZ_EAR_HARDWARE] == cases[i].hardware);
        CHECK(v.value[CCZ_EAR_CONFIGURATION] == cases[i].configuration);
        CHECK(v.value[CCZ_EAR_EXECUTABLES] == 3);
        CHECK(v.value[CCZ_EAR_FILE_SYSTEM] == 0 && v.value[CCZ_EAR_INSTANCE_IDENTITY] == 0);
        CHECK(ccz_ear_status(&v) == cases[i].status);
    }
    struct ccz_ear_vector nothing = ccz_ear_appraise(NULL, 0, &cases[0].claims);
    CHECK(ccz_ear_status(&nothing) == CCZ_EAR_NONE);
}

static void test_claims(void)
{
    CCZ_AUTO(ccz_jwk) bob = jwk_of(bob_key);
    CCZ_AUTO_BUF out;
    ccz_buf_init(&out, 10000);
    struct ccz_ear_submod subs[2] = {
        {.name = "cpu0", .vector = {.value = {[CCZ_EAR_HARDWARE] = 2, [CCZ_EAR_EXECUTABLES] = -3}}},
        {.name = "gpu0"},
    };
    struct ccz_ear ear = {.issuer = "kms \"a\"",
                          .developer = "cczoo",
                          .build = "1",
                          .iat_s = 1000,
                          .lifetime_s = 300,
                          .submods = subs,
                          .submods_len = 1};
    CHECK_OK(ccz_ear_put(&out, &ear, &err));
    CHECK(text_is(
        &out,
        "{\"eat_profile\":\"tag:github.com,2024:confidential-containers/"
        "Trustee\",\"iat\":1000,\"exp\":1300,"
        "\"iss\":\"kms \\\"a\\\"\",\"ear.verifier-id\":{\"developer\":\"cczoo\",\"build\":\"1\"},"
        "\"submods\":{\"cpu0\":{\"ear.status\":\"affirming\","
        "\"ear.trustworthiness-vector\":{\"executables\":-3,\"hardware\":2}}}}"));
    /* all of it, and what a KBS client looks for is where it looks */
    subs[0].vector.value[CCZ_EAR_HARDWARE] = 97;
    subs[0].policy_id = "default";
    subs[0].tee = "tdx";
    subs[0].evidence = ccz_span_str("{\"debug\":false}");
    subs[0].report_data = ccz_span_str("\x01\xff");
    subs[0].tee_key = bob;
    subs[0].nonce = ccz_span_str("bm9uY2U=");
    ear.profile = "p";
    ear.audience = "kbs";
    ear.id = "D17";
    ear.submods_len = 2;
    ccz_buf_clear(&out);
    ccz_buf_put_str(&out, "before");
    CHECK_OK(ccz_ear_put(&out, &ear, &err));
    ccz_buf_consume(&out, 6);
    CHECK(text_is(
        &out,
        "{\"eat_profile\":\"p\",\"iat\":1000,\"exp\":1300,\"iss\":\"kms "
        "\\\"a\\\"\",\"aud\":\"kbs\",\"jti\":\"D17\","
        "\"ear.verifier-id\":{\"developer\":\"cczoo\",\"build\":\"1\"},\"submods\":{\"cpu0\":{"
        "\"ear.status\":\"contraindicated\",\"ear.appraisal-policy-id\":\"default\","
        "\"ear.trustworthiness-vector\":{\"executables\":-3,\"hardware\":97},"
        "\"ear.veraison.annotated-evidence\":{\"tdx\":{\"debug\":false},\"report_data\":\"01ff\","
        "\"runtime_data_claims\":{\"nonce\":\"bm9uY2U=\",\"tee-pubkey\":{\"alg\":\"ECDH-ES+"
        "A256KW\",\"crv\":\"P-256\","
        "\"kty\":\"EC\",\"x\":\"weNJy2HscCSM6AEDTDg04biOvhFhyyWvOHQfeF_PxMQ\","
        "\"y\":\"e8lnCO-AlStT-NJVX-crhB7QRYhiix03illJOVAOyck\"}}}},"
        "\"gpu0\":{\"ear.status\":\"none\",\"ear.trustworthiness-vector\":{}}}}"));
}

/* As a token, read back by its claims and the key that it is about. */
static void test_token(void)
{
    CCZ_AUTO(ccz_jwk) bob = jwk_of(bob_key);
    CCZ_AUTO_BUF out;
    ccz_buf_init(&out, 10000);
    struct ccz_ear_submod sub = {.name = "cpu0", .tee_key = bob};
    struct ccz_ear ear = {.issuer = "kms \"a\"",
                          .developer = "cczoo",
                          .build = "1",
                          .audience = "kbs",
                          .iat_s = 1000,
                          .lifetime_s = 300,
                          .submods = &sub,
                          .submods_len = 1};
    CHECK_OK(ccz_ear_put(&out, &ear, &err));
    CCZ_AUTO(ccz_key) key = NULL;
    CCZ_AUTO(ccz_jwk) pub = NULL;
    CCZ_AUTO(ccz_jwk) attested = NULL;
    CCZ_AUTO(ccz_json) j = NULL;
    CCZ_AUTO_BUF token;
    CCZ_AUTO_BUF tee;
    ccz_buf_init(&token, 10000);
    ccz_buf_init(&tee, 4096);
    CHECK(ccz_key_generate(&key, CCZ_P256) == CCZ_OK);
    CHECK_OK(ccz_jwk_from_key(&pub, key, &err));
    struct ccz_jws_header h = {.typ = "JWT", .with_jwk = true};
    CHECK_OK(ccz_jws_sign(&token, key, &h, ccz_buf_span(&out), &err));
    struct ccz_jwt_rules rules = {.key = pub, .iss = "kms \"a\"", .aud = "kbs", .now_s = 1299};
    CHECK_OK(ccz_jwt_verify(&j, &rules, ccz_buf_span(&token), &err));
    const struct ccz_json *v = ccz_json_get(ccz_json_get(j, "submods"), "cpu0");
    v = ccz_json_get(ccz_json_get(v, "ear.veraison.annotated-evidence"), "runtime_data_claims");
    CHECK_OK(ccz_jcs_put(&tee, ccz_json_get(v, "tee-pubkey"), &err));
    CHECK_OK(ccz_jwk_parse(&attested, ccz_buf_span(&tee), &err));
    CHECK(ccz_jwk_same(attested, bob));
    struct ccz_json *no;
    rules.now_s = 1300;
    CHECK_REFUSED(ccz_jwt_verify(&no, &rules, ccz_buf_span(&token), &err), CCZ_E_EXPIRED,
                  "jwt:exp");
}

static void test_refused(void)
{
    CCZ_AUTO(ccz_jwk) bob = jwk_of(bob_key);
    CCZ_AUTO_BUF out;
    ccz_buf_init(&out, 10000);
    ccz_buf_put_str(&out, "before");
    struct ccz_ear_submod sub = {.name = "cpu0"}, twice[2] = {{.name = "cpu0"}, {.name = "cpu0"}},
                          many[17] = {{0}};
    const struct ccz_ear good = {.issuer = "a",
                                 .developer = "b",
                                 .build = "c",
                                 .iat_s = 0,
                                 .lifetime_s = 1,
                                 .submods = &sub,
                                 .submods_len = 1};
    struct ccz_ear e;
#define BAD(change, rc, at)                                                                        \
    do {                                                                                           \
        e = good;                                                                                  \
        sub = (struct ccz_ear_submod){.name = "cpu0"};                                             \
        change;                                                                                    \
        CHECK_REFUSED(ccz_ear_put(&out, &e, &err), rc, at);                                        \
    } while (0)
    BAD(e.issuer = NULL, CCZ_E_ARG, "ear:config");
    BAD(e.developer = NULL, CCZ_E_ARG, "ear:config");
    BAD(e.build = NULL, CCZ_E_ARG, "ear:config");
    BAD(e.iat_s = -1, CCZ_E_ARG, "ear:config");
    BAD(e.iat_s = INT64_MAX, CCZ_E_ARG, "ear:config");
    BAD(e.lifetime_s = 0, CCZ_E_ARG, "ear:config");
    BAD(e.lifetime_s = CCZ_EAR_LIFETIME_MAX_S + 1, CCZ_E_ARG, "ear:config");
    BAD(e.submods_len = 0, CCZ_E_ARG, "ear:config");
    BAD((e.submods = many, e.submods_len = 17), CCZ_E_ARG, "ear:config");
    BAD((e.submods = twice, e.submods_len = 2), CCZ_E_ARG, "ear:config");
    BAD(sub.name = NULL, CCZ_E_ARG, "ear:config");
    BAD(sub.tee = "tdx", CCZ_E_ARG, "ear:config");
    BAD(sub.evidence = ccz_span_str("{}"), CCZ_E_ARG, "ear:config");
    BAD(sub.nonce = ccz_span_str("x"), CCZ_E_ARG, "ear:config");
    BAD((sub.tee = "report_data", sub.evidence = ccz_span_str("{}")), CCZ_E_ARG, "ear:config");
    BAD((sub.tee = "runtime_data_claims", sub.evidence = ccz_span_str("{}")), CCZ_E_ARG,
        "ear:config");
    BAD(e.issuer = "\xff", CCZ_E_ARG, "ear:text");
    BAD(sub.name = "\xc3", CCZ_E_ARG, "ear:text");
    BAD((sub.tee_key = bob, sub.nonce = ccz_span_str("\x80")), CCZ_E_ARG, "ear:text");
    /* evidence that would close the object and say something else */
    BAD((sub.tee = "tdx",
         sub.evidence = ccz_span_str("{}},\"ear.status\":\"affirming\",\"x\":{\"y\":{}")),
        CCZ_E_FORMAT, "ear:evidence");
    BAD((sub.tee = "tdx", sub.evidence = ccz_span_str("[]")), CCZ_E_FORMAT, "ear:evidence");
    BAD((sub.tee = "tdx", sub.evidence = ccz_span_str("{\"a\":1,\"a\":2}")), CCZ_E_FORMAT,
        "ear:evidence");
    out.max_size = 100;
    BAD((void)0, CCZ_E_LIMIT, "ear:size");
    CHECK(text_is(&out, "before"));
#undef BAD
}

/* --------------------------------------------------------------------------------------- nonces */

static struct ccz_secret *key_from(uint8_t first, size_t size)
{
    struct ccz_secret *s;
    CHECK(ccz_secret_new(&s, size) == CCZ_OK);
    ccz_secret_bytes(s)[0] = first;
    return s;
}

static void test_nonce(void)
{
    CCZ_AUTO(ccz_secret) key = key_from(1, 32);
    CCZ_AUTO(ccz_secret) other = key_from(2, 32);
    CCZ_AUTO(ccz_secret) weak = key_from(1, 31);
    char text[CCZ_NONCE_TEXT_SIZE + 1], again[CCZ_NONCE_TEXT_SIZE + 1];
    uint8_t nonce[32], zero[32] = {0};
    CHECK(ccz_nonce_new(text, key, 1000) == CCZ_OK && strlen(text) == 44 && text[43] == '=');
    CHECK(ccz_nonce_new(again, key, 1000) == CCZ_OK && strcmp(text, again) != 0);
    struct ccz_span t = ccz_span_str(text);
    CHECK_OK(ccz_nonce_check(nonce, t, key, 1000, 300, 0, &err));
    /* the layout: time, randomness, and a MAC that anybody with the key can compute */
    CHECK(memcmp(nonce, "\0\0\0\x03\xe8", 5) == 0);
    uint8_t mac[32];
    const struct ccz_span parts[] = {CCZ_SPAN("cczoo nonce v1", 15), CCZ_SPAN(nonce, 16)};
    CHECK(ccz_hmac(mac, CCZ_SHA256, CCZ_SPAN(ccz_secret_view(key), 32), parts, 2) == CCZ_OK);
    CHECK(memcmp(mac, nonce + 16, 16) == 0);
    CHECK_OK(ccz_nonce_check(nonce, t, key, 1300, 300, 0, &err));
    CHECK_REFUSED(ccz_nonce_check(nonce, t, key, 1301, 300, 0, &err), CCZ_E_EXPIRED, "nonce:age");
    CHECK(memcmp(nonce, zero, 32) == 0);
    CHECK_REFUSED(ccz_nonce_check(nonce, t, key, 1301, 300, 60, &err), CCZ_E_EXPIRED, "nonce:age");
    CHECK_REFUSED(ccz_nonce_check(nonce, t, key, 999, 300, 0, &err), CCZ_E_EXPIRED, "nonce:future");
    CHECK_OK(ccz_nonce_check(nonce, t, key, 990, 300, 10, &err));
    CHECK_REFUSED(ccz_nonce_check(nonce, t, key, 989, 300, 10, &err), CCZ_E_EXPIRED,
                  "nonce:future");
    CHECK_REFUSED(ccz_nonce_check(nonce, t, other, 1000, 300, 0, &err), CCZ_E_SIG, "nonce:foreign");
    CHECK_OK(ccz_nonce_check(nonce, t, key, 1000, CCZ_NONCE_AGE_MAX_S, CCZ_JWT_SKEW_MAX_S, &err));

    CHECK_REFUSED(ccz_nonce_check(nonce, t, weak, 1000, 300, 0, &err), CCZ_E_ARG, "nonce:config");
    CHECK_REFUSED(ccz_nonce_check(nonce, t, NULL, 1000, 300, 0, &err), CCZ_E_ARG, "nonce:config");
    CHECK_REFUSED(ccz_nonce_check(nonce, t, key, -1, 300, 0, &err), CCZ_E_ARG, "nonce:config");
    CHECK_REFUSED(ccz_nonce_check(nonce, t, key, 1000, 0, 0, &err), CCZ_E_ARG, "nonce:config");
    CHECK_REFUSED(ccz_nonce_check(nonce, t, key, 1000, CCZ_NONCE_AGE_MAX_S + 1, 0, &err), CCZ_E_ARG,
                  "nonce:config");
    CHECK_REFUSED(ccz_nonce_check(nonce, t, key, 1000, 300, -1, &err), CCZ_E_ARG, "nonce:config");
    CHECK_REFUSED(ccz_nonce_check(nonce, t, key, 1000, 300, CCZ_JWT_SKEW_MAX_S + 1, &err),
                  CCZ_E_ARG, "nonce:config");
    CHECK(ccz_nonce_new(again, weak, 1000) == CCZ_E_ARG && again[0] == 0);
    CHECK(ccz_nonce_new(again, key, -1) == CCZ_E_ARG &&
          ccz_nonce_new(again, key, INT64_MAX) == CCZ_E_ARG);
    CHECK(ccz_nonce_new(again, key, CCZ_JWT_TIME_MAX_S) == CCZ_OK);
    CHECK_OK(ccz_nonce_check(nonce, ccz_span_str(again), key, CCZ_JWT_TIME_MAX_S, 1, 0, &err));
}

static void test_nonce_damaged(void)
{
    CCZ_AUTO(ccz_secret) key = key_from(1, 64);
    char text[CCZ_NONCE_TEXT_SIZE + 1], copy[CCZ_NONCE_TEXT_SIZE + 1];
    uint8_t nonce[32], zero[32] = {0};
    CHECK(ccz_nonce_new(text, key, 1000) == CCZ_OK);
    for (size_t bit = 0; bit < 8 * 44; bit++) {
        memcpy(copy, text, sizeof(copy));
        copy[bit / 8] = (char)(copy[bit / 8] ^ 1 << bit % 8);
        ccz_rc rc = ccz_nonce_check(nonce, CCZ_SPAN(copy, 44), key, 1000, 300, 0, &err);
        CHECK(rc == CCZ_E_SIG || rc == CCZ_E_FORMAT);
        CHECK(memcmp(nonce, zero, 32) == 0);
    }
    for (size_t size = 0; size < 44; size++)
        CHECK_REFUSED(ccz_nonce_check(nonce, CCZ_SPAN(text, size), key, 1000, 300, 0, &err),
                      CCZ_E_FORMAT, "nonce:text");
    static const char *const odd[] = {
        "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8",   /* no padding */
        "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHg==",  /* 31 bytes */
        "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh9A",  /* 33 bytes */
        "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh9=",  /* stray bits */
        "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdH_8="}; /* the other alphabet */
    for (size_t i = 0; i < 5; i++)
        CHECK_REFUSED(ccz_nonce_check(nonce, ccz_span_str(odd[i]), key, 1000, 300, 0, &err),
                      CCZ_E_FORMAT, "nonce:text");
    CHECK_REFUSED(ccz_nonce_check(nonce,
                                  ccz_span_str("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="), key,
                                  1000, 300, 0, &err),
                  CCZ_E_SIG, "nonce:foreign");
}

/* ------------------------------------------------------------------------------------- replay */

static void id_of(uint8_t id[32], uint32_t n)
{
    memset(id, 0, 32);
    memcpy(id, &n, sizeof(n));
}

static ccz_rc use(struct ccz_replay *r, uint32_t n, int64_t expires, int64_t now)
{
    uint8_t id[32];
    id_of(id, n);
    return ccz_replay_use(r, id, expires, now, &err);
}

static void test_replay(void)
{
    CCZ_AUTO(ccz_replay) r = NULL;
    CHECK_OK(ccz_replay_new(&r, 4, &err));
    CHECK_OK(use(r, 1, 100, 0));
    CHECK_REFUSED(use(r, 1, 100, 0), CCZ_E_EXISTS, "replay:used");
    CHECK_OK(use(r, 2, 100, 50));
    CHECK_REFUSED(use(r, 1, 100, 99), CCZ_E_EXISTS, "replay:used");
    CHECK_REFUSED(use(r, 1, 100, 100), CCZ_E_EXPIRED, "replay:expired");
    CHECK_OK(use(r, 3, 300, 150));
    /* the clock set back: what was forgotten because it had expired does not come to life */
    CHECK_REFUSED(use(r, 1, 100, 50), CCZ_E_EXPIRED, "replay:expired");
    CHECK_REFUSED(use(r, 4, 149, 0), CCZ_E_EXPIRED, "replay:expired");
    CHECK_REFUSED(use(r, 3, 300, 0), CCZ_E_EXISTS, "replay:used");
    struct ccz_replay *no;
    CHECK_REFUSED(ccz_replay_new(&no, 0, &err), CCZ_E_ARG, "replay:len");
    CHECK_REFUSED(ccz_replay_new(&no, CCZ_REPLAY_LEN_MAX + 1, &err), CCZ_E_ARG, "replay:len");
}

/* Full: refused, and nothing forgotten; and room again when time has passed. */
static void test_replay_full(void)
{
    CCZ_AUTO(ccz_replay) r = NULL;
    uint32_t taken = 0;
    CHECK_OK(ccz_replay_new(&r, 8, &err));
    while (taken < 100 && use(r, taken, 100, 0) == CCZ_OK)
        taken++;
    CHECK(taken >= 8 && taken <= 16);
    CHECK_REFUSED(use(r, taken, 100, 0), CCZ_E_LIMIT, "replay:full");
    for (uint32_t i = 0; i < taken; i++)
        CHECK_REFUSED(use(r, i, 100, 99), CCZ_E_EXISTS, "replay:used");
    CHECK_REFUSED(use(r, taken, 1000, 99), CCZ_E_LIMIT, "replay:full");
    for (uint32_t i = 0; i < 8; i++) /* all of it expired */
        CHECK_OK(use(r, taken + i, 200, 100));
}

/* Against a list of everything, with clocks that also go back. */
static void test_replay_model(void)
{
    enum { IDS = 4000, LEN = 64, LIFE = 100 };
    static int64_t until[IDS]; /* 0: not used */
    static uint32_t turn[IDS]; /* ids are not made twice */
    uint64_t rng = 7;
    int64_t now = 0, latest = 0;
    size_t ok = 0, used = 0, full = 0;
    CCZ_AUTO(ccz_replay) r = NULL;
    CHECK_OK(ccz_replay_new(&r, LEN, &err));
    for (size_t step = 0; step < 100000; step++) {
        now += (int64_t)(rnd(&rng) % 8) - 2;
        now = now < 0 ? 0 : now;
        latest = now > latest ? now : latest;
        uint32_t n = (uint32_t)(rnd(&rng) % IDS);
        int64_t expires = until[n] ? until[n] : now + 1 + (int64_t)(rnd(&rng) % LIFE);
        ccz_rc rc = use(r, n + IDS * turn[n], expires, now);
        if (expires <= latest) {
            CHECK(rc == CCZ_E_EXPIRED);
            until[n] = 0;
            turn[n]++;
        } else if (until[n]) {
            CHECK(rc == CCZ_E_EXISTS);
            used++;
        } else {
            CHECK(rc == CCZ_OK || rc == CCZ_E_LIMIT);
            until[n] = rc == CCZ_OK ? expires : 0;
            ok += rc == CCZ_OK;
            full += rc == CCZ_E_LIMIT;
        }
    }
    CHECK(ok > 10000 && used > 100 && full < ok / 10);
}

static const struct ccz_test tests[] = {
    {"jose.ear_tiers", test_tiers},
    {"jose.ear_appraise", test_appraise},
    {"jose.ear_claims", test_claims},
    {"jose.ear_token", test_token},
    {"jose.ear_refused", test_refused},
    {"jose.nonce", test_nonce},
    {"jose.nonce_damaged", test_nonce_damaged},
    {"jose.replay", test_replay},
    {"jose.replay_full", test_replay_full},
    {"jose.replay_model", test_replay_model},
};

int main(int argc, char **argv)
{
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
