/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZI_MPC_DEAL_H
#define CCZI_MPC_DEAL_H
/*
 * What the dealer and its clients agree on. Messages of a client:
 *   hello     magic (8), role, ring_bits, zeros to 16, session (32); answered with a seed (32)
 *   request   needs as below, one behind the other, at least one; the dealer answers party 1 alone, with c of all blocks
 *   goodbye   an empty message
 * Both requests have to be the same bytes. What a seed's stream is used for: block by block, the client's factors, then (party
 * 0) its share of c. In CROSS needs the owner's factor is a mask u for the fixed operand, the other party's is v.
 */
#include "session.h"

enum {
    CCZI_DEAL_HELLO = 48,
    CCZI_DEAL_SEED = 32,
    CCZI_DEAL_NEED = 32,     /* kind, owner, transposed, zeros, m, k, n */
    CCZI_DEAL_CONV = 11 * 8, /* behind it: batch, h, w, c, kh, kw, o, stride, pad, oh, ow */
    CCZI_DEAL_BLOCK = 8192,  /* elements, words of bits */
    CCZI_DEAL_MESSAGE =
        4 << 20, /* answers are cut into messages behind the block that reaches this size */
    CCZI_DEAL_REQUEST_MAX = 16 << 20, /* bytes */
};
void cczi_deal_hello(uint8_t out[CCZI_DEAL_HELLO], unsigned role, unsigned bits,
                     const uint8_t session[32]);
void cczi_deal_put_need(struct ccz_buf *out, const struct ccz_mpc_need *need);
/* Everything of a request. needs: owned by the caller (free). "mpc:dealer-request" */
ccz_rc cczi_deal_read(struct ccz_mpc_need **needs, size_t *len, struct ccz_span in,
                      struct ccz_err *err);

/* A block: `need` cut down to elements at .. at + need.n. */
struct cczi_deal_block {
    struct ccz_mpc_need need;
    size_t index, at;           /* number of the need; first word in its arrays */
    size_t a_len, b_len, c_len; /* words: of the left factor, the right one, the product */
    size_t c_size;              /* bytes of c in an answer */
};
/* The next block behind b, or the first (index = SIZE_MAX); false: no more. Needs were checked. */
bool cczi_deal_next(struct cczi_deal_block *b, const struct ccz_mpc_need *needs, size_t len,
                    unsigned bits);
/* Whether a party draws the left and the right factor. */
bool cczi_deal_has_a(const struct ccz_mpc_need *need, unsigned role);
bool cczi_deal_has_b(const struct ccz_mpc_need *need, unsigned role);
/* What a seed says of a block; a, b only where the party has them, c only of party 0. */
ccz_rc cczi_deal_expand(uint64_t *a, uint64_t *b, uint64_t *c, const struct cczi_deal_block *block,
                        unsigned role, unsigned bits, struct ccz_stream *s, struct ccz_err *err);
#endif
