/* SPDX-License-Identifier: Apache-2.0 */
/* A store that does not answer: whose call is in its hands waits for that, nobody else does. */
#define _GNU_SOURCE
#include "ccz_test.h"
#include "kms/kms_fixture.h"

#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

/* -------------------------------------------------------------- a database that goes away */

static struct {
    struct ccz_kms_backend ops;
    const struct ccz_kms_backend *real;
    pthread_mutex_t lock; /* everything below */
    pthread_cond_t cond;
    enum cczi_kms_sql hold_at; /* where it stands still */
    bool hold, held;
    bool gone, lose;     /* no transaction begins; what becomes of the next COMMIT is not told */
    unsigned asked;      /* beginnings while it was gone */
    atomic_uint slow_ms; /* takes so long for a statement */
    enum cczi_kms_fault fault;
} g = {.lock = PTHREAD_MUTEX_INITIALIZER, .cond = PTHREAD_COND_INITIALIZER};

static enum cczi_kms_step fail_as(enum cczi_kms_fault fault)
{
    g.fault = fault;
    return CCZI_KMS_STEP_FAILED;
}

static enum cczi_kms_step stall_first(void *db, enum cczi_kms_sql q, const struct cczi_kms_param *p,
                                      size_t n)
{
    const bool begins =
        q == CCZI_SQL_BEGIN || q == CCZI_SQL_BEGIN_READ || q == CCZI_SQL_BEGIN_WHOLE;
    pthread_mutex_lock(&g.lock);
    while (g.hold && q == g.hold_at) {
        g.held = true;
        pthread_cond_broadcast(&g.cond);
        pthread_cond_wait(&g.cond, &g.lock);
    }
    const bool gone = g.gone && begins, lose = g.lose && q == CCZI_SQL_COMMIT;
    g.asked += gone;
    if (lose) {
        g.lose = false;
        g.gone = true;
    }
    pthread_mutex_unlock(&g.lock);
    usleep(atomic_load(&g.slow_ms) * 1000);
    if (lose) {
        CHECK(g.real->first(db, CCZI_SQL_ROLLBACK, NULL, 0) == CCZI_KMS_STEP_DONE);
        g.real->end(db, CCZI_SQL_ROLLBACK);
        return fail_as(CCZI_KMS_FAULT_UNKNOWN);
    }
    return gone ? fail_as(CCZI_KMS_FAULT_AGAIN) : g.real->first(db, q, p, n);
}

static ccz_rc stall_fail(enum cczi_kms_fault *fault, void *db, struct ccz_err *err)
{
    if (g.fault == CCZI_KMS_FAULT_NONE)
        return g.real->fail(fault, db, err);
    *fault = g.fault;
    g.fault = CCZI_KMS_FAULT_NONE;
    return ccz_fail(err, CCZ_E_UNAVAILABLE, "kms:store-connect", 0, "it is away");
}

/* ----------------------------------------------------------------------------- calls */

struct ask {
    bool done;
    ccz_rc rc;
    char where[CCZ_ERR_WHERE_SIZE];
    bool hint;
    int64_t at_ms;
    unsigned asked;
};

static int64_t fixed_now(void *arg)
{
    (void)arg;
    return FIX_NOW;
}

static void end(struct ccz_kms_service *service, struct ccz_kms_store *s)
{
    ccz_kms_service_free(service);
    s->db.ops = g.real;
    CHECK(ccz_kms_store_check(NULL, s, NULL) == CCZ_OK);
    ccz_kms_store_free(s);
}

static void set(bool *what, bool to)
{
    pthread_mutex_lock(&g.lock);
    *what = to;
    pthread_cond_broadcast(&g.cond);
    pthread_mutex_unlock(&g.lock);
}

static bool get(const bool *what)
{
    pthread_mutex_lock(&g.lock);
    bool is = *what;
    pthread_mutex_unlock(&g.lock);
    return is;
}

static unsigned get_number(const unsigned *what)
{
    pthread_mutex_lock(&g.lock);
    unsigned is = *what;
    pthread_mutex_unlock(&g.lock);
    return is;
}

/* However long that takes: the time limit of the test ends it. */
static void await(const bool *what)
{
    pthread_mutex_lock(&g.lock);
    while (!*what)
        pthread_cond_wait(&g.cond, &g.lock);
    pthread_mutex_unlock(&g.lock);
}

static void on_answer(void *arg, struct ccz_span response, const struct ccz_err *err)
{
    struct ask *a = arg;
    (void)response;
    pthread_mutex_lock(&g.lock);
    CHECK(!a->done);
    a->rc = err ? err->rc : CCZ_OK;
    a->hint = err && err->hint[0];
    a->at_ms = ccz_mono_ms();
    a->asked = g.asked;
    (void)snprintf(a->where, sizeof(a->where), "%s", err ? err->where : "");
    a->done = true;
    pthread_cond_broadcast(&g.cond);
    pthread_mutex_unlock(&g.lock);
}

/* A release; or a probe. @return whether it was queued; if not, `a` says why */
static bool ask(struct ask *a, struct ccz_kms_service *service, bool probe)
{
    struct ccz_err err = {0};
    const struct ccz_ratls_peer peer = fix_peer(FIX_WORKLOAD);
    const struct cczi_msg_release_req m = {ccz_span_str("key/model"), 0};
    CCZ_AUTO_BUF body;
    ccz_buf_init(&body, 256);
    cczi_msg_put(&body, cczi_msg_release_req, &m);
    const struct ccz_kms_request req = {.path = CCZI_KMS_SERVICE "Release",
                                        .body = ccz_buf_span(&body),
                                        .peer = &peer,
                                        .address = "192.0.2.7:1"};
    *a = (struct ask){0};
    ccz_rc rc = probe ? ccz_kms_service_probe(service, NULL, on_answer, a, &err)
                      : ccz_kms_service_call(service, &req, on_answer, a, &err);
    if (rc != CCZ_OK)
        on_answer(a, (struct ccz_span){0}, &err);
    return rc == CCZ_OK;
}

static struct ccz_kms_service *serve(struct ccz_kms_store **s)
{
    struct ccz_kms_service *service;
    struct ccz_err err = {0};
    struct ask first;
    *s = fix_memory_store();
    fix_populate(*s);
    g.real = (*s)->db.ops;
    g.ops = *g.real;
    g.ops.first = stall_first;
    g.ops.fail = stall_fail;
    (*s)->db.ops = &g.ops;
    const struct ccz_kms_service_cfg cfg = {
        .store = *s, .clock = {fixed_now, NULL}, .info = {"test", "toy", true, FIX_NOW, 0}};
    CHECK(ccz_kms_service_new(&service, &cfg, &err) == CCZ_OK);
    CHECK(ask(&first, service, true)); /* behind what the worker looks for at its start */
    await(&first.done);
    CHECK(first.rc == CCZ_OK);
    return service;
}

static bool refused(const struct ask *a, const char *where)
{
    bool is = a->done && a->rc == CCZ_E_UNAVAILABLE && strcmp(a->where, where) == 0 && a->hint;
    if (!is)
        fprintf(stderr, "done=%d rc=%d where=%s, expected %s\n", a->done, (int)a->rc, a->where,
                where);
    return is;
}

/* Until one is not even queued; those that were are refused for the same reason. */
static void until_turned_away(struct ccz_kms_service *service, const char *where)
{
    struct ask a;
    while (ask(&a, service, false)) {
        await(&a.done);
        CHECK(refused(&a, where));
    }
    CHECK(refused(&a, where));
}

/* Until one is taken: nobody has to ask for that to come about. */
static void await_return(struct ccz_kms_service *service)
{
    struct ask a;
    while (!ask(&a, service, false))
        usleep(20000);
    await(&a.done);
    CHECK(a.rc == CCZ_OK);
}

static uint64_t unrecorded(struct ccz_kms_store *s)
{
    return atomic_load(&s->unrecorded);
}

/* ------------------------------------------------------------------------------ tests */

/* What waits behind a transaction that does not end is refused, then what comes; the transaction itself ends as it would have. */
static void test_stall(void)
{
    static const enum cczi_kms_sql at[] = {CCZI_SQL_BEGIN, CCZI_SQL_HEAD_SET, CCZI_SQL_COMMIT};
    for (size_t i = 0; i < sizeof(at) / sizeof(*at); i++) {
        struct ccz_kms_store *s;
        struct ccz_kms_service *service = serve(&s);
        struct ask first, second, probe, third, again;
        g.hold_at = at[i];
        g.held = false;
        set(&g.hold, true);
        CHECK(ask(&first, service, false));
        await(&g.held);
        CHECK(ask(&second, service, false) && ask(&probe, service, true));
        await(&second.done);
        await(&probe.done);
        CHECK(refused(&second, "kms:store-stalled") && refused(&probe, "kms:store-stalled"));
        CHECK(!ask(&third, service, false) && refused(&third, "kms:store-stalled"));
        CHECK(!ask(&again, service, true) && refused(&again, "kms:store-stalled"));
        CHECK(!get(&first.done) && unrecorded(s) == 2);
        set(&g.hold, false);
        await(&first.done);
        CHECK(first.rc == CCZ_OK);
        await_return(service);
        end(service, s);
    }
}

/* A database that is away is looked for by the worker; nobody's call waits for that. */
static void test_away(void)
{
    struct ccz_kms_store *s;
    struct ccz_kms_service *service = serve(&s);
    struct ask first, second;
    set(&g.gone, true);
    CHECK(ask(&first, service, false));
    await(&first.done);
    CHECK(refused(&first, "kms:store-connect"));
    until_turned_away(service, "kms:store-connect");
    for (unsigned asked = get_number(&g.asked); get_number(&g.asked) < asked + 2;)
        usleep(20000); /* by itself */
    CHECK(!ask(&second, service, false) && refused(&second, "kms:store-connect"));
    set(&g.gone, false);
    await_return(service);
    end(service, s);
}

/* Nobody knows what became of a COMMIT: its callers are told that, all others that the database is away. */
static void test_unknown(void)
{
    struct ccz_kms_store *s;
    struct ccz_kms_service *service = serve(&s);
    struct ask first, second;
    set(&g.lose, true);
    CHECK(ask(&first, service, false));
    await(&first.done);
    CHECK(refused(&first, "kms:commit-unknown"));
    if (ask(&second, service, false))
        await(&second.done);
    CHECK(refused(&second, "kms:store-connect"));
    /* nobody asked the database for it: the worker looks once a second */
    CHECK(second.asked - first.asked <= 1 + (second.at_ms - first.at_ms) / CCZI_KMS_AWAY_MS);
    until_turned_away(service, "kms:store-connect");
    set(&g.gone, false);
    await_return(service);
    end(service, s);
}

/* Work that takes long is no stall: others wait for it. */
static void test_slow(void)
{
    struct ccz_kms_store *s;
    struct ccz_kms_service *service = serve(&s);
    struct ask first, second;
    g.hold_at = CCZI_SQL_BEGIN;
    g.held = false;
    set(&g.hold, true);
    CHECK(ask(&first, service, false));
    await(&g.held);
    CHECK(ask(&second, service, false));
    atomic_store(&g.slow_ms, 500);
    set(&g.hold, false);
    const int64_t from_ms = ccz_mono_ms();
    await(&first.done);
    CHECK(ccz_mono_ms() - from_ms > 3000); /* much longer than the store may stand still */
    atomic_store(&g.slow_ms, 0);
    await(&second.done);
    CHECK(first.rc == CCZ_OK && second.rc == CCZ_OK && unrecorded(s) == 0);
    end(service, s);
}

/* It stands still, and then it is away: in between it is not said to be back. */
static void test_stall_then_away(void)
{
    struct ccz_kms_store *s;
    struct ccz_kms_service *service = serve(&s);
    struct ask probe, a;
    g.hold_at = CCZI_SQL_BEGIN_READ;
    g.held = false;
    set(&g.hold, true);
    CHECK(ask(&probe, service, true));
    await(&g.held);
    until_turned_away(service, "kms:store-stalled");
    set(&g.gone, true);
    set(&g.hold, false);
    await(&probe.done);
    CHECK(refused(&probe, "kms:store-connect"));
    do {
        CHECK(!ask(&a, service, false));
        usleep(1000);
    } while (strcmp(a.where, "kms:store-connect") != 0);
    set(&g.gone, false);
    await_return(service);
    end(service, s);
}

static const struct ccz_test tests[] = {
    {"kms.stall_slow", test_slow},       {"kms.stall_then_away", test_stall_then_away},
    {"kms.stall", test_stall},           {"kms.stall_away", test_away},
    {"kms.stall_unknown", test_unknown},
};

int main(int argc, char **argv)
{
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
