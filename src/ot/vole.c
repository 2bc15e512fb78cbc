/* SPDX-License-Identifier: Apache-2.0 */
/* VOLE: short ones are the combined planes of SoftSpokenOT as they are, long ones go through LPN. */
#include "ot_priv.h"

#include <string.h>

static ccz_rc check_len(size_t len, struct ccz_err *err)
{
    if (len == 0 || len > CCZ_VOLE_LEN_MAX)
        return ccz_fail(err, CCZ_E_ARG, "vole:len", (int64_t)len, "length %zu, expected 1 to %zu",
                        len, CCZ_VOLE_LEN_MAX);
    return CCZ_OK;
}

static ccz_rc silent_send(struct ccz_f128 *b, size_t len, struct cczi_soft *s, struct ccz_err *err)
{
    CCZI_AUTO_ARRAY v = {0};
    struct cczi_lpn p = cczi_lpn_for(len);
    uint8_t seed[32];
    ccz_rc rc = cczi_array_init(&v, p.noisy, err);
    if (rc == CCZ_OK)
        rc = cczi_spvole_send(v.at, &p, seed, s, err);
    if (rc == CCZ_OK)
        cczi_code_one(b, v.at, &p, seed, s->kernels);
    return rc;
}

static ccz_rc silent_recv(struct ccz_f128 *a, struct ccz_f128 *c, size_t len, struct cczi_soft *s,
                          struct ccz_err *err)
{
    CCZI_AUTO_ARRAY pairs = {0};
    struct cczi_lpn p = cczi_lpn_for(len);
    uint8_t seed[32];
    ccz_rc rc = cczi_array_init(&pairs, 2 * p.noisy, err);
    if (rc != CCZ_OK)
        return rc;
    struct ccz_f128(*at)[2] = (struct ccz_f128(*)[2])(void *)pairs.at;
    rc = cczi_spvole_recv(at, &p, seed, s, err);
    if (rc == CCZ_OK)
        cczi_code_two(a, c, at, &p, seed, s->kernels);
    return rc;
}

ccz_rc ccz_vole_send(struct ccz_f128 *delta, struct ccz_f128 *b, size_t len, struct ccz_chan *chan,
                     const struct ccz_ot_cfg *cfg, struct ccz_err *err)
{
    struct cczi_soft s = {0};
    memset(delta, 0, sizeof(*delta));
    ccz_rc rc = check_len(len, err);
    if (rc != CCZ_OK)
        return rc;
    rc = cczi_soft_init(&s, true, CCZI_OT_VOLE, len, chan, cfg, err);
    if (rc == CCZ_OK)
        rc = len < CCZ_VOLE_SILENT_LEN ? cczi_soft_send(NULL, 0, b, len, &s, err)
                                       : silent_send(b, len, &s, err);
    if (rc == CCZ_OK)
        *delta = s.delta;
    else
        memset(b, 0, len * sizeof(*b));
    cczi_soft_deinit(&s);
    return rc;
}

ccz_rc ccz_vole_recv(struct ccz_f128 *a, struct ccz_f128 *c, size_t len, struct ccz_chan *chan,
                     const struct ccz_ot_cfg *cfg, struct ccz_err *err)
{
    struct cczi_soft s = {0};
    ccz_rc rc = check_len(len, err);
    if (rc != CCZ_OK)
        return rc;
    rc = cczi_soft_init(&s, false, CCZI_OT_VOLE, len, chan, cfg, err);
    if (rc == CCZ_OK && len >= CCZ_VOLE_SILENT_LEN)
        rc = silent_recv(a, c, len, &s, err);
    else if (rc == CCZ_OK && (rc = cczi_random_f128(a, len, s.kernels, err)) == CCZ_OK)
        rc = cczi_soft_recv(NULL, 0, c, a, len, &s, err);
    if (rc != CCZ_OK) {
        memset(a, 0, len * sizeof(*a));
        memset(c, 0, len * sizeof(*c));
    }
    cczi_soft_deinit(&s);
    return rc;
}

uint64_t ccz_vole_size(size_t len, unsigned k)
{
    struct cczi_lpn p = cczi_lpn_for(len);
    k = k ? k : 4;
    return cczi_setup_size(k) +
           (len < CCZ_VOLE_SILENT_LEN ? cczi_soft_size(len, k) : cczi_spvole_size(&p, k));
}
