/* SPDX-License-Identifier: Apache-2.0 */
/* Which SVN of a platform is short, against collateral of the kit: its UpToDate level asks for component 5,
 * PCESVN 11, TDX components {4, 0, 5}, module isvsvn 4, QE isvsvn 8. */
#include "quote/kit.h"
#include "quote/quote_priv.h"

#include "ccz_test.h"

static struct ccz_err err;
static struct kit_cfg cfg;
static struct ccz_shortfall s;

static ccz_rc shortfall(enum ccz_tcb_status want)
{
    struct kit k;
    CCZ_AUTO(ccz_collateral) c = NULL;
    kit_new(&k, &cfg);
    CHECK(ccz_collateral_new(&c, &k.src, &k.roots, &err) == CCZ_OK);
    ccz_rc rc = ccz_collateral_shortfall(&s, c, ccz_buf_span(&k.quote), want, &err);
    kit_free(&k);
    return rc;
}

static bool item_is(size_t i, enum ccz_svn_kind kind, unsigned index, bool at_launch, unsigned have,
                    unsigned need)
{
    const struct ccz_svn_short *x = &s.item[i];
    bool ok = i < s.len && x->kind == kind && x->index == index && x->at_launch == at_launch &&
              x->have == have && x->need == need;
    if (!ok)
        fprintf(stderr, "item %zu of %zu: kind %d index %u launch %d have %u need %u\n", i, s.len,
                x->kind, x->index, x->at_launch, x->have, x->need);
    return ok;
}

static void test_none(void)
{
    static const struct {
        enum ccz_tee tee;
        uint16_t version;
    } kinds[] = {{CCZ_TEE_SGX, 3}, {CCZ_TEE_SGX, 4}, {CCZ_TEE_TDX, 4}, {CCZ_TEE_TDX, 5}};
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        kit_default(&cfg, kinds[i].tee, kinds[i].version);
        CHECK(shortfall(CCZ_TCB_NONE) == CCZ_OK && s.len == 0);
        CHECK(s.target == CCZ_TCB_UP_TO_DATE && s.eval_number == 18 &&
              s.target_date_s == INT64_C(1704067200));
    }
    kit_default(&cfg, CCZ_TEE_SGX, 3);
    cfg.tcb_info_v2 = true;
    CHECK(shortfall(CCZ_TCB_UP_TO_DATE) == CCZ_OK && s.len == 0);
    cfg.cert_type = 3; /* the PCK certificate comes with the collateral */
    CHECK(shortfall(CCZ_TCB_UP_TO_DATE) == CCZ_OK && s.len == 0);
}

/* The certificates of a quote may stand in any order. */
static void test_order(void)
{
    struct kit k;
    struct ccz_quote q;
    CCZ_AUTO(ccz_collateral) c = NULL;
    kit_default(&cfg, CCZ_TEE_SGX, 3);
    cfg.pce_svn = 10;
    kit_new(&k, &cfg);
    CHECK(ccz_collateral_new(&c, &k.src, &k.roots, &err) == CCZ_OK);
    CHECK(ccz_quote_parse(&q, ccz_buf_span(&k.quote), &err) == CCZ_OK);
    static const char begin[] = "-----BEGIN";
    size_t leaf = 1; /* its size */
    while (memcmp(q.cert_data.ptr + leaf, begin, sizeof(begin) - 1) != 0)
        leaf++;
    uint8_t *chain = k.quote.ptr + (q.cert_data.ptr - k.quote.ptr);
    uint8_t *first = malloc(leaf);
    size_t size = q.cert_data.size - 1; /* a NUL is last */
    CHECK(first != NULL && chain[size - 1] == '\n' && chain[size] == 0);
    memcpy(first, chain, leaf);
    memmove(chain, chain + leaf, size - leaf);
    memcpy(chain + size - leaf, first, leaf);
    free(first);
    CHECK(ccz_collateral_shortfall(&s, c, ccz_buf_span(&k.quote), CCZ_TCB_UP_TO_DATE, &err) ==
              CCZ_OK &&
          s.len == 1);
    CHECK(item_is(0, CCZ_SVN_PCE, 0, false, 10, 11));
    kit_free(&k);
}

static void test_components(void)
{
    kit_default(&cfg, CCZ_TEE_TDX, 4);
    cfg.comp[1] = 3;
    cfg.comp[15] = 4;
    cfg.pce_svn = 9;
    cfg.tee_tcb_svn[2] = 2;
    CHECK(shortfall(CCZ_TCB_UP_TO_DATE) == CCZ_OK && s.len == 4);
    CHECK(item_is(0, CCZ_SVN_SGX_COMPONENT, 2, false, 3, 5) &&
          item_is(1, CCZ_SVN_SGX_COMPONENT, 16, false, 4, 5) &&
          item_is(2, CCZ_SVN_PCE, 0, false, 9, 11) &&
          item_is(3, CCZ_SVN_TDX_COMPONENT, 3, false, 2, 5));
    CHECK(shortfall(CCZ_TCB_CONFIGURATION_NEEDED) == CCZ_OK && s.len == 2 &&
          s.target == CCZ_TCB_CONFIGURATION_NEEDED);
    CHECK(item_is(0, CCZ_SVN_SGX_COMPONENT, 2, false, 3, 4) &&
          item_is(1, CCZ_SVN_TDX_COMPONENT, 3, false, 2, 4));
    /* a module of major version 0 is compared by its components */
    kit_default(&cfg, CCZ_TEE_TDX, 4);
    cfg.tee_tcb_svn[0] = 3;
    cfg.tee_tcb_svn[1] = 0;
    CHECK(shortfall(CCZ_TCB_UP_TO_DATE) == CCZ_OK && s.len == 1 &&
          item_is(0, CCZ_SVN_TDX_COMPONENT, 1, false, 3, 4));
}

/* Of two levels with the status wanted, the one that lacks less. */
static void test_nearest(void)
{
    kit_default(&cfg, CCZ_TEE_SGX, 3);
    cfg.tcb_edit[0] = (struct kit_edit){"SWHardeningNeeded", "UpToDate"};
    cfg.pce_svn = 9;
    CHECK(shortfall(CCZ_TCB_UP_TO_DATE) == CCZ_OK && s.len == 1 &&
          item_is(0, CCZ_SVN_PCE, 0, false, 9, 10) && s.target_date_s == INT64_C(1672531200));
    cfg.tcb_edit[1] = (struct kit_edit){"\"pcesvn\":11", "\"pcesvn\":5"};
    CHECK(shortfall(CCZ_TCB_UP_TO_DATE) == CCZ_OK && s.len == 0);
}

static void low_qe(uint8_t report[384])
{
    report[258] = 6;
}

static void test_parts(void)
{
    kit_default(&cfg, CCZ_TEE_TDX, 4);
    cfg.edit_qe = low_qe;
    cfg.tee_tcb_svn[0] = 2;
    CHECK(shortfall(CCZ_TCB_UP_TO_DATE) == CCZ_OK && s.len == 2);
    CHECK(item_is(0, CCZ_SVN_TDX_MODULE, 0, false, 2, 4) && item_is(1, CCZ_SVN_QE, 0, false, 6, 8));
    /* no version of the module is good enough any more */
    cfg.edit_qe = NULL;
    cfg.tee_tcb_svn[0] = 4;
    cfg.tcb_edit[0] = (struct kit_edit){
        "{\"isvsvn\":4},\"tcbDate\":\"2024-03-13T00:00:00Z\",\"tcbStatus\":\"UpToDate\"",
        "{\"isvsvn\":4},\"tcbDate\":\"2024-03-13T00:00:00Z\",\"tcbStatus\":\"OutOfDate\""};
    CHECK(shortfall(CCZ_TCB_UP_TO_DATE) == CCZ_OK && s.len == 1 &&
          item_is(0, CCZ_SVN_TDX_MODULE, 0, false, 4, 0));
}

static void test_launch(void)
{
    kit_default(&cfg, CCZ_TEE_TDX, 5);
    cfg.tee_tcb_svn[0] = 2;
    cfg.tee_tcb_svn[2] = 4;
    CHECK(shortfall(CCZ_TCB_UP_TO_DATE) == CCZ_OK && s.len == 2);
    CHECK(item_is(0, CCZ_SVN_TDX_COMPONENT, 3, true, 4, 5) &&
          item_is(1, CCZ_SVN_TDX_MODULE, 0, true, 2, 4));
    CHECK(strcmp(ccz_svn_remedy(&s.item[0]), "launch the TD again") == 0);
    cfg.tee_tcb_svn2[2] = 3; /* both: what runs now has to be updated */
    cfg.tee_tcb_svn2[0] = 3;
    CHECK(shortfall(CCZ_TCB_UP_TO_DATE) == CCZ_OK && s.len == 2 &&
          item_is(0, CCZ_SVN_TDX_COMPONENT, 3, false, 3, 5) &&
          item_is(1, CCZ_SVN_TDX_MODULE, 0, false, 3, 4));
    kit_default(&cfg, CCZ_TEE_TDX, 5); /* launched on module 1, runs on module 3 */
    cfg.tee_tcb_svn[0] = 2;
    cfg.tee_tcb_svn2[0] = 1;
    cfg.tee_tcb_svn2[1] = 3;
    CHECK(shortfall(CCZ_TCB_UP_TO_DATE) == CCZ_OK && s.len == 1 &&
          item_is(0, CCZ_SVN_TDX_MODULE, 0, true, 2, 4));
}

static void test_refuse(void)
{
    struct kit k, other;
    struct kit_cfg tdx;
    CCZ_AUTO(ccz_collateral) c = NULL;
    kit_default(&cfg, CCZ_TEE_SGX, 3);
    kit_default(&tdx, CCZ_TEE_TDX, 4);
    CHECK(shortfall(CCZ_TCB_OUT_OF_DATE) == CCZ_E_NOT_FOUND &&
          strcmp(err.where, "quote:shortfall-status") == 0 && s.len == 0);
    kit_new(&k, &cfg);
    kit_new(&other, &tdx);
    CHECK(ccz_collateral_new(&c, &k.src, &k.roots, &err) == CCZ_OK);
    CHECK(ccz_collateral_shortfall(&s, c, ccz_buf_span(&other.quote), CCZ_TCB_NONE, &err) ==
              CCZ_E_MISMATCH &&
          strcmp(err.where, "quote:tcb-info-tee") == 0);
    struct ccz_span quote = ccz_buf_span(&k.quote);
    for (size_t cut = 0; cut < quote.size; cut += 7)
        CHECK(ccz_collateral_shortfall(&s, c, CCZ_SPAN(quote.ptr, cut), CCZ_TCB_NONE, NULL) !=
                  CCZ_OK &&
              s.target == CCZ_TCB_NONE);
    kit_free(&other);
    cfg.fmspc[5] ^= 1;
    kit_new(&other, &cfg);
    CHECK(ccz_collateral_shortfall(&s, c, ccz_buf_span(&other.quote), CCZ_TCB_NONE, &err) ==
              CCZ_E_MISMATCH &&
          strcmp(err.where, "quote:fmspc") == 0);
    kit_free(&other);
    kit_free(&k);
    tdx.tee_tcb_svn[1] = 9;
    cfg = tdx;
    CHECK(shortfall(CCZ_TCB_NONE) == CCZ_E_MISMATCH && strcmp(err.where, "quote:tdx-module") == 0);
    kit_default(&cfg, CCZ_TEE_SGX, 3);
    cfg.tcb_edit[0] = (struct kit_edit){"UpToDate", "OutOfDate"};
    CHECK(shortfall(CCZ_TCB_UP_TO_DATE) == CCZ_E_NOT_FOUND);
    CHECK(shortfall(CCZ_TCB_NONE) == CCZ_OK && s.target == CCZ_TCB_SW_HARDENING_NEEDED);
}

static void test_names(void)
{
    for (int k = 0; k <= CCZ_SVN_QE + 1; k++)
        for (unsigned i = 0; i < 256; i++) {
            struct ccz_svn_short x = {.kind = (enum ccz_svn_kind)k, .index = (uint8_t)i};
            CHECK(ccz_svn_name(&x)[0] && ccz_svn_remedy(&x)[0]);
        }
    struct ccz_svn_short x = {.kind = CCZ_SVN_SGX_COMPONENT, .index = 2};
    CHECK(strcmp(ccz_svn_name(&x), "SGX Late Microcode Update") == 0);
    x.kind = CCZ_SVN_TDX_COMPONENT;
    CHECK(strcmp(ccz_svn_remedy(&x), "update the TDX module") == 0);
}

static const struct ccz_test tests[] = {
    {"shortfall.none", test_none},
    {"shortfall.order", test_order},
    {"shortfall.components", test_components},
    {"shortfall.nearest", test_nearest},
    {"shortfall.parts", test_parts},
    {"shortfall.launch", test_launch},
    {"shortfall.refuse", test_refuse},
    {"shortfall.names", test_names},
};

int main(int argc, char **argv)
{
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
