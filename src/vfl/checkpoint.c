/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A state: "CCZV-ckp", version 1, role, 6 bytes 0, digest of configuration, alignment and schema (32), step (8), size of what
 * belongs to the role (8), size of the model's state (8), both. The file is a protected file (pf.h) bound to the role, under
 * HKDF(seal). Two files take turns, each appears by rename: one whole state is always there.
 */
#define _DEFAULT_SOURCE
#include "vfl/vfl_priv.h"

#include <cczoo/pf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static const uint8_t MAGIC[8] = {'C', 'C', 'Z', 'V', '-', 'c', 'k', 'p'};
enum {
    VERSION = 1,
    SEAL_SIZE = 32,
    HEAD_SIZE = 8 + 1 + 1 + 6 + 32 + 8 + 8 + 8,
    EXTRA_MAX = 1 << 20
};

static const char *const BOUND[] = {[CCZI_VFL_LEADER] = "vfl/leader",
                                    [CCZI_VFL_FOLLOWER] = "vfl/follower",
                                    [CCZI_VFL_OWN] = "vfl/leader-own"};

ccz_rc cczi_vfl_config_digest(uint8_t out[32], const struct ccz_vfl_cfg *cfg, struct ccz_err *err)
{
    CCZ_AUTO_BUF b;
    ccz_buf_init(&b, 256);
    ccz_buf_put_str(&b, "cczoo vfl config 1");
    ccz_buf_le32(&b, cfg->epochs);
    ccz_buf_le32(&b, cfg->batch);
    ccz_buf_le32(&b, cfg->eval_batch);
    ccz_buf_le32(&b, cfg->staleness);
    ccz_buf_le32(&b, cfg->checkpoint_steps);
    ccz_buf_le64(&b, cfg->seed);
    if (cczi_vfl_workers(cfg) > 1) {
        ccz_buf_le32(&b, cfg->workers);
        ccz_buf_le32(&b, cfg->average_steps);
    }
    ccz_rc rc = b.bad ? CCZ_E_NOMEM : ccz_sha256(out, ccz_buf_span(&b));
    return rc == CCZ_OK ? rc : ccz_fail(err, rc, "vfl:digest", 0, "cannot hash");
}

/* What a state belongs to: it must not be taken into another training. */
static ccz_rc belonging(uint8_t out[32], const struct ccz_vfl_run *run, struct ccz_err *err)
{
    const struct ccz_vfl_cfg *cfg = run->cfg;
    uint8_t config[32], worker = (uint8_t)cczi_vfl_worker(run);
    ccz_rc rc = cczi_vfl_config_digest(config, cfg, err);
    if (rc != CCZ_OK)
        return rc;
    const struct ccz_span parts[] = {
        CCZ_SPAN(config, sizeof(config)), CCZ_SPAN(cfg->alignment, sizeof(cfg->alignment)),
        CCZ_SPAN(cfg->schema, sizeof(cfg->schema)), CCZ_SPAN(&worker, run->team ? 1 : 0)};
    rc = ccz_hash(out, CCZ_SHA256, parts, 4);
    return rc == CCZ_OK ? rc : ccz_fail(err, rc, "vfl:digest", 0, "cannot hash");
}

struct head {
    uint64_t step, extra_size, model_size;
};

static ccz_rc parse_head(struct head *h, struct ccz_span in, const struct cczi_vfl_ckpt *c,
                         const char *path, struct ccz_err *err)
{
    struct ccz_rd r = ccz_rd_from(in);
    uint8_t config[32];
    bool good = ccz_span_eq(ccz_rd_take(&r, sizeof(MAGIC)), CCZ_SPAN(MAGIC, sizeof(MAGIC)));
    good &= ccz_rd_u8(&r) == VERSION;
    (void)ccz_rd_u8(&r); /* the role, which the bound path has shown */
    good &= ccz_rd_le16(&r) == 0;
    good &= ccz_rd_le32(&r) == 0;
    ccz_rd_copy(&r, config, sizeof(config));
    h->step = ccz_rd_le64(&r);
    h->extra_size = ccz_rd_le64(&r);
    h->model_size = ccz_rd_le64(&r);
    good &= h->extra_size <= EXTRA_MAX && h->model_size <= CCZ_VFL_STATE_SIZE_MAX &&
            r.left == h->extra_size + h->model_size;
    if (!good || r.bad)
        return ccz_fail(err, CCZ_E_FORMAT, "vfl:checkpoint", (int64_t)in.size,
                        "%.120s holds no state", path);
    if (memcmp(config, c->config, sizeof(config)) != 0)
        return ccz_hint(err,
                        ccz_refuse_bytes(err, CCZ_E_MISMATCH, "vfl:checkpoint-config", config, 32,
                                         c->config, 32),
                        "the state is of a training with other settings, rows or models");
    return CCZ_OK;
}

/* The whole plaintext, verified. */
static ccz_rc read_state(struct ccz_buf *out, const struct cczi_vfl_ckpt *c, size_t which,
                         struct ccz_err *err)
{
    const struct ccz_pf_cfg pf = {.path = c->bound};
    ccz_buf_init(out, HEAD_SIZE + EXTRA_MAX + CCZ_VFL_STATE_SIZE_MAX);
    out->wipe = true;
    return ccz_pf_decrypt_to_buf(out, c->path[which], c->key, &pf, err);
}

static ccz_rc look(struct cczi_vfl_ckpt *c, size_t which, struct ccz_err *err)
{
    struct stat st;
    struct head h;
    CCZ_AUTO_BUF b = {0};
    if (lstat(c->path[which], &st) != 0)
        return CCZ_OK;
    ccz_rc rc = read_state(&b, c, which, err);
    if (rc == CCZ_OK)
        rc = parse_head(&h, ccz_buf_span(&b), c, c->path[which], err);
    if (rc == CCZ_OK) {
        c->have[which] = true;
        c->step[which] = h.step;
    }
    return rc;
}

static ccz_rc derive_key(struct cczi_vfl_ckpt *c, const struct ccz_secret *seal,
                         struct ccz_err *err)
{
    uint8_t key[CCZ_PF_KEY_SIZE];
    ccz_rc rc =
        ccz_hkdf(key, sizeof(key), CCZ_SHA256, CCZ_SPAN(NULL, 0),
                 CCZ_SPAN(ccz_secret_view(seal), SEAL_SIZE), ccz_span_str("cczoo vfl checkpoint"));
    if (rc == CCZ_OK)
        rc = ccz_secret_from(&c->key, key, sizeof(key));
    ccz_wipe(key, sizeof(key));
    return rc == CCZ_OK ? rc : ccz_fail(err, rc, "vfl:checkpoint", 0, "no key");
}

ccz_rc cczi_vfl_ckpt_open(struct cczi_vfl_ckpt *c, const struct ccz_vfl_run *run,
                          enum cczi_vfl_role role, struct ccz_err *err)
{
    *c = (struct cczi_vfl_ckpt){.last = -1, .bound = BOUND[role]};
    if (!run->checkpoint)
        return CCZ_OK;
    ccz_rc rc = belonging(c->config, run, err);
    if (rc == CCZ_OK)
        rc = derive_key(c, run->seal, err);
    for (size_t i = 0; rc == CCZ_OK && i < CCZI_VFL_KEPT; i++) {
        size_t size = strlen(run->checkpoint) + 16;
        c->path[i] = malloc(size);
        if (!c->path[i])
            return cczi_vfl_no_memory(err);
        (void)snprintf(c->path[i], size, "%s%s.%zu", run->checkpoint,
                       role == CCZI_VFL_OWN ? ".own" : "", i);
        rc = look(c, i, err);
    }
    return rc;
}

void cczi_vfl_ckpt_close(struct cczi_vfl_ckpt *c)
{
    for (size_t i = 0; i < CCZI_VFL_KEPT; i++)
        free(c->path[i]);
    ccz_secret_free(c->key);
    *c = (struct cczi_vfl_ckpt){0};
}

static void put_head(struct ccz_buf *out, const struct cczi_vfl_ckpt *c, uint64_t step,
                     struct ccz_span extra, struct ccz_span model)
{
    ccz_buf_put(out, MAGIC, sizeof(MAGIC));
    ccz_buf_u8(out, VERSION);
    ccz_buf_u8(out, 0);
    ccz_buf_le16(out, 0);
    ccz_buf_le32(out, 0);
    ccz_buf_put(out, c->config, sizeof(c->config));
    ccz_buf_le64(out, step);
    ccz_buf_le64(out, extra.size);
    ccz_buf_le64(out, model.size);
    ccz_buf_put_span(out, extra);
}

ccz_rc cczi_vfl_ckpt_save(struct cczi_vfl_ckpt *c, uint64_t step, struct ccz_span extra,
                          struct ccz_span model, struct ccz_err *err)
{
    if (!c->path[0])
        return CCZ_OK;
    int which = c->last < 0 ? 0 : 1 - c->last;
    struct ccz_newfile f;
    CCZ_AUTO_BUF head;
    CCZ_AUTO(ccz_pf_writer) w = NULL;
    const struct ccz_pf_cfg pf = {.path = c->bound};
    ccz_buf_init(&head, HEAD_SIZE + EXTRA_MAX);
    head.wipe = true;
    put_head(&head, c, step, extra, model);
    if (head.bad)
        return cczi_vfl_no_memory(err);
    ccz_rc rc = ccz_newfile_open(&f, c->path[which], 0600, err);
    if (rc != CCZ_OK)
        return rc;
    const struct ccz_pf_io io = ccz_pf_io_fd(&f.fd);
    rc = ccz_pf_writer_new(&w, &io, head.size + model.size, c->key, &pf, err);
    if (rc == CCZ_OK)
        rc = ccz_pf_writer_put(w, ccz_buf_span(&head), err);
    if (rc == CCZ_OK)
        rc = ccz_pf_writer_put(w, model, err);
    if (rc == CCZ_OK)
        rc = ccz_pf_writer_finish(w, err);
    if (rc == CCZ_OK)
        rc = ccz_newfile_commit(&f, CCZ_FILE_REPLACE, err);
    ccz_newfile_abort(&f);
    if (rc == CCZ_OK) {
        c->last = which;
        c->have[which] = true;
        c->step[which] = step;
    }
    return rc;
}

ccz_rc cczi_vfl_ckpt_load(struct ccz_buf *model, void *extra, size_t extra_size,
                          struct cczi_vfl_ckpt *c, uint64_t step, struct ccz_err *err)
{
    int which = -1;
    for (int i = 0; i < CCZI_VFL_KEPT; i++)
        if (c->have[i] && c->step[i] == step)
            which = i;
    if (which < 0)
        return ccz_fail(err, CCZ_E_NOT_FOUND, "vfl:checkpoint", (int64_t)step,
                        "no state of step %llu", (unsigned long long)step);
    CCZ_AUTO_BUF b = {0};
    struct head h;
    ccz_rc rc = read_state(&b, c, (size_t)which, err);
    if (rc == CCZ_OK)
        rc = parse_head(&h, ccz_buf_span(&b), c, c->path[which], err);
    if (rc == CCZ_OK && (h.step != step || h.extra_size != extra_size))
        rc = ccz_fail(err, CCZ_E_FORMAT, "vfl:checkpoint", (int64_t)h.step,
                      "the state changed while it was in use");
    if (rc != CCZ_OK)
        return rc;
    if (extra_size)
        memcpy(extra, b.ptr + HEAD_SIZE, extra_size);
    ccz_buf_put(model, b.ptr + HEAD_SIZE + extra_size, (size_t)h.model_size);
    c->last = which;
    return model->bad ? cczi_vfl_no_memory(err) : CCZ_OK;
}
