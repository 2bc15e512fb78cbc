/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZI_BFV_PRIV_H
#define CCZI_BFV_PRIV_H
/* Objects and checks that the files of bfv share. */
#include <cczoo/bfv.h>
#include <cczoo/num.h>

__extension__ typedef unsigned __int128 cczi_u128;

/* Noise beyond so many sub-Gaussian parameters has probability 2 exp(-50) per coefficient. */
#define CCZI_BFV_SIGMAS 10

/* t / q_i with 128 fractional bits, rounded down. */
struct cczi_bfv_ratio {
    uint64_t whole, high, low;
};

/* Constants for ciphertexts over the first primes, by their number. */
struct cczi_bfv_level {
    uint64_t q_mod_t;              /* Q mod t */
    struct ccz_mulc q_mod_t_prime; /* the same for a prime t, to divide by it */
    struct ccz_mulc *delta;        /* [limbs]: floor(Q / t) mod q_i */
    struct ccz_ntt_scale *inverse; /* [limbs]: (Q / q_i)^-1 mod q_i */
    double log2_q;
};

struct ccz_bfv {
    struct ccz_rlwe *ring;
    size_t n, data_len;
    const struct ccz_kernels *k;
    unsigned plain_bits;  /* t = 2^plain_bits, or 0: t is prime */
    struct ccz_modulus t; /* if prime */
    double log2_t;
    struct ccz_ntt *slots;        /* NULL: none */
    uint32_t *slot_at;            /* [n]: position of slot j in the order of num.h */
    struct cczi_bfv_ratio *ratio; /* [data_len] */
    struct cczi_bfv_level *level; /* [data_len]: level[limbs - 1] */
};

/* Constants to divide by the primes to .. from - 1 at once. */
struct cczi_bfv_drop {
    size_t from, to;             /* 0: none made */
    struct ccz_base_conv *conv;  /* from their product P, centred, to the primes that stay */
    struct ccz_ntt_scale *scale; /* [from - to]: factors of the conversion */
    struct ccz_mulc *inverse;    /* [to]: 1 / P */
};

struct ccz_bfv_eval {
    const struct ccz_bfv *ctx;
    struct ccz_rlwe_work *work;
    uint64_t *poly[2];      /* [data_len][n] each */
    uint64_t *word;         /* n */
    struct ccz_bfv_ct *tmp; /* encryption of zero */
    const uint64_t **list;  /* of sums */
    size_t list_cap;
    struct cczi_bfv_drop drop; /* as last used */
};

static inline const struct ccz_modulus *cczi_bfv_modulus(const struct ccz_bfv *c, size_t i)
{
    return ccz_ntt_modulus(ccz_rlwe_ntt(c->ring, i));
}

/* noise.c */
struct cczi_bfv_noise {
    double sigma, fixed; /* log2 */
};
/* log2(2^a + 2^b) */
double cczi_bfv_sum(double a, double b);
double cczi_bfv_bound(struct cczi_bfv_noise v);
struct cczi_bfv_noise cczi_bfv_fresh_sk(const struct ccz_bfv *c);
struct cczi_bfv_noise cczi_bfv_fresh_pk(size_t n, double variance);
struct cczi_bfv_noise cczi_bfv_plus(struct cczi_bfv_noise a, struct cczi_bfv_noise b);
/* Times a polynomial of so many coefficients up to that size. */
struct cczi_bfv_noise cczi_bfv_times(struct cczi_bfv_noise a, double max_abs, size_t terms);
/* Divided by a prime of @p log2_q, with roundings. */
struct cczi_bfv_noise cczi_bfv_divided(struct cczi_bfv_noise a, double log2_q, size_t n);
/*
 * A key switch adds so much: digits of up to log2_digit bits (a half of that in absolute value, public, independent of
 * the key's errors) times errors, divided by P.
 */
struct cczi_bfv_noise cczi_bfv_switched(struct cczi_bfv_noise a, size_t n, size_t digits,
                                        double log2_digit, double log2_p);
/* Bits of the uniform noise that hides @p a. */
unsigned cczi_bfv_flood_bits(struct cczi_bfv_noise a, size_t n, unsigned flood_bits);
/* "bfv:noise" */
ccz_rc cczi_bfv_fits(const struct ccz_bfv *c, struct cczi_bfv_noise v, size_t limbs,
                     struct ccz_err *err);

/* ctx.c: refusals that many calls share */
ccz_rc cczi_bfv_context(bool same, struct ccz_err *err);
/* "bfv:context", "bfv:empty": may be an operand of e */
ccz_rc cczi_bfv_operand(const struct ccz_bfv_eval *e, const struct ccz_bfv_ct *a,
                        struct ccz_err *err);
ccz_rc cczi_bfv_same_key(const uint8_t *have, const uint8_t *want, struct ccz_err *err);
/* 0 means all. "bfv:limbs" */
ccz_rc cczi_bfv_limbs(size_t *limbs, const struct ccz_bfv *c, struct ccz_err *err);
/* The output may be written, with memory for 2 parts; empty if it is no input. */
ccz_rc cczi_bfv_output(struct ccz_bfv_ct *out, const struct ccz_bfv_eval *e, bool is_input,
                       struct ccz_err *err);
/* A result of @p a is complete. */
void cczi_bfv_finish(struct ccz_bfv_ct *out, const struct ccz_bfv_ct *a, struct cczi_bfv_noise v,
                     bool is_private);
static inline struct cczi_bfv_noise cczi_bfv_noise_of(const struct ccz_bfv_ct *ct)
{
    return (struct cczi_bfv_noise){ct->sigma, ct->fixed};
}
/* What encoding leaves of a plaintext's earlier life. */
void cczi_bfv_pt_reset(struct ccz_bfv_pt *p);

/* release.c */
void cczi_bfv_drop_deinit(struct cczi_bfv_drop *d);

/* scale.c */
/* round(Q m / t) as residues, coefficient form: out[limbs][n]. @ct */
void cczi_bfv_scale_up(uint64_t *out, struct ccz_bfv_eval *e, const uint64_t *m, size_t limbs);
/* Coefficients nearest to 0 as residues of prime @p i. @ct */
void cczi_bfv_centred(uint64_t *out, const struct ccz_bfv *c, const uint64_t *m, size_t i);
/* round(t / Q x) mod t; x[limbs][n] in evaluation form, overwritten. @ct */
void cczi_bfv_scale_down(uint64_t *out, struct ccz_bfv_eval *e, uint64_t *x, size_t limbs);
#endif
