/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Collateral: steps A (revocation lists), B (TCB info) and C (QE identity) of the verification
 * algorithm in docs/design/verification.md, as far as they do not depend on time. Signatures come
 * before meaning: all parts are read as far as needed to know what is signed by whom, then all
 * signatures are checked together, then the contents are.
 */
#include "quote/quote_priv.h"

#include <stdlib.h>
#include <string.h>

/* ------------------------------------------------------------------ signed JSON documents */

/* {"<member>": {...}, "signature": "<128 hex>"}; both are PCS response bodies. */
struct signed_rule {
    const char *member;
    const struct cczi_chain_rule *chain;
    struct cczi_sig_refusal signature;
    const char *where_json, *where_revoked;
};
#define REFORMATTED "the bytes as delivered are signed: was the file re-formatted?"
static const struct signed_rule tcb_info_rule = {
    .member = "tcbInfo",
    .chain = &cczi_chain_tcb_info,
    .signature = {"collateral:tcb-info-signature", "the signature over tcbInfo does not verify",
                  REFORMATTED},
    .where_json = "collateral:tcb-info",
    .where_revoked = "collateral:tcb-info-signer-revoked",
};
static const struct signed_rule qe_identity_rule = {
    .member = "enclaveIdentity",
    .chain = &cczi_chain_qe_identity,
    .signature = {"collateral:qe-identity-signature",
                  "the signature over enclaveIdentity does not verify", REFORMATTED},
    .where_json = "collateral:qe-identity",
    .where_revoked = "collateral:qe-identity-signer-revoked",
};

struct signed_doc {
    struct ccz_jdoc *json;
    const struct ccz_jnode *value; /* of the signed member, borrowed from json */
    uint8_t signature[64];
    const struct ccz_ecdsa_job *job; /* its signature */
    struct cczi_chain chain;
};

/* What ccz_collateral_new() needs until the signatures are checked. */
struct parts {
    const struct ccz_collateral_src *src;
    struct signed_doc tcb, qe;
    const struct ccz_ecdsa_job *root_crl, *pck_crl;
    struct cczi_sigs sigs;
};

static void parts_deinit(struct parts *p)
{
    ccz_jdoc_free(p->tcb.json);
    ccz_jdoc_free(p->qe.json);
}

/* The signature covers the member's bytes as delivered; nothing else may be in the document,
 * because nothing would vouch for it. */
static ccz_rc read_document(struct signed_doc *d, struct ccz_span text,
                            const struct signed_rule *rule, struct ccz_err *err)
{
    if (text.size == 0)
        return ccz_fail(err, CCZ_E_FORMAT, rule->where_json, 0, "missing: no %s was given",
                        rule->member);
    ccz_rc rc = ccz_jdoc_parse(&d->json, text, err);
    if (rc != CCZ_OK)
        return cczi_at(err, rc, rule->where_json);
    const struct ccz_jnode *root = ccz_jdoc_root(d->json);
    struct cczi_fields f = {.where = rule->where_json, .err = err};
    d->value = cczi_field_node(&f, root, rule->member, CCZ_JSON_OBJECT);
    cczi_field_hex(&f, d->signature, sizeof(d->signature), root, "signature");
    if (ccz_jnode_len(root) != 2)
        cczi_fields_fail(&f, CCZ_E_FORMAT, rule->member, "unsigned members beside it");
    return f.rc;
}

static ccz_rc open_document(struct signed_doc *d, struct ccz_collateral *c, struct cczi_sigs *sigs,
                            struct ccz_span text, struct ccz_span pem,
                            const struct signed_rule *rule, const struct ccz_roots *roots,
                            struct ccz_err *err)
{
    ccz_rc rc = read_document(d, text, rule, err);
    if (rc == CCZ_OK)
        rc = cczi_chain_read(&d->chain, &c->certs, sigs, pem, rule->chain, roots, err);
    if (rc == CCZ_OK)
        d->job = cczi_sigs_add_raw(sigs, ccz_cert_key(d->chain.cert[0]),
                                   CCZ_SPAN(d->signature, sizeof(d->signature)),
                                   ccz_jnode_raw(d->value), &rule->signature);
    return rc;
}

/* ------------------------------------------------------------------------ revocation lists */

/* DER starts with a SEQUENCE, hex of DER with the digit '3', PEM with '-'. */
ccz_rc ccz_crl_der(struct ccz_buf *der, struct ccz_span in, const char *where, struct ccz_err *err)
{
    ccz_rc rc = CCZ_OK;
    while (in.size > 0 && in.ptr[0] != CCZ_DER_SEQUENCE && strchr("\r\n", in.ptr[in.size - 1]))
        in.size--; /* text files end in a line end */
    if (in.size == 0)
        return ccz_fail(err, CCZ_E_FORMAT, where, 0, "missing: no revocation list was given");
    if (in.ptr[0] == '-') {
        rc = ccz_pem_next(der, &in, "X509 CRL", err);
        if (rc == CCZ_OK && in.size > 0)
            rc = ccz_fail(err, CCZ_E_FORMAT, where, 0, "text behind the revocation list");
    } else if (in.ptr[0] == '3') {
        uint8_t *bytes = ccz_buf_extend(der, in.size / 2);
        rc = bytes ? ccz_unhex(bytes, in.size / 2, (const char *)in.ptr, in.size) : CCZ_E_LIMIT;
        if (rc != CCZ_OK)
            rc = ccz_fail(err, rc, where, 0, "not DER, PEM or hex of DER");
    } else {
        ccz_buf_put_span(der, in);
    }
    return cczi_at(err, rc, where);
}

ccz_rc cczi_crl_read(struct ccz_crl **out, struct ccz_span in, const char *where,
                     struct ccz_err *err)
{
    CCZ_AUTO_BUF der;
    ccz_buf_init(&der, CCZ_COLLATERAL_SIZE_MAX);
    ccz_rc rc = ccz_crl_der(&der, in, where, err);
    if (rc == CCZ_OK)
        rc = cczi_at(err, ccz_crl_parse(out, ccz_buf_span(&der), err), where);
    return rc;
}

struct crl_rule {
    const char *where, *where_issuer;
    struct cczi_sig_refusal signature;
};
#define CRL_NOT_SIGNED "the signature of the CRL does not verify with its issuer's key"
static const struct crl_rule root_crl_rule = {
    .where = "collateral:root-crl",
    .where_issuer = "collateral:root-crl-issuer",
    .signature = {"collateral:root-crl-signature", CRL_NOT_SIGNED, NULL},
};
static const struct crl_rule pck_crl_rule = {
    .where = "collateral:pck-crl",
    .where_issuer = "collateral:pck-crl-issuer",
    .signature = {"collateral:pck-crl-signature", CRL_NOT_SIGNED, NULL},
};

static ccz_rc open_crl(struct ccz_crl **out, const struct ccz_ecdsa_job **out_job,
                       struct cczi_sigs *sigs, struct ccz_span in, const struct ccz_cert *issuer,
                       const struct crl_rule *rule, struct ccz_err *err)
{
    ccz_rc rc = cczi_crl_read(out, in, rule->where, err);
    if (rc != CCZ_OK)
        return rc;
    struct ccz_ecdsa_job job;
    rc = ccz_crl_issuer_job(&job, *out, issuer, err);
    if (rc != CCZ_OK)
        return cczi_at(err, rc, rule->where_issuer);
    *out_job = cczi_sigs_add(sigs, &job, &rule->signature);
    return CCZ_OK;
}

static ccz_rc check_not_revoked(const struct ccz_crl *crl, const struct ccz_cert *cert,
                                const char *where, struct ccz_err *err)
{
    if (!ccz_crl_revokes(crl, ccz_cert_serial(cert)))
        return CCZ_OK;
    char got[CCZ_ERR_VALUE_SIZE];
    ccz_escape(got, sizeof(got), ccz_span_str(ccz_cert_cn(cert)));
    return ccz_refuse(err, CCZ_E_REVOKED, where, got, "not in the revocation list");
}

/* ------------------------------------------------------------------------------- building */

static void add_window(struct ccz_collateral *c, struct cczi_window w)
{
    c->windows[c->windows_len++] = w;
    if (w.until_s < c->expires_s)
        c->expires_s = w.until_s;
}

/* A document that is published anew at least once a month: the oldest one is the age of the
 * collateral, or holding back one of them would not show beside fresh others. */
static void add_document(struct ccz_collateral *c, struct cczi_window w)
{
    add_window(c, w);
    if (w.from_s < c->issued_s)
        c->issued_s = w.from_s;
}

static void add_chain(struct ccz_collateral *c, const struct cczi_chain *chain,
                      const struct cczi_chain_rule *rule)
{
    for (size_t i = 0; i < chain->len; i++)
        add_window(c, cczi_chain_window(chain, i, rule));
}

/* Documents first: when several parts are too old, the one that is renewed most often names the
 * reason. */
static void set_windows(struct ccz_collateral *c, const struct parts *p)
{
    c->expires_s = INT64_MAX;
    c->issued_s = INT64_MAX;
    add_document(c, (struct cczi_window){c->tcb_info.issued_s, c->tcb_info.next_update_s,
                                         "collateral:tcb-info-not-yet-valid",
                                         "collateral:tcb-info-expired"});
    add_document(c, (struct cczi_window){c->qe_identity.issued_s, c->qe_identity.next_update_s,
                                         "collateral:qe-identity-not-yet-valid",
                                         "collateral:qe-identity-expired"});
    add_document(
        c, (struct cczi_window){ccz_crl_this_update(c->pck_crl), ccz_crl_next_update(c->pck_crl),
                                "collateral:pck-crl-not-yet-valid", "collateral:pck-crl-expired"});
    add_window(c, (struct cczi_window){
                      /* renewed once a year */
                      ccz_crl_this_update(c->root_crl), ccz_crl_next_update(c->root_crl),
                      "collateral:root-crl-not-yet-valid", "collateral:root-crl-expired"});
    add_chain(c, &p->tcb.chain, &cczi_chain_tcb_info);
    add_chain(c, &p->qe.chain, &cczi_chain_qe_identity);
    add_chain(c, &c->pck_ca, &cczi_chain_pck_crl);
}

/* One root for all: collateral of one authority says nothing about platforms of another. */
static ccz_rc check_one_root(const struct ccz_collateral *c, const struct parts *p,
                             struct ccz_err *err)
{
    const struct ccz_root *root = p->tcb.chain.root;
    const struct ccz_root *other = p->qe.chain.root != root ? p->qe.chain.root : c->pck_ca.root;
    if (other != root)
        return ccz_refuse_bytes(err, CCZ_E_MISMATCH, "collateral:root", other->xy,
                                sizeof(other->xy), root->xy, sizeof(root->xy));
    return CCZ_OK;
}

/* Reads every part as far as needed to know what is signed by whom. */
static ccz_rc open_parts(struct ccz_collateral *c, struct parts *p, const struct ccz_roots *roots,
                         struct ccz_err *err)
{
    const struct ccz_collateral_src *src = p->src;
    ccz_rc rc = open_document(&p->tcb, c, &p->sigs, src->tcb_info, src->tcb_info_chain,
                              &tcb_info_rule, roots, err);
    if (rc == CCZ_OK)
        rc = open_document(&p->qe, c, &p->sigs, src->qe_identity, src->qe_identity_chain,
                           &qe_identity_rule, roots, err);
    if (rc == CCZ_OK)
        rc = cczi_chain_read(&c->pck_ca, &c->certs, &p->sigs, src->pck_crl_chain,
                             &cczi_chain_pck_crl, roots, err);
    if (rc == CCZ_OK)
        rc = check_one_root(c, p, err);
    if (rc == CCZ_OK)
        rc = open_crl(&c->root_crl, &p->root_crl, &p->sigs, src->root_ca_crl, c->pck_ca.cert[1],
                      &root_crl_rule, err);
    if (rc == CCZ_OK)
        rc = open_crl(&c->pck_crl, &p->pck_crl, &p->sigs, src->pck_crl, c->pck_ca.cert[0],
                      &pck_crl_rule, err);
    return rc;
}

/* Step A: none of the signers is in the list of the root. */
static ccz_rc check_revocation(const struct ccz_collateral *c, const struct parts *p,
                               struct ccz_err *err)
{
    ccz_rc rc =
        check_not_revoked(c->root_crl, p->tcb.chain.cert[0], tcb_info_rule.where_revoked, err);
    if (rc == CCZ_OK)
        rc = check_not_revoked(c->root_crl, p->qe.chain.cert[0], qe_identity_rule.where_revoked,
                               err);
    if (rc == CCZ_OK)
        rc = check_not_revoked(c->root_crl, c->pck_ca.cert[0], "collateral:pck-crl-signer-revoked",
                               err);
    return rc;
}

static ccz_rc read_meaning(struct ccz_collateral *c, const struct parts *p, struct ccz_err *err)
{
    ccz_rc rc = cczi_tcb_info_read(&c->tcb_info, p->tcb.value, err);
    if (rc == CCZ_OK)
        rc = cczi_qe_identity_read(&c->qe_identity, p->qe.value, err);
    if (rc == CCZ_OK && c->qe_identity.tee != c->tcb_info.tee)
        rc = ccz_refuse(err, CCZ_E_MISMATCH, "collateral:qe-identity-tee",
                        ccz_tee_name(c->qe_identity.tee), ccz_tee_name(c->tcb_info.tee));
    return rc;
}

static struct ccz_span digest_of(const struct ccz_ecdsa_job *job)
{
    return CCZ_SPAN(job->digest, job->digest_size);
}

/* Digest of everything that went in, sizes included: names the content in cache keys. Documents and
 * lists, the greater part, are in it by the digests that their signatures are about. */
static ccz_rc set_id(struct ccz_collateral *c, const struct parts *p)
{
    const struct ccz_collateral_src *src = p->src;
    struct ccz_span tcb = ccz_jnode_raw(p->tcb.value), qe = ccz_jnode_raw(p->qe.value);
    const uint8_t *tcb_end = tcb.ptr + tcb.size, *qe_end = qe.ptr + qe.size;
    const struct ccz_span parts[] = {
        CCZ_SPAN(src->tcb_info.ptr, (size_t)(tcb.ptr - src->tcb_info.ptr)),
        digest_of(p->tcb.job),
        CCZ_SPAN(tcb_end, (size_t)(src->tcb_info.ptr + src->tcb_info.size - tcb_end)),
        src->tcb_info_chain,
        CCZ_SPAN(src->qe_identity.ptr, (size_t)(qe.ptr - src->qe_identity.ptr)),
        digest_of(p->qe.job),
        CCZ_SPAN(qe_end, (size_t)(src->qe_identity.ptr + src->qe_identity.size - qe_end)),
        src->qe_identity_chain,
        digest_of(p->root_crl),
        p->root_crl->sig,
        digest_of(p->pck_crl),
        p->pck_crl->sig,
        src->pck_crl_chain,
        src->pck_chain,
    };
    enum { PARTS_LEN = sizeof(parts) / sizeof(parts[0]) };
    CCZ_AUTO_BUF sizes;
    ccz_buf_init(&sizes, PARTS_LEN * sizeof(uint64_t));
    struct ccz_span all[2 + PARTS_LEN];
    for (size_t i = 0; i < PARTS_LEN; i++) {
        ccz_buf_le64(&sizes, parts[i].size);
        all[2 + i] = parts[i];
    }
    if (sizes.bad)
        return CCZ_E_NOMEM;
    all[0] = ccz_buf_span(&sizes);
    all[1] = CCZ_SPAN(c->root.xy, sizeof(c->root.xy));
    return ccz_hash(c->id, CCZ_SHA256, all, 2 + PARTS_LEN);
}

static ccz_rc keep_pem(struct ccz_buf *to, struct ccz_span pem)
{
    ccz_buf_init(to, CCZ_COLLATERAL_SIZE_MAX);
    ccz_buf_put_span(to, pem);
    return to->bad ? CCZ_E_NOMEM : CCZ_OK;
}

static ccz_rc check_sizes(const struct ccz_collateral_src *src, struct ccz_err *err)
{
    const size_t sizes[] = {src->tcb_info.size,    src->tcb_info_chain.size,
                            src->qe_identity.size, src->root_ca_crl.size,
                            src->pck_crl.size,     src->qe_identity_chain.size,
                            src->pck_chain.size,   src->pck_crl_chain.size};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        if (sizes[i] > CCZ_COLLATERAL_SIZE_MAX)
            return ccz_refuse_num(err, CCZ_E_LIMIT, "collateral:size", (int64_t)sizes[i],
                                  CCZ_COLLATERAL_SIZE_MAX);
    }
    return CCZ_OK;
}

static ccz_rc build(struct ccz_collateral *c, struct parts *p, const struct ccz_roots *roots,
                    struct ccz_err *err)
{
    ccz_rc rc = check_sizes(p->src, err);
    if (rc == CCZ_OK)
        rc = open_parts(c, p, roots, err);
    rc = cczi_sigs_check(&p->sigs, rc, err);
    if (rc == CCZ_OK)
        rc = check_revocation(c, p, err);
    if (rc == CCZ_OK)
        rc = read_meaning(c, p, err);
    if (rc != CCZ_OK)
        return rc;
    c->root = *p->tcb.chain.root;
    rc = ccz_sha256(c->pck_issuer, ccz_cert_subject(c->pck_ca.cert[0]));
    c->pck_ca.root = NULL; /* borrowed from the caller's roots, which may go first */
    set_windows(c, p);
    if (rc == CCZ_OK)
        rc = keep_pem(&c->pck_ca_pem, p->src->pck_crl_chain);
    if (rc == CCZ_OK)
        rc = keep_pem(&c->pck_pem, p->src->pck_chain);
    if (rc == CCZ_OK)
        rc = set_id(c, p);
    return rc == CCZ_OK
               ? rc
               : ccz_fail(err, rc, "collateral:memory", 0, "could not copy or digest the parts");
}

ccz_rc ccz_collateral_new(struct ccz_collateral **out, const struct ccz_collateral_src *src,
                          const struct ccz_roots *roots, struct ccz_err *err)
{
    *out = NULL;
    CCZ_AUTO(ccz_collateral) c = calloc(1, sizeof(*c));
    if (!c)
        return ccz_fail(err, CCZ_E_NOMEM, "collateral:memory", 0, "out of memory");
    struct parts p = {.src = src};
    ccz_rc rc = build(c, &p, roots, err);
    parts_deinit(&p);
    if (rc == CCZ_OK)
        *out = ccz_collateral_take(&c);
    return rc;
}

void ccz_collateral_free(struct ccz_collateral *c)
{
    if (!c)
        return;
    cczi_tcb_info_deinit(&c->tcb_info);
    cczi_qe_identity_deinit(&c->qe_identity);
    cczi_certs_free(&c->certs);
    ccz_crl_free(c->root_crl);
    ccz_crl_free(c->pck_crl);
    ccz_buf_free(&c->pck_ca_pem);
    ccz_buf_free(&c->pck_pem);
    free(c);
}

/* ------------------------------------------------------------------------------ questions */

enum ccz_tee ccz_collateral_tee(const struct ccz_collateral *c)
{
    return c->tcb_info.tee;
}

const uint8_t *ccz_collateral_fmspc(const struct ccz_collateral *c)
{
    return c->tcb_info.fmspc;
}

void ccz_collateral_platform(struct ccz_platform *out, const struct ccz_collateral *c)
{
    *out = (struct ccz_platform){.tee = c->tcb_info.tee,
                                 .ca = cczi_pck_ca_of(ccz_cert_subject(c->pck_ca.cert[0]))};
    memcpy(out->fmspc, c->tcb_info.fmspc, sizeof(out->fmspc));
    memcpy(out->pck_issuer, c->pck_issuer, sizeof(out->pck_issuer));
}

bool ccz_collateral_simulated(const struct ccz_collateral *c)
{
    return c->root.simulated;
}

int64_t ccz_collateral_issued(const struct ccz_collateral *c)
{
    return c->issued_s;
}

int64_t ccz_collateral_expires(const struct ccz_collateral *c)
{
    return c->expires_s;
}
