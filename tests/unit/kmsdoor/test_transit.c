/* SPDX-License-Identifier: Apache-2.0 */
/* Vault's transit API: its messages by themselves, then requests as OpenBao's seal sends them, byte by byte. */
#define _GNU_SOURCE
#include "kmsdoor/door_kit.h"
#include "kmsdoor/transit.h"

#include <cczoo/jose.h>
#include <cczoo/kms_door_transit.h>

static struct ccz_err err;

/* ------------------------------------------------------------------------------- messages */

static void check_get(enum cczi_transit_op op, const char *json, const void *want, size_t size)
{
    CCZ_AUTO_BUF out;
    ccz_buf_init(&out, 4096);
    ccz_rc rc = cczi_transit_get(&out, op, "k", ccz_span_str(json), &err);
    if (rc != CCZ_OK)
        fprintf(stderr, "%s -> %s: %s\n", json, err.where, err.msg);
    CHECK(rc == CCZ_OK && ccz_span_eq(ccz_buf_span(&out), CCZ_SPAN(want, size)));
}
#define CHECK_GET(op, json, want) check_get(op, json, want, sizeof(want) - 1)

static void test_requests(void)
{
    CHECK_GET(CCZI_TRANSIT_ENCRYPT, "{\"plaintext\":\"YQ==\"}",
              "\x0a\x01k\x22\x01"
              "a");
    CHECK_GET(CCZI_TRANSIT_ENCRYPT, "{\"plaintext\":\"\"}", "\x0a\x01k\x22\x00");
    /* as PHP and Gson write "//8=" */
    CHECK_GET(CCZI_TRANSIT_ENCRYPT, "{\"plaintext\":\"\\/\\/8\\u003d\"}",
              "\x0a\x01k\x22\x02\xff\xff");
    CHECK_GET(CCZI_TRANSIT_DECRYPT, "{\"ciphertext\":\"vault:v1:+\\/8\\u003D\"}",
              "\x0a\x01k\x2a\x0a"
              "ccz1:1:-_8");
    CHECK_GET(CCZI_TRANSIT_CREATE, "{\"type\":\"ed2551\\u0039\",\"policy\":\"a\\/p\"}",
              "\x0a\x01k\x12\x07"
              "ed25519\x22\x03"
              "a/p");
    CHECK_GET(
        CCZI_TRANSIT_ENCRYPT,
        "{\"key_version\":2,\"associated_data\":\"Yg==\",\"plaintext\":\"YQ==\",\"context\":\"\","
        "\"nonce\":null,\"batch_input\":[],\"type\":\"aes256-gcm96\"}",
        "\x0a\x01k\x10\x02\x1a\x01"
        "b\x22\x01"
        "a");
    CHECK_GET(CCZI_TRANSIT_ENCRYPT, "{\"plaintext\":\"YQ==\",\"key_version\":\"300\"}",
              "\x0a\x01k\x22\x01"
              "a\x10\xac\x02");
    /* 0xfb 0xff: '+' and '/' there, '-' and '_' here */
    CHECK_GET(CCZI_TRANSIT_DECRYPT, "{\"ciphertext\":\"vault:v1:+/8=\"}",
              "\x0a\x01k\x2a\x0a"
              "ccz1:1:-_8");
    CHECK_GET(CCZI_TRANSIT_REWRAP, "{\"ciphertext\":\"vault:v12:AAAA\",\"key_version\":0}",
              "\x0a\x01k\x2a\x0c"
              "ccz1:12:AAAA");
    CHECK_GET(CCZI_TRANSIT_CREATE, "",
              "\x0a\x01k\x12\x0b"
              "aes-256-gcm");
    CHECK_GET(CCZI_TRANSIT_CREATE,
              "{\"type\":\"ed25519\",\"exportable\":\"true\",\"derived\":false}",
              "\x0a\x01k\x12\x07"
              "ed25519\x28\x01");
    CHECK_GET(
        CCZI_TRANSIT_CREATE,
        "{\"type\":\"aes128-gcm96\",\"unattested_insecure\":true,\"auto_rotate_period\":\"2h\","
        "\"policy\":\"p\"}",
        "\x0a\x01k\x12\x0b"
        "aes-128-gcm\x30\x01\x40\xa0\x38\x22\x01p");
    CHECK_GET(CCZI_TRANSIT_CREATE, "{\"auto_rotate_period\":7200,\"exportable\":false}",
              "\x0a\x01k\x40\xa0\x38\x12\x0b"
              "aes-256-gcm");
    CHECK_GET(CCZI_TRANSIT_ROTATE, "{}", "\x0a\x01k");
    CHECK_GET(CCZI_TRANSIT_READ, "", "\x0a\x01k");
}

/* Nothing is answered as if what was asked for had not been asked for. */
static void test_requests_refused(void)
{
    static const struct {
        enum cczi_transit_op op;
        const char *json, *where;
    } bad[] = {
        {CCZI_TRANSIT_ENCRYPT, "", "transit:missing"},
        {CCZI_TRANSIT_ENCRYPT, "{}", "transit:missing"},
        {CCZI_TRANSIT_ENCRYPT, "{\"plaintext\":null}", "transit:missing"},
        {CCZI_TRANSIT_ENCRYPT, "[]", "transit:json"},
        {CCZI_TRANSIT_ENCRYPT, "{\"plaintext\":\"YQ==\"", "transit:json"},
        {CCZI_TRANSIT_ENCRYPT, "{\"plaintext\":\"YQ==\",\"plaintext\":\"Yg==\"}", "transit:json"},
        {CCZI_TRANSIT_ENCRYPT, "{\"plaintext\":\"YQ=\"}", "transit:base64"},
        {CCZI_TRANSIT_ENCRYPT, "{\"plaintext\":\"YR==\"}", "transit:base64"},
        {CCZI_TRANSIT_ENCRYPT, "{\"plaintext\":\"-_8=\"}", "transit:base64"},
        {CCZI_TRANSIT_ENCRYPT, "{\"plaintext\":5}", "transit:type"},
        {CCZI_TRANSIT_ENCRYPT, "{\"plaintext\":\"YQ==\",\"plain\":1}", "transit:member"},
        {CCZI_TRANSIT_ENCRYPT, "{\"plaintext\":\"YQ==\",\"ciphertext\":\"x\"}", "transit:member"},
        {CCZI_TRANSIT_ENCRYPT, "{\"plaintext\":\"YQ==\",\"context\":\"YQ==\"}",
         "transit:unsupported"},
        {CCZI_TRANSIT_ENCRYPT, "{\"plaintext\":\"YQ==\",\"nonce\":\"YQ==\"}",
         "transit:unsupported"},
        {CCZI_TRANSIT_ENCRYPT, "{\"plaintext\":\"YQ==\",\"convergent_encryption\":true}",
         "transit:unsupported"},
        {CCZI_TRANSIT_ENCRYPT, "{\"batch_input\":[{\"plaintext\":\"YQ==\"}]}",
         "transit:unsupported"},
        {CCZI_TRANSIT_ENCRYPT, "{\"plaintext\":\"YQ==\",\"key_version\":-1}", "transit:type"},
        {CCZI_TRANSIT_ENCRYPT, "{\"plaintext\":\"YQ==\",\"key_version\":\"1x\"}", "transit:type"},
        {CCZI_TRANSIT_ENCRYPT, "{\"plaintext\":\"YQ==\",\"key_version\":\"01\"}", "transit:type"},
        {CCZI_TRANSIT_ENCRYPT, "{\"plaintext\":\"YQ==\",\"key_version\":4294967296}",
         "transit:type"},
        {CCZI_TRANSIT_ENCRYPT, "{\"plaintext\":\"YQ==\",\"key_version\":\"99999999999999999999\"}",
         "transit:type"},
        {CCZI_TRANSIT_DECRYPT, "{\"ciphertext\":\"\"}", "transit:ciphertext"},
        {CCZI_TRANSIT_DECRYPT, "{\"ciphertext\":\"vault:v\"}", "transit:ciphertext"},
        {CCZI_TRANSIT_DECRYPT, "{\"ciphertext\":\"vault:v1\"}", "transit:ciphertext"},
        {CCZI_TRANSIT_DECRYPT, "{\"ciphertext\":\"vault:v1:\"}", "transit:ciphertext"},
        {CCZI_TRANSIT_DECRYPT, "{\"ciphertext\":\"vault:v0:AAAA\"}", "transit:ciphertext"},
        {CCZI_TRANSIT_DECRYPT, "{\"ciphertext\":\"vault:v01:AAAA\"}", "transit:ciphertext"},
        {CCZI_TRANSIT_DECRYPT, "{\"ciphertext\":\"vault:v1001:AAAA\"}", "transit:ciphertext"},
        {CCZI_TRANSIT_DECRYPT, "{\"ciphertext\":\"vault:v1:AAA\"}", "transit:ciphertext"},
        {CCZI_TRANSIT_DECRYPT, "{\"ciphertext\":\"Vault:v1:AAAA\"}", "transit:ciphertext"},
        {CCZI_TRANSIT_DECRYPT, "{\"ciphertext\":\"ccz1:1:AAAA\"}", "transit:ciphertext"},
        {CCZI_TRANSIT_DECRYPT, "{\"ciphertext\":\"vault:v1:AAAA\",\"key_version\":1}",
         "transit:member"},
        {CCZI_TRANSIT_CREATE, "{\"type\":\"aes-256-gcm\"}", "transit:kind"},
        {CCZI_TRANSIT_CREATE, "{\"type\":\"ecdsa-p521\"}", "transit:kind"},
        {CCZI_TRANSIT_CREATE, "{\"derived\":true}", "transit:unsupported"},
        {CCZI_TRANSIT_CREATE, "{\"allow_plaintext_backup\":\"true\"}", "transit:unsupported"},
        {CCZI_TRANSIT_CREATE, "{\"exportable\":1}", "transit:type"},
        {CCZI_TRANSIT_CREATE, "{\"unattested_insecure\":\"yes\"}", "transit:type"},
        {CCZI_TRANSIT_CREATE, "{\"auto_rotate_period\":\"1w\"}", "transit:duration"},
        {CCZI_TRANSIT_CREATE, "{\"auto_rotate_period\":\"1h30m\"}", "transit:duration"},
        {CCZI_TRANSIT_CREATE, "{\"auto_rotate_period\":-5}", "transit:duration"},
        {CCZI_TRANSIT_ROTATE, "{\"min_version\":1}", "transit:member"},
    };
    CCZ_AUTO_BUF out;
    ccz_buf_init(&out, 4096);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        ccz_rc rc = cczi_transit_get(&out, bad[i].op, "k", ccz_span_str(bad[i].json), &err);
        if (rc == CCZ_OK || strcmp(err.where, bad[i].where) != 0)
            fprintf(stderr, "%s -> %d %s: %s\n", bad[i].json, rc, err.where, err.msg);
        CHECK(rc != CCZ_OK && strcmp(err.where, bad[i].where) == 0 && out.size == 0 && !out.bad);
    }
    CCZ_AUTO_BUF small;
    ccz_buf_init(&small, 8);
    CHECK(cczi_transit_get(&small, CCZI_TRANSIT_ENCRYPT, "k",
                           ccz_span_str("{\"plaintext\":\"YWFhYWFhYWFhYWFh\"}"),
                           &err) == CCZ_E_LIMIT &&
          strcmp(err.where, "transit:size") == 0 && small.size == 0 && !small.bad);
}

static void test_names(void)
{
    static const struct {
        const char *ns, *segment, *want;
    } good[] = {{NULL, "seal", "seal"},         {"", "seal", "seal"},
                {"/", "seal", "seal"},          {"team", "seal", "team/seal"},
                {"team/", "seal", "team/seal"}, {"/a/b/", "s%65al", "a/b/seal"}};
    static const struct {
        const char *ns, *segment, *where;
    } bad[] = {{NULL, "", "transit:key"},           {NULL, "a/b", "transit:key"},
               {NULL, "a%2fb", "transit:key"},      {NULL, "a%20b", "transit:key"},
               {NULL, "a%", "transit:key"},         {NULL, "a%00", "transit:key"},
               {"te am", "a", "transit:namespace"}, {"t\xc3\xa9", "a", "transit:namespace"}};
    char name[CCZ_KMS_NAME_SIZE], longest[200];
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
        CHECK(cczi_transit_key(name, good[i].ns, good[i].segment, &err) == CCZ_OK &&
              strcmp(name, good[i].want) == 0);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        CHECK(cczi_transit_key(name, bad[i].ns, bad[i].segment, &err) == CCZ_E_FORMAT &&
              strcmp(err.where, bad[i].where) == 0);
    memset(longest, 'a', sizeof(longest));
    longest[128] = 0;
    CHECK(cczi_transit_key(name, NULL, longest, &err) == CCZ_OK && strlen(name) == 128);
    CHECK(cczi_transit_key(name, "n", longest, &err) == CCZ_E_FORMAT);
    longest[128] = 'a';
    longest[129] = 0;
    CHECK(cczi_transit_key(name, NULL, longest, &err) == CCZ_E_FORMAT);
}

static void test_answers(void)
{
    CCZ_AUTO_BUF out;
    ccz_buf_init(&out, 4096);
    CHECK(cczi_transit_put_use(&out, CCZI_TRANSIT_ENCRYPT,
                               ccz_span_str("\x12\x0a"
                                            "ccz1:1:-_8\x18\x01"),
                               &err) == CCZ_OK);
    CHECK(strcmp(ccz_buf_str(&out), "{\"ciphertext\":\"vault:v1:+/8=\",\"key_version\":1}") == 0);
    ccz_buf_clear(&out);
    CHECK(cczi_transit_put_use(&out, CCZI_TRANSIT_DECRYPT,
                               ccz_span_str("\x0a\x01"
                                            "a"),
                               &err) == CCZ_OK);
    CHECK(strcmp(ccz_buf_str(&out), "{\"plaintext\":\"YQ==\"}") == 0);
    ccz_buf_clear(&out);
    CHECK(cczi_transit_put_use(&out, CCZI_TRANSIT_DECRYPT, (struct ccz_span){0}, &err) == CCZ_OK);
    CHECK(strcmp(ccz_buf_str(&out), "{\"plaintext\":\"\"}") == 0);
    static const char *const bad[] = {"", "\x12\x03xyz",
                                      "\x12\x0a"
                                      "ccz1:1:-_8=",
                                      "\x12\x0a"
                                      "ccz"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        CHECK(cczi_transit_put_use(&out, CCZI_TRANSIT_REWRAP, ccz_span_str(bad[i]), &err) ==
              CCZ_E_INTERNAL);
        CHECK(strcmp(err.where, "transit:response") == 0);
    }
    ccz_buf_clear(&out);
    CHECK(cczi_transit_put_envelope(&out, ccz_span_str("{\"a\":1}"), &err) == CCZ_OK);
    CCZ_AUTO(ccz_json) j = NULL;
    CHECK(ccz_json_parse(&j, ccz_buf_span(&out), &err) == CCZ_OK);
    const char *id = ccz_json_str(ccz_json_get(j, "request_id"));
    CHECK(id && strlen(id) == 36 && id[14] == '4' && strchr("89ab", id[19]));
    int64_t one;
    CHECK(ccz_json_int(&one, ccz_json_get(ccz_json_get(j, "data"), "a")) && one == 1);

    /* versions rise; a list where one is there twice would be no JSON object */
    static const char info[] = "\x12\x0b"
                               "aes-256-gcm\x20\x02";
    static const char list[] =
        "\x0a\x04\x18\x01\x20\x05\x0a\x04\x18\x02\x20\x06\x0a\x04\x18\x02\x20\x06";
    struct cczi_transit_key_info k = {
        .name = "k", .info = CCZ_SPAN(info, sizeof(info) - 1), .versions = CCZ_SPAN(list, 12)};
    ccz_buf_clear(&out);
    CHECK(cczi_transit_put_key(&out, &k, &err) == CCZ_OK &&
          strstr(ccz_buf_str(&out), "\"keys\":{\"1\":5,\"2\":6}"));
    k.versions.size = 18;
    CHECK(cczi_transit_put_key(&out, &k, &err) == CCZ_E_INTERNAL &&
          strcmp(err.where, "transit:response") == 0);

    struct ccz_err why = {0};
    (void)ccz_fail(&why, CCZ_E_NOT_FOUND, "kms:not-found", 0, "there is no \"x\"");
    (void)ccz_hint(&why, CCZ_E_NOT_FOUND, "make it");
    ccz_buf_clear(&out);
    CHECK(cczi_transit_put_err(&out, 404, &why) == 400);
    CHECK(strcmp(ccz_buf_str(&out), "{\"errors\":[\"kms:not-found: there is no \\\"x\\\"\","
                                    "\"hint: make it\"]}\n") == 0);
    CHECK(cczi_transit_put_err_keys(&out, 404, &why) == 404);
    CHECK(cczi_transit_put_err(&out, 401, &why) == 403);
    CHECK(cczi_transit_put_err(&out, 503, &why) == 503);
    (void)ccz_fail(&why, CCZ_E_SIG, "kms:key-decrypt", 0, "does not open");
    CHECK(cczi_transit_put_err(&out, 403, &why) == 400);
}

/* ---------------------------------------------------------------------------- over HTTPS */

static void add_transit(struct ccz_kms_door *d)
{
    CHECK(ccz_kms_door_transit(d, &err) == CCZ_OK);
}

#define ISS "https://issuer.example"

static void grant(struct ccz_kms_store *s, const uint8_t id[32], uint32_t roles)
{
    CHECK(ccz_kms_store_set_admin(s, id, roles, FIX_NOW, &err) == CCZ_OK);
}

static void add_clients(struct ccz_kms_store *s)
{
    uint8_t id[32];
    struct ccz_key *client = kit_key("seal");
    kit_spki(id, client);
    ccz_key_free(client);
    grant(s, id, CCZ_KMS_ROLE_CLIENT);
    CHECK(ccz_kms_door_subject(id, ISS, "seal", NULL) == CCZ_OK);
    grant(s, id, CCZ_KMS_ROLE_CLIENT);
    CHECK(ccz_kms_door_subject(id, ISS, "operator", NULL) == CCZ_OK);
    grant(s, id, CCZ_KMS_ROLE_OPERATOR);
}

/* Keys "seal" (for clients without evidence) and "closed" (not); "seal" of the folder is a client's key. */
static void open_transit(struct kit *k, const struct kit_opts *more)
{
    struct kit_opts o = *more;
    struct reply r;
    o.add = add_transit;
    o.fill = add_clients;
    kit_open(k, &o);
    if (o.plain)
        return;
    CHECK(kit_ask(k, &r,
                  &(struct ask){.path = "/v1/transit/keys/seal",
                                .as = "admin",
                                .body = "{\"unattested_insecure\":true}"}) == 204 &&
          r.size == 0);
    CHECK(kit_ask(k, &r,
                  &(struct ask){.path = "/v1/transit/keys/closed",
                                .method = "PUT",
                                .as = "admin",
                                .body = "{}"}) == 204);
}

/* The string member of "data"; good until the next call. */
static const char *data_of(const struct reply *r, const char *member)
{
    static char text[65536];
    CCZ_AUTO(ccz_json) j = NULL;
    CHECK(ccz_json_parse(&j, CCZ_SPAN(r->body, r->size), &err) == CCZ_OK);
    const char *s = ccz_json_str(ccz_json_get(ccz_json_get(j, "data"), member));
    if (!s)
        fprintf(stderr, "no %s in %s\n", member, r->body);
    CHECK(s);
    (void)snprintf(text, sizeof(text), "%s", s);
    return text;
}

/* The refusal is in Vault's form, and for this reason. */
static bool refused(const struct reply *r, unsigned status, const char *where)
{
    char want[96];
    (void)snprintf(want, sizeof(want), "{\"errors\":[\"%s: ", where);
    if (r->status == status && strncmp(r->body, want, strlen(want)) == 0)
        return true;
    fprintf(stderr, "expected %u %s: %u %s\n", status, where, r->status, r->body);
    return false;
}

static unsigned ask(struct kit *k, struct reply *r, const char *as, const char *path,
                    const char *body)
{
    return kit_ask(k, r, &(struct ask){.path = path, .as = as, .body = body});
}

static unsigned decrypt(struct kit *k, struct reply *r, const char *as, const char *ciphertext,
                        const char *more)
{
    char body[4096];
    (void)snprintf(body, sizeof(body), "{\"ciphertext\":\"%s\"%s}", ciphertext, more);
    return ask(k, r, as, "/v1/transit/decrypt/seal", body);
}

/* There and back, across a rotation, with associated data. */
static void test_round(void)
{
    struct kit k;
    struct reply r;
    char first[512], second[512];
    open_transit(&k, &(struct kit_opts){0});
    CHECK(ask(&k, &r, "seal", "/v1/transit/encrypt/seal", "{\"plaintext\":\"YQ==\"}") == 200);
    (void)snprintf(first, sizeof(first), "%s", data_of(&r, "ciphertext"));
    CHECK(strncmp(first, "vault:v1:", 9) == 0);
    CHECK(strstr(r.headers, "Content-Type: application/json") &&
          strstr(r.body, "\"lease_id\":\"\""));
    CHECK(decrypt(&k, &r, "seal", first, "") == 200 &&
          strcmp(data_of(&r, "plaintext"), "YQ==") == 0);

    CHECK(ask(&k, &r, "admin", "/v1/transit/keys/seal/rotate", "{}") == 204);
    CHECK(ask(&k, &r, "seal", "/v1/transit/encrypt/seal",
              "{\"plaintext\":\"Yw==\",\"associated_data\":\"Yg==\"}") == 200);
    (void)snprintf(second, sizeof(second), "%s", data_of(&r, "ciphertext"));
    CHECK(strncmp(second, "vault:v2:", 9) == 0);
    CHECK(decrypt(&k, &r, "seal", second, ",\"associated_data\":\"Yg==\"") == 200 &&
          strcmp(data_of(&r, "plaintext"), "Yw==") == 0);
    CHECK(decrypt(&k, &r, "seal", first, "") == 200); /* the old version still opens */
    (void)ask(&k, &r, "seal", "/v1/transit/encrypt/seal", "{\"plaintext\":\"\"}");
    CHECK(refused(&r, 400, "kms:key-input")); /* the KMS encrypts no empty text */

    char body[1024];
    (void)snprintf(body, sizeof(body), "{\"ciphertext\":\"%s\"}", first);
    CHECK(ask(&k, &r, "seal", "/v1/transit/rewrap/seal", body) == 200);
    (void)snprintf(first, sizeof(first), "%s", data_of(&r, "ciphertext"));
    CHECK(strncmp(first, "vault:v2:", 9) == 0);
    CHECK(decrypt(&k, &r, "seal", first, "") == 200 &&
          strcmp(data_of(&r, "plaintext"), "YQ==") == 0);

    CHECK(kit_ask(&k, &r, &(struct ask){.path = "/v1/transit/keys/seal", .as = "auditor"}) == 200);
    CHECK(strcmp(data_of(&r, "type"), "aes256-gcm96") == 0);
    CHECK(strstr(r.body, "\"latest_version\":2") &&
          strstr(r.body, "\"keys\":{\"1\":1700000000,\"2\":1700000000}") &&
          strstr(r.body, "\"supports_encryption\":true") && strstr(r.body, "\"exportable\":false"));
    kit_close(&k);
}

/* Whoever asks for a wrapped answer gets none in the open. */
static void test_wrap(void)
{
    struct kit k;
    struct reply r;
    char body[1024];
    static const char *const no[] = {"X-Vault-Wrap-TTL: 60s", "x-vault-wrap-ttl: 1",
                                     "X-Vault-Wrap-TTL: 0\r\nX-Vault-Wrap-TTL: 60s"};
    static const char *const fine[] = {"X-Vault-Wrap-TTL;", "X-Vault-Wrap-TTL: 0"};
    open_transit(&k, &(struct kit_opts){0});
    CHECK(ask(&k, &r, "seal", "/v1/transit/encrypt/seal", "{\"plaintext\":\"YQ==\"}") == 200);
    (void)snprintf(body, sizeof(body), "{\"ciphertext\":\"%s\"}", data_of(&r, "ciphertext"));
    struct ask open = {.path = "/v1/transit/decrypt/seal", .body = body, .as = "seal"};
    struct ask read = {.path = "/v1/transit/keys/seal", .as = "auditor"};
    struct ask rotate = {.path = "/v1/transit/keys/seal/rotate", .body = "{}", .as = "admin"};
    for (size_t i = 0; i < sizeof(no) / sizeof(no[0]); i++) {
        open.header = read.header = rotate.header = no[i];
        CHECK(kit_ask(&k, &r, &open) == 400 && refused(&r, 400, "transit:unsupported"));
        CHECK(!strstr(r.body, "plaintext") && !strstr(r.body, "YQ=="));
        CHECK(kit_ask(&k, &r, &read) == 400 && refused(&r, 400, "transit:unsupported"));
        CHECK(kit_ask(&k, &r, &rotate) == 400 && refused(&r, 400, "transit:unsupported"));
    }
    for (size_t i = 0; i < sizeof(fine) / sizeof(fine[0]); i++) {
        open.header = read.header = fine[i];
        CHECK(kit_ask(&k, &r, &open) == 200 && strcmp(data_of(&r, "plaintext"), "YQ==") == 0);
        CHECK(kit_ask(&k, &r, &read) == 200 && strstr(r.body, "\"latest_version\":1"));
    }
    kit_close(&k);
}

/* Changed, of another key, of a version that is not there, under other associated data: one answer, 400. */
static void test_damaged(void)
{
    struct kit k;
    struct reply r;
    char text[512];
    open_transit(&k, &(struct kit_opts){0});
    CHECK(ask(&k, &r, "seal", "/v1/transit/encrypt/seal", "{\"plaintext\":\"YQ==\"}") == 200);
    (void)snprintf(text, sizeof(text), "%s", data_of(&r, "ciphertext"));
    text[20] = text[20] == 'A' ? 'B' : 'A';
    CHECK(decrypt(&k, &r, "seal", text, "") == 400 && refused(&r, 400, "kms:key-decrypt"));
    CHECK(ask(&k, &r, "seal", "/v1/transit/encrypt/seal", "{\"plaintext\":\"YQ==\"}") == 200);
    (void)snprintf(text, sizeof(text), "%s", data_of(&r, "ciphertext"));
    (void)decrypt(&k, &r, "seal", text, ",\"associated_data\":\"Yg==\"");
    CHECK(refused(&r, 400, "kms:key-decrypt"));
    text[7] = '2';
    (void)decrypt(&k, &r, "seal", text, "");
    CHECK(refused(&r, 400, "kms:key-version"));
    (void)decrypt(&k, &r, "seal", "vault:v1:AAAA", "");
    CHECK(refused(&r, 400, "kms:key-decrypt"));
    kit_close(&k);
}

/* Who may what. The seal's key neither reads nor makes; administrators encrypt nothing; nobody without a role asks at all. */
static void test_who(void)
{
    struct kit k;
    struct reply r;
    static const char text[] = "{\"plaintext\":\"YQ==\"}";
    open_transit(&k, &(struct kit_opts){0});
    (void)ask(&k, &r, NULL, "/v1/transit/encrypt/seal", text);
    CHECK(refused(&r, 403, "door:auth-required"));
    (void)ask(&k, &r, "stranger", "/v1/transit/encrypt/seal", text);
    CHECK(refused(&r, 403, "kms:admin-unknown"));
    (void)ask(&k, &r, "admin", "/v1/transit/encrypt/seal", text);
    CHECK(refused(&r, 403, "kms:workload-required"));
    (void)ask(&k, &r, "seal", "/v1/transit/encrypt/closed", text);
    CHECK(refused(&r, 403, "kms:key-unattested"));
    (void)ask(&k, &r, "seal", "/v1/transit/encrypt/none", text);
    CHECK(refused(&r, 400, "kms:not-found"));
    (void)ask(&k, &r, "seal", "/v1/transit/encrypt/model", text); /* a data key of the fixture */
    CHECK(r.status == 400 || r.status == 403);
    (void)kit_ask(&k, &r, &(struct ask){.path = "/v1/transit/keys/seal", .as = "seal"});
    CHECK(refused(&r, 403, "kms:role"));
    (void)ask(&k, &r, "seal", "/v1/transit/keys/mine", "{\"unattested_insecure\":true}");
    CHECK(refused(&r, 403, "kms:role"));
    (void)ask(&k, &r, "auditor", "/v1/transit/keys/mine", "{}");
    CHECK(refused(&r, 403, "kms:role"));
    (void)kit_ask(&k, &r, &(struct ask){.path = "/v1/transit/keys/none", .as = "auditor"});
    CHECK(refused(&r, 404, "kms:not-found"));
    (void)kit_ask(&k, &r, &(struct ask){.path = "/v1/transit/keys/model", .as = "auditor"});
    CHECK(r.status == 400);
    (void)ask(&k, &r, "admin", "/v1/transit/keys/seal", "{}");
    CHECK(refused(&r, 400, "kms:exists"));
    kit_close(&k);
}

/* What a request may look like; refusals before the handler have Vault's form, too. */
static void test_shapes(void)
{
    struct kit k;
    struct reply r;
    open_transit(&k, &(struct kit_opts){0});
    (void)kit_ask(&k, &r, &(struct ask){.path = "/v1/transit/encrypt/seal", .as = "seal"});
    CHECK(refused(&r, 405, "door:method"));
    (void)ask(&k, &r, "seal", "/v1/transit/encrypt/seal",
              "{\"plaintext\":\"YQ==\",\"context\":\"YQ==\"}");
    CHECK(refused(&r, 400, "transit:unsupported"));
    (void)ask(&k, &r, "seal", "/v1/transit/encrypt/a/b", "{\"plaintext\":\"YQ==\"}");
    CHECK(refused(&r, 400, "transit:key"));
    /* a form of another site, sent with the certificate that the browser has */
    (void)kit_ask(&k, &r,
                  &(struct ask){.path = "/v1/transit/encrypt/seal",
                                .as = "seal",
                                .method = "POST",
                                .header = "Content-Type: text/plain"});
    CHECK(refused(&r, 403, "door:site"));
    (void)kit_ask(
        &k, &r,
        &(struct ask){.path = "/v1/transit/keys/team-key", .as = "admin", .method = "POST"});
    CHECK(refused(&r, 403, "door:site"));
    CHECK(kit_ask(&k, &r,
                  &(struct ask){.path = "/v1/transit/keys/team-key",
                                .as = "admin",
                                .method = "POST",
                                .header = "X-Vault-Request: true"}) == 204);
    /* a namespace is the first part of the name */
    CHECK(kit_ask(&k, &r,
                  &(struct ask){.path = "/v1/transit/keys/seal",
                                .as = "admin",
                                .method = "PUT",
                                .header = "X-Vault-Namespace: team/"}) == 204);
    CHECK(kit_ask(&k, &r,
                  &(struct ask){.path = "/v1/transit/keys/seal",
                                .as = "auditor",
                                .header = "X-Vault-Namespace: team"}) == 200 &&
          strcmp(data_of(&r, "name"), "seal") == 0);
    (void)kit_ask(&k, &r,
                  &(struct ask){.path = "/v1/transit/keys/seal",
                                .as = "auditor",
                                .header = "X-Vault-Namespace: other"});
    CHECK(refused(&r, 404, "kms:not-found"));
    (void)kit_ask(&k, &r,
                  &(struct ask){.path = "/v1/transit/keys/seal",
                                .as = "auditor",
                                .header = "X-Vault-Token: nonsense"});
    CHECK(r.status == 403 && strncmp(r.body, "{\"errors\":[\"door:token", 22) == 0);
    kit_close(&k);
}

/* ------------------------------------------------------------------------ OpenBao's seal */

static struct ccz_key *issuer_key;
static char issuer_file[300];

/* A token of @p sub for this door. */
static const char *token_of(const char *sub)
{
    static char text[4096];
    char claims[512], kid[CCZ_JWK_THUMBPRINT_SIZE + 1];
    CCZ_AUTO_BUF token;
    CCZ_AUTO(ccz_jwk) jwk = NULL;
    ccz_buf_init(&token, sizeof(text));
    CHECK(ccz_jwk_from_key(&jwk, issuer_key, NULL) == CCZ_OK &&
          ccz_jwk_thumbprint(kid, jwk) == CCZ_OK);
    (void)snprintf(claims, sizeof(claims),
                   "{\"iss\":\"%s\",\"aud\":\"kms\",\"sub\":\"%s\",\"iat\":%d,\"exp\":%d}", ISS,
                   sub, FIX_NOW - 10, FIX_NOW + 300);
    const struct ccz_jws_header header = {.typ = "JWT", .kid = kid};
    CHECK(ccz_jws_sign(&token, issuer_key, &header, ccz_span_str(claims), &err) == CCZ_OK);
    (void)snprintf(text, sizeof(text), "%s", ccz_buf_str(&token));
    return text;
}

static void open_with_tokens(struct kit *k)
{
    static struct ccz_kms_door_issuer issuer;
    CCZ_AUTO(ccz_jwk) jwk = NULL;
    CCZ_AUTO_BUF json;
    const char *tmp = getenv("TMPDIR");
    ccz_buf_init(&json, 8192);
    (void)snprintf(issuer_file, sizeof(issuer_file), "%s/cczoo-transit-%d.json",
                   tmp && *tmp ? tmp : "/tmp", (int)getpid());
    CHECK(ccz_key_generate(&issuer_key, CCZ_P256) == CCZ_OK);
    CHECK(ccz_jwk_from_key(&jwk, issuer_key, &err) == CCZ_OK);
    const struct ccz_jwk *keys[] = {jwk};
    ccz_jwks_put(&json, keys, 1);
    CHECK(ccz_file_write(issuer_file, ccz_buf_span(&json), 0644, CCZ_FILE_REPLACE, &err) == CCZ_OK);
    issuer = (struct ccz_kms_door_issuer){.iss = ISS, .aud = "kms", .jwks_file = issuer_file};
    open_transit(k, &(struct kit_opts){.plain = true, .issuers = &issuer, .issuers_len = 1});
}

/* The request as it came over the wire from OpenBao 2.7.2 (seal "transit", with namespace and token), with this method, path, token
 * and body; its answer is in @p r. */
static void replay(struct kit *k, struct reply *r, const char *path, const char *token,
                   const char *body)
{
    char text[8192];
    int size =
        snprintf(text, sizeof(text),
                 "PUT %s HTTP/1.1\r\nHost: localhost:18240\r\nUser-Agent: Go-http-client/1.1\r\n"
                 "Content-Length: %zu\r\nX-Vault-Namespace: team/\r\nX-Vault-Request: true\r\n"
                 "X-Vault-Token: %s\r\nAccept-Encoding: gzip\r\n\r\n%s",
                 path, strlen(body), token, body);
    int fd = kit_dial(k);
    CHECK(size > 0 && write(fd, text, (size_t)size) == size && shutdown(fd, SHUT_WR) == 0);
    *r = (struct reply){0};
    char all[65536];
    size_t have = 0;
    for (ssize_t n; (n = read(fd, all + have, sizeof(all) - 1 - have)) > 0;)
        have += (size_t)n;
    close(fd);
    all[have] = 0;
    const char *end = strstr(all, "\r\n\r\n");
    CHECK(end && sscanf(all, "HTTP/1.1 %u", &r->status) == 1);
    r->size = (size_t)snprintf(r->body, sizeof(r->body), "%s", end + 4);
}

static void test_openbao(void)
{
    struct kit k;
    struct reply r;
    open_with_tokens(&k);
    replay(&k, &r, "/v1/transit/keys/seal", token_of("operator"), "{\"unattested_insecure\":true}");
    CHECK(r.status == 204);
    char seal[4096];
    (void)snprintf(seal, sizeof(seal), "%s", token_of("seal"));
    /* at its start: can it renew this token (no: it goes on without), and does encryption work */
    replay(&k, &r, "/v1/auth/token/renew-self", seal, "{\"increment\":0}");
    CHECK(r.status >= 400 && r.status < 500);
    replay(&k, &r, "/v1/transit/encrypt/seal", seal, "{\"plaintext\":\"YQ==\"}");
    CHECK(r.status == 200);
    /* three parts, of which the middle one is the key's id */
    char ciphertext[512], body[1024];
    (void)snprintf(ciphertext, sizeof(ciphertext), "%s", data_of(&r, "ciphertext"));
    CHECK(strncmp(ciphertext, "vault:v1:", 9) == 0 && !strchr(ciphertext + 9, ':'));
    (void)snprintf(body, sizeof(body), "{\"ciphertext\":\"%s\"}", ciphertext);
    replay(&k, &r, "/v1/transit/decrypt/seal", seal, body);
    CHECK(r.status == 200 && strcmp(data_of(&r, "plaintext"), "YQ==") == 0);
    /* another subject, and nobody */
    replay(&k, &r, "/v1/transit/decrypt/seal", token_of("eve"), body);
    CHECK(refused(&r, 403, "kms:admin-unknown"));
    replay(&k, &r, "/v1/transit/decrypt/seal", "header.payload.signature", body);
    CHECK(r.status == 403 && strncmp(r.body, "{\"errors\":[\"door:token", 22) == 0);
    /* one header has the token */
    CHECK(kit_ask(&k, &r,
                  &(struct ask){.path = "/v1/transit/encrypt/seal",
                                .body = "{\"plaintext\":\"YQ==\"}",
                                .bearer = seal,
                                .header = "X-Vault-Token: other"}) == 403 &&
          refused(&r, 403, "door:token-twice"));
    /* and once: a proxy in front may have judged the other one */
    static const char *const twice[] = {"X-Vault-Token: a\r\nX-Vault-Token: b",
                                        "X-Vault-Namespace: team\r\nx-vault-namespace: other"};
    for (size_t i = 0; i < sizeof(twice) / sizeof(twice[0]); i++)
        CHECK(kit_ask(&k, &r,
                      &(struct ask){.path = "/v1/transit/encrypt/seal",
                                    .body = "{\"plaintext\":\"YQ==\"}",
                                    .header = twice[i]}) == 400 &&
              refused(&r, 400, "door:header-twice"));
    CHECK(kit_ask(&k, &r,
                  &(struct ask){.path = "/v1/transit/keys/x",
                                .body = "{}",
                                .bearer = token_of("operator")}) == 204);
    /* elsewhere that header means nothing */
    char header[4200];
    (void)snprintf(header, sizeof(header), "X-Vault-Token: %s", token_of("operator"));
    CHECK(kit_ask(&k, &r,
                  &(struct ask){
                      .path = "/v1/Rotate", .body = "{\"name\":\"x\"}", .header = header}) == 401);
    kit_close(&k);
    ccz_key_free(issuer_key);
    (void)unlink(issuer_file);
}

int main(int argc, char **argv)
{
    static const struct ccz_test tests[] = {
        {"transit.requests", test_requests}, {"transit.requests_refused", test_requests_refused},
        {"transit.names", test_names},       {"transit.answers", test_answers},
        {"transit.round", test_round},       {"transit.wrap", test_wrap},
        {"transit.damaged", test_damaged},   {"transit.who", test_who},
        {"transit.shapes", test_shapes},     {"transit.openbao", test_openbao},
    };
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
