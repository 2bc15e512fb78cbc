/* SPDX-License-Identifier: Apache-2.0 */
/* Evidence in certificates: each rule with a certificate that breaks only this rule. */
#define _DEFAULT_SOURCE
#include "ratls/ratls_priv.h"

#include <cczoo/codec.h>

#include "ccz_test.h"
#include "ratls/toy_evidence.h"

#include <stdio.h>

#define OID_LEGACY "0.6.9.42.840.113741.1337.6"
#define OID_MEANT  "1.2.840.113741.1337.6"
#define OID_DICE   "2.23.133.5.4.9"
#define NOW        INT64_C(1767225600)

static struct toy toy;

/* A certificate for @p key with the given extensions, parsed. */
static struct ccz_cert *cert_with(const struct ccz_key *key, const struct ccz_cert_ext_in *ext,
                                  size_t len)
{
    struct ccz_cert *cert = NULL;
    CCZ_AUTO_BUF der;
    ccz_buf_init(&der, CCZ_CERT_SIZE_MAX);
    struct ccz_cert_cfg cfg = {.cn = "test",
                               .key = key,
                               .not_before_s = NOW,
                               .not_after_s = NOW + 60,
                               .ext = ext,
                               .ext_len = len};
    CHECK(ccz_cert_issue(&der, &cfg, NULL) == CCZ_OK);
    CHECK(ccz_cert_parse(&cert, ccz_buf_span(&der), NULL) == CCZ_OK);
    return cert;
}

/* What parts a DICE value is made of; tests change one thing. */
struct dice {
    uint64_t tag, array, hash_array, hash_id;
    enum ccz_hash alg;
    const char *key;                          /* name of the claim */
    const char *second;                       /* a second claim, or NULL */
    bool no_claim;                            /* an empty map */
    bool tail_outer, tail_claims, tail_entry; /* one byte too many */
    bool wrong_hash, wrong_binding, indefinite;
    size_t upper; /* report data byte 32.. that is not zero, or 0 */
    bool critical;
};
static const struct dice good = {.tag = 60000,
                                 .array = 2,
                                 .hash_array = 2,
                                 .hash_id = 1,
                                 .alg = CCZ_SHA256,
                                 .key = "pubkey-hash"};

static void put_entry(struct ccz_buf *entry, const struct dice *d, const struct ccz_key *key)
{
    uint8_t hash[64];
    CCZ_AUTO_BUF spki;
    ccz_buf_init(&spki, 256);
    CHECK(ccz_key_spki(&spki, key) == CCZ_OK);
    struct ccz_span part = ccz_buf_span(&spki);
    CHECK(ccz_hash(hash, d->alg, &part, 1) == CCZ_OK);
    hash[7] ^= d->wrong_hash;
    ccz_cbor_put_head(entry, CCZ_CBOR_ARRAY, d->hash_array);
    ccz_cbor_put_head(entry, CCZ_CBOR_UINT, d->hash_id);
    ccz_cbor_put_string(entry, CCZ_CBOR_BYTES, CCZ_SPAN(hash, ccz_hash_size(d->alg)));
    if (d->tail_entry)
        ccz_buf_u8(entry, 0);
}

static void put_claims(struct ccz_buf *claims, const struct dice *d, const struct ccz_key *key)
{
    CCZ_AUTO_BUF entry;
    ccz_buf_init(&entry, 256);
    put_entry(&entry, d, key);
    size_t len = d->no_claim ? 0 : d->second ? 2 : 1;
    if (d->indefinite)
        ccz_buf_u8(claims, 0xbf);
    else
        ccz_cbor_put_head(claims, CCZ_CBOR_MAP, len);
    if (!d->no_claim) {
        ccz_cbor_put_string(claims, CCZ_CBOR_TEXT, ccz_span_str(d->key));
        ccz_cbor_put_string(claims, CCZ_CBOR_BYTES, ccz_buf_span(&entry));
    }
    if (d->second) {
        ccz_cbor_put_string(claims, CCZ_CBOR_TEXT, ccz_span_str(d->second));
        ccz_cbor_put_string(claims, CCZ_CBOR_BYTES, ccz_buf_span(&entry));
    }
    if (d->indefinite)
        ccz_buf_u8(claims, 0xff);
    if (d->tail_claims)
        ccz_buf_u8(claims, 0);
}

static void put_dice(struct ccz_buf *value, const struct dice *d, const struct ccz_key *key)
{
    uint8_t report_data[64] = {0};
    CCZ_AUTO_BUF claims;
    CCZ_AUTO_BUF quote;
    ccz_buf_init(&claims, 1024);
    ccz_buf_init(&quote, 1024);
    put_claims(&claims, d, key);
    CHECK(ccz_sha256(report_data, ccz_buf_span(&claims)) == CCZ_OK);
    report_data[0] ^= d->wrong_binding;
    report_data[d->upper] ^= d->upper ? 1 : 0;
    CHECK(toy_attest(&toy, &quote, report_data, NULL) == CCZ_OK);
    ccz_cbor_put_head(value, CCZ_CBOR_TAG, d->tag);
    ccz_cbor_put_head(value, CCZ_CBOR_ARRAY, d->array);
    ccz_cbor_put_string(value, CCZ_CBOR_BYTES, ccz_buf_span(&quote));
    ccz_cbor_put_string(value, CCZ_CBOR_BYTES, ccz_buf_span(&claims));
    if (d->tail_outer)
        ccz_buf_u8(value, 0);
}

static ccz_rc verify_dice(const struct dice *d, struct ccz_err *err)
{
    CCZ_AUTO(ccz_key) key = NULL;
    CCZ_AUTO_BUF value;
    ccz_buf_init(&value, 4096);
    CHECK(ccz_key_generate(&key, CCZ_P256) == CCZ_OK);
    put_dice(&value, d, key);
    struct ccz_cert_ext_in ext = {
        .oid = OID_DICE, .value = ccz_buf_span(&value), .critical = d->critical};
    CCZ_AUTO(ccz_cert) cert = cert_with(key, &ext, 1);
    struct ccz_claims claims;
    ccz_rc rc = ccz_ratls_cert_verify(&claims, cert, toy_appraise, &toy, err);
    CHECK((rc == CCZ_OK) == (claims.isv_svn == 7));
    return rc;
}

static void refuse_dice(struct dice d, ccz_rc want, const char *where)
{
    struct ccz_err err = {0};
    ccz_rc rc = verify_dice(&d, &err);
    if (rc != want || strcmp(err.where, where) != 0)
        fprintf(stderr, "got %s at %s (%s), want %s\n", ccz_rc_name(rc), err.where, err.msg, where);
    CHECK(rc == want && strcmp(err.where, where) == 0);
}

static void test_dice(void)
{
    struct ccz_err err;
    struct dice d = good;
    CHECK(verify_dice(&d, &err) == CCZ_OK);
    d.hash_id = 7;
    d.alg = CCZ_SHA384;
    CHECK(verify_dice(&d, &err) == CCZ_OK);
    d.hash_id = 8;
    d.alg = CCZ_SHA512;
    CHECK(verify_dice(&d, &err) == CCZ_OK);
    d = good;
    d.second = "nonce"; /* other claims are ignored */
    CHECK(verify_dice(&d, &err) == CCZ_OK);
}

static void test_dice_refused(void)
{
    struct dice d = good;
    d.tag = 60001;
    refuse_dice(d, CCZ_E_UNSUPPORTED, "ratls:cert-tag");
    d = good, d.array = 3;
    refuse_dice(d, CCZ_E_FORMAT, "ratls:cert-evidence");
    d = good, d.tail_outer = true;
    refuse_dice(d, CCZ_E_FORMAT, "ratls:cert-evidence");
    d = good, d.tail_claims = true;
    refuse_dice(d, CCZ_E_FORMAT, "ratls:cert-claims");
    d = good, d.indefinite = true;
    refuse_dice(d, CCZ_E_FORMAT, "ratls:cert-claims");
    d = good, d.tail_entry = true;
    refuse_dice(d, CCZ_E_FORMAT, "ratls:cert-pubkey-hash");
    d = good, d.hash_array = 1;
    refuse_dice(d, CCZ_E_FORMAT, "ratls:cert-pubkey-hash");
    d = good, d.hash_id = 2;
    refuse_dice(d, CCZ_E_UNSUPPORTED, "ratls:cert-hash-id");
    d = good, d.hash_id = 7; /* SHA-384 announced, 32 bytes given */
    refuse_dice(d, CCZ_E_SIG, "ratls:cert-key");
    d = good, d.wrong_hash = true;
    refuse_dice(d, CCZ_E_SIG, "ratls:cert-key");
    /* what Gramine 1.8 and the SGX SDK accept: claims without any binding to the key */
    d = good, d.key = "something";
    refuse_dice(d, CCZ_E_SIG, "ratls:cert-no-key");
    d = good, d.key = "p";
    refuse_dice(d, CCZ_E_SIG, "ratls:cert-no-key");
    d = good, d.no_claim = true;
    refuse_dice(d, CCZ_E_SIG, "ratls:cert-no-key");
    d = good, d.second = "pubkey-hash";
    refuse_dice(d, CCZ_E_FORMAT, "ratls:cert-claim-twice");
    d = good, d.critical = true;
    refuse_dice(d, CCZ_E_FORMAT, "ratls:cert-critical");
    d = good, d.wrong_binding = true;
    refuse_dice(d, CCZ_E_SIG, "ratls:report-data");
    for (size_t i = 32; i < 64; i++) {
        d = good, d.upper = i;
        refuse_dice(d, CCZ_E_SIG, "ratls:report-data");
    }
}

/* Every truncation and every bit of the value: never accepted, never read beyond. */
static void test_dice_damaged(void)
{
    CCZ_AUTO(ccz_key) key = NULL;
    CCZ_AUTO_BUF value;
    ccz_buf_init(&value, 4096);
    CHECK(ccz_key_generate(&key, CCZ_P256) == CCZ_OK);
    put_dice(&value, &good, key);
    for (size_t i = 0; i < value.size + 8 * value.size; i++) {
        size_t bit = i - value.size, size = i < value.size ? i : value.size;
        if (i >= value.size)
            value.ptr[bit / 8] ^= (uint8_t)(1u << (bit % 8));
        struct ccz_cert_ext_in ext = {.oid = OID_DICE, .value = CCZ_SPAN(value.ptr, size)};
        CCZ_AUTO(ccz_cert) cert = cert_with(key, &ext, 1);
        struct ccz_claims claims;
        struct ccz_err err;
        CHECK(ccz_ratls_cert_verify(&claims, cert, toy_appraise, &toy, &err) != CCZ_OK &&
              err.where[0]);
        CHECK(claims.isv_svn == 0);
        if (i >= value.size)
            value.ptr[bit / 8] ^= (uint8_t)(1u << (bit % 8));
    }
}

static void test_legacy(void)
{
    CCZ_AUTO(ccz_key) key = NULL;
    CCZ_AUTO(ccz_key) other = NULL;
    CCZ_AUTO_BUF spki;
    CCZ_AUTO_BUF quote;
    CCZ_AUTO_BUF dice;
    uint8_t report_data[64] = {0};
    struct ccz_claims claims;
    struct ccz_err err;
    ccz_buf_init(&spki, 256);
    ccz_buf_init(&quote, 256);
    ccz_buf_init(&dice, 4096);
    CHECK(ccz_key_generate(&key, CCZ_P256) == CCZ_OK &&
          ccz_key_generate(&other, CCZ_P256) == CCZ_OK);
    CHECK(ccz_key_spki(&spki, key) == CCZ_OK &&
          ccz_sha256(report_data, ccz_buf_span(&spki)) == CCZ_OK);
    CHECK(toy_attest(&toy, &quote, report_data, NULL) == CCZ_OK);
    put_dice(&dice,
             &(struct dice){.tag = 60000, .array = 2, .hash_array = 2, .hash_id = 1, .key = "x"},
             key);

    struct ccz_cert_ext_in ext[] = {{.oid = OID_LEGACY, .value = ccz_buf_span(&quote)},
                                    {.oid = OID_MEANT, .value = ccz_buf_span(&quote)},
                                    {.oid = OID_DICE, .value = ccz_buf_span(&dice)}};
    for (int i = 0; i < 2; i++) { /* both spellings of the OID */
        CCZ_AUTO(ccz_cert) cert = cert_with(key, &ext[i], 1);
        CHECK(ccz_ratls_cert_verify(&claims, cert, toy_appraise, &toy, &err) == CCZ_OK);
        CCZ_AUTO(ccz_cert)
        stolen = cert_with(other, &ext[i], 1); /* the quote pasted beside another key */
        CHECK(ccz_ratls_cert_verify(&claims, stolen, toy_appraise, &toy, &err) == CCZ_E_SIG);
        CHECK(strcmp(err.where, "ratls:report-data") == 0);
    }
    CCZ_AUTO(ccz_cert) both = cert_with(key, ext, 2);
    CHECK(ccz_ratls_cert_verify(&claims, both, toy_appraise, &toy, &err) == CCZ_E_FORMAT);
    CHECK(strcmp(err.where, "ratls:cert-legacy-twice") == 0);
    struct ccz_cert_ext_in mixed[] = {ext[0], ext[2]};
    CCZ_AUTO(ccz_cert)
    dice_bad = cert_with(key, mixed, 2); /* a bad DICE extension is not papered over */
    CHECK(ccz_ratls_cert_verify(&claims, dice_bad, toy_appraise, &toy, &err) == CCZ_E_SIG);
    CHECK(strcmp(err.where, "ratls:cert-no-key") == 0);
    mixed[1].value = (struct ccz_span){dice.ptr, 0};
    CCZ_AUTO(ccz_cert) dice_empty = cert_with(key, mixed, 2);
    CHECK(ccz_ratls_cert_verify(&claims, dice_empty, toy_appraise, &toy, &err) == CCZ_E_FORMAT);
    CHECK(strcmp(err.where, "ratls:cert-evidence") == 0);
    CCZ_AUTO(ccz_cert) none = cert_with(key, NULL, 0);
    CHECK(ccz_ratls_cert_verify(&claims, none, toy_appraise, &toy, &err) == CCZ_E_NOT_FOUND);
    CHECK(strcmp(err.where, "ratls:no-evidence") == 0);
}

static void test_issue(void)
{
    CCZ_AUTO(ccz_key) key = NULL;
    CCZ_AUTO_BUF der;
    ccz_buf_init(&der, CCZ_CERT_SIZE_MAX);
    struct ccz_claims claims;
    struct ccz_err err;
    CHECK(ccz_key_generate(&key, CCZ_P256) == CCZ_OK);
    CHECK(ccz_ratls_cert_issue(&der, key, NOW, toy_attest, &toy, &err) == CCZ_OK);
    CCZ_AUTO(ccz_cert) cert = NULL;
    CHECK(ccz_cert_parse(&cert, ccz_buf_span(&der), &err) == CCZ_OK);
    CHECK(ccz_ratls_cert_verify(&claims, cert, toy_appraise, &toy, &err) == CCZ_OK);
    CHECK(ccz_cert_not_before(cert) == NOW - 3600 && ccz_cert_not_after(cert) == NOW + 365 * 86400);

    /* byte for byte what others expect: quote raw under the odd OID, 51 bytes of claims behind it
     */
    struct ccz_span legacy = ccz_cert_ext(NULL, cert, OID_LEGACY),
                    dice = ccz_cert_ext(NULL, cert, OID_DICE);
    CHECK(legacy.size == TOY_QUOTE_SIZE && memcmp(legacy.ptr, "TOYQ", 4) == 0);
    static const uint8_t head[] = {0xd9, 0xea, 0x60, 0x82, 0x58, TOY_QUOTE_SIZE};
    static const uint8_t claims_head[] = {0x58, 0x33, 0xa1, 0x6b, 'p',  'u',  'b',
                                          'k',  'e',  'y',  '-',  'h',  'a',  's',
                                          'h',  0x58, 0x24, 0x82, 0x01, 0x58, 0x20};
    CHECK(dice.size == sizeof(head) + TOY_QUOTE_SIZE + 2 + 51 &&
          memcmp(dice.ptr, head, sizeof(head)) == 0);
    CHECK(memcmp(dice.ptr + sizeof(head) + TOY_QUOTE_SIZE, claims_head, sizeof(claims_head)) == 0);
    /* Gramine's verifier searches for these 11 bytes of the intended OID's encoding */
    static const uint8_t oid[] = {0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf8, 0x4d, 0x8a, 0x39, 0x06};
    bool found = false;
    for (size_t i = 0; i + sizeof(oid) <= der.size; i++)
        found |= memcmp(der.ptr + i, oid, sizeof(oid)) == 0;
    CHECK(found);

    toy.broken = true;
    CHECK(ccz_ratls_cert_issue(&der, key, NOW, toy_attest, &toy, &err) == CCZ_E_UNAVAILABLE);
    toy.broken = false;
    toy.filler = CCZ_QUOTE_SIZE_MAX + 1;
    CHECK(ccz_ratls_cert_issue(&der, key, NOW, toy_attest, &toy, &err) == CCZ_E_LIMIT);
    CHECK(strcmp(err.where, "ratls:own-evidence") == 0);
    toy.filler = 0;
}

/* ------------------------------------------------------- certificates by other implementations */

/* Takes the report data from where an SGX quote carries it; verifies nothing. */
static ccz_rc peek_sgx(void *arg, struct ccz_claims *claims, struct ccz_span quote,
                       struct ccz_err *err)
{
    (void)arg;
    enum { SGX_REPORT_DATA = 48 + 320 };
    if (quote.size < SGX_REPORT_DATA + 64)
        return ccz_fail(err, CCZ_E_FORMAT, "test:quote", 0, "too short");
    memcpy(claims->report_data, quote.ptr + SGX_REPORT_DATA, 64);
    claims->tee = CCZ_TEE_SGX;
    return CCZ_OK;
}

static struct ccz_cert *load_vector(const char *name)
{
    const char *dir = getenv("CCZOO_VECTORS");
    char path[1024];
    (void)snprintf(path, sizeof(path), "%s/certs/%s",
                   dir ? dir : CCZ_TEST_SOURCE_DIR "/../shared/vectors", name);
    CCZ_AUTO_BUF pem;
    CCZ_AUTO_BUF der;
    ccz_buf_init(&pem, CCZ_CERT_SIZE_MAX);
    ccz_buf_init(&der, CCZ_CERT_SIZE_MAX);
    if (ccz_file_read(&pem, path, NULL) != CCZ_OK) {
        fprintf(stderr, "skipped: %s is absent\n", path);
        exit(77);
    }
    struct ccz_span text = ccz_buf_span(&pem);
    ccz_rc rc = ccz_pem_next(&der, &text, "CERTIFICATE", NULL);
    text = ccz_buf_span(&pem);
    if (rc == CCZ_E_NOT_FOUND) /* OpenSSL's own label */
        rc = ccz_pem_next(&der, &text, "TRUSTED CERTIFICATE", NULL);
    CHECK(rc == CCZ_OK);
    struct ccz_cert *cert = NULL;
    struct ccz_err err = {0};
    if (ccz_cert_parse(&cert, ccz_buf_span(&der), &err) != CCZ_OK)
        fprintf(stderr, "%s: %s: %s\n", name, err.where, err.msg);
    CHECK(cert);
    return cert;
}

static void test_vectors(void)
{
    static const char *const names[] = {"gramine-cert.pem", "intel-sgxsdk-cert.pem",
                                        "rats-tls-cert.pem"};
    for (size_t i = 0; i < 3; i++) {
        CCZ_AUTO(ccz_cert) cert = load_vector(names[i]);
        struct ccz_claims claims;
        struct ccz_ratls_evidence evidence;
        struct ccz_err err = {0};
        CHECK(ccz_ratls_cert_evidence(&evidence, cert, &err) == CCZ_OK);
        CHECK(evidence.format == CCZ_RATLS_FORMAT_DICE && evidence.quote.size > 4000);
        CHECK(ccz_ratls_cert_verify(&claims, cert, peek_sgx, NULL, &err) == CCZ_OK);
        CHECK(memcmp(claims.report_data, evidence.report_data, 64) == 0);
    }
    /* Gramine's second quote, in the legacy extension, binds the key directly */
    CCZ_AUTO(ccz_cert) cert = load_vector(names[0]);
    struct ccz_cert_ext_in ext = {.oid = OID_LEGACY, .value = ccz_cert_ext(NULL, cert, OID_LEGACY)};
    struct ccz_claims claims = {0};
    uint8_t want[64] = {0};
    CHECK(ext.value.size > 4000 && peek_sgx(NULL, &claims, ext.value, NULL) == CCZ_OK);
    CHECK(ccz_sha256(want, ccz_cert_spki(cert)) == CCZ_OK &&
          memcmp(want, claims.report_data, 64) == 0);
    /* and moved beside another key it does not */
    CCZ_AUTO(ccz_key) other = NULL;
    CHECK(ccz_key_generate(&other, CCZ_P256) == CCZ_OK);
    CCZ_AUTO(ccz_cert) stolen = cert_with(other, &ext, 1);
    CHECK(ccz_ratls_cert_verify(&claims, stolen, peek_sgx, NULL, NULL) == CCZ_E_SIG);
}

static const struct ccz_test tests[] = {
    {"ratls.cert_dice", test_dice},
    {"ratls.cert_dice_refused", test_dice_refused},
    {"ratls.cert_dice_damaged", test_dice_damaged},
    {"ratls.cert_legacy", test_legacy},
    {"ratls.cert_issue", test_issue},
    {"ratls.cert_vectors", test_vectors},
};

int main(int argc, char **argv)
{
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
