/* SPDX-License-Identifier: Apache-2.0 */
/* Primes and what is asked about large integers when keys are made or read. @source FIPS 186-5, A.1.3 */
#include <cczoo/bignum.h>

#include <openssl/bn.h>
#include <openssl/crypto.h>
#include <string.h>

enum {
    DISTANCE_BITS = 100, /* FIPS 186-5, A.1.3, step 5.4: |p - q| > 2^(nlen/2 - 100) */
    SIEVE_END = 65536
};

/* Numbers of one call: all are wiped and freed together. */
struct pad {
    BN_CTX *ctx;
};

static bool pad_open(struct pad *p)
{
    p->ctx = BN_CTX_secure_new();
    if (p->ctx)
        BN_CTX_start(p->ctx);
    return p->ctx != NULL;
}

static void pad_close(struct pad *p)
{
    if (p->ctx)
        BN_CTX_end(p->ctx);
    BN_CTX_free(p->ctx);
}
#define PAD __attribute__((cleanup(pad_close))) struct pad

static BIGNUM *pad_load(struct pad *p, const void *bytes, size_t size)
{
    BIGNUM *n = BN_CTX_get(p->ctx);
    return n && size <= CCZ_BIGNUM_SIZE_MAX && BN_bin2bn(bytes, (int)size, n) ? n : NULL;
}

/* ---------------------------------------------------------------------------------- primes */

static bool blum_prime(BIGNUM *p, int bits, struct pad *pad)
{
    int prime = 0;
    while (prime == 0) {
        if (BN_priv_rand_ex(p, bits, BN_RAND_TOP_TWO, BN_RAND_BOTTOM_ODD, 0, pad->ctx) != 1 ||
            BN_set_bit(p, 1) != 1)
            return false;
        prime = BN_check_prime(p, pad->ctx, NULL);
    }
    return prime == 1;
}

/* Sets *out if gcd(p - 1, q - 1) = 2: the group of squares modulo p q is then cyclic. */
static bool halves_coprime(bool *out, const BIGNUM *p, const BIGNUM *q, struct pad *pad)
{
    BIGNUM *a = BN_CTX_get(pad->ctx), *b = BN_CTX_get(pad->ctx), *g = BN_CTX_get(pad->ctx);
    if (!g || !BN_copy(a, p) || !BN_copy(b, q) || BN_sub_word(a, 1) != 1 ||
        BN_sub_word(b, 1) != 1 || BN_gcd(g, a, b, pad->ctx) != 1)
        return false;
    *out = BN_is_word(g, 2);
    return true;
}

static bool far_apart(bool *out, const BIGNUM *p, const BIGNUM *q, size_t size, struct pad *pad)
{
    BIGNUM *d = BN_CTX_get(pad->ctx);
    if (!d || BN_sub(d, p, q) != 1)
        return false;
    *out = BN_num_bits(d) > 8 * (int)size - DISTANCE_BITS;
    return true;
}

static bool search(uint8_t *p, uint8_t *q, size_t size)
{
    PAD pad = {NULL};
    bool fits = false, apart = false;
    if (!pad_open(&pad))
        return false;
    BIGNUM *a = BN_CTX_get(pad.ctx), *b = BN_CTX_get(pad.ctx);
    if (!b || !blum_prime(a, 8 * (int)size, &pad))
        return false;
    while (!fits || !apart)
        if (!blum_prime(b, 8 * (int)size, &pad) || !halves_coprime(&fits, a, b, &pad) ||
            !far_apart(&apart, a, b, size, &pad))
            return false;
    bool swap = BN_cmp(a, b) < 0;
    return BN_bn2binpad(swap ? b : a, p, (int)size) == (int)size &&
           BN_bn2binpad(swap ? a : b, q, (int)size) == (int)size;
}

ccz_rc ccz_blum_primes(uint8_t *p, uint8_t *q, size_t size, struct ccz_err *err)
{
    memset(p, 0, size);
    memset(q, 0, size);
    if (size < 64 || size > 256)
        return ccz_fail(err, CCZ_E_ARG, "bignum:size", (int64_t)size, "primes of %zu bytes", size);
    if (!search(p, q, size)) {
        ccz_wipe(p, size);
        ccz_wipe(q, size);
        return ccz_fail(err, CCZ_E_INTERNAL, "bignum:prime", 0, "the search for primes failed");
    }
    return CCZ_OK;
}

ccz_rc ccz_primes_check(const uint8_t *p, const uint8_t *q, size_t size, bool blum,
                        struct ccz_err *err)
{
    PAD pad = {NULL};
    bool fits = false, apart = false;
    if (!pad_open(&pad))
        return CCZ_E_NOMEM;
    const BIGNUM *a = pad_load(&pad, p, size), *b = pad_load(&pad, q, size);
    if (!a || !b)
        return CCZ_E_NOMEM;
    if (size == 0 || BN_num_bits(a) != 8 * (int)size || BN_num_bits(b) != 8 * (int)size)
        return ccz_fail(err, CCZ_E_FORMAT, "bignum:length", 0,
                        "the two primes must have half of the bits of n each");
    if (BN_check_prime(a, pad.ctx, NULL) != 1 || BN_check_prime(b, pad.ctx, NULL) != 1)
        return ccz_fail(err, CCZ_E_FORMAT, "bignum:not-prime", 0, "a factor of n is no prime");
    if (!far_apart(&apart, a, b, size, &pad) || !halves_coprime(&fits, a, b, &pad))
        return CCZ_E_NOMEM;
    if (!apart)
        return ccz_fail(err, CCZ_E_FORMAT, "bignum:close", 0,
                        "the two primes are too close to each other");
    if (blum && (!fits || BN_mod_word(a, 4) != 3 || BN_mod_word(b, 4) != 3))
        return ccz_fail(err, CCZ_E_FORMAT, "bignum:blum", 0,
                        "the primes are not 3 mod 4 with gcd(p - 1, q - 1) = 2");
    return CCZ_OK;
}

ccz_rc ccz_bignum_is_prime(bool *out, struct ccz_span a)
{
    PAD pad = {NULL};
    *out = false;
    if (a.size > CCZ_BIGNUM_SIZE_MAX)
        return CCZ_E_ARG;
    const BIGNUM *n = pad_open(&pad) ? pad_load(&pad, a.ptr, a.size) : NULL;
    int prime = n ? BN_check_prime(n, pad.ctx, NULL) : -1;
    *out = prime == 1;
    return prime < 0 ? CCZ_E_NOMEM : CCZ_OK;
}

/* --------------------------------------------------------------------------------- factors */

ccz_rc ccz_bignum_small_factor(uint32_t *out, struct ccz_span a)
{
    PAD pad = {NULL};
    *out = 0;
    if (a.size > CCZ_BIGNUM_SIZE_MAX)
        return CCZ_E_ARG;
    const BIGNUM *n = pad_open(&pad) ? pad_load(&pad, a.ptr, a.size) : NULL;
    if (!n)
        return CCZ_E_NOMEM;
    static const uint32_t primes_to_256[] = {
        3,   5,   7,   11,  13,  17,  19,  23,  29,  31,  37,  41,  43,  47,  53,  59,  61,  67,
        71,  73,  79,  83,  89,  97,  101, 103, 107, 109, 113, 127, 131, 137, 139, 149, 151, 157,
        163, 167, 173, 179, 181, 191, 193, 197, 199, 211, 223, 227, 229, 233, 239, 241, 251};
    if (!BN_is_odd(n)) {
        *out = 2;
        return CCZ_OK;
    }
    for (uint32_t d = 3; d < SIEVE_END && *out == 0; d += 2) {
        bool prime = true; /* its smallest factor, if it has any, is below the root of SIEVE_END */
        for (size_t i = 0; prime && i < sizeof(primes_to_256) / sizeof(primes_to_256[0]) &&
                           primes_to_256[i] * primes_to_256[i] <= d;
             i++)
            prime = d % primes_to_256[i] != 0;
        if (prime && BN_mod_word(n, d) == 0)
            *out = d;
    }
    return CCZ_OK;
}

/* One step of Newton's method for the k-th root: y = ((k - 1) x + n / x^(k - 1)) / k. */
static bool root_step(BIGNUM *y, const BIGNUM *x, const BIGNUM *n, unsigned k, struct pad *pad)
{
    BIGNUM *e = BN_CTX_get(pad->ctx), *power = BN_CTX_get(pad->ctx), *t = BN_CTX_get(pad->ctx);
    return t && BN_set_word(e, k - 1) == 1 && BN_exp(power, x, e, pad->ctx) == 1 &&
           BN_div(y, NULL, n, power, pad->ctx) == 1 && BN_mul(t, x, e, pad->ctx) == 1 &&
           BN_add(y, y, t) == 1 && BN_div_word(y, k) != (BN_ULONG)-1;
}

/* Whether n = r^k: r is floor(n^(1/k)), which Newton's method reaches falling from above. */
static bool is_kth_power(bool *out, const BIGNUM *n, unsigned k, struct pad *pad)
{
    BIGNUM *x = BN_CTX_get(pad->ctx), *y = BN_CTX_get(pad->ctx), *e = BN_CTX_get(pad->ctx);
    if (!e || BN_set_word(x, 1) != 1 ||
        BN_lshift(x, x, (BN_num_bits(n) + (int)k - 1) / (int)k) != 1)
        return false;
    for (bool falling = true; falling;) {
        BN_CTX_start(pad->ctx);
        bool ok = root_step(y, x, n, k, pad);
        BN_CTX_end(pad->ctx);
        falling = BN_cmp(y, x) < 0;
        if (!ok || (falling && !BN_copy(x, y)))
            return false;
    }
    if (BN_set_word(e, k) != 1 || BN_exp(y, x, e, pad->ctx) != 1)
        return false;
    *out = BN_cmp(y, n) == 0;
    return true;
}

ccz_rc ccz_bignum_is_power(bool *out, struct ccz_span a)
{
    PAD pad = {NULL};
    *out = false;
    if (a.size > CCZ_BIGNUM_SIZE_MAX)
        return CCZ_E_ARG;
    const BIGNUM *n = pad_open(&pad) ? pad_load(&pad, a.ptr, a.size) : NULL;
    if (!n)
        return CCZ_E_NOMEM;
    /* A root has more than 16 bits; exponents that are not prime are covered by their factors. */
    for (unsigned k = 2; !*out && 16 * k < (unsigned)BN_num_bits(n); k += k == 2 ? 1 : 2) {
        bool prime = true;
        for (unsigned d = 3; d * d <= k; d += 2)
            prime = prime && k % d != 0;
        if (!prime)
            continue;
        BN_CTX_start(pad.ctx);
        bool ok = is_kth_power(out, n, k, &pad);
        BN_CTX_end(pad.ctx);
        if (!ok)
            return CCZ_E_NOMEM;
    }
    return CCZ_OK;
}

ccz_rc ccz_bignum_coprime(bool *out, struct ccz_span a, struct ccz_span b)
{
    PAD pad = {NULL};
    *out = false;
    if (!pad_open(&pad))
        return CCZ_E_NOMEM;
    const BIGNUM *x = pad_load(&pad, a.ptr, a.size), *y = pad_load(&pad, b.ptr, b.size);
    BIGNUM *g = BN_CTX_get(pad.ctx);
    if (!x || !y || !g || BN_gcd(g, x, y, pad.ctx) != 1)
        return CCZ_E_NOMEM;
    *out = BN_is_one(g);
    return CCZ_OK;
}

ccz_rc ccz_bignum_jacobi(int *out, struct ccz_span a, struct ccz_span n)
{
    PAD pad = {NULL};
    *out = 0;
    if (!pad_open(&pad))
        return CCZ_E_NOMEM;
    const BIGNUM *x = pad_load(&pad, a.ptr, a.size), *y = pad_load(&pad, n.ptr, n.size);
    int symbol = x && y ? BN_kronecker(x, y, pad.ctx) : -2;
    if (symbol < -1)
        return CCZ_E_NOMEM;
    *out = symbol;
    return CCZ_OK;
}

/* --------------------------------------------------------------------------------- decimal */

ccz_rc ccz_bignum_to_decimal(struct ccz_buf *out, struct ccz_span a)
{
    PAD pad = {NULL};
    const BIGNUM *n = pad_open(&pad) ? pad_load(&pad, a.ptr, a.size) : NULL;
    char *text = n ? BN_bn2dec(n) : NULL;
    if (!text)
        return CCZ_E_NOMEM;
    ccz_buf_put_str(out, text);
    OPENSSL_free(text);
    return out->bad ? CCZ_E_NOMEM : CCZ_OK;
}

ccz_rc ccz_bignum_from_decimal(uint8_t *out, size_t out_size, struct ccz_span text)
{
    char digits[5 * CCZ_BIGNUM_SIZE_MAX / 2]; /* a byte is 2.41 digits */
    memset(out, 0, out_size);
    if (text.size == 0 || text.size >= sizeof(digits) || out_size > CCZ_BIGNUM_SIZE_MAX ||
        (text.ptr[0] == '0' && text.size > 1))
        return CCZ_E_FORMAT;
    for (size_t i = 0; i < text.size; i++)
        if (text.ptr[i] < '0' || text.ptr[i] > '9')
            return CCZ_E_FORMAT;
    memcpy(digits, text.ptr, text.size);
    digits[text.size] = 0;
    BIGNUM *n = NULL;
    if (BN_dec2bn(&n, digits) != (int)text.size) { /* the digits are good */
        BN_free(n);
        return CCZ_E_NOMEM;
    }
    bool fits = BN_bn2binpad(n, out, (int)out_size) == (int)out_size;
    BN_free(n);
    return fits ? CCZ_OK : CCZ_E_FORMAT;
}
