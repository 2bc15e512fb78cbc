/* SPDX-License-Identifier: Apache-2.0 */
/* TCB info: PCS API v3 documentation, "TcbInfo v2" (SGX), and PCS API v4, "TcbInfo v3" (SGX, TDX).
 */
#include "quote/quote_priv.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LEVELS_MAX = 256, TCB_TYPE = 0 };

static void read_module(struct cczi_tdx_module *out, struct cczi_fields *f,
                        const struct ccz_jnode *o)
{
    cczi_field_hex(f, out->mrsigner, sizeof(out->mrsigner), o, "mrsigner");
    cczi_field_hex(f, out->attributes, sizeof(out->attributes), o, "attributes");
    cczi_field_hex(f, out->attributes_mask, sizeof(out->attributes_mask), o, "attributesMask");
}

/* "TDX_" and the module's major version in two hex digits. */
static uint8_t read_identity_id(struct cczi_fields *f, const struct ccz_jnode *o)
{
    uint8_t version = 0;
    struct ccz_span id = cczi_field_str(f, o, "id");
    if (f->rc == CCZ_OK && (id.size != 6 || memcmp(id.ptr, "TDX_", 4) != 0 ||
                            ccz_unhex(&version, 1, (const char *)id.ptr + 4, 2) != CCZ_OK))
        cczi_fields_fail(f, CCZ_E_FORMAT, "tdxModuleIdentities.id", "not TDX_ and two hex digits");
    return version;
}

/* Absent in TCB info that knows only modules of major version 0. */
static void read_identities(struct cczi_tcb_info *t, struct cczi_fields *f,
                            const struct ccz_jnode *o)
{
    static const char key[] = "tdxModuleIdentities";
    if (!ccz_jnode_get(o, key))
        return;
    const struct ccz_jnode *list = cczi_field_node(f, o, key, CCZ_JSON_ARRAY);
    size_t len = ccz_jnode_len(list);
    if (len == 0 || f->rc != CCZ_OK)
        return;
    t->identities = calloc(len, sizeof(*t->identities));
    if (!t->identities) {
        cczi_fields_fail(f, CCZ_E_NOMEM, key, "out of memory");
        return;
    }
    const struct ccz_jnode *e = ccz_jnode_first(list);
    for (size_t i = 0; e && f->rc == CCZ_OK; i++, e = ccz_jnode_next(e)) {
        struct cczi_tdx_module_identity *id = &t->identities[t->identities_len++];
        id->version = read_identity_id(f, e);
        read_module(&id->module, f, e);
        cczi_svn_levels_read(&id->levels, f, e);
        for (size_t k = 0; k < i; k++) {
            if (t->identities[k].version == id->version)
                cczi_fields_fail(f, CCZ_E_FORMAT, key, "two identities of one module version");
        }
    }
}

/* v2: {sgxtcbcomp01svn .. sgxtcbcomp16svn, pcesvn} */
static void read_components_v2(uint8_t out[CCZI_SVN_LEN], struct cczi_fields *f,
                               const struct ccz_jnode *tcb)
{
    for (int i = 0; i < CCZI_SVN_LEN; i++) {
        char key[] = "sgxtcbcompNNsvn";
        key[10] = (char)('0' + (i + 1) / 10);
        key[11] = (char)('0' + (i + 1) % 10);
        out[i] = (uint8_t)cczi_field_uint(f, tcb, key, UINT8_MAX);
    }
}

/* v3: [16 x {svn, category?, type?}] */
static void read_components_v3(uint8_t out[CCZI_SVN_LEN], struct cczi_fields *f,
                               const struct ccz_jnode *tcb, const char *key)
{
    const struct ccz_jnode *list = cczi_field_node(f, tcb, key, CCZ_JSON_ARRAY);
    if (ccz_jnode_len(list) != CCZI_SVN_LEN)
        cczi_fields_fail(f, CCZ_E_FORMAT, key, "not 16 components");
    const struct ccz_jnode *v = ccz_jnode_first(list);
    for (size_t i = 0; i < CCZI_SVN_LEN && f->rc == CCZ_OK; i++, v = ccz_jnode_next(v))
        out[i] = (uint8_t)cczi_field_uint(f, v, "svn", UINT8_MAX);
}

static int level_descending(const void *a, const void *b)
{
    const struct cczi_tcb_level *x = a, *y = b;
    int d = memcmp(y->sgx, x->sgx, sizeof(x->sgx));
    if (d == 0)
        d = (x->pce_svn < y->pce_svn) - (x->pce_svn > y->pce_svn);
    return d ? d : memcmp(y->tdx, x->tdx, sizeof(x->tdx));
}

static void read_levels(struct cczi_tcb_info *t, struct cczi_fields *f, const struct ccz_jnode *o,
                        uint32_t version)
{
    static const char key[] = "tcbLevels";
    const struct ccz_jnode *list = cczi_field_node(f, o, key, CCZ_JSON_ARRAY);
    size_t len = ccz_jnode_len(list);
    if (len == 0 || len > LEVELS_MAX) {
        cczi_fields_fail(f, CCZ_E_FORMAT, key, "empty or too long");
        return;
    }
    t->levels = calloc(len, sizeof(*t->levels));
    if (!t->levels) {
        cczi_fields_fail(f, CCZ_E_NOMEM, key, "out of memory");
        return;
    }
    t->levels_len = len;
    const struct ccz_jnode *e = ccz_jnode_first(list);
    for (size_t i = 0; e && f->rc == CCZ_OK; i++, e = ccz_jnode_next(e)) {
        const struct ccz_jnode *tcb = cczi_field_node(f, e, "tcb", CCZ_JSON_OBJECT);
        struct cczi_tcb_level *l = &t->levels[i];
        if (version == 2)
            read_components_v2(l->sgx, f, tcb);
        else
            read_components_v3(l->sgx, f, tcb, "sgxtcbcomponents");
        l->pce_svn = (uint16_t)cczi_field_uint(f, tcb, "pcesvn", UINT16_MAX);
        if (t->tee == CCZ_TEE_TDX)
            read_components_v3(l->tdx, f, tcb, "tdxtcbcomponents");
        else if (ccz_jnode_get(tcb, "tdxtcbcomponents"))
            cczi_fields_fail(f, CCZ_E_FORMAT, "tdxtcbcomponents", "not allowed in SGX TCB info");
        cczi_level_read(&l->level, f, e, CCZI_LEVEL_PLATFORM);
    }
    /* PCS delivers them sorted; matching (tcb.c) relies on it, so it is made sure. */
    qsort(t->levels, len, sizeof(*t->levels), level_descending);
    for (size_t i = 1; i < len && f->rc == CCZ_OK; i++) {
        if (level_descending(&t->levels[i - 1], &t->levels[i]) == 0)
            cczi_fields_fail(f, CCZ_E_FORMAT, key, "two levels of one TCB");
    }
}

/* v2 is about SGX only and has no "id". */
static enum ccz_tee read_tee(struct cczi_fields *f, const struct ccz_jnode *o, uint32_t version)
{
    if (version == 2)
        return CCZ_TEE_SGX;
    struct ccz_span id = cczi_field_str(f, o, "id");
    if (ccz_span_eq(id, ccz_span_str("SGX")))
        return CCZ_TEE_SGX;
    if (ccz_span_eq(id, ccz_span_str("TDX")))
        return CCZ_TEE_TDX;
    cczi_fields_fail(f, CCZ_E_UNSUPPORTED, "id", "neither SGX nor TDX");
    return CCZ_TEE_NONE;
}

ccz_rc cczi_tcb_info_read(struct cczi_tcb_info *out, const struct ccz_jnode *o, struct ccz_err *err)
{
    *out = (struct cczi_tcb_info){0};
    struct cczi_fields f = {.where = "collateral:tcb-info", .err = err};
    uint32_t version = cczi_field_uint(&f, o, "version", UINT32_MAX);
    if (f.rc == CCZ_OK && version != 2 && version != 3)
        return ccz_refuse_num(err, CCZ_E_UNSUPPORTED, "collateral:tcb-info-version", version, 3);
    out->tee = read_tee(&f, o, version);
    out->issued_s = cczi_field_date(&f, o, "issueDate");
    out->next_update_s = cczi_field_date(&f, o, "nextUpdate");
    cczi_field_hex(&f, out->fmspc, sizeof(out->fmspc), o, "fmspc");
    cczi_field_hex(&f, out->pce_id, sizeof(out->pce_id), o, "pceId");
    /* how the CPUSVN is split into components; 0 is the only way defined, and the one tcb.c knows
     */
    (void)cczi_field_uint(&f, o, "tcbType", TCB_TYPE);
    out->eval_number = cczi_field_uint(&f, o, "tcbEvaluationDataNumber", UINT32_MAX);
    if (out->tee == CCZ_TEE_TDX) {
        read_module(&out->module, &f, cczi_field_node(&f, o, "tdxModule", CCZ_JSON_OBJECT));
        read_identities(out, &f, o);
    } else if (ccz_jnode_get(o, "tdxModule") || ccz_jnode_get(o, "tdxModuleIdentities")) {
        cczi_fields_fail(&f, CCZ_E_FORMAT, "tdxModule", "not allowed in SGX TCB info");
    }
    read_levels(out, &f, o, version);
    return f.rc;
}

void cczi_tcb_info_deinit(struct cczi_tcb_info *t)
{
    for (size_t i = 0; i < t->identities_len; i++)
        free(t->identities[i].levels.list);
    free(t->identities);
    free(t->levels);
    *t = (struct cczi_tcb_info){0};
}
