/* SPDX-License-Identifier: Apache-2.0 */
/* Ways in beside gRPC: what evidence that is bound to a key alone may have. */
#define _GNU_SOURCE
#include "ccz_test.h"
#include "kms_fixture.h"

static struct ccz_err err;

static void put(struct ccz_kms_store *s, const char *name, const char *metadata, bool new_version)
{
    struct cczi_msg_put_req m = {.name = fix_str(name),
                                 .value = fix_str("open sesame"),
                                 .policy = new_version ? (struct ccz_span){0} : fix_str("server"),
                                 .new_version = new_version,
                                 .metadata = fix_str(metadata)};
    CHECK(fix_msg(NULL, s, FIX_ADMIN, "PutSecret", cczi_msg_put_req, &m, &err) == CCZ_OK);
}

static ccz_rc call_by(struct ccz_buf *response, struct ccz_kms_store *s,
                      const struct ccz_ratls_peer *peer, uint32_t doors, const char *method,
                      struct ccz_span body)
{
    static const struct ccz_kms_info info = {
        .version = "test", .tee = "sim-sgx", .simulated = true, .started_s = FIX_NOW};
    char path[64];
    (void)snprintf(path, sizeof(path), "%s%s", CCZI_KMS_SERVICE, method);
    struct ccz_kms_request req = {.path = path,
                                  .body = body,
                                  .peer = peer,
                                  .address = "192.0.2.1:4711",
                                  .now_s = FIX_NOW,
                                  .info = &info,
                                  .doors = doors};
    ccz_buf_clear(response);
    return ccz_kms_handle(response, s, &req, &err);
}

static ccz_rc release_by(struct ccz_buf *response, struct ccz_kms_store *s, enum fix_who who,
                         uint32_t doors, const char *item, uint32_t version)
{
    struct ccz_buf body;
    struct cczi_msg_release_req m = {fix_str(item), version};
    ccz_buf_init(&body, 256);
    cczi_msg_put(&body, cczi_msg_release_req, &m);
    struct ccz_ratls_peer peer = fix_peer(who);
    ccz_rc rc = call_by(response, s, &peer, doors, "Release", ccz_buf_span(&body));
    ccz_buf_free(&body);
    return rc;
}

static void check_stale(ccz_rc rc)
{
    CHECK(rc == CCZ_E_DENIED && strcmp(err.where, "kms:evidence-stale") == 0);
}

/* Both must agree: the way in, and the owner of the item. */
static void test_key_bound(void)
{
    struct ccz_kms_store *s = fix_memory_store();
    fix_populate(s);
    put(s, "open", "{\"doors\":[\"other\",\"key-bound\"]}", false);
    put(s, "closed", NULL, false);
    CCZ_AUTO_BUF response;
    ccz_buf_init(&response, CCZ_KMS_MESSAGE_SIZE_MAX);
    CHECK(release_by(&response, s, FIX_STALE, CCZ_KMS_DOOR_KEY_BOUND, "secret/open", 0) == CCZ_OK);
    struct cczi_msg_release_resp m = {0};
    CHECK(cczi_msg_get(&m, cczi_msg_release_resp, ccz_buf_span(&response), &err) == CCZ_OK);
    CHECK(ccz_span_eq(m.value, ccz_span_str("open sesame")));

    check_stale(release_by(&response, s, FIX_STALE, 0, "secret/open", 0)); /* by gRPC */
    check_stale(
        release_by(&response, s, FIX_STALE, ~(uint32_t)CCZ_KMS_DOOR_KEY_BOUND, "secret/open", 0));
    check_stale(release_by(&response, s, FIX_STALE, CCZ_KMS_DOOR_KEY_BOUND, "secret/closed", 0));
    CHECK(err.hint[0] != 0);
    /* fresh evidence has all of it, by any way */
    CHECK(release_by(&response, s, FIX_WORKLOAD, 0, "secret/open", 0) == CCZ_OK);
    CHECK(release_by(&response, s, FIX_WORKLOAD, 0, "secret/closed", 0) == CCZ_OK);
    CHECK(release_by(&response, s, FIX_WORKLOAD, CCZ_KMS_DOOR_KEY_BOUND, "secret/closed", 0) ==
          CCZ_OK);
    /* and who has none, nothing */
    CHECK(release_by(&response, s, FIX_NOBODY, CCZ_KMS_DOOR_KEY_BOUND, "secret/open", 0) ==
              CCZ_E_DENIED &&
          strcmp(err.where, "kms:workload-required") == 0);
    CHECK(release_by(&response, s, FIX_ADMIN, CCZ_KMS_DOOR_KEY_BOUND, "secret/open", 0) ==
              CCZ_E_DENIED &&
          strcmp(err.where, "kms:workload-required") == 0);
    ccz_kms_store_free(s);
}

/* Each version says it for itself; what is not exactly the word is no word. */
static void test_key_bound_word(void)
{
    static const char *const none[] = {"{}",
                                       "{\"doors\":[]}",
                                       "{\"doors\":\"key-bound\"}",
                                       "{\"doors\":{\"key-bound\":true}}",
                                       "{\"doors\":[\"key-bound \"]}",
                                       "{\"doors\":[\"KEY-BOUND\"]}",
                                       "{\"doors\":[\"key\"]}",
                                       "{\"Doors\":[\"key-bound\"]}",
                                       "{\"x\":{\"doors\":[\"key-bound\"]}}",
                                       "{\"doors\":[[\"key-bound\"]]}",
                                       "{\"doors\":[1,null,true]}",
                                       "{\"doors\":[\"key-bound\\u0000\"]}"};
    struct ccz_kms_store *s = fix_memory_store();
    fix_populate(s);
    CCZ_AUTO_BUF response;
    ccz_buf_init(&response, CCZ_KMS_MESSAGE_SIZE_MAX);
    put(s, "word", "{\"doors\":[\"key-bound\"]}", false);
    for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++) {
        put(s, "word", none[i], true);
        check_stale(release_by(&response, s, FIX_STALE, CCZ_KMS_DOOR_KEY_BOUND, "secret/word", 0));
    }
    put(s, "word", NULL, true);
    check_stale(release_by(&response, s, FIX_STALE, CCZ_KMS_DOOR_KEY_BOUND, "secret/word", 0));
    CHECK(release_by(&response, s, FIX_STALE, CCZ_KMS_DOOR_KEY_BOUND, "secret/word", 1) == CCZ_OK);
    ccz_kms_store_free(s);
}

/* The policy comes first: who is not accepted does not learn for whom an item is open. And no other method has the exception. */
static void test_key_bound_order(void)
{
    struct ccz_kms_store *s = fix_memory_store();
    fix_populate(s);
    put(s, "closed", NULL, false);
    CCZ_AUTO_BUF response;
    CCZ_AUTO_BUF body;
    ccz_buf_init(&response, CCZ_KMS_MESSAGE_SIZE_MAX);
    ccz_buf_init(&body, 256);
    struct cczi_msg_release_req m = {fix_str("secret/closed"), 0};
    cczi_msg_put(&body, cczi_msg_release_req, &m);
    struct ccz_ratls_peer peer = fix_peer(FIX_STALE);
    peer.claims.mrenclave[31] ^= 1;
    CHECK(call_by(&response, s, &peer, CCZ_KMS_DOOR_KEY_BOUND, "Release", ccz_buf_span(&body)) ==
              CCZ_E_POLICY &&
          strncmp(err.where, "policy:", 7) == 0);
    peer = fix_peer(FIX_STALE);
    for (size_t i = 0; i < cczi_kms_methods_len; i++) {
        const struct cczi_kms_method *method = &cczi_kms_methods[i];
        if (!strcmp(method->name, "Release") ||
            (!method->workload && !method->roles)) /* what everybody may know */
            continue;
        ccz_rc rc =
            call_by(&response, s, &peer, CCZ_KMS_DOOR_KEY_BOUND, method->name, ccz_buf_span(&body));
        CHECK(rc == CCZ_E_DENIED && strncmp(err.where, "kms:", 4) == 0);
    }
    ccz_kms_store_free(s);
}

/* An auditor sees what a value was given for. */
static void test_key_bound_audit(void)
{
    struct ccz_kms_store *s = fix_memory_store();
    fix_populate(s);
    put(s, "open", "{\"doors\":[\"key-bound\"]}", false);
    CCZ_AUTO_BUF response;
    ccz_buf_init(&response, CCZ_KMS_MESSAGE_SIZE_MAX);
    CHECK(release_by(&response, s, FIX_STALE, CCZ_KMS_DOOR_KEY_BOUND, "secret/open", 0) == CCZ_OK);
    uint64_t seq = s->head.seq;
    CHECK(release_by(&response, s, FIX_WORKLOAD, 0, "secret/open", 0) == CCZ_OK);
    for (uint64_t i = 0; i < 2; i++) {
        struct cczi_msg_audit_req m = {seq - 1 + i, 1};
        CHECK(fix_msg(&response, s, FIX_ADMIN, "AuditTail", cczi_msg_audit_req, &m, &err) ==
              CCZ_OK);
        const char *word = "\"evidence\":\"key-bound\"";
        CHECK((memmem(response.ptr, response.size, word, strlen(word)) != NULL) == (i == 0));
    }
    ccz_kms_store_free(s);
}

/* A put by any pinned key; @p metadata NULL = none */
static ccz_rc put_by(struct ccz_kms_store *s, const uint8_t spki[32], bool key, const char *name,
                     const char *metadata, bool new_version)
{
    struct ccz_ratls_peer peer = {.pinned = true};
    struct cczi_msg_put_req m = {.name = fix_str(name),
                                 .alg = key ? fix_str("aes-256") : (struct ccz_span){0},
                                 .value = key ? (struct ccz_span){0} : fix_str("open sesame"),
                                 .new_version = new_version,
                                 .metadata = fix_str(metadata)};
    CCZ_AUTO_BUF body;
    memcpy(peer.spki_sha256, spki, 32);
    ccz_buf_init(&body, 4096);
    cczi_msg_put(&body, cczi_msg_put_req, &m);
    err = (struct ccz_err){0};
    return fix_call_as(NULL, s, &peer, key ? "CreateKey" : "PutSecret", ccz_buf_span(&body), &err);
}

static void give(uint8_t id[32], struct ccz_kms_store *s, int fill, uint32_t roles)
{
    struct ccz_kms_grant g = {.ns = "*", .roles = roles, .label = "somebody"};
    memset(id, fill, 32);
    memcpy(g.principal, id, 32);
    CHECK(ccz_kms_store_grant(s, &g, FIX_NOW, &err) == CCZ_OK);
}

/* Which evidence is good enough for a value is an author's to say, of each version, and of several people where approvals are needed. */
static void test_doors_guarded(void)
{
    static const char open[] = "{\"doors\":[\"key-bound\"]}", other[] = "{\"doors\":[\"x\"]}";
    struct ccz_kms_store *s = fix_memory_store();
    uint8_t admin[32], operator[32], approver[32];
    fix_spki(admin, FIX_ADMIN);
    give(operator, s, 0x71, CCZ_KMS_ROLE_OPERATOR);
    for (int key = 0; key < 2; key++) {
        const char *name = key ? "k" : "s";
        CHECK(put_by(s, operator, key, name, open, false) == CCZ_E_DENIED &&
              strcmp(err.where, "kms:role") == 0);
        CHECK(put_by(s, operator, key, name, other, false) == CCZ_OK);
        CHECK(put_by(s, operator, key, name, open, true) == CCZ_E_DENIED &&
              strcmp(err.where, "kms:role") == 0 && strcmp(err.expected, "author") == 0);
        CHECK(put_by(s, admin, key, name, open, true) == CCZ_OK);
        CHECK(put_by(s, operator, key, name, NULL, true) == CCZ_OK); /* closes it again */
    }
    give(approver, s, 0x72, CCZ_KMS_ROLE_APPROVER);
    give(approver, s, 0x73, CCZ_KMS_ROLE_APPROVER);
    struct cczi_msg_quorum q = {.ns = fix_str("*"), .needed = 2};
    CHECK(fix_msg(NULL, s, FIX_ADMIN, "SetQuorum", cczi_msg_quorum, &q, &err) == CCZ_OK);
    for (int key = 0; key < 2; key++) {
        const char *name = key ? "k" : "s";
        CHECK(put_by(s, admin, key, name, open, true) == CCZ_E_DENIED &&
              strcmp(err.where, "kms:approval-needed") == 0);
        CHECK(put_by(s, admin, key, key ? "k2" : "s2", open, false) == CCZ_E_DENIED &&
              strcmp(err.where, "kms:approval-needed") == 0);
        CHECK(put_by(s, operator, key, name, open, true) == CCZ_E_DENIED &&
              strcmp(err.where, "kms:role") == 0);
        CHECK(put_by(s, operator, key, name, other, true) == CCZ_OK);
    }
    ccz_kms_store_free(s);
}

static ccz_rc set_doors(struct ccz_kms_store *s, const uint8_t id[32], uint32_t version, bool open)
{
    const struct cczi_msg_set_doors_req m = {fix_str("secret/s"), version, open};
    struct ccz_ratls_peer peer = {.pinned = true};
    struct ccz_buf body;
    memcpy(peer.spki_sha256, id, 32);
    ccz_buf_init(&body, 256);
    cczi_msg_put(&body, cczi_msg_set_doors_req, &m);
    err = (struct ccz_err){0};
    ccz_rc rc = fix_call_as(NULL, s, &peer, "SetDoors", ccz_buf_span(&body), &err);
    ccz_buf_free(&body);
    return rc;
}

static bool refused(ccz_rc rc, ccz_rc want, const char *where)
{
    if (rc != want || strcmp(err.where, where) != 0)
        fprintf(stderr, "%s: %s, expected %s\n", err.where, err.msg, where);
    return rc == want && strcmp(err.where, where) == 0;
}

/* Metadata of a version, as a text. */
static bool metadata_is(struct ccz_kms_store *s, uint32_t version, const char *want)
{
    const struct cczi_kms_ref ref = {.kind = CCZI_KMS_SECRET, .name = "s"};
    struct cczi_kms_item it;
    cczi_kms_item_init(&it);
    CHECK(cczi_kms_begin(s, NULL) == CCZ_OK);
    CHECK(cczi_kms_item_get(&it, s, &ref, version, NULL) == CCZ_OK);
    cczi_kms_rollback(s);
    bool same = ccz_span_eq(ccz_buf_span(&it.metadata), ccz_span_str(want));
    if (!same)
        fprintf(stderr, "%.*s, expected %s\n", (int)it.metadata.size, (const char *)it.metadata.ptr,
                want);
    cczi_kms_item_deinit(&it);
    return same;
}

/* A version is opened and closed without its value, so that it can be put before approvers. */
static void test_doors_set(void)
{
    struct ccz_kms_store *s = fix_memory_store();
    struct ccz_buf out;
    uint8_t admin[32], operator[32], author[32], auditor[32];
    ccz_buf_init(&out, CCZ_KMS_MESSAGE_SIZE_MAX);
    fix_populate(s);
    fix_spki(admin, FIX_ADMIN);
    give(operator, s, 0x71, CCZ_KMS_ROLE_OPERATOR);
    give(author, s, 0x72, CCZ_KMS_ROLE_AUTHOR);
    give(auditor, s, 0x73, CCZ_KMS_ROLE_AUDITOR | CCZ_KMS_ROLE_APPROVER | CCZ_KMS_ROLE_CLIENT);
    put(s, "s", "{\"a\":[1, 2],\"doors\":[\"x\"],\"b\":{}}", false);
    put(s, "s", NULL, true);
    CHECK(refused(set_doors(s, operator, 1, true), CCZ_E_DENIED, "kms:role"));
    CHECK(refused(set_doors(s, auditor, 1, true), CCZ_E_DENIED, "kms:role"));
    CHECK(refused(set_doors(s, author, 0, true), CCZ_E_FORMAT, "kms:version-required"));
    CHECK(refused(set_doors(s, author, 3, true), CCZ_E_NOT_FOUND, "kms:not-found"));
    CHECK(refused(set_doors(s, author, 1, false), CCZ_E_MISMATCH, "kms:no-change"));
    check_stale(release_by(&out, s, FIX_STALE, CCZ_KMS_DOOR_KEY_BOUND, "secret/s", 1));
    CHECK(set_doors(s, author, 1, true) == CCZ_OK && set_doors(s, author, 2, true) == CCZ_OK);
    CHECK(refused(set_doors(s, author, 1, true), CCZ_E_MISMATCH, "kms:no-change"));
    CHECK(metadata_is(s, 1, "{\"a\":[1, 2],\"b\":{},\"doors\":[\"x\",\"key-bound\"]}") &&
          metadata_is(s, 2, "{\"doors\":[\"key-bound\"]}"));
    for (uint32_t v = 1; v <= 2; v++)
        CHECK(release_by(&out, s, FIX_STALE, CCZ_KMS_DOOR_KEY_BOUND, "secret/s", v) == CCZ_OK);
    /* to close it is less than to open it */
    CHECK(refused(set_doors(s, auditor, 1, false), CCZ_E_DENIED, "kms:role"));
    CHECK(set_doors(s, operator, 1, false) == CCZ_OK && set_doors(s, operator, 2, false) == CCZ_OK);
    CHECK(metadata_is(s, 1, "{\"a\":[1, 2],\"b\":{},\"doors\":[\"x\"]}") && metadata_is(s, 2, ""));
    check_stale(release_by(&out, s, FIX_STALE, CCZ_KMS_DOOR_KEY_BOUND, "secret/s", 2));
    CHECK(release_by(&out, s, FIX_WORKLOAD, 0, "secret/s", 2) ==
          CCZ_OK); /* the value is the same */
    CHECK(memmem(out.ptr, out.size, "open sesame", 11) != NULL);
    CHECK(ccz_kms_store_check(NULL, s, &err) == CCZ_OK);
    ccz_buf_free(&out);
    ccz_kms_store_free(s);
}

/* Where approvals are needed it is proposed, approved by others, and then open. */
static void test_doors_proposed(void)
{
    struct ccz_kms_store *s = fix_memory_store();
    struct ccz_buf out, inner, b;
    uint8_t admin[32], operator[32], sha256[32], id[2][32];
    ccz_buf_init(&out, CCZ_KMS_MESSAGE_SIZE_MAX);
    ccz_buf_init(&inner, 256);
    ccz_buf_init(&b, 1024);
    CHECK(fix_put_policy(s, "server", fix_policy, false, &err) == CCZ_OK);
    put(s, "s", NULL, false);
    fix_spki(admin, FIX_ADMIN);
    give(operator, s, 0x71, CCZ_KMS_ROLE_OPERATOR);
    give(id[0], s, 0x72, CCZ_KMS_ROLE_APPROVER);
    give(id[1], s, 0x73, CCZ_KMS_ROLE_APPROVER);
    struct cczi_msg_quorum q = {.ns = fix_str("*"), .needed = 2};
    CHECK(fix_msg(NULL, s, FIX_ADMIN, "SetQuorum", cczi_msg_quorum, &q, &err) == CCZ_OK);
    CHECK(refused(set_doors(s, admin, 1, true), CCZ_E_DENIED, "kms:approval-needed"));
    const struct cczi_msg_set_doors_req m = {fix_str("secret/s"), 1, 1};
    cczi_msg_put(&inner, cczi_msg_set_doors_req, &m);
    CHECK(!memmem(inner.ptr, inner.size, "open sesame", 11)); /* approvers read no value */
    const struct cczi_msg_propose_req propose = {fix_str("SetDoors"), ccz_buf_span(&inner), 0};
    CHECK(fix_msg(NULL, s, FIX_ADMIN, "Propose", cczi_msg_propose_req, &propose, &err) == CCZ_OK);
    CHECK(cczi_kms_proposal_digest(sha256, "SetDoors", ccz_buf_span(&inner), NULL) == CCZ_OK);
    const struct cczi_msg_approve_req approve = {1, CCZ_SPAN(sha256, 32)};
    cczi_msg_put(&b, cczi_msg_approve_req, &approve);
    for (int i = 0; i < 2; i++) {
        struct ccz_ratls_peer peer = {.pinned = true};
        memcpy(peer.spki_sha256, id[i], 32);
        check_stale(release_by(&out, s, FIX_STALE, CCZ_KMS_DOOR_KEY_BOUND, "secret/s", 1));
        CHECK(fix_call_as(NULL, s, &peer, "Approve", ccz_buf_span(&b), &err) == CCZ_OK);
    }
    CHECK(release_by(&out, s, FIX_STALE, CCZ_KMS_DOOR_KEY_BOUND, "secret/s", 1) == CCZ_OK);
    CHECK(set_doors(s, operator, 1, false) == CCZ_OK); /* to close it nobody has to agree */
    ccz_buf_free(&out);
    ccz_buf_free(&inner);
    ccz_buf_free(&b);
    ccz_kms_store_free(s);
}

int main(int argc, char **argv)
{
    static const struct ccz_test tests[] = {
        {"kms.key_bound", test_key_bound},
        {"kms.key_bound_word", test_key_bound_word},
        {"kms.key_bound_order", test_key_bound_order},
        {"kms.key_bound_audit", test_key_bound_audit},
        {"kms.doors_guarded", test_doors_guarded},
        {"kms.doors_set", test_doors_set},
        {"kms.doors_proposed", test_doors_proposed},
    };
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
