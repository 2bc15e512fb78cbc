/* SPDX-License-Identifier: Apache-2.0 */
/* Parameters: the security table, the choice of primes, every refusal. */
#include "kit.h"

#include <math.h>

static void test_table(void)
{
    static const unsigned want[][4] = {{1024, 27, 19, 14},      {2048, 54, 37, 29},
                                       {4096, 109, 75, 58},     {8192, 218, 152, 118},
                                       {16384, 438, 305, 237},  {32768, 881, 611, 476},
                                       {65536, 1747, 1199, 929}};
    for (size_t i = 0; i < sizeof(want) / sizeof(want[0]); i++)
        for (unsigned k = 0; k < 3; k++)
            CHECK(ccz_rlwe_max_bits(want[i][0], 128 + 64 * k) == want[i][k + 1]);
    CHECK(ccz_rlwe_max_bits(8191, 128) == 0 && ccz_rlwe_max_bits(8192, 127) == 0);
}

static ccz_rc try(const struct ccz_rlwe_cfg *cfg, struct ccz_err *err)
{
    CCZ_AUTO(ccz_rlwe) r = NULL;
    ccz_rc rc = ccz_rlwe_new(&r, cfg, err);
    CHECK((rc == CCZ_OK) == (r != NULL));
    return rc;
}

static void test_security(void)
{
    struct ccz_err err;
    struct ccz_rlwe_cfg cfg = {
        .n = 8192, .data_len = 4, .special_len = 1, .bits = {49, 40, 40, 40, 49}};
    CCZ_AUTO(ccz_rlwe) r = NULL;
    CHECK(ccz_rlwe_new(&r, &cfg, &err) == CCZ_OK);
    CHECK(ccz_rlwe_security(r) == 128 && ccz_rlwe_log2_qp(r) <= 218 &&
          ccz_rlwe_log2_qp(r) > 217.99);
    /* one bit more, in any prime */
    for (size_t i = 0; i < 5; i++) {
        cfg.bits[i]++;
        CHECK(is_refused(try(&cfg, &err), CCZ_E_POLICY, &err, "rlwe:security"));
        CHECK(strstr(err.expected, "218") && err.got[0] && err.hint[0]);
        cfg.bits[i]--;
    }
    cfg.bits[0]++;
    cfg.security_insecure = true;
    CCZ_AUTO(ccz_rlwe) weak = NULL;
    CHECK(ccz_rlwe_new(&weak, &cfg, &err) == CCZ_OK && ccz_rlwe_security(weak) == 0);
    cfg.bits[0]--;
    cfg.security_insecure = false;
    /* what fits 128 bits does not fit 192; what fits 256 fits all */
    cfg.security = 192;
    CHECK(is_refused(try(&cfg, &err), CCZ_E_POLICY, &err, "rlwe:security"));
    cfg.security = 256;
    cfg.data_len = 2;
    memcpy(cfg.bits, (uint8_t[5]){38, 40, 40}, 5);
    CCZ_AUTO(ccz_rlwe) strong = NULL;
    CHECK(ccz_rlwe_new(&strong, &cfg, &err) == CCZ_OK && ccz_rlwe_security(strong) == 256);
    cfg.security = 100;
    CHECK(is_refused(try(&cfg, &err), CCZ_E_ARG, &err, "rlwe:security-level"));
}

/* The chain that the peers' sample took: 300 bits at degree 8192. */
static void test_insecure_sample(void)
{
    struct ccz_err err;
    struct ccz_rlwe_cfg cfg = {
        .n = 8192, .data_len = 6, .special_len = 1, .bits = {50, 45, 45, 45, 45, 20, 50}};
    cfg.bits[5] = 22;
    CHECK(is_refused(try(&cfg, &err), CCZ_E_POLICY, &err, "rlwe:security"));
}

static void test_primes(void)
{
    static const struct {
        size_t n, data, special;
        uint8_t bits;
    } sets[] = {{1024, 8, 2, 40}, {1024, 20, 3, 50}, {8192, 12, 1, 49}, {65536, 20, 4, 45}};
    for (size_t s = 0; s < sizeof(sets) / sizeof(sets[0]); s++) {
        struct ccz_rlwe_cfg cfg = {.n = sets[s].n,
                                   .data_len = sets[s].data,
                                   .special_len = sets[s].special,
                                   .security_insecure = true};
        size_t len = cfg.data_len + cfg.special_len;
        memset(cfg.bits, sets[s].bits, len);
        CCZ_AUTO(ccz_rlwe) r = NULL;
        CHECK(ccz_rlwe_new(&r, &cfg, NULL) == CCZ_OK);
        CHECK(ccz_rlwe_log2_qp(r) <= (double)(sets[s].bits * len));
        CHECK(ccz_rlwe_log2_qp(r) > (double)(sets[s].bits * len) - 0.01);
        CHECK(ccz_rlwe_data_len(r) == cfg.data_len && ccz_rlwe_special_len(r) == cfg.special_len);
        for (size_t i = 0; i < len; i++) {
            uint64_t q = ccz_rlwe_prime(r, i);
            CHECK(q % (2 * cfg.n) == 1 && ccz_is_prime(q) && q < UINT64_C(1) << 50);
            for (size_t k = 0; k < i; k++)
                CHECK(ccz_rlwe_prime(r, k) != q);
        }
        CHECK(ccz_rlwe_prime(r, len) == 0 && ccz_rlwe_ntt(r, len) == NULL);
    }
}

static void test_given(void)
{
    struct ccz_err err;
    struct kit k;
    kit_init(&k, 3, 1, 1);
    struct ccz_rlwe_cfg cfg = {
        .n = 1024, .data_len = 3, .special_len = 1, .security_insecure = true};
    for (size_t i = 0; i < 4; i++)
        cfg.primes[i] = ccz_rlwe_prime(k.r, i);
    CCZ_AUTO(ccz_rlwe) r = NULL;
    CHECK(ccz_rlwe_new(&r, &cfg, &err) == CCZ_OK);
    CHECK(memcmp(ccz_rlwe_params_id(r), ccz_rlwe_params_id(k.r), CCZ_RLWE_PARAMS_ID_SIZE) == 0);
    struct ccz_rlwe_cfg bad = cfg;
    bad.primes[1] += 2048; /* 1 mod 2n, not prime */
    while (ccz_is_prime(bad.primes[1]))
        bad.primes[1] += 2048;
    CHECK(is_refused(try(&bad, &err), CCZ_E_ARG, &err, "rlwe:prime"));
    bad.primes[1] = 1000003; /* prime, not 1 mod 2n */
    CHECK(is_refused(try(&bad, &err), CCZ_E_ARG, &err, "rlwe:prime"));
    bad.primes[1] = 1152921504606830593; /* 60 bits */
    CHECK(is_refused(try(&bad, &err), CCZ_E_ARG, &err, "rlwe:prime"));
    bad.primes[1] = cfg.primes[2];
    CHECK(is_refused(try(&bad, &err), CCZ_E_ARG, &err, "rlwe:prime-twice"));
    kit_deinit(&k);
}

static void test_refuse(void)
{
    struct ccz_err err;
    struct ccz_rlwe_cfg cfg = kit_cfg(3, 1);
    static const size_t degrees[] = {0, 512, 1000, 1025, 131072};
    for (size_t i = 0; i < sizeof(degrees) / sizeof(degrees[0]); i++) {
        cfg.n = degrees[i];
        CHECK(is_refused(try(&cfg, &err), CCZ_E_ARG, &err, "rlwe:degree"));
    }
    static const size_t counts[][2] = {{0, 1}, {65, 0}, {3, 9}, {60, 5}};
    for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
        cfg = kit_cfg(3, 1);
        cfg.data_len = counts[i][0];
        cfg.special_len = counts[i][1];
        CHECK(is_refused(try(&cfg, &err), CCZ_E_ARG, &err, "rlwe:prime-count"));
    }
    static const uint8_t sizes[] = {0, 21, 51};
    for (size_t i = 0; i < sizeof(sizes); i++) {
        cfg = kit_cfg(3, 1);
        cfg.bits[2] = sizes[i];
        CHECK(is_refused(try(&cfg, &err), CCZ_E_ARG, &err, "rlwe:prime-bits"));
    }
    cfg = kit_cfg(3, 1); /* there are few primes of 22 bits that are 1 mod 2^17 */
    cfg.n = 65536;
    cfg.data_len = 30;
    memset(cfg.bits, 22, 31);
    CHECK(is_refused(try(&cfg, &err), CCZ_E_ARG, &err, "rlwe:prime-bits"));
    cfg = kit_cfg(3, 1);
    cfg.bits[3] = 43; /* digit of 45 bits */
    CHECK(is_refused(try(&cfg, &err), CCZ_E_ARG, &err, "rlwe:special-size"));
    cfg = kit_cfg(4, 2);
    cfg.bits[4] = 40; /* 85 + 1 bits for a digit of 85 bits */
    CHECK(try(&cfg, &err) == CCZ_OK);
    cfg.bits[4] = 38;
    CHECK(is_refused(try(&cfg, &err), CCZ_E_ARG, &err, "rlwe:special-size"));
    CCZ_AUTO(ccz_rlwe) r = NULL;
    CCZ_AUTO(ccz_rlwe_work) w = NULL;
    cfg = kit_cfg(1, 0);
    CHECK(ccz_rlwe_new(&r, &cfg, &err) == CCZ_OK);
    CHECK(is_refused(ccz_rlwe_work_new(&w, r, &(struct ccz_rlwe_work_cfg){.threads = 17}, &err),
                     CCZ_E_ARG, &err, "rlwe:threads"));
}

/* What a scheme adds is part of the identity; what security was asked for is not. */
static void test_identity(void)
{
    struct ccz_rlwe_cfg cfg = kit_cfg(3, 1);
    uint8_t ids[5][CCZ_RLWE_PARAMS_ID_SIZE];
    for (size_t i = 0; i < 5; i++) {
        struct ccz_rlwe_cfg c = cfg;
        c.scheme += i == 1;
        c.scheme_param += i == 2;
        c.bits[1] = (uint8_t)(c.bits[1] + (i == 3));
        c.security = i == 4 ? 256 : 0;
        CCZ_AUTO(ccz_rlwe) r = NULL;
        CHECK(ccz_rlwe_new(&r, &c, NULL) == CCZ_OK);
        memcpy(ids[i], ccz_rlwe_params_id(r), sizeof(ids[i]));
        for (size_t k = 0; k < i; k++)
            CHECK((memcmp(ids[k], ids[i], sizeof(ids[i])) == 0) == (i == 4 && k == 0));
    }
}

int main(int argc, char **argv)
{
    static const struct ccz_test tests[] = {
        {"rlwe.table", test_table},
        {"rlwe.security", test_security},
        {"rlwe.sample", test_insecure_sample},
        {"rlwe.primes", test_primes},
        {"rlwe.given", test_given},
        {"rlwe.params_refuse", test_refuse},
        {"rlwe.identity", test_identity},
    };
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
