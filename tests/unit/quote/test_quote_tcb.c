/* SPDX-License-Identifier: Apache-2.0 */
/* TCB info, QE identity and what follows from them. */
#include "quote/kit.h"
#include "quote/quote_priv.h"

#include "ccz_test.h"

/* ------------------------------------------------------------- every byte is under the signature
 */

/* Another character of the same kind, so that the document stays JSON. */
static char other_char(char c)
{
    if (c >= '0' && c <= '9')
        return c == '9' ? '0' : (char)(c + 1);
    if (c >= 'a' && c <= 'z')
        return c == 'z' ? 'a' : (char)(c + 1);
    return c == 'Z' ? 'A' : (char)(c + 1);
}

static bool is_alnum(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static void each_byte(struct kit *k, struct ccz_buf *doc)
{
    for (size_t i = 0; i < doc->size; i++) {
        char old = (char)doc->ptr[i];
        if (!is_alnum(old))
            continue;
        CCZ_AUTO(ccz_collateral) c = NULL;
        struct ccz_err err = {0};
        doc->ptr[i] = (uint8_t)other_char(old);
        CHECK(ccz_collateral_new(&c, &k->src, &k->roots, &err) != CCZ_OK && c == NULL);
        CHECK(strncmp(err.where, "collateral:", 11) == 0);
        doc->ptr[i] = (uint8_t)old;
    }
}

static void test_signed(void)
{
    struct kit k;
    struct kit_cfg cfg;
    kit_default(&cfg, CCZ_TEE_TDX, 4);
    kit_new(&k, &cfg);
    each_byte(&k, &k.tcb_info);
    each_byte(&k, &k.qe_identity);
    kit_free(&k);
}

/* What is around the signed bytes. */
static void test_envelope(void)
{
    struct kit k;
    struct kit_cfg cfg;
    kit_default(&cfg, CCZ_TEE_SGX, 3);
    kit_new(&k, &cfg);
    struct ccz_collateral_src src = k.src;
    struct ccz_span *parts[] = {&k.src.tcb_info, &k.src.qe_identity};
    static const char *const where[] = {"collateral:tcb-info", "collateral:qe-identity"};
    for (int i = 0; i < 2; i++) {
        const char *text = (const char *)parts[i]->ptr;
        int size = (int)parts[i]->size;
        CCZ_AUTO_BUF b;
        ccz_buf_init(&b, 65536);
        for (int n = 0; n < 6; n++) {
            ccz_buf_clear(&b);
            if (n == 0) /* an unsigned member */
                ccz_buf_printf(&b, "%.*s,\"extra\":1}", size - 1, text);
            if (n == 1) /* two documents */
                ccz_buf_printf(&b, "%.*s{}", size, text);
            if (n == 2) /* a second one of the same name */
                ccz_buf_printf(&b, "%.*s,\"%s\":{}}", size - 1, text,
                               i ? "enclaveIdentity" : "tcbInfo");
            if (n == 3) /* no signature */
                ccz_buf_printf(&b, "%.*s}", (int)(strstr(text, ",\"signature\"") - text), text);
            if (n == 4) /* a short one */
                ccz_buf_printf(&b, "%.*s\"}", size - 4, text);
            if (n == 5)
                ccz_buf_put_str(&b, "[]");
            CCZ_AUTO(ccz_collateral) c = NULL;
            struct ccz_err err = {0};
            *parts[i] = ccz_buf_span(&b);
            CHECK(ccz_collateral_new(&c, &k.src, &k.roots, &err) == CCZ_E_FORMAT);
            CHECK(strcmp(err.where, where[i]) == 0);
            k.src = src;
        }
        /* white space around is no part of the signed bytes, inside it is */
        CCZ_AUTO(ccz_collateral) c = NULL;
        struct ccz_err err = {0};
        ccz_buf_clear(&b);
        ccz_buf_printf(&b, " %.*s\n", size, text);
        *parts[i] = ccz_buf_span(&b);
        CHECK(ccz_collateral_new(&c, &k.src, &k.roots, &err) == CCZ_OK);
        ccz_collateral_free(c);
        c = NULL;
        const char *inner = strstr(text, ":{") + 2;
        ccz_buf_clear(&b);
        ccz_buf_printf(&b, "%.*s %s", (int)(inner - text), text, inner);
        *parts[i] = ccz_buf_span(&b);
        CHECK(ccz_collateral_new(&c, &k.src, &k.roots, &err) == CCZ_E_SIG);
        CHECK(strcmp(err.where, i ? "collateral:qe-identity-signature"
                                  : "collateral:tcb-info-signature") == 0);
        CHECK(err.hint[0] != 0);
        k.src = src;
    }
    kit_free(&k);
}

/* ---------------------------------------------------------------- meaning, signed correctly */

#define T "collateral:tcb-info"
#define Q "collateral:qe-identity"
static const struct meaning {
    enum ccz_tee tee;
    bool qe; /* edits the QE identity */
    const char *from, *to;
    ccz_rc rc;
    const char *where;
} meanings[] = {
    {CCZ_TEE_TDX, 0, "\"version\":3", "\"version\":4", CCZ_E_UNSUPPORTED, T "-version"},
    {CCZ_TEE_TDX, 0, "\"version\":3", "\"version\":1", CCZ_E_UNSUPPORTED, T "-version"},
    {CCZ_TEE_TDX, 0, "\"version\":3", "\"version\":\"3\"", CCZ_E_FORMAT, T},
    {CCZ_TEE_TDX, 0, "\"version\":3", "\"Version\":3", CCZ_E_FORMAT, T},
    {CCZ_TEE_TDX, 0, "\"id\":\"TDX\"", "\"id\":\"SGX\"", CCZ_E_FORMAT, T},
    {CCZ_TEE_TDX, 0, "\"id\":\"TDX\"", "\"id\":\"TDY\"", CCZ_E_UNSUPPORTED, T},
    {CCZ_TEE_TDX, 0, "\"id\":\"TDX\"", "\"ID\":\"TDX\"", CCZ_E_FORMAT, T},
    {CCZ_TEE_SGX, 0, "\"id\":\"SGX\"", "\"id\":\"TDX\"", CCZ_E_FORMAT, T},
    {CCZ_TEE_TDX, 0, "T15:06:40Z\",\"next", "T15:06:40\",\"next", CCZ_E_FORMAT, T},
    {CCZ_TEE_TDX, 0, "\"issueDate\"", "\"issuedate\"", CCZ_E_FORMAT, T},
    {CCZ_TEE_TDX, 0, "\"nextUpdate\":\"2025-07", "\"nextUpdate\":\"2025-16", CCZ_E_FORMAT, T},
    {CCZ_TEE_TDX, 0, "\"fmspc\":\"00", "\"fmspc\":\"", CCZ_E_FORMAT, T},
    {CCZ_TEE_TDX, 0, "\"fmspc\":\"00", "\"fmspc\":\"0x", CCZ_E_FORMAT, T},
    {CCZ_TEE_TDX, 0, "\"fmspc\":\"00", "\"fmspc\":\"10", CCZ_E_MISMATCH, "quote:fmspc"},
    {CCZ_TEE_TDX, 0, "\"pceId\":\"0000\"", "\"pceId\":\"0001\"", CCZ_E_MISMATCH, "quote:pceid"},
    {CCZ_TEE_TDX, 0, "\"pceId\":\"0000\",", "", CCZ_E_FORMAT, T},
    {CCZ_TEE_TDX, 0, "\"tcbType\":0", "\"tcbType\":1", CCZ_E_FORMAT, T},
    {CCZ_TEE_TDX, 0, "DataNumber\":18", "DataNumber\":4294967296", CCZ_E_FORMAT, T},
    {CCZ_TEE_TDX, 0, "DataNumber\":18", "DataNumber\":-1", CCZ_E_FORMAT, T},
    {CCZ_TEE_TDX, 0, "DataNumber\":18", "DataNumber\":18.0", CCZ_E_FORMAT, T},
    {CCZ_TEE_TDX, 0, "\"tdxModule\"", "\"tdxmodule\"", CCZ_E_FORMAT, T},
    {CCZ_TEE_TDX, 0, "\"TDX_03\"", "\"TDX_3\"", CCZ_E_FORMAT, T},
    {CCZ_TEE_TDX, 0, "\"TDX_03\"", "\"TDY_03\"", CCZ_E_FORMAT, T},
    {CCZ_TEE_TDX, 0, "\"TDX_03\"", "\"TDX_0g\"", CCZ_E_FORMAT, T},
    {CCZ_TEE_TDX, 0, "\"TDX_03\"", "\"TDX_01\"", CCZ_E_FORMAT, T},
    {CCZ_TEE_TDX, 0, "\"TDX_01\"", "\"TDX_02\"", CCZ_E_MISMATCH, "quote:tdx-module"},
    {CCZ_TEE_TDX, 0, "\"TDX_01\",\"mrsigner\":\"00", "\"TDX_01\",\"mrsigner\":\"01", CCZ_E_MISMATCH,
     "quote:tdx-module-signer"},
    {CCZ_TEE_TDX, 0, "{\"isvsvn\":2}", "{\"isvsvn\":4}", CCZ_E_FORMAT, T}, /* twice */
    {CCZ_TEE_TDX, 0, "{\"isvsvn\":2}", "{\"isvsvn\":65536}", CCZ_E_FORMAT, T},
    {CCZ_TEE_TDX, 0, "{\"svn\":5}", "{\"svn\":256}", CCZ_E_FORMAT, T},
    {CCZ_TEE_TDX, 0, "{\"svn\":5}", "{\"svn\":-1}", CCZ_E_FORMAT, T},
    {CCZ_TEE_TDX, 0, "{\"svn\":5}", "{\"svn\":5.0}", CCZ_E_FORMAT, T},
    {CCZ_TEE_TDX, 0, "{\"svn\":5}", "{\"svn\":\"5\"}", CCZ_E_FORMAT, T},
    {CCZ_TEE_TDX, 0, "{\"svn\":5}", "5", CCZ_E_FORMAT, T},
    {CCZ_TEE_TDX, 0, "{\"svn\":5},", "", CCZ_E_FORMAT, T},                       /* 15 components */
    {CCZ_TEE_TDX, 0, "{\"svn\":5}", "{\"svn\":5},{\"svn\":5}", CCZ_E_FORMAT, T}, /* 17 */
    {CCZ_TEE_TDX, 0, "\"pcesvn\":11", "\"pcesvn\":65536", CCZ_E_FORMAT, T},
    {CCZ_TEE_TDX, 0, "\"pcesvn\":11", "\"pcesvn\":10", CCZ_E_FORMAT, T}, /* the next level's */
    {CCZ_TEE_TDX, 0, "\"tdxtcbcomponents\"", "\"tdxtcbcomponent\"", CCZ_E_FORMAT, T},
    {CCZ_TEE_SGX, 0, "\"pcesvn\":11", "\"pcesvn\":11,\"tdxtcbcomponents\":[]", CCZ_E_FORMAT, T},
    {CCZ_TEE_SGX, 0, "\"tcbType\":0", "\"tcbType\":0,\"tdxModule\":{}", CCZ_E_FORMAT, T},
    {CCZ_TEE_SGX, 0, "\"tcbType\":0", "\"tcbType\":0,\"tdxModuleIdentities\":[]", CCZ_E_FORMAT, T},
    {CCZ_TEE_SGX, 0, "\"SWHardeningNeeded\"", "\"swHardeningNeeded\"", CCZ_E_FORMAT, T},
    {CCZ_TEE_SGX, 0, "\"SWHardeningNeeded\"", "\"TDRelaunchAdvised\"", CCZ_E_FORMAT, T},
    {CCZ_TEE_SGX, 0, "\"SWHardeningNeeded\"", "\"None\"", CCZ_E_FORMAT, T},
    {CCZ_TEE_SGX, 0, "\"SWHardeningNeeded\"", "null", CCZ_E_FORMAT, T},
    {CCZ_TEE_SGX, 0, "2024-01-01T00:00:00Z", "2024-01-01", CCZ_E_FORMAT, T},
    {CCZ_TEE_SGX, 0, "[\"INTEL-SA-00001\"]", "\"INTEL-SA-00001\"", CCZ_E_FORMAT, T},
    {CCZ_TEE_SGX, 0, "[\"INTEL-SA-00001\"]", "[1]", CCZ_E_FORMAT, T},
    {CCZ_TEE_SGX, 0, "[\"INTEL-SA-00001\"]", "[\"\"]", CCZ_E_FORMAT, T},
    {CCZ_TEE_SGX, 0, "[\"INTEL-SA-00001\"]", "[\"INTEL-SA-000000000000001\"]", CCZ_E_FORMAT, T},
    {CCZ_TEE_SGX, 0, "\"tcbLevels\":[", "\"tcbLevels\":[],\"x\":[", CCZ_E_FORMAT, T},
    {CCZ_TEE_SGX, 0, "\"tcbLevels\":[", "\"tcbLevels\":[1,", CCZ_E_FORMAT, T},
    {CCZ_TEE_SGX, 1, "\"version\":2", "\"version\":1", CCZ_E_UNSUPPORTED, Q "-version"},
    {CCZ_TEE_SGX, 1, "\"id\":\"QE\"", "\"id\":\"QVE\"", CCZ_E_UNSUPPORTED, Q},
    {CCZ_TEE_SGX, 1, "\"id\":\"QE\"", "\"id\":\"TD_QE\"", CCZ_E_MISMATCH, Q "-tee"},
    {CCZ_TEE_SGX, 1, "\"issueDate\"", "\"issue\"", CCZ_E_FORMAT, Q},
    {CCZ_TEE_SGX, 1, "\"nextUpdate\"", "\"next\"", CCZ_E_FORMAT, Q},
    {CCZ_TEE_SGX, 1, "DataNumber\":17", "DataNumber\":\"17\"", CCZ_E_FORMAT, Q},
    {CCZ_TEE_SGX, 1, "\"miscselect\":\"00", "\"miscselect\":\"", CCZ_E_FORMAT, Q},
    {CCZ_TEE_SGX, 1, "\"miscselect\":\"00", "\"miscselect\":\"01", CCZ_E_MISMATCH,
     "quote:qe-miscselect"},
    {CCZ_TEE_SGX, 1, "\"miscselectMask\":\"FF", "\"miscselectMask\":\"F", CCZ_E_FORMAT, Q},
    {CCZ_TEE_SGX, 1, "\"attributes\":\"11", "\"attributes\":\"13", CCZ_E_MISMATCH,
     "quote:qe-attributes"},
    {CCZ_TEE_SGX, 1, "\"attributesMask\":\"FB", "\"attributesMask\":\"FF", CCZ_E_MISMATCH,
     "quote:qe-attributes"},
    {CCZ_TEE_SGX, 1, "\"attributesMask\"", "\"attributesmask\"", CCZ_E_FORMAT, Q},
    {CCZ_TEE_SGX, 1, "\"mrsigner\":\"8C", "\"mrsigner\":\"8D", CCZ_E_MISMATCH, "quote:qe-mrsigner"},
    {CCZ_TEE_SGX, 1, "\"mrsigner\":\"8C", "\"mrsigner\":\"8C00", CCZ_E_FORMAT, Q},
    {CCZ_TEE_SGX, 1, "\"isvprodid\":1", "\"isvprodid\":2", CCZ_E_MISMATCH, "quote:qe-isvprodid"},
    {CCZ_TEE_SGX, 1, "\"isvprodid\":1", "\"isvprodid\":65536", CCZ_E_FORMAT, Q},
    {CCZ_TEE_SGX, 1, "{\"isvsvn\":6}", "{\"isvsvn\":8}", CCZ_E_FORMAT, Q},
    {CCZ_TEE_SGX, 1, "{\"isvsvn\":6}", "{}", CCZ_E_FORMAT, Q},
    {CCZ_TEE_SGX, 1, "\"OutOfDate\"", "\"SWHardeningNeeded\"", CCZ_E_FORMAT, Q},
    {CCZ_TEE_SGX, 1, "2021-11-10T00:00:00Z", "2021-11-31T00:00:00Z", CCZ_E_FORMAT, Q},
    {CCZ_TEE_SGX, 1, "\"tcbLevels\"", "\"levels\"", CCZ_E_FORMAT, Q},
    {CCZ_TEE_SGX, 1, "\"tcbLevels\":[", "\"tcbLevels\":[],\"x\":[", CCZ_E_FORMAT, Q},
    {CCZ_TEE_TDX, 0, "\"tcbLevels\":[", "\"tcbLevels\":[],\"x\":[", CCZ_E_FORMAT,
     T}, /* of a module */
    /* escapes: never in what is read */
    {CCZ_TEE_SGX, 0, "\"SWHardeningNeeded\"", "\"SWHardening\\u004eeeded\"", CCZ_E_FORMAT, T},
    {CCZ_TEE_SGX, 0, "\"INTEL-SA-00001\"", "\"INTEL\\u002dSA-00001\"", CCZ_E_FORMAT, T},
    {CCZ_TEE_SGX, 0, "\"id\":\"SGX\"", "\"id\":\"\\u0053GX\"", CCZ_E_FORMAT, T},
    {CCZ_TEE_SGX, 0, "\"tcbType\":0", "\"tcbType\":0,\"\\u0061\":1", CCZ_E_FORMAT, T},
    {CCZ_TEE_SGX, 0, "\"tcbType\":0", "\"tcbType\":0,\"future\":\"\\n\"", CCZ_OK, ""},
    /* what does not refuse: members of other names, and another order of levels (below) */
    {CCZ_TEE_SGX, 0, "\"tcbType\":0", "\"tcbType\":0,\"future\":{\"a\":[1,2]}", CCZ_OK, ""},
    {CCZ_TEE_SGX, 1, "\"isvprodid\":1", "\"isvprodid\":1,\"future\":null", CCZ_OK, ""},
    {CCZ_TEE_TDX, 0, "\"TDX_03\"", "\"TDX_aF\"", CCZ_OK, ""},
};

static void test_meaning(void)
{
    for (size_t i = 0; i < sizeof(meanings) / sizeof(meanings[0]); i++) {
        const struct meaning *m = &meanings[i];
        struct kit k;
        struct kit_cfg cfg;
        struct ccz_claims claims;
        struct ccz_err err = {0};
        kit_default(&cfg, m->tee, m->tee == CCZ_TEE_SGX ? 3 : 4);
        (m->qe ? cfg.qe_edit : cfg.tcb_edit)[0] = (struct kit_edit){m->from, m->to};
        kit_new(&k, &cfg);
        ccz_rc rc = kit_verify(&claims, &k, &err);
        if (rc != m->rc || (rc && strcmp(err.where, m->where) != 0))
            fprintf(stderr, "%s -> %s: %s at %s: %s\n", m->from, m->to, ccz_rc_name(rc), err.where,
                    err.msg);
        CHECK(rc == m->rc && (rc == CCZ_OK || strcmp(err.where, m->where) == 0));
        kit_free(&k);
    }
}

/* ---------------------------------------------------------------------------------- levels */

static enum ccz_tcb_status verify_status(struct ccz_claims *claims, const struct kit_cfg *cfg)
{
    struct kit k;
    struct ccz_err err = {0};
    kit_new(&k, cfg);
    ccz_rc rc = kit_verify(claims, &k, &err);
    if (rc != CCZ_OK)
        fprintf(stderr, "%s: %s\n", err.where, err.msg);
    CHECK(rc == CCZ_OK);
    kit_free(&k);
    return claims->tcb_status;
}

static bool has(const struct ccz_claims *c, const char *advisory)
{
    size_t n = 0;
    for (size_t i = 0; i < c->advisory_len; i++)
        n += strcmp(c->advisory[i], advisory) == 0;
    CHECK(n <= 1); /* never twice */
    return n == 1;
}

static int64_t date(const char *text)
{
    int64_t t;
    CHECK(ccz_time_parse(&t, text, strlen(text)) == CCZ_OK);
    return t;
}

static void test_levels(void)
{
    static const struct {
        uint8_t comp;
        uint16_t pce_svn;
        enum ccz_tcb_status status;
        const char *date;
        const char *advisory[2];
    } cases[] = {
        {255, 999, CCZ_TCB_UP_TO_DATE, "2024-01-01T00:00:00Z", {0}},
        {5, 11, CCZ_TCB_UP_TO_DATE, "2024-01-01T00:00:00Z", {0}},
        {5, 10, CCZ_TCB_SW_HARDENING_NEEDED, "2023-01-01T00:00:00Z", {"INTEL-SA-00001"}},
        {5, 9, CCZ_TCB_CONFIGURATION_NEEDED, "2022-01-01T00:00:00Z", {"INTEL-SA-00002"}},
        {4, 99, CCZ_TCB_CONFIGURATION_NEEDED, "2022-01-01T00:00:00Z", {"INTEL-SA-00002"}},
        {3,
         99,
         CCZ_TCB_CONFIGURATION_AND_SW_HARDENING_NEEDED,
         "2021-01-01T00:00:00Z",
         {"INTEL-SA-00001", "INTEL-SA-00002"}},
        {2, 99, CCZ_TCB_OUT_OF_DATE, "2020-01-01T00:00:00Z", {"INTEL-SA-00003"}},
        {1,
         6,
         CCZ_TCB_OUT_OF_DATE_CONFIGURATION_NEEDED,
         "2019-01-01T00:00:00Z",
         {"INTEL-SA-00003", "INTEL-SA-00002"}},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        for (int v2 = 0; v2 < 2; v2++) {
            struct kit_cfg cfg;
            struct ccz_claims c;
            kit_default(&cfg, CCZ_TEE_SGX, 3);
            memset(cfg.comp, cases[i].comp, sizeof(cfg.comp));
            cfg.pce_svn = cases[i].pce_svn;
            cfg.tcb_info_v2 = v2;
            CHECK(verify_status(&c, &cfg) == cases[i].status &&
                  c.platform_status == cases[i].status);
            CHECK(c.tcb_date_s == date(cases[i].date));
            size_t n = 0;
            for (; n < 2 && cases[i].advisory[n]; n++)
                CHECK(has(&c, cases[i].advisory[n]));
            CHECK(c.advisory_len == n);
        }
    }
    /* one component decides, whichever it is */
    for (size_t i = 0; i < 16; i++) {
        struct kit_cfg cfg;
        struct ccz_claims c;
        kit_default(&cfg, CCZ_TEE_SGX, 3);
        cfg.comp[i] = 2;
        CHECK(verify_status(&c, &cfg) == CCZ_TCB_OUT_OF_DATE);
    }
}

static void qe_out_of_date(uint8_t *r)
{
    r[258] = 7;
}

/* The QE and the TDX module pull the platform's status down; parts, date and advisories say why. */
static void test_parts(void)
{
    struct kit_cfg cfg;
    struct ccz_claims c;
    kit_default(&cfg, CCZ_TEE_SGX, 3);
    cfg.pce_svn = 10;
    cfg.edit_qe = qe_out_of_date;
    CHECK(verify_status(&c, &cfg) == CCZ_TCB_OUT_OF_DATE && c.qe_status == CCZ_TCB_OUT_OF_DATE);
    CHECK(c.platform_status == CCZ_TCB_SW_HARDENING_NEEDED && c.qe_isv_svn == 7);
    CHECK(c.advisory_len == 2 && has(&c, "INTEL-SA-00001") && has(&c, "INTEL-SA-00006"));
    CHECK(c.tcb_date_s == date("2021-11-10T00:00:00Z"));
    /* an advisory that both list appears once */
    cfg.qe_edit[0] = (struct kit_edit){"INTEL-SA-00006", "INTEL-SA-00001"};
    CHECK(verify_status(&c, &cfg) == CCZ_TCB_OUT_OF_DATE && c.advisory_len == 1);

    kit_default(&cfg, CCZ_TEE_TDX, 4);
    cfg.tee_tcb_svn[0] = 3; /* between the module's levels 4 and 2 */
    CHECK(verify_status(&c, &cfg) == CCZ_TCB_OUT_OF_DATE && c.module_status == CCZ_TCB_OUT_OF_DATE);
    CHECK(c.platform_status == CCZ_TCB_UP_TO_DATE && has(&c, "INTEL-SA-00005") &&
          c.advisory_len == 1);
    CHECK(c.tcb_date_s == date("2023-08-09T00:00:00Z"));
    /* components 0 and 1 belong to the module: the platform level asks for 4 there and is reached
     * with 3 */

    cfg.tee_tcb_svn[1] =
        0; /* a module of version 0 has no levels; then the platform's component 0 counts */
    CHECK(verify_status(&c, &cfg) == CCZ_TCB_CONFIGURATION_NEEDED &&
          c.module_status == CCZ_TCB_NONE);
    cfg.tee_tcb_svn[0] = 4;
    CHECK(verify_status(&c, &cfg) == CCZ_TCB_UP_TO_DATE);
    cfg.tcb_edit[0] =
        (struct kit_edit){"\"tdxModuleIdentities\"", "\"future\""}; /* as TCB info of 2023 */
    CHECK(verify_status(&c, &cfg) == CCZ_TCB_UP_TO_DATE);
    cfg.tee_tcb_svn[2] = 4; /* late microcode */
    CHECK(verify_status(&c, &cfg) == CCZ_TCB_CONFIGURATION_NEEDED);
}

/* Launched on an old TCB, running on a new one, and the other way round. */
static void test_launch(void)
{
    struct kit_cfg cfg;
    struct ccz_claims c;
    kit_default(&cfg, CCZ_TEE_TDX, 5);
    cfg.tee_tcb_svn[0] = 2;
    CHECK(verify_status(&c, &cfg) == CCZ_TCB_TD_RELAUNCH_ADVISED);
    CHECK(c.module_status == CCZ_TCB_OUT_OF_DATE && has(&c, "INTEL-SA-00005"));
    cfg.comp[3] = 4; /* both evaluations: ConfigurationNeeded */
    CHECK(verify_status(&c, &cfg) == CCZ_TCB_TD_RELAUNCH_ADVISED_CONFIGURATION_NEEDED);
    kit_default(&cfg, CCZ_TEE_TDX, 5);
    cfg.tee_tcb_svn2[0] = 2;
    CHECK(verify_status(&c, &cfg) == CCZ_TCB_OUT_OF_DATE);
    CHECK(c.module_status == CCZ_TCB_UP_TO_DATE && has(&c, "INTEL-SA-00005"));
    kit_default(&cfg, CCZ_TEE_TDX, 5);
    cfg.body_type = 2; /* no TEE_TCB_SVN2 there */
    cfg.tee_tcb_svn[0] = 2;
    CHECK(verify_status(&c, &cfg) == CCZ_TCB_OUT_OF_DATE);
}

/* The mask says which SEAM attributes the published value is about. */
static void seam_attribute(uint8_t *b)
{
    b[112] = 1;
}
static void test_module_mask(void)
{
    static const struct {
        const char *attributes, *mask;
        bool set, ok;
    } cases[] = {
        {"00", "FF", false, true},  {"00", "FF", true, false}, {"01", "FF", true, true},
        {"01", "FF", false, false}, {"01", "FE", false, true}, {"00", "FE", true, false},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct kit k;
        struct kit_cfg cfg;
        struct ccz_claims c;
        char to[128];
        kit_default(&cfg, CCZ_TEE_TDX, 4);
        cfg.edit_body = cases[i].set ? seam_attribute : NULL;
        cfg.tee_tcb_svn[1] = 0; /* uses tdxModule, the first in the document */
        (void)snprintf(
            to, sizeof(to),
            "\"attributes\":\"%s00000000000000\",\"attributesMask\":\"%sFFFFFFFFFFFFFF\"",
            cases[i].attributes, cases[i].mask);
        cfg.tcb_edit[0] = (struct kit_edit){
            "\"attributes\":\"0000000000000000\",\"attributesMask\":\"FFFFFFFFFFFFFFFF\"", to};
        kit_new(&k, &cfg);
        CHECK((kit_verify(&c, &k, NULL) == CCZ_OK) == cases[i].ok);
        kit_free(&k);
    }
}

/* ------------------------------------------------------------------------ rules as matrices */

#define UP CCZ_TCB_UP_TO_DATE
#define SW CCZ_TCB_SW_HARDENING_NEEDED
#define CO CCZ_TCB_CONFIGURATION_NEEDED
#define CS CCZ_TCB_CONFIGURATION_AND_SW_HARDENING_NEEDED
#define OD CCZ_TCB_OUT_OF_DATE
#define OC CCZ_TCB_OUT_OF_DATE_CONFIGURATION_NEEDED
#define RV CCZ_TCB_REVOKED
#define RA CCZ_TCB_TD_RELAUNCH_ADVISED
#define RC CCZ_TCB_TD_RELAUNCH_ADVISED_CONFIGURATION_NEEDED

static void test_converge(void)
{
    /* platform, with all parts up to date, with one out of date, with one revoked */
    static const enum ccz_tcb_status rows[][4] = {
        {UP, UP, OD, RV}, {SW, SW, OD, RV}, {CO, CO, OC, RV}, {CS, CS, OC, RV},
        {OD, OD, OD, RV}, {OC, OC, OC, RV}, {RV, RV, RV, RV},
    };
    for (size_t i = 0; i < 7; i++) {
        const enum ccz_tcb_status *r = rows[i];
        CHECK(cczi_tcb_converge(r[0], UP, CCZ_TCB_NONE) == r[1]); /* SGX has no module */
        CHECK(cczi_tcb_converge(r[0], UP, UP) == r[1]);
        CHECK(cczi_tcb_converge(r[0], OD, CCZ_TCB_NONE) == r[2]);
        CHECK(cczi_tcb_converge(r[0], OD, UP) == r[2] && cczi_tcb_converge(r[0], UP, OD) == r[2]);
        CHECK(cczi_tcb_converge(r[0], OD, OD) == r[2]);
        CHECK(cczi_tcb_converge(r[0], RV, OD) == RV && cczi_tcb_converge(r[0], OD, RV) == RV);
        CHECK(cczi_tcb_converge(r[0], RV, CCZ_TCB_NONE) == r[3] &&
              cczi_tcb_converge(r[0], UP, RV) == r[3]);
    }
    /* launch in rows, current in columns */
    static const enum ccz_tcb_status order[7] = {UP, SW, CO, CS, OD, OC, RV};
    static const enum ccz_tcb_status relaunch[7][7] = {
        {UP, UP, UP, UP, OD, OC, RV}, {SW, SW, SW, SW, OD, OC, RV}, {CO, CO, CO, CO, OD, OC, RV},
        {CS, CS, CS, CS, OD, OC, RV}, {RA, RA, RC, RC, OD, OD, RV}, {RC, RC, RC, RC, OC, OC, RV},
        {RV, RV, RV, RV, RV, RV, RV},
    };
    for (size_t i = 0; i < 7; i++) {
        for (size_t n = 0; n < 7; n++)
            CHECK(cczi_tcb_relaunch(order[i], order[n]) == relaunch[i][n]);
    }
}

static enum ccz_tcb_status status_from(const char *name)
{
    return cczi_tcb_status_from(ccz_span_str(name));
}

static void test_names(void)
{
    for (int s = CCZ_TCB_UP_TO_DATE; s <= CCZ_TCB_REVOKED; s++)
        CHECK(status_from(ccz_tcb_status_name((enum ccz_tcb_status)s)) == (enum ccz_tcb_status)s);
    CHECK(strcmp(ccz_tcb_status_name(CCZ_TCB_NONE), "None") == 0);
    CHECK(status_from("None") == CCZ_TCB_NONE && status_from("") == CCZ_TCB_NONE);
    CHECK(strcmp(ccz_tee_name(CCZ_TEE_NONE), "none") == 0 &&
          strcmp(ccz_tee_name(CCZ_TEE_SGX), "sgx") == 0);
    CHECK(strcmp(ccz_tee_name(CCZ_TEE_TDX), "tdx") == 0 &&
          strcmp(ccz_tee_name(CCZ_TEE_SNP), "snp") == 0);
}

/* --------------------------------------------------------------- matching against the definition
 */

static uint32_t seed = 20250615;
static uint32_t rnd(uint32_t below)
{
    seed = seed * 1664525u + 1013904223u;
    return (seed >> 8) % below;
}

/* The definition, without sorting: of all levels that are reached, the greatest one. */
static const struct cczi_tcb_level *best(const struct cczi_tcb_level *l, size_t len,
                                         const struct cczi_pck *p)
{
    const struct cczi_tcb_level *found = NULL;
    for (size_t i = 0; i < len; i++) {
        bool ok = p->pce_svn >= l[i].pce_svn;
        for (int c = 0; c < 16; c++)
            ok = ok && p->comp_svn[c] >= l[i].sgx[c];
        int d = found ? memcmp(l[i].sgx, found->sgx, 16) : 1;
        if (ok && (d > 0 || (d == 0 && l[i].pce_svn > found->pce_svn)))
            found = &l[i];
    }
    return found;
}

static void test_matching(void)
{
    size_t matched = 0, none = 0;
    for (int round = 0; round < 2000; round++) {
        struct cczi_tcb_level plain[8] = {0};
        size_t len = 1 + rnd(8);
        CCZ_AUTO_BUF text;
        ccz_buf_init(&text, 65536);
        ccz_buf_put_str(&text,
                        "{\"version\":2,\"issueDate\":\"2025-01-01T00:00:00Z\",\"nextUpdate\":"
                        "\"2025-02-01T00:00:00Z\",\"fmspc\":\"000000000000\",\"pceId\":\"0000\","
                        "\"tcbType\":0,\"tcbEvaluationDataNumber\":1,\"tcbLevels\":[");
        for (size_t i = 0; i < len; i++) {
            ccz_buf_printf(&text, "%s{\"tcb\":{", i ? "," : "");
            for (unsigned c = 0; c < 16; c++) {
                plain[i].sgx[c] = c < 2 ? (uint8_t)rnd(3) : 1;
                ccz_buf_printf(&text, "\"sgxtcbcomp%02usvn\":%u,", c + 1, plain[i].sgx[c]);
            }
            plain[i].pce_svn = (uint16_t)(10 * i + rnd(10)); /* no two the same */
            plain[i].level.date_s = (int64_t)i;
            ccz_buf_printf(&text,
                           "\"pcesvn\":%u},\"tcbDate\":\"1970-01-01T00:00:%02zuZ\",\"tcbStatus\":"
                           "\"UpToDate\"}",
                           plain[i].pce_svn, i);
        }
        ccz_buf_put_str(&text, "]}");
        CCZ_AUTO(ccz_jdoc) json = NULL;
        struct cczi_tcb_info info;
        CHECK(ccz_jdoc_parse(&json, ccz_buf_span(&text), NULL) == CCZ_OK);
        CHECK(cczi_tcb_info_read(&info, ccz_jdoc_root(json), NULL) == CCZ_OK);
        struct cczi_pck pck = {.pce_svn = (uint16_t)rnd(90)};
        memset(pck.comp_svn, 1, 16);
        pck.comp_svn[0] = (uint8_t)rnd(3);
        pck.comp_svn[1] = (uint8_t)rnd(3);
        const struct cczi_level qe = {.status = CCZ_TCB_UP_TO_DATE, .date_s = INT64_MAX};
        struct cczi_tcb_verdict v;
        const struct cczi_tcb_level *want = best(plain, len, &pck);
        ccz_rc rc = cczi_tcb_evaluate(&v, &info, &pck, NULL, &qe, NULL);
        CHECK(rc == (want ? CCZ_OK : CCZ_E_MISMATCH));
        CHECK(!want || v.date_s == want->level.date_s);
        matched += want != NULL;
        none += want == NULL;
        cczi_tcb_info_deinit(&info);
    }
    CHECK(matched > 500 && none > 200); /* the test tests both */
}

/* ------------------------------------------------------------------------------ advisories */

static void put_advisories(char *out, size_t size, unsigned from, unsigned len)
{
    size_t n = 0;
    for (unsigned i = 0; i < len && n < size; i++)
        n += (size_t)snprintf(out + n, size - n, "%s\"A-%u\"", i ? "," : "", from + i);
}

static void test_advisories(void)
{
    static char many[4096], tcb[4200], qe[4200];
    struct kit_cfg cfg;
    struct kit k;
    struct ccz_claims c;
    struct ccz_err err = {0};
    kit_default(&cfg, CCZ_TEE_SGX, 3);
    cfg.pce_svn = 10;
    cfg.edit_qe = qe_out_of_date;
    put_advisories(many, sizeof(many), 0, 40);
    cfg.tcb_edit[0] = (struct kit_edit){"\"INTEL-SA-00001\"", strcpy(tcb, many)};
    put_advisories(many, sizeof(many), 40, CCZ_ADVISORIES_MAX - 40);
    cfg.qe_edit[0] = (struct kit_edit){"\"INTEL-SA-00006\"", strcpy(qe, many)};
    CHECK(verify_status(&c, &cfg) == CCZ_TCB_OUT_OF_DATE && c.advisory_len == CCZ_ADVISORIES_MAX);
    CHECK(has(&c, "A-0") && has(&c, "A-63"));
    /* one more is an error, never silently dropped */
    put_advisories(many, sizeof(many), 40, CCZ_ADVISORIES_MAX - 39);
    cfg.qe_edit[0].to = strcpy(qe, many);
    kit_new(&k, &cfg);
    CHECK(kit_verify(&c, &k, &err) == CCZ_E_LIMIT && strcmp(err.where, "quote:advisories") == 0);
    kit_free(&k);
    put_advisories(many, sizeof(many), 0, CCZ_ADVISORIES_MAX + 1);
    cfg.qe_edit[0].to = strcpy(qe, many);
    kit_new(&k, &cfg);
    CHECK(kit_verify(&c, &k, &err) == CCZ_E_LIMIT &&
          strcmp(err.where, "collateral:qe-identity") == 0);
    kit_free(&k);
}

/* --------------------------------------------------------------------------------- as JSON */

static void test_claims_json(void)
{
    for (int td = 0; td < 2; td++) {
        struct kit_cfg cfg;
        struct ccz_claims c;
        kit_default(&cfg, td ? CCZ_TEE_TDX : CCZ_TEE_SGX, td ? 5 : 3);
        cfg.pce_svn = 10;
        (void)verify_status(&c, &cfg);
        CCZ_AUTO_BUF text;
        CCZ_AUTO(ccz_json) json = NULL;
        ccz_buf_init(&text, 65536);
        ccz_claims_json(&text, &c);
        CHECK(!text.bad && ccz_json_parse(&json, ccz_buf_span(&text), NULL) == CCZ_OK);
        int64_t n;
        bool b;
        CHECK(strcmp(ccz_json_str(ccz_json_get(json, "tee")), td ? "tdx" : "sgx") == 0);
        CHECK(ccz_json_int(&n, ccz_json_get(json, "quote_version")) && n == (td ? 5 : 3));
        CHECK(ccz_json_bool(&b, ccz_json_get(json, "simulated")) && b);
        CHECK(ccz_json_bool(&b, ccz_json_get(json, "debug")) && !b);
        CHECK(strcmp(ccz_json_str(ccz_json_get(json, "tcb_status")), "SWHardeningNeeded") == 0);
        CHECK(strcmp(ccz_json_str(ccz_json_get(json, "module_status")), td ? "UpToDate" : "None") ==
              0);
        CHECK(ccz_json_len(ccz_json_get(json, "advisories")) == 1);
        CHECK(strcmp(ccz_json_str(ccz_json_get(json, "tcb_date")), "2023-01-01T00:00:00Z") == 0);
        CHECK(strcmp(ccz_json_str(ccz_json_get(json, "fmspc")), "00906ed50001") == 0);
        CHECK((ccz_json_get(json, "mrenclave") != NULL) == !td);
        CHECK((ccz_json_get(json, "mrtd") != NULL) == (td != 0));
        CHECK(ccz_json_len(ccz_json_get(json, "rtmr")) == (td ? 4 : 0));
    }
}

static void set_debug(uint8_t *body)
{
    body[48] |= 2;
}
static void set_td_debug(uint8_t *body)
{
    body[120] |= 0x80; /* any bit of the debug group */
}

static void test_debug(void)
{
    struct kit_cfg cfg;
    struct ccz_claims c;
    kit_default(&cfg, CCZ_TEE_SGX, 3);
    cfg.edit_body = set_debug;
    CHECK(verify_status(&c, &cfg) == CCZ_TCB_UP_TO_DATE && c.debug);
    kit_default(&cfg, CCZ_TEE_TDX, 4);
    cfg.edit_body = set_td_debug;
    CHECK(verify_status(&c, &cfg) == CCZ_TCB_UP_TO_DATE && c.debug);
}

static const struct ccz_test tests[] = {
    {"tcb.signed", test_signed},
    {"tcb.envelope", test_envelope},
    {"tcb.meaning", test_meaning},
    {"tcb.levels", test_levels},
    {"tcb.parts", test_parts},
    {"tcb.launch", test_launch},
    {"tcb.module_mask", test_module_mask},
    {"tcb.converge", test_converge},
    {"tcb.names", test_names},
    {"tcb.matching", test_matching},
    {"tcb.advisories", test_advisories},
    {"tcb.claims_json", test_claims_json},
    {"tcb.debug", test_debug},
};

int main(int argc, char **argv)
{
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
