/* SPDX-License-Identifier: Apache-2.0 */
#include "fld.h"

#include "../../cli/ui.h"

static const char *missing(const struct fld_opts *o)
{
    if (!o->config)
        return "config";
    if (!o->model)
        return "model";
    if (!o->listen)
        return "listen";
    if (!o->trust.policy && !o->trust.unattested_insecure)
        return "policy";
    if (!o->sign_key)
        return "sign-key";
    if (o->state && !o->seal)
        return "seal";
    if (o->metrics_port_file && !o->metrics)
        return "metrics";
    return NULL;
}

int fld_options(struct fld_opts *o, int argc, char **argv)
{
    *o = (struct fld_opts){.keep = 2, .last_wait_s = 60};
    struct fld_trust *t = &o->trust;
    const struct ui_opt opts[] = {
        {"config", &o->config, NULL, NULL, "FILE", "the training, JSON (docs/reference/fl.md)"},
        {"model", &o->model, NULL, NULL, "FILE",
         "first model (cczoo-fl-worker --init-out); its layout is the training's"},
        {"listen", &o->listen, NULL, NULL, "ADDR", "gRPC address; port 0 = any"},
        {"port-file", &o->port_file, NULL, NULL, "FILE", "write the port here when ready"},
        {"members", &o->members, NULL, NULL, "FILE",
         "names of members, one a line; absent = any name"},
        {"roster", &o->roster, NULL, NULL, "FILE",
         "members' names and keys, JSON: secure aggregation that need not trust this server"},
        {"policy", &t->policy, NULL, NULL, "FILE", "policy for workers"},
        {"unattested-insecure", NULL, NULL, &t->unattested_insecure, NULL,
         "let in workers without evidence"},
        UI_OWN_EVIDENCE(t),
        UI_TRUST_FILES(t),
        {"collateral-from", &t->collateral_from, NULL, NULL, "URL", "pcs, or the URL of a PCCS"},
        {"reattest", NULL, &t->reattest_s, NULL, "SECONDS", "ask for new evidence so often"},
        {"state", &o->state, NULL, NULL, "DIR", "checkpoint of each round; resumed from"},
        {"seal", &o->seal, NULL, NULL, "FILE", "their key, 32 bytes"},
        {"spill", &o->spill, NULL, NULL, "DIR",
         "while updates come in the model waits here, encrypted, instead of in memory"},
        {"last-wait", NULL, &o->last_wait_s, NULL, "SECONDS",
         "after the last round: wait so long for members that do not have its model, default 60"},
        {"keep", NULL, &o->keep, NULL, "N", "checkpoints kept, default 2"},
        {"sign-key", &o->sign_key, NULL, NULL, "FILE",
         "key that signs models, PEM; made if there is none"},
        {"model-out", &o->model_out, NULL, NULL, "FILE", "write the last model here, signed"},
        {"log", &o->log, NULL, NULL, "FILE", "append a line of JSON for each round"},
        {"prometheus", &o->prometheus, NULL, NULL, "FILE",
         "keep metrics here, text for node_exporter's textfile collector"},
        {"metrics", &o->metrics, NULL, NULL, "ADDR",
         "serve metrics to Prometheus at http://ADDR/metrics; port 0 = any"},
        {"metrics-port-file", &o->metrics_port_file, NULL, NULL, "FILE",
         "write the port of --metrics here when ready"},
        {0},
    };
    int n = ui_parse(argc, argv,
                     "cczoo-fld --config FILE --model FILE --listen ADDR --policy FILE --sign-key "
                     "FILE ...",
                     opts);
    if (n < 0)
        return ui_parse_status(n);
    const char *name = n > 0 ? NULL : missing(o);
    if (name)
        ui_error("--%s is required", name);
    if (n > 0 || o->keep < 1 || o->keep > 1000 || o->last_wait_s < 0 || o->last_wait_s > 86400 ||
        t->reattest_s < 0 || t->reattest_s > FLD_SECONDS_MAX)
        ui_error("no operands are taken, and --keep, --last-wait and --reattest have limits");
    else if (!name)
        return -1;
    return UI_USAGE;
}
