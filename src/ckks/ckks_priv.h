/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZI_CKKS_PRIV_H
#define CCZI_CKKS_PRIV_H
/* Objects and checks that the files of ckks share. */
#include <cczoo/ckks.h>
#include <cczoo/num.h>

struct cczi_fft;

struct ccz_ckks {
    struct ccz_rlwe *ring;
    size_t n, data_len;
    struct cczi_fft *fft; /* tables of the encoder */
};

enum { CCZI_CKKS_SPARES = 16 };

struct ccz_ckks_eval {
    const struct ccz_ckks *ctx;
    struct ccz_rlwe_work *work;
    double *slots
        [2]; /* 64-byte aligned, n doubles and the gap of fft_priv.h each: scratch of the encoder */
    int64_t *coeff;                              /* n: scratch of decryption and encoding */
    struct ccz_ckks_ct *spare[CCZI_CKKS_SPARES]; /* scratch.c */
    size_t spare_len;
};

/* Scales agree if their ratio is within this of 1. */
#define CCZI_CKKS_SCALE_TOLERANCE 0x1p-20

bool cczi_ckks_same_scale(double a, double b);
/* log2 of the product of the first `limbs` data primes. */
double cczi_ckks_log2_q(const struct ccz_ckks *c, size_t limbs);
/* "ckks:overflow" unless bound < Q / 2 for that many limbs. */
ccz_rc cczi_ckks_fits(const struct ccz_ckks *c, double bound, size_t limbs, struct ccz_err *err);
/* Scales and noise of ciphertexts stay below, so that what is made of two of them is a number still. */
#define CCZI_CKKS_SCALE_MAX 0x1p1000
/* "ckks:context", "ckks:empty": the ciphertext may be an operand of e. */
ccz_rc cczi_ckks_operand(const struct ccz_ckks_eval *e, const struct ccz_ckks_ct *a,
                         struct ccz_err *err);
/* As above for both, and "ckks:key-id", "ckks:level". */
ccz_rc cczi_ckks_pair(const struct ccz_ckks_eval *e, const struct ccz_ckks_ct *a,
                      const struct ccz_ckks_ct *b, struct ccz_err *err);
/* Residue of the integer x, exact whatever its size. */
uint64_t cczi_ckks_residue(double x, const struct ccz_modulus *m);
/*
 * The output may be written: "ckks:context", memory for @p parts. An output that is no input is empty
 * until cczi_ckks_finish(). Pointers into it are taken after this call.
 */
ccz_rc cczi_ckks_output(struct ccz_ckks_ct *out, const struct ccz_ckks_eval *e,
                        const struct ccz_ckks_ct *a, const struct ccz_ckks_ct *b, size_t parts,
                        struct ccz_err *err);
struct cczi_ckks_meta {
    double scale, bound, noise;
};
/* "ckks:scale" unless the scale is below CCZI_CKKS_SCALE_MAX; then as cczi_ckks_fits(). */
ccz_rc cczi_ckks_result(const struct ccz_ckks *c, const struct cczi_ckks_meta *meta, size_t limbs,
                        struct ccz_err *err);
/* Shape, key and bookkeeping of a result of @p a. */
void cczi_ckks_finish(struct ccz_ckks_ct *out, const struct ccz_ckks_ct *a, size_t parts,
                      size_t limbs, struct cczi_ckks_meta meta);
/* "ckks:scale" */
ccz_rc cczi_ckks_scales(double a, double b, struct ccz_err *err);
/* Canonical-embedding bound (6 standard deviations) of an error with this variance per coefficient. */
double cczi_ckks_canon(const struct ccz_ckks *c, double variance);

/* scratch.c: ciphertexts for results on the way, whose memory stays with the evaluator. */
ccz_rc cczi_ckks_take(struct ccz_ckks_ct **out, struct ccz_ckks_eval *e, struct ccz_err *err);
void cczi_ckks_give(struct ccz_ckks_eval *e, struct ccz_ckks_ct *ct); /* NULL is fine */
void cczi_ckks_spares_free(struct ccz_ckks_eval *e);
/* Swaps the two: what was in the output becomes a spare. "ckks:context" */
ccz_rc cczi_ckks_hand_out(struct ccz_ckks_ct *out, struct ccz_ckks_ct *result, struct ccz_err *err);
#endif
