/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A database on disk: "CCZP-db", version (1), size of the filter (8), the key (64), the filter. The file is a protected file (pf.h)
 * bound to "psi/database", under HKDF(seal).
 */
#include "db_priv.h"

#include <cczoo/pf.h>

#include <string.h>

static const char MAGIC[7] = {'C', 'C', 'Z', 'P', '-', 'd', 'b'};
static const struct ccz_pf_cfg BOUND = {.path = "psi/database"};
enum { VERSION = 1, SEAL_SIZE = 32, HEAD_SIZE = 7 + 1 + 8 + CCZI_DB_KEY_SIZE };
/* 10 bytes of filter for each id at most */
#define FILE_SIZE_MAX (HEAD_SIZE + CCZI_FILTER_HEAD_SIZE + 10 * (size_t)CCZI_DB_LEN_MAX)

static ccz_rc file_key(struct ccz_secret **out, const struct ccz_secret *seal, struct ccz_err *err)
{
    if (!seal || ccz_secret_size(seal) != SEAL_SIZE)
        return ccz_fail(err, CCZ_E_ARG, "psi:config", 0, "a database needs a seal of %d bytes",
                        SEAL_SIZE);
    ccz_rc rc = ccz_secret_derive(out, CCZ_PF_KEY_SIZE, seal, "cczoo psi database");
    return rc == CCZ_OK ? rc : ccz_fail(err, rc, "psi:memory", 0, "no key");
}

static ccz_rc put_head(struct ccz_buf *head, const struct ccz_psi_db *db, struct ccz_err *err)
{
    CCZ_AUTO(ccz_secret) key = NULL;
    ccz_rc rc = ccz_psi_db_key(&key, db, err);
    if (rc != CCZ_OK)
        return rc;
    ccz_buf_put(head, MAGIC, sizeof(MAGIC));
    ccz_buf_u8(head, VERSION);
    ccz_buf_le64(head, ccz_psi_db_filter(db).size);
    ccz_buf_put(head, ccz_secret_view(key), CCZI_DB_KEY_SIZE);
    return head->bad ? ccz_fail(err, CCZ_E_NOMEM, "psi:memory", 0, "out of memory") : CCZ_OK;
}

ccz_rc ccz_psi_db_save(const struct ccz_psi_db *db, const char *path, const struct ccz_secret *seal,
                       bool replace, struct ccz_err *err)
{
    struct ccz_newfile f;
    CCZ_AUTO(ccz_secret) key = NULL;
    CCZ_AUTO_BUF head;
    ccz_buf_init(&head, HEAD_SIZE);
    head.wipe = true;
    ccz_rc rc = file_key(&key, seal, err);
    if (rc == CCZ_OK)
        rc = put_head(&head, db, err);
    if (rc == CCZ_OK)
        rc = ccz_newfile_open(&f, path, 0600, err);
    if (rc != CCZ_OK)
        return rc;
    CCZ_AUTO(ccz_pf_writer) w = NULL;
    const struct ccz_pf_io io = ccz_pf_io_fd(&f.fd);
    struct ccz_span filter = ccz_psi_db_filter(db);
    rc = ccz_pf_writer_new(&w, &io, head.size + filter.size, key, &BOUND, err);
    if (rc == CCZ_OK)
        rc = ccz_pf_writer_put(w, ccz_buf_span(&head), err);
    if (rc == CCZ_OK)
        rc = ccz_pf_writer_put(w, filter, err);
    if (rc == CCZ_OK)
        rc = ccz_pf_writer_finish(w, err);
    if (rc == CCZ_OK)
        rc = ccz_newfile_commit(&f, replace ? CCZ_FILE_REPLACE : CCZ_FILE_CREATE_ONLY, err);
    ccz_newfile_abort(&f);
    return rc;
}

ccz_rc ccz_psi_db_load(struct ccz_psi_db **out, const char *path, const struct ccz_secret *seal,
                       unsigned threads, struct ccz_err *err)
{
    CCZ_AUTO(ccz_secret) key = NULL;
    CCZ_AUTO(ccz_secret) db_key = NULL;
    CCZ_AUTO_BUF b;
    *out = NULL;
    ccz_buf_init(&b, FILE_SIZE_MAX);
    b.wipe = true;
    ccz_rc rc = file_key(&key, seal, err);
    if (rc == CCZ_OK)
        rc = ccz_pf_decrypt_to_buf(&b, path, key, &BOUND, err);
    if (rc != CCZ_OK)
        return rc;
    struct ccz_rd r = ccz_rd_from(ccz_buf_span(&b));
    bool good = ccz_span_eq(ccz_rd_take(&r, sizeof(MAGIC)), CCZ_SPAN(MAGIC, sizeof(MAGIC)));
    uint8_t version = ccz_rd_u8(&r);
    if (good && !r.bad && version != VERSION)
        return ccz_hint(err, ccz_refuse_num(err, CCZ_E_FORMAT, "psi:database", version, VERSION),
                        "another version of this program wrote it: prepare the database again");
    uint64_t size = ccz_rd_le64(&r);
    struct ccz_span k = ccz_rd_take(&r, CCZI_DB_KEY_SIZE);
    if (!good || r.bad || r.left != size)
        return ccz_fail(err, CCZ_E_FORMAT, "psi:database", (int64_t)b.size,
                        "%.120s holds no database", path);
    if (ccz_secret_from(&db_key, k.ptr, k.size) != CCZ_OK)
        return ccz_fail(err, CCZ_E_NOMEM, "psi:memory", 0, "out of memory");
    return ccz_psi_db_open(out, ccz_rd_take(&r, (size_t)size), db_key, threads, err);
}
