/* SPDX-License-Identifier: Apache-2.0 */
/* One whole use with the k-th allocation failing, for every k: nothing leaks (with sanitizers), nothing wrong comes out. */
#define _DEFAULT_SOURCE
#include "nomem.h"
#include "pf_test.h"

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
        nomem_left = k;
        ccz_rc rc = encrypt(&image, plain, size, key, &err);
        if (rc == CCZ_OK)
            rc = decrypt(&image, plain, size, out, key, &err);
        failed = k < 0 || nomem_left < 0;
        nomem_left = -1;
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
    if (!nomem_openssl())
        return 1;
    return ccz_test_main(tests, 1, argc, argv);
}
