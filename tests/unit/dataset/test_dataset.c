/* SPDX-License-Identifier: Apache-2.0 */
/* Files into data sets: what is read, and what is refused. */
#define _GNU_SOURCE
#include "ccz_test.h"
#include "temp_dir.h"

#include <cczoo/dataset.h>

#include <math.h>
#include <zlib.h>

#define WHERE(err, text) (strcmp((err).where, (text)) == 0)

/* ---- numbers that a seed fixes */

static void seeded(void)
{
    size_t index[1000], again[1000], sum = 0, fixed = 0;
    static bool seen[1000];
    ccz_dataset_order(index, 1000, 42, 3);
    for (size_t i = 0; i < 1000; i++) {
        CHECK(index[i] < 1000 && !seen[index[i]]);
        seen[index[i]] = true;
        fixed += index[i] == i;
        sum += index[i];
    }
    CHECK(sum == 499500 && fixed < 10);
    ccz_dataset_order(again, 1000, 42, 3);
    CHECK(memcmp(index, again, sizeof(index)) == 0);
    ccz_dataset_order(again, 1000, 42, 4);
    CHECK(memcmp(index, again, sizeof(index)) != 0);
    ccz_dataset_order(again, 1000, 43, 3);
    CHECK(memcmp(index, again, sizeof(index)) != 0);

    struct ccz_seeded r = ccz_seeded_from(1, 2);
    enum { DRAWS = 100000, SIDES = 7 };
    size_t side[SIDES] = {0};
    double mean = 0, square = 0;
    for (size_t i = 0; i < DRAWS; i++) {
        side[ccz_seeded_below(&r, SIDES)]++;
        double v = ccz_seeded_normal(&r), u = ccz_seeded_unit(&r);
        mean += v / DRAWS;
        square += v * v / DRAWS;
        CHECK(u > 0 && u < 1);
    }
    CHECK(fabs(mean) < 0.02 && fabs(square - 1) < 0.03);
    for (size_t i = 0; i < SIDES; i++) /* 5 standard deviations */
        CHECK(fabs((double)side[i] - DRAWS / (double)SIDES) < 560);
}

/* ---- IDX */

static const uint8_t idx_2x3[] = {0, 0, 8, 2, 0, 0, 0, 2, 0, 0, 0, 3, 1, 2, 3, 4, 5, 6};

static void idx_read(void)
{
    struct ccz_idx x;
    CHECK(ccz_idx_parse(&x, CCZ_SPAN(idx_2x3, sizeof(idx_2x3)), 2, NULL) == CCZ_OK);
    CHECK(x.dims_len == 2 && x.dims[0] == 2 && x.dims[1] == 3 && x.data == idx_2x3 + 12);
}

static void idx_refused(size_t at, uint8_t value, const char *where)
{
    struct ccz_idx x;
    struct ccz_err err = {0};
    uint8_t bytes[sizeof(idx_2x3)];
    memcpy(bytes, idx_2x3, sizeof(bytes));
    bytes[at] = value;
    CHECK(ccz_idx_parse(&x, CCZ_SPAN(bytes, sizeof(bytes)), 2, &err) == CCZ_E_FORMAT);
    CHECK(WHERE(err, where) && !x.data && x.dims_len == 0);
}

static void idx_refusals(void)
{
    struct ccz_idx x;
    struct ccz_err err = {0};
    idx_refused(0, 1, "idx:header");
    idx_refused(1, 1, "idx:header");
    idx_refused(2, 9, "idx:header"); /* signed bytes */
    idx_refused(3, 3, "idx:header");
    idx_refused(7, 0, "idx:dimension");
    idx_refused(4, 0xff, "idx:dimension");
    idx_refused(7, 3, "idx:data");
    idx_refused(7, 1, "idx:data");
    CHECK(ccz_idx_parse(&x, CCZ_SPAN(idx_2x3, sizeof(idx_2x3)), 3, &err) == CCZ_E_FORMAT);
    CHECK(WHERE(err, "idx:header"));
    for (size_t size = 0; size < sizeof(idx_2x3); size++)
        CHECK(ccz_idx_parse(&x, CCZ_SPAN(idx_2x3, size), 2, &err) == CCZ_E_FORMAT);
    /* 2^16 x 2^16 x 2^16 bytes: the product must not wrap */
    static const uint8_t large[20] = {0, 0, 8, 3, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0};
    CHECK(ccz_idx_parse(&x, CCZ_SPAN(large, sizeof(large)), 3, &err) == CCZ_E_FORMAT);
    CHECK(WHERE(err, "idx:dimension"));
}

static const char *write_file(const char *name, const void *bytes, size_t size)
{
    const char *path = temp_path(name);
    CHECK(ccz_file_write(path, CCZ_SPAN(bytes, size), 0600, CCZ_FILE_REPLACE, NULL) == CCZ_OK);
    return path;
}

static const char *write_gzip(const char *name, const void *bytes, size_t size, size_t cut)
{
    const char *path = temp_path(name);
    gzFile f = gzopen(path, "wb");
    CHECK(f && gzwrite(f, bytes, (unsigned)size) == (int)size && gzclose(f) == Z_OK);
    struct stat st;
    CHECK(stat(path, &st) == 0 && truncate(path, st.st_size - (off_t)cut) == 0);
    return path;
}

static void files(void)
{
    struct ccz_idx x;
    struct ccz_err err = {0};
    CHECK(ccz_idx_read(&x, write_file("plain", idx_2x3, sizeof(idx_2x3)), 2, &err) == CCZ_OK);
    CHECK(x.data[5] == 6);
    ccz_idx_free(&x);
    CHECK(ccz_idx_read(&x, write_gzip("gz", idx_2x3, sizeof(idx_2x3), 0), 2, &err) == CCZ_OK);
    CHECK(x.data[0] == 1 && x.dims[1] == 3);
    ccz_idx_free(&x);
    ccz_idx_free(&x); /* twice is fine */
    CHECK(ccz_idx_read(&x, write_gzip("cut", idx_2x3, sizeof(idx_2x3), 5), 2, &err) ==
          CCZ_E_FORMAT);
    CHECK(WHERE(err, "dataset:gzip"));
    ccz_idx_free(&x);
    CHECK(ccz_idx_read(&x, temp_path("none"), 2, &err) == CCZ_E_NOT_FOUND);
    CHECK(WHERE(err, "dataset:open"));
    const char *path = write_file("short", idx_2x3, 17);
    CHECK(ccz_idx_read(&x, path, 2, &err) == CCZ_E_FORMAT && WHERE(err, "idx:data"));
    CHECK(strcmp(err.hint, path) == 0);
}

/* ---- images and labels */

static const uint8_t two_images[] = {0, 0, 8, 3, 0, 0, 0, 2,   0,  0,
                                     0, 1, 0, 0, 0, 2, 0, 255, 51, 102};
static const uint8_t two_labels[] = {0, 0, 8, 1, 0, 0, 0, 2, 1, 4};

static void images(void)
{
    struct ccz_err err = {0};
    CCZ_AUTO(ccz_dataset) d = NULL;
    CCZ_AUTO(ccz_dataset) refused = NULL;
    const char *x = write_gzip("x", two_images, sizeof(two_images), 0);
    const char *y = write_file("y", two_labels, sizeof(two_labels));
    CHECK(ccz_dataset_idx(&d, x, y, 0, &err) == CCZ_OK);
    CHECK(d->len == 2 && d->width == 2 && d->rank == 3 && d->dims[1] == 2 && d->dims[2] == 1);
    CHECK(d->classes == 5 && d->label[0] == 1 && d->label[1] == 4 && d->bytes && !d->values);
    CHECK(ccz_dataset_idx(&refused, x, y, 4, &err) == CCZ_E_FORMAT && WHERE(err, "dataset:label"));
    CHECK(err.aux == 1 && !refused);
    static const uint8_t three[] = {0, 0, 8, 1, 0, 0, 0, 3, 1, 4, 2};
    y = write_file("three", three, sizeof(three));
    CHECK(ccz_dataset_idx(&refused, x, y, 0, &err) == CCZ_E_MISMATCH);
    CHECK(WHERE(err, "dataset:labels") && strcmp(err.got, "3") == 0 && !refused);
    CHECK(ccz_dataset_idx(&refused, y, y, 0, &err) == CCZ_E_FORMAT && WHERE(err, "idx:header"));
}

static void gather(void)
{
    CCZ_AUTO(ccz_dataset) d = NULL;
    CCZ_AUTO(ccz_dataset) s = NULL;
    struct ccz_err err = {0};
    const struct ccz_dataset_shape shape = {
        .len = 3, .rank = 3, .dims = {1, 2, 3}, .classes = 2, .bytes = true, .groups = true};
    CHECK(ccz_dataset_new(&d, &shape, &err) == CCZ_OK && d->width == 6);
    for (size_t i = 0; i < 18; i++)
        d->bytes[i] = (uint8_t)(15 * i);
    d->label[2] = 1;
    d->group[2] = 77;
    d->mean[1] = 0.5F;
    d->deviation[2] = 0.25F;
    const size_t order[] = {2, 0, 2};
    CHECK(ccz_dataset_select(&s, d, order, 3, &err) == CCZ_OK);
    CHECK(s->label[0] == 1 && s->label[1] == 0 && s->group[2] == 77 && s->classes == 2);
    float direct[12], copied[18];
    uint32_t label[2];
    ccz_dataset_gather(direct, label, d, order, 2);
    ccz_dataset_gather(copied, NULL, s, NULL, 3);
    CHECK(memcmp(direct, copied, sizeof(direct)) == 0 && label[0] == 1 && label[1] == 0);
    for (size_t i = 0; i < 6; i++) { /* of sample 2: bytes 180 .. 255 */
        double want = (180 + 15 * (double)i) / 255;
        want = i % 3 == 1 ? want - 0.5 : i % 3 == 2 ? want / 0.25 : want;
        CHECK(fabs(direct[i] - want) < 1e-6);
    }
    const size_t wrong[] = {0, 3};
    CCZ_AUTO(ccz_dataset) refused = NULL;
    CHECK(ccz_dataset_select(&refused, d, wrong, 2, &err) == CCZ_E_ARG);
    CHECK(WHERE(err, "dataset:index") && !refused);
    CHECK(ccz_dataset_select(&refused, d, order, 0, &err) == CCZ_E_LIMIT);
}

/* ---- CIFAR-10 */

static void cifar10(void)
{
    static uint8_t batch[2][2 * CCZ_CIFAR10_RECORD_SIZE];
    struct ccz_err err = {0};
    CCZ_AUTO(ccz_dataset) d = NULL;
    CCZ_AUTO(ccz_dataset) refused = NULL;
    for (size_t i = 0; i < 2; i++) {
        uint8_t *r = batch[1] + i * CCZ_CIFAR10_RECORD_SIZE;
        r[0] = (uint8_t)(8 + i);
        memset(r + 1, 10, 1024); /* red */
        memset(r + 1025, 20, 1024);
        memset(r + 2049, 30, 1024);
        r[1 + 33] = 99; /* red, row 1, column 1 */
    }
    const char *const paths[] = {write_gzip("1", batch[0], CCZ_CIFAR10_RECORD_SIZE, 0),
                                 write_file("2", batch[1], sizeof(batch[1]))};
    CHECK(ccz_dataset_cifar10(&d, paths, 2, &err) == CCZ_OK);
    CHECK(d->len == 3 && d->width == 3072 && d->dims[0] == 32 && d->dims[2] == 3);
    CHECK(d->classes == 10 && d->label[0] == 0 && d->label[1] == 8 && d->label[2] == 9);
    const uint8_t *p = d->bytes + 3072;
    CHECK(p[0] == 10 && p[1] == 20 && p[2] == 30 && p[99] == 99 && p[100] == 20);
    struct ccz_span one = CCZ_SPAN(batch[1], CCZ_CIFAR10_RECORD_SIZE);
    batch[1][0] = 10;
    CHECK(ccz_dataset_cifar10_parse(&refused, &one, 1, &err) == CCZ_E_FORMAT);
    CHECK(WHERE(err, "dataset:label") && !refused);
    one.size--;
    CHECK(ccz_dataset_cifar10_parse(&refused, &one, 1, &err) == CCZ_E_FORMAT);
    CHECK(WHERE(err, "cifar10:size"));
    one.size = 0;
    CHECK(ccz_dataset_cifar10_parse(&refused, &one, 1, &err) == CCZ_E_FORMAT);
    CHECK(WHERE(err, "cifar10:size"));
    CHECK(ccz_dataset_cifar10_parse(&refused, &one, 0, &err) == CCZ_E_LIMIT);
    const char *const none[] = {paths[0], temp_path("none")};
    CHECK(ccz_dataset_cifar10(&refused, none, 2, &err) == CCZ_E_NOT_FOUND && !refused);
}

/* ---- MovieLens */

static const char films[] = "movieId,title,genres\n"
                            "7,\"Sabrina, again (1995)\",Comedy|Romance\n"
                            "1,Toy Story (2000) ,Animation\n"
                            "9,Without a year,(no genres listed)\n";
static const char ratings[] = "userId,movieId,rating,timestamp\n"
                              "3,1,4.0,1260759144\n"
                              "3,7,3.5,1260759179\n"
                              "671,9,0.5,1260759182\n";

static void movielens(void)
{
    struct ccz_err err = {0};
    CCZ_AUTO(ccz_dataset) d = NULL;
    CCZ_AUTO(ccz_dataset) other = NULL;
    CHECK(ccz_dataset_movielens_parse(&d, ccz_span_str(ratings), ccz_span_str(films), 0, &err) ==
          CCZ_OK);
    CHECK(d->len == 3 && d->width == CCZ_MOVIELENS_WIDTH && d->rank == 1 && d->classes == 2);
    CHECK(d->label[0] == 1 && d->label[1] == 0 && d->label[2] == 0);
    CHECK(d->group[0] == 3 && d->group[1] == 3 && d->group[2] == 671);
    const float *x = d->values;
    CHECK(x[0] == 3 && x[1] == 1 && x[2] == 1 && x[3 + 3] == 1); /* 2000, animation */
    x += d->width;
    CHECK(x[0] == 3 && x[1] == 0 && x[2] == 0.75F && x[3 + 5] == 1 && x[3 + 15] == 1);
    x += d->width;
    CHECK(x[0] == 671 && x[1] == 2 && x[2] == 0 && x[3] == 1);
    float set = 0;
    for (size_t i = 3; i < d->width; i++)
        set += x[i];
    CHECK(set == 1);
    CHECK(strcmp(ccz_movielens_genre(5), "Comedy") == 0 && !ccz_movielens_genre(20));
    const char *r = write_file("ratings.csv", ratings, strlen(ratings));
    const char *f = write_file("movies.csv", films, strlen(films));
    CHECK(ccz_dataset_movielens(&other, r, f, 3.5, &err) == CCZ_OK);
    CHECK(other->label[0] == 1 && other->label[1] == 1 && other->label[2] == 0);
}

static void movielens_refused(const char *r, const char *f, ccz_rc rc, const char *where)
{
    struct ccz_err err = {0};
    struct ccz_dataset *d = NULL;
    CHECK(ccz_dataset_movielens_parse(&d, ccz_span_str(r ? r : ratings),
                                      ccz_span_str(f ? f : films), 0, &err) == rc);
    if (!WHERE(err, where))
        (void)fprintf(stderr, "%s, not %s\n", err.where, where);
    CHECK(WHERE(err, where) && !d);
}

static void movielens_refusals(void)
{
    struct ccz_err err = {0};
    struct ccz_dataset *d = NULL;
    movielens_refused("", NULL, CCZ_E_FORMAT, "movielens:column");
    movielens_refused(NULL, "", CCZ_E_FORMAT, "movielens:column");
    movielens_refused("userId,movieId\n1,1\n", NULL, CCZ_E_FORMAT, "movielens:column");
    movielens_refused("userId,movieId,rating\n1,2,3\n", NULL, CCZ_E_NOT_FOUND, "movielens:film");
    movielens_refused("userId,movieId,rating\n1,1,5.5\n", NULL, CCZ_E_FORMAT, "movielens:rating");
    movielens_refused("userId,movieId,rating\n1,1,nan\n", NULL, CCZ_E_FORMAT, "csv:number");
    movielens_refused("userId,movieId,rating\n-1,1,4\n", NULL, CCZ_E_FORMAT, "movielens:id");
    movielens_refused("userId,movieId,rating\n16777216,1,4\n", NULL, CCZ_E_FORMAT, "movielens:id");
    movielens_refused("userId,movieId,rating\n999999999999999,1,4\n", NULL, CCZ_E_FORMAT,
                      "movielens:id");
    movielens_refused("userId,movieId,rating\n1,1,4\n1,1\n", NULL, CCZ_E_FORMAT, "csv:fields");
    movielens_refused("userId,movieId,rating\n", NULL, CCZ_E_LIMIT, "dataset:size");
    movielens_refused(NULL, "movieId,title,genres\n", CCZ_E_FORMAT, "movielens:films");
    movielens_refused(NULL, "movieId,title,genres\n1,a,Drama\n1,b,Drama\n", CCZ_E_FORMAT,
                      "movielens:film-twice");
    movielens_refused(NULL, "movieId,title,genres\n1,a,Drama|\n", CCZ_E_FORMAT, "movielens:genre");
    movielens_refused(NULL, "movieId,title,genres\n1,a,Dram\n", CCZ_E_FORMAT, "movielens:genre");
    CHECK(ccz_dataset_movielens_parse(&d, ccz_span_str(ratings), ccz_span_str(films), 6, &err) ==
          CCZ_E_ARG);
    CHECK(WHERE(err, "movielens:like"));
    for (size_t cut = 0; cut + 2 < sizeof(ratings);
         cut++) { /* wherever it ends: no crash, no half */
        if (ccz_dataset_movielens_parse(&d, CCZ_SPAN(ratings, cut), ccz_span_str(films), 0, &err) ==
            CCZ_OK)
            CHECK(d->len >= 1 && d->len <= 3);
        else
            CHECK(!d);
        ccz_dataset_free(d);
        d = NULL;
    }
}

static void limits(void)
{
    struct ccz_err err = {0};
    struct ccz_dataset *d = NULL;
    const struct ccz_dataset_shape shapes[] = {
        {.len = 0, .rank = 1, .dims = {1}, .classes = 1},
        {.len = 1, .rank = 0, .classes = 1},
        {.len = 1, .rank = 4, .dims = {1, 1, 1}, .classes = 1},
        {.len = 1, .rank = 2, .dims = {1, 0}, .classes = 1},
        {.len = 1, .rank = 1, .dims = {1}, .classes = 0},
        {.len = 1, .rank = 1, .dims = {1}, .classes = CCZ_DATASET_CLASSES_MAX + 1},
        {.len = CCZ_DATASET_LEN_MAX + 1, .rank = 1, .dims = {1}, .classes = 1},
        {.len = CCZ_DATASET_LEN_MAX, .rank = 1, .dims = {9}, .classes = 1},
        {.len = 2, .rank = 3, .dims = {UINT32_MAX, UINT32_MAX, 2}, .classes = 1},
    };
    for (size_t i = 0; i < sizeof(shapes) / sizeof(*shapes); i++) {
        CHECK(ccz_dataset_new(&d, &shapes[i], &err) == CCZ_E_LIMIT);
        CHECK(WHERE(err, "dataset:size") && !d);
    }
}

int main(int argc, char **argv)
{
    static const struct ccz_test tests[] = {{"dataset.seeded", seeded},
                                            {"dataset.idx", idx_read},
                                            {"dataset.idx_refusals", idx_refusals},
                                            {"dataset.files", files},
                                            {"dataset.images", images},
                                            {"dataset.gather", gather},
                                            {"dataset.cifar10", cifar10},
                                            {"dataset.movielens", movielens},
                                            {"dataset.movielens_refusals", movielens_refusals},
                                            {"dataset.limits", limits}};
    temp_setup();
    return ccz_test_main(tests, sizeof(tests) / sizeof(*tests), argc, argv);
}
