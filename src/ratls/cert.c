/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Certificate profile: evidence in X.509 extensions, bound to the certificate's key.
 *
 *   legacy (Gramine)   value = raw quote;  report_data = SHA-256(SPKI) || 0^32
 *   DICE (CCC)         value = CBOR 60000([quote, claims]);  report_data = SHA-256(claims) || 0^32
 *                      claims = CBOR map {"pubkey-hash": << [hash id, hash of SPKI] >>, ...}
 *
 * Other verifiers accept a claims map without pubkey-hash, compare half of the report data or
 * search the bytes for the OID; here each of these is a refusal of its own.
 */
#include "ratls_priv.h"

#include <cczoo/codec.h>

#include <string.h>

/* Gramine passes a whole TLV where the content of an OID belongs; what it means is the second one.
 */
#define OID_LEGACY       "0.6.9.42.840.113741.1337.6"
#define OID_LEGACY_MEANT "1.2.840.113741.1337.6"
#define OID_DICE         "2.23.133.5.4.9"

enum {
    TAG_INTEL_QUOTE = 60000, /* IANA CBOR tags registry: Intel TEE quote, SGX or TDX */
    CLAIMS_MAX = 16
};
static const char pubkey_hash_key[] = "pubkey-hash";

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

static ccz_rc check_claims(struct ccz_span claims, struct ccz_span spki, struct ccz_err *err)
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

static ccz_rc parse_dice(struct ccz_ratls_evidence *out, struct ccz_span value,
                         struct ccz_span spki, struct ccz_err *err)
{
    struct ccz_rd r = ccz_rd_from(value);
    uint64_t tag = ccz_cbor_head(&r, CCZ_CBOR_TAG);
    if (!r.bad && tag != TAG_INTEL_QUOTE)
        return ccz_refuse_num(err, CCZ_E_UNSUPPORTED, "ratls:cert-tag",
                              tag > INT64_MAX ? INT64_MAX : (int64_t)tag, TAG_INTEL_QUOTE);
    uint64_t len = ccz_cbor_head(&r, CCZ_CBOR_ARRAY);
    struct ccz_span quote = ccz_cbor_string(&r, CCZ_CBOR_BYTES);
    struct ccz_span claims = ccz_cbor_string(&r, CCZ_CBOR_BYTES);
    if (!ccz_rd_done(&r) || len != 2)
        return ccz_fail(err, CCZ_E_FORMAT, "ratls:cert-evidence", (int64_t)value.size,
                        "not an array of evidence and claims");
    ccz_rc rc = check_claims(claims, spki, err);
    if (rc != CCZ_OK)
        return rc;
    *out = (struct ccz_ratls_evidence){.format = CCZ_RATLS_FORMAT_DICE, .quote = quote};
    return ccz_sha256(out->report_data, claims);
}

static ccz_rc find_extension(enum ccz_ratls_format *format, struct ccz_span *value,
                             const struct ccz_cert *cert, struct ccz_err *err)
{
    bool critical[3] = {0};
    struct ccz_span dice = ccz_cert_ext(&critical[0], cert, OID_DICE);
    struct ccz_span odd = ccz_cert_ext(&critical[1], cert, OID_LEGACY);
    struct ccz_span meant = ccz_cert_ext(&critical[2], cert, OID_LEGACY_MEANT);
    /* both profiles say non-critical: TLS stacks refuse critical extensions they do not know */
    if (critical[0] || critical[1] || critical[2])
        return ccz_refuse(err, CCZ_E_FORMAT, "ratls:cert-critical", "critical", "non-critical");
    /* a present but empty value has a pointer: it decides, and then fails as evidence */
    if (!dice.ptr && odd.ptr && meant.ptr)
        return ccz_fail(err, CCZ_E_FORMAT, "ratls:cert-legacy-twice", 0,
                        "both spellings of the legacy extension are present");
    *format = dice.ptr ? CCZ_RATLS_FORMAT_DICE : CCZ_RATLS_FORMAT_LEGACY;
    *value = dice.ptr ? dice : odd.ptr ? odd : meant;
    if (value->ptr)
        return CCZ_OK;
    (void)ccz_refuse(err, CCZ_E_NOT_FOUND, "ratls:no-evidence", "no evidence extension",
                     "evidence");
    return ccz_hint(err, CCZ_E_NOT_FOUND,
                    "the peer uses plain TLS; it must present an attested certificate");
}

ccz_rc ccz_ratls_cert_evidence(struct ccz_ratls_evidence *out, const struct ccz_cert *cert,
                               struct ccz_err *err)
{
    *out = (struct ccz_ratls_evidence){0};
    struct ccz_ratls_evidence found = {0};
    struct ccz_span value, spki = ccz_cert_spki(cert);
    enum ccz_ratls_format format;
    ccz_rc rc = find_extension(&format, &value, cert, err);
    if (rc != CCZ_OK)
        return rc;
    if (format == CCZ_RATLS_FORMAT_DICE) {
        rc = parse_dice(&found, value, spki, err);
    } else {
        found = (struct ccz_ratls_evidence){.format = format, .quote = value};
        rc = ccz_sha256(found.report_data, spki);
    }
    if (rc != CCZ_OK)
        return rc;
    if (found.quote.size == 0 || found.quote.size > CCZ_QUOTE_SIZE_MAX)
        return ccz_fail(err, CCZ_E_LIMIT, "ratls:size", (int64_t)found.quote.size,
                        "quote of %zu bytes, allowed 1 to %d", found.quote.size,
                        CCZ_QUOTE_SIZE_MAX);
    *out = found;
    return CCZ_OK;
}

ccz_rc ccz_ratls_cert_verify(struct ccz_claims *claims, const struct ccz_cert *cert,
                             ccz_ratls_appraise_fn appraise, void *appraise_arg,
                             struct ccz_err *err)
{
    memset(claims, 0, sizeof(*claims));
    struct ccz_ratls_evidence evidence;
    ccz_rc rc = ccz_ratls_cert_evidence(&evidence, cert, err);
    if (rc != CCZ_OK)
        return rc;
    struct ccz_claims found = {0};
    rc = appraise(appraise_arg, &found, evidence.quote, err);
    if (rc == CCZ_OK)
        rc = cczi_ratls_check_binding(&found, evidence.report_data, err);
    if (rc == CCZ_OK)
        *claims = found;
    return rc;
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

ccz_rc ccz_ratls_cert_issue(struct ccz_buf *out_der, const struct ccz_key *key, int64_t now_s,
                            ccz_ratls_attest_fn attest, void *attest_arg, struct ccz_err *err)
{
    CCZ_AUTO_BUF spki;
    CCZ_AUTO_BUF claims;
    CCZ_AUTO_BUF legacy;
    CCZ_AUTO_BUF quote;
    CCZ_AUTO_BUF dice;
    ccz_buf_init(&spki, 1024);
    ccz_buf_init(&claims, 128);
    ccz_buf_init(&legacy, 0);
    ccz_buf_init(&quote, 0);
    ccz_buf_init(&dice, CCZ_QUOTE_SIZE_MAX + 256);
    ccz_rc rc = ccz_key_spki(&spki, key);
    if (rc == CCZ_OK)
        rc = put_claims(&claims, ccz_buf_span(&spki));
    if (rc != CCZ_OK)
        return ccz_fail(err, rc, "ratls:cert-issue", 0, "the key could not be hashed");
    rc = quote_over(&legacy, ccz_buf_span(&spki), attest, attest_arg, err);
    if (rc == CCZ_OK)
        rc = quote_over(&quote, ccz_buf_span(&claims), attest, attest_arg, err);
    if (rc != CCZ_OK)
        return rc;
    ccz_cbor_put_head(&dice, CCZ_CBOR_TAG, TAG_INTEL_QUOTE);
    ccz_cbor_put_head(&dice, CCZ_CBOR_ARRAY, 2);
    ccz_cbor_put_string(&dice, CCZ_CBOR_BYTES, ccz_buf_span(&quote));
    ccz_cbor_put_string(&dice, CCZ_CBOR_BYTES, ccz_buf_span(&claims));
    if (dice.bad)
        return ccz_fail(err, CCZ_E_NOMEM, "ratls:memory", 0, "out of memory");
    const struct ccz_cert_ext_in ext[] = {{.oid = OID_LEGACY, .value = ccz_buf_span(&legacy)},
                                          {.oid = OID_DICE, .value = ccz_buf_span(&dice)}};
    return ccz_cert_issue(out_der,
                          &(struct ccz_cert_cfg){.cn = "RATLS",
                                                 .org = "cczoo",
                                                 .key = key,
                                                 .not_before_s = now_s - 3600,
                                                 .not_after_s = now_s + 365 * 86400,
                                                 .ext = ext,
                                                 .ext_len = sizeof(ext) / sizeof(ext[0])},
                          err);
}
