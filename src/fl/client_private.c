/* SPDX-License-Identifier: Apache-2.0 */
/* A member's part of a private round: clip, weigh, round to integers, add noise, mask. All of it while the update is sent. */
#include "fl/privacy.h"

#include <cczoo/codec.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { PIECE = 4096 };

struct cczi_hfl_part {
    struct cczi_hfl_plan plan;
    struct ccz_secagg_client *client;
    struct ccz_dp_rng *rng; /* NULL: no noise */
    const float *update;
    float weight, within; /* the tail */
    uint8_t (*roster)[CCZ_SECAGG_ID_SIZE];
};

static uint64_t bits_of(double v)
{
    uint64_t bits;
    memcpy(&bits, &v, sizeof(bits));
    return bits;
}

void cczi_hfl_plan_put(struct ccz_buf *out, const struct cczi_hfl_plan *p)
{
    const struct ccz_secagg_cfg *c = &p->secagg;
    ccz_buf_le32(out, p->self);
    ccz_buf_le32(out, c->members);
    ccz_buf_le32(out, c->degree);
    ccz_buf_le32(out, c->threshold);
    ccz_buf_le32(out, c->quorum);
    ccz_buf_put(out, c->session, sizeof(c->session));
    ccz_buf_le32(out, p->quant.clients);
    ccz_buf_le64(out, bits_of((double)p->quant.range));
    ccz_buf_le64(out, p->samples_max);
    ccz_buf_le64(out, bits_of(p->clip));
    ccz_buf_le32(out, p->sigma);
    ccz_buf_u8(out, c->attested_server);
    ccz_buf_put_span(out, p->names);
}

ccz_rc cczi_hfl_plan_parse(struct cczi_hfl_plan *out, struct ccz_span in, uint64_t params,
                           uint64_t round, struct ccz_err *err)
{
    struct ccz_rd r = ccz_rd_from(in);
    struct cczi_hfl_plan p = {.secagg = {.len = params + CCZI_HFL_TAIL, .round = round}};
    p.self = ccz_rd_le32(&r);
    p.secagg.members = ccz_rd_le32(&r);
    p.secagg.degree = ccz_rd_le32(&r);
    p.secagg.threshold = ccz_rd_le32(&r);
    p.secagg.quorum = ccz_rd_le32(&r);
    ccz_rd_copy(&r, p.secagg.session, sizeof(p.secagg.session));
    p.quant.clients = ccz_rd_le32(&r);
    p.quant.range = (float)ccz_pb_as_double(ccz_rd_le64(&r));
    p.samples_max = ccz_rd_le64(&r);
    p.clip = ccz_pb_as_double(ccz_rd_le64(&r));
    p.sigma = ccz_rd_le32(&r);
    uint8_t attested = ccz_rd_u8(&r);
    p.secagg.attested_server = attested == 1;
    p.names = ccz_rd_take(&r, r.left);
    bool good = ccz_rd_done(&r) && attested <= 1 && (attested == 0) == (p.names.size > 0) &&
                p.clip >= 0 && isfinite(p.clip) && ccz_secagg_quant_step(&p.quant) > 0 &&
                p.quant.clients >= p.secagg.members && p.sigma <= CCZ_DP_SIGMA_MAX &&
                (p.sigma == 0 || p.clip > 0);
    *out = good ? p : (struct cczi_hfl_plan){0};
    return good ? CCZ_OK
                : ccz_fail(err, CCZ_E_PEER, "fl:plan", (int64_t)in.size,
                           "the plan of a private round makes no sense");
}

static ccz_rc refuse_roster(const char *got, const char *expected, struct ccz_err *err)
{
    return ccz_refuse(err, CCZ_E_POLICY, "fl:plan-roster", got, expected);
}

/* Keys of the members that the plan names, from this member's own roster. */
static ccz_rc take_roster(struct cczi_hfl_part *p, const struct ccz_fl_client_cfg *cfg,
                          struct ccz_err *err)
{
    const struct cczi_hfl_plan *plan = &p->plan;
    struct ccz_rd r = ccz_rd_from(plan->names);
    if (plan->secagg.attested_server || plan->secagg.members > CCZ_SECAGG_MEMBERS_MAX)
        return refuse_roster("keys that the server vouches for", "a plan of roster members", err);
    p->roster = calloc(plan->secagg.members ? plan->secagg.members : 1, sizeof(*p->roster));
    if (!p->roster)
        return cczi_hfl_no_memory(err);
    for (uint32_t i = 0; i < plan->secagg.members; i++) {
        struct ccz_span name = ccz_rd_take(&r, ccz_rd_u8(&r));
        const struct ccz_fl_identity *known =
            cczi_hfl_identity(cfg->roster, cfg->roster_len, (const char *)name.ptr, name.size);
        if (r.bad || name.size == 0 || !known) {
            char shown[96];
            ccz_escape(shown, sizeof(shown), name);
            return refuse_roster(r.bad ? "too few names" : shown, "members of the roster", err);
        }
        if (i == plan->self && strcmp(known->name, cfg->name) != 0)
            return refuse_roster(known->name, cfg->name, err);
        memcpy(p->roster[i], known->xy, sizeof(p->roster[i]));
    }
    return ccz_rd_done(&r) ? CCZ_OK : refuse_roster("more names than members", "one for each", err);
}

ccz_rc cczi_hfl_part_new(struct cczi_hfl_part **out, const struct cczi_hfl_plan *plan,
                         const struct ccz_fl_client_cfg *cfg, struct ccz_err *err)
{
    *out = NULL;
    if (plan->secagg.quorum < cfg->secagg_quorum_min)
        return ccz_refuse_num(err, CCZ_E_POLICY, "fl:plan-quorum", plan->secagg.quorum,
                              cfg->secagg_quorum_min);
    struct cczi_hfl_part *p = calloc(1, sizeof(*p));
    if (!p)
        return cczi_hfl_no_memory(err);
    p->plan = *plan;
    ccz_rc rc = cfg->roster ? take_roster(p, cfg, err) : CCZ_OK;
    p->plan.names = (struct ccz_span){0}; /* borrowed */
    const struct ccz_secagg_client_cfg own = {.round = plan->secagg,
                                              .self = plan->self,
                                              .identity = cfg->roster ? cfg->identity : NULL,
                                              .roster =
                                                  (const uint8_t(*)[CCZ_SECAGG_ID_SIZE])p->roster};
    if (rc == CCZ_OK)
        rc = ccz_secagg_client_new(&p->client, &own, err);
    if (rc == CCZ_OK && plan->sigma)
        rc = ccz_dp_rng_new(&p->rng, NULL, err);
    if (rc == CCZ_OK)
        *out = p;
    else
        cczi_hfl_part_free(p);
    return rc;
}

void cczi_hfl_part_free(struct cczi_hfl_part *p)
{
    if (!p)
        return;
    ccz_secagg_client_free(p->client);
    ccz_dp_rng_free(p->rng);
    free(p->roster);
    free(p);
}

ccz_rc cczi_hfl_part_step(struct ccz_buf *out, struct cczi_hfl_part *p, struct ccz_span in,
                          struct ccz_err *err)
{
    return ccz_secagg_client_step(out, p->client, in, err);
}

bool cczi_hfl_part_ready(const struct cczi_hfl_part *p, uint64_t round)
{
    return p && p->plan.secagg.round == round && ccz_secagg_client_masking(p->client);
}

bool cczi_hfl_part_same(const struct cczi_hfl_part *p, const struct cczi_hfl_plan *plan)
{
    return p && p->plan.secagg.round == plan->secagg.round &&
           memcmp(p->plan.secagg.session, plan->secagg.session, CCZ_SECAGG_SESSION_SIZE) == 0;
}

uint64_t cczi_hfl_part_size(const struct cczi_hfl_part *p)
{
    return p->plan.secagg.len * sizeof(uint32_t);
}

ccz_rc cczi_hfl_part_begin(struct cczi_hfl_part *p, float *update, uint64_t samples,
                           struct ccz_err *err)
{
    size_t len = (size_t)(p->plan.secagg.len - CCZI_HFL_TAIL);
    double norm = 0;
    ccz_rc rc = CCZ_OK;
    if (p->plan.clip > 0)
        rc = ccz_dp_clip(update, &norm, len, p->plan.clip, err);
    p->update = update;
    p->within = p->plan.clip > 0 && norm <= p->plan.clip ? 1 : 0;
    p->weight = p->plan.samples_max ? (float)samples / (float)p->plan.samples_max : 1;
    if (rc == CCZ_OK && !(p->weight <= 1))
        rc = ccz_refuse_num(err, CCZ_E_LIMIT, "fl:update-samples", (int64_t)samples,
                            (int64_t)p->plan.samples_max);
    return rc;
}

/* Elements from .. from + len - 1 as integers, noise included. Noise is not on the tail: numbers of members are no secret here. */
static ccz_rc integers(uint32_t *q, struct cczi_hfl_part *p, uint64_t from, size_t len,
                       struct ccz_err *err)
{
    uint64_t params = p->plan.secagg.len - CCZI_HFL_TAIL;
    size_t n = from >= params ? 0 : params - from < len ? (size_t)(params - from) : len;
    ccz_rc rc = CCZ_OK;
    if (n)
        rc = ccz_secagg_quantize(q, NULL, p->update + from, n, p->weight, &p->plan.quant, err);
    if (rc == CCZ_OK && n && p->rng)
        rc = ccz_dp_add_noise_int(q, p->rng, n, p->plan.sigma, err);
    const float tail[CCZI_HFL_TAIL] = {p->weight, p->within};
    const struct ccz_secagg_quant unit = {1, p->plan.quant.clients};
    for (; rc == CCZ_OK && n < len; n++)
        rc = ccz_secagg_quantize(&q[n], NULL, &tail[from + n - params], 1, 1, &unit, err);
    return rc;
}

ccz_rc cczi_hfl_part_read(uint8_t *out, struct cczi_hfl_part *p, uint64_t at, size_t size,
                          struct ccz_err *err)
{
    uint32_t q[PIECE];
    ccz_rc rc = CCZ_OK;
    for (size_t done = 0; rc == CCZ_OK && done < size;) {
        size_t n = (size - done) / sizeof(*q) < PIECE ? (size - done) / sizeof(*q) : PIECE;
        uint64_t from = (at + done) / sizeof(*q);
        rc = integers(q, p, from, n, err);
        if (rc == CCZ_OK)
            rc = ccz_secagg_client_mask(q, p->client, from, n, err);
        if (rc == CCZ_OK)
            memcpy(out + done, q, n * sizeof(*q));
        done += n * sizeof(*q);
    }
    ccz_wipe(q, sizeof(q));
    return rc;
}
