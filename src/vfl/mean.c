/* SPDX-License-Identifier: Apache-2.0 */
/* States of several workers: which of their bytes are averaged, compared, or each worker's own. Sums in a fixed order. */
#include "vfl/vfl_priv.h"

#include <stdlib.h>
#include <string.h>

static const uint32_t STREAM_STEP = UINT32_C(0x9e3779b9);

static bool good_part(const struct ccz_vfl_part *p)
{
    switch (p->kind) {
    case CCZ_VFL_PART_MEAN:
        return p->size % sizeof(float) == 0;
    case CCZ_VFL_PART_EQUAL:
        return true;
    case CCZ_VFL_PART_OWN:
        return p->size == 0 || p->size >= sizeof(uint32_t);
    }
    return false;
}

ccz_rc cczi_vfl_layout_add(struct cczi_vfl_layout *y,
                           void (*parts)(const struct ccz_vfl_part **out, size_t *len, void *self),
                           void *self, struct ccz_err *err)
{
    const struct ccz_vfl_part *part;
    size_t len;
    if (!parts)
        return ccz_fail(err, CCZ_E_ARG, "vfl:worker-model", 0,
                        "the model does not say which parts of its state can be averaged");
    parts(&part, &len, self);
    if (len > CCZ_VFL_PARTS_MAX)
        return ccz_refuse_num(err, CCZ_E_ARG, "vfl:worker-model", (int64_t)len, CCZ_VFL_PARTS_MAX);
    struct ccz_vfl_part *more = realloc(y->part, (y->len + len + 1) * sizeof(*more));
    if (!more)
        return cczi_vfl_no_memory(err);
    y->part = more;
    for (size_t i = 0; i < len; i++) {
        if (!good_part(&part[i]) || part[i].size > CCZ_VFL_STATE_SIZE_MAX - y->state_size)
            return ccz_fail(err, CCZ_E_ARG, "vfl:worker-model", (int64_t)i,
                            "part %zu of the model's state has %zu bytes", i, part[i].size);
        y->part[y->len++] = part[i];
        y->state_size += part[i].size;
        y->shared_size += part[i].kind == CCZ_VFL_PART_OWN ? 0 : part[i].size;
        y->floats += part[i].kind == CCZ_VFL_PART_MEAN ? part[i].size / sizeof(float) : 0;
    }
    return CCZ_OK;
}

void cczi_vfl_layout_deinit(struct cczi_vfl_layout *y)
{
    free(y->part);
    *y = (struct cczi_vfl_layout){0};
}

ccz_rc cczi_vfl_layout_digest(uint8_t out[32], const struct cczi_vfl_layout *y, struct ccz_err *err)
{
    CCZ_AUTO_BUF b;
    ccz_buf_init(&b, 64 + 2 * (size_t)CCZ_VFL_PARTS_MAX * 16);
    ccz_buf_put_str(&b, "cczoo vfl parts");
    for (size_t i = 0; i < y->len; i++) {
        ccz_buf_le64(&b, y->part[i].kind);
        ccz_buf_le64(&b, y->part[i].size);
    }
    ccz_rc rc = b.bad ? CCZ_E_NOMEM : ccz_sha256(out, ccz_buf_span(&b));
    return rc == CCZ_OK ? rc : ccz_fail(err, rc, "vfl:digest", 0, "cannot hash");
}

ccz_rc cczi_vfl_layout_share(struct ccz_buf *out, const struct cczi_vfl_layout *y,
                             struct ccz_span state, struct ccz_err *err)
{
    const uint8_t *at = state.ptr;
    if (state.size != y->state_size)
        return ccz_hint(err,
                        ccz_refuse_num(err, CCZ_E_INTERNAL, "vfl:worker-model", (int64_t)state.size,
                                       (int64_t)y->state_size),
                        "the model's state has another size than its parts");
    for (size_t i = 0; i < y->len; at += y->part[i].size, i++)
        if (y->part[i].kind != CCZ_VFL_PART_OWN)
            ccz_buf_put(out, at, y->part[i].size);
    return out->bad ? cczi_vfl_no_memory(err) : CCZ_OK;
}

void cczi_vfl_layout_merge(uint8_t *state, const struct cczi_vfl_layout *y, const uint8_t *shared)
{
    for (size_t i = 0; i < y->len; state += y->part[i].size, i++)
        if (y->part[i].kind != CCZ_VFL_PART_OWN && y->part[i].size) {
            memcpy(state, shared, y->part[i].size);
            shared += y->part[i].size;
        }
}

void cczi_vfl_layout_fork(uint8_t *state, const struct cczi_vfl_layout *y, uint32_t worker)
{
    for (size_t i = 0; i < y->len; state += y->part[i].size, i++) {
        if (y->part[i].kind != CCZ_VFL_PART_OWN || y->part[i].size == 0)
            continue;
        uint32_t seed = (uint32_t)state[0] | (uint32_t)state[1] << 8 | (uint32_t)state[2] << 16 |
                        (uint32_t)state[3] << 24;
        seed += worker * STREAM_STEP;
        for (unsigned k = 0; k < 4; k++)
            state[k] = (uint8_t)(seed >> (8 * k));
    }
}

static ccz_rc add(double *sum, const uint8_t *from, size_t len, uint32_t worker,
                  struct ccz_err *err)
{
    for (size_t i = 0; i < len; i++) {
        float v;
        memcpy(&v, from + i * sizeof(v), sizeof(v));
        if (!isfinite(v))
            return ccz_hint(err,
                            ccz_fail(err, CCZ_E_PEER, "vfl:finite", (int64_t)worker + 1,
                                     "the model of worker %u is not finite", worker + 1),
                            "the training diverges: a smaller learning rate, scaled columns");
        sum[i] += (double)v;
    }
    return CCZ_OK;
}

ccz_rc cczi_vfl_layout_sum(double *sum, const struct cczi_vfl_layout *y, const uint8_t *first,
                           const uint8_t *shared, uint32_t worker, struct ccz_err *err)
{
    ccz_rc rc = CCZ_OK;
    size_t at = 0;
    for (size_t i = 0; rc == CCZ_OK && i < y->len; i++) {
        size_t size = y->part[i].kind == CCZ_VFL_PART_OWN ? 0 : y->part[i].size;
        if (y->part[i].kind == CCZ_VFL_PART_MEAN) {
            rc = add(sum, shared + at, size / sizeof(float), worker, err);
            sum += size / sizeof(float);
        } else if (size && memcmp(first + at, shared + at, size) != 0) {
            rc =
                ccz_hint(err,
                         ccz_fail(err, CCZ_E_MISMATCH, "vfl:worker-state", (int64_t)i,
                                  "part %zu of the state of worker %u is not that of worker 1", i,
                                  worker + 1),
                         "only float32 can be averaged; random generators are exported as g000 ..");
        }
        at += size;
    }
    return rc;
}

void cczi_vfl_layout_mean(uint8_t *shared, const struct cczi_vfl_layout *y, const double *sum,
                          uint32_t workers)
{
    for (size_t i = 0; i < y->len; i++) {
        if (y->part[i].kind == CCZ_VFL_PART_OWN)
            continue;
        size_t floats = y->part[i].kind == CCZ_VFL_PART_MEAN ? y->part[i].size / sizeof(float) : 0;
        for (size_t k = 0; k < floats; k++) {
            float v = (float)(*sum++ / workers);
            memcpy(shared + k * sizeof(v), &v, sizeof(v));
        }
        shared += y->part[i].size;
    }
}
