/* SPDX-License-Identifier: Apache-2.0 */
#include "num_priv.h"

#include <string.h>

enum { PRIME_BITS_MIN = 10, PRIME_BITS_MAX = 60 };

static uint64_t mul_mod(uint64_t a, uint64_t b, uint64_t q)
{
    return (uint64_t)((cczi_u128)a * b % q);
}

/* Whether @p a > 2, odd, is a strong probable prime to @p base; a - 1 = d 2^s. */
static bool probable_prime(uint64_t a, uint64_t base, uint64_t d, unsigned s)
{
    uint64_t x = 1;
    for (uint64_t e = d; e > 0; e >>= 1) {
        if (e & 1)
            x = mul_mod(x, base, a);
        base = mul_mod(base, base, a);
    }
    if (x == 1 || x == a - 1)
        return true;
    for (unsigned i = 1; i < s; i++) {
        x = mul_mod(x, x, a);
        if (x == a - 1)
            return true;
    }
    return false;
}

/* The first 12 primes as bases decide every number below 3.18 10^23 (Sorenson, Webster 2015). */
bool ccz_is_prime(uint64_t a)
{
    static const uint64_t bases[] = {2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37};
    const size_t len = sizeof(bases) / sizeof(bases[0]);
    if (a < 2)
        return false;
    for (size_t i = 0; i < len; i++) {
        if (a % bases[i] == 0)
            return a == bases[i];
    }
    uint64_t d = a - 1;
    unsigned s = 0;
    for (; d % 2 == 0; d /= 2)
        s++;
    for (size_t i = 0; i < len; i++) {
        if (!probable_prime(a, bases[i], d, s))
            return false;
    }
    return true;
}

static bool one_of(uint64_t a, const uint64_t *list, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (list[i] == a)
            return true;
    }
    return false;
}

/* Next prime at or behind *at in steps of @p step towards @p end, left in *at; 0 if there is none. */
static uint64_t next_prime(uint64_t *at, int64_t step, uint64_t end, const uint64_t *avoid,
                           size_t avoid_len)
{
    for (; step < 0 ? *at > end : *at < end; *at += (uint64_t)step) {
        if (!one_of(*at, avoid, avoid_len) && ccz_is_prime(*at)) {
            uint64_t found = *at;
            *at += (uint64_t)step;
            return found;
        }
    }
    return 0;
}

ccz_rc ccz_ntt_primes(uint64_t *out, size_t len, unsigned bits, size_t n, enum ccz_primes which,
                      const uint64_t *avoid, size_t avoid_len, struct ccz_err *err)
{
    memset(out, 0, len * sizeof(*out));
    if (bits < PRIME_BITS_MIN || bits > PRIME_BITS_MAX)
        return ccz_refuse_num(err, CCZ_E_ARG, "num:primes", bits, PRIME_BITS_MAX);
    if (n < CCZ_NTT_LEN_MIN || n > CCZ_NTT_LEN_MAX || (n & (n - 1)) != 0)
        return ccz_fail(err, CCZ_E_ARG, "num:primes", (int64_t)n,
                        "length %zu is no power of two from %d to %d", n, CCZ_NTT_LEN_MIN,
                        CCZ_NTT_LEN_MAX);
    uint64_t around = (uint64_t)1 << bits, step = 2 * (uint64_t)n;
    uint64_t above = (around - 1) / step * step + step + 1, below = above - step;
    if (below >= around)
        below -= step;
    for (size_t i = 0; i < len; i++) {
        bool up = which == CCZ_PRIMES_AROUND && i % 2 == 1;
        out[i] = up ? next_prime(&above, (int64_t)step, 2 * around, avoid, avoid_len)
                    : next_prime(&below, -(int64_t)step, around / 2, avoid, avoid_len);
        if (out[i] == 0) {
            memset(out, 0, len * sizeof(*out));
            return ccz_fail(err, CCZ_E_LIMIT, "num:primes", (int64_t)i,
                            "fewer than %zu primes of %u bits are 1 modulo %zu", len, bits, 2 * n);
        }
    }
    return CCZ_OK;
}
