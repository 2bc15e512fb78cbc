/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Collateral whose signer says something else: no field is without meaning. Each value of TCB info
 * and QE identity is changed, the document signed again, and the outcome (refusal, status, dates,
 * advisories) must be another one, under a platform that the value is about. What may be changed
 * without an effect is listed in may_be_idle().
 */
#include "quote/json_walk.h"
#include "quote/kit.h"

#include "ccz_test.h"

enum { QE_ISVSVN = 258, QE_MISCSELECT = 16, QE_ATTRIBUTES = 48, TD_SEAM_ATTRIBUTES = 112 };

/* ------------------------------------------------------------------------------- outcomes */

struct outcome {
    ccz_rc rc;
    char where[CCZ_ERR_WHERE_SIZE], got[CCZ_ERR_VALUE_SIZE];
    struct ccz_claims claims;
};

static void judge(struct outcome *o, const struct kit *k, const struct ccz_collateral_src *src)
{
    CCZ_AUTO(ccz_collateral) c = NULL;
    struct ccz_err err = {0};
    memset(o, 0, sizeof(*o));
    o->rc = ccz_collateral_new(&c, src, &k->roots, &err);
    const struct ccz_verify_cfg cfg = {.now_s = KIT_NOW_S, .roots = &k->roots, .collateral = c};
    if (o->rc == CCZ_OK)
        o->rc = ccz_quote_verify(&o->claims, ccz_buf_span(&k->quote), &cfg, &err);
    if (o->rc != CCZ_OK) {
        strcpy(o->where, err.where);
        strcpy(o->got, err.got);
    }
}

static bool same(const struct outcome *a, const struct outcome *b)
{
    return a->rc == b->rc && strcmp(a->where, b->where) == 0 && strcmp(a->got, b->got) == 0 &&
           memcmp(&a->claims, &b->claims, sizeof(a->claims)) == 0;
}

/* ------------------------------------------------------------------------- worlds of the kit */

static uint8_t qe_isvsvn;
static void edit_qe(uint8_t report[384])
{
    report[QE_ISVSVN] = qe_isvsvn;
    memset(report + QE_MISCSELECT, 0xff, 4); /* so that each bit of a mask counts */
}

static void edit_body(uint8_t *body)
{
    memset(body + TD_SEAM_ATTRIBUTES, 0xff, 8);
}

/* Platforms that are exactly at each level of the kit's TCB info. */
static const struct level {
    uint8_t comp, pce_svn, tdx[3];
} levels[] = {{5, 11, {4, 0, 5}}, {5, 10, {4, 0, 5}}, {4, 9, {3, 0, 4}}, {3, 8, {3, 0, 3}},
              {2, 7, {2, 0, 2}},  {1, 6, {1, 0, 1}},  {1, 5, {1, 0, 1}}};
enum { LEVELS = sizeof(levels) / sizeof(levels[0]), REVOKED = LEVELS - 1 };

/* TCB info or QE identity of one world, being changed. */
struct target {
    struct kit k;
    bool qe;
    const char *about; /* the values that this world is about */
    struct outcome before;
    struct ccz_span inner;
    struct ccz_buf changed;
    size_t n, idle;
};

static void target_new(struct target *t, const struct kit_cfg *cfg, bool qe, const char *about)
{
    *t = (struct target){.qe = qe, .about = about};
    kit_new(&t->k, cfg);
    judge(&t->before, &t->k, &t->k.src);
    t->inner = qe ? ccz_json_raw_member(ccz_buf_span(&t->k.qe_identity), "enclaveIdentity")
                  : ccz_json_raw_member(ccz_buf_span(&t->k.tcb_info), "tcbInfo");
    CHECK(t->inner.size > 0);
    ccz_buf_init(&t->changed, 1 << 20);
}

static void target_free(struct target *t)
{
    CHECK(t->n > 0);
    ccz_buf_free(&t->changed);
    kit_free(&t->k);
}

static void sign_again(struct outcome *o, const struct target *t)
{
    CCZ_AUTO_BUF doc;
    struct ccz_collateral_src src = t->k.src;
    kit_sign_json(&doc, t->qe ? "enclaveIdentity" : "tcbInfo", ccz_buf_span(&t->changed));
    *(t->qe ? &src.qe_identity : &src.tcb_info) = ccz_buf_span(&doc);
    judge(o, &t->k, &src);
}

static bool ends(const char *path, const char *with)
{
    size_t a = strlen(path), b = strlen(with);
    return a >= b && strcmp(path + a - b, with) == 0;
}

/*
 * What has no effect by design:
 *  - dates, advisories and status of a Revoked level that matched: the refusal is all there is to say
 *  - an advisory that is listed twice
 */
static bool may_be_idle(const struct target *t, const char *path, const char *how)
{
    if (strcmp(how, "doubled") == 0 && strstr(path, "advisoryIDs["))
        return true;
    return ends(t->before.where, "tcb-revoked") &&
           (ends(path, ".tcbDate") || strstr(path, ".advisoryIDs"));
}

static void check_effect(struct target *t, const char *path, const char *how)
{
    struct outcome after;
    sign_again(&after, t);
    bool idle = same(&t->before, &after);
    if (idle && !may_be_idle(t, path, how))
        fprintf(stderr, "%s %s: no effect (%s %s)\n", path, how, ccz_rc_name(after.rc),
                after.where);
    CHECK(!idle || may_be_idle(t, path, how));
    t->idle += idle;
    t->n++;
}

static void replace(struct target *t, const struct walk_value *v, struct ccz_span part,
                    const char *with, const char *how)
{
    walk_replace(&t->changed, t->inner, part, with);
    check_effect(t, v->path, how);
}

/* -------------------------------------------------------------------------------- changes */

/* A prefix of the path, or with "=" behind it the whole of it. */
static bool is_about(const char *about, const char *path)
{
    size_t size = strlen(about);
    return about[size - 1] == '=' ? strlen(path) == size - 1 && strncmp(path, about, size - 1) == 0
                                  : strncmp(path, about, size) == 0;
}

static void change_date(struct target *t, const struct walk_value *v)
{
    bool until = ends(v->path, "nextUpdate");
    /* nextUpdate: the second after now, and a past one; the others: an older one */
    replace(t, v, v->value, until ? "2025-06-15T15:06:41Z" : "2001-01-01T00:00:00Z", "earlier");
    if (ends(v->path, "issueDate") || until)
        replace(t, v, v->value, until ? "2025-06-15T15:06:39Z" : "2025-06-15T15:06:41Z",
                "beside now");
    replace(t, v, v->value, "2025-06-15 15:06:41", "malformed");
}

static void change_status(struct target *t, const struct walk_value *v)
{
    static const char *const statuses[] = {
        "UpToDate",
        "SWHardeningNeeded",
        "ConfigurationNeeded",
        "ConfigurationAndSWHardeningNeeded",
        "OutOfDate",
        "OutOfDateConfigurationNeeded",
        "Revoked",
        "upToDate",
        "",
    };
    for (size_t i = 0; i < sizeof(statuses) / sizeof(statuses[0]); i++)
        if (!ccz_span_eq(v->value, ccz_span_str(statuses[i])))
            replace(t, v, v->value, statuses[i], statuses[i]);
}

static char other(char c)
{
    return c == '9' || c == 'F' || c == 'f' ? (char)(c - 1) : (char)(c + 1);
}

static void change_string(struct target *t, const struct walk_value *v)
{
    if (ends(v->path, "Date") || ends(v->path, "nextUpdate")) {
        change_date(t, v);
    } else if (ends(v->path, ".tcbStatus")) {
        change_status(t, v);
    } else if (!ends(v->path, "Mask")) { /* test_masks */
        for (size_t i = 0; i < v->value.size; i++) {
            char with[2] = {other((char)v->value.ptr[i]), 0};
            replace(t, v, CCZ_SPAN(v->value.ptr + i, 1), with, "changed");
        }
    }
}

static void change(void *arg, const struct walk_value *v)
{
    struct target *t = arg;
    if (!is_about(t->about, v->path))
        return;
    CCZ_AUTO_BUF text;
    ccz_buf_init(&text, 1 << 20);
    ccz_buf_printf(&text, "%.*s,%.*s", (int)v->whole.size, (const char *)v->whole.ptr,
                   (int)v->whole.size, (const char *)v->whole.ptr);
    replace(t, v, v->whole, ccz_buf_str(&text), "doubled");
    replace(t, v, v->with_comma, "", "removed");
    replace(t, v, v->whole.size == v->value.size ? v->value : v->whole,
            v->whole.ptr[0] == '"' && v->type != '"' ? "\"other\":null" : "null", "replaced");
    if (v->type == 'n') {
        ccz_buf_clear(&text);
        ccz_buf_printf(&text, "%lld", strtoll((const char *)v->value.ptr, NULL, 10) + 1);
        replace(t, v, v->value, ccz_buf_str(&text), "raised");
    }
    if (v->type == '"')
        change_string(t, v);
}

static void run(struct target *t)
{
    walk_json(t->inner, change, t);
}

/* ------------------------------------------------------------------------------- TCB info */

/* The document's own dates are the first ones to end, so that they show. */
static void default_world(struct kit_cfg *cfg, enum ccz_tee tee, bool qe)
{
    kit_default(cfg, tee, tee == CCZ_TEE_SGX ? 3 : 4);
    struct kit_dates *d = qe ? &cfg->qe_identity : &cfg->tcb_info;
    d->from_s -= 60;
    d->until_s -= 60;
    if (!qe) /* the lower number of both shows */
        cfg->qe_edit[0] =
            (struct kit_edit){"\"tcbEvaluationDataNumber\":17", "\"tcbEvaluationDataNumber\":99"};
}

static void at_level(struct kit_cfg *cfg, size_t i)
{
    memset(cfg->comp, levels[i].comp, sizeof(cfg->comp));
    cfg->pce_svn = levels[i].pce_svn;
    memset(cfg->tee_tcb_svn, 0, sizeof(cfg->tee_tcb_svn));
    memcpy(cfg->tee_tcb_svn, levels[i].tdx, 3); /* module major version 0: no module of its own */
}

static void one_world(size_t *n, const struct kit_cfg *cfg, bool qe, const char *about)
{
    struct target t;
    target_new(&t, cfg, qe, about);
    run(&t);
    *n += t.n;
    target_free(&t);
}

static const char *const tcb_names[] = {
    "id",         "version", "issueDate", "nextUpdate",
    "fmspc",      "pceId",   "tcbType",   "tcbEvaluationDataNumber",
    "tcbLevels=",
};
enum { TCB_NAMES = sizeof(tcb_names) / sizeof(tcb_names[0]) };

static void test_tcb_info(void)
{
    size_t n = 0;
    for (int td = 0; td < 2; td++) {
        struct kit_cfg cfg;
        default_world(&cfg, td ? CCZ_TEE_TDX : CCZ_TEE_SGX, false);
        for (size_t i = 0; i < TCB_NAMES; i++)
            one_world(&n, &cfg, false, tcb_names[i]);
        for (size_t i = 0; i < LEVELS; i++) {
            char about[32];
            (void)snprintf(about, sizeof(about), "tcbLevels[%zu]", i);
            at_level(&cfg, i);
            one_world(&n, &cfg, false, about);
        }
    }
    printf("%zu changes\n", n);
}

static void test_tcb_info_v2(void)
{
    size_t n = 0;
    struct kit_cfg cfg;
    default_world(&cfg, CCZ_TEE_SGX, false);
    cfg.tcb_info_v2 = true;
    for (size_t i = 0; i < LEVELS; i++) {
        char about[32];
        (void)snprintf(about, sizeof(about), "tcbLevels[%zu]", i);
        at_level(&cfg, i);
        one_world(&n, &cfg, false, about);
    }
    one_world(&n, &cfg, false, "tcbType");
    one_world(&n, &cfg, false, "version");
    printf("%zu changes\n", n);
}

/* Attributes of the module are all ones in these worlds, so that each bit of the masks counts. */
#define F16 "\"attributes\":\"0000000000000000\""
#define T16 "\"attributes\":\"FFFFFFFFFFFFFFFF\""

static void module_world(struct kit_cfg *cfg, uint8_t major, uint8_t svn)
{
    default_world(cfg, CCZ_TEE_TDX, false);
    cfg->tee_tcb_svn[0] = svn;
    cfg->tee_tcb_svn[1] = major;
    cfg->edit_body = edit_body;
    for (int i = 0; i < KIT_EDITS; i++) /* tdxModule, TDX_03, TDX_01 */
        cfg->tcb_edit[i] = (struct kit_edit){F16, T16};
}

static const struct {
    uint8_t major, svn;
    const char *about;
} module_worlds[] = {
    {0, 4, "tdxModule="},
    {0, 4, "tdxModule."},
    {1, 4, "tdxModuleIdentities="},
    {1, 4, "tdxModuleIdentities[1]="},
    {1, 4, "tdxModuleIdentities[1].id"},
    {1, 4, "tdxModuleIdentities[1].mrsigner"},
    {1, 4, "tdxModuleIdentities[1].attributes"},
    {1, 4, "tdxModuleIdentities[1].tcbLevels="},
    {1, 4, "tdxModuleIdentities[1].tcbLevels[0]"},
    {1, 2, "tdxModuleIdentities[1].tcbLevels[1]"},
    {1, 1, "tdxModuleIdentities[1].tcbLevels[2]"},
    {3, 1, "tdxModuleIdentities[0]"},
};
enum { MODULE_WORLDS = sizeof(module_worlds) / sizeof(module_worlds[0]) };

static void test_modules(void)
{
    size_t n = 0;
    for (size_t i = 0; i < MODULE_WORLDS; i++) {
        struct kit_cfg cfg;
        module_world(&cfg, module_worlds[i].major, module_worlds[i].svn);
        one_world(&n, &cfg, false, module_worlds[i].about);
    }
    printf("%zu changes\n", n);
}

/* ---------------------------------------------------------------------------- QE identity */

static void qe_world(struct kit_cfg *cfg, enum ccz_tee tee, uint8_t isvsvn)
{
    default_world(cfg, tee, true);
    qe_isvsvn = isvsvn;
    cfg->edit_qe = edit_qe;
    cfg->qe_edit[0] =
        (struct kit_edit){"\"miscselect\":\"00000000\"", "\"miscselect\":\"FFFFFFFF\""};
}

static const struct {
    uint8_t isvsvn;
    const char *about;
} qe_worlds[] = {
    {8, "id"},           {8, "version"},    {8, "issueDate"},    {8, "nextUpdate"},
    {8, "tcbEval"},      {8, "misc"},       {8, "attributes"},   {8, "mrsigner"},
    {8, "isvprodid"},    {8, "tcbLevels="}, {8, "tcbLevels[0]"}, {6, "tcbLevels[1]"},
    {5, "tcbLevels[2]"},
};
enum { QE_WORLDS = sizeof(qe_worlds) / sizeof(qe_worlds[0]) };

static void test_qe_identity(void)
{
    size_t n = 0;
    for (int td = 0; td < 2; td++) {
        for (size_t i = 0; i < QE_WORLDS; i++) {
            struct kit_cfg cfg;
            qe_world(&cfg, td ? CCZ_TEE_TDX : CCZ_TEE_SGX, qe_worlds[i].isvsvn);
            one_world(&n, &cfg, true, qe_worlds[i].about);
        }
    }
    printf("%zu changes\n", n);
}

/* ------------------------------------------------------------------------------- coverage */

static void check_covered(void *arg, const struct walk_value *v)
{
    bool qe = *(const bool *)arg, covered = v->path[0] == 0;
    for (size_t i = 0; qe && i < QE_WORLDS; i++)
        covered |= is_about(qe_worlds[i].about, v->path);
    for (size_t i = 0; !qe && i < TCB_NAMES; i++)
        covered |= is_about(tcb_names[i], v->path);
    for (size_t i = 0; !qe && i < MODULE_WORLDS; i++)
        covered |= is_about(module_worlds[i].about, v->path);
    for (size_t i = 0; !qe && i < LEVELS; i++) {
        char about[32];
        (void)snprintf(about, sizeof(about), "tcbLevels[%zu]", i);
        covered |= is_about(about, v->path);
    }
    if (!covered)
        fprintf(stderr, "%s: no world is about it\n", v->path);
    CHECK(covered);
}

/* Every value of the documents is the subject of one of the tests. */
static void test_covered(void)
{
    for (int qe = 0; qe < 2; qe++) {
        struct target t;
        struct kit_cfg cfg;
        bool is_qe = qe;
        default_world(&cfg, CCZ_TEE_TDX, is_qe);
        target_new(&t, &cfg, is_qe, "");
        walk_json(t.inner, check_covered, &is_qe);
        t.n = 1;
        target_free(&t);
    }
}

/* ---------------------------------------------------------------------------------- masks */

/* Each bit of a mask that is set is cleared: the value it covers is then outside of the mask. */
struct mask {
    struct target *t;
    const char *name;
    const uint8_t *bits; /* that the reports have and the document asks for */
    size_t seen;
};

static void clear_bits(void *arg, const struct walk_value *v)
{
    struct mask *m = arg;
    if (strcmp(v->path, m->name) != 0)
        return;
    uint8_t value[16];
    size_t size = v->value.size / 2;
    CHECK(size <= sizeof(value) &&
          ccz_unhex(value, size, (const char *)v->value.ptr, v->value.size) == CCZ_OK);
    for (size_t bit = 0; bit < 8 * size; bit++) {
        char hex[2 * sizeof(value) + 1];
        uint8_t mask = (uint8_t)(1u << bit % 8);
        if (!(value[bit / 8] & m->bits[bit / 8] & mask))
            continue;
        value[bit / 8] ^= mask;
        ccz_hex(hex, value, size);
        value[bit / 8] ^= mask;
        replace(m->t, v, v->value, hex, "with a bit less");
        m->seen++;
    }
}

static void check_mask(const struct kit_cfg *cfg, bool qe, const char *name, const uint8_t *bits,
                       size_t want)
{
    struct target t;
    target_new(&t, cfg, qe, name);
    CHECK(t.before.rc == CCZ_OK);
    struct mask m = {.t = &t, .name = name, .bits = bits};
    walk_json(t.inner, clear_bits, &m);
    CHECK(m.seen == want);
    target_free(&t);
}

/* All attributes but DEBUG (bit 1 of byte 0), which no identity may allow. */
static void edit_qe_all(uint8_t report[384])
{
    edit_qe(report);
    memset(report + QE_ATTRIBUTES, 0xff, 16);
    report[QE_ATTRIBUTES] = 0xfd;
}

static void test_masks(void)
{
    static const uint8_t ones[16] = {0xfd, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
                                     0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
    struct kit_cfg cfg;
    module_world(&cfg, 0, 4);
    check_mask(&cfg, false, "tdxModule.attributesMask", ones + 1, 64);
    module_world(&cfg, 1, 4);
    check_mask(&cfg, false, "tdxModuleIdentities[1].attributesMask", ones + 1, 64);
    module_world(&cfg, 3, 1);
    check_mask(&cfg, false, "tdxModuleIdentities[0].attributesMask", ones + 1, 64);
    qe_world(&cfg, CCZ_TEE_SGX, 8);
    check_mask(&cfg, true, "miscselectMask", ones + 1, 32);
    cfg.edit_qe = edit_qe_all;
    cfg.qe_edit[1] =
        (struct kit_edit){"11000000000000000000000000000000", "FDFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF"};
    cfg.qe_edit[2] =
        (struct kit_edit){"FBFFFFFFFFFFFFFF0000000000000000", "FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF"};
    check_mask(&cfg, true, "attributesMask", ones, 127);
}

/* Bits outside of a mask are free, and only these: each one that the report has more. */
static size_t extra_bit;
static void edit_qe_bit(uint8_t report[384])
{
    report[QE_ATTRIBUTES + extra_bit / 8] ^= (uint8_t)(1u << extra_bit % 8);
}

static void test_masked_bits(void)
{
    static const uint8_t mask[16] = {0xfb, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
    for (extra_bit = 0; extra_bit < 128; extra_bit++) {
        struct kit k;
        struct kit_cfg cfg;
        struct ccz_claims claims;
        struct ccz_err err = {0};
        kit_default(&cfg, CCZ_TEE_SGX, 3);
        cfg.edit_qe = edit_qe_bit;
        kit_new(&k, &cfg);
        bool covered = mask[extra_bit / 8] >> extra_bit % 8 & 1;
        ccz_rc rc = kit_verify(&claims, &k, &err);
        /* the kit's QE has PROVISIONKEY (bit 4), which its identity asks for */
        CHECK(covered ? rc != CCZ_OK && strcmp(err.where, "quote:qe-attributes") == 0
                      : rc == CCZ_OK);
        kit_free(&k);
    }
}

static const struct ccz_test tests[] = {
    {"resigned.tcb_info", test_tcb_info},       {"resigned.tcb_info_v2", test_tcb_info_v2},
    {"resigned.modules", test_modules},         {"resigned.qe_identity", test_qe_identity},
    {"resigned.covered", test_covered},         {"resigned.masks", test_masks},
    {"resigned.masked_bits", test_masked_bits},
};

int main(int argc, char **argv)
{
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
