/* SPDX-License-Identifier: Apache-2.0 */
/* Software TEE: quotes/s per TEE, and the speed of measuring. Columns: name, value, unit. */
#define _DEFAULT_SOURCE
#include <cczoo/tee.h>

#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { QUOTES = 5000, FILE_MIB = 256 };

static int fail(const struct ccz_err *err)
{
    fprintf(stderr, "bench_tee: %s: %s\n", err->where, err->msg);
    return 1;
}

static ccz_rc bench_quotes(const char *dir, const char *provider, struct ccz_err *err)
{
    CCZ_AUTO(ccz_attester) a = NULL;
    ccz_rc rc = ccz_attester_open(
        &a, &(struct ccz_attester_cfg){.provider = provider, .sim_dir = dir}, err);
    CCZ_AUTO_BUF out;
    ccz_buf_init(&out, 65536);
    int64_t start_ns = ccz_mono_ns();
    for (int i = 0; i < QUOTES && rc == CCZ_OK; i++) {
        uint8_t report_data[64] = {(uint8_t)i, (uint8_t)(i >> 8)};
        ccz_buf_clear(&out);
        rc = ccz_attester_quote(&out, a, report_data, err);
    }
    double s = (double)(ccz_mono_ns() - start_ns) / 1e9;
    if (rc == CCZ_OK)
        printf("%s_quote\t%.0f\t1/s\n", provider, QUOTES / s);
    return rc;
}

static ccz_rc bench_measure(const char *dir, struct ccz_err *err)
{
    char path[256];
    (void)snprintf(path, sizeof(path), "%s/library", dir);
    FILE *f = fopen(path, "wb");
    static uint8_t mib[1 << 20];
    memset(mib, 0x5a, sizeof(mib));
    size_t written = 0;
    for (int i = 0; f && i < FILE_MIB; i++)
        written += fwrite(mib, 1, sizeof(mib), f);
    if (!f || fclose(f) != 0 || written != (size_t)FILE_MIB << 20)
        return ccz_fail(err, CCZ_E_IO, "bench:file", 0, "cannot write %s", path);
    uint8_t m[32];
    int64_t start_ns = ccz_mono_ns();
    ccz_rc rc = ccz_sim_measure(m, path, (struct ccz_span){0}, NULL, 0, err);
    double s = (double)(ccz_mono_ns() - start_ns) / 1e9;
    if (rc == CCZ_OK)
        printf("sim_measure\t%.0f\tMiB/s\n", FILE_MIB / s);
    (void)unlink(path);
    return rc;
}

/* bench_tee DIR: works in the new or empty directory DIR, which the caller removes. */
int main(int argc, char **argv)
{
    struct ccz_err err;
    if (argc != 2) {
        fprintf(stderr, "usage: bench_tee DIR\n");
        return 2;
    }
    struct ccz_sim_cfg cfg = {.now_s = ccz_clock_now_s(ccz_clock_system())};
    if (ccz_sim_init(argv[1], &cfg, &err) != CCZ_OK ||
        bench_quotes(argv[1], "sim-sgx", &err) != CCZ_OK ||
        bench_quotes(argv[1], "sim-tdx", &err) != CCZ_OK || bench_measure(argv[1], &err) != CCZ_OK)
        return fail(&err);
    return 0;
}
