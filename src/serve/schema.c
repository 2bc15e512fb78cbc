/* SPDX-License-Identifier: Apache-2.0 */
/* What configuration files may hold. Numbers and names are those of tensorflow/serving @9d981c5 and TensorFlow 2.21. */
#include "serve/serve_priv.h"

#define LEN(a) (sizeof(a) / sizeof((a)[0]))
#define FIELD(n, num, k)                                                                           \
    {                                                                                              \
        .name = (n), .number = (num), .kind = CCZ_TEXTPB_##k                                       \
    }
#define MESSAGE(n, num, m)                                                                         \
    {                                                                                              \
        .name = (n), .number = (num), .kind = CCZ_TEXTPB_MESSAGE, .message = &(m)                  \
    }

/* ------------------------------------------------------------------------ ModelServerConfig */

static const struct ccz_textpb_field latest_fields[] = {FIELD("num_versions", 1, UINT32)};
static const struct ccz_textpb_message latest = {"Latest", latest_fields, LEN(latest_fields)};
static const struct ccz_textpb_message every = {"All", latest_fields, 0};
static const struct ccz_textpb_field specific_fields[] = {
    {.name = "versions", .number = 1, .kind = CCZ_TEXTPB_INT64, .repeated = true}};
static const struct ccz_textpb_message specific = {"Specific", specific_fields,
                                                   LEN(specific_fields)};
static const struct ccz_textpb_field policy_fields[] = {
    {.name = "latest", .number = 100, .kind = CCZ_TEXTPB_MESSAGE, .message = &latest, .oneof = 1},
    {.name = "all", .number = 101, .kind = CCZ_TEXTPB_MESSAGE, .message = &every, .oneof = 1},
    {.name = "specific",
     .number = 102,
     .kind = CCZ_TEXTPB_MESSAGE,
     .message = &specific,
     .oneof = 1},
};
static const struct ccz_textpb_message policy = {"ServableVersionPolicy", policy_fields,
                                                 LEN(policy_fields)};
static const struct ccz_textpb_field label_fields[] = {FIELD("key", 1, STRING),
                                                       FIELD("value", 2, INT64)};
static const struct ccz_textpb_message label = {"version_labels", label_fields, LEN(label_fields)};
static const struct ccz_textpb_value model_types[] = {
    {"MODEL_TYPE_UNSPECIFIED", 0}, {"TENSORFLOW", 1}, {"OTHER", 2}, {NULL, 0}};
static const struct ccz_textpb_field model_fields[] = {
    FIELD("name", 1, STRING),
    FIELD("base_path", 2, STRING),
    {.name = "model_type", .number = 3, .kind = CCZ_TEXTPB_ENUM, .values = model_types},
    FIELD("model_platform", 4, STRING),
    MESSAGE("model_version_policy", 7, policy),
    {.name = "version_labels",
     .number = 8,
     .kind = CCZ_TEXTPB_MESSAGE,
     .message = &label,
     .repeated = true},
    FIELD("logging_config", 6, IGNORED),
};
static const struct ccz_textpb_message model = {"ModelConfig", model_fields, LEN(model_fields)};
static const struct ccz_textpb_field list_fields[] = {{.name = "config",
                                                       .number = 1,
                                                       .kind = CCZ_TEXTPB_MESSAGE,
                                                       .message = &model,
                                                       .repeated = true}};
static const struct ccz_textpb_message list = {"ModelConfigList", list_fields, LEN(list_fields)};
static const struct ccz_textpb_field server_fields[] = {
    {.name = "model_config_list",
     .number = 1,
     .kind = CCZ_TEXTPB_MESSAGE,
     .message = &list,
     .oneof = 1},
    {.name = "custom_model_config", .number = 2, .kind = CCZ_TEXTPB_IGNORED, .oneof = 1},
};
const struct ccz_textpb_message cczi_model_server_config = {"ModelServerConfig", server_fields,
                                                            LEN(server_fields)};

/* ------------------------------------------------------------------------ the others */

static const struct ccz_textpb_field int64_fields[] = {FIELD("value", 1, INT64)};
static const struct ccz_textpb_message int64_value = {"Int64Value", int64_fields, 1};
static const struct ccz_textpb_field string_fields[] = {FIELD("value", 1, STRING)};
static const struct ccz_textpb_message string_value = {"StringValue", string_fields, 1};
static const struct ccz_textpb_field bool_fields[] = {FIELD("value", 1, BOOL)};
static const struct ccz_textpb_message bool_value = {"BoolValue", bool_fields, 1};
static const struct ccz_textpb_field batching_fields[] = {
    MESSAGE("max_batch_size", 1, int64_value),
    MESSAGE("batch_timeout_micros", 2, int64_value),
    MESSAGE("max_enqueued_batches", 3, int64_value),
    MESSAGE("num_batch_threads", 4, int64_value),
    MESSAGE("thread_pool_name", 5, string_value),
    {.name = "allowed_batch_sizes", .number = 6, .kind = CCZ_TEXTPB_INT64, .repeated = true},
    FIELD("pad_variable_length_inputs", 7, BOOL),
    MESSAGE("enable_large_batch_splitting", 8, bool_value),
    MESSAGE("max_execution_batch_size", 9, int64_value),
};
const struct ccz_textpb_message cczi_batching_parameters = {"BatchingParameters", batching_fields,
                                                            LEN(batching_fields)};

static const struct ccz_textpb_field ssl_fields[] = {
    FIELD("server_key", 1, STRING), FIELD("server_cert", 2, STRING), FIELD("custom_ca", 3, STRING),
    FIELD("client_verify", 4, BOOL)};
const struct ccz_textpb_message cczi_ssl_config = {"SSLConfig", ssl_fields, LEN(ssl_fields)};

static const struct ccz_textpb_field prometheus_fields[] = {FIELD("enable", 1, BOOL),
                                                            FIELD("path", 2, STRING)};
static const struct ccz_textpb_message prometheus = {"PrometheusConfig", prometheus_fields,
                                                     LEN(prometheus_fields)};
static const struct ccz_textpb_field monitoring_fields[] = {
    MESSAGE("prometheus_config", 1, prometheus)};
const struct ccz_textpb_message cczi_monitoring_config = {"MonitoringConfig", monitoring_fields,
                                                          LEN(monitoring_fields)};

/* Beside the threads nothing is for a CPU server with one device to act on. */
static const struct ccz_textpb_field session_fields[] = {
    {.name = "device_count", .number = 1, .kind = CCZ_TEXTPB_IGNORED, .repeated = true},
    FIELD("intra_op_parallelism_threads", 2, INT32),
    FIELD("placement_period", 3, IGNORED),
    {.name = "device_filters", .number = 4, .kind = CCZ_TEXTPB_IGNORED, .repeated = true},
    FIELD("inter_op_parallelism_threads", 5, INT32),
    FIELD("gpu_options", 6, IGNORED),
    FIELD("allow_soft_placement", 7, IGNORED),
    FIELD("log_device_placement", 8, IGNORED),
    FIELD("use_per_session_threads", 9, IGNORED),
    FIELD("graph_options", 10, IGNORED),
    FIELD("operation_timeout_in_ms", 11, IGNORED),
    {.name = "session_inter_op_thread_pool",
     .number = 12,
     .kind = CCZ_TEXTPB_IGNORED,
     .repeated = true},
    FIELD("rpc_options", 13, IGNORED),
    FIELD("cluster_def", 14, IGNORED),
    FIELD("isolate_session_state", 15, IGNORED),
    FIELD("experimental", 16, IGNORED),
    FIELD("share_cluster_devices_in_session", 17, IGNORED),
};
const struct ccz_textpb_message cczi_config_proto = {"ConfigProto", session_fields,
                                                     LEN(session_fields)};

static const struct ccz_textpb_field platform_fields[] = {
    FIELD("source_adapter_config", 1, IGNORED)};
static const struct ccz_textpb_message platform = {"PlatformConfig", platform_fields,
                                                   LEN(platform_fields)};
static const struct ccz_textpb_field entry_fields[] = {FIELD("key", 1, STRING),
                                                       MESSAGE("value", 2, platform)};
static const struct ccz_textpb_message entry = {"platform_configs", entry_fields,
                                                LEN(entry_fields)};
static const struct ccz_textpb_field map_fields[] = {{.name = "platform_configs",
                                                      .number = 1,
                                                      .kind = CCZ_TEXTPB_MESSAGE,
                                                      .message = &entry,
                                                      .repeated = true}};
const struct ccz_textpb_message cczi_platform_config_map = {"PlatformConfigMap", map_fields,
                                                            LEN(map_fields)};
