/* SPDX-License-Identifier: Apache-2.0 */
/* The KBS protocol without a listener: bodies, evidence, sessions. */
#define _DEFAULT_SOURCE
#include "kmsdoor/kbs_priv.h"

#include "ccz_test.h"
#include "kmsdoor/kbs_door.h"
#include "kmsdoor/kbs_kit.h"
#include "kmsdoor/statuses.h"

#include <cczoo/crypto.h>
#include <cczoo/snp.h>

#include <dirent.h>

enum { NOW_S = 1750000000, AUTH_S = 300 };

static const char bob[] = "{\"alg\":\"ECDH-ES+A256KW\",\"crv\":\"P-256\",\"kty\":\"EC\",\"x\":"
                          "\"weNJy2HscCSM6AEDTDg04biOvhFhyyWvOHQfeF_PxMQ\","
                          "\"y\":\"e8lnCO-AlStT-NJVX-crhB7QRYhiix03illJOVAOyck\"}";
static const char nonce_text[] = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

static ccz_rc refused(ccz_rc rc, const struct ccz_err *err, ccz_rc want, const char *where)
{
    if (rc == want && strcmp(err->where, where) == 0)
        return CCZ_OK;
    fprintf(stderr, "%s at \"%s\" (%s), expected %s at \"%s\"\n", ccz_rc_name(rc), err->where,
            err->msg, ccz_rc_name(want), where);
    return CCZ_E_INTERNAL;
}
#define REFUSED(call, want, where_)                                                                \
    do {                                                                                           \
        struct ccz_err err_ = {0}, *err = &err_;                                                   \
        ccz_rc rc_ = (call);                                                                       \
        CHECK(refused(rc_, err, want, where_) == CCZ_OK);                                          \
    } while (0)

/* ------------------------------------------------------------------------------- Request */

static void test_request(void)
{
    enum ccz_tee tee;
    static const struct {
        const char *body;
        ccz_rc rc;
        const char *where;
    } t[] = {
        {"", CCZ_E_FORMAT, "kbs:json"},
        {"[]", CCZ_E_FORMAT, "kbs:json"},
        {"{}", CCZ_E_FORMAT, "kbs:member"},
        {"{\"version\":\"0.3.0\",\"tee\":\"sgx\"}", CCZ_E_UNSUPPORTED, "kbs:version"},
        {"{\"version\":\"0.4.1\",\"tee\":\"sgx\"}", CCZ_E_UNSUPPORTED, "kbs:version"},
        {"{\"version\":\"0.4.0 \",\"tee\":\"sgx\"}", CCZ_E_UNSUPPORTED, "kbs:version"},
        {"{\"version\":4,\"tee\":\"sgx\"}", CCZ_E_FORMAT, "kbs:member"},
        {"{\"version\":\"0.4.0\"}", CCZ_E_FORMAT, "kbs:member"},
        {"{\"version\":\"0.4.0\",\"tee\":null}", CCZ_E_FORMAT, "kbs:member"},
        {"{\"version\":\"0.4.0\",\"tee\":\"sample\"}", CCZ_E_DENIED, "kbs:sample"},
        {"{\"version\":\"0.4.0\",\"tee\":\"sampledevice\"}", CCZ_E_DENIED, "kbs:sample"},
        {"{\"version\":\"0.4.0\",\"tee\":\"nvidia\"}", CCZ_E_UNSUPPORTED, "kbs:tee"},
        {"{\"version\":\"0.4.0\",\"tee\":\"SGX\"}", CCZ_E_UNSUPPORTED, "kbs:tee"},
        {"{\"version\":\"0.4.0\",\"tee\":\"none\"}", CCZ_E_UNSUPPORTED, "kbs:tee"},
        {"{\"version\":\"0.4.0\",\"tee\":\"sgx\",\"tee\":\"tdx\"}", CCZ_E_FORMAT, "kbs:json"},
    };
    for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
        REFUSED(cczi_kbs_request_get(&tee, ccz_span_str(t[i].body), err), t[i].rc, t[i].where);
        CHECK(tee == CCZ_TEE_NONE);
    }
    static const char *const tees[] = {"", "sgx", "tdx", "snp"};
    for (enum ccz_tee k = CCZ_TEE_SGX; k <= CCZ_TEE_SNP; k++) {
        CCZ_AUTO_BUF b;
        ccz_buf_init(&b, 1024);
        kbs_put_request(&b, "0.4.0", tees[k]);
        CHECK(cczi_kbs_request_get(&tee, ccz_buf_span(&b), NULL) == CCZ_OK && tee == k);
        for (size_t cut = 0; cut < b.size; cut++)
            REFUSED(cczi_kbs_request_get(&tee, ccz_span_sub(ccz_buf_span(&b), 0, cut), err),
                    CCZ_E_FORMAT, "kbs:json");
    }
    CCZ_AUTO_BUF c;
    ccz_buf_init(&c, 256);
    cczi_kbs_challenge_put(&c, nonce_text);
    CHECK(
        strcmp(
            ccz_buf_str(&c),
            "{\"nonce\":\"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\",\"extra-params\":\"\"}") ==
        0);
}

/* --------------------------------------------------------------------------- Attestation */

static const char quote_evidence[] = "{\"quote\":\"AAEC\"}";

static void put_body(struct ccz_buf *b, const char *init_data, const char *nonce, const char *key,
                     const char *primary, const char *additional)
{
    ccz_buf_init(b, 65536);
    ccz_buf_printf(b,
                   "{\"init-data\":%s,\"runtime-data\":{\"nonce\":%s,\"tee-pubkey\":%s},\"tee-"
                   "evidence\":{\"primary_evidence\":%s,\"additional_evidence\":%s}}",
                   init_data, nonce, key, primary, additional);
}

static ccz_rc parse_and_free(struct ccz_span body, struct ccz_err *err)
{
    struct cczi_kbs_attestation a;
    ccz_rc rc = cczi_kbs_attestation_get(&a, body, err);
    cczi_kbs_attestation_free(&a);
    return rc;
}

static const char good_nonce[] = "\"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\"";

static void test_attestation(void)
{
    static const char sig_key[] = "{\"kty\":\"EC\",\"crv\":\"P-256\",\"alg\":\"ES256\",\"x\":"
                                  "\"weNJy2HscCSM6AEDTDg04biOvhFhyyWvOHQfeF_PxMQ\",\"y\":\"e8lnCO-"
                                  "AlStT-NJVX-crhB7QRYhiix03illJOVAOyck\"}";
    static const char off_curve[] =
        "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"weNJy2HscCSM6AEDTDg04biOvhFhyyWvOHQfeF_PxMQ\","
        "\"y\":\"e8lnCO-AlStT-NJVX-crhB7QRYhiix03illJOVAOycl\"}";
    static const char p521[] = "{\"kty\":\"EC\",\"crv\":\"P-521\",\"x\":\"AA\",\"y\":\"AA\"}";
    const struct {
        const char *init, *nonce, *key, *primary, *additional;
        ccz_rc rc;
        const char *where;
    } t[] = {
        {"null", good_nonce, bob, "null", "\"\"", CCZ_E_FORMAT, "kbs:member"},
        {"null", good_nonce, bob, "[]", "\"\"", CCZ_E_FORMAT, "kbs:member"},
        {"null", "\"AAEC\"", bob, quote_evidence, "\"\"", CCZ_E_FORMAT, "kbs:member"},
        {"null", "null", bob, quote_evidence, "\"\"", CCZ_E_FORMAT, "kbs:member"},
        {"null", good_nonce, "\"key\"", quote_evidence, "\"\"", CCZ_E_FORMAT, "kbs:member"},
        {"null", good_nonce, sig_key, quote_evidence, "\"\"", CCZ_E_DENIED, "kbs:tee-pubkey"},
        {"null", good_nonce, p521, quote_evidence, "\"\"", CCZ_E_UNSUPPORTED, "jwk:crv"},
        {"null", good_nonce, off_curve, quote_evidence, "\"\"", CCZ_E_FORMAT, "jwk:base64"},
        {"null", good_nonce, "{\"kty\":\"AKP\",\"alg\":\"ML-KEM-768+A192KW\",\"pub\":\"AA\"}",
         quote_evidence, "\"\"", CCZ_E_UNSUPPORTED, "jwk:kty"},
        {"null", good_nonce, "{\"kty\":\"oct\",\"k\":\"AA\"}", quote_evidence, "\"\"", CCZ_E_DENIED,
         "jwk:private"},
        {"null", good_nonce, bob, quote_evidence, "\"{\\\"nvidia\\\":1}\"", CCZ_E_UNSUPPORTED,
         "kbs:additional-evidence"},
        {"null", good_nonce, bob, quote_evidence, "{}", CCZ_E_UNSUPPORTED,
         "kbs:additional-evidence"},
        {"{\"format\":\"json\",\"body\":\"x\"}", good_nonce, bob, quote_evidence, "\"\"",
         CCZ_E_UNSUPPORTED, "kbs:init-data-format"},
        {"{\"format\":\"toml\"}", good_nonce, bob, quote_evidence, "\"\"", CCZ_E_FORMAT,
         "kbs:member"},
        {"{\"format\":\"toml\",\"body\":\"\"}", good_nonce, bob, quote_evidence, "\"\"",
         CCZ_E_FORMAT, "kbs:member"},
        {"\"toml\"", good_nonce, bob, quote_evidence, "\"\"", CCZ_E_UNSUPPORTED,
         "kbs:init-data-format"},
    };
    for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
        CCZ_AUTO_BUF b;
        put_body(&b, t[i].init, t[i].nonce, t[i].key, t[i].primary, t[i].additional);
        REFUSED(parse_and_free(ccz_buf_span(&b), err), t[i].rc, t[i].where);
    }
    CCZ_AUTO_BUF b;
    put_body(&b, "{\"format\":\"toml\",\"body\":\"a = \\\"b\\\"\\n\"}",
             "\"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8\\u003d\"", bob, quote_evidence, "null");
    struct cczi_kbs_attestation a;
    CHECK(cczi_kbs_attestation_get(&a, ccz_buf_span(&b), NULL) == CCZ_OK);
    CHECK(strcmp(a.nonce, nonce_text) == 0); /* escapes are decoded */
    CHECK(ccz_span_eq(ccz_buf_span(&a.init_data), ccz_span_str("a = \"b\"\n")));
    cczi_kbs_attestation_free(&a);
    for (size_t cut = 0; cut < b.size; cut++) {
        char *copy = malloc(cut + 1); /* of exactly that size: reads behind it show */
        CHECK(copy);
        memcpy(copy, b.ptr, cut);
        REFUSED(parse_and_free(CCZ_SPAN(copy, cut), err), CCZ_E_FORMAT, "kbs:json");
        free(copy);
    }
}

/* -------------------------------------------------------------------------------- binding */

static const char report_data_hex[] = "d59c5ca13c55df86b2fc4ce983ae8f26d00a1082f3acf26d7b077c4a7a26"
                                      "4e44b4b1f8cce97801cfba202e3197d053ef"
                                      "00000000000000000000000000000000";

static void test_bound(void)
{
    CCZ_AUTO_BUF b;
    struct cczi_kbs_attestation a;
    struct ccz_claims c = {.tee = CCZ_TEE_SGX};
    put_body(&b, "null", good_nonce, bob, quote_evidence, "\"\"");
    CHECK(cczi_kbs_attestation_get(&a, ccz_buf_span(&b), NULL) == CCZ_OK);
    CHECK(ccz_unhex(c.report_data, 64, report_data_hex, 128) == CCZ_OK);
    CHECK(cczi_kbs_bound(&a, &c, NULL) == CCZ_OK);
    for (size_t i = 0; i < 64; i++) { /* the zeros behind the hash count, too */
        c.report_data[i] ^= 1;
        REFUSED(cczi_kbs_bound(&a, &c, err), CCZ_E_MISMATCH, "kbs:report-data");
        c.report_data[i] ^= 1;
    }
    a.nonce[0] = 'B';
    REFUSED(cczi_kbs_bound(&a, &c, err), CCZ_E_MISMATCH, "kbs:report-data");
    a.nonce[0] = 'A';
    /* another key with the same evidence */
    CCZ_AUTO(ccz_jwe_key) other = NULL;
    CHECK(ccz_jwe_key_generate(&other, CCZ_JWK_P256, NULL) == CCZ_OK);
    CCZ_AUTO_BUF text;
    ccz_buf_init(&text, 4096);
    ccz_jwk_put(&text, ccz_jwe_key_public(other), CCZ_JWK_TEE);
    struct ccz_jwk *mine = a.tee_key;
    CHECK(ccz_jwk_parse(&a.tee_key, ccz_buf_span(&text), NULL) == CCZ_OK);
    REFUSED(cczi_kbs_bound(&a, &c, err), CCZ_E_MISMATCH, "kbs:report-data");
    ccz_jwk_free(mine);
    cczi_kbs_attestation_free(&a);
}

static void test_init_data(void)
{
    static const char body[] = "version = \"0.1.0\"\nalgorithm = \"sha384\"\n[data]\n";
    struct cczi_kbs_attestation a;
    CCZ_AUTO_BUF b;
    put_body(&b,
             "{\"format\":\"toml\",\"body\":\"version = \\\"0.1.0\\\"\\nalgorithm = "
             "\\\"sha384\\\"\\n[data]\\n\"}",
             good_nonce, bob, quote_evidence, "\"\"");
    CHECK(cczi_kbs_attestation_get(&a, ccz_buf_span(&b), NULL) == CCZ_OK);
    for (enum ccz_tee tee = CCZ_TEE_SGX; tee <= CCZ_TEE_SNP; tee++)
        for (enum ccz_hash alg = CCZ_SHA256; alg <= CCZ_SHA512; alg++) {
            struct ccz_claims c = {.tee = tee};
            uint8_t digest[64] = {0};
            struct ccz_span part = CCZ_SPAN(body, sizeof(body) - 1);
            uint8_t *field = tee == CCZ_TEE_SGX   ? c.config_id
                             : tee == CCZ_TEE_TDX ? c.mrconfigid
                                                  : c.snp.host_data;
            size_t size = tee == CCZ_TEE_SGX ? 64 : tee == CCZ_TEE_TDX ? 48 : 32;
            CHECK(ccz_unhex(c.report_data, 64, report_data_hex, 128) == CCZ_OK);
            REFUSED(cczi_kbs_bound(&a, &c, err), CCZ_E_MISMATCH, "kbs:init-data");
            CHECK(ccz_hash(digest, alg, &part, 1) == CCZ_OK);
            memcpy(field, digest, size);
            CHECK(cczi_kbs_bound(&a, &c, NULL) == CCZ_OK);
            field[size - 1] ^= 1;
            REFUSED(cczi_kbs_bound(&a, &c, err), CCZ_E_MISMATCH, "kbs:init-data");
        }
    cczi_kbs_attestation_free(&a);
}

/* ------------------------------------------------------------------------------- evidence */

static ccz_rc evidence_of(struct ccz_buf *out, enum ccz_tee tee, struct ccz_span json,
                          struct ccz_err *err)
{
    CCZ_AUTO(ccz_jdoc) doc = NULL;
    ccz_buf_init(out, CCZI_KBS_EVIDENCE_MAX);
    ccz_rc rc = ccz_jdoc_parse(&doc, json, err);
    return rc == CCZ_OK ? cczi_kbs_evidence_get(out, tee, ccz_jdoc_root(doc), err) : rc;
}

static void test_quote(void)
{
    static const struct {
        const char *json;
        ccz_rc rc;
        const char *where;
    } t[] = {
        {"{}", CCZ_E_FORMAT, "kbs:member"},
        {"{\"quote\":\"\"}", CCZ_E_FORMAT, "kbs:member"},
        {"{\"quote\":[1]}", CCZ_E_FORMAT, "kbs:member"},
        {"{\"quote\":\"AAE\"}", CCZ_E_FORMAT, "kbs:base64"},
        {"{\"quote\":\"AA-_\"}", CCZ_E_FORMAT, "kbs:base64"},
        {"{\"svn\":\"1\",\"report_data\":\"AA==\"}", CCZ_E_FORMAT,
         "kbs:member"}, /* of the sample attester */
    };
    for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++)
        for (enum ccz_tee tee = CCZ_TEE_SGX; tee <= CCZ_TEE_TDX; tee++) {
            CCZ_AUTO_BUF out = {0};
            REFUSED(evidence_of(&out, tee, ccz_span_str(t[i].json), err), t[i].rc, t[i].where);
            CHECK(out.size == 0);
        }
    CCZ_AUTO_BUF out = {0};
    CHECK(evidence_of(&out, CCZ_TEE_SGX, ccz_span_str(quote_evidence), NULL) == CCZ_OK);
    CHECK(ccz_span_eq(ccz_buf_span(&out), CCZ_SPAN("\0\1\2", 3)));
    CCZ_AUTO_BUF escaped = {0}; /* as some writers of JSON have it */
    CHECK(evidence_of(&escaped, CCZ_TEE_TDX, ccz_span_str("{\"quote\":\"\\/\\/8\\u003d\"}"),
                      NULL) == CCZ_OK);
    CHECK(ccz_span_eq(ccz_buf_span(&escaped), CCZ_SPAN("\xff\xff", 2)));
    CCZ_AUTO_BUF big;
    CCZ_AUTO_BUF none = {0};
    ccz_buf_init(&big, 1 << 20);
    ccz_buf_put_str(&big, "{\"quote\":\"");
    for (size_t i = 0; i < CCZI_KBS_EVIDENCE_MAX / 3 + 1; i++)
        ccz_buf_put_str(&big, "AAAA");
    ccz_buf_put_str(&big, "\"}");
    REFUSED(evidence_of(&none, CCZ_TEE_SGX, ccz_buf_span(&big), err), CCZ_E_LIMIT,
            "kbs:evidence-size");
}

/* A report of version 5 with every field at its extreme: numbers are exact to the last bit. */
static void make_report(uint8_t r[1184], uint8_t version, uint8_t family)
{
    memset(r, 0, 1184);
    for (size_t i = 4; i < 0x208; i++)
        r[i] = (uint8_t)(0xff - i % 7);
    memset(r + 0x4c, 0, 4);
    memset(r + 0x18b, 0, 0x1a0 - 0x18b);
    r[0] = version;
    r[1] = r[2] = r[3] = 0;
    r[0x188] = family;
    r[0x1eb] = r[0x1ef] = 0;
    static const size_t tcbs[] = {0x38, 0x180, 0x1e0, 0x1f0};
    for (size_t i = 0; i < 4; i++)
        memset(r + tcbs[i] + (family == 0x1a ? 4 : 2), 0, family == 0x1a ? 3 : 4);
    if (version < 5)
        memset(r + 0x1f8, 0, 16);
    if (version < 3)
        memset(r + 0x188, 0, 3);
    for (size_t i = 0; i < 144; i++)
        r[0x2a0 + i] = (uint8_t)(i * 31);
}

static void test_snp(void)
{
    static const struct {
        uint8_t version, family;
    } t[] = {{2, 0x19}, {3, 0x19}, {3, 0x1a}, {4, 0x19}, {5, 0x19}, {5, 0x1a}};
    for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
        uint8_t r[1184];
        CCZ_AUTO_BUF json;
        CCZ_AUTO_BUF out = {0};
        CCZ_AUTO_BUF with = {0};
        make_report(r, t[i].version, t[i].family);
        ccz_buf_init(&json, 65536);
        kbs_put_snp(&json, r, NULL, (struct ccz_span){0});
        CHECK(evidence_of(&out, CCZ_TEE_SNP, ccz_buf_span(&json), NULL) == CCZ_OK);
        CHECK(ccz_span_eq(ccz_buf_span(&out), CCZ_SPAN(r, sizeof(r))));
        ccz_buf_clear(&json);
        kbs_put_snp(&json, r, "VLEK", CCZ_SPAN("certificate", 11));
        CHECK(evidence_of(&with, CCZ_TEE_SNP, ccz_buf_span(&json), NULL) == CCZ_OK);
        CHECK(with.size == 1184 + 48 + 11 && memcmp(with.ptr, r, 1184) == 0);
        const char *type = NULL;
        CHECK(ccz_span_eq(kbs_vek_of(&type, ccz_buf_span(&with)), ccz_span_str("certificate")));
        CHECK(type && strcmp(type, "VLEK") == 0);
    }
}

/* Each member in turn is renamed, and each array is one element short: nothing is taken for zero. */
static void test_snp_members(void)
{
    uint8_t r[1184];
    CCZ_AUTO_BUF json;
    make_report(r, 5, 0x1a);
    ccz_buf_init(&json, 65536);
    kbs_put_snp(&json, r, "VCEK", CCZ_SPAN("c", 1));
    size_t renamed = 0, shortened = 0;
    for (size_t i = 0; i + 2 < json.size; i++) {
        if (json.ptr[i] == '"' && (json.ptr[i - 1] == ',' || json.ptr[i - 1] == '{')) {
            CCZ_AUTO_BUF out = {0};
            const char *name = (const char *)json.ptr + i + 1;
            bool optional = memcmp(name, "fmc", 3) == 0 || memcmp(name, "none", 4) == 0 ||
                            memcmp(name, "OTHER", 5) == 0 || memcmp(name, "cert_chain", 10) == 0 ||
                            memcmp(name, "data", 4) == 0;
            uint8_t keep = json.ptr[i + 1];
            json.ptr[i + 1] = '_';
            struct ccz_err err = {0};
            ccz_rc rc = evidence_of(&out, CCZ_TEE_SNP, ccz_buf_span(&json), &err);
            CHECK(optional || (rc == CCZ_E_FORMAT && err.got[0] && out.size == 0));
            json.ptr[i + 1] = keep;
            renamed++;
        }
        if (json.ptr[i] == ',' && json.ptr[i + 1] >= '0' && json.ptr[i + 1] <= '9' &&
            memchr("]", json.ptr[i + 2], 1) == NULL) {
            CCZ_AUTO_BUF out = {0};
            json.ptr[i] = ' '; /* "1 2": no JSON */
            REFUSED(evidence_of(&out, CCZ_TEE_SNP, ccz_buf_span(&json), err), CCZ_E_FORMAT,
                    "json:parse");
            json.ptr[i] = ',';
            shortened++;
        }
    }
    CHECK(renamed > 50 && shortened > 300);
    static const struct {
        const char *from, *to, *where;
    } t[] = {
        {"\"policy\":", "\"policy\":1", "kbs:member"},       /* beyond 2^64 */
        {"\"guest_svn\":", "\"guest_svn\":9", "kbs:member"}, /* beyond 2^32 */
        {"\"policy\":", "\"policy\":-", "kbs:member"},
        {"\"report_data\":[", "\"report_data\":[0,", "kbs:member"}, /* 65 */
        {"\"measurement\":[", "\"measurement\":[256,", "kbs:member"},
        {"\"fmc\":", "\"fmc\":9999", "kbs:member"},
        {"\"cert_chain\":[", "\"cert_chain\":[null,", "kbs:certificates"},
        {"\"cert_chain\":[", "\"cert_chain\":[{\"cert_type\":\"VLEK\",\"data\":[1]},",
         "kbs:certificates"},
        {"\"cert_chain\":[", "\"cert_chain\":[{\"cert_type\":\"VCEK\",\"data\":[]},",
         "kbs:certificates"},
        {"\"cert_chain\":[", "\"cert_chain\":[{\"cert_type\":\"VCEK\",\"data\":[-1]},",
         "kbs:certificates"},
        {"\"cert_chain\":[", "\"cert_chain\":{},\"x\":[", "kbs:certificates"},
    };
    for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
        CCZ_AUTO_BUF changed;
        CCZ_AUTO_BUF out = {0};
        const char *text = ccz_buf_str(&json), *at = strstr(text, t[i].from);
        CHECK(at);
        ccz_buf_init(&changed, 65536);
        ccz_buf_put(&changed, text, (size_t)(at - text));
        ccz_buf_put_str(&changed, t[i].to);
        ccz_buf_put_str(&changed, at + strlen(t[i].from));
        struct ccz_err err = {0};
        CHECK(evidence_of(&out, CCZ_TEE_SNP, ccz_buf_span(&changed), &err) == CCZ_E_FORMAT);
        CHECK(strcmp(err.where, t[i].where) == 0 || strcmp(err.where, "json:parse") == 0);
    }
}

/* A firmware that this processor does not have is not left aside. */
static void test_snp_fmc(void)
{
    uint8_t r[1184];
    CCZ_AUTO_BUF json;
    CCZ_AUTO_BUF changed;
    CCZ_AUTO_BUF out = {0};
    ccz_buf_init(&json, 65536);
    ccz_buf_init(&changed, 65536);
    make_report(r, 3, 0x19);
    kbs_put_snp(&json, r, NULL, (struct ccz_span){0});
    const char *text = ccz_buf_str(&json), *at = strstr(text, "\"fmc\":null");
    CHECK(at);
    ccz_buf_put(&changed, text, (size_t)(at - text));
    ccz_buf_put_str(&changed, "\"fmc\":1");
    ccz_buf_put_str(&changed, at + strlen("\"fmc\":null"));
    REFUSED(evidence_of(&out, CCZ_TEE_SNP, ccz_buf_span(&changed), err), CCZ_E_FORMAT,
            "kbs:member");
    CHECK(out.size == 0);
}

/* Genuine reports of every version through JSON and back. */
static void test_snp_genuine(void)
{
    char dir[1024];
    const char *env = getenv("CCZOO_VECTORS");
    (void)snprintf(dir, sizeof(dir), "%s/tee",
                   env ? env : CCZ_TEST_SOURCE_DIR "/../shared/vectors");
    DIR *d = opendir(dir);
    if (!d) {
        fprintf(stderr, "skipped: no %s\n", dir);
        exit(77);
    }
    size_t n = 0, versions[6] = {0};
    for (struct dirent *e; (e = readdir(d));) {
        char path[2048];
        CCZ_AUTO_BUF report;
        CCZ_AUTO_BUF json;
        CCZ_AUTO_BUF out = {0};
        ccz_buf_init(&report, 1 << 20);
        ccz_buf_init(&json, 1 << 20);
        (void)snprintf(path, sizeof(path), "%s/%s/evidence.bin", dir, e->d_name);
        if (strncmp(e->d_name, "snp", 3) != 0 || ccz_file_read(&report, path, NULL) != CCZ_OK)
            continue;
        struct ccz_snp_report parsed;
        if (ccz_snp_report_parse(&parsed, ccz_buf_span(&report), NULL) != CCZ_OK)
            continue;
        kbs_put_evidence(&json, CCZ_TEE_SNP, ccz_buf_span(&report));
        CHECK(evidence_of(&out, CCZ_TEE_SNP, ccz_buf_span(&json), NULL) == CCZ_OK);
        CHECK(memcmp(out.ptr, report.ptr, 1184) == 0);
        versions[report.ptr[0]]++;
        n++;
    }
    closedir(d);
    CHECK(n > 25 && versions[2] && versions[3] && versions[4] && versions[5]);
}

/* ------------------------------------------------------------------------------- sessions */

static struct cczi_kbs_sessions *sessions(size_t len, size_t used)
{
    struct cczi_kbs_sessions *s = NULL;
    const struct cczi_kbs_sessions_cfg cfg = {len, used, AUTH_S};
    CHECK(cczi_kbs_sessions_new(&s, &cfg, NULL) == CCZ_OK);
    return s;
}

static const struct ccz_claims nobody; /* a platform that does not say who it is */

static struct ccz_span str(const char *s)
{
    return ccz_span_str(s);
}

/* Monotonic time goes as the clock does. */
static ccz_rc spend(struct cczi_kbs_sessions *s, const struct cczi_kbs_open *o,
                    const struct ccz_claims *claims, int64_t now_s, struct ccz_err *e)
{
    return cczi_kbs_spend(s, o, claims, now_s, 1000 * now_s, e);
}

static void test_session(void)
{
    struct cczi_kbs_sessions *s = sessions(8, 100), *elsewhere = sessions(8, 100);
    struct cczi_kbs_begun a, b, foreign;
    struct cczi_kbs_open o;
    CHECK(cczi_kbs_begin(&a, s, CCZ_TEE_TDX, NOW_S, NULL) == CCZ_OK);
    CHECK(cczi_kbs_begin(&b, s, CCZ_TEE_TDX, NOW_S, NULL) == CCZ_OK);
    CHECK(cczi_kbs_begin(&foreign, elsewhere, CCZ_TEE_TDX, NOW_S, NULL) == CCZ_OK);
    CHECK(strlen(a.id) == 32 && strlen(a.nonce) == 44 && a.expires_s == NOW_S + AUTH_S);
    CHECK(cczi_kbs_sessions_len(s) == 0); /* nothing is kept */
    CHECK(cczi_kbs_resume(&o, s, str(a.id), str(a.nonce), NOW_S, NULL) == CCZ_OK);
    CHECK(o.tee == CCZ_TEE_TDX);
    REFUSED(cczi_kbs_resume(&o, s, (struct ccz_span){0}, str(a.nonce), NOW_S, err), CCZ_E_DENIED,
            "kbs:no-session");
    REFUSED(cczi_kbs_resume(&o, s, str("0123"), str(a.nonce), NOW_S, err), CCZ_E_DENIED,
            "kbs:session");
    REFUSED(cczi_kbs_resume(&o, s, str(b.id), str(a.nonce), NOW_S, err), CCZ_E_DENIED,
            "kbs:nonce-session");
    REFUSED(cczi_kbs_resume(&o, s, str(a.id), str(foreign.nonce), NOW_S, err), CCZ_E_SIG,
            "nonce:foreign");
    REFUSED(cczi_kbs_resume(&o, s, str(foreign.id), str(a.nonce), NOW_S, err), CCZ_E_DENIED,
            "kbs:nonce-session");
    REFUSED(cczi_kbs_resume(&o, s, str(a.id), str("AAEC"), NOW_S, err), CCZ_E_FORMAT, "nonce:text");
    REFUSED(cczi_kbs_resume(&o, s, str(a.id), str(a.nonce), NOW_S + AUTH_S + 1, err), CCZ_E_EXPIRED,
            "nonce:age");
    REFUSED(cczi_kbs_resume(&o, s, str(a.id), str(a.nonce), NOW_S - 6, err), CCZ_E_EXPIRED,
            "nonce:future");
    CHECK(o.tee == CCZ_TEE_NONE);
    /* the TEE in the id is under the MAC: evidence of another kind is another session */
    a.id[1] = '1';
    REFUSED(cczi_kbs_resume(&o, s, str(a.id), str(a.nonce), NOW_S, err), CCZ_E_DENIED,
            "kbs:nonce-session");
    a.id[1] = '7';
    REFUSED(cczi_kbs_resume(&o, s, str(a.id), str(a.nonce), NOW_S, err), CCZ_E_DENIED,
            "kbs:session");
    /* once */
    CHECK(cczi_kbs_resume(&o, s, str(b.id), str(b.nonce), NOW_S, NULL) == CCZ_OK);
    CHECK(spend(s, &o, &nobody, NOW_S, NULL) == CCZ_OK);
    REFUSED(spend(s, &o, &nobody, NOW_S + 1, err), CCZ_E_EXISTS, "replay:used");
    REFUSED(spend(s, &o, &nobody, NOW_S + AUTH_S, err), CCZ_E_EXISTS, "replay:used");
    cczi_kbs_sessions_free(s);
    cczi_kbs_sessions_free(elsewhere);
}

static void attested(struct cczi_kbs_begun *b, struct cczi_kbs_sessions *s, const char *token,
                     uint8_t mark, int64_t now_s)
{
    struct cczi_kbs_open o;
    struct ccz_jwk *key = NULL;
    struct ccz_ratls_peer peer = {.attested = true, .fresh = true};
    peer.spki_sha256[0] = mark;
    CHECK(ccz_jwk_parse(&key, str(bob), NULL) == CCZ_OK);
    CHECK(cczi_kbs_begin(b, s, CCZ_TEE_SGX, now_s, NULL) == CCZ_OK);
    CHECK(cczi_kbs_resume(&o, s, str(b->id), str(b->nonce), now_s, NULL) == CCZ_OK);
    CHECK(cczi_kbs_attested(s, &o, &peer, &key, str(token), now_s + 300, NULL) == CCZ_OK && !key);
}

static void test_attested(void)
{
    struct cczi_kbs_sessions *s = sessions(4, 100);
    struct cczi_kbs_begun b[6], open;
    struct cczi_kbs_session *e, *held = NULL;
    char token[16];
    CHECK(cczi_kbs_begin(&open, s, CCZ_TEE_SGX, NOW_S, NULL) == CCZ_OK);
    for (int i = 0; i < 6; i++) {
        (void)snprintf(token, sizeof(token), "token %d", i);
        attested(&b[i], s, token, (uint8_t)i, NOW_S + i);
        CHECK(cczi_kbs_by_cookie(&e, s, str(b[i].id), NOW_S, NULL) == CCZ_OK);
        CHECK(e->peer.spki_sha256[0] == i && e->tee_key);
        struct cczi_kbs_session *by_token;
        CHECK(cczi_kbs_by_token(&by_token, s, str(token), NOW_S, NULL) == CCZ_OK && by_token == e);
        cczi_kbs_session_unref(by_token);
        if (i == 0)
            held = e;
        else
            cczi_kbs_session_unref(e);
    }
    CHECK(held->tee_key &&
          held->peer.attested); /* an answer under way outlives the table's entry */
    cczi_kbs_session_unref(held);
    /* bounded: the two oldest are forgotten, by both names */
    CHECK(cczi_kbs_sessions_len(s) == 4);
    for (int i = 0; i < 6; i++) {
        (void)snprintf(token, sizeof(token), "token %d", i);
        if (i >= 2) {
            CHECK(cczi_kbs_by_cookie(&e, s, str(b[i].id), NOW_S, NULL) == CCZ_OK);
            cczi_kbs_session_unref(e);
            CHECK(cczi_kbs_by_token(&e, s, str(token), NOW_S, NULL) == CCZ_OK);
            cczi_kbs_session_unref(e);
            continue;
        }
        REFUSED(cczi_kbs_by_cookie(&e, s, str(b[i].id), NOW_S, err), CCZ_E_DENIED, "kbs:session");
        REFUSED(cczi_kbs_by_token(&e, s, str(token), NOW_S, err), CCZ_E_DENIED, "kbs:token");
    }
    REFUSED(cczi_kbs_by_cookie(&e, s, str(open.id), NOW_S, err), CCZ_E_DENIED, "kbs:session");
    REFUSED(cczi_kbs_by_cookie(&e, s, (struct ccz_span){0}, NOW_S, err), CCZ_E_DENIED,
            "kbs:no-session");
    REFUSED(cczi_kbs_by_cookie(&e, s, str(b[5].id), NOW_S + 305, err), CCZ_E_EXPIRED,
            "kbs:session-expired");
    REFUSED(cczi_kbs_by_token(&e, s, str("token 5"), NOW_S + 305, err), CCZ_E_EXPIRED,
            "kbs:token-expired");
    CHECK(cczi_kbs_by_token(&e, s, str("token 5"), NOW_S + 304, NULL) == CCZ_OK);
    cczi_kbs_session_unref(e);
    REFUSED(cczi_kbs_by_token(&e, s, str("token 5 "), NOW_S, err), CCZ_E_DENIED, "kbs:token");
    REFUSED(cczi_kbs_by_token(&e, s, (struct ccz_span){0}, NOW_S, err), CCZ_E_DENIED, "kbs:token");
    cczi_kbs_sessions_free(s);
    const struct cczi_kbs_sessions_cfg bad[] = {
        {0, 1, 1}, {1, 0, 1}, {1, 1, 0}, {CCZI_KBS_SESSIONS_MAX + 1, 1, 1}};
    for (size_t i = 0; i < 4; i++)
        REFUSED(cczi_kbs_sessions_new(&s, &bad[i], err), CCZ_E_ARG, "kbs:config");
}

/* More attestations than are remembered within one lifetime are refused, never forgotten early. */
static void test_used_full(void)
{
    struct cczi_kbs_sessions *s = sessions(4, 10);
    ccz_rc rc = CCZ_OK;
    struct ccz_err err = {0};
    size_t n = 0;
    for (; n < 100 && rc == CCZ_OK; n++) {
        struct cczi_kbs_begun b;
        struct cczi_kbs_open o;
        CHECK(cczi_kbs_begin(&b, s, CCZ_TEE_SNP, NOW_S, NULL) == CCZ_OK);
        CHECK(cczi_kbs_resume(&o, s, str(b.id), str(b.nonce), NOW_S, NULL) == CCZ_OK);
        rc = spend(s, &o, &nobody, NOW_S, &err);
    }
    CHECK(n >= 11 && n < 100 && rc == CCZ_E_LIMIT && strcmp(err.where, "replay:full") == 0);
    cczi_kbs_sessions_free(s);
}

/* Nonces as one server makes them, one after the other. */
static struct cczi_kbs_open opened(uint64_t number, int64_t made_s)
{
    struct cczi_kbs_open o = {.tee = CCZ_TEE_SGX};
    for (size_t i = 0; i < CCZ_NONCE_TIME_SIZE; i++)
        o.nonce[i] = (uint8_t)(made_s >> 8 * (CCZ_NONCE_TIME_SIZE - 1 - i));
    memcpy(o.nonce + CCZ_NONCE_TIME_SIZE, &number, sizeof(number));
    return o;
}

static struct ccz_claims on_platform(uint16_t number)
{
    struct ccz_claims c = {.tee = CCZ_TEE_SGX};
    memcpy(c.ppid, &number, sizeof(number));
    return c;
}

/* What is usual lasts for 1,000 attestations a second for ever: from a thousand platforms, and from one. */
static void test_capacity(void)
{
    for (uint16_t platforms = 1; platforms <= 1000; platforms = (uint16_t)(platforms + 999)) {
        struct cczi_kbs_sessions *s = NULL;
        const struct cczi_kbs_sessions_cfg cfg = {16, CCZI_KBS_ATTESTATIONS, CCZI_KBS_NONCE_S};
        uint64_t n = 0;
        if (platforms == 1) {
            struct cczi_kbs_open o = opened(0, NOW_S);
            struct ccz_claims c = on_platform(0);
            CHECK(cczi_kbs_sessions_new(&s, &cfg, NULL) == CCZ_OK);
            CHECK(spend(s, &o, &c, NOW_S, NULL) == CCZ_OK);
            /* for what is left of its life, and not longer than it is looked at */
            REFUSED(spend(s, &o, &c, NOW_S + CCZI_KBS_NONCE_S, err), CCZ_E_EXISTS, "replay:used");
            REFUSED(spend(s, &o, &c, NOW_S + CCZI_KBS_NONCE_S + CCZI_KBS_SKEW_S, err),
                    CCZ_E_EXPIRED, "replay:expired");
            cczi_kbs_sessions_free(s);
        }
        CHECK(cczi_kbs_sessions_new(&s, &cfg, NULL) == CCZ_OK);
        for (int64_t t = NOW_S; t < NOW_S + 300 && platforms > 1; t++) {
            for (int i = 0; i < 1000; i++, n++) {
                struct cczi_kbs_open o = opened(n, t - i % 3);
                struct ccz_claims c = on_platform((uint16_t)(n % platforms));
                CHECK(spend(s, &o, &c, t, NULL) == CCZ_OK);
            }
        }
        cczi_kbs_sessions_free(s);
    }
}

static void attested_on(struct cczi_kbs_begun *b, struct cczi_kbs_sessions *s, const char *token,
                        uint16_t platform)
{
    struct cczi_kbs_open o;
    struct ccz_jwk *key = NULL;
    struct ccz_ratls_peer peer = {.attested = true, .fresh = true, .claims = on_platform(platform)};
    CHECK(ccz_jwk_parse(&key, str(bob), NULL) == CCZ_OK);
    CHECK(cczi_kbs_begin(b, s, CCZ_TEE_SGX, NOW_S, NULL) == CCZ_OK);
    CHECK(cczi_kbs_resume(&o, s, str(b->id), str(b->nonce), NOW_S, NULL) == CCZ_OK);
    CHECK(cczi_kbs_attested(s, &o, &peer, &key, str(token), NOW_S + 300, NULL) == CCZ_OK);
}

/* A clock that jumps ahead and back keeps no platform from its next share. */
static void test_shares_clock(void)
{
    struct cczi_kbs_sessions *s = sessions(128, 1024);
    const struct ccz_claims greedy = on_platform(1), other = on_platform(2);
    const int64_t life_ms = 1000 * (AUTH_S + CCZI_KBS_SKEW_S), far_s = NOW_S + AUTH_S;
    struct cczi_kbs_open o = opened(0, far_s);
    CHECK(cczi_kbs_spend(s, &o, &other, far_s, 1, NULL) == CCZ_OK);
    ccz_rc rc = CCZ_OK;
    struct ccz_err err = {0};
    uint64_t n = 1;
    for (; n < 2048 && rc == CCZ_OK; n++) {
        o = opened(n, NOW_S);
        rc = cczi_kbs_spend(s, &o, &greedy, NOW_S, 2, &err);
    }
    CHECK(rc == CCZ_E_LIMIT && strcmp(err.where, "kbs:platform") == 0);
    o = opened(n++, NOW_S + 1);
    CHECK(cczi_kbs_spend(s, &o, &greedy, NOW_S + 1, 2 * life_ms + 1, NULL) == CCZ_OK);
    cczi_kbs_sessions_free(s);
}

/* Who has one machine fills its own share: neither nonces nor sessions of others are refused or forgotten for it. */
static void test_one_tee(void)
{
    struct cczi_kbs_sessions *s = sessions(128, 1024);
    const struct ccz_claims greedy = on_platform(1);
    struct cczi_kbs_begun other[8], own;
    size_t refused_of_others = 0, kept = 0;
    struct cczi_kbs_session *e;
    char token[32];
    ccz_rc rc = CCZ_OK;
    struct ccz_err err = {0};
    uint64_t n = 0;
    for (; n < 2048 && rc == CCZ_OK; n++) {
        struct cczi_kbs_open o = opened(n, NOW_S);
        rc = spend(s, &o, &greedy, NOW_S, &err);
    }
    CHECK(n == 513 && rc == CCZ_E_LIMIT && strcmp(err.where, "kbs:platform") == 0);
    for (uint16_t i = 2; i < 402; i++) {
        struct cczi_kbs_open o = opened(n++, NOW_S);
        const struct ccz_claims c = on_platform(i);
        refused_of_others += spend(s, &o, &c, NOW_S, NULL) != CCZ_OK;
    }
    CHECK(refused_of_others <= 4); /* who meets it in its place, by chance one in 8,192 */
    /* in its time, again */
    struct cczi_kbs_open o = opened(n++, NOW_S + 2 * (AUTH_S + CCZI_KBS_SKEW_S));
    CHECK(spend(s, &o, &greedy, NOW_S + 2 * (AUTH_S + CCZI_KBS_SKEW_S), NULL) == CCZ_OK);

    for (uint16_t i = 0; i < 8; i++) {
        (void)snprintf(token, sizeof(token), "other %d", i);
        attested_on(&other[i], s, token, (uint16_t)(2 + i));
    }
    for (int i = 0; i < 1000; i++) {
        (void)snprintf(token, sizeof(token), "greedy %d", i);
        attested_on(&own, s, token, 1);
    }
    CHECK(cczi_kbs_sessions_len(s) == 128);
    for (size_t i = 0; i < 8; i++) {
        kept += cczi_kbs_by_cookie(&e, s, str(other[i].id), NOW_S, NULL) == CCZ_OK;
        cczi_kbs_session_unref(e);
    }
    CHECK(kept >= 5);
    CHECK(cczi_kbs_by_cookie(&e, s, str(own.id), NOW_S, NULL) == CCZ_OK);
    cczi_kbs_session_unref(e);
    for (uint16_t i = 3; i < 150; i++) { /* others push out what is older than they */
        (void)snprintf(token, sizeof(token), "%d", i);
        attested_on(&own, s, token, i);
    }
    CHECK(cczi_kbs_sessions_len(s) == 128);
    CHECK(cczi_kbs_by_token(&e, s, str("149"), NOW_S, NULL) == CCZ_OK);
    cczi_kbs_session_unref(e);
    CHECK(cczi_kbs_by_token(&e, s, str("greedy 999"), NOW_S, NULL) == CCZ_E_DENIED);
    cczi_kbs_sessions_free(s);
}

static void test_cookie(void)
{
    static const struct {
        const char *header, *want;
    } t[] = {
        {NULL, ""},
        {"", ""},
        {"kbs-session-id=ab", "ab"},
        {"a=b; kbs-session-id=ab; c=d", "ab"},
        {"kbs-session-id=ab ;c=d", "ab"},
        {"a=b;kbs-session-id=", ""},
        {"xkbs-session-id=ab", ""},
        {"kbs-session-idx=ab", ""},
        {"kbs-session-id=ab; kbs-session-id=cd", ""}, /* which one? */
        {"a=\"kbs-session-id=ab\"", ""},
        {";;; ;", ""},
    };
    for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
        struct ccz_span got = cczi_kbs_cookie(t[i].header);
        CHECK(ccz_span_eq(got, str(t[i].want)));
    }
    CCZ_AUTO_BUF b;
    ccz_buf_init(&b, 256);
    cczi_kbs_set_cookie(&b, "0123", 784111477, 784111777, true);
    CHECK(strcmp(ccz_buf_str(&b), "kbs-session-id=0123; Path=/kbs/v0; Max-Age=300; Expires=Sun, 06 "
                                  "Nov 1994 08:49:37 GMT; HttpOnly; SameSite=Strict; Secure") == 0);
}

/* What stock clients do next depends on this number alone: 401 starts all over, 404 ends at once. */
static void test_statuses(void)
{
    static const struct status_case t[] = {
        {CCZ_E_DENIED, "kbs:no-session", 401},
        {CCZ_E_EXPIRED, "kbs:token-expired", 401},
        {CCZ_E_SIG, "nonce:foreign", 401},
        {CCZ_E_EXISTS, "replay:used", 401},
        {CCZ_E_LIMIT, "replay:full", 429},
        {CCZ_E_NOT_FOUND, "kms:not-found", 404},
        {CCZ_E_NOT_FOUND, "kbs:plugin", 404},
        {CCZ_E_NOT_FOUND, "snp:vek-missing", 403},
        {CCZ_E_NOT_FOUND, "verifier:no-collateral", 403},
        {CCZ_E_UNAVAILABLE, "party:collateral-pending", 503},
        {CCZ_E_MISMATCH, "kbs:report-data", 403},
        {CCZ_E_MISMATCH, "quote:qe-binding", 403},
        {CCZ_E_UNTRUSTED, "quote:pck-chain", 403},
        {CCZ_E_REVOKED, "snp:vek-revoked", 403},
        {CCZ_E_POLICY, "policy:mrenclave", 403},
        {CCZ_E_DENIED, "kms:unbound", 403},
        {CCZ_E_FORMAT, "kbs:member", 400},
        {CCZ_E_UNSUPPORTED, "kbs:version", 400},
        {CCZ_E_LIMIT, "door:body-size", 413},
        {CCZ_E_LIMIT, "kms:busy", 503},
        {CCZ_E_UNAVAILABLE, "kms:sealed", 503},
        {CCZ_E_SIG, "kms:row-mac", 500},
    };
    check_statuses(t, sizeof(t) / sizeof(t[0]), cczi_kbs_status);
}

static const struct ccz_test tests[] = {
    {"kbs.statuses", test_statuses},
    {"kbs.request", test_request},
    {"kbs.attestation", test_attestation},
    {"kbs.bound", test_bound},
    {"kbs.init_data", test_init_data},
    {"kbs.quote", test_quote},
    {"kbs.snp", test_snp},
    {"kbs.snp_members", test_snp_members},
    {"kbs.snp_fmc", test_snp_fmc},
    {"kbs.snp_genuine", test_snp_genuine},
    {"kbs.session", test_session},
    {"kbs.attested", test_attested},
    {"kbs.used_full", test_used_full},
    {"kbs.shares_clock", test_shares_clock},
    {"kbs.capacity", test_capacity},
    {"kbs.one_tee", test_one_tee},
    {"kbs.cookie", test_cookie},
};

int main(int argc, char **argv)
{
    return ccz_test_main(tests, sizeof(tests) / sizeof(*tests), argc, argv);
}
