/* SPDX-License-Identifier: Apache-2.0 */
/* Oblivious transfer in both directions, set up when it is first used; in planning sessions counted alone. */
#include "session.h"

#include <string.h>

struct ccz_ot_ext_cfg cczi_mpc_ot_cfg(const struct ccz_mpc *m)
{
    return (struct ccz_ot_ext_cfg){.ot.k = m->cfg.ot_k,
                                   .engine = m->cfg.ot == CCZ_MPC_OT_SILENT ? CCZ_OT_SILENT
                                                                            : CCZ_OT_SOFTSPOKEN};
}

/* Both directions of a session are sessions of their own. */
static ccz_rc setup(struct ccz_mpc *m, unsigned sender, struct ccz_err *err)
{
    struct ccz_ot_ext_cfg cfg = cczi_mpc_ot_cfg(m);
    const uint8_t direction = (uint8_t)sender;
    struct ccz_span parts[3] = {ccz_span_str("cczoo mpc, transfers"),
                                CCZ_SPAN(m->session, sizeof(m->session)), CCZ_SPAN(&direction, 1)};
    if (ccz_hash(cfg.ot.session, CCZ_SHA256, parts, 3) != CCZ_OK)
        return ccz_fail(err, CCZ_E_INTERNAL, "mpc:hash", 0, "hashing failed");
    return ccz_ot_ext_new(&m->ot[sender], m->cfg.role == sender, m->chan, &cfg, err);
}

enum { SETUP_ROUNDS = 4 }; /* hello; points there and back; trees */

static ccz_rc ready(struct ccz_mpc *m, unsigned sender, struct ccz_err *err)
{
    if (m->ot[sender] || m->ot_planned[sender])
        return CCZ_OK;
    enum ccz_mpc_phase before = cczi_mpc_phase(m, CCZ_MPC_SETUP);
    ccz_rc rc = CCZ_OK;
    if (cczi_mpc_planning(m)) {
        struct ccz_ot_ext_cfg cfg = cczi_mpc_ot_cfg(m);
        cczi_mpc_ot_count(m, sender, ccz_ot_ext_setup_size(&cfg), SETUP_ROUNDS);
        m->ot_planned[sender] = true;
    } else {
        rc = setup(m, sender, err);
        cczi_mpc_count_rounds(m, SETUP_ROUNDS);
    }
    (void)cczi_mpc_phase(m, before);
    return rc;
}

ccz_rc cczi_mpc_ot_fill(struct ccz_mpc *m, unsigned sender, size_t len, struct ccz_err *err)
{
    ccz_rc rc = ready(m, sender, err);
    if (rc != CCZ_OK || cczi_mpc_planning(m) || ccz_ot_ext_stored(m->ot[sender]) >= len)
        return rc;
    enum ccz_mpc_phase before = cczi_mpc_phase(m, CCZ_MPC_OFFLINE);
    rc = ccz_ot_ext_prepare(m->ot[sender], len, err);
    cczi_mpc_count_rounds(m, 1);
    (void)cczi_mpc_phase(m, before);
    return rc;
}

ccz_rc cczi_mpc_ot(struct ccz_ot_ext **out, struct ccz_mpc *m, unsigned sender, size_t len,
                   struct ccz_err *err)
{
    ccz_rc rc = cczi_mpc_ot_fill(m, sender, len, err);
    if (m->phase == CCZ_MPC_ONLINE) /* those of a source are its own affair */
        m->ots[sender] += len;
    *out = m->ot[sender];
    return rc;
}

void cczi_mpc_ot_count(struct ccz_mpc *m, unsigned sender, struct ccz_ot_ext_size size,
                       uint64_t rounds)
{
    bool sends = m->cfg.role == sender;
    uint64_t sent = sends ? size.from_sender : size.from_receiver;
    uint64_t received = sends ? size.from_receiver : size.from_sender;
    cczi_mpc_count_plan(m, sent, sent > 0, received, received > 0);
    cczi_mpc_count_rounds(m, rounds);
}

ccz_rc cczi_mpc_rot(struct ccz_mpc *m, unsigned sender, struct ccz_f128 *out, uint8_t *choices,
                    size_t len, struct ccz_err *err)
{
    struct ccz_ot_ext *e;
    ccz_rc rc = cczi_mpc_ot(&e, m, sender, len, err);
    if (rc != CCZ_OK)
        return rc;
    if (!e) {
        memset(out, 0, (m->cfg.role == sender ? 2 : 1) * len * sizeof(*out));
        if (choices)
            memset(choices, 0, (len + 7) / 8);
        return CCZ_OK;
    }
    return m->cfg.role == sender ? ccz_ot_ext_rot_send(out, len, e, err)
                                 : ccz_ot_ext_rot_recv(out, choices, len, e, err);
}

static ccz_rc begin_n(struct ccz_ot_ext **e, struct ccz_mpc *m, unsigned sender, size_t len,
                      unsigned log, unsigned bits, struct ccz_err *err)
{
    ccz_rc rc = cczi_mpc_ot(e, m, sender, len * log, err);
    if (rc == CCZ_OK)
        cczi_mpc_ot_count(m, sender, ccz_ot_ext_n_size(len, log, bits), 2);
    return rc;
}

ccz_rc cczi_mpc_ot_n8(struct ccz_mpc *m, unsigned sender, uint8_t *out, const uint8_t *msgs,
                      const uint8_t *choice, size_t len, unsigned log, unsigned bits,
                      struct ccz_err *err)
{
    struct ccz_ot_ext *e;
    ccz_rc rc = begin_n(&e, m, sender, len, log, bits, err);
    if (rc != CCZ_OK)
        return rc;
    if (!e) {
        if (m->cfg.role != sender)
            memset(out, 0, len);
        return CCZ_OK;
    }
    return m->cfg.role == sender ? ccz_ot_ext_n8_send(msgs, len, log, bits, e, err)
                                 : ccz_ot_ext_n8_recv(out, choice, len, log, bits, e, err);
}

ccz_rc cczi_mpc_ot_n64(struct ccz_mpc *m, unsigned sender, uint64_t *out, const uint64_t *msgs,
                       const uint8_t *choice, size_t len, unsigned log, unsigned bits,
                       struct ccz_err *err)
{
    struct ccz_ot_ext *e;
    ccz_rc rc = begin_n(&e, m, sender, len, log, bits, err);
    if (rc != CCZ_OK)
        return rc;
    if (!e) {
        if (m->cfg.role != sender)
            memset(out, 0, len * sizeof(*out));
        return CCZ_OK;
    }
    return m->cfg.role == sender ? ccz_ot_ext_n64_send(msgs, len, log, bits, e, err)
                                 : ccz_ot_ext_n64_recv(out, choice, len, log, bits, e, err);
}

/* -r modulo 2^bits */
static void negate(uint64_t *r, size_t len, unsigned bits)
{
    uint64_t mask = UINT64_MAX >> (64 - bits);
    for (size_t i = 0; i < len; i++)
        r[i] = (0 - r[i]) & mask;
}

ccz_rc cczi_mpc_cot_sum(struct ccz_mpc *m, unsigned sender, uint64_t *out, const uint64_t *f,
                        const uint8_t *x, size_t len, size_t width, unsigned bits,
                        struct ccz_err *err)
{
    struct ccz_ot_ext *e;
    ccz_rc rc = cczi_mpc_ot(&e, m, sender, len, err);
    if (rc != CCZ_OK)
        return rc;
    cczi_mpc_ot_count(m, sender, ccz_ot_ext_ring_size(len, width, bits), 2);
    if (!e) {
        memset(out, 0, len * width * sizeof(*out));
        return CCZ_OK;
    }
    if (m->cfg.role != sender)
        return ccz_ot_ext_ring_recv(out, x, len, width, bits, e, err);
    rc = ccz_ot_ext_ring_send(out, f, len, width, bits, e, err);
    if (rc == CCZ_OK)
        negate(out, len * width, bits);
    return rc;
}
