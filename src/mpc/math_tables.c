/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The constants of approximations, integers so that both parties have the same bits. math_guard.splines and
 * math.chebyshev hold them to the error that mpc_math.h states.
 */
#include "math_priv.h"

/*
 * Sigmoid for x > 0: each piece ends at `to` (in 2^-24), begins at height y and has slope b (in 2^-30), all rounded down. With the least
 * error E for their number, the first piece goes through (0, 1/2), every piece touches sigmoid + E at both ends and
 * sigmoid - E in between, and the last one ends at 1.
 */
struct piece {
    uint32_t to, b, y;
};
static const struct piece pieces_3[] = {{47375867, 190122094, 536870912}};
static const struct piece pieces_5[] = {{27731626, 231687256, 536870912},
                                        {67698784, 64606413, 919834601}};
static const struct piece pieces_7[] = {{20859671, 245698545, 536870912},
                                        {42079614, 126123914, 842356095},
                                        {80123183, 31691718, 1001878524}};
static const struct piece pieces_15[] = {
    {11768241, 260536140, 536870912}, {21009833, 212836494, 719621872},
    {30017206, 158256826, 836861109}, {40001548, 106082986, 921826235},
    {52365360, 61397649, 984957617},  {70223980, 27494202, 1030204036},
    {107034048, 6504588, 1059470424}};
static const struct piece pieces_31[] = {
    {7087969, 265489123, 536870912},  {12267245, 246914042, 649033665},
    {16783742, 223638897, 725258239}, {21068440, 198290973, 785462762},
    {25315670, 172221972, 836103881}, {29656350, 146346758, 879702670},
    {34206189, 121353756, 917566193}, {39090043, 97788422, 950476299},
    {44463849, 76094206, 978942549},  {50545638, 56635403, 1003315812},
    {57672801, 39711031, 1023846307}, {66429025, 25563759, 1040716032},
    {77986874, 14385883, 1054058055}, {95354242, 6323464, 1063968512},
    {131937682, 1480096, 1070514409}};

/* Piece j of `half` on the positive side, and its mirror image: 1 - f(-x). */
static void mirrored(struct cczi_pieces *p, const struct piece *half, unsigned len)
{
    const unsigned f = p->frac, wide = f + p->shift;
    const uint64_t one = (uint64_t)1 << wide, round = p->shift ? one >> (f + 1) : 0;
    p->steps = 2 * len;
    for (unsigned j = 0; j < len; j++) {
        uint64_t from = j > 0 ? cczi_const(half[j - 1].to, 24, f) : 0;
        uint64_t b = cczi_const(half[j].b, 30, p->shift),
                 a = cczi_const(half[j].y, 30, wide) - b * from;
        p->at[len + j] = cczi_const(half[j].to, 24, f);
        p->at[len - 1 - j] = 0 - p->at[len + j];
        p->a[len - 1 + j] = a + round;
        p->b[len - 1 + j] = p->b[len - 1 - j] = b;
        if (j > 0)
            p->a[len - 1 - j] = one - a + round;
    }
}

static ccz_rc spline(struct cczi_pieces *p, const struct ccz_mpc_sigmoid_cfg *cfg, unsigned k,
                     struct ccz_err *err)
{
    const unsigned pieces = cfg->pieces ? cfg->pieces : 7;
    if (p->frac > k - 8)
        return ccz_refuse_num(err, CCZ_E_ARG, "mpc:frac", p->frac, (int64_t)k - 8);
    p->shift = k - 2 - p->frac < 16 ? k - 2 - p->frac : 16;
    switch (pieces) {
    case 3:
        mirrored(p, pieces_3, 1);
        return CCZ_OK;
    case 5:
        mirrored(p, pieces_5, 2);
        return CCZ_OK;
    case 7:
        mirrored(p, pieces_7, 3);
        return CCZ_OK;
    case 15:
        mirrored(p, pieces_15, 7);
        return CCZ_OK;
    case 31:
        mirrored(p, pieces_31, 15);
        return CCZ_OK;
    default:
        (void)ccz_refuse_num(err, CCZ_E_ARG, "mpc:pieces", pieces, 7);
        return ccz_hint(err, CCZ_E_ARG, "3, 5, 7, 15 or 31 pieces");
    }
}

static ccz_rc three(struct cczi_pieces *p, unsigned k, struct ccz_err *err)
{
    if (p->frac < 1 || p->frac > k - 2)
        return ccz_refuse_num(err, CCZ_E_ARG, "mpc:frac", p->frac, (int64_t)k - 2);
    p->steps = 2;
    p->a[0] = p->at[1] = (uint64_t)1 << (p->frac - 1);
    p->at[0] = 0 - p->at[1];
    p->b[0] = 1;
    return CCZ_OK;
}

ccz_rc cczi_pieces_init(struct cczi_pieces *p, const struct ccz_mpc_sigmoid_cfg *cfg, unsigned k,
                        unsigned frac, struct ccz_err *err)
{
    ccz_rc rc = cczi_math_ring(k, 8, err);
    if (rc != CCZ_OK)
        return rc;
    *p = (struct cczi_pieces){.frac = frac, .bits = k - 1};
    if (cfg->range > 0 && cfg->range < 3)
        return ccz_refuse_num(err, CCZ_E_ARG, "mpc:range", cfg->range, 3);
    if (cfg->range > 0 && cfg->range < k && frac < k && cfg->range + frac + 1 < k - 1)
        p->bits = cfg->range + frac + 1;
    if (cfg->kind == CCZ_MPC_SIGMOID_3)
        return three(p, k, err);
    if (cfg->kind == CCZ_MPC_SIGMOID_SPLINE)
        return spline(p, cfg, k, err);
    return ccz_refuse_num(err, CCZ_E_ARG, "mpc:sigmoid", (int64_t)cfg->kind,
                          CCZ_MPC_SIGMOID_CHEBYSHEV);
}

ccz_rc cczi_tanh_sigmoid(struct ccz_mpc_sigmoid_cfg *out, const struct ccz_mpc_sigmoid_cfg *cfg,
                         struct ccz_err *err)
{
    if (cfg->kind == CCZ_MPC_SIGMOID_3)
        return ccz_refuse_num(err, CCZ_E_ARG, "mpc:sigmoid", CCZ_MPC_SIGMOID_3,
                              CCZ_MPC_SIGMOID_SPLINE);
    *out = *cfg;
    if (cfg->range >= 3) /* what is smaller is refused as it is */
        out->range++;
    return CCZ_OK;
}

/* Least error on [-8, 8] with coefficients of 6 bits. */
ccz_rc cczi_cheb_init(struct cczi_cheb *p, const struct ccz_mpc_sigmoid_cfg *cfg, unsigned k,
                      unsigned frac, struct ccz_err *err)
{
    static const struct cczi_cheb forms[] = {{.terms = 2, .c = {79, -52}},
                                             {.terms = 3, .c = {101, -158, 91}},
                                             {.terms = 4, .c = {113, -280, 364, -166}}};
    const unsigned degree = cfg->degree ? cfg->degree : 5;
    ccz_rc rc = cczi_math_ring(k, 32, err);
    if (rc != CCZ_OK)
        return rc;
    if (degree != 3 && degree != 5 && degree != 7) {
        (void)ccz_refuse_num(err, CCZ_E_ARG, "mpc:degree", degree, 5);
        return ccz_hint(err, CCZ_E_ARG, "degree 3, 5 or 7");
    }
    *p = forms[(degree - 3) / 2];
    p->frac = frac;
    p->work = k == 64
                  ? 24
                  : 10; /* values below 8 at twice this and 6 bits are in a quarter of the ring */
    if (frac > p->work)
        return ccz_refuse_num(err, CCZ_E_ARG, "mpc:frac", frac, p->work);
    return CCZ_OK;
}
