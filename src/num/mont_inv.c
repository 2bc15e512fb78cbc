/* SPDX-License-Identifier: Apache-2.0 */
/* Inverses. One inversion serves all values of a call (Montgomery 1987): variable time. */
#include "mont_priv.h"

#include <gmp.h>
#include <string.h>

/* Bytes of a value to bytes of its inverse. @return whether there is one */
static bool invert_bytes(const struct ccz_mont *m, uint8_t *number)
{
    mpz_t a, modulus;
    mpz_inits(a, modulus, NULL);
    mpz_import(a, m->size, 1, 1, 1, 0, number);
    mpz_import(modulus, m->limbs64, -1, 8, 0, 0, m->root64);
    if (m->pair)
        mpz_mul(modulus, modulus, modulus);
    bool found = mpz_invert(a, a, modulus) != 0;
    memset(number, 0, m->size);
    if (found) {
        size_t size = (mpz_sizeinbase(a, 2) + 7) / 8;
        (void)mpz_export(number + m->size - size, NULL, 1, 1, 1, 0, a);
    }
    mpz_clears(a, modulus, NULL);
    return found;
}

static bool invert(const struct ccz_mont *m, uint64_t *value)
{
    uint8_t number[CCZ_MONT_BITS_MAX / 8];
    ccz_mont_to_bytes(m, number, value, 1);
    return invert_bytes(m, number) && ccz_mont_from_bytes(m, value, number, m->size, 1) == CCZ_OK;
}

/* The first value that has no inverse. */
static size_t offender(const struct ccz_mont *m, const uint64_t *a, size_t count)
{
    uint64_t value[CCZ_MONT_LEN_MAX];
    for (size_t i = 0; i < count; i++) {
        memcpy(value, a + i * m->len, m->len * 8);
        if (!invert(m, value))
            return i;
    }
    return count;
}

/*
 * Chains side by side: element i belongs to chain i mod WIDTH. Row r holds the products of the
 * chains' elements up to row r.
 */
enum { WIDTH = CCZI_MONT_LANES_MAX };

ccz_rc ccz_mont_inv_var(const struct ccz_mont *m, uint64_t *out, const uint64_t *a, size_t count,
                        struct ccz_err *err)
{
    CCZI_AUTO_SCRATCH scratch = {0};
    size_t row_len = WIDTH * m->len, rows = (count + WIDTH - 1) / WIDTH;
    if (count == 0)
        return CCZ_OK;
    uint64_t *products = cczi_mont_scratch_new(&scratch, (rows + 1) * row_len);
    if (!products)
        return ccz_fail(err, CCZ_E_NOMEM, "mont:memory", 0, "out of memory");
    uint64_t *inverse = products + rows * row_len, total[CCZ_MONT_LEN_MAX];

    for (size_t k = 0; k < WIDTH; k++)
        memcpy(products + k * m->len, k < count ? a + k * m->len : m->one, m->len * 8);
    for (size_t r = 1; r < rows; r++) {
        size_t n = count - r * WIDTH < WIDTH ? count - r * WIDTH : WIDTH;
        uint64_t *row = products + r * row_len;
        memcpy(row, row - row_len, row_len * 8);
        ccz_mont_mul(m, row, row, a + r * row_len, n);
    }
    /* Inverse of each chain: that of the product of all times the other chains. */
    const uint64_t *last = products + (rows - 1) * row_len;
    ccz_mont_product(m, total, last, WIDTH);
    if (!invert(m, total)) {
        size_t i = offender(m, a, count);
        memset(out, 0, count * m->len * 8);
        return ccz_fail(err, CCZ_E_FORMAT, "mont:inverse", (int64_t)i,
                        "value %zu has a factor in common with the modulus", i);
    }
    for (size_t k = 0; k < WIDTH; k++) {
        uint64_t others[WIDTH * CCZ_MONT_LEN_MAX];
        memcpy(others, last, row_len * 8);
        memcpy(others + k * m->len, total, m->len * 8);
        ccz_mont_product(m, inverse + k * m->len, others, WIDTH);
    }
    for (size_t r = rows; r-- > 0;) {
        size_t n = count - r * WIDTH < WIDTH ? count - r * WIDTH : WIDTH;
        uint64_t elements[WIDTH * CCZ_MONT_LEN_MAX]; /* out may be a */
        memcpy(elements, a + r * row_len, n * m->len * 8);
        if (r > 0)
            ccz_mont_mul(m, out + r * row_len, inverse, products + (r - 1) * row_len, n);
        else
            memcpy(out, inverse, n * m->len * 8);
        ccz_mont_mul(m, inverse, inverse, elements, n);
    }
    return CCZ_OK;
}
