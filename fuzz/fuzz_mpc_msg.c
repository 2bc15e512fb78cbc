/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a peer, the dealer's clients and the dealer send. Input: a byte that chooses who listens, then messages, each behind its
 * length (2 bytes, little-endian). Anything ends in a result or in a refusal; outputs of a refusal are zero.
 */
#include "mpc/deal.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Both channels of a listener take their messages from the same input. */
static struct ccz_rd rest;

static ccz_rc tape_send(void *self, const struct ccz_span *parts, size_t len, int64_t timeout_ms,
                        struct ccz_err *err)
{
    (void)self;
    (void)parts;
    (void)len;
    (void)timeout_ms;
    (void)err;
    return CCZ_OK;
}

static ccz_rc tape_recv(struct ccz_buf *msg, void *self, int64_t timeout_ms, struct ccz_err *err)
{
    (void)self;
    (void)timeout_ms;
    struct ccz_span m = ccz_rd_take(&rest, ccz_rd_le16(&rest));
    if (rest.bad)
        return ccz_fail(err, CCZ_E_CLOSED, "chan:closed", 0, "the tape is over");
    ccz_buf_put_span(msg, m);
    return CCZ_OK;
}

static void tape_close(void *self, const char *reason)
{
    (void)self;
    (void)reason;
}

static void tape_free(void *self)
{
    (void)self;
}

static struct ccz_chan *tape(void)
{
    static const struct ccz_chan_ops ops = {
        .send = tape_send, .recv = tape_recv, .close = tape_close, .free = tape_free};
    struct ccz_chan *c;
    if (ccz_chan_new(&c, &ops, NULL, "tape", NULL) != CCZ_OK)
        abort();
    return c;
}

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

static void dealer(void)
{
    const struct ccz_mpc_dealer_cfg cfg = {.len_max = 1 << 16};
    CCZ_AUTO(ccz_chan) a = tape();
    CCZ_AUTO(ccz_chan) b = tape();
    (void)!ccz_mpc_dealer_run(a, b, &cfg, NULL);
}

/* A party of that role: hello, products with randomness from a dealer, bits, a reveal. */
static void party(unsigned role)
{
    const struct ccz_mpc_cfg cfg = {.role = role, .ring_bits = 32, .source = CCZ_MPC_SOURCE_DEALER};
    const uint64_t v[6] = {1, 2, 3, 4, 5, 6};
    uint64_t out[3] = {1, 1, 1}, bits = 0;
    CCZ_AUTO(ccz_chan) peer = tape();
    CCZ_AUTO(ccz_chan) far = tape();
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
    rest = ccz_rd_from(CCZ_SPAN(data + 1, size - 1));
    switch (data[0] & 3) {
    case 0:
        party(0);
        break;
    case 1:
        party(1);
        break;
    case 2:
        dealer();
        break;
    default:
        requests(CCZ_SPAN(data + 1, size - 1));
    }
    return 0;
}
