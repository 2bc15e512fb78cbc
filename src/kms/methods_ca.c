/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keys that issue certificates. Whoever asks is judged as for every use of a key; then the request itself: it is signed by the key that
 * the certificate is for, and carries evidence over that key, which has to be genuine, of the very workload that calls, and accepted by
 * the same policy. So what a certificate says to clients that verify evidence and to those that cannot is one thing.
 */
#include "use_priv.h"

#include <cczoo/codec.h>
#include <cczoo/x509.h>

#include <stdio.h>
#include <string.h>

enum {
    CA_LIFE_S = 10 * 365 * 86400, /* of a key without an expiry of its own */
    LIFE_S = 86400,
    LIFE_MIN_S = 60,
    LIFE_MAX_S = 7 * 86400,
    SKEW_S = 300, /* clocks of clients may be behind */
    CN_SIZE = 65,
    EXTS = 3 /* names, usage, evidence */
};
#define OID_SAN         "2.5.29.17"
#define OID_CONSTRAINTS "2.5.29.30"
#define OID_EXT_USAGE   "2.5.29.37"
#define OID_SERVER_AUTH "1.3.6.1.5.5.7.3.1"

/* ------------------------------------------------------------------------- authority */

static ccz_rc issue_own(struct ccz_buf *der, const struct cczi_kms_call *call,
                        const struct cczi_kms_key_meta *m, const struct cczi_kms_key *key,
                        struct ccz_span names, struct ccz_err *err)
{
    CCZ_AUTO_BUF spki, constraints;
    ccz_buf_init(&spki, CCZ_PKEY_SPKI_SIZE_MAX);
    ccz_buf_init(&constraints, CCZ_CERT_SIZE_MAX);
    uint8_t digest[32];
    ccz_rc rc = cczi_kms_key_public(&spki, key, err);
    if (rc == CCZ_OK)
        rc = ccz_sha256(digest, ccz_buf_span(&spki));
    if (rc != CCZ_OK)
        return rc;
    /* by its key: no two authorities have one name, whatever store they are of */
    char id[17], cn[CN_SIZE];
    ccz_hex(id, digest, 8);
    (void)snprintf(cn, sizeof(cn), "CA %s %.40s", id, call->ref.name);
    ccz_names_put_constraints(&constraints, names);
    const struct ccz_cert_ext_in ext = {OID_CONSTRAINTS, ccz_buf_span(&constraints), true};
    const struct ccz_cert_cfg cfg = {
        .cn = cn,
        .org = "cczoo KMS",
        .not_before_s = call->req->now_s - SKEW_S,
        .not_after_s = m->expires_s ? m->expires_s : call->req->now_s + CA_LIFE_S,
        .ca = true,
        .no_ca_below = true,
        .ext = &ext,
        .ext_len = 1,
    };
    return cczi_kms_key_issue(der, key, &cfg, err);
}

ccz_rc cczi_kms_ca_metadata(struct ccz_buf *out, const struct cczi_kms_call *call,
                            const struct cczi_kms_key_meta *m, const struct ccz_secret *material,
                            struct ccz_span names, struct ccz_err *err)
{
    bool issues = m->ops & CCZI_OP_BIT(CCZI_OP_ISSUE);
    if (!issues && names.size == 0)
        return CCZ_OK;
    if (!issues || names.size == 0) {
        ccz_refuse(err, CCZ_E_FORMAT, "kms:ca-names", issues ? "no names" : "names",
                   issues ? "names that it may issue certificates for"
                          : "none, for a key that issues no certificates");
        return cczi_kms_hint(err, CCZ_E_FORMAT);
    }
    CCZ_AUTO(cczi_kms_key) key = NULL;
    CCZ_AUTO_BUF der;
    ccz_buf_init(&der, CCZ_CERT_SIZE_MAX);
    ccz_rc rc = ccz_names_check(names, err);
    if (rc == CCZ_OK)
        rc = cczi_kms_key_open(&key, m->kind, m->latest, material, err);
    if (rc == CCZ_OK)
        rc = issue_own(&der, call, m, key, names, err);
    if (rc != CCZ_OK)
        return rc;
    ccz_buf_put_str(out, "{\"ca\":{\"names\":");
    ccz_json_put_str(out, names);
    ccz_buf_put_str(out, ",\"cert\":\"");
    ccz_base64_put(out, ccz_buf_span(&der), CCZ_BASE64_STD);
    ccz_buf_put_str(out, "\"}}");
    return out->bad ? ccz_fail(err, CCZ_E_LIMIT, "kms:ca-names", (int64_t)names.size,
                               "the names are too long for a certificate")
                    : CCZ_OK;
}

/* An authority as it is when a certificate is asked for. */
struct authority {
    struct ccz_json *json; /* what `names` borrows from */
    struct ccz_span names;
    struct ccz_cert *cert;
};

static void authority_deinit(struct authority *a)
{
    ccz_json_free(a->json);
    ccz_cert_free(a->cert);
}

/* Of a row whose MAC was checked: what does not parse was not written here. */
static ccz_rc read_authority(struct authority *a, const struct cczi_kms_item *it,
                             struct ccz_err *err)
{
    CCZ_AUTO_BUF der;
    ccz_buf_init(&der, CCZ_CERT_SIZE_MAX);
    struct ccz_err why = {0};
    ccz_rc rc = ccz_json_parse(&a->json, ccz_buf_span(&it->metadata), &why);
    const struct ccz_json *ca = ccz_json_get(a->json, "ca");
    a->names = ccz_json_bytes(ccz_json_get(ca, "names"));
    if (rc == CCZ_OK)
        rc = ccz_base64_get(&der, ccz_json_bytes(ccz_json_get(ca, "cert")), CCZ_BASE64_STD, &why);
    if (rc == CCZ_OK)
        rc = ccz_cert_parse(&a->cert, ccz_buf_span(&der), &why);
    return rc == CCZ_OK ? CCZ_OK
                        : ccz_fail(err, rc == CCZ_E_NOMEM ? rc : CCZ_E_SIG, "kms:key-meta", 0,
                                   "no certificate of the key: %s", why.msg);
}

/* ---------------------------------------------------------------------------- request */

static ccz_rc take_request(struct cczi_msg_issue_req *m, struct cczi_kms_call *call,
                           struct ccz_err *err)
{
    ccz_rc rc = cczi_msg_get(m, cczi_msg_issue_req, call->req->body, err);
    if (rc == CCZ_OK)
        rc = cczi_kms_take_key(call, m->key, err);
    if (rc == CCZ_OK)
        rc = ccz_names_check(m->names, err);
    if (rc == CCZ_OK && m->life_s && (m->life_s < LIFE_MIN_S || m->life_s > LIFE_MAX_S))
        rc = ccz_fail(err, CCZ_E_ARG, "kms:cert-life", (int64_t)m->life_s,
                      "a certificate is good for %d to %d s, not %llu", LIFE_MIN_S, LIFE_MAX_S,
                      (unsigned long long)m->life_s);
    return rc;
}

/* Whoever may call must not have certificates made for others. */
static ccz_rc same_workload(const struct cczi_kms_call *call, const struct ccz_claims *claims,
                            struct ccz_err *err)
{
    uint8_t caller[32], asked[32];
    ccz_rc rc = ccz_claims_identity(caller, &call->req->peer->claims, err);
    if (rc == CCZ_OK)
        rc = ccz_claims_identity(asked, claims, err);
    if (rc != CCZ_OK || memcmp(caller, asked, sizeof(caller)) == 0)
        return rc;
    ccz_refuse(err, CCZ_E_DENIED, "kms:cert-workload", "evidence of another workload",
               "evidence of the one that calls");
    return cczi_kms_hint(err, CCZ_E_DENIED);
}

static int64_t sooner(int64_t a_s, int64_t b_s)
{
    return a_s < b_s ? a_s : b_s;
}

/* The policy that has accepted the caller, over what clients will judge. @param[in,out] until_s  it accepts both no longer than that */
static ccz_rc judge_request(int64_t *until_s, struct cczi_kms_call *call,
                            const struct ccz_claims *claims, struct ccz_err *err)
{
    struct ccz_verdict verdict = {0};
    const struct ccz_policy *policy = NULL;
    char name[CCZ_KMS_NAME_SIZE];
    memcpy(name, call->policy, sizeof(name));
    ccz_rc rc = cczi_kms_policy_parsed(&policy, call, name, err);
    int64_t now_s = call->req->now_s;
    if (rc == CCZ_OK)
        rc = cczi_kms_verdict_again(&verdict, policy, claims, now_s, now_s, err);
    if (rc != CCZ_OK)
        return rc;
    /* graces and reference values have ends, and there are no revocation lists */
    *until_s = cczi_kms_accepts_until(policy, claims, now_s, *until_s);
    *until_s = cczi_kms_accepts_until(policy, &call->req->peer->claims, now_s, *until_s);
    return CCZ_OK;
}

/* Proves the request. @param[out] until_s  what was found holds no longer than that */
static ccz_rc verify_request(int64_t *until_s, const struct ccz_csr *csr,
                             struct cczi_kms_call *call, struct ccz_err *err)
{
    const struct ccz_kms_info *info = call->req->info;
    const struct ccz_claims *caller = &call->req->peer->claims;
    struct ccz_claims claims = {0};
    if (!info->appraise)
        return ccz_refuse(err, CCZ_E_UNSUPPORTED, "kms:cert-evidence", "no verifier",
                          "a server that verifies evidence in requests");
    ccz_rc rc = ccz_ratls_csr_verify(&claims, csr, info->appraise, info->appraise_arg, err);
    if (rc == CCZ_OK)
        rc = same_workload(call, &claims, err);
    *until_s = sooner(claims.collateral_expires_s, caller->collateral_expires_s);
    return rc == CCZ_OK ? judge_request(until_s, call, &claims, err) : rc;
}

/* ------------------------------------------------------------------------ certificate */

static ccz_rc end_of(int64_t *not_after_s, int64_t until_s, const struct cczi_msg_issue_req *m,
                     const struct cczi_kms_key_meta *meta, const struct authority *a, int64_t now_s,
                     struct ccz_err *err)
{
    *not_after_s = sooner(now_s + (m->life_s ? (int64_t)m->life_s : LIFE_S), until_s);
    *not_after_s = sooner(*not_after_s, ccz_cert_not_after(a->cert));
    if (meta->expires_s)
        *not_after_s = sooner(*not_after_s, meta->expires_s);
    if (*not_after_s > now_s)
        return CCZ_OK;
    char now[21], end[21];
    ccz_time_format(now, now_s);
    ccz_time_format(end, *not_after_s);
    return ccz_refuse(err, CCZ_E_EXPIRED, "kms:cert-expired", now, end);
}

static ccz_rc issue(struct ccz_buf *der, const struct cczi_kms_key *key, const struct authority *a,
                    const struct ccz_csr *csr, struct ccz_span names, int64_t now_s,
                    int64_t not_after_s, struct ccz_err *err)
{
    CCZ_AUTO_BUF san, usage;
    ccz_buf_init(&san, 2 * CCZ_NAMES_SIZE_MAX);
    ccz_buf_init(&usage, 64);
    ccz_names_put_san(&san, names);
    size_t seq = ccz_der_open(&usage, CCZ_DER_SEQUENCE);
    ccz_der_put_oid(&usage, OID_SERVER_AUTH);
    ccz_der_close(&usage, seq);
    if (san.bad || usage.bad)
        return ccz_fail(err, CCZ_E_NOMEM, "kms:key-memory", 0, "out of memory");
    size_t asked;
    const struct ccz_cert_ext_in ext[EXTS] = {
        {OID_SAN, ccz_buf_span(&san), false},
        {OID_EXT_USAGE, ccz_buf_span(&usage), false},
        ccz_csr_exts(&asked, csr)[0], /* the evidence, which was verified, and is the only one */
    };
    /* no text that a client could take for a host: names are in the extension alone */
    const struct ccz_cert_cfg cfg = {
        .cn = "cczoo workload",
        .key = ccz_csr_key(csr),
        .issuer = a->cert,
        .not_before_s = now_s - SKEW_S,
        .not_after_s = not_after_s,
        .ext = ext,
        .ext_len = EXTS,
    };
    return cczi_kms_key_issue(der, key, &cfg, err);
}

/* For the audit line. */
static ccz_rc note(struct cczi_kms_issued *out, struct ccz_span der, struct ccz_span names,
                   struct ccz_err *err)
{
    CCZ_AUTO(ccz_cert) made = NULL;
    ccz_rc rc = ccz_cert_parse(&made, der, err);
    if (rc != CCZ_OK)
        return rc;
    struct ccz_span serial = ccz_cert_serial(made);
    if (2 * serial.size >= sizeof(out->serial) || names.size >= sizeof(out->names))
        return ccz_fail(err, CCZ_E_INTERNAL, "kms:cert", (int64_t)serial.size, "no room for it");
    rc = ccz_sha256(out->spki_sha256, ccz_cert_spki(made));
    if (rc == CCZ_OK)
        rc = ccz_sha256(out->sha256, der);
    if (rc != CCZ_OK)
        return ccz_fail(err, rc, "kms:cert", 0, "cannot hash");
    ccz_hex(out->serial, serial.ptr, serial.size);
    memcpy(out->names, names.ptr, names.size);
    out->not_after_s = ccz_cert_not_after(made);
    return CCZ_OK;
}

static ccz_rc answer(struct ccz_buf *response, struct cczi_kms_call *call,
                     const struct authority *a, struct ccz_span der)
{
    const struct cczi_msg_issue_resp out = {
        .certificate = der,
        .ca = ccz_cert_der(a->cert),
        .not_after_s = (uint64_t)call->issued.not_after_s,
        .version = call->version,
        .instance = CCZ_SPAN(call->store->instance, CCZ_KMS_INSTANCE_SIZE),
    };
    cczi_msg_put(response, cczi_msg_issue_resp, &out);
    return CCZ_OK;
}

/* Behind the policy, with the key opened. */
static ccz_rc issue_for(struct ccz_buf *response, struct cczi_kms_call *call,
                        const struct cczi_msg_issue_req *m, const struct cczi_kms_key_meta *meta,
                        const struct cczi_kms_key *key, const struct authority *a,
                        struct ccz_err *err)
{
    CCZ_AUTO(ccz_csr) csr = NULL;
    CCZ_AUTO_BUF der;
    ccz_buf_init(&der, CCZ_CERT_SIZE_MAX);
    int64_t until_s = 0, not_after_s = 0, now_s = call->req->now_s;
    ccz_rc rc = cczi_kms_hint(err, ccz_names_within(m->names, a->names, err));
    if (rc == CCZ_OK)
        rc = ccz_csr_parse(&csr, m->csr, err);
    if (rc == CCZ_OK)
        rc = verify_request(&until_s, csr, call, err);
    if (rc == CCZ_OK)
        rc = end_of(&not_after_s, until_s, m, meta, a, now_s, err);
    if (rc == CCZ_OK)
        rc = issue(&der, key, a, csr, m->names, now_s, not_after_s, err);
    if (rc == CCZ_OK)
        rc = note(&call->issued, ccz_buf_span(&der), m->names, err);
    return rc == CCZ_OK ? answer(response, call, a, ccz_buf_span(&der)) : rc;
}

CCZI_KMS_RUN(issue_certificate)
{
    struct cczi_msg_issue_req m = {0};
    struct cczi_kms_key_meta meta = {0};
    struct cczi_kms_opened_key *key = NULL;
    struct authority a = {0};
    struct cczi_kms_item it;
    cczi_kms_item_init(&it);
    ccz_rc rc = take_request(&m, call, err);
    if (rc == CCZ_OK)
        rc = cczi_kms_meta_of(&meta, call, err);
    if (rc == CCZ_OK)
        rc = cczi_kms_allow_use(call, &meta, CCZI_OP_ISSUE, err);
    if (rc == CCZ_OK) {
        uint32_t version = cczi_kms_key_version(&meta, (uint32_t)m.version);
        rc = cczi_kms_open_version(&key, &it, call, &meta, CCZI_OP_ISSUE, version, err);
        if (rc == CCZ_OK)
            call->version = version;
    }
    if (rc == CCZ_OK)
        rc = read_authority(&a, &it, err);
    if (rc == CCZ_OK)
        rc = issue_for(response, call, &m, &meta, key->key, &a, err);
    cczi_kms_opened_unref(key);
    authority_deinit(&a);
    cczi_kms_item_deinit(&it);
    return rc;
}
