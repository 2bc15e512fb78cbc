/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Certificate chains of Intel's attestation PKI ("SGX PCK Certificate and CRL Profile
 * Specification", RFC 5280): Root CA -> PCK Platform or Processor CA -> PCK certificate;  Root CA
 * -> TCB Signing The number of certificates and the role of each is fixed, so there is no path
 * building. Roles are told apart by common name, as Intel's library does: all of them have the same
 * shape otherwise. Trust comes from the root's key.
 */
#include "quote/quote_priv.h"

#include <stdio.h>
#include <string.h>

#define ROOT_CN    "SGX Root CA"
#define NOT_SIGNED "the signature of the certificate does not verify with its issuer's key"

const struct cczi_chain_rule cczi_chain_pck = {
    .len = 3,
    .cn = {"SGX PCK Certificate", "SGX PCK P", ROOT_CN}, /* "Platform CA", "Processor CA" */
    .where_chain = "quote:pck-chain",
    .where_name = "quote:pck-name",
    .where_issuer = "quote:pck-issuer",
    .signature = {"quote:pck-signature", NOT_SIGNED, NULL},
    .where_root = "quote:pck-root",
    .early = {"quote:pck-not-yet-valid", "quote:pck-ca-not-yet-valid",
              "quote:pck-root-not-yet-valid"},
    .late = {"quote:pck-expired", "quote:pck-ca-expired", "quote:pck-root-expired"},
};
const struct cczi_chain_rule cczi_chain_tcb_info = {
    .len = 2,
    .cn = {"SGX TCB Signing", ROOT_CN},
    .where_chain = "collateral:tcb-info-chain",
    .where_name = "collateral:tcb-info-signer-name",
    .where_issuer = "collateral:tcb-info-signer-issuer",
    .signature = {"collateral:tcb-info-signer-signature", NOT_SIGNED, NULL},
    .where_root = "collateral:tcb-info-root",
    .early = {"collateral:tcb-info-signer-not-yet-valid", "collateral:tcb-info-root-not-yet-valid"},
    .late = {"collateral:tcb-info-signer-expired", "collateral:tcb-info-root-expired"},
};
const struct cczi_chain_rule cczi_chain_qe_identity = {
    .len = 2,
    .cn = {"SGX TCB Signing", ROOT_CN},
    .where_chain = "collateral:qe-identity-chain",
    .where_name = "collateral:qe-identity-signer-name",
    .where_issuer = "collateral:qe-identity-signer-issuer",
    .signature = {"collateral:qe-identity-signer-signature", NOT_SIGNED, NULL},
    .where_root = "collateral:qe-identity-root",
    .early = {"collateral:qe-identity-signer-not-yet-valid",
              "collateral:qe-identity-root-not-yet-valid"},
    .late = {"collateral:qe-identity-signer-expired", "collateral:qe-identity-root-expired"},
};
const struct cczi_chain_rule cczi_chain_pck_crl = {
    .len = 2,
    .leaf_is_ca = true,
    .cn = {"SGX PCK P", ROOT_CN},
    .where_chain = "collateral:pck-crl-chain",
    .where_name = "collateral:pck-crl-signer-name",
    .where_issuer = "collateral:pck-crl-signer-issuer",
    .signature = {"collateral:pck-crl-signer-signature", NOT_SIGNED, NULL},
    .where_root = "collateral:pck-crl-root",
    .early = {"collateral:pck-crl-signer-not-yet-valid", "collateral:pck-crl-root-not-yet-valid"},
    .late = {"collateral:pck-crl-signer-expired", "collateral:pck-crl-root-expired"},
};

ccz_rc cczi_at(struct ccz_err *err, ccz_rc rc, const char *where)
{
    if (err && rc != CCZ_OK) {
        err->rc = rc;
        (void)snprintf(err->where, sizeof(err->where), "%s", where);
    }
    return rc;
}

ccz_rc cczi_window_check(const struct cczi_window *w, int64_t now_s, struct ccz_err *err)
{
    bool early = now_s < w->from_s;
    if (!early && now_s <= w->until_s)
        return CCZ_OK;
    char got[32], bound[32], expected[64];
    ccz_time_format(got, now_s);
    ccz_time_format(bound, early ? w->from_s : w->until_s);
    (void)snprintf(expected, sizeof(expected), "%s %s", early ? "not before" : "not after", bound);
    return ccz_refuse(err, CCZ_E_EXPIRED, early ? w->early : w->late, got, expected);
}

static bool self_issued(const struct ccz_cert *c)
{
    return ccz_span_eq(ccz_cert_subject(c), ccz_cert_issuer(c));
}

/* Root to the end, end entity to the front: genuine quotes of 2020 carry leaf, root, intermediate.
 */
static void chain_sort(struct cczi_chain *c)
{
    for (size_t i = 0; i + 1 < c->len; i++) {
        const struct ccz_cert *last = c->cert[c->len - 1];
        if (!self_issued(last) && self_issued(c->cert[i])) {
            c->cert[c->len - 1] = c->cert[i];
            c->cert[i] = last;
        }
    }
    if (c->len == 3 && ccz_cert_is_ca(c->cert[0]) && !ccz_cert_is_ca(c->cert[1])) {
        const struct ccz_cert *ca = c->cert[0];
        c->cert[0] = c->cert[1];
        c->cert[1] = ca;
    }
}

static ccz_rc take_certs(struct cczi_chain *c, struct cczi_certs *certs, struct ccz_span pem,
                         const struct cczi_chain_rule *rule, struct ccz_err *err)
{
    if (pem.size == 0)
        return ccz_fail(err, CCZ_E_FORMAT, rule->where_chain, 0,
                        "missing: no certificate chain was given");
    for (c->len = 0; c->len < rule->len; c->len++) {
        ccz_rc rc = cczi_certs_take(&c->cert[c->len], certs, &pem, err);
        if (rc == CCZ_E_NOT_FOUND)
            return ccz_refuse_num(err, CCZ_E_FORMAT, rule->where_chain, (int64_t)c->len,
                                  (int64_t)rule->len);
        if (rc != CCZ_OK)
            return cczi_at(err, rc, rule->where_chain);
    }
    if (!cczi_pem_at_end(&pem))
        return ccz_refuse_num(err, CCZ_E_FORMAT, rule->where_chain, (int64_t)rule->len + 1,
                              (int64_t)rule->len);
    chain_sort(c);
    return CCZ_OK;
}

/* Is each certificate what its place asks for? */
static ccz_rc check_roles(const struct cczi_chain *c, const struct cczi_chain_rule *rule,
                          struct ccz_err *err)
{
    for (size_t i = 0; i < c->len; i++) {
        const struct ccz_key *key = ccz_cert_key(c->cert[i]);
        if (!key || ccz_key_curve(key) != CCZ_P256)
            return ccz_fail(err, CCZ_E_UNSUPPORTED, rule->where_chain, (int64_t)i,
                            "a key that is not P-256");
        const char *cn = ccz_cert_cn(c->cert[i]);
        if (!strstr(cn, rule->cn[i])) {
            char got[CCZ_ERR_VALUE_SIZE];
            ccz_escape(got, sizeof(got), ccz_span_str(cn));
            return ccz_refuse(err, CCZ_E_UNTRUSTED, rule->where_name, got, rule->cn[i]);
        }
    }
    if (ccz_cert_is_ca(c->cert[0]) != rule->leaf_is_ca)
        return ccz_refuse(err, CCZ_E_UNTRUSTED, rule->where_name,
                          rule->leaf_is_ca ? "an end entity" : "a CA",
                          rule->leaf_is_ca ? "a CA" : "an end entity");
    return CCZ_OK;
}

/* The root is looked up by key first: an unknown root is the usual mistake and deserves its own
 * words. */
static ccz_rc check_links(struct cczi_chain *c, struct cczi_certs *certs, struct cczi_sigs *sigs,
                          const struct cczi_chain_rule *rule, const struct ccz_roots *roots,
                          struct ccz_err *err)
{
    const struct ccz_cert *root = c->cert[c->len - 1];
    c->root = cczi_roots_find(roots, root);
    if (!c->root) {
        ccz_rc rc = ccz_fail(err, CCZ_E_UNTRUSTED, rule->where_root, 0,
                             "the root of the chain is not trusted");
        return ccz_hint(
            err, rc, "a pre-production or simulated platform? its root must be trusted explicitly");
    }
    for (size_t i = 0; i < c->len; i++) {
        const struct ccz_cert *issuer =
            i + 1 < c->len ? c->cert[i + 1] : root; /* the root signs itself */
        ccz_rc rc = cczi_certs_link(certs, sigs, c->cert[i], issuer, &rule->signature, err);
        if (rc != CCZ_OK)
            return cczi_at(err, rc, rule->where_issuer);
    }
    return CCZ_OK;
}

ccz_rc cczi_chain_read(struct cczi_chain *out, struct cczi_certs *certs, struct cczi_sigs *sigs,
                       struct ccz_span pem, const struct cczi_chain_rule *rule,
                       const struct ccz_roots *roots, struct ccz_err *err)
{
    *out = (struct cczi_chain){0};
    ccz_rc rc = take_certs(out, certs, pem, rule, err);
    if (rc == CCZ_OK)
        rc = check_roles(out, rule, err);
    if (rc == CCZ_OK)
        rc = check_links(out, certs, sigs, rule, roots, err);
    return rc;
}

struct cczi_window cczi_chain_window(const struct cczi_chain *c, size_t i,
                                     const struct cczi_chain_rule *rule)
{
    return (struct cczi_window){.from_s = ccz_cert_not_before(c->cert[i]),
                                .until_s = ccz_cert_not_after(c->cert[i]),
                                .early = rule->early[i],
                                .late = rule->late[i]};
}
