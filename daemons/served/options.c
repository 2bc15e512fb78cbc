/* SPDX-License-Identifier: Apache-2.0 */
#include "served.h"

#include "../../cli/ui.h"

#include <assert.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

enum { REATTEST_MAX_S = 30 * 86400, KMS_GRACE_MAX_S = 30 * 86400, OPTIONS_MAX = 64 };

static bool missing(const char *name, const char *value)
{
    if (!value)
        ui_error("--%s is required", name);
    return !value;
}

/* What belongs to one engine only. */
static bool check_engine(const struct served_opts *o)
{
    static const char *const names[] = {"auto", "tensorflow", "onnxruntime", "als"};
    const bool als = strcmp(o->engine, "als") == 0;
    bool known = false;
    for (size_t i = 0; i < 4; i++)
        known |= strcmp(o->engine, names[i]) == 0;
    if (!known) {
        ui_error("--engine is auto, tensorflow, onnxruntime or als");
        return true;
    }
    if (als && (o->tensorflow || o->onnxruntime || o->many)) {
        ui_error("--tensorflow, --onnxruntime and configurations do not go with --engine als");
        return true;
    }
    const char *only = o->trainer_policy ? "--trainer-policy"
                       : o->order        ? "--order"
                       : o->any_order    ? "--any-order-insecure"
                       : o->oblivious    ? "--oblivious"
                                         : NULL;
    if (!als && only) {
        ui_error("%s needs --engine als", only);
        return true;
    }
    if (als && !o->order == !o->any_order) {
        ui_error("--order or --any-order-insecure is required, and not both");
        return true;
    }
    if (o->order && strncmp(o->order, "secret/", 7) != 0) {
        ui_error("--order is secret/NAME of the key management service");
        return true;
    }
    if (!als && !o->tensorflow && !o->onnxruntime) {
        ui_error("--tensorflow or --onnxruntime is required: what runs the models");
        ui_hint("scripts/fetch-tensorflow and scripts/fetch-onnxruntime get them");
        return true;
    }
    return als && missing("trainer-policy", o->trainer_policy);
}

/* One model in a folder, or a configuration of many. */
static bool check_models(const struct served_opts *o)
{
    if (o->tfs.models_file && o->tfs.base_path) {
        ui_error("--model_config_file and --model_base_path do not go together");
        return true;
    }
    if (!o->many && o->models_in_clear) {
        ui_error("--models-in-clear-insecure is for --model_config_file and --model_base_path");
        return true;
    }
    if (!o->many && (o->reload_by_clients || o->reload_by_anybody)) {
        ui_error("%s is for --model_config_file and --model_base_path",
                 o->reload_by_clients ? "--reload-by-clients" : "--reload-by-anybody-insecure");
        return true;
    }
    if (o->reload_by_clients && !o->client_policy) {
        ui_error("--reload-by-clients needs --client-policy: who they must be");
        return true;
    }
    if (!o->many)
        return missing("model-name", o->model_name) || missing("model-dir", o->model_dir);
    if (o->model_dir || o->model_name || o->kms_key) {
        ui_error(
            "--model-dir, --model-name and --kms-key do not go with a configuration: a model's "
            "key is key/NAME, or what its bundle names");
        return true;
    }
    return false;
}

/* What belongs to bundles only. */
static bool check_bundle(const struct served_opts *o)
{
    if (o->bundle_owner && !o->bundle_signer) {
        ui_error("--bundle-owner needs --bundle-signer");
        return true;
    }
    if (o->unsigned_too && (!o->many || !o->bundle_signer)) {
        ui_error("--unsigned-too needs --bundle-signer and a configuration");
        return true;
    }
    if (o->bundle_signer && strcmp(o->engine, "als") == 0) {
        ui_error("--bundle-signer does not go with --engine als: its bundles are of another kind");
        return true;
    }
    /* the manifest says which key, or the name of the model */
    return !o->bundle_signer && !o->many && missing("kms-key", o->kms_key);
}

/* gRPC's own TLS library knows no limits of authorities to addresses, and refuses what is under one. */
static void warn_of_addresses(const char *names)
{
    for (const char *n = names; *n; n += strcspn(n, ","), n += *n == ',') {
        const size_t len = strcspn(n, ",");
        if (strspn(n, "0123456789.") == len || memchr(n, ':', len)) {
            ui_say(
                "warning: --cert-names %.*s: stock gRPC clients (BoringSSL) accept no certificate "
                "for an address; they need a list of names alone",
                (int)len, n);
            return;
        }
    }
}

static bool check_cert(const struct served_opts *o)
{
    if (!o->cert_from && !o->cert_names && !o->cert_life_s)
        return false;
    if (!o->cert_from || !o->cert_names || !o->kms || strncmp(o->cert_from, "key/", 4) != 0) {
        ui_error("--cert-from-kms key/NAME goes with --cert-names and --kms");
        return true;
    }
    if (o->client_policy || (o->insecure_tls_only && !o->rest)) {
        ui_error("--cert-from-kms is for stock clients, which %s",
                 o->client_policy ? "--client-policy refuses"
                                  : "--insecure-tls-only shows another certificate");
        return true;
    }
    if (!o->insecure_tls_only)
        warn_of_addresses(o->cert_names);
    return !ui_count("cert-life", o->cert_life_s, 0, 7 * 86400);
}

static bool check_numbers(const struct served_opts *o)
{
    const struct {
        const char *name;
        int64_t value, low, high;
    } numbers[] = {
        {"queue", o->queue, 1, 1000000},
        {"queue-all", o->queue_all, 1, 1000000},
        {"inline-us", o->inline_us, 0, 1000000},
        {"connection-age", o->connection_age_s, 0, 30 * 86400},
        {"threads", o->threads, 1, 256},
        {"model-version", o->model_version, 1, INT64_MAX},
        {"grace", o->grace_s, 0, 3600},
        {"leave", o->leave_s, 0, 3600},
        {"run-limit", o->run_limit_s, 1, 86400},
        {"input-size", o->input_mb, 1, 4096},
        {"reattest", o->reattest_s, 0, REATTEST_MAX_S},
        {"kms-poll", o->kms_poll_s, 1, 3600},
        {"kms-grace", o->kms_grace_s, 0, KMS_GRACE_MAX_S},
    };
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
        if (!ui_count(numbers[i].name, numbers[i].value, numbers[i].low, numbers[i].high))
            return true;
    return false;
}

/* What cannot work together is refused here, with words; what is refused later is refused by the library. */
static bool check(const struct served_opts *o)
{
    bool bad = missing("listen", o->listen) || check_models(o) || check_engine(o) ||
               (!o->models_in_clear && missing("kms", o->kms)) ||
               (o->kms && missing("kms-policy", o->kms_policy)) || check_bundle(o) ||
               check_cert(o) || missing("tee", o->tee) || check_numbers(o);
    if (!bad && o->reattest_s && !o->client_policy) {
        ui_error("--reattest needs --client-policy: who is not asked once is not asked again");
        bad = true;
    }
    if (!bad && o->collateral_from && !o->collateral && !o->trust_sim) {
        ui_error("--collateral-from needs --collateral, the directory that it fills");
        bad = true;
    }
    /* these ports ask their clients for nothing: a policy for clients would be a promise that does not hold */
    if (!bad && o->client_policy && (o->rest || o->insecure_tls_only)) {
        ui_error("%s does not go with --client-policy: no client shows evidence there",
                 o->rest ? "--rest" : "--insecure-tls-only");
        bad = true;
    }
    return !bad;
}

static bool parse_kms_id(struct served_opts *o)
{
    struct ccz_err err = {0};
    if (!o->kms_id || ccz_kms_instance_parse(&o->instance, o->kms_id, &err) == CCZ_OK)
        return true;
    (void)ui_fail(&err);
    return false;
}

/* --port, --grpc_socket_path and --rest_api_port as addresses: ports on all of them, as there. One for gRPC: false if it is given two. */
static bool take_ports(struct served_opts *o)
{
    static char listen[PATH_MAX + 8], rest[32];
    const bool port = o->tfs.port > 0;
    if ((o->listen != NULL) + port + (o->tfs.socket_path != NULL) > 1) {
        ui_error("--listen, --port and --grpc_socket_path do not go together");
        return false;
    }
    if (port)
        (void)snprintf(listen, sizeof(listen), "[::]:%d", (int)o->tfs.port);
    else if (o->tfs.socket_path)
        (void)snprintf(listen, sizeof(listen), "unix:%s", o->tfs.socket_path);
    if (!o->listen && listen[0])
        o->listen = listen;
    if (!o->rest && o->tfs.rest_port > 0) {
        (void)snprintf(rest, sizeof(rest), "[::]:%d", (int)o->tfs.rest_port);
        o->rest = rest;
    }
    return true;
}

/* The options, by what they are about. */
struct table {
    struct ui_opt rows[OPTIONS_MAX + 1]; /* a zeroed one is the last */
    size_t len;
};

static void put(struct table *t, const struct ui_opt *rows, size_t len)
{
    assert(t->len + len <= OPTIONS_MAX);
    memcpy(&t->rows[t->len], rows, len * sizeof(*rows));
    t->len += len;
}

/* Where it listens, and how connections and the server end. */
static void put_listening(struct table *t, struct served_opts *o)
{
    const struct ui_opt rows[] = {
        {"listen", &o->listen, NULL, NULL, "ADDR",
         "gRPC address, e.g. 127.0.0.1:8500; port 0 = any"},
        {"rest", &o->rest, NULL, NULL, "ADDR", "HTTPS address of the REST API; absent = off"},
        {"port-file", &o->port_file, NULL, NULL, "FILE", "write the gRPC port here when ready"},
        {"rest-port-file", &o->rest_port_file, NULL, NULL, "FILE",
         "write the HTTPS port here when ready"},
        {"metrics", &o->metrics, NULL, NULL, "ADDR",
         "Prometheus, plain HTTP: GET /metrics; absent = off"},
        {"connection-age", NULL, &o->connection_age_s, NULL, "SECONDS",
         "clients connect again after that, a tenth more or less; default 0 = never"},
        {"grace", NULL, &o->grace_s, NULL, "SECONDS",
         "how long requests may go on after SIGTERM, default 10"},
        {"leave", NULL, &o->leave_s, NULL, "SECONDS",
         "how long to serve on after SIGTERM while health says that this server is not ready; "
         "default 0"},
        {"replica", &o->replica, NULL, NULL, "NAME",
         "name told to clients in the header ccz-replica"},
        {"insecure-tls-only", NULL, NULL, &o->insecure_tls_only, NULL,
         "no attestation on the gRPC port: for tests with stock clients"},
    };
    put(t, rows, sizeof(rows) / sizeof(rows[0]));
}

/* What is served. */
static void put_models(struct table *t, struct served_opts *o)
{
    const struct ui_opt rows[] = {
        {"model-name", &o->model_name, NULL, NULL, "NAME", "name that clients ask for"},
        {"model-dir", &o->model_dir, NULL, NULL, "DIR",
         "protected files of one SavedModel, as bound at encryption; als, --bundle-signer: a "
         "bundle"},
        {"model-version", NULL, &o->model_version, NULL, "N",
         "version that is reported, default 1; bundles: the oldest that is accepted"},
        {"bundle-signer", &o->bundle_signer, NULL, NULL, "FILE|SECRET",
         "the model folder is a bundle (cczoo model pack): public key that must have signed it, in "
         "a file or as secret/NAME of the KMS; the bundle names its own key there"},
        {"bundle-owner", &o->bundle_owner, NULL, NULL, "FILE|SECRET",
         "public key of the owner of the model, who must have signed as well"},
        {"unsigned-too", NULL, NULL, &o->unsigned_too, NULL,
         "with a configuration and --bundle-signer: versions that are no bundles are loaded as "
         "protected files under key/NAME, as without it"},
        {"models-in-clear-insecure", NULL, NULL, &o->models_in_clear, NULL,
         "with a configuration: serve folders of plain files, for which nobody vouches"},
        {"reload-by-clients", NULL, NULL, &o->reload_by_clients, NULL,
         "with a configuration: clients that satisfy --client-policy may replace it "
         "(HandleReloadConfigRequest)"},
        {"reload-by-anybody-insecure", NULL, NULL, &o->reload_by_anybody, NULL,
         "with a configuration: whoever connects may replace it"},
    };
    put(t, rows, sizeof(rows) / sizeof(rows[0]));
}

/* By what. */
static void put_engines(struct table *t, struct served_opts *o)
{
    const struct ui_opt rows[] = {
        {"engine", &o->engine, NULL, NULL, "NAME",
         "auto (default: by the model's files), tensorflow, onnxruntime, or als: recommenders, see "
         "docs/reference/recsys.md"},
        {"tensorflow", &o->tensorflow, NULL, NULL, "FILE",
         "path of libtensorflow_cc.so.2; it is measured"},
        {"onnxruntime", &o->onnxruntime, NULL, NULL, "FILE",
         "path of libonnxruntime.so.1; it is measured"},
        {"trainer-policy", &o->trainer_policy, NULL, NULL, "FILE",
         "als: policy that the evidence of the model's trainer must satisfy"},
        {"order", &o->order, NULL, NULL, "SECRET",
         "als: secret/NAME of the KMS: what the owner of the ratings has ordered; a model of "
         "anything else is refused"},
        {"any-order-insecure", NULL, NULL, &o->any_order, NULL,
         "als: instead of it: whoever starts the trainer chooses data and parameters"},
        {"oblivious", NULL, NULL, &o->oblivious, NULL,
         "als: lists by scans whose time and places do not depend on scores"},
    };
    put(t, rows, sizeof(rows) / sizeof(rows[0]));
}

/* When, and how much. */
static void put_running(struct table *t, struct served_opts *o)
{
    const struct ui_opt rows[] = {
        {"threads", NULL, &o->threads, NULL, "N", "model runs at a time, default 1"},
        {"queue", NULL, &o->queue, NULL, "N", "requests of one model that may wait, default 1024"},
        {"queue-all", NULL, &o->queue_all, NULL, "N",
         "requests that may wait in all, default 4096"},
        {"inline-us", NULL, &o->inline_us, NULL, "N",
         "models that take no longer run at once, without a thread of their own; default 50"},
        {"run-limit", NULL, &o->run_limit_s, NULL, "SECONDS",
         "how long a model may run for one request, default 300"},
        {"input-size", NULL, &o->input_mb, NULL, "MB",
         "what the inputs of one request may take when they are decoded, default 64"},
    };
    put(t, rows, sizeof(rows) / sizeof(rows[0]));
}

/* Own evidence, and that of clients. */
static void put_trust(struct table *t, struct served_opts *o)
{
    const struct ui_opt rows[] = {
        UI_OWN_EVIDENCE(o),
        UI_TRUST(o, collateral_ca_file),
        {"reattest", NULL, &o->reattest_s, NULL, "SECONDS",
         "with --client-policy: ask for evidence again, that often; default 0 = never"},
        {"client-policy", &o->client_policy, NULL, NULL, "FILE",
         "clients must attest and satisfy this policy; gRPC only"},
    };
    put(t, rows, sizeof(rows) / sizeof(rows[0]));
}

/* What the KMS gives. */
static void put_kms(struct table *t, struct served_opts *o)
{
    const struct ui_opt rows[] = {
        {"kms", &o->kms, NULL, NULL, "ADDR", "key management service"},
        {"kms-policy", &o->kms_policy, NULL, NULL, "FILE", "policy that its evidence must satisfy"},
        {"kms-id", &o->kms_id, NULL, NULL, "HEX",
         "which one (cczoo kms status); absent = that of the first value"},
        {"kms-key", &o->kms_key, NULL, NULL, "ITEM",
         "key of the model, e.g. key/fashion-mnist; with --bundle-signer the only one that a "
         "bundle may be under"},
        {"cert-from-kms", &o->cert_from, NULL, NULL, "ITEM",
         "key/NAME of the KMS that issues certificates, which stock clients of gRPC and REST know"},
        {"cert-names", &o->cert_names, NULL, NULL, "LIST",
         "their names, e.g. als.example,10.0.0.7"},
        {"cert-life", NULL, &o->cert_life_s, NULL, "SECONDS",
         "60 to 604800; default: 24 hours. A new one comes after two thirds"},
        {"kms-poll", NULL, &o->kms_poll_s, NULL, "SECONDS",
         "how often the KMS is asked whether the model may still be served, default 2"},
        {"kms-grace", NULL, &o->kms_grace_s, NULL, "SECONDS",
         "how long to go on while the KMS does not answer, default 3600; 0 = for ever"},
    };
    put(t, rows, sizeof(rows) / sizeof(rows[0]));
}

int served_options(struct served_opts *o, int argc, char **argv)
{
    struct table t = {.len = 0};
    *o = (struct served_opts){.model_version = 1,
                              .threads = 1,
                              .grace_s = 10,
                              .run_limit_s = 300,
                              .input_mb = 64,
                              .replica = "",
                              .engine = "auto",
                              .queue = 1024,
                              .queue_all = 4096,
                              .inline_us = 50,
                              .kms_poll_s = 2,
                              .kms_grace_s = 3600};
    put_listening(&t, o);
    put_models(&t, o);
    put_engines(&t, o);
    put_running(&t, o);
    put_trust(&t, o);
    put_kms(&t, o);
    served_flags_default(&o->tfs);
    int status = served_flags(&o->tfs, &argc, argv);
    if (status >= 0)
        return status;
    int n = ui_parse(argc, argv,
                     "cczoo-served --listen ADDR --model-name NAME --model-dir DIR --tensorflow "
                     "FILE --tee PROVIDER --kms ADDR ...",
                     t.rows);
    if (n == -2)
        served_flags_help();
    if (n < 0)
        return ui_parse_status(n);
    o->many = o->tfs.models_file || o->tfs.base_path;
    if (n > 0)
        ui_error("unexpected operand: %s", argv[0]);
    return n == 0 && take_ports(o) && check(o) && parse_kms_id(o) ? -1 : UI_USAGE;
}
