/* SPDX-License-Identifier: Apache-2.0 */
/* Who is asked about, and until when: revoke.c with a KMS that is a function here. */
#include "../../../daemons/served/served.h"

#include "ccz_test.h"

#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>

static struct ccz_err err;
static struct served_revoke *revoke;
static const struct ccz_kms_instance kms;
static atomic_int asked, opened, gone;
static atomic_bool no;          /* what the KMS says of key version 1 */
static atomic_bool stale;       /* what it says of version 3, on a connection that is not new */
static atomic_bool unreachable; /* for new connections */
static atomic_bool lost;        /* no call is answered */
static void (*_Atomic asking)(void); /* what happens before it answers, once */
static int used;                     /* calls on this connection; of the thread alone */
static struct {
    atomic_int disabled, policy, grace;
} why;

/* The clock of graces, which stands still. */
static _Atomic int64_t now_ms = 1000;

int64_t __wrap_ccz_mono_ms(void);
int64_t __wrap_ccz_mono_ms(void)
{
    return atomic_load(&now_ms);
}

ccz_rc served_kms_open(struct served_kms *k, const struct served_opts *o,
                       struct ccz_attester *attester, struct ccz_err *e)
{
    static int any;
    (void)o, (void)attester;
    used = 0;
    if (atomic_load(&unreachable))
        return ccz_fail(e, CCZ_E_UNAVAILABLE, "test:open", 0, "nobody there");
    atomic_fetch_add(&opened, 1);
    k->client = (struct ccz_rpc_client *)(void *)&any;
    return CCZ_OK;
}

void served_kms_close(struct served_kms *k)
{
    *k = (struct served_kms){0};
}

static const char *answer(uint32_t version)
{
    if (atomic_load(&no) && version == 1)
        return "kms:disabled";
    return atomic_load(&stale) && version == 3 && used > 1 ? "policy:stale" : "";
}

ccz_rc ccz_kms_still_released(struct ccz_kms_held *held, size_t len,
                              const struct ccz_kms_instance *k, struct ccz_rpc_client *client,
                              struct ccz_err *e)
{
    (void)k, (void)client;
    used++;
    CHECK(len >= 1 && len <= CCZ_KMS_HELD_MAX);
    void (*then)(void) = atomic_exchange(&asking, NULL);
    if (then)
        then();
    if (atomic_load(&lost)) {
        atomic_fetch_add(&asked, 1);
        return ccz_fail(e, CCZ_E_TIMEOUT, "test:lost", 0, "no answer");
    }
    for (size_t i = 0; i < len; i++) {
        (void)snprintf(held[i].where, sizeof(held[i].where), "%s", answer(held[i].version));
        held[i].released = !held[i].where[0];
    }
    atomic_fetch_add(&asked, 1);
    return CCZ_OK;
}

static void on_gone(void *arg, const struct served_held *held, const char *where)
{
    CHECK(arg == &revoke && strcmp(held->item, "key/m") == 0);
    atomic_fetch_add(strcmp(where, "kms:disabled") == 0 ? &why.disabled
                     : where[0]                         ? &why.policy
                                                        : &why.grace,
                     1);
    atomic_fetch_add(&gone, 1);
}

static struct served_opts opts = {.kms_poll_s = 0}; /* again and again */

static void begin(void)
{
    const struct served_revoke_cfg cfg = {.opts = &opts, .gone = on_gone, .arg = &revoke};
    atomic_store(&asked, 0);
    atomic_store(&opened, 0);
    atomic_store(&gone, 0);
    atomic_store(&why.disabled, 0);
    atomic_store(&why.policy, 0);
    atomic_store(&why.grace, 0);
    atomic_store(&no, false);
    atomic_store(&stale, false);
    atomic_store(&unreachable, false);
    atomic_store(&lost, false);
    CHECK(served_revoke_start(&revoke, &cfg, &err) == CCZ_OK);
}

static ccz_rc hold(int64_t version, uint32_t key_version)
{
    const struct served_held h = {
        .model = "m", .version = version, .item = "key/m", .key_version = key_version};
    return served_revoke_hold(revoke, &h, &kms, &err);
}

static void finish(void)
{
    served_revoke_stop(revoke);
    served_revoke_free(revoke);
    opts.kms_grace_s = 0;
}

static void wait_for(atomic_int *what, int times)
{
    const int64_t end_ns = ccz_mono_ns() + INT64_C(60000000000); /* of a test that has failed */
    while (atomic_load(what) < times && ccz_mono_ns() < end_ns)
        (void)sched_yield();
    CHECK(atomic_load(what) >= times);
}

static void wait_asked(int times)
{
    wait_for(&asked, atomic_load(&asked) + times);
}

/* A model may still be loaded, or end, while the server does. */
static void test_end(void)
{
    begin();
    CHECK(hold(1, 1) == CCZ_OK);
    served_revoke_stop(revoke);
    CHECK(hold(2, 1) == CCZ_OK);
    served_revoke_let_go(revoke, "m", 1);
    served_revoke_stop(revoke); /* once more */
    served_revoke_free(revoke);
    served_revoke_stop(NULL);
    served_revoke_free(NULL);
}

static void load_again(void)
{
    atomic_store(&no, true);
    served_revoke_let_go(revoke, "m", 7);
    CHECK(hold(7, 2) == CCZ_OK);
}

static void end(void)
{
    atomic_store(&no, true);
    served_revoke_let_go(revoke, "m", 7);
}

/* A "no" is for the key that was asked about. */
static void test_other_key(void)
{
    begin();
    CHECK(hold(9, 2) == CCZ_OK); /* so that there is always something to ask about */
    CHECK(hold(7, 1) == CCZ_OK);
    wait_asked(1);
    atomic_store(&asking, load_again); /* the version is under another key when the answer comes */
    wait_asked(2);
    CHECK(atomic_load(&gone) == 0);
    CHECK(hold(8, 1) == CCZ_OK);
    wait_asked(2);
    CHECK(atomic_load(&gone) == 1);
    atomic_store(&no, false);
    served_revoke_let_go(revoke, "m", 7);
    CHECK(hold(7, 1) == CCZ_OK);
    wait_asked(1);
    atomic_store(&asking, end); /* it has ended by itself */
    wait_asked(2);
    CHECK(atomic_load(&gone) == 1 && atomic_load(&why.disabled) == 1);
    finish();
}

/* Every version is asked about, however many there are. */
static void test_many(void)
{
    enum { VERSIONS = 200 };
    begin();
    for (int i = 0; i < VERSIONS; i++)
        CHECK(hold(i, i == 0 || i == 117 || i == VERSIONS - 1 ? 1 : 2) == CCZ_OK);
    wait_asked(2 * (VERSIONS / CCZ_KMS_HELD_MAX + 1));
    CHECK(atomic_load(&gone) == 0);
    atomic_store(&no, true);
    wait_for(&gone, 3);
    CHECK(atomic_load(&why.disabled) == 3);
    wait_asked(2 * (VERSIONS / CCZ_KMS_HELD_MAX + 1));
    CHECK(atomic_load(&gone) == 3 && atomic_load(&opened) == 1);
    finish();
}

static void cut_and_refuse(void)
{
    atomic_store(&no, true);
    atomic_store(&stale, true);
    atomic_store(&unreachable, true);
}

/* A "no" that was said counts, also if the network is cut before what the KMS says of old evidence can be asked anew: without a grace,
 * nobody would ever hear of it again. */
static void test_no_is_kept(void)
{
    begin();
    CHECK(hold(1, 1) == CCZ_OK && hold(3, 3) == CCZ_OK && hold(2, 2) == CCZ_OK);
    wait_asked(2); /* on a connection that is not new */
    CHECK(atomic_load(&gone) == 0);
    atomic_store(&asking, cut_and_refuse);
    wait_for(&gone, 1);
    CHECK(atomic_load(&why.disabled) == 1);
    atomic_store(&unreachable, false);
    wait_asked(2);
    CHECK(atomic_load(&gone) == 1); /* fresh evidence was good enough */
    finish();
}

/* What a policy says of fresh evidence is an answer. */
static void test_stale(void)
{
    begin();
    CHECK(hold(3, 3) == CCZ_OK && hold(2, 2) == CCZ_OK);
    wait_asked(2);
    const int before = atomic_load(&opened);
    atomic_store(&stale, true);
    wait_for(&opened, before + 1);
    wait_asked(3);
    CHECK(atomic_load(&gone) == 0);
    finish();
}

/* The grace of a version begins with the last yes to it. */
static void test_grace(void)
{
    opts.kms_grace_s = 10;
    begin();
    CHECK(hold(1, 2) == CCZ_OK && hold(2, 2) == CCZ_OK);
    wait_asked(2);
    atomic_store(&lost, true);
    wait_asked(2);
    atomic_fetch_add(&now_ms, 9999);
    CHECK(hold(3, 2) == CCZ_OK); /* its key has just come: it is not late because others are */
    wait_asked(2);
    CHECK(atomic_load(&gone) == 0);
    atomic_fetch_add(&now_ms, 1);
    wait_for(&gone, 2);
    wait_asked(2);
    CHECK(atomic_load(&gone) == 2 && atomic_load(&why.grace) == 2);
    atomic_store(&lost, false);
    wait_asked(3); /* what the call before said is known when the next one is answered */
    atomic_store(&lost, true);
    wait_asked(2);
    atomic_fetch_add(&now_ms, 9999);
    wait_asked(2);
    CHECK(atomic_load(&gone) == 2); /* asked in time, it has begun anew */
    atomic_fetch_add(&now_ms, 1);
    wait_for(&gone, 3);
    finish();
}

int main(int argc, char **argv)
{
    static const struct ccz_test tests[] = {
        {"served.revoke_end", test_end},     {"served.revoke_other_key", test_other_key},
        {"served.revoke_many", test_many},   {"served.revoke_no_is_kept", test_no_is_kept},
        {"served.revoke_stale", test_stale}, {"served.revoke_grace", test_grace}};
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
