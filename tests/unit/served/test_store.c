/* SPDX-License-Identifier: Apache-2.0 */
/* Many models: store.c with the real catalog and scheduler, and with a KMS and folders that are functions here. */
#define _GNU_SOURCE
#include "../../../daemons/served/served.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "temp_dir.h"

enum { LIMIT_S = 60 };

static struct ccz_err err;
static struct ccz_run_status st;
static struct ccz_engine *engine;
static struct served_work work;
static struct served_store *store;
static struct served_opts opts;

/* ------------------------------------------------------------------------ models */

static ccz_rc any_load(void **model, struct ccz_buf *signatures, void *arg,
                       const struct ccz_model_cfg *cfg, struct ccz_err *e)
{
    static const int64_t dims[] = {-1};
    const struct ccz_tensor_spec x = {.name = "x", .dtype = CCZ_DT_FLOAT, .rank = 1, .dims = dims};
    (void)arg, (void)cfg, (void)e;
    ccz_signature_put(
        signatures, &(struct ccz_signature_spec){
                        .name = "serving_default", .in = &x, .out = &x, .in_len = 1, .out_len = 1});
    *model = &engine;
    return CCZ_OK;
}

static void any_unload(void *model)
{
    CHECK(model == &engine);
}

static ccz_rc any_run(struct ccz_tensor *out, struct ccz_result *r, struct ccz_run_status *s,
                      void *model, const struct ccz_signature *sig,
                      const struct ccz_tensor *const *in, uint32_t timeout_ms)
{
    (void)out, (void)r, (void)model, (void)sig, (void)in, (void)timeout_ms;
    return ccz_run_status_set(s, CCZ_RUN_UNIMPLEMENTED, "nobody asks");
}

/* ------------------------------------------------------------------------ folders, a file of which says what happens */

static bool has(const char *dir, const char *file)
{
    char path[512];
    (void)snprintf(path, sizeof(path), "%s/%s", dir, file);
    return access(path, R_OK) == 0;
}

struct served_folder {
    const char *dir;
    struct ccz_model_file file[1];
    char text[128];
};

ccz_rc served_folder_open(struct served_folder **out, const char *dir, const struct ccz_secret *key,
                          struct ccz_err *e)
{
    struct served_folder *f = *out = calloc(1, sizeof(*f));
    char path[512];
    (void)key, (void)e;
    CHECK(f);
    f->dir = dir;
    (void)snprintf(path, sizeof(path), "%s/batching", dir);
    FILE *in = fopen(path, "r");
    if (in) {
        f->file[0] = (struct ccz_model_file){.name = "batching_params.pbtxt",
                                             .size = fread(f->text, 1, sizeof(f->text), in)};
        (void)fclose(in);
    }
    return CCZ_OK;
}

static ccz_rc read_text(void *arg, size_t file, uint64_t offset, void *out, size_t size,
                        struct ccz_err *e)
{
    const struct served_folder *f = arg;
    (void)file, (void)e;
    memcpy(out, f->text + offset, size);
    return CCZ_OK;
}

struct ccz_model_cfg served_folder_cfg(struct served_folder *f)
{
    return (struct ccz_model_cfg){
        .files = f->file, .files_len = f->file[0].name ? 1 : 0, .read_at = read_text, .arg = f};
}

static ccz_rc make_model(struct ccz_model **out, struct ccz_err *e)
{
    const struct ccz_model_file file = {.name = "v"};
    const struct ccz_model_cfg cfg = {.files = &file, .files_len = 1, .read_at = read_text};
    return ccz_model_load(out, engine, &cfg, e);
}

ccz_rc served_folder_load(struct ccz_model **out, struct served_folder *f,
                          struct served_engines *engines, const char *tag, struct ccz_err *e)
{
    (void)engines, (void)tag;
    ccz_rc rc = make_model(out, e);
    return rc != CCZ_OK         ? rc
           : has(f->dir, "bad") ? ccz_fail(e, CCZ_E_FORMAT, "test:model", 0, "found at the end")
                                : CCZ_OK;
}

void served_folder_free(struct served_folder *f)
{
    free(f);
}

/* ------------------------------------------------------------------------ bundles, the KMS */

struct ccz_bundle {
    struct ccz_bundle_manifest m;
};
static atomic_int opened;          /* bundles */
static atomic_int opened_wanted;   /* each load waits until there are so many */
static atomic_int inside;          /* loads that are with the KMS now */
static atomic_int inside_wanted;   /* each waits until there are so many */
static atomic_int_fast64_t waits;  /* version that waits for `let_in`; 0 = none */
static atomic_bool let_in, strict; /* strict: each model's key is of another KMS */

bool ccz_bundle_is(const char *dir)
{
    return has(dir, "manifest.json");
}

const struct ccz_bundle_manifest *ccz_bundle_manifest(const struct ccz_bundle *b)
{
    return &b->m;
}

void ccz_bundle_free(struct ccz_bundle *b)
{
    free(b);
}

ccz_rc served_trust_open(struct ccz_bundle **out, const struct served_source *s,
                         const struct served_want *want, struct ccz_err *e)
{
    struct ccz_bundle *b = *out = calloc(1, sizeof(*b));
    (void)s;
    CHECK(b);
    b->m.version = want->version;
    b->m.min_version = has(want->dir, "minimum") ? want->version : 1;
    (void)snprintf(b->m.name, sizeof(b->m.name), "%s", want->name);
    (void)snprintf(b->m.key, sizeof(b->m.key), "key/b");
    atomic_fetch_add(&opened, 1);
    return want->version < want->version_min
               ? ccz_fail(e, CCZ_E_POLICY, "bundle:rolled-back", want->version, "too old")
               : CCZ_OK;
}

static void wait_until(atomic_int *what, int at_least)
{
    const int64_t end = ccz_mono_ns() + LIMIT_S * INT64_C(1000000000);
    while (atomic_load(what) < at_least && ccz_mono_ns() < end)
        (void)usleep(1000);
    CHECK(atomic_load(what) >= at_least);
}

/* What the KMS gives, and which one it is. */
static ccz_rc ask_kms(struct ccz_kms_instance *kms, const char *model, struct ccz_err *e)
{
    struct ccz_kms_release info = {0};
    if (atomic_load(&strict))
        info.instance[0] = (uint8_t)model[0];
    atomic_fetch_add(&inside, 1);
    wait_until(&inside, atomic_load(&inside_wanted));
    return ccz_kms_instance_check(kms, &info, e);
}

ccz_rc served_trust_load(struct ccz_model **out, const struct served_source *s,
                         struct ccz_bundle *bundle, struct ccz_err *e)
{
    wait_until(&opened, atomic_load(&opened_wanted));
    while (atomic_load(&waits) == bundle->m.version && !atomic_load(&let_in))
        (void)usleep(1000);
    ccz_rc rc = ask_kms(s->kms, bundle->m.name, e);
    return rc == CCZ_OK ? make_model(out, e) : rc;
}

ccz_rc served_get_items(struct served_item *items, size_t len, const struct served_opts *o,
                        struct ccz_kms_instance *kms, struct ccz_attester *attester,
                        struct ccz_err *e)
{
    (void)o, (void)attester;
    CHECK(len == 1);
    return ask_kms(kms, items[0].name + strlen("key/"), e);
}

ccz_rc ccz_kms_instance_check(struct ccz_kms_instance *pin, const struct ccz_kms_release *info,
                              struct ccz_err *e)
{
    if (!pin->known)
        memcpy(pin->id, info->instance, sizeof(pin->id));
    pin->known = true;
    return memcmp(pin->id, info->instance, sizeof(pin->id)) == 0
               ? CCZ_OK
               : ccz_fail(e, CCZ_E_UNTRUSTED, "kms:instance", 0, "another one");
}

ccz_rc served_revoke_start(struct served_revoke **out, const struct served_revoke_cfg *cfg,
                           struct ccz_err *e)
{
    (void)cfg;
    *out = NULL;
    return ccz_fail(e, CCZ_E_ARG, "test:revoke", 0, "there is no --kms here");
}

ccz_rc served_revoke_hold(struct served_revoke *r, const struct served_held *held,
                          const struct ccz_kms_instance *kms, struct ccz_err *e)
{
    (void)r, (void)e;
    CHECK(kms->known && held->model[0]);
    return CCZ_OK;
}

void served_revoke_let_go(struct served_revoke *r, const char *model, int64_t version)
{
    (void)r, (void)model, (void)version;
}

void served_revoke_stop(struct served_revoke *r)
{
    CHECK(!r);
}

void served_revoke_free(struct served_revoke *r)
{
    CHECK(!r);
}

/* ------------------------------------------------------------------------ what the scheduler was told */

static atomic_int_fast64_t batch_size; /* of the last queue that was set; 0 = the default */

ccz_rc __real_ccz_sched_model(struct ccz_sched *s, const char *name,
                              const struct ccz_sched_model_cfg *cfg, struct ccz_err *e);
ccz_rc __wrap_ccz_sched_model(struct ccz_sched *s, const char *name,
                              const struct ccz_sched_model_cfg *cfg, struct ccz_err *e);
ccz_rc __wrap_ccz_sched_model(struct ccz_sched *s, const char *name,
                              const struct ccz_sched_model_cfg *cfg, struct ccz_err *e)
{
    atomic_store(&batch_size, cfg->batching ? cfg->batching->max_batch_size : 0);
    return __real_ccz_sched_model(s, name, cfg, e);
}

static void list_queue(void *arg, const struct ccz_sched_model_stats *m)
{
    (void)strcat(strcat(arg, m->name), " ");
}

static bool has_queue(const char *name)
{
    char all[1024] = " ", one[64];
    ccz_sched_models(work.sched, list_queue, all);
    (void)snprintf(one, sizeof(one), " %s ", name);
    return strstr(all, one) != NULL;
}

/* ------------------------------------------------------------------------ the store */

/* A folder of a version, with one file in it, which says what it is. */
static void put(const char *model, const char *version, const char *file, const char *text)
{
    (void)mkdir(temp_path(model), 0700);
    char name[64];
    (void)snprintf(name, sizeof(name), "%s/%s", model, version);
    (void)mkdir(temp_path(name), 0700);
    if (!file)
        return;
    (void)snprintf(name, sizeof(name), "%s/%s/%s", model, version, file);
    FILE *f = fopen(temp_path(name), "w");
    CHECK(f && fputs(text, f) >= 0 && fclose(f) == 0);
}

/* The configuration names these models; NULL at the end. */
static void config(const char *const *models)
{
    FILE *f = fopen(temp_path("models.config"), "w");
    CHECK(f && fputs("model_config_list {\n", f) >= 0);
    for (; *models; models++)
        CHECK(fprintf(f,
                      "config { name: '%s' base_path: '%s/%s' model_version_policy { all {} } }\n",
                      *models, temp_base, *models) > 0);
    CHECK(fputs("}\n", f) >= 0 && fclose(f) == 0);
}
#define CONFIG(...) config((const char *const[]){__VA_ARGS__, NULL})

static void begin(void)
{
    static const struct ccz_engine_ops ops = {
        .name = "any", .load = any_load, .unload = any_unload, .run = any_run};
    static char file[512];
    (void)snprintf(file, sizeof(file), "%s", temp_path("models.config"));
    opts = (struct served_opts){.many = true,
                                .threads = 1,
                                .queue = 8,
                                .queue_all = 8,
                                .models_in_clear = true,
                                .bundle_signer = "signer.pub",
                                .tfs = {.models_file = file, .load_threads = 2}};
    atomic_store(&opened, 0);
    atomic_store(&opened_wanted, 0);
    atomic_store(&inside, 0);
    atomic_store(&inside_wanted, 0);
    atomic_store(&waits, 0);
    atomic_store(&let_in, false);
    atomic_store(&strict, false);
    CHECK(ccz_engine_custom(&engine, &ops, NULL, &err) == CCZ_OK);
}

static void start(void)
{
    CHECK(served_work_open(&work, &opts, &err) == CCZ_OK);
    CHECK(served_store_new(&store, &opts, NULL, NULL, &work, &err) == CCZ_OK);
    served_work_configure(&work, &opts, served_store_catalog(store));
}

/* In the order of main.c: the scheduler ends before the catalog does. */
static void end(void)
{
    served_store_stop(store);
    served_work_close(&work);
    served_store_free(store);
    served_work_free(&work);
    ccz_engine_free(engine);
    temp_cleanup();
    CHECK(mkdir(temp_base, 0700) == 0);
    work = (struct served_work){0};
}

static void poll_all(void)
{
    ccz_catalog_poll(served_store_catalog(store));
    CHECK(ccz_catalog_settle(served_store_catalog(store), LIMIT_S * 1000, &err) == CCZ_OK);
}

struct looked_for {
    const char *name;
    int64_t version;
    enum ccz_infer_state state;
    char alarm[512];
};

static void look(void *arg, const struct ccz_catalog_info *i)
{
    struct looked_for *l = arg;
    if (i->version != l->version || strcmp(i->name, l->name) != 0)
        return;
    l->state = i->state;
    (void)snprintf(l->alarm, sizeof(l->alarm), "%s", i->alarm);
}

static struct looked_for state(const char *name, int64_t version)
{
    struct looked_for l = {.name = name, .version = version};
    ccz_catalog_each(served_store_catalog(store), look, &l);
    return l;
}

static bool is_served(const char *name, int64_t version)
{
    return state(name, version).state == CCZ_INFER_AVAILABLE;
}

static bool refused(const char *name, int64_t version, const char *where)
{
    const struct looked_for l = state(name, version);
    return l.state == CCZ_INFER_END && strncmp(l.alarm, where, strlen(where)) == 0;
}

/* ------------------------------------------------------------------------ tests */

/* What a version says of its queue counts while it is in service, whatever is configured meanwhile. */
static void test_batching(void)
{
    begin();
    opts.tfs.model_batching = true;
    start();
    put("m", "1", "batching", "max_batch_size { value: 7 }");
    CONFIG("m");
    CHECK(served_store_configure(store, true, &err) == CCZ_OK && is_served("m", 1));
    CHECK(atomic_load(&batch_size) == 7);
    CHECK(served_store_reload(store, &err) == CCZ_OK);
    CHECK(atomic_load(&batch_size) == 7);
    put("m", "2", "batching", "max_batch_size { value: 9 } max_execution_batch_size { value: 1 }");
    poll_all();
    CHECK(refused("m", 2, "sched:batching") && atomic_load(&batch_size) == 7);
    put("m", "3", "batching", "max_batch_size { value: 9 }");
    put("m", "3", "bad", "");
    poll_all();
    CHECK(refused("m", 3, "test:model") && atomic_load(&batch_size) == 7);
    put("m", "4", NULL, NULL);
    poll_all();
    CHECK(is_served("m", 4) && atomic_load(&batch_size) == 0);
    end();
}

/* Who configures a model, by the file or as a client, makes its queue; which goes with it. */
static void test_queues(void)
{
    struct ccz_serve_models one;
    begin();
    start();
    put("a", "1", NULL, NULL);
    put("b", "1", NULL, NULL);
    CONFIG("a");
    CHECK(served_store_configure(store, true, &err) == CCZ_OK);
    CHECK(has_queue("a") && !has_queue("b"));
    CHECK(ccz_serve_one_model(&one, "b", temp_path("b"), "", &err) == CCZ_OK);
    CHECK(ccz_catalog_replace(served_store_catalog(store), &one, -1, &st) == CCZ_OK);
    ccz_serve_models_free(&one);
    poll_all();
    CHECK(has_queue("b") && !has_queue("a"));
    CHECK(served_store_configure(store, false, &err) == CCZ_OK); /* the file is as it was */
    poll_all();
    CHECK(has_queue("b") && !has_queue("a"));
    CHECK(served_store_reload(store, &err) == CCZ_OK);
    poll_all();
    CHECK(has_queue("a") && !has_queue("b") && is_served("a", 1));
    end();
}

/* A KMS that is slow to answer one load keeps no other waiting. */
static void test_parallel(void)
{
    begin();
    opts.models_in_clear = true;
    start();
    put("first", "1", NULL, NULL); /* the first model of a platform is loaded alone */
    CONFIG("first");
    CHECK(served_store_configure(store, true, &err) == CCZ_OK);
    put("x", "1", "manifest.json", "");
    put("y", "1", "manifest.json", "");
    CONFIG("first", "x", "y");
    atomic_store(&inside_wanted, 2);
    CHECK(served_store_configure(store, true, &err) == CCZ_OK);
    CHECK(is_served("x", 1) && is_served("y", 1));
    end();
}

/* Two loads ask while nobody knows which KMS it is: they need not be answered by two. */
static void test_one_kms(void)
{
    begin();
    start();
    put("first", "1", NULL, NULL);
    CONFIG("first");
    CHECK(served_store_configure(store, true, &err) == CCZ_OK);
    put("x", "1", "manifest.json", "");
    put("y", "1", "manifest.json", "");
    CONFIG("first", "x", "y");
    atomic_store(&inside_wanted, 2);
    atomic_store(&strict, true);
    CHECK(served_store_configure(store, true, &err) != CCZ_OK);
    CHECK(is_served("x", 1) != is_served("y", 1));
    CHECK(refused("x", 1, "kms:instance") || refused("y", 1, "kms:instance"));
    end();
}

/* What is forbidden while it is loaded is not accepted either. */
static void test_floor(void)
{
    begin();
    start();
    put("m", "1", NULL, NULL);
    CONFIG("m");
    CHECK(served_store_configure(store, true, &err) == CCZ_OK);
    put("m", "2", "manifest.json", "");
    put("m", "3", "manifest.json", "");
    put("m", "3", "minimum", "");
    atomic_store(&waits, 2);
    atomic_store(&opened_wanted, 2); /* either was good enough then */
    ccz_catalog_poll(served_store_catalog(store));
    for (int i = 0; i < LIMIT_S * 1000 && !is_served("m", 3); i++)
        (void)usleep(1000);
    CHECK(is_served("m", 3));
    atomic_store(&let_in, true);
    poll_all();
    CHECK(refused("m", 2, "served:rolled-back"));
    end();
}

/* Who says whose signature counts means every version. */
static void test_unsigned(void)
{
    for (int too = 0; too < 2; too++) {
        begin();
        opts.models_in_clear = false;
        opts.unsigned_too = too == 1;
        start();
        put("m", "1", NULL, NULL);
        CONFIG("m");
        CHECK((served_store_configure(store, true, &err) == CCZ_OK) == (too == 1));
        CHECK(too ? is_served("m", 1) : refused("m", 1, "served:unsigned"));
        put("m", "2", "manifest.json", "");
        poll_all();
        CHECK(is_served("m", 2));
        end();
    }
    begin(); /* nobody's signature counts, and nobody says that it should */
    opts.models_in_clear = false;
    opts.bundle_signer = NULL;
    start();
    put("m", "1", NULL, NULL);
    put("m", "2", "manifest.json", "");
    CONFIG("m");
    CHECK(served_store_configure(store, true, &err) == CCZ_OK);
    poll_all();
    CHECK(is_served("m", 1) && refused("m", 2, "served:bundle-signer"));
    end();
}

int main(int argc, char **argv)
{
    static const struct ccz_test tests[] = {
        {"served.store_batching", test_batching}, {"served.store_queues", test_queues},
        {"served.store_parallel", test_parallel}, {"served.store_one_kms", test_one_kms},
        {"served.store_floor", test_floor},       {"served.store_unsigned", test_unsigned},
    };
    temp_setup();
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
