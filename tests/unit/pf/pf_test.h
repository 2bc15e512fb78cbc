/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_PF_TEST_H
#define CCZ_PF_TEST_H
/* Shared by the tests of protected files: sample plaintext, making and judging file images. */
#include <cczoo/crypto.h>
#include <cczoo/pf.h>

#include "ccz_test.h"
#include "pf/layout.h"

/* Plaintext of the sample files: SHA-256("pf-sample" || le64 i), i = 0, 1, ..., cut to `size`. */
static inline uint8_t *sample_plain(size_t size)
{
    uint8_t *p = malloc(size + 32);
    CHECK(p);
    for (size_t at = 0; at < size; at += 32) {
        uint8_t i[8];
        for (int j = 0; j < 8; j++)
            i[j] = (uint8_t)((uint64_t)(at / 32) >> 8 * j);
        struct ccz_span parts[] = {ccz_span_str("pf-sample"), CCZ_SPAN(i, 8)};
        CHECK(ccz_hash(p + at, CCZ_SHA256, parts, 2) == CCZ_OK);
    }
    return p;
}

static inline struct ccz_secret *key_from(uint8_t first)
{
    uint8_t bytes[CCZ_PF_KEY_SIZE] = {first};
    struct ccz_secret *key;
    CHECK(ccz_secret_from(&key, bytes, sizeof(bytes)) == CCZ_OK);
    return key;
}

/* A protected file of `size` sample bytes in memory, put in steps of `step`. */
static inline void make_image(struct ccz_buf *out, const uint8_t *plain, size_t size, size_t step,
                              const struct ccz_secret *key, const struct ccz_pf_cfg *cfg)
{
    struct ccz_err err = {0};
    ccz_buf_init(out, SIZE_MAX / 2);
    struct ccz_pf_io io = ccz_pf_io_buf(out);
    CCZ_AUTO(ccz_pf_writer) w = NULL;
    CHECK(ccz_pf_writer_new(&w, &io, size, key, cfg, &err) == CCZ_OK);
    for (size_t at = 0; at < size; at += step) {
        size_t n = size - at < step ? size - at : step;
        CHECK(ccz_pf_writer_put(w, CCZ_SPAN(plain + at, n), &err) == CCZ_OK);
    }
    CHECK(ccz_pf_writer_finish(w, &err) == CCZ_OK);
    CHECK(out->size == cczi_pf_layout(size).cipher_size);
}

static inline bool all_zero(const uint8_t *p, size_t size)
{
    uint8_t any = 0;
    for (size_t i = 0; i < size; i++)
        any |= p[i];
    return any == 0;
}

/* Opens an image and reads all of it in steps. CCZ_OK: every byte was right. On a refusal: nothing
 * but zeros came out of the refused call, and every byte that came before was right. */
static inline ccz_rc judge(const struct ccz_buf *image, const uint8_t *plain, size_t size,
                           size_t step, const struct ccz_secret *key, const struct ccz_pf_cfg *cfg,
                           struct ccz_err *err)
{
    struct ccz_buf view = *image; /* reading does not change it */
    struct ccz_pf_io io = ccz_pf_io_buf(&view);
    CCZ_AUTO(ccz_pf_reader) r = NULL;
    *err = (struct ccz_err){0};
    ccz_rc rc = ccz_pf_reader_open(&r, &io, key, cfg, err);
    if (rc != CCZ_OK) {
        CHECK(r == NULL && err->rc == rc);
        return rc;
    }
    CHECK(ccz_pf_reader_size(r) == size);
    uint8_t *out = malloc(step);
    CHECK(out);
    for (size_t at = 0; at < size && rc == CCZ_OK; at += step) {
        size_t n = size - at < step ? size - at : step;
        memset(out, 0xa5, n);
        rc = ccz_pf_reader_read(out, r, at, n, err);
        if (rc == CCZ_OK)
            CHECK(memcmp(out, plain + at, n) == 0);
        else
            CHECK(err->rc == rc && all_zero(out, n));
    }
    free(out);
    return rc;
}

static inline bool is_where(const struct ccz_err *err, const char *where)
{
    if (strcmp(err->where, where) != 0)
        fprintf(stderr, "refused by %s (%s), not by %s\n", err->where, err->msg, where);
    return strcmp(err->where, where) == 0;
}

#endif
