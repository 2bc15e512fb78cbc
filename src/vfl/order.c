/* SPDX-License-Identifier: Apache-2.0 */
/* Which rows a step has: a function of seed, epoch and number of rows, the same at all parties. */
#include "vfl/vfl_priv.h"

#include <cczoo/dataset.h>
#include <stdlib.h>
#include <string.h>

enum { AVERAGE_STEPS = 16 };

ccz_rc cczi_vfl_plan_init(struct cczi_vfl_plan *p, const struct ccz_vfl_cfg *cfg, uint32_t worker,
                          size_t rows, struct ccz_err *err)
{
    *p = (struct cczi_vfl_plan){.rows = rows,
                                .batch = cfg->batch,
                                .workers = cczi_vfl_workers(cfg),
                                .worker = worker,
                                .seed = cfg->seed};
    if (rows < p->workers)
        return ccz_hint(
            err, ccz_refuse_num(err, CCZ_E_ARG, "vfl:workers", (int64_t)rows, (int64_t)p->workers),
            "each worker needs a row");
    size_t all = p->workers * cfg->batch; /* rows of a step */
    p->per_epoch = rows / all + (rows % all >= p->workers);
    p->steps = p->per_epoch * cfg->epochs;
    p->checkpoint_steps = cfg->checkpoint_steps;
    if (p->workers > 1)
        p->average_steps = cfg->average_steps ? cfg->average_steps : AVERAGE_STEPS;
    memcpy(p->alignment, cfg->alignment, sizeof(p->alignment));
    p->order = calloc(rows, sizeof(*p->order));
    return p->order ? CCZ_OK : cczi_vfl_no_memory(err);
}

void cczi_vfl_plan_deinit(struct cczi_vfl_plan *p)
{
    free(p->order);
    p->order = NULL;
}

uint64_t cczi_vfl_epoch_of(const struct cczi_vfl_plan *p, uint64_t step)
{
    return (step + p->per_epoch - 1) / p->per_epoch;
}

static uint64_t earlier(uint64_t end, uint64_t step_before, uint32_t every)
{
    if (every == 0)
        return end;
    uint64_t next = (step_before / every + 1) * every;
    return next < end ? next : end;
}

uint64_t cczi_vfl_segment_end(const struct cczi_vfl_plan *p, uint64_t step_before)
{
    uint64_t end = cczi_vfl_epoch_of(p, step_before + 1) * p->per_epoch;
    end = earlier(end, step_before, p->checkpoint_steps);
    return earlier(end, step_before, p->average_steps);
}

bool cczi_vfl_stores(const struct cczi_vfl_plan *p, uint64_t step)
{
    return step % p->per_epoch == 0 || (p->checkpoint_steps && step % p->checkpoint_steps == 0);
}

const size_t *cczi_vfl_rows_of(size_t *len, struct cczi_vfl_plan *p, uint64_t step)
{
    uint64_t epoch = cczi_vfl_epoch_of(p, step);
    if (p->epoch != epoch) {
        ccz_dataset_order(p->order, p->rows, p->seed, epoch);
        p->epoch = epoch;
    }
    size_t all = p->workers * p->batch;
    size_t first = (size_t)(step - 1 - (epoch - 1) * p->per_epoch) * all;
    size_t rows = p->rows - first < all ? p->rows - first : all;
    size_t begin = rows * p->worker / p->workers, end = rows * (p->worker + 1) / p->workers;
    *len = end - begin;
    return p->order + first + begin;
}

ccz_rc cczi_vfl_batch_digest(uint8_t out[CCZI_VFL_BATCH_DIGEST_SIZE],
                             const uint8_t alignment[CCZ_VFL_DIGEST_SIZE], uint64_t step,
                             const size_t *rows, size_t len, struct ccz_err *err)
{
    CCZ_AUTO_BUF b;
    uint8_t digest[32];
    ccz_buf_init(&b, 64 + (size_t)8 * CCZ_VFL_BATCH_MAX);
    ccz_buf_put_str(&b, "cczoo vfl batch");
    ccz_buf_put(&b, alignment, CCZ_VFL_DIGEST_SIZE);
    ccz_buf_le64(&b, step);
    for (size_t i = 0; i < len; i++)
        ccz_buf_le64(&b, rows[i]);
    if (b.bad)
        return cczi_vfl_no_memory(err);
    ccz_rc rc = ccz_sha256(digest, ccz_buf_span(&b));
    if (rc != CCZ_OK)
        return ccz_fail(err, rc, "vfl:digest", 0, "cannot hash");
    memcpy(out, digest, CCZI_VFL_BATCH_DIGEST_SIZE);
    return CCZ_OK;
}

ccz_rc ccz_vfl_alignment(uint8_t out[CCZ_VFL_DIGEST_SIZE], const struct ccz_span *ids, size_t len,
                         struct ccz_err *err)
{
    CCZ_AUTO(ccz_hasher) h = NULL;
    memset(out, 0, CCZ_VFL_DIGEST_SIZE);
    ccz_rc rc = ccz_hasher_new(&h, CCZ_SHA256);
    if (rc == CCZ_OK)
        rc = ccz_hasher_put(h, ccz_span_str("cczoo vfl alignment"));
    for (size_t i = 0; rc == CCZ_OK && i < len; i++) {
        uint8_t size[8];
        for (unsigned k = 0; k < 8; k++)
            size[k] = (uint8_t)((uint64_t)ids[i].size >> (8 * k));
        rc = ccz_hasher_put(h, CCZ_SPAN(size, sizeof(size)));
        if (rc == CCZ_OK)
            rc = ccz_hasher_put(h, ids[i]);
    }
    if (rc == CCZ_OK)
        rc = ccz_hasher_done(out, h);
    return rc == CCZ_OK ? rc : ccz_fail(err, rc, "vfl:digest", 0, "cannot hash");
}
