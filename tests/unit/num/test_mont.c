/* SPDX-License-Identifier: Apache-2.0 */
/* Every tier against GMP: random numbers and those at the edges, sizes that fill limbs and that do not. */
#include <cczoo/mont.h>

#include "ccz_test.h"
#include "num/mont_priv.h"

#include <gmp.h>

enum { COUNT = 13, NUMBER_SIZE = CCZ_MONT_BITS_MAX / 8 };

static gmp_randstate_t random_state;

/* A modulus, its context, numbers below it and their values. */
struct kit {
    struct ccz_mont *m;
    bool pair;
    mpz_t root, modulus;
    mpz_t numbers[COUNT];
    uint64_t *values, *results;
    size_t len, size;
};

/* Modulus of exactly `bits` bits: 0: random; 1: 2^bits - 1; 2: 2^(bits-1) + 1 */
static void make_modulus(mpz_t m, unsigned bits, int kind)
{
    mpz_set_ui(m, 1);
    mpz_mul_2exp(m, m, kind == 1 ? bits : bits - 1);
    if (kind == 0) {
        mpz_t r;
        mpz_init(r);
        mpz_urandomb(r, random_state, bits - 1);
        mpz_add(m, m, r);
        mpz_setbit(m, 0);
        mpz_clear(r);
    } else if (kind == 1) {
        mpz_sub_ui(m, m, 1);
    } else {
        mpz_add_ui(m, m, 1);
    }
}

static void put(uint8_t *out, size_t size, const mpz_t a)
{
    size_t used = (mpz_sizeinbase(a, 2) + 7) / 8;
    memset(out, 0, size);
    if (mpz_sgn(a) > 0) {
        CHECK(used <= size);
        (void)mpz_export(out + size - used, NULL, 1, 1, 1, 0, a);
    }
}

static void get(mpz_t out, const uint8_t *in, size_t size)
{
    mpz_import(out, size, 1, 1, 1, 0, in);
}

static void kit_number(struct kit *k, size_t i)
{
    mpz_t *a = &k->numbers[i];
    mpz_urandomm(*a, random_state, k->modulus);
    if (i < 3)
        mpz_set_ui(*a, i); /* 0, 1, 2 */
    else if (i == 3)
        mpz_sub_ui(*a, k->modulus, 1);
    else if (i == 4)
        mpz_sub_ui(*a, k->modulus, 2);
    else if (i == 5)
        mpz_set(*a, k->root); /* of a pair: (0, 1) */
    else if (i == 6)
        mpz_sub_ui(*a, k->root, 1);
    else if (i == 7) { /* all ones, as many as fit */
        mpz_set_ui(*a, 1);
        mpz_mul_2exp(*a, *a, mpz_sizeinbase(k->modulus, 2) - 1);
        mpz_sub_ui(*a, *a, 1);
    } else if (i == 8) { /* long runs of ones and zeros */
        mpz_rrandomb(*a, random_state, mpz_sizeinbase(k->modulus, 2) - 1);
    }
    mpz_mod(*a, *a, k->modulus);
}

static void kit_init(struct kit *k, const struct cczi_mont_tier *tier, bool pair, unsigned bits,
                     int kind)
{
    uint8_t bytes[NUMBER_SIZE];
    k->pair = pair;
    mpz_inits(k->root, k->modulus, NULL);
    make_modulus(k->root, bits, kind);
    put(bytes, (bits + 7) / 8, k->root);
    CHECK(cczi_mont_new(&k->m, CCZ_SPAN(bytes, (bits + 7) / 8), pair, tier, NULL) == CCZ_OK);
    if (pair)
        mpz_mul(k->modulus, k->root, k->root);
    else
        mpz_set(k->modulus, k->root);
    k->len = ccz_mont_len(k->m);
    k->size = ccz_mont_size(k->m);
    CHECK(k->len <= CCZ_MONT_LEN_MAX && k->size <= NUMBER_SIZE);
    CHECK(k->size * 8 >= mpz_sizeinbase(k->modulus, 2));
    CHECK(ccz_mont_root_size(k->m) == (pair ? (bits + 7) / 8 : 0));
    k->values = calloc(COUNT * k->len, 8);
    k->results = calloc(COUNT * k->len, 8);
    CHECK(k->values && k->results);
    for (size_t i = 0; i < COUNT; i++) {
        mpz_init(k->numbers[i]);
        kit_number(k, i);
        put(bytes, k->size, k->numbers[i]);
        CHECK(ccz_mont_from_bytes(k->m, k->values + i * k->len, bytes, k->size, 1) == CCZ_OK);
    }
}

static void kit_deinit(struct kit *k)
{
    for (size_t i = 0; i < COUNT; i++)
        mpz_clear(k->numbers[i]);
    mpz_clears(k->root, k->modulus, NULL);
    free(k->values);
    free(k->results);
    ccz_mont_free(k->m);
}

/* Value number i of an array is the expected number. */
static void check_value(const struct kit *k, const uint64_t *values, size_t i, const mpz_t expected)
{
    uint8_t bytes[NUMBER_SIZE];
    mpz_t got, reduced;
    mpz_inits(got, reduced, NULL);
    ccz_mont_to_bytes(k->m, bytes, values + i * k->len, 1);
    get(got, bytes, k->size);
    mpz_mod(reduced, expected, k->modulus);
    CHECK(mpz_cmp(got, reduced) == 0);
    mpz_clears(got, reduced, NULL);
}

/* Runs a test for all tiers and kinds of moduli. */
static void for_all(void (*test)(struct kit *k))
{
    static const unsigned bits[] = {256, 257, 512, 521, 1000, 1024, 1040, 1536, 2048, 2049, 3072};
    for (size_t t = 0; t < CCZI_MONT_TIERS; t++) {
        const struct cczi_mont_tier *tier = cczi_mont_tier_at(t);
        for (size_t b = 0; tier && b < sizeof(bits) / sizeof(bits[0]); b++) {
            for (int kind = 0; kind < 3; kind++) {
                for (int pair = 0; pair < 2; pair++) {
                    struct kit k;
                    kit_init(&k, tier, pair, bits[b], kind);
                    test(&k);
                    kit_deinit(&k);
                }
            }
        }
    }
}

/* Fewer and larger moduli, for what takes long. */
static void for_some(void (*test)(struct kit *k))
{
    static const unsigned bits[][2] = {{256, 0},  {512, 1},  {1024, 1},
                                       {2048, 1}, {8192, 0}, {4096, 1}};
    for (size_t t = 0; t < CCZI_MONT_TIERS; t++) {
        const struct cczi_mont_tier *tier = cczi_mont_tier_at(t);
        for (size_t b = 0; tier && b < sizeof(bits) / sizeof(bits[0]); b++) {
            struct kit k;
            kit_init(&k, tier, bits[b][1], bits[b][0], (int)b % 2);
            test(&k);
            kit_deinit(&k);
        }
    }
}

/* ------------------------------------------------------------------------------------- refusals */

static void refused(const uint8_t *bytes, size_t size, bool squared, const char *where)
{
    struct ccz_mont *m = (struct ccz_mont *)1;
    struct ccz_err err;
    ccz_rc rc = squared ? ccz_mont_new_squared(&m, CCZ_SPAN(bytes, size), &err)
                        : ccz_mont_new(&m, CCZ_SPAN(bytes, size), &err);
    CHECK(rc == CCZ_E_ARG && !m && strcmp(err.where, where) == 0);
}

static void test_refuse(void)
{
    uint8_t bytes[NUMBER_SIZE + 2];
    struct ccz_mont *m;
    memset(bytes, 0xff, sizeof(bytes));
    refused(bytes, 0, false, "mont:size");
    refused(bytes, 31, false, "mont:size");
    refused(bytes, NUMBER_SIZE + 1, false, "mont:size");
    refused(bytes, NUMBER_SIZE / 2 + 1, true, "mont:size");
    bytes[63] = 0xfe;
    refused(bytes, 64, false, "mont:even");
    refused(bytes, 64, true, "mont:even");
    memset(bytes, 0, 2); /* zeros in front do not count */
    CHECK(ccz_mont_new(&m, CCZ_SPAN(bytes, NUMBER_SIZE + 2), NULL) == CCZ_OK);
    CHECK(ccz_mont_size(m) == NUMBER_SIZE);
    uint64_t value[CCZ_MONT_LEN_MAX];
    CHECK(ccz_mont_from_bytes(m, value, bytes, 4 * NUMBER_SIZE + 1, 1) == CCZ_E_ARG);
    CHECK(strcmp(ccz_mont_tier(m), "ifma") == 0 || strcmp(ccz_mont_tier(m), "x86") == 0 ||
          strcmp(ccz_mont_tier(m), "portable") == 0);
    ccz_mont_free(m);
    ccz_mont_free(NULL);
}

/* ----------------------------------------------------------------------------------- conversion */

static void check_bytes(struct kit *k)
{
    uint8_t *in = malloc(COUNT * (4 * k->size)), *out = malloc(COUNT * k->size);
    mpz_t a;
    CHECK(in && out);
    mpz_init(a);
    for (size_t size = 0; size <= 4 * k->size; size += size < 3 ? 1 : k->size / 2 + 3) {
        for (size_t i = 0; i < COUNT * size; i++)
            in[i] = i < size ? 0xff : i < 2 * size ? 0 : (uint8_t)gmp_urandomb_ui(random_state, 8);
        CHECK(ccz_mont_from_bytes(k->m, k->results, in, size, COUNT) == CCZ_OK);
        for (size_t i = 0; i < COUNT; i++) {
            get(a, in + i * size, size);
            check_value(k, k->results, i, a);
        }
    }
    ccz_mont_to_bytes(k->m, out, k->values, COUNT);
    for (size_t i = 0; i < COUNT; i++) {
        get(a, out + i * k->size, k->size);
        CHECK(mpz_cmp(a, k->numbers[i]) == 0);
    }
    ccz_mont_one(k->m, k->results);
    check_value(k, k->results, 0, k->numbers[1]);
    mpz_clear(a);
    free(in);
    free(out);
}

static void test_bytes(void)
{
    for_all(check_bytes);
}

static void check_pairs(struct kit *k)
{
    size_t size = ccz_mont_root_size(k->m);
    uint8_t *low = malloc(COUNT * size + 1), *high = malloc(COUNT * size + 1);
    mpz_t q, r, got;
    CHECK(low && high);
    mpz_inits(q, r, got, NULL);
    if (k->pair) {
        ccz_mont_to_pair(k->m, low, high, k->values, COUNT);
        for (size_t i = 0; i < COUNT; i++) {
            mpz_fdiv_qr(q, r, k->numbers[i], k->root);
            get(got, low + i * size, size);
            CHECK(mpz_cmp(got, r) == 0);
            get(got, high + i * size, size);
            CHECK(mpz_cmp(got, q) == 0);
        }
        ccz_mont_to_pair(k->m, NULL, low, k->values, COUNT);
        CHECK(memcmp(low, high, COUNT * size) == 0);
        for (size_t i = 0; i < COUNT * size; i++) /* numbers above the root as well */
            low[i] = i < size ? 0xff : (uint8_t)gmp_urandomb_ui(random_state, 8);
        memset(high, 0xff, size);
        for (int with_low = 0; with_low < 2; with_low++) {
            ccz_mont_from_pair(k->m, k->results, with_low ? low : NULL, high, COUNT);
            for (size_t i = 0; i < COUNT; i++) {
                mpz_set_ui(r, 1);
                if (with_low)
                    get(r, low + i * size, size);
                get(q, high + i * size, size);
                mpz_mul(q, q, k->root);
                mpz_add(q, q, r);
                check_value(k, k->results, i, q);
            }
        }
    }
    mpz_clears(q, r, got, NULL);
    free(low);
    free(high);
}

static void test_pairs(void)
{
    for_all(check_pairs);
}

/* ------------------------------------------------------------------------------------- products */

static void check_mul(struct kit *k)
{
    mpz_t e;
    mpz_init(e);
    for (size_t shift = 0; shift < COUNT; shift++) { /* each with each */
        for (size_t i = 0; i < COUNT; i++)
            memcpy(k->results + i * k->len, k->values + (i + shift) % COUNT * k->len, k->len * 8);
        ccz_mont_mul(k->m, k->results, k->values, k->results, COUNT);
        for (size_t i = 0; i < COUNT; i++) {
            mpz_mul(e, k->numbers[i], k->numbers[(i + shift) % COUNT]);
            check_value(k, k->results, i, e);
        }
    }
    for (size_t count = 0; count <= COUNT; count++) {
        memset(k->results, 0, COUNT * k->len * 8);
        ccz_mont_sqr(k->m, k->results, k->values, count);
        ccz_mont_mul_one(k->m, k->results, k->results, k->values + 8 * k->len, count);
        for (size_t i = 0; i < count; i++) {
            mpz_mul(e, k->numbers[i], k->numbers[i]);
            mpz_mul(e, e, k->numbers[8]);
            check_value(k, k->results, i, e);
        }
        for (size_t i = count * k->len; i < COUNT * k->len; i++)
            CHECK(k->results[i] == 0);
    }
    memcpy(k->results, k->values, COUNT * k->len * 8); /* many in a row, in place */
    for (int i = 0; i < 50; i++) {
        ccz_mont_mul(k->m, k->results, k->results, k->results, COUNT);
        ccz_mont_mul_one(k->m, k->results, k->results, k->results + 3 * k->len, COUNT);
        ccz_mont_sqr(k->m, k->results, k->results, COUNT);
    }
    mpz_t x[COUNT];
    for (size_t i = 0; i < COUNT; i++)
        mpz_init_set(x[i], k->numbers[i]);
    for (int round = 0; round < 50; round++) {
        mpz_powm_ui(e, x[3], 2, k->modulus);
        for (size_t i = 0; i < COUNT; i++) {
            mpz_powm_ui(x[i], x[i], 2, k->modulus);
            mpz_mul(x[i], x[i], e);
            mpz_powm_ui(x[i], x[i], 2, k->modulus);
        }
    }
    for (size_t i = 0; i < COUNT; i++) {
        check_value(k, k->results, i, x[i]);
        mpz_clear(x[i]);
    }
    mpz_clear(e);
}

static void test_mul(void)
{
    for_all(check_mul);
    for_some(check_mul);
}

static void check_product(struct kit *k)
{
    mpz_t e;
    mpz_init_set_ui(e, 1);
    uint64_t *many = malloc(4 * COUNT * k->len * 8);
    CHECK(many);
    for (size_t i = 0; i < 4 * COUNT; i++) /* without 0 */
        memcpy(many + i * k->len, k->values + (i % (COUNT - 1) + 1) * k->len, k->len * 8);
    for (size_t count = 0; count <= 4 * COUNT; count++) {
        ccz_mont_product(k->m, k->results, many, count);
        check_value(k, k->results, 0, e);
        mpz_mul(e, e, k->numbers[count % (COUNT - 1) + 1]);
        mpz_mod(e, e, k->modulus);
    }
    free(many);
    mpz_clear(e);
}

static void test_product(void)
{
    for_some(check_product);
}

/* --------------------------------------------------------------------------------------- powers */

/* Exponent number i of a length: 0, 1, all ones, else random. */
static void make_exp(mpz_t e, size_t bits, size_t i)
{
    mpz_urandomb(e, random_state, bits);
    if (i < 2)
        mpz_set_ui(e, i);
    else if (i == 2) {
        mpz_set_ui(e, 1);
        mpz_mul_2exp(e, e, bits);
        mpz_sub_ui(e, e, 1);
    }
}

static void check_pow_bits(struct kit *k, size_t bits)
{
    size_t size = (bits + 7) / 8;
    uint8_t *exps = calloc(COUNT, size);
    struct ccz_mont_job jobs[COUNT];
    mpz_t e[COUNT], expected;
    CHECK(exps);
    mpz_init(expected);
    for (size_t i = 0; i < COUNT; i++) {
        mpz_init(e[i]);
        make_exp(e[i], bits, i % 5);
        put(exps + i * size, size, e[i]);
        if (bits % 8)
            exps[i * size] |= (uint8_t)(0xff << bits % 8); /* to be ignored */
        jobs[i] = (struct ccz_mont_job){k->m, k->results + i * k->len, k->values + i * k->len,
                                        exps + i * size};
    }
    for (size_t count = 1; count <= COUNT; count += bits < 100 ? 1 : 4) {
        memset(k->results, 0, COUNT * k->len * 8);
        CHECK(ccz_mont_pow(jobs, count, bits, NULL) == CCZ_OK);
        for (size_t i = 0; i < count; i++) {
            mpz_powm(expected, k->numbers[i], e[i], k->modulus);
            check_value(k, k->results, i, expected);
        }
        for (size_t i = count * k->len; i < COUNT * k->len; i++)
            CHECK(k->results[i] == 0);
    }
    for (size_t i = 0; i < COUNT; i++)
        mpz_clear(e[i]);
    mpz_clear(expected);
    free(exps);
}

static void check_pow(struct kit *k)
{
    static const size_t bits[] = {1, 2, 3, 8, 53, 64, 257};
    for (size_t i = 0; i < sizeof(bits) / sizeof(bits[0]); i++)
        check_pow_bits(k, bits[i]);
    struct ccz_mont_job job = {k->m, k->results, k->values, (const uint8_t *)""};
    struct ccz_err err;
    CHECK(ccz_mont_pow(&job, 1, 0, &err) == CCZ_E_ARG && strcmp(err.where, "mont:exp") == 0);
    CHECK(ccz_mont_pow(&job, 1, CCZ_MONT_EXP_BITS_MAX + 1, &err) == CCZ_E_ARG);
    CHECK(ccz_mont_pow(&job, 0, 1, &err) == CCZ_OK);
}

static void check_pow_long(struct kit *k)
{
    if (mpz_sizeinbase(k->root, 2) == 1024)
        check_pow_bits(k, 1024);
}

static void test_pow(void)
{
    for_some(check_pow);
    for_some(check_pow_long);
}

/* Jobs of three moduli of the same length side by side, a fourth one of another length. */
static void test_pow_mixed(void)
{
    enum { KITS = 3, BITS = 67, SIZE = 9 };
    for (size_t t = 0; t < CCZI_MONT_TIERS; t++) {
        const struct cczi_mont_tier *tier = cczi_mont_tier_at(t);
        for (int pair = 0; tier && pair < 2; pair++) {
            struct kit k[KITS], other;
            struct ccz_mont_job jobs[KITS * 5];
            uint8_t exps[KITS * 5][SIZE];
            mpz_t e, expected;
            mpz_inits(e, expected, NULL);
            for (int i = 0; i < KITS; i++)
                kit_init(&k[i], tier, pair, 1024, i);
            for (size_t i = 0; i < KITS * 5; i++) {
                const struct kit *own = &k[i % KITS];
                make_exp(e, BITS, i);
                put(exps[i], SIZE, e);
                jobs[i] = (struct ccz_mont_job){own->m, own->results + i / KITS * own->len,
                                                own->values + i * 2 % COUNT * own->len, exps[i]};
            }
            for (size_t count = 1; count <= KITS * 5; count++) {
                for (int i = 0; i < KITS; i++)
                    memset(k[i].results, 0, COUNT * k[i].len * 8);
                CHECK(ccz_mont_pow(jobs, count, BITS, NULL) == CCZ_OK);
                for (size_t i = 0; i < count; i++) {
                    get(e, exps[i], SIZE);
                    mpz_powm(expected, k[i % KITS].numbers[i * 2 % COUNT], e, k[i % KITS].modulus);
                    check_value(&k[i % KITS], k[i % KITS].results, i / KITS, expected);
                }
            }
            kit_init(&other, tier, !pair, 1024, 0);
            struct ccz_err err;
            jobs[7].m = other.m;
            CHECK(ccz_mont_pow(jobs, 9, BITS, &err) == CCZ_E_ARG);
            CHECK(strcmp(err.where, "mont:shape") == 0 && err.aux == 7);
            kit_deinit(&other);
            for (int i = 0; i < KITS; i++)
                kit_deinit(&k[i]);
            mpz_clears(e, expected, NULL);
        }
    }
}

static void check_pow_var(struct kit *k)
{
    static const size_t bits[] = {0, 1, 2, 7, 24, 65, 200, 600};
    uint8_t exp[80] = {0};
    mpz_t e, expected;
    mpz_inits(e, expected, NULL);
    for (size_t b = 0; b < sizeof(bits) / sizeof(bits[0]); b++) {
        if (bits[b] > 65 && mpz_sizeinbase(k->modulus, 2) > 2048)
            break; /* takes long */
        for (size_t kind = 0; kind < 4; kind++) {
            make_exp(e, bits[b], kind);
            put(exp, sizeof(exp), e);
            CHECK(ccz_mont_pow_var(k->m, k->results, k->values, COUNT, CCZ_SPAN(exp, sizeof(exp)),
                                   NULL) == CCZ_OK);
            for (size_t i = 0; i < COUNT; i++) {
                mpz_powm(expected, k->numbers[i], e, k->modulus);
                check_value(k, k->results, i, expected);
            }
        }
    }
    CHECK(ccz_mont_pow_var(k->m, k->results, k->values, 1, CCZ_SPAN(exp, 0), NULL) == CCZ_OK);
    check_value(k, k->results, 0, k->numbers[1]);
    uint8_t *longest = malloc(CCZ_MONT_EXP_BITS_MAX / 8 + 1);
    struct ccz_err err;
    CHECK(longest);
    memset(longest, 1, CCZ_MONT_EXP_BITS_MAX / 8 + 1);
    CHECK(ccz_mont_pow_var(k->m, k->results, k->values, 1,
                           CCZ_SPAN(longest, CCZ_MONT_EXP_BITS_MAX / 8 + 1), &err) == CCZ_E_ARG);
    CHECK(strcmp(err.where, "mont:exp") == 0);
    free(longest);
    mpz_clears(e, expected, NULL);
}

static void test_pow_var(void)
{
    for_some(check_pow_var);
}

/* ----------------------------------------------------------------------------------- fixed base */

static void check_comb_window(struct kit *k, size_t bits, unsigned window)
{
    enum { MANY = 41 };
    size_t size = (bits + 7) / 8;
    struct ccz_mont_comb *c = NULL;
    uint8_t exps[MANY * 32];
    uint64_t *out = calloc(MANY * k->len, 8);
    mpz_t e, expected;
    CHECK(out && size <= 32);
    mpz_inits(e, expected, NULL);
    CHECK(ccz_mont_comb_new(&c, k->m, k->values + 8 * k->len, bits, window, NULL) == CCZ_OK);
    for (size_t i = 0; i < MANY; i++) {
        make_exp(e, bits, i % 7);
        put(exps + i * size, size, e);
    }
    for (size_t count = 0; count <= MANY; count += window == 6 ? 1 : 9) {
        CHECK(ccz_mont_comb_pow(c, out, exps, count, NULL) == CCZ_OK);
        for (size_t i = 0; i < count && (count % 9 == 0 || i + 5 > count); i++) {
            get(e, exps + i * size, size);
            mpz_powm(expected, k->numbers[8], e, k->modulus);
            check_value(k, out, i, expected);
        }
    }
    size_t windows = (bits + (window ? window : 6) - 1) / (window ? window : 6);
    CHECK(ccz_mont_comb_size(c) >= (windows << (window ? window : 6)) * k->len * 8);
    if (bits % 8) { /* bits above are ignored */
        exps[0] = (uint8_t)(0xff << bits % 8);
        memset(exps + 1, 0, size - 1);
        CHECK(ccz_mont_comb_pow(c, out, exps, 1, NULL) == CCZ_OK);
        check_value(k, out, 0, k->numbers[1]);
    }
    ccz_mont_comb_free(c);
    mpz_clears(e, expected, NULL);
    free(out);
}

static void check_comb(struct kit *k)
{
    struct ccz_mont_comb *c = (struct ccz_mont_comb *)1;
    struct ccz_err err;
    bool small = mpz_sizeinbase(k->modulus, 2) <= 2048; /* large ones take long */
    for (unsigned window = 0; window <= (small ? CCZ_MONT_COMB_WINDOW_MAX : 0); window++)
        check_comb_window(k, window % 2 ? 64 : 51, window);
    CHECK(ccz_mont_comb_new(&c, k->m, k->values, 0, 0, &err) == CCZ_E_ARG && !c);
    CHECK(strcmp(err.where, "mont:exp") == 0);
    CHECK(ccz_mont_comb_new(&c, k->m, k->values, 8, 9, &err) == CCZ_E_ARG && !c);
    CHECK(strcmp(err.where, "mont:window") == 0);
    ccz_mont_comb_free(NULL);
}

static void test_comb(void)
{
    for_some(check_comb);
}

/* ------------------------------------------------------------------------------------- inverses */

static bool invertible(const struct kit *k, const mpz_t a)
{
    mpz_t g;
    mpz_init(g);
    mpz_gcd(g, a, k->modulus);
    bool yes = mpz_cmp_ui(g, 1) == 0;
    mpz_clear(g);
    return yes;
}

static void check_inv(struct kit *k)
{
    enum { MANY = 29 };
    uint64_t *a = malloc(MANY * k->len * 8), *out = malloc(MANY * k->len * 8);
    size_t from[MANY], i = 0;
    mpz_t e;
    CHECK(a && out);
    mpz_init(e);
    for (size_t n = 0; n < MANY; i++) { /* numbers that have an inverse, over and over */
        if (!invertible(k, k->numbers[i % COUNT]))
            continue;
        from[n] = i % COUNT;
        memcpy(a + n++ * k->len, k->values + i % COUNT * k->len, k->len * 8);
    }
    for (size_t count = 0; count <= MANY; count++) {
        CHECK(ccz_mont_inv_var(k->m, out, a, count, NULL) == CCZ_OK);
        for (size_t n = 0; n < count; n++) {
            CHECK(mpz_invert(e, k->numbers[from[n]], k->modulus) != 0);
            check_value(k, out, n, e);
        }
    }
    CHECK(ccz_mont_inv_var(k->m, a, a, MANY, NULL) == CCZ_OK); /* in place */
    CHECK(mpz_invert(e, k->numbers[from[MANY - 1]], k->modulus) != 0);
    check_value(k, a, MANY - 1, e);
    mpz_clear(e);
    free(a);
    free(out);
}

static void test_inv(void)
{
    for_some(check_inv);
}

static void check_inv_refuse(struct kit *k)
{
    struct ccz_err err;
    for (size_t bad = 0; bad < COUNT; bad += 6) { /* 0 among ones */
        uint64_t *a = malloc(COUNT * k->len * 8);
        CHECK(a);
        for (size_t i = 0; i < COUNT; i++)
            memcpy(a + i * k->len, k->values + (i == bad ? 0 : k->len), k->len * 8);
        memset(k->results, 1, COUNT * k->len * 8);
        CHECK(ccz_mont_inv_var(k->m, k->results, a, COUNT, &err) == CCZ_E_FORMAT);
        CHECK(strcmp(err.where, "mont:inverse") == 0 && err.aux == (int64_t)bad);
        for (size_t i = 0; i < COUNT * k->len; i++)
            CHECK(k->results[i] == 0);
        free(a);
    }
}

static void test_inv_refuse(void)
{
    for_some(check_inv_refuse);
}

/* ---------------------------------------------------------------------------- products of powers */

static int64_t make_small_exp(unsigned bits, unsigned kind)
{
    int64_t limit = ((int64_t)1 << bits) - 1;
    switch (kind) {
    case 0:
        return 0;
    case 1:
        return limit;
    case 2:
        return -limit;
    case 3:
        return 1;
    case 4:
        return -1;
    default:
        return (int64_t)gmp_urandomb_ui(random_state, bits) *
               (gmp_urandomb_ui(random_state, 1) ? 1 : -1);
    }
}

static void check_multi(struct kit *k, size_t out_len, size_t bases_len, unsigned bits)
{
    size_t stride = out_len + 3;
    int64_t *exps = calloc(bases_len ? bases_len * stride : 1, sizeof(*exps));
    uint64_t *bases = calloc(bases_len + 1, k->len * 8), *out = calloc(out_len, k->len * 8);
    mpz_t product, x, e;
    CHECK(exps && bases && out);
    mpz_inits(product, x, e, NULL);
    for (size_t i = 0; i < bases_len; i++) {
        memcpy(bases + i * k->len, k->values + (8 + i % 5) * k->len, k->len * 8);
        for (size_t j = 0; j < stride; j++)
            exps[i * stride + j] = j < out_len
                                       ? make_small_exp(bits, (unsigned)(i * 7 + j * 3 + i / 8) % 9)
                                       : INT64_MIN;
    }
    CHECK(ccz_mont_multi_pow_var(k->m, out, out_len, bases, bases_len, exps, stride, bits, NULL) ==
          CCZ_OK);
    for (size_t j = 0; j < out_len; j++) {
        mpz_set_ui(product, 1);
        for (size_t i = 0; i < bases_len; i++) {
            mpz_set_si(e, exps[i * stride + j]);
            mpz_powm(x, k->numbers[8 + i % 5], e, k->modulus);
            mpz_mul(product, product, x);
            mpz_mod(product, product, k->modulus);
        }
        check_value(k, out, j, product);
    }
    mpz_clears(product, x, e, NULL);
    free(exps);
    free(bases);
    free(out);
}

static void check_multi_pow(struct kit *k)
{
    for (size_t i = 8; i < COUNT; i++) { /* random ones, almost surely */
        while (!invertible(k, k->numbers[i]))
            mpz_add_ui(k->numbers[i], k->numbers[i], 1);
        uint8_t bytes[NUMBER_SIZE];
        put(bytes, k->size, k->numbers[i]);
        CHECK(ccz_mont_from_bytes(k->m, k->values + i * k->len, bytes, k->size, 1) == CCZ_OK);
    }
    check_multi(k, 1, 0, 8);
    check_multi(k, 1, 1, 1);
    check_multi(k, 1, 5, 62);
    check_multi(k, 3, 9, 8);
    if (mpz_sizeinbase(k->root, 2) <= 1024) {
        check_multi(k, 20, 10, 15);  /* tables */
        check_multi(k, 11, 300, 15); /* buckets, two rounds */
        check_multi(k, 2, 70, 31);
    }
}

static void test_multi_pow(void)
{
    for_some(check_multi_pow);
}

/* A base without inverse among many is found by either way. */
static void check_multi_bad_base(struct kit *k, size_t out_len, size_t bases_len)
{
    int64_t *exps = calloc(bases_len * out_len, sizeof(*exps));
    uint64_t *bases = calloc(bases_len, k->len * 8), *out = calloc(out_len, k->len * 8);
    struct ccz_err err;
    CHECK(exps && bases && out);
    for (size_t i = 0; i < bases_len; i++)
        memcpy(bases + i * k->len, k->values + (i == bases_len - 2 ? 0 : k->len), k->len * 8);
    memset(out, 1, out_len * k->len * 8);
    CHECK(ccz_mont_multi_pow_var(k->m, out, out_len, bases, bases_len, exps, out_len, 15, &err) ==
          CCZ_E_FORMAT);
    CHECK(strcmp(err.where, "mont:inverse") == 0 && err.aux == (int64_t)bases_len - 2);
    for (size_t i = 0; i < out_len * k->len; i++)
        CHECK(out[i] == 0);
    free(exps);
    free(bases);
    free(out);
}

static void check_multi_pow_refuse(struct kit *k)
{
    int64_t exps[6] = {1, 2, 3, -4, 5, 6};
    struct ccz_err err;
    uint64_t *bases = k->values + 2 * k->len; /* the first is not 0 */
    uint64_t *out = k->results;
    CHECK(ccz_mont_multi_pow_var(k->m, out, 2, bases, 3, exps, 2, 2, &err) == CCZ_E_ARG);
    CHECK(strcmp(err.where, "mont:exp") == 0);
    CHECK(ccz_mont_multi_pow_var(k->m, out, 2, bases, 3, exps, 2, 0, &err) == CCZ_E_ARG);
    CHECK(ccz_mont_multi_pow_var(k->m, out, 2, bases, 3, exps, 2, 63, &err) == CCZ_E_ARG);
    memcpy(bases + k->len, k->values, k->len * 8); /* 0, to the power of -4 */
    CHECK(ccz_mont_multi_pow_var(k->m, out, 2, bases, 3, exps, 2, 3, &err) == CCZ_E_FORMAT);
    CHECK(strcmp(err.where, "mont:inverse") == 0 && err.aux == 1);
    for (size_t i = 0; i < 2 * k->len; i++)
        CHECK(out[i] == 0);
    exps[3] = 4; /* whatever the exponent */
    CHECK(ccz_mont_multi_pow_var(k->m, out, 2, bases, 3, exps, 2, 3, &err) == CCZ_E_FORMAT);
    CHECK(err.aux == 1);
    check_multi_bad_base(k, 40, 3);
    if (mpz_sizeinbase(k->root, 2) <= 512)
        check_multi_bad_base(k, 2, 300);
    CHECK(ccz_mont_multi_pow_var(k->m, out, 0, bases, 3, exps, 2, 3, &err) == CCZ_OK);
}

static void test_multi_pow_refuse(void)
{
    for_some(check_multi_pow_refuse);
}

int main(int argc, char **argv)
{
    static const struct ccz_test tests[] = {
        {"mont.refuse", test_refuse},
        {"mont.bytes", test_bytes},
        {"mont.pairs", test_pairs},
        {"mont.mul", test_mul},
        {"mont.product", test_product},
        {"mont.pow", test_pow},
        {"mont.pow_mixed", test_pow_mixed},
        {"mont.pow_var", test_pow_var},
        {"mont.comb", test_comb},
        {"mont.inv", test_inv},
        {"mont.inv_refuse", test_inv_refuse},
        {"mont.multi_pow", test_multi_pow},
        {"mont.multi_pow_refuse", test_multi_pow_refuse},
    };
    gmp_randinit_mt(random_state);
    gmp_randseed_ui(random_state, 20261125);
    int rc = ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
    gmp_randclear(random_state);
    return rc;
}
