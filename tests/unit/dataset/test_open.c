/* SPDX-License-Identifier: Apache-2.0 */
/* Collections from folders, and what one party gets of them. */
#define _GNU_SOURCE
#include "ccz_test.h"
#include "temp_dir.h"

#include <cczoo/dataset.h>

#include <math.h>

#define WHERE(err, text) (strcmp((err).where, (text)) == 0)

enum { TRAIN = 400, TEST = 100, PARTS = 4 };

static void write_idx(const char *dir, const char *name, unsigned rank, uint32_t len)
{
    char path[600];
    CCZ_AUTO_BUF b;
    ccz_buf_init(&b, 1 << 20);
    ccz_buf_be32(&b, 0x800 | rank);
    ccz_buf_be32(&b, len);
    for (unsigned i = 1; i < rank; i++)
        ccz_buf_be32(&b, 2);
    for (uint32_t i = 0; i < len; i++) {
        if (rank == 1)
            ccz_buf_u8(&b, (uint8_t)(i % 10));
        for (unsigned k = 0; rank == 3 && k < 4; k++) /* says which image it is */
            ccz_buf_u8(&b, (uint8_t)(k == 0 ? i >> 8 : k == 1 ? i : 0));
    }
    (void)snprintf(path, sizeof(path), "%s/%s", dir, name);
    CHECK(ccz_file_write(path, ccz_buf_span(&b), 0600, CCZ_FILE_REPLACE, NULL) == CCZ_OK);
}

static const char *images_dir(const char *name)
{
    const char *dir = temp_make_dir(name);
    write_idx(dir, "train-images-idx3-ubyte", 3, TRAIN);
    write_idx(dir, "train-labels-idx1-ubyte", 1, TRAIN);
    write_idx(dir, "t10k-images-idx3-ubyte.gz", 3, TEST); /* plain all the same: zlib reads both */
    write_idx(dir, "t10k-labels-idx1-ubyte", 1, TEST);
    return dir;
}

static void open_images(void)
{
    CCZ_AUTO(ccz_dataset) train = NULL;
    CCZ_AUTO(ccz_dataset) test = NULL;
    struct ccz_err err = {0};
    struct ccz_dataset_source s = {.kind = "fashion-mnist", .dir = images_dir("one")};
    CHECK(ccz_dataset_open(&train, &test, &s, &err) == CCZ_OK);
    CHECK(train->len == TRAIN && test->len == TEST && train->classes == 10);
    float x[4];
    const size_t third = 3;
    ccz_dataset_gather(x, NULL, test, &third, 1);
    CHECK(fabs(x[1] - (3 / 255.0 - 0.2860) / 0.3530) < 1e-6);
    ccz_dataset_free(train);
    ccz_dataset_free(test);
    s.kind = "mnist";
    s.limit = 10;
    s.held_out_limit = 5;
    CHECK(ccz_dataset_open(&train, &test, &s, &err) == CCZ_OK);
    CHECK(train->len == 10 && test->len == 5 && train->mean[0] == 0.1307F);
}

static unsigned image_number(const struct ccz_dataset *d, size_t i)
{
    return (unsigned)d->bytes[4 * i] << 8 | d->bytes[4 * i + 1];
}

/* All parts together are everything, once: of the training images and of the test images. */
static void open_parts(void)
{
    bool seen[TRAIN] = {false}, tested[TEST] = {false};
    struct ccz_err err = {0};
    struct ccz_dataset_source s = {
        .kind = "mnist",
        .dir = images_dir("two"),
        .parts = {.skew = CCZ_DATASET_DIRICHLET, .parts = PARTS, .alpha = 0.5, .seed = 9}};
    for (s.which = 0; s.which < PARTS; s.which++) {
        CCZ_AUTO(ccz_dataset) train = NULL;
        CCZ_AUTO(ccz_dataset) test = NULL;
        CHECK(ccz_dataset_open(&train, &test, &s, &err) == CCZ_OK);
        CHECK(test->len == TEST / PARTS);
        for (size_t i = 0; i < train->len; i++) {
            CHECK(!seen[image_number(train, i)]);
            CHECK(train->label[i] == image_number(train, i) % 10);
            seen[image_number(train, i)] = true;
        }
        for (size_t i = 0; i < test->len; i++) {
            CHECK(!tested[image_number(test, i)]);
            tested[image_number(test, i)] = true;
        }
    }
    CCZ_AUTO(ccz_dataset) train = NULL;
    CCZ_AUTO(ccz_dataset) test = NULL;
    s.which = 0;
    s.whole_test = true;
    CHECK(ccz_dataset_open(&train, &test, &s, &err) == CCZ_OK && test->len == TEST);
    for (size_t i = 0; i < TRAIN; i++)
        CHECK(seen[i] && (i >= TEST || tested[i]));
}

static const char *ratings_dir(void)
{
    char path[600];
    const char *dir = temp_make_dir("ratings");
    static const char films[] = "movieId,title,genres\n1,A (1980),Drama\n2,B (2000),Comedy|War\n";
    CCZ_AUTO_BUF b;
    ccz_buf_init(&b, 1 << 20);
    ccz_buf_put_str(&b, "userId,movieId,rating\n");
    for (unsigned i = 0; i < 1000; i++)
        ccz_buf_printf(&b, "%u,%u,%u\n", i % 40, 1 + i % 2, 1 + i % 5);
    (void)snprintf(path, sizeof(path), "%s/movies.csv", dir);
    CHECK(ccz_file_write(path, ccz_span_str(films), 0600, CCZ_FILE_REPLACE, NULL) == CCZ_OK);
    (void)snprintf(path, sizeof(path), "%s/ratings.csv", dir);
    CHECK(ccz_file_write(path, ccz_buf_span(&b), 0600, CCZ_FILE_REPLACE, NULL) == CCZ_OK);
    return dir;
}

static void open_ratings(void)
{
    struct ccz_err err = {0};
    struct ccz_dataset_source s = {.kind = "movielens",
                                   .dir = ratings_dir(),
                                   .parts = {.skew = CCZ_DATASET_GROUPS, .parts = 3, .seed = 1}};
    unsigned owner[40], all = 0;
    memset(owner, 0xff, sizeof(owner));
    for (s.which = 0; s.which < 3; s.which++) {
        CCZ_AUTO(ccz_dataset) train = NULL;
        CCZ_AUTO(ccz_dataset) test = NULL;
        CHECK(ccz_dataset_open(&train, &test, &s, &err) == CCZ_OK);
        CHECK(test->len == (train->len + test->len) / 10);
        all += (unsigned)(train->len + test->len);
        for (size_t i = 0; i < train->len + test->len; i++) { /* users belong to one party */
            uint32_t u = i < train->len ? train->group[i] : test->group[i - train->len];
            CHECK(u < 40 && (owner[u] == UINT32_MAX || owner[u] == s.which));
            owner[u] = s.which;
        }
    }
    CHECK(all == 1000);
    s.parts.skew = CCZ_DATASET_IID;
    s.which = 0;
    CCZ_AUTO(ccz_dataset) train = NULL;
    CCZ_AUTO(ccz_dataset) test = NULL;
    CHECK(ccz_dataset_open(&train, &test, &s, &err) == CCZ_OK && train->values && !train->bytes);
    CHECK(train->deviation[0] == 1);
}

static void open_cifar10(void)
{
    static uint8_t batch[3 * CCZ_CIFAR10_RECORD_SIZE];
    const char *dir = temp_make_dir("cifar");
    char path[600];
    struct ccz_err err = {0};
    CCZ_AUTO(ccz_dataset) train = NULL;
    CCZ_AUTO(ccz_dataset) test = NULL;
    for (int i = 0; i < 6; i++) {
        batch[0] = (uint8_t)i;
        (void)snprintf(path, sizeof(path), i < 5 ? "%s/data_batch_%d.bin" : "%s/test_batch.bin",
                       dir, i + 1);
        CHECK(ccz_file_write(path, CCZ_SPAN(batch, sizeof(batch)), 0600, CCZ_FILE_REPLACE, NULL) ==
              CCZ_OK);
    }
    const struct ccz_dataset_source s = {.kind = "cifar10", .dir = dir};
    CHECK(ccz_dataset_open(&train, &test, &s, &err) == CCZ_OK);
    CHECK(train->len == 15 && test->len == 3 && test->label[0] == 5 && train->label[12] == 4);
    float x[3072];
    ccz_dataset_gather(x, NULL, train, NULL, 1);
    CHECK(fabs(x[0] + 0.4914 / 0.2470) < 1e-5 && fabs(x[2] + 0.4465 / 0.2616) < 1e-5);
}

static void open_refusals(void)
{
    struct ccz_dataset *train, *test;
    struct ccz_err err = {0};
    struct ccz_dataset_source s = {.kind = "imagenet", .dir = "."};
    CHECK(ccz_dataset_open(&train, &test, &s, &err) == CCZ_E_ARG && WHERE(err, "dataset:kind"));
    s = (struct ccz_dataset_source){.kind = "mnist", .dir = temp_make_dir("nothing")};
    CHECK(ccz_dataset_open(&train, &test, &s, &err) == CCZ_E_NOT_FOUND);
    CHECK(WHERE(err, "dataset:open") && !train && !test);
    s = (struct ccz_dataset_source){
        .kind = "mnist", .dir = images_dir("three"), .parts = {.parts = 2}, .which = 2};
    CHECK(ccz_dataset_open(&train, &test, &s, &err) == CCZ_E_ARG && WHERE(err, "dataset:which"));
    s.which = 0;
    s.parts.skew = CCZ_DATASET_GROUPS; /* images have none */
    CHECK(ccz_dataset_open(&train, &test, &s, &err) == CCZ_E_ARG && WHERE(err, "dataset:kind"));
    s.parts = (struct ccz_dataset_partition_cfg){.parts = TEST + 1};
    CHECK(ccz_dataset_open(&train, &test, &s, &err) == CCZ_E_ARG && WHERE(err, "dataset:parts"));
    CHECK(!train && !test);
}

int main(int argc, char **argv)
{
    static const struct ccz_test tests[] = {{"dataset.open_images", open_images},
                                            {"dataset.open_parts", open_parts},
                                            {"dataset.open_ratings", open_ratings},
                                            {"dataset.open_cifar10", open_cifar10},
                                            {"dataset.open_refusals", open_refusals}};
    temp_setup();
    return ccz_test_main(tests, sizeof(tests) / sizeof(*tests), argc, argv);
}
