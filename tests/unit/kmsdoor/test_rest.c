/* SPDX-License-Identifier: Apache-2.0 */
/* POST /v1/<Method>: what goes through, what is refused with which status, and that the handler decides. */
#define _GNU_SOURCE
#include "kmsdoor/door_kit.h"

#include "kms/kms_methods.h"

static unsigned post(struct kit *k, struct reply *r, const char *as, const char *method,
                     const char *json)
{
    char path[128];
    (void)snprintf(path, sizeof(path), "/v1/%s", method);
    return kit_ask(k, r, &(struct ask){.path = path, .body = json, .as = as});
}

static void test_rest(void)
{
    struct kit k;
    struct reply r;
    kit_open(&k, &(struct kit_opts){0});
    CHECK(post(&k, &r, "admin", "PutSecret",
               "{\"name\":\"rest/one\",\"value\":\"AAECAw==\",\"policy\":\"server\",\"metadata\":"
               "\"eyJhIjoxfQ==\"}") == 200);
    CHECK(strncmp(r.body, "{\"version\":1,\"inclusion\":\"", 25) == 0 &&
          strstr(r.body, "\"receipt\":{\"auditSeq\":\"") != NULL);
    CHECK(post(&k, &r, "admin", "PutSecret",
               "{\"name\":\"rest/one\",\"value\":\"BBBB\",\"newVersion\":true}") == 200 &&
          strncmp(r.body, "{\"version\":2,", 13) == 0);
    CHECK(post(&k, &r, "auditor", "Describe", "{\"item\":\"secret/rest/one\"}") == 200);
    CHECK(strncmp(r.body, "{\"items\":[{\"item\":\"secret/rest/one\",\"version\":1,", 47) == 0 &&
          strstr(r.body, "\"metadata\":\"eyJhIjoxfQ==\"") != NULL &&
          strstr(r.body, "\"createdS\":\"1700000000\"") != NULL);
    CHECK(post(&k, &r, "auditor", "List", "{\"after\":\"secret/loose\"}") == 200 &&
          strstr(r.body, "secret/rest/one") != NULL && strstr(r.body, "key/model") == NULL);
    CHECK(post(&k, &r, "auditor", "AuditTail", "{\"limit\":2}") == 200 &&
          strstr(r.body, "\"more\":true") != NULL &&
          strstr(r.body, "\"lines\":[{\"seq\":\"1\",") != NULL);
    CHECK(post(&k, &r, "auditor", "GetPolicy", "{\"name\":\"server\"}") == 200 &&
          strncmp(r.body, "{\"json\":\"eyJ2ZXJzaW9uIjox", 25) == 0);
    CHECK(post(&k, &r, "auditor", "Checkpoint", "{}") == 200 &&
          strncmp(r.body, "{\"keys\":[\"", 10) == 0);
    CHECK(post(&k, &r, "auditor", "Status", "{}") == 200 &&
          strstr(r.body, "\"simulated\":true") != NULL);
    kit_close(&k);
}

static const struct {
    const char *as, *method, *json;
    unsigned status;
    const char *where;
} refused[] = {
    {NULL, "Status", "{}", 401, "door:auth-required"},
    {"stranger", "Status", "{}", 403, "kms:admin-unknown"},
    {"auditor", "PutSecret", "{\"name\":\"a\",\"value\":\"AAEC\"}", 403, "kms:role"},
    {"admin", "Release", "{\"item\":\"key/model\"}", 403, "kms:workload-required"},
    {"admin", "Nothing", "{}", 404, "door:not-found"},
    {"admin", "status", "{}", 404, "door:not-found"},
    {"admin", "Status/", "{}", 404, "door:not-found"},
    {"admin", "", "{}", 404, "door:not-found"},
    {"admin", "Unseal", "{\"share\":\"x\"}", 404, "door:not-found"},
    {"admin", "Status", "", 400, "door:json"},
    {"admin", "Status", "[]", 400, "door:json-object"},
    {"admin", "Status", "{\"x\":1}", 400, "door:json-member"},
    {"admin", "PutSecret", "{\"name\":\"a b\",\"value\":\"AAEC\"}", 400, "kms:name"},
    {"admin", "PutSecret", "{\"name\":\"../a\",\"value\":\"AAEC\"}", 400, "kms:name"},
    {"admin", "PutSecret", "{\"name\":\"a\",\"value\":\"AAEC\",\"expiresS\":\"-1\"}", 400,
     "kms:request"},
    {"admin", "PutSecret", "{\"name\":\"a\",\"value\":\"AAEC\",\"policy\":\"absent\"}", 404,
     "kms:not-found"},
    {"admin", "PutSecret", "{\"name\":\"loose\",\"value\":\"AAEC\"}", 409, "kms:exists"},
    {"admin", "PutSecret",
     "{\"name\":\"loose\",\"value\":\"AAEC\",\"checkVersion\":true,\"ifVersion\":7}", 409,
     "kms:version-conflict"},
    {"admin", "Delete", "{\"target\":\"policy/server\"}", 409, "kms:policy-in-use"},
    {"admin", "Destroy", "{\"target\":\"secret/loose\"}", 409, "kms:not-deleted"},
    {"auditor", "Describe", "{\"item\":\"secret/absent\"}", 404, "kms:not-found"},
    {"admin", "PutPolicy", "{\"name\":\"p\",\"json\":\"bm90IGpzb24=\"}", 400, NULL},
};

static void test_refused(void)
{
    struct kit k;
    struct reply r;
    kit_open(&k, &(struct kit_opts){0});
    for (size_t i = 0; i < sizeof(refused) / sizeof(*refused); i++) {
        unsigned status = post(&k, &r, refused[i].as, refused[i].method, refused[i].json);
        if (status != refused[i].status)
            fprintf(stderr, "%s %s: %u %s\n", refused[i].method, refused[i].json, status, r.body);
        CHECK(status == refused[i].status);
        CHECK(!refused[i].where || kit_where(&r, refused[i].where));
        CHECK(strstr(r.headers, "Content-Type: application/json") != NULL);
    }
    CHECK(post(&k, &r, "admin", "RotateTokenKey", "{}") == 200);
    CHECK(post(&k, &r, "admin", "RotateTokenKey", "{}") == 429 &&
          kit_where(&r, "kms:token-key-soon") && strstr(r.headers, "Retry-After: 60\r\n"));
    /* a page of another site can make a browser send these, with the administrator's certificate */
    static const char *const types[] = {"Content-Type: text/plain", "Content-Type:",
                                        "Content-Type: application/x-www-form-urlencoded",
                                        "Content-Type: application/jsonp"};
    for (size_t i = 0; i < 4; i++)
        CHECK(kit_ask(&k, &r,
                      &(struct ask){
                          .path = "/v1/Status", .body = "{}", .as = "admin", .header = types[i]}) ==
                  403 &&
              kit_where(&r, "door:site"));
    CHECK(kit_ask(&k, &r,
                  &(struct ask){.path = "/v1/Status",
                                .body = "{}",
                                .as = "admin",
                                .header = "Content-Type: application/octet-stream"}) == 415 &&
          kit_where(&r, "door:content-type"));
    CHECK(kit_ask(&k, &r,
                  &(struct ask){.path = "/v1/Status",
                                .body = "{}",
                                .as = "admin",
                                .header = "Content-Type: Application/JSON; charset=utf-8"}) == 200);
    CHECK(kit_ask(&k, &r, &(struct ask){.path = "/v1/Status", .as = "admin"}) == 405);
    CHECK(kit_ask(&k, &r,
                  &(struct ask){.path = "/v1/Status",
                                .body = "{}",
                                .bearer = "x.y.z",
                                .header = "authorization: Bearer x.y.z"}) == 400 &&
          kit_where(&r, "door:header-twice"));
    CHECK(kit_ask(&k, &r,
                  &(struct ask){.path = "/v1/Status", .as = "admin", .method = "OPTIONS"}) == 405);
    CHECK(strstr(r.headers, "Access-Control") == NULL);
    kit_close(&k);
}

/* Strangers leave no line in the audit log, whoever has a role does. */
static void test_audit(void)
{
    struct kit k;
    struct reply r;
    kit_open(&k, &(struct kit_opts){0});
    unsigned long long before = kit_lines(&k);
    CHECK(post(&k, &r, NULL, "PutSecret", "{}") == 401 &&
          post(&k, &r, "stranger", "PutSecret", "{}") == 403);
    CHECK(kit_lines(&k) == before);
    CHECK(post(&k, &r, "auditor", "PutSecret", "{\"name\":\"a\",\"value\":\"AAEC\"}") == 403);
    char want[64];
    (void)snprintf(want, sizeof(want), "\"decision\":\"D%llu\"}", before + 1);
    CHECK(strstr(r.body, want) != NULL);
    CHECK(kit_lines(&k) == before + 1);
    (void)snprintf(want, sizeof(want), "{\"id\":\"D%llu\"}", before + 1);
    CHECK(post(&k, &r, "auditor", "Why", want) == 200 && strstr(r.body, "kms:role") != NULL);
    kit_close(&k);
}

/* A workload that happens to hold an administrator's key is a workload: as a door with evidence would hand it on. */
static int pinned_too;

static void on_mixed_done(struct cczi_door_req *r, void *arg, struct ccz_span response,
                          const struct ccz_err *err)
{
    (void)arg;
    (void)response;
    if (err)
        cczi_door_reply_err(r, err);
    else
        cczi_door_reply_json(r, 200, ccz_span_str("{}"));
}

static void on_mixed(struct cczi_door_req *r, void *arg)
{
    struct ccz_ratls_peer peer = fix_peer(FIX_WORKLOAD);
    memcpy(peer.spki_sha256, r->auth.id, 32);
    peer.pinned = arg != NULL;
    cczi_door_call(r, &(struct cczi_door_call){.method = "Status", .peer = &peer}, on_mixed_done,
                   NULL);
}

static void add_mixed(struct ccz_kms_door *d)
{
    static const struct cczi_door_route routes[] = {
        {.name = "mixed", .methods = "GET", .path = "/mixed", .fn = on_mixed},
        {.name = "pinned", .methods = "GET", .path = "/pinned", .fn = on_mixed, .arg = &pinned_too},
    };
    struct ccz_err err;
    CHECK(cczi_door_route(d, &routes[0], &err) == CCZ_OK &&
          cczi_door_route(d, &routes[1], &err) == CCZ_OK);
}

static void test_workload(void)
{
    struct kit k;
    struct reply r;
    kit_open(&k, &(struct kit_opts){.add = add_mixed});
    CHECK(kit_ask(&k, &r, &(struct ask){.path = "/mixed", .as = "admin"}) == 403 &&
          kit_where(&r, "kms:admin-required"));
    CHECK(kit_ask(&k, &r, &(struct ask){.path = "/pinned", .as = "admin"}) == 403 &&
          kit_where(&r, "kms:admin-required"));
    kit_close(&k);
}

/* The whole range of answers: a list of many items, the largest secret and policy. */
static void test_large(void)
{
    struct kit k;
    struct reply r;
    kit_open(&k, &(struct kit_opts){0});
    CCZ_AUTO_BUF json;
    ccz_buf_init(&json, 4 << 20);
    uint8_t *value = malloc(CCZ_KMS_VALUE_SIZE_MAX + 1);
    CHECK(value != NULL);
    memset(value, 7, CCZ_KMS_VALUE_SIZE_MAX + 1);
    for (size_t more = 0; more < 2; more++) {
        ccz_buf_clear(&json);
        ccz_buf_printf(&json, "{\"name\":\"large%zu\",\"value\":\"", more);
        ccz_base64_put(&json, CCZ_SPAN(value, CCZ_KMS_VALUE_SIZE_MAX + more), CCZ_BASE64_STD);
        ccz_buf_put_str(&json, "\"}");
        CHECK(post(&k, &r, "admin", "PutSecret", ccz_buf_str(&json)) == (more ? 400 : 200));
        CHECK(!more || kit_where(&r, "kms:request"));
    }
    free(value);
    CHECK(post(&k, &r, "auditor", "List", "{}") == 200 && strstr(r.body, "secret/large0") != NULL);
    char *big = malloc(CCZ_KMS_DOOR_BODY_SIZE_MAX + 2);
    CHECK(big != NULL);
    memset(big, ' ', CCZ_KMS_DOOR_BODY_SIZE_MAX + 1);
    big[CCZ_KMS_DOOR_BODY_SIZE_MAX + 1] = 0;
    memcpy(big + CCZ_KMS_DOOR_BODY_SIZE_MAX - 2, "{}", 2);
    big[CCZ_KMS_DOOR_BODY_SIZE_MAX] = 0;
    CHECK(post(&k, &r, "auditor", "Status", big) == 200);
    big[CCZ_KMS_DOOR_BODY_SIZE_MAX] = ' ';
    unsigned large = post(&k, &r, "auditor", "Status", big);
    CHECK(large == 413 || large == 0); /* not read to its end: the client may see that first */
    free(big);
    kit_close(&k);
}

static void test_document(void)
{
    struct kit k;
    static struct reply r;
    CCZ_AUTO(ccz_json) doc = NULL;
    kit_open(&k, &(struct kit_opts){0});
    CHECK(kit_ask(&k, &r, &(struct ask){.path = "/openapi.json"}) == 200);
    CHECK(ccz_json_parse(&doc, CCZ_SPAN(r.body, r.size), NULL) == CCZ_OK);
    for (size_t i = 0; cczi_kms_method_name(i); i++) {
        char path[64];
        (void)snprintf(path, sizeof(path), "/v1/%s", cczi_kms_method_name(i));
        CHECK(ccz_json_get(ccz_json_get(doc, "paths"), path) != NULL);
        /* and it is served: by somebody who may nothing it is refused for that */
        CHECK(post(&k, &r, NULL, cczi_kms_method_name(i), "{}") == 401);
    }
    kit_close(&k);
}

/* The linker sends the door here (--wrap): how often the document was made. */
static atomic_uint made;
void __real_ccz_kms_door_openapi(struct ccz_buf *out);
void __wrap_ccz_kms_door_openapi(struct ccz_buf *out);
void __wrap_ccz_kms_door_openapi(struct ccz_buf *out)
{
    atomic_fetch_add(&made, 1);
    __real_ccz_kms_door_openapi(out);
}

/* Once for a door, however many ask; who has it already is told that. */
static void test_document_once(void)
{
    struct kit k;
    static struct reply r, again;
    char etag[80], have[128];
    atomic_store(&made, 0);
    kit_open(&k, &(struct kit_opts){0});
    CHECK(kit_ask(&k, &r, &(struct ask){.path = "/openapi.json"}) == 200 && r.size > 100000);
    CHECK(kit_ask(&k, &again, &(struct ask){.path = "/openapi.json"}) == 200);
    CHECK(r.size == again.size && memcmp(r.body, again.body, r.size) == 0);
    const char *at = strstr(r.headers, "ETag: \"");
    CHECK(at && sscanf(at, "ETag: %79[\"0-9a-f]", etag) == 1 && strlen(etag) == 66);
    CHECK(strstr(again.headers, etag) && strstr(r.headers, "Cache-Control: no-cache\r\n"));
    (void)snprintf(have, sizeof(have), "If-None-Match: %s", etag);
    CHECK(kit_ask(&k, &r, &(struct ask){.path = "/openapi.json", .header = have}) == 304);
    CHECK(r.size == 0 && strstr(r.headers, etag));
    have[strlen(have) - 2] ^= 1;
    CHECK(kit_ask(&k, &r, &(struct ask){.path = "/openapi.json", .header = have}) == 200);
    CHECK(atomic_load(&made) == 1);
    kit_close(&k);
}

static const struct ccz_test tests[] = {
    {"door.rest", test_rest},
    {"door.rest_refused", test_refused},
    {"door.rest_audit", test_audit},
    {"door.rest_workload", test_workload},
    {"door.rest_large", test_large},
    {"door.rest_document", test_document},
    {"door.rest_document_once", test_document_once},
};

int main(int argc, char **argv)
{
    CHECK(curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK);
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
