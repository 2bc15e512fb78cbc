/* SPDX-License-Identifier: Apache-2.0 */
/* Every allocation fails once: the answer is recsys:memory, lists are empty, and nothing leaks. */
#define _DEFAULT_SOURCE
#include "nomem.h"
#include "rank_kit.h"

enum { USERS = 40, ITEMS = 70, K = 3 };

static struct ccz_recsys_model *model;
static struct ccz_recsys_csr *seen;
static uint32_t number[USERS * K], want[USERS * K];
static float score[USERS * K];

static ccz_rc make_index(struct ccz_err *err)
{
    CCZ_AUTO(ccz_recsys_index) index = NULL;
    ccz_rc rc =
        ccz_recsys_index_new(&index, model, &(struct ccz_recsys_index_cfg){.users = true}, err);
    CHECK((rc == CCZ_OK) == (index != NULL));
    return rc;
}

static ccz_rc ask(bool oblivious, struct ccz_err *err)
{
    static const uint32_t deny[] = {4};
    const struct ccz_recsys_ask a = {.users_len = USERS,
                                     .k = K,
                                     .seen = seen,
                                     .deny = deny,
                                     .deny_len = 1,
                                     .oblivious = oblivious};
    ccz_rc rc = ccz_recsys_recommend(number, score, model, &a, err);
    for (size_t i = 0; rc != CCZ_OK && i < (size_t)USERS * K; i++)
        CHECK(number[i] == CCZ_RECSYS_NONE && score[i] == -INFINITY);
    if (rc == CCZ_OK && want[0] == want[1])
        memcpy(want, number, sizeof(want));
    CHECK(rc != CCZ_OK || memcmp(want, number, sizeof(want)) == 0);
    return rc;
}

static ccz_rc plain(struct ccz_err *err)
{
    return ask(false, err);
}

static ccz_rc oblivious(struct ccz_err *err)
{
    return ask(true, err);
}

static ccz_rc similar(struct ccz_err *err)
{
    CCZ_AUTO(ccz_recsys_index) index = NULL;
    const struct ccz_recsys_ask a = {.users_len = USERS, .k = K};
    ccz_rc rc = ccz_recsys_index_new(&index, model, NULL, err);
    return rc == CCZ_OK ? ccz_recsys_similar_items(number, score, index, &a, err) : rc;
}

static ccz_rc explain(struct ccz_err *err)
{
    struct ccz_recsys_explanation e;
    struct ccz_recsys_reason reason[K];
    float share[ITEMS] = {0};
    ccz_rc rc = ccz_recsys_explain(&e, reason, K, model, 0, 1, seen, share, err);
    CHECK(rc == CCZ_OK || (e.reasons == 0 && reason[0].item == CCZ_RECSYS_NONE));
    return rc;
}

static void test_nomem(void)
{
    static ccz_rc (*const all[])(struct ccz_err *) = {make_index, plain, oblivious, similar,
                                                      explain};
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        struct ccz_err err;
        nomem_left = -1;
        nomem_used = 0;
        CHECK(all[i](NULL) == CCZ_OK);
        const long used = nomem_used;
        CHECK(used > 0);
        for (long k = 0; k < used; k++) {
            nomem_left = k;
            const ccz_rc rc = all[i](&err);
            /* lists for many users do without an index, if there is no memory for one */
            CHECK((rc == CCZ_OK && all[i] == plain) ||
                  (rc == CCZ_E_NOMEM && strcmp(err.where, "recsys:memory") == 0));
        }
        nomem_left = -1;
    }
}

int main(int argc, char **argv)
{
    static const struct ccz_test tests[] = {{"recsys_rank.nomem", test_nomem}};
    CHECK(nomem_openssl());
    model = make_model(RANDOM, USERS, ITEMS, 20, true);
    seen = make_seen(USERS, ITEMS, 3);
    const int rc = ccz_test_main(tests, 1, argc, argv);
    ccz_recsys_model_free(model);
    ccz_recsys_csr_free(seen);
    return rc;
}
