/* SPDX-License-Identifier: Apache-2.0 */
/* Defects that were seen in other servers of keys and attestation, where no other test of ours has them: docs/design/kms-defects.md. */
#define _GNU_SOURCE
#include "ccz_test.h"
#include "kms/kms_fixture.h"

static const char key_value[] = "0123456789abcdef"; /* of key/model */

/* Release of @p item to @p peer; a value leaves with CCZ_OK alone. */
static ccz_rc release_to(struct ccz_kms_store *s, const struct ccz_ratls_peer *peer,
                         const char *item, struct ccz_err *err)
{
    CCZ_AUTO_BUF body, out;
    ccz_buf_init(&body, 1024);
    ccz_buf_init(&out, CCZ_KMS_MESSAGE_SIZE_MAX);
    struct cczi_msg_release_req m = {fix_str(item), 0};
    cczi_msg_put(&body, cczi_msg_release_req, &m);
    *err = (struct ccz_err){0};
    ccz_rc rc = fix_call_as(&out, s, peer, "Release", ccz_buf_span(&body), err);
    CHECK((rc == CCZ_OK) == (out.size != 0));
    CHECK((rc == CCZ_OK) == (out.size && memmem(out.ptr, out.size, key_value, 16) != NULL));
    return rc;
}

static bool refused(ccz_rc rc, const struct ccz_err *err, ccz_rc want, const char *where)
{
    bool ok = rc == want && strcmp(err->where, where) == 0;
    if (!ok)
        fprintf(stderr, "%s at \"%s\", expected %s at \"%s\"\n", ccz_rc_name(rc), err->where,
                ccz_rc_name(want), where);
    return ok;
}

/* A measurement is compared whole: no prefix, no empty one, no bit of difference. */
static void test_prefix(void)
{
    struct ccz_kms_store *s = fix_memory_store();
    struct ccz_err err = {0};
    fix_populate(s);
    struct ccz_ratls_peer peer = fix_peer(FIX_WORKLOAD);
    for (size_t bit = 0; bit < 256; bit++) {
        peer.claims.mrenclave[bit / 8] ^= (uint8_t)(1u << bit % 8);
        CHECK(refused(release_to(s, &peer, "key/model", &err), &err, CCZ_E_POLICY,
                      "policy:mrenclave"));
        peer.claims.mrenclave[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    static const char *const items[] = {"key/m", "key/mode", "key/model2", "key/model/x"};
    for (size_t i = 0; i < sizeof(items) / sizeof(items[0]); i++)
        CHECK(
            refused(release_to(s, &peer, items[i], &err), &err, CCZ_E_NOT_FOUND, "kms:not-found"));
    char digits[80], json[256];
    for (size_t n = 0; n <= 66; n++) { /* no policy has another number of digits */
        memset(digits, 'a', sizeof(digits));
        digits[n] = 0;
        (void)snprintf(json, sizeof(json),
                       "{\"version\":1,\"rules\":[{\"name\":\"r\",\"tee\":\"sgx\",\"sim\":true,"
                       "\"mrenclave\":\"%s\",\"tcb_status\":[\"UpToDate\"]}]}",
                       digits);
        CHECK((fix_put_policy(s, "cut", json, true, &err) == CCZ_OK) == (n == 64));
    }
    CHECK(release_to(s, &peer, "key/model", &err) == CCZ_OK);
    ccz_kms_store_free(s);
}

/* Each status of a platform beside a policy that wants UpToDate: one passes. Also one that nobody knows. */
static void test_verdict(void)
{
    struct ccz_kms_store *s = fix_memory_store();
    struct ccz_err err = {0};
    int passed = 0;
    fix_populate(s);
    for (int st = CCZ_TCB_NONE; st <= CCZ_TCB_REVOKED; st++) {
        struct ccz_ratls_peer peer = fix_peer(FIX_WORKLOAD);
        peer.claims.tcb_status = (enum ccz_tcb_status)st;
        ccz_rc rc = release_to(s, &peer, "key/model", &err);
        CHECK(rc == CCZ_OK ? st == CCZ_TCB_UP_TO_DATE
                           : refused(rc, &err, CCZ_E_POLICY, "policy:tcb_status"));
        passed += rc == CCZ_OK;
    }
    CHECK(passed == 1);
    ccz_kms_store_free(s);
}

/* Evidence that was judged with collateral which has expired since is good for nothing, also in a session that is open. */
static void test_collateral_end(void)
{
    struct ccz_kms_store *s = fix_memory_store();
    struct ccz_err err = {0};
    fix_populate(s);
    struct ccz_ratls_peer peer = fix_peer(FIX_WORKLOAD);
    peer.claims.collateral_expires_s = FIX_NOW + 1;
    CHECK(release_to(s, &peer, "key/model", &err) == CCZ_OK);
    peer.claims.collateral_expires_s = FIX_NOW - 1;
    CHECK(refused(release_to(s, &peer, "key/model", &err), &err, CCZ_E_POLICY,
                  "policy:collateral-expired"));
    ccz_kms_store_free(s);
}

/* Whoever is not known is refused, on record, and the server goes on: unknown programs, items, methods, garbage. */
static void test_goes_on(void)
{
    struct ccz_kms_store *s = fix_memory_store();
    struct ccz_err err = {0};
    fix_populate(s);
    struct ccz_ratls_peer good = fix_peer(FIX_WORKLOAD), unknown = good, none = {0};
    memset(unknown.claims.mrenclave, 0x42, 32);
    uint64_t before = fix_check(s).audit_lines;
    for (int i = 0; i < 50; i++) {
        char item[32];
        (void)snprintf(item, sizeof(item), "secret/unknown-%d", i);
        CHECK(refused(release_to(s, &unknown, "key/model", &err), &err, CCZ_E_POLICY,
                      "policy:mrenclave"));
        CHECK(refused(release_to(s, &good, item, &err), &err, CCZ_E_NOT_FOUND, "kms:not-found"));
        CHECK(refused(release_to(s, &none, "key/model", &err), &err, CCZ_E_DENIED,
                      "kms:workload-required"));
        CHECK(refused(fix_call_as(NULL, s, &good, "Release", CCZ_SPAN("\xff\xff\xff\xff", 4), &err),
                      &err, CCZ_E_FORMAT, "kms:request"));
    }
    CHECK(fix_check(s).audit_lines == before + 200);
    CHECK(release_to(s, &good, "key/model", &err) == CCZ_OK);
    ccz_kms_store_free(s);
}

static const struct ccz_test tests[] = {
    {"kms.defect_prefix", test_prefix},
    {"kms.defect_verdict", test_verdict},
    {"kms.defect_collateral_end", test_collateral_end},
    {"kms.defect_goes_on", test_goes_on},
};

int main(int argc, char **argv)
{
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
