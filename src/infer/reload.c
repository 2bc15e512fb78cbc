/* SPDX-License-Identifier: Apache-2.0 */
/* HandleReloadConfigRequest: the envelope; what is in it is the business of cfg.on_reload. */
#include "infer/infer_priv.h"

#include <cczoo/codec.h>

enum { METRICS_MAX = 256 };

/* Reads which member of ModelServerConfig's oneof {1 model_config_list, 2 custom_model_config} is set last. */
static bool is_list(bool *malformed, struct ccz_span config)
{
    struct ccz_rd r = ccz_rd_from(config);
    struct ccz_pb_field f;
    uint32_t last = 0;
    while (ccz_pb_next(&f, &r))
        if (f.wire == CCZ_PB_LEN && (f.number == 1 || f.number == 2))
            last = f.number;
    *malformed = r.bad;
    return last == 1;
}

struct metrics {
    struct ccz_span name[METRICS_MAX]; /* each once */
    int64_t before[METRICS_MAX];
    size_t len;
};

/* False if there are too many. */
static bool add_metric(struct metrics *m, struct ccz_span name)
{
    for (size_t i = 0; i < m->len; i++)
        if (ccz_span_eq(m->name[i], name))
            return true;
    if (m->len == METRICS_MAX)
        return false;
    m->name[m->len++] = name;
    return true;
}

static int64_t value(const struct ccz_infer_cfg *cfg, struct ccz_span name)
{
    return cfg->metric ? cfg->metric(cfg->arg, name) : 0;
}

/* ReloadConfigRequest {1 config, 2 rep metric_names} */
static ccz_rc parse(struct ccz_span *config, struct metrics *m, struct ccz_run_status *st,
                    struct ccz_span msg)
{
    struct ccz_rd r = ccz_rd_from(msg);
    struct ccz_pb_field f;
    bool malformed, fits = true;
    while (ccz_pb_next(&f, &r)) {
        if (f.number == 1 && f.wire == CCZ_PB_LEN)
            *config = f.bytes;
        else if (f.number == 2 && f.wire == CCZ_PB_LEN)
            fits = fits && add_metric(m, f.bytes);
    }
    const bool list = is_list(&malformed, *config);
    if (r.bad || malformed)
        return cczi_unparsable(st);
    if (!fits)
        return ccz_run_status_set(st, CCZ_RUN_RESOURCE_EXHAUSTED, "more than %d metrics",
                                  METRICS_MAX);
    if (!list)
        return ccz_run_status_set(st, CCZ_RUN_INVALID_ARGUMENT, "%s",
                                  "ServerModelConfig type not supported by "
                                  "HandleReloadConfigRequest. Only ModelConfigList "
                                  "is currently supported");
    return CCZ_OK;
}

ccz_rc cczi_reload_grpc(struct ccz_infer_task *t, struct ccz_buf *out, struct ccz_run_status *st,
                        const struct ccz_infer_call *call)
{
    const struct ccz_infer_cfg *cfg = &t->s->cfg;
    struct ccz_span config = {0};
    struct metrics *m = cczi_scratch_take(&t->scratch, 1, sizeof(*m));
    if (!m)
        return cczi_no_memory(st);
    if (!cfg->on_reload)
        return ccz_run_status_set(st, CCZ_RUN_UNIMPLEMENTED, "%s",
                                  "this server does not take its configuration from requests");
    ccz_rc rc = parse(&config, m, st, call->request);
    if (rc != CCZ_OK)
        return rc;
    for (size_t i = 0; i < m->len; i++)
        m->before[i] = value(cfg, m->name[i]);
    cfg->on_reload(cfg->arg, config, st);
    if (st->code != CCZ_RUN_OK)
        return ccz_run_rc(st->code);
    ccz_pb_put_bytes(out, 1, (struct ccz_span){0}); /* StatusProto of OK */
    for (size_t i = 0; i < m->len; i++) {
        const size_t metric = ccz_pb_open(out, 2);
        ccz_pb_put_bytes(out, 1, m->name[i]);
        ccz_pb_put_uint(out, 2, (uint64_t)(value(cfg, m->name[i]) - m->before[i]));
        ccz_pb_close(out, metric);
    }
    return CCZ_OK;
}
