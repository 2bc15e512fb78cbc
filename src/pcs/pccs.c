/* SPDX-License-Identifier: Apache-2.0 */
/*
 * platform_collaterals.json of the PCCS administrator's tool: documents of many platforms in one file, TCB infos
 * parsed and written again (which adds blanks that Intel did not sign), the rest as text.
 */
#include "pcs/pcs_priv.h"

#include <cczoo/codec.h>
#include <cczoo/x509.h>

#include <stdio.h>
#include <string.h>

enum { PAIRS_MAX = CCZ_PCS_LEN_MAX, CAS = 2 };
#define PCK_CHAINS "SGX-PCK-Certificate-Issuer-Chain"

static const struct {
    enum ccz_pck_ca ca;
    const char *chain, *crl; /* members */
} cas[CAS] = {
    {CCZ_PCK_CA_PROCESSOR, "PROCESSOR", "processorCrl"},
    {CCZ_PCK_CA_PLATFORM, "PLATFORM", "platformCrl"},
};
static const struct {
    const char *tcb[2], *qe[2]; /* standard, early */
} tees[] = {
    {{"sgx_tcbinfo", "sgx_tcbinfo_early"}, {"qeidentity", "qeidentity_early"}},
    {{"tdx_tcbinfo", "tdx_tcbinfo_early"}, {"tdqeidentity", "tdqeidentity_early"}},
};

struct pair {
    uint8_t fmspc[6];
    enum ccz_pck_ca ca;
};
struct reader {
    const struct ccz_json *all; /* member "collaterals" */
    struct ccz_span raw;        /* its text */
    enum ccz_pcs_update update;
    struct pair
        pairs[PAIRS_MAX]; /* platforms that have certificates in the file; none = not known */
    size_t pairs_len;
    cczi_pccs_fn *fn;
    void *arg;
};

/* -------------------------------------------------------------------------------------- text */

/* JSON without the white space between its tokens. */
static void put_minified(struct ccz_buf *out, struct ccz_span text)
{
    bool quoted = false;
    for (size_t i = 0; i < text.size; i++) {
        uint8_t c = text.ptr[i];
        if (c == '"')
            quoted = !quoted;
        if (quoted && c == '\\' && i + 1 < text.size)
            ccz_buf_u8(out, text.ptr[i++]);
        if (quoted || !strchr(" \t\r\n", text.ptr[i]))
            ccz_buf_u8(out, text.ptr[i]);
    }
}

/* A document that is a JSON object in the file, or text with one. False if it is not there. */
static bool put_document(struct ccz_buf *out, const struct ccz_json *object, struct ccz_span raw,
                         const char *key)
{
    const struct ccz_json *v = ccz_json_get(object, key);
    ccz_buf_clear(out);
    if (ccz_json_type(v) == CCZ_JSON_STRING)
        ccz_buf_put_span(out, ccz_json_bytes(v));
    else if (ccz_json_type(v) == CCZ_JSON_OBJECT)
        put_minified(out, ccz_json_raw_member(raw, key));
    return out->size > 0 && !out->bad;
}

/* Takes the first element of an array's inner text, which is valid JSON. */
static struct ccz_span take_element(struct ccz_span *left)
{
    int depth = 0;
    bool quoted = false;
    struct ccz_span s = *left;
    size_t i = 0;
    for (; i < s.size; i++) {
        uint8_t c = s.ptr[i];
        if (quoted && c == '\\')
            i++;
        else if (c == '"')
            quoted = !quoted;
        else if (!quoted && (c == '{' || c == '['))
            depth++;
        else if (!quoted && (c == '}' || c == ']'))
            depth--;
        else if (!quoted && c == ',' && depth == 0)
            break;
    }
    size_t size = i < s.size ? i : s.size;
    *left = i < s.size ? ccz_span_sub(s, i + 1, s.size - i - 1) : (struct ccz_span){NULL, 0};
    return ccz_span_sub(s, 0, size);
}

static ccz_rc missing(struct ccz_err *err, const char *member, const char *hint)
{
    ccz_rc rc =
        ccz_fail(err, CCZ_E_FORMAT, "pccs:member", 0, "%s is missing or of another type", member);
    return ccz_hint(err, rc, hint);
}

/* Percent-encoded or not. */
static ccz_rc put_chain(struct ccz_buf *out, const struct ccz_json *v, struct ccz_err *err)
{
    ccz_rc rc = cczi_unescape(out, ccz_json_bytes(v), err);
    if (rc != CCZ_OK && err)
        (void)snprintf(err->where, sizeof(err->where), "pccs:chain");
    return rc;
}

/* --------------------------------------------------------------------------------- platforms */

static ccz_rc add_pair(struct reader *r, const struct pair *p, struct ccz_err *err)
{
    for (size_t i = 0; i < r->pairs_len; i++)
        if (r->pairs[i].ca == p->ca && memcmp(r->pairs[i].fmspc, p->fmspc, sizeof(p->fmspc)) == 0)
            return CCZ_OK;
    if (r->pairs_len == PAIRS_MAX) /* those left out would be missed later */
        return ccz_refuse_num(err, CCZ_E_LIMIT, "pcs:len", PAIRS_MAX + 1, PAIRS_MAX);
    r->pairs[r->pairs_len++] = *p;
    return CCZ_OK;
}

/* One certificate per platform says FMSPC and CA. */
static ccz_rc read_pairs(struct reader *r, struct ccz_err *err)
{
    const struct ccz_json *list = ccz_json_get(r->all, "pck_certs");
    for (size_t i = 0; i < ccz_json_len(list); i++) {
        const struct ccz_json *certs = ccz_json_get(ccz_json_at(list, i), "certs");
        const struct ccz_json *text = ccz_json_get(ccz_json_at(certs, 0), "cert");
        CCZ_AUTO_BUF pem;
        struct ccz_platform platform;
        ccz_buf_init(&pem, CCZ_CERT_SIZE_MAX);
        ccz_rc rc = put_chain(&pem, text, err);
        if (rc == CCZ_OK)
            rc = ccz_platform_from_pem(&platform, CCZ_TEE_SGX, ccz_buf_span(&pem), err);
        if (rc != CCZ_OK)
            return missing(err, "a PCK certificate", NULL);
        struct pair p = {.ca = platform.ca};
        memcpy(p.fmspc, platform.fmspc, sizeof(p.fmspc));
        rc = add_pair(r, &p, err);
        if (rc != CCZ_OK)
            return rc;
    }
    return CCZ_OK;
}

static bool is_wanted(const struct reader *r, const uint8_t fmspc[6], enum ccz_pck_ca ca)
{
    for (size_t i = 0; i < r->pairs_len; i++)
        if (r->pairs[i].ca == ca && memcmp(r->pairs[i].fmspc, fmspc, 6) == 0)
            return true;
    return r->pairs_len == 0;
}

/* ----------------------------------------------------------------------------------- bundles */

static bool put_updated(struct ccz_buf *out, const struct reader *r, const struct ccz_json *object,
                        struct ccz_span raw, const char *const keys[2])
{
    return (r->update == CCZ_PCS_EARLY && put_document(out, object, raw, keys[1])) ||
           put_document(out, object, raw, keys[0]);
}

static ccz_rc put_parts(struct ccz_buf parts[CCZI_PARTS], const struct reader *r, size_t tee,
                        size_t ca, struct ccz_err *err)
{
    const struct ccz_json *chains = ccz_json_get(r->all, "certificates");
    const struct ccz_json *tcb = ccz_json_get(chains, "TCB-Info-Issuer-Chain");
    const struct ccz_json *crls = ccz_json_get(r->all, "pckcacrl");
    if (!tcb)
        tcb = ccz_json_get(chains, "SGX-TCB-Info-Issuer-Chain");
    ccz_rc rc = put_chain(&parts[CCZI_TCB_CHAIN], tcb, err);
    if (rc == CCZ_OK)
        rc = put_chain(&parts[CCZI_QE_CHAIN],
                       ccz_json_get(chains, "SGX-Enclave-Identity-Issuer-Chain"), err);
    if (rc == CCZ_OK)
        rc = put_chain(&parts[CCZI_CRL_CHAIN],
                       ccz_json_get(ccz_json_get(chains, PCK_CHAINS), cas[ca].chain), err);
    if (rc != CCZ_OK)
        return rc;
    ccz_buf_put_span(&parts[CCZI_ROOT_CRL], ccz_json_bytes(ccz_json_get(r->all, "rootcacrl")));
    ccz_buf_put_span(&parts[CCZI_PCK_CRL], ccz_json_bytes(ccz_json_get(crls, cas[ca].crl)));
    if (!put_updated(&parts[CCZI_QE_IDENTITY], r, r->all, r->raw, tees[tee].qe))
        return missing(err, tees[tee].qe[0], NULL);
    for (int i = 0; i < CCZI_PARTS_REQUIRED; i++)
        if (parts[i].size == 0 || parts[i].bad)
            return missing(err, cczi_part_names[i], NULL);
    return CCZ_OK;
}

/* All bundles of one element of "tcbinfos". */
static ccz_rc each_ca(struct reader *r, const struct ccz_json *entry, struct ccz_span raw,
                      const uint8_t fmspc[6], struct ccz_err *err)
{
    const struct ccz_json *chains = ccz_json_get(ccz_json_get(r->all, "certificates"), PCK_CHAINS);
    ccz_rc rc = CCZ_OK;
    for (size_t tee = 0; tee < sizeof(tees) / sizeof(tees[0]); tee++) {
        for (size_t ca = 0; ca < CAS && rc == CCZ_OK; ca++) {
            struct ccz_buf parts[CCZI_PARTS];
            if (ccz_json_bytes(ccz_json_get(chains, cas[ca].chain)).size == 0 ||
                !is_wanted(r, fmspc, cas[ca].ca))
                continue;
            cczi_parts_init(parts);
            if (put_updated(&parts[CCZI_TCB_INFO], r, entry, raw, tees[tee].tcb)) {
                rc = put_parts(parts, r, tee, ca, err);
                if (rc == CCZ_OK)
                    rc = r->fn(r->arg, parts, err);
            }
            cczi_parts_free(parts);
        }
    }
    return rc;
}

static ccz_rc each_tcb(struct reader *r, struct ccz_err *err)
{
    struct ccz_span list = ccz_json_raw_member(r->raw, "tcbinfos");
    if (list.size < 2 || list.ptr[0] != '[')
        return missing(err, "tcbinfos", NULL);
    list = ccz_span_sub(list, 1, list.size - 2);
    for (size_t n = ccz_json_len(ccz_json_get(r->all, "tcbinfos")); n > 0; n--) {
        struct ccz_span raw = take_element(&list);
        CCZ_AUTO(ccz_json) entry = NULL;
        uint8_t fmspc[6];
        if (ccz_json_parse(&entry, raw, NULL) != CCZ_OK)
            return missing(err, "an element of tcbinfos", NULL);
        struct ccz_span hex = ccz_json_bytes(ccz_json_get(entry, "fmspc"));
        if (ccz_unhex(fmspc, sizeof(fmspc), (const char *)hex.ptr, hex.size) != CCZ_OK)
            return missing(err, "fmspc", NULL);
        ccz_rc rc = each_ca(r, entry, raw, fmspc, err);
        if (rc != CCZ_OK)
            return rc;
    }
    return CCZ_OK;
}

ccz_rc cczi_pccs_each(struct ccz_span json, enum ccz_pcs_update update, cczi_pccs_fn *fn, void *arg,
                      struct ccz_err *err)
{
    CCZ_AUTO(ccz_json) root = NULL;
    struct reader r = {.update = update, .fn = fn, .arg = arg};
    if (json.size > CCZ_PCS_ARCHIVE_SIZE_MAX || ccz_json_parse(&root, json, NULL) != CCZ_OK)
        return ccz_fail(err, CCZ_E_FORMAT, "pccs:json", 0, "no JSON document");
    r.all = ccz_json_get(root, "collaterals");
    r.raw = ccz_json_raw_member(json, "collaterals");
    if (ccz_json_type(r.all) != CCZ_JSON_OBJECT || r.raw.size == 0)
        return missing(err, "collaterals", "this reads platform_collaterals.json of a PCCS");
    ccz_rc rc = read_pairs(&r, err);
    return rc == CCZ_OK ? each_tcb(&r, err) : rc;
}

static ccz_rc install_one(void *arg, struct ccz_buf parts[CCZI_PARTS], struct ccz_err *err)
{
    return cczi_install_add(arg, parts, NULL, err);
}

ccz_rc ccz_pcs_import_pccs(size_t *len, const struct ccz_pcs_import_cfg *cfg, struct ccz_span json,
                           struct ccz_err *err)
{
    struct cczi_install in;
    *len = 0;
    ccz_rc rc = cczi_install_init(&in, cfg, err);
    if (rc == CCZ_OK)
        rc = cczi_pccs_each(json, cfg->update, install_one, &in, err);
    if (rc == CCZ_OK && in.len == 0)
        rc = missing(err, "certificates/" PCK_CHAINS,
                     "the file must be fetched with a list of platforms: only then it has the "
                     "chain of the PCK CA");
    if (rc == CCZ_OK)
        rc = cczi_install_commit(&in, err);
    if (rc == CCZ_OK)
        *len = in.len;
    cczi_install_deinit(&in);
    return rc;
}
