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

static bool is_turin(struct ccz_span ark)
{
    return memmem(ark.ptr, ark.size, "ARK-Turin", 9) != NULL;
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
    const struct ccz_span none = {NULL, 0}, a = ccz_buf_span(&ark), b = ccz_buf_span(&ask),
                          c = ccz_buf_span(&vek);
    struct ccz_pcs_want_amd w = {.product = is_turin(a) ? "Turin" : "Milan"};
    memcpy(w.tcb, report.ptr + TCB_AT, sizeof(w.tcb));
    memcpy(w.chip_id, report.ptr + CHIP_AT, sizeof(w.chip_id));
    ccz_rc rc = cczi_amd_check(a, b, none, c, &w, &until_s, &err);
    if (rc != CCZ_OK)
        fprintf(stderr, "%s: %s: %s\n", set, err.where, err.msg);
    CHECK(rc == CCZ_OK);
    w.tcb[7]++;
    CHECK(cczi_amd_check(a, b, none, c, &w, &until_s, &err) == CCZ_E_MISMATCH);
    w.tcb[7]--;
    w.chip_id[7] ^= 1;
    CHECK(cczi_amd_check(a, b, none, c, &w, &until_s, &err) == CCZ_E_MISMATCH);
    w.chip_id[7] ^= 1;
    vek.ptr[vek.size - 1] ^= 1; /* its signature */
    CHECK(cczi_amd_check(a, b, none, c, &w, &until_s, &err) != CCZ_OK);
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
