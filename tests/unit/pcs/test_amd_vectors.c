/* SPDX-License-Identifier: Apache-2.0 */
/* Genuine certificates of AMD chips: what is asked for by a report is recognised in what KDS delivers. */
#define _GNU_SOURCE
#include "pcs/pcs_priv.h"

#include "ccz_test.h"

#include <dirent.h>

static const char *root_dir(void)
{
    static char dir[1024];
    const char *env = getenv("CCZOO_VECTORS");
    (void)snprintf(dir, sizeof(dir), "%s/tee",
                   env ? env : CCZ_TEST_SOURCE_DIR "/../shared/vectors");
    return dir;
}

static bool load(struct ccz_buf *out, const char *set, const char *file)
{
    char path[2048];
    ccz_buf_init(out, 1 << 20);
    (void)snprintf(path, sizeof(path), "%s/%s/%s", root_dir(), set, file);
    return ccz_file_read(out, path, NULL) == CCZ_OK;
}

static int is_snp(const struct dirent *e)
{
    return strncmp(e->d_name, "snp", 3) == 0;
}

static const char *line_of(struct ccz_span ark)
{
    static const char *const lines[] = {"Milan", "Genoa", "Turin"};
    for (int i = 0; i < 3; i++) {
        char name[16];
        (void)snprintf(name, sizeof(name), "ARK-%s", lines[i]);
        if (memmem(ark.ptr, ark.size, name, strlen(name)))
            return lines[i];
    }
    return "none";
}

static bool check_set(const char *set)
{
    enum { TCB_AT = 0x180, CHIP_AT = 0x1a0 };
    CCZ_AUTO_BUF report, ark, ask, vek;
    struct ccz_err err = {0};
    int64_t until_s;
    bool there = load(&report, set, "evidence.bin");
    there &= load(&ark, set, "collateral/ark.der");
    there &= load(&ask, set, "collateral/ask.der");
    there &= load(&vek, set, "collateral/vcek.der");
    if (!there || report.size < 1184)
        return false;
    const struct cczi_amd_parts parts = {
        ccz_buf_span(&ark), ccz_buf_span(&ask), {NULL, 0}, ccz_buf_span(&vek)};
    struct ccz_snp_roots roots = {0};
    struct ccz_pcs_want_amd w = {.product = line_of(parts.ark)};
    CHECK(ccz_snp_roots_add_amd(&roots) == CCZ_OK);
    memcpy(w.tcb, report.ptr + TCB_AT, sizeof(w.tcb));
    memcpy(w.chip_id, report.ptr + CHIP_AT, sizeof(w.chip_id));
    ccz_rc rc = cczi_amd_check(&until_s, &parts, &w, &roots, &err);
    if (rc != CCZ_OK)
        fprintf(stderr, "%s: %s: %s\n", set, err.where, err.msg);
    CHECK(rc == CCZ_OK);
    w.tcb[7]++;
    CHECK(cczi_amd_check(&until_s, &parts, &w, &roots, &err) == CCZ_E_MISMATCH);
    w.tcb[7]--;
    w.chip_id[7] ^= 1;
    CHECK(cczi_amd_check(&until_s, &parts, &w, &roots, &err) == CCZ_E_MISMATCH);
    w.chip_id[7] ^= 1;
    vek.ptr[vek.size - 1] ^= 1; /* its signature */
    CHECK(cczi_amd_check(&until_s, &parts, &w, &roots, &err) != CCZ_OK);
    return true;
}

static void test_real(void)
{
    struct dirent **list;
    int len = scandir(root_dir(), &list, is_snp, alphasort), checked = 0, turin = 0;
    if (len < 0) {
        fprintf(stderr, "skipped: no %s\n", root_dir());
        exit(77);
    }
    for (int i = 0; i < len; i++) {
        bool done = check_set(list[i]->d_name);
        checked += done;
        turin += done && strstr(list[i]->d_name, "turin");
        free(list[i]);
    }
    free(list);
    fprintf(stderr, "%d chips\n", checked);
    CHECK(checked >= 10 && turin >= 1);
}

static const struct ccz_test tests[] = {{"pcs.amd_real", test_real}};

int main(int argc, char **argv)
{
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
