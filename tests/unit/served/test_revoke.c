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
static atomic_int asked, gone;
static atomic_bool no;               /* what the KMS says */
static void (*_Atomic asking)(void); /* what happens before it answers, once */

ccz_rc served_kms_open(struct served_kms *k, const struct served_opts *o,
                       struct ccz_attester *attester, struct ccz_err *e)
{
    static int any;
    (void)o, (void)attester, (void)e;
    k->client = (struct ccz_rpc_client *)(void *)&any;
    return CCZ_OK;
}

void served_kms_close(struct served_kms *k)
{
    *k = (struct served_kms){0};
}

ccz_rc ccz_kms_still_released(struct ccz_kms_held *held, size_t len,
                              const struct ccz_kms_instance *k, struct ccz_rpc_client *client,
                              struct ccz_err *e)
{
    (void)k, (void)client, (void)e;
    void (*then)(void) = atomic_exchange(&asking, NULL);
    if (then)
        then();
    for (size_t i = 0; i < len; i++) {
        held[i].released = !(atomic_load(&no) && held[i].version == 1);
        (void)snprintf(held[i].where, sizeof(held[i].where), "%s",
                       held[i].released ? "" : "kms:disabled");
    }
    atomic_fetch_add(&asked, 1);
    return CCZ_OK;
}

static void on_gone(void *arg, const struct served_held *held, const char *why)
{
    CHECK(arg == &revoke && held->key_version == 1 && strcmp(why, "kms:disabled") == 0);
    atomic_fetch_add(&gone, 1);
}

static struct served_opts opts = {.kms_poll_s = 0}; /* again and again */

static void begin(void)
{
    const struct served_revoke_cfg cfg = {.opts = &opts, .gone = on_gone, .arg = &revoke};
    atomic_store(&asked, 0);
    atomic_store(&gone, 0);
    atomic_store(&no, false);
    CHECK(served_revoke_start(&revoke, &cfg, &err) == CCZ_OK);
}

static ccz_rc hold(int64_t version, uint32_t key_version)
{
    const struct served_held h = {
        .model = "m", .version = version, .item = "key/m", .key_version = key_version};
    return served_revoke_hold(revoke, &h, &kms, &err);
}

static void wait_asked(int times)
{
    const int before = atomic_load(&asked);
    while (atomic_load(&asked) < before + times)
        (void)sched_yield();
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
    CHECK(atomic_load(&gone) == 1);
    served_revoke_stop(revoke);
    served_revoke_free(revoke);
}

int main(int argc, char **argv)
{
    static const struct ccz_test tests[] = {{"served.revoke_end", test_end},
                                            {"served.revoke_other_key", test_other_key}};
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
