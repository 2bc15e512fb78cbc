/* SPDX-License-Identifier: Apache-2.0 */
/* One whole use of data with the k-th allocation failing, for every k: read, sorted on disk, filtered, written, loaded. */
#define _GNU_SOURCE
#include "nomem.h"
#include "temp_dir.h"

#include <cczoo/recsys_data.h>

static struct ccz_secret *key;

static ccz_rc source(struct ccz_recsys_source **s, const struct ccz_buf *text, struct ccz_err *err)
{
    return ccz_recsys_source_mem(s, CCZ_SPAN(text->ptr, text->size), err);
}

static ccz_rc read_all(const struct ccz_buf *text, const struct ccz_recsys_filter *filter,
                       struct ccz_err *err)
{
    struct ccz_recsys_format f;
    struct ccz_recsys_data d;
    CCZ_AUTO(ccz_recsys_source) s = NULL;
    CCZ_AUTO(ccz_recsys_titles) t = NULL;
    CHECK(ccz_recsys_format_from(&f, "csv"));
    ccz_rc rc = source(&s, text, err);
    if (rc == CCZ_OK)
        rc = ccz_recsys_read(&d, s, &f, filter, err);
    if (rc != CCZ_OK)
        return rc;
    CCZ_AUTO(ccz_recsys_source) again = NULL;
    f.title = f.user;
    rc = source(&again, text, err);
    if (rc == CCZ_OK)
        rc = ccz_recsys_titles_read(&t, again, &f, d.item, err);
    ccz_recsys_data_deinit(&d);
    return rc;
}

static ccz_rc save_load(const struct ccz_recsys_ids *ids, struct ccz_err *err)
{
    CCZ_AUTO(ccz_recsys_ids) back = NULL;
    const char *path = temp_path("ids");
    (void)remove(path);
    ccz_rc rc = ccz_recsys_ids_save(ids, path, key, "ids", err);
    if (rc == CCZ_OK)
        rc = ccz_recsys_ids_load(&back, path, key, "ids", err);
    CHECK(rc != CCZ_OK || ccz_recsys_ids_len(back) == ccz_recsys_ids_len(ids));
    return rc;
}

static ccz_rc build_ids(const struct ccz_buf *text, const struct ccz_recsys_filter *filter,
                        struct ccz_err *err)
{
    struct ccz_recsys_format f;
    struct ccz_recsys_matrices m;
    CCZ_AUTO(ccz_recsys_source) s = NULL;
    CHECK(ccz_recsys_format_from(&f, "tsv"));
    f.delimiter[0] = ',';
    ccz_rc rc = source(&s, text, err);
    if (rc == CCZ_OK)
        rc = ccz_recsys_build(
            &m, s, &f, &(struct ccz_recsys_build_cfg){.filter = *filter, .by_item = true}, err);
    if (rc != CCZ_OK)
        return rc;
    CHECK(m.counts.left > 0);
    rc = save_load(m.user, err);
    ccz_recsys_matrices_deinit(&m);
    return rc;
}

enum { LEN = 110000 }; /* three runs */
static struct ccz_recsys_rating ratings[LEN];

static ccz_rc build_runs(struct ccz_err *err)
{
    struct ccz_recsys_matrices m;
    CCZ_AUTO(ccz_recsys_builder) b = NULL;
    ccz_rc rc = ccz_recsys_builder_new(
        &b,
        &(struct ccz_recsys_build_cfg){.filter.twice = CCZ_RECSYS_TWICE_LAST,
                                       .memory_max = CCZ_RECSYS_BUILD_MEMORY_MIN,
                                       .spill_dir = temp_base},
        err);
    if (rc == CCZ_OK)
        rc = ccz_recsys_builder_add(b, ratings, LEN, err);
    if (rc == CCZ_OK)
        rc = ccz_recsys_builder_finish(&m, b, err);
    if (rc != CCZ_OK)
        return rc;
    CHECK(m.spilled > LEN * 20 && m.by_user->len == 301 * 97);
    ccz_recsys_matrices_deinit(&m);
    return CCZ_OK;
}

static void nomem(void)
{
    const struct ccz_recsys_filter filter = {
        .twice = CCZ_RECSYS_TWICE_LAST, .per_user = 2, .per_item = 2};
    CCZ_AUTO_BUF text;
    struct ccz_err err = {0};
    temp_setup();
    CHECK(ccz_pf_key_generate(&key, &err) == CCZ_OK);
    ccz_buf_init(&text, 1 << 20);
    ccz_buf_put_str(&text, "user,item,rating,timestamp\n");
    for (uint32_t i = 0; i < LEN; i++)
        ratings[i] = (struct ccz_recsys_rating){.user = i % 301, .item = i % 97, .value = 1};
    for (int i = 0; i < 2000; i++)
        ccz_buf_printf(&text, "u%d,i%d,3,%d\n", i % 301, i * 7 % 97, i);
    bool failed = true;
    long k = -1; /* first without a failure: OpenSSL sets itself up */
    for (; failed || k == 0; k++) {
        nomem_left = k;
        ccz_rc rc = read_all(&text, &filter, &err);
        if (rc == CCZ_OK)
            rc = build_ids(&text, &filter, &err);
        if (rc == CCZ_OK)
            rc = build_runs(&err);
        failed = k < 0 || nomem_left < 0;
        nomem_left = -1;
        CHECK(rc == CCZ_OK || ((rc == CCZ_E_NOMEM || rc == CCZ_E_INTERNAL) && err.rc == rc));
        CHECK(rc == CCZ_OK || (failed && k >= 0));
    }
    CHECK(k > 60);
    ccz_secret_free(key);
}

int main(int argc, char **argv)
{
    static const struct ccz_test tests[] = {{"recsys.data_nomem", nomem}};
    if (!nomem_openssl())
        return 1;
    return ccz_test_main(tests, 1, argc, argv);
}
