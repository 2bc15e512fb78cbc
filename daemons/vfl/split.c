/* SPDX-License-Identifier: Apache-2.0 */
/* Images cut into a left and a right half for two parties that know different ones of them, in orders of their own. */
#include "vfl.h"

#include "../../cli/ui.h"

#include <cczoo/dataset.h>
#include <stdio.h>
#include <stdlib.h>

enum { IDX_SIZE_MAX = 1 << 30, TYPE_U8 = 8 };

struct split {
    const char *images, *labels, *out;
    int64_t overlap, rows, seed, thin, positive;
};

static void put_header(struct ccz_buf *b, unsigned dims_len, const size_t *dims)
{
    ccz_buf_be16(b, 0);
    ccz_buf_u8(b, TYPE_U8);
    ccz_buf_u8(b, (uint8_t)dims_len);
    for (unsigned i = 0; i < dims_len; i++)
        ccz_buf_be32(b, (uint32_t)dims[i]);
}

static ccz_rc write_to(const char *dir, const char *what, const char *rest, const struct ccz_buf *b,
                       struct ccz_err *err)
{
    char path[VFL_PATH_SIZE];
    (void)snprintf(path, sizeof(path), "%s/%s%s", dir, what, rest);
    if (b->bad)
        return ccz_fail(err, CCZ_E_NOMEM, "vfl:memory", 0, "out of memory");
    return ccz_file_write(path, ccz_buf_span(b), 0600, CCZ_FILE_REPLACE, err);
}

/* Columns from .. from + width of the rows in `order`. */
static ccz_rc write_half(const char *dir, const char *what, const struct ccz_idx *images,
                         const struct ccz_idx *labels, size_t from, size_t width,
                         const size_t *order, size_t len, struct ccz_err *err)
{
    CCZ_AUTO_BUF image = {0};
    CCZ_AUTO_BUF label = {0};
    CCZ_AUTO_BUF id = {0};
    size_t height = images->dims[1], full = images->dims[2];
    const size_t dims[] = {len, height, width};
    ccz_buf_init(&image, IDX_SIZE_MAX);
    ccz_buf_init(&label, IDX_SIZE_MAX);
    ccz_buf_init(&id, IDX_SIZE_MAX);
    put_header(&image, 3, dims);
    put_header(&label, 1, dims);
    for (size_t i = 0; i < len; i++) {
        const uint8_t *pixels = images->data + order[i] * height * full;
        for (size_t y = 0; y < height; y++)
            ccz_buf_put(&image, pixels + y * full + from, width);
        ccz_buf_u8(&label, labels->data[order[i]]);
        ccz_buf_printf(&id, "%s-%06zu\n", what, order[i]);
    }
    ccz_rc rc = ccz_dir_make(dir, 0700, err);
    if (rc == CCZ_OK)
        rc = write_to(dir, what, "-images.idx", &image, err);
    if (rc == CCZ_OK)
        rc = write_to(dir, what, ".ids", &id, err);
    if (rc == CCZ_OK && from == 0) /* the left half is the leader's, who has the labels */
        rc = write_to(dir, what, "-labels.idx", &label, err);
    return rc;
}

/* Rows of one party, in its own order: all that are common, and half of the rest. */
static size_t choose(size_t *order, const struct split *s, const struct ccz_idx *labels,
                     size_t rows, unsigned party)
{
    struct ccz_seeded common = ccz_seeded_from((uint64_t)s->seed, 0);
    struct ccz_seeded mine = ccz_seeded_from((uint64_t)s->seed, 1 + party);
    size_t len = 0;
    for (size_t i = 0; i < rows; i++) {
        bool kept = true;
        double thin = ccz_seeded_unit(&common), whose = ccz_seeded_unit(&common);
        if (s->positive >= 0 && labels->data[i] == s->positive)
            kept = thin * 100 < (double)s->thin;
        double overlap = (double)s->overlap / 100;
        bool other = whose > overlap && (whose > (1 + overlap) / 2) != (party == 1);
        if (kept && !other)
            order[len++] = i;
    }
    ccz_seeded_shuffle(order, len, &mine);
    return len;
}

static ccz_rc cut(const struct split *s, const char *what, struct ccz_err *err)
{
    static const char *const parties[] = {"leader", "follower-1"};
    struct ccz_idx images = {0}, labels = {0};
    char dir[VFL_PATH_SIZE];
    size_t *order = NULL;
    ccz_rc rc = ccz_idx_read(&images, s->images, 3, err);
    if (rc == CCZ_OK)
        rc = ccz_idx_read(&labels, s->labels, 1, err);
    if (rc == CCZ_OK && labels.dims[0] != images.dims[0])
        rc = ccz_refuse_num(err, CCZ_E_MISMATCH, "vfl:labels", labels.dims[0], images.dims[0]);
    size_t rows = images.dims[0], half = images.dims[2] / 2;
    rows = s->rows && (size_t)s->rows < rows ? (size_t)s->rows : rows;
    if (rc == CCZ_OK && !(order = calloc(rows, sizeof(*order))))
        rc = ccz_fail(err, CCZ_E_NOMEM, "vfl:memory", 0, "out of memory");
    for (unsigned p = 0; rc == CCZ_OK && p < 2; p++) {
        size_t len = choose(order, s, &labels, rows, p);
        (void)snprintf(dir, sizeof(dir), "%s/%s", s->out, parties[p]);
        rc = write_half(dir, what, &images, &labels, p * half, p ? images.dims[2] - half : half,
                        order, len, err);
        if (rc == CCZ_OK)
            ui_out("%s: %zu %s rows, columns %zu to %zu of the images\n", parties[p], len, what,
                   p * half, p ? (size_t)images.dims[2] - 1 : half - 1);
    }
    free(order);
    ccz_idx_free(&images);
    ccz_idx_free(&labels);
    return rc;
}

int vfl_cmd_split(int argc, char **argv)
{
    struct split s = {.overlap = 90, .seed = 1, .thin = 100, .positive = -1};
    const char *test_images = NULL, *test_labels = NULL;
    int64_t test_rows = 0;
    const struct ui_opt opts[] = {
        {"images", &s.images, NULL, NULL, "FILE", "IDX, plain or gzip"},
        {"labels", &s.labels, NULL, NULL, "FILE", "IDX, plain or gzip"},
        {"test-images", &test_images, NULL, NULL, "FILE", "likewise, to measure the model on"},
        {"test-labels", &test_labels, NULL, NULL, "FILE", "their labels"},
        {"out", &s.out, NULL, NULL, "DIR", "leader/ and follower-1/ are written here"},
        {"overlap", NULL, &s.overlap, NULL, "PERCENT",
         "rows that both have, default 90; the others go to one of them"},
        {"rows", NULL, &s.rows, NULL, "N", "the first N only; 0 = all"},
        {"test-rows", NULL, &test_rows, NULL, "N", "likewise"},
        {"positive", NULL, &s.positive, NULL, "CLASS", "with --thin: a class that is made rare"},
        {"thin", NULL, &s.thin, NULL, "PERCENT", "of that class are kept, default 100"},
        {"seed", NULL, &s.seed, NULL, "N", "default 1"},
        {0},
    };
    int n = ui_parse(argc, argv, "cczoo-vfl split --images FILE --labels FILE --out DIR ...", opts);
    if (n < 0)
        return ui_parse_status(n);
    if (n > 0 || !s.images || !s.labels || !s.out || !test_images != !test_labels ||
        s.overlap < 0 || s.overlap > 100 || s.rows < 0 || test_rows < 0 || s.seed < 0 ||
        s.thin < 0 || s.thin > 100) {
        ui_error("--images, --labels and --out are required; percentages are 0..100");
        return UI_USAGE;
    }
    struct ccz_err err = {0};
    ccz_rc rc = cut(&s, "train", &err);
    if (rc == CCZ_OK && test_images) {
        s.images = test_images;
        s.labels = test_labels;
        s.rows = test_rows;
        rc = cut(&s, "test", &err);
    }
    return rc == CCZ_OK ? UI_OK : ui_fail(&err);
}
