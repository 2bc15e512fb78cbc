/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SGX extension of PCK certificates: "SGX PCK Certificate and CRL Profile Specification",
 * section 1.3.5. 1.2.840.113741.1.13.1 ::= SEQUENCE OF SEQUENCE { OBJECT IDENTIFIER, value }, in no
 * particular order; below that OID: .1 PPID  .2 TCB (.2.1 to .2.16 component SVNs, .2.17 PCESVN,
 * .2.18 CPUSVN)  .3 PCEID  .4 FMSPC  .5 SGX type .6 platform instance id  .7 configuration (.6 and
 * .7 only under the Platform CA)
 */
#include "quote/quote_priv.h"

#include <string.h>

#define SGX_EXTENSION "1.2.840.113741.1.13.1"
/* Its content bytes; each further arc here is one byte. */
static const uint8_t oid_prefix[] = {0x2a, 0x86, 0x48, 0x86, 0xf8, 0x4d, 0x01, 0x0d, 0x01};

enum {
    EXT_PPID = 1,
    EXT_TCB,
    EXT_PCEID,
    EXT_FMSPC,
    EXT_SGX_TYPE,
    EXT_PLATFORM_INSTANCE,
    EXT_CONFIGURATION
};
enum { TCB_COMPONENT_1 = 1, TCB_COMPONENT_16 = 16, TCB_PCESVN = 17, TCB_CPUSVN = 18 };
enum {
    EXT_REQUIRED =
        1 << EXT_PPID | 1 << EXT_TCB | 1 << EXT_PCEID | 1 << EXT_FMSPC | 1 << EXT_SGX_TYPE
};
enum { TCB_REQUIRED = (1 << (TCB_CPUSVN + 1)) - (1 << TCB_COMPONENT_1) };

/* Takes SEQUENCE { OID, value } and returns a cursor at the value. @p parent are the arcs below
 * SGX_EXTENSION (0 or 1 of them); *arc is the next one. */
static struct ccz_rd take_pair(uint8_t *arc, struct ccz_rd *r, const uint8_t *parent,
                               size_t parent_len)
{
    struct ccz_rd pair = ccz_rd_from(ccz_der_take(r, CCZ_DER_SEQUENCE));
    struct ccz_rd oid = ccz_rd_from(ccz_der_take(&pair, CCZ_DER_OID));
    struct ccz_span head = ccz_rd_take(&oid, sizeof(oid_prefix));
    struct ccz_span arcs = ccz_rd_take(&oid, parent_len);
    *arc = ccz_rd_u8(&oid);
    bool ours = ccz_rd_done(&oid) && memcmp(head.ptr, oid_prefix, sizeof(oid_prefix)) == 0 &&
                (parent_len == 0 || memcmp(arcs.ptr, parent, parent_len) == 0);
    if (pair.bad || !ours)
        r->bad = true;
    return pair;
}

static void take_octets(uint8_t *out, size_t size, struct ccz_rd *r)
{
    struct ccz_rd octets = ccz_rd_from(ccz_der_take(r, CCZ_DER_OCTET_STRING));
    ccz_rd_copy(&octets, out, size);
    if (!ccz_rd_done(&octets))
        r->bad = true;
}

static uint16_t take_svn(struct ccz_rd *r, uint8_t tag, uint16_t max)
{
    uint64_t v = ccz_der_uint(r, tag);
    if (v > max)
        r->bad = true;
    return r->bad ? 0 : (uint16_t)v;
}

static void read_tcb(struct cczi_pck *out, struct ccz_rd *r)
{
    static const uint8_t parent[] = {EXT_TCB};
    uint32_t seen = 0;
    struct ccz_rd list = ccz_rd_from(ccz_der_take(r, CCZ_DER_SEQUENCE));
    while (list.left > 0 && !list.bad) {
        uint8_t arc;
        struct ccz_rd value = take_pair(&arc, &list, parent, 1);
        if (arc < TCB_COMPONENT_1 || arc > TCB_CPUSVN || (seen & 1u << arc)) {
            list.bad = true;
            break;
        }
        seen |= 1u << arc;
        if (arc <= TCB_COMPONENT_16)
            out->comp_svn[arc - TCB_COMPONENT_1] =
                (uint8_t)take_svn(&value, CCZ_DER_INTEGER, UINT8_MAX);
        else if (arc == TCB_PCESVN)
            out->pce_svn = take_svn(&value, CCZ_DER_INTEGER, UINT16_MAX);
        else
            take_octets(out->cpu_svn, sizeof(out->cpu_svn), &value);
        if (!ccz_rd_done(&value))
            list.bad = true;
    }
    if (list.bad || seen != TCB_REQUIRED)
        r->bad = true;
}

/* SEQUENCE OF flags about the platform (dynamic, cached keys, SMT): nothing here depends on them.
 */
static void read_configuration(struct ccz_rd *r)
{
    static const uint8_t parent[] = {EXT_CONFIGURATION};
    struct ccz_rd list = ccz_rd_from(ccz_der_take(r, CCZ_DER_SEQUENCE));
    while (list.left > 0 && !list.bad) {
        uint8_t arc;
        struct ccz_rd value = take_pair(&arc, &list, parent, 1);
        (void)ccz_der_bool(&value);
        if (!ccz_rd_done(&value))
            list.bad = true;
    }
    if (list.bad)
        r->bad = true;
}

static void read_value(struct cczi_pck *out, uint8_t arc, struct ccz_rd *value)
{
    enum { SGX_TYPE_MAX = 2 }; /* standard, scalable, scalable with integrity */
    uint8_t instance[16];
    switch (arc) {
    case EXT_PPID:
        take_octets(out->ppid, sizeof(out->ppid), value);
        break;
    case EXT_TCB:
        read_tcb(out, value);
        break;
    case EXT_PCEID:
        take_octets(out->pce_id, sizeof(out->pce_id), value);
        break;
    case EXT_FMSPC:
        take_octets(out->fmspc, sizeof(out->fmspc), value);
        break;
    case EXT_SGX_TYPE:
        (void)take_svn(value, CCZ_DER_ENUMERATED, SGX_TYPE_MAX);
        break;
    case EXT_PLATFORM_INSTANCE:
        take_octets(instance, sizeof(instance), value);
        break;
    case EXT_CONFIGURATION:
        read_configuration(value);
        break;
    default: /* an element of unknown meaning may qualify the others */
        value->bad = true;
    }
}

ccz_rc cczi_pck_ext_parse(struct cczi_pck *out, struct ccz_span ext, struct ccz_err *err)
{
    *out = (struct cczi_pck){0};
    struct cczi_pck p = {0};
    uint32_t seen = 0;
    struct ccz_rd r = ccz_rd_from(ext);
    struct ccz_rd list = ccz_rd_from(ccz_der_take(&r, CCZ_DER_SEQUENCE));
    bool bad = !ccz_rd_done(&r);
    while (list.left > 0 && !bad) {
        uint8_t arc;
        struct ccz_rd value = take_pair(&arc, &list, NULL, 0);
        bad = list.bad || arc > EXT_CONFIGURATION || (seen & 1u << arc);
        if (bad)
            break;
        seen |= 1u << arc;
        read_value(&p, arc, &value);
        bad = !ccz_rd_done(&value);
    }
    if (bad || (seen & EXT_REQUIRED) != EXT_REQUIRED)
        return ccz_fail(
            err, CCZ_E_FORMAT, "quote:pck-extension", seen,
            "the SGX extension of the PCK certificate is missing, incomplete or malformed");
    *out = p;
    return CCZ_OK;
}

ccz_rc cczi_pck_from_cert(struct cczi_pck *out, const struct ccz_cert *leaf, struct ccz_err *err)
{
    bool critical;
    return cczi_pck_ext_parse(out, ccz_cert_ext(&critical, leaf, SGX_EXTENSION), err);
}

static bool contains(struct ccz_span in, const char *text)
{
    size_t size = strlen(text);
    for (size_t i = 0; i + size <= in.size; i++)
        if (memcmp(in.ptr + i, text, size) == 0)
            return true;
    return false;
}

enum ccz_pck_ca cczi_pck_ca_of(struct ccz_span name)
{
    bool processor = contains(name, "PCK Processor CA"),
         platform = contains(name, "PCK Platform CA");
    if (processor == platform)
        return CCZ_PCK_CA_NONE;
    return processor ? CCZ_PCK_CA_PROCESSOR : CCZ_PCK_CA_PLATFORM;
}

ccz_rc ccz_platform_from_pem(struct ccz_platform *out, enum ccz_tee tee, struct ccz_span pem,
                             struct ccz_err *err)
{
    *out = (struct ccz_platform){0};
    ccz_rc rc = CCZ_E_NOT_FOUND;
    CCZ_AUTO(ccz_cert) leaf = NULL;
    do { /* the leaf comes first in practice; see chain.c */
        ccz_cert_free(leaf);
        leaf = NULL;
        rc = cczi_pem_cert(&leaf, &pem, err);
    } while (rc == CCZ_OK && ccz_cert_is_ca(leaf));
    if (rc == CCZ_E_NOT_FOUND)
        rc = ccz_fail(err, CCZ_E_FORMAT, "quote:pck-chain", 0, "no PCK certificate among them");
    if (rc != CCZ_OK)
        return cczi_at(err, rc, "quote:pck-chain");
    struct cczi_pck pck;
    rc = cczi_pck_from_cert(&pck, leaf, err);
    struct ccz_platform p = {.tee = tee, .ca = cczi_pck_ca_of(ccz_cert_issuer(leaf))};
    memcpy(p.fmspc, pck.fmspc, sizeof(p.fmspc));
    if (rc == CCZ_OK)
        rc = ccz_sha256(p.pck_issuer, ccz_cert_issuer(leaf));
    if (rc == CCZ_OK)
        *out = p;
    return rc;
}

ccz_rc ccz_quote_platform(struct ccz_platform *out, const struct ccz_quote *q, struct ccz_err *err)
{
    enum { CERT_PCK_LEAF = 4, CERT_PCK_CHAIN = 5 };
    *out = (struct ccz_platform){0};
    if (q->cert_type != CERT_PCK_LEAF && q->cert_type != CERT_PCK_CHAIN)
        return ccz_fail(err, CCZ_E_UNSUPPORTED, "quote:pck-missing", q->cert_type,
                        "the quote carries no PCK certificate (certification type %u)",
                        q->cert_type);
    return ccz_platform_from_pem(out, q->tee, q->cert_data, err);
}
