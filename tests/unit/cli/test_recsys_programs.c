/* SPDX-License-Identifier: Apache-2.0 */
/* What programs of recommenders do between a digest and a file, and without evidence. */
#define _GNU_SOURCE
#include "../../../cli/recsys_job.h"
#include "refused.h"
#include "temp_dir.h"

#include <cczoo/pinned.h>

#include <fcntl.h>

static const char *swapped; /* this file changes as soon as it is pinned */

ccz_rc __real_ccz_pinned_open(struct ccz_pinned **out, const char *path, struct ccz_err *err);
ccz_rc __wrap_ccz_pinned_open(struct ccz_pinned **out, const char *path, struct ccz_err *err);

ccz_rc __wrap_ccz_pinned_open(struct ccz_pinned **out, const char *path, struct ccz_err *err)
{
    const ccz_rc rc = __real_ccz_pinned_open(out, path, err);
    if (rc == CCZ_OK && swapped && strcmp(path, swapped) == 0) {
        const int fd = open(path, O_WRONLY | O_CLOEXEC);
        CHECK(fd >= 0 && pwrite(fd, "7", 1, 29) == 1); /* in the first chunk, which is not held */
        close(fd);
    }
    return rc;
}

static void write_files(void)
{
    CCZ_AUTO_BUF ratings, titles;
    ccz_buf_init(&ratings, 1 << 20);
    ccz_buf_init(&titles, 1 << 20);
    ccz_buf_put_str(&ratings, "user,item,rating\n");
    ccz_buf_put_str(&titles, "movieId,title,genres\n");
    for (int i = 0; i < 9000; i++)
        ccz_buf_printf(&ratings, "%d,%d,%d\n", 1000 + i / 10, 100000 + i % 3000, 1 + i % 5);
    for (int i = 0; i < 3000; i++)
        ccz_buf_printf(&titles, "%d,The title of number %d,none\n", 100000 + i, i);
    CHECK(ratings.size > CCZ_PINNED_CHUNK_SIZE && titles.size > CCZ_PINNED_CHUNK_SIZE);
    CHECK(ccz_file_write(temp_path("ratings"), ccz_buf_span(&ratings), 0600, CCZ_FILE_REPLACE,
                         NULL) == CCZ_OK);
    CHECK(ccz_file_write(temp_path("titles"), ccz_buf_span(&titles), 0600, CCZ_FILE_REPLACE,
                         NULL) == CCZ_OK);
}

static ccz_rc read_both(struct recsys_input *in, const struct ccz_recsys_order *order,
                        const char *titles, uint64_t memory, struct ccz_err *err)
{
    const struct recsys_trust_opts trust = {0};
    const struct recsys_input_opts o = {.in = temp_path("ratings"),
                                        .titles = titles,
                                        .format = "csv",
                                        .titles_format = "movielens-csv-titles",
                                        .data_name = "ratings",
                                        .memory = memory,
                                        .spill_dir = memory ? temp_base : NULL,
                                        .order = order};
    struct recsys_session s;
    recsys_session_begin(&s, &trust);
    const ccz_rc rc = recsys_input_read(in, &o, &s, err);
    recsys_session_end(&s);
    return rc;
}

/* A host that swaps a file behind its digest. */
static void test_swapped(void)
{
    struct recsys_input in;
    struct ccz_err err = {0};
    for (int memory = 0; memory < 2; memory++)
        for (int which = 0; which < 3; which++) {
            write_files();
            swapped = which ? temp_path(which == 1 ? "ratings" : "titles") : NULL;
            const ccz_rc rc = read_both(&in, NULL, temp_path("titles"), memory ? 1 << 23 : 0, &err);
            CHECK(which ? is_refused(rc, CCZ_E_SIG, &err, "pinned:changed") : rc == CCZ_OK);
            recsys_input_deinit(&in);
        }
    swapped = NULL;
}

/* Files that are not those of the order. */
static void test_other_files(void)
{
    struct recsys_input in;
    struct ccz_err err = {0};
    struct ccz_recsys_order order = {.data = {.titles_format = "movielens-csv-titles"}};
    write_files();
    CHECK(read_both(&in, NULL, temp_path("titles"), 0, &err) == CCZ_OK);
    memcpy(order.data.sha256, in.sha256, 32);
    memcpy(order.data.titles_sha256, in.titles_sha256, 32);
    recsys_input_deinit(&in);
    CHECK(read_both(&in, &order, temp_path("titles"), 0, &err) == CCZ_OK);
    recsys_input_deinit(&in);
    CHECK(is_refused(read_both(&in, &order, NULL, 0, &err), CCZ_E_POLICY, &err, "recsys:titles"));
    order.data.titles_sha256[31] ^= 1;
    CHECK(is_refused(read_both(&in, &order, temp_path("titles"), 0, &err), CCZ_E_POLICY, &err,
                     "recsys:titles"));
    order.data.sha256[31] ^= 1;
    CHECK(is_refused(read_both(&in, &order, temp_path("titles"), 0, &err), CCZ_E_POLICY, &err,
                     "recsys:data"));
    order = (struct ccz_recsys_order){0}; /* without titles */
    CHECK(is_refused(read_both(&in, &order, temp_path("titles"), 0, &err), CCZ_E_POLICY, &err,
                     "recsys:titles"));
}

/* A program for keys of a KMS signs nothing that is without evidence; others do, and say so in the certificate. */
static void test_evidence(void)
{
    struct ccz_err err = {0};
    struct recsys_session s;
    struct recsys_trust_opts trust = {.kms_only = true};
    recsys_session_begin(&s, &trust);
    CHECK(is_refused(recsys_signer(&s, &err), CCZ_E_ARG, &err, "recsys:evidence"));
    CHECK(s.cert.size == 0);
    recsys_session_end(&s);
    trust.kms_only = false;
    recsys_session_begin(&s, &trust);
    CHECK(recsys_signer(&s, &err) == CCZ_OK && s.cert.size > 0);
    recsys_session_end(&s);
}

int main(int argc, char **argv)
{
    static const struct ccz_test tests[] = {
        {"recsys_programs.swapped", test_swapped},
        {"recsys_programs.other_files", test_other_files},
        {"recsys_programs.evidence", test_evidence},
    };
    temp_setup();
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
