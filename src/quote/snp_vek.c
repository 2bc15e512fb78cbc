/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Extensions of VCEK and VLEK certificates, AMD 57230. Below 1.3.6.1.4.1.3704.1:
 *   .1 structVersion INTEGER   .2 productName IA5String ("Milan-B0", "Genoa")   .3.n security patch levels, INTEGER
 *   .4 hwID (VCEK)             .5 cspID IA5String (VLEK)
 * hwID is the bare value (64 bytes, Turin 8) where X.509 wants DER; some certificates wrap it in an OCTET STRING. The
 * two forms differ in size, so that a value has one reading. X.509 parsing has refused repeated extensions.
 */
#include "quote/snp_priv.h"

#include <string.h>

#define AMD "1.3.6.1.4.1.3704.1"
const char *const cczi_vek_oids[CCZI_VEK_EXTS] = {
    [CCZI_VEK_STRUCT_VERSION] = AMD ".1", [CCZI_VEK_PRODUCT] = AMD ".2",
    [CCZI_VEK_BOOT_LOADER] = AMD ".3.1",  [CCZI_VEK_TEE] = AMD ".3.2",
    [CCZI_VEK_SNP] = AMD ".3.3",          [CCZI_VEK_SPL_4] = AMD ".3.4",
    [CCZI_VEK_SPL_5] = AMD ".3.5",        [CCZI_VEK_SPL_6] = AMD ".3.6",
    [CCZI_VEK_SPL_7] = AMD ".3.7",        [CCZI_VEK_MICROCODE] = AMD ".3.8",
    [CCZI_VEK_FMC] = AMD ".3.9",          [CCZI_VEK_HWID] = AMD ".4",
    [CCZI_VEK_CSP_ID] = AMD ".5",
};
static const char *const names[CCZI_VEK_EXTS] = {
    [CCZI_VEK_STRUCT_VERSION] = "structVersion",
    [CCZI_VEK_PRODUCT] = "productName",
    [CCZI_VEK_BOOT_LOADER] = "blSPL",
    [CCZI_VEK_TEE] = "teeSPL",
    [CCZI_VEK_SNP] = "snpSPL",
    [CCZI_VEK_SPL_4] = "spl4",
    [CCZI_VEK_SPL_5] = "spl5",
    [CCZI_VEK_SPL_6] = "spl6",
    [CCZI_VEK_SPL_7] = "spl7",
    [CCZI_VEK_MICROCODE] = "ucodeSPL",
    [CCZI_VEK_FMC] = "fmcSPL",
    [CCZI_VEK_HWID] = "hwID",
    [CCZI_VEK_CSP_ID] = "cspID",
};
enum { STRUCT_VERSION_MAX = 1, IA5_STRING = 0x16, HWID_SIZE = 64, HWID_SIZE_TURIN = 8 };

/* Sticky error: the first failure stays. */
struct reader {
    const struct ccz_span *values;
    struct ccz_err *err;
    ccz_rc rc;
};

static void refuse(struct reader *r, enum cczi_vek_ext e, const char *what)
{
    if (r->rc == CCZ_OK)
        r->rc = ccz_fail(r->err, CCZ_E_FORMAT, "snp:vek-extensions", (int64_t)e,
                         "extension %s is %s", names[e], what);
}

static uint8_t take_uint(struct reader *r, enum cczi_vek_ext e, uint8_t max)
{
    struct ccz_rd rd = ccz_rd_from(r->values[e]);
    uint64_t v = ccz_der_uint(&rd, CCZ_DER_INTEGER);
    if (!ccz_rd_done(&rd) || v > max) {
        refuse(r, e, r->values[e].ptr ? "malformed or out of range" : "missing");
        return 0;
    }
    return (uint8_t)v;
}

/* Text of visible ASCII; empty after an error. */
static struct ccz_span take_text(struct reader *r, enum cczi_vek_ext e)
{
    struct ccz_rd rd = ccz_rd_from(r->values[e]);
    struct ccz_span text = ccz_der_take(&rd, IA5_STRING);
    bool good = ccz_rd_done(&rd) && text.size > 0;
    for (size_t i = 0; i < text.size && good; i++)
        good = text.ptr[i] >= ' ' && text.ptr[i] <= '~';
    if (!good) {
        refuse(r, e, r->values[e].ptr ? "malformed" : "missing");
        return (struct ccz_span){0};
    }
    return text;
}

static void absent(struct reader *r, enum cczi_vek_ext e)
{
    if (r->values[e].ptr)
        refuse(r, e, "not of this kind of certificate");
}

/* "Milan", or with a stepping: "Milan-B0". */
static enum ccz_snp_product product_of(struct ccz_span name)
{
    static const enum ccz_snp_product all[] = {CCZ_SNP_MILAN, CCZ_SNP_GENOA, CCZ_SNP_TURIN};
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        struct ccz_span p = ccz_span_str(ccz_snp_product_name(all[i]));
        if (name.size < p.size || memcmp(name.ptr, p.ptr, p.size) != 0)
            continue;
        const uint8_t *rest = name.ptr + p.size;
        if (name.size == p.size || (name.size == p.size + 3 && rest[0] == '-' && rest[1] >= 'A' &&
                                    rest[1] <= 'Z' && rest[2] >= '0' && rest[2] <= '9'))
            return all[i];
    }
    return CCZ_SNP_NONE;
}

static void read_hwid(struct cczi_vek *v, struct reader *r)
{
    const size_t size = v->product == CCZ_SNP_TURIN ? HWID_SIZE_TURIN : HWID_SIZE;
    struct ccz_span raw = r->values[CCZI_VEK_HWID];
    if (raw.size == size + 2) {
        struct ccz_rd rd = ccz_rd_from(raw);
        raw = ccz_der_take(&rd, CCZ_DER_OCTET_STRING);
    }
    if (raw.size != size)
        refuse(r, CCZI_VEK_HWID, raw.ptr ? "of another size" : "missing");
    else
        memcpy(v->hwid, raw.ptr, size);
}

static void read_tcb(struct cczi_vek *v, struct reader *r)
{
    bool turin = v->product == CCZ_SNP_TURIN;
    v->tcb.boot_loader = take_uint(r, CCZI_VEK_BOOT_LOADER, UINT8_MAX);
    v->tcb.tee = take_uint(r, CCZI_VEK_TEE, UINT8_MAX);
    v->tcb.snp = take_uint(r, CCZI_VEK_SNP, UINT8_MAX);
    v->tcb.microcode = take_uint(r, CCZI_VEK_MICROCODE, UINT8_MAX);
    if (turin)
        v->tcb.fmc = take_uint(r, CCZI_VEK_FMC, UINT8_MAX);
    else
        absent(r, CCZI_VEK_FMC);
    if (turin) /* its byte of TCB_VERSION has become that of another level */
        absent(r, CCZI_VEK_SPL_4);
    else
        (void)take_uint(r, CCZI_VEK_SPL_4, 0);
    (void)take_uint(r, CCZI_VEK_SPL_5,
                    0); /* reserved in TCB_VERSION, where zero is the only value */
    (void)take_uint(r, CCZI_VEK_SPL_6, 0);
    (void)take_uint(r, CCZI_VEK_SPL_7, 0);
}

static void read_csp_id(struct cczi_vek *v, struct reader *r)
{
    struct ccz_span text = take_text(r, CCZI_VEK_CSP_ID);
    if (text.size >= sizeof(v->csp_id))
        refuse(r, CCZI_VEK_CSP_ID, "too long");
    else if (text.size > 0)
        memcpy(v->csp_id, text.ptr, text.size);
}

ccz_rc cczi_vek_read(struct cczi_vek *out, const struct ccz_span values[CCZI_VEK_EXTS],
                     enum ccz_snp_signer signer, struct ccz_err *err)
{
    struct cczi_vek v = {0};
    struct reader r = {.values = values, .err = err};
    *out = v;
    (void)take_uint(&r, CCZI_VEK_STRUCT_VERSION, STRUCT_VERSION_MAX);
    struct ccz_span product = take_text(&r, CCZI_VEK_PRODUCT);
    v.product = product_of(product);
    if (v.product == CCZ_SNP_NONE)
        refuse(&r, CCZI_VEK_PRODUCT, "of an unknown product line");
    read_tcb(&v, &r);
    if (signer == CCZ_SNP_VLEK) {
        read_csp_id(&v, &r);
        absent(&r, CCZI_VEK_HWID);
    } else {
        read_hwid(&v, &r);
        absent(&r, CCZI_VEK_CSP_ID);
    }
    if (r.rc == CCZ_OK)
        *out = v;
    return r.rc;
}

ccz_rc cczi_vek_from_cert(struct cczi_vek *out, const struct ccz_cert *cert,
                          enum ccz_snp_signer signer, struct ccz_err *err)
{
    struct ccz_span values[CCZI_VEK_EXTS];
    for (int i = 0; i < CCZI_VEK_EXTS; i++)
        values[i] = ccz_cert_ext(NULL, cert, cczi_vek_oids[i]);
    return cczi_vek_read(out, values, signer, err);
}

enum ccz_snp_product ccz_snp_report_product(const struct ccz_snp_report *r)
{
    CCZ_AUTO(ccz_cert) cert = NULL;
    struct cczi_vek vek;
    if (r->claims.product != CCZ_SNP_NONE || r->vek.size == 0)
        return r->claims.product;
    if (ccz_cert_parse(&cert, r->vek, NULL) != CCZ_OK ||
        cczi_vek_from_cert(&vek, cert, r->signer, NULL) != CCZ_OK)
        return CCZ_SNP_NONE;
    return vek.product;
}
