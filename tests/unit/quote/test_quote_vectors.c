/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Real evidence with published collateral. Expected statuses are those that a second
 * implementation, written after Intel's library, recorded with the vectors; each case that we
 * refuse is listed here with the check that refuses it, and explained in
 * docs/design/verification.md.
 */
#define _DEFAULT_SOURCE
#include "quote/kit.h"
#include "quote/quote_priv.h"

#include "ccz_test.h"

#include <dirent.h>

enum { FILE_SIZE_MAX = 1 << 20 };

/* Case names with a refusal; every other case must be accepted. */
struct refusal {
    const char *name, *where;
};

static const struct refusal collateral_refusals[] = {
    /* as the publishers expect */
    {"neg-sgx3-fortanix-tcb-corrupted", "collateral:tcb-info-signature"},
    {"neg-sgx3-fortanix-qeid-corrupted", "collateral:qe-identity-signature"},
    {"tdx4-gotdx-spr-50806f-2023-07", "quote:tcb-level"},
    {"neg-tdx4-oasis-outofdate-50806f-2023-06", "quote:tcb-level"},
    {"neg-tdx4-gotdx-spr-2053", "collateral:tcb-info-expired"},
    {"tdx4-phala-old-b0c06f-2025-06", "quote:tcb-level"},
    {"neg-tdx4-phala-sgx-tcbinfo-2024-09", "quote:tcb-info-tee"},
    {"tdx5-phala-outdated-90c06f-2026-02", "quote:tcb-level"},
    {"neg-tdx5-flashbots-azure-outdated-2026-02", "quote:tcb-level"},
    {"tdx5-trustee-90c06f-2026-03", "quote:tcb-level"},
    /* before the issue date of the stored collateral */
    {"sgx3-phala-00a067110000-2023-11", "collateral:tcb-info-not-yet-valid"},
    /* parts of the collateral were not published */
    {"sgx3-fortanix-00906ea1-2020-05", "collateral:root-crl"},
    {"sgx3-teekit-chinenye-90c06f-2025-09", "collateral:tcb-info-chain"},
    {"sgx3-teekit-occlum-30606a-2025-09", "collateral:tcb-info-chain"},
    {"tdx4-zkdcap-types-00806f-2024-09", "collateral:pck-crl-chain"},
    {"sgx3-fortanix-ql-oldroot-00906ea1", "collateral:tcb-info"},
    /* QE identity stored re-formatted: the bytes that were signed are lost */
    {"tdx4-moemahhouk-90c06f-2024-05", "collateral:qe-identity-signature"},
    {"tdx5-trustee-90c06f-2024-05", "collateral:qe-identity-signature"},
    /* quote and PCK certificate of two revisions of Intel's sample */
    {"sgx3-intelqvl-sample-testroot", "quote:qe-signature"},
    /* random TCB info with component SVNs above 255 */
    {"tdx4-intelqvl-sample-testroot", "collateral:tcb-info"},
};
enum { COLLATERAL_REFUSALS = sizeof(collateral_refusals) / sizeof(collateral_refusals[0]) };

/* Accepted although the reference has no verdict: a test root that it did not follow. */
static const char old_sample[] = "sgx3-intelqvl-sample-old-testroot";

/* Quotes by themselves: PCK chain under Intel's root, QE report, binding, signature. */
static const struct refusal evidence_refusals[] = {
    {"neg-sgx3-automata-wasm-badchain", "quote:pck-issuer"},
    {"neg-sgx3-fortanix-ql-corrupted", "quote:signature"},
    {"neg-tdx4-automata-wasm-badcert", "quote:pck-chain"},
    {"neg-tdx4-gotdx-mut-cert-chain-byte", "quote:pck-chain"},
    {"neg-tdx4-gotdx-mut-header-byte", "quote:signature"},
    {"neg-tdx4-gotdx-mut-intermediate-cert-byte", "quote:pck-signature"},
    {"neg-tdx4-gotdx-mut-pck-cert-byte", "quote:pck-signature"},
    {"neg-tdx4-gotdx-mut-root-cert-byte", "quote:pck-signature"},
    {"neg-tdx4-gotdx-mut-signed-data-size", "quote:signature-data"},
    {"neg-tdx4-gotdx-mut-td-body-byte", "quote:signature"},
    {"neg-tdx4-gotdx-mut-version", "quote:header-reserved"},
    {"sgx3-automata-type3", "quote:pck-missing"},
    {"sgx3-fortanix-rawtcb-type3", "quote:pck-missing"},
    {"sgx3-nhynes-type3", "quote:pck-missing"},
    {"sgx3-intelqvl-sample-old-testroot", "quote:pck-missing"},
    {"sgx3-intelqvl-sample-testroot", "quote:pck-missing"},
    {"tdx4-intelqvl-sample-testroot", "quote:pck-chain"},
    {"tdx4-ccapi-sandbox-10806f07", "quote:pck-root"},
    {"tdx4-trustee-sandbox-30806f", "quote:pck-root"},
    {"tdx5-gotdx-sandbox-10806f07", "quote:pck-root"},
};
enum { EVIDENCE_REFUSALS = sizeof(evidence_refusals) / sizeof(evidence_refusals[0]) };

static const char *refused_where(const struct refusal *list, size_t len, const char *name)
{
    for (size_t i = 0; i < len; i++) {
        if (strcmp(list[i].name, name) == 0)
            return list[i].where;
    }
    return NULL;
}

/* ----------------------------------------------------------------------------------- files */

static const char *root_dir(void)
{
    static char dir[1024];
    const char *env = getenv("CCZOO_VECTORS");
    (void)snprintf(dir, sizeof(dir), "%s/tee",
                   env ? env : CCZ_TEST_SOURCE_DIR "/../shared/vectors");
    DIR *d = opendir(dir);
    if (!d) {
        fprintf(stderr, "skipped: no %s\n", dir);
        exit(77);
    }
    closedir(d);
    return dir;
}

/* Empty if there is no such file. */
static void load(struct ccz_buf *out, const char *set, const char *dir, const char *file)
{
    char path[2048];
    ccz_buf_init(out, FILE_SIZE_MAX);
    (void)snprintf(path, sizeof(path), "%s/%s/%s/%s", root_dir(), set, dir, file);
    if (ccz_file_read(out, path, NULL) != CCZ_OK)
        ccz_buf_clear(out);
}

static int is_intel_set(const struct dirent *e)
{
    return e->d_name[0] != '.' && !strstr(e->d_name, "snp") &&
           strncmp(e->d_name, "neg-json", 8) != 0 && strcmp(e->d_name, "INDEX.md") != 0;
}

/* Calls @p fn for every set of an Intel TEE; returns how many there are. */
static size_t each_set(void (*fn)(const char *set, struct ccz_span quote,
                                  const struct ccz_json *meta))
{
    struct dirent **list;
    int len = scandir(root_dir(), &list, is_intel_set, alphasort);
    CHECK(len > 0);
    for (int i = 0; i < len; i++) {
        CCZ_AUTO_BUF quote, text;
        CCZ_AUTO(ccz_json) meta = NULL;
        load(&quote, list[i]->d_name, "", "evidence.bin");
        load(&text, list[i]->d_name, "", "meta.json");
        CHECK(quote.size > 0 && ccz_json_parse(&meta, ccz_buf_span(&text), NULL) == CCZ_OK);
        fn(list[i]->d_name, ccz_buf_span(&quote), meta);
        free(list[i]);
    }
    free(list);
    return (size_t)len;
}

/* ------------------------------------------------------------------------- with collateral */

enum {
    TCB,
    TCB_CHAIN,
    QE,
    QE_CHAIN,
    ROOT_CRL,
    PCK_CRL,
    CRL_CHAIN,
    LEAF,
    SIGN_CHAIN,
    TRUSTED,
    FILES
};
static const char *const file_names[FILES] = {
    "tcb_info.json",
    "tcb_info_issuer_chain.pem",
    "qe_identity.json",
    "qe_identity_issuer_chain.pem",
    "root_ca_crl.der",
    "pck_crl.der",
    "pck_crl_issuer_chain.pem",
    "pck_leaf.pem",
    "pck_sign_chain.pem",
    "trusted_root.pem",
};

struct bundle {
    struct ccz_buf file[FILES];
    struct ccz_roots roots;
    struct ccz_collateral_src src;
};

static void bundle_load(struct bundle *b, const char *set, const char *dir)
{
    *b = (struct bundle){0};
    for (int i = 0; i < FILES; i++)
        load(&b->file[i], set, dir, file_names[i]);
    if (b->file[TRUSTED].size)
        CHECK(ccz_roots_add_cert(&b->roots, ccz_buf_span(&b->file[TRUSTED]), true, NULL) == CCZ_OK);
    else
        CHECK(ccz_roots_add_intel(&b->roots) == CCZ_OK);
    /* Where a set lacks the chain of the QE identity, PCS signs it with the key of TCB info. */
    struct ccz_buf *qe_chain = &b->file[b->file[QE_CHAIN].size ? QE_CHAIN : TCB_CHAIN];
    struct ccz_buf *crl_chain = &b->file[b->file[CRL_CHAIN].size ? CRL_CHAIN : SIGN_CHAIN];
    ccz_buf_put_span(&b->file[LEAF], ccz_buf_span(&b->file[SIGN_CHAIN]));
    b->src = (struct ccz_collateral_src){
        .tcb_info = ccz_buf_span(&b->file[TCB]),
        .tcb_info_chain = ccz_buf_span(&b->file[TCB_CHAIN]),
        .qe_identity = ccz_buf_span(&b->file[QE]),
        .qe_identity_chain = ccz_buf_span(qe_chain),
        .root_ca_crl = ccz_buf_span(&b->file[ROOT_CRL]),
        .pck_crl = ccz_buf_span(&b->file[PCK_CRL]),
        .pck_crl_chain = ccz_buf_span(crl_chain),
        .pck_chain = ccz_buf_span(&b->file[LEAF]),
    };
}

static void bundle_free(struct bundle *b)
{
    for (int i = 0; i < FILES; i++)
        ccz_buf_free(&b->file[i]);
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

static size_t accepted, refused;

static void run_case(const char *set, struct ccz_span quote, const struct ccz_json *meta,
                     const struct ccz_json *one)
{
    const char *name = ccz_json_str(ccz_json_get(one, "case"));
    const char *dir = ccz_json_str(ccz_json_get(one, "collateral_dir"));
    if (!dir)
        return;
    struct bundle b;
    struct ccz_claims claims = {0};
    struct ccz_err err = {0};
    int64_t now_s;
    if (!ccz_json_int(&now_s, ccz_json_get(ccz_json_get(one, "verification_time"), "unix")))
        now_s = KIT_NOW_S;
    bundle_load(&b, set, dir);
    ccz_rc rc = bundle_verify(&claims, &b, quote, now_s, &err);
    const char *where = refused_where(collateral_refusals, COLLATERAL_REFUSALS, name);
    bool as_listed = where ? rc != CCZ_OK && strcmp(err.where, where) == 0 : rc == CCZ_OK;
    if (!as_listed)
        fprintf(stderr, "%s: %s at %s: %s; expected %s\n", name, ccz_rc_name(rc), err.where,
                err.msg, where ? where : "success");
    CHECK(as_listed);
    if (rc == CCZ_OK && strcmp(name, old_sample) != 0) {
        check_reference(&claims, ccz_json_get(one, "reference_evaluation"));
        check_facts(&claims, meta);
    }
    if (strcmp(name, old_sample) == 0)
        CHECK(claims.simulated && claims.tcb_status == CCZ_TCB_UP_TO_DATE);
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
    printf("%zu accepted, %zu refused as listed\n", accepted, refused);
    CHECK(accepted == 29 && refused == COLLATERAL_REFUSALS);
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
    (void)meta;
    struct ccz_err err = {0};
    ccz_rc rc = check_evidence(quote, &err);
    const char *where = refused_where(evidence_refusals, EVIDENCE_REFUSALS, set);
    bool as_listed = where ? rc != CCZ_OK && strcmp(err.where, where) == 0 : rc == CCZ_OK;
    if (!as_listed)
        fprintf(stderr, "%s: %s at %s: %s; expected %s\n", set, ccz_rc_name(rc), err.where, err.msg,
                where ? where : "success");
    CHECK(as_listed);
    accepted += rc == CCZ_OK;
    refused += rc != CCZ_OK;
}

static void test_evidence(void)
{
    (void)each_set(run_evidence);
    printf("%zu genuine under Intel's root, %zu refused as listed\n", accepted, refused);
    CHECK(accepted >= 60 && refused == EVIDENCE_REFUSALS);
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

/* A flipped bit anywhere in these two genuine quotes is refused, without exception. */
static void test_flips(void)
{
    static const struct {
        const char *set;
        int64_t now_s;
    } quotes[] = {{"sgx3-phala-00a067110000-2025-06", 1752919277},
                  {"tdx4-phala-b0c06f-2025-06", 1752919234}};
    for (size_t i = 0; i < 2; i++) {
        CCZ_AUTO_BUF quote;
        CCZ_AUTO(ccz_collateral) c = NULL;
        struct bundle b;
        struct ccz_claims claims;
        load(&quote, quotes[i].set, "", "evidence.bin");
        bundle_load(&b, quotes[i].set, "collateral");
        CHECK(ccz_collateral_new(&c, &b.src, &b.roots, NULL) == CCZ_OK);
        const struct ccz_verify_cfg v = {
            .now_s = quotes[i].now_s, .roots = &b.roots, .collateral = c};
        CHECK(ccz_quote_verify(&claims, ccz_buf_span(&quote), &v, NULL) == CCZ_OK);
        for (size_t at = 0; at < quote.size; at++) {
            uint8_t mask = (uint8_t)(1u << (at * 5 + 3) % 8);
            quote.ptr[at] ^= mask;
            if (ccz_quote_verify(&claims, ccz_buf_span(&quote), &v, NULL) == CCZ_OK) {
                fprintf(stderr, "%s: accepted with byte %zu ^ 0x%02x\n", quotes[i].set, at, mask);
                exit(1);
            }
            quote.ptr[at] ^= mask;
        }
        bundle_free(&b);
    }
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
    load(&text, "neg-json-openenclave-tcbinfo", "", "meta.json");
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
        load(&doc, "neg-json-openenclave-tcbinfo", "", name);
        CHECK(doc.size > 0);
        bool ok = document_ok(ccz_buf_span(&doc));
        if (ok != expected)
            fprintf(stderr, "%s: %s, expected %s\n", name, ok ? "parses" : "refused",
                    ccz_json_str(ccz_json_get(f, "expected")));
        CHECK(ok == expected);
    }
}

static const struct ccz_test tests[] = {
    {"quote_vectors.collateral", test_collateral}, {"quote_vectors.evidence", test_evidence},
    {"quote_vectors.truncated", test_truncated},   {"quote_vectors.flips", test_flips},
    {"quote_vectors.documents", test_documents},
};

int main(int argc, char **argv)
{
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
