/* SPDX-License-Identifier: Apache-2.0 */
/* A pinned file with the k-th allocation failing, for every k: refused, and nothing left behind. */
#define _GNU_SOURCE
#include "../nomem.h"
#include "../refused.h"
#include "../temp_dir.h"

#include <cczoo/pinned.h>

static void test_nomem(void)
{
    enum { SIZE = 3 * CCZ_PINNED_CHUNK_SIZE };
    uint8_t *in = __real_calloc(1, SIZE), out[8];
    long failed = 0;
    CCZ_AUTO(ccz_pinned) first = NULL; /* what OpenSSL sets up once is not in question */
    CHECK(in && ccz_file_write(temp_path("nomem"), CCZ_SPAN(in, SIZE), 0600, CCZ_FILE_REPLACE,
                               NULL) == CCZ_OK);
    CHECK(ccz_pinned_open(&first, temp_path("nomem"), NULL) == CCZ_OK);
    for (long k = 0;; k++) {
        CCZ_AUTO(ccz_pinned) p = NULL;
        struct ccz_err err = {0};
        nomem_left = k;
        ccz_rc rc = ccz_pinned_open(&p, temp_path("nomem"), &err);
        if (rc == CCZ_OK)
            rc = ccz_pinned_read_at(out, p, 5, sizeof(out), &err);
        const bool all = nomem_left >= 0; /* none failed */
        nomem_left = -1;
        if (all) {
            CHECK(rc == CCZ_OK);
            break;
        }
        failed++;
        CHECK(rc == CCZ_OK /* OpenSSL did without */ ||
              is_refused(rc, CCZ_E_NOMEM, &err, "pinned:memory"));
    }
    CHECK(failed > 5);
    free(in);
}

int main(int argc, char **argv)
{
    static const struct ccz_test tests[] = {{"pinned.nomem", test_nomem}};
    CHECK(nomem_openssl());
    temp_setup();
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
