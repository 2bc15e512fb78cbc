/* SPDX-License-Identifier: Apache-2.0 */
/* Keys that rotate by themselves: when, once, and whatever the clock does; and calls whose work is done between two transactions. */
#define _GNU_SOURCE
#include "ccz_test.h"
#include "kms/quota.h"
#include "kms/unable.h"
#include "kms/use_fixture.h"

#include <pthread.h>
#include <unistd.h>

enum { ROOM = 2048, HOUR_S = 3600, DAY_S = 86400 };

#define IS(expr, want, at) CHECK(use_is((expr), (want), (at)))

static struct ccz_kms_store *store(void)
{
    struct ccz_kms_store *s = fix_memory_store();
    fix_populate(s);
    return s;
}

static void make_with_period(struct ccz_kms_store *s, const char *name, const char *kind,
                             const char *ops, int64_t every_s)
{
    const struct cczi_msg_key_req m = {.name = fix_str(name),
                                       .kind = fix_str(kind),
                                       .ops = fix_str(ops),
                                       .policy = fix_str("server"),
                                       .rotate_every_s = (uint64_t)every_s};
    IS(use_make_at(s, &m, FIX_NOW), CCZ_OK, "");
}

static size_t due_at(struct ccz_kms_store *s, int64_t now_s)
{
    struct cczi_kms_due due;
    CHECK(cczi_kms_rotations_due(&due, s, now_s, NULL) == CCZ_OK);
    free(due.names);
    return due.len;
}

/* The system's own call, as the service makes it. */
static ccz_rc rotate_due(struct ccz_kms_store *s, const char *name, int64_t now_s)
{
    static const struct ccz_ratls_peer nobody;
    const struct cczi_msg_key_set_req m = {.name = fix_str(name)};
    struct ccz_buf body;
    ccz_buf_init(&body, ROOM);
    cczi_msg_put(&body, cczi_msg_rotate_req, &m);
    const struct ccz_kms_request req = {
        .path = "", .body = ccz_buf_span(&body), .peer = &nobody, .address = "", .now_s = now_s};
    struct cczi_kms_entry e;
    cczi_kms_entry_init(&e, &req);
    e.method = &cczi_kms_rotate_due;
    cczi_kms_handle_batch(s, &e, 1);
    ccz_rc rc = e.rc;
    use_err = e.err;
    cczi_kms_entry_deinit(&e);
    ccz_buf_free(&body);
    return rc;
}

/* Lines of rotations, and whose. */
struct lines {
    unsigned system, others;
};
static struct lines lines_of(struct ccz_kms_store *s)
{
    struct lines n = {0};
    CHECK(cczi_kms_begin_read(s, NULL) == CCZ_OK);
    struct cczi_q q = cczi_q_start(&s->db, CCZI_SQL_AUDIT_FROM);
    cczi_q_int(&q, 0);
    cczi_q_int(&q, 1000);
    while (cczi_q_row(&q)) {
        struct ccz_span e = cczi_q_col(&q, 2);
        if (!memmem(e.ptr, e.size, "\"op\":\"Rotate\"", 13))
            continue;
        if (memmem(e.ptr, e.size, "\"peer\":{\"kind\":\"system\"}", 24))
            n.system++;
        else
            n.others++;
    }
    CHECK(cczi_q_end(&q, NULL) == CCZ_OK);
    cczi_kms_rollback(s);
    return n;
}

static void test_due(void)
{
    struct ccz_kms_store *s = store();
    char old[ROOM];
    make_with_period(s, "k", "aes-256-gcm", NULL, HOUR_S);
    make_with_period(s, "hand", "aes-256-gcm", NULL, 0);
    IS(use_encrypt(old, ROOM, s, "k", "x"), CCZ_OK, "");
    CHECK(due_at(s, FIX_NOW + HOUR_S - 1) == 0);
    CHECK(due_at(s, FIX_NOW + HOUR_S) == 1);
    /* two servers saw it; the second one finds nothing to do, and says nothing */
    IS(rotate_due(s, "k", FIX_NOW + HOUR_S), CCZ_OK, "");
    IS(rotate_due(s, "k", FIX_NOW + HOUR_S + 1), CCZ_OK, "");
    CHECK(use_meta(s, "k").latest == 2 && lines_of(s).system == 1);
    IS(use_decrypt_at(s, "k", NULL, old, "x", FIX_NOW + HOUR_S), CCZ_OK, "");
    /* a long time without a server is one rotation, not many */
    CHECK(due_at(s, FIX_NOW + 400 * DAY_S) == 1);
    IS(rotate_due(s, "k", FIX_NOW + 400 * DAY_S), CCZ_OK, "");
    CHECK(use_meta(s, "k").latest == 3 && due_at(s, FIX_NOW + 400 * DAY_S + HOUR_S - 1) == 0);
    /* nothing by itself: by hand, gone, disabled, to be deleted, expired */
    IS(rotate_due(s, "hand", FIX_NOW + 400 * DAY_S), CCZ_OK, "");
    IS(rotate_due(s, "absent", FIX_NOW), CCZ_OK, "");
    CHECK(use_meta(s, "hand").latest == 1);
    IS(use_change(s, "Disable", "k", 0, FIX_NOW), CCZ_OK, "");
    CHECK(due_at(s, FIX_NOW + 800 * DAY_S) == 0);
    IS(use_change(s, "Enable", "k", 0, FIX_NOW), CCZ_OK, "");
    IS(use_delete(s, "k", 0, FIX_NOW), CCZ_OK, "");
    CHECK(due_at(s, FIX_NOW + 800 * DAY_S) == 0);
    IS(use_change(s, "Undelete", "k", 0, FIX_NOW), CCZ_OK, "");
    struct cczi_msg_key_set_req set = {.name = ccz_span_str("k"), .expires_s = FIX_NOW + DAY_S};
    IS(use_set_at(s, "SetExpiry", cczi_msg_set_expiry_req, &set, FIX_NOW), CCZ_OK, "");
    CHECK(due_at(s, FIX_NOW + 800 * DAY_S) == 0);
    CHECK(lines_of(s).system == 2 && lines_of(s).others == 0);
    (void)fix_check(s);
    ccz_kms_store_free(s);
}

/* A clock that jumps ahead rotates once; when it is set right again, the key does not wait for the year it came from. */
static void test_clock(void)
{
    struct ccz_kms_store *s = store();
    make_with_period(s, "k", "aes-256-gcm", NULL, DAY_S);
    const int64_t ahead_s = FIX_NOW + (int64_t)20 * 365 * DAY_S;
    IS(rotate_due(s, "k", ahead_s), CCZ_OK, "");
    IS(rotate_due(s, "k", ahead_s), CCZ_OK, "");
    CHECK(use_meta(s, "k").latest == 2);
    CHECK(due_at(s, FIX_NOW + 60) == 1);
    IS(rotate_due(s, "k", FIX_NOW + 60), CCZ_OK, "");
    CHECK(use_meta(s, "k").latest == 3 && due_at(s, FIX_NOW + 61) == 0);
    CHECK(use_meta(s, "k").next_rotation_s == FIX_NOW + 60 + DAY_S);
    /* servers whose clocks differ by less than a day do not take turns */
    CHECK(due_at(s, FIX_NOW + 60 - DAY_S + 1) == 0);
    /* back by more than that: once */
    IS(rotate_due(s, "k", FIX_NOW - 10 * DAY_S), CCZ_OK, "");
    IS(rotate_due(s, "k", FIX_NOW - 10 * DAY_S), CCZ_OK, "");
    CHECK(use_meta(s, "k").latest == 4);
    /* no clock at all */
    IS(rotate_due(s, "k", 0), CCZ_OK, "");
    IS(rotate_due(s, "k", INT64_MAX), CCZ_OK, "");
    CHECK(use_meta(s, "k").latest == 4);
    (void)fix_check(s);
    ccz_kms_store_free(s);
}

/* ---------------------------------------------------------------------------- service */

/* What was due while no server ran is done when one starts; pairs that take long to find as well. */
static void test_at_start(void)
{
    struct ccz_kms_store *s = store();
    int64_t now_s = FIX_NOW + HOUR_S;
    make_with_period(s, "k", "aes-256-gcm", NULL, HOUR_S);
    make_with_period(s, "rsa", "rsa-2048", "sign,verify", HOUR_S);
    make_with_period(s, "later", "aes-256-gcm", NULL, 2 * HOUR_S);
    for (int starts = 0; starts < 3; starts++) /* a service that ends has done what it began */
        ccz_kms_service_free(use_serve(s, &now_s, (struct ccz_kms_quota){0}));
    CHECK(use_meta(s, "k").latest == 2 && use_meta(s, "rsa").latest == 2 &&
          use_meta(s, "later").latest == 1);
    CHECK(lines_of(s).system == 2);
    (void)fix_check(s);
    ccz_kms_store_free(s);
}

/* A few at a time, and no namespace more than its share, wherever the look begins. */
static void test_pick(void)
{
    static char names[200][CCZ_KMS_NAME_SIZE];
    for (int i = 0; i < 200; i++) /* 190 of one, ten of others */
        (void)snprintf(names[i], sizeof(names[i]), i < 190 ? "a/%03d" : "z%d/k", i);
    const struct cczi_kms_due due = {names, 200};
    for (size_t start = 0; start < 200; start++) {
        size_t pick[64], of_a = 0;
        const size_t n = cczi_kms_rotations_pick(pick, 64, &due, start);
        bool seen[200] = {false};
        CHECK(n == 26);
        for (size_t i = 0; i < n; i++) {
            CHECK(pick[i] < 200 && !seen[pick[i]]);
            seen[pick[i]] = true;
            of_a += pick[i] < 190;
        }
        CHECK(of_a == 16 &&
              (start >= 190 || seen[start])); /* where it begins is where its turn is */
    }
    size_t one[4];
    CHECK(cczi_kms_rotations_pick(one, 4, &due, 0) == 4); /* one of a, three of the others */
    CHECK(one[0] == 0 && one[1] == 190 && one[2] == 191 && one[3] == 192);
    CHECK(cczi_kms_rotations_pick(one, 4, &(struct cczi_kms_due){0}, 0) == 0);
}

/* Keys of a namespace without room are due for ever. Those behind them rotate, and the queue does not grow. */
static void test_crowd(void)
{
    struct ccz_kms_store *s = store();
    int64_t now_s = FIX_NOW + HOUR_S;
    char name[32];
    for (int i = 0; i < 100; i++) {
        (void)snprintf(name, sizeof(name), "a/%03d", i);
        make_with_period(s, name, "aes-256-gcm", NULL, HOUR_S);
    }
    make_with_period(s, "a/rsa", "rsa-2048", "sign,verify", HOUR_S);
    make_with_period(s, "z/k", "aes-256-gcm", NULL, HOUR_S);
    const uint64_t before = fix_check(s).audit_lines;
    for (int starts = 0; starts < 2; starts++)
        ccz_kms_service_free(use_serve(s, &now_s, (struct ccz_kms_quota){.versions = 101}));
    CHECK(use_meta(s, "z/k").latest == 2 && use_meta(s, "a/000").latest == 1);
    const uint64_t lines = fix_check(s).audit_lines - before;
    CHECK(lines > 2 && lines <= 1 + 2 * 16); /* refusals are on record: a share at each look */
    ccz_kms_store_free(s);
}

/* A key that cannot rotate is tried again and again; that is on record once an hour, and each reason of its own at once. */
static void test_quiet(void)
{
    struct ccz_kms_store *s = store();
    make_with_period(s, "t/k", "aes-256-gcm", NULL, HOUR_S);
    make_with_period(s, "t/l", "aes-256-gcm", NULL, HOUR_S);
    const int64_t now_s = FIX_NOW + HOUR_S;
    const struct ccz_kms_quota full = {.versions = 1};
    cczi_kms_quotas_limit(s->quotas, &full);
    IS(rotate_due(s, "t/k", now_s), CCZ_E_LIMIT, "kms:quota-versions");
    CHECK(lines_of(s).system == 1);
    for (int again = 0; again < 3; again++)
        IS(rotate_due(s, "t/k", now_s + HOUR_S - 1), CCZ_E_LIMIT, "kms:quota-versions");
    CHECK(lines_of(s).system == 1);
    IS(rotate_due(s, "t/l", now_s), CCZ_E_LIMIT, "kms:quota-versions"); /* another key */
    CHECK(lines_of(s).system == 2);
    IS(rotate_due(s, "t/k", now_s + HOUR_S), CCZ_E_LIMIT, "kms:quota-versions");
    IS(rotate_due(s, "t/k", now_s + HOUR_S), CCZ_E_LIMIT, "kms:quota-versions");
    CHECK(lines_of(s).system == 3);
    IS(rotate_due(s, "t/k", now_s), CCZ_E_LIMIT, "kms:quota-versions"); /* the clock was put back */
    CHECK(lines_of(s).system == 4);
    /* for another reason, at the same time */
    const struct ccz_kms_quota narrow = {.versions = 100, .bytes = 1};
    cczi_kms_quotas_limit(s->quotas, &narrow);
    IS(rotate_due(s, "t/k", now_s), CCZ_E_LIMIT, "kms:quota-bytes");
    IS(rotate_due(s, "t/k", now_s), CCZ_E_LIMIT, "kms:quota-bytes");
    CHECK(lines_of(s).system == 5);
    /* a caller's refusal is on record each time */
    for (unsigned i = 1; i <= 2; i++) {
        const struct cczi_msg_key_set_req m = {.name = fix_str("t/k")};
        IS(fix_msg_at(NULL, s, FIX_ADMIN, "Rotate", cczi_msg_rotate_req, &m, now_s, &use_err),
           CCZ_E_LIMIT, "kms:quota-bytes");
        CHECK(lines_of(s).others == i);
    }
    cczi_kms_quotas_limit(s->quotas, &(struct ccz_kms_quota){0});
    IS(rotate_due(s, "t/k", now_s), CCZ_OK, "");
    CHECK(lines_of(s).system == 6 && use_meta(s, "t/k").latest == 2);
    (void)fix_check(s);
    ccz_kms_store_free(s);
}

/* What was not recorded is not taken for recorded; and of a namespace with many such keys there are lines for some. */
static void test_quiet_many(void)
{
    struct ccz_kms_store *s = store();
    const struct ccz_kms_quota full = {.versions = 1};
    const int64_t now_s = FIX_NOW + HOUR_S;
    char name[32];
    make_with_period(s, "u/k", "aes-256-gcm", NULL, HOUR_S);
    for (int i = 0; i < 2 * CCZI_KMS_UNABLE_NS_MAX; i++) {
        (void)snprintf(name, sizeof(name), "t/%03d", i);
        make_with_period(s, name, "aes-256-gcm", NULL, HOUR_S);
    }
    cczi_kms_quotas_limit(s->quotas, &full);
    CHECK(cczi_kms_db_exec(&s->db, "ALTER TABLE audit RENAME TO elsewhere", NULL) == CCZ_OK);
    CHECK(rotate_due(s, "u/k", now_s) != CCZ_OK);
    CHECK(cczi_kms_db_exec(&s->db, "ALTER TABLE elsewhere RENAME TO audit", NULL) == CCZ_OK);
    CHECK(lines_of(s).system == 0);
    IS(rotate_due(s, "u/k", now_s), CCZ_E_LIMIT, "kms:quota-versions");
    CHECK(lines_of(s).system == 1);
    for (int pass = 0; pass < 2; pass++)
        for (int i = 0; i < 2 * CCZI_KMS_UNABLE_NS_MAX; i++) {
            (void)snprintf(name, sizeof(name), "t/%03d", i);
            IS(rotate_due(s, name, now_s), CCZ_E_LIMIT, "kms:quota-versions");
        }
    CHECK(lines_of(s).system == 1 + CCZI_KMS_UNABLE_NS_MAX);
    IS(rotate_due(s, "u/k", now_s + HOUR_S), CCZ_E_LIMIT, "kms:quota-versions");
    CHECK(lines_of(s).system == 2 + CCZI_KMS_UNABLE_NS_MAX); /* others' room is not theirs */
    ccz_kms_store_free(s);
}

/* ----------------------------------------------------------------- between transactions */

/* Adds a use of an RSA key. */
static void add_sign(struct fix_batch *b, const char *key)
{
    const struct cczi_msg_use_req m = {.key = fix_str(key), .text = ccz_span_str("contract")};
    fix_batch_add(b, FIX_WORKLOAD, "Sign", cczi_msg_sign_req, &m);
}

/* A call that waits for its work leaves nothing: no line, no answer, no change; others of its batch are done. */
static void test_later(void)
{
    struct ccz_kms_store *s = store();
    struct fix_batch b;
    IS(use_make(s, "rsa", "rsa-2048", "sign,verify", "server"), CCZ_OK, "");
    IS(use_make(s, "refused", "rsa-2048", "sign,verify", "other"), CCZ_OK, "");
    uint64_t before = fix_check(s).audit_lines;
    fix_batch_begin(&b);
    add_sign(&b, "rsa");
    fix_batch_release(&b, FIX_WORKLOAD, "key/model");
    add_sign(&b, "refused");
    cczi_kms_batch_pass(s, b.entry, b.len);
    CHECK(b.entry[0].later && b.entry[0].work && !b.entry[0].work->done);
    CHECK(b.entry[0].answer.size == 0 && b.entry[0].receipt.audit_seq == 0);
    CHECK(!b.entry[1].later && b.entry[1].rc == CCZ_OK);
    /* who may not costs no work */
    CHECK(!b.entry[2].later && b.entry[2].rc == CCZ_E_POLICY && !b.entry[2].work);
    CHECK(fix_check(s).audit_lines == before + 2);
    cczi_kms_work_do(b.entry[0].work);
    CHECK(fix_check(s).audit_lines == before + 2);
    cczi_kms_batch_pass(s, b.entry, 1);
    CHECK(!b.entry[0].later && b.entry[0].rc == CCZ_OK && b.entry[0].answer.size > 256);
    CHECK(fix_check(s).audit_lines == before + 3);
    fix_batch_end(&b);
    ccz_kms_store_free(s);
}

/* Everything is asked again behind the work: the policy, the state of the key, and whether the key is still the one. */
static void test_changed_meanwhile(void)
{
    struct ccz_kms_store *s = store();
    static const char *const cases[] = {"policy", "disabled", "rotated", "destroyed"};
    static const char *const ends[] = {"policy:mrenclave", "kms:key-disabled", "", "kms:not-found"};
    for (size_t i = 0; i < 4; i++) {
        struct fix_batch b;
        IS(use_make(s, "rsa", "rsa-2048", "sign,verify", "server"), CCZ_OK, "");
        fix_batch_begin(&b);
        add_sign(&b, "rsa");
        cczi_kms_batch_pass(s, b.entry, 1);
        CHECK(b.entry[0].later);
        cczi_kms_work_do(b.entry[0].work);
        if (i == 0)
            IS(use_bind(s, "rsa", "sign", "other"), CCZ_OK, "");
        else if (i == 1)
            IS(use_change(s, "Disable", "rsa", 0, FIX_NOW), CCZ_OK, "");
        else if (i == 2)
            IS(use_rotate(s, "rsa"), CCZ_OK, "");
        const struct cczi_msg_delete_req gone = {.target = ccz_span_str("key/rsa"),
                                                 .no_recovery = 1};
        if (i == 3)
            IS(fix_msg(NULL, s, FIX_ADMIN, "Delete", cczi_msg_delete_req, &gone, &use_err), CCZ_OK,
               "");
        cczi_kms_batch_pass(s, b.entry, 1);
        if (i == 2) { /* another version now: its signature is not there yet */
            CHECK(b.entry[0].later && b.entry[0].answer.size == 0);
            cczi_kms_work_do(b.entry[0].work);
            cczi_kms_batch_pass(s, b.entry, 1);
        }
        if (strcmp(b.entry[0].err.where, ends[i]) != 0)
            fprintf(stderr, "%s: %s\n", cases[i], b.entry[0].err.where);
        CHECK(!b.entry[0].later && strcmp(b.entry[0].err.where, ends[i]) == 0);
        CHECK((b.entry[0].rc == CCZ_OK) == (b.entry[0].answer.size != 0));
        fix_batch_end(&b);
        if (i < 3)
            IS(fix_msg(NULL, s, FIX_ADMIN, "Delete", cczi_msg_delete_req, &gone, &use_err), CCZ_OK,
               "");
    }
    (void)fix_check(s);
    ccz_kms_store_free(s);
}

int main(int argc, char **argv)
{
    static const struct ccz_test tests[] = {
        {"kms.rotate_due", test_due},
        {"kms.rotate_clock", test_clock},
        {"kms.rotate_at_start", test_at_start},
        {"kms.rotate_pick", test_pick},
        {"kms.rotate_crowd", test_crowd},
        {"kms.rotate_quiet", test_quiet},
        {"kms.rotate_quiet_many", test_quiet_many},
        {"kms.later", test_later},
        {"kms.changed_meanwhile", test_changed_meanwhile},
    };
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
