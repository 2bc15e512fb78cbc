/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "pcs_test.h"

#include "pcs/pcs_priv.h"

#include <cczoo/crypto.h>

#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>

enum { DAY = 86400 };

/* ------------------------------------------------------------------------------- a site's data */

struct world {
    struct kit sgx, tdx;
    struct fake_amd amd;
    struct ccz_key *key;
    struct ccz_pcs_import_cfg import;
    char dir[512]; /* of `import` */
    struct ccz_buf archive;
};

static void write_in(const char *dir, const char *file, struct ccz_span data)
{
    char p[1024];
    (void)snprintf(p, sizeof(p), "%s/%s", dir, file);
    CHECK(ccz_file_write(p, data, 0644, CCZ_FILE_REPLACE, NULL) == CCZ_OK);
}

static const char *make_dir(const char *name)
{
    const char *p = temp_path(name);
    CHECK(ccz_dir_make(p, 0755, NULL) == CCZ_OK);
    return p;
}

static void write_amd(const struct fake_amd *a, const char *dir)
{
    char chip[129], file[256];
    write_in(dir, "ark.der", ccz_buf_span(&a->ark));
    write_in(dir, "ask.der", ccz_buf_span(&a->ask));
    write_in(dir, "crl.der", ccz_buf_span(&a->crl));
    ccz_hex(chip, a->chip_id, 64);
    (void)snprintf(file, sizeof(file), "%s-04000000000016d5.vek.der", chip);
    write_in(dir, file, ccz_buf_span(&a->vek));
    write_in(dir, "source.json", ccz_span_str("{}")); /* not exported */
}

static void export(struct world *w, const char *dir, int64_t now_s)
{
    struct ccz_err err = {0};
    char copy[512];
    (void)snprintf(copy, sizeof(copy), "%s", dir);
    const struct ccz_pcs_export_cfg cfg = {.dir = copy,
                                           .roots = &w->sgx.roots,
                                           .snp_roots = &w->amd.roots,
                                           .key = w->key,
                                           .now_s = now_s};
    ccz_buf_init(&w->archive, 16 << 20);
    test_said(ccz_pcs_export(&w->archive, &cfg, &err), &err, CCZ_OK, "");
}

static void world_new(struct world *w)
{
    temp_setup();
    *w = (struct world){0};
    test_kit(&w->sgx, CCZ_TEE_SGX, 1);
    test_kit(&w->tdx, CCZ_TEE_TDX, 2);
    fake_amd_new(&w->amd, false);
    CHECK(ccz_key_generate(&w->key, CCZ_P256) == CCZ_OK);
    kit_write(&w->sgx, make_dir("site/some-name"));
    kit_write(&w->tdx, make_dir("site/other"));
    write_amd(&w->amd, make_dir("site/snp-Milan-vcek"));
    (void)snprintf(w->dir, sizeof(w->dir), "%s", temp_path("airgap"));
    w->import = (struct ccz_pcs_import_cfg){.dir = w->dir,
                                            .roots = &w->sgx.roots,
                                            .snp_roots = &w->amd.roots,
                                            .now_s = KIT_NOW_S + DAY};
    CHECK(ccz_pcs_signer(w->import.signer, w->key) == CCZ_OK);
    export(w, temp_path("site"), KIT_NOW_S);
}

static void world_free(struct world *w)
{
    kit_free(&w->sgx);
    kit_free(&w->tdx);
    fake_amd_free(&w->amd);
    ccz_key_free(w->key);
    ccz_buf_free(&w->archive);
}

static bool exists(const char *name)
{
    return access(temp_path(name), F_OK) == 0;
}

static void refused(const struct world *w, const struct ccz_pcs_import_cfg *cfg,
                    struct ccz_span archive, ccz_rc rc, const char *where)
{
    struct ccz_err err = {0};
    (void)w;
    test_said(ccz_pcs_import(cfg, archive, &err), &err, rc, where);
}

/* ------------------------------------------------------------------------------------- tests */

static void test_round(void)
{
    struct world w;
    struct ccz_err err = {0};
    world_new(&w);
    test_said(ccz_pcs_import(&w.import, ccz_buf_span(&w.archive), &err), &err, CCZ_OK, "");
    CHECK(test_verifies(&w.sgx, w.import.dir) && test_verifies(&w.tdx, w.import.dir));
    CHECK(exists("airgap/00906ed50001-sgx-platform/tcb_info.json") &&
          exists("airgap/00906ed50002-tdx-platform/pck_crl.der") && exists("airgap/MANIFEST.json"));
    CHECK(exists("airgap/snp-Milan-vcek/crl.der") && !exists("airgap/snp-Milan-vcek/source.json"));
    CHECK(!exists("airgap/00906ed50001-sgx-platform/root.pem"));
    char chip[129], file[256];
    ccz_hex(chip, w.amd.chip_id, 64);
    (void)snprintf(file, sizeof(file), "airgap/snp-Milan-vcek/%s-04000000000016d5.vek.der", chip);
    CHECK(exists(file));

    CCZ_AUTO_BUF text;
    CCZ_AUTO(ccz_json) json = NULL;
    uint8_t signer[32];
    ccz_buf_init(&text, 1 << 20);
    CHECK(ccz_pcs_archive_inspect(&text, signer, ccz_buf_span(&w.archive), &err) == CCZ_OK);
    CHECK(memcmp(signer, w.import.signer, 32) == 0);
    CHECK(ccz_json_parse(&json, ccz_buf_span(&text), NULL) == CCZ_OK);
    CHECK(strcmp(ccz_json_str(ccz_json_get(json, "created")), "2025-06-15T15:06:40Z") == 0);
    CHECK(strcmp(ccz_json_str(ccz_json_get(json, "expires")), "2025-07-15T15:06:40Z") == 0);
    CHECK(ccz_json_len(ccz_json_get(json, "bundles")) == 2);
    CHECK(ccz_json_len(ccz_json_get(json, "files")) == 7 + 7 + 4);

    /* what was imported can be exported again: the same, but for the random signature */
    struct ccz_buf first = w.archive;
    export(&w, w.import.dir, KIT_NOW_S);
    CHECK(first.size == w.archive.size);
    size_t differ = 0;
    for (size_t i = 0; i < first.size; i++)
        differ += first.ptr[i] != w.archive.ptr[i];
    CHECK(differ > 0 && differ <= 64);
    ccz_buf_free(&first);
    /* importing it once more changes nothing, and is no error */
    test_said(ccz_pcs_import(&w.import, ccz_buf_span(&w.archive), &err), &err, CCZ_OK, "");
    /* stock tar reads it */
    write_in(temp_base, "a.tar", ccz_buf_span(&w.archive));
    char command[1200];
    (void)snprintf(command, sizeof(command),
                   "command -v tar >/dev/null || exit 0; cd %s && tar -xf a.tar MANIFEST.json && "
                   "cmp MANIFEST.json airgap/MANIFEST.json && tar -tf a.tar | wc -l | grep -qx 20",
                   temp_base);
    CHECK(system(command) == 0);
    world_free(&w);
}

/* No bit anywhere can be changed, and no byte can be missing or added. */
static void test_changed(void)
{
    struct world w;
    struct cczi_archive a;
    world_new(&w);
    struct ccz_span whole = ccz_buf_span(&w.archive);
    CHECK(cczi_archive_open(&a, whole, NULL) == CCZ_OK);
    size_t signed_size = (size_t)(a.files.ptr - whole.ptr);
    for (size_t i = 0; i < whole.size; i += i < signed_size + 1024 ? 1 : 11) {
        w.archive.ptr[i] ^= (uint8_t)(1u << i % 8);
        ccz_rc rc = cczi_archive_open(&a, whole, NULL);
        if (rc == CCZ_OK)
            fprintf(stderr, "byte %zu may be changed\n", i);
        CHECK(rc != CCZ_OK && a.manifest.size == 0);
        w.archive.ptr[i] ^= (uint8_t)(1u << i % 8);
    }
    for (size_t i = 0; i < whole.size; i += i < 4096 ? 1 : 97)
        CHECK(cczi_archive_open(&a, ccz_span_sub(whole, 0, i), NULL) != CCZ_OK);
    ccz_buf_u8(&w.archive, 0);
    refused(&w, &w.import, ccz_buf_span(&w.archive), CCZ_E_FORMAT, "archive:format");
    CHECK(!exists("airgap"));
    world_free(&w);
}

static void test_rules(void)
{
    struct world w;
    struct ccz_err err = {0};
    world_new(&w);
    struct ccz_span archive = ccz_buf_span(&w.archive);
    struct ccz_pcs_import_cfg cfg = w.import;
    struct ccz_roots none = {0};
    cfg.signer[31] ^= 1;
    refused(&w, &cfg, archive, CCZ_E_UNTRUSTED, "archive:signer");
    memset(cfg.signer, 0, 32);
    refused(&w, &cfg, archive, CCZ_E_UNTRUSTED, "archive:signer");
    cfg = w.import;
    cfg.now_s = KIT_NOW_S - DAY - 1;
    refused(&w, &cfg, archive, CCZ_E_EXPIRED, "archive:not-yet-valid");
    cfg.now_s = KIT_NOW_S + 31 * DAY;
    refused(&w, &cfg, archive, CCZ_E_EXPIRED, "archive:expired");
    cfg = w.import;
    cfg.roots = &none; /* the signer vouches for nothing that Intel did not sign */
    refused(&w, &cfg, archive, CCZ_E_UNTRUSTED, "collateral:tcb-info-root");
    cfg = w.import;
    cfg.dir = NULL;
    refused(&w, &cfg, archive, CCZ_E_ARG, "archive:config");
    CHECK(!exists("airgap"));
    /* an export of what has expired helps nobody */
    struct ccz_buf out;
    ccz_buf_init(&out, 16 << 20);
    struct ccz_pcs_export_cfg e = {.dir = temp_path("site"),
                                   .roots = &w.sgx.roots,
                                   .key = w.key,
                                   .now_s = KIT_NOW_S + 31 * DAY};
    test_said(ccz_pcs_export(&out, &e, &err), &err, CCZ_E_EXPIRED, "archive:expired");
    CHECK(out.size == 0);
    e.key = NULL;
    test_said(ccz_pcs_export(&out, &e, &err), &err, CCZ_E_ARG, "archive:config");
    world_free(&w);
}

/* Neither an older archive nor older bundles come back, unless that is asked for. */
static void test_rollback(void)
{
    struct world w;
    struct kit later;
    struct kit_cfg kc;
    struct ccz_err err = {0};
    world_new(&w);
    struct ccz_buf old = w.archive;
    export(&w, temp_path("site"), KIT_NOW_S + 60);
    test_said(ccz_pcs_import(&w.import, ccz_buf_span(&w.archive), &err), &err, CCZ_OK, "");
    refused(&w, &w.import, ccz_buf_span(&old), CCZ_E_MISMATCH, "archive:rollback");
    CHECK(remove(temp_path("airgap/MANIFEST.json")) == 0);
    test_said(ccz_pcs_import(&w.import, ccz_buf_span(&old), &err), &err, CCZ_OK, "");
    /* a bundle that was fetched since */
    kit_default(&kc, CCZ_TEE_SGX, 3);
    kc.tcb_info.from_s += 60;
    kc.qe_identity.from_s += 60;
    kc.pck_crl.from_s += 60;
    kit_new(&later, &kc);
    kit_write(&later, temp_path("airgap/00906ed50001-sgx-platform"));
    refused(&w, &w.import, ccz_buf_span(&w.archive), CCZ_E_MISMATCH, "archive:rollback");
    w.import.older_insecure = true;
    test_said(ccz_pcs_import(&w.import, ccz_buf_span(&old), &err), &err, CCZ_OK, "");
    world_free(&w);
    ccz_buf_free(&old);
    kit_free(&later);
}

/* One document that is older than what is there is enough, even if it is not the oldest of all. */
static void test_rollback_part(void)
{
    struct world w;
    struct ccz_err err = {0};
    world_new(&w);
    test_said(ccz_pcs_import(&w.import, ccz_buf_span(&w.archive), &err), &err, CCZ_OK, "");
    CHECK(remove(temp_path("airgap/MANIFEST.json")) == 0);
    for (int doc = 0; doc < 4; doc++) {
        struct kit there;
        struct kit_cfg kc;
        kit_default(&kc, CCZ_TEE_SGX, 3);
        struct kit_dates *const dates[] = {&kc.tcb_info, &kc.qe_identity, &kc.pck_crl,
                                           &kc.root_crl};
        dates[doc]->from_s += 60;
        kit_new(&there, &kc);
        kit_write(&there, temp_path("airgap/00906ed50001-sgx-platform"));
        refused(&w, &w.import, ccz_buf_span(&w.archive), CCZ_E_MISMATCH, "archive:rollback");
        kit_free(&there);
    }
    world_free(&w);
}

/* ------------------------------------------------------------------------ archives of a villain */

struct member {
    const char *path;
    struct ccz_span data;
};

static const char *craft_expires = "2025-07-15T15:06:40Z", *craft_more = "";

/* Signs whatever members there are, with a right manifest. */
static void craft(struct ccz_buf *out, const struct world *w, const struct member *m, size_t len,
                  const char *format)
{
    char hex[513];
    uint8_t sig[64], digest[32];
    CCZ_AUTO_BUF manifest, spki;
    ccz_buf_init(&manifest, 1 << 20);
    ccz_buf_init(&spki, 256);
    ccz_buf_init(out, 16 << 20);
    CHECK(ccz_key_spki(&spki, w->key) == CCZ_OK);
    ccz_hex(hex, spki.ptr, spki.size);
    ccz_buf_printf(&manifest,
                   "{\"format\":\"%s\",\"created\":\"2025-06-15T15:06:40Z\",\"expires\":"
                   "\"%s\",\"signer\":\"%s\",\"files\":[",
                   format, craft_expires, hex);
    for (size_t i = 0; i < len; i++) {
        CHECK(ccz_sha256(digest, m[i].data) == CCZ_OK);
        ccz_hex(hex, digest, 32);
        ccz_buf_printf(&manifest, "%s{\"path\":\"%s\",\"size\":%zu,\"sha256\":\"%s\"}",
                       i ? "," : "", m[i].path, m[i].data.size, hex);
    }
    ccz_buf_printf(&manifest, "%s]}", craft_more);
    struct ccz_span text = ccz_buf_span(&manifest);
    CHECK(ccz_ecdsa_sign(sig, w->key, &text, 1) == CCZ_OK);
    CHECK(cczi_ustar_put(out, "MANIFEST.json", text) == CCZ_OK);
    CHECK(cczi_ustar_put(out, "MANIFEST.sig", CCZ_SPAN(sig, 64)) == CCZ_OK);
    for (size_t i = 0; i < len; i++)
        CHECK(cczi_ustar_put(out, m[i].path, m[i].data) == CCZ_OK);
    cczi_ustar_end(out);
}

static void craft_refused(const struct world *w, const struct member *m, size_t len, ccz_rc rc,
                          const char *where)
{
    struct ccz_buf b;
    craft(&b, w, m, len, "cczoo-collateral-1");
    refused(w, &w->import, ccz_buf_span(&b), rc, where);
    CHECK(!exists("airgap/x") && !exists("x") && !exists("airgap/00906ed50001-sgx-platform"));
    ccz_buf_free(&b);
}

static void bundle_members(struct member m[7], char paths[7][128], const struct kit *k,
                           const char *name)
{
    const struct ccz_span data[7] = {
        k->src.tcb_info,      k->src.tcb_info_chain, k->src.qe_identity, k->src.qe_identity_chain,
        k->src.pck_crl_chain, k->src.root_ca_crl,    k->src.pck_crl};
    for (int i = 0; i < 7; i++) {
        (void)snprintf(paths[i], 128, "%s/%s", name, cczi_part_names[i]);
        m[i] = (struct member){paths[i], data[i]};
    }
}

static void test_paths(void)
{
    struct world w;
    world_new(&w);
    static const char *const bad[] = {"../x",
                                      "x",
                                      "/x",
                                      "./x",
                                      "x/tcb_info.json",
                                      "00906ed50001-sgx-platform/../x",
                                      "00906ed50001-sgx-platform/x",
                                      "00906ed50001-sgx-platform/source.json",
                                      "00906ed50001-sgx-platform",
                                      "00906ed50001-sgx-platform/",
                                      "00906ED50001-sgx-platform/tcb_info.json",
                                      "00906ed50001-snp-platform/tcb_info.json",
                                      ".00906ed5001-sgx-platform/tcb_info.json",
                                      "snp-Milan-vcek/../ark.der",
                                      "snp-Milan-vcek/x.vek.der",
                                      "snp-Rome-vcek/ark.der",
                                      "MANIFEST.json"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        const struct member m = {bad[i], ccz_span_str("x")};
        CHECK(cczi_archive_path(bad[i]).kind == CCZI_PATH_BAD);
        craft_refused(&w, &m, 1, CCZ_E_FORMAT, "archive:path");
    }
    /* what is well formed must be a genuine bundle, complete, and called what it is */
    struct member m[16];
    char paths[2][7][128];
    bundle_members(m, paths[0], &w.sgx, "00906ed50001-sgx-platform");
    craft_refused(&w, m, 6, CCZ_E_FORMAT, "collateral:pck-crl");
    bundle_members(m + 7, paths[1], &w.sgx, "00906ed50009-sgx-platform");
    craft_refused(&w, m, 14, CCZ_E_MISMATCH, "archive:name");
    bundle_members(m + 7, paths[1], &w.sgx, "00906ed50001-sgx-platform");
    craft_refused(&w, m, 14, CCZ_E_EXISTS, "pcs:duplicate");
    m[7] = m[4]; /* a chain that would be longer, not broken */
    craft_refused(&w, m, 8, CCZ_E_EXISTS, "pcs:duplicate");
    m[7] = (struct member){"snp-Milan-vcek/ark.der", ccz_buf_span(&w.amd.ark)};
    craft_refused(&w, m, 8, CCZ_E_FORMAT, "pcs:incomplete");
    m[8] = (struct member){"snp-Milan-vcek/ark.der", ccz_buf_span(&w.amd.ark)};
    craft_refused(&w, m, 9, CCZ_E_EXISTS, "pcs:duplicate");
    m[8].path = "snp-Milan-vcek/ask.der";
    m[9] = (struct member){"snp-Milan-vcek/crl.der", ccz_buf_span(&w.amd.crl)};
    craft_refused(&w, m, 10, CCZ_E_UNTRUSTED, "snp:ca-name");
    m[8].data = ccz_buf_span(&w.amd.asvk); /* of the other kind of key */
    craft_refused(&w, m, 10, CCZ_E_MISMATCH, "pcs:other-platform");
    m[8].data = ccz_buf_span(&w.amd.ask);
    const struct ccz_snp_roots *roots = w.import.snp_roots;
    w.import.snp_roots = NULL; /* nobody's ARK is trusted unless told */
    craft_refused(&w, m, 10, CCZ_E_UNTRUSTED, "snp:root");
    w.import.snp_roots = roots;
    char vek[256], chip[129];
    ccz_hex(chip, w.amd.chip_id, 64);
    (void)snprintf(vek, sizeof(vek), "snp-Milan-vcek/%s/05000000000016d5.vek.der", chip);
    m[10] = (struct member){vek, ccz_buf_span(&w.amd.vek)};
    craft_refused(&w, m, 11, CCZ_E_MISMATCH, "pcs:amd-tcb");
    struct ccz_buf b;
    craft(&b, &w, m, 10, "cczoo-collateral-9");
    refused(&w, &w.import, ccz_buf_span(&b), CCZ_E_FORMAT, "archive:manifest");
    ccz_buf_free(&b);
    craft(&b, &w, m, 10, "cczoo-collateral-1");
    struct ccz_err err = {0};
    test_said(ccz_pcs_import(&w.import, ccz_buf_span(&b), &err), &err, CCZ_OK, "");
    CHECK(test_verifies(&w.sgx, w.import.dir) && exists("airgap/snp-Milan-vcek/ask.der"));
    ccz_buf_free(&b);
    world_free(&w);
}

/* The manifest's dates and list do not replace those of what it is about. */
static void test_lies(void)
{
    struct world w;
    struct kit soon;
    struct kit_cfg kc;
    struct member m[10];
    char paths[7][128];
    struct ccz_err err = {0};
    world_new(&w);
    kit_default(&kc, CCZ_TEE_SGX, 3);
    kc.pck_crl.until_s = KIT_NOW_S + 10 * DAY;
    kit_new(&soon, &kc);
    bundle_members(m, paths, &w.sgx, "00906ed50001-sgx-platform");
    craft_more =
        ",{\"path\":\"00906ed50001-sgx-platform/pck_leaf.pem\",\"size\":0,\"sha256\":\"\"}";
    craft_refused(&w, m, 7, CCZ_E_FORMAT, "archive:file");
    craft_more = "";
    craft_expires = "2025-06-16T00:00:00Z";
    craft_refused(&w, m, 7, CCZ_E_EXPIRED, "archive:expired");
    craft_expires = "2026-06-16T00:00:00Z";
    bundle_members(m, paths, &soon, "00906ed50001-sgx-platform");
    w.import.now_s = KIT_NOW_S + 10 * DAY + 1;
    craft_refused(&w, m, 7, CCZ_E_EXPIRED, "archive:expired");
    m[0] = (struct member){"snp-Milan-vcek/ark.der", ccz_buf_span(&w.amd.ark)};
    m[1] = (struct member){"snp-Milan-vcek/ask.der", ccz_buf_span(&w.amd.ask)};
    m[2] = (struct member){"snp-Milan-vcek/crl.der", ccz_buf_span(&w.amd.crl)};
    w.import.now_s = KIT_NOW_S + 30 * DAY + 1;
    craft_refused(&w, m, 3, CCZ_E_EXPIRED, "archive:expired");
    /* a revocation list that is older than the one that is there */
    w.import.now_s = KIT_NOW_S;
    m[2].data = ccz_buf_span(&w.amd.later_crl);
    struct ccz_buf later;
    craft(&later, &w, m, 3, "cczoo-collateral-1");
    test_said(ccz_pcs_import(&w.import, ccz_buf_span(&later), &err), &err, CCZ_OK, "");
    ccz_buf_free(&later);
    m[2].data = ccz_buf_span(&w.amd.crl);
    craft_refused(&w, m, 3, CCZ_E_MISMATCH, "archive:rollback");
    kit_free(&soon);
    world_free(&w);
}

static void test_disk_full(void)
{
    struct world w;
    world_new(&w);
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        const struct rlimit small = {2000, 2000};
        struct ccz_err err = {0};
        signal(SIGXFSZ, SIG_IGN);
        if (setrlimit(RLIMIT_FSIZE, &small) != 0)
            _exit(2);
        ccz_rc rc = ccz_pcs_import(&w.import, ccz_buf_span(&w.archive), &err);
        _exit(rc == CCZ_E_IO && strcmp(err.where, "file:write") == 0 ? 0 : 1);
    }
    int status = 0;
    CHECK(waitpid(child, &status, 0) == child && status == 0);
    CHECK(!exists("airgap/00906ed50001-sgx-platform") && !exists("airgap/MANIFEST.json"));
    CHECK(!exists("airgap/.new-00906ed50001-sgx-platform"));
    world_free(&w);
}

/* --------------------------------------------------------------------------- offline PCCS file */

static void put_blanks(struct ccz_buf *out, struct ccz_span text)
{
    bool quoted = false;
    for (size_t i = 0; i < text.size; i++) {
        quoted ^= text.ptr[i] == '"';
        ccz_buf_u8(out, text.ptr[i]);
        if (!quoted && (text.ptr[i] == ',' || text.ptr[i] == ':'))
            ccz_buf_u8(out, ' ');
    }
}

static void put_escaped(struct ccz_buf *out, struct ccz_span text)
{
    ccz_buf_put_str(out, "\"");
    for (size_t i = 0; i < text.size; i++)
        ccz_buf_printf(out, "%%%02X", text.ptr[i]);
    ccz_buf_put_str(out, "\"");
}

static void put_hex(struct ccz_buf *out, struct ccz_span der)
{
    ccz_buf_put_str(out, "\"");
    for (size_t i = 0; i < der.size; i++)
        ccz_buf_printf(out, "%02x", der.ptr[i]);
    ccz_buf_put_str(out, "\"");
}

struct pccs {
    bool no_pck_chain, certs, other_cert;
    const char *drop; /* a member that is renamed */
};

/* As the administrator's tool writes it, with Python's separators. */
static void put_pccs(struct ccz_buf *out, const struct kit *sgx, const struct kit *tdx,
                     const struct kit *early, const struct pccs *p)
{
    ccz_buf_init(out, 4 << 20);
    ccz_buf_put_str(out, "{\"platforms\": [], \"collaterals\": {\"version\": 4, \"pck_certs\": [");
    if (p->certs) {
        CCZ_AUTO_BUF pem;
        ccz_buf_init(&pem, 65536);
        ccz_pem_put(&pem, "CERTIFICATE", ccz_cert_der(p->other_cert ? tdx->pck : sgx->pck));
        ccz_buf_put_str(out, "{\"qe_id\": \"00\", \"certs\": [{\"tcb\": {}, \"cert\": ");
        put_escaped(out, ccz_buf_span(&pem));
        ccz_buf_put_str(out, "}]}");
    }
    ccz_buf_put_str(out, "], \"tcbinfos\": [{\"fmspc\": \"00906ED50001\", \"sgx_tcbinfo\": ");
    put_blanks(out, sgx->src.tcb_info);
    ccz_buf_put_str(out, ", \"sgx_tcbinfo_early\": ");
    put_blanks(out, early->src.tcb_info);
    ccz_buf_put_str(out, "}, {\"fmspc\": \"00906ED50002\", \"tdx_tcbinfo\": ");
    put_blanks(out, tdx->src.tcb_info);
    ccz_buf_put_str(out, "}], \"pckcacrl\": {\"processorCrl\": \"\", \"platformCrl\": ");
    put_hex(out, sgx->src.pck_crl);
    ccz_buf_put_str(out, "}, \"qeidentity\": ");
    ccz_json_put_str(out, sgx->src.qe_identity);
    ccz_buf_put_str(out, ", \"tdqeidentity\": ");
    ccz_json_put_str(out, tdx->src.qe_identity);
    ccz_buf_put_str(out, ", \"qveidentity\": \"\", \"certificates\": {\""
                         "SGX-PCK-Certificate-Issuer-Chain\": {");
    if (!p->no_pck_chain) {
        ccz_buf_put_str(out, "\"PLATFORM\": ");
        put_escaped(out, sgx->src.pck_crl_chain);
    }
    ccz_buf_put_str(out, "}, \"TCB-Info-Issuer-Chain\": ");
    put_escaped(out, sgx->src.tcb_info_chain);
    ccz_buf_put_str(out, ", \"SGX-Enclave-Identity-Issuer-Chain\": ");
    put_escaped(out, sgx->src.qe_identity_chain);
    ccz_buf_put_str(out, "}, \"rootcacrl\": ");
    put_hex(out, sgx->src.root_ca_crl);
    ccz_buf_put_str(out, "}}\n");
    char *at = p->drop ? memmem(out->ptr, out->size, p->drop, strlen(p->drop)) : NULL;
    CHECK(!p->drop || at);
    if (at)
        *at = 'X';
}

/* More kinds of platforms than a set can have: refused, instead of imported in part. */
static void test_pccs_many(void)
{
    static const char mark[] = "\"pck_certs\": [";
    static const uint8_t fmspc[] = {0x00, 0x90, 0x6e, 0xd5, 0x00, 0x01};
    struct world w;
    struct ccz_err err = {0};
    struct ccz_buf json;
    size_t len;
    world_new(&w);
    put_pccs(&json, &w.sgx, &w.tdx, &w.sgx, &(struct pccs){.certs = true});
    CCZ_AUTO_BUF many, der;
    ccz_buf_init(&many, 8 << 20);
    ccz_buf_init(&der, 65536);
    ccz_buf_put_span(&der, ccz_cert_der(w.sgx.pck));
    uint8_t *in = memmem(der.ptr, der.size, fmspc, sizeof(fmspc));
    uint8_t *at = memmem(json.ptr, json.size, mark, sizeof(mark) - 1);
    CHECK(in && at);
    size_t head = (size_t)(at - json.ptr) + sizeof(mark) - 1;
    ccz_buf_put(&many, json.ptr, head);
    for (unsigned i = 0; i < CCZ_PCS_LEN_MAX; i++) {
        CCZ_AUTO_BUF pem;
        ccz_buf_init(&pem, 65536);
        in[1] = (uint8_t)i;
        in[2] = 0xff;
        ccz_pem_put(&pem, "CERTIFICATE", ccz_buf_span(&der));
        ccz_buf_put_str(&many, "{\"qe_id\": \"00\", \"certs\": [{\"tcb\": {}, \"cert\": ");
        put_escaped(&many, ccz_buf_span(&pem));
        ccz_buf_put_str(&many, "}]},");
    }
    ccz_buf_put(&many, json.ptr + head, json.size - head);
    test_said(ccz_pcs_import_pccs(&len, &w.import, ccz_buf_span(&many), &err), &err, CCZ_E_LIMIT,
              "pcs:len");
    CHECK(len == 0 && !exists("airgap"));
    ccz_buf_free(&json);
    world_free(&w);
}

static void test_pccs(void)
{
    struct world w;
    struct kit early;
    struct kit_cfg kc;
    struct ccz_err err = {0};
    struct ccz_buf json;
    size_t len;
    world_new(&w);
    kit_default(&kc, CCZ_TEE_SGX, 3);
    kc.tcb_info.from_s += 1000;
    kit_new(&early, &kc);
    put_pccs(&json, &w.sgx, &w.tdx, &early, &(struct pccs){0});
    test_said(ccz_pcs_import_pccs(&len, &w.import, ccz_buf_span(&json), &err), &err, CCZ_OK, "");
    CHECK(len == 2 && test_verifies(&w.sgx, w.import.dir) && test_verifies(&w.tdx, w.import.dir));
    CCZ_AUTO_BUF tcb;
    ccz_buf_init(&tcb, 1 << 20);
    CHECK(ccz_file_read(&tcb, temp_path("airgap/00906ed50001-sgx-platform/tcb_info.json"), NULL) ==
          CCZ_OK);
    CHECK(ccz_span_eq(ccz_buf_span(&tcb), w.sgx.src.tcb_info)); /* the signed bytes are back */
    w.import.update = CCZ_PCS_EARLY;
    CHECK(ccz_pcs_import_pccs(&len, &w.import, ccz_buf_span(&json), &err) == CCZ_OK && len == 2);
    ccz_buf_clear(&tcb);
    CHECK(ccz_file_read(&tcb, temp_path("airgap/00906ed50001-sgx-platform/tcb_info.json"), NULL) ==
          CCZ_OK);
    CHECK(ccz_span_eq(ccz_buf_span(&tcb), early.src.tcb_info));
    ccz_buf_free(&json);
    /* a list of platforms limits it to their FMSPCs */
    put_pccs(&json, &w.sgx, &w.tdx, &early, &(struct pccs){.certs = true});
    (void)snprintf(w.dir, sizeof(w.dir), "%s", temp_path("only"));
    w.import.update = CCZ_PCS_STANDARD;
    CHECK(ccz_pcs_import_pccs(&len, &w.import, ccz_buf_span(&json), &err) == CCZ_OK && len == 1);
    CHECK(exists("only/00906ed50001-sgx-platform") && !exists("only/00906ed50002-tdx-platform"));
    (void)snprintf(w.dir, sizeof(w.dir), "%s", temp_path("never"));
    for (size_t i = 0; i < json.size - 2; i += 61) {
        struct ccz_err why = {0};
        ccz_rc rc =
            ccz_pcs_import_pccs(&len, &w.import, ccz_span_sub(ccz_buf_span(&json), 0, i), &why);
        test_said(rc, &why, CCZ_E_FORMAT, "pccs:json");
        CHECK(len == 0);
    }
    ccz_buf_free(&json);
    const struct {
        struct pccs p;
        ccz_rc rc;
        const char *where;
    } bad[] = {
        {{.no_pck_chain = true}, CCZ_E_FORMAT, "pccs:member"},
        {{.drop = "collaterals"}, CCZ_E_FORMAT, "pccs:member"},
        {{.drop = "tcbinfos"}, CCZ_E_FORMAT, "pccs:member"},
        {{.drop = "fmspc\": "}, CCZ_E_FORMAT, "pccs:member"},
        {{.drop = "platformCrl"}, CCZ_E_FORMAT, "pccs:member"},
        {{.drop = "rootcacrl"}, CCZ_E_FORMAT, "pccs:member"},
        {{.drop = "qeidentity"}, CCZ_E_FORMAT, "pccs:member"},
        {{.drop = "TCB-Info-Issuer-Chain"}, CCZ_E_FORMAT, "pccs:member"},
        {{.drop = "tcbEvaluationDataNumber"}, CCZ_E_SIG, "collateral:tcb-info-signature"},
        {{.drop = "%2D"}, CCZ_E_FORMAT, "collateral:pck-crl-chain"},
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct ccz_err why = {0};
        put_pccs(&json, &w.sgx, &w.tdx, &early, &bad[i].p);
        ccz_rc rc = ccz_pcs_import_pccs(&len, &w.import, ccz_buf_span(&json), &why);
        if (i + 1 == sizeof(bad) / sizeof(bad[0])) /* which chain comes first is not the point */
            CHECK(rc != CCZ_OK);
        else
            test_said(rc, &why, bad[i].rc, bad[i].where);
        CHECK(len == 0 && !exists("never"));
        ccz_buf_free(&json);
    }
    world_free(&w);
    kit_free(&early);
}

static const struct ccz_test tests[] = {
    {"archive.round", test_round},
    {"archive.changed", test_changed},
    {"archive.rules", test_rules},
    {"archive.rollback", test_rollback},
    {"archive.rollback_part", test_rollback_part},
    {"archive.paths", test_paths},
    {"archive.lies", test_lies},
    {"archive.disk_full", test_disk_full},
    {"archive.pccs", test_pccs},
    {"archive.pccs_many", test_pccs_many},
};

int main(int argc, char **argv)
{
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
