/* SPDX-License-Identifier: Apache-2.0 */
/* Bodies of the KBS protocol, as clients send them. What is not needed is not looked at; what is needed is there, of its type, once. */
#include "json.h"
#include "kbs_priv.h"

#include <cczoo/crypto.h>

#include <string.h>

enum { INIT_DATA_MAX = 256 << 10, NAME_SHOWN = 64 };

ccz_rc cczi_kbs_missing(struct ccz_err *err, const char *name, const char *expected)
{
    return ccz_refuse(err, CCZ_E_FORMAT, "kbs:member", name, expected);
}

static ccz_rc parse(struct ccz_jdoc **doc, struct ccz_span body, struct ccz_err *err)
{
    struct ccz_err why = {0};
    ccz_rc rc = ccz_jdoc_parse(doc, body, &why);
    if (rc == CCZ_OK && ccz_jnode_type(ccz_jdoc_root(*doc)) != CCZ_JSON_OBJECT)
        return ccz_refuse(err, CCZ_E_FORMAT, "kbs:json", "something else", "a JSON object");
    return rc == CCZ_OK ? rc : ccz_fail(err, rc, "kbs:json", why.aux, "%s", why.msg);
}

/* ------------------------------------------------------------------------------- Request */

/* Other attesters of the protocol; for messages only. */
static const char *const tees_elsewhere[] = {"az-snp-vtpm", "az-tdx-vtpm", "cca",    "csv",
                                             "se",          "tpm",         "nvidia", "hygondcu"};

static ccz_rc tee_of(enum ccz_tee *out, struct ccz_span name, struct ccz_err *err)
{
    for (enum ccz_tee t = CCZ_TEE_SGX; t <= CCZ_TEE_SNP; t++) {
        if (ccz_span_eq(name, ccz_span_str(ccz_tee_name(t)))) {
            *out = t;
            return CCZ_OK;
        }
    }
    char got[NAME_SHOWN];
    ccz_escape(got, sizeof(got), name);
    if (ccz_span_eq(name, ccz_span_str("sample")) ||
        ccz_span_eq(name, ccz_span_str("sampledevice"))) {
        ccz_refuse(err, CCZ_E_DENIED, "kbs:sample", got, "evidence of a TEE: sgx, tdx or snp");
        return ccz_hint(err, CCZ_E_DENIED,
                        "sample evidence can be made by anybody; for tests without a TEE start the "
                        "KMS with the software TEE and send its quotes as sgx, tdx or snp");
    }
    bool known = false;
    for (size_t i = 0; i < sizeof(tees_elsewhere) / sizeof(tees_elsewhere[0]); i++)
        known = known || ccz_span_eq(name, ccz_span_str(tees_elsewhere[i]));
    ccz_refuse(err, CCZ_E_UNSUPPORTED, "kbs:tee", got, "sgx, tdx or snp");
    return ccz_hint(err, CCZ_E_UNSUPPORTED,
                    known ? "this KMS has no verifier for it" : "no attester of the protocol");
}

ccz_rc cczi_kbs_request_get(enum ccz_tee *tee, struct ccz_span body, struct ccz_err *err)
{
    CCZ_AUTO(ccz_jdoc) doc = NULL;
    *tee = CCZ_TEE_NONE;
    ccz_rc rc = parse(&doc, body, err);
    if (rc != CCZ_OK)
        return rc;
    struct ccz_span version = ccz_jnode_str(ccz_jnode_get(ccz_jdoc_root(doc), "version"));
    struct ccz_span name = ccz_jnode_str(ccz_jnode_get(ccz_jdoc_root(doc), "tee"));
    if (!version.ptr)
        return cczi_kbs_missing(err, "version", "the version of the protocol, a string");
    if (!ccz_span_eq(version, ccz_span_str(CCZI_KBS_VERSION))) {
        char got[NAME_SHOWN];
        ccz_escape(got, sizeof(got), version);
        return ccz_refuse(err, CCZ_E_UNSUPPORTED, "kbs:version", got, CCZI_KBS_VERSION);
    }
    if (!name.ptr)
        return cczi_kbs_missing(err, "tee", "the name of a TEE, a string");
    return tee_of(tee, name, err);
}

void cczi_kbs_challenge_put(struct ccz_buf *out, const char *nonce)
{
    ccz_buf_printf(out, "{\"nonce\":\"%s\",\"extra-params\":\"\"}", nonce);
}

/* ------------------------------------------------------------------------------ resource */

static bool in_segment(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_' || c == '.';
}

ccz_rc cczi_kbs_resource(char name[CCZI_KBS_NAME_SIZE], const char *path, struct ccz_err *err)
{
    size_t segments = 0, size = strlen(path);
    bool ok = size < CCZI_KBS_NAME_SIZE;
    for (const char *p = path; ok; p++) {
        const char *from = p;
        while (in_segment(*p))
            p++;
        segments++;
        ok = p > from && *from != '.' && (*p == '/' || *p == 0);
        if (*p == 0)
            break;
    }
    memset(name, 0, CCZI_KBS_NAME_SIZE);
    if (!ok || segments != 3) {
        char got[NAME_SHOWN];
        ccz_escape(got, sizeof(got), ccz_span_str(path));
        return ccz_refuse(err, CCZ_E_FORMAT, "kbs:path", got,
                          "REPO/TYPE/TAG of letters, digits, '-', '_' and '.', at most 128");
    }
    memcpy(name, path, size);
    return CCZ_OK;
}

/* --------------------------------------------------------------------------- Attestation */

/* Appends the content of a string, its escapes decoded. @return false: it is none, or too long */
static bool take_text(struct ccz_buf *out, const struct ccz_jnode *n)
{
    CCZ_AUTO_BUF room;
    struct ccz_span text;
    ccz_rc rc = cczi_json_str(&text, &room, n);
    if (rc == CCZ_OK)
        ccz_buf_put_span(out, text);
    return rc == CCZ_OK && !out->bad;
}

static ccz_rc take_nonce(char out[CCZ_NONCE_TEXT_SIZE + 1], const struct ccz_jnode *runtime,
                         struct ccz_err *err)
{
    CCZ_AUTO_BUF text;
    ccz_buf_init(&text, CCZ_NONCE_TEXT_SIZE);
    const struct ccz_jnode *n = ccz_jnode_get(runtime, "nonce");
    if (!take_text(&text, n) || text.size != CCZ_NONCE_TEXT_SIZE)
        return cczi_kbs_missing(err, "runtime-data.nonce",
                                "the nonce of the challenge, 44 characters");
    memcpy(out, text.ptr, text.size);
    return CCZ_OK;
}

static ccz_rc take_key(struct ccz_jwk **out, const struct ccz_jnode *runtime, struct ccz_err *err)
{
    const struct ccz_jnode *n = ccz_jnode_get(runtime, "tee-pubkey");
    if (ccz_jnode_type(n) != CCZ_JSON_OBJECT)
        return cczi_kbs_missing(err, "runtime-data.tee-pubkey", "a JSON Web Key");
    ccz_rc rc = ccz_jwk_parse(out, ccz_jnode_raw(n), err);
    if (rc == CCZ_OK && ccz_jwk_enc_alg(*out) == CCZ_JOSE_ALG_NONE)
        rc = ccz_refuse(err, CCZ_E_DENIED, "kbs:tee-pubkey", "a key for something else",
                        "a key for ECDH-ES+A256KW or RSA-OAEP-256");
    return rc;
}

static ccz_rc take_evidence(struct cczi_kbs_attestation *out, const struct ccz_jnode *evidence,
                            struct ccz_err *err)
{
    const struct ccz_jnode *more = ccz_jnode_get(evidence, "additional_evidence");
    out->evidence = ccz_jnode_get(evidence, "primary_evidence");
    if (ccz_jnode_type(out->evidence) != CCZ_JSON_OBJECT)
        return cczi_kbs_missing(err, "tee-evidence.primary_evidence",
                                "the evidence of the TEE, an object");
    if (ccz_jnode_type(more) == CCZ_JSON_NULL ||
        ccz_span_eq(ccz_jnode_raw(more), ccz_span_str("\"\"")))
        return CCZ_OK;
    /* not left aside: a client that sends it counts on its being judged */
    return ccz_refuse(err, CCZ_E_UNSUPPORTED, "kbs:additional-evidence", "evidence of devices",
                      "none: only the TEE of the CPU is verified here");
}

static ccz_rc take_init_data(struct ccz_buf *out, const struct ccz_jnode *n, struct ccz_err *err)
{
    if (ccz_jnode_type(n) == CCZ_JSON_NULL)
        return CCZ_OK;
    struct ccz_span format = ccz_jnode_str(ccz_jnode_get(n, "format"));
    if (!ccz_span_eq(format, ccz_span_str("toml"))) {
        char got[NAME_SHOWN];
        ccz_escape(got, sizeof(got), format);
        return ccz_refuse(err, CCZ_E_UNSUPPORTED, "kbs:init-data-format", got, "toml");
    }
    if (!take_text(out, ccz_jnode_get(n, "body")) || out->size == 0)
        return cczi_kbs_missing(err, "init-data.body", "a string of at most 256 KiB, not empty");
    return CCZ_OK;
}

ccz_rc cczi_kbs_attestation_get(struct cczi_kbs_attestation *out, struct ccz_span body,
                                struct ccz_err *err)
{
    *out = (struct cczi_kbs_attestation){0};
    ccz_buf_init(&out->init_data, INIT_DATA_MAX);
    ccz_rc rc = parse(&out->doc, body, err);
    if (rc != CCZ_OK)
        return rc;
    const struct ccz_jnode *root = ccz_jdoc_root(out->doc);
    const struct ccz_jnode *runtime = ccz_jnode_get(root, "runtime-data");
    rc = take_nonce(out->nonce, runtime, err);
    if (rc == CCZ_OK)
        rc = take_key(&out->tee_key, runtime, err);
    if (rc == CCZ_OK)
        rc = take_evidence(out, ccz_jnode_get(root, "tee-evidence"), err);
    if (rc == CCZ_OK)
        rc = take_init_data(&out->init_data, ccz_jnode_get(root, "init-data"), err);
    return rc;
}

void cczi_kbs_attestation_free(struct cczi_kbs_attestation *a)
{
    ccz_jdoc_free(a->doc);
    ccz_jwk_free(a->tee_key);
    ccz_buf_free(&a->init_data);
    *a = (struct cczi_kbs_attestation){0};
}

/* ------------------------------------------------------------------------------- binding */

/* Where the host puts the digest of the init data, which then is measured. */
static struct ccz_span init_data_field(const struct ccz_claims *c)
{
    switch (c->tee) {
    case CCZ_TEE_SGX:
        return CCZ_SPAN(c->config_id, sizeof(c->config_id));
    case CCZ_TEE_TDX:
        return CCZ_SPAN(c->mrconfigid, sizeof(c->mrconfigid));
    case CCZ_TEE_SNP:
        return CCZ_SPAN(c->snp.host_data, sizeof(c->snp.host_data));
    default:
        return (struct ccz_span){0};
    }
}

/* The text names its own algorithm. It need not be read for that: no two of them give one digest, so whichever fits is the one. Filled up with
 * zeros, or cut, as the field is wide. */
static ccz_rc check_init_data(struct ccz_span text, const struct ccz_claims *c, struct ccz_err *err)
{
    static const enum ccz_hash algs[] = {CCZ_SHA256, CCZ_SHA384, CCZ_SHA512};
    struct ccz_span field = init_data_field(c);
    uint8_t digest[64];
    for (size_t i = 0; i < sizeof(algs) / sizeof(algs[0]); i++) {
        memset(digest, 0, sizeof(digest));
        ccz_rc rc = ccz_hash(digest, algs[i], &text, 1);
        if (rc != CCZ_OK)
            return ccz_fail(err, rc, "kbs:hash", 0, "cannot hash the init data");
        if (field.size && ccz_span_eq(field, CCZ_SPAN(digest, field.size)))
            return CCZ_OK;
    }
    return ccz_refuse_bytes(err, CCZ_E_MISMATCH, "kbs:init-data", field.ptr, field.size, digest,
                            field.size);
}

ccz_rc cczi_kbs_bound(const struct cczi_kbs_attestation *a, const struct ccz_claims *claims,
                      struct ccz_err *err)
{
    uint8_t want[64];
    const struct ccz_rcar_binding b = {.nonce = ccz_span_str(a->nonce), .tee_key = a->tee_key};
    ccz_rc rc = ccz_rcar_report_data(want, &b, CCZ_SHA384, err);
    if (rc != CCZ_OK)
        return rc;
    if (!ccz_ct_eq(want, claims->report_data, sizeof(want))) {
        ccz_refuse_bytes(err, CCZ_E_MISMATCH, "kbs:report-data", claims->report_data, 48, want, 48);
        return ccz_hint(
            err, CCZ_E_MISMATCH,
            "the evidence is over another nonce or key, or with another hash than SHA-384");
    }
    return a->init_data.size ? check_init_data(ccz_buf_span(&a->init_data), claims, err) : CCZ_OK;
}
