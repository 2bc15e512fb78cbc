/* SPDX-License-Identifier: Apache-2.0 */
/* Runs over the real VOLE. */
#define _GNU_SOURCE
#include "parties.h"

enum { N_MAX = 70000 };

/* Ids 0 .. nx-1 and shift .. shift+ny-1. */
static void run_shifted(struct party p[2], size_t nx, size_t ny, uint64_t shift,
                        const struct ccz_chan_fault_cfg *fault, int side)
{
    static uint64_t numbers[2][N_MAX];
    CHECK(nx <= N_MAX && ny <= N_MAX);
    for (size_t i = 0; i < nx; i++)
        numbers[0][i] = i;
    for (size_t i = 0; i < ny; i++)
        numbers[1][i] = shift + ny - 1 - i;
    p[0].ids = ids_of(numbers[0], nx, NULL);
    p[1].ids = ids_of(numbers[1], ny, NULL);
    run_pair(p, fault, side);
    for (int i = 0; i < 2; i++)
        ccz_psi_ids_free((struct ccz_psi_ids *)p[i].ids);
}

static void test_vole(void)
{
    static const struct {
        size_t nx, ny;
        uint64_t shift;
    } shapes[] = {{1, 1, 0},
                  {1, 1, 1},
                  {5, 3, 2},
                  {300, 1000, 100},
                  {9000, 40, 8980},
                  {100, 12000, 50},
                  {N_MAX, 66000, 30000}};
    for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++) {
        for (int semi_honest = 0; semi_honest < 2; semi_honest++) {
            const struct ccz_psi_cfg cfg = {.learns = CCZ_PSI_BOTH,
                                            .protocol = semi_honest ? CCZ_PSI_VOLE_SEMI_HONEST
                                                                    : CCZ_PSI_VOLE};
            struct party p[2] = {{.cfg = cfg}, {.cfg = cfg}};
            size_t end = shapes[i].shift + shapes[i].ny;
            size_t stop = end < shapes[i].nx ? end : shapes[i].nx;
            size_t common = stop > shapes[i].shift ? stop - shapes[i].shift : 0;
            run_shifted(p, shapes[i].nx, shapes[i].ny, shapes[i].shift, NULL, 0);
            CHECK(p[0].rc == CCZ_OK && p[1].rc == CCZ_OK);
            CHECK(p[0].result->len == common && p[1].result->len == common);
            for (size_t k = 0; k < common; k++)
                CHECK(p[0].result->rows[k] == end - 1 - p[1].result->rows[k]);
            CHECK(memcmp(p[0].result->digest, p[1].result->digest, 32) == 0);
            free_results(p);
        }
    }
}

/* The bytes of both parties together are those of the parts, and less than 40 MB for 2^20 ids each. */
static void test_vole_bytes(void)
{
    enum { N = 20000 };
    struct party p[2] = {{.cfg = {.learns = CCZ_PSI_BOTH}}, {.cfg = {.learns = CCZ_PSI_BOTH}}};
    struct cczi_okvs okvs;
    run_shifted(p, N, N, 5000, NULL, 0);
    CHECK(p[0].rc == CCZ_OK && p[1].rc == CCZ_OK);
    cczi_okvs_params(&okvs, N);
    CHECK(p[0].result->sent_size + p[1].result->sent_size ==
          2 * 132 + 32 + ccz_vole_size(okvs.len, 0) + 64 + 16 * okvs.len + 32 +
              cczi_psi_masks_size(N, 16) + 1 + 32 + (N + 7) / 8 + 32);
    free_results(p);
    size_t million = (size_t)1 << 20;
    cczi_okvs_params(&okvs, million);
    CHECK(ccz_vole_size(okvs.len, 0) + 16 * okvs.len + cczi_psi_masks_size(million, 16) +
              million / 8 + 1000 <
          40000000);
}

/* A bit changed in any message of either side: an error, or fewer ids, never a wrong one. */
static void test_vole_broken(void)
{
    struct party count[2] = {{.cfg = {.learns = CCZ_PSI_BOTH}}, {.cfg = {.learns = CCZ_PSI_BOTH}}};
    run_shifted(count, 300, 300, 100, NULL, 0);
    CHECK(count[0].rc == CCZ_OK && count[1].rc == CCZ_OK);
    for (int side = 0; side < 2; side++) {
        for (uint64_t m = 1; m <= count[side].sent_len; m++) {
            struct party p[2] = {{.cfg = {.learns = CCZ_PSI_BOTH}, .timeout_ms = 10000},
                                 {.cfg = {.learns = CCZ_PSI_BOTH}, .timeout_ms = 10000}};
            const struct ccz_chan_fault_cfg fault = {.send_flip = m};
            run_shifted(p, 300, 300, 100, &fault, side);
            for (int i = 0; i < 2; i++)
                for (size_t k = 0; p[i].result && k < p[i].result->len; k++)
                    CHECK(i ? p[1].result->rows[k] >= 100 : p[0].result->rows[k] >= 100);
            if (p[0].result && p[1].result)
                CHECK(memcmp(p[0].result->digest, p[1].result->digest, 32) == 0);
            free_results(p);
        }
    }
    free_results(count);
}

static const struct ccz_test tests[] = {{"psi.vole", test_vole},
                                        {"psi.vole_bytes", test_vole_bytes},
                                        {"psi.vole_broken", test_vole_broken}};

int main(int argc, char **argv)
{
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
