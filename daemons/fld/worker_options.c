/* SPDX-License-Identifier: Apache-2.0 */
#include "fld.h"

#include "../../cli/ui.h"

static const char *missing(const struct worker_opts *o)
{
    if (o->roster_entry)
        return !o->identity ? "identity" : !o->name ? "name" : NULL;
    if (!o->config)
        return "config";
    if (o->init_out || o->alone)
        return NULL;
    if (!o->server)
        return "server";
    if (!o->name)
        return "name";
    if (!o->trust.policy && !o->trust.unattested_insecure)
        return "policy";
    if (o->state && !o->seal)
        return "seal";
    if (o->roster && !o->identity)
        return "identity";
    if (o->identity && !o->roster)
        return "roster";
    return NULL;
}

int worker_options(struct worker_opts *o, int argc, char **argv)
{
    *o = (struct worker_opts){.part = -1};
    struct fld_trust *t = &o->trust;
    const struct ui_opt opts[] = {
        {"config", &o->config, NULL, NULL, "FILE", "trainer and data, JSON (docs/reference/fl.md)"},
        {"part", NULL, &o->part, NULL, "N", "part of the data, instead of data.part there"},
        {"init-out", &o->init_out, NULL, NULL, "FILE",
         "write the trainer's first model here, and end"},
        {"alone", &o->alone, NULL, NULL, "FILE",
         "train by this configuration of a server, without one, and end"},
        {"server", &o->server, NULL, NULL, "ADDR", "where cczoo-fld listens"},
        {"name", &o->name, NULL, NULL, "NAME", "of this member, the same after a restart"},
        {"policy", &t->policy, NULL, NULL, "FILE", "policy for the server"},
        {"unattested-insecure", NULL, NULL, &t->unattested_insecure, NULL,
         "connect without asking for evidence"},
        UI_OWN_EVIDENCE(t),
        UI_TRUST_FILES(t),
        {"collateral-from", &t->collateral_from, NULL, NULL, "URL", "pcs, or the URL of a PCCS"},
        {"reattest", NULL, &t->reattest_s, NULL, "SECONDS", "ask for new evidence so often"},
        {"server-key", &o->server_key, NULL, NULL, "HEX",
         "key that must sign models: x || y, 128 digits; absent = the first one seen"},
        {"state", &o->state, NULL, NULL, "FILE", "what must survive a restart, sealed"},
        {"seal", &o->seal, NULL, NULL, "FILE", "its key, 32 bytes"},
        {"roster", &o->roster, NULL, NULL, "FILE",
         "members' names and keys, JSON: updates go through secure aggregation among these only"},
        {"identity", &o->identity, NULL, NULL, "FILE", "this member's key in the roster, PEM"},
        {"roster-entry", NULL, NULL, &o->roster_entry, NULL,
         "print the entry of --name with --identity, which is made if there is none, and end"},
        {"retry", NULL, &o->retry_s, NULL, "SECONDS",
         "when the server is lost: come again, that long without a round; default 0"},
        {"model-out", &o->model_out, NULL, NULL, "FILE", "write the last model here"},
        {0},
    };
    int n =
        ui_parse(argc, argv,
                 "cczoo-fl-worker --config FILE --server ADDR --name NAME --policy FILE ...", opts);
    if (n < 0)
        return ui_parse_status(n);
    const char *name = n > 0 ? NULL : missing(o);
    if (name)
        ui_error("--%s is required", name);
    if (n > 0 || o->retry_s < 0 || o->retry_s > FLD_SECONDS_MAX || t->reattest_s < 0 ||
        t->reattest_s > FLD_SECONDS_MAX || o->part < -1 || o->part > (int64_t)CCZ_FL_MEMBERS_MAX)
        ui_error("no operands are taken, and --retry, --reattest and --part have limits");
    else if (!name)
        return -1;
    return UI_USAGE;
}
