/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZI_OT_PRIV_H
#define CCZI_OT_PRIV_H
#include "hash.h"

enum { CCZI_OT_DELTA_BITS = 128, CCZI_OT_K_MAX = 8 };

/* ------------------------------------------------------------------------------- transcript */

/* Everything both sides have seen, as a chain of SHA-256. An error of the hash is sticky: `rc`. */
struct cczi_transcript {
    uint8_t state[32];
    ccz_rc rc;
};
void cczi_transcript_start(struct cczi_transcript *t, const char *label, struct ccz_span session);
void cczi_transcript_put(struct cczi_transcript *t, const char *label, struct ccz_span data);
/* The sticky error, "ot:hash": asked before anything is sent or the peer is blamed. */
ccz_rc cczi_transcript_check(const struct cczi_transcript *t, struct ccz_err *err);
/* Puts and sends. */
ccz_rc cczi_transcript_send(struct cczi_transcript *t, const char *label, struct ccz_span data,
                            struct ccz_chan *chan, struct ccz_err *err);
/* 32 bytes that depend on everything put so far. */
void cczi_transcript_draw(uint8_t out[32], struct cczi_transcript *t, const char *label);
/* The same of everything put so far and a secret. */
void cczi_transcript_tag(uint8_t out[32], struct cczi_transcript *t, const char *label,
                         struct ccz_f128 secret);
/* Outcome of a check, constant time but for it. */
bool cczi_same(const void *a, const void *b, size_t size);
struct ccz_f128 cczi_transcript_draw_f128(struct cczi_transcript *t, const char *label);

/* Many public AES keys from one, so that no two levels of no two trees share a permutation. */
struct cczi_keyring {
    const struct cczi_ot_kernels *kernels;
    struct cczi_aes master;
};
void cczi_keyring_init(struct cczi_keyring *r, const struct cczi_ot_kernels *kernels,
                       struct cczi_transcript *t, const char *label);
void cczi_keyring_get(struct cczi_aes *aes, const struct cczi_keyring *r, uint64_t index);

/* Random elements from OpenSSL's generator, stretched by AES. */
ccz_rc cczi_random_f128(struct ccz_f128 *out, size_t len, const struct cczi_ot_kernels *kernels,
                        struct ccz_err *err);

/* Memory for len elements: zeroed, on large pages if it is large; freed memory goes back to the system, or is wiped. */
struct cczi_array {
    struct ccz_f128 *at;
    size_t len;
};
ccz_rc cczi_array_init(struct cczi_array *a, size_t len, struct ccz_err *err);
void cczi_array_deinit(struct cczi_array *a);
#define CCZI_AUTO_ARRAY __attribute__((cleanup(cczi_array_deinit))) struct cczi_array

/* ------------------------------------------------------------------------------- base OT */

/* Receiver: bit i of choices; gets one key of each pair. Sender: both. Keys are random. */
ccz_rc cczi_base_ot_recv_send(uint8_t (*secrets)[32], struct ccz_f128 choices, size_t len,
                              struct cczi_transcript *t, struct ccz_chan *chan,
                              struct ccz_err *err);
ccz_rc cczi_base_ot_recv_finish(struct ccz_f128 *keys, uint8_t (*secrets)[32],
                                struct ccz_f128 choices, size_t len, struct cczi_transcript *t,
                                struct ccz_chan *chan, struct ccz_err *err);
ccz_rc cczi_base_ot_send(struct ccz_f128 (*keys)[2], size_t len, struct cczi_transcript *t,
                         struct ccz_chan *chan, struct ccz_err *err);

/* ----------------------------------------------------------------------- puncturable PRF */

/* Trees of depth k over `groups` groups of k base OTs. The owner gets all leaves, group by group; the other side all but
 * leaf number Delta_j of group j, which is zero. What was sent is checked, "ot:tree-check". */
ccz_rc cczi_trees_send(struct ccz_f128 *leaves, struct ccz_f128 (*keys)[2], unsigned k,
                       const struct cczi_ot_kernels *kernels, struct cczi_transcript *t,
                       struct ccz_chan *chan, struct ccz_err *err);
ccz_rc cczi_trees_recv(struct ccz_f128 *leaves, const struct ccz_f128 *keys, struct ccz_f128 delta,
                       unsigned k, const struct cczi_ot_kernels *kernels, struct cczi_transcript *t,
                       struct ccz_chan *chan, struct ccz_err *err);
/* Sums of the elements of even and of odd index. */
void cczi_side_sums(struct ccz_f128 sums[2], const struct ccz_f128 *a, size_t len);

/* --------------------------------------------------------------------------- SoftSpokenOT */

/* A subspace VOLE over GF(2) with the repetition code: who owns the trees (the receiver of OTs) brings w, and for each of
 * the 128 planes i: v_i = q_i + delta_i w. */
struct cczi_soft {
    const struct cczi_ot_kernels *kernels;
    struct ccz_chan *chan;
    struct cczi_transcript t;
    struct cczi_hash hash; /* of random OTs */
    struct cczi_aes *keys; /* [128 / k][2^k]; the sender's in order of leaf number + Delta_j */
    struct ccz_f128 delta; /* sender */
    unsigned k;
    bool sender;
    bool odd;      /* delta is odd; rows get the choice as their lowest bit, the sender's 0 */
    uint64_t at;   /* blocks of each stream that are used up */
    uint64_t ots;  /* random OTs so far */
    ccz_rc broken; /* a call failed: a peer that may try again learns k bits of delta each time */
};
enum cczi_ot_kind {
    CCZI_OT_EXTENSION = 1,
    CCZI_OT_VOLE = 2,
    CCZI_OT_STORE = 3,
    CCZI_OT_SILENT_STORE = 4
};
ccz_rc cczi_soft_init(struct cczi_soft *s, bool sender, enum cczi_ot_kind kind, size_t len,
                      struct ccz_chan *chan, const struct ccz_ot_cfg *cfg, struct ccz_err *err);
void cczi_soft_deinit(struct cczi_soft *s);

enum { CCZI_SOFT_BLOCKS_MAX = 8192 }; /* of 128 bits, in one message */
/*
 * One message and its check, "ot:consistency".
 * rows     row_len rows of 128 planes: v_n = q_n + w_n delta for the first row_len bits of w
 * comb     [blocks]: the planes of a block weighted with x^i: comb_v = comb_q + delta w, in GF(2^128)
 * w        [blocks]: the receiver's
 */
ccz_rc cczi_soft_send(struct ccz_f128 *rows, size_t row_len, struct ccz_f128 *comb, size_t blocks,
                      struct cczi_soft *s, struct ccz_err *err);
ccz_rc cczi_soft_recv(struct ccz_f128 *rows, size_t row_len, struct ccz_f128 *comb,
                      const struct ccz_f128 *w, size_t blocks, struct cczi_soft *s,
                      struct ccz_err *err);

/* Bytes of such a message, and of the set-up in both directions. */
uint64_t cczi_soft_size(uint64_t blocks, unsigned k);
uint64_t cczi_setup_size(unsigned k);
/* Whether the peer's first message fits our own, "ot:hello". */
ccz_rc cczi_hello_check(const uint8_t peer[72], const uint8_t own[72], struct ccz_err *err);

/* ------------------------------------------------------------------------------ code, trees */

/* Noise and code for outputs of a length; docs/design/ot.md derives the numbers. */
struct cczi_lpn {
    size_t n;       /* outputs */
    size_t noisy;   /* t 2^depth, at least 2 n: length of the noise vector */
    size_t t;       /* trees: each has one noise position */
    unsigned depth; /* of a tree */
};
struct cczi_lpn cczi_lpn_for(size_t n);

/* Noise vector to outputs: out = H in. in is overwritten. The code is that of the seed, which is public. */
void cczi_code_one(struct ccz_f128 *out, struct ccz_f128 *in, const struct cczi_lpn *p,
                   const uint8_t seed[32], const struct cczi_ot_kernels *kernels);
/* The same of two vectors, in[i][0] and in[i][1]. */
void cczi_code_two(struct ccz_f128 *out0, struct ccz_f128 *out1, struct ccz_f128 (*in)[2],
                   const struct cczi_lpn *p, const uint8_t seed[32],
                   const struct cczi_ot_kernels *kernels);

/* ---------------------------------------------------------------------- trees of silent VOLE */

/* Shares of the noise vector times delta: w = v + e delta. `soft` has had nothing sent through it. Checked, "vole:check". */
ccz_rc cczi_spvole_send(struct ccz_f128 *v, const struct cczi_lpn *p, uint8_t code_seed[32],
                        struct cczi_soft *s, struct ccz_err *err);
/* out[i] = {e_i, w_i} */
ccz_rc cczi_spvole_recv(struct ccz_f128 (*out)[2], const struct cczi_lpn *p, uint8_t code_seed[32],
                        struct cczi_soft *s, struct ccz_err *err);
/* Messages of the sender's trees and the answer of both, in bytes. */
uint64_t cczi_spvole_size(const struct cczi_lpn *p, unsigned k);
#endif
