/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every real quote against every published collateral of its platform, whatever their dates: what is short
 * agrees with the status that verification finds, and newer collateral in the place of early one foretells
 * what it later said.
 */
#define _DEFAULT_SOURCE
#include <cczoo/codec.h>
#include <cczoo/radar.h>

#include "ccz_test.h"

#include <dirent.h>

enum { FILE_SIZE_MAX = 1 << 20, LEN_MAX = 256 };

static struct {
    struct ccz_buf quote[LEN_MAX];
    struct ccz_collateral *collateral[LEN_MAX];
    struct ccz_json *tcb_info[LEN_MAX];
    size_t quotes, collaterals;
    struct ccz_roots roots;
} world;

static struct ccz_err err;

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

static bool load(struct ccz_buf *out, const char *dir, const char *file)
{
    char path[4096];
    ccz_buf_init(out, FILE_SIZE_MAX);
    (void)snprintf(path, sizeof(path), "%s/%s", dir, file);
    return ccz_file_read(out, path, NULL) == CCZ_OK;
}

/* A directory of collateral, if it is complete and genuine. */
static void add_collateral(const char *dir)
{
    static const char *const names[] = {
        "tcb_info.json",           "tcb_info_issuer_chain.pem",    "qe_identity.json",
        "root_ca_crl.der",         "qe_identity_issuer_chain.pem", "pck_crl.der",
        "pck_crl_issuer_chain.pem"};
    struct ccz_buf b[7];
    struct ccz_span s[7];
    for (size_t i = 0; i < 7; i++) {
        (void)load(&b[i], dir, names[i]);
        s[i] = ccz_buf_span(&b[i]);
    }
    const struct ccz_collateral_src src = {.tcb_info = s[0],
                                           .tcb_info_chain = s[1],
                                           .qe_identity = s[2],
                                           .root_ca_crl = s[3],
                                           .qe_identity_chain = s[4],
                                           .pck_crl = s[5],
                                           .pck_crl_chain = s[6]};
    size_t n = world.collaterals;
    CHECK(n < LEN_MAX);
    if (ccz_collateral_new(&world.collateral[n], &src, &world.roots, NULL) == CCZ_OK) {
        CHECK(ccz_json_parse(&world.tcb_info[n], s[0], NULL) == CCZ_OK);
        world.collaterals++;
    }
    for (size_t i = 0; i < 7; i++)
        ccz_buf_free(&b[i]);
}

static void add_set(const char *set)
{
    char dir[2048];
    struct ccz_quote q;
    (void)snprintf(dir, sizeof(dir), "%s/%s", root_dir(), set);
    CHECK(world.quotes < LEN_MAX);
    if (load(&world.quote[world.quotes], dir, "evidence.bin") &&
        ccz_quote_parse(&q, ccz_buf_span(&world.quote[world.quotes]), NULL) == CCZ_OK)
        world.quotes++;
    else
        ccz_buf_free(&world.quote[world.quotes]);
    for (int i = 1; i < 10; i++) {
        char path[2100];
        (void)snprintf(path, sizeof(path), i > 1 ? "%s/collateral-%d" : "%s/collateral", dir, i);
        add_collateral(path);
    }
}

static void load_world(void)
{
    CHECK(ccz_roots_add_intel(&world.roots) == CCZ_OK);
    DIR *d = opendir(root_dir());
    CHECK(d != NULL);
    for (const struct dirent *e; (e = readdir(d)) != NULL;)
        if (e->d_name[0] != '.' && strncmp(e->d_name, "neg-", 4) != 0)
            add_set(e->d_name);
    closedir(d);
    CHECK(world.quotes > 40 && world.collaterals > 25);
}

static void free_world(void)
{
    for (size_t i = 0; i < world.quotes; i++)
        ccz_buf_free(&world.quote[i]);
    for (size_t i = 0; i < world.collaterals; i++) {
        ccz_collateral_free(world.collateral[i]);
        ccz_json_free(world.tcb_info[i]);
    }
}

/* The quote under the collateral, soon after that was issued. */
static bool verify(struct ccz_claims *claims, size_t quote, size_t collateral)
{
    const struct ccz_collateral *c = world.collateral[collateral];
    const struct ccz_verify_cfg cfg = {
        .now_s = ccz_collateral_expires(c) - 3600, .roots = &world.roots, .collateral = c};
    return ccz_quote_verify(claims, ccz_buf_span(&world.quote[quote]), &cfg, &err) == CCZ_OK;
}

static bool same_platform(size_t quote, size_t collateral)
{
    struct ccz_quote q;
    struct ccz_platform a, b;
    CHECK(ccz_quote_parse(&q, ccz_buf_span(&world.quote[quote]), NULL) == CCZ_OK);
    if (ccz_quote_platform(&a, &q, NULL) != CCZ_OK)
        return false;
    ccz_collateral_platform(&b, world.collateral[collateral]);
    return a.tee == b.tee && memcmp(a.fmspc, b.fmspc, 6) == 0;
}

/* UpToDate if and only if nothing is short of a level that is. */
static void test_shortfall(void)
{
    size_t good = 0, low = 0, none = 0, below = 0;
    load_world();
    for (size_t q = 0; q < world.quotes; q++)
        for (size_t c = 0; c < world.collaterals; c++) {
            struct ccz_claims claims;
            struct ccz_shortfall s;
            if (!same_platform(q, c))
                continue;
            ccz_rc rc = ccz_collateral_shortfall(
                &s, world.collateral[c], ccz_buf_span(&world.quote[q]), CCZ_TCB_UP_TO_DATE, &err);
            bool genuine = verify(&claims, q, c);
            if (!genuine && strcmp(err.where, "quote:tcb-level") == 0) {
                CHECK(rc == CCZ_E_NOT_FOUND || (rc == CCZ_OK && s.len > 0));
                below++;
            } else if (genuine && rc == CCZ_E_NOT_FOUND) {
                CHECK(claims.tcb_status != CCZ_TCB_UP_TO_DATE);
                none++;
            } else if (genuine) {
                CHECK(rc == CCZ_OK && (s.len == 0) == (claims.tcb_status == CCZ_TCB_UP_TO_DATE));
                *(s.len ? &low : &good) += 1;
            }
        }
    printf("%zu up to date, %zu short, %zu without such a level, %zu below every level\n", good,
           low, none, below);
    CHECK(good >= 20 && low >= 20 && below >= 4);
    free_world();
}

/* The radar with older collateral as standard and newer as early: what it says is what the newer one says. */
static void test_recoveries(void)
{
    size_t warned = 0, pairs = 0;
    load_world();
    for (size_t q = 0; q < world.quotes; q++)
        for (size_t a = 0; a < world.collaterals; a++)
            for (size_t b = 0; b < world.collaterals; b++) {
                struct ccz_claims old, new;
                struct ccz_radar r;
                if (a == b || !same_platform(q, a) || !same_platform(q, b) || !verify(&old, q, a))
                    continue;
                int64_t ends = old.collateral_expires_s;
                bool genuine = verify(&new, q, b);
                if (genuine ? new.tcb_eval_number <= old.tcb_eval_number
                            : strcmp(err.where, "quote:tcb-level") != 0)
                    continue;
                /* one time for both: the newer as if it had been there early */
                if (genuine)
                    new.collateral_expires_s = ends + 1;
                const struct ccz_radar_in in = {
                    {&old, NULL}, {genuine ? &new : NULL, &err}, NULL, ends - 3600};
                ccz_radar(&r, &in);
                bool was = old.tcb_status == CCZ_TCB_UP_TO_DATE;
                bool will = genuine && new.tcb_status == CCZ_TCB_UP_TO_DATE;
                CHECK(r.state == (!was    ? CCZ_RADAR_REFUSED
                                  : !will ? CCZ_RADAR_ENDING
                                          : CCZ_RADAR_GOOD));
                CHECK(r.state != CCZ_RADAR_ENDING || r.until_s == ends);
                warned += was && !will;
                pairs++;
            }
    printf("%zu warned of in %zu pairs\n", warned, pairs);
    CHECK(pairs >= 50 && warned >= 10);
    free_world();
}

/* TCB info v3 calls the components what ccz_svn_name() does, wherever it calls them anything. */
static void check_names(const struct ccz_json *levels, const char *list, enum ccz_svn_kind kind,
                        size_t *named)
{
    for (size_t l = 0; l < ccz_json_len(levels); l++) {
        const struct ccz_json *components =
            ccz_json_get(ccz_json_get(ccz_json_at(levels, l), "tcb"), list);
        for (size_t i = 0; i < ccz_json_len(components); i++) {
            const struct ccz_json *c = ccz_json_at(components, i);
            const char *category = ccz_json_str(ccz_json_get(c, "category"));
            const char *type = ccz_json_str(ccz_json_get(c, "type"));
            const struct ccz_svn_short s = {.kind = kind, .index = (uint8_t)(i + 1)};
            if (category || (type && type[0]))
                CHECK(strcmp(ccz_svn_name(&s), type && type[0] ? type : category) == 0);
            *named += category != NULL;
        }
    }
}

static void test_component_names(void)
{
    size_t named = 0;
    load_world();
    for (size_t c = 0; c < world.collaterals; c++) {
        const struct ccz_json *levels =
            ccz_json_get(ccz_json_get(world.tcb_info[c], "tcbInfo"), "tcbLevels");
        check_names(levels, "sgxtcbcomponents", CCZ_SVN_SGX_COMPONENT, &named);
        check_names(levels, "tdxtcbcomponents", CCZ_SVN_TDX_COMPONENT, &named);
    }
    CHECK(named > 500);
    free_world();
}

static const struct ccz_test tests[] = {
    {"radar_vectors.shortfall", test_shortfall},
    {"radar_vectors.recoveries", test_recoveries},
    {"radar_vectors.component_names", test_component_names},
};

int main(int argc, char **argv)
{
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
