/* SPDX-License-Identifier: Apache-2.0 */
/* Writing and reading an encrypted table with keys of a KMS, with each allocation failing in turn: refused, never half done, nothing lost. */
#define _DEFAULT_SOURCE
#include "nomem.h"

#include "crypt_file.h"

static ccz_rc use(struct kms *k, struct ccz_buf *file)
{
    CCZ_AUTO(ccz_pq_keytools) t = NULL;
    CCZ_AUTO(ccz_pq_crypt) write = NULL;
    CCZ_AUTO(ccz_pq_crypt) read = NULL;
    const struct ccz_pq_key_of columns[] = {{.column = "user", .master_key = "k1"}};
    static const char *const names[] = {"kf", "k1"};
    struct ccz_pq_keytools_cfg tools = {.kms = {kms_unwrap, kms_wrap, k}};
    ccz_rc rc = ccz_pq_keytools_new(&t, &tools, NULL);
    struct ccz_pq_encrypt_cfg w = {
        .footer = {.master_key = "kf"}, .columns = columns, .columns_len = 1, .keytools = t};
    struct ccz_pq_decrypt_cfg r = {.keytools = t, .master_keys = names, .master_keys_len = 2};
    if (rc == CCZ_OK)
        rc = ccz_pq_encrypt_new(&write, &w, NULL);
    if (rc == CCZ_OK)
        rc = table_write(file, write, NULL);
    if (rc == CCZ_OK)
        ccz_pq_keytools_forget(t);
    if (rc == CCZ_OK)
        rc = ccz_pq_decrypt_new(&read, &r, NULL);
    return rc == CCZ_OK ? table_read(ccz_buf_span(file), read, 15, NULL) : rc;
}

static void test_nomem(void)
{
    CHECK(nomem_openssl());
    struct kms *k = kms_new();
    CCZ_AUTO_BUF file;
    ccz_buf_init(&file, TABLE_SIZE_MAX);
    CHECK(use(k, &file) == CCZ_OK);
    ccz_buf_clear(&file);
    nomem_used = 0;
    CHECK(use(k, &file) == CCZ_OK);
    long all = nomem_used, refused = 0;
    CHECK(all > 100);
    for (long i = 0; i < all; i++) {
        ccz_buf_clear(&file);
        nomem_left = i;
        ccz_rc rc = use(k, &file);
        nomem_left = -1;
        refused += rc != CCZ_OK;
    }
    CHECK(refused > all / 2); /* OpenSSL can do without some of its own */
    kms_free(k);
}

int main(int argc, char **argv)
{
    static const struct ccz_test tests[] = {{"parquet.crypt_nomem", test_nomem}};
    return ccz_test_main(tests, 1, argc, argv);
}
