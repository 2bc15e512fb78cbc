/* SPDX-License-Identifier: Apache-2.0 */
/* Which key a mask is made with. */
#include "hash.h"

#include <string.h>

void cczi_hash_init(struct cczi_hash *h, const struct cczi_ot_kernels *kernels,
                    const uint8_t master[16])
{
    memset(h, 0, sizeof(*h));
    h->kernels = kernels;
    kernels->aes_key(&h->master, master);
}

const struct cczi_aes *cczi_hash_key(struct cczi_hash *h, uint64_t number)
{
    const size_t at = number % CCZI_HASH_KEPT;
    if (h->made[at] && h->number[at] == number)
        return &h->key[at];
    struct ccz_f128 block;
    uint8_t key[16];
    h->kernels->ctr(&block, 1, number, &h->master);
    memcpy(key, &block, sizeof(key));
    h->kernels->aes_key(&h->key[at], key);
    h->number[at] = number;
    h->made[at] = true;
    return &h->key[at];
}

/* Items of another log, whose tweaks lie between, have keys of their own. */
static uint64_t number_of(uint64_t tweak, uint64_t items, unsigned log)
{
    return (uint64_t)log << 56 | tweak / items;
}

void cczi_hash_run(struct ccz_f128 *out, const struct ccz_f128 *in, size_t len, uint64_t tweak,
                   unsigned log, struct cczi_hash *h)
{
    const uint64_t items = CCZI_HASH_USES >> log;
    for (size_t i = 0; i < len;) {
        const uint64_t at = tweak + i, left = items - at % items;
        const size_t n = len - i < left ? len - i : (size_t)left;
        h->kernels->hash(out + i, in + i, n, at, cczi_hash_key(h, number_of(at, items, log)));
        i += n;
    }
}
