/* SPDX-License-Identifier: Apache-2.0 */
/*
 * AMD's attestation PKI (AMD 57230), one per product line P:
 *   ARK-P, self-signed -> SEV-P (ASK) -> SEV-VCEK
 *                      -> SEV-VLEK-P (ASVK) -> SEV-VLEK
 * RSA-4096 signs with RSASSA-PSS and SHA-384; VEKs are P-384 keys. ARKs are pinned by key: names tell roles apart,
 * and trust comes from the key alone. The ARK publishes one CRL for what it issued.
 */
#include "quote/snp_priv.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ------------------------------------------------------------------------------------- roots */

/* SHA-256 of the SubjectPublicKeyInfo of AMD's ARK certificates, as its KDS publishes them under
 * /vcek/v1/{Milan,Genoa,Turin}/cert_chain. SHA-256 of the certificates themselves:
 *   ARK-Milan 69d063b45344d26a2e94e1f4210de49ef555308287d4c174445c95639a540bcd (2020-10-22)
 *   ARK-Genoa 4c6598d19c18719c5dfd4a7d335f674e5bfe1d8f800cea2cf270c10d103db2f1 (2022-01-26)
 *   ARK-Turin 1f084161a44bb6d93778a904877d4819cafa5d05ef4193b2ded9dd9c73dd3f6a (2023-05-15) */
static const struct ccz_snp_root amd_roots[] = {
    {.product = CCZ_SNP_MILAN,
     .spki_sha256 = {0x9f, 0x05, 0x6b, 0xee, 0x44, 0x37, 0x7e, 0x29, 0x30, 0x8c, 0xb5,
                     0xff, 0xa8, 0x95, 0xbd, 0xfb, 0x62, 0xd1, 0x88, 0x81, 0xfa, 0x6b,
                     0xed, 0x8d, 0x6f, 0x07, 0x5b, 0x02, 0x04, 0x08, 0x9c, 0xb9}},
    {.product = CCZ_SNP_GENOA,
     .spki_sha256 = {0x42, 0x9a, 0x69, 0xc9, 0x42, 0x2a, 0xa2, 0x58, 0xee, 0x4d, 0x8d,
                     0xb5, 0xfc, 0xda, 0x9c, 0x64, 0x70, 0xef, 0x15, 0xf8, 0xcd, 0x5a,
                     0x9c, 0xeb, 0xd6, 0xcb, 0xc7, 0xd9, 0x0b, 0x86, 0x38, 0x31}},
    {.product = CCZ_SNP_TURIN,
     .spki_sha256 = {0x4f, 0x12, 0x54, 0x10, 0x56, 0x3a, 0x2a, 0xb9, 0xa5, 0x03, 0x56,
                     0xf9, 0x24, 0x3f, 0x6f, 0xe0, 0xb6, 0xf7, 0x3d, 0xe9, 0x86, 0x03,
                     0xf5, 0x3f, 0x90, 0x33, 0x9c, 0x70, 0xe9, 0xd7, 0xad, 0x08}},
};

static const struct ccz_snp_root *find_root(const struct ccz_snp_roots *roots,
                                            const uint8_t spki_sha256[32])
{
    for (size_t i = 0; i < roots->len && i < CCZ_SNP_ROOTS_MAX; i++) {
        if (memcmp(roots->root[i].spki_sha256, spki_sha256, 32) == 0)
            return &roots->root[i];
    }
    return NULL;
}

static ccz_rc add_root(struct ccz_snp_roots *roots, const struct ccz_snp_root *root,
                       struct ccz_err *err)
{
    const struct ccz_snp_root *old = find_root(roots, root->spki_sha256);
    if (old && old->simulated == root->simulated)
        return CCZ_OK;
    if (old) /* a key cannot be genuine and simulated at once */
        return ccz_refuse(err, CCZ_E_ARG, "roots:simulated",
                          root->simulated ? "simulated" : "genuine",
                          root->simulated ? "genuine" : "simulated");
    if (roots->len >= CCZ_SNP_ROOTS_MAX)
        return ccz_refuse_num(err, CCZ_E_LIMIT, "roots:len", (int64_t)roots->len + 1,
                              CCZ_SNP_ROOTS_MAX);
    roots->root[roots->len++] = *root;
    return CCZ_OK;
}

ccz_rc ccz_snp_roots_add_amd(struct ccz_snp_roots *roots)
{
    ccz_rc rc = CCZ_OK;
    for (size_t i = 0; i < sizeof(amd_roots) / sizeof(amd_roots[0]) && rc == CCZ_OK; i++)
        rc = add_root(roots, &amd_roots[i], NULL);
    return rc;
}

/* ------------------------------------------------------------------------------ certificates */

/* One certificate, DER or PEM, nothing behind it. */
static ccz_rc read_cert(struct ccz_cert **out, struct ccz_span in, const char *where,
                        struct ccz_err *err)
{
    *out = NULL;
    if (in.size == 0)
        return ccz_fail(err, CCZ_E_FORMAT, where, 0, "missing: no certificate was given");
    if (in.ptr[0] != '-')
        return cczi_at(err, ccz_cert_parse(out, in, err), where);
    CCZ_AUTO(ccz_cert) first = NULL;
    ccz_rc rc = cczi_pem_cert(&first, &in, err);
    if (rc != CCZ_OK)
        return cczi_at(err, rc, where);
    CCZ_AUTO(ccz_cert) second = NULL;
    if (cczi_pem_cert(&second, &in, NULL) != CCZ_E_NOT_FOUND)
        return ccz_fail(err, CCZ_E_FORMAT, where, 0, "more than one certificate");
    *out = ccz_cert_take(&first);
    return CCZ_OK;
}

static ccz_rc refuse_name(const struct ccz_cert *cert, const char *where, const char *expected,
                          struct ccz_err *err)
{
    char got[CCZ_ERR_VALUE_SIZE];
    ccz_escape(got, sizeof(got), ccz_span_str(ccz_cert_cn(cert)));
    return ccz_refuse(err, CCZ_E_UNTRUSTED, where, got, expected);
}

/* The product line in a common name of the form "<prefix><product>"; NONE if it is another name. */
static enum ccz_snp_product product_in(const struct ccz_cert *cert, const char *prefix)
{
    const char *cn = ccz_cert_cn(cert);
    size_t size = strlen(prefix);
    if (strncmp(cn, prefix, size) != 0)
        return CCZ_SNP_NONE;
    for (enum ccz_snp_product p = CCZ_SNP_MILAN; p <= CCZ_SNP_TURIN; p++) {
        if (strcmp(cn + size, ccz_snp_product_name(p)) == 0)
            return p;
    }
    return CCZ_SNP_NONE;
}

static ccz_rc check_issuer(const struct ccz_cert *c, const struct ccz_cert *issuer,
                           const char *where_issuer, const char *where_signature,
                           struct ccz_err *err)
{
    ccz_rc rc = ccz_cert_check_issuer(c, issuer, err);
    return cczi_at(err, rc, rc == CCZ_E_SIG ? where_signature : where_issuer);
}

ccz_rc ccz_snp_roots_add_cert(struct ccz_snp_roots *roots, struct ccz_span cert, bool simulated,
                              struct ccz_err *err)
{
    CCZ_AUTO(ccz_cert) c = NULL;
    ccz_rc rc = read_cert(&c, cert, "roots:cert", err);
    if (rc != CCZ_OK)
        return rc;
    struct ccz_snp_root root = {.product = product_in(c, "ARK-"), .simulated = simulated};
    if (root.product == CCZ_SNP_NONE)
        return refuse_name(c, "roots:name", "ARK-Milan, ARK-Genoa or ARK-Turin", err);
    rc = cczi_at(err, ccz_cert_check_issuer(c, c, err), "roots:self-signed");
    if (rc == CCZ_OK)
        rc = cczi_at(err, ccz_sha256(root.spki_sha256, ccz_cert_spki(c)), "roots:cert");
    return rc == CCZ_OK ? add_root(roots, &root, err) : rc;
}

/* --------------------------------------------------------------------------------------- VEK */

ccz_rc cczi_snp_vek_key(uint8_t key[CCZI_CACHE_KEY_SIZE], const struct ccz_snp_collateral *c,
                        struct ccz_span cert)
{
    const struct ccz_span parts[] = {ccz_span_str("snp vek "), CCZ_SPAN(c->id, sizeof(c->id)),
                                     cert};
    return ccz_hash(key, CCZ_SHA256, parts, sizeof(parts) / sizeof(parts[0]));
}

/* AMD gives every VEK serial number 0, and RFC 5280 lets a list speak only about certificates of its own issuer, here
 * ASK and ASVK. So 0 in the list says nothing about one VEK; any other serial number that is listed is refused. */
static bool is_revoked(const struct ccz_snp_collateral *c, const struct ccz_cert *vek)
{
    struct ccz_span serial = ccz_cert_serial(vek);
    return c->crl && !cczi_is_zero(serial.ptr, serial.size) && ccz_crl_revokes(c->crl, serial);
}

static ccz_rc refuse_revoked(const struct ccz_cert *cert, const char *where, struct ccz_err *err)
{
    struct ccz_span serial = ccz_cert_serial(cert);
    char hex[2 * 32 + 1];
    ccz_hex(hex, serial.ptr, serial.size < 32 ? serial.size : 32);
    return ccz_refuse(err, CCZ_E_REVOKED, where, hex,
                      "a serial number that is not in the revocation list");
}

static ccz_rc check_vek(const struct ccz_cert *cert, const struct ccz_snp_collateral *c,
                        struct ccz_err *err)
{
    const char *cn = c->signer == CCZ_SNP_VLEK ? "SEV-VLEK" : "SEV-VCEK";
    const struct ccz_key *key = ccz_cert_key(cert);
    if (strcmp(ccz_cert_cn(cert), cn) != 0)
        return refuse_name(cert, "snp:vek-name", cn, err);
    if (ccz_cert_is_ca(cert))
        return ccz_refuse(err, CCZ_E_UNTRUSTED, "snp:vek-name", "a CA", "an end entity");
    if (!key || ccz_key_curve(key) != CCZ_P384)
        return ccz_fail(err, CCZ_E_UNSUPPORTED, "snp:vek-key", 0, "the VEK is not a P-384 key");
    ccz_rc rc = check_issuer(cert, c->ca, "snp:vek-issuer", "snp:vek-signature", err);
    if (rc == CCZ_OK && is_revoked(c, cert))
        rc = refuse_revoked(cert, "snp:vek-revoked", err);
    return rc;
}

static ccz_rc read_vek(struct cczi_evidence *e, const struct ccz_cert *cert,
                       const struct ccz_snp_collateral *c, struct ccz_err *err)
{
    ccz_rc rc = check_vek(cert, c, err);
    if (rc == CCZ_OK)
        rc = cczi_vek_from_cert(&e->vek, cert, c->signer, err);
    if (rc != CCZ_OK)
        return rc;
    if (e->vek.product != c->root.product)
        return ccz_refuse(err, CCZ_E_MISMATCH, "snp:vek-product",
                          ccz_snp_product_name(e->vek.product),
                          ccz_snp_product_name(c->root.product));
    uint8_t xy[96];
    rc = ccz_key_xy(xy, ccz_cert_key(cert));
    if (rc == CCZ_OK)
        rc = ccz_key_from_xy(&e->attest_key, CCZ_P384, CCZ_SPAN(xy, sizeof(xy)));
    e->windows[0] = (struct cczi_window){ccz_cert_not_before(cert), ccz_cert_not_after(cert),
                                         "snp:vek-not-yet-valid", "snp:vek-expired"};
    return cczi_at(err, rc, "snp:vek-key");
}

ccz_rc cczi_snp_vek_new(struct cczi_evidence **out, struct ccz_span cert,
                        const struct ccz_snp_collateral *c, struct ccz_err *err)
{
    *out = NULL;
    CCZ_AUTO(ccz_cert) parsed = NULL;
    ccz_rc rc = read_cert(&parsed, cert, "snp:vek", err);
    if (rc != CCZ_OK)
        return rc;
    struct cczi_evidence *e = calloc(1, sizeof(*e));
    if (!e)
        return ccz_fail(err, CCZ_E_NOMEM, "snp:memory", 0, "out of memory");
    atomic_init(&e->refs, 1);
    rc = read_vek(e, parsed, c, err);
    if (rc == CCZ_OK)
        *out = e;
    else
        cczi_evidence_free(e);
    return rc;
}

/* -------------------------------------------------------------------------------- collateral */

/* The root is looked up by key first: an unknown root deserves its own words. */
static ccz_rc open_ark(struct ccz_snp_collateral *c, struct ccz_span in,
                       const struct ccz_snp_roots *roots, struct ccz_err *err)
{
    uint8_t spki_sha256[32];
    ccz_rc rc = read_cert(&c->ark, in, "snp:ark", err);
    if (rc == CCZ_OK)
        rc = cczi_at(err, ccz_sha256(spki_sha256, ccz_cert_spki(c->ark)), "snp:ark");
    if (rc != CCZ_OK)
        return rc;
    const struct ccz_snp_root *root = find_root(roots, spki_sha256);
    if (!root) {
        rc = ccz_fail(err, CCZ_E_UNTRUSTED, "snp:root", 0, "the ARK is not trusted");
        return ccz_hint(err, rc, "a simulated platform? its root must be trusted explicitly");
    }
    c->root = *root;
    if (product_in(c->ark, "ARK-") != root->product)
        return refuse_name(c->ark, "snp:ark-name", ccz_snp_product_name(root->product), err);
    return check_issuer(c->ark, c->ark, "snp:ark-issuer", "snp:ark-signature", err);
}

static ccz_rc open_ca(struct ccz_snp_collateral *c, struct ccz_span in, struct ccz_err *err)
{
    ccz_rc rc = read_cert(&c->ca, in, "snp:ca", err);
    if (rc != CCZ_OK)
        return rc;
    char expected[64];
    const char *product = ccz_snp_product_name(c->root.product);
    (void)snprintf(expected, sizeof(expected), "SEV-%s or SEV-VLEK-%s", product, product);
    if (product_in(c->ca, "SEV-") == c->root.product)
        c->signer = CCZ_SNP_VCEK;
    else if (product_in(c->ca, "SEV-VLEK-") == c->root.product)
        c->signer = CCZ_SNP_VLEK;
    else
        return refuse_name(c->ca, "snp:ca-name", expected, err);
    if (!ccz_cert_is_ca(c->ca))
        return ccz_refuse(err, CCZ_E_UNTRUSTED, "snp:ca-name", "an end entity", "a CA");
    return check_issuer(c->ca, c->ark, "snp:ca-issuer", "snp:ca-signature", err);
}

static ccz_rc open_crl(struct ccz_snp_collateral *c, struct ccz_span in, struct ccz_err *err)
{
    if (in.size == 0)
        return CCZ_OK;
    ccz_rc rc = cczi_crl_read(&c->crl, in, "snp:crl", err);
    if (rc != CCZ_OK)
        return rc;
    rc = ccz_crl_check_issuer(c->crl, c->ark, err);
    if (rc != CCZ_OK)
        return cczi_at(err, rc, rc == CCZ_E_SIG ? "snp:crl-signature" : "snp:crl-issuer");
    if (ccz_crl_revokes(c->crl, ccz_cert_serial(c->ark)))
        return refuse_revoked(c->ark, "snp:ark-revoked", err);
    if (ccz_crl_revokes(c->crl, ccz_cert_serial(c->ca)))
        return refuse_revoked(c->ca, "snp:ca-revoked", err);
    c->issued_s = ccz_crl_this_update(c->crl);
    return CCZ_OK;
}

static void add_window(struct ccz_snp_collateral *c, struct cczi_window w)
{
    c->windows[c->windows_len++] = w;
    if (w.until_s < c->expires_s)
        c->expires_s = w.until_s;
}

static void set_windows(struct ccz_snp_collateral *c)
{
    c->expires_s = INT64_MAX;
    add_window(c, (struct cczi_window){ccz_cert_not_before(c->ark), ccz_cert_not_after(c->ark),
                                       "snp:ark-not-yet-valid", "snp:ark-expired"});
    add_window(c, (struct cczi_window){ccz_cert_not_before(c->ca), ccz_cert_not_after(c->ca),
                                       "snp:ca-not-yet-valid", "snp:ca-expired"});
    if (c->crl)
        add_window(c, (struct cczi_window){ccz_crl_this_update(c->crl), ccz_crl_next_update(c->crl),
                                           "snp:crl-not-yet-valid", "snp:crl-expired"});
}

static ccz_rc set_id(struct ccz_snp_collateral *c, struct ccz_span crl, struct ccz_err *err)
{
    struct ccz_span parts[] = {ccz_cert_der(c->ark), ccz_cert_der(c->ca), crl};
    uint8_t digests[3][32];
    ccz_rc rc = CCZ_OK;
    for (size_t i = 0; i < 3 && rc == CCZ_OK; i++)
        rc = ccz_sha256(digests[i], parts[i]);
    if (rc == CCZ_OK)
        rc = ccz_sha256(c->id, CCZ_SPAN(digests, sizeof(digests)));
    return cczi_at(err, rc, "snp:memory");
}

static ccz_rc add_veks(struct ccz_snp_collateral *c, const struct ccz_span *veks, size_t len,
                       struct ccz_err *err)
{
    if (len > CCZ_SNP_COLLATERAL_VEK_MAX)
        return ccz_refuse_num(err, CCZ_E_LIMIT, "snp:veks", (int64_t)len,
                              CCZ_SNP_COLLATERAL_VEK_MAX);
    c->veks = calloc(len ? len : 1, sizeof(*c->veks));
    if (!c->veks)
        return ccz_fail(err, CCZ_E_NOMEM, "snp:memory", 0, "out of memory");
    ccz_rc rc = CCZ_OK;
    while (c->veks_len < len && rc == CCZ_OK) {
        struct cczi_snp_vek_entry *e = &c->veks[c->veks_len];
        rc = cczi_snp_vek_new(&e->evidence, veks[c->veks_len], c, err);
        if (rc != CCZ_OK)
            break;
        rc = cczi_at(err, cczi_snp_vek_key(e->key, c, veks[c->veks_len]), "snp:memory");
        c->veks_len++; /* owned from here */
    }
    return rc;
}

ccz_rc ccz_snp_collateral_new(struct ccz_snp_collateral **out,
                              const struct ccz_snp_collateral_src *src,
                              const struct ccz_snp_roots *roots, struct ccz_err *err)
{
    *out = NULL;
    CCZ_AUTO(ccz_snp_collateral) c = calloc(1, sizeof(*c));
    if (!c)
        return ccz_fail(err, CCZ_E_NOMEM, "snp:memory", 0, "out of memory");
    ccz_rc rc = open_ark(c, src->ark, roots, err);
    if (rc == CCZ_OK)
        rc = open_ca(c, src->ca, err);
    if (rc == CCZ_OK)
        rc = open_crl(c, src->crl, err);
    if (rc == CCZ_OK)
        rc = set_id(c, src->crl, err);
    if (rc == CCZ_OK)
        rc = add_veks(c, src->veks, src->veks_len, err);
    if (rc != CCZ_OK)
        return rc;
    set_windows(c);
    *out = ccz_snp_collateral_take(&c);
    return CCZ_OK;
}

void ccz_snp_collateral_free(struct ccz_snp_collateral *c)
{
    if (!c)
        return;
    ccz_cert_free(c->ark);
    ccz_cert_free(c->ca);
    ccz_crl_free(c->crl);
    for (size_t i = 0; i < c->veks_len; i++)
        cczi_evidence_free(c->veks[i].evidence);
    free(c->veks);
    free(c);
}

enum ccz_snp_product ccz_snp_collateral_product(const struct ccz_snp_collateral *c)
{
    return c->root.product;
}

enum ccz_snp_signer ccz_snp_collateral_signer(const struct ccz_snp_collateral *c)
{
    return c->signer;
}

bool ccz_snp_collateral_simulated(const struct ccz_snp_collateral *c)
{
    return c->root.simulated;
}

int64_t ccz_snp_collateral_issued(const struct ccz_snp_collateral *c)
{
    return c->issued_s;
}

int64_t ccz_snp_collateral_expires(const struct ccz_snp_collateral *c)
{
    return c->expires_s;
}
