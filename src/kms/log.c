/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Exports: written record by record, read and verified in one pass. A record is verified by writing it again from what was understood
 * and comparing: nothing in the file is without meaning, so no bit of it can change unnoticed.
 */
#include "kms_priv.h"

#include <cczoo/codec.h>

#include <stdlib.h>
#include <string.h>

/* --------------------------------------------------------------------------- writing */

static void put_hex_member(struct ccz_buf *out, const char *before, const uint8_t bytes[32])
{
    char hex[65];
    ccz_hex(hex, bytes, 32);
    ccz_buf_printf(out, "%s\"%s\"", before, hex);
}

ccz_rc ccz_kms_log_put_header(struct ccz_buf *out, const char *origin,
                              const struct ccz_key *const *keys, size_t len)
{
    if (len == 0 || len > CCZ_KMS_LOG_KEYS_MAX)
        return CCZ_E_ARG;
    ccz_buf_put_str(out, "{\"cczoo_kms_audit\":1,\"origin\":");
    ccz_json_put_str(out, ccz_span_str(origin));
    ccz_buf_put_str(out, ",\"keys\":[");
    for (size_t i = 0; i < len; i++) {
        uint8_t id[32];
        CCZ_AUTO_BUF spki;
        ccz_buf_init(&spki, 256);
        ccz_rc rc = ccz_kms_key_id(id, keys[i]);
        if (rc == CCZ_OK)
            rc = ccz_key_spki(&spki, keys[i]);
        if (rc != CCZ_OK)
            return rc;
        put_hex_member(out, i ? ",{\"id\":" : "{\"id\":", id);
        ccz_buf_put_str(out, ",\"spki\":\"");
        ccz_base64_put(out, ccz_buf_span(&spki), CCZ_BASE64_STD);
        ccz_buf_put_str(out, "\"}");
    }
    ccz_buf_put_str(out, "]}\n");
    return out->bad ? CCZ_E_LIMIT : CCZ_OK;
}

void ccz_kms_log_put_line(struct ccz_buf *out, const struct ccz_kms_audit_line *line)
{
    ccz_buf_printf(out, "{\"seq\":%llu,\"time\":%lld", (unsigned long long)line->seq,
                   (long long)line->time_s);
    put_hex_member(out, ",\"prev\":", line->prev);
    put_hex_member(out, ",\"hash\":", line->hash);
    ccz_buf_put_str(out, ",\"entry\":");
    ccz_buf_put_span(out, line->entry);
    ccz_buf_put_str(out, "}\n");
}

void ccz_kms_log_put_checkpoint(struct ccz_buf *out, const struct ccz_kms_checkpoint *c)
{
    CCZ_AUTO_BUF text;
    ccz_buf_init(&text, CCZ_KMS_CHECKPOINT_SIZE_MAX);
    ccz_kms_checkpoint_put(&text, c);
    ccz_buf_put_str(out, "{\"checkpoint\":");
    ccz_json_put_str(out, ccz_buf_span(&text));
    ccz_buf_put_str(out, "}\n");
    if (text.bad)
        out->bad = true;
}

/* --------------------------------------------------------------------------- reading */

enum { MARK_EVERY = 128 };
enum part { PART_HEADER, PART_LINES, PART_CHECKPOINTS, PART_DONE };

struct ccz_kms_log {
    const struct ccz_key *trusted[CCZ_KMS_LOG_KEYS_MAX];
    size_t trusted_len; /* 0 = the keys of the header */
    enum part part;
    bool refused;
    uint64_t records; /* begun so far, for messages */
    struct ccz_buf partial, again;
    struct ccz_key *own[CCZ_KMS_LOG_KEYS_MAX]; /* of the header */
    uint8_t own_id[CCZ_KMS_LOG_KEYS_MAX][32];
    bool may_sign[CCZ_KMS_LOG_KEYS_MAX];     /* an own one, as far as was read */
    uint64_t named_at[CCZ_KMS_LOG_KEYS_MAX]; /* the line that names it, 0 = none yet */
    struct successor {
        bool said; /* by the line that names it: the key before signs that */
        uint8_t by[32], sig[64];
    } successor[CCZ_KMS_LOG_KEYS_MAX];
    size_t own_len;
    struct ccz_kms_checkpoint anchor; /* size 0 = none */
    bool anchored;                    /* it was compared */
    char origin[CCZ_KMS_ORIGIN_SIZE]; /* of the header, until line 1 confirms it */
    uint8_t (*leaf)[32];
    size_t len, cap;
    uint8_t end[32];           /* hash of the last line */
    struct cczi_kms_tree tree; /* of the lines up to the last checkpoint */
    struct cczi_kms_tree *
        mark; /* [i]: of the first i * MARK_EVERY lines, so that a query need not begin at line 1 */
    size_t marks; /* 0 until the export has ended */
    struct ccz_kms_checkpoint last;
    uint64_t checkpoints;
};

ccz_rc ccz_kms_log_new(struct ccz_kms_log **out, const struct ccz_kms_log_cfg *cfg,
                       struct ccz_err *err)
{
    *out = NULL;
    if (cfg->keys_len > CCZ_KMS_LOG_KEYS_MAX)
        return ccz_fail(err, CCZ_E_LIMIT, "kms:export-keys", (int64_t)cfg->keys_len,
                        "at most %d keys may sign", CCZ_KMS_LOG_KEYS_MAX);
    if (cfg->anchor && cfg->keys_len)
        return ccz_fail(err, CCZ_E_ARG, "kms:export-keys", 0, "keys or an anchor, not both");
    *out = calloc(1, sizeof(**out));
    if (!*out)
        return ccz_fail(err, CCZ_E_NOMEM, "kms:export", 0, "out of memory");
    for (size_t i = 0; i < cfg->keys_len; i++)
        (*out)->trusted[i] = cfg->keys[i];
    (*out)->trusted_len = cfg->keys_len;
    if (cfg->anchor)
        (*out)->anchor = *cfg->anchor;
    ccz_buf_init(&(*out)->partial, CCZ_KMS_LOG_RECORD_SIZE_MAX);
    ccz_buf_init(&(*out)->again, CCZ_KMS_LOG_RECORD_SIZE_MAX);
    return CCZ_OK;
}

void ccz_kms_log_free(struct ccz_kms_log *log)
{
    if (!log)
        return;
    for (size_t i = 0; i < log->own_len; i++)
        ccz_key_free(log->own[i]);
    ccz_buf_free(&log->partial);
    ccz_buf_free(&log->again);
    free(log->leaf);
    free(log->mark);
    free(log);
}

/* Whose signatures count, as far as the file was read. @return how many */
enum { SIGNERS_MAX = 2 * CCZ_KMS_LOG_KEYS_MAX };
static size_t keys_of(const struct ccz_key *out[SIGNERS_MAX], const struct ccz_kms_log *log)
{
    size_t len = 0;
    for (size_t i = 0; i < log->trusted_len; i++)
        out[len++] = log->trusted[i];
    for (size_t i = 0; i < log->own_len; i++)
        if (log->may_sign[i])
            out[len++] = log->own[i];
    return len;
}

static ccz_rc bad_record(const struct ccz_kms_log *log, struct ccz_err *err, const char *what)
{
    return ccz_fail(err, CCZ_E_FORMAT, "kms:export-record", (int64_t)log->records,
                    "record %llu: %s", (unsigned long long)log->records, what);
}

static ccz_rc not_json(const struct ccz_kms_log *log, ccz_rc rc, struct ccz_err *err)
{
    return rc == CCZ_E_NOMEM ? ccz_fail(err, rc, "kms:export", 0, "out of memory")
                             : bad_record(log, err, "it is not JSON");
}

/* `again` holds the record as it would be written. */
static ccz_rc same(const struct ccz_kms_log *log, struct ccz_span record, struct ccz_err *err)
{
    struct ccz_span again = ccz_buf_span(&log->again);
    if (again.size != record.size + 1 || memcmp(again.ptr, record.ptr, record.size) != 0)
        return bad_record(log, err, "it is not written the one way that it can be");
    return CCZ_OK;
}

/* ---------------------------------------------------------------------------- header */

static ccz_rc take_key(struct ccz_kms_log *log, const struct ccz_json *j, struct ccz_err *err)
{
    CCZ_AUTO_BUF spki;
    ccz_buf_init(&spki, 256);
    ccz_rc rc = ccz_base64_get(&spki, ccz_json_bytes(ccz_json_get(j, "spki")), CCZ_BASE64_STD, err);
    struct ccz_key *key = NULL;
    if (rc == CCZ_OK)
        rc = ccz_key_from_spki(&key, ccz_buf_span(&spki), err);
    if (rc == CCZ_OK)
        log->own[log->own_len++] = key;
    return rc;
}

static ccz_rc take_header(struct ccz_kms_log *log, struct ccz_span record, struct ccz_err *err)
{
    CCZ_AUTO(ccz_json) j = NULL;
    ccz_rc rc = ccz_json_parse(&j, record, NULL);
    if (rc != CCZ_OK)
        return not_json(log, rc, err);
    const struct ccz_json *keys = ccz_json_get(j, "keys");
    const char *origin = ccz_json_str(ccz_json_get(j, "origin"));
    size_t len = ccz_json_len(keys);
    int64_t version;
    if (!ccz_json_int(&version, ccz_json_get(j, "cczoo_kms_audit")) || !origin || len == 0 ||
        len > CCZ_KMS_LOG_KEYS_MAX || strlen(origin) >= sizeof(log->origin))
        return ccz_fail(err, CCZ_E_FORMAT, "kms:export-header", 0,
                        "the file does not begin like an export of an audit log");
    if (version != 1)
        return ccz_refuse_num(err, CCZ_E_UNSUPPORTED, "kms:export-header", version, 1);
    for (size_t i = 0; rc == CCZ_OK && i < len; i++)
        rc = take_key(log, ccz_json_at(keys, i), err);
    if (rc == CCZ_OK) {
        memcpy(log->origin, origin, strlen(origin) + 1);
        rc = ccz_kms_log_put_header(&log->again, origin, (const struct ccz_key *const *)log->own,
                                    log->own_len);
        if (rc != CCZ_OK)
            return ccz_fail(err, rc, "kms:export-header", 0,
                            "a key of the header is none of P-256");
        rc = same(log, record, err);
    }
    for (size_t i = 0; rc == CCZ_OK && i < log->own_len; i++) {
        rc = ccz_kms_key_id(log->own_id[i], log->own[i]);
        log->may_sign[i] = /* what it says about itself */
            log->anchor.size == 0 && log->trusted_len == 0;
        if (rc != CCZ_OK)
            ccz_fail(err, rc, "kms:export-header", 0, "cannot name a key");
    }
    log->part = PART_LINES;
    return rc;
}

/* ----------------------------------------------------------------------------- lines */

static bool read_hex(uint8_t out[32], const struct ccz_jnode *n)
{
    struct ccz_span t = ccz_jnode_str(n);
    return t.size == 64 && ccz_unhex(out, 32, (const char *)t.ptr, t.size) == CCZ_OK;
}

static ccz_rc read_line(struct ccz_kms_audit_line *l, const struct ccz_kms_log *log,
                        struct ccz_span record, struct ccz_err *err)
{
    CCZ_AUTO(ccz_jdoc) doc = NULL;
    ccz_rc rc = ccz_jdoc_parse(&doc, record, NULL);
    if (rc != CCZ_OK)
        return not_json(log, rc, err);
    const struct ccz_jnode *n = ccz_jdoc_root(doc);
    int64_t seq;
    if (!ccz_jnode_int(&seq, ccz_jnode_get(n, "seq")) || seq < 1 ||
        !ccz_jnode_int(&l->time_s, ccz_jnode_get(n, "time")) ||
        !read_hex(l->prev, ccz_jnode_get(n, "prev")) ||
        !read_hex(l->hash, ccz_jnode_get(n, "hash")) ||
        ccz_jnode_type(ccz_jnode_get(n, "entry")) != CCZ_JSON_OBJECT)
        return bad_record(log, err, "it is not an audit line");
    l->seq = (uint64_t)seq;
    l->entry = ccz_jnode_raw(ccz_jnode_get(n, "entry")); /* of the record, not of the document */
    return CCZ_OK;
}

static ccz_rc bad_line(const struct ccz_kms_log *log, struct ccz_err *err, const char *what)
{
    uint64_t seq = log->len + 1;
    return ccz_fail(err, CCZ_E_SIG, "kms:audit-chain", (int64_t)seq,
                    "audit line %llu (record %llu) %s", (unsigned long long)seq,
                    (unsigned long long)log->records, what);
}

/* Room for one more leaf. */
static bool reserve(struct ccz_kms_log *log)
{
    if (log->len < log->cap)
        return true;
    size_t cap = log->cap ? 2 * log->cap : 256;
    uint8_t(*p)[32] = realloc(log->leaf, cap * sizeof(*p));
    if (!p)
        return false;
    log->leaf = p;
    log->cap = cap;
    return true;
}

static bool begins(struct ccz_span record, const char *prefix)
{
    size_t n = strlen(prefix);
    return record.size >= n && memcmp(record.ptr, prefix, n) == 0;
}

static bool read_bytes(uint8_t *out, size_t size, const struct ccz_json *j)
{
    const char *t = ccz_json_str(j);
    return t && strlen(t) == 2 * size && ccz_unhex(out, size, t, 2 * size) == CCZ_OK;
}

/* A line of the signer's own, "this key signs from now on". */
static void note_named(struct ccz_kms_log *log, const struct ccz_kms_audit_line *l)
{
    if (!cczi_kms_names_signer(l->entry))
        return;
    CCZ_AUTO(ccz_json) j = NULL;
    uint8_t id[32];
    if (ccz_json_parse(&j, l->entry, NULL) != CCZ_OK)
        return;
    struct successor next = {0};
    const char *verdict = ccz_json_str(ccz_json_get(j, "verdict"));
    if (!verdict || strcmp(verdict, "accept") != 0 ||
        !read_bytes(id, sizeof(id), ccz_json_get(j, "key")))
        return;
    next.said = read_bytes(next.by, sizeof(next.by), ccz_json_get(j, "by")) &&
                read_bytes(next.sig, sizeof(next.sig), ccz_json_get(j, "signature"));
    for (size_t i = 0; i < log->own_len; i++) {
        if (log->named_at[i] || memcmp(id, log->own_id[i], sizeof(id)) != 0)
            continue;
        log->named_at[i] = l->seq;
        log->successor[i] = next;
    }
}

static ccz_rc take_line(struct ccz_kms_log *log, struct ccz_span record, struct ccz_err *err)
{
    struct ccz_kms_audit_line l = {0};
    ccz_rc rc = read_line(&l, log, record, err);
    if (rc != CCZ_OK)
        return rc;
    ccz_kms_log_put_line(&log->again, &l);
    rc = same(log, record, err);
    if (rc != CCZ_OK)
        return rc;
    if (l.seq != log->len + 1)
        return bad_line(log, err, "is missing: another one stands in its place");
    if (!ccz_ct_eq(l.prev, log->end, sizeof(l.prev)))
        return bad_line(log, err, "does not continue the one before");
    struct ccz_err why = {0};
    rc = ccz_kms_audit_check(&l, &why);
    if (rc == CCZ_E_SIG)
        return bad_line(log, err, "is not what its hash says");
    char origin[CCZ_KMS_ORIGIN_SIZE];
    ccz_kms_origin(origin, l.hash);
    if (rc == CCZ_OK && l.seq == 1 && strcmp(origin, log->origin) != 0)
        return ccz_refuse(err, CCZ_E_SIG, "kms:checkpoint-origin", log->origin, origin);
    if (rc == CCZ_OK && !reserve(log))
        rc = CCZ_E_NOMEM;
    if (rc == CCZ_OK)
        rc = ccz_kms_leaf_hash(log->leaf[log->len], &l);
    if (rc != CCZ_OK)
        return ccz_fail(err, rc, "kms:export", 0, "cannot keep an audit line");
    log->len++;
    memcpy(log->end, l.hash, sizeof(log->end));
    note_named(log, &l);
    return CCZ_OK;
}

/* ----------------------------------------------------------------------- checkpoints */

static ccz_rc wrong_root(struct ccz_err *err, const struct ccz_kms_checkpoint *c, uint64_t from)
{
    return ccz_fail(err, CCZ_E_SIG, "kms:checkpoint-root", (int64_t)c->size,
                    "lines %llu to %llu are not the ones that the checkpoint of %llu lines signed",
                    (unsigned long long)from, (unsigned long long)c->size,
                    (unsigned long long)c->size);
}

/* All but the root. */
static ccz_rc check_signed(const struct ccz_kms_log *log, const struct ccz_kms_checkpoint *c,
                           struct ccz_err *err)
{
    if (strcmp(c->origin, log->origin) != 0)
        return ccz_refuse(err, CCZ_E_SIG, "kms:checkpoint-origin", c->origin, log->origin);
    const struct ccz_key *keys[SIGNERS_MAX];
    size_t len = keys_of(keys, log);
    return ccz_kms_checkpoint_check(c, keys, len, err);
}

/* The root of the first lines. */
static ccz_rc root_at(uint8_t root[32], const struct ccz_kms_log *log, uint64_t size)
{
    struct cczi_kms_tree t = {0};
    ccz_rc rc = CCZ_OK;
    if (log->marks)
        t = log->mark[size / MARK_EVERY]; /* size is at most log->len */
    while (rc == CCZ_OK && t.size < size)
        rc = cczi_kms_tree_append(&t, log->leaf[t.size]);
    return rc == CCZ_OK ? cczi_kms_tree_root(root, &t) : rc;
}

static ccz_rc rolled_back(struct ccz_err *err, uint64_t got, uint64_t expected)
{
    ccz_refuse_num(err, CCZ_E_SIG, "kms:rolled-back", (int64_t)got, (int64_t)expected);
    return ccz_hint(
        err, CCZ_E_SIG,
        "the log has fewer lines than before: an older copy of the store, or an older export");
}

/* The lines that were read begin with those of a checkpoint. */
static ccz_rc includes(const struct ccz_kms_log *log, const struct ccz_kms_checkpoint *c,
                       struct ccz_err *err)
{
    ccz_rc rc = check_signed(log, c, err);
    if (rc != CCZ_OK)
        return rc;
    if (c->size > log->len)
        return rolled_back(err, log->len, c->size);
    uint8_t root[32];
    rc = root_at(root, log, c->size);
    if (rc != CCZ_OK)
        return ccz_fail(err, rc, "kms:export", 0, "cannot hash");
    if (!ccz_ct_eq(root, c->root, sizeof(root)))
        return ccz_fail(err, CCZ_E_SIG, "kms:forked", (int64_t)c->size,
                        "the first %llu lines are not those of the older checkpoint",
                        (unsigned long long)c->size);
    return CCZ_OK;
}

/* Keys that one of the first lines names, after a key that may sign has signed those. */
static void vouch(struct ccz_kms_log *log, uint64_t size)
{
    for (size_t i = 0; i < log->own_len; i++)
        if (log->named_at[i] && log->named_at[i] <= size)
            log->may_sign[i] = true;
}

/* The key before it may sign, and has signed that this one comes after it. */
static bool is_successor(const struct ccz_kms_log *log, size_t i)
{
    const struct ccz_key *keys[SIGNERS_MAX];
    size_t len = keys_of(keys, log);
    CCZ_AUTO_BUF text;
    ccz_buf_init(&text, 512);
    cczi_kms_successor_text(&text, log->origin, log->successor[i].by, log->own_id[i]);
    struct ccz_span signed_text = ccz_buf_span(&text);
    for (size_t k = 0; k < len && !text.bad; k++) {
        uint8_t id[32];
        if (ccz_kms_key_id(id, keys[k]) == CCZ_OK && memcmp(id, log->successor[i].by, 32) == 0)
            return ccz_ecdsa_verify(keys[k], log->successor[i].sig, 64, &signed_text, 1) == CCZ_OK;
    }
    return false;
}

/* From the keys that may sign to those that they signed, and on from there. */
static void follow(struct ccz_kms_log *log)
{
    for (bool more = true; more;) {
        more = false;
        for (size_t i = 0; i < log->own_len; i++) {
            if (log->may_sign[i] || !log->successor[i].said || !is_successor(log, i))
                continue;
            log->may_sign[i] = more = true;
        }
    }
}

/* Before the first signature of the file counts. */
static ccz_rc take_anchor(struct ccz_kms_log *log, struct ccz_err *err)
{
    if (log->anchor.size == 0 || log->anchored)
        return CCZ_OK;
    for (size_t i = 0; i < log->own_len; i++)
        log->may_sign[i] = memcmp(log->own_id[i], log->anchor.key_id, 32) == 0;
    ccz_rc rc = includes(log, &log->anchor, err);
    if (rc != CCZ_OK)
        return rc;
    vouch(log, log->anchor.size);
    log->anchored = true;
    return CCZ_OK;
}

static ccz_rc take_checkpoint(struct ccz_kms_log *log, struct ccz_span record, struct ccz_err *err)
{
    CCZ_AUTO(ccz_json) j = NULL;
    ccz_rc rc = ccz_json_parse(&j, record, NULL);
    if (rc != CCZ_OK)
        return not_json(log, rc, err);
    struct ccz_kms_checkpoint c;
    rc = ccz_kms_checkpoint_parse(&c, ccz_json_bytes(ccz_json_get(j, "checkpoint")), err);
    if (rc != CCZ_OK)
        return rc;
    ccz_kms_log_put_checkpoint(&log->again, &c);
    rc = same(log, record, err);
    if (rc == CCZ_OK)
        rc = take_anchor(log, err);
    if (rc == CCZ_OK) /* all lines were read */
        follow(log);
    if (rc == CCZ_OK)
        rc = check_signed(log, &c, err);
    if (rc != CCZ_OK)
        return rc;
    if (c.size > log->len)
        return ccz_fail(
            err, CCZ_E_SIG, "kms:checkpoint-size", (int64_t)c.size,
            "a checkpoint signs %llu lines, and the export has %zu: the others are missing",
            (unsigned long long)c.size, log->len);
    if (c.size < log->tree.size)
        return ccz_refuse_num(err, CCZ_E_SIG, "kms:checkpoint-order", (int64_t)c.size,
                              (int64_t)log->tree.size);
    uint64_t from = log->tree.size + 1;
    uint8_t root[32];
    while (rc == CCZ_OK && log->tree.size < c.size)
        rc = cczi_kms_tree_append(&log->tree, log->leaf[log->tree.size]);
    if (rc == CCZ_OK)
        rc = cczi_kms_tree_root(root, &log->tree);
    if (rc != CCZ_OK)
        return ccz_fail(err, rc, "kms:export", 0, "cannot hash");
    if (!ccz_ct_eq(root, c.root, sizeof(root)))
        return wrong_root(err, &c, from);
    log->last = c;
    log->checkpoints++;
    vouch(log, c.size);
    return CCZ_OK;
}

/* ------------------------------------------------------------------------------ file */

static ccz_rc take_record(struct ccz_kms_log *log, struct ccz_span record, struct ccz_err *err)
{
    log->records++;
    ccz_buf_clear(&log->again);
    if (log->part == PART_HEADER)
        return take_header(log, record, err);
    if (begins(record, "{\"checkpoint\":")) {
        log->part = PART_CHECKPOINTS;
        return take_checkpoint(log, record, err);
    }
    if (!begins(record, "{\"seq\":"))
        return bad_record(log, err, "neither a line nor a checkpoint");
    if (log->part != PART_LINES)
        return ccz_fail(err, CCZ_E_FORMAT, "kms:export-order", (int64_t)log->records,
                        "record %llu: a line behind a checkpoint",
                        (unsigned long long)log->records);
    return take_line(log, record, err);
}

static ccz_rc take_piece(struct ccz_kms_log *log, struct ccz_span piece, struct ccz_err *err)
{
    while (piece.size) {
        const uint8_t *lf = memchr(piece.ptr, '\n', piece.size);
        size_t n = lf ? (size_t)(lf - piece.ptr) : piece.size;
        struct ccz_span record = ccz_span_sub(piece, 0, n);
        bool whole = lf && log->partial.size == 0; /* the common case: nothing is copied */
        if (!whole)
            ccz_buf_put_span(&log->partial, record);
        if (log->partial.bad || n > CCZ_KMS_LOG_RECORD_SIZE_MAX)
            return ccz_fail(err, CCZ_E_LIMIT, "kms:export-size", (int64_t)log->records + 1,
                            "record %llu is longer than %d bytes",
                            (unsigned long long)log->records + 1, CCZ_KMS_LOG_RECORD_SIZE_MAX);
        if (!lf)
            return CCZ_OK;
        ccz_rc rc = take_record(log, whole ? record : ccz_buf_span(&log->partial), err);
        if (rc != CCZ_OK)
            return rc;
        ccz_buf_clear(&log->partial);
        piece = ccz_span_sub(piece, n + 1, piece.size - n - 1);
    }
    return CCZ_OK;
}

static ccz_rc refused_before(struct ccz_err *err)
{
    return ccz_fail(err, CCZ_E_SIG, "kms:export-refused", 0, "this export was refused before");
}

ccz_rc ccz_kms_log_put(struct ccz_kms_log *log, struct ccz_span piece, struct ccz_err *err)
{
    if (log->refused || log->part == PART_DONE)
        return refused_before(err);
    ccz_rc rc = take_piece(log, piece, err);
    log->refused = rc != CCZ_OK;
    return rc;
}

static ccz_rc end(struct ccz_kms_log *log, struct ccz_err *err)
{
    if (log->partial.size)
        return ccz_fail(err, CCZ_E_FORMAT, "kms:export-end", (int64_t)log->records + 1,
                        "the file ends in the middle of record %llu",
                        (unsigned long long)log->records + 1);
    if (log->part == PART_HEADER)
        return ccz_fail(err, CCZ_E_FORMAT, "kms:export-header", 0, "the file is empty");
    if (log->checkpoints == 0 || log->last.size != log->len) {
        ccz_refuse_num(err, CCZ_E_SIG, "kms:export-unsigned", (int64_t)log->last.size,
                       (int64_t)log->len);
        return ccz_hint(err, CCZ_E_SIG, "no signed checkpoint covers the last lines; export again");
    }
    for (size_t i = 0; log->anchored && i < log->own_len; i++) {
        if (log->may_sign[i])
            continue;
        char id[65];
        ccz_hex(id, log->own_id[i], 32);
        return ccz_fail(err, CCZ_E_SIG, "kms:checkpoint-key-unnamed", (int64_t)i,
                        "the export brings key %s, which no line names that is signed for", id);
    }
    return CCZ_OK;
}

static ccz_rc make_marks(struct ccz_kms_log *log, struct ccz_err *err)
{
    struct cczi_kms_tree t = {0};
    size_t len = log->len / MARK_EVERY + 1, n = 0;
    ccz_rc rc = CCZ_OK;
    log->mark = calloc(len, sizeof(*log->mark));
    if (!log->mark)
        return ccz_fail(err, CCZ_E_NOMEM, "kms:export", 0, "out of memory");
    for (size_t i = 0; rc == CCZ_OK && i <= log->len; i++) {
        if (i % MARK_EVERY == 0)
            log->mark[n++] = t;
        if (i < log->len)
            rc = cczi_kms_tree_append(&t, log->leaf[i]);
    }
    log->marks = rc == CCZ_OK ? n : 0;
    return rc == CCZ_OK ? rc : ccz_fail(err, rc, "kms:export", 0, "cannot hash");
}

ccz_rc ccz_kms_log_end(struct ccz_kms_log *log, struct ccz_err *err)
{
    if (log->refused)
        return refused_before(err);
    ccz_rc rc = end(log, err);
    if (rc == CCZ_OK)
        rc = make_marks(log, err);
    log->refused = rc != CCZ_OK;
    log->part = PART_DONE;
    return rc;
}

/* --------------------------------------------------------------------------- queries */

uint64_t ccz_kms_log_lines(const struct ccz_kms_log *log)
{
    return log->len;
}

uint64_t ccz_kms_log_checkpoints(const struct ccz_kms_log *log)
{
    return log->checkpoints;
}

const struct ccz_kms_checkpoint *ccz_kms_log_last(const struct ccz_kms_log *log)
{
    return &log->last;
}

static ccz_rc not_verified(const struct ccz_kms_log *log, struct ccz_err *err)
{
    return log->part == PART_DONE && !log->refused ? CCZ_OK : refused_before(err);
}

ccz_rc ccz_kms_log_continues(const struct ccz_kms_log *log, const struct ccz_kms_log *older,
                             struct ccz_err *err)
{
    ccz_rc rc = not_verified(log, err);
    if (rc == CCZ_OK)
        rc = not_verified(older, err);
    if (rc != CCZ_OK)
        return rc;
    for (size_t i = 0; i < older->len && i < log->len; i++)
        if (!ccz_ct_eq(log->leaf[i], older->leaf[i], 32))
            return ccz_fail(err, CCZ_E_SIG, "kms:forked", (int64_t)i + 1,
                            "line %zu is another one than in the older export", i + 1);
    return log->len < older->len ? rolled_back(err, log->len, older->len) : CCZ_OK;
}

ccz_rc ccz_kms_log_includes(const struct ccz_kms_log *log, const struct ccz_kms_checkpoint *c,
                            struct ccz_err *err)
{
    ccz_rc rc = not_verified(log, err);
    return rc == CCZ_OK ? includes(log, c, err) : rc;
}

ccz_rc ccz_kms_log_has(const struct ccz_kms_log *log, const struct ccz_kms_inclusion *r,
                       struct ccz_err *err)
{
    ccz_rc rc = ccz_kms_log_includes(log, &r->checkpoint, err); /* verifies the signature */
    if (rc == CCZ_OK)
        rc = ccz_kms_inclusion_check(r->seq - 1, r->checkpoint.size, r->leaf, &r->path,
                                     r->checkpoint.root, err);
    return rc; /* that root is the log's own, so that the leaf is the one that stands there */
}

ccz_rc ccz_kms_log_prove(struct ccz_kms_inclusion *out, const struct ccz_kms_log *log, uint64_t seq,
                         struct ccz_err *err)
{
    *out = (struct ccz_kms_inclusion){0};
    ccz_rc rc = not_verified(log, err);
    if (rc != CCZ_OK)
        return rc;
    if (seq < 1 || seq > log->len)
        return ccz_fail(err, CCZ_E_NOT_FOUND, "kms:receipt-seq", (int64_t)(seq & INT64_MAX),
                        "the log has lines 1 to %zu", log->len);
    struct cczi_kms_gather g;
    cczi_kms_gather_inclusion(&g, seq - 1, log->len);
    for (size_t i = 0; rc == CCZ_OK && i < log->len; i++)
        rc = cczi_kms_gather_put(&g, log->leaf[i]);
    if (rc != CCZ_OK)
        return ccz_fail(err, rc, "kms:export", 0, "cannot hash");
    *out = (struct ccz_kms_inclusion){.seq = seq, .path = g.path, .checkpoint = log->last};
    memcpy(out->leaf, log->leaf[seq - 1], 32);
    return CCZ_OK;
}

ccz_rc ccz_kms_log_consistency(struct ccz_kms_path *out, const struct ccz_kms_log *log,
                               uint64_t old_size, struct ccz_err *err)
{
    *out = (struct ccz_kms_path){0};
    ccz_rc rc = not_verified(log, err);
    if (rc != CCZ_OK)
        return rc;
    if (old_size > log->len)
        return ccz_fail(err, CCZ_E_ARG, "kms:consistency", (int64_t)(old_size & INT64_MAX),
                        "the log has %zu lines", log->len);
    struct cczi_kms_gather g;
    cczi_kms_gather_consistency(&g, old_size, log->len);
    for (size_t i = 0; rc == CCZ_OK && i < log->len; i++)
        rc = cczi_kms_gather_put(&g, log->leaf[i]);
    if (rc != CCZ_OK)
        return ccz_fail(err, rc, "kms:export", 0, "cannot hash");
    *out = g.path;
    return CCZ_OK;
}
