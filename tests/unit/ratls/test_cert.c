/* SPDX-License-Identifier: Apache-2.0 */
/* Evidence in certificates: each rule with a certificate that breaks only this rule. */
#define _DEFAULT_SOURCE
#include "ratls/ratls_priv.h"

#include <cczoo/codec.h>

#include "ccz_test.h"
#include "ratls/toy_evidence.h"

#include <stdio.h>

#define OID_LEGACY       "0.6.9.42.840.113741.1337.6"
#define OID_MEANT        "1.2.840.113741.1337.6"
#define OID_TDX          "1.2.840.113741.1337.8"
#define OID_SNP          "1.2.840.113741.1337.20"
#define OID_DICE         "2.23.133.5.4.9"
#define OID_ENDORSEMENTS "2.23.133.5.4.2"
#define NOW              INT64_C(1767225600)

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
    uint8_t item;  /* instead of the evidence: this one byte of CBOR, or 0 */
    size_t filler; /* instead of the evidence: so many bytes */
    bool snp;      /* instead of the evidence: what looks like an SNP report */
    size_t upper;  /* report data byte 32.. that is not zero, or 0 */
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

/* As long as an SNP report, with its version and the toy's evidence in it. */
static void put_snp(struct ccz_buf *out, const uint8_t report_data[64], size_t table)
{
    CCZ_AUTO_BUF toy_quote;
    ccz_buf_init(&toy_quote, TOY_QUOTE_SIZE);
    CHECK(toy_attest(&toy, &toy_quote, report_data, NULL) == CCZ_OK);
    ccz_buf_clear(out);
    ccz_buf_le32(out, 2);
    ccz_buf_put_span(out, ccz_buf_span(&toy_quote));
    uint8_t *rest = ccz_buf_extend(out, 1184 - 4 - TOY_QUOTE_SIZE + table);
    CHECK(rest);
    memset(rest, 0, 1184 - 4 - TOY_QUOTE_SIZE + table);
}

static ccz_rc attest_snp(void *arg, struct ccz_buf *quote, const uint8_t report_data[64],
                         struct ccz_err *err)
{
    (void)arg, (void)err;
    put_snp(quote, report_data, 0);
    return CCZ_OK;
}

/* The toy's evidence, wrapped or not. */
static ccz_rc appraise_any(void *arg, struct ccz_claims *claims, struct ccz_span quote,
                           struct ccz_err *err)
{
    if (quote.size >= 1184)
        quote = CCZ_SPAN(quote.ptr + 4, TOY_QUOTE_SIZE);
    return toy_appraise(arg, claims, quote, err);
}

static void put_dice(struct ccz_buf *value, const struct dice *d, const struct ccz_key *key)
{
    uint8_t report_data[64] = {0};
    CCZ_AUTO_BUF claims;
    CCZ_AUTO_BUF quote;
    ccz_buf_init(&claims, 1024);
    ccz_buf_init(&quote, CCZ_QUOTE_SIZE_MAX + 1);
    put_claims(&claims, d, key);
    CHECK(ccz_sha256(report_data, ccz_buf_span(&claims)) == CCZ_OK);
    report_data[0] ^= d->wrong_binding;
    report_data[d->upper] ^= d->upper ? 1 : 0;
    CHECK(toy_attest(&toy, &quote, report_data, NULL) == CCZ_OK);
    ccz_cbor_put_head(value, CCZ_CBOR_TAG, d->tag);
    ccz_cbor_put_head(value, CCZ_CBOR_ARRAY, d->array);
    if (d->snp)
        put_snp(&quote, report_data, 0);
    if (d->filler)
        ccz_buf_clear(&quote), (void)ccz_buf_extend(&quote, d->filler);
    if (d->item)
        ccz_buf_u8(value, d->item);
    else
        ccz_cbor_put_string(value, CCZ_CBOR_BYTES, ccz_buf_span(&quote));
    ccz_cbor_put_string(value, CCZ_CBOR_BYTES, ccz_buf_span(&claims));
    if (d->tail_outer)
        ccz_buf_u8(value, 0);
}

static ccz_rc verify_dice(const struct dice *d, struct ccz_err *err)
{
    CCZ_AUTO(ccz_key) key = NULL;
    CCZ_AUTO_BUF value;
    ccz_buf_init(&value, CCZ_CERT_SIZE_MAX + 4096);
    CHECK(ccz_key_generate(&key, CCZ_P256) == CCZ_OK);
    put_dice(&value, d, key);
    struct ccz_cert_ext_in ext = {
        .oid = OID_DICE, .value = ccz_buf_span(&value), .critical = d->critical};
    CCZ_AUTO(ccz_cert) cert = cert_with(key, &ext, 1);
    struct ccz_claims claims;
    ccz_rc rc = ccz_ratls_cert_verify(&claims, cert, appraise_any, &toy, err);
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
    d = good, d.tag = 1733892, d.snp = true; /* librats' private tag */
    CHECK(verify_dice(&d, &err) == CCZ_OK);
}

/* The nonce is handed out, as bytes that the report data covers. */
static void test_nonce(void)
{
    CCZ_AUTO(ccz_key) key = NULL;
    CHECK(ccz_key_generate(&key, CCZ_P256) == CCZ_OK);
    for (int with = 0; with < 2; with++) {
        struct dice d = good;
        struct ccz_ratls_evidence e;
        CCZ_AUTO_BUF value;
        ccz_buf_init(&value, 4096);
        d.second = with ? "nonce" : "nonce2";
        put_dice(&value, &d, key);
        struct ccz_cert_ext_in ext = {.oid = OID_DICE, .value = ccz_buf_span(&value)};
        CCZ_AUTO(ccz_cert) cert = cert_with(key, &ext, 1);
        CHECK(ccz_ratls_cert_evidence(&e, cert, NULL) == CCZ_OK);
        CHECK((e.nonce.ptr != NULL) == (with == 1) && e.nonce.size == (with ? 36u : 0));
        if (with) /* the value of the second claim is the entry again: [1, hash] */
            CHECK(e.nonce.ptr[0] == 0x82 && e.nonce.ptr[1] == 0x01);
    }
}

static void test_dice_refused(void)
{
    struct dice d = good;
    static const uint64_t tags[] = {0,        24,       59999,    60001,     60002,
                                    0x1a7503, 0x1a7505, 0x1a7506, 1ULL << 63};
    for (size_t i = 0; i < sizeof(tags) / sizeof(tags[0]); i++) {
        d.tag = tags[i];
        refuse_dice(d, CCZ_E_UNSUPPORTED, "ratls:cert-tag");
    }
    d = good, d.snp = true; /* a report that is announced as a quote, and the other way round */
    refuse_dice(d, CCZ_E_MISMATCH, "ratls:cert-kind");
    d = good, d.tag = 1733892;
    refuse_dice(d, CCZ_E_MISMATCH, "ratls:cert-kind");
    d = good, d.item = 0xf6; /* null */
    refuse_dice(d, CCZ_E_FORMAT, "ratls:cert-evidence");
    d = good, d.item = 0x40; /* an empty byte string */
    refuse_dice(d, CCZ_E_FORMAT, "ratls:cert-empty");
    d = good, d.item = 0x5f; /* indefinite */
    refuse_dice(d, CCZ_E_FORMAT, "ratls:cert-evidence");
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
        refuse_dice(d, CCZ_E_SIG, "ratls:report-data-upper");
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

/* Evidence larger than any: the certificate around it is neither written nor read. */
static void test_size(void)
{
    struct dice d = good;
    struct ccz_err err = {0};
    CCZ_AUTO(ccz_key) key = NULL;
    CCZ_AUTO(ccz_cert) cert = NULL;
    CCZ_AUTO_BUF value;
    CCZ_AUTO_BUF der;
    ccz_buf_init(&value, CCZ_CERT_SIZE_MAX + 4096);
    ccz_buf_init(&der, (size_t)2 * CCZ_CERT_SIZE_MAX);
    CHECK(ccz_key_generate(&key, CCZ_P256) == CCZ_OK);
    d.filler = CCZ_QUOTE_SIZE_MAX;
    put_dice(&value, &d, key);
    struct ccz_cert_ext_in ext = {.oid = OID_DICE, .value = ccz_buf_span(&value)};
    struct ccz_cert_cfg cfg = {.cn = "test",
                               .key = key,
                               .not_before_s = NOW,
                               .not_after_s = NOW + 60,
                               .ext = &ext,
                               .ext_len = 1};
    CHECK(ccz_cert_issue(&der, &cfg, &err) == CCZ_E_LIMIT);
    ccz_buf_clear(&der);
    ext.value.size = 60000;
    CHECK(ccz_cert_issue(&der, &cfg, &err) == CCZ_OK);
    CHECK(ccz_buf_extend(&der, CCZ_CERT_SIZE_MAX + 1 - der.size) != NULL);
    CHECK(ccz_cert_parse(&cert, ccz_buf_span(&der), &err) == CCZ_E_LIMIT &&
          strcmp(err.where, "x509:size") == 0);
}

/* One certificate per rule of the legacy extensions. */
static ccz_rc verify_ext(const struct ccz_key *key, const struct ccz_cert_ext_in *ext, size_t len,
                         struct ccz_err *err)
{
    struct ccz_claims claims;
    CCZ_AUTO(ccz_cert) cert = cert_with(key, ext, len);
    ccz_rc rc = ccz_ratls_cert_verify(&claims, cert, appraise_any, &toy, err);
    CHECK((rc == CCZ_OK) == (claims.isv_svn == 7));
    return rc;
}

static void test_legacy_kinds(void)
{
    static const char *const intel[] = {OID_LEGACY, OID_MEANT, OID_TDX};
    CCZ_AUTO(ccz_key) key = NULL;
    CCZ_AUTO_BUF spki, quote, snp;
    uint8_t report_data[64] = {0};
    struct ccz_err err;
    ccz_buf_init(&spki, 256);
    ccz_buf_init(&quote, 256);
    ccz_buf_init(&snp, 4096);
    CHECK(ccz_key_generate(&key, CCZ_P256) == CCZ_OK && ccz_key_spki(&spki, key) == CCZ_OK);
    CHECK(ccz_sha256(report_data, ccz_buf_span(&spki)) == CCZ_OK);
    CHECK(toy_attest(&toy, &quote, report_data, NULL) == CCZ_OK);
    put_snp(&snp, report_data, 300);
    struct ccz_cert_ext_in ext = {.value = ccz_buf_span(&quote)}, as_snp = {.oid = OID_SNP};
    for (size_t i = 0; i < 3; i++) {
        ext.oid = intel[i];
        ext.value = ccz_buf_span(&quote);
        CHECK(verify_ext(key, &ext, 1, &err) == CCZ_OK);
        ext.value = ccz_buf_span(&snp);
        CHECK(verify_ext(key, &ext, 1, &err) == CCZ_E_MISMATCH &&
              strcmp(err.where, "ratls:cert-kind") == 0);
        ext.value.size = 0;
        CHECK(verify_ext(key, &ext, 1, &err) == CCZ_E_FORMAT &&
              strcmp(err.where, "ratls:cert-empty") == 0);
        ext.value = ccz_buf_span(&quote);
        ext.critical = true;
        CHECK(verify_ext(key, &ext, 1, &err) == CCZ_E_FORMAT &&
              strcmp(err.where, "ratls:cert-critical") == 0);
        ext.critical = false;
        as_snp.value = ccz_buf_span(&snp);
        struct ccz_cert_ext_in two[] = {ext, as_snp};
        CHECK(verify_ext(key, two, 2, &err) == CCZ_E_FORMAT &&
              strcmp(err.where, "ratls:cert-legacy-twice") == 0);
    }
    CHECK(verify_ext(key, &as_snp, 1, &err) == CCZ_OK);
    snp.ptr[0] = 1; /* which versions of a report are known is for whoever appraises it to say */
    CHECK(verify_ext(key, &as_snp, 1, &err) == CCZ_OK);
    snp.ptr[0] = 5;
    CHECK(verify_ext(key, &as_snp, 1, &err) == CCZ_OK);
    snp.ptr[2] = 2; /* as in a quote */
    CHECK(verify_ext(key, &as_snp, 1, &err) == CCZ_E_MISMATCH);
    snp.ptr[2] = 0;
    as_snp.value.size = 1183;
    CHECK(verify_ext(key, &as_snp, 1, &err) == CCZ_E_MISMATCH);
    /* what others use for other things is no evidence: PCK certificates, Open Enclave, CCZoo's gRPC patch */
    static const char *const others[] = {"1.2.840.113741.1.13.1", "1.3.6.1.4.1.311.105.1",
                                         "1.2.840.113741.1", "1.2.840.113741.1337.14"};
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        ext.oid = others[i];
        CHECK(verify_ext(key, &ext, 1, &err) == CCZ_E_NOT_FOUND &&
              strcmp(err.where, "ratls:no-evidence") == 0);
    }
}

/* ------------------------------------------------------------------------------ endorsements */

struct endorsements {
    uint64_t tag, len;
    uint8_t version[9];
    size_t version_size;
    size_t parts; /* byte strings that follow */
    uint8_t item; /* instead of the first one */
    bool tail, critical, empty;
};
static const struct endorsements full = {
    .tag = 60000, .len = 9, .version = {3}, .version_size = 1, .parts = 8};

static ccz_rc read_endorsements(struct ccz_collateral_src *src, struct ccz_cert **cert,
                                const struct endorsements *e, size_t cut, struct ccz_err *err)
{
    CCZ_AUTO(ccz_key) key = NULL;
    CCZ_AUTO_BUF value;
    ccz_buf_init(&value, 4096);
    CHECK(ccz_key_generate(&key, CCZ_P256) == CCZ_OK);
    ccz_cbor_put_head(&value, CCZ_CBOR_TAG, e->tag);
    ccz_cbor_put_head(&value, CCZ_CBOR_ARRAY, e->len);
    ccz_buf_put(&value, e->version, e->version_size);
    for (size_t i = 0; i < e->parts; i++) {
        char text[] = "part N"; /* with its NUL, as Intel's library counts it */
        text[5] = (char)('0' + i);
        if (e->item && i == 0)
            ccz_buf_u8(&value, e->item);
        else
            ccz_cbor_put_string(&value, CCZ_CBOR_BYTES,
                                CCZ_SPAN(text, e->empty && i == 3 ? 0 : sizeof(text)));
    }
    if (e->tail)
        ccz_buf_u8(&value, 0);
    struct ccz_cert_ext_in ext = {.oid = OID_ENDORSEMENTS,
                                  .value = CCZ_SPAN(value.ptr, cut < value.size ? cut : value.size),
                                  .critical = e->critical};
    ccz_cert_free(*cert);
    *cert = cert_with(key, &ext, 1);
    return ccz_ratls_cert_endorsements(src, *cert, err);
}

static void refuse_endorsements(struct endorsements e, ccz_rc want, const char *where)
{
    static const struct ccz_collateral_src none;
    struct ccz_collateral_src src;
    struct ccz_err err = {0};
    CCZ_AUTO(ccz_cert) cert = NULL;
    ccz_rc rc = read_endorsements(&src, &cert, &e, SIZE_MAX, &err);
    if (rc != want || strcmp(err.where, where) != 0)
        fprintf(stderr, "got %s at %s, want %s\n", ccz_rc_name(rc), err.where, where);
    CHECK(rc == want && strcmp(err.where, where) == 0 && memcmp(&src, &none, sizeof(src)) == 0);
}

static void test_endorsements(void)
{
    struct ccz_collateral_src src;
    struct ccz_err err = {0};
    CCZ_AUTO(ccz_cert) cert = NULL;
    struct endorsements e = full;
    for (int i = 0; i < 3; i++) {
        if (i == 1) /* without the date */
            e.len = 8, e.parts = 7;
        if (i == 2) { /* as librats writes the version, and requires it */
            memcpy(e.version, "\x1a\0\0\0\3", 5);
            e.version_size = 5;
        }
        CHECK(read_endorsements(&src, &cert, &e, SIZE_MAX, &err) == CCZ_OK);
        const struct ccz_span got[] = {src.tcb_info,         src.tcb_info_chain, src.pck_crl,
                                       src.root_ca_crl,      src.pck_crl_chain,  src.qe_identity,
                                       src.qe_identity_chain};
        for (size_t k = 0; k < 7; k++) {
            char want[] = "part N";
            want[5] = (char)('0' + k);
            CHECK(ccz_span_eq(got[k], ccz_span_str(want)));
        }
        CHECK(src.pck_chain.size == 0);
    }
    size_t size = ccz_cert_ext(NULL, cert, OID_ENDORSEMENTS).size;
    for (size_t cut = 0; cut < size; cut++)
        CHECK(read_endorsements(&src, &cert, &e, cut, &err) != CCZ_OK && err.where[0] &&
              src.tcb_info.ptr == NULL);
    e = full, e.tag = 60001;
    refuse_endorsements(e, CCZ_E_UNSUPPORTED, "ratls:endorsements-tag");
    e = full, e.len = 7, e.parts = 6;
    refuse_endorsements(e, CCZ_E_FORMAT, "ratls:endorsements-len");
    e = full, e.len = 10, e.parts = 9;
    refuse_endorsements(e, CCZ_E_FORMAT, "ratls:endorsements-len");
    e = full, e.parts = 9;
    refuse_endorsements(e, CCZ_E_FORMAT, "ratls:endorsements");
    e = full, e.tail = true;
    refuse_endorsements(e, CCZ_E_FORMAT, "ratls:endorsements");
    e = full, e.item = 0xf6;
    refuse_endorsements(e, CCZ_E_FORMAT, "ratls:endorsements");
    e = full, e.empty = true;
    refuse_endorsements(e, CCZ_E_FORMAT, "ratls:endorsements-empty");
    e = full, e.critical = true;
    refuse_endorsements(e, CCZ_E_FORMAT, "ratls:endorsements-critical");
    e = full, e.version_size = 2, e.version[0] = 0x18; /* only the width of librats is excused */
    refuse_endorsements(e, CCZ_E_FORMAT, "ratls:endorsements");
    e = full, e.version_size = 3, e.version[0] = 0x19;
    refuse_endorsements(e, CCZ_E_FORMAT, "ratls:endorsements");
    e = full, e.version_size = 9, e.version[0] = 0x1b, e.version[1] = 1;
    refuse_endorsements(e, CCZ_E_FORMAT, "ratls:endorsements");
    e = full, e.version[0] = 0x23; /* negative */
    refuse_endorsements(e, CCZ_E_FORMAT, "ratls:endorsements");
    CCZ_AUTO(ccz_key) key = NULL;
    CHECK(ccz_key_generate(&key, CCZ_P256) == CCZ_OK);
    CCZ_AUTO(ccz_cert) none = cert_with(key, NULL, 0);
    CHECK(ccz_ratls_cert_endorsements(&src, none, &err) == CCZ_E_NOT_FOUND &&
          strcmp(err.where, "ratls:no-endorsements") == 0);
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

/* Which extensions a certificate gets, and how many quotes are made for it. */
static void test_emit(const struct ccz_key *key)
{
    static const struct {
        enum ccz_ratls_emit emit;
        bool snp, legacy, dice;
        unsigned quotes;
    } cases[] = {{CCZ_RATLS_EMIT_BOTH, false, true, true, 2},
                 {CCZ_RATLS_EMIT_DICE, false, false, true, 1},
                 {CCZ_RATLS_EMIT_LEGACY, false, true, false, 1},
                 {CCZ_RATLS_EMIT_BOTH, true, false, true, 1},
                 {CCZ_RATLS_EMIT_DICE, true, false, true, 1}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        CCZ_AUTO_BUF der;
        CCZ_AUTO(ccz_cert) cert = NULL;
        struct ccz_claims claims;
        struct ccz_err err;
        ccz_buf_init(&der, CCZ_CERT_SIZE_MAX);
        unsigned before = toy.attested;
        CHECK(ccz_ratls_cert_issue(&der, key, NOW, cases[i].emit,
                                   cases[i].snp ? attest_snp : toy_attest, &toy, &err) == CCZ_OK);
        CHECK(toy.attested == before + cases[i].quotes);
        CHECK(ccz_cert_parse(&cert, ccz_buf_span(&der), &err) == CCZ_OK);
        CHECK((ccz_cert_ext(NULL, cert, OID_LEGACY).ptr != NULL) == cases[i].legacy);
        struct ccz_span dice = ccz_cert_ext(NULL, cert, OID_DICE);
        CHECK((dice.ptr != NULL) == cases[i].dice);
        if (cases[i].snp) /* tag 0x1a7504 as librats writes it */
            CHECK(memcmp(dice.ptr, "\xda\x00\x1a\x75\x04\x82\x59\x04\xa0", 9) == 0);
        CHECK(ccz_ratls_cert_verify(&claims, cert, appraise_any, &toy, &err) == CCZ_OK);
    }
    CCZ_AUTO_BUF der;
    struct ccz_err err;
    ccz_buf_init(&der, CCZ_CERT_SIZE_MAX);
    CHECK(ccz_ratls_cert_issue(&der, key, NOW, CCZ_RATLS_EMIT_LEGACY, attest_snp, &toy, &err) ==
              CCZ_E_UNSUPPORTED &&
          strcmp(err.where, "ratls:cert-issue-legacy") == 0 && der.size == 0);
}

static void test_issue(void)
{
    CCZ_AUTO(ccz_key) key = NULL;
    CCZ_AUTO_BUF der;
    ccz_buf_init(&der, CCZ_CERT_SIZE_MAX);
    struct ccz_claims claims;
    struct ccz_err err;
    CHECK(ccz_key_generate(&key, CCZ_P256) == CCZ_OK);
    CHECK(ccz_ratls_cert_issue(&der, key, NOW, CCZ_RATLS_EMIT_BOTH, toy_attest, &toy, &err) ==
          CCZ_OK);
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

    test_emit(key);
    toy.broken = true;
    CHECK(ccz_ratls_cert_issue(&der, key, NOW, CCZ_RATLS_EMIT_BOTH, toy_attest, &toy, &err) ==
          CCZ_E_UNAVAILABLE);
    toy.broken = false;
    toy.filler = CCZ_QUOTE_SIZE_MAX + 1;
    CHECK(ccz_ratls_cert_issue(&der, key, NOW, CCZ_RATLS_EMIT_BOTH, toy_attest, &toy, &err) ==
          CCZ_E_LIMIT);
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
    {"ratls.cert_nonce", test_nonce},
    {"ratls.cert_size", test_size},
    {"ratls.cert_legacy", test_legacy},
    {"ratls.cert_legacy_kinds", test_legacy_kinds},
    {"ratls.cert_endorsements", test_endorsements},
    {"ratls.cert_issue", test_issue},
    {"ratls.cert_vectors", test_vectors},
};

int main(int argc, char **argv)
{
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
