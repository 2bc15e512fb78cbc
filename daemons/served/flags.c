/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The flags of tensorflow_model_server, by the names that scripts know. They come as --flag=value or --flag value, switches also as
 * --flag=true and --flag=false. What is left in argv is for options.c.
 */
#include "served.h"

#include "../../cli/ui.h"

#include <limits.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

enum kind { TEXT, NUMBER, SWITCH, WITHOUT_EFFECT, SWITCH_WITHOUT_EFFECT };

#define AT(member) offsetof(struct served_tfs, member)
static const struct flag {
    const char *name;
    enum kind kind;
    size_t at;
    int64_t low, high;
    const char *help;
} flags[] = {
    {"port", NUMBER, AT(port), 0, 65535, "gRPC port on all addresses, instead of --listen"},
    {"grpc_socket_path", TEXT, AT(socket_path), 0, 0, "gRPC on a unix socket, instead of --port"},
    {"rest_api_port", NUMBER, AT(rest_port), 0, 65535, "HTTPS port, instead of --rest"},
    {"rest_api_timeout_in_ms", NUMBER, AT(rest_timeout_ms), 1, 86400000, "default 30000"},
    {"rest_api_enable_cors_support", SWITCH, AT(cors), 0, 0,
     "answers may be read by pages of any origin"},
    {"model_name", TEXT, AT(model_name), 0, 0, "default: default"},
    {"model_base_path", TEXT, AT(base_path), 0, 0, "folder with a folder for each version"},
    {"model_config_file", TEXT, AT(models_file), 0, 0, "ModelServerConfig: several models"},
    {"model_config_file_poll_wait_seconds", NUMBER, AT(models_poll_s), 0, 86400,
     "look at it again; 0 = never"},
    {"file_system_poll_wait_seconds", NUMBER, AT(poll_s), 0, 86400,
     "look for versions; default 1, 0 = once"},
    {"enable_batching", SWITCH, AT(batching), 0, 0, "requests are run together"},
    {"batching_parameters_file", TEXT, AT(batching_file), 0, 0, "BatchingParameters"},
    {"enable_per_model_batching_parameters", SWITCH, AT(model_batching), 0, 0,
     "batching_params.pbtxt of a version"},
    {"allow_version_labels_for_unavailable_models", SWITCH, AT(unavailable_labels), 0, 0,
     "of new labels"},
    {"num_load_threads", NUMBER, AT(load_threads), 0, 64, "default 1"},
    {"max_num_load_retries", NUMBER, AT(load_retries), 0, 1000, "default 5"},
    {"load_retry_interval_micros", NUMBER, AT(retry_us), 0, INT64_MAX / 2, "default 60000000"},
    {"tensorflow_session_parallelism", NUMBER, AT(session_threads), 0, 1024,
     "both of the following"},
    {"tensorflow_intra_op_parallelism", NUMBER, AT(intra_threads), 0, 1024,
     "threads of one operation; default 1"},
    {"tensorflow_inter_op_parallelism", NUMBER, AT(inter_threads), 0, 1024,
     "operations at a time; default: in the worker"},
    {"tensorflow_session_config_file", TEXT, AT(session_file), 0, 0, "ConfigProto: threads"},
    {"platform_config_file", TEXT, AT(platform_file), 0, 0, "read and without effect"},
    {"saved_model_tags", TEXT, AT(saved_model_tag), 0, 0, "default serve"},
    {"grpc_channel_arguments", TEXT, AT(channel_arguments), 0, 0,
     "grpc.max_connection_age_ms=..,grpc.max_concurrent_streams=.."},
    {"enable_model_warmup", SWITCH, AT(warm_up), 0, 0, "default true"},
    {"num_request_iterations_for_warmup", NUMBER, AT(warm_up_iterations), 0, 1000, "default 1"},
    {"monitoring_config_file", TEXT, AT(monitoring_file), 0, 0, "MonitoringConfig: Prometheus"},
    {"enable_signature_method_name_check", SWITCH, AT(method_name_check), 0, 0, "as there"},
    {"enable_serialization_as_tensor_content", SWITCH, AT(tensor_content), 0, 0,
     "answers of numbers as bytes"},
    {"enable_grpc_healthcheck_service", SWITCH, AT(health), 0, 0, "grpc.health.v1.Health"},
    {"version", SWITCH, AT(version), 0, 0, "say it and end"},
    /* settings of what is not there, or is there anyway */
    {"rest_api_num_threads", WITHOUT_EFFECT, 0, 0, 0, NULL},
    {"grpc_max_threads", WITHOUT_EFFECT, 0, 0, 0, NULL},
    {"num_unload_threads", WITHOUT_EFFECT, 0, 0, 0, NULL},
    {"per_process_gpu_memory_fraction", WITHOUT_EFFECT, 0, 0, 0, NULL},
    {"tensorflow_session_run_timeout_in_ms", WITHOUT_EFFECT, 0, 0, 0, NULL},
    {"num_tflite_pools", WITHOUT_EFFECT, 0, 0, 0, NULL},
    {"num_tflite_interpreters_per_pool", WITHOUT_EFFECT, 0, 0, 0, NULL},
    {"thread_pool_factory_config_file", WITHOUT_EFFECT, 0, 0, 0, NULL},
    {"mixed_precision", WITHOUT_EFFECT, 0, 0, 0, NULL},
    {"xla_cpu_compilation_enabled", SWITCH_WITHOUT_EFFECT, 0, 0, 0, NULL},
    {"flush_filesystem_caches", SWITCH_WITHOUT_EFFECT, 0, 0, 0, NULL},
    {"remove_unused_fields_from_bundle_metagraph", SWITCH_WITHOUT_EFFECT, 0, 0, 0, NULL},
    {"prefer_tflite_model", SWITCH_WITHOUT_EFFECT, 0, 0, 0, NULL},
    {"skip_initialize_tpu", SWITCH_WITHOUT_EFFECT, 0, 0, 0, NULL},
    {"enforce_session_run_timeout", SWITCH_WITHOUT_EFFECT, 0, 0, 0, NULL},
    {"enable_cors_support", SWITCH_WITHOUT_EFFECT, 0, 0, 0, NULL},
    {"use_alts_credentials", SWITCH_WITHOUT_EFFECT, 0, 0, 0, NULL},
    {"enable_profiler", SWITCH_WITHOUT_EFFECT, 0, 0, 0, NULL},
};
enum { FLAGS_LEN = sizeof(flags) / sizeof(flags[0]) };

void served_flags_default(struct served_tfs *t)
{
    *t = (struct served_tfs){.port = -1,
                             .rest_port = -1,
                             .rest_timeout_ms = 30000,
                             .model_name = "default",
                             .poll_s = 1,
                             .load_threads = 1,
                             .load_retries = 5,
                             .retry_us = 60000000,
                             .warm_up = true,
                             .warm_up_iterations = 1};
}

static const struct flag *find(const char *arg, const char **value)
{
    if (strncmp(arg, "--", 2) != 0)
        return NULL;
    const char *name = arg + 2, *equals = strchr(name, '=');
    const size_t len = equals ? (size_t)(equals - name) : strlen(name);
    *value = equals ? equals + 1 : NULL;
    for (size_t i = 0; i < FLAGS_LEN; i++)
        if (strncmp(flags[i].name, name, len) == 0 && flags[i].name[len] == 0)
            return &flags[i];
    return NULL;
}

static bool read_switch(bool *out, const struct flag *f, const char *value)
{
    static const struct {
        const char *text;
        bool on;
    } words[] = {{"true", true}, {"1", true}, {"false", false}, {"0", false}};
    *out = true;
    for (size_t i = 0; value && i < 4; i++) {
        if (strcmp(words[i].text, value) == 0) {
            *out = words[i].on;
            return true;
        }
    }
    if (value)
        ui_error("--%s=%s is none of true, false, 1, 0", f->name, value);
    return !value;
}

static bool read_number(int64_t *out, const struct flag *f, const char *value)
{
    char *end = NULL;
    *out = strtoll(value, &end, 10);
    if (end == value || *end) {
        ui_error("--%s=%s is no number", f->name, value);
        return false;
    }
    return ui_count(f->name, *out, f->low, f->high);
}

static bool take(struct served_tfs *t, const struct flag *f, const char *value)
{
    void *to = (char *)t + f->at;
    bool nothing;
    switch (f->kind) {
    case TEXT:
        *(const char **)to = value;
        return true;
    case NUMBER:
        return read_number(to, f, value);
    case SWITCH:
        return read_switch(to, f, value);
    case SWITCH_WITHOUT_EFFECT:
        if (!read_switch(&nothing, f, value))
            return false;
        break;
    case WITHOUT_EFFECT:
        break;
    }
    ui_say("warning: --%s has no effect here", f->name);
    return true;
}

int served_flags(struct served_tfs *t, int *argc, char **argv)
{
    int kept = 1;
    for (int i = 1; i < *argc; i++) {
        const char *value = NULL;
        const struct flag *f = find(argv[i], &value);
        if (!f) {
            argv[kept++] = argv[i];
            continue;
        }
        const bool is_switch = f->kind == SWITCH || f->kind == SWITCH_WITHOUT_EFFECT;
        if (!is_switch && !value && i + 1 == *argc) {
            ui_error("--%s needs a value", f->name);
            return UI_USAGE;
        }
        if (!is_switch && !value)
            value = argv[++i];
        if (!take(t, f, value))
            return UI_USAGE;
    }
    *argc = kept;
    argv[kept] = NULL;
    if (t->version) {
        ui_out("cczoo-served %s, serving as TensorFlow Serving 2.20 does\n", CCZ_VERSION);
        return UI_OK;
    }
    if (t->batching_file && !t->batching) {
        ui_error("--batching_parameters_file needs --enable_batching");
        return UI_USAGE;
    }
    if (t->session_threads) {
        t->intra_threads = t->intra_threads ? t->intra_threads : t->session_threads;
        t->inter_threads = t->inter_threads ? t->inter_threads : t->session_threads;
    }
    return -1;
}

void served_flags_help(void)
{
    ui_out("\nflags of TensorFlow Serving (--flag=value):\n");
    for (size_t i = 0; i < FLAGS_LEN; i++)
        if (flags[i].help)
            ui_out("  --%-46s %s\n", flags[i].name, flags[i].help);
}

/* ----------------------------------------------------------------- gRPC's channel arguments */

static const struct {
    const char *name;
    size_t at;
    int64_t high;
} arguments[] = {
    {"grpc.max_connection_age_ms", offsetof(struct ccz_rpc_server_cfg, connection_age_ms), INT_MAX},
    {"grpc.max_connection_age_grace_ms",
     offsetof(struct ccz_rpc_server_cfg, connection_age_grace_ms), INT_MAX},
    {"grpc.keepalive_time_ms", offsetof(struct ccz_rpc_server_cfg, keepalive_ms), INT_MAX},
};

bool served_flags_channel(struct ccz_rpc_server_cfg *cfg, const char *text)
{
    while (text && *text) {
        const size_t len = strcspn(text, ","), name = strcspn(text, "=,");
        char *end = NULL;
        long long v = text[name] == '=' ? strtoll(text + name + 1, &end, 10) : -1;
        if (!end || end != text + len || v < 0 || v > INT_MAX) {
            ui_error("--grpc_channel_arguments: %.*s is not name=number", (int)len, text);
            return false;
        }
        size_t i = 0;
        while (i < 3 && !(strncmp(arguments[i].name, text, name) == 0 && !arguments[i].name[name]))
            i++;
        if (i < 3)
            *(int64_t *)((char *)cfg + arguments[i].at) = v;
        else if (name == 27 && strncmp(text, "grpc.max_concurrent_streams", name) == 0)
            cfg->streams_max = (unsigned)v;
        else
            ui_say("warning: --grpc_channel_arguments: %.*s has no effect here", (int)name, text);
        text += len + (text[len] == ',');
    }
    return true;
}
