/* SPDX-License-Identifier: Apache-2.0 */
/* Bundles and the engine that serves them with the k-th allocation failing, for every k: refused, and nothing left behind. */
#define _GNU_SOURCE
#include "nomem.h"

#include "bundle_kit.h"

#include <dirent.h>

/* The files of a bundle in memory: reading them allocates nothing. */
struct image {
    struct ccz_model_file file[CCZI_BUNDLE_FILES_MAX];
    struct ccz_buf bytes[CCZI_BUNDLE_FILES_MAX];
    size_t len;
};

static ccz_rc image_read(void *arg, size_t file, uint64_t offset, void *out, size_t size,
                         struct ccz_err *err)
{
    const struct image *m = arg;
    const struct ccz_span s = ccz_span_sub(ccz_buf_span(&m->bytes[file]), (size_t)offset, size);
    if (s.size != size)
        return ccz_fail(err, CCZ_E_IO, "test:read", 0, "out of range");
    memcpy(out, s.ptr, size);
    return CCZ_OK;
}

static void image_take(struct image *m, const struct kit *k, const char *dir)
{
    *m = (struct image){.len = CCZI_BUNDLE_FILES_MAX};
    for (size_t i = 0; i < m->len; i++) {
        const char *name = i == 0   ? CCZI_BUNDLE_MANIFEST
                           : i == 1 ? CCZI_BUNDLE_SIGNATURE
                                    : cczi_bundle_part_name((enum cczi_bundle_part)(i - 2));
        kit_read_file(&m->bytes[i], k, dir, name);
        m->file[i] = (struct ccz_model_file){name, m->bytes[i].size};
    }
}

/* Loads the bundle into an engine and asks it once. */
static bool use(struct kit *k, const struct image *m)
{
    const struct ccz_recsys_engine_cfg cfg = {.bundle = kit_cfg(k)};
    const struct ccz_model_cfg files = {
        .files = m->file, .files_len = m->len, .read_at = image_read, .arg = (void *)(uintptr_t)m};
    const int64_t ids[2] = {ccz_recsys_ids_get(k->data.item, 3).num, -1}, ten = 10;
    const float ratings[2] = {5, 1};
    const struct ccz_tensor in[4] = {
        {.name = "exclude",
         .dtype = CCZ_DT_INT64,
         .rank = 2,
         .dims = {1, 1},
         .len = 1,
         .data = CCZ_SPAN(ids, 8)},
        {.name = "k", .dtype = CCZ_DT_INT64, .len = 1, .data = CCZ_SPAN(&ten, 8)},
        {.name = "rated_items",
         .dtype = CCZ_DT_INT64,
         .rank = 2,
         .dims = {1, 2},
         .len = 2,
         .data = CCZ_SPAN(ids, 16)},
        {.name = "ratings",
         .dtype = CCZ_DT_FLOAT,
         .rank = 2,
         .dims = {1, 2},
         .len = 2,
         .data = CCZ_SPAN(ratings, 8)}};
    struct ccz_err err = {0};
    struct ccz_run_status st = {0};
    CCZ_AUTO(ccz_engine) e = NULL;
    CCZ_AUTO(ccz_model) model = NULL;
    CCZ_AUTO(ccz_result) r = NULL;
    ccz_rc rc = ccz_recsys_engine(&e, &cfg, &err);
    if (rc == CCZ_OK)
        rc = ccz_model_load(&model, e, &files, &err);
    CHECK((rc == CCZ_OK) == (model != NULL));
    if (rc != CCZ_OK) /* OpenSSL cannot always say why it did not verify */
        return false;
    const struct ccz_run_req req = {
        .sig = ccz_model_signature(model, "fold_in"), .in = in, .in_len = 4};
    rc = ccz_model_run(&r, &st, model, &req, &err);
    CHECK((rc == CCZ_OK) == (r != NULL));
    CHECK(rc == CCZ_OK || rc == CCZ_E_NOMEM || st.code == CCZ_RUN_RESOURCE_EXHAUSTED);
    ccz_result_free(ccz_result_take(&r));
    return rc == CCZ_OK;
}

static size_t entries(const char *dir)
{
    size_t n = 0;
    DIR *d = opendir(dir);
    CHECK(d);
    while (readdir(d))
        n++;
    CHECK(closedir(d) == 0);
    return n;
}

static void nomem(void)
{
    struct kit k;
    struct image m;
    CHECK(nomem_openssl());
    kit_begin(&k, false);
    image_take(&m, &k, kit_save(&k, "whole"));
    /* Until there is no k-th one. OpenSSL's caches do without some of theirs: then all may be well. */
    long n = 0;
    for (bool done = false; !done; n++) {
        nomem_left = n;
        const bool well = use(&k, &m);
        done = nomem_left >= 0;
        nomem_left = -1;
        CHECK(well || !done);
    }
    CHECK(n > 60);
    const char *dir = temp_make_dir("tries");
    char path[1024];
    bool done = false;
    for (n = 0; !done; n += n < 60 ? 1 : 11) { /* each costs a dozen files on the disk */
        (void)snprintf(path, sizeof(path), "%s/bundle%ld", dir, n);
        const size_t before = entries(dir);
        nomem_left = n;
        const bool well = ccz_recsys_bundle_save(NULL, path, &k.w, NULL) == CCZ_OK;
        done = nomem_left >= 0;
        nomem_left = -1;
        CHECK(well || !done);
        CHECK(entries(dir) == before + (well ? 1 : 0)); /* nothing half done under any name */
    }
    CHECK(n > 60);
    for (size_t i = 0; i < m.len; i++)
        ccz_buf_free(&m.bytes[i]);
    kit_end(&k);
}

int main(int argc, char **argv)
{
    static const struct ccz_test tests[] = {{"bundle.nomem", nomem}};
    temp_setup();
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
