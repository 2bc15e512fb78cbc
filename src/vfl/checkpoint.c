/* SPDX-License-Identifier: Apache-2.0 */
/* What a state of this training is bound to; the files themselves are those of ckpt.h. */
#include "vfl/vfl_priv.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct cczi_ckpt_kind KIND = {.magic = {'C', 'C', 'Z', 'V', '-', 'c', 'k', 'p'},
                                           .info = "cczoo vfl checkpoint",
                                           .where = "vfl:checkpoint",
                                           .where_config = "vfl:checkpoint-config",
                                           .extra_size_max = 1 << 20,
                                           .state_size_max = CCZ_VFL_STATE_SIZE_MAX};

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

ccz_rc cczi_vfl_ckpt_open(struct cczi_ckpt *c, const struct ccz_vfl_run *run,
                          enum cczi_vfl_role role, struct ccz_err *err)
{
    uint8_t config[32];
    *c = (struct cczi_ckpt){.last = -1};
    if (!run->checkpoint)
        return cczi_ckpt_open(c, &KIND, NULL, BOUND[role], NULL, NULL, err);
    size_t size = strlen(run->checkpoint) + sizeof(".own");
    char *path = malloc(size);
    if (!path)
        return cczi_vfl_no_memory(err);
    (void)snprintf(path, size, "%s%s", run->checkpoint, role == CCZI_VFL_OWN ? ".own" : "");
    ccz_rc rc = belonging(config, run, err);
    if (rc == CCZ_OK)
        rc = cczi_ckpt_open(c, &KIND, path, BOUND[role], run->seal, config, err);
    free(path);
    return rc;
}
