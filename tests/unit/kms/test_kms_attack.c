/* SPDX-License-Identifier: Apache-2.0 */
/* Somebody who may write to the database while servers run ("the DBA"): rows of the past, who has to agree, what is tried out. */
#define _GNU_SOURCE
#include "kms/kms_hook.h"
#include "kms/looks.h"

/* -------------------------------------------------------------- rows of the past */

static ccz_rc target(struct ccz_kms_store *s, const char *method)
{
    struct cczi_msg_delete_req m = {.target = ccz_span_str("key/model")};
    bool delete = strcmp(method, "Delete") == 0;
    return fix_msg(NULL, s, FIX_ADMIN, method, delete ? cczi_msg_delete_req : cczi_msg_target_req,
                   &m, &err);
}

static ccz_rc disable(struct ccz_kms_store *s)
{
    return target(s, "Disable");
}

static ccz_rc enable(struct ccz_kms_store *s)
{
    return target(s, "Enable");
}

static ccz_rc delete_it(struct ccz_kms_store *s)
{
    return target(s, "Delete");
}

static ccz_rc undelete(struct ccz_kms_store *s)
{
    return target(s, "Undelete");
}

static ccz_rc destroy(struct ccz_kms_store *s)
{
    struct cczi_msg_delete_req m = {.target = ccz_span_str("key/model"), .no_recovery = 1};
    return fix_msg(NULL, s, FIX_ADMIN, "Delete", cczi_msg_delete_req, &m, &err);
}

/* A change that was undone behind our back and is then made again: that must not make what was undone genuine. */
static void test_set_laundered(void)
{
    static const struct {
        ccz_rc (*before)(struct ccz_kms_store *), (*change)(struct ccz_kms_store *);
        const char *keep, *drop, *put;
    } cases[] = {
#define ITEM                                                                                       \
    "CREATE TABLE kept AS SELECT * FROM item WHERE name = 'model';"                                \
    "CREATE TABLE kept_head AS SELECT * FROM item_head WHERE name = 'model'",                      \
        "DELETE FROM item WHERE name = 'model'; DELETE FROM item_head WHERE name = 'model'",       \
        "INSERT INTO item SELECT * FROM kept; INSERT INTO item_head SELECT * FROM kept_head"
        {NULL, bind_other, "CREATE TABLE kept AS SELECT * FROM binding WHERE name = 'model'",
         "DELETE FROM binding WHERE name = 'model'", "INSERT INTO binding SELECT * FROM kept"},
        {NULL, dismiss, "CREATE TABLE kept AS SELECT * FROM admin WHERE roles = 1",
         "DELETE FROM admin WHERE roles = 1", "INSERT INTO admin SELECT * FROM kept"},
        {NULL, disable, ITEM},
        {disable, enable, ITEM},
        {NULL, delete_it, ITEM},
        {delete_it, undelete, ITEM},
        {NULL, destroy, ITEM},
#undef ITEM
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct ccz_kms_store *s = fix_memory_store();
        fix_populate(s);
        CHECK(!cases[i].before || cases[i].before(s) == CCZ_OK);
        sql(s, cases[i].keep);
        CHECK(cases[i].change(s) == CCZ_OK);
        CHECK(ccz_kms_store_check(NULL, s, &err) == CCZ_OK);
        sql(s, cases[i].drop);
        sql(s, cases[i].put);
        CHECK(set_refused(s));
        forget(s);
        CHECK(cases[i].change(s) == CCZ_OK); /* somebody sees it and puts it right */
        CHECK(set_refused(s));
        sql(s, cases[i].drop);
        sql(s, cases[i].put);
        CHECK(set_refused(s));
        for (int n = 0; n < 6; n++) { /* nor by doing it again */
            forget(s);
            CHECK(cases[i].change(s) == CCZ_OK && set_refused(s));
            sql(s, cases[i].drop);
            sql(s, cases[i].put);
            CHECK(set_refused(s));
        }
        ccz_kms_store_free(s);
    }
}

static void current_binding_mac(uint8_t mac[32], struct ccz_kms_store *s)
{
    struct cczi_kms_row r;
    cczi_kms_row_init(&r);
    cczi_kms_row_int(&r, CCZI_KMS_KEY);
    cczi_kms_row_text(&r, "model");
    cczi_kms_row_int(&r, 0);
    CHECK(cczi_kms_row_get(&r, s, CCZI_KMS_T_BINDING, &err) == CCZ_OK);
    memcpy(mac, r.mac, 32);
    cczi_kms_row_deinit(&r);
}

static void binding_mac(uint8_t mac[32], struct ccz_kms_store *s)
{
    CHECK(cczi_kms_begin(s, &err) == CCZ_OK);
    current_binding_mac(mac, s);
    cczi_kms_rollback(s);
}

/* The same columns again are another row, also after a transaction that came to nothing and over a restart. */
static void test_rows_never_repeat(void)
{
    uint8_t mac[4][32];
    dir_make();
    CCZ_AUTO(ccz_kms_store) s = NULL;
    CHECK(dir_init(NULL, NULL, &err) == CCZ_OK && dir_open(&s, NULL, NULL, &err) == CCZ_OK);
    fix_populate(s);
    binding_mac(mac[0], s);
    CHECK(bind(s, "server") == CCZ_OK);
    binding_mac(mac[1], s);
    struct cczi_kms_ref ref = {.kind = CCZI_KMS_KEY, .name = "model"};
    CHECK(cczi_kms_begin(s, &err) == CCZ_OK);
    CHECK(cczi_kms_binding_put(s, &ref, 0, "other", &err) == CCZ_OK);
    cczi_kms_rollback(s);
    CHECK(bind(s, "server") == CCZ_OK);
    binding_mac(mac[2], s);
    ccz_kms_store_free(ccz_kms_store_take(&s));
    CHECK(dir_open(&s, NULL, NULL, &err) == CCZ_OK);
    CHECK(bind(s, "server") == CCZ_OK);
    binding_mac(mac[3], s);
    for (size_t i = 0; i < 4; i++)
        for (size_t k = 0; k < i; k++)
            CHECK(memcmp(mac[i], mac[k], 32) != 0);
}

/* A call that is tried out and undone leaves rows where the DBA can read them: they must be worth nothing. */
static void test_trial(void)
{
    struct ccz_kms_store *s = fix_memory_store();
    fix_populate(s);
    struct cczi_kms_ref ref = {.kind = CCZI_KMS_KEY, .name = "model"};
    uint8_t mac[2][32];
    char hex[65], text[300];
    CHECK(cczi_kms_begin(s, &err) == CCZ_OK && cczi_kms_savepoint(s, &err) == CCZ_OK);
    CHECK(cczi_kms_trial_begin(s, &err) == CCZ_OK);
    for (int i = 0; i < 2; i++) { /* it sees what it did, and can change it again */
        CHECK(cczi_kms_binding_put(s, &ref, 0, "other", &err) == CCZ_OK);
        current_binding_mac(mac[i], s);
    }
    CHECK(memcmp(mac[0], mac[1], 32) != 0);
    struct cczi_kms_admin a;
    uint8_t spki[32];
    fix_spki(spki, FIX_AUDITOR);
    CHECK(cczi_kms_admin_get(&a, s, spki, CCZI_KMS_NS_ALL, &err) ==
          CCZ_OK); /* and what was there */
    CHECK(cczi_kms_savepoint_undo(s, &err) == CCZ_OK);
    cczi_kms_trial_end(s);
    CHECK(cczi_kms_commit(s, &err) == CCZ_OK);
    CHECK(ccz_kms_store_check(NULL, s, &err) == CCZ_OK);
    ccz_hex(hex, mac[1], 32);
    (void)snprintf(text, sizeof(text),
                   "UPDATE binding SET policy = 'other', mac = x'%s' WHERE name = 'model'", hex);
    sql(s, text);
    CHECK(dir_refused(fix_release(NULL, s, FIX_WORKLOAD, "key/model", 0, &err), &err, CCZ_E_SIG,
                      "kms:row-mac"));
    /* nor in the next trial, which has a key of its own */
    CHECK(cczi_kms_begin(s, &err) == CCZ_OK && cczi_kms_trial_begin(s, &err) == CCZ_OK);
    struct cczi_kms_binding b;
    CHECK(cczi_kms_binding_get(&b, s, &ref, 0, &err) == CCZ_E_SIG);
    cczi_kms_trial_end(s);
    cczi_kms_rollback(s);
    ccz_kms_store_free(s);
}

/* The sum of the set: order does not count, carries go through all of it, what was not in it does not cancel. */
static void test_set_sum(void)
{
    struct ccz_secret *master = fix_master(1);
    uint8_t id[32] = {7}, set[32] = {0}, zero[32] = {0}, a[32] = {1}, b[32] = {2}, one[32] = {0};
    struct cczi_kms_sealer s;
    CHECK(cczi_kms_sealer_init(&s, master, id, NULL) == CCZ_OK);
    ccz_secret_free(master);
    CHECK(cczi_kms_set_add(set, &s, a) == CCZ_OK && cczi_kms_set_add(set, &s, b) == CCZ_OK);
    CHECK(cczi_kms_set_remove(set, &s, a) == CCZ_OK && cczi_kms_set_remove(set, &s, b) == CCZ_OK);
    CHECK(memcmp(set, zero, 32) == 0);
    CHECK(cczi_kms_set_remove(set, &s, a) == CCZ_OK && cczi_kms_set_remove(set, &s, a) == CCZ_OK);
    CHECK(memcmp(set, zero, 32) != 0); /* an XOR would be back at nothing */
    CHECK(cczi_kms_set_add(set, &s, a) == CCZ_OK && cczi_kms_set_add(set, &s, a) == CCZ_OK);
    CHECK(memcmp(set, zero, 32) == 0);
    /* against 0 - element, byte by byte */
    CHECK(cczi_kms_set_add(one, &s, a) == CCZ_OK && cczi_kms_set_remove(set, &s, a) == CCZ_OK);
    unsigned carry = 0;
    for (size_t i = 0; i < 32; i++) {
        carry += (unsigned)one[i] + set[i];
        CHECK((carry & 0xff) == 0);
        carry >>= 8;
    }
    memset(set, 0xff, 32); /* -1 + element = element - 1 */
    CHECK(cczi_kms_set_add(set, &s, a) == CCZ_OK);
    memset(zero, 0xff, 32);
    CHECK(cczi_kms_set_remove(set, &s, a) == CCZ_OK && memcmp(set, zero, 32) == 0);
    cczi_kms_sealer_deinit(&s);
}

/* ---------------------------------------------------------------- who has to agree */

static ccz_rc put_policy(struct ccz_kms_store *s)
{
    return fix_put_policy(s, "server", fix_policy_other, true, &err);
}

static bool needs_approval(ccz_rc rc)
{
    return dir_refused(rc, &err, CCZ_E_DENIED, "kms:approval-needed");
}

static bool rows_refused(ccz_rc rc)
{
    return dir_refused(rc, &err, CCZ_E_SIG, "kms:row-set");
}

/* FIX_ADMIN proposes, FIX_AUDITOR approves. */
static struct ccz_kms_store *agreeing_store(void)
{
    struct ccz_kms_store *s = fix_memory_store();
    uint8_t spki[32];
    CHECK(fix_put_policy(s, "server", fix_policy, false, &err) == CCZ_OK &&
          fix_put_policy(s, "other", fix_policy_other, false, &err) == CCZ_OK);
    CHECK(fix_create_key(s, "model", "aes-128", ccz_span_str("0123456789abcdef"), "server", &err) ==
          CCZ_OK);
    CHECK(fix_put_secret(s, "word", "old", NULL, false, &err) == CCZ_OK &&
          fix_put_secret(s, "word", "new", NULL, true, &err) == CCZ_OK);
    fix_spki(spki, FIX_AUDITOR);
    CHECK(ccz_kms_store_set_admin(s, spki, CCZ_KMS_ROLE_APPROVER, FIX_NOW, &err) == CCZ_OK);
    CHECK(ccz_kms_store_set_quorum(s, "*", 0, FIX_NOW, &err) == CCZ_OK);
    CHECK(put_policy(s) == CCZ_OK);
    sql(s, "CREATE TABLE free AS SELECT * FROM quorum");
    CHECK(ccz_kms_store_set_quorum(s, "*", 1, FIX_NOW, &err) == CCZ_OK);
    sql(s, "CREATE TABLE kept AS SELECT * FROM quorum");
    CHECK(needs_approval(put_policy(s)));
    return s;
}

/* A quorum that is not there asks for no approvals: one that went away, or an earlier one, must not pass until the next check. */
static void test_quorum_gone(void)
{
    struct ccz_kms_store *s = agreeing_store();
    sql(s, "DELETE FROM quorum");
    CHECK(rows_refused(put_policy(s)));
    CHECK(rows_refused(bind(s, "other")));
    sql(s, "INSERT INTO quorum SELECT * FROM free");
    CHECK(dir_refused(put_policy(s), &err, CCZ_E_SIG, "kms:row-older"));
    forget(s);
    CHECK(rows_refused(put_policy(s)));
    sql(s, "DELETE FROM quorum; INSERT INTO quorum SELECT * FROM kept");
    CHECK(needs_approval(put_policy(s)));
    /* nor one that was never committed */
    CHECK(cczi_kms_begin(s, &err) == CCZ_OK && cczi_kms_savepoint(s, &err) == CCZ_OK);
    uint32_t needed;
    CHECK(cczi_kms_quorum_put(s, "*", 0, &err) == CCZ_OK);
    CHECK(cczi_kms_approvals_needed(&needed, s, "*", &err) == CCZ_OK && needed == 0);
    char mac[65] = "", text[200];
    struct cczi_kms_row r;
    cczi_kms_row_init(&r);
    cczi_kms_row_text(&r, "*");
    CHECK(cczi_kms_row_get(&r, s, CCZI_KMS_T_QUORUM, &err) == CCZ_OK);
    ccz_hex(mac, r.mac, 32);
    cczi_kms_row_deinit(&r);
    CHECK(cczi_kms_savepoint_undo(s, &err) == CCZ_OK && cczi_kms_commit(s, &err) == CCZ_OK);
    (void)snprintf(text, sizeof(text), "UPDATE quorum SET needed = 0, mac = x'%s'", mac);
    sql(s, text);
    CHECK(rows_refused(put_policy(s)));
    sql(s, "DELETE FROM quorum; INSERT INTO quorum SELECT * FROM kept");
    CHECK(needs_approval(put_policy(s)));
    ccz_kms_store_free(s);
}

/* Lines since @p seen are another server's, as far as this one knows. */
static void forget_lines(struct ccz_kms_store *s, uint64_t seen, const uint8_t hash[32])
{
    s->seen_seq = seen;
    memcpy(s->seen_hash, hash, 32);
}

/* What another server changed is looked at anew, whatever this one has seen before. */
static void test_quorum_elsewhere(void)
{
    struct ccz_kms_store *s = agreeing_store();
    CHECK(ccz_kms_store_set_quorum(s, "*", 0, FIX_NOW, &err) == CCZ_OK);
    sql(s, "DROP TABLE free; CREATE TABLE free AS SELECT * FROM quorum");
    CHECK(put_policy(s) == CCZ_OK);
    const struct cczi_kms_quorums known = s->quorums;
    uint64_t seen = s->seen_seq;
    uint8_t hash[32];
    memcpy(hash, s->seen_hash, 32);
    CHECK(ccz_kms_store_set_quorum(s, "*", 1, FIX_NOW, &err) == CCZ_OK);
    sql(s, "DELETE FROM quorum; INSERT INTO quorum SELECT * FROM free");
    s->quorums = known;
    forget_lines(s, seen, hash);
    forget(s);
    CHECK(rows_refused(put_policy(s)));
    ccz_kms_store_free(s);
}

/* All rows are looked at when there is a reason, and not because somebody has called in vain. */
static void test_quorum_looks(void)
{
    struct ccz_kms_store *s = agreeing_store();
    hook(s);
    h.count = CCZI_SQL_ITEM_ALL;
    CHECK(needs_approval(put_policy(s)) && h.counted == 0);
    CHECK(ccz_kms_store_set_quorum(s, "*", 0, FIX_NOW, &err) == CCZ_OK); /* our own change */
    CHECK(put_policy(s) == CCZ_OK && h.counted == 0);
    CHECK(ccz_kms_store_set_quorum(s, "*", 1, FIX_NOW, &err) == CCZ_OK);
    uint64_t seen = s->seen_seq;
    uint8_t hash[32];
    memcpy(hash, s->seen_hash, 32);
    struct cczi_msg_quorum m = {.ns = ccz_span_str("*"), .needed = 0};
    CHECK(needs_approval(fix_msg(NULL, s, FIX_ADMIN, "SetQuorum", cczi_msg_quorum, &m, &err)));
    CHECK(fix_msg(NULL, s, FIX_STRANGER, "SetQuorum", cczi_msg_quorum, &m, &err) != CCZ_OK);
    forget_lines(s, seen, hash);
    CHECK(needs_approval(put_policy(s)) && h.counted == 0);
    /* nor because one call of a batch fails behind one that changes a quorum */
    CHECK(ccz_kms_store_set_quorum(s, "*", 0, FIX_NOW, &err) == CCZ_OK);
    CHECK(cczi_kms_begin(s, &err) == CCZ_OK && cczi_kms_savepoint(s, &err) == CCZ_OK);
    CHECK(cczi_kms_quorum_put(s, "x", 0, &err) == CCZ_OK);
    CHECK(cczi_kms_savepoint_keep(s, &err) == CCZ_OK && cczi_kms_savepoint(s, &err) == CCZ_OK);
    CHECK(cczi_kms_quorum_put(s, "y", 0, &err) == CCZ_OK);
    CHECK(cczi_kms_savepoint_undo(s, &err) == CCZ_OK && cczi_kms_commit(s, &err) == CCZ_OK);
    CHECK(put_policy(s) == CCZ_OK && h.counted == 0);
    sql(s, "DELETE FROM quorum");
    CHECK(rows_refused(put_policy(s)) && h.counted > 0);
    s->db.ops = h.real;
    ccz_kms_store_free(s);
}

/* What another server changed is looked at once, also when the calls that are first to need it are refused. */
static void test_quorum_look_once(void)
{
    for (int moves = 0; moves < 2; moves++) {
        struct ccz_kms_store *s = agreeing_store();
        struct cczi_msg_quorum m = {.ns = ccz_span_str("*"), .needed = 0};
        struct fix_batch b;
        hook(s);
        h.ops.moves = moves;
        h.count = CCZI_SQL_ITEM_ALL;
        cczi_kms_quorums_forget(s);
        fix_batch_begin(&b);
        fix_batch_add(&b, FIX_ADMIN, "SetQuorum", cczi_msg_quorum, &m);
        fix_batch_add(&b, FIX_ADMIN, "SetQuorum", cczi_msg_quorum, &m);
        fix_batch_run(&b, s);
        CHECK(needs_approval(b.entry[0].rc) && h.counted == 1);
        fix_batch_end(&b);
        CHECK(needs_approval(put_policy(s)) && h.counted == 1);
        s->db.ops = h.real;
        ccz_kms_store_free(s);
    }
}

/* Of a new policy. @param[out] out  what the message borrows from; freed by the caller */
static struct cczi_msg_approve_req propose(struct ccz_buf *out, struct ccz_kms_store *s,
                                           const char *name)
{
    CCZ_AUTO_BUF b;
    ccz_buf_init(&b, 65536);
    ccz_buf_init(out, 65536);
    struct cczi_msg_put_policy_req p = {ccz_span_str(name), ccz_span_str(fix_policy), 0};
    cczi_msg_put(&b, cczi_msg_put_policy_req, &p);
    struct cczi_msg_propose_req m = {ccz_span_str("PutPolicy"), ccz_buf_span(&b), 0};
    struct cczi_msg_propose_resp r = {0};
    CHECK(fix_msg(out, s, FIX_ADMIN, "Propose", cczi_msg_propose_req, &m, &err) == CCZ_OK);
    CHECK(cczi_msg_get(&r, cczi_msg_propose_resp, ccz_buf_span(out), NULL) == CCZ_OK);
    return (struct cczi_msg_approve_req){r.id, r.sha256};
}

/* What several have agreed on is done when all rows are those that were left, be it an approver's or a policy's. */
static void test_agreed_on_rows(void)
{
    static const char *const attacks[] = {
        "INSERT INTO admin SELECT * FROM approver", /* who was dismissed */
        "DELETE FROM binding WHERE name = 'model'",
        "DELETE FROM item WHERE version = 2",
    };
    for (size_t i = 0; i < sizeof(attacks) / sizeof(attacks[0]); i++) {
        struct ccz_kms_store *s = agreeing_store();
        uint8_t spki[32];
        struct ccz_buf out;
        fix_spki(spki, FIX_STRANGER);
        CHECK(ccz_kms_store_set_admin(s, spki, CCZ_KMS_ROLE_APPROVER, FIX_NOW, &err) == CCZ_OK);
        sql(s, "CREATE TABLE approver AS SELECT * FROM admin WHERE spki_sha256 = x'"
               "1212121212121212121212121212121212121212121212121212121212121212'");
        CHECK(ccz_kms_store_set_admin(s, spki, 0, FIX_NOW, &err) == CCZ_OK);
        struct cczi_msg_approve_req a = propose(&out, s, "new");
        enum fix_who who = i == 0 ? FIX_STRANGER : FIX_AUDITOR;
        sql(s, attacks[i]);
        forget(s);
        CHECK(rows_refused(fix_msg(NULL, s, who, "Approve", cczi_msg_approve_req, &a, &err)));
        ccz_buf_free(&out);
        ccz_kms_store_free(s);
    }
}

/* In a database that shows each statement something newer, a look takes a transaction that does not, and no other call does. */
static void test_whole(void)
{
    struct ccz_kms_store *s = agreeing_store();
    struct ccz_buf out;
    hook(s);
    h.ops.moves = true;
    h.count = CCZI_SQL_BEGIN_WHOLE;
    struct cczi_msg_approve_req a = propose(&out, s, "new");
    CHECK(h.counted == 0);
    CHECK(fix_msg(NULL, s, FIX_AUDITOR, "Approve", cczi_msg_approve_req, &a, &err) == CCZ_OK);
    CHECK(h.counted == 1 && !s->whole_next);
    CHECK(fix_put_secret(s, "word", "newer", NULL, true, &err) == CCZ_OK && h.counted == 1);
    h.count =
        CCZI_SQL_LOCK; /* the same for what an operator does beside the servers, and where it fails */
    CHECK(ccz_kms_store_set_quorum(s, "*", 1, FIX_NOW, &err) == CCZ_OK && h.counted == 2);
    ccz_buf_free(&out);
    a = propose(&out, s, "newer");
    sql(s, "DELETE FROM item WHERE version = 2");
    CHECK(rows_refused(fix_msg(NULL, s, FIX_AUDITOR, "Approve", cczi_msg_approve_req, &a, &err)));
    CHECK(h.counted == 3);
    ccz_buf_free(&out);
    s->db.ops = h.real;
    ccz_kms_store_free(s);
}

static bool may_look(struct cczi_kms_looks *l, const char *ns, int64_t now_ms)
{
    err = (struct ccz_err){0};
    ccz_rc rc = cczi_kms_looks_may(l, ns, now_ms, &err);
    return rc == CCZ_OK || !dir_refused(rc, &err, CCZ_E_LIMIT, "kms:look-rate");
}

/* Looks take as much time as a namespace has, and others are not asked to wait for it. */
static void test_look_rate(void)
{
    struct cczi_kms_looks *l;
    const int64_t t = 1000;
    CHECK(cczi_kms_looks_new(&l) == CCZ_OK && may_look(l, "a", t));
    cczi_kms_looks_took(l, CCZI_KMS_LOOKS_BURST_MS - 1000);
    cczi_kms_looks_pay(l, "a", t);
    CHECK(may_look(l, "a", t));
    cczi_kms_looks_took(l, 5000);
    cczi_kms_looks_pay(l, "a", t); /* it took longer than there was: that is owed */
    CHECK(!may_look(l, "a", t) && err.hint[0] && err.aux >= 39 && err.aux <= 41);
    CHECK(!may_look(l, "a", t + 39000) && may_look(l, "b", t));
    CHECK(may_look(l, "a", t + 41000));
    for (int i = 0; i < 3; i++)
        cczi_kms_looks_pay(l, "b", t); /* as long as the last one */
    CHECK(!may_look(l, "b", t) && may_look(l, "c", t));
    cczi_kms_looks_free(l);

    struct ccz_kms_store *s = agreeing_store();
    struct ccz_buf out;
    struct cczi_msg_approve_req a = propose(&out, s, "new");
    struct cczi_msg_quorum q = {.ns = ccz_span_str("x"), .needed = 0};
    cczi_kms_looks_took(s->looks, 1000000);
    cczi_kms_looks_pay(s->looks, "", ccz_mono_ms());
    cczi_kms_looks_pay(s->looks, "x", ccz_mono_ms());
    CHECK(dir_refused(fix_msg(NULL, s, FIX_AUDITOR, "Approve", cczi_msg_approve_req, &a, &err),
                      &err, CCZ_E_LIMIT, "kms:look-rate"));
    CHECK(ccz_kms_store_set_quorum(s, "*", 0, FIX_NOW, &err) == CCZ_OK);
    CHECK(dir_refused(fix_msg(NULL, s, FIX_ADMIN, "SetQuorum", cczi_msg_quorum, &q, &err), &err,
                      CCZ_E_LIMIT, "kms:look-rate"));
    q.ns = ccz_span_str("y");
    CHECK(fix_msg(NULL, s, FIX_ADMIN, "SetQuorum", cczi_msg_quorum, &q, &err) == CCZ_OK);
    CHECK(ccz_kms_store_check(NULL, s, &err) == CCZ_OK);
    ccz_buf_free(&out);
    ccz_kms_store_free(s);
}

/* Somebody proposes, nobody has approved, and the DBA reads what the database keeps of the trial. */
static void test_propose_leaves_nothing(void)
{
    struct ccz_kms_store *s = fix_memory_store();
    fix_populate(s);
    static const uint8_t none[32];
    struct ccz_kms_grant author = {.ns = "", .roles = CCZ_KMS_ROLE_AUTHOR, .label = "author"},
                         approver = {.ns = "", .roles = CCZ_KMS_ROLE_APPROVER, .label = "approver"};
    fix_spki(author.principal, FIX_ADMIN);
    memset(approver.principal, 0x77, sizeof(approver.principal));
    CHECK(ccz_kms_store_grant(s, &author, FIX_NOW, &err) == CCZ_OK &&
          ccz_kms_store_grant(s, &approver, FIX_NOW, &err) == CCZ_OK);
    CHECK(ccz_kms_store_set_quorum(s, "", 1, FIX_NOW, &err) == CCZ_OK);
    struct cczi_msg_bind_req m = {.item = ccz_span_str("key/model"),
                                  .policy = ccz_span_str("other")};
    CCZ_AUTO_BUF body;
    ccz_buf_init(&body, 4096);
    cczi_msg_put(&body, cczi_msg_bind_req, &m);
    struct cczi_msg_propose_req p = {ccz_span_str("Bind"), ccz_buf_span(&body), 0};
    hook(s);
    CHECK(fix_msg(NULL, s, FIX_ADMIN, "Propose", cczi_msg_propose_req, &p, &err) == CCZ_OK);
    CHECK(memcmp(h.binding, none, 32) != 0); /* it was tried out */
    s->db.ops = h.real;
    CHECK(ccz_kms_store_check(NULL, s, &err) == CCZ_OK);
    char hex[65], text[300];
    ccz_hex(hex, h.binding, 32);
    (void)snprintf(text, sizeof(text),
                   "UPDATE binding SET policy = 'other', mac = x'%s' WHERE name = 'model'", hex);
    sql(s, text);
    CHECK(dir_refused(fix_release(NULL, s, FIX_WORKLOAD, "key/model", 0, &err), &err, CCZ_E_SIG,
                      "kms:row-mac"));
    ccz_kms_store_free(s);
}

/* A transaction that starts again, as one that looks at all rows, has not looked yet: nobody pays for that. */
static void test_look_price(void)
{
    struct ccz_kms_store *s = agreeing_store();
    struct cczi_kms_call call = {.store = s};
    hook(s);
    h.ops.moves = true;
    cczi_kms_looks_took(s->looks, CCZI_KMS_LOOKS_BURST_MS);
    CHECK(cczi_kms_begin(s, &err) == CCZ_OK);
    CHECK(cczi_kms_look_whole(&call, &err) == CCZ_E_UNAVAILABLE);
    cczi_kms_rollback(s);
    CHECK(may_look(s->looks, "", ccz_mono_ms()));
    CHECK(cczi_kms_begin_whole(s, &err) == CCZ_OK);
    CHECK(cczi_kms_look_whole(&call, &err) == CCZ_OK); /* which sets the price */
    cczi_kms_rollback(s);
    CHECK(may_look(s->looks, "", ccz_mono_ms()));
    cczi_kms_looks_took(s->looks, CCZI_KMS_LOOKS_BURST_MS);
    cczi_kms_looks_pay(s->looks, "", ccz_mono_ms());
    CHECK(!may_look(s->looks, "", ccz_mono_ms()));
    s->db.ops = h.real;
    ccz_kms_store_free(s);
}

static ccz_rc call_at(struct ccz_kms_store *s, enum fix_who who, const char *method,
                      struct ccz_span body, int64_t now_s)
{
    const struct ccz_ratls_peer peer = fix_peer(who);
    err = (struct ccz_err){0};
    return fix_call_at(NULL, s, &peer, method, body, now_s, &err);
}

static void propose_at(struct ccz_kms_store *s, const char *method, struct ccz_span body,
                       int64_t now_s)
{
    CCZ_AUTO_BUF b;
    ccz_buf_init(&b, 8192);
    const struct cczi_msg_propose_req m = {ccz_span_str(method), body, 0};
    cczi_msg_put(&b, cczi_msg_propose_req, &m);
    CHECK(call_at(s, FIX_ADMIN, "Propose", ccz_buf_span(&b), now_s) == CCZ_OK);
}

static ccz_rc approve_at(struct ccz_kms_store *s, uint64_t id, const char *method,
                         struct ccz_span body, int64_t now_s)
{
    CCZ_AUTO_BUF b;
    uint8_t sha256[32];
    ccz_buf_init(&b, 8192);
    CHECK(cczi_kms_proposal_digest(sha256, method, body, NULL) == CCZ_OK);
    const struct cczi_msg_approve_req m = {id, CCZ_SPAN(sha256, 32)};
    cczi_msg_put(&b, cczi_msg_approve_req, &m);
    return call_at(s, FIX_AUDITOR, "Approve", ccz_buf_span(&b), now_s);
}

/* Who agreed to a replacement agreed to what it replaces, too: a proposal does not bring back what others have replaced since. */
static void test_proposal_outdated(void)
{
    struct ccz_kms_store *s = agreeing_store();
    CCZ_AUTO_BUF policy, set, new_set, gone, secret;
    struct ccz_buf *const all[] = {&policy, &set, &new_set, &gone, &secret};
    for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++)
        ccz_buf_init(all[i], 8192);
    const struct cczi_msg_put_policy_req p = {ccz_span_str("other"), ccz_span_str(fix_policy), 1};
    struct cczi_msg_put_reference_req r = {ccz_span_str("set"), ccz_span_str(fix_set), 0};
    const struct cczi_msg_name n = {ccz_span_str("set")};
    const struct cczi_msg_delete_req d = {.target = ccz_span_str("secret/word"), .no_recovery = 1};
    cczi_msg_put(&policy, cczi_msg_put_policy_req, &p);
    cczi_msg_put(&new_set, cczi_msg_put_reference_req, &r);
    r.replace = 1;
    cczi_msg_put(&set, cczi_msg_put_reference_req, &r);
    cczi_msg_put(&gone, cczi_msg_name, &n);
    cczi_msg_put(&secret, cczi_msg_delete_req, &d);
    int64_t t = FIX_NOW;
    propose_at(s, "PutReference", ccz_buf_span(&new_set), t);
    CHECK(approve_at(s, 1, "PutReference", ccz_buf_span(&new_set), ++t) == CCZ_OK);
    const struct {
        const char *method;
        const struct ccz_buf *body;
    } calls[] = {{"PutPolicy", &policy},
                 {"PutReference", &set},
                 {"DeleteReference", &gone},
                 {"Delete", &secret}};
    enum { LEN = sizeof(calls) / sizeof(calls[0]) };
    for (size_t i = 0; i < LEN; i++) /* 2 to 5, and 6 and 7 which come first */
        propose_at(s, calls[i].method, ccz_buf_span(calls[i].body), t);
    propose_at(s, "PutPolicy", ccz_buf_span(&policy), ++t);
    propose_at(s, "PutReference", ccz_buf_span(&set), t);
    CHECK(approve_at(s, 6, "PutPolicy", ccz_buf_span(&policy), t) == CCZ_OK);
    CHECK(approve_at(s, 7, "PutReference", ccz_buf_span(&set), t) == CCZ_OK);
    CHECK(fix_put_secret(s, "word", "newest", NULL, true, &err) == CCZ_OK); /* of FIX_NOW */
    CHECK(approve_at(s, 5, "Delete", ccz_buf_span(&secret), t) == CCZ_OK);
    for (size_t i = 0; i < LEN - 1; i++)
        CHECK(dir_refused(approve_at(s, 2 + i, calls[i].method, ccz_buf_span(calls[i].body), ++t),
                          &err, CCZ_E_MISMATCH, "kms:proposal-outdated") &&
              err.got[0] && err.hint[0]);
    /* a secret as well, and proposed again it goes */
    CHECK(fix_put_secret(s, "word", "again", NULL, false, &err) == CCZ_OK);
    propose_at(s, "Delete", ccz_buf_span(&secret), FIX_NOW - 1);
    CHECK(dir_refused(approve_at(s, 8, "Delete", ccz_buf_span(&secret), t), &err, CCZ_E_MISMATCH,
                      "kms:proposal-outdated"));
    propose_at(s, "Delete", ccz_buf_span(&secret), t);
    CHECK(approve_at(s, 9, "Delete", ccz_buf_span(&secret), t) == CCZ_OK);
    propose_at(s, "DeleteReference", ccz_buf_span(&gone), t);
    CHECK(approve_at(s, 10, "DeleteReference", ccz_buf_span(&gone), t) == CCZ_OK);
    ccz_kms_store_free(s);
}

static ccz_rc set_number(struct ccz_kms_store *s, const char *ns, uint32_t needed)
{
    struct cczi_msg_quorum m = {.ns = ccz_span_str(ns), .needed = needed};
    return fix_msg(NULL, s, FIX_ADMIN, "SetQuorum", cczi_msg_quorum, &m, &err);
}

/* Nobody frees a namespace from approvals beforehand, for the day on which they begin. */
static void test_quorum_freed_before(void)
{
    struct ccz_kms_store *s = agreeing_store();
    CHECK(ccz_kms_store_set_quorum(s, "*", 0, FIX_NOW, &err) == CCZ_OK);
    CHECK(set_number(s, "team", 0) == CCZ_OK && set_number(s, "other", 1) != CCZ_OK);
    CHECK(set_number(s, "*", 1) == CCZ_OK);
    CHECK(needs_approval(fix_put_policy(s, "team/p", fix_policy, false, &err)));
    /* nor does a freedom that was agreed on outlive the approvals that it was from, nor a row of an older server */
    CHECK(ccz_kms_store_set_quorum(s, "team", 0, FIX_NOW, &err) == CCZ_OK);
    CHECK(fix_put_policy(s, "team/p", fix_policy, false, &err) == CCZ_OK);
    CHECK(ccz_kms_store_set_quorum(s, "*", 0, FIX_NOW, &err) == CCZ_OK);
    CHECK(ccz_kms_store_set_quorum(s, "*", 1, FIX_NOW, &err) == CCZ_OK);
    CHECK(needs_approval(fix_put_policy(s, "team/q", fix_policy, false, &err)));
    CHECK(ccz_kms_store_check(NULL, s, &err) == CCZ_OK);
    ccz_kms_store_free(s);
}

static const struct ccz_test tests[] = {
    {"kms.quorum_freed_before", test_quorum_freed_before},
    {"kms.proposal_outdated", test_proposal_outdated},
    {"kms.set_laundered", test_set_laundered},
    {"kms.rows_never_repeat", test_rows_never_repeat},
    {"kms.trial", test_trial},
    {"kms.propose_leaves_nothing", test_propose_leaves_nothing},
    {"kms.set_sum", test_set_sum},
    {"kms.quorum_gone", test_quorum_gone},
    {"kms.quorum_elsewhere", test_quorum_elsewhere},
    {"kms.quorum_looks", test_quorum_looks},
    {"kms.quorum_look_once", test_quorum_look_once},
    {"kms.look_price", test_look_price},
    {"kms.agreed_on_rows", test_agreed_on_rows},
    {"kms.whole", test_whole},
    {"kms.look_rate", test_look_rate},
};

int main(int argc, char **argv)
{
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
