/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZI_PAILLIER_PRIV_H
#define CCZI_PAILLIER_PRIV_H
/* Shared by the files of src/paillier only. */
#include <cczoo/parallel.h>

#include <cczoo/mont.h>
#include <cczoo/paillier.h>

#include <pthread.h>
#include <stdatomic.h>

enum {
    CCZI_PAI_WORDS_MAX = CCZ_PAILLIER_BITS_MAX / 64,
    CCZI_PAI_SLOT_BITS_MAX = 512,
    CCZI_PAI_SLOT_WORDS_MAX = CCZI_PAI_SLOT_BITS_MAX / 64 + 1,
    CCZI_PAI_EXPONENT_MAX = 1024,
    CCZI_PAI_CHUNK = 64 /* items worked on at a time: bounds scratch memory, fills the lanes */
};

/* -------------------------------------------------------------------------------- words.c */

/* Integers of `len` words, least significant first; two's complement where they have a sign. All in
 * constant time. */

/* @p size bytes, big-endian, at most 8 * len. */
void cczi_words_from_be(uint64_t *w, size_t len, const uint8_t *bytes, size_t size);
void cczi_words_to_be(uint8_t *bytes, size_t size, const uint64_t *w); /* the low size bytes */
/* r = a + (b & mask); @return the carry */
uint64_t cczi_words_add(uint64_t *r, const uint64_t *a, const uint64_t *b, uint64_t mask,
                        size_t len);
/* r = a - (b & mask); @return the borrow */
uint64_t cczi_words_sub(uint64_t *r, const uint64_t *a, const uint64_t *b, uint64_t mask,
                        size_t len);
/* 1 if a < b */
uint64_t cczi_words_less(const uint64_t *a, const uint64_t *b, size_t len);
/* r = a b, 2 len words */
void cczi_words_mul(uint64_t *r, const uint64_t *a, const uint64_t *b, size_t len);
/* r = |a| for a signed a; @return 1 if a < 0 */
uint64_t cczi_words_abs(uint64_t *r, const uint64_t *a, size_t len);
/* r = mask ? a : b */
void cczi_words_select(uint64_t *r, const uint64_t *a, const uint64_t *b, uint64_t mask,
                       size_t len);
/* All ones if bit is 1, 0 if it is 0; the compiler cannot know which. */
uint64_t cczi_mask(uint64_t bit);
/* 1 if w is not 0 */
uint64_t cczi_nonzero(uint64_t w);

/* -------------------------------------------------------------------------------- bound.c */

/* m 2^e with 1 <= m < 2: an upper bound of magnitudes, rounded up where it is not exact. Sums of
 * up to 2^53 equal bounds are exact, so that all guard bits can be used. */
struct cczi_bound {
    double m;
    int e;
};
struct cczi_bound cczi_bound_bits(unsigned bits); /* 2^bits */
struct cczi_bound cczi_bound_add(struct cczi_bound a, struct cczi_bound b);
struct cczi_bound cczi_bound_mul(struct cczi_bound a, struct cczi_bound b);
struct cczi_bound cczi_bound_times(struct cczi_bound a, size_t count); /* count > 0 */
bool cczi_bound_fits(struct cczi_bound a, struct cczi_bound limit);
double cczi_bound_log2(struct cczi_bound a);
/* As an integer 2^52 <= m < 2^53 with its exponent, for the wire. */
uint64_t cczi_bound_mantissa(struct cczi_bound a);
bool cczi_bound_from(struct cczi_bound *out, uint64_t mantissa, int32_t exponent);

/* ----------------------------------------------------------------------------------- key.c */

struct ccz_paillier_pub {
    atomic_uint refs;
    unsigned bits;
    size_t words, size; /* of n */
    size_t len;         /* words of a resident ciphertext */
    uint64_t n[CCZI_PAI_WORDS_MAX];
    uint64_t square[2 * CCZI_PAI_WORDS_MAX]; /* n^2 */
    uint64_t max[CCZI_PAI_WORDS_MAX];        /* largest |m|: floor(n / 3) - 1 */
    struct cczi_bound limit;                 /* the same */
    uint8_t n_bytes[CCZ_PAILLIER_N_SIZE_MAX];
    uint8_t h[CCZ_PAILLIER_N_SIZE_MAX];
    uint8_t id[CCZ_PAILLIER_ID_SIZE];
    bool djn;
    struct ccz_mont *m;         /* modulus n^2, in pairs */
    uint64_t *h_s;              /* h^n, resident; NULL without h */
    pthread_mutex_t lock;       /* of what follows */
    struct ccz_mont_comb *comb; /* of h_s, made when first needed */
};
struct ccz_paillier_pub *cczi_pub_ref(const struct ccz_paillier_pub *pub);
/* The table of h_s. */
ccz_rc cczi_pub_comb(const struct ccz_mont_comb **out, const struct ccz_paillier_pub *pub,
                     struct ccz_err *err);
/* n known to be good: of a key. @param h NULL if there is none */
ccz_rc cczi_pub_make(struct ccz_paillier_pub **out, const uint8_t *n, size_t size, const uint8_t *h,
                     struct ccz_err *err);
/* The rules for the number of bits. */
ccz_rc cczi_pub_bits_ok(size_t bits, bool bits_1024, struct ccz_err *err);

/* A blinding factor is squared after each use and drawn anew after so many. */
enum { CCZI_PAI_BLIND_USES = 128 };

/* One half of a key: p, or q. */
struct cczi_half {
    struct ccz_mont *square; /* modulus p^2, in pairs */
    struct ccz_mont *prime;  /* modulus p */
    const uint64_t *p;       /* words of it */
    const uint8_t *exp;      /* p - 1, big-endian */
    uint64_t *coef;          /* resident modulo p: what L(x^(p-1)) is multiplied by */
};
struct ccz_paillier_key {
    struct ccz_paillier_pub *pub;
    size_t words, size; /* of a factor */
    struct ccz_secret *numbers;
    uint8_t *p_bytes, *q_bytes; /* in numbers, which begin with their SHA-256 */
    struct cczi_half p, q;
    pthread_mutex_t lock; /* of the blinding factor */
    uint64_t *blind;      /* resident modulo n^2 */
    unsigned blind_uses;  /* left */
};
/* SHA-256 of the numbers behind it: a bit that flips in a key can give away its factors. */
ccz_rc cczi_key_digest(uint8_t digest[32], const struct ccz_paillier_key *k);
/* From primes that fit together. @param h NULL if there is none */
ccz_rc cczi_key_make(struct ccz_paillier_key **out, const uint8_t *p, const uint8_t *q, size_t size,
                     const uint8_t *h, struct ccz_err *err);
/* n = p q and -x^2 mod n, x of `size` + 16 random bytes. @param[out] n, h  2 size bytes */
void cczi_key_product(uint8_t *n, const uint8_t *p, const uint8_t *q, size_t size);
ccz_rc cczi_key_h(uint8_t *h, const uint8_t *n, size_t size, const uint8_t *x, size_t x_size);
/* From untrusted primes: checked. */
ccz_rc cczi_key_import(struct ccz_paillier_key **out, struct ccz_span p, struct ccz_span q,
                       struct ccz_span h, const struct ccz_paillier_pub_cfg *cfg,
                       struct ccz_err *err);

/* --------------------------------------------------------------------------------- plain.c */

struct ccz_paillier_plain {
    struct ccz_paillier_pub *pub;
    size_t len, values;
    int32_t exponent;
    struct ccz_paillier_packing pack; /* slot_bits 0: none */
    struct cczi_bound bound;
    uint64_t *w; /* [len][pub->words], signed */
};
/* All zero; @p values are spread over integers by @p pack. */
ccz_rc cczi_plain_new(struct ccz_paillier_plain **out, const struct ccz_paillier_pub *pub,
                      size_t values, struct ccz_paillier_format format,
                      const struct ccz_paillier_packing *pack, struct ccz_err *err);
/* Adds the signed v[len] 2^bit to the signed w[words]. */
void cczi_slot_put(uint64_t *w, size_t words, size_t bit, const uint64_t *v, size_t len);
/* Takes the slot at @p bit as signed v[slot_bits / 64 + 1]. *carry goes from slot to slot, 0 at first. */
void cczi_slot_get(uint64_t *v, uint64_t *carry, const uint64_t *w, size_t words, size_t bit,
                   unsigned slot_bits);
/* Residues mod n, big-endian, of @p len integers from @p from on. */
void cczi_plain_residues(uint8_t *out, const struct ccz_paillier_plain *p, size_t from, size_t len);
/* Signed integer of a residue below n; @return 1 if it is beyond n / 3. */
uint64_t cczi_residue_to_signed(uint64_t *w, const uint64_t *residue,
                                const struct ccz_paillier_pub *pub);
/* `slots` = 0 becomes what fits; refused if it does not fit. slot_bits > 0. */
ccz_rc cczi_packing_check(struct ccz_paillier_packing *pack, const struct ccz_paillier_pub *pub,
                          struct ccz_err *err);
/* The largest bound that integers, or values in slots, may have. */
struct cczi_bound cczi_limit(const struct ccz_paillier_pub *pub, struct ccz_paillier_packing pack);
ccz_rc cczi_overflow(struct ccz_err *err, struct cczi_bound got, struct cczi_bound limit);

/* Double to signed v[bits / 64 + 1]: round(x 16^-exponent); @return 1 if it is not below 2^bits. */
uint64_t cczi_f64_to_words(uint64_t *v, double x, int32_t exponent, unsigned bits);
/* The inverse, correctly rounded; @return 1 if it is beyond the largest double. */
uint64_t cczi_f64_from_words(double *out, const uint64_t *v, size_t len, int32_t exponent);

/* ----------------------------------------------------------------------------------- vec.c */

/* What is known about the randomness of the items. */
enum cczi_random {
    CCZI_RANDOM_NONE, /* operations with plain numbers since the last randomisation, or never any */
    CCZI_RANDOM_FULL
};
struct ccz_paillier_vec {
    struct ccz_paillier_pub *pub;
    size_t len;
    int32_t exponent;
    struct ccz_paillier_packing pack;
    struct cczi_bound bound;
    enum cczi_random random;
    uint64_t *w; /* [len][pub->len], resident */
};
/* Items not set. */
ccz_rc cczi_vec_new(struct ccz_paillier_vec **out, const struct ccz_paillier_pub *pub, size_t len,
                    struct ccz_err *err);
/* Same key, exponent, packing, and a length of w that can be applied to v. */
ccz_rc cczi_vec_match(const struct ccz_paillier_vec *v, const struct ccz_paillier_vec *w,
                      struct ccz_err *err);
ccz_rc cczi_same_key(const struct ccz_paillier_pub *a, const struct ccz_paillier_pub *b,
                     struct ccz_err *err);
/* Units of c, in (0, n^2): reads @p len residues into the items of v. */
ccz_rc cczi_vec_load(struct ccz_paillier_vec *v, const uint8_t *residues, struct ccz_err *err);
uint64_t *cczi_resident_new(size_t values, size_t len);          /* aligned, zero; free() */
void cczi_resident_free(uint64_t *w, size_t values, size_t len); /* wiped first */
ccz_rc cczi_no_memory(struct ccz_err *err);

/* ------------------------------------------------------------------------------- encrypt.c */

ccz_rc cczi_random_fill(const struct ccz_paillier_rng *rng, void *out, size_t size,
                        struct ccz_err *err);
/* @p len random n-th residues, resident, computed now. */
ccz_rc cczi_obfuscators(uint64_t *out, size_t len, const struct ccz_paillier_pub *pub,
                        const struct ccz_paillier_enc_cfg *cfg, struct ccz_err *err);

/* ---------------------------------------------------------------------------------- pool.c */

/* Takes up to @p len; @return how many. */
size_t cczi_pool_take(uint64_t *out, size_t len, struct ccz_paillier_pool *pool);
bool cczi_pool_serves(const struct ccz_paillier_pool *pool, const struct ccz_paillier_pub *pub);

#endif
