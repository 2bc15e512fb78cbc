/* SPDX-License-Identifier: Apache-2.0 */
/* Consistency proofs that a store gives, and the rotation of the key that signs its log. */
#define _GNU_SOURCE
#include "ccz_test.h"
#include "kms/kms_fixture.h"

#define DAY 86400

static struct ccz_err err;

static bool is(const char *where)
{
    if (strcmp(err.where, where) == 0)
        return true;
    fprintf(stderr, "%s: %s, expected %s\n", err.where, err.msg, where);
    return false;
}

/* Adds lines, in one transaction. */
static void add_lines(struct ccz_kms_store *s, unsigned n)
{
    struct ccz_kms_receipt receipt;
    CHECK(cczi_kms_begin(s, NULL) == CCZ_OK);
    for (unsigned i = 0; i < n; i++)
        CHECK(cczi_kms_audit_append(&receipt, s, FIX_NOW, ccz_span_str("{\"op\":\"x\"}"), NULL) ==
              CCZ_OK);
    CHECK(cczi_kms_commit(s, NULL) == CCZ_OK);
}

/* A proof as it comes over the wire. */
struct proof {
    struct ccz_kms_path path;
    struct ccz_kms_checkpoint now; /* size 0 = none */
    struct ccz_key *keys[CCZ_KMS_LOG_KEYS_MAX];
    size_t len;
};

static void proof_free(struct proof *p)
{
    for (size_t i = 0; i < p->len; i++)
        ccz_key_free(p->keys[i]);
}

static void take(struct proof *p, struct ccz_span in)
{
    struct ccz_rd r = ccz_rd_from(in);
    struct ccz_pb_field f;
    while (ccz_pb_next(&f, &r)) {
        if (f.number == 1) {
            CHECK(f.bytes.size == 32 && p->path.len < CCZ_KMS_PATH_MAX);
            memcpy(p->path.node[p->path.len++], f.bytes.ptr, 32);
        } else if (f.number == 2) {
            CHECK(ccz_kms_checkpoint_parse(&p->now, f.bytes, NULL) == CCZ_OK);
        } else if (f.number == 3) {
            CHECK(ccz_key_from_spki(&p->keys[p->len++], f.bytes, NULL) == CCZ_OK);
        }
    }
    CHECK(!r.bad);
}

static ccz_rc prove(struct proof *p, struct ccz_kms_store *s, uint64_t old_size, uint64_t size)
{
    const struct cczi_msg_consistency_req m = {old_size, size};
    struct ccz_buf b;
    ccz_buf_init(&b, CCZ_KMS_MESSAGE_SIZE_MAX);
    err = (struct ccz_err){0};
    *p = (struct proof){.len = 0};
    ccz_rc rc = fix_msg(&b, s, FIX_AUDITOR, "Consistency", cczi_msg_consistency_req, &m, &err);
    if (rc == CCZ_OK)
        take(p, ccz_buf_span(&b));
    ccz_buf_free(&b);
    return rc;
}

/* Every pair of sizes of a small log, and what is none. */
static void test_wire(void)
{
    static uint8_t root[48][32];
    struct ccz_kms_store *s = fix_memory_store();
    struct proof p;
    fix_populate(s);
    uint64_t first = s->head.seq;
    for (uint64_t n = first; n < 48; n++) {
        CHECK(cczi_kms_tree_root(root[n], &s->head.tree) == CCZ_OK);
        add_lines(s, 1);
    }
    for (uint64_t size = first; size < 48; size++)
        for (uint64_t old = first; old <= size; old++) {
            CHECK(prove(&p, s, old, size) == CCZ_OK && p.now.size == 0 && p.len == 0);
            CHECK(ccz_kms_consistency_check(old, size, root[old], root[size], &p.path, NULL) ==
                  CCZ_OK);
            if (old < size) /* and of nothing else */
                CHECK(ccz_kms_consistency_check(old, size, root[size], root[old], &p.path, NULL) ==
                      CCZ_E_SIG);
        }
    /* up to now: with what is signed */
    CHECK(prove(&p, s, 20, 0) == CCZ_OK && p.now.size == s->head.seq && p.len == 1);
    CHECK(ccz_kms_checkpoint_check(&p.now, (const struct ccz_key *const *)p.keys, 1, NULL) ==
          CCZ_OK);
    CHECK(ccz_kms_consistency_check(20, p.now.size, root[20], p.now.root, &p.path, NULL) == CCZ_OK);
    proof_free(&p);
    CHECK(prove(&p, s, 0, 0) == CCZ_OK && p.path.len == 0);
    proof_free(&p);
    CHECK(prove(&p, s, s->head.seq + 1, 0) == CCZ_E_ARG && is("kms:consistency-size"));
    CHECK(prove(&p, s, 1, s->head.seq + 9) == CCZ_E_ARG && is("kms:consistency-size"));
    CHECK(prove(&p, s, 9, 8) == CCZ_E_ARG && is("kms:consistency-size"));
    ccz_kms_store_free(s);
}

/* A long log: made in blocks, over several calls, and the same as by its lines. */
static void test_blocks(void)
{
    struct ccz_kms_store *s = fix_memory_store();
    const uint64_t sizes[] = {1023, 1024, 1025, 2048, 4095, 5000, 33000, 40000};
    enum { SIZES = sizeof(sizes) / sizeof(sizes[0]) };
    static uint8_t root[SIZES][32];
    struct proof p;
    fix_populate(s);
    for (size_t i = 0; i < SIZES; i++) {
        add_lines(s, (unsigned)(sizes[i] - s->head.seq));
        CHECK(cczi_kms_tree_root(root[i], &s->head.tree) == CCZ_OK);
    }
    CHECK(prove(&p, s, 1023, 40000) == CCZ_E_UNAVAILABLE && is("kms:audit-index") && err.hint[0]);
    CHECK(strcmp(err.got, "32768") == 0); /* 32 blocks */
    CHECK(prove(&p, s, 1023, 2048) == CCZ_OK);
    for (size_t i = 0; i < SIZES; i++)
        for (size_t k = 0; k <= i; k++) {
            CHECK(prove(&p, s, sizes[k], sizes[i]) == CCZ_OK);
            CHECK(ccz_kms_consistency_check(sizes[k], sizes[i], root[k], root[i], &p.path, NULL) ==
                  CCZ_OK);
        }
    /* lines that were changed since, and those that are gone */
    CHECK(cczi_kms_db_exec(&s->db, "UPDATE audit SET entry = x'00' WHERE seq = 39999", NULL) ==
          CCZ_OK);
    CHECK(prove(&p, s, 33000, 40000) == CCZ_E_SIG && is("kms:audit-chain"));
    CHECK(cczi_kms_db_exec(&s->db, "DELETE FROM audit WHERE seq = 39999", NULL) == CCZ_OK);
    CHECK(prove(&p, s, 33000, 40000) == CCZ_E_SIG && is("kms:audit-chain"));
    ccz_kms_store_free(s);
}

static void sql(struct ccz_kms_store *s, const char *text)
{
    CHECK(cczi_kms_db_exec(&s->db, text, NULL) == CCZ_OK);
}

/* Another entry in line @p seq, and a chain from there to line @p to that is right in itself. */
static void rewrite(struct ccz_kms_store *s, uint64_t seq, uint64_t to)
{
    static const char other[] = "{\"op\":\"other\"}";
    static struct ccz_kms_audit_line line[4096];
    char text[512], hex[3][65], entry[64];
    uint64_t n = 0;
    CHECK(to - seq < 4096 && cczi_kms_begin_read(s, NULL) == CCZ_OK);
    struct cczi_q q = cczi_q_start(&s->db, CCZI_SQL_AUDIT_FROM);
    cczi_q_int(&q, (int64_t)seq - 1);
    cczi_q_int(&q, (int64_t)(to + 1 - seq));
    for (; cczi_q_row(&q); n++) {
        struct ccz_kms_audit_line *l = &line[n];
        *l = (struct ccz_kms_audit_line){.seq = seq + n, .time_s = cczi_q_col_int(&q, 1)};
        /* all entries of these are alike */
        l->entry = n ? ccz_span_str("{\"op\":\"x\"}") : ccz_span_str(other);
        CHECK(!n || ccz_span_eq(l->entry, cczi_q_col(&q, 2)));
        cczi_q_col_bytes(l->prev, sizeof(l->prev), &q, 3);
        if (n)
            memcpy(l->prev, line[n - 1].hash, sizeof(l->prev));
        CHECK(cczi_kms_line_hash(l->hash, l) == CCZ_OK);
    }
    CHECK(cczi_q_end(&q, NULL) == CCZ_OK && n == to + 1 - seq);
    cczi_kms_rollback(s);
    sql(s, "BEGIN");
    for (uint64_t i = 0; i < n; i++) {
        ccz_hex(hex[0], line[i].prev, 32);
        ccz_hex(hex[1], line[i].hash, 32);
        ccz_hex(entry, (const uint8_t *)line[i].entry.ptr, line[i].entry.size);
        (void)snprintf(
            text, sizeof(text),
            "UPDATE audit SET entry = x'%s', prev = x'%s', hash = x'%s' WHERE seq = %llu", entry,
            hex[0], hex[1], (unsigned long long)line[i].seq);
        sql(s, text);
    }
    sql(s, "COMMIT");
}

static void put_right(struct ccz_kms_store *s)
{
    sql(s, "INSERT OR REPLACE INTO audit SELECT * FROM kept");
}

/* As a server that has given no proof yet. */
static void forget(struct ccz_kms_store *s)
{
    cczi_kms_blocks_free(s->blocks);
    s->blocks = NULL;
}

/* Rows that somebody changes for one call are refused then, or once they are put right; and that is all. */
static void test_rows(void)
{
    struct ccz_kms_store *s = fix_memory_store();
    static uint8_t root[2][32];
    struct proof p;
    fix_populate(s);
    add_lines(s, (unsigned)(1024 - s->head.seq));
    CHECK(cczi_kms_tree_root(root[0], &s->head.tree) == CCZ_OK);
    add_lines(s, 2048 - 1024);
    CHECK(cczi_kms_tree_root(root[1], &s->head.tree) == CCZ_OK);
    add_lines(s, 100);
    sql(s, "CREATE TABLE kept AS SELECT * FROM audit");
    /* to the end, which the sealed head knows; later there are refusals behind it */
    rewrite(s, 2100, 2148);
    CHECK(prove(&p, s, 1024, 2148) == CCZ_E_SIG && is("kms:audit-chain"));
    put_right(s);
    forget(s);
    /* in a block, its first line; and the prev of a line that is right in itself */
    static const char *const changes[] = {
        "UPDATE audit SET entry = x'00' WHERE seq = 700",
        "UPDATE audit SET prev = zeroblob(32) WHERE seq = 700",
        "UPDATE audit SET entry = x'00' WHERE seq = 1025",
        "UPDATE audit SET entry = x'00' WHERE seq = 2048",
        "DELETE FROM audit WHERE seq = 1500",
    };
    for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
        sql(s, changes[i]);
        CHECK(prove(&p, s, 1024, 2048) == CCZ_E_SIG && is("kms:audit-chain"));
        put_right(s);
        CHECK(prove(&p, s, 1024, 2048) == CCZ_OK);
        CHECK(ccz_kms_consistency_check(1024, 2048, root[0], root[1], &p.path, NULL) == CCZ_OK);
        forget(s);
    }
    /* a chain of his own: to the last line of a block; one further */
    rewrite(s, 700, 2048);
    CHECK(prove(&p, s, 1024, 2048) == CCZ_E_SIG && is("kms:audit-chain"));
    put_right(s);
    CHECK(prove(&p, s, 1024, 2048) == CCZ_OK);
    forget(s);
    rewrite(s, 700, 2049);
    CHECK(prove(&p, s, 1024, 2048) == CCZ_OK); /* and the client refuses it */
    CHECK(ccz_kms_consistency_check(1024, 2048, root[0], root[1], &p.path, NULL) == CCZ_E_SIG);
    put_right(s);
    CHECK(prove(&p, s, 1024, 2048) == CCZ_E_SIG && is("kms:audit-chain"));
    CHECK(prove(&p, s, 1024, 2048) == CCZ_OK);
    CHECK(ccz_kms_consistency_check(1024, 2048, root[0], root[1], &p.path, NULL) == CCZ_OK);
    ccz_kms_store_free(s);
}

/* What is not committed yet is in no block that stays. */
static void test_uncommitted(void)
{
    struct ccz_kms_store *s = fix_memory_store();
    struct ccz_kms_path path;
    struct ccz_kms_receipt receipt;
    uint8_t old[32], now[32];
    fix_populate(s);
    add_lines(s, (unsigned)(1000 - s->head.seq));
    CHECK(cczi_kms_tree_root(old, &s->head.tree) == CCZ_OK);
    const char *const entries[] = {"{\"op\":\"undone\"}", "{\"op\":\"done\"}"};
    for (size_t k = 0; k < 2; k++) {
        CHECK(cczi_kms_begin(s, NULL) == CCZ_OK);
        for (unsigned i = 0; i < 1100; i++)
            CHECK(cczi_kms_audit_append(&receipt, s, FIX_NOW, ccz_span_str(entries[k]), NULL) ==
                  CCZ_OK);
        CHECK(cczi_kms_consistency_path(&path, s, 1000, 2100, &err) == CCZ_OK);
        CHECK(cczi_kms_tree_root(now, &s->head.tree) == CCZ_OK);
        CHECK(ccz_kms_consistency_check(1000, 2100, old, now, &path, NULL) == CCZ_OK);
        if (k == 0)
            cczi_kms_rollback(s);
        else
            CHECK(cczi_kms_commit(s, NULL) == CCZ_OK);
    }
    struct proof p;
    CHECK(prove(&p, s, 1000, 2100) == CCZ_OK);
    CHECK(ccz_kms_consistency_check(1000, 2100, old, now, &p.path, NULL) == CCZ_OK);
    ccz_kms_store_free(s);
}

/* ---------------------------------------------------------------------------- rotation */

static ccz_rc rotate(struct ccz_kms_store *s, enum fix_who who, int64_t now_s,
                     struct ccz_kms_inclusion *receipt)
{
    struct ccz_buf b;
    ccz_buf_init(&b, CCZ_KMS_MESSAGE_SIZE_MAX);
    err = (struct ccz_err){0};
    ccz_rc rc = fix_msg_at(&b, s, who, "RotateAuditKey", cczi_msg_none, NULL, now_s, &err);
    struct ccz_rd r = ccz_rd_from(ccz_buf_span(&b));
    struct ccz_pb_field f;
    while (rc == CCZ_OK && receipt && ccz_pb_next(&f, &r))
        if (f.number == CCZI_MSG_INCLUSION)
            CHECK(ccz_kms_inclusion_parse(receipt, f.bytes, NULL) == CCZ_OK);
    ccz_buf_free(&b);
    return rc;
}

/* The whole log as a file, as `cczoo kms audit export` writes it. */
static void export(struct ccz_buf *out, struct ccz_kms_store *s)
{
    struct proof p;
    CHECK(prove(&p, s, 0, 0) == CCZ_OK);
    ccz_buf_init(out, 1 << 20);
    CHECK(ccz_kms_log_put_header(out, p.now.origin, (const struct ccz_key *const *)p.keys, p.len) ==
          CCZ_OK);
    CHECK(cczi_kms_begin(s, NULL) == CCZ_OK);
    struct cczi_q q = cczi_q_start(&s->db, CCZI_SQL_AUDIT_FROM);
    cczi_q_int(&q, 0);
    cczi_q_int(&q, -1);
    while (cczi_q_row(&q)) {
        struct ccz_kms_audit_line l = {.seq = (uint64_t)cczi_q_col_int(&q, 0),
                                       .time_s = cczi_q_col_int(&q, 1),
                                       .entry = cczi_q_col(&q, 2)};
        cczi_q_col_bytes(l.prev, 32, &q, 3);
        cczi_q_col_bytes(l.hash, 32, &q, 4);
        ccz_kms_log_put_line(out, &l);
    }
    CHECK(cczi_q_end(&q, NULL) == CCZ_OK);
    cczi_kms_rollback(s);
    ccz_kms_log_put_checkpoint(out, &p.now);
    proof_free(&p);
}

static ccz_rc verify(const struct ccz_buf *file, const struct ccz_kms_log_cfg *cfg)
{
    CCZ_AUTO(ccz_kms_log) log = NULL;
    err = (struct ccz_err){0};
    CHECK(ccz_kms_log_new(&log, cfg, &err) == CCZ_OK);
    ccz_rc rc = ccz_kms_log_put(log, ccz_buf_span(file), &err);
    return rc == CCZ_OK ? ccz_kms_log_end(log, &err) : rc;
}

static void test_rotation(void)
{
    struct ccz_kms_store *s = fix_memory_store();
    struct proof before, after;
    struct ccz_kms_inclusion receipt = {0};
    struct ccz_key *stranger;
    fix_populate(s);
    CHECK(prove(&before, s, 0, 0) == CCZ_OK && before.len == 1);
    CHECK(rotate(s, FIX_AUDITOR, FIX_NOW + DAY, NULL) == CCZ_E_DENIED && is("kms:role"));
    CHECK(rotate(s, FIX_WORKLOAD, FIX_NOW + DAY, NULL) == CCZ_E_DENIED);
    CHECK(rotate(s, FIX_ADMIN, FIX_NOW + DAY - 1, NULL) == CCZ_E_DENIED &&
          is("kms:audit-key-young") && err.hint[0]);
    CHECK(prove(&after, s, 0, 0) == CCZ_OK && after.len == 1);
    proof_free(&after);
    CHECK(rotate(s, FIX_ADMIN, FIX_NOW + DAY, &receipt) == CCZ_OK);
    CHECK(rotate(s, FIX_ADMIN, FIX_NOW + DAY + 1, NULL) == CCZ_E_DENIED &&
          is("kms:audit-key-young"));
    CHECK(prove(&after, s, before.now.size, 0) == CCZ_OK && after.len == 2);
    const struct ccz_key *old = before.keys[0], *next = after.keys[1];
    uint8_t id[2][32];
    CHECK(ccz_kms_key_id(id[0], old) == CCZ_OK && ccz_kms_key_id(id[1], next) == CCZ_OK);
    CHECK(memcmp(after.now.key_id, id[1], 32) == 0 && memcmp(before.now.key_id, id[0], 32) == 0);
    CHECK(ccz_kms_inclusion_verify(&receipt, &next, 1, &err) == CCZ_OK);
    CHECK(ccz_kms_inclusion_verify(&receipt, &old, 1, &err) == CCZ_E_SIG);
    CHECK(ccz_kms_consistency_check(before.now.size, after.now.size, before.now.root,
                                    after.now.root, &after.path, NULL) == CCZ_OK);
    /* who knows the old key, or has a checkpoint of then, follows to the new one; nobody else does */
    struct ccz_buf file;
    export(&file, s);
    CHECK(verify(&file, &(struct ccz_kms_log_cfg){.keys = &old, .keys_len = 1}) == CCZ_OK);
    CHECK(verify(&file, &(struct ccz_kms_log_cfg){.keys = &next, .keys_len = 1}) == CCZ_OK);
    CHECK(verify(&file, &(struct ccz_kms_log_cfg){.anchor = &before.now}) == CCZ_OK);
    CHECK(ccz_key_generate(&stranger, CCZ_P256) == CCZ_OK);
    const struct ccz_key *other = stranger;
    CHECK(verify(&file, &(struct ccz_kms_log_cfg){.keys = &other, .keys_len = 1}) == CCZ_E_SIG &&
          is("kms:checkpoint-key"));
    ccz_key_free(stranger);
    ccz_buf_free(&file);
    /* and on, over several */
    for (int i = 2; i < 5; i++)
        CHECK(rotate(s, FIX_ADMIN, FIX_NOW + i * DAY, NULL) == CCZ_OK);
    export(&file, s);
    CHECK(verify(&file, &(struct ccz_kms_log_cfg){.keys = &old, .keys_len = 1}) == CCZ_OK);
    CHECK(verify(&file, &(struct ccz_kms_log_cfg){.anchor = &before.now}) == CCZ_OK);
    ccz_buf_free(&file);
    proof_free(&before);
    proof_free(&after);
    CHECK(ccz_kms_store_check(NULL, s, &err) == CCZ_OK);
    ccz_kms_store_free(s);
}

/* A rotation that is not committed rotates nothing. */
static void test_rotation_undone(void)
{
    struct ccz_kms_store *s = fix_memory_store();
    struct proof before, after;
    struct ccz_kms_info info = {.version = "test"};
    struct ccz_ratls_peer admin = fix_peer(FIX_ADMIN);
    fix_populate(s);
    CHECK(prove(&before, s, 0, 0) == CCZ_OK);
    struct ccz_kms_request req = {
        .peer = &admin, .address = "a", .now_s = FIX_NOW + DAY, .info = &info};
    struct cczi_kms_call call = {.store = s, .req = &req};
    struct ccz_buf spki;
    ccz_buf_init(&spki, 256);
    CHECK(cczi_kms_begin(s, NULL) == CCZ_OK);
    CHECK(cczi_kms_signer_rotate(&spki, &call, &err) == CCZ_OK);
    cczi_kms_rollback(s);
    ccz_buf_free(&spki);
    CHECK(prove(&after, s, 0, 0) == CCZ_OK && after.len == 1 &&
          memcmp(after.now.key_id, before.now.key_id, 32) == 0);
    proof_free(&before);
    proof_free(&after);
    ccz_kms_store_free(s);
}

/* Another server on the same database learns of it with its next call. */
static void test_rotation_elsewhere(void)
{
    struct ccz_kms_store *a = fix_memory_store();
    fix_populate(a);
    CHECK(fix_release(NULL, a, FIX_WORKLOAD, "key/model", 0, &err) == CCZ_OK);
    struct ccz_kms_store b = *a; /* it has seen the same */
    b.lines = (struct cczi_kms_lines){0};
    b.signer = (struct cczi_kms_signer){0};
    b.blocks = NULL;
    CHECK(fix_release(NULL, &b, FIX_WORKLOAD, "key/model", 0, &err) == CCZ_OK); /* loads the key */
    CHECK(b.signer.key != NULL);
    CHECK(rotate(a, FIX_ADMIN, FIX_NOW + DAY, NULL) == CCZ_OK);
    uint8_t was[32];
    memcpy(was, b.signer.key_id, 32);
    CHECK(fix_release(NULL, &b, FIX_WORKLOAD, "key/model", 0, &err) == CCZ_OK);
    CHECK(memcmp(b.signer.key_id, was, 32) != 0 &&
          memcmp(b.signer.key_id, a->signer.key_id, 32) == 0);
    cczi_kms_signer_deinit(&b.signer);
    cczi_kms_lines_free(&b.lines);
    ccz_kms_store_free(a);
}

/* No more keys than an export can hold. */
static void test_rotation_limit(void)
{
    struct ccz_kms_store *s = fix_memory_store();
    fix_populate(s);
    for (int i = 1; i < CCZ_KMS_LOG_KEYS_MAX; i++)
        CHECK(rotate(s, FIX_ADMIN, FIX_NOW + i * DAY, NULL) == CCZ_OK);
    CHECK(rotate(s, FIX_ADMIN, FIX_NOW + CCZ_KMS_LOG_KEYS_MAX * DAY, NULL) == CCZ_E_LIMIT &&
          is("kms:audit-keys"));
    struct ccz_buf file;
    export(&file, s);
    CHECK(verify(&file, &(struct ccz_kms_log_cfg){.keys_len = 0}) == CCZ_OK);
    ccz_buf_free(&file);
    ccz_kms_store_free(s);
}

static const struct ccz_test tests[] = {
    {"kms.consistency_wire", test_wire},
    {"kms.consistency_blocks", test_blocks},
    {"kms.consistency_rows", test_rows},
    {"kms.consistency_uncommitted", test_uncommitted},
    {"kms.audit_key_rotation", test_rotation},
    {"kms.audit_key_undone", test_rotation_undone},
    {"kms.audit_key_elsewhere", test_rotation_elsewhere},
    {"kms.audit_key_limit", test_rotation_limit},
};

int main(int argc, char **argv)
{
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
