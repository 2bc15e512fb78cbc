/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_DP_H
#define CCZ_DP_H
/**
 * @file dp.h
 * Differential privacy of sums of vectors: clipping, Gaussian noise, adaptive clipping, and the accountant that says which
 * (epsilon, delta) a run of noisy sums comes to.
 *
 * Terms. A mechanism is (epsilon, delta)-private if for any two *neighbouring* inputs the chance of no outcome differs by
 * more than a factor e^epsilon, up to delta. Here one input is one client with all its data (client-level privacy).
 * *Sensitivity*: how far the sum moves, in L2 norm, between neighbours. The *noise multiplier* z is the standard deviation
 * of the noise divided by the sensitivity. Which neighbours: ADD_OR_REMOVE (a client is there or not; sensitivity = clip)
 * with POISSON and ALL; REPLACE_ONE (a client has other data; sensitivity = 2 clip) with FIXED.
 *
 * Floating point. The textbook sampler gives noise whose low bits depend on the value it is added to, and so give the
 * value away (Mironov 2012). Here values are rounded to a grid of sigma / 2^20, and the noise is a discrete Gaussian in
 * whole steps of the grid, sampled exactly, with integers only (Karney 2016): what comes out is a function of one
 * integer, value + noise, whose privacy is that of the discrete Gaussian (Canonne, Kamath, Steinke 2020), which is not
 * weaker than that of the continuous one. What rounding adds to the sensitivity is added to sigma. The time of sampling
 * varies with the noise drawn: docs/design/dp.md.
 *
 * Threads: objects are independent, one is used by one thread at a time. No global state.
 * Reading order of the sources: clip.c, gauss.c, adaptive.c, rdp.c, accountant.c.
 */
#include <cczoo/base.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ------------------------------------------------------------------------------------ clipping */

/** L2 norm, accumulated in double; infinite or NaN if a value is. */
CCZ_API double ccz_dp_norm(const float *x, size_t len);
/**
 * x *= min(1, clip / |x|), shrunk by up to 2^-20 more so that the norm after rounding is not above @p clip.
 * @param[out] norm  before clipping; NULL = not wanted
 * @retval CCZ_E_FORMAT  dp:not-finite: @p x is untouched
 * @retval CCZ_E_ARG     dp:clip: not a positive, finite number
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_dp_clip(float *x, double *norm, size_t len, double clip,
                                        struct ccz_err *err);

/* --------------------------------------------------------------------------------------- noise */

/** Source of noise: AES-256-CTR with a key from the system's generator. */
struct ccz_dp_rng;
#define CCZ_DP_SEED_SIZE 32
/**
 * @param seed_insecure  NULL; or CCZ_DP_SEED_SIZE bytes for reproducible tests and simulations: who knows them removes the noise
 * @retval CCZ_E_NOMEM, CCZ_E_INTERNAL  dp:rng
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_dp_rng_new(struct ccz_dp_rng **out, const uint8_t *seed_insecure,
                                           struct ccz_err *err);
CCZ_API void ccz_dp_rng_free(struct ccz_dp_rng *g); /**< wipes; NULL is fine */
CCZ_DEFINE_AUTO(ccz_dp_rng)

#define CCZ_DP_SIGMA_MAX ((uint32_t)1 << 30)
/**
 * Discrete Gaussians: P(k) proportional to exp(-k^2 / (2 sigma^2)) on all integers, exactly.
 * @range sigma 1 .. CCZ_DP_SIGMA_MAX; |k| < 64 sigma
 * @retval CCZ_E_ARG       dp:sigma
 * @retval CCZ_E_INTERNAL  dp:rng: the generator failed; @p out is zeroed
 * @source Karney, "Sampling exactly from the normal distribution", ACM TOMS 42 (2016), algorithm D
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_dp_discrete_gauss(int64_t *out, struct ccz_dp_rng *g, size_t len,
                                                  uint32_t sigma, struct ccz_err *err);

/** Noise on one vector of real numbers. */
struct ccz_dp_gauss {
    double sensitivity; /**< of the whole vector, L2; > 0 */
    double multiplier;  /**< z; > 0 */
    uint64_t len;       /**< of the whole vector, which may be handed over in pieces */
};
/** Standard deviation that is added: z (sensitivity + what rounding adds); 0 if @p cfg is not valid. */
CCZ_API double ccz_dp_gauss_sigma(const struct ccz_dp_gauss *cfg);
/**
 * x = step (round(x / step) + noise), step = sigma / 2^20.
 * @param len  of this piece
 * @retval CCZ_E_ARG     dp:gauss: a parameter is out of range (z sqrt(len) 2^-20 must be below 1/2)
 * @retval CCZ_E_FORMAT  dp:not-finite; dp:range: a value above 2^44 steps. Both leave @p x untouched
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_dp_add_noise(float *x, struct ccz_dp_rng *g, size_t len,
                                             const struct ccz_dp_gauss *cfg, struct ccz_err *err);

/** Noise that many clients add together to integers modulo 2^32 (secure aggregation): each its part. */
struct ccz_dp_shared {
    double sensitivity; /**< of the real vector, L2: clip, or 2 clip */
    double multiplier;  /**< z of the sum */
    double step;        /**< one real step of the integers */
    uint64_t len;       /**< of the vector */
    uint32_t
        contributors; /**< clients whose noise is in the sum for certain, honest ones only: their number, less those that
                                may vanish or lie */
};
/**
 * Standard deviation, in steps, of what each client adds: z (sensitivity / step + sqrt(len)) / sqrt(contributors), rounded
 * up. The sum of these is at least as private as one Gaussian of multiplier z, up to a term that 8 <= sigma makes
 * less than 10 contributors exp(-600) (Kairouz, Liu, Steinke 2021, theorem 1).
 * @retval CCZ_E_ARG  dp:shared: a parameter is out of range, or sigma below 8: take a smaller step; or above
 *                    CCZ_DP_SIGMA_MAX: take a larger one
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_dp_shared_sigma(uint32_t *sigma, const struct ccz_dp_shared *cfg,
                                                struct ccz_err *err);
/** q += noise modulo 2^32. What runs over does so in the sum as well, where it harms accuracy and not privacy.
 *  @retval as ccz_dp_discrete_gauss() */
CCZ_API CCZ_MUST_USE ccz_rc ccz_dp_add_noise_int(uint32_t *q, struct ccz_dp_rng *g, size_t len,
                                                 uint32_t sigma, struct ccz_err *err);

/* --------------------------------------------------------------------------- adaptive clipping */

/**
 * A clip that follows a quantile of the clients' norms (Andrew, Thakkar, McMahan, Ramaswamy 2021). Each client says with
 * one bit whether its norm was at most `clip`; the noisy fraction moves `clip`. The bits cost privacy, too: the noise
 * on the vectors is larger, so that both together have the multiplier z.
 */
struct ccz_dp_adaptive {
    double clip;     /**< of the next round; at the start a guess, e.g. 0.1 */
    double quantile; /**< to be met, in (0, 1); 0.5 = the median */
    double rate;     /**< of the logarithm, e.g. 0.2 */
    double
        count_sigma; /**< standard deviation of the noise on the number of bits; about a 20th of the clients of a round */
    double clip_min, clip_max; /**< `clip` stays inside; both 0 = no bounds */
};
/**
 * Multiplier for the vectors such that vectors and bits together have @p multiplier: (z^-2 - (2 count_sigma)^-2)^(-1/2).
 * @retval CCZ_E_ARG  dp:adaptive: 2 count_sigma <= z, or a field out of range
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_dp_adaptive_multiplier(double *out, double multiplier,
                                                       const struct ccz_dp_adaptive *a,
                                                       struct ccz_err *err);
/**
 * clip *= exp(-rate (fraction - quantile)), the fraction with noise.
 * @param below  number of clients whose norm was at most `clip`
 * @param of     clients of the round (their number may not depend on who is there: with POISSON the expected one)
 * @param[out] fraction  noisy, as used; NULL = not wanted
 * @retval CCZ_E_ARG  dp:adaptive
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_dp_adaptive_update(struct ccz_dp_adaptive *a, double *fraction,
                                                   struct ccz_dp_rng *g, double below, double of,
                                                   struct ccz_err *err);

/* ---------------------------------------------------------------------------------- accountant */

enum ccz_dp_sampling {
    CCZ_DP_ALL,     /**< every client in every round */
    CCZ_DP_POISSON, /**< each client for itself, with probability `rate` */
    CCZ_DP_FIXED /**< a fixed number of clients without replacement, `rate` = their fraction; REPLACE_ONE */
};
/** `steps` noisy sums over samples of the clients. */
struct ccz_dp_event {
    enum ccz_dp_sampling sampling;
    double rate;       /**< in (0, 1]; ignored with ALL */
    double multiplier; /**< z; 0 = no noise: epsilon is infinite */
    uint64_t steps;
};

#define CCZ_DP_ORDERS 156
/**
 * Renyi differential privacy spent so far, at fixed orders. Zeroed = nothing spent. Holds nothing but numbers: may be
 * copied. Spending only grows.
 */
struct ccz_dp_accountant {
    double rdp[CCZ_DP_ORDERS];
};
/** The order of rdp[i]: 1.1 .. 10.9 in steps of 0.1, 11 .. 63, 128, 256, 512, 1024; 0 if there is no such i. */
CCZ_API double ccz_dp_order(size_t i);
/**
 * RDP of one step at one order.
 * @param order  > 1
 * @retval CCZ_E_ARG  dp:event, dp:order
 * @source Mironov, Talwar, Zhang 2019 (POISSON, section 3.3); Wang, Balle, Kasiviswanathan 2019, theorem 27 (FIXED)
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_dp_rdp(double *out, const struct ccz_dp_event *event, double order,
                                       struct ccz_err *err);
/** @retval CCZ_E_ARG  dp:event: nothing is added */
CCZ_API CCZ_MUST_USE ccz_rc ccz_dp_spend(struct ccz_dp_accountant *a,
                                         const struct ccz_dp_event *event, struct ccz_err *err);
/**
 * Smallest epsilon for @p delta over all orders: rdp + log(1 - 1/order) - log(delta order) / (order - 1). Infinite if there is
 * none.
 * @param[out] order  at which it is reached; NULL = not wanted
 * @retval CCZ_E_ARG  dp:delta: not in (0, 1)
 * @source Canonne, Kamath, Steinke 2020, proposition 12; Balle et al. 2020, theorem 21
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_dp_epsilon(double *epsilon, double *order,
                                           const struct ccz_dp_accountant *a, double delta,
                                           struct ccz_err *err);
/** Smallest delta for @p epsilon >= 0. @retval CCZ_E_ARG dp:epsilon */
CCZ_API CCZ_MUST_USE ccz_rc ccz_dp_delta(double *delta, double *order,
                                         const struct ccz_dp_accountant *a, double epsilon,
                                         struct ccz_err *err);
/**
 * Smallest multiplier (to 10^-5, rounded up) with which @p event comes to at most @p epsilon on top of what @p spent has.
 * @param event  its multiplier is ignored
 * @param spent  NULL = nothing
 * @retval CCZ_E_ARG    dp:epsilon, dp:delta, dp:event
 * @retval CCZ_E_LIMIT  dp:calibrate: not with any multiplier up to 10^6
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_dp_calibrate(double *multiplier, const struct ccz_dp_event *event,
                                             const struct ccz_dp_accountant *spent, double epsilon,
                                             double delta, struct ccz_err *err);

#ifdef __cplusplus
}
#endif
#endif
