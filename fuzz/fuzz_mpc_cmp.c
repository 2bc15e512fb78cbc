/* SPDX-License-Identifier: Apache-2.0 */
/* What a peer of the comparison family sends: the first bytes choose party, protocol, length and width, the rest is what comes, then
 * zeros. Everything of the right size is accepted (the bits are masked), and nothing may be read or written outside. */
#include "mpc/cmp_op.h"
#include "mpc/cmp_stub.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { N_MAX = 150, WORDS = 3 };

static ccz_rc run(struct cczi_op *o, unsigned what, size_t n, unsigned bits)
{
    uint64_t v[N_MAX], out[N_MAX], row[WORDS], row2[WORDS];
    const struct cczi_and both = {.a = row, .b = row, .b2 = row2, .z = row, .z2 = row2};
    const unsigned s = 1 + bits % (o->k - 2);
    memset(v, 0x11, sizeof(v));
    memset(row, 0x22, sizeof(row));
    memset(row2, 0x44, sizeof(row2));
    switch (what % 6) {
    case 0:
        return cczi_cmp_less(row, bits > 1 ? row2 : NULL, v, n, bits, bits > 1 ? bits / 2 : 0,
                             &o->c, NULL);
    case 1:
        return cczi_cmp_equal(row, v, n, bits, &o->c, NULL);
    case 2:
        return cczi_cmp_and(&o->c, &both, 1, n, NULL);
    case 3:
        return cczi_op_mux(out, v, row, v, v, n, o, NULL);
    case 4:
        return cczi_op_truncate(out, v, n, s, CCZ_MPC_RANGE_ANY, true, o, NULL);
    default:
        return cczi_op_truncate(out, v, n, s, CCZ_MPC_RANGE_HALF, false, o, NULL);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const unsigned rings[] = {8, 16, 32, 64};
    struct ccz_rd r = ccz_rd_from(CCZ_SPAN(data, size));
    const unsigned first = ccz_rd_u8(&r), what = ccz_rd_u8(&r);
    const size_t n = 1 + ccz_rd_u8(&r) % N_MAX;
    const unsigned k = rings[first >> 1 & 3], bits = 1 + ccz_rd_u8(&r) % k;
    struct cczi_op o = {.party = first & 1, .k = k, .mask = UINT64_MAX >> (64 - k)};
    if (r.bad)
        return 0;
    if (stub_init(&o.c, &r, o.party, NULL) != CCZ_OK || run(&o, what, n, bits) != CCZ_OK)
        __builtin_trap();
    cczi_op_deinit(&o);
    return 0;
}
