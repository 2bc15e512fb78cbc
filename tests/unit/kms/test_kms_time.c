/* SPDX-License-Identifier: Apache-2.0 */
/* Calls that take long: a transaction ends behind them, and a namespace has so much time for them. */
#define _GNU_SOURCE
#include "kms/kms_why_kit.h"
#include "kms/looks.h"

#include <pthread.h>
#include <unistd.h>

/* ------------------------------------------------------------------------------ batches */

enum { SLOW_US = 3000, SLOWER_THAN_MS = 1 };

static int64_t slow(void *arg)
{
    (void)arg;
    usleep(SLOW_US);
    return 0;
}

static struct fix_batch g_batch;

/* Status asks for the age of the collateral: here it takes long. */
static void add_status(struct fix_batch *b, const struct ccz_kms_info *info)
{
    fix_batch_add(b, FIX_ADMIN, "Status", cczi_msg_none, NULL);
    b->req[b->len - 1].info = info;
}

static struct cczi_msg_status status_in(struct ccz_span answer)
{
    struct cczi_msg_status m = {0};
    CHECK(cczi_msg_get(&m, cczi_msg_status, answer, NULL) == CCZ_OK);
    return m;
}

/* The first call is always run; those behind the end of the time are as they were, and all of them come to their turn in order. */
static void test_batch_time(void)
{
    struct ccz_kms_store *s = fix_memory_store();
    const struct ccz_kms_info info = {
        .version = "test", .tee = "sim-sgx", .started_s = FIX_NOW, .collateral_expires_s = slow};
    struct fix_batch *b = &g_batch;
    fix_populate(s);
    for (int64_t batch_ms = 0; batch_ms <= SLOWER_THAN_MS; batch_ms++) {
        s->batch_ms = batch_ms;
        fix_batch_begin(b);
        add_status(b, &info);
        fix_batch_release(b, FIX_WORKLOAD, "key/absent");
        add_status(b, &info);
        fix_batch_put_secret(b, batch_ms ? "two" : "one", "v", "server");
        const uint64_t seq = s->head.seq;
        size_t passed = cczi_kms_batch_pass(s, b->entry, b->len);
        if (batch_ms == 0) {
            CHECK(passed == b->len && s->head.seq == seq + 2);
        } else {
            CHECK(passed == 1 && b->entry[0].rc == CCZ_OK && b->entry[0].answer.size);
            CHECK(s->head.seq == seq); /* of the others nothing was done */
            for (size_t i = 1; i < b->len; i++)
                CHECK(!b->entry[i].answer.size && !b->entry[i].receipt.audit_seq);
            while (passed < b->len) {
                size_t n = cczi_kms_batch_pass(s, b->entry + passed, b->len - passed);
                CHECK(n >= 1 && n <= b->len - passed);
                passed += n;
            }
        }
        CHECK(b->entry[1].rc == CCZ_E_NOT_FOUND && b->entry[1].receipt.audit_seq == seq + 1);
        CHECK(b->entry[3].rc == CCZ_OK && b->entry[3].receipt.audit_seq == seq + 2);
        CHECK(status_in(ccz_buf_span(&b->entry[2].answer)).audit_seq == seq + 1);
        fix_batch_end(b);
    }
    /* who wants all of them gets all of them */
    fix_batch_begin(b);
    for (int i = 0; i < 4; i++)
        add_status(b, &info);
    fix_batch_run(b, s);
    for (int i = 0; i < 4; i++)
        CHECK(b->entry[i].rc == CCZ_OK && b->entry[i].answer.size);
    fix_batch_end(b);
    ccz_kms_store_free(s);
}

/* -------------------------------------------------------------------------------- queue */

static struct {
    pthread_mutex_t lock;
    pthread_cond_t cond;
    bool held, go; /* the first call is being handled; and may end */
    char order[8]; /* of the answers */
    size_t len;
} g = {.lock = PTHREAD_MUTEX_INITIALIZER, .cond = PTHREAD_COND_INITIALIZER};

/* The first one until it may go on, the others long. */
static int64_t hold(void *arg)
{
    (void)arg;
    usleep(SLOW_US);
    pthread_mutex_lock(&g.lock);
    g.held = true;
    pthread_cond_broadcast(&g.cond);
    while (!g.go)
        pthread_cond_wait(&g.cond, &g.lock);
    pthread_mutex_unlock(&g.lock);
    return 0;
}

static void on_answer(void *arg, struct ccz_span response, const struct ccz_err *why)
{
    (void)response;
    CHECK(!why);
    pthread_mutex_lock(&g.lock);
    CHECK(g.len + 1 < sizeof(g.order));
    g.order[g.len++] = *(const char *)arg;
    pthread_cond_broadcast(&g.cond);
    pthread_mutex_unlock(&g.lock);
}

static void await(const bool *what, size_t answers)
{
    pthread_mutex_lock(&g.lock);
    while (!*what || g.len < answers)
        pthread_cond_wait(&g.cond, &g.lock);
    pthread_mutex_unlock(&g.lock);
}

static void ask(struct ccz_kms_service *service, const char *name)
{
    const struct ccz_ratls_peer admin = fix_peer(FIX_ADMIN);
    const struct ccz_kms_request req = {
        .path = CCZI_KMS_SERVICE "Status", .peer = &admin, .address = "192.0.2.1:4711"};
    CHECK(ccz_kms_service_call(service, &req, on_answer, (void *)(uintptr_t)name, &err) == CCZ_OK);
}

static int64_t fixed_now(void *arg)
{
    (void)arg;
    return FIX_NOW;
}

/* What came behind the calls of a full transaction is asked between them and those that wait for the next one: these keep their order,
 * and are before all that comes later. */
static void test_queue(void)
{
    struct ccz_kms_store *s = fix_memory_store();
    struct ccz_kms_service *service;
    const struct ccz_kms_service_cfg cfg = {
        .store = s,
        .clock = {fixed_now, NULL},
        .info = {.version = "test", .tee = "sim-sgx", .collateral_expires_s = hold}};
    CHECK(ccz_kms_service_new(&service, &cfg, &err) == CCZ_OK);
    CHECK(s->batch_ms == CCZI_KMS_BATCH_MS);
    s->batch_ms = SLOWER_THAN_MS; /* before the first call is queued */
    ask(service, "a");
    await(&g.held, 0);
    ask(service, "b");
    ask(service, "c");
    ask(service, "d");
    CHECK(ccz_kms_service_probe(service, NULL, on_answer, (void *)(uintptr_t) "?", &err) == CCZ_OK);
    pthread_mutex_lock(&g.lock);
    g.go = true;
    pthread_cond_broadcast(&g.cond);
    pthread_mutex_unlock(&g.lock);
    await(&g.go, 5);
    CHECK(strcmp(g.order, "ab?cd") == 0);
    ccz_kms_service_free(service);
    ccz_kms_store_free(s);
}

/* ------------------------------------------------------------------- time of a namespace */

/* Two teams, with a key, a policy and a set of reference values each. */
static struct ccz_kms_store *teams(void)
{
    static const char *const names[][3] = {{"t/p", "t/k", "t/set"}, {"u/p", "u/k", "u/set"}};
    struct ccz_kms_store *s = fix_memory_store();
    fix_populate(s);
    for (size_t i = 0; i < 2; i++) {
        const struct cczi_msg_put_reference_req set = {fix_str(names[i][2]), fix_str(fix_set), 0};
        CHECK(fix_put_policy(s, names[i][0], fix_policy, false, &err) == CCZ_OK);
        CHECK(fix_create_key(s, names[i][1], "aes-128", ccz_span_str("0123456789abcdef"),
                             names[i][0], &err) == CCZ_OK);
        CHECK(fix_msg(NULL, s, FIX_ADMIN, "PutReference", cczi_msg_put_reference_req, &set, &err) ==
              CCZ_OK);
    }
    return s;
}

static ccz_rc replay_of(struct ccz_kms_store *s, const char *policy)
{
    const struct cczi_msg_replay_req m = {.policy = fix_str(policy), .json = fix_str(fix_policy)};
    err = (struct ccz_err){0};
    return fix_msg(NULL, s, FIX_ADMIN, "Replay", cczi_msg_replay_req, &m, &err);
}

static ccz_rc delete_set(struct ccz_kms_store *s, const char *name)
{
    const struct cczi_msg_name m = {fix_str(name)};
    err = (struct ccz_err){0};
    return fix_msg(NULL, s, FIX_ADMIN, "DeleteReference", cczi_msg_name, &m, &err);
}

static ccz_rc put_set_as(struct ccz_kms_store *s, enum fix_who who, const char *name, bool replace)
{
    const struct cczi_msg_put_reference_req m = {fix_str(name), fix_str(fix_set), replace};
    err = (struct ccz_err){0};
    return fix_msg(NULL, s, who, "PutReference", cczi_msg_put_reference_req, &m, &err);
}

static ccz_rc put_set(struct ccz_kms_store *s, const char *name)
{
    return put_set_as(s, FIX_ADMIN, name, true);
}

static ccz_rc list_sets(struct ccz_kms_store *s, const char *after)
{
    const struct cczi_msg_name m = {fix_str(after)};
    err = (struct ccz_err){0};
    return fix_msg(NULL, s, FIX_ADMIN, "ListReferences", cczi_msg_name, &m, &err);
}

static void drain(struct ccz_kms_store *s, const char *account)
{
    cczi_kms_looks_took(s->looks, 1000 * CCZI_KMS_LOOKS_BURST_MS);
    cczi_kms_looks_pay(s->looks, account, ccz_mono_ms());
}

/* Whoever may only read has time of his own, and no more of it. */
static void test_replay_rate(void)
{
    struct ccz_kms_store *s = teams();
    const struct ccz_ratls_peer peer = fix_peer(FIX_WORKLOAD);
    CHECK(replay_of(s, "t/p") == CCZ_OK);
    drain(s, "t/");
    const uint64_t seq = s->head.seq;
    REFUSED(replay_of(s, "t/p"), CCZ_E_LIMIT, "kms:look-rate");
    CHECK(strstr(err.msg, "readers of namespace \"t\"") &&
          strstr(err.hint, "a tenth of the time") && err.aux > 0);
    CHECK(s->head.seq == seq + 1); /* on record */
    REFUSED(list_sets(s, ""), CCZ_E_LIMIT, "kms:look-rate");
    CHECK(replay_of(s, "u/p") == CCZ_OK && list_sets(s, "t/set") == CCZ_OK);
    CHECK(release_as(s, &peer, "key/t/k", FIX_NOW) == CCZ_OK);
    CHECK(fix_put_policy(s, "t/p", fix_policy, true, &err) ==
          CCZ_OK); /* nor keeps he changes away */
    CHECK(delete_set(s, "t/set") == CCZ_OK);
    ccz_kms_store_free(s);
}

/* What reads large texts before it changes something. */
static void test_change_rate(void)
{
    struct ccz_kms_store *s = teams();
    const struct ccz_ratls_peer peer = fix_peer(FIX_WORKLOAD);
    CHECK(fix_stage(s, "t/p", fix_policy_other, FIX_NOW + 60, &err) == CCZ_OK);
    drain(s, "t");
    REFUSED(fix_put_policy(s, "t/p", fix_policy, true, &err), CCZ_E_LIMIT, "kms:look-rate");
    REFUSED(fix_stage(s, "t/p", fix_policy, FIX_NOW + 60, &err), CCZ_E_LIMIT, "kms:look-rate");
    REFUSED(roll_out(s, "t/p", fix_policy_other, FIX_NOW), CCZ_E_LIMIT, "kms:look-rate");
    REFUSED(put_set(s, "t/set"), CCZ_E_LIMIT, "kms:look-rate");
    REFUSED(delete_set(s, "t/set"), CCZ_E_LIMIT, "kms:look-rate");
    CHECK(fix_put_policy(s, "u/p", fix_policy, true, &err) == CCZ_OK);
    CHECK(put_set(s, "u/set") == CCZ_OK && list_sets(s, "") == CCZ_OK);
    CHECK(delete_set(s, "u/set") == CCZ_OK && replay_of(s, "t/p") == CCZ_OK);
    CHECK(release_as(s, &peer, "key/t/k", FIX_NOW) == CCZ_OK);
    /* who needs approvals is told so before anything is parsed, and charged for nothing */
    struct ccz_kms_grant author = {.ns = "t", .roles = CCZ_KMS_ROLE_AUTHOR};
    struct ccz_kms_grant approver = {.ns = "t", .roles = CCZ_KMS_ROLE_APPROVER};
    fix_spki(author.principal, FIX_ADMIN);
    fix_spki(approver.principal, FIX_AUDITOR);
    CHECK(ccz_kms_store_grant(s, &author, FIX_NOW, &err) == CCZ_OK &&
          ccz_kms_store_grant(s, &approver, FIX_NOW, &err) == CCZ_OK &&
          ccz_kms_store_set_quorum(s, "t", 1, FIX_NOW, &err) == CCZ_OK);
    REFUSED(roll_out(s, "t/p", fix_policy_other, FIX_NOW), CCZ_E_DENIED, "kms:approval-needed");
    REFUSED(fix_put_policy(s, "t/p", fix_policy, true, &err), CCZ_E_DENIED, "kms:approval-needed");
    ccz_kms_store_free(s);
}

/* One who changes things has a part of that: he keeps the others of his namespace from nothing. */
static void test_change_share(void)
{
    struct ccz_kms_store *s = teams();
    uint8_t spki[32];
    fix_spki(spki, FIX_AUDITOR);
    CHECK(ccz_kms_store_set_admin(s, spki, CCZ_KMS_ROLE_AUTHOR, FIX_NOW, NULL) == CCZ_OK);
    int n = 0;
    while (n < CCZI_KMS_LOOKS_BURST_MS && put_set_as(s, FIX_ADMIN, "t/set", false) == CCZ_E_EXISTS)
        n++; /* each costs something, also when it is refused */
    CHECK(n < CCZI_KMS_LOOKS_BURST_MS && strcmp(err.where, "kms:look-rate") == 0);
    CHECK(strstr(err.msg, "your share") && err.hint[0] && err.aux > 0);
    REFUSED(fix_put_policy(s, "t/p", fix_policy, true, &err), CCZ_E_LIMIT, "kms:look-rate");
    CHECK(put_set(s, "u/set") == CCZ_OK && replay_of(s, "t/p") == CCZ_OK);
    CHECK(put_set_as(s, FIX_AUDITOR, "t/set", true) == CCZ_OK);
    ccz_kms_store_free(s);
}

static struct {
    struct ccz_kms_backend ops;
    const struct ccz_kms_backend *real;
} g_slow;

/* A database that takes its time over workloads, and over policies. */
static enum cczi_kms_step slow_first(void *db, enum cczi_kms_sql q, const struct cczi_kms_param *p,
                                     size_t n)
{
    if (q == CCZI_SQL_EVIDENCE_PAGE || q == CCZI_SQL_EVIDENCE_OF)
        usleep(500000);
    return g_slow.real->first(db, q, p, n);
}

/* It is charged what it took. */
static void test_replay_cost(void)
{
    struct ccz_kms_store *s = teams();
    g_slow.real = s->db.ops;
    g_slow.ops = *g_slow.real;
    g_slow.ops.first = slow_first;
    cczi_kms_looks_took(s->looks, CCZI_KMS_LOOKS_BURST_MS - 100);
    cczi_kms_looks_pay(s->looks, "t/", ccz_mono_ms());
    s->db.ops = &g_slow.ops;
    CHECK(replay_of(s, "t/p") == CCZ_OK);
    s->db.ops = g_slow.real;
    REFUSED(replay_of(s, "t/p"), CCZ_E_LIMIT, "kms:look-rate");
    ccz_kms_store_free(s);
}

static const struct ccz_test tests[] = {
    {"kms.batch_time", test_batch_time},     {"kms.batch_time_queue", test_queue},
    {"kms.replay_rate", test_replay_rate},   {"kms.change_rate", test_change_rate},
    {"kms.change_share", test_change_share}, {"kms.replay_cost", test_replay_cost},
};

int main(int argc, char **argv)
{
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
