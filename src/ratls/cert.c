/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Certificate profile: evidence in X.509 extensions, bound to the certificate's key.
 *
 *   legacy (Gramine, early rats-tls)  value = raw evidence;  report_data = SHA-256(SPKI) || 0^32
 *   DICE (CCC)     value = CBOR tag([evidence, claims]);  report_data = SHA-256(claims) || 0^32
 *                  claims = CBOR map {"pubkey-hash": << [hash id, hash of SPKI] >>, ...}
 *
 * Other verifiers accept a claims map without pubkey-hash, compare half of the report data or
 * search the bytes for the OID; here each of these is a refusal of its own.
 */
#include "ratls_priv.h"

#include <cczoo/codec.h>
#include <cczoo/snp.h>

#include <stdio.h>
#include <string.h>

/* Gramine passes a whole TLV where the content of an OID belongs; what it means is the second one. The next two are
 * of rats-tls before December 2022. Intel's SGX SDK puts its quote also where the PCK certificates of real platforms
 * have theirs (1.2.840.113741.1.13.1), over other report data: not read, its DICE extension is. */
#define OID_LEGACY       "0.6.9.42.840.113741.1337.6"
#define OID_LEGACY_MEANT "1.2.840.113741.1337.6"
#define OID_LEGACY_TDX   "1.2.840.113741.1337.8"
#define OID_LEGACY_SNP   "1.2.840.113741.1337.20"
#define OID_DICE         "2.23.133.5.4.9"
#define OID_ENDORSEMENTS "2.23.133.5.4.2"

enum {
    TAG_INTEL_QUOTE = 60000,  /* IANA CBOR tags registry: Intel TEE quote, SGX or TDX */
    TAG_SNP_REPORT = 1733892, /* private to librats and rats-tls */
    CLAIMS_MAX = 16
};
static const char pubkey_hash_key[] = "pubkey-hash", nonce_key[] = "nonce";

/* IANA named-information hash ids that a verifier must know. */
static const struct hash_id {
    uint64_t id;
    enum ccz_hash alg;
} hash_ids[] = {{1, CCZ_SHA256}, {7, CCZ_SHA384}, {8, CCZ_SHA512}};

/* ------------------------------------------------------------------------------------ parse */

/* << [hash id, hash] >> against the certificate's key. */
static ccz_rc check_pubkey_hash(struct ccz_span entry, struct ccz_span spki, struct ccz_err *err)
{
    struct ccz_rd r = ccz_rd_from(entry);
    uint64_t len = ccz_cbor_head(&r, CCZ_CBOR_ARRAY);
    uint64_t id = ccz_cbor_head(&r, CCZ_CBOR_UINT);
    struct ccz_span hash = ccz_cbor_string(&r, CCZ_CBOR_BYTES);
    if (!ccz_rd_done(&r) || len != 2)
        return ccz_fail(err, CCZ_E_FORMAT, "ratls:cert-pubkey-hash", (int64_t)entry.size,
                        "not an array of hash id and hash");
    const struct hash_id *h = NULL;
    for (size_t i = 0; i < sizeof(hash_ids) / sizeof(hash_ids[0]); i++)
        if (hash_ids[i].id == id)
            h = &hash_ids[i];
    if (!h)
        return ccz_refuse(err, CCZ_E_UNSUPPORTED, "ratls:cert-hash-id", "unknown id", "1, 7 or 8");
    uint8_t want[CCZ_HASH_SIZE_MAX];
    ccz_rc rc = ccz_hash(want, h->alg, &spki, 1);
    if (rc != CCZ_OK)
        return ccz_fail(err, rc, "ratls:hash", 0, "hash of the key could not be computed");
    if (hash.size != ccz_hash_size(h->alg) || !ccz_ct_eq(hash.ptr, want, hash.size))
        return ccz_refuse_bytes(err, CCZ_E_SIG, "ratls:cert-key", hash.ptr, hash.size, want,
                                ccz_hash_size(h->alg));
    return CCZ_OK;
}

static bool seen_before(const struct ccz_span *keys, size_t len, struct ccz_span key)
{
    for (size_t i = 0; i < len; i++)
        if (ccz_span_eq(keys[i], key))
            return true;
    return false;
}

static ccz_rc check_claims(struct ccz_span *nonce, struct ccz_span claims, struct ccz_span spki,
                           struct ccz_err *err)
{
    struct ccz_span keys[CLAIMS_MAX], entry = {0};
    bool found = false;
    struct ccz_rd r = ccz_rd_from(claims);
    uint64_t len = ccz_cbor_head(&r, CCZ_CBOR_MAP);
    if (len > CLAIMS_MAX)
        return ccz_fail(err, CCZ_E_LIMIT, "ratls:cert-claims", (int64_t)claims.size,
                        "more than %d claims", CLAIMS_MAX);
    for (size_t i = 0; i < len && !r.bad; i++) {
        keys[i] = ccz_cbor_string(&r, CCZ_CBOR_TEXT);
        struct ccz_span value = ccz_cbor_string(&r, CCZ_CBOR_BYTES);
        if (r.bad)
            break;
        if (seen_before(keys, i, keys[i])) /* two readers could take different ones */
            return ccz_fail(err, CCZ_E_FORMAT, "ratls:cert-claim-twice", (int64_t)i,
                            "a claim is repeated");
        if (ccz_span_eq(keys[i], ccz_span_str(pubkey_hash_key))) {
            entry = value;
            found = true;
        } else if (ccz_span_eq(keys[i], ccz_span_str(nonce_key))) {
            *nonce = value;
        }
    }
    if (!ccz_rd_done(&r))
        return ccz_fail(err, CCZ_E_FORMAT, "ratls:cert-claims", (int64_t)claims.size,
                        "not a map of text to byte strings");
    if (!found) /* without it the quote would be bound to nothing */
        return ccz_refuse(err, CCZ_E_SIG, "ratls:cert-no-key", "no pubkey-hash",
                          "exactly one pubkey-hash");
    return check_pubkey_hash(entry, spki, err);
}

_Static_assert(CCZ_CERT_SIZE_MAX <= CCZ_QUOTE_SIZE_MAX,
               "evidence of a certificate that parses is no larger");

/* What the extension announces must be what is in it: otherwise two verifiers could see different evidence. */
static ccz_rc check_kind(struct ccz_span evidence, bool snp_announced, struct ccz_err *err)
{
    if (evidence.size == 0)
        return ccz_fail(err, CCZ_E_FORMAT, "ratls:cert-empty", 0, "the evidence is empty");
    if (ccz_snp_is_report(evidence) != snp_announced)
        return ccz_refuse(err, CCZ_E_MISMATCH, "ratls:cert-kind",
                          snp_announced ? "no SEV-SNP report" : "an SEV-SNP report",
                          snp_announced ? "an SEV-SNP report" : "an Intel quote");
    return CCZ_OK;
}

static ccz_rc parse_dice(struct ccz_ratls_evidence *out, struct ccz_span value,
                         struct ccz_span spki, struct ccz_err *err)
{
    struct ccz_rd r = ccz_rd_from(value);
    uint64_t tag = ccz_cbor_head(&r, CCZ_CBOR_TAG);
    if (!r.bad && tag != TAG_INTEL_QUOTE && tag != TAG_SNP_REPORT) {
        char got[24];
        (void)snprintf(got, sizeof(got), "%llu", (unsigned long long)tag);
        return ccz_refuse(err, CCZ_E_UNSUPPORTED, "ratls:cert-tag", got, "60000 or 1733892");
    }
    uint64_t len = ccz_cbor_head(&r, CCZ_CBOR_ARRAY);
    struct ccz_span quote = ccz_cbor_string(&r, CCZ_CBOR_BYTES);
    struct ccz_span claims = ccz_cbor_string(&r, CCZ_CBOR_BYTES);
    if (!ccz_rd_done(&r) || len != 2)
        return ccz_fail(err, CCZ_E_FORMAT, "ratls:cert-evidence", (int64_t)value.size,
                        "not an array of evidence and claims");
    ccz_rc rc = check_kind(quote, tag == TAG_SNP_REPORT, err);
    if (rc == CCZ_OK)
        rc = check_claims(&out->nonce, claims, spki, err);
    if (rc != CCZ_OK)
        return rc;
    out->format = CCZ_RATLS_FORMAT_DICE;
    out->quote = quote;
    return ccz_sha256(out->report_data, claims);
}

static ccz_rc parse_legacy(struct ccz_ratls_evidence *out, struct ccz_span value, bool snp,
                           struct ccz_span spki, struct ccz_err *err)
{
    ccz_rc rc = check_kind(value, snp, err);
    if (rc != CCZ_OK)
        return rc;
    out->format = CCZ_RATLS_FORMAT_LEGACY;
    out->quote = value;
    return ccz_sha256(out->report_data, spki);
}

/* Every extension that may hold evidence; the first one is DICE. */
static const struct place {
    const char *oid;
    bool snp;
} places[] = {{OID_DICE, false},
              {OID_LEGACY, false},
              {OID_LEGACY_MEANT, false},
              {OID_LEGACY_TDX, false},
              {OID_LEGACY_SNP, true}};

/* What the evidence stands in: a certificate, or a request for one. */
struct bearer {
    const struct ccz_cert *cert; /* or NULL */
    const struct ccz_csr *csr;
};

/* The only evidence extension, or DICE, which decides alone if it is there. A present but empty value has a pointer:
 * it decides, and then fails as evidence. */
static ccz_rc find_extension(const struct place **where, struct ccz_span *value,
                             const struct bearer *of, struct ccz_err *err)
{
    *where = NULL;
    for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
        bool critical;
        struct ccz_span v = of->cert ? ccz_cert_ext(&critical, of->cert, places[i].oid)
                                     : ccz_csr_ext(&critical, of->csr, places[i].oid);
        /* both profiles say non-critical: TLS stacks refuse critical extensions they do not know */
        if (critical)
            return ccz_refuse(err, CCZ_E_FORMAT, "ratls:cert-critical", "critical", "non-critical");
        if (v.ptr && *where && *where != &places[0])
            return ccz_fail(err, CCZ_E_FORMAT, "ratls:cert-legacy-twice", 0,
                            "the legacy extension is present under two identifiers");
        if (v.ptr && !*where) {
            *where = &places[i];
            *value = v;
        }
    }
    if (*where)
        return CCZ_OK;
    (void)ccz_refuse(err, CCZ_E_NOT_FOUND, "ratls:no-evidence", "no evidence extension",
                     "evidence");
    return ccz_hint(err, CCZ_E_NOT_FOUND,
                    "the peer uses plain TLS; it must present an attested certificate");
}

static ccz_rc find_evidence(struct ccz_ratls_evidence *out, const struct bearer *of,
                            struct ccz_err *err)
{
    *out = (struct ccz_ratls_evidence){0};
    struct ccz_ratls_evidence found = {0};
    struct ccz_span value, spki = of->cert ? ccz_cert_spki(of->cert) : ccz_csr_spki(of->csr);
    const struct place *where;
    ccz_rc rc = find_extension(&where, &value, of, err);
    if (rc != CCZ_OK)
        return rc;
    rc = where == &places[0] ? parse_dice(&found, value, spki, err)
                             : parse_legacy(&found, value, where->snp, spki, err);
    if (rc == CCZ_OK)
        *out = found;
    return rc;
}

ccz_rc ccz_ratls_cert_evidence(struct ccz_ratls_evidence *out, const struct ccz_cert *cert,
                               struct ccz_err *err)
{
    return find_evidence(out, &(struct bearer){.cert = cert}, err);
}

ccz_rc cczi_ratls_appraise_cert(struct ccz_claims *claims, const struct ccz_ratls_evidence *e,
                                ccz_ratls_appraise_fn appraise, void *appraise_arg,
                                struct ccz_err *err)
{
    struct ccz_claims found = {0};
    ccz_rc rc = appraise(appraise_arg, &found, e->quote, err);
    if (rc == CCZ_OK)
        rc = cczi_ratls_check_binding(&found, e->report_data, err);
    if (rc == CCZ_OK)
        *claims = found;
    return rc;
}

ccz_rc ccz_ratls_cert_verify(struct ccz_claims *claims, const struct ccz_cert *cert,
                             ccz_ratls_appraise_fn appraise, void *appraise_arg,
                             struct ccz_err *err)
{
    memset(claims, 0, sizeof(*claims));
    struct ccz_ratls_evidence evidence;
    ccz_rc rc = ccz_ratls_cert_evidence(&evidence, cert, err);
    return rc == CCZ_OK ? cczi_ratls_appraise_cert(claims, &evidence, appraise, appraise_arg, err)
                        : rc;
}

ccz_rc ccz_ratls_csr_verify(struct ccz_claims *claims, const struct ccz_csr *csr,
                            ccz_ratls_appraise_fn appraise, void *appraise_arg, struct ccz_err *err)
{
    memset(claims, 0, sizeof(*claims));
    struct ccz_ratls_evidence evidence;
    ccz_rc rc = find_evidence(&evidence, &(struct bearer){.csr = csr}, err);
    if (rc != CCZ_OK)
        return rc;
    size_t len;
    (void)ccz_csr_exts(&len, csr);
    if (len != 1) /* the others would be in the certificate, and nobody has looked at them */
        return ccz_refuse_num(err, CCZ_E_FORMAT, "ratls:csr-extensions", (int64_t)len, 1);
    return cczi_ratls_appraise_cert(claims, &evidence, appraise, appraise_arg, err);
}

/* ----------------------------------------------------------------------------- endorsements */

/* librats writes the version in four bytes whatever its value; everything else is minimal. */
static void take_version(struct ccz_rd *r)
{
    enum { UINT_IN_FOUR_BYTES = 0x1a };
    if (r->left > 0 && r->ptr[0] == UINT_IN_FOUR_BYTES) {
        (void)ccz_rd_u8(r);
        (void)ccz_rd_le32(r);
    } else if (ccz_cbor_head(r, CCZ_CBOR_UINT) > UINT32_MAX) {
        r->bad = true;
    }
}

/* Intel's library counts the NUL behind its texts. DER has none, and may end in a zero. */
static struct ccz_span take_part(struct ccz_rd *r)
{
    enum { DER_SEQUENCE = 0x30 };
    struct ccz_span s = ccz_cbor_string(r, CCZ_CBOR_BYTES);
    if (s.size > 0 && s.ptr[0] != DER_SEQUENCE && s.ptr[s.size - 1] == 0)
        s.size--;
    return s;
}

ccz_rc ccz_ratls_cert_endorsements(struct ccz_collateral_src *out, const struct ccz_cert *cert,
                                   struct ccz_err *err)
{
    enum { LEN = 8, LEN_WITH_DATE = 9 }; /* items; the last one is the date of creation */
    *out = (struct ccz_collateral_src){0};
    bool critical;
    struct ccz_span value = ccz_cert_ext(&critical, cert, OID_ENDORSEMENTS);
    if (!value.ptr)
        return ccz_refuse(err, CCZ_E_NOT_FOUND, "ratls:no-endorsements", "no such extension",
                          "endorsements");
    if (critical)
        return ccz_refuse(err, CCZ_E_FORMAT, "ratls:endorsements-critical", "critical",
                          "non-critical");
    struct ccz_rd r = ccz_rd_from(value);
    uint64_t tag = ccz_cbor_head(&r, CCZ_CBOR_TAG);
    if (!r.bad && tag != TAG_INTEL_QUOTE)
        return ccz_fail(err, CCZ_E_UNSUPPORTED, "ratls:endorsements-tag", 0,
                        "endorsements of another kind than those of Intel quotes");
    uint64_t len = ccz_cbor_head(&r, CCZ_CBOR_ARRAY);
    if (!r.bad && len != LEN && len != LEN_WITH_DATE)
        return ccz_refuse_num(err, CCZ_E_FORMAT, "ratls:endorsements-len",
                              len > INT64_MAX ? INT64_MAX : (int64_t)len, LEN);
    take_version(&r);
    struct ccz_collateral_src src = {0};
    struct ccz_span *const parts[] = {
        &src.tcb_info,      &src.tcb_info_chain, &src.pck_crl,           &src.root_ca_crl,
        &src.pck_crl_chain, &src.qe_identity,    &src.qe_identity_chain,
    };
    bool empty = false;
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        *parts[i] = take_part(&r);
        empty |= parts[i]->size == 0;
    }
    if (len == LEN_WITH_DATE)
        (void)ccz_cbor_string(&r, CCZ_CBOR_BYTES);
    if (!ccz_rd_done(&r))
        return ccz_fail(err, CCZ_E_FORMAT, "ratls:endorsements", (int64_t)value.size,
                        "not an array of a version and byte strings");
    if (empty)
        return ccz_fail(err, CCZ_E_FORMAT, "ratls:endorsements-empty", (int64_t)value.size,
                        "a part of the collateral is empty");
    *out = src;
    return CCZ_OK;
}

/* ------------------------------------------------------------------------------------ issue */

/* The 51 bytes that are hashed into report_data, byte for byte as Gramine and the others write
 * them. */
static ccz_rc put_claims(struct ccz_buf *out, struct ccz_span spki)
{
    uint8_t hash[32];
    ccz_rc rc = ccz_sha256(hash, spki);
    CCZ_AUTO_BUF entry;
    ccz_buf_init(&entry, 64);
    ccz_cbor_put_head(&entry, CCZ_CBOR_ARRAY, 2);
    ccz_cbor_put_head(&entry, CCZ_CBOR_UINT, 1);
    ccz_cbor_put_string(&entry, CCZ_CBOR_BYTES, CCZ_SPAN(hash, sizeof(hash)));
    ccz_cbor_put_head(out, CCZ_CBOR_MAP, 1);
    ccz_cbor_put_string(out, CCZ_CBOR_TEXT, ccz_span_str(pubkey_hash_key));
    ccz_cbor_put_string(out, CCZ_CBOR_BYTES, ccz_buf_span(&entry));
    return rc != CCZ_OK ? rc : entry.bad ? CCZ_E_NOMEM : CCZ_OK;
}

/* A quote over SHA-256(bound) || 0^32. */
static ccz_rc quote_over(struct ccz_buf *quote, struct ccz_span bound, ccz_ratls_attest_fn attest,
                         void *attest_arg, struct ccz_err *err)
{
    uint8_t report_data[64] = {0};
    ccz_rc rc = ccz_sha256(report_data, bound);
    if (rc != CCZ_OK)
        return ccz_fail(err, rc, "ratls:hash", 0, "report data could not be computed");
    ccz_buf_init(quote, CCZ_QUOTE_SIZE_MAX);
    rc = attest(attest_arg, quote, report_data, err);
    if (rc == CCZ_OK && (quote->bad || quote->size == 0))
        rc = ccz_fail(err, CCZ_E_LIMIT, "ratls:own-evidence", (int64_t)quote->size,
                      "own evidence is empty or above %d bytes", CCZ_QUOTE_SIZE_MAX);
    return rc;
}

/* The value of the DICE extension. */
static ccz_rc put_dice(struct ccz_buf *dice, struct ccz_span quote, struct ccz_span claims,
                       struct ccz_err *err)
{
    ccz_cbor_put_head(dice, CCZ_CBOR_TAG,
                      ccz_snp_is_report(quote) ? TAG_SNP_REPORT : TAG_INTEL_QUOTE);
    ccz_cbor_put_head(dice, CCZ_CBOR_ARRAY, 2);
    ccz_cbor_put_string(dice, CCZ_CBOR_BYTES, quote);
    ccz_cbor_put_string(dice, CCZ_CBOR_BYTES, claims);
    return dice->bad ? ccz_fail(err, CCZ_E_NOMEM, "ratls:memory", 0, "out of memory") : CCZ_OK;
}

/* Makes the value of each extension that is to be written; the others stay empty. */
static ccz_rc make_values(struct ccz_buf *legacy, struct ccz_buf *dice, struct ccz_span spki,
                          enum ccz_ratls_emit emit, ccz_ratls_attest_fn attest, void *attest_arg,
                          struct ccz_err *err)
{
    CCZ_AUTO_BUF claims;
    CCZ_AUTO_BUF quote;
    ccz_buf_init(&claims, 128);
    ccz_buf_init(&quote, 0);
    ccz_rc rc = put_claims(&claims, spki);
    if (rc != CCZ_OK)
        return ccz_fail(err, rc, "ratls:cert-issue", 0, "the key could not be hashed");
    if (emit != CCZ_RATLS_EMIT_LEGACY) {
        rc = quote_over(&quote, ccz_buf_span(&claims), attest, attest_arg, err);
        if (rc == CCZ_OK)
            rc = put_dice(dice, ccz_buf_span(&quote), ccz_buf_span(&claims), err);
        /* there is no legacy format of SEV-SNP that anybody still reads */
        if (rc != CCZ_OK || emit == CCZ_RATLS_EMIT_DICE || ccz_snp_is_report(ccz_buf_span(&quote)))
            return rc;
    }
    rc = quote_over(legacy, spki, attest, attest_arg, err);
    if (rc == CCZ_OK && ccz_snp_is_report(ccz_buf_span(legacy)))
        rc = ccz_refuse(err, CCZ_E_UNSUPPORTED, "ratls:cert-issue-legacy", "an SEV-SNP report",
                        "an Intel quote");
    return rc;
}

/* Both are initialised here, and freed by the caller in any case. */
static ccz_rc make_for_key(struct ccz_buf *legacy, struct ccz_buf *dice, const struct ccz_key *key,
                           enum ccz_ratls_emit emit, ccz_ratls_attest_fn attest, void *attest_arg,
                           struct ccz_err *err)
{
    CCZ_AUTO_BUF spki;
    ccz_buf_init(&spki, 1024);
    ccz_buf_init(legacy, 0);
    ccz_buf_init(dice, CCZ_QUOTE_SIZE_MAX + 256);
    ccz_rc rc = ccz_key_spki(&spki, key);
    if (rc != CCZ_OK)
        return ccz_fail(err, rc, "ratls:cert-issue", 0, "the key could not be encoded");
    return make_values(legacy, dice, ccz_buf_span(&spki), emit, attest, attest_arg, err);
}

ccz_rc ccz_ratls_csr_make(struct ccz_buf *out_der, const struct ccz_key *key,
                          ccz_ratls_attest_fn attest, void *attest_arg, struct ccz_err *err)
{
    CCZ_AUTO_BUF legacy;
    CCZ_AUTO_BUF dice;
    ccz_rc rc = make_for_key(&legacy, &dice, key, CCZ_RATLS_EMIT_DICE, attest, attest_arg, err);
    const struct ccz_cert_ext_in ext = {.oid = OID_DICE, .value = ccz_buf_span(&dice)};
    return rc == CCZ_OK ? ccz_csr_make(out_der, key, "cczoo workload", &ext, 1, err) : rc;
}

ccz_rc ccz_ratls_cert_issue(struct ccz_buf *out_der, const struct ccz_key *key, int64_t now_s,
                            enum ccz_ratls_emit emit, ccz_ratls_attest_fn attest, void *attest_arg,
                            struct ccz_err *err)
{
    CCZ_AUTO_BUF legacy;
    CCZ_AUTO_BUF dice;
    ccz_rc rc = make_for_key(&legacy, &dice, key, emit, attest, attest_arg, err);
    if (rc != CCZ_OK)
        return rc;
    struct ccz_cert_ext_in ext[2];
    size_t len = 0;
    if (legacy.size)
        ext[len++] = (struct ccz_cert_ext_in){.oid = OID_LEGACY, .value = ccz_buf_span(&legacy)};
    if (dice.size)
        ext[len++] = (struct ccz_cert_ext_in){.oid = OID_DICE, .value = ccz_buf_span(&dice)};
    return ccz_cert_issue(out_der,
                          &(struct ccz_cert_cfg){.cn = "RATLS",
                                                 .org = "cczoo",
                                                 .key = key,
                                                 .not_before_s = now_s - 3600,
                                                 .not_after_s = now_s + 365 * 86400,
                                                 .ext = ext,
                                                 .ext_len = len},
                          err);
}
