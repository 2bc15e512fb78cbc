/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Numbers of JSON text that has been checked. Every real number is the double that is nearest, as strtod() gives it; nearly all come
 * out of one multiplication or division. Lists of them, which is what images are, are taken in one go.
 */
#include "infer/json_cursor.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>

/*
 * A double from text that is a JSON number. It needs no terminator of its own: behind a number that
 * is not the last byte of the text stands one that cannot belong to it.
 */
double cczi_json_strtod(const struct cczi_json *j, const uint8_t *from)
{
    return strtod_l((const char *)from, NULL, j->c_locale);
}

/* Digits up to 2^53 and a power of ten up to 10^22 are both exact in a double, so one
 * multiplication or division rounds correctly (Clinger, "How to read floating point numbers
 * accurately"). */
static bool exact(double *out, uint64_t digits, int exponent)
{
    static const double power[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                   1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                   1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
    if (digits > (uint64_t)1 << 53 || exponent < -22 || exponent > 22)
        return false;
    *out = exponent < 0 ? (double)digits / power[-exponent] : (double)digits * power[exponent];
    return true;
}

/*
 * The same with up to 64 bits of digits, where a long double has as many: powers up to 10^27 are exact in it, the quotient is
 * rounded to 64 bits. Rounding that to 53 gives the double that is nearest, unless it lies next to the middle of two.
 */
static bool nearest(double *out, uint64_t digits, int exponent)
{
    if (exact(out, digits, exponent))
        return true;
#if LDBL_MANT_DIG == 64 && defined(__x86_64__)
    static const long double power[] = {1e0L,  1e1L,  1e2L,  1e3L,  1e4L,  1e5L,  1e6L,
                                        1e7L,  1e8L,  1e9L,  1e10L, 1e11L, 1e12L, 1e13L,
                                        1e14L, 1e15L, 1e16L, 1e17L, 1e18L, 1e19L, 1e20L,
                                        1e21L, 1e22L, 1e23L, 1e24L, 1e25L, 1e26L, 1e27L};
    if (exponent > 0 || exponent < -27)
        return false;
    const long double v = (long double)digits / power[-exponent];
    uint64_t mantissa;
    memcpy(&mantissa, &v, sizeof(mantissa));
    const unsigned low = mantissa & 0x7ff;
    if (low >= 0x3ff && low <= 0x401)
        return false;
    *out = (double)v;
    return true;
#else
    return false;
#endif
}

/* A number with point or exponent, or one that is too long for an integer. */
static double real_number(struct cczi_json *j, const uint8_t *from)
{
    uint64_t digits = 0;
    int exponent = 0, many = 0;
    bool point = false;
    j->p = from;
    for (; digit(peek(j)) || (peek(j) == '.' && !point); j->p++) {
        if (*j->p == '.') {
            point = true;
            continue;
        }
        digits = many < 18 ? digits * 10 + (uint64_t)(*j->p - '0') : digits;
        many += digits > 0;
        exponent -= point;
    }
    bool plain = many <= 18;
    if (peek(j) == 'e' || peek(j) == 'E') {
        j->p++;
        bool minus = peek(j) == '-';
        int e = 0;
        if (minus || peek(j) == '+')
            j->p++;
        for (; digit(peek(j)); j->p++)
            e = e < 10000 ? e * 10 + (*j->p - '0') : e;
        exponent += minus ? -e : e;
    }
    double v;
    if (plain && nearest(&v, digits, exponent))
        return v;
    return cczi_json_strtod(j, from);
}

struct cczi_num cczi_json_num(struct cczi_json *j)
{
    struct cczi_num n = {0};
    space(j);
    if (peek(j) == '-') {
        n.negative = true;
        j->p++;
    }
    const uint8_t *from = j->p;
    if (peek(j) == 'N' || peek(j) == 'I') {
        n.real = *from == 'N' ? (double)NAN : (double)INFINITY;
        (void)cczi_json_skip(j);
    } else {
        bool fits = true;
        for (; digit(peek(j)); j->p++) {
            unsigned d = (unsigned)(*j->p - '0');
            fits = fits && n.magnitude <= (UINT64_MAX - d) / 10;
            n.magnitude = fits ? n.magnitude * 10 + d : 0;
        }
        int c = peek(j);
        fits = fits && (!n.negative || n.magnitude <= (uint64_t)1 << 63);
        n.integer = fits && c != '.' && c != 'e' && c != 'E';
        n.real = n.integer ? (double)n.magnitude : real_number(j, from);
    }
    n.real = n.negative && !(n.integer && n.magnitude == 0) ? -n.real : n.real;
    return n;
}

/* ------------------------------------------------------------------------ lists */

/* @p n of the eight digits, 1..8, as a number: neighbours are added up as two, four, eight digits. */
static uint64_t value_of(uint64_t x, unsigned n)
{
    x <<= 64 - 8 * n; /* zeros in front */
    x = (x & CCZI_EACH_BYTE(0x0f)) * 10 + (x >> 8 & CCZI_EACH_BYTE(0x0f));
    x = (x & 0x00ff00ff00ff00ff) * 100 + (x >> 16 & 0x00ff00ff00ff00ff);
    return (uint32_t)((x & 0x0000ffff0000ffff) * 10000 + (x >> 32 & 0x0000ffff));
}

/* Appends the digits at @p p; false: more than 19 of them would not fit. */
static bool take_digits(uint64_t *digits, size_t *n, const uint8_t **p)
{
    static const uint64_t power[] = {1, 10, 100, 1000, 10000, 100000, 1000000, 10000000, 100000000};
    for (;;) {
        const uint64_t x = cczi_eight(*p);
        const unsigned run = cczi_eight_digits(x);
        if (run == 0)
            return true;
        if (*n + run > 19)
            return false;
        *digits = *digits * power[run] + value_of(x, run);
        *n += run;
        *p += run;
        if (run < 8)
            return true;
    }
}

enum {
    ROOM = 40
}; /* bytes of the longest number that is taken here, and of eight that are looked at behind it */

/* A number without exponent; false: the cursor stays, cczi_json_num() is to look at it. */
static bool plain_number(double *out, struct cczi_json *j)
{
    const uint8_t *p = j->p;
    uint64_t digits = 0;
    size_t n = 0, before;
    if (j->end - p < ROOM)
        return false;
    const bool negative = *p == '-';
    p += negative;
    if (!take_digits(&digits, &n, &p) || n == 0)
        return false;
    before = n;
    if (*p == '.') {
        p++;
        if (!take_digits(&digits, &n, &p))
            return false;
    }
    if (*p == 'e' || *p == 'E' || !nearest(out, digits, (int)before - (int)n))
        return false;
    /* "-0" is an integer, and zero; "-0.0" is not */
    *out = negative && (digits || n > before) ? -*out : *out;
    j->p = p;
    return true;
}

size_t cczi_json_reals(void *out, bool is_double, size_t most, struct cczi_json *j)
{
    struct cczi_json at = *j; /* behind a comma that no such number follows is no place to stop */
    size_t n = 0;
    while (n < most) {
        double v;
        space(&at);
        if (!plain_number(&v, &at))
            break;
        if (is_double)
            ((double *)out)[n++] = v;
        else
            ((float *)out)[n++] = (float)v;
        *j = at;
        space(&at);
        if (peek(&at) != ',')
            break;
        at.p++;
    }
    return n;
}
