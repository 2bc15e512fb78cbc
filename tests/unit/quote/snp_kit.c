/* SPDX-License-Identifier: Apache-2.0 */
#include "quote/snp_kit.h"

#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Fewer bits than AMD's 4096, which the published vectors have: keys are made in every process. */
enum { RSA_BITS = 3072, DAY = 86400, YEAR = 31536000, DOC_SIZE = 65536 };
enum rsa_key { RSA_ARK, RSA_CA, RSA_KEYS };

static void must(bool ok, const char *what)
{
    if (!ok) {
        fprintf(stderr, "snp_kit: %s\n", what);
        abort();
    }
}

static EVP_PKEY *rsa_key(enum rsa_key i)
{
    static EVP_PKEY *keys[RSA_KEYS];
    if (!keys[i])
        keys[i] = EVP_RSA_gen(RSA_BITS);
    must(keys[i] != NULL, "RSA key");
    return keys[i];
}

void snp_kit_default(struct snp_kit_cfg *cfg, enum ccz_snp_product product,
                     enum ccz_snp_signer signer, uint32_t version)
{
    static const char *const ark[] = {"", "ARK-Milan", "ARK-Genoa", "ARK-Turin"};
    static const char *const ask[] = {"", "SEV-Milan", "SEV-Genoa", "SEV-Turin"};
    static const char *const asvk[] = {"", "SEV-VLEK-Milan", "SEV-VLEK-Genoa", "SEV-VLEK-Turin"};
    bool vlek = signer == CCZ_SNP_VLEK;
    const int64_t now_s = SNP_KIT_NOW_S;
    *cfg = (struct snp_kit_cfg){
        .product = product,
        .signer = signer,
        .version = version,
        .ark = {ark[product], now_s - 5 * YEAR, now_s + 20 * YEAR, .ca = true, .serial = 0x10000},
        .ca = {(vlek ? asvk : ask)[product], now_s - 4 * YEAR, now_s + 19 * YEAR, .ca = true,
               .serial = 0x10001},
        .vek = {.cn = vlek ? "SEV-VLEK" : "SEV-VCEK",
                .from_s = now_s - YEAR,
                .until_s = now_s + 6 * YEAR},
        .crl = {.from_s = now_s - DAY, .until_s = now_s + 30 * DAY, .serials = {0x7777}},
        .tcb = {.fmc = product == CCZ_SNP_TURIN ? 1 : 0, 4, 1, 24, 219},
        .vek_in_collateral = true,
    };
}

/* ------------------------------------------------------------------------------------- X.509 */

static void set_time(ASN1_TIME *t, int64_t t_s)
{
    must(ASN1_TIME_set(t, (time_t)t_s) != NULL, "time");
}

static void add_ext(X509 *x, const char *oid, bool critical, struct ccz_span value)
{
    ASN1_OBJECT *o = OBJ_txt2obj(oid, 1);
    ASN1_OCTET_STRING *s = ASN1_OCTET_STRING_new();
    must(o && s && ASN1_OCTET_STRING_set(s, value.ptr, (int)value.size) == 1, "extension");
    X509_EXTENSION *e = X509_EXTENSION_create_by_OBJ(NULL, o, critical, s);
    must(e && X509_add_ext(x, e, -1) == 1, "extension");
    X509_EXTENSION_free(e);
    ASN1_OCTET_STRING_free(s);
    ASN1_OBJECT_free(o);
}

static void set_name(X509_NAME *n, const char *cn)
{
    must(X509_NAME_add_entry_by_txt(n, "O", MBSTRING_ASC, (const uint8_t *)"SIMULATED kit", -1, -1,
                                    0) == 1 &&
             X509_NAME_add_entry_by_txt(n, "CN", MBSTRING_ASC, (const uint8_t *)cn, -1, -1, 0) == 1,
         "name");
}

/* RSASSA-PSS with SHA-384 throughout, as AMD signs. */
static EVP_MD_CTX *pss(EVP_PKEY *key)
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    EVP_PKEY_CTX *p = NULL;
    must(ctx && EVP_DigestSignInit(ctx, &p, EVP_sha384(), NULL, key) == 1 &&
             EVP_PKEY_CTX_set_rsa_padding(p, RSA_PKCS1_PSS_PADDING) == 1 &&
             EVP_PKEY_CTX_set_rsa_pss_saltlen(p, RSA_PSS_SALTLEN_DIGEST) == 1,
         "PSS");
    return ctx;
}

static void add_ca_exts(X509 *x, bool ca)
{
    if (!ca)
        return;
    add_ext(x, "2.5.29.19", true, CCZ_SPAN("\x30\x03\x01\x01\xff", 5)); /* CA:TRUE */
    add_ext(x, "2.5.29.15", true, CCZ_SPAN("\x03\x02\x01\x06", 4));     /* keyCertSign, cRLSign */
}

static X509 *new_cert(const struct snp_kit_cert *c, EVP_PKEY *key, const char *issuer_cn)
{
    X509 *x = X509_new();
    must(x && X509_set_version(x, X509_VERSION_3) == 1 &&
             ASN1_INTEGER_set(X509_get_serialNumber(x), c->serial) == 1 &&
             X509_set_pubkey(x, key) == 1,
         "certificate");
    set_time(X509_getm_notBefore(x), c->from_s);
    set_time(X509_getm_notAfter(x), c->until_s);
    set_name(X509_get_subject_name(x), c->cn);
    set_name(X509_get_issuer_name(x), issuer_cn);
    add_ca_exts(x, c->ca);
    if (c->critical)
        add_ext(x, "1.3.6.1.4.1.3704.9.9", true, CCZ_SPAN("\x05\x00", 2));
    return x;
}

/* Signs, encodes and frees. */
static void finish(struct ccz_buf *out, X509 *x, EVP_PKEY *issuer, bool forge)
{
    EVP_MD_CTX *ctx = pss(issuer);
    must(X509_sign_ctx(x, ctx) > 0, "sign");
    EVP_MD_CTX_free(ctx);
    unsigned char *der = NULL;
    int size = i2d_X509(x, &der);
    must(size > 0, "encode");
    ccz_buf_init(out, DOC_SIZE);
    ccz_buf_put(out, der, (size_t)size);
    if (forge)
        out->ptr[out->size - 9] ^= 1;
    OPENSSL_free(der);
    X509_free(x);
}

/* -------------------------------------------------------------------------------- extensions */

static const char *const oids[SNP_EXTS] = {
    "1.3.6.1.4.1.3704.1.1",   "1.3.6.1.4.1.3704.1.2",   "1.3.6.1.4.1.3704.1.3.1",
    "1.3.6.1.4.1.3704.1.3.2", "1.3.6.1.4.1.3704.1.3.3", "1.3.6.1.4.1.3704.1.3.4",
    "1.3.6.1.4.1.3704.1.3.5", "1.3.6.1.4.1.3704.1.3.6", "1.3.6.1.4.1.3704.1.3.7",
    "1.3.6.1.4.1.3704.1.3.8", "1.3.6.1.4.1.3704.1.3.9", "1.3.6.1.4.1.3704.1.4",
    "1.3.6.1.4.1.3704.1.5"};

static void put_chip_id(uint8_t out[64], enum ccz_snp_product product)
{
    memset(out, 0, 64);
    for (size_t i = 0; i < (product == CCZ_SNP_TURIN ? 8 : 64); i++)
        out[i] = (uint8_t)(0xc0 + i);
}

static void put_hwid(struct ccz_buf *b, const struct snp_kit_cfg *c)
{
    uint8_t id[64];
    size_t size = c->product == CCZ_SNP_TURIN ? 8 : 64;
    put_chip_id(id, c->product);
    if (c->hwid_wrapped)
        ccz_der_put(b, CCZ_DER_OCTET_STRING, CCZ_SPAN(id, size));
    else
        ccz_buf_put(b, id, size);
}

static void put_product(struct ccz_buf *b, const struct snp_kit_cfg *c)
{
    static const char *const vcek[] = {"", "Milan-B0", "Genoa", "Turin"};
    static const char *const vlek[] = {"", "Milan", "Genoa", "Turin"};
    ccz_der_put(b, 0x16, ccz_span_str((c->signer == CCZ_SNP_VLEK ? vlek : vcek)[c->product]));
}

/* The value that belongs there; empty if none does. */
static void put_ext_value(struct ccz_buf *b, int e, const struct snp_kit_cfg *c)
{
    bool turin = c->product == CCZ_SNP_TURIN, vlek = c->signer == CCZ_SNP_VLEK;
    const uint8_t spl[] = {c->tcb.boot_loader, c->tcb.tee, c->tcb.snp, 0, 0, 0, 0,
                           c->tcb.microcode,   c->tcb.fmc};
    if (e == SNP_EXT_STRUCT_VERSION)
        ccz_der_put_uint(b, CCZ_DER_INTEGER, turin);
    else if (e == SNP_EXT_PRODUCT)
        put_product(b, c);
    else if (e == SNP_EXT_HWID && !vlek)
        put_hwid(b, c);
    else if (e == SNP_EXT_CSP_ID && vlek)
        ccz_der_put(b, 0x16, ccz_span_str("CN=cc-kit.example"));
    else if (e >= SNP_EXT_BOOT_LOADER && e <= SNP_EXT_FMC &&
             e != (turin ? SNP_EXT_SPL_4 : SNP_EXT_FMC))
        ccz_der_put_uint(b, CCZ_DER_INTEGER, spl[e - SNP_EXT_BOOT_LOADER]);
}

static void add_amd_exts(X509 *x, const struct snp_kit_cfg *c)
{
    for (int e = 0; e < SNP_EXTS; e++) {
        const struct snp_kit_ext *how = &c->ext[e];
        CCZ_AUTO_BUF value;
        ccz_buf_init(&value, 256);
        if (how->value.ptr)
            ccz_buf_put_span(&value, how->value);
        else
            put_ext_value(&value, e, c);
        bool there = !how->drop && (value.size > 0 || how->value.ptr);
        for (int n = 0; there && n < (how->repeat ? 2 : 1); n++)
            add_ext(x, oids[e], false, ccz_buf_span(&value));
    }
}

/* --------------------------------------------------------------------------------------- PKI */

/* The public half of @p key for OpenSSL. */
static EVP_PKEY *public_key(const struct ccz_key *key)
{
    CCZ_AUTO_BUF spki;
    ccz_buf_init(&spki, 256);
    must(ccz_key_spki(&spki, key) == CCZ_OK, "SPKI");
    const unsigned char *p = spki.ptr;
    EVP_PKEY *k = d2i_PUBKEY(NULL, &p, (long)spki.size);
    must(k != NULL, "SPKI");
    return k;
}

static void make_pki(struct snp_kit *k)
{
    const struct snp_kit_cfg *c = &k->cfg;
    EVP_PKEY *ark = rsa_key(RSA_ARK), *ca = rsa_key(RSA_CA);
    finish(&k->ark, new_cert(&c->ark, ark, c->ark.cn), ark, c->ark.forge);
    finish(&k->ca, new_cert(&c->ca, ca, c->ca_by_stranger ? "ARK-Stranger" : c->ark.cn), ark,
           c->ca.forge);
    must(ccz_key_generate(&k->key, c->vek_p256 ? CCZ_P256 : CCZ_P384) == CCZ_OK, "VEK");
    EVP_PKEY *vek = public_key(k->key);
    X509 *x = new_cert(&c->vek, vek, c->ca.cn);
    add_amd_exts(x, c);
    finish(&k->vek, x, ca, c->vek.forge);
    EVP_PKEY_free(vek);
}

static void revoke(X509_CRL *crl, long serial, int64_t t_s)
{
    X509_REVOKED *r = X509_REVOKED_new();
    ASN1_INTEGER *n = ASN1_INTEGER_new();
    ASN1_TIME *t = ASN1_TIME_new();
    set_time(t, t_s);
    must(r && n && ASN1_INTEGER_set(n, serial) == 1 && X509_REVOKED_set_serialNumber(r, n) == 1 &&
             X509_REVOKED_set_revocationDate(r, t) == 1 && X509_CRL_add0_revoked(crl, r) == 1,
         "revoke");
    ASN1_TIME_free(t);
    ASN1_INTEGER_free(n);
}

static void set_crl_fields(X509_CRL *crl, const struct snp_kit_cfg *c)
{
    X509_NAME *issuer = X509_NAME_new();
    ASN1_TIME *t = ASN1_TIME_new();
    set_name(issuer, c->crl.by_ca ? c->ca.cn : c->ark.cn);
    must(X509_CRL_set_version(crl, X509_CRL_VERSION_2) == 1 &&
             X509_CRL_set_issuer_name(crl, issuer) == 1,
         "CRL");
    set_time(t, c->crl.from_s);
    must(X509_CRL_set1_lastUpdate(crl, t) == 1, "CRL");
    set_time(t, c->crl.until_s);
    must(X509_CRL_set1_nextUpdate(crl, t) == 1, "CRL");
    ASN1_TIME_free(t);
    X509_NAME_free(issuer);
}

static void make_crl(struct snp_kit *k)
{
    const struct snp_kit_cfg *c = &k->cfg;
    ccz_buf_init(&k->crl, DOC_SIZE);
    if (c->crl.none)
        return;
    X509_CRL *crl = X509_CRL_new();
    must(crl != NULL, "CRL");
    set_crl_fields(crl, c);
    for (size_t i = 0; i < 3 && c->crl.serials[i]; i++)
        revoke(crl, c->crl.serials[i], c->crl.from_s);
    if (c->crl.zero)
        revoke(crl, 0, c->crl.from_s);
    ASN1_INTEGER *number = ASN1_INTEGER_new();
    must(number && ASN1_INTEGER_set(number, 7) == 1 &&
             X509_CRL_add1_ext_i2d(crl, NID_crl_number, number, 0, 0) == 1,
         "CRL number");
    EVP_MD_CTX *ctx = pss(rsa_key(c->crl.by_ca ? RSA_CA : RSA_ARK));
    must(X509_CRL_sign_ctx(crl, ctx) > 0, "sign CRL");
    unsigned char *der = NULL;
    int size = i2d_X509_CRL(crl, &der);
    must(size > 0, "encode CRL");
    ccz_buf_put(&k->crl, der, (size_t)size);
    if (c->crl.forge)
        k->crl.ptr[k->crl.size - 9] ^= 1;
    OPENSSL_free(der);
    EVP_MD_CTX_free(ctx);
    ASN1_INTEGER_free(number);
    X509_CRL_free(crl);
}

/* ------------------------------------------------------------------------------------ report */

static void put_tcb(uint8_t *at, const struct snp_kit_cfg *c)
{
    const struct ccz_snp_tcb *t = &c->tcb;
    const uint8_t turin[8] = {t->fmc, t->boot_loader, t->tee, t->snp, 0, 0, 0, t->microcode};
    const uint8_t others[8] = {t->boot_loader, t->tee, 0, 0, 0, 0, t->snp, t->microcode};
    memcpy(at, c->product == CCZ_SNP_TURIN ? turin : others, 8);
}

static void fill(uint8_t *at, size_t size, uint8_t from)
{
    for (size_t i = 0; i < size; i++)
        at[i] = (uint8_t)(from + i);
}

static void make_report(uint8_t r[1184], const struct snp_kit_cfg *c)
{
    static const uint8_t cpuid[][3] = {
        {0}, {0x19, 0x01, 0x01}, {0x19, 0x11, 0x01}, {0x1a, 0x02, 0x01}};
    memset(r, 0, 1184);
    r[0x00] = (uint8_t)c->version;
    r[0x04] = 3;                       /* guest SVN */
    memcpy(r + 0x08, "\x1f\0\x03", 3); /* ABI 0.31, SMT, bit 17 */
    fill(r + 0x10, 32, 0x10);          /* family and image id */
    r[0x34] = 1;
    r[0x40] = 0x25; /* SMT, ECC, alias check */
    r[0x48] = c->signer == CCZ_SNP_VLEK ? 4 : 0;
    fill(r + 0x50, 64, 0x50);  /* report data */
    fill(r + 0x90, 48, 0x90);  /* measurement */
    fill(r + 0xc0, 32, 0xa0);  /* host data */
    fill(r + 0xe0, 48, 0xb0);  /* id key digest */
    fill(r + 0x140, 32, 0x40); /* report id */
    memset(r + 0x160, 0xff, 32);
    const size_t tcbs[] = {0x38, 0x180, 0x1e0, 0x1f0};
    for (size_t i = 0; i < 4; i++)
        put_tcb(r + tcbs[i], c);
    if (c->version >= 3)
        memcpy(r + 0x188, cpuid[c->product], 3);
    if (c->signer == CCZ_SNP_VCEK)
        put_chip_id(r + 0x1a0, c->product);
    memcpy(r + 0x1e8, "\x1d\x37\x01\0\x1d\x37\x01", 7); /* 1.55.29, twice */
    if (c->version >= 5)
        r[0x1f8] = r[0x200] = 0x0b;
}

void snp_kit_sign(const struct snp_kit *k, uint8_t report[1184])
{
    uint8_t sig[96];
    const struct ccz_span signed_bytes = CCZ_SPAN(report, 0x2a0);
    must(ccz_ecdsa_sign(sig, k->key, &signed_bytes, 1) == CCZ_OK, "sign report");
    memset(report + 0x2a0, 0, 512);
    for (size_t i = 0; i < 48; i++) {
        report[0x2a0 + i] = sig[47 - i];
        report[0x2a0 + 72 + i] = sig[95 - i];
    }
}

void snp_kit_put_table(struct ccz_buf *out, const struct snp_kit_blob *blobs, size_t len)
{
    size_t at = (len + 1) * 24;
    for (size_t i = 0; i < len; i++) {
        must(ccz_unhex(ccz_buf_extend(out, 16), 16, blobs[i].guid, 32) == CCZ_OK, "GUID");
        ccz_buf_le32(out, (uint32_t)at);
        ccz_buf_le32(out, (uint32_t)blobs[i].bytes.size);
        at += blobs[i].bytes.size;
    }
    memset(ccz_buf_extend(out, 24), 0, 24);
    for (size_t i = 0; i < len; i++)
        ccz_buf_put_span(out, blobs[i].bytes);
}

static void make_evidence(struct snp_kit *k)
{
    const struct snp_kit_cfg *c = &k->cfg;
    uint8_t report[1184];
    make_report(report, c);
    if (c->edit)
        c->edit(report);
    if (!c->vek_p256)
        snp_kit_sign(k, report);
    if (c->spoil)
        c->spoil(report);
    ccz_buf_init(&k->evidence, DOC_SIZE);
    ccz_buf_put(&k->evidence, report, sizeof(report));
    const struct snp_kit_blob blobs[] = {
        {c->signer == CCZ_SNP_VLEK ? SNP_GUID_VLEK : SNP_GUID_VCEK, ccz_buf_span(&k->vek)},
        {SNP_GUID_ASK, ccz_buf_span(&k->ca)},
        {SNP_GUID_ARK, ccz_buf_span(&k->ark)},
    };
    if (c->table)
        snp_kit_put_table(&k->evidence, blobs, c->table_chain ? 3 : 1);
}

void snp_kit_new(struct snp_kit *k, const struct snp_kit_cfg *cfg)
{
    *k = (struct snp_kit){.cfg = *cfg};
    make_pki(k);
    make_crl(k);
    make_evidence(k);
    CCZ_AUTO(ccz_cert) ark = NULL;
    must(ccz_cert_parse(&ark, ccz_buf_span(&k->ark), NULL) == CCZ_OK, "parse ARK");
    struct ccz_snp_root *root = &k->roots.root[k->roots.len++];
    root->product = cfg->product; /* not by ccz_snp_roots_add_cert(), which finds defects of ARKs */
    root->simulated = true;
    must(ccz_sha256(root->spki_sha256, ccz_cert_spki(ark)) == CCZ_OK, "SHA-256");
    k->veks[0] = ccz_buf_span(&k->vek);
    k->src = (struct ccz_snp_collateral_src){
        .ark = ccz_buf_span(&k->ark),
        .ca = ccz_buf_span(&k->ca),
        .crl = ccz_buf_span(&k->crl),
        .veks = k->veks,
        .veks_len = cfg->vek_in_collateral,
    };
}

void snp_kit_free(struct snp_kit *k)
{
    struct ccz_buf *all[] = {&k->ark, &k->ca, &k->vek, &k->crl, &k->evidence};
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
        ccz_buf_free(all[i]);
    ccz_key_free(k->key);
    *k = (struct snp_kit){0};
}

ccz_rc snp_kit_verify(struct ccz_claims *claims, const struct snp_kit *k, struct ccz_err *err)
{
    CCZ_AUTO(ccz_snp_collateral) c = NULL;
    *claims = (struct ccz_claims){0};
    ccz_rc rc = ccz_snp_collateral_new(&c, &k->src, &k->roots, err);
    const struct ccz_snp_verify_cfg v = {
        .now_s = SNP_KIT_NOW_S, .roots = &k->roots, .collateral = c};
    return rc == CCZ_OK ? ccz_snp_verify(claims, ccz_buf_span(&k->evidence), &v, err) : rc;
}

void snp_kit_write(const struct snp_kit *k, const char *dir)
{
    const struct {
        const char *name;
        const struct ccz_buf *bytes;
    } files[] = {{"ark.der", &k->ark},
                 {"ask.der", &k->ca},
                 {k->cfg.signer == CCZ_SNP_VLEK ? "vlek.der" : "vcek.der", &k->vek},
                 {"crl.der", &k->crl}};
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
        char path[4096];
        (void)snprintf(path, sizeof(path), "%s/%s", dir, files[i].name);
        if (files[i].bytes->size > 0)
            must(ccz_file_write(path, ccz_buf_span(files[i].bytes), 0644, CCZ_FILE_REPLACE, NULL) ==
                     CCZ_OK,
                 path);
    }
}
