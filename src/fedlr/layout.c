/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Packed plain numbers are P = sum_s d_s 2^(sigma s), s < S. A product for one feature sums P 2^(sigma (S-1-s)) x_s over
 * s (and over ciphertexts): the slot S-1 of it is sum_s d_s x_s, the other 2S-2 slots hold sums d_s x_t of different
 * rows, which nobody may see. docs/design/fedlr.md derives the bounds.
 */
#include "fedlr/fedlr_priv.h"

#include <cczoo/crypto.h>
#include <math.h>
#include <string.h>

enum {
    X_INT_BITS = 3,       /* features are cut to +-8 */
    X_FRACTION_SHORT = 8, /* with CCZ_FEDLR_PRODUCT */
    X_FRACTION_LONG = 40, /* as python-paillier encodes most numbers of this size */
    MASK_HEAD_BITS = 5,   /* masks stay below 2^(bits of n - 4) < n/3 */
    LIMBS_MAX = CCZ_PAILLIER_BITS_MAX / 64 + 2
};

unsigned cczi_fl_log2_up(uint64_t v)
{
    unsigned bits = 0;
    while (bits < 63 && (UINT64_C(1) << bits) < v)
        bits++;
    return bits;
}

ccz_rc cczi_fl_layout_of(struct cczi_fl_layout *out, unsigned n_bits, size_t rows, uint32_t parties,
                         unsigned optimize, struct ccz_err *err)
{
    struct cczi_fl_layout l = {.n_size = n_bits / 8};
    l.x_fraction = optimize & CCZ_FEDLR_PRODUCT ? X_FRACTION_SHORT : X_FRACTION_LONG;
    l.x_bits = l.x_fraction + X_INT_BITS;
    l.value_bits =
        CCZI_SHARE_FRACTION + cczi_fl_log2_up((uint64_t)(parties + 1) * CCZI_SHARE_CLIP + 1);
    l.slot_bits = l.value_bits + l.x_bits + cczi_fl_log2_up(rows) + 2; /* sign, and one to spare */
    l.drop = CCZI_SHARE_FRACTION + l.x_fraction - CCZI_SUM_FRACTION;
    l.window = l.slot_bits - l.drop;
    l.mask_bits = n_bits - MASK_HEAD_BITS;
    /* total_bits + 1 + CCZI_HIDING_BITS <= mask_bits */
    unsigned room = l.mask_bits - CCZI_HIDING_BITS;
    l.slots = (room / l.slot_bits + 1) / 2;
    if (l.slots > 1 && !(optimize & CCZ_FEDLR_PACK))
        l.slots = 1;
    if (l.slots == 0 || l.window > 64)
        return ccz_refuse_num(err, CCZ_E_LIMIT, "fedlr:layout", l.slot_bits, room);
    l.middle = l.slot_bits * (l.slots - 1);
    l.packed_bits = l.middle + l.value_bits + 1;
    l.total_bits = l.slot_bits * (2 * l.slots - 1) - 1;
    *out = l;
    return CCZ_OK;
}

int64_t cczi_fl_fixed(double v, unsigned fraction, double clip)
{
    double top = ldexp(clip, (int)fraction) - 1;
    return (int64_t)rint(fmin(fmax(ldexp(v, (int)fraction), -top), top));
}

/* a <<= bits, two's complement, little-endian limbs. */
static void shift_left(uint64_t *a, size_t len, unsigned bits)
{
    size_t words = bits / 64;
    bits %= 64;
    for (size_t i = len; i-- > 0;) {
        uint64_t hi = i >= words ? a[i - words] : 0;
        uint64_t lo = i > words && bits ? a[i - words - 1] >> (64 - bits) : 0;
        a[i] = hi << bits | lo;
    }
}

static uint64_t add_carry(uint64_t a, uint64_t b, uint64_t *carry)
{
    uint64_t sum = a + b, out = sum + *carry;
    *carry = (uint64_t)(sum < a) | (uint64_t)(out < sum);
    return out;
}

static void add_signed(uint64_t *a, size_t len, int64_t v)
{
    uint64_t sign = v < 0 ? UINT64_MAX : 0, add = (uint64_t)v, carry = 0;
    for (size_t i = 0; i < len; i++) {
        a[i] = add_carry(a[i], add, &carry);
        add = sign;
    }
}

void cczi_fl_pack(uint8_t *residue, const int64_t *v, size_t len, const struct cczi_fl_layout *l,
                  const uint8_t *n)
{
    uint64_t a[LIMBS_MAX] = {0};
    size_t limbs = l->n_size / 8 + 1;
    for (size_t i = len; i-- > 0;) {
        shift_left(a, limbs, l->slot_bits);
        add_signed(a, limbs, v[i]);
    }
    /* a negative number is n - |a|: a mask instead of a branch, as the sign is that of a private value */
    uint64_t negative = 0 - (a[limbs - 1] >> 63);
    uint64_t carry = 0;
    for (size_t i = 0; i < l->n_size / 8; i++) {
        uint64_t word = 0;
        for (size_t b = 0; b < 8; b++)
            word = word << 8 | n[l->n_size - 8 * (i + 1) + b];
        word = add_carry(a[i], word & negative, &carry);
        for (size_t b = 0; b < 8; b++)
            residue[l->n_size - 1 - 8 * i - b] = (uint8_t)(word >> (8 * b));
    }
    ccz_wipe(a, sizeof(a));
}

/* Sets bit @p bit (from the lowest) of a big-endian number of @p size bytes. */
static void set_bit(uint8_t *v, size_t size, unsigned bit)
{
    v[size - 1 - bit / 8] |= (uint8_t)(1U << bit % 8);
}

ccz_rc cczi_fl_mask(uint8_t *residue, const struct cczi_fl_layout *l,
                    const struct ccz_paillier_rng *rng, struct ccz_err *err)
{
    ccz_rc rc =
        rng && rng->fill ? rng->fill(rng->arg, residue, l->n_size) : ccz_random(residue, l->n_size);
    if (rc != CCZ_OK)
        return ccz_fail(err, rc, "fedlr:random", 0, "no randomness");
    for (unsigned bit = l->mask_bits; bit < 8 * l->n_size; bit++)
        residue[l->n_size - 1 - bit / 8] &= (uint8_t) ~(1U << bit % 8);
    /* + 2^total_bits: the carry ends below the cleared bits */
    unsigned bit = l->total_bits;
    for (; residue[l->n_size - 1 - bit / 8] >> bit % 8 & 1; bit++)
        residue[l->n_size - 1 - bit / 8] &= (uint8_t) ~(1U << bit % 8);
    set_bit(residue, l->n_size, bit);
    return CCZ_OK;
}

uint64_t cczi_fl_window(const uint8_t *residue, const struct cczi_fl_layout *l)
{
    uint64_t v = 0;
    unsigned from = l->middle + l->drop;
    for (unsigned i = 0; i < l->window; i++) {
        unsigned bit = from + i;
        v |= (uint64_t)(residue[l->n_size - 1 - bit / 8] >> bit % 8 & 1) << i;
    }
    return v;
}

double cczi_fl_unmask(uint64_t window, const uint8_t *mask, const struct cczi_fl_layout *l)
{
    unsigned unused = 64 - l->window;
    uint64_t diff = (window - cczi_fl_window(mask, l)) << unused; /* its sign bit to the top */
    double v = (double)((int64_t)diff / ((int64_t)1 << unused));
    return ldexp(v, -CCZI_SUM_FRACTION);
}
