/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZI_OT_HASH_H
#define CCZI_OT_HASH_H
/*
 * The hash of masks, H(x; i) = AES_k(AES_k(x) + i) + AES_k(x), where the key k changes every CCZI_HASH_USES hashes. Whoever
 * knows u masks of one key that it did not choose tests all of them with one call of AES: so many keys, few masks each. Keys
 * are AES of a number under a public master key that comes from the transcript of the session.
 */
#include "kernels.h"

enum { CCZI_HASH_USES = 1024, CCZI_HASH_KEPT = 16 };

struct cczi_hash {
    const struct cczi_ot_kernels *kernels;
    struct cczi_aes master, key[CCZI_HASH_KEPT]; /* those made last */
    uint64_t number[CCZI_HASH_KEPT];
    bool made[CCZI_HASH_KEPT];
};
void cczi_hash_init(struct cczi_hash *h, const struct cczi_ot_kernels *kernels,
                    const uint8_t master[16]);
/* The key of a number; neighbouring numbers are kept side by side. Borrowed, until CCZI_HASH_KEPT others are asked for. */
const struct cczi_aes *cczi_hash_key(struct cczi_hash *h, uint64_t number);
/* out[i] = H(in[i]; tweak + i); in place is fine. Items whose 2^log messages have masks of the same tweak. log: 1 .. 8 */
void cczi_hash_run(struct ccz_f128 *out, const struct ccz_f128 *in, size_t len, uint64_t tweak,
                   unsigned log, struct cczi_hash *h);
#endif
