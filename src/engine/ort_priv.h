/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_ENGINE_ORT_PRIV_H
#define CCZ_ENGINE_ORT_PRIV_H
#include "engine/engine_priv.h"
#include "engine/ort_api.h"

/* ---- ort_watch.c: ends runs whose time is over */

struct ort_watch;
/* One run; on the stack of the thread that runs. */
struct ort_alarm {
    struct ort_alarm *next, *prev;
    struct OrtRunOptions *options;
    int64_t at_ms; /* of ccz_mono_ms() */
    bool rang;
};
/* Starts no thread before the first alarm. NULL if there is no memory. */
struct ort_watch *cczi_ort_watch_new(const struct ort_api *api);
void cczi_ort_watch_free(struct ort_watch *w); /* no alarm may be set; NULL is fine */
/* @p a and @p a->options stay until cczi_ort_alarm_clear(). CCZ_E_UNAVAILABLE: no thread could be started. */
ccz_rc cczi_ort_alarm_set(struct ort_watch *w, struct ort_alarm *a);
/* Afterwards nobody touches @p a. True if the run was told to end. */
bool cczi_ort_alarm_clear(struct ort_watch *w, struct ort_alarm *a);

/* ---- ort_lib.c */

/* State of an engine. */
struct ort_engine {
    struct ort_api api;
    struct OrtEnv *env;
    struct OrtMemoryInfo *cpu;
    struct OrtAllocator *allocator; /* ORT's own, never freed */
    struct ort_watch *watch;
    int intra_threads, inter_threads;
    bool
        own_pools; /* sessions have threads of their own: the process's pools were made with other numbers */
};
/* Fills e->libraries and e->version too. */
ccz_rc cczi_ort_lib_open(struct ccz_engine *e, struct ort_engine *o, const char *library,
                         struct ccz_err *err);
void cczi_ort_lib_close(struct ort_engine *o);
/* Consumes @p s; true if it is no error. Else the message, cut, is in @p text. */
bool cczi_ort_ok(const struct ort_api *api, struct OrtStatus *s, int *code, char *text,
                 size_t text_size);
/* The same as an error of ours: CCZ_OK or @p rc. */
ccz_rc cczi_ort_check(const struct ort_api *api, struct OrtStatus *s, ccz_rc rc, const char *where,
                      struct ccz_err *err);

/* ---- ort_tensor.c */

/* Element type of ONNX; CCZ_DT_INVALID or 0 for what the other side has not. */
enum ccz_dtype cczi_ort_dtype(int onnx);
int cczi_ort_type(enum ccz_dtype t);
/* A tensor that borrows t->data; strings are copied. */
struct OrtStatus *cczi_ort_feed(struct OrtValue **out, const struct ort_engine *o,
                                const struct ccz_tensor *t);
/* Describes an output in place; strings are copied into the arena. */
ccz_rc cczi_ort_view(struct ccz_tensor *t, struct cczi_arena *a, const struct ort_engine *o,
                     struct OrtValue *from, struct ccz_run_status *st);

#endif
