/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The software TEE: what it writes and signs is parsed back here with codec and crypto, by the
 * layouts of the Intel documents. That the verifier accepts it is tested with the module verifier.
 */
#define _DEFAULT_SOURCE
#include "tee/sim_priv.h"

#include "ccz_test.h"

#include <cczoo/codec.h>
#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <sys/stat.h>
#include <unistd.h>

#define NOW       INT64_C(1800000000)
#define SGX_OID   "1.2.840.113741.1.13.1"
#define NO_RECORD ((struct ccz_span){0})

static struct ccz_err err;
static char dir[64];

/* ------------------------------------------------------------------------------------ helpers */

static void remove_tree(const char *path)
{
    DIR *d = opendir(path);
    for (struct dirent *e; d && (e = readdir(d)) != NULL;) {
        char p[512];
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
            continue;
        (void)snprintf(p, sizeof(p), "%s/%s", path, e->d_name);
        remove_tree(p);
    }
    if (d)
        closedir(d);
    (void)remove(path);
}

static void clean_up(void)
{
    remove_tree(dir);
}

/* A platform in a fresh directory, removed at exit. */
static void make_platform(const struct ccz_sim_cfg *cfg)
{
    if (dir[0])
        remove_tree(dir);
    else
        CHECK(atexit(clean_up) == 0);
    (void)snprintf(dir, sizeof(dir), "/tmp/ccz-sim-XXXXXX");
    CHECK(mkdtemp(dir) != NULL);
    ccz_rc rc = ccz_sim_init(dir, cfg, &err);
    if (rc != CCZ_OK)
        fprintf(stderr, "%s: %s\n", err.where, err.msg);
    CHECK(rc == CCZ_OK);
}

static void load(struct ccz_buf *out, const char *name)
{
    char path[256];
    (void)snprintf(path, sizeof(path), "%s/%s", dir, name);
    ccz_buf_init(out, 65536);
    CHECK(ccz_file_read(out, path, &err) == CCZ_OK);
}

static struct ccz_cert *next_cert(struct ccz_span *text)
{
    struct ccz_cert *c = NULL;
    CCZ_AUTO_BUF der;
    ccz_buf_init(&der, 16384);
    CHECK(ccz_pem_next(&der, text, "CERTIFICATE", &err) == CCZ_OK);
    CHECK(ccz_cert_parse(&c, ccz_buf_span(&der), &err) == CCZ_OK);
    return c;
}

static struct ccz_attester *attester(const char *provider, const char *const *libs, size_t len)
{
    struct ccz_attester *a = NULL;
    struct ccz_attester_cfg cfg = {
        .provider = provider, .sim_dir = dir, .measure = libs, .measure_len = len};
    CHECK(ccz_attester_open(&a, &cfg, &err) == CCZ_OK);
    return a;
}

/* ------------------------------------------------------------------------------------- layout */

static void check_mode(const char *name, mode_t want)
{
    char path[256];
    struct stat st;
    (void)snprintf(path, sizeof(path), "%s/%s", dir, name);
    CHECK(stat(path, &st) == 0);
    CHECK((st.st_mode & 0777) == want);
}

static void test_layout(void)
{
    static const char *const private_files[] = {
        "platform/pck_key.pem", "platform/sgx/attest_key.pem", "platform/sgx/qe_certification.bin",
        "platform/tdx/attest_key.pem", "platform/tdx/qe_certification.bin"};
    static const char *const public_files[] = {"tcb_info.json",
                                               "qe_identity.json",
                                               "tcb_info_issuer_chain.pem",
                                               "qe_identity_issuer_chain.pem",
                                               "pck_crl_issuer_chain.pem",
                                               "root_ca_crl.der",
                                               "pck_crl.der"};
    make_platform(&(struct ccz_sim_cfg){.now_s = NOW});
    check_mode("platform", 0700);
    for (size_t i = 0; i < sizeof(private_files) / sizeof(private_files[0]); i++)
        check_mode(private_files[i], 0600);
    check_mode("trust/root.pem", 0644);
    for (size_t i = 0; i < sizeof(public_files) / sizeof(public_files[0]); i++) {
        char name[64];
        (void)snprintf(name, sizeof(name), "trust/sgx/%s", public_files[i]);
        check_mode(name, 0644);
        (void)snprintf(name, sizeof(name), "trust/tdx/%s", public_files[i]);
        check_mode(name, 0644);
    }
}

static void test_refuse(void)
{
    make_platform(&(struct ccz_sim_cfg){.now_s = NOW});
    CCZ_AUTO_BUF before;
    CCZ_AUTO_BUF after;
    load(&before, "trust/root.pem");
    CHECK(ccz_sim_init(dir, &(struct ccz_sim_cfg){.now_s = NOW}, &err) == CCZ_E_EXISTS);
    CHECK(strcmp(err.where, "tee:sim-dir") == 0 && err.hint[0] != 0);
    load(&after, "trust/root.pem");
    CHECK(ccz_span_eq(ccz_buf_span(&before), ccz_buf_span(&after)));
    char sub[128];
    (void)snprintf(sub, sizeof(sub), "%s/new/deep", dir);
    CHECK(ccz_sim_init(sub, &(struct ccz_sim_cfg){0}, &err) == CCZ_E_ARG);
    CHECK(ccz_sim_init(sub, &(struct ccz_sim_cfg){.now_s = NOW, .valid_s = -1}, &err) == CCZ_E_ARG);
    CHECK(ccz_sim_init(sub, &(struct ccz_sim_cfg){.now_s = NOW, .tcb_status = "uptodate"}, &err) ==
          CCZ_E_ARG);
    CHECK(strcmp(err.where, "tee:sim-tcb-status") == 0 && strcmp(err.got, "uptodate") == 0);
    CHECK(access(sub, F_OK) != 0); /* refused before anything is made */
    (void)snprintf(sub, sizeof(sub), "%s/trust/root.pem", dir);
    CHECK(ccz_sim_init(sub, &(struct ccz_sim_cfg){.now_s = NOW}, &err) == CCZ_E_IO); /* a file */
    (void)snprintf(sub, sizeof(sub), "%s/new/deep", dir);
    CHECK(ccz_sim_init(sub, &(struct ccz_sim_cfg){.now_s = NOW}, &err) == CCZ_OK);
}

/* ------------------------------------------------------------------------ certificates and CRLs */

static void check_serial_revoked(const char *sub, const struct ccz_cert *pck,
                                 const struct ccz_cert *ca, const struct ccz_cert *root,
                                 bool revoked)
{
    char name[64];
    CCZ_AUTO_BUF pck_der;
    CCZ_AUTO_BUF root_der;
    CCZ_AUTO(ccz_crl) pck_crl = NULL;
    CCZ_AUTO(ccz_crl) root_crl = NULL;
    (void)snprintf(name, sizeof(name), "trust/%s/pck_crl.der", sub);
    load(&pck_der, name);
    (void)snprintf(name, sizeof(name), "trust/%s/root_ca_crl.der", sub);
    load(&root_der, name);
    CHECK(ccz_crl_parse(&pck_crl, ccz_buf_span(&pck_der), &err) == CCZ_OK);
    CHECK(ccz_crl_parse(&root_crl, ccz_buf_span(&root_der), &err) == CCZ_OK);
    CHECK(ccz_crl_check_issuer(pck_crl, ca, &err) == CCZ_OK);
    CHECK(ccz_crl_check_issuer(root_crl, root, &err) == CCZ_OK);
    CHECK(ccz_crl_revokes(pck_crl, ccz_cert_serial(pck)) == revoked);
    CHECK(!ccz_crl_revokes(root_crl, ccz_cert_serial(ca)));
    CHECK(ccz_crl_this_update(pck_crl) == NOW && ccz_crl_next_update(pck_crl) == NOW + 3600);
    CHECK(ccz_crl_next_update(root_crl) == NOW + 3600);
}

/* One element of the SGX extension: its OID must be SGX_OID + suffix. */
static struct ccz_span entry(struct ccz_rd *r, const char *suffix, uint8_t tag)
{
    char dotted[64];
    uint8_t want[16];
    (void)snprintf(dotted, sizeof(dotted), SGX_OID "%s", suffix);
    size_t want_size = ccz_der_oid(want, sizeof(want), dotted);
    struct ccz_rd e = ccz_rd_from(ccz_der_take(r, CCZ_DER_SEQUENCE));
    CHECK(ccz_span_eq(ccz_der_take(&e, CCZ_DER_OID), CCZ_SPAN(want, want_size)));
    struct ccz_span value = ccz_der_take(&e, tag);
    CHECK(ccz_rd_done(&e));
    return value;
}

static uint64_t entry_number(struct ccz_rd *r, const char *suffix)
{
    char dotted[64];
    uint8_t want[16];
    (void)snprintf(dotted, sizeof(dotted), SGX_OID "%s", suffix);
    size_t want_size = ccz_der_oid(want, sizeof(want), dotted);
    struct ccz_rd e = ccz_rd_from(ccz_der_take(r, CCZ_DER_SEQUENCE));
    CHECK(ccz_span_eq(ccz_der_take(&e, CCZ_DER_OID), CCZ_SPAN(want, want_size)));
    uint64_t v = ccz_der_uint(&e, CCZ_DER_INTEGER); /* refuses what is negative or not minimal */
    CHECK(ccz_rd_done(&e));
    return v;
}

static void check_sgx_extension(const struct ccz_cert *pck)
{
    bool critical = true;
    struct ccz_span ext = ccz_cert_ext(&critical, pck, SGX_OID);
    CHECK(ext.size > 0 && !critical);
    struct ccz_rd outer = ccz_rd_from(ext);
    struct ccz_rd r = ccz_rd_from(ccz_der_take(&outer, CCZ_DER_SEQUENCE));
    CHECK(ccz_rd_done(&outer));
    CHECK(entry(&r, ".1", CCZ_DER_OCTET_STRING).size == 16);
    struct ccz_rd tcb = ccz_rd_from(entry(&r, ".2", CCZ_DER_SEQUENCE));
    for (unsigned i = 0; i < 16; i++) {
        char suffix[16];
        (void)snprintf(suffix, sizeof(suffix), ".2.%u", i + 1);
        CHECK(entry_number(&tcb, suffix) == cczi_sim_tcb.cpu_svn[i]);
    }
    CHECK(entry_number(&tcb, ".2.17") == cczi_sim_tcb.pce_svn);
    CHECK(ccz_span_eq(entry(&tcb, ".2.18", CCZ_DER_OCTET_STRING),
                      CCZ_SPAN(cczi_sim_tcb.cpu_svn, 16)));
    CHECK(ccz_rd_done(&tcb));
    CHECK(ccz_span_eq(entry(&r, ".3", CCZ_DER_OCTET_STRING), CCZ_SPAN(cczi_sim_tcb.pce_id, 2)));
    CHECK(ccz_span_eq(entry(&r, ".4", CCZ_DER_OCTET_STRING), CCZ_SPAN(cczi_sim_tcb.fmspc, 6)));
    CHECK(ccz_span_eq(entry(&r, ".5", CCZ_DER_ENUMERATED), CCZ_SPAN("\x01", 1)));
    CHECK(entry(&r, ".6", CCZ_DER_OCTET_STRING).size == 16);
    struct ccz_rd conf = ccz_rd_from(entry(&r, ".7", CCZ_DER_SEQUENCE));
    for (unsigned i = 1; i <= 3; i++) {
        char suffix[16];
        (void)snprintf(suffix, sizeof(suffix), ".7.%u", i);
        CHECK(entry(&conf, suffix, CCZ_DER_BOOLEAN).size == 1);
    }
    CHECK(ccz_rd_done(&conf) && ccz_rd_done(&r));
}

/* Reads the PCK chain that the quotes of a QE carry. */
static void read_pck_chain(struct ccz_cert *certs[3], const char *sub)
{
    char name[64];
    CCZ_AUTO_BUF cert;
    (void)snprintf(name, sizeof(name), "platform/%s/qe_certification.bin", sub);
    load(&cert, name);
    struct ccz_span all = ccz_buf_span(&cert), pem = ccz_span_sub(all, 488, all.size - 488);
    CHECK(pem.size > 0 && pem.ptr[pem.size - 1] == 0);
    pem.size--;
    for (int i = 0; i < 3; i++)
        certs[i] = next_cert(&pem);
    CHECK(pem.size == 0 || (pem.size == 1 && pem.ptr[0] == '\n'));
}

static void check_signers(const char *sub, const struct ccz_cert *ca, const struct ccz_cert *root)
{
    static const char *const chains[] = {
        "tcb_info_issuer_chain.pem", "qe_identity_issuer_chain.pem", "pck_crl_issuer_chain.pem"};
    static const char *const cn[] = {"SIMULATED SGX TCB Signing", "SIMULATED SGX TCB Signing",
                                     "SIMULATED SGX PCK Platform CA"};
    for (size_t i = 0; i < 3; i++) {
        char name[64];
        CCZ_AUTO_BUF pem;
        (void)snprintf(name, sizeof(name), "trust/%s/%s", sub, chains[i]);
        load(&pem, name);
        struct ccz_span text = ccz_buf_span(&pem);
        CCZ_AUTO(ccz_cert) signer = next_cert(&text);
        CCZ_AUTO(ccz_cert) last = next_cert(&text);
        CHECK(strcmp(ccz_cert_cn(signer), cn[i]) == 0 && ccz_cert_is_ca(signer) == (i == 2));
        CHECK(ccz_span_eq(ccz_cert_der(last), ccz_cert_der(root)));
        CHECK(ccz_cert_check_issuer(signer, root, &err) == CCZ_OK);
        if (i == 2)
            CHECK(ccz_span_eq(ccz_cert_der(signer), ccz_cert_der(ca)));
    }
}

static void test_certificates(void)
{
    for (int revoked = 0; revoked < 2; revoked++) {
        make_platform(
            &(struct ccz_sim_cfg){.now_s = NOW, .valid_s = 3600, .revoke_pck = revoked != 0});
        CCZ_AUTO_BUF root_pem;
        load(&root_pem, "trust/root.pem");
        struct ccz_span text = ccz_buf_span(&root_pem);
        CCZ_AUTO(ccz_cert) root = next_cert(&text);
        CHECK(ccz_cert_check_issuer(root, root, &err) == CCZ_OK && ccz_cert_is_ca(root));
        CHECK(strcmp(ccz_cert_cn(root), "SIMULATED SGX Root CA") == 0);
        for (int q = 0; q < CCZI_SIM_QE_LEN; q++) {
            struct ccz_cert *c[3];
            read_pck_chain(c, cczi_sim_qe[q].dir);
            CHECK(strcmp(ccz_cert_cn(c[0]), "SIMULATED SGX PCK Certificate") == 0 &&
                  !ccz_cert_is_ca(c[0]));
            CHECK(ccz_cert_check_issuer(c[0], c[1], &err) == CCZ_OK);
            CHECK(ccz_cert_check_issuer(c[1], c[2], &err) == CCZ_OK);
            CHECK(ccz_span_eq(ccz_cert_der(c[2]), ccz_cert_der(root)));
            for (int i = 0; i < 3; i++) {
                CHECK(ccz_cert_not_before(c[i]) == NOW);
                CHECK(ccz_cert_not_after(c[i]) > NOW + 3600 + 6 * 365 * 86400);
            }
            check_sgx_extension(c[0]);
            check_signers(cczi_sim_qe[q].dir, c[1], root);
            check_serial_revoked(cczi_sim_qe[q].dir, c[0], c[1], root, revoked != 0);
            for (int i = 0; i < 3; i++)
                ccz_cert_free(c[i]);
        }
    }
}

/* ---------------------------------------------------------------------------------- collateral */

/* Loads a PCS response object, checks its signature over the raw member, and parses it. */
static struct ccz_json *signed_json(const char *sub, const char *file, const char *member)
{
    char name[64];
    CCZ_AUTO_BUF text;
    CCZ_AUTO_BUF pem;
    (void)snprintf(name, sizeof(name), "trust/%s/%s", sub, file);
    load(&text, name);
    (void)snprintf(name, sizeof(name), "trust/%s/tcb_info_issuer_chain.pem", sub);
    load(&pem, name);
    struct ccz_span chain = ccz_buf_span(&pem);
    CCZ_AUTO(ccz_cert) signer = next_cert(&chain);
    struct ccz_json *j = NULL;
    CHECK(ccz_json_parse(&j, ccz_buf_span(&text), &err) == CCZ_OK && ccz_json_len(j) == 2);
    struct ccz_span hex = ccz_json_bytes(ccz_json_get(j, "signature"));
    struct ccz_span body = ccz_json_raw_member(ccz_buf_span(&text), member);
    uint8_t sig[64];
    CHECK(ccz_unhex(sig, 64, (const char *)hex.ptr, hex.size) == CCZ_OK);
    CHECK(ccz_ecdsa_verify(ccz_cert_key(signer), sig, 64, &body, 1) == CCZ_OK);
    CHECK(memchr(body.ptr, ' ', body.size) == NULL); /* as PCS delivers it: no white space */
    return j;
}

static int64_t number(const struct ccz_json *j, const char *key)
{
    int64_t v;
    CHECK(ccz_json_int(&v, ccz_json_get(j, key)));
    return v;
}

static bool is_text(const struct ccz_json *j, const char *key, const char *want)
{
    const char *s = ccz_json_str(ccz_json_get(j, key));
    return s && strcmp(s, want) == 0;
}

/* Index of the first level that the platform meets: what a verifier will find. */
static size_t matching_level(const struct ccz_json *levels, bool tdx)
{
    for (size_t i = 0; i < ccz_json_len(levels); i++) {
        const struct ccz_json *tcb = ccz_json_get(ccz_json_at(levels, i), "tcb");
        const struct ccz_json *sgx = ccz_json_get(tcb, "sgxtcbcomponents");
        const struct ccz_json *td = ccz_json_get(tcb, "tdxtcbcomponents");
        bool meets = number(tcb, "pcesvn") <= cczi_sim_tcb.pce_svn;
        CHECK(ccz_json_len(sgx) == 16 && ccz_json_len(td) == (tdx ? 16 : 0));
        for (size_t k = 0; k < 16; k++)
            meets =
                meets && number(ccz_json_at(sgx, k), "svn") <= cczi_sim_tcb.cpu_svn[k] &&
                (!tdx || k < 2 || number(ccz_json_at(td, k), "svn") <= cczi_sim_tcb.tee_tcb_svn[k]);
        if (meets)
            return i;
    }
    return ccz_json_len(levels); /* none: there is no such level to read */
}

static void check_tcb_info(int q, const char *status)
{
    bool tdx = q == CCZI_SIM_TDX, current = strcmp(status, "UpToDate") == 0;
    struct ccz_json *j = signed_json(cczi_sim_qe[q].dir, "tcb_info.json", "tcbInfo");
    const struct ccz_json *t = ccz_json_get(j, "tcbInfo"), *levels = ccz_json_get(t, "tcbLevels");
    CHECK(is_text(t, "id", tdx ? "TDX" : "SGX") && number(t, "version") == 3 &&
          number(t, "tcbType") == 0);
    CHECK(is_text(t, "fmspc", "CC2000510000") && is_text(t, "pceId", "0000"));
    CHECK(is_text(t, "issueDate", "2027-01-15T08:00:00Z") &&
          is_text(t, "nextUpdate", "2027-02-14T08:00:00Z"));
    CHECK((ccz_json_get(t, "tdxModule") != NULL) == tdx &&
          (ccz_json_get(t, "tdxModuleIdentities") != NULL) == tdx);
    const struct ccz_json *level = ccz_json_at(levels, matching_level(levels, tdx));
    CHECK(is_text(level, "tcbStatus", status));
    CHECK((ccz_json_len(ccz_json_get(level, "advisoryIDs")) == 1) == !current);
    CHECK(is_text(ccz_json_at(levels, 0), "tcbStatus", "UpToDate")); /* highest first */
    CHECK(is_text(ccz_json_at(levels, ccz_json_len(levels) - 1), "tcbStatus", "OutOfDate"));
    if (tdx) {
        const struct ccz_json *m = ccz_json_at(ccz_json_get(t, "tdxModuleIdentities"), 0);
        CHECK(is_text(m, "id", "TDX_01") && cczi_sim_tcb.tee_tcb_svn[1] == 1);
        const struct ccz_json *newest = ccz_json_at(ccz_json_get(m, "tcbLevels"), 0);
        CHECK(number(ccz_json_get(newest, "tcb"), "isvsvn") == cczi_sim_tcb.tee_tcb_svn[0]);
    }
    ccz_json_free(j);
}

static void test_collateral(void)
{
    static const char *const statuses[] = {NULL,
                                           "UpToDate",
                                           "SWHardeningNeeded",
                                           "ConfigurationNeeded",
                                           "ConfigurationAndSWHardeningNeeded",
                                           "OutOfDate",
                                           "Revoked",
                                           "OutOfDateConfigurationNeeded"};
    for (size_t s = 0; s < sizeof(statuses) / sizeof(statuses[0]); s++) {
        make_platform(&(struct ccz_sim_cfg){.now_s = NOW, .tcb_status = statuses[s]});
        check_tcb_info(CCZI_SIM_SGX, statuses[s] ? statuses[s] : "UpToDate");
        check_tcb_info(CCZI_SIM_TDX, statuses[s] ? statuses[s] : "UpToDate");
    }
    for (int q = 0; q < CCZI_SIM_QE_LEN; q++) {
        struct ccz_json *j = signed_json(cczi_sim_qe[q].dir, "qe_identity.json", "enclaveIdentity");
        const struct ccz_json *e = ccz_json_get(j, "enclaveIdentity");
        CHECK(is_text(e, "id", cczi_sim_qe[q].identity_id) && number(e, "version") == 2);
        CHECK(number(e, "isvprodid") == cczi_sim_qe[q].prod_id);
        const struct ccz_json *newest = ccz_json_at(ccz_json_get(e, "tcbLevels"), 0);
        CHECK(number(ccz_json_get(newest, "tcb"), "isvsvn") == cczi_sim_qe[q].isv_svn);
        ccz_json_free(j);
    }
}

/* -------------------------------------------------------------------------------------- quotes */

struct parts {
    struct ccz_span header, body, sig, xy, qe_report, qe_sig, auth, chain;
};

/* By the tables of the DCAP documents, independent of how sim.c writes them. */
static struct parts take_apart(struct ccz_span quote, bool tdx)
{
    struct parts p;
    struct ccz_rd r = ccz_rd_from(quote);
    p.header = ccz_rd_take(&r, 48);
    p.body = ccz_rd_take(&r, tdx ? 584 : 384);
    struct ccz_rd d = ccz_rd_from(ccz_rd_take(&r, ccz_rd_le32(&r)));
    CHECK(ccz_rd_done(&r));
    p.sig = ccz_rd_take(&d, 64);
    p.xy = ccz_rd_take(&d, 64);
    if (tdx) {
        CHECK(ccz_rd_le16(&d) == 6);
        struct ccz_rd inner = ccz_rd_from(ccz_rd_take(&d, ccz_rd_le32(&d)));
        CHECK(ccz_rd_done(&d));
        d = inner;
    }
    p.qe_report = ccz_rd_take(&d, 384);
    p.qe_sig = ccz_rd_take(&d, 64);
    p.auth = ccz_rd_take(&d, ccz_rd_le16(&d));
    CHECK(ccz_rd_le16(&d) == 5);
    p.chain = ccz_rd_take(&d, ccz_rd_le32(&d));
    CHECK(ccz_rd_done(&d) && p.auth.size == 32);
    return p;
}

static bool is_zero(struct ccz_span s)
{
    uint8_t any = 0;
    for (size_t i = 0; i < s.size; i++)
        any |= s.ptr[i];
    return s.size > 0 && any == 0;
}

/* The whole chain of signatures, from the quote to the root. */
static void check_signatures(struct ccz_span quote, const struct parts *p, int q)
{
    struct ccz_span signed_bytes = ccz_span_sub(quote, 0, p->header.size + p->body.size);
    CHECK(ccz_ecdsa_verify_p256(p->xy.ptr, p->sig.ptr, signed_bytes) == CCZ_OK);
    uint8_t binding[32], id[32];
    struct ccz_span bound[] = {p->xy, p->auth};
    CHECK(ccz_hash(binding, CCZ_SHA256, bound, 2) == CCZ_OK);
    CHECK(ccz_span_eq(ccz_span_sub(p->qe_report, 320, 32), CCZ_SPAN(binding, 32)));
    CHECK(is_zero(ccz_span_sub(p->qe_report, 352, 32)));
    struct ccz_span pem = p->chain;
    CCZ_AUTO(ccz_cert) pck = next_cert(&pem);
    CHECK(ccz_ecdsa_verify(ccz_cert_key(pck), p->qe_sig.ptr, 64, &p->qe_report, 1) == CCZ_OK);
    struct ccz_json *j = signed_json(cczi_sim_qe[q].dir, "qe_identity.json", "enclaveIdentity");
    struct ccz_span hex =
        ccz_json_bytes(ccz_json_get(ccz_json_get(j, "enclaveIdentity"), "mrsigner"));
    uint8_t signer[32];
    CHECK(ccz_unhex(signer, 32, (const char *)hex.ptr, hex.size) == CCZ_OK);
    CHECK(ccz_span_eq(ccz_span_sub(p->qe_report, 128, 32), CCZ_SPAN(signer, 32)));
    ccz_json_free(j);
    CHECK(p->qe_report.ptr[48] == 0x15 && p->qe_report.ptr[256] == cczi_sim_qe[q].prod_id &&
          p->qe_report.ptr[258] == cczi_sim_qe[q].isv_svn);
    CHECK(ccz_sha256(id, p->xy) == CCZ_OK && memcmp(p->header.ptr + 28, id, 16) == 0);
}

static void test_sgx_quote(void)
{
    static const uint8_t head[28] = {3,    0,    2,    0,    0,    0,    0,    0,    8,    0,
                                     13,   0,    0x93, 0x9a, 0x72, 0x33, 0xf7, 0x9c, 0x4c, 0xa9,
                                     0x94, 0x0a, 0x0d, 0xb3, 0x95, 0x7f, 0x06, 0x07};
    uint8_t rd[64] = {[0] = 0xaa, [63] = 0x55}, self[32];
    make_platform(&(struct ccz_sim_cfg){.now_s = NOW});
    CCZ_AUTO(ccz_attester) a = attester("sim-sgx", NULL, 0);
    CHECK(ccz_attester_simulated(a) && strcmp(ccz_attester_provider(a), "sim-sgx") == 0);
    CCZ_AUTO_BUF out;
    ccz_buf_init(&out, 65536);
    CHECK(ccz_attester_quote(&out, a, rd, &err) == CCZ_OK);
    struct parts p = take_apart(ccz_buf_span(&out), false);
    CHECK(memcmp(p.header.ptr, head, sizeof(head)) == 0);
    check_signatures(ccz_buf_span(&out), &p, CCZI_SIM_SGX);
    CHECK(ccz_sim_measure(self, "/proc/self/exe", NO_RECORD, NULL, 0, &err) == CCZ_OK);
    CHECK(memcmp(p.body.ptr + 64, self, 32) == 0 && !is_zero(CCZ_SPAN(self, 32)));
    CHECK(ccz_span_eq(ccz_attester_measurement(a), CCZ_SPAN(self, 32)));
    CHECK(p.body.ptr[48] == 0x05 && p.body.ptr[256] == 1 &&
          p.body.ptr[258] == 1); /* INIT | MODE64BIT, no DEBUG */
    CHECK(!is_zero(ccz_span_sub(p.body, 128, 32)) && memcmp(p.body.ptr + 320, rd, 64) == 0);
    CHECK(is_zero(ccz_span_sub(p.body, 96, 32)) && is_zero(ccz_span_sub(p.body, 260, 60)));
}

static void test_tdx_quote(void)
{
    static const uint8_t head[28] = {4,    0,    2,    0,    0x81, 0,    0,    0,    0,    0,
                                     0,    0,    0x93, 0x9a, 0x72, 0x33, 0xf7, 0x9c, 0x4c, 0xa9,
                                     0x94, 0x0a, 0x0d, 0xb3, 0x95, 0x7f, 0x06, 0x07};
    uint8_t rd[64] = {[0] = 0xaa, [63] = 0x55};
    make_platform(&(struct ccz_sim_cfg){.now_s = NOW});
    CCZ_AUTO(ccz_attester) a = attester("sim-tdx", NULL, 0);
    CCZ_AUTO_BUF out;
    ccz_buf_init(&out, 65536);
    CHECK(ccz_attester_quote(&out, a, rd, &err) == CCZ_OK);
    struct parts p = take_apart(ccz_buf_span(&out), true);
    CHECK(memcmp(p.header.ptr, head, sizeof(head)) == 0);
    check_signatures(ccz_buf_span(&out), &p, CCZI_SIM_TDX);
    CHECK(ccz_attester_measurement(a).size == 48);
    CHECK(ccz_span_eq(ccz_span_sub(p.body, 136, 48), ccz_attester_measurement(a)));
    CHECK(memcmp(p.body.ptr, cczi_sim_tcb.tee_tcb_svn, 16) == 0 &&
          !is_zero(ccz_span_sub(p.body, 16, 48)));
    CHECK(is_zero(ccz_span_sub(p.body, 64, 56))); /* MRSIGNERSEAM, SEAMATTRIBUTES */
    CHECK(memcmp(p.body.ptr + 120, "\0\0\0\x10\0\0\0\0", 8) == 0); /* SEPT_VE_DISABLE */
    CHECK(is_zero(ccz_span_sub(p.body, 184, 336)) && memcmp(p.body.ptr + 520, rd, 64) == 0);
}

static void test_debug(void)
{
    uint8_t rd[64] = {0};
    make_platform(&(struct ccz_sim_cfg){.now_s = NOW});
    for (int tdx = 0; tdx < 2; tdx++) {
        CCZ_AUTO(ccz_attester) a = NULL;
        struct ccz_attester_cfg cfg = {
            .provider = tdx ? "sim-tdx" : "sim-sgx", .sim_dir = dir, .sim_debug = true};
        CHECK(ccz_attester_open(&a, &cfg, &err) == CCZ_OK);
        CCZ_AUTO_BUF out;
        ccz_buf_init(&out, 65536);
        CHECK(ccz_attester_quote(&out, a, rd, &err) == CCZ_OK);
        CHECK(tdx ? out.ptr[48 + 120] == 1 : out.ptr[48 + 48] == 0x07);
    }
}

/* ------------------------------------------------------------------------------ sealing keys */

/* The key of a program with these measured files; `debug` as in the cfg. */
static void seal_key(uint8_t out[32], const char *library, bool debug, enum ccz_seal_to to,
                     const char *info)
{
    CCZ_AUTO(ccz_attester) a = NULL;
    CCZ_AUTO(ccz_secret) key = NULL;
    struct ccz_attester_cfg cfg = {.provider = "sim-sgx",
                                   .sim_dir = dir,
                                   .sim_debug = debug,
                                   .measure = &library,
                                   .measure_len = library ? 1 : 0};
    CHECK(ccz_attester_open(&a, &cfg, &err) == CCZ_OK);
    CHECK(ccz_attester_seal_key(&key, a, to, info, &err) == CCZ_OK && ccz_secret_size(key) == 32);
    memcpy(out, ccz_secret_view(key), 32);
}

static void test_seal(void)
{
    make_platform(&(struct ccz_sim_cfg){.now_s = NOW});
    char lib[128];
    (void)snprintf(lib, sizeof(lib), "%s/trust/root.pem", dir);
    uint8_t k[7][32];
    seal_key(k[0], NULL, false, CCZ_SEAL_TO_MEASUREMENT, "a");
    seal_key(k[1], NULL, false, CCZ_SEAL_TO_MEASUREMENT, "b");
    seal_key(k[2], lib, false, CCZ_SEAL_TO_MEASUREMENT, "a"); /* another program */
    seal_key(k[3], NULL, true, CCZ_SEAL_TO_MEASUREMENT, "a"); /* one that can be debugged */
    seal_key(k[4], NULL, false, CCZ_SEAL_TO_SIGNER, "a");
    seal_key(k[5], lib, false, CCZ_SEAL_TO_SIGNER, "a"); /* another program of the same signer */
    CHECK(memcmp(k[4], k[5], 32) == 0);
    for (size_t i = 0; i < 5; i++)
        for (size_t j = 0; j < i; j++)
            CHECK(memcmp(k[i], k[j], 32) != 0);
    seal_key(k[5], NULL, false, CCZ_SEAL_TO_MEASUREMENT, "a"); /* after a restart: the same */
    CHECK(memcmp(k[0], k[5], 32) == 0);
    CCZ_AUTO(ccz_attester) tdx = NULL;
    struct ccz_secret *none = NULL;
    CHECK(ccz_attester_open(&tdx, &(struct ccz_attester_cfg){.provider = "sim-tdx", .sim_dir = dir},
                            &err) == CCZ_OK);
    CHECK(ccz_attester_seal_key(&none, tdx, CCZ_SEAL_TO_MEASUREMENT, "a", &err) ==
          CCZ_E_UNSUPPORTED);
    CHECK(!none && strcmp(err.where, "tee:seal") == 0 && strstr(err.hint, "TDX"));
    make_platform(&(struct ccz_sim_cfg){.now_s = NOW}); /* another machine */
    seal_key(k[6], NULL, false, CCZ_SEAL_TO_MEASUREMENT, "a");
    CHECK(memcmp(k[0], k[6], 32) != 0);
}

/* ------------------------------------------------------------------------------- measurement */

static void write_text(char path[128], const char *name, const char *text)
{
    (void)snprintf(path, 128, "%s/%s", dir, name);
    CHECK(ccz_file_write(path, ccz_span_str(text), 0600, CCZ_FILE_REPLACE, &err) == CCZ_OK);
}

static void test_measure(void)
{
    char exe[128], lib[128], lib2[128];
    uint8_t m[32], again[32], other[32];
    make_platform(&(struct ccz_sim_cfg){.now_s = NOW});
    write_text(exe, "exe", "program");
    write_text(lib, "lib", "library");
    write_text(lib2, "lib2", "library 2");
    const char *const one[] = {lib}, *const two[] = {lib, lib2}, *const swapped[] = {lib2, lib};
    /* The formula of tee.h, computed by hand for ("program", "library"). */
    uint8_t entry_a[40] = {7}, entry_b[40] = {7}, want[32];
    CHECK(ccz_sha256(entry_a + 8, ccz_span_str("program")) == CCZ_OK);
    CHECK(ccz_sha256(entry_b + 8, ccz_span_str("library")) == CCZ_OK);
    struct ccz_span formula[] = {CCZ_SPAN("cczoo sim measurement v1", 25), CCZ_SPAN(entry_a, 40),
                                 CCZ_SPAN(entry_b, 40)};
    CHECK(ccz_hash(want, CCZ_SHA256, formula, 3) == CCZ_OK);
    CHECK(ccz_sim_measure(m, exe, NO_RECORD, one, 1, &err) == CCZ_OK && memcmp(m, want, 32) == 0);
    CHECK(ccz_sim_measure(again, exe, NO_RECORD, one, 1, &err) == CCZ_OK &&
          memcmp(m, again, 32) == 0);
    CHECK(ccz_sim_measure(other, exe, NO_RECORD, NULL, 0, &err) == CCZ_OK &&
          memcmp(m, other, 32) != 0);
    CHECK(ccz_sim_measure(other, exe, NO_RECORD, two, 2, &err) == CCZ_OK &&
          memcmp(m, other, 32) != 0);
    CHECK(ccz_sim_measure(again, exe, NO_RECORD, swapped, 2, &err) == CCZ_OK &&
          memcmp(again, other, 32) != 0);
    write_text(lib, "lib", "libraRy"); /* one byte changed */
    CHECK(ccz_sim_measure(other, exe, NO_RECORD, one, 1, &err) == CCZ_OK &&
          memcmp(m, other, 32) != 0);
    write_text(exe, "exe", "Program");
    CHECK(ccz_sim_measure(again, exe, NO_RECORD, one, 1, &err) == CCZ_OK &&
          memcmp(again, other, 32) != 0);
    CHECK(ccz_sim_measure(m, "/nonexistent", NO_RECORD, NULL, 0, &err) == CCZ_E_NOT_FOUND);
    CHECK(strcmp(err.where, "tee:measure") == 0 && is_zero(CCZ_SPAN(m, 32)));
    CHECK(ccz_sim_measure(m, dir, NO_RECORD, NULL, 0, &err) == CCZ_E_ARG); /* a directory */
    CHECK(ccz_sim_measure(m, "/dev/null", NO_RECORD, NULL, 0, &err) == CCZ_E_ARG);
    /* a file whose size says nothing about its content: as one that grows meanwhile */
    CHECK(ccz_sim_measure(m, "/proc/self/status", NO_RECORD, NULL, 0, &err) == CCZ_E_IO);
}

/* A record is measured between both, and no file stands for it. */
static void test_measure_record(void)
{
    char exe[128], lib[128];
    uint8_t m[32], other[32];
    make_platform(&(struct ccz_sim_cfg){.now_s = NOW});
    write_text(exe, "exe", "program");
    write_text(lib, "lib", "library");
    const char *const one[] = {lib};
    const struct ccz_span record = ccz_span_str("library");
    /* The formula of tee.h, computed by hand for ("program", record "library", "library"). */
    uint8_t entry_a[40] = {7}, entry_b[40] = {7}, entry_c[40] = {7}, want[32];
    entry_b[7] = 0x80;
    CHECK(ccz_sha256(entry_a + 8, ccz_span_str("program")) == CCZ_OK);
    CHECK(ccz_sha256(entry_b + 8, record) == CCZ_OK && ccz_sha256(entry_c + 8, record) == CCZ_OK);
    struct ccz_span formula[] = {CCZ_SPAN("cczoo sim measurement v1", 25), CCZ_SPAN(entry_a, 40),
                                 CCZ_SPAN(entry_b, 40), CCZ_SPAN(entry_c, 40)};
    CHECK(ccz_hash(want, CCZ_SHA256, formula, 4) == CCZ_OK);
    CHECK(ccz_sim_measure(m, exe, record, one, 1, &err) == CCZ_OK && memcmp(m, want, 32) == 0);
    CHECK(ccz_sim_measure(m, exe, record, NULL, 0, &err) == CCZ_OK);
    CHECK(ccz_sim_measure(other, exe, NO_RECORD, one, 1, &err) == CCZ_OK &&
          memcmp(m, other, 32) != 0); /* a file of the very same bytes */
    CHECK(ccz_sim_measure(other, exe, ccz_span_str("librarY"), NULL, 0, &err) == CCZ_OK &&
          memcmp(m, other, 32) != 0);
    static const char *const providers[] = {"sim-sgx", "sim-tdx", "sim-snp"};
    for (size_t i = 0; i < 3; i++) {
        struct ccz_attester_cfg cfg = {.provider = providers[i], .sim_dir = dir};
        CCZ_AUTO(ccz_attester) plain = NULL;
        CCZ_AUTO(ccz_attester) with = NULL;
        CCZ_AUTO(ccz_attester) again = NULL;
        CHECK(ccz_attester_open(&plain, &cfg, &err) == CCZ_OK);
        cfg.record = record;
        CHECK(ccz_attester_open(&with, &cfg, &err) == CCZ_OK);
        CHECK(ccz_attester_open(&again, &cfg, &err) == CCZ_OK);
        CHECK(!ccz_span_eq(ccz_attester_measurement(plain), ccz_attester_measurement(with)));
        CHECK(ccz_span_eq(ccz_attester_measurement(again), ccz_attester_measurement(with)));
    }
    CHECK(ccz_sim_measure(want, "/proc/self/exe", record, NULL, 0, &err) == CCZ_OK);
    CCZ_AUTO(ccz_attester) sgx = NULL;
    struct ccz_attester_cfg cfg = {.provider = "sim-sgx", .sim_dir = dir, .record = record};
    CHECK(ccz_attester_open(&sgx, &cfg, &err) == CCZ_OK);
    CHECK(ccz_span_eq(ccz_attester_measurement(sgx), CCZ_SPAN(want, 32)));
}

/* The attester measures what runs, and the libraries it is told of. */
static void test_measure_self(void)
{
    char lib[128];
    uint8_t want[32];
    make_platform(&(struct ccz_sim_cfg){.now_s = NOW});
    write_text(lib, "lib", "library");
    const char *const libs[] = {lib};
    CCZ_AUTO(ccz_attester) plain = attester("sim-sgx", NULL, 0);
    CCZ_AUTO(ccz_attester) with_lib = attester("sim-sgx", libs, 1);
    CCZ_AUTO(ccz_attester) td = attester("sim-tdx", libs, 1);
    CHECK(ccz_sim_measure(want, "/proc/self/exe", NO_RECORD, libs, 1, &err) == CCZ_OK);
    CHECK(ccz_span_eq(ccz_attester_measurement(with_lib), CCZ_SPAN(want, 32)));
    CHECK(!ccz_span_eq(ccz_attester_measurement(plain), ccz_attester_measurement(with_lib)));
    uint8_t mrtd[48];
    struct ccz_span formula[] = {CCZ_SPAN("cczoo sim mrtd v1", 18), CCZ_SPAN(want, 32)};
    CHECK(ccz_hash(mrtd, CCZ_SHA384, formula, 2) == CCZ_OK);
    CHECK(ccz_span_eq(ccz_attester_measurement(td), CCZ_SPAN(mrtd, 48)));
    struct ccz_attester *none = NULL;
    const char *const missing[] = {"/nonexistent"};
    struct ccz_attester_cfg cfg = {
        .provider = "sim-sgx", .sim_dir = dir, .measure = missing, .measure_len = 1};
    CHECK(ccz_attester_open(&none, &cfg, &err) == CCZ_E_NOT_FOUND && none == NULL);
}

/* ---------------------------------------------------------------------------- damaged platforms */

static ccz_rc open_sim(void)
{
    CCZ_AUTO(ccz_attester) a = NULL;
    return ccz_attester_open(&a, &(struct ccz_attester_cfg){.provider = "sim-sgx", .sim_dir = dir},
                             &err);
}

static void test_damaged(void)
{
    char path[128];
    make_platform(&(struct ccz_sim_cfg){.now_s = NOW});
    CCZ_AUTO(ccz_attester) a = NULL;
    CHECK(ccz_attester_open(&a, &(struct ccz_attester_cfg){.provider = "sim-sgx"}, &err) ==
          CCZ_E_ARG);
    CHECK(strcmp(err.where, "tee:sim-dir") == 0);
    CHECK(ccz_attester_open(
              &a, &(struct ccz_attester_cfg){.provider = "sim-sgx", .sim_dir = "/nonexistent"},
              &err) == CCZ_E_NOT_FOUND);
    CHECK(err.hint[0] != 0 && a == NULL);
    CCZ_AUTO_BUF cert;
    load(&cert, "platform/sgx/qe_certification.bin");
    (void)snprintf(path, sizeof(path), "%s/platform/sgx/qe_certification.bin", dir);
    for (size_t cut = 0; cut < cert.size; cut += cut < 500 ? 1 : 97) {
        CHECK(ccz_file_write(path, ccz_span_sub(ccz_buf_span(&cert), 0, cut), 0600,
                             CCZ_FILE_REPLACE, &err) == CCZ_OK);
        CHECK(open_sim() == CCZ_E_FORMAT && strcmp(err.where, "tee:sim-certification") == 0);
    }
    CCZ_AUTO_BUF other; /* the certification of the other QE does not bind this attestation key */
    load(&other, "platform/tdx/qe_certification.bin");
    CHECK(ccz_file_write(path, ccz_buf_span(&other), 0600, CCZ_FILE_REPLACE, &err) == CCZ_OK);
    CHECK(open_sim() == CCZ_E_MISMATCH && strcmp(err.where, "tee:sim-binding") == 0);
    ccz_buf_u8(&cert, 0); /* trailing byte */
    CHECK(ccz_file_write(path, ccz_buf_span(&cert), 0600, CCZ_FILE_REPLACE, &err) == CCZ_OK);
    CHECK(open_sim() == CCZ_E_FORMAT);
    CHECK(ccz_file_write(path, ccz_span_sub(ccz_buf_span(&cert), 0, cert.size - 1), 0600,
                         CCZ_FILE_REPLACE, &err) == CCZ_OK);
    CHECK(open_sim() == CCZ_OK);
    (void)snprintf(path, sizeof(path), "%s/platform/sgx/attest_key.pem", dir);
    CHECK(chmod(path, 0644) == 0);
    CHECK(open_sim() == CCZ_E_DENIED); /* a key that others can read */
    CHECK(chmod(path, 0600) == 0);
    CCZ_AUTO(ccz_key) p384 = NULL;
    CHECK(remove(path) == 0 && ccz_key_generate(&p384, CCZ_P384) == CCZ_OK &&
          ccz_key_save(p384, path, &err) == CCZ_OK);
    CHECK(open_sim() == CCZ_E_FORMAT && strcmp(err.where, "tee:sim-key") == 0);
}

static void *quote_often(void *arg)
{
    for (uint8_t i = 0; i < 50; i++) {
        uint8_t rd[64] = {i};
        CCZ_AUTO_BUF out;
        ccz_buf_init(&out, 65536);
        CHECK(ccz_attester_quote(&out, arg, rd, NULL) == CCZ_OK);
        struct parts p = take_apart(ccz_buf_span(&out), false);
        CHECK(memcmp(p.body.ptr + 320, rd, 64) == 0);
        CHECK(ccz_ecdsa_verify_p256(p.xy.ptr, p.sig.ptr,
                                    ccz_span_sub(ccz_buf_span(&out), 0, 432)) == CCZ_OK);
    }
    return NULL;
}

static void test_threads(void)
{
    make_platform(&(struct ccz_sim_cfg){.now_s = NOW});
    CCZ_AUTO(ccz_attester) a = attester("sim-sgx", NULL, 0);
    pthread_t t[4];
    for (size_t i = 0; i < 4; i++)
        CHECK(pthread_create(&t[i], NULL, quote_often, a) == 0);
    for (size_t i = 0; i < 4; i++)
        CHECK(pthread_join(t[i], NULL) == 0);
    CCZ_AUTO_BUF small;
    ccz_buf_init(&small, 1000);
    CHECK(ccz_attester_quote(&small, a, (const uint8_t[64]){0}, &err) == CCZ_E_LIMIT &&
          small.size == 0);
}

static const struct ccz_test tests[] = {
    {"sim.layout", test_layout},
    {"sim.refuse", test_refuse},
    {"sim.certificates", test_certificates},
    {"sim.collateral", test_collateral},
    {"sim.sgx_quote", test_sgx_quote},
    {"sim.tdx_quote", test_tdx_quote},
    {"sim.debug", test_debug},
    {"sim.seal", test_seal},
    {"sim.measure", test_measure},
    {"sim.measure_record", test_measure_record},
    {"sim.measure_self", test_measure_self},
    {"sim.damaged", test_damaged},
    {"sim.threads", test_threads},
};

int main(int argc, char **argv)
{
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
