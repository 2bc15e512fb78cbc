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

enum kind { TEXT, NUMBER, SWITCH };

static const struct flag {
    const char *name;
    enum kind kind;
    size_t at; /* NOWHERE: without effect */
    int64_t low, high;
    const char *help;
} flags[] = {
#define AT(member) offsetof(struct served_tfs, member)
#define WORDS(name, member, help)                                                                  \
    {                                                                                              \
        name, TEXT, AT(member), 0, 0, help                                                         \
    }
#define COUNT(name, member, low, high, help)                                                       \
    {                                                                                              \
        name, NUMBER, AT(member), low, high, help                                                  \
    }
#define ON_OFF(name, member, help)                                                                 \
    {                                                                                              \
        name, SWITCH, AT(member), 0, 0, help                                                       \
    }
    COUNT("port", port, 0, 65535, "gRPC port on all addresses, instead of --listen"),
    WORDS("grpc_socket_path", socket_path, "gRPC on a unix socket, instead of --port"),
    COUNT("rest_api_port", rest_port, 0, 65535, "HTTPS port, instead of --rest"),
    COUNT("rest_api_timeout_in_ms", rest_timeout_ms, 1, 86400000, "default 30000"),
    ON_OFF("rest_api_enable_cors_support", cors, "answers may be read by pages of any origin"),
    WORDS("model_name", model_name, "default: default"),
    WORDS("model_base_path", base_path, "folder with a folder for each version"),
    WORDS("model_config_file", models_file, "ModelServerConfig: several models"),
    COUNT("model_config_file_poll_wait_seconds", models_poll_s, 0, 86400,
          "look at it again; 0 = never"),
    COUNT("file_system_poll_wait_seconds", poll_s, 0, 86400,
          "look for versions; default 1, 0 = once"),
    ON_OFF("enable_batching", batching, "requests are run together"),
    WORDS("batching_parameters_file", batching_file, "BatchingParameters"),
    ON_OFF("enable_per_model_batching_parameters", model_batching,
           "batching_params.pbtxt of a version"),
    ON_OFF("allow_version_labels_for_unavailable_models", unavailable_labels, "of new labels"),
    COUNT("num_load_threads", load_threads, 0, 64, "default 1"),
    COUNT("max_num_load_retries", load_retries, 0, 1000, "default 5"),
    COUNT("load_retry_interval_micros", retry_us, 0, INT64_MAX / 2, "default 60000000"),
    COUNT("tensorflow_session_parallelism", session_threads, 0, 1024, "both of the following"),
    COUNT("tensorflow_intra_op_parallelism", intra_threads, 0, 1024,
          "threads of one operation; default 1"),
    COUNT("tensorflow_inter_op_parallelism", inter_threads, 0, 1024,
          "operations at a time; default: in the worker"),
    WORDS("tensorflow_session_config_file", session_file, "ConfigProto: threads"),
    WORDS("platform_config_file", platform_file, "read and without effect"),
    WORDS("saved_model_tags", saved_model_tag, "default serve"),
    WORDS("grpc_channel_arguments", channel_arguments,
          "grpc.max_connection_age_ms=..,grpc.max_concurrent_streams=.."),
    ON_OFF("enable_model_warmup", warm_up, "default true"),
    COUNT("num_request_iterations_for_warmup", warm_up_iterations, 0, 1000, "default 1"),
    WORDS("monitoring_config_file", monitoring_file, "MonitoringConfig: Prometheus"),
    ON_OFF("enable_signature_method_name_check", method_name_check, "as there"),
    ON_OFF("enable_serialization_as_tensor_content", tensor_content, "answers of numbers as bytes"),
    ON_OFF("enable_grpc_healthcheck_service", health, "grpc.health.v1.Health"),
    ON_OFF("version", version, "say it and end"),
};
enum { FLAGS_LEN = sizeof(flags) / sizeof(flags[0]) };
#define NOWHERE SIZE_MAX

/* Settings of what is not there, or is there anyway. */
static const char *const unused[] =
    {
        "rest_api_num_threads",
        "grpc_max_threads",
        "num_unload_threads",
        "per_process_gpu_memory_fraction",
        "tensorflow_session_run_timeout_in_ms",
        "num_tflite_pools",
        "num_tflite_interpreters_per_pool",
        "thread_pool_factory_config_file",
        "mixed_precision",
},
                         *const unused_switches[] = {
                             "xla_cpu_compilation_enabled",
                             "flush_filesystem_caches",
                             "remove_unused_fields_from_bundle_metagraph",
                             "prefer_tflite_model",
                             "skip_initialize_tpu",
                             "enforce_session_run_timeout",
                             "enable_cors_support",
                             "use_alts_credentials",
                             "enable_profiler",
};

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

static bool is_one_of(const char *const *names, size_t len, struct ccz_span name)
{
    size_t i = 0;
    while (i < len && !ccz_span_eq(ccz_span_str(names[i]), name))
        i++;
    return i < len;
}

/* @param[out] f  the flag that an argument is; false: none of these */
static bool find(struct flag *f, const char **value, const char *arg)
{
    if (strncmp(arg, "--", 2) != 0)
        return false;
    const char *equals = strchr(arg, '=');
    const struct ccz_span name =
        CCZ_SPAN(arg + 2, equals ? (size_t)(equals - arg) - 2 : strlen(arg) - 2);
    *value = equals ? equals + 1 : NULL;
    for (size_t i = 0; i < FLAGS_LEN; i++)
        if (ccz_span_eq(ccz_span_str(flags[i].name), name)) {
            *f = flags[i];
            return true;
        }
    const bool text = is_one_of(unused, sizeof(unused) / sizeof(unused[0]), name);
    *f = (struct flag){.name = arg + 2, .kind = text ? TEXT : SWITCH, .at = NOWHERE};
    return text ||
           is_one_of(unused_switches, sizeof(unused_switches) / sizeof(unused_switches[0]), name);
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
        ui_error("--%.*s=%s is none of true, false, 1, 0", (int)strcspn(f->name, "="), f->name,
                 value);
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
    bool nothing;
    if (f->at == NOWHERE) {
        if (f->kind == SWITCH && !read_switch(&nothing, f, value))
            return false;
        ui_say("warning: --%.*s has no effect here", (int)strcspn(f->name, "="), f->name);
        return true;
    }
    void *to = (char *)t + f->at;
    if (f->kind == NUMBER)
        return read_number(to, f, value);
    if (f->kind == SWITCH)
        return read_switch(to, f, value);
    *(const char **)to = value;
    return true;
}

int served_flags(struct served_tfs *t, int *argc, char **argv)
{
    int kept = 1;
    for (int i = 1; i < *argc; i++) {
        const char *value = NULL;
        struct flag f;
        if (!find(&f, &value, argv[i])) {
            argv[kept++] = argv[i];
            continue;
        }
        if (f.kind != SWITCH && !value && i + 1 == *argc) {
            ui_error("--%s needs a value", f.name);
            return UI_USAGE;
        }
        if (f.kind != SWITCH && !value)
            value = argv[++i];
        if (!take(t, &f, value))
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
