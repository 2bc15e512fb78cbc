/* SPDX-License-Identifier: Apache-2.0 */
/* The catalog's functions for the registry of infer.h, and warm-up by it. */
#include <cczoo/serve.h>

#include <inttypes.h>

static ccz_rc load(void *arg, void **model, const struct ccz_catalog_item *item,
                   struct ccz_err *err)
{
    const struct ccz_catalog_infer *a = arg;
    struct ccz_model *m = NULL;
    ccz_rc rc = a->load(a->arg, &m, item, err);
    *model = m;
    return rc;
}

static ccz_rc warm(void *arg, void *model, const struct ccz_catalog_item *item, struct ccz_err *err)
{
    const struct ccz_catalog_infer *a = arg;
    return a->warm ? a->warm(a->arg, model, item, err) : CCZ_OK;
}

static void unload(void *arg, void *model, const struct ccz_catalog_item *item)
{
    const struct ccz_catalog_infer *a = arg;
    ccz_model_free(model);
    if (a->gone)
        a->gone(a->arg, item);
}

static ccz_rc publish(void *arg, void **model, const struct ccz_catalog_item *item,
                      struct ccz_err *err)
{
    const struct ccz_catalog_infer *a = arg;
    struct ccz_model *m = *model;
    ccz_rc rc = ccz_infer_publish(a->infer, item->name, item->version, &m, err);
    *model = m;
    if (rc == CCZ_OK && a->published)
        a->published(a->arg, item);
    return rc;
}

static void log_refusal(const char *what, const struct ccz_catalog_item *item,
                        const struct ccz_err *err)
{
    ccz_log(CCZ_LOG_ERROR, "serve", "%s refused model=%s version=%" PRId64 " where=%s msg=\"%s\"",
            what, item->name, item->version, err->where, err->msg);
}

static void withdraw(void *arg, const struct ccz_catalog_item *item)
{
    const struct ccz_catalog_infer *a = arg;
    struct ccz_err err = {0};
    if (ccz_infer_retire(a->infer, item->name, item->version, NULL, NULL, &err) != CCZ_OK)
        log_refusal("retire", item, &err);
}

static void remove_version(void *arg, const struct ccz_catalog_item *item)
{
    const struct ccz_catalog_infer *a = arg;
    struct ccz_err err = {0};
    if (ccz_infer_remove(a->infer, item->name, item->version, &err) != CCZ_OK)
        log_refusal("remove", item, &err);
    if (a->gone)
        a->gone(a->arg, item);
}

static void state(void *arg, const struct ccz_catalog_item *item, enum ccz_infer_state s,
                  const struct ccz_run_status *health)
{
    const struct ccz_catalog_infer *a = arg;
    struct ccz_err err = {0};
    if (ccz_infer_announce(a->infer, item->name, item->version, s, health, &err) != CCZ_OK)
        log_refusal("state", item, &err);
}

static void labels(void *arg, const char *name, const struct ccz_infer_label *l, size_t len,
                   bool allow_unavailable, struct ccz_run_status *st)
{
    const struct ccz_catalog_infer *a = arg;
    (void)ccz_infer_set_labels(a->infer, name, l, len, allow_unavailable, st);
}

static void configured(void *arg, const char *name, bool there)
{
    const struct ccz_catalog_infer *a = arg;
    if (a->model)
        a->model(a->arg, name, there);
}

void ccz_catalog_use_infer(struct ccz_catalog_cfg *cfg, struct ccz_catalog_infer *of)
{
    cfg->arg = of;
    cfg->ops = (struct ccz_catalog_ops){.load = load,
                                        .warm = warm,
                                        .unload = unload,
                                        .publish = publish,
                                        .withdraw = withdraw,
                                        .remove = remove_version,
                                        .state = state,
                                        .labels = labels,
                                        .model = configured};
}

/* ------------------------------------------------------------------------ warm-up */

struct warm {
    const struct ccz_serve_warmup *w;
    struct ccz_infer *infer;
    struct ccz_model *model;
};

static ptrdiff_t warm_read(void *arg, void *to, size_t size, struct ccz_err *err)
{
    const struct warm *a = arg;
    return a->w->read(a->w->arg, to, size, err);
}

static ccz_rc warm_replay(void *arg, const char *path, struct ccz_span request, uint32_t timeout_ms,
                          struct ccz_err *err)
{
    const struct warm *a = arg;
    struct ccz_run_status st;
    ccz_infer_warm(
        &st, a->infer, a->model,
        &(struct ccz_infer_call){.path = path, .request = request, .timeout_ms = timeout_ms});
    return st.code == CCZ_RUN_OK ? CCZ_OK
                                 : ccz_fail(err, ccz_run_rc(st.code), "serve:warmup-run",
                                            (int64_t)st.code, "%s", st.msg);
}

ccz_rc ccz_serve_warmup_infer(size_t *records, struct ccz_infer *infer, struct ccz_model *model,
                              const struct ccz_serve_warmup *w, struct ccz_err *err)
{
    struct warm a = {.w = w, .infer = infer, .model = model};
    struct ccz_serve_warmup own = *w;
    own.read = warm_read;
    own.replay = warm_replay;
    own.mono_ms = NULL;
    own.arg = &a;
    return ccz_serve_warmup(records, &own, err);
}
