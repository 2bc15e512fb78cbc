/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_SRC_MONT_PRIV_H
#define CCZ_SRC_MONT_PRIV_H
/*
 * Inside the big-integer half of num. Montgomery form with R = 2^(limb_bits * limbs), limbs of 52 or
 * 64 bits. Kernels work on *groups*: lanes values side by side, word i of lane j at [i * lanes + j].
 * With one lane (portable) a group is a value. Kernels for pairs may have another order (mont_ifma.h): only
 * load() and store() of the same kernels know.
 *
 * A value modulo root^2 is a pair, low limbs first: low + high * root. With 52 bits nothing is fully
 * reduced between operations: low < 2 root, high < 4 root (or one number < 2 modulus), and
 * 64 * root <= R. With 64 bits low < root, high <= root. An operand may have any low below R if the
 * other one is fully reduced.
 */
#include <cczoo/mont.h>

enum {
    CCZI_MONT_LANES_MAX = 8,
    CCZI_MONT_GROUP_LEN = CCZ_MONT_LEN_MAX * CCZI_MONT_LANES_MAX,
    CCZI_MONT_LIMBS64_MAX = CCZ_MONT_BITS_MAX / 64,
    CCZI_MONT_ALIGN = 64,
};

/* Moduli (of pairs: roots) of the lanes of a group. */
struct cczi_mont_moduli {
    size_t limbs;
    const uint64_t *mod;     /* [limbs][lanes] */
    const uint64_t *mod_1;   /* mod - 1 */
    const uint64_t *minus_k; /* [lanes], -1 / mod modulo 2^limb_bits */
};

/* Kernels for a number of lanes. r may be an operand. Groups are aligned to CCZI_MONT_ALIGN. */
struct cczi_mont_ops {
    size_t lanes;
    size_t
        cells; /* of a limb of moduli; lanes, or 2 * lanes if the halves of a pair lie side by side */
    /* r = a * b / R; index 1: pairs */
    void (*mul[2])(uint64_t *r, const uint64_t *a, const uint64_t *b,
                   const struct cczi_mont_moduli *m);
    void (*sqr[2])(uint64_t *r, const uint64_t *a, const struct cczi_mont_moduli *m);
    /* low of a += x < 2^chunk_bits; a < 2 root or a is fully reduced */
    void (*add_low)(uint64_t *a, const uint64_t *x, const struct cczi_mont_moduli *m, bool pair);
    /* Values to a group and back. */
    void (*load)(uint64_t *group, const uint64_t *const *values, size_t len);
    void (*store)(uint64_t *const *values, const uint64_t *group, size_t len);
    /* r = table[digits[lane]] of tables [entries][len][lanes]; reads all */
    void (*select)(uint64_t *r, const uint64_t *table, size_t entries, const uint64_t *digits,
                   size_t len);
    /* the same of one table [len][entries] for all lanes; entries is a power of 2, at least 8 */
    void (*lookup)(uint64_t *r, const uint64_t *table, size_t entries, const uint64_t *digits,
                   size_t len);
};

struct cczi_mont_tier {
    const char *name;
    unsigned limb_bits;
    unsigned limbs_step; /* the number of limbs is a multiple of this */
    unsigned slack_bits; /* R >= 2^slack_bits * modulus or root */
    const struct cczi_mont_ops *wide;
    const struct cczi_mont_ops *narrow; /* for narrow_max values or fewer */
    const struct cczi_mont_ops *split;  /* for split_max pairs or fewer, or NULL */
    size_t narrow_max, split_max;
};
extern const struct cczi_mont_tier cczi_mont_portable, cczi_mont_x86, cczi_mont_ifma;

/* All tiers, the better the higher; NULL if the processor cannot run it. */
enum { CCZI_MONT_TIERS = 3 };
const struct cczi_mont_tier *cczi_mont_tier_at(size_t i);

struct ccz_mont {
    struct ccz_secret *memory; /* everything, this structure too */
    const struct cczi_mont_tier *tier;
    bool pair;
    size_t limbs, len;      /* len: words of a value */
    size_t root_bits;       /* of the modulus, or of the root of a pair */
    size_t limbs64;         /* words of 64 bits of the root */
    size_t size, root_size; /* bytes of modulus and root */
    size_t chunk_bits;      /* what add_low() takes */
    uint64_t *root64;
    uint64_t *one, *r2, *chunk; /* values R, R^2, 2^chunk_bits * R, fully reduced */
    uint64_t *mod, *mod_1;      /* limbs */
    uint64_t minus_k;
    struct cczi_mont_moduli wide, narrow; /* for groups of this modulus alone */
};

/* As ccz_mont_new() and _squared() with a tier. */
ccz_rc cczi_mont_new(struct ccz_mont **out, struct ccz_span root, bool pair,
                     const struct cczi_mont_tier *tier, struct ccz_err *err);

/* ---------------------------------------------------------------------------------- groups */

/* Kernels for a number of values, with groups in the usual order. */
static inline const struct cczi_mont_ops *cczi_mont_ops_usual(const struct ccz_mont *m,
                                                              size_t count)
{
    return count > m->tier->narrow_max ? m->tier->wide : m->tier->narrow;
}

/* The best kernels for a number of values. */
static inline const struct cczi_mont_ops *cczi_mont_ops(const struct ccz_mont *m, size_t count)
{
    return m->pair && m->tier->split && count <= m->tier->split_max ? m->tier->split
                                                                    : cczi_mont_ops_usual(m, count);
}

static inline const struct cczi_mont_moduli *cczi_mont_moduli(const struct ccz_mont *m,
                                                              const struct cczi_mont_ops *ops)
{
    return ops == m->tier->wide ? &m->wide : &m->narrow;
}

/* Loads count <= lanes values at distances of `step` words; other lanes repeat the last one. */
void cczi_mont_load(const struct ccz_mont *m, const struct cczi_mont_ops *ops, uint64_t *group,
                    const uint64_t *values, size_t step, size_t count);
void cczi_mont_store(const struct ccz_mont *m, const struct cczi_mont_ops *ops, uint64_t *values,
                     const uint64_t *group, size_t count);
/* A group with the same value in all lanes; the same in the usual order. */
void cczi_mont_fill(const struct ccz_mont *m, const struct cczi_mont_ops *ops, uint64_t *group,
                    const uint64_t *value);
void cczi_mont_repeat(uint64_t *group, const uint64_t *value, size_t len, size_t lanes);

/* Scratch memory, aligned, wiped when freed. */
struct cczi_mont_scratch {
    uint64_t *ptr;
    size_t len;
};
uint64_t *cczi_mont_scratch_new(struct cczi_mont_scratch *s, size_t len);
void cczi_mont_scratch_free(struct cczi_mont_scratch *s);
#define CCZI_AUTO_SCRATCH __attribute__((cleanup(cczi_mont_scratch_free))) struct cczi_mont_scratch

/* A number in words of 64 bits as limbs and back; what does not fit is dropped. */
void cczi_mont_split(uint64_t *limbs, size_t limbs_len, unsigned limb_bits, const uint64_t *words,
                     size_t words_len);
void cczi_mont_join(uint64_t *words, size_t words_len, const uint64_t *limbs, size_t limbs_len,
                    unsigned limb_bits);
/* Sets one, r2 and chunk of a context that has everything else. */
void cczi_mont_constants(struct ccz_mont *m);

/* `count` bits (at most 64) of a big-endian number from bit `from` on; 0 beyond its end. */
uint64_t cczi_mont_bits(const uint8_t *number, size_t size, size_t from, unsigned count);
#endif
