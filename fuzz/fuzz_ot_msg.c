/* SPDX-License-Identifier: Apache-2.0 */
/* What a peer of OT, VOLE and the store of OTs sends: the first byte chooses the message, the rest is it. Anything is accepted or refused as the
 * peer's fault; a hello that is accepted says what ours says. */
#include "ot/ext_priv.h"

#include "tape.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { HELLO_SIZE = 72, K = 2, BLOCKS = 3, PAIRS = 4 };

static ccz_rc hello(struct ccz_span in)
{
    uint8_t own[HELLO_SIZE] = "CCZOT\0\0\1";
    own[8] = 1;
    own[9] = CCZI_OT_VOLE;
    own[10] = 4;
    own[17] = 3;
    if (in.size != HELLO_SIZE)
        return CCZ_E_PEER;
    ccz_rc rc = cczi_hello_check(in.ptr, own, NULL);
    own[8] = 0;
    if ((rc == CCZ_OK) != (memcmp(in.ptr, own, HELLO_SIZE - 32) == 0))
        abort();
    return rc;
}

static ccz_rc base_answer(struct ccz_chan *chan, struct cczi_transcript *t)
{
    struct ccz_f128 keys[PAIRS];
    uint8_t secrets[PAIRS][32] = {{1}, {2}, {3}, {4}};
    return cczi_base_ot_recv_finish(keys, secrets, (struct ccz_f128){5, 0}, PAIRS, t, chan, NULL);
}

static ccz_rc base_points(struct ccz_chan *chan, struct cczi_transcript *t)
{
    struct ccz_f128 keys[PAIRS][2];
    return cczi_base_ot_send(keys, PAIRS, t, chan, NULL);
}

static ccz_rc trees(struct ccz_chan *chan, struct cczi_transcript *t)
{
    struct ccz_f128 leaves[(128 / K) << K], keys[128] = {{0}};
    return cczi_trees_recv(leaves, keys, (struct ccz_f128){9, 77}, K, &cczi_ot_portable, t, chan,
                           NULL);
}

static ccz_rc corrections(struct ccz_chan *chan, struct cczi_transcript *t)
{
    static struct cczi_aes keys[(128 / K) << K];
    struct ccz_f128 rows[BLOCKS * 128], comb[BLOCKS];
    struct cczi_soft s = {.kernels = &cczi_ot_portable,
                          .chan = chan,
                          .t = *t,
                          .keys = keys,
                          .delta = {3, 4},
                          .k = K,
                          .sender = true};
    return cczi_soft_send(rows, BLOCKS * 128, comb, BLOCKS, &s, NULL);
}

/* ----------------------------------------------------------------- forms on top of the store */

enum { ITEMS = 11, WIDTH = 3, LOG = 3, BITS = 13, STORED = ITEMS * BITS };

static struct ccz_ot_ext *store(bool sender, struct ccz_chan *chan)
{
    struct ccz_ot_ext *e = calloc(1, sizeof(*e));
    if (!e || cczi_array_init(&e->rows, STORED, NULL) != CCZ_OK)
        abort();
    for (uint64_t i = 0; i < STORED; i++)
        e->rows.at[i] = (struct ccz_f128){i * 77, i};
    e->soft = (struct cczi_soft){.kernels = &cczi_ot_portable, .chan = chan, .delta = {3, 4}};
    e->soft.sender = sender;
    cczi_hash_init(&e->soft.hash, &cczi_ot_portable, (const uint8_t *)"sixteen of bytes");
    e->end = STORED;
    return e;
}

/* Any message of the right size is taken. */
static ccz_rc form(unsigned kind, size_t size, struct ccz_chan *chan)
{
    struct ccz_ot_ext *e = store(kind < 4, chan);
    struct ccz_f128 q[ITEMS];
    const uint64_t in[ITEMS << LOG] = {1, 2, 3};
    uint64_t out[ITEMS * WIDTH] = {0};
    const uint8_t picks[ITEMS] = {7, 3};
    struct ccz_ot_ext_size s = ccz_ot_ext_cot_size(ITEMS);
    ccz_rc rc = CCZ_OK;
    if (kind == 0) {
        rc = ccz_ot_ext_cot_send(q, ITEMS, e, NULL);
    } else if (kind % 3 == 1) {
        s = ccz_ot_ext_n_size(ITEMS, LOG, BITS);
        rc = kind < 4 ? ccz_ot_ext_n64_send(in, ITEMS, LOG, BITS, e, NULL)
                      : ccz_ot_ext_n64_recv(out, picks, ITEMS, LOG, BITS, e, NULL);
    } else if (kind % 3 == 2) {
        s = ccz_ot_ext_ring_size(ITEMS, WIDTH, BITS);
        rc = kind < 4 ? ccz_ot_ext_ring_send(out, in, ITEMS, WIDTH, BITS, e, NULL)
                      : ccz_ot_ext_ring_recv(out, picks, ITEMS, WIDTH, BITS, e, NULL);
    } else {
        s = ccz_ot_ext_mul_size(ITEMS, WIDTH, BITS);
        rc = kind < 4 ? ccz_ot_ext_mul_send(out, in, ITEMS, WIDTH, BITS, e, NULL)
                      : ccz_ot_ext_mul_recv(out, in, ITEMS, WIDTH, BITS, e, NULL);
    }
    if ((rc == CCZ_OK) != (size == (kind < 4 ? s.from_receiver : s.from_sender)))
        abort();
    for (size_t i = 0; i < ITEMS * WIDTH; i++)
        if (out[i] >> BITS)
            abort();
    ccz_ot_ext_free(e);
    return rc;
}

/* -------------------------------------------------------- silent rounds, too short to be safe */

static const struct cczi_silent_shape small = {.lpn = {.n = 200, .noisy = 320, .t = 5, .depth = 6},
                                               .base = 5 * 6 + 128};

static ccz_rc silent(bool sender, struct ccz_chan *chan, const struct cczi_transcript *t)
{
    struct cczi_soft s = {
        .kernels = &cczi_ot_portable, .chan = chan, .t = *t, .delta = {3, 4}, .sender = sender};
    struct ccz_f128 out[200];
    struct cczi_silent m;
    if (cczi_silent_init(&m, &small, NULL) != CCZ_OK)
        abort();
    for (uint64_t i = 0; i < m.base.len; i++)
        m.base.at[i] = (struct ccz_f128){i * 5 / 3, i};
    ccz_rc rc = cczi_silent_round(out, &m, &s, NULL);
    cczi_silent_deinit(&m);
    return rc == CCZ_E_CLOSED ? CCZ_OK : rc; /* the receiver's second message is not there */
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct cczi_transcript t;
    if (size == 0)
        return 0;
    const struct ccz_span in = CCZ_SPAN(data + 1, size - 1);
    struct tape tape = {.rest = ccz_rd_from(in)};
    CCZ_AUTO(ccz_chan) chan = tape_chan(&tape);
    cczi_transcript_start(&t, "fuzz", (struct ccz_span){0});
    ccz_rc rc = CCZ_OK;
    switch (data[0] % 14) {
    case 0:
        rc = hello(in);
        break;
    case 1:
        rc = base_answer(chan, &t);
        break;
    case 2:
        rc = base_points(chan, &t);
        break;
    case 3:
        rc = trees(chan, &t);
        break;
    case 4:
        rc = corrections(chan, &t);
        break;
    case 5:
    case 6:
        rc = silent(data[0] % 14 == 5, chan, &t);
        break;
    default:
        rc = form(data[0] % 14 - 7, in.size, chan);
        break;
    }
    if (rc != CCZ_OK && rc != CCZ_E_PEER)
        abort();
    return 0;
}
