/* SPDX-License-Identifier: Apache-2.0 */
/* Files, a network and a clustering with the k-th allocation failing: all end, with errors that say why. */
#define _DEFAULT_SOURCE
#include "nomem.h"
#include "small.h"

static void test_file(void)
{
    struct small s;
    struct ccz_err err = {0};
    CCZ_AUTO_BUF file;
    small_init(&s);
    ccz_buf_init(&file, CCZ_MPCML_NETWORK_SIZE_MAX);
    CHECK(ccz_mpcml_network_write(&file, s.net, true, &err) == CCZ_OK);
    long k = 0;
    for (ccz_rc rc = CCZ_E_NOMEM; rc != CCZ_OK; k++) {
        struct ccz_mpcml_network *net = NULL;
        uint64_t out[2];
        nomem_left = k;
        rc = ccz_mpcml_network_read(&net, ccz_buf_span(&file), &err);
        if (rc == CCZ_OK)
            rc = ccz_mpcml_nn_simulate(out, net, &s.cfg, s.images, &err);
        nomem_left = -1;
        CHECK(rc == CCZ_OK || (rc == CCZ_E_NOMEM && strcmp(err.where, "mpcml:memory") == 0));
        ccz_mpcml_network_free(net);
    }
    CHECK(k > 6);
    small_deinit(&s);
}

static bool explained(const struct kit_party *p)
{
    return p->rc == CCZ_OK || p->rc == CCZ_E_NOMEM || p->rc == CCZ_E_CLOSED ||
           p->rc == CCZ_E_INTERNAL || strcmp(p->err.where, "chan:size") == 0 ||
           strcmp(p->err.where, "chan:message-size") == 0 ||
           strcmp(p->err.where, "rlwe:buffer") == 0; /* "... or out of memory" */
}

/* @return whether the failure came */
static bool one(struct small *s, bool kmeans, long k)
{
    struct kit_pair pair;
    struct ccz_err err = {0};
    nomem_left = -1;
    kit_init(&pair, NULL, NULL, "he-packed");
    nomem_left = k;
    if (small_new(s, kmeans, &err) == CCZ_OK) {
        for (unsigned r = 0; r < 2; r++)
            pair.p[r].program = small_program(s, r, kmeans);
        kit_run(&pair);
    } else
        CHECK(err.rc == CCZ_E_NOMEM || err.rc == CCZ_E_INTERNAL);
    const bool failed = nomem_left < 0;
    nomem_left = -1;
    for (int r = 0; r < 2; r++) {
        if (!explained(&pair.p[r]))
            fprintf(stderr, "%ld: party %d: %s %s %s\n", k, r, ccz_rc_name(pair.p[r].rc),
                    pair.p[r].err.where, pair.p[r].err.msg);
        CHECK(explained(&pair.p[r]));
    }
    CHECK(failed || small_right(s, kmeans));
    kit_free(&pair);
    small_free(s);
    return failed;
}

/* Every allocation of the beginning, where these programs' own are, and then some of those of base OTs and keys, which take time. */
static void all(bool kmeans, long first, long step)
{
    struct small s;
    long k = 0;
    small_init(&s);
    while (one(&s, kmeans, k))
        k += k < first ? 1 : step;
    CHECK(k > 300);
    small_deinit(&s);
}

static void test_network(void)
{
    all(false, 50, 67);
}

static void test_kmeans(void)
{
    all(true, 20, 1009);
}

int main(int argc, char **argv)
{
    static const struct ccz_test tests[] = {{"nn_nomem.file", test_file},
                                            {"nn_nomem.network", test_network},
                                            {"nn_nomem.kmeans", test_kmeans}};
    (void)nomem_openssl; /* what OpenSSL allocates is far more, and the same for all its users */
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
