/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_INFER_PRIV_H
#define CCZ_INFER_PRIV_H
/* Inside the model server: memory of one call, versions, tensors as protobuf and as JSON. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* locale_t, strtod_l(); this header comes first in every file */
#endif
#include <cczoo/infer.h>

#include <locale.h>
#include <pthread.h>

/* Names of inputs, outputs and filters in one request; more is refused before they are compared. */
#define CCZI_NAMES_MAX 1024

/* ---- scratch.c: bounded memory of one call */

struct cczi_scratch {
    struct cczi_scratch_block *head;
    uint8_t *at; /* what is free of the current block */
    size_t room;
    size_t left; /* bytes that may still be taken */
    bool full;   /* sticky: something did not fit, or there was no memory */
};
void cczi_scratch_init(struct cczi_scratch *s, size_t size_max);
/* Memory to begin with, aligned to 64 bytes, which outlives @p s. */
void cczi_scratch_lend(struct cczi_scratch *s, void *memory, size_t size);
void cczi_scratch_free(struct cczi_scratch *s);
/* Zeroed, aligned to 64 bytes (TensorFlow then uses it in place); NULL sets `full`. */
void *cczi_scratch_take(struct cczi_scratch *s, size_t len, size_t size);
/* The same with whatever is in it, for memory that is filled at once. */
void *cczi_scratch_raw(struct cczi_scratch *s, size_t len, size_t size);

/* ---- registry.c: versions of models */

struct cczi_version {
    struct cczi_version *next; /* of the same name, newest first */
    const struct cczi_name *of;
    int64_t version;
    enum ccz_infer_state state;
    struct ccz_run_status health; /* why a load failed */
    struct ccz_model *model;
    void *user;
    size_t uses; /* calls in progress */
    void (*idle)(void *arg);
    void *idle_arg;
    uint64_t ended; /* the how manieth to end */
};
struct cczi_label {
    struct cczi_label *next;
    int64_t version;
    char text[];
};
/* A model; stays as long as the server, so that calls may keep its name. */
struct cczi_name {
    struct cczi_name *next; /* of the same bucket */
    struct cczi_version *versions;
    struct cczi_label *labels;
    char text[CCZ_INFER_NAME_SIZE_MAX + 1];
};
enum { CCZI_BUCKETS = 64 };
struct ccz_infer {
    pthread_mutex_t lock; /* everything below but cfg and locale */
    pthread_cond_t changed;
    struct cczi_name *names[CCZI_BUCKETS];
    size_t len;     /* versions */
    uint64_t ended; /* counter */
    struct ccz_infer_cfg cfg;
    locale_t c_locale;          /* JSON numbers have a point whatever the process's locale is */
    pthread_mutex_t watch_lock; /* held while it is called; never inside of `lock` */
    ccz_infer_watch_fn watch;
    void *watch_arg;
    bool leaving;
};
/* Under the lock. */
struct cczi_name *cczi_find_name(const struct ccz_infer *s, struct ccz_span name);

/* tensorflow.serving.ModelSpec */
struct cczi_spec {
    bool present;
    struct ccz_span name, label, signature;
    bool has_version, has_label; /* a oneof: at most one is set */
    int64_t version;
};
/* ---- resolve.c: which version a call means */

/* The version that serves @p spec, held until cczi_release(). @p name: how the model is called here, NULL if it is
 * not known, and set whether or not a version serves. */
ccz_rc cczi_acquire(struct cczi_version **out, const char **name, struct ccz_run_status *st,
                    struct ccz_infer *s, const struct cczi_spec *spec);
void cczi_release(struct ccz_infer *s, struct cczi_version *v);
/* GetModelStatus: @p fn for each version asked for, the newest first, under the lock. */
typedef void (*cczi_version_fn)(void *arg, const struct cczi_version *v);
ccz_rc cczi_status_each(const char **name, struct ccz_run_status *st, struct ccz_infer *s,
                        const struct cczi_spec *spec, cczi_version_fn fn, void *arg);
/* Every version of every name, under the lock. */
void cczi_each(struct ccz_infer *s, cczi_version_fn fn, void *arg);
const char *cczi_state_name(enum ccz_infer_state s);

/* ---- task.c: one call from its request to its answer */

/* Writes what a run gave. @p http is NULL for gRPC. */
typedef ccz_rc (*cczi_answer_fn)(struct ccz_buf *out, struct ccz_infer_http_answer *http,
                                 struct ccz_run_status *st, struct ccz_infer_task *t,
                                 const struct ccz_tensor *result);
struct ccz_infer_task {
    struct ccz_infer_task_info info;
    struct ccz_run_req req;
    struct ccz_infer *s;
    struct cczi_version *v;    /* held, or NULL */
    struct cczi_version *only; /* set: this one, whatever the request says (warm-up) */
    struct cczi_scratch scratch;
    const struct ccz_signature *united; /* of v's model, in use by us; NULL = none */
    size_t examples;
    cczi_answer_fn answer; /* set: a model has to run */
    void *detail;          /* what `answer` wants to know, in scratch */
    /* For cfg.on_done. */
    enum ccz_run_code code;
    int64_t began_ns;
    size_t request_size, response_size;
};
/* Holds the version that @p spec means. */
ccz_rc cczi_task_acquire(struct ccz_infer_task *t, struct ccz_run_status *st,
                         const struct cczi_spec *spec);
/* As in the request: how many outputs come back, and which of the signature the i-th is. */
size_t cczi_task_outputs(const struct ccz_infer_task *t);
const struct ccz_tensor_info *cczi_task_output(const struct ccz_infer_task *t, size_t i);
/* "no memory for the request" */
ccz_rc cczi_no_memory(struct ccz_run_status *st);

/* ---- grpc.c: messages that several methods share */

/* What gRPC itself answers when a message does not parse. */
ccz_rc cczi_unparsable(struct ccz_run_status *st);
/* ModelSpec; false if it is malformed. */
bool cczi_spec_parse(struct cczi_spec *out, struct ccz_span msg);
void cczi_spec_put(struct ccz_buf *out, uint32_t number, const struct ccz_infer_task *t,
                   const char *signature);
/* Reads one message; NULL if there is no such method. */
typedef ccz_rc (*cczi_grpc_fn)(struct ccz_infer_task *t, struct ccz_buf *out,
                               struct ccz_run_status *st, const struct ccz_infer_call *call);
cczi_grpc_fn cczi_grpc_method(const char **api, const char *path);

/* ---- tensor_pb.c: tensorflow.TensorProto */

enum cczi_tensor_result {
    CCZI_TENSOR_OK,
    CCZI_TENSOR_MALFORMED, /* no protobuf message */
    CCZI_TENSOR_INVALID,   /* a message whose parts do not fit together */
    CCZI_TENSOR_LIMIT
};
/* @p out has no name yet; may point into @p proto. */
enum cczi_tensor_result cczi_tensor_decode(struct ccz_tensor *out, struct ccz_span proto,
                                           struct cczi_scratch *scratch);
/* Appends the fields of a TensorProto; strings always go to string_val. */
void cczi_tensor_encode(struct ccz_buf *out, const struct ccz_tensor *t, bool content);
/* A map entry {1 key, 2 value}; false if malformed. */
bool cczi_map_entry(struct ccz_span *key, struct ccz_span *value, struct ccz_span entry);

/* ---- predict.c: the part that gRPC and REST share */

struct cczi_named_proto {
    struct ccz_span name, proto;
};
struct cczi_predict {
    struct cczi_spec spec;
    struct cczi_named_proto *in; /* names unique */
    size_t in_len;
    struct ccz_span *filter;
    size_t filter_len;
};
/* "a,b" sorted, for messages. */
void cczi_put_names(struct ccz_buf *out, const struct ccz_span *names, size_t len);
/* The signature to use, FAILED_PRECONDITION if there is none. */
ccz_rc cczi_find_signature(const struct ccz_signature **out, struct ccz_run_status *st,
                           const struct ccz_model *m, struct ccz_span name);
/* cfg.method_name_check for Predict. */
ccz_rc cczi_check_predict(struct ccz_run_status *st, const struct ccz_infer *s,
                          const struct ccz_signature *sig);
/* Decodes and checks the inputs and the filter against the signature: what the task has to run. */
ccz_rc cczi_predict_prepare(struct ccz_infer_task *t, struct ccz_run_status *st,
                            const struct ccz_signature *sig, const struct cczi_predict *req);
/* What an input that was left out stands for; INVALID_ARGUMENT if it has no default. */
ccz_rc cczi_default_input(struct ccz_tensor *t, struct ccz_run_status *st,
                          const struct ccz_tensor_info *info, struct cczi_scratch *scratch);
/* Sets @p st to the text in @p msg and frees it. */
ccz_rc cczi_status_buf(struct ccz_run_status *st, enum ccz_run_code code, struct ccz_buf *msg);

/* ---- examples.c: serialized tf.Examples as the one input of a model */

/* tensorflow.serving.Input; the strings are in the message or in @p scratch. */
ccz_rc cczi_examples_pb(struct ccz_tensor *out, struct ccz_run_status *st, struct ccz_span input,
                        struct cczi_scratch *scratch);
/* From spans of serialized examples (in scratch), each behind @p context. */
ccz_rc cczi_examples_join(struct ccz_tensor *out, struct ccz_run_status *st,
                          struct ccz_span *examples, size_t len, struct ccz_span context,
                          struct cczi_scratch *scratch);

/* ---- sigtext.c: what protobuf's DebugString() makes of a SignatureDef, for messages */
void cczi_signature_text(struct ccz_buf *out, const struct ccz_signature *sig);

/* ---- classify.c: Classify and Regress, the part that gRPC, REST and MultiInference share */

enum cczi_head { CCZI_CLASSIFY, CCZI_REGRESS };
/* The outputs that a head reads, as indexes into sig->out; SIZE_MAX = there is none. */
struct cczi_wants {
    enum cczi_head head;
    const struct ccz_signature *sig;
    size_t classes, scores; /* Regress: scores only */
};
ccz_rc cczi_wants(struct cczi_wants *out, struct ccz_run_status *st, const struct ccz_infer *s,
                  const struct ccz_signature *sig, enum cczi_head head);
/* What an example got. */
struct cczi_scores {
    enum cczi_head head;
    const struct ccz_tensor *classes, *scores; /* either may be NULL with Classify */
    size_t len, classes_len;                   /* examples, classes of each */
};
/* Checks shapes and types. */
ccz_rc cczi_scores(struct cczi_scores *out, struct ccz_run_status *st, const struct cczi_wants *w,
                   const struct ccz_tensor *classes, const struct ccz_tensor *scores, size_t len);
/* ClassificationResult or RegressionResult */
void cczi_scores_put(struct ccz_buf *out, const struct cczi_scores *r);
void cczi_scores_json(struct ccz_buf *out, const struct cczi_scores *r);
/* What has to run for one head; @p signature as it is called in the request. */
ccz_rc cczi_head_prepare(struct ccz_infer_task *t, struct ccz_run_status *st,
                         struct ccz_span signature, const struct ccz_tensor *examples,
                         enum cczi_head head);
/* INVALID_ARGUMENT if there is none. */
ccz_rc cczi_head_signature(const struct ccz_signature **out, struct ccz_run_status *st,
                           const struct ccz_model *m, struct ccz_span name, const char *text);
ccz_rc cczi_classify_grpc(struct ccz_infer_task *t, struct ccz_buf *out, struct ccz_run_status *st,
                          const struct ccz_infer_call *call);
ccz_rc cczi_regress_grpc(struct ccz_infer_task *t, struct ccz_buf *out, struct ccz_run_status *st,
                         const struct ccz_infer_call *call);
/* ---- multi.c */
ccz_rc cczi_multi_grpc(struct ccz_infer_task *t, struct ccz_buf *out, struct ccz_run_status *st,
                       const struct ccz_infer_call *call);
/* ---- reload.c */
ccz_rc cczi_reload_grpc(struct ccz_infer_task *t, struct ccz_buf *out, struct ccz_run_status *st,
                        const struct ccz_infer_call *call);

/* ---- json_rd.c: a cursor over JSON text, without recursion and without a tree */

struct cczi_json {
    const uint8_t *p, *end, *begin;
    const char *error; /* static text, NULL = none */
    size_t error_at;
    locale_t c_locale;
    const struct cczi_json_seen *seen; /* large lists that need not be passed again; or NULL */
};
enum { CCZI_SEEN_MAX = 32, CCZI_SEEN_SIZE_MIN = 32768 };
struct cczi_json_seen {
    size_t len;
    struct cczi_json_list {
        const uint8_t *from, *behind; /* its '[', and what follows its ']' */
        int64_t len;
    } list[CCZI_SEEN_MAX];
};
enum cczi_json_kind {
    CCZI_NULL,
    CCZI_FALSE,
    CCZI_TRUE,
    CCZI_OBJECT,
    CCZI_ARRAY,
    CCZI_STRING,
    CCZI_NUMBER
};
struct cczi_num {
    bool integer, negative; /* integer: no point or exponent, and it fits 64 bits */
    uint64_t magnitude;
    double real; /* always set */
};
/* Checks the value at the cursor, which stays, and notes its large lists for the cursors that are copied from this one.
 * @param seen  as long as they are used */
bool cczi_json_check(struct cczi_json *j, struct cczi_json_seen *seen);
/* Checks and passes one value. The functions below want text that one of these has accepted. */
bool cczi_json_skip(struct cczi_json *j);
/* Elements of the list at the cursor. */
int64_t cczi_json_elements(struct cczi_json array);
/* Kind of the value at the cursor; white space before it is passed. */
enum cczi_json_kind cczi_json_kind(struct cczi_json *j);
const char *cczi_json_kind_name(enum cczi_json_kind k);
/* After '[' or '{' has been passed with cczi_json_enter(): true while another element (or member)
 * follows. */
void cczi_json_enter(struct cczi_json *j);
bool cczi_json_more(struct cczi_json *j, bool first);
/* ---- json_num.c */
double cczi_json_strtod(const struct cczi_json *j, const uint8_t *from);
struct cczi_num cczi_json_num(struct cczi_json *j);
/* At an element of a list: takes numbers as long as they have no exponent and at most 19 digits. Stops behind the last one.
 * @param[out] out  [most] of double or float
 * @return how many; 0: what is at the cursor is another thing, or cczi_json_num() has to take it */
size_t cczi_json_reals(void *out, bool is_double, size_t most, struct cczi_json *j);
/* String value with escapes resolved, in the text itself or in @p scratch. */
struct ccz_span cczi_json_string(struct cczi_json *j, struct cczi_scratch *scratch);
/* Member name, and the ':' behind it. */
struct ccz_span cczi_json_key(struct cczi_json *j, struct cczi_scratch *scratch);

/* ---- json_wr.c: the layouts of RapidJSON's PrettyWriter and of protobuf's JSON printer */

#define CCZI_JW_DEPTH_MAX (CCZ_INFER_JSON_DEPTH_MAX + 8)
struct cczi_jw {
    struct ccz_buf *out;
    int indent;       /* 4 as RapidJSON, 1 as protobuf */
    bool single_line; /* arrays on one line from now on */
    int depth;
    struct {
        bool array;
        size_t len; /* values written, names counted too */
    } level[CCZI_JW_DEPTH_MAX];
};
void cczi_jw_object(struct cczi_jw *w);
void cczi_jw_object_end(struct cczi_jw *w);
void cczi_jw_array(struct cczi_jw *w);
void cczi_jw_array_end(struct cczi_jw *w);
void cczi_jw_string(struct cczi_jw *w, struct ccz_span s);
void cczi_jw_key(struct cczi_jw *w, const char *name);
void cczi_jw_member(struct cczi_jw *w, const char *name, const char *text);
/* A value whose text the caller appends right after. */
void cczi_jw_raw(struct cczi_jw *w);
/* One validated value laid out for a message, cut at about 256 bytes as TensorFlow Serving does. */
void cczi_json_debug(struct ccz_buf *out, const struct cczi_json *at);

/* ---- json_tensor.c: tensors in and out of REST predict */

struct cczi_json_inputs {
    struct ccz_tensor *in;
    size_t in_len;
    bool row; /* "instances" */
};
/* What the body of a /v1 request may have: cursors at the values, NULL in p if they are not there. */
struct cczi_json_body {
    struct cczi_json root; /* at the validated object */
    struct cczi_json signature_name, instances, inputs, context, examples;
};
/* Finds them in one pass: a value may be a million numbers. Of two members with one name the first counts. */
void cczi_json_body(struct cczi_json_body *out, struct cczi_json root,
                    struct cczi_scratch *scratch);
/* The tensors are in @p scratch or in the text. */
ccz_rc cczi_json_inputs(struct cczi_json_inputs *out, struct ccz_run_status *st,
                        const struct ccz_signature *sig, const struct cczi_json_body *body,
                        struct cczi_scratch *scratch);
/* The outputs of a task as "predictions" (@p row) or "outputs". */
ccz_rc cczi_json_outputs(struct ccz_buf *out, struct ccz_run_status *st,
                         const struct ccz_infer_task *t, const struct ccz_tensor *result, bool row);
/* Member @p key of an object: cursor at its value; false if there is none. The first of two counts.
 */
bool cczi_json_member(struct cczi_json *value, struct cczi_json object, const char *key,
                      struct cczi_scratch *scratch);
/* INVALID_ARGUMENT "JSON Value: ..." and what follows. */
CCZ_FMT(3, 4)
ccz_rc cczi_json_error(struct ccz_run_status *st, const struct cczi_json *value, const char *fmt,
                       ...);
/* {"b64": "..."} with nothing else in it */
bool cczi_json_is_base64(struct cczi_json j, struct cczi_scratch *scratch);
/* Its bytes; passes the value. */
ccz_rc cczi_json_base64(struct ccz_span *out, struct ccz_run_status *st, struct cczi_json *j,
                        struct cczi_scratch *scratch);

/* ---- json_examples.c: tf.Examples out of the body of :classify and :regress */

/* One DT_STRING tensor of serialized examples. */
ccz_rc cczi_json_examples(struct ccz_tensor *out, struct ccz_run_status *st,
                          const struct cczi_json_body *body, struct cczi_scratch *scratch);

/* Values of an input whose type and shape are set: a flat list, or one nested as the shape says. */
ccz_rc cczi_json_values(struct ccz_tensor *t, struct ccz_run_status *st, struct ccz_span name,
                        struct cczi_json j, struct cczi_scratch *scratch);
/* Element @p i as JSON has it; false if JSON has no form for the type. */
bool cczi_json_put_value(struct cczi_jw *w, const struct ccz_tensor *t, size_t i);

/* ---- rest.c: paths */

/* Reads one request; answers it, or sets t->answer. */
ccz_rc cczi_rest_begin(struct ccz_infer_task *t, struct ccz_buf *body,
                       struct ccz_infer_http_answer *answer, struct ccz_run_status *st,
                       const struct ccz_infer_http *call);

/* Passes @p text, in lower case, if the path goes on with it in any case. */
bool cczi_path_take(struct ccz_span *path, const char *text);
/* A part of the path: up to '/' or ':', not empty. */
bool cczi_path_part(struct ccz_span *part, struct ccz_span *path);
/* %-decoding; what is no escape stays as it is. */
struct ccz_span cczi_path_unescape(struct ccz_span s, struct cczi_scratch *scratch);

/* ---- metadata.c: signatures as protobuf and as JSON */

/* SignatureDefMap, without defaults. */
void cczi_signature_map_pb(struct ccz_buf *out, const struct ccz_model *m);
void cczi_signature_map_json(struct ccz_buf *out, const struct ccz_model *m);
/* "DT_FLOAT", also for types that cannot be fed; NULL if there is no such number. */
const char *cczi_dtype_text(uint64_t dtype);

#endif
