/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a peer, the dealer's clients and the dealer send. Input: a byte that chooses who listens, then messages, each behind its
 * length (2 bytes, little-endian). Anything ends in a result or in a refusal; outputs of a refusal are zero.
 */
#include "mpc/deal.h"

#include "tape.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Needs that are read can be written, and are the same then. */
static void requests(struct ccz_span in)
{
    struct ccz_mpc_need *needs;
    size_t len;
    CCZ_AUTO_BUF out;
    ccz_buf_init(&out, CCZI_DEAL_REQUEST_MAX);
    if (cczi_deal_read(&needs, &len, in, NULL) != CCZ_OK)
        return;
    for (size_t i = 0; i < len; i++)
        cczi_deal_put_need(&out, &needs[i]);
    if (!ccz_span_eq(ccz_buf_span(&out), in))
        abort();
    free(needs);
}

static void dealer(struct tape *t)
{
    const struct ccz_mpc_dealer_cfg cfg = {.len_max = 1 << 16};
    CCZ_AUTO(ccz_chan) a = tape_chan(t);
    CCZ_AUTO(ccz_chan) b = tape_chan(t);
    (void)!ccz_mpc_dealer_run(a, b, &cfg, NULL);
}

/* A party of that role, both of whose channels are the tape: hello, products with randomness from a dealer, bits, a reveal. */
static void party(unsigned role, struct tape *t)
{
    const struct ccz_mpc_cfg cfg = {.role = role, .ring_bits = 32, .source = CCZ_MPC_SOURCE_DEALER};
    const uint64_t v[6] = {1, 2, 3, 4, 5, 6};
    uint64_t out[3] = {1, 1, 1}, bits = 0;
    CCZ_AUTO(ccz_chan) peer = tape_chan(t);
    CCZ_AUTO(ccz_chan) far = tape_chan(t);
    CCZ_AUTO(ccz_mpc) m = NULL;
    CCZ_AUTO(ccz_mpc_tensor) x = NULL;
    CCZ_AUTO(ccz_mpc_tensor) p = NULL;
    CCZ_AUTO(ccz_mpc_tensor) w = NULL;
    CCZ_AUTO(ccz_mpc_tensor) y = NULL;
    CCZ_AUTO(ccz_mpc_tensor) z = NULL;
    struct ccz_mpc_source *s = NULL;
    ccz_rc rc = ccz_mpc_new(&m, peer, &cfg, NULL);
    if (rc == CCZ_OK)
        rc = ccz_mpc_source_dealer_new(&s, m, far, NULL);
    if (rc == CCZ_OK)
        rc = ccz_mpc_attach(m, s, NULL);
    if (rc == CCZ_OK)
        rc = ccz_mpc_private(&x, m, 0, CCZ_MPC_SHAPE2(1, 2), 0, role == 0 ? v : NULL, NULL);
    if (rc == CCZ_OK)
        rc = ccz_mpc_public(&p, m, CCZ_MPC_SHAPE2(2, 3), 0, v, NULL);
    if (rc == CCZ_OK)
        rc = ccz_mpc_share(&w, p, NULL);
    if (rc == CCZ_OK)
        rc = ccz_mpc_matmul(&y, x, w, NULL);
    if (rc == CCZ_OK)
        rc = ccz_mpc_square(&z, y, NULL);
    if (rc == CCZ_OK)
        rc = cczi_mpc_and_bits(m, &bits, v, v, 9, NULL);
    if (rc == CCZ_OK) {
        rc = ccz_mpc_reveal(out, z, CCZ_MPC_TO_BOTH, "fuzz", NULL);
        if (rc != CCZ_OK && (out[0] | out[1] | out[2]) != 0)
            abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    struct tape t = {.rest = ccz_rd_from(CCZ_SPAN(data + 1, size - 1)), .framed = true};
    switch (data[0] & 3) {
    case 0:
        party(0, &t);
        break;
    case 1:
        party(1, &t);
        break;
    case 2:
        dealer(&t);
        break;
    default:
        requests(CCZ_SPAN(data + 1, size - 1));
    }
    return 0;
}
