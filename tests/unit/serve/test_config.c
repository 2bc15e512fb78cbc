/* SPDX-License-Identifier: Apache-2.0 */
/* Configuration files as they are found with users of TensorFlow Serving, and what is wrong with others. */
#include <cczoo/codec.h>
#include <cczoo/serve.h>

#include "ccz_test.h"
#include "refused.h"

#include <stdint.h>

static struct ccz_err err;

static ccz_rc models(struct ccz_serve_models *m, const char *text)
{
    err = (struct ccz_err){0};
    return ccz_serve_read_models(m, NULL, ccz_span_str(text), CCZ_SERVE_TEXT, &err);
}

static void must(struct ccz_serve_models *m, const char *text)
{
    if (models(m, text) == CCZ_OK)
        return;
    fprintf(stderr, "%s: %s: %s\n", text, err.where, err.msg);
    _Exit(1);
}

static void test_models(void)
{
    struct ccz_serve_models m;
    must(&m, "model_config_list {\n"
             "  config {\n"
             "    name: 'my_first_model'\n"
             "    base_path: '/tmp/my_first_model/'\n"
             "    model_platform: 'tensorflow'\n"
             "  }\n"
             "  config {\n"
             "    name: 'my_second_model'\n"
             "    base_path: '/tmp/my_second_model'\n"
             "    model_platform: 'tensorflow'\n"
             "    model_version_policy {\n"
             "      specific {\n        versions: 43\n        versions: 42\n        versions: 43\n "
             "     }\n    }\n"
             "    version_labels {\n      key: 'stable'\n      value: 42\n    }\n"
             "    version_labels {\n      key: 'canary'\n      value: 43\n    }\n"
             "  }\n"
             "}\n");
    CHECK(m.len == 2);
    const struct ccz_serve_model *a = &m.model[0], *b = &m.model[1];
    CHECK(strcmp(a->name, "my_first_model") == 0 &&
          strcmp(a->base_path, "/tmp/my_first_model") == 0);
    CHECK(strcmp(a->platform, "tensorflow") == 0 && a->policy == CCZ_SERVE_LATEST &&
          a->latest == 1);
    CHECK(a->versions_len == 0 && a->labels_len == 0);
    CHECK(strcmp(b->name, "my_second_model") == 0 && b->policy == CCZ_SERVE_SPECIFIC);
    CHECK(b->versions_len == 2 && b->versions[0] == 42 && b->versions[1] == 43);
    CHECK(b->labels_len == 2 && strcmp(b->labels[0].label, "stable") == 0);
    CHECK(b->labels[0].version == 42 && strcmp(b->labels[1].label, "canary") == 0);
    CHECK(b->labels[1].version == 43);
    ccz_serve_models_free(&m);
    CHECK(m.len == 0 && !m.model);
    must(&m, "");
    CHECK(m.len == 0);
    ccz_serve_models_free(&m);
    must(&m, "model_config_list: {\n}\n");
    CHECK(m.len == 0);
    ccz_serve_models_free(&m);
    must(&m, "model_config_list { config { name: 'old' base_path: '/' model_type: TENSORFLOW } }");
    CHECK(strcmp(m.model[0].platform, "tensorflow") == 0 && strcmp(m.model[0].base_path, "/") == 0);
    ccz_serve_models_free(&m);
    must(&m, "model_config_list { config { name: 'any' base_path: '/m' } }");
    CHECK(m.model[0].platform[0] == 0);
    ccz_serve_models_free(&m);
}

/* Commas, colons and brackets as people write them. */
static void test_models_forms(void)
{
    struct ccz_serve_models m;
    CCZ_AUTO_BUF notes;
    must(&m, "model_config_list: {\n  config: {\n    name: \"foo\",\n    base_path: "
             "\"/tensorflow/models/foo\",\n"
             "    model_platform: \"tensorflow\"\n    model_version_policy: {latest{}},\n  },\n"
             "  config: {\n    name: \"bar\",\n    base_path: \"/tensorflow/models/bar\",\n"
             "    model_platform: \"tensorflow\"\n    model_version_policy: {all{}}\n  },\n"
             "  config: {\n    name: \"baz\",\n    base_path: \"/tensorflow/models/baz\",\n"
             "    model_platform: \"tensorflow\"\n    model_version_policy: "
             "{specific{versions:0,versions:1}}\n  }\n}\n");
    CHECK(m.len == 3 && m.model[0].policy == CCZ_SERVE_LATEST && m.model[0].latest == 1);
    CHECK(m.model[1].policy == CCZ_SERVE_ALL && m.model[2].policy == CCZ_SERVE_SPECIFIC);
    CHECK(m.model[2].versions_len == 2 && m.model[2].versions[0] == 0);
    ccz_serve_models_free(&m);
    must(&m, "model_config_list: {\n  config: [\n    {name: \"recommendation\", base_path: "
             "\"/models/recommendation\"},\n"
             "    {name: \"classification\", base_path: \"/models/classification\", "
             "model_version_policy: <latest: {num_versions: 3}>}\n  ]\n}\n");
    CHECK(m.len == 2 && m.model[1].latest == 3);
    ccz_serve_models_free(&m);
    ccz_buf_init(&notes, CCZ_SERVE_NOTES_SIZE_MAX);
    const char *logging =
        "model_config_list { config { name: 'a' base_path: '/a' logging_config { "
        "log_collector_config { type: 'file' } "
        "sampling_config { sampling_rate: 0.1 } } } config { name: 'b' base_path: '/b' } }";
    CHECK(ccz_serve_read_models(&m, &notes, ccz_span_str(logging), CCZ_SERVE_TEXT, &err) == CCZ_OK);
    CHECK(strcmp(ccz_buf_str(&notes),
                 "model_config_list.config[0].logging_config has no effect here\n") == 0);
    ccz_serve_models_free(&m);
    /* as protobuf writes it: HandleReloadConfigRequest */
    static const uint8_t wire[] =
        "\x0a\x20\x0a\x1e\x0a\x01m\x12\x02/m\x22\x01t\x3a\x08\xb2\x06\x05\x0a\x03\x07\x03\x05"
        "\x42\x08\x0a\x04prod\x10\x07";
    CHECK(ccz_serve_read_models(&m, NULL, CCZ_SPAN(wire, sizeof(wire) - 1), CCZ_SERVE_WIRE, &err) ==
          CCZ_OK);
    CHECK(m.len == 1 && m.model[0].versions_len == 3 && m.model[0].versions[0] == 3);
    CHECK(m.model[0].labels_len == 1 && m.model[0].labels[0].version == 7);
    ccz_serve_models_free(&m);
}

static void refuses(const char *config, ccz_rc rc, const char *where, const char *message)
{
    struct ccz_serve_models m;
    char text[2048];
    CHECK(snprintf(text, sizeof(text), "model_config_list { %s }", config) < (int)sizeof(text));
    if (!is_refused(models(&m, text), rc, &err, where) || !strstr(err.msg, message)) {
        fprintf(stderr, "%s: %s, expected %s\n", config, err.msg, message);
        _Exit(1);
    }
    CHECK(!m.model && m.len == 0 && !m.own);
}

static void test_models_refused(void)
{
    struct ccz_serve_models m;
    refuses("config { name: 'a' base_path: '/a' } config { name: 'b' base_path: '/b' } config { "
            "name: 'a' base_path: '/c' }",
            CCZ_E_ARG, "serve:name-again", "Illegal to list model a multiple times in config list");
    refuses("config { name: 'a' base_path: 'models/a' }", CCZ_E_ARG, "serve:base-path",
            "Expected model a to have an absolute path or URI; got base_path()=models/a");
    refuses("config { name: 'a' }", CCZ_E_ARG, "serve:base-path", "got base_path()=");
    refuses("config { name: 'a' base_path: 's3://bucket/a' }", CCZ_E_UNSUPPORTED, "serve:base-path",
            "s3://bucket/a");
    CHECK(strstr(err.hint, "mount"));
    refuses("config { name: 'a' base_path: '/a\\n' }", CCZ_E_ARG, "serve:base-path", "absolute");
    refuses("config { base_path: '/a' }", CCZ_E_ARG, "serve:name", "1 to 255 bytes");
    refuses("config { name: 'a/b' base_path: '/a' }", CCZ_E_ARG, "serve:name", "a/b");
    refuses("config { name: 'a:b' base_path: '/a' }", CCZ_E_ARG, "serve:name", "a:b");
    refuses("config { name: 'a\\0b' base_path: '/a' }", CCZ_E_ARG, "serve:name", "a\\x00b");
    refuses("config { name: 'a' base_path: '/a' model_type: TENSORFLOW model_platform: 'x' }",
            CCZ_E_ARG, "serve:platform", "Illegal setting both ModelServerConfig::model_type");
    refuses("config { name: 'a' base_path: '/a' model_type: OTHER }", CCZ_E_UNSUPPORTED,
            "serve:platform", "choice 2 not supported");
    refuses(
        "config { name: 'a' base_path: '/a' model_version_policy { specific { versions: -1 } } }",
        CCZ_E_ARG, "serve:version", "got -1, expected 0");
    refuses("config { name: 'a' base_path: '/a' version_labels { key: 'x' value: 1 } "
            "version_labels { key: 'x' value: 2 } }",
            CCZ_E_ARG, "serve:label", "each label once");
    refuses("config { name: 'a' base_path: '/a' version_labels { value: 1 } }", CCZ_E_ARG,
            "serve:label", "0 bytes");
    refuses("config { name: 'a' base_path: '/a' version_labels { key: 'x' value: -1 } }", CCZ_E_ARG,
            "serve:version", "got -1");
    refuses("config { name: 'a' base_path: '/a' model_version_policy { all {} latest {} } }",
            CCZ_E_FORMAT, "textpb:oneof", "got 'latest'");
    refuses("config { name: 'a' base_path: '/a' version_policy { } }", CCZ_E_FORMAT, "textpb:field",
            "a field of ModelConfig");
    CHECK(strstr(err.hint, "model_version_policy"));
    CHECK(is_refused(models(&m, "custom_model_config { type_url: 'x' }"), CCZ_E_UNSUPPORTED, &err,
                     "serve:custom"));
    CHECK(is_refused(models(&m, "improperly formatted file"), CCZ_E_FORMAT, &err, "textpb:field"));
    static const uint8_t newer[] = "\x0a\x07\x0a\x05\x0a\x01m\x48\x01"; /* ModelConfig.9 */
    CHECK(is_refused(
        ccz_serve_read_models(&m, NULL, CCZ_SPAN(newer, sizeof(newer) - 1), CCZ_SERVE_WIRE, &err),
        CCZ_E_FORMAT, &err, "textpb:field"));
    CHECK(strstr(err.msg, "ModelServerConfig.model_config_list.config.9: got an unknown field"));
}

static void repeat(struct ccz_buf *out, const char *fmt_before, const char *each, int n,
                   const char *after)
{
    ccz_buf_clear(out);
    ccz_buf_put_str(out, fmt_before);
    for (int i = 0; i < n; i++) {
        ccz_buf_put_str(out, each);
        ccz_buf_printf(out, "%d ", i);
        ccz_buf_put_str(
            out, strchr(each, '{') ? (strstr(each, "key") ? "' }" : "' base_path: '/' }") : "");
    }
    ccz_buf_put_str(out, after);
}

static void test_models_limits(void)
{
    struct ccz_serve_models m;
    CCZ_AUTO_BUF text;
    ccz_buf_init(&text, 8388608);
    repeat(&text, "model_config_list { ", "config { name: 'm", CCZ_SERVE_MODELS_MAX, "}");
    must(&m, ccz_buf_str(&text));
    CHECK(m.len == CCZ_SERVE_MODELS_MAX);
    ccz_serve_models_free(&m);
    repeat(&text, "model_config_list { ", "config { name: 'm", CCZ_SERVE_MODELS_MAX + 1, "}");
    CHECK(is_refused(models(&m, ccz_buf_str(&text)), CCZ_E_LIMIT, &err, "serve:models"));
    const char *versions =
        "model_config_list { config { name: 'm' base_path: '/' model_version_policy { specific { ";
    repeat(&text, versions, "versions: ", CCZ_SERVE_VERSIONS_MAX, "} } } }");
    must(&m, ccz_buf_str(&text));
    CHECK(m.model[0].versions_len == CCZ_SERVE_VERSIONS_MAX);
    ccz_serve_models_free(&m);
    repeat(&text, versions, "versions: ", CCZ_SERVE_VERSIONS_MAX + 1, "} } } }");
    CHECK(is_refused(models(&m, ccz_buf_str(&text)), CCZ_E_LIMIT, &err, "serve:versions"));
    const char *labels = "model_config_list { config { name: 'm' base_path: '/' ";
    repeat(&text, labels, "version_labels { key: 'l", CCZ_INFER_LABELS_MAX, "} }");
    must(&m, ccz_buf_str(&text));
    CHECK(m.model[0].labels_len == CCZ_INFER_LABELS_MAX);
    ccz_serve_models_free(&m);
    repeat(&text, labels, "version_labels { key: 'l", CCZ_INFER_LABELS_MAX + 1, "} }");
    CHECK(is_refused(models(&m, ccz_buf_str(&text)), CCZ_E_LIMIT, &err, "serve:labels"));
    refuses(
        "config { name: 'm' base_path: '/' model_version_policy { latest { num_versions: 257 } } }",
        CCZ_E_LIMIT, "serve:versions", "got 257, expected 256");
    ccz_buf_clear(&text);
    memset(ccz_buf_extend(&text, CCZ_SERVE_CONFIG_SIZE_MAX + 1), ' ',
           CCZ_SERVE_CONFIG_SIZE_MAX + 1);
    CHECK(is_refused(models(&m, ccz_buf_str(&text)), CCZ_E_LIMIT, &err, "serve:config-size"));
    ccz_buf_clear(&text);
    ccz_buf_put_str(&text, "model_config_list { config { name: 'm' base_path: '/");
    memset(ccz_buf_extend(&text, CCZ_SERVE_PATH_SIZE_MAX), 'x', CCZ_SERVE_PATH_SIZE_MAX);
    ccz_buf_put_str(&text, "' } }");
    CHECK(is_refused(models(&m, ccz_buf_str(&text)), CCZ_E_LIMIT, &err, "serve:base-path"));
}

static void test_one_model(void)
{
    struct ccz_serve_models m;
    CHECK(ccz_serve_one_model(&m, "default", "/models/default/", "tensorflow", &err) == CCZ_OK);
    CHECK(m.len == 1 && strcmp(m.model[0].name, "default") == 0);
    CHECK(strcmp(m.model[0].base_path, "/models/default") == 0 && m.model[0].latest == 1);
    ccz_serve_models_free(&m);
    CHECK(is_refused(ccz_serve_one_model(&m, "", "/m", "", &err), CCZ_E_ARG, &err, "serve:name"));
    CHECK(is_refused(ccz_serve_one_model(&m, "a", "m", "", &err), CCZ_E_ARG, &err,
                     "serve:base-path"));
}

static ccz_rc batching(struct ccz_sched_batching *b, const char *text)
{
    err = (struct ccz_err){0};
    return ccz_serve_read_batching(b, NULL, ccz_span_str(text), CCZ_SERVE_TEXT, &err);
}

static void test_batching(void)
{
    struct ccz_sched_batching b;
    CHECK(batching(&b,
                   "max_batch_size { value: 128 }\nbatch_timeout_micros { value: 0 }\n"
                   "max_enqueued_batches { value: 1000000 }\nnum_batch_threads { value: 8 }\n") ==
          CCZ_OK);
    CHECK(b.max_batch_size == 128 && b.batch_timeout_us == 0 && b.max_enqueued_batches == 1000000);
    CHECK(b.num_batch_threads == 8 && b.allowed_len == 0 && !b.pad_variable_length_inputs);
    CHECK(batching(&b, "max_batch_size { value : 16 } allowed_batch_sizes : 4 allowed_batch_sizes "
                       ": 8 allowed_batch_sizes: 16 "
                       "thread_pool_name { value: 'p' } pad_variable_length_inputs: true "
                       "batch_timeout_micros <value: 500>") == CCZ_OK);
    CHECK(b.allowed_len == 3 && b.allowed_batch_sizes[0] == 4 && b.allowed_batch_sizes[2] == 16);
    CHECK(strcmp(b.thread_pool_name, "p") == 0 && b.pad_variable_length_inputs &&
          b.batch_timeout_us == 500);
    CHECK(batching(&b, "max_batch_size { value: 32 } max_execution_batch_size { value: 8 } "
                       "allowed_batch_sizes: [2, 8] "
                       "enable_large_batch_splitting { value: true }") == CCZ_OK);
    CHECK(b.enable_large_batch_splitting && b.max_execution_batch_size == 8 && b.allowed_len == 2);
    CHECK(batching(&b, "") == CCZ_OK && b.on && b.max_batch_size == 0);
    static const uint8_t packed[] = {0x0a, 2, 8, 16, 0x32, 2, 8, 16};
    CHECK(ccz_serve_read_batching(&b, NULL, CCZ_SPAN(packed, sizeof(packed)), CCZ_SERVE_WIRE,
                                  &err) == CCZ_OK);
    CHECK(b.max_batch_size == 16 && b.allowed_len == 2 && b.allowed_batch_sizes[1] == 16);
}

static void test_batching_refused(void)
{
    static const struct {
        const char *text, *where;
    } bad[] = {
        {"max_batch_size { value: 0 }", "serve:batching"},
        {"max_batch_size { }", "serve:batching"},
        {"max_batch_size { value: 2147483648 }", "serve:batching"},
        {"batch_timeout_micros { value: -1 }", "serve:batching"},
        {"max_enqueued_batches { value: 0 }", "serve:batching"},
        {"num_batch_threads { value: -2 }", "serve:batching"},
        {"thread_pool_name { value: "
         "'0123456789012345678901234567890123456789012345678901234567890123' }",
         "serve:batching"},
        {"max_batch_size { value: 16 } allowed_batch_sizes: [4, 8]", "sched:batching"},
        {"max_batch_size { value: 8 } allowed_batch_sizes: [8, 4]", "sched:batching"},
        {"max_batch_size { value: 8 } allowed_batch_sizes: [8, 8]", "sched:batching"},
        {"allowed_batch_sizes: [4, 8]", "sched:batching"}, /* the largest batch is 1000 */
        {"allowed_batch_sizes: [0]", "sched:batching"},
        {"max_execution_batch_size { value: 8 }", "sched:batching"},
        {"max_batch_size { value: 4 } max_execution_batch_size { value: 8 } "
         "enable_large_batch_splitting { value: true }",
         "sched:batching"},
    };
    struct ccz_sched_batching b;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        if (!is_refused(batching(&b, bad[i].text), CCZ_E_ARG, &err, bad[i].where))
            fprintf(stderr, "%s\n", bad[i].text);
        CHECK(strcmp(err.where, bad[i].where) == 0 && b.max_batch_size == 0 && !b.on);
    }
    CHECK(is_refused(batching(&b, "max_batch_size: 128"), CCZ_E_FORMAT, &err, "textpb:value"));
    CHECK(strstr(err.hint, "max_batch_size { value: .. }"));
    CCZ_AUTO_BUF many;
    ccz_buf_init(&many, 4096);
    for (int i = 1; i <= CCZ_SCHED_ALLOWED_MAX + 1; i++)
        ccz_buf_printf(&many, "allowed_batch_sizes: %d ", i);
    CHECK(is_refused(batching(&b, ccz_buf_str(&many)), CCZ_E_LIMIT, &err, "serve:batching"));
}

static void test_ssl(void)
{
    struct ccz_serve_ssl s;
    static const char good[] =
        "server_key: '-----BEGIN PRIVATE KEY-----\nMIIEvQ\n-----END PRIVATE KEY-----\n'\n"
        "server_cert: \"-----BEGIN CERTIFICATE-----\\nMIID\\n\"\n  '-----END CERTIFICATE-----'\n"
        "custom_ca: 'ca'\nclient_verify: true\n";
    static const char key[] = "-----BEGIN PRIVATE KEY-----\nMIIEvQ\n-----END PRIVATE KEY-----\n";
    CHECK(ccz_serve_read_ssl(&s, NULL, ccz_span_str(good), CCZ_SERVE_TEXT, &err) == CCZ_OK);
    CHECK(ccz_secret_size(s.server_key) == sizeof(key) - 1);
    CHECK(memcmp(ccz_secret_view(s.server_key), key, sizeof(key) - 1) == 0);
    CHECK(strcmp(s.server_cert, "-----BEGIN CERTIFICATE-----\nMIID\n-----END CERTIFICATE-----") ==
          0);
    CHECK(strcmp(s.custom_ca, "ca") == 0 && s.client_verify);
    ccz_serve_ssl_free(&s);
    CHECK(!s.server_key && !s.server_cert);
    CHECK(ccz_serve_read_ssl(&s, NULL, ccz_span_str(""), CCZ_SERVE_TEXT, &err) == CCZ_OK);
    CHECK(!s.server_key && s.server_cert[0] == 0 && !s.client_verify);
    ccz_serve_ssl_free(&s);
    static const char *const bad[] = {"server_key: 'k'", "server_cert: 'c'", "client_verify: true",
                                      "server_key: '' server_cert: 'c'"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        CHECK(is_refused(ccz_serve_read_ssl(&s, NULL, ccz_span_str(bad[i]), CCZ_SERVE_TEXT, &err),
                         CCZ_E_ARG, &err, "serve:ssl"));
        CHECK(!s.server_key && !s.server_cert);
    }
    /* a key without its quotes is not repeated in the message */
    CHECK(is_refused(
        ccz_serve_read_ssl(&s, NULL, ccz_span_str("server_key: MIIEvQ"), CCZ_SERVE_TEXT, &err),
        CCZ_E_FORMAT, &err, "textpb:value"));
    CHECK(!strstr(err.msg, "MIIE") && !strstr(err.got, "MIIE"));
}

static void test_monitoring(void)
{
    struct ccz_serve_monitoring m;
    static const char file[] =
        "prometheus_config: {\n  enable: true,\n  path: \"/monitoring/prometheus/metrics\"\n}\n";
    CHECK(ccz_serve_read_monitoring(&m, NULL, ccz_span_str(file), CCZ_SERVE_TEXT, &err) == CCZ_OK);
    CHECK(m.prometheus && strcmp(m.path, "/monitoring/prometheus/metrics") == 0);
    CHECK(ccz_serve_read_monitoring(&m, NULL, ccz_span_str("prometheus_config { enable: true }"),
                                    CCZ_SERVE_TEXT, &err) == CCZ_OK);
    CHECK(m.prometheus && strcmp(m.path, CCZ_SERVE_METRICS_PATH) == 0);
    CHECK(ccz_serve_read_monitoring(&m, NULL, ccz_span_str(""), CCZ_SERVE_TEXT, &err) == CCZ_OK &&
          !m.prometheus);
    CHECK(is_refused(ccz_serve_read_monitoring(
                         &m, NULL, ccz_span_str("prometheus_config { enable: true path: 'x' }"),
                         CCZ_SERVE_TEXT, &err),
                     CCZ_E_ARG, &err, "serve:monitoring"));
    CHECK(!m.prometheus);
}

static void test_session(void)
{
    struct ccz_serve_session s;
    CCZ_AUTO_BUF notes;
    ccz_buf_init(&notes, CCZ_SERVE_NOTES_SIZE_MAX);
    static const char file[] =
        "intra_op_parallelism_threads: 4\ninter_op_parallelism_threads: 2\nallow_soft_placement: "
        "true\n"
        "gpu_options { per_process_gpu_memory_fraction: 0.5 allow_growth: true }\n"
        "graph_options { optimizer_options { global_jit_level: ON_1 } }\n";
    CHECK(ccz_serve_read_session(&s, &notes, ccz_span_str(file), CCZ_SERVE_TEXT, &err) == CCZ_OK);
    CHECK(s.intra_threads == 4 && s.inter_threads == 2);
    CHECK(strcmp(ccz_buf_str(&notes),
                 "allow_soft_placement has no effect here\ngpu_options has no effect here\n"
                 "graph_options has no effect here\n") == 0);
    CHECK(is_refused(ccz_serve_read_session(&s, NULL,
                                            ccz_span_str("intra_op_parallelism_threads: -1"),
                                            CCZ_SERVE_TEXT, &err),
                     CCZ_E_ARG, &err, "serve:threads"));
    CHECK(s.intra_threads == 0);
    CHECK(is_refused(
        ccz_serve_read_session(&s, NULL, ccz_span_str("threads: 1"), CCZ_SERVE_TEXT, &err),
        CCZ_E_FORMAT, &err, "textpb:field"));
}

static void test_platforms(void)
{
    CCZ_AUTO_BUF notes;
    ccz_buf_init(&notes, CCZ_SERVE_NOTES_SIZE_MAX);
    static const char file[] =
        "platform_configs {\n  key: \"tensorflow\"\n  value {\n    source_adapter_config {\n"
        "      [type.googleapis.com/tensorflow.serving.SavedModelBundleSourceAdapterConfig] {\n"
        "        legacy_config {\n          session_config { gpu_options { allow_growth: true } "
        "}\n        }\n      }\n    }\n  }\n}\n";
    CHECK(ccz_serve_read_platforms(&notes, ccz_span_str(file), CCZ_SERVE_TEXT, &err) == CCZ_OK);
    CHECK(strcmp(ccz_buf_str(&notes), "platform_configs of \"tensorflow\" has no effect here\n") ==
          0);
    CHECK(is_refused(
        ccz_serve_read_platforms(&notes, ccz_span_str("platforms {}"), CCZ_SERVE_TEXT, &err),
        CCZ_E_FORMAT, &err, "textpb:field"));
}

/* Bytes that are cut anywhere are refused, or a shorter message: nothing is read behind their end. */
static void test_config_cuts(void)
{
    CCZ_AUTO_BUF b;
    ccz_buf_init(&b, 4096);
    const size_t list = ccz_pb_open(&b, 1), config = ccz_pb_open(&b, 1);
    ccz_pb_put_str(&b, 1, "m");
    ccz_pb_put_str(&b, 2, "/m");
    const size_t policy = ccz_pb_open(&b, 7), specific = ccz_pb_open(&b, 102);
    ccz_pb_put_bytes(&b, 1, CCZ_SPAN("\x01\x80\x01", 3));
    ccz_pb_close(&b, specific);
    ccz_pb_close(&b, policy);
    ccz_pb_close(&b, config);
    ccz_pb_close(&b, list);
    for (size_t n = 1; n <= b.size; n++) {
        struct ccz_serve_models m;
        CCZ_AUTO(ccz_secret) copy = NULL;
        CHECK(ccz_secret_from(&copy, b.ptr, n) == CCZ_OK);
        ccz_rc rc = ccz_serve_read_models(&m, NULL, CCZ_SPAN(ccz_secret_view(copy), n),
                                          CCZ_SERVE_WIRE, &err);
        CHECK(rc == (n == b.size ? CCZ_OK : CCZ_E_FORMAT));
        CHECK(rc != CCZ_OK || (m.model[0].versions_len == 2 && m.model[0].versions[1] == 128));
        ccz_serve_models_free(&m);
    }
}

int main(int argc, char **argv)
{
    static const struct ccz_test tests[] = {
        {"serve.models", test_models},
        {"serve.models_forms", test_models_forms},
        {"serve.models_refused", test_models_refused},
        {"serve.models_limits", test_models_limits},
        {"serve.one_model", test_one_model},
        {"serve.batching", test_batching},
        {"serve.batching_refused", test_batching_refused},
        {"serve.ssl", test_ssl},
        {"serve.monitoring", test_monitoring},
        {"serve.session", test_session},
        {"serve.platforms", test_platforms},
        {"serve.config_cuts", test_config_cuts},
    };
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
