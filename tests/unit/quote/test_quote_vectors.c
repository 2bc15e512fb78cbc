/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Real evidence with published collateral. vector_verdicts.h has the verdict on all of it; statuses
 * are compared with those that a second implementation, written after Intel's library, recorded
 * with the vectors, and each difference must be explained in docs/design/verification.md.
 */
#define _DEFAULT_SOURCE
#include "quote/quote_priv.h"
#include "quote/vector_verdicts.h"
#include "quote/vectors.h"

#include "ccz_test.h"

#include <dirent.h>

/* For the cases without a recorded time: any, their collateral is incomplete. */
#define NOW_S INT64_C(1750000000)

/* Accepted although the reference has no verdict: a test root that it did not follow. */
static const char old_sample[] = "sgx3-intelqvl-sample-old-testroot";

/* ----------------------------------------------------------------------------------- files */

static bool begins(const char *name, const char *with)
{
    return strncmp(name, with, strlen(with)) == 0;
}

/* Whoever adds a folder says here or in vector_verdicts.h what it is. */
static int is_intel_set(const struct dirent *e)
{
    static const char *const others[] = {".", "INDEX.md", "snp", "neg-snp", "neg-json-openenclave"};
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
        if (begins(e->d_name, others[i]))
            return 0;
    return 1;
}

static const struct set_verdict *find_set(const char *name)
{
    for (size_t i = 0; i < SETS; i++)
        if (strcmp(set_verdicts[i].set, name) == 0)
            return &set_verdicts[i];
    fprintf(stderr, "%s: no verdict is listed for this folder\n", name);
    exit(1);
}

static const struct case_verdict *find_case(const char *name)
{
    for (size_t i = 0; i < CASES; i++)
        if (strcmp(case_verdicts[i].name, name) == 0)
            return &case_verdicts[i];
    fprintf(stderr, "%s: no verdict is listed for this case\n", name);
    exit(1);
}

/* Calls @p fn for every set of an Intel TEE; returns how many there are. */
static size_t each_set(void (*fn)(const char *set, struct ccz_span quote,
                                  const struct ccz_json *meta))
{
    struct dirent **list;
    int len = scandir(vectors_dir(), &list, is_intel_set, alphasort);
    CHECK(len > 0);
    for (int i = 0; i < len; i++) {
        CCZ_AUTO_BUF quote, text;
        CCZ_AUTO(ccz_json) meta = NULL;
        (void)find_set(list[i]->d_name);
        vectors_load(&quote, list[i]->d_name, "", "evidence.bin");
        vectors_load(&text, list[i]->d_name, "", "meta.json");
        CHECK(quote.size > 0 && ccz_json_parse(&meta, ccz_buf_span(&text), NULL) == CCZ_OK);
        fn(list[i]->d_name, ccz_buf_span(&quote), meta);
        free(list[i]);
    }
    free(list);
    return (size_t)len;
}

static ccz_rc bundle_verify(struct ccz_claims *claims, const struct bundle *b,
                            struct ccz_span quote, int64_t now_s, struct ccz_err *err)
{
    CCZ_AUTO(ccz_collateral) c = NULL;
    ccz_rc rc = ccz_collateral_new(&c, &b->src, &b->roots, err);
    if (rc == CCZ_OK)
        rc = ccz_quote_verify(
            claims, quote,
            &(struct ccz_verify_cfg){.now_s = now_s, .roots = &b->roots, .collateral = c}, err);
    return rc;
}

static bool in_list(const struct ccz_json *list, const char *text)
{
    for (size_t i = 0; i < ccz_json_len(list); i++) {
        if (strcmp(ccz_json_str(ccz_json_at(list, i)), text) == 0)
            return true;
    }
    return false;
}

static bool in_claims(const struct ccz_claims *c, const char *text)
{
    for (size_t i = 0; i < c->advisory_len; i++) {
        if (strcmp(c->advisory[i], text) == 0)
            return true;
    }
    return false;
}

/* Status, its parts and the advisories as the reference has them. */
static void check_reference(const struct ccz_claims *c, const struct ccz_json *ref)
{
    const struct ccz_json *launch = ccz_json_get(ref, "launch"),
                          *module = ccz_json_get(ref, "module_level");
    const struct ccz_json *lists[] = {ccz_json_at(launch, 1), ccz_json_get(ref, "qe_advisories"),
                                      ccz_json_at(module, 1)};
    CHECK(strcmp(ccz_tcb_status_name(c->tcb_status), ccz_json_str(ccz_json_get(ref, "qvl2026"))) ==
          0);
    CHECK(strcmp(ccz_tcb_status_name(c->platform_status), ccz_json_str(ccz_json_at(launch, 2))) ==
          0);
    CHECK(strcmp(ccz_tcb_status_name(c->qe_status), ccz_json_str(ccz_json_get(ref, "qe_status"))) ==
          0);
    if (ccz_json_at(module, 0))
        CHECK(strcmp(ccz_tcb_status_name(c->module_status), ccz_json_str(ccz_json_at(module, 0))) ==
              0);
    for (int l = 0; l < 3; l++) {
        for (size_t i = 0; i < ccz_json_len(lists[l]); i++)
            CHECK(in_claims(c, ccz_json_str(ccz_json_at(lists[l], i))));
    }
    for (size_t i = 0; i < c->advisory_len; i++)
        CHECK(in_list(lists[0], c->advisory[i]) || in_list(lists[1], c->advisory[i]) ||
              in_list(lists[2], c->advisory[i]));
}

static void check_facts(const struct ccz_claims *c, const struct ccz_json *meta)
{
    const struct ccz_json *facts = ccz_json_get(meta, "quote_facts"),
                          *pck = ccz_json_get(meta, "pck_facts");
    char hex[33];
    bool debug;
    int64_t n;
    CHECK(ccz_json_bool(&debug, ccz_json_get(facts, "debug")) && debug == c->debug);
    CHECK(ccz_json_int(&n, ccz_json_get(facts, "ver")) && n == c->quote_version);
    CHECK(ccz_json_int(&n, ccz_json_get(facts, "qe_isvsvn")) && n == c->qe_isv_svn);
    CHECK(!c->simulated);
    ccz_hex(hex, c->fmspc, 6);
    CHECK(strcmp(hex, ccz_json_str(ccz_json_get(pck, "fmspc"))) == 0);
    ccz_hex(hex, c->pce_id, 2);
    CHECK(strcmp(hex, ccz_json_str(ccz_json_get(pck, "pceid"))) == 0);
    ccz_hex(hex, c->cpu_svn, 16);
    CHECK(strcmp(hex, ccz_json_str(ccz_json_get(pck, "cpusvn"))) == 0);
}

/* -------------------------------------------------------------- what was recorded, and why not */

enum { DOC_SIZE_MAX = 1 << 20 };

/* A verdict that is not the recorded one, and every refusal, has its reason in the design notes. */
static void check_explained(const char *name)
{
    static struct ccz_buf doc;
    if (doc.size == 0) {
        ccz_buf_init(&doc, DOC_SIZE_MAX);
        CHECK(ccz_file_read(&doc, CCZ_TEST_SOURCE_DIR "/docs/design/verification.md", NULL) ==
              CCZ_OK);
    }
    size_t size = strlen(name);
    for (const char *at = ccz_buf_str(&doc); (at = strstr(at, name)); at += size) {
        if (at[size] != '-' && !(at[size] >= 'a' && at[size] <= 'z')) /* not part of a longer one */
            return;
    }
    fprintf(stderr, "%s: docs/design/verification.md does not say why\n", name);
    exit(1);
}

static bool check_failed(const char *key, const struct ccz_json *value)
{
    bool v;
    size_t size = strlen(key);
    bool revoked = size > 8 && strcmp(key + size - 8, "_revoked") == 0;
    if (ccz_json_bool(&v, value))
        return v == revoked;
    const char *text = ccz_json_str(value);
    return text && strcmp(text, "ok") != 0;
}

/* The recorded verdict: a status, "refused", or NULL if there is none. */
static const char *recorded_case(const struct ccz_json *one)
{
    const struct ccz_json *ref = ccz_json_get(one, "reference_evaluation");
    const struct ccz_json *checks = ccz_json_get(ref, "checks");
    const char *status = ccz_json_str(ccz_json_get(ref, "qvl2026"));
    for (size_t i = 0; i < ccz_json_len(checks); i++) {
        const char *key;
        const struct ccz_json *value = ccz_json_member(&key, checks, i);
        if (check_failed(key, value))
            return "refused";
    }
    return status && strcmp(status, "TCB_NOT_SUPPORTED") == 0 ? "refused" : status;
}

/* Everything that can be said of a quote alone was found good. */
static bool recorded_set(const struct ccz_json *meta)
{
    static const char *const names[] = {"quote_sig", "qe_binding", "qe_report_sig",
                                        "pck_chain_sigs", "root_is_intel_prod"};
    const struct ccz_json *one = ccz_json_at(ccz_json_get(meta, "cases"), 0);
    const struct ccz_json *checks =
        ccz_json_get(ccz_json_get(one, "reference_evaluation"), "checks");
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        bool good;
        if (!ccz_json_bool(&good, ccz_json_get(checks, names[i])) || !good)
            return false;
    }
    return true;
}

/* ------------------------------------------------------------------------- with collateral */

static size_t accepted, refused, differing;

static void compare_case(const struct case_verdict *v, const struct ccz_json *one)
{
    bool negative;
    const char *recorded = recorded_case(one), *ours = v->where ? "refused" : v->status;
    CHECK(ccz_json_bool(&negative, ccz_json_get(one, "negative")));
    CHECK(!negative || v->where); /* nothing that its publisher wants refused is accepted */
    bool differs = !recorded || strcmp(ours, recorded) != 0 || negative != (v->where != NULL);
    differing += differs;
    if (differs || v->where)
        check_explained(v->name);
}

static void run_case(const char *set, struct ccz_span quote, const struct ccz_json *meta,
                     const struct ccz_json *one)
{
    const char *name = ccz_json_str(ccz_json_get(one, "case"));
    const char *dir = ccz_json_str(ccz_json_get(one, "collateral_dir"));
    if (!dir)
        return;
    const struct case_verdict *v = find_case(name);
    struct bundle b;
    struct ccz_claims claims = {0};
    struct ccz_err err = {0};
    int64_t now_s;
    if (!ccz_json_int(&now_s, ccz_json_get(ccz_json_get(one, "verification_time"), "unix")))
        now_s = NOW_S;
    bundle_load(&b, set, dir);
    ccz_rc rc = bundle_verify(&claims, &b, quote, now_s, &err);
    const char *status = ccz_tcb_status_name(claims.tcb_status);
    bool as_listed = v->where ? rc != CCZ_OK && strcmp(err.where, v->where) == 0
                              : rc == CCZ_OK && strcmp(status, v->status) == 0;
    if (!as_listed)
        fprintf(stderr, "%s: %s at %s: %s; expected %s\n", name, ccz_rc_name(rc), err.where,
                err.msg, v->where ? v->where : v->status);
    CHECK(as_listed);
    compare_case(v, one);
    if (rc == CCZ_OK && strcmp(name, old_sample) != 0) {
        check_reference(&claims, ccz_json_get(one, "reference_evaluation"));
        check_facts(&claims, meta);
    }
    if (strcmp(name, old_sample) == 0)
        CHECK(claims.simulated);
    accepted += rc == CCZ_OK;
    refused += rc != CCZ_OK;
    bundle_free(&b);
}

static void run_cases(const char *set, struct ccz_span quote, const struct ccz_json *meta)
{
    const struct ccz_json *cases = ccz_json_get(meta, "cases");
    for (size_t i = 0; i < ccz_json_len(cases); i++)
        run_case(set, quote, meta, ccz_json_at(cases, i));
}

static void test_collateral(void)
{
    (void)each_set(run_cases);
    printf("%zu accepted, %zu refused as listed; %zu differ from what was recorded\n", accepted,
           refused, differing);
    CHECK(accepted + refused == CASES); /* all that are listed were there */
}

/* ---------------------------------------------------------------------- without collateral */

static ccz_rc check_evidence(struct ccz_span quote, struct ccz_err *err)
{
    struct ccz_roots intel = {0};
    struct ccz_quote q;
    struct cczi_evidence *e = NULL;
    struct cczi_pending pending = {0};
    CHECK(ccz_roots_add_intel(&intel) == CCZ_OK);
    ccz_rc rc = ccz_quote_parse(&q, quote, err);
    if (rc == CCZ_OK)
        rc = cczi_evidence_new(&e, &pending, &q, &intel, NULL, err);
    rc = cczi_sigs_check(&pending.sigs, rc, err);
    if (rc == CCZ_OK &&
        ccz_ecdsa_verify(e->attest_key, q.signature.ptr, 64, &q.signed_bytes, 1) != CCZ_OK)
        rc = ccz_fail(err, CCZ_E_SIG, "quote:signature", 0, "signature");
    cczi_evidence_free(e);
    cczi_pending_deinit(&pending);
    return rc;
}

static void run_evidence(const char *set, struct ccz_span quote, const struct ccz_json *meta)
{
    const struct set_verdict *v = find_set(set);
    struct ccz_err err = {0};
    ccz_rc rc = check_evidence(quote, &err);
    bool as_listed = v->where ? rc != CCZ_OK && strcmp(err.where, v->where) == 0 : rc == CCZ_OK;
    if (!as_listed)
        fprintf(stderr, "%s: %s at %s: %s; expected %s\n", set, ccz_rc_name(rc), err.where, err.msg,
                v->where ? v->where : "success");
    CHECK(as_listed);
    if (rc != CCZ_OK || !recorded_set(meta))
        check_explained(set);
    accepted += rc == CCZ_OK;
    refused += rc != CCZ_OK;
}

static void test_evidence(void)
{
    (void)each_set(run_evidence);
    printf("%zu genuine under Intel's root, %zu refused as listed\n", accepted, refused);
    CHECK(accepted + refused == SETS);
}

/* ------------------------------------------------------------------------------- damage */

static void run_truncations(const char *set, struct ccz_span quote, const struct ccz_json *meta)
{
    (void)set;
    (void)meta;
    struct ccz_quote q;
    for (size_t cut = 0; cut < quote.size; cut++)
        CHECK(ccz_quote_parse(&q, CCZ_SPAN(quote.ptr, cut), NULL) != CCZ_OK);
}

static void test_truncated(void)
{
    (void)each_set(run_truncations);
}

/* ------------------------------------------------------------------------- documents alone */

/* What another project accepts and we do not, on purpose. */
static const char *const stricter[] = {
    "tcbinfo_v1/tcbInfo.json",
    "tcbinfo_v1/tcbInfo_with_pceid.json", /* version 1 */
    "tcbinfo_v1/tcbInfoAdvisoryIds.json",
    "tcbinfo_v2/tcbInfo.json",
    "tcbinfo_v2/tcbInfoAdvisoryIds.json", /* no pceId: nothing to compare with */
    "qeidentity_v2/qve_identity_ok.json", /* not of a quoting enclave */
};

static bool document_ok(struct ccz_span text)
{
    CCZ_AUTO(ccz_jdoc) json = NULL;
    if (ccz_jdoc_parse(&json, text, NULL) != CCZ_OK)
        return false;
    const struct ccz_jnode *root = ccz_jdoc_root(json);
    uint8_t sig[64];
    struct cczi_fields f = {.where = "test"};
    cczi_field_hex(&f, sig, sizeof(sig), root, "signature");
    if (f.rc != CCZ_OK)
        return false;
    struct cczi_tcb_info t;
    struct cczi_qe_identity q;
    const struct ccz_jnode *tcb = ccz_jnode_get(root, "tcbInfo"),
                           *qe = ccz_jnode_get(root, "enclaveIdentity");
    ccz_rc rc;
    if (tcb) {
        rc = cczi_tcb_info_read(&t, tcb, NULL);
        cczi_tcb_info_deinit(&t);
    } else {
        rc = cczi_qe_identity_read(&q, qe, NULL);
        cczi_qe_identity_deinit(&q);
    }
    return rc == CCZ_OK;
}

static void test_documents(void)
{
    CCZ_AUTO_BUF text;
    CCZ_AUTO(ccz_json) meta = NULL;
    vectors_load(&text, "neg-json-openenclave-tcbinfo", "", "meta.json");
    CHECK(ccz_json_parse(&meta, ccz_buf_span(&text), NULL) == CCZ_OK);
    const struct ccz_json *files = ccz_json_get(meta, "items");
    CHECK(ccz_json_len(files) > 40);
    for (size_t i = 0; i < ccz_json_len(files); i++) {
        const struct ccz_json *f = ccz_json_at(files, i);
        const char *name = ccz_json_str(ccz_json_get(f, "file"));
        bool expected = strcmp(ccz_json_str(ccz_json_get(f, "expected")), "parses") == 0;
        for (size_t n = 0; n < sizeof(stricter) / sizeof(stricter[0]); n++)
            expected = expected && strcmp(name, stricter[n]) != 0;
        CCZ_AUTO_BUF doc;
        vectors_load(&doc, "neg-json-openenclave-tcbinfo", "", name);
        CHECK(doc.size > 0);
        bool ok = document_ok(ccz_buf_span(&doc));
        if (ok != expected)
            fprintf(stderr, "%s: %s, expected %s\n", name, ok ? "parses" : "refused",
                    ccz_json_str(ccz_json_get(f, "expected")));
        CHECK(ok == expected);
    }
}

static const struct ccz_test tests[] = {
    {"quote_vectors.collateral", test_collateral},
    {"quote_vectors.evidence", test_evidence},
    {"quote_vectors.truncated", test_truncated},
    {"quote_vectors.documents", test_documents},
};

int main(int argc, char **argv)
{
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
