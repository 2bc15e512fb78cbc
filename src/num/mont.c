/* SPDX-License-Identifier: Apache-2.0 */
/* Contexts, groups, products. */
#include "mont_priv.h"

#include "base/ct.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

/* ---------------------------------------------------------------------------------- scratch */

uint64_t *cczi_mont_scratch_new(struct cczi_mont_scratch *s, size_t len)
{
    size_t size = (len * 8 + CCZI_MONT_ALIGN - 1) / CCZI_MONT_ALIGN * CCZI_MONT_ALIGN;
    s->ptr = len > SIZE_MAX / 16 ? NULL : aligned_alloc(CCZI_MONT_ALIGN, size);
    s->len = s->ptr ? size / 8 : 0;
    return s->ptr;
}

void cczi_mont_scratch_free(struct cczi_mont_scratch *s)
{
    ccz_wipe(s->ptr, s->len * 8);
    free(s->ptr);
    s->ptr = NULL;
    s->len = 0;
}

/* --------------------------------------------------------------------------------- contexts */

/* 1 if a != 0 */
static uint32_t nonzero(uint32_t a)
{
    return (a | (0u - a)) >> 31;
}

/* Bit length, which alone is made public. */
static size_t bit_length(struct ccz_span number)
{
    uint32_t bits = 0;
    for (size_t i = number.size; i-- > 0;) {
        uint32_t len = (uint32_t)(number.size - 1 - i) * 8, byte = number.ptr[i];
        uint32_t keep = nonzero(byte) - 1;
        for (unsigned k = 0; k < 8; k++)
            len += nonzero(byte >> k);
        bits = (bits & cczi_ct_barrier(keep)) | (len & ~keep);
    }
    CCZ_CT_PUBLIC(&bits, sizeof(bits));
    return bits;
}

/* Lays out everything behind the structure, or only counts. */
static size_t lay_out(struct ccz_mont *m, uint64_t *base)
{
    size_t used = 0, lanes_max = m->tier->wide->lanes + m->tier->narrow->lanes;
    uint64_t **const parts[] = {&m->mod, &m->mod_1, &m->one, &m->r2, &m->chunk, &m->root64};
    const size_t sizes[] = {m->limbs, m->limbs, m->len, m->len, m->len, m->limbs64};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        if (base)
            *parts[i] = base + used;
        used += (sizes[i] + 7) / 8 * 8;
    }
    struct cczi_mont_moduli *const moduli[2] = {&m->wide, &m->narrow};
    for (size_t i = 0; base && i < 2; i++) {
        size_t lanes = i == 0 ? m->tier->wide->lanes : m->tier->narrow->lanes;
        moduli[i]->limbs = m->limbs;
        moduli[i]->mod = base + used;
        moduli[i]->mod_1 = moduli[i]->mod + m->limbs * lanes;
        moduli[i]->minus_k = moduli[i]->mod_1 + m->limbs * lanes;
        used += (2 * m->limbs + 1) * lanes;
        used = (used + 7) / 8 * 8;
    }
    return base ? used : used + (2 * m->limbs + 1) * lanes_max + 16;
}

static void read_modulus(struct ccz_mont *m, struct ccz_span root)
{
    for (size_t i = 0; i < m->limbs64; i++)
        m->root64[i] = cczi_mont_bits(root.ptr, root.size, 64 * i, 64);
    cczi_mont_split(m->mod, m->limbs, m->tier->limb_bits, m->root64, m->limbs64);
    memcpy(m->mod_1, m->mod, m->limbs * 8);
    m->mod_1[0]--; /* odd */
    uint64_t inverse = m->mod[0];
    for (int i = 0; i < 5; i++) /* Newton; the start is right modulo 8 */
        inverse *= 2 - m->mod[0] * inverse;
    m->minus_k = (0 - inverse) & (~0ull >> (64 - m->tier->limb_bits));
}

static void repeat_moduli(struct ccz_mont *m)
{
    struct cczi_mont_moduli *const moduli[2] = {&m->wide, &m->narrow};
    const size_t lanes[2] = {m->tier->wide->lanes, m->tier->narrow->lanes};
    for (int i = 0; i < 2; i++) {
        uint64_t *mod = (uint64_t *)(uintptr_t)moduli[i]->mod;
        cczi_mont_repeat(mod, m->mod, m->limbs, lanes[i]);
        cczi_mont_repeat(mod + m->limbs * lanes[i], m->mod_1, m->limbs, lanes[i]);
        cczi_mont_repeat(mod + 2 * m->limbs * lanes[i], &m->minus_k, 1, lanes[i]);
    }
}

/* Everything but pointers. @return bytes of memory needed */
static size_t measure(struct ccz_mont *m, size_t bits, bool pair, const struct cczi_mont_tier *tier)
{
    size_t step = tier->limbs_step;
    m->tier = tier;
    m->pair = pair;
    m->root_bits = bits;
    m->limbs = (bits + tier->slack_bits + tier->limb_bits - 1) / tier->limb_bits;
    m->limbs = (m->limbs + step - 1) / step * step;
    m->len = pair ? 2 * m->limbs : m->limbs;
    m->limbs64 = (bits + 63) / 64;
    m->root_size = (bits + 7) / 8;
    m->size = pair ? (2 * bits + 7) / 8 : m->root_size;
    m->chunk_bits = tier->limb_bits * m->limbs - (tier->slack_bits ? 2 : 0);
    return sizeof(*m) + 2 * CCZI_MONT_ALIGN + 8 * lay_out(m, NULL);
}

ccz_rc cczi_mont_new(struct ccz_mont **out, struct ccz_span root, bool pair,
                     const struct cczi_mont_tier *tier, struct ccz_err *err)
{
    size_t bits = bit_length(root), max = pair ? CCZ_MONT_BITS_MAX / 2 : CCZ_MONT_BITS_MAX;
    struct ccz_secret *memory = NULL;
    struct ccz_mont sketch = {0};
    *out = NULL;
    if (bits < CCZ_MONT_BITS_MIN || bits > max)
        return ccz_fail(err, CCZ_E_ARG, "mont:size", (int64_t)bits,
                        "a modulus of %zu bits, expected %d to %zu", bits, CCZ_MONT_BITS_MIN, max);
    uint32_t odd = root.ptr[root.size - 1] & 1;
    CCZ_CT_PUBLIC(&odd, sizeof(odd));
    if (!odd)
        return ccz_fail(err, CCZ_E_ARG, "mont:even", 0, "the modulus is even");
    if (ccz_secret_new(&memory, measure(&sketch, bits, pair, tier)) != CCZ_OK)
        return ccz_fail(err, CCZ_E_NOMEM, "mont:memory", 0, "out of memory");

    uintptr_t start = ((uintptr_t)ccz_secret_bytes(memory) + CCZI_MONT_ALIGN - 1) /
                      CCZI_MONT_ALIGN * CCZI_MONT_ALIGN;
    struct ccz_mont *m = (struct ccz_mont *)start;
    *m = sketch;
    m->memory = memory;
    start = (start + sizeof(*m) + CCZI_MONT_ALIGN - 1) / CCZI_MONT_ALIGN * CCZI_MONT_ALIGN;
    (void)lay_out(m, (uint64_t *)start);
    read_modulus(m, root);
    repeat_moduli(m);
    cczi_mont_constants(m);
    *out = m;
    return CCZ_OK;
}

void ccz_mont_free(struct ccz_mont *m)
{
    if (m)
        ccz_secret_free(m->memory);
}

size_t ccz_mont_len(const struct ccz_mont *m)
{
    return m->len;
}

size_t ccz_mont_size(const struct ccz_mont *m)
{
    return m->size;
}

size_t ccz_mont_root_size(const struct ccz_mont *m)
{
    return m->pair ? m->root_size : 0;
}

const char *ccz_mont_tier(const struct ccz_mont *m)
{
    return m->tier->name;
}

/* ---------------------------------------------------------------------------------- choosing */

const struct cczi_mont_tier *cczi_mont_tier_at(size_t i)
{
#if defined(__x86_64__)
    if (i == 2)
        return ccz_cpu()->best >= CCZ_CPU_IFMA ? &cczi_mont_ifma : NULL;
    if (i == 1)
        return ccz_cpu()->mulx_adx ? &cczi_mont_x86 : NULL;
#endif
    return i == 0 ? &cczi_mont_portable : NULL;
}

#if defined(__x86_64__)
enum { TEST_SIZE = 128, TEST_COUNT = 5, TEST_LEN = 40 };

/* Bytes of x^6 for TEST_COUNT values x, modulo a number of 1024 bits or its square. */
static bool test_bytes(uint8_t *out, const struct cczi_mont_tier *tier, bool pair)
{
    uint8_t modulus[TEST_SIZE], in[TEST_COUNT * TEST_SIZE];
    CCZ_AUTO(ccz_mont) m = NULL;
    for (size_t i = 0; i < sizeof(in); i++)
        in[i] = (uint8_t)(i * i * 37 + i + 11);
    memset(modulus, 0xff, sizeof(modulus));
    modulus[TEST_SIZE / 2] = 0x5a;
    if (cczi_mont_new(&m, CCZ_SPAN(modulus, TEST_SIZE), pair, tier, NULL) != CCZ_OK)
        return false;
    uint64_t a[TEST_COUNT * TEST_LEN], b[TEST_COUNT * TEST_LEN];
    if (m->len > TEST_LEN || ccz_mont_from_bytes(m, a, in, TEST_SIZE, TEST_COUNT) != CCZ_OK)
        return false;
    ccz_mont_sqr(m, b, a, TEST_COUNT);
    ccz_mont_mul(m, b, a, b, TEST_COUNT);
    ccz_mont_sqr(m, b, b, 1); /* few lanes */
    ccz_mont_sqr(m, b + m->len, b + m->len, TEST_COUNT - 1);
    ccz_mont_to_bytes(m, out, b, TEST_COUNT);
    return true;
}

static bool self_test(const struct cczi_mont_tier *tier)
{
    uint8_t got[TEST_COUNT * 2 * TEST_SIZE] = {0}, expected[sizeof(got)] = {0};
    bool right = true;
    for (int pair = 0; pair < 2; pair++)
        right = right && test_bytes(got, tier, pair) &&
                test_bytes(expected, &cczi_mont_portable, pair) &&
                memcmp(got, expected, sizeof(got)) == 0;
    return right;
}
#endif

static const struct cczi_mont_tier *chosen = &cczi_mont_portable;
static pthread_once_t chosen_once = PTHREAD_ONCE_INIT;

static void choose(void)
{
#if defined(__x86_64__)
    if (ccz_cpu()->chosen >= CCZ_CPU_IFMA && self_test(&cczi_mont_ifma))
        chosen = &cczi_mont_ifma;
    else if (ccz_cpu()->mulx_adx && self_test(&cczi_mont_x86))
        chosen = &cczi_mont_x86;
#endif
}

ccz_rc ccz_mont_new(struct ccz_mont **out, struct ccz_span modulus, struct ccz_err *err)
{
    (void)pthread_once(&chosen_once, choose);
    return cczi_mont_new(out, modulus, false, chosen, err);
}

ccz_rc ccz_mont_new_squared(struct ccz_mont **out, struct ccz_span root, struct ccz_err *err)
{
    (void)pthread_once(&chosen_once, choose);
    return cczi_mont_new(out, root, true, chosen, err);
}

/* ------------------------------------------------------------------------------------ groups */

void cczi_mont_load(const struct ccz_mont *m, const struct cczi_mont_ops *ops, uint64_t *group,
                    const uint64_t *values, size_t step, size_t count)
{
    const uint64_t *lanes[CCZI_MONT_LANES_MAX];
    for (size_t i = 0; i < ops->lanes; i++)
        lanes[i] = values + step * (i < count ? i : count - 1);
    ops->load(group, lanes, m->len);
}

void cczi_mont_store(const struct ccz_mont *m, const struct cczi_mont_ops *ops, uint64_t *values,
                     const uint64_t *group, size_t count)
{
    uint64_t *lanes[CCZI_MONT_LANES_MAX], unused[CCZ_MONT_LEN_MAX];
    for (size_t i = 0; i < ops->lanes; i++)
        lanes[i] = i < count ? values + m->len * i : unused;
    ops->store(lanes, group, m->len);
}

void cczi_mont_fill(const struct ccz_mont *m, const struct cczi_mont_ops *ops, uint64_t *group,
                    const uint64_t *value)
{
    cczi_mont_load(m, ops, group, value, 0, 1);
}

void cczi_mont_repeat(uint64_t *group, const uint64_t *value, size_t len, size_t lanes)
{
    for (size_t i = 0; i < len; i++) {
        for (size_t k = 0; k < lanes; k++)
            group[i * lanes + k] = value[i];
    }
}

/* ---------------------------------------------------------------------------------- products */

/* How many of what is left go into the next group. */
static size_t take(const struct cczi_mont_ops *ops, size_t left)
{
    return left < ops->lanes ? left : ops->lanes;
}

static void mul_step(const struct ccz_mont *m, uint64_t *out, const uint64_t *a, const uint64_t *b,
                     size_t b_step, size_t count)
{
    _Alignas(CCZI_MONT_ALIGN) uint64_t x[CCZI_MONT_GROUP_LEN], y[CCZI_MONT_GROUP_LEN];
    for (size_t done = 0, n; done < count; done += n) {
        const struct cczi_mont_ops *ops = cczi_mont_ops(m, count - done);
        n = take(ops, count - done);
        cczi_mont_load(m, ops, x, a + done * m->len, m->len, n);
        if (b_step > 0 || done == 0 || ops != m->tier->wide)
            cczi_mont_load(m, ops, y, b + done * b_step, b_step, n);
        ops->mul[m->pair](x, x, y, cczi_mont_moduli(m, ops));
        cczi_mont_store(m, ops, out + done * m->len, x, n);
    }
}

void ccz_mont_mul(const struct ccz_mont *m, uint64_t *out, const uint64_t *a, const uint64_t *b,
                  size_t count)
{
    mul_step(m, out, a, b, m->len, count);
}

void ccz_mont_mul_one(const struct ccz_mont *m, uint64_t *out, const uint64_t *a, const uint64_t *b,
                      size_t count)
{
    uint64_t copy[CCZ_MONT_LEN_MAX]; /* b may be one of out */
    memcpy(copy, b, m->len * 8);
    mul_step(m, out, a, copy, 0, count);
}

void ccz_mont_sqr(const struct ccz_mont *m, uint64_t *out, const uint64_t *a, size_t count)
{
    _Alignas(CCZI_MONT_ALIGN) uint64_t x[CCZI_MONT_GROUP_LEN];
    for (size_t done = 0, n; done < count; done += n) {
        const struct cczi_mont_ops *ops = cczi_mont_ops(m, count - done);
        n = take(ops, count - done);
        cczi_mont_load(m, ops, x, a + done * m->len, m->len, n);
        ops->sqr[m->pair](x, x, cczi_mont_moduli(m, ops));
        cczi_mont_store(m, ops, out + done * m->len, x, n);
    }
}

/* Lanes multiply every lanes-th value; then the lanes are halved until one is left. */
void ccz_mont_product(const struct ccz_mont *m, uint64_t *out, const uint64_t *a, size_t count)
{
    _Alignas(CCZI_MONT_ALIGN) uint64_t x[CCZI_MONT_GROUP_LEN], y[CCZI_MONT_GROUP_LEN];
    uint64_t values[CCZI_MONT_LANES_MAX * CCZ_MONT_LEN_MAX];
    const struct cczi_mont_ops *ops = cczi_mont_ops(m, count);
    size_t lanes = take(ops, count), done = lanes;
    if (count == 0) {
        memcpy(out, m->one, m->len * 8);
        return;
    }
    cczi_mont_load(m, ops, x, a, m->len, lanes);
    for (; done + lanes <= count; done += lanes) {
        cczi_mont_load(m, ops, y, a + done * m->len, m->len, lanes);
        ops->mul[m->pair](x, x, y, cczi_mont_moduli(m, ops));
    }
    cczi_mont_store(m, ops, values, x, lanes);
    if (done < count)
        ccz_mont_mul(m, values, values, a + done * m->len, count - done);
    for (; lanes > 1; lanes -= lanes / 2)
        ccz_mont_mul(m, values, values, values + (lanes - lanes / 2) * m->len, lanes / 2);
    memcpy(out, values, m->len * 8);
}
