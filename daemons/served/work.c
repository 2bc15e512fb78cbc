/* SPDX-License-Identifier: Apache-2.0 */
/* What is between transports and models: the registry's hooks, the scheduler with its workers, what is measured. */
#include "served.h"

#include <string.h>

static ccz_rc new_sched(struct served_work *w, const struct served_opts *o, struct ccz_err *err)
{
    const struct served_tfs *t = &o->tfs;
    struct ccz_sched_cfg cfg = {
        .workers = (unsigned)o->threads,
        .model_jobs_max = (size_t)o->queue,
        .jobs_max = (size_t)o->queue_all,
        .inline_max_us = o->inline_us,
        .run_ms_max = (uint32_t)(o->run_limit_s * 1000),
        .on_batch = ccz_serve_metrics_batch,
        .arg = w->metrics,
    };
    cfg.batching = t->batching_params;
    cfg.batching.on = t->batching; /* also without a file */
    return ccz_sched_new(&w->sched, &cfg, err);
}

ccz_rc served_work_open(struct served_work *w, const struct served_opts *o, struct ccz_err *err)
{
    ccz_rc rc = ccz_infer_new(&w->models, err);
    if (rc == CCZ_OK)
        rc = ccz_serve_metrics_new(&w->metrics, err);
    if (rc == CCZ_OK)
        rc = new_sched(w, o, err);
    if (rc != CCZ_OK)
        return rc;
    w->monitoring = o->tfs.monitoring;
    const struct ccz_sched_infer_cfg cfg = {
        .infer = w->models, .sched = w->sched, .metrics = w->metrics};
    return ccz_sched_infer_new(&w->infer, &cfg, err);
}

void served_work_configure(struct served_work *w, const struct served_opts *o,
                           struct ccz_catalog *catalog)
{
    const bool reload = catalog && (o->reload_by_clients || o->reload_by_anybody);
    w->hooks = (struct served_hooks){.metrics = w->metrics, .catalog = catalog};
    ccz_infer_configure(w->models, &(struct ccz_infer_cfg){
                                       .version = CCZ_VERSION,
                                       .input_size_max = (size_t)o->input_mb << 20,
                                       .tensor_content = o->tfs.tensor_content,
                                       .method_name_check = o->tfs.method_name_check,
                                       .cors = o->tfs.cors,
                                       .on_reload = reload ? served_on_reload : NULL,
                                       .metric = served_on_metric,
                                       .on_done = served_on_done,
                                       .arg = &w->hooks,
                                   });
}

void served_on_reload(void *arg, struct ccz_span config, struct ccz_run_status *st)
{
    const struct served_hooks *h = arg;
    ccz_catalog_reload(h->catalog, config, st);
}

int64_t served_on_metric(void *arg, struct ccz_span name)
{
    const struct served_hooks *h = arg;
    return ccz_serve_metrics_value(h->metrics, name);
}

void served_on_done(void *arg, const struct ccz_infer_done *done)
{
    const struct served_hooks *h = arg;
    ccz_serve_metrics_done(h->metrics, done);
}

void served_work_put_metrics(void *work, struct ccz_buf *out)
{
    struct served_work *w = work;
    ccz_serve_metrics_put(w->metrics, w->sched, out);
    ccz_buf_printf(out, "# TYPE cczoo_served_ready gauge\ncczoo_served_ready %d\n",
                   ccz_infer_ready(w->models, NULL) ? 1 : 0);
    if (w->put_more)
        w->put_more(w->more_arg, out);
}

bool served_work_metrics(struct served_work *w, struct ccz_buf *out, const struct ccz_http_req *req)
{
    if (!w->monitoring.prometheus || strcmp(ccz_http_method(req), "GET") != 0 ||
        strcmp(ccz_http_path(req), w->monitoring.path) != 0)
        return false;
    served_work_put_metrics(w, out);
    return true;
}

void served_work_close(struct served_work *w)
{
    ccz_sched_free(w->sched);
    ccz_sched_infer_free(w->infer);
    w->sched = NULL;
    w->infer = NULL;
}

void served_work_free(struct served_work *w)
{
    served_work_close(w);
    ccz_infer_free(w->models);
    ccz_serve_metrics_free(w->metrics);
}
