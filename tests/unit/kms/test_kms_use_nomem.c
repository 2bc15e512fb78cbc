/* SPDX-License-Identifier: Apache-2.0 */
/* Every allocation of making and using keys fails in turn, OpenSSL's too: a reason or a whole result, no leak (under ASan), and a store that
 * checks. */
#define _GNU_SOURCE
#include "nomem.h"

#include "ccz_test.h"
#include "kms/use_fixture.h"

static struct ccz_kms_store *g_s;

static struct ccz_kms_check g_check; /* after the last call */

/* @param[out] done  fewer allocations than k */
static ccz_rc use_with(bool *done, struct use_got *g, long k, enum fix_who who, const char *method,
                       const struct cczi_msg_field *fields, const void *msg)
{
    use_err = (struct ccz_err){0};
    nomem_left = k;
    ccz_rc rc = fix_msg(&g->response, g_s, who, method, fields, msg, &use_err);
    *done = nomem_left >= 0;
    nomem_left = -1;
    CHECK(rc == CCZ_OK || (!*done && use_err.where[0] && g->response.size == 0));
    g_check = fix_check(g_s);
    return rc;
}

/* A use until nothing fails any more. */
static void exhaust(const char *method, const struct cczi_msg_field *fields,
                    const struct cczi_msg_use_req *m)
{
    bool done = false;
    for (long k = 0; !done; k++) {
        struct use_got g;
        use_got_init(&g);
        ccz_rc rc = use_with(&done, &g, k, FIX_WORKLOAD, method, fields, m);
        if (rc == CCZ_OK) /* what came is whole */
            CHECK(cczi_msg_get(&g.r, cczi_msg_use_resp, ccz_buf_span(&g.response), NULL) ==
                      CCZ_OK &&
                  g.r.version == 1 && (g.r.value.size || g.r.sealed.size));
        use_got_deinit(&g);
    }
}

static void test_use(void)
{
    char sealed[512];
    CHECK(nomem_openssl());
    g_s = fix_memory_store();
    fix_populate(g_s);
    CHECK(use_is(use_make(g_s, "k", "aes-256-gcm", NULL, "server"), CCZ_OK, ""));
    CHECK(use_is(use_make(g_s, "ec", "ecdsa-p256", NULL, "server"), CCZ_OK, ""));
    CHECK(use_is(use_encrypt(sealed, sizeof(sealed), g_s, "k", "text"), CCZ_OK, ""));
    struct cczi_msg_use_req m = {.key = ccz_span_str("k"),
                                 .text = ccz_span_str("0123456789abcdef"),
                                 .sealed = ccz_span_str(sealed)};
    exhaust("Encrypt", cczi_msg_encrypt_req, &m);
    exhaust("Decrypt", cczi_msg_decrypt_req, &m);
    exhaust("DataKey", cczi_msg_data_key_req, &m);
    exhaust("Rewrap", cczi_msg_rewrap_req, &m);
    exhaust("Wrap", cczi_msg_wrap_req, &m);
    m.key = ccz_span_str("ec");
    exhaust("Sign", cczi_msg_sign_req, &m);
    exhaust("PublicKey", cczi_msg_public_key_req, &m);
    CHECK(nomem_used > 100);
    ccz_kms_store_free(g_s);
}

/* A store is checked after each call, as large as it is: so it must not grow with them. */
static void renew(void)
{
    ccz_kms_store_free(g_s);
    g_s = fix_memory_store();
    fix_populate(g_s);
    g_check = fix_check(g_s);
}

static void test_make(void)
{
    enum { CALLS_OF_A_STORE = 32 };
    static const char *const kinds[] = {"aes-256-gcm", "ecdsa-p256"};
    CHECK(nomem_openssl());
    for (size_t i = 0; i < 2; i++) {
        bool done = false;
        char name[48];
        for (long k = 0; !done; k++) {
            struct use_got g;
            if (k % CALLS_OF_A_STORE == 0)
                renew();
            uint64_t keys = g_check.keys;
            (void)snprintf(name, sizeof(name), "k%zu-%ld", i, k);
            const struct cczi_msg_key_req m = {
                .name = fix_str(name), .kind = fix_str(kinds[i]), .policy = fix_str("server")};
            use_got_init(&g);
            ccz_rc rc = use_with(&done, &g, k, FIX_ADMIN, "Generate", cczi_msg_generate_req, &m);
            /* a whole key or none; one whose answer has no receipt is withheld, and on record */
            bool withheld = rc == CCZ_E_NOMEM ||
                            strcmp(use_err.where, "kms:checkpoint-sign") == 0 ||
                            strcmp(use_err.where, "kms:response") == 0; /* no room for the copy */
            CHECK(g_check.keys == keys + (rc == CCZ_OK) || withheld);
            use_got_deinit(&g);
        }
    }
    CHECK(nomem_used > 100);
    ccz_kms_store_free(g_s);
    g_s = NULL;
}

static const struct ccz_test tests[] = {{"kms.use_nomem", test_use},
                                        {"kms.use_nomem_make", test_make}};

int main(int argc, char **argv)
{
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
