/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Exports, checkpoints and receipts of the audit log. The first byte chooses: the text of one of them, whose one way of being written
 * must hold; or edits of a good export of 3 lines, which is then either refused or signed as it stands.
 */
#include "../tests/unit/kms/kms_fixture.h"

static void require(bool holds, const char *what)
{
    if (!holds)
        fix_die(what);
}

/* ------------------------------------------------------------------------- the good one */

enum { LINES = 3, FIRST_SIGNED = 2 };
static struct {
    struct cczi_kms_signer signer;
    struct ccz_kms_checkpoint checkpoint[2]; /* of FIRST_SIGNED and of LINES lines */
    struct ccz_buf file;
} good;

static void make_good(void)
{
    struct cczi_kms_tree tree = {0};
    struct ccz_kms_audit_line l = {.entry = ccz_span_str("{\"op\":\"init\",\"n\":[1,2]}")};
    struct ccz_buf lines;
    ccz_buf_init(&lines, 1 << 16);
    ccz_buf_init(&good.file, 1 << 16);
    bool ok = true;
    for (l.seq = 1; ok && l.seq <= LINES; l.seq++) {
        uint8_t leaf[32];
        l.time_s = FIX_NOW + (int64_t)l.seq;
        ok = cczi_kms_line_hash(l.hash, &l) == CCZ_OK && ccz_kms_leaf_hash(leaf, &l) == CCZ_OK &&
             cczi_kms_tree_append(&tree, leaf) == CCZ_OK;
        struct ccz_key *key;
        if (l.seq == 1)
            ok = ok && ccz_key_generate(&key, CCZ_P256) == CCZ_OK &&
                 cczi_kms_signer_init(&good.signer, key, l.hash, NULL) == CCZ_OK;
        if (l.seq >= FIRST_SIGNED)
            ok = ok && cczi_kms_checkpoint_sign(&good.checkpoint[l.seq - FIRST_SIGNED],
                                                &good.signer, &tree, FIX_NOW, NULL) == CCZ_OK;
        ccz_kms_log_put_line(&lines, &l);
        memcpy(l.prev, l.hash, 32);
    }
    const struct ccz_key *key = good.signer.key;
    require(ok && ccz_kms_log_put_header(&good.file, good.signer.origin, &key, 1) == CCZ_OK,
            "cannot make an export");
    ccz_buf_put_span(&good.file, ccz_buf_span(&lines));
    for (size_t i = 0; i < 2; i++)
        ccz_kms_log_put_checkpoint(&good.file, &good.checkpoint[i]);
    ccz_buf_free(&lines);
}

/* ------------------------------------------------------------------------------ modes */

static ccz_rc verify(struct ccz_kms_log **out, struct ccz_span file, size_t piece, bool pinned)
{
    CCZ_AUTO(ccz_kms_log) log = NULL;
    const struct ccz_key *key = good.signer.key;
    const struct ccz_kms_log_cfg cfg = {.keys = &key, .keys_len = pinned ? 1 : 0};
    struct ccz_err err = {0};
    require(ccz_kms_log_new(&log, &cfg, NULL) == CCZ_OK, "no memory");
    ccz_rc rc = CCZ_OK;
    while (rc == CCZ_OK && file.size) {
        size_t n = piece < file.size ? piece : file.size;
        rc = ccz_kms_log_put(log, ccz_span_sub(file, 0, n), &err);
        file = ccz_span_sub(file, n, file.size - n);
    }
    if (rc == CCZ_OK)
        rc = ccz_kms_log_end(log, &err);
    require(rc == CCZ_OK || (err.where[0] && err.rc == rc), "a refusal without a reason");
    if (rc == CCZ_OK)
        *out = ccz_kms_log_take(&log);
    return rc;
}

/* What is accepted can prove each of its lines. */
static void check_log(const struct ccz_kms_log *log)
{
    uint64_t lines = ccz_kms_log_lines(log);
    for (uint64_t seq = 1; seq <= lines && seq <= 64; seq++) {
        struct ccz_kms_inclusion r;
        require(ccz_kms_log_prove(&r, log, seq, NULL) == CCZ_OK &&
                    ccz_kms_log_has(log, &r, NULL) == CCZ_OK,
                "a line of an accepted log that it does not have");
    }
    require(ccz_kms_log_last(log)->size == lines, "an accepted log with lines that nobody signed");
}

static void raw_export(struct ccz_span text, size_t piece)
{
    struct ccz_kms_log *log = NULL, *again = NULL;
    ccz_rc rc = verify(&log, text, piece, false);
    require(rc == verify(&again, text, text.size ? text.size : 1, false),
            "another verdict in other pieces");
    if (rc == CCZ_OK)
        check_log(log);
    ccz_kms_log_free(log);
    ccz_kms_log_free(again);
}

/* le16 offset, u8 what: a byte there is replaced, removed, put in; or the record there is removed or doubled. */
static void edited_export(struct ccz_span script)
{
    struct ccz_buf f;
    ccz_buf_init(&f, 1 << 16);
    ccz_buf_put_span(&f, ccz_buf_span(&good.file));
    struct ccz_rd r = ccz_rd_from(script);
    for (int i = 0; i < 8 && r.left >= 4; i++) {
        size_t at = ccz_rd_le16(&r) % (f.size + 1);
        uint8_t what = ccz_rd_u8(&r) % 5, byte = ccz_rd_u8(&r);
        size_t from = at, to = at < f.size ? at + 1 : at;
        if (what >= 3) {
            while (from && f.ptr[from - 1] != '\n')
                from--;
            while (to < f.size && f.ptr[to - 1] != '\n')
                to++;
        }
        struct ccz_buf next;
        ccz_buf_init(&next, 1 << 17);
        ccz_buf_put(&next, f.ptr, what == 4 ? to : from);
        if (what == 0 || what == 2)
            ccz_buf_u8(&next, byte);
        size_t rest = what == 2 || what == 4 ? from : to;
        ccz_buf_put(&next, f.ptr + rest, f.size - rest);
        ccz_buf_free(&f);
        f = next;
        if (f.size == 0)
            break;
    }
    struct ccz_kms_log *log = NULL;
    if (!f.bad && verify(&log, ccz_buf_span(&f), 100, true) == CCZ_OK) {
        uint64_t lines = ccz_kms_log_lines(log);
        require(lines >= FIRST_SIGNED && lines <= LINES, "a number of lines that was not signed");
        require(ccz_kms_log_includes(log, &good.checkpoint[lines - FIRST_SIGNED], NULL) == CCZ_OK,
                "lines that were not signed");
        check_log(log);
    }
    ccz_kms_log_free(log);
    ccz_buf_free(&f);
}

static void one_checkpoint(struct ccz_span text)
{
    struct ccz_kms_checkpoint c;
    struct ccz_err err = {0};
    if (ccz_kms_checkpoint_parse(&c, text, &err) != CCZ_OK) {
        require(err.where[0] != 0, "a refusal without a reason");
        return;
    }
    struct ccz_buf b;
    ccz_buf_init(&b, CCZ_KMS_CHECKPOINT_SIZE_MAX);
    ccz_kms_checkpoint_put(&b, &c);
    require(ccz_span_eq(text, ccz_buf_span(&b)), "two texts of a checkpoint");
    const struct ccz_key *key = good.signer.key;
    require(ccz_kms_checkpoint_check(&c, &key, 1, &err) != CCZ_OK, "a signature out of nothing");
    ccz_buf_free(&b);
}

static void one_receipt(struct ccz_span text)
{
    struct ccz_kms_inclusion r;
    struct ccz_err err = {0};
    if (ccz_kms_inclusion_parse(&r, text, &err) != CCZ_OK) {
        require(err.where[0] != 0, "a refusal without a reason");
        return;
    }
    struct ccz_buf b;
    ccz_buf_init(&b, CCZ_KMS_INCLUSION_SIZE_MAX);
    ccz_kms_inclusion_put(&b, &r);
    require(ccz_span_eq(text, ccz_buf_span(&b)), "two texts of a receipt");
    const struct ccz_key *key = good.signer.key;
    require(ccz_kms_inclusion_verify(&r, &key, 1, &err) != CCZ_OK, "a signature out of nothing");
    ccz_buf_free(&b);
}

static void one_tree(struct ccz_span bytes)
{
    struct cczi_kms_tree t;
    struct ccz_rd r = ccz_rd_from(bytes);
    cczi_kms_tree_get(&t, &r);
    if (!ccz_rd_done(&r))
        return;
    struct ccz_buf b;
    ccz_buf_init(&b, CCZI_KMS_TREE_SIZE_MAX);
    cczi_kms_tree_put(&b, &t);
    require(ccz_span_eq(bytes, ccz_buf_span(&b)), "two forms of a frontier");
    uint8_t root[32];
    require(cczi_kms_tree_root(root, &t) == CCZ_OK, "a frontier without a root");
    ccz_buf_free(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!good.signer.key)
        make_good();
    if (size == 0)
        return 0;
    struct ccz_span rest = {data + 1, size - 1};
    switch (data[0] % 5) {
    case 0:
        raw_export(rest, 1 + data[0] / 5u);
        break;
    case 1:
        edited_export(rest);
        break;
    case 2:
        one_checkpoint(rest);
        break;
    case 3:
        one_receipt(rest);
        break;
    default:
        one_tree(rest);
    }
    return 0;
}
