/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_MPC_HE_H
#define CCZ_MPC_HE_H
/**
 * @file mpc_he.h
 * Correlated randomness from lattice ciphertexts (mpc_source.h): matrix products, convolutions, elementwise products.
 *
 * **Ideal functionality**: that of mpc_source.h, for every need but AND. Realised against a semi-honest party, with
 * computational security of BFV (bfv.h, 128 bits) and statistical security: what the owner of a key gets back is within
 * 2^-56 per result (a ciphertext before packing) of a function of its share alone. Lists of more than 4,096 results take as many bits
 * more as keep them within 2^-44 together. Both as far as that costs no larger degree: it does for sums of very many products with any x,
 * of which each has 2^-48 at worst. Nobody learns more than the list of needs and `max_abs`.
 * **Of a session** the distances add up, and are held to cfg.stat_bits of mpc.h: 2^-40 is reached after 16 large lists, 65,536 results
 * in small ones, or a million and a half elementwise products; "mpc:he-distance" then. ccz_mpc_source_cost() says what a list adds,
 * ccz_mpc_stats() where a session is. Another session counts anew, but on the same values the distances of sessions add up as well: it is
 * for the caller to divide (8 runs over one data set at 43 bits each leave 40).
 *
 * Matrices and convolutions: one party encrypts its uniform operand v in coefficients (Huang et al., Cheetah, USENIX Security
 * 2022), the other multiplies by its own x as polynomials, adds a uniform mask modulo 2^k, floods, switches the modulus
 * down, and packs the useful coefficients of all products of the list (bfv.h). Shares are exactly uniform modulo 2^k. A prepared
 * list shares ciphertexts: needs with the same x are columns of one product, small ones lie side by side.
 * Elementwise: slots modulo primes whose product T exceeds 2^(2 k + 3 + 61); the mask is uniform below 2^(2 k + 1 + 61), so
 * that the sum over the integers hides the product within 2^-61 per element; results are within 2^-52, four for 8192 elements.
 * Both parties then reduce modulo 2^k.
 *
 * Cost. Rounds: 1 for keys, if any are missing; 2 for each wave (one wave but for more than 131,072 elements). Bytes for k = 64
 * (degree 8192): keys, once per direction and kind of product: 177 to 222 KB and 172 KB for a transfer and for each doubling of
 * packing, or 746 KB for elementwise ones; ciphertexts there 177 (|x| <= 2^20) to 222 KB (any x) each, back 172 KB each, with the
 * number of both chosen to be small; elementwise 247 B each in full ciphertexts of 8192. ccz_mpc_source_cost() says how many,
 * exactly. Many products should be prepared as one list. A product with x transposed is best made as v' x, whose need names x
 * itself (mpc.h): ccz_mpc_transpose() makes another tensor.
 */
#include <cczoo/mpc_source.h>

#ifdef __cplusplus
extern "C" {
#endif

/** All-zero: any fixed operand, weights as for a network of 12.5 MB/s. Must be the same at both parties, "mpc:needs-plan". */
struct ccz_mpc_he_cfg {
    /**
     * Bound of |element| of all fixed operands, in two's complement; 0 = 2^(k-1). Public. Smaller bounds make ciphertexts
     * smaller. An operand with a larger element is refused at its owner, who ends the session ("mpc:he-max-abs").
     */
    uint64_t max_abs;
    /** What the choice of tiles weighs bytes against computing with; 0 = 12.5e6. */
    double bytes_per_s;
};
/**
 * For MUL, SQUARE, MATMUL and CROSS; not AND. Does not communicate: keys are sent at the first prepare that needs them.
 * @retval CCZ_E_ARG  "mpc:he-max-abs": above 2^(k-1); "mpc:he-bandwidth"
 * From prepare: CCZ_E_ARG "mpc:he-max-abs" (a fixed operand), CCZ_E_LIMIT "mpc:he-size" (a convolution of which not one output
 * fits into a ciphertext); CCZ_E_FORMAT, CCZ_E_MISMATCH of the readers of bfv.h
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_mpc_source_he_new(struct ccz_mpc_source **out, struct ccz_mpc *m,
                                                  const struct ccz_mpc_he_cfg *cfg,
                                                  struct ccz_err *err);
#ifdef __cplusplus
}
#endif
#endif
