/* SPDX-License-Identifier: Apache-2.0 */
/* Work between two transactions: whose turn it is, and who has to come again. */
#define _GNU_SOURCE
#include "ccz_test.h"
#include "kms/works.h"

static struct cczi_kms_place g_place[1024];
static size_t g_len;

static const char *add(struct cczi_kms_works *w, const char *ns, bool makes)
{
    struct cczi_kms_place *p = &g_place[g_len];
    *p = (struct cczi_kms_place){.makes = makes};
    (void)snprintf(p->ns, sizeof(p->ns), "%s", ns);
    const char *where = cczi_kms_works_add(w, p);
    g_len += !where;
    return where ? where : "";
}

static bool next_is(struct cczi_kms_works *w, size_t threads, const char *ns, bool makes)
{
    struct cczi_kms_place *p = cczi_kms_works_take(w, threads);
    bool yes = p && strcmp(p->ns, ns) == 0 && p->makes == makes;
    if (p)
        cczi_kms_works_done(w, p);
    return yes;
}

/* Whoever has one call comes next, whatever another one has waiting. */
static void test_fair(void)
{
    struct cczi_kms_works w = {0};
    g_len = 0;
    for (int i = 0; i < 40; i++)
        CHECK(!*add(&w, "many", false));
    for (int i = 0; i < 10; i++)
        CHECK(next_is(&w, 2, "many", false));
    CHECK(!*add(&w, "one", false) && !*add(&w, "two", false));
    CHECK(next_is(&w, 2, "many", false)); /* it came before them, and was next */
    CHECK(next_is(&w, 2, "one", false) && next_is(&w, 2, "two", false));
    for (int i = 0; i < 4; i++) { /* in turns from then on */
        CHECK(!*add(&w, "one", false));
        CHECK(!*add(&w, "one", false));
    }
    size_t ones = 0;
    for (int i = 0; i < 16; i++) {
        struct cczi_kms_place *p = cczi_kms_works_take(&w, 2);
        ones += strcmp(p->ns, "one") == 0;
        cczi_kms_works_done(&w, p);
    }
    CHECK(ones >= 7 && ones <= 8);
    while (w.len)
        cczi_kms_works_done(&w, cczi_kms_works_take(&w, 2));
    CHECK(!w.first && w.doing == 0 && w.making == 0 && !cczi_kms_works_take(&w, 2));
}

/* Making a key waits behind uses, of its own namespace and of others, and not for ever. */
static void test_making(void)
{
    struct cczi_kms_works w = {0};
    g_len = 0;
    for (int i = 0; i < CCZI_KMS_WORKS_MAKE_MAX; i++)
        CHECK(!*add(&w, "maker", true));
    CHECK(strcmp(add(&w, "maker", true), "kms:busy-namespace") == 0);
    CHECK(!*add(&w, "maker", false) && !*add(&w, "user", false));
    CHECK(next_is(&w, 2, "maker", false) && next_is(&w, 2, "user", false));
    struct cczi_kms_place *one = cczi_kms_works_take(&w, 2);
    CHECK(one && one->makes);
    /* the last thread is for uses: of two, one may make */
    CHECK(!cczi_kms_works_take(&w, 2) && w.making == 1);
    CHECK(!*add(&w, "user", false) && next_is(&w, 2, "user", false));
    cczi_kms_works_done(&w, one);
    CHECK(next_is(&w, 2, "maker", true));
    /* uses without end: each is worth as little as it takes, and the next making is not forgotten */
    size_t uses = 0;
    for (bool made = false; !made; uses++) {
        CHECK(!*add(&w, "user", false) && uses < 10 * CCZI_KMS_WORKS_MAKE_COST);
        struct cczi_kms_place *p = cczi_kms_works_take(&w, 2);
        made = p->makes;
        cczi_kms_works_done(&w, p);
        g_len = CCZI_KMS_WORKS_MAKE_MAX + 8 + uses % 64;
    }
    CHECK(uses > 1);
    CHECK(next_is(&w, 1, "user", false)); /* one thread does all of it */
    one = cczi_kms_works_take(&w, 1);
    CHECK(one && one->makes && !cczi_kms_works_take(&w, 1));
}

static void test_shares(void)
{
    struct cczi_kms_works w = {0};
    char ns[16];
    g_len = 0;
    for (int i = 0; i < CCZI_KMS_WORKS_NS_MAX; i++)
        CHECK(!*add(&w, "a", false));
    CHECK(strcmp(add(&w, "a", false), "kms:busy-namespace") == 0);
    for (int i = 0; i < CCZI_KMS_WORKS_NS_MAX - 1; i++)
        CHECK(!*add(&w, "b", false) && !*add(&w, "c", false) && !*add(&w, "", false));
    CHECK(!*add(&w, "b", false) && !*add(&w, "c", false) && !*add(&w, "", false));
    CHECK(w.len == CCZI_KMS_WORKS_MAX);
    for (int i = 0; i < CCZI_KMS_WORKS_MAX; i++) { /* full, but for those who have nothing there */
        (void)snprintf(ns, sizeof(ns), "n%d", i);
        CHECK(!*add(&w, ns, i % 2));
        CHECK(strcmp(add(&w, ns, false), "kms:busy") == 0);
    }
    CHECK(strcmp(add(&w, "last", false), "kms:busy") == 0);
    /* what is being done counts until it is done */
    struct cczi_kms_place *p = cczi_kms_works_take(&w, 2);
    CHECK(p && strcmp(add(&w, "last", false), "kms:busy") == 0);
    cczi_kms_works_done(&w, p);
    CHECK(!*add(&w, "last", false));
}

static const struct ccz_test tests[] = {{"kms.works_fair", test_fair},
                                        {"kms.works_making", test_making},
                                        {"kms.works_shares", test_shares}};

int main(int argc, char **argv)
{
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
