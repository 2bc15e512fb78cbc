/* SPDX-License-Identifier: Apache-2.0 */
/* Exports of the audit log: a good one is accepted, and what somebody could do to one is named; receipts and the signing key in a store. */
#define _GNU_SOURCE
#include "ccz_test.h"
#include "kms/kms_fixture.h"

/* ----------------------------------------------------------------------- a log to export */

enum { LINES_MAX = 300 };
struct maker {
    struct cczi_kms_signer signer;
    struct cczi_kms_tree tree[LINES_MAX + 1]; /* of the first so many lines */
    struct ccz_kms_audit_line line[LINES_MAX];
    char entry[LINES_MAX][512];
    size_t len;
};

static void add_entry(struct maker *m, const char *entry)
{
    struct ccz_kms_audit_line *l = &m->line[m->len];
    *l = (struct ccz_kms_audit_line){.seq = m->len + 1, .time_s = FIX_NOW + (int64_t)m->len};
    (void)snprintf(m->entry[m->len], sizeof(m->entry[0]), "%s", entry);
    l->entry = ccz_span_str(m->entry[m->len]);
    if (m->len)
        memcpy(l->prev, m->line[m->len - 1].hash, 32);
    uint8_t leaf[32];
    CHECK(cczi_kms_line_hash(l->hash, l) == CCZ_OK && ccz_kms_leaf_hash(leaf, l) == CCZ_OK);
    m->tree[m->len + 1] = m->tree[m->len];
    CHECK(cczi_kms_tree_append(&m->tree[++m->len], leaf) == CCZ_OK);
}

static void add_line(struct maker *m, const char *what)
{
    char entry[80];
    (void)snprintf(entry, sizeof(entry), "{\"op\":\"%s\"}", what);
    add_entry(m, entry);
}

/* Lines "init", "b", "c", ...; a signer of its own. */
static void make(struct maker *m, size_t lines)
{
    *m = (struct maker){0};
    add_line(m, "init");
    for (size_t i = 1; i < lines; i++) {
        char op[2] = {(char)('a' + i), 0};
        add_line(m, op);
    }
    struct ccz_key *key;
    CHECK(ccz_key_generate(&key, CCZ_P256) == CCZ_OK);
    CHECK(cczi_kms_signer_init(&m->signer, key, m->line[0].hash, NULL) == CCZ_OK);
}

static struct ccz_kms_checkpoint sign_at(const struct maker *m, size_t size)
{
    struct ccz_kms_checkpoint c;
    CHECK(cczi_kms_checkpoint_sign(&c, &m->signer, &m->tree[size], FIX_NOW, NULL) == CCZ_OK);
    return c;
}

static void put_header(struct ccz_buf *b, const struct maker *m)
{
    const struct ccz_key *key = m->signer.key;
    CHECK(ccz_kms_log_put_header(b, m->signer.origin, &key, 1) == CCZ_OK);
}

static void put_lines(struct ccz_buf *b, const struct maker *m, size_t from, size_t to)
{
    for (size_t i = from; i <= to; i++)
        ccz_kms_log_put_line(b, &m->line[i - 1]);
}

static void put_checkpoint(struct ccz_buf *b, const struct maker *m, size_t size)
{
    struct ccz_kms_checkpoint c = sign_at(m, size);
    ccz_kms_log_put_checkpoint(b, &c);
}

/* All lines, a checkpoint in the middle and one at the end. */
static void export_all(struct ccz_buf *b, const struct maker *m)
{
    ccz_buf_init(b, 1 << 20);
    put_header(b, m);
    put_lines(b, m, 1, m->len);
    put_checkpoint(b, m, (m->len + 1) / 2);
    put_checkpoint(b, m, m->len);
    CHECK(!b->bad);
}

/* @p log may be NULL; piece 0 = all at once */
static ccz_rc verify(struct ccz_kms_log **log, struct ccz_span file, const struct ccz_key *key,
                     size_t piece, struct ccz_err *err)
{
    CCZ_AUTO(ccz_kms_log) l = NULL;
    const struct ccz_kms_log_cfg cfg = {.keys = &key, .keys_len = key ? 1 : 0};
    *err = (struct ccz_err){0};
    if (log)
        *log = NULL;
    CHECK(ccz_kms_log_new(&l, &cfg, err) == CCZ_OK);
    ccz_rc rc = CCZ_OK;
    for (size_t at = 0; rc == CCZ_OK && at < file.size;) {
        size_t n = piece && piece < file.size - at ? piece : file.size - at;
        rc = ccz_kms_log_put(l, CCZ_SPAN(file.ptr + at, n), err);
        at += n;
    }
    if (rc == CCZ_OK)
        rc = ccz_kms_log_end(l, err);
    CHECK((rc == CCZ_OK) == (err->where[0] == 0));
    if (rc != CCZ_OK) { /* refused for good */
        struct ccz_err again = {0};
        struct ccz_kms_inclusion r;
        CHECK(ccz_kms_log_put(l, ccz_span_str("x"), &again) == CCZ_E_SIG &&
              strcmp(again.where, "kms:export-refused") == 0);
        CHECK(ccz_kms_log_end(l, NULL) == CCZ_E_SIG);
        CHECK(ccz_kms_log_prove(&r, l, 1, NULL) == CCZ_E_SIG);
    } else if (log) {
        *log = ccz_kms_log_take(&l);
    }
    return rc;
}

static void expect(const char *where, ccz_rc rc, struct ccz_buf *b, const struct ccz_key *key)
{
    struct ccz_err err;
    ccz_rc got = verify(NULL, ccz_buf_span(b), key, 0, &err);
    if (got != rc || strcmp(err.where, where) != 0) {
        fprintf(stderr, "%s at \"%s\" (%s), expected %s at \"%s\"\n", ccz_rc_name(got), err.where,
                err.msg, ccz_rc_name(rc), where);
        exit(1);
    }
    ccz_buf_clear(b);
}

static void free_maker(struct maker *m)
{
    cczi_kms_signer_deinit(&m->signer);
}

/* --------------------------------------------------------------------------- exports */

static void test_export(void)
{
    struct maker m;
    make(&m, 7);
    struct ccz_buf b;
    struct ccz_err err;
    struct ccz_kms_log *log;
    export_all(&b, &m);
    for (size_t piece = 0; piece < 300; piece += 1 + piece / 8) {
        CHECK(verify(&log, ccz_buf_span(&b), m.signer.key, piece, &err) == CCZ_OK);
        CHECK(ccz_kms_log_lines(log) == 7 && ccz_kms_log_checkpoints(log) == 2);
        CHECK(ccz_kms_log_last(log)->size == 7 && ccz_kms_log_last(log)->time_s == FIX_NOW);
        ccz_kms_log_free(log);
    }
    CHECK(verify(NULL, ccz_buf_span(&b), NULL, 0, &err) == CCZ_OK);
    CHECK(verify(NULL, CCZ_SPAN(b.ptr, 0), NULL, 0, &err) == CCZ_E_FORMAT &&
          strcmp(err.where, "kms:export-header") == 0);
    for (size_t cut = 1; cut < b.size; cut++) /* wherever it is cut */
        CHECK(verify(NULL, CCZ_SPAN(b.ptr, cut), m.signer.key, 0, &err) != CCZ_OK);
    ccz_buf_free(&b);
    free_maker(&m);
}

/* Every bit of a small export has a meaning. */
static void test_export_bits(void)
{
    struct maker m;
    make(&m, 2);
    struct ccz_buf b;
    struct ccz_err err;
    ccz_buf_init(&b, 1 << 16);
    put_header(&b, &m);
    put_lines(&b, &m, 1, 2);
    put_checkpoint(&b, &m, 2);
    CHECK(verify(NULL, ccz_buf_span(&b), m.signer.key, 0, &err) == CCZ_OK);
    for (size_t i = 0; i < b.size; i++)
        for (unsigned bit = 0; bit < 8; bit++) {
            b.ptr[i] ^= (uint8_t)(1u << bit);
            CHECK(verify(NULL, ccz_buf_span(&b), m.signer.key, 0, &err) != CCZ_OK);
            CHECK(verify(NULL, ccz_buf_span(&b), NULL, 0, &err) != CCZ_OK);
            b.ptr[i] ^= (uint8_t)(1u << bit);
        }
    ccz_buf_free(&b);
    free_maker(&m);
}

/* Lines taken out, put in, changed; by somebody who can write the file and not sign. */
static void test_export_lines(void)
{
    struct maker m;
    make(&m, 6);
    struct ccz_buf b;
    ccz_buf_init(&b, 1 << 20);
    const struct ccz_key *key = m.signer.key;

    put_header(&b, &m), put_lines(&b, &m, 1, 3), put_lines(&b, &m, 5, 6), put_checkpoint(&b, &m, 6);
    expect("kms:audit-chain", CCZ_E_SIG, &b, key);
    put_header(&b, &m), put_lines(&b, &m, 2, 6), put_checkpoint(&b, &m, 6); /* the first one */
    expect("kms:audit-chain", CCZ_E_SIG, &b, key);
    put_header(&b, &m), put_lines(&b, &m, 1, 6), put_lines(&b, &m, 6, 6), put_checkpoint(&b, &m, 6);
    expect("kms:audit-chain", CCZ_E_SIG, &b, key);
    put_header(&b, &m), put_lines(&b, &m, 1, 5), put_checkpoint(&b, &m, 6); /* the last one */
    expect("kms:checkpoint-size", CCZ_E_SIG, &b, key);
    put_header(&b, &m), put_lines(&b, &m, 1, 6), put_checkpoint(&b, &m, 5); /* one too many */
    expect("kms:export-unsigned", CCZ_E_SIG, &b, key);
    put_header(&b, &m), put_lines(&b, &m, 1, 6);
    expect("kms:export-unsigned", CCZ_E_SIG, &b, key);
    put_header(&b, &m);
    expect("kms:export-unsigned", CCZ_E_SIG, &b, key);

    /* a line of which only the entry, or entry and hash, were changed */
    struct ccz_err err = {0};
    struct ccz_kms_audit_line kept = m.line[3];
    m.line[3].entry = ccz_span_str("{\"op\":\"other\"}");
    put_header(&b, &m), put_lines(&b, &m, 1, 6), put_checkpoint(&b, &m, 6);
    CHECK(verify(NULL, ccz_buf_span(&b), key, 0, &err) == CCZ_E_SIG && err.aux == 4);
    CHECK(strstr(err.msg, "audit line 4 (record 5)") != NULL);
    expect("kms:audit-chain", CCZ_E_SIG, &b, key);
    CHECK(cczi_kms_line_hash(m.line[3].hash, &m.line[3]) == CCZ_OK);
    put_header(&b, &m), put_lines(&b, &m, 1, 6), put_checkpoint(&b, &m, 6);
    CHECK(verify(NULL, ccz_buf_span(&b), key, 0, &err) == CCZ_E_SIG && err.aux == 5);
    expect("kms:audit-chain", CCZ_E_SIG, &b, key); /* the next one does not continue it */
    m.line[3] = kept;
    ccz_buf_free(&b);
    free_maker(&m);
}

/* More than lines changed: the chain is right again, and what was signed is not. */
static void test_export_rewritten(void)
{
    struct maker m, rewritten;
    struct ccz_err err = {0};
    make(&m, 6);
    struct ccz_buf b;
    ccz_buf_init(&b, 1 << 20);
    const struct ccz_key *key = m.signer.key;
    /* the whole rest written anew: only the signature tells */
    make(&rewritten, 3);
    for (size_t i = 3; i < 6; i++)
        add_line(&rewritten, "innocent");
    put_header(&b, &m), put_lines(&b, &rewritten, 1, 6), put_checkpoint(&b, &m, 3);
    put_checkpoint(&b, &m, 6);
    CHECK(verify(NULL, ccz_buf_span(&b), key, 0, &err) == CCZ_E_SIG);
    CHECK(strstr(err.msg, "lines 4 to 6 are not") != NULL);
    expect("kms:checkpoint-root", CCZ_E_SIG, &b, key);
    /* a log that counts in its own way, and is right in everything else */
    struct maker odd = {0};
    add_line(&odd, "init");
    odd.len = 2; /* leaves out number 2 */
    memcpy(odd.line[1].hash, odd.line[0].hash, 32);
    odd.tree[2] = odd.tree[1];
    add_line(&odd, "c");
    odd.signer = m.signer;
    ccz_kms_origin(odd.signer.origin, odd.line[0].hash);
    put_header(&b, &odd), put_lines(&b, &odd, 1, 1), put_lines(&b, &odd, 3, 3);
    put_checkpoint(&b, &odd, 3);
    CHECK(verify(NULL, ccz_buf_span(&b), key, 0, &err) == CCZ_E_SIG && err.aux == 2);
    expect("kms:audit-chain", CCZ_E_SIG, &b, key);
    /* and signed anew with a key of the attacker's: the export fits together, and is not by the key that is expected */
    ccz_buf_free(&b);
    export_all(&b, &rewritten);
    CHECK(verify(NULL, ccz_buf_span(&b), NULL, 0, &err) == CCZ_OK);
    expect("kms:checkpoint-key", CCZ_E_SIG, &b, key);
    ccz_buf_free(&b);
    free_maker(&m);
    free_maker(&rewritten);
}

/* The order of records, and records that are none. */
static void test_export_records(void)
{
    struct maker m;
    make(&m, 4);
    struct ccz_buf b;
    ccz_buf_init(&b, 1 << 20);
    const struct ccz_key *key = m.signer.key;
    put_lines(&b, &m, 1, 4), put_checkpoint(&b, &m, 4);
    expect("kms:export-header", CCZ_E_FORMAT, &b, key);
    put_header(&b, &m), put_header(&b, &m), put_lines(&b, &m, 1, 4), put_checkpoint(&b, &m, 4);
    expect("kms:export-record", CCZ_E_FORMAT, &b, key);
    put_header(&b, &m), put_lines(&b, &m, 1, 3), put_checkpoint(&b, &m, 3);
    put_lines(&b, &m, 4, 4), put_checkpoint(&b, &m, 4);
    expect("kms:export-order", CCZ_E_FORMAT, &b, key);
    put_header(&b, &m), put_lines(&b, &m, 1, 4), put_checkpoint(&b, &m, 4);
    put_checkpoint(&b, &m, 3);
    expect("kms:checkpoint-order", CCZ_E_SIG, &b, key);
    put_header(&b, &m), put_lines(&b, &m, 1, 4), put_checkpoint(&b, &m, 4);
    put_checkpoint(&b, &m, 4); /* signed twice: fine */
    struct ccz_err err;
    CHECK(verify(NULL, ccz_buf_span(&b), key, 0, &err) == CCZ_OK);
    ccz_buf_put_str(&b, "\n");
    expect("kms:export-record", CCZ_E_FORMAT, &b, key);
    put_header(&b, &m), put_lines(&b, &m, 1, 4), put_checkpoint(&b, &m, 4);
    b.size--; /* without its last line feed */
    expect("kms:export-end", CCZ_E_FORMAT, &b, key);
    put_header(&b, &m);
    ccz_buf_put_str(&b, "{\"note\":\"x\"}\n");
    expect("kms:export-record", CCZ_E_FORMAT, &b, key);
    put_header(&b, &m);
    ccz_buf_put_str(&b, "{\"seq\":1");
    for (size_t i = 0; i < CCZ_KMS_LOG_RECORD_SIZE_MAX; i += 8)
        ccz_buf_put_str(&b, "        ");
    expect("kms:export-size", CCZ_E_LIMIT, &b, key);

    /* spaces, another order, upper case, a member more: the same to many readers, and not to this one */
    static const char *const lines[] = {
        "{\"seq\":1, \"time\"",   "{\"seq\":1,\"seq\":1,\"time\"", "{\"seq\":1,\"x\":1,\"time\"",
        "{\"seq\":1.0,\"time\"",  "{\"seq\":-1,\"time\"",          "{\"time\":1,\"seq\"",
        "{\"seq\":\"1\",\"time\""};
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        struct ccz_buf one;
        ccz_buf_init(&one, 4096);
        put_lines(&one, &m, 1, 1);
        put_header(&b, &m);
        ccz_buf_put_str(&b, lines[i]);
        ccz_buf_put(&b, one.ptr + strlen("{\"seq\":1,\"time\""),
                    one.size - strlen("{\"seq\":1,\"time\""));
        ccz_buf_free(&one);
        put_checkpoint(&b, &m, 1);
        expect("kms:export-record", CCZ_E_FORMAT, &b, key);
    }

    ccz_buf_free(&b);
    free_maker(&m);
}

/* A header or a checkpoint of another log. */
static void test_export_other_log(void)
{
    struct maker m, other;
    make(&m, 4);
    make(&other, 1);
    other.line[0].time_s++; /* its first line is another one */
    CHECK(cczi_kms_line_hash(other.line[0].hash, &other.line[0]) == CCZ_OK);
    ccz_kms_origin(other.signer.origin, other.line[0].hash);
    struct ccz_buf b;
    ccz_buf_init(&b, 1 << 20);
    const struct ccz_key *key = m.signer.key;
    put_header(&b, &other), put_lines(&b, &m, 1, 4), put_checkpoint(&b, &m, 4);
    expect("kms:checkpoint-origin", CCZ_E_SIG, &b, key);
    struct cczi_kms_signer wrong = m.signer; /* the right key: servers with one key and two logs */
    memcpy(wrong.origin, other.signer.origin, sizeof(wrong.origin));
    struct ccz_kms_checkpoint c;
    CHECK(cczi_kms_checkpoint_sign(&c, &wrong, &m.tree[4], FIX_NOW, NULL) == CCZ_OK);
    put_header(&b, &m), put_lines(&b, &m, 1, 4), ccz_kms_log_put_checkpoint(&b, &c);
    expect("kms:checkpoint-origin", CCZ_E_SIG, &b, key);
    put_header(&b, &other), put_lines(&b, &m, 1, 4), ccz_kms_log_put_checkpoint(&b, &c);
    expect("kms:checkpoint-origin", CCZ_E_SIG, &b,
           key); /* they agree, and the lines are of another log */
    ccz_buf_free(&b);
    free_maker(&m);
    free_maker(&other);
}

static void test_export_header(void)
{
    struct maker m;
    make(&m, 1);
    struct ccz_buf b;
    ccz_buf_init(&b, 1 << 20);
    const struct ccz_key *key = m.signer.key, *many[CCZ_KMS_LOG_KEYS_MAX + 1];
    for (size_t i = 0; i <= CCZ_KMS_LOG_KEYS_MAX; i++)
        many[i] = key;
    CHECK(ccz_kms_log_put_header(&b, m.signer.origin, many, 0) == CCZ_E_ARG);
    CHECK(ccz_kms_log_put_header(&b, m.signer.origin, many, CCZ_KMS_LOG_KEYS_MAX + 1) == CCZ_E_ARG);
    struct ccz_kms_log *log;
    const struct ccz_kms_log_cfg cfg = {.keys = many, .keys_len = CCZ_KMS_LOG_KEYS_MAX + 1};
    CHECK(ccz_kms_log_new(&log, &cfg, NULL) == CCZ_E_LIMIT && log == NULL);
    CHECK(ccz_kms_log_put_header(&b, m.signer.origin, many, CCZ_KMS_LOG_KEYS_MAX) == CCZ_OK);
    put_lines(&b, &m, 1, 1), put_checkpoint(&b, &m, 1);
    struct ccz_err err;
    CHECK(verify(NULL, ccz_buf_span(&b), NULL, 0, &err) == CCZ_OK);
    ccz_buf_clear(&b);
    struct ccz_key *p384;
    CHECK(ccz_key_generate(&p384, CCZ_P384) == CCZ_OK);
    many[0] = p384;
    CHECK(ccz_kms_log_put_header(&b, m.signer.origin, many, 1) == CCZ_E_UNSUPPORTED);
    ccz_buf_clear(&b);
    CCZ_AUTO_BUF spki;
    ccz_buf_init(&spki, 256);
    CHECK(ccz_key_spki(&spki, p384) == CCZ_OK);
    ccz_key_free(p384);
    ccz_buf_put_str(&b,
                    "{\"cczoo_kms_audit\":1,\"origin\":\"x\",\"keys\":[{\"id\":\"\",\"spki\":\"");
    ccz_base64_put(&b, ccz_buf_span(&spki), CCZ_BASE64_STD);
    ccz_buf_put_str(&b, "\"}]}\n");
    expect("kms:export-header", CCZ_E_UNSUPPORTED, &b, NULL);
    ccz_buf_put_str(&b, "{\"cczoo_kms_audit\":2,\"origin\":\"x\",\"keys\":[{}]}\n");
    expect("kms:export-header", CCZ_E_UNSUPPORTED, &b, NULL);
    ccz_buf_put_str(&b, "{\"cczoo_kms_audit\":1,\"origin\":\"x\",\"keys\":[]}\n");
    expect("kms:export-header", CCZ_E_FORMAT, &b, NULL);
    ccz_buf_put_str(&b, "{\"cczoo_kms_audit\":1,\"origin\":7,\"keys\":[{}]}\n");
    expect("kms:export-header", CCZ_E_FORMAT, &b, NULL);
    ccz_buf_put_str(&b, "not JSON\n");
    expect("kms:export-record", CCZ_E_FORMAT, &b, NULL);
    ccz_buf_free(&b);
    free_maker(&m);
}

/* ------------------------------------------------------- against what was kept elsewhere */

static struct ccz_kms_log *log_of(const struct maker *m)
{
    struct ccz_buf b;
    struct ccz_err err;
    struct ccz_kms_log *log;
    export_all(&b, m);
    if (verify(&log, ccz_buf_span(&b), m->signer.key, 0, &err) != CCZ_OK)
        fix_die(err.msg);
    ccz_buf_free(&b);
    return log;
}

static void test_export_continues(void)
{
    struct maker m;
    make(&m, 5);
    struct ccz_kms_log *five = log_of(&m);
    struct maker fork = m; /* the same key, another line 6: two histories */
    add_line(&m, "f");
    add_line(&m, "g");
    add_line(&fork, "F");
    struct ccz_kms_log *seven = log_of(&m), *forked = log_of(&fork);
    struct ccz_err err = {0};
    CHECK(ccz_kms_log_continues(seven, five, NULL) == CCZ_OK);
    CHECK(ccz_kms_log_continues(five, five, NULL) == CCZ_OK);
    CHECK(ccz_kms_log_continues(five, seven, &err) == CCZ_E_SIG &&
          strcmp(err.where, "kms:rolled-back") == 0);
    CHECK(ccz_kms_log_continues(seven, forked, &err) == CCZ_E_SIG &&
          strcmp(err.where, "kms:forked") == 0 && err.aux == 6);

    struct ccz_kms_checkpoint c = sign_at(&m, 6);
    CHECK(ccz_kms_log_includes(seven, &c, NULL) == CCZ_OK);
    CHECK(ccz_kms_log_includes(five, &c, &err) == CCZ_E_SIG &&
          strcmp(err.where, "kms:rolled-back") == 0);
    CHECK(ccz_kms_log_includes(forked, &c, &err) == CCZ_E_SIG &&
          strcmp(err.where, "kms:forked") == 0);
    c.sig[5] ^= 1;
    CHECK(ccz_kms_log_includes(seven, &c, &err) == CCZ_E_SIG &&
          strcmp(err.where, "kms:checkpoint-signature") == 0);
    struct maker other;
    make(&other, 2);
    c = sign_at(&other, 2);
    CHECK(ccz_kms_log_includes(seven, &c, &err) == CCZ_E_SIG); /* the same origin, another key */
    CHECK(strcmp(err.where, "kms:checkpoint-key") == 0);
    memcpy(c.origin, "x", 2);
    CHECK(ccz_kms_log_includes(seven, &c, &err) == CCZ_E_SIG &&
          strcmp(err.where, "kms:checkpoint-origin") == 0);

    ccz_kms_log_free(five);
    ccz_kms_log_free(seven);
    ccz_kms_log_free(forked);
    free_maker(&m);
    free_maker(&other);
}

/* ----------------------------------------------- held to a checkpoint and no key is given */

static void name_key(struct maker *m, const char *verdict, const struct cczi_kms_signer *who)
{
    char hex[65], entry[160];
    ccz_hex(hex, who->key_id, 32);
    (void)snprintf(entry, sizeof(entry), "{\"op\":\"audit-key\",\"verdict\":\"%s\",\"key\":\"%s\"}",
                   verdict, hex);
    add_entry(m, entry);
}

/* All lines of @p m, the keys of both, checkpoints: sizes that m's key signs, then one over all lines that the other one signs. */
static void export_both(struct ccz_buf *b, const struct maker *m, const struct maker *other,
                        size_t own_size, bool by_other)
{
    const struct ccz_key *keys[] = {m->signer.key, other->signer.key};
    ccz_buf_clear(b);
    CHECK(ccz_kms_log_put_header(b, m->signer.origin, keys, 2) == CCZ_OK);
    put_lines(b, m, 1, m->len);
    if (own_size)
        put_checkpoint(b, m, own_size);
    struct ccz_kms_checkpoint c;
    struct cczi_kms_signer signer = other->signer;
    memcpy(signer.origin, m->signer.origin, sizeof(signer.origin));
    CHECK(cczi_kms_checkpoint_sign(&c, &signer, &m->tree[m->len], FIX_NOW, NULL) == CCZ_OK);
    if (by_other)
        ccz_kms_log_put_checkpoint(b, &c);
}

static ccz_rc held_to(const struct ccz_kms_checkpoint *anchor, const struct ccz_buf *b,
                      const char *where)
{
    CCZ_AUTO(ccz_kms_log) l = NULL;
    struct ccz_err err = {0};
    const struct ccz_kms_log_cfg cfg = {.anchor = anchor};
    CHECK(ccz_kms_log_new(&l, &cfg, &err) == CCZ_OK);
    ccz_rc rc = ccz_kms_log_put(l, ccz_buf_span(b), &err);
    if (rc == CCZ_OK)
        rc = ccz_kms_log_end(l, &err);
    if (strcmp(err.where, where) != 0)
        fprintf(stderr, "%s (%s), expected \"%s\"\n", err.where, err.msg, where);
    CHECK(strcmp(err.where, where) == 0);
    return rc;
}

/* Whoever wrote the file also wrote which keys it brings. */
/* A line that names a key, with what @p by signs about it: for the log @p origin. */
static void name_successor(struct maker *m, const struct cczi_kms_signer *next,
                           const struct cczi_kms_signer *by, const uint8_t by_id[32],
                           const char *origin)
{
    char entry[512], hex[3][129];
    uint8_t sig[64];
    struct ccz_buf text;
    ccz_buf_init(&text, 512);
    cczi_kms_successor_text(&text, origin, by_id, next->key_id);
    struct ccz_span signed_text = ccz_buf_span(&text);
    CHECK(ccz_ecdsa_sign(sig, by->key, &signed_text, 1) == CCZ_OK);
    ccz_buf_free(&text);
    ccz_hex(hex[0], next->key_id, 32);
    ccz_hex(hex[1], by_id, 32);
    ccz_hex(hex[2], sig, 64);
    (void)snprintf(entry, sizeof(entry),
                   "{\"op\":\"audit-key\",\"verdict\":\"accept\",\"key\":\"%s\",\"by\":\"%s\","
                   "\"signature\":\"%s\"}",
                   hex[0], hex[1], hex[2]);
    add_entry(m, entry);
}

/* One key signs the next: who knows the first follows, and not to a key that somebody else signed. */
static void test_export_successor(void)
{
    struct maker m, evil, next;
    struct ccz_buf b;
    struct ccz_err err;
    make(&m, 3);
    make(&evil, 1);
    make(&next, 1);
    ccz_buf_init(&b, 1 << 20);
    const struct ccz_kms_checkpoint kept = sign_at(&m, 3);
    const struct ccz_key *first = m.signer.key;
    struct maker taken = m;
    name_successor(&taken, &next.signer, &m.signer, m.signer.key_id, m.signer.origin);
    export_both(&b, &taken, &next, 0, true);
    CHECK(held_to(&kept, &b, "") == CCZ_OK);
    CHECK(verify(NULL, ccz_buf_span(&b), first, 0, &err) == CCZ_OK);
    /* signed by itself, by a stranger, for another log, or as if by another key */
    const struct {
        const struct cczi_kms_signer *by, *named;
        const char *origin;
    } bad[] = {
        {&next.signer, &m.signer, m.signer.origin},
        {&next.signer, &next.signer, m.signer.origin},
        {&evil.signer, &m.signer, m.signer.origin},
        {&evil.signer, &evil.signer, m.signer.origin},
        {&m.signer, &m.signer, "cczoo.kms/audit/00000000000000000000000000000000"},
        {&m.signer, &evil.signer, m.signer.origin},
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct maker forged = m;
        name_successor(&forged, &next.signer, bad[i].by, bad[i].named->key_id, bad[i].origin);
        export_both(&b, &forged, &next, 0, true);
        CHECK(held_to(&kept, &b, "kms:checkpoint-key") == CCZ_E_SIG);
        expect("kms:checkpoint-key", CCZ_E_SIG, &b, first);
    }
    ccz_buf_free(&b);
    free_maker(&m);
    free_maker(&evil);
    free_maker(&next);
}

static void test_export_anchor(void)
{
    struct maker m, evil, next;
    make(&m, 3);
    make(&evil, 1);
    make(&next, 1);
    struct ccz_buf b;
    ccz_buf_init(&b, 1 << 20);
    const struct ccz_kms_checkpoint kept = sign_at(&m, 3);
    /* a line that is made up, signed by somebody whose key the header brings beside the right one */
    struct maker forged = m;
    add_line(&forged, "innocent");
    export_both(&b, &forged, &evil, 0, true);
    struct ccz_err err;
    CHECK(verify(NULL, ccz_buf_span(&b), NULL, 0, &err) == CCZ_OK); /* it fits together */
    CHECK(held_to(&kept, &b, "kms:checkpoint-key") == CCZ_E_SIG);
    export_both(&b, &forged, &evil, 3, true);
    CHECK(held_to(&kept, &b, "kms:checkpoint-key") == CCZ_E_SIG);
    /* and whose key a line names that nobody else signed for, or one that says no */
    name_key(&forged, "accept", &evil.signer);
    export_both(&b, &forged, &evil, 3, true);
    CHECK(held_to(&kept, &b, "kms:checkpoint-key") == CCZ_E_SIG);
    struct maker denied = m;
    name_key(&denied, "reject", &evil.signer);
    export_both(&b, &denied, &evil, 4, true);
    CHECK(held_to(&kept, &b, "kms:checkpoint-key") == CCZ_E_SIG);
    export_both(&b, &denied, &evil, 4, false); /* a key that is there for nothing */
    CHECK(held_to(&kept, &b, "kms:checkpoint-key-unnamed") == CCZ_E_SIG);

    /* another key takes over: named by a line that the one before signed */
    struct maker taken = m;
    name_key(&taken, "accept", &next.signer);
    add_line(&taken, "e");
    add_line(&taken, "f");
    export_both(&b, &taken, &next, 4, true);
    CHECK(held_to(&kept, &b, "") == CCZ_OK);
    export_both(&b, &taken, &next, 3, true); /* the line that names it is not signed for */
    CHECK(held_to(&kept, &b, "kms:checkpoint-key") == CCZ_E_SIG);
    const struct ccz_kms_checkpoint later = sign_at(&taken, 5); /* but by what was kept */
    CHECK(held_to(&later, &b, "") == CCZ_OK);
    export_both(&b, &taken, &next, 0, true);
    CHECK(held_to(&later, &b, "") == CCZ_OK);

    /* the anchor itself */
    struct ccz_kms_checkpoint bad = later;
    bad.sig[0] ^= 1;
    CHECK(held_to(&bad, &b, "kms:checkpoint-signature") == CCZ_E_SIG);
    bad = sign_at(&evil, 1);
    memcpy(bad.origin, m.signer.origin, sizeof(bad.origin));
    CHECK(held_to(&bad, &b, "kms:checkpoint-key") == CCZ_E_SIG);
    bad = later;
    memcpy(bad.origin, "x", 2);
    CHECK(held_to(&bad, &b, "kms:checkpoint-origin") == CCZ_E_SIG);
    bad = sign_at(&forged, 4);
    CHECK(held_to(&bad, &b, "kms:forked") == CCZ_E_SIG);
    ccz_buf_clear(&b);
    put_header(&b, &m), put_lines(&b, &m, 1, 3), put_checkpoint(&b, &m, 3);
    CHECK(held_to(&later, &b, "kms:rolled-back") == CCZ_E_SIG);
    CHECK(held_to(&kept, &b, "") == CCZ_OK);
    struct ccz_kms_log *none;
    const struct ccz_key *key = m.signer.key;
    const struct ccz_kms_log_cfg both = {.keys = &key, .keys_len = 1, .anchor = &kept};
    CHECK(ccz_kms_log_new(&none, &both, &err) == CCZ_E_ARG && none == NULL);
    ccz_buf_free(&b);
    free_maker(&m);
    free_maker(&evil);
    free_maker(&next);
}

/* Proofs that a log makes hold, and for no other log. */
static void test_export_proofs(void)
{
    struct maker m;
    struct ccz_err err = {0};
    make(&m, 5);
    struct ccz_kms_log *five = log_of(&m);
    struct maker fork = m;
    add_line(&m, "f");
    add_line(&m, "g");
    add_line(&fork, "F");
    struct ccz_kms_log *seven = log_of(&m), *forked = log_of(&fork);
    for (uint64_t seq = 1; seq <= 7; seq++) {
        struct ccz_kms_inclusion r;
        const struct ccz_key *key = m.signer.key;
        CHECK(ccz_kms_log_prove(&r, seven, seq, NULL) == CCZ_OK && r.seq == seq);
        CHECK(ccz_kms_inclusion_verify(&r, &key, 1, NULL) == CCZ_OK);
        CHECK(ccz_kms_log_has(seven, &r, NULL) == CCZ_OK);
        CHECK(ccz_kms_log_has(five, &r, &err) == CCZ_E_SIG);
        r.seq = seq % 7 + 1;
        CHECK(ccz_kms_log_has(seven, &r, &err) == CCZ_E_SIG &&
              strcmp(err.where, "kms:inclusion") == 0);
        r.seq = 0;
        CHECK(ccz_kms_log_has(seven, &r, &err) == CCZ_E_SIG);
        CHECK(ccz_kms_inclusion_verify(&r, &key, 1, NULL) == CCZ_E_SIG);
    }
    struct ccz_kms_inclusion r;
    CHECK(ccz_kms_log_prove(&r, forked, 6, NULL) == CCZ_OK);
    CHECK(ccz_kms_log_has(seven, &r, &err) == CCZ_E_SIG && strcmp(err.where, "kms:forked") == 0);
    CHECK(ccz_kms_log_prove(&r, seven, 0, &err) == CCZ_E_NOT_FOUND);
    CHECK(ccz_kms_log_prove(&r, seven, 8, &err) == CCZ_E_NOT_FOUND &&
          strcmp(err.where, "kms:receipt-seq") == 0 && r.seq == 0);
    for (uint64_t old = 1; old <= 7; old++) {
        struct ccz_kms_path p;
        struct ccz_kms_checkpoint was = sign_at(&m, old);
        CHECK(ccz_kms_log_consistency(&p, seven, old, NULL) == CCZ_OK);
        CHECK(ccz_kms_consistency_check(old, 7, was.root, ccz_kms_log_last(seven)->root, &p,
                                        NULL) == CCZ_OK);
    }
    struct ccz_kms_path p;
    CHECK(ccz_kms_log_consistency(&p, seven, 8, NULL) == CCZ_E_ARG);
    ccz_kms_log_free(five);
    ccz_kms_log_free(seven);
    ccz_kms_log_free(forked);
    free_maker(&m);
}

/* ---------------------------------------------------------------------- from a store */

/* The lines of a store and a checkpoint over them, as a client would write them. */
static void export_store(struct ccz_buf *b, struct ccz_kms_store *s)
{
    struct ccz_kms_checkpoint c;
    const struct ccz_key *key = s->signer.key;
    CHECK(cczi_kms_begin(s, NULL) == CCZ_OK);
    CHECK(cczi_kms_checkpoint_sign(&c, &s->signer, &s->head.tree, FIX_NOW, NULL) == CCZ_OK);
    CHECK(ccz_kms_log_put_header(b, c.origin, &key, 1) == CCZ_OK);
    struct cczi_q q = cczi_q_start(&s->db, CCZI_SQL_AUDIT_FROM);
    cczi_q_int(&q, 0);
    cczi_q_int(&q, -1);
    while (cczi_q_row(&q)) {
        struct ccz_kms_audit_line l = {.seq = (uint64_t)cczi_q_col_int(&q, 0),
                                       .time_s = cczi_q_col_int(&q, 1),
                                       .entry = cczi_q_col(&q, 2)};
        cczi_q_col_bytes(l.prev, 32, &q, 3);
        cczi_q_col_bytes(l.hash, 32, &q, 4);
        ccz_kms_log_put_line(b, &l);
    }
    CHECK(cczi_q_end(&q, NULL) == CCZ_OK);
    cczi_kms_rollback(s);
    ccz_kms_log_put_checkpoint(b, &c);
}

/* A release, and its signed receipt. */
static struct ccz_kms_inclusion release(struct ccz_kms_store *s)
{
    struct ccz_buf out;
    struct cczi_msg_release_resp m = {0};
    struct cczi_msg_receipt receipt = {0};
    struct ccz_kms_inclusion r;
    ccz_buf_init(&out, CCZ_KMS_MESSAGE_SIZE_MAX);
    CHECK(fix_release(&out, s, FIX_WORKLOAD, "key/model", 0, NULL) == CCZ_OK);
    CHECK(cczi_msg_get(&m, cczi_msg_release_resp, ccz_buf_span(&out), NULL) == CCZ_OK);
    CHECK(cczi_msg_get(&receipt, cczi_msg_receipt, m.receipt, NULL) == CCZ_OK);
    CHECK(ccz_kms_inclusion_parse(&r, m.inclusion, NULL) == CCZ_OK && r.seq == receipt.seq);
    ccz_buf_free(&out);
    return r;
}

/* Of a log that is longer than what a query begins at: every size is found, and no other root. */
static void test_export_long(void)
{
    static struct maker m;
    struct ccz_err err = {0};
    make(&m, 1);
    while (m.len < LINES_MAX)
        add_line(&m, "x");
    struct ccz_kms_log *log = log_of(&m);
    for (size_t size = 1; size <= LINES_MAX; size++) {
        struct ccz_kms_checkpoint c = sign_at(&m, size);
        CHECK(ccz_kms_log_includes(log, &c, NULL) == CCZ_OK);
    }
    struct cczi_kms_tree other = m.tree[257];
    other.node[0][3] ^= 1; /* line 257 alone is another one */
    struct ccz_kms_checkpoint c;
    CHECK(cczi_kms_checkpoint_sign(&c, &m.signer, &other, FIX_NOW, NULL) == CCZ_OK);
    CHECK(ccz_kms_log_includes(log, &c, &err) == CCZ_E_SIG && strcmp(err.where, "kms:forked") == 0);
    ccz_kms_log_free(log);
    free_maker(&m);
}

static void test_store_receipts(void)
{
    struct ccz_kms_store *s = fix_memory_store();
    fix_populate(s);
    struct ccz_kms_inclusion r[3];
    r[0] = release(s);
    CHECK(fix_release(NULL, s, FIX_NOBODY, "key/model", 0, NULL) == CCZ_E_DENIED);
    r[1] = release(s);
    r[2] = release(s);
    CHECK(r[1].seq == r[0].seq + 2 && r[2].checkpoint.size == r[2].seq);
    struct ccz_buf b;
    struct ccz_err err;
    struct ccz_kms_log *log;
    ccz_buf_init(&b, 1 << 20);
    export_store(&b, s);
    const struct ccz_key *key = s->signer.key;
    CHECK(verify(&log, ccz_buf_span(&b), key, 0, &err) == CCZ_OK);
    for (size_t i = 0; i < 3; i++) {
        CHECK(ccz_kms_inclusion_verify(&r[i], &key, 1, NULL) == CCZ_OK);
        CHECK(ccz_kms_log_has(log, &r[i], NULL) == CCZ_OK);
    }
    ccz_kms_log_free(log);
    ccz_buf_free(&b);
    ccz_kms_store_free(s);
}

/* Calls of one transaction, some refused: one signature, and each answer has the receipt of its own line. */
static void test_store_batch(void)
{
    static struct fix_batch b;
    struct ccz_kms_store *s = fix_memory_store();
    fix_populate(s);
    fix_batch_begin(&b);
    for (int i = 0; i < 9; i++)
        fix_batch_release(&b, i % 4 == 2 ? FIX_NOBODY : FIX_WORKLOAD, "key/model");
    fix_batch_put_secret(&b, "half", "undone after it was stored", "absent");
    fix_batch_release(&b, FIX_WORKLOAD, "key/model");
    fix_batch_run(&b, s);
    const struct ccz_key *key = s->signer.key;
    CHECK(key != NULL);
    struct ccz_kms_checkpoint first = {0};
    struct ccz_kms_log *log;
    struct ccz_buf file;
    struct ccz_err err;
    ccz_buf_init(&file, 1 << 20);
    export_store(&file, s);
    CHECK(verify(&log, ccz_buf_span(&file), key, 0, &err) == CCZ_OK);
    size_t receipts = 0;
    for (size_t i = 0; i < b.len; i++) {
        const struct cczi_kms_entry *e = &b.entry[i];
        struct cczi_msg_release_resp m = {0};
        struct ccz_kms_inclusion r;
        if (e->rc != CCZ_OK)
            continue;
        CHECK(cczi_msg_get(&m, cczi_msg_release_resp, ccz_buf_span(&e->answer), NULL) == CCZ_OK);
        CHECK(ccz_kms_inclusion_parse(&r, m.inclusion, NULL) == CCZ_OK);
        CHECK(r.seq == e->receipt.audit_seq && ccz_kms_log_has(log, &r, NULL) == CCZ_OK);
        if (receipts++ == 0)
            first = r.checkpoint;
        CHECK(memcmp(r.checkpoint.sig, first.sig, 64) == 0);
    }
    CHECK(receipts == 8 && first.size == ccz_kms_log_lines(log));
    fix_batch_end(&b);
    ccz_kms_log_free(log);
    ccz_buf_free(&file);
    ccz_kms_store_free(s);
}

/* A line that is undone leaves neither the tree nor a receipt behind. */
static void test_store_savepoint(void)
{
    struct ccz_kms_store *s = fix_memory_store();
    fix_populate(s);
    struct ccz_kms_receipt kept, undone, last;
    struct ccz_kms_inclusion r;
    const struct ccz_key *key = s->signer.key;
    struct ccz_span entry = ccz_span_str("{\"op\":\"test\"}");
    CHECK(cczi_kms_begin(s, NULL) == CCZ_OK);
    CHECK(cczi_kms_audit_append(&kept, s, FIX_NOW, entry, NULL) == CCZ_OK);
    CHECK(cczi_kms_savepoint(s, NULL) == CCZ_OK);
    CHECK(cczi_kms_audit_append(&undone, s, FIX_NOW + 1, entry, NULL) == CCZ_OK);
    CHECK(cczi_kms_savepoint_undo(s, NULL) == CCZ_OK);
    CHECK(cczi_kms_audit_append(&last, s, FIX_NOW + 2, entry, NULL) == CCZ_OK);
    CHECK(last.audit_seq == undone.audit_seq && cczi_kms_commit(s, NULL) == CCZ_OK);
    CHECK(cczi_kms_lines_sign(&s->lines, &s->signer, &s->head.tree, FIX_NOW, NULL) == CCZ_OK);
    for (uint64_t seq = kept.audit_seq; seq <= last.audit_seq; seq++) {
        CHECK(cczi_kms_lines_receipt(&r, &s->lines, seq) == CCZ_OK);
        CHECK(ccz_kms_inclusion_verify(&r, &key, 1, NULL) == CCZ_OK);
    }
    CHECK(ccz_kms_store_check(NULL, s, NULL) == CCZ_OK);
    ccz_kms_store_free(s);
}

/* No receipt, no answer: the call is on record, and so is that nothing left. */
static void test_store_no_signature(void)
{
    struct ccz_kms_store *s = fix_memory_store();
    fix_populate(s);
    struct ccz_key *kept = s->signer.key, *p384;
    CHECK(ccz_key_generate(&p384, CCZ_P384) == CCZ_OK);
    CCZ_AUTO_BUF spki;
    ccz_buf_init(&spki, 256);
    struct ccz_key *no_private;
    CHECK(ccz_key_spki(&spki, kept) == CCZ_OK);
    CHECK(ccz_key_from_spki(&no_private, ccz_buf_span(&spki), NULL) == CCZ_OK);
    s->signer.key = no_private;
    struct ccz_buf out;
    struct ccz_err err = {0};
    ccz_buf_init(&out, CCZ_KMS_MESSAGE_SIZE_MAX);
    CHECK(fix_release(&out, s, FIX_WORKLOAD, "key/model", 0, &err) == CCZ_E_ARG && out.size == 0);
    CHECK(strcmp(err.where, "kms:checkpoint-sign") == 0);
    ccz_key_free(no_private);
    ccz_key_free(p384);
    s->signer.key = kept;
    CHECK(ccz_kms_store_check(NULL, s, NULL) == CCZ_OK);
    (void)release(s);
    ccz_buf_free(&out);
    ccz_kms_store_free(s);
}

/* The signing key is a row like others, and nobody's to name. */
static void test_store_signer(void)
{
    struct ccz_kms_store *s = fix_memory_store();
    fix_populate(s);
    uint8_t id[32];
    memcpy(id, s->signer.key_id, 32);
    cczi_kms_signer_deinit(&s->signer); /* as after a restart */
    CHECK(cczi_kms_signer_ensure(s, FIX_NOW, NULL) == CCZ_OK);
    CHECK(memcmp(id, s->signer.key_id, 32) == 0);
    char line[128], hex[65]; /* the log names it, once */
    ccz_hex(hex, id, 32);
    (void)snprintf(line, sizeof(line),
                   "{\"op\":\"audit-key\",\"verdict\":\"accept\",\"key\":\"%s\"}", hex);
    struct ccz_buf file;
    ccz_buf_init(&file, 1 << 20);
    export_store(&file, s);
    const char *at = memmem(file.ptr, file.size, line, strlen(line));
    CHECK(at != NULL);
    size_t behind = (size_t)((const uint8_t *)at - file.ptr) + 20;
    CHECK(memmem(file.ptr + behind, file.size - behind, "audit-key", 9) == NULL);
    ccz_buf_free(&file);
    static const char *const names[] = {"system/audit-signing", "key/audit-signing",
                                        "secret/audit-signing", "policy/audit-signing"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        struct ccz_err err = {0};
        struct cczi_msg_bind_req bind = {.item = ccz_span_str(names[i]),
                                         .policy = ccz_span_str("server")};
        struct cczi_msg_delete_req del = {.target = ccz_span_str(names[i])};
        struct cczi_msg_name name = {ccz_span_str(names[i])};
        CHECK(fix_release(NULL, s, FIX_WORKLOAD, names[i], 0, &err) != CCZ_OK);
        CHECK(fix_msg(NULL, s, FIX_ADMIN, "Bind", cczi_msg_bind_req, &bind, &err) != CCZ_OK);
        CHECK(fix_msg(NULL, s, FIX_ADMIN, "Delete", cczi_msg_delete_req, &del, &err) != CCZ_OK);
        CHECK(fix_msg(NULL, s, FIX_ADMIN, "Describe", cczi_msg_name, &name, &err) != CCZ_OK);
    }
    struct ccz_buf out;
    struct cczi_msg_name from = {{0}};
    ccz_buf_init(&out, CCZ_KMS_MESSAGE_SIZE_MAX);
    CHECK(fix_msg(&out, s, FIX_ADMIN, "List", cczi_msg_name, &from, NULL) == CCZ_OK);
    CHECK(memmem(out.ptr, out.size, "audit-signing", 13) == NULL);
    CHECK(fix_call(&out, s, FIX_ADMIN, "Status", (struct ccz_span){0}, NULL) == CCZ_OK);
    struct cczi_msg_status st = {0};
    CHECK(cczi_msg_get(&st, cczi_msg_status, ccz_buf_span(&out), NULL) == CCZ_OK);
    CHECK(st.keys == 1 && st.secrets == 2 && st.unbound == 1);

    /* without its row, or with another one, the store is not the one that was left */
    struct ccz_err err = {0};
    CHECK(cczi_kms_db_exec(&s->db, "UPDATE item SET created_s = 1 WHERE kind = 4", NULL) == CCZ_OK);
    CHECK(ccz_kms_store_check(NULL, s, &err) == CCZ_E_SIG && strcmp(err.where, "kms:row-mac") == 0);
    cczi_kms_signer_deinit(&s->signer);
    CHECK(cczi_kms_signer_ensure(s, FIX_NOW, &err) == CCZ_E_SIG && s->signer.key == NULL);
    CHECK(fix_release(&out, s, FIX_WORKLOAD, "key/model", 0, &err) == CCZ_E_SIG && out.size == 0);
    CHECK(cczi_kms_db_exec(&s->db, "DELETE FROM item WHERE kind = 4", NULL) == CCZ_OK);
    CHECK(ccz_kms_store_check(NULL, s, &err) == CCZ_E_SIG && strcmp(err.where, "kms:row-set") == 0);
    ccz_buf_free(&out);
    ccz_kms_store_free(s);
}

/* What the head says of the lines is not what they are: by a program with a fault, since it is sealed. */
static void test_store_faulty(void)
{
    struct ccz_err err = {0};
    struct ccz_kms_store *s = fix_memory_store();
    fix_populate(s);
    CHECK(cczi_kms_begin(s, NULL) == CCZ_OK);
    CHECK(s->head.tree.size == s->head.seq);
    s->head.first[0] ^= 1; /* the log would have another name */
    s->head_dirty = true;
    CHECK(cczi_kms_commit(s, NULL) == CCZ_OK);
    CHECK(ccz_kms_store_check(NULL, s, &err) == CCZ_E_SIG);
    CHECK(strcmp(err.where, "kms:audit-first") == 0);
    ccz_kms_store_free(s);

    s = fix_memory_store();
    fix_populate(s);
    CHECK(cczi_kms_begin(s, NULL) == CCZ_OK);
    for (unsigned i = 0; i < CCZI_KMS_TREE_LEVELS; i++)
        s->head.tree.node[i][0] ^= 1;
    s->head_dirty = true;
    CHECK(cczi_kms_commit(s, NULL) == CCZ_OK);
    CHECK(ccz_kms_store_check(NULL, s, &err) == CCZ_E_SIG);
    CHECK(strcmp(err.where, "kms:audit-tree") == 0);
    ccz_kms_store_free(s);
}

static const struct ccz_test tests[] = {
    {"kms.export", test_export},
    {"kms.export_bits", test_export_bits},
    {"kms.export_lines", test_export_lines},
    {"kms.export_rewritten", test_export_rewritten},
    {"kms.export_records", test_export_records},
    {"kms.export_other_log", test_export_other_log},
    {"kms.export_header", test_export_header},
    {"kms.export_continues", test_export_continues},
    {"kms.export_anchor", test_export_anchor},
    {"kms.export_successor", test_export_successor},
    {"kms.export_proofs", test_export_proofs},
    {"kms.export_long", test_export_long},
    {"kms.store_receipts", test_store_receipts},
    {"kms.store_batch", test_store_batch},
    {"kms.store_savepoint", test_store_savepoint},
    {"kms.store_no_signature", test_store_no_signature},
    {"kms.store_signer", test_store_signer},
    {"kms.store_faulty", test_store_faulty},
};

int main(int argc, char **argv)
{
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
