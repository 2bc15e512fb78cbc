/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which store a state folder is of. The database says so itself, in its sealed head; that a whole database was put in the place
 * of another one under the same master key is told by the folder alone. A folder that does not know yet (that of another
 * server on the same database, say) learns it when the store was opened with its master key.
 */
#define _POSIX_C_SOURCE 200809L
#include "kms_priv.h"

#include <stdio.h>
#include <string.h>

enum { PATH_SIZE = 4096 + 16, TEXT_SIZE = 2 * CCZI_KMS_STORE_ID_SIZE + 1 };

static ccz_rc path_of(char path[PATH_SIZE], const char *dir, struct ccz_err *err)
{
    int n = snprintf(path, PATH_SIZE, "%s/store.id", dir);
    return n > 0 && n < PATH_SIZE ? CCZ_OK
                                  : ccz_fail(err, CCZ_E_LIMIT, "kms:path", n,
                                             "the path of the state folder is too long");
}

/* "HEX\n" */
static void text_of(char text[TEXT_SIZE + 1], const uint8_t id[CCZI_KMS_STORE_ID_SIZE])
{
    ccz_hex(text, id, CCZI_KMS_STORE_ID_SIZE);
    text[TEXT_SIZE - 1] = '\n';
    text[TEXT_SIZE] = 0;
}

ccz_rc cczi_kms_identity_put(const char *dir, const uint8_t id[CCZI_KMS_STORE_ID_SIZE],
                             struct ccz_err *err)
{
    char path[PATH_SIZE], text[TEXT_SIZE + 1];
    text_of(text, id);
    ccz_rc rc = path_of(path, dir, err);
    return rc == CCZ_OK
               ? ccz_file_write(path, CCZ_SPAN(text, TEXT_SIZE), 0600, CCZ_FILE_REPLACE, err)
               : rc;
}

static ccz_rc learn(const char *dir, const uint8_t id[CCZI_KMS_STORE_ID_SIZE])
{
    struct ccz_err err = {0};
    if (cczi_kms_identity_put(dir, id, &err) != CCZ_OK) /* a folder that is mounted read only */
        ccz_log_err(CCZ_LOG_WARN, "kms", "the state folder cannot remember its store", &err);
    return CCZ_OK;
}

ccz_rc cczi_kms_identity_check(const char *dir, const uint8_t id[CCZI_KMS_STORE_ID_SIZE],
                               struct ccz_err *err)
{
    char path[PATH_SIZE], text[TEXT_SIZE + 1], got[2 * CCZI_KMS_STORE_ID_SIZE + 1], known[80];
    CCZ_AUTO_BUF b;
    ccz_buf_init(&b, 4096);
    ccz_rc rc = path_of(path, dir, err);
    if (rc == CCZ_OK)
        rc = ccz_file_read(&b, path, err);
    if (rc == CCZ_E_NOT_FOUND)
        return learn(dir, id);
    text_of(text, id);
    if (rc != CCZ_OK || ccz_span_eq(ccz_buf_span(&b), CCZ_SPAN(text, TEXT_SIZE)))
        return rc;
    ccz_hex(got, id, CCZI_KMS_STORE_ID_SIZE);
    ccz_escape(known, sizeof(known), CCZ_SPAN(b.ptr, b.size < 64 ? b.size : 64));
    (void)ccz_refuse(err, CCZ_E_SIG, "kms:store-identity", got, known);
    return cczi_kms_hint(err, CCZ_E_SIG);
}
