/* SPDX-License-Identifier: Apache-2.0 */
/* Runs one whole use with the k-th allocation failing, for every k. The linker sends the project's
 * malloc, calloc, realloc and mmap here (--wrap); OpenSSL takes its allocator from a call. */
#define _DEFAULT_SOURCE
#include "pf_test.h"

#include <openssl/crypto.h>
#include <sys/mman.h>

static long left = -1; /* allocations until one fails; -1: none fails */

static bool fails(void)
{
    if (left < 0)
        return false;
    return left-- == 0;
}

void *__real_malloc(size_t size);
void *__real_calloc(size_t len, size_t size);
void *__real_realloc(void *p, size_t size);
void *__real_mmap(void *at, size_t size, int prot, int flags, int fd, off_t offset);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t len, size_t size);
void *__wrap_realloc(void *p, size_t size);
void *__wrap_mmap(void *at, size_t size, int prot, int flags, int fd, off_t offset);

void *__wrap_malloc(size_t size)
{
    return fails() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t len, size_t size)
{
    return fails() ? NULL : __real_calloc(len, size);
}

void *__wrap_realloc(void *p, size_t size)
{
    return fails() ? NULL : __real_realloc(p, size);
}

void *__wrap_mmap(void *at, size_t size, int prot, int flags, int fd, off_t offset)
{
    return fails() ? MAP_FAILED : __real_mmap(at, size, prot, flags, fd, offset);
}

static void *ossl_malloc(size_t size, const char *file, int line)
{
    (void)file;
    (void)line;
    return fails() ? NULL : __real_malloc(size);
}

static void *ossl_realloc(void *p, size_t size, const char *file, int line)
{
    (void)file;
    (void)line;
    return fails() ? NULL : __real_realloc(p, size);
}

static void ossl_free(void *p, const char *file, int line)
{
    (void)file;
    (void)line;
    free(p);
}

static const struct ccz_pf_cfg cfg = {.path = "a"};

static ccz_rc encrypt(struct ccz_buf *image, const uint8_t *plain, size_t size,
                      const struct ccz_secret *key, struct ccz_err *err)
{
    struct ccz_pf_io io = ccz_pf_io_buf(image);
    CCZ_AUTO(ccz_pf_writer) w = NULL;
    ccz_rc rc = ccz_pf_writer_new(&w, &io, size, key, &cfg, err);
    if (rc == CCZ_OK)
        rc = ccz_pf_writer_put(w, CCZ_SPAN(plain, size), err);
    if (rc == CCZ_OK)
        rc = ccz_pf_writer_finish(w, err);
    if (rc == CCZ_OK)
        rc = ccz_pf_rekey(&io, key, key, &cfg, err);
    return rc;
}

static ccz_rc decrypt(struct ccz_buf *image, const uint8_t *plain, size_t size, uint8_t *out,
                      const struct ccz_secret *key, struct ccz_err *err)
{
    struct ccz_pf_io io = ccz_pf_io_buf(image);
    CCZ_AUTO(ccz_pf_reader) r = NULL;
    ccz_rc rc = ccz_pf_reader_open(&r, &io, key, &cfg, err);
    if (rc != CCZ_OK)
        return rc;
    rc = ccz_pf_reader_read(out, r, 0, size, err);
    CHECK(rc == CCZ_OK ? memcmp(out, plain, size) == 0 : all_zero(out, size));
    return rc;
}

static void test_nomem(void)
{
    const size_t size = 400000; /* two MHT nodes, one with a child */
    uint8_t *plain = sample_plain(size), *out = malloc(size);
    CCZ_AUTO(ccz_secret) key = key_from(1);
    CHECK(out);
    struct ccz_err err;
    bool failed = true;
    long k = -1; /* first without a failure: OpenSSL sets itself up */
    for (; failed || k == 0; k++) {
        CCZ_AUTO_BUF image;
        ccz_buf_init(&image, 2 * size);
        memset(out, 0, size);
        left = k;
        ccz_rc rc = encrypt(&image, plain, size, key, &err);
        if (rc == CCZ_OK)
            rc = decrypt(&image, plain, size, out, key, &err);
        failed = k < 0 || left < 0;
        left = -1;
        /* OpenSSL does without some of its allocations, and does not say why a call failed */
        CHECK(rc == CCZ_OK || ((rc == CCZ_E_NOMEM || rc == CCZ_E_INTERNAL) && err.rc == rc));
        CHECK(rc == CCZ_OK || (failed && k >= 0));
    }
    CHECK(k > 20);
    free(plain);
    free(out);
}

int main(int argc, char **argv)
{
    static const struct ccz_test tests[] = {{"pf.nomem", test_nomem}};
    if (CRYPTO_set_mem_functions(ossl_malloc, ossl_realloc, ossl_free) != 1)
        return 1;
    return ccz_test_main(tests, 1, argc, argv);
}
