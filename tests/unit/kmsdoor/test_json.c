/* SPDX-License-Identifier: Apache-2.0 */
/* The transcoder and its tables: every kind both ways, every refusal, every cut; the OpenAPI document. */
#include "ccz_test.h"
#include "kmsdoor/json.h"

#include "kms/kms_methods.h"
#include "kms/kms_priv.h"

#include <cczoo/codec.h>
#include <cczoo/kms_door.h>

static const struct cczi_shape *request_of(const char *method)
{
    const struct cczi_shape_method *m = cczi_shape_method(method);
    CHECK(m != NULL);
    return m->request;
}

static const struct cczi_shape *response_of(const char *method)
{
    const struct cczi_shape_method *m = cczi_shape_method(method);
    CHECK(m != NULL);
    return m->response;
}

/* As a PutRequest; @p m borrows from @p b. */
static ccz_rc get_put(struct cczi_msg_put_req *m, struct ccz_buf *b, const char *json,
                      struct ccz_err *err)
{
    *m = (struct cczi_msg_put_req){0};
    *err = (struct ccz_err){0};
    ccz_buf_clear(b);
    ccz_rc rc = cczi_json_get(b, request_of("PutSecret"), ccz_span_str(json), err);
    if (rc == CCZ_OK)
        CHECK(cczi_msg_get(m, cczi_msg_put_req, ccz_buf_span(b), NULL) == CCZ_OK);
    return rc;
}

static void test_get(void)
{
    struct cczi_msg_put_req m;
    struct ccz_err err;
    CCZ_AUTO_BUF b;
    ccz_buf_init(&b, 4096);
    CHECK(get_put(&m, &b,
                  "{\"name\":\"db/p\\u00e4ss\\/\\ud83d\\ude00\\n\",\"value\":\"AAECAw==\","
                  "\"newVersion\":true,\"ifVersion\":7,\"expiresS\":\"9223372036854775807\"}",
                  &err) == CCZ_OK);
    CHECK(ccz_span_eq(m.name, ccz_span_str("db/p\xc3\xa4ss/\xf0\x9f\x98\x80\n")));
    CHECK(m.value.size == 4 && m.value.ptr[3] == 3 && m.new_version == 1 && m.if_version == 7 &&
          m.expires_s == INT64_MAX && m.policy.size == 0);
    /* names of the .proto file, numbers as digits, nulls, base64url, escapes in base64 */
    CHECK(get_put(&m, &b,
                  "{\"new_version\":true,\"if_version\":\"7\",\"expires_s\":12,\"policy\":null,"
                  "\"value\":\"-_8\",\"metadata\":\"AAEC\\u0041w\\u003d\\u003d\"}",
                  &err) == CCZ_OK);
    CHECK(m.new_version == 1 && m.if_version == 7 && m.expires_s == 12 && m.value.size == 2 &&
          m.value.ptr[0] == 0xfb && m.value.ptr[1] == 0xff && m.metadata.size == 4);
    /* what has its zero value is not sent */
    CHECK(get_put(&m, &b,
                  "{\"name\":\"\",\"value\":\"\",\"newVersion\":false,\"ifVersion\":0,"
                  "\"expiresS\":\"0\"}",
                  &err) == CCZ_OK &&
          b.size == 0);
    CHECK(get_put(&m, &b, " {} ", &err) == CCZ_OK && b.size == 0);
}

static const struct {
    const char *json, *where, *got;
} refused[] = {
    {"", "door:json", NULL},
    {"[]", "door:json-object", NULL},
    {"null", "door:json-object", NULL},
    {"\"x\"", "door:json-object", NULL},
    {"{}{}", "door:json", NULL},
    {"{\"name\":\"a\",}", "door:json", NULL},
    {"{\"name\":\"a\",\"name\":\"b\"}", "door:json", NULL},
    {"{\"newVersion\":true,\"new_version\":false}", "door:json-twice", "new_version"},
    {"{\"new_version\":null,\"newVersion\":true}", "door:json-twice", "newVersion"},
    {"{\"Name\":\"a\"}", "door:json-member", "Name"},
    {"{\"names\":\"a\"}", "door:json-member", "names"},
    {"{\"\":1}", "door:json-member", NULL},
    {"{\"__proto__\":{}}", "door:json-member", "__proto__"},
    {"{\"name\":1}", "door:json-type", "name"},
    {"{\"name\":[\"a\"]}", "door:json-type", "name"},
    {"{\"name\":{}}", "door:json-type", "name"},
    {"{\"name\":true}", "door:json-type", "name"},
    {"{\"name\":\"\\ud800\"}", "door:json", NULL},
    {"{\"name\":\"\\udc00\\ud800\"}", "door:json", NULL},
    {"{\"name\":\"\xff\"}", "door:json", NULL},
    {"{\"value\":\"AAECAw=\"}", "door:json-base64", "value"},
    {"{\"value\":\"AAECAx==\"}", "door:json-base64", "value"}, /* stray bits */
    {"{\"value\":\"AAEC Aw==\"}", "door:json-base64", "value"},
    {"{\"value\":\"AA-+AAAA\"}", "door:json-base64", "value"}, /* both alphabets */
    {"{\"value\":\"A\"}", "door:json-base64", "value"},
    {"{\"value\":\"====\"}", "door:json-base64", "value"},
    {"{\"value\":\"\\u0000AAA\"}", "door:json-base64", "value"},
    {"{\"value\":17}", "door:json-type", "value"},
    {"{\"newVersion\":1}", "door:json-type", "newVersion"},
    {"{\"newVersion\":\"true\"}", "door:json-type", "newVersion"},
    {"{\"ifVersion\":4294967296}", "door:json-number", "ifVersion"},
    {"{\"ifVersion\":-1}", "door:json-number", "ifVersion"},
    {"{\"ifVersion\":1.0}", "door:json-number", "ifVersion"},
    {"{\"ifVersion\":1e2}", "door:json-number", "ifVersion"},
    {"{\"ifVersion\":\"1 \"}", "door:json-number", "ifVersion"},
    {"{\"ifVersion\":\"+1\"}", "door:json-number", "ifVersion"},
    {"{\"ifVersion\":\"01\"}", "door:json-number", "ifVersion"},
    {"{\"ifVersion\":\"0x1\"}", "door:json-number", "ifVersion"},
    {"{\"ifVersion\":\"\"}", "door:json-number", "ifVersion"},
    {"{\"ifVersion\":\"-\"}", "door:json-number", "ifVersion"},
    {"{\"ifVersion\":\"\\u0031\"}", "door:json-number", "ifVersion"},
    {"{\"ifVersion\":true}", "door:json-type", "ifVersion"},
    {"{\"expiresS\":\"9223372036854775808\"}", "door:json-number", "expiresS"},
    {"{\"expiresS\":\"18446744073709551616\"}", "door:json-number", "expiresS"},
    {"{\"expiresS\":\"99999999999999999999999999999999\"}", "door:json-number", "expiresS"},
    {"{\"expiresS\":9223372036854775808}", "door:json-number", "expiresS"},
    {"{\"expiresS\":1e400}", "door:json-number", "expiresS"},
    {"{\"expiresS\":NaN}", "door:json", NULL},
};

static void test_get_refused(void)
{
    struct cczi_msg_put_req m;
    struct ccz_err err;
    CCZ_AUTO_BUF b;
    ccz_buf_init(&b, 4096);
    for (size_t i = 0; i < sizeof(refused) / sizeof(*refused); i++) {
        ccz_rc rc = get_put(&m, &b, refused[i].json, &err);
        if (rc == CCZ_OK || strcmp(err.where, refused[i].where) != 0 ||
            (refused[i].got && strcmp(err.got, refused[i].got) != 0))
            fprintf(stderr, "%s: %s %s\n", refused[i].json, err.where, err.got);
        CHECK(rc == CCZ_E_FORMAT && strcmp(err.where, refused[i].where) == 0);
        CHECK(!refused[i].got || strcmp(err.got, refused[i].got) == 0);
        CHECK(b.size == 0 && !b.bad);
    }
    /* deep nesting: no stack, no time */
    char deep[4096];
    memset(deep, '[', sizeof(deep) - 1);
    deep[sizeof(deep) - 1] = 0;
    CHECK(get_put(&m, &b, deep, &err) == CCZ_E_LIMIT && strcmp(err.where, "door:json") == 0);
    memcpy(deep, "{\"name\":", 8);
    CHECK(get_put(&m, &b, deep, &err) == CCZ_E_LIMIT);
}

/* A message that does not fit is refused whole; what was there before stays. */
static void test_get_size(void)
{
    static const char json[] = "{\"name\":\"0123456789\",\"value\":\"AAECAwQFBgc=\"}";
    struct ccz_err err;
    for (size_t room = 0; room < 28; room++) {
        CCZ_AUTO_BUF b;
        ccz_buf_init(&b, 3 + room);
        ccz_buf_put_str(&b, "abc");
        ccz_rc rc = cczi_json_get(&b, request_of("PutSecret"), ccz_span_str(json), &err);
        if (rc == CCZ_OK)
            CHECK(room == 12 + 10 && b.size == 3 + room);
        else
            CHECK(rc == CCZ_E_LIMIT && strcmp(err.where, "door:json-size") == 0 && b.size == 3 &&
                  memcmp(b.ptr, "abc", 3) == 0 && room < 12 + 10);
        if (rc == CCZ_OK)
            return;
    }
    CHECK(false);
}

static void test_get_cut(void)
{
    static const char json[] =
        "{\"name\":\"a\\u00e4\\n\",\"value\":\"AAECAw==\",\"newVersion\":true,\"ifVersion\":12}";
    struct ccz_err err;
    for (size_t n = 0; n < sizeof(json) - 1; n++) {
        char *cut = malloc(n ? n : 1); /* no byte behind it: reading there is found by sanitizers */
        CHECK(cut != NULL);
        memcpy(cut, json, n);
        CCZ_AUTO_BUF b;
        ccz_buf_init(&b, 4096);
        CHECK(cczi_json_get(&b, request_of("PutSecret"), CCZ_SPAN(cut, n), &err) != CCZ_OK);
        free(cut);
    }
}

/* ------------------------------------------------------------------------------ to JSON */

static void test_put(void)
{
    CCZ_AUTO_BUF b, json;
    struct ccz_err err;
    ccz_buf_init(&b, 4096);
    ccz_buf_init(&json, 4096);
    const struct cczi_msg_item items[2] = {{.item = ccz_span_str("key/a\"b"),
                                            .version = 4294967295,
                                            .created_s = INT64_MAX,
                                            .disabled = 1},
                                           {.metadata = ccz_span_str("{}")}};
    for (size_t i = 0; i < 2; i++) {
        size_t mark = ccz_pb_open(&b, 1);
        cczi_msg_put(&b, cczi_msg_item, &items[i]);
        ccz_pb_close(&b, mark);
        if (i == 0) { /* between the elements: an array is one all the same */
            ccz_pb_put_uint(&b, 2, 1);
            ccz_pb_put_uint(&b, 999, 1); /* of a later version */
        }
    }
    CHECK(cczi_json_put(&json, response_of("List"), ccz_buf_span(&b), &err) == CCZ_OK);
    static const char want[] =
        "{\"items\":[{\"item\":\"key/a\\\"b\",\"version\":4294967295,\"createdS\":"
        "\"9223372036854775807\",\"disabled\":true},{\"metadata\":\"e30=\"}],\"more\":true}";
    CHECK(strcmp(ccz_buf_str(&json), want) == 0);
    ccz_buf_clear(&json);
    CHECK(cczi_json_put(&json, response_of("List"), (struct ccz_span){0}, &err) == CCZ_OK &&
          strcmp(ccz_buf_str(&json), "{}") == 0);
    for (size_t n = 1; n < b.size; n++) { /* whole fields, or refused; never half */
        ccz_buf_clear(&json);
        ccz_rc rc = cczi_json_put(&json, response_of("List"), CCZ_SPAN(b.ptr, n), &err);
        CHECK(rc == CCZ_OK || (rc == CCZ_E_FORMAT && json.size == 0));
    }
    CCZ_AUTO_BUF small;
    ccz_buf_init(&small, 40);
    CHECK(cczi_json_put(&small, response_of("List"), ccz_buf_span(&b), &err) == CCZ_E_LIMIT &&
          strcmp(err.where, "door:json-size") == 0 && small.size == 0);
}

static void test_put_refused(void)
{
    static const struct {
        uint8_t bytes[8];
        size_t size;
    } bad[] = {
        {{0x08, 0x01}, 2},             /* items: a number */
        {{0x0a, 0x02, 0x08, 0x01}, 4}, /* item: a number */
        {{0x12, 0x00}, 2},             /* more: bytes */
        {{0x0a, 0x7f}, 2},             /* cut */
        {{0x0b}, 1},                   /* a group */
    };
    struct ccz_err err;
    CCZ_AUTO_BUF json;
    ccz_buf_init(&json, 4096);
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
        CHECK(cczi_json_put(&json, response_of("List"), CCZ_SPAN(bad[i].bytes, bad[i].size),
                            &err) == CCZ_E_FORMAT &&
              strcmp(err.where, "door:message") == 0 && json.size == 0);
}

/* -------------------------------------------------------------------------------- tables */

/* What the handler has is in the .proto file, and so here, in REST and in the document; and the other way round. */
static void test_tables(void)
{
    size_t known = 0;
    for (const char *name; (name = cczi_kms_method_name(known)) != NULL; known++) {
        if (!cczi_shape_method(name))
            fprintf(stderr, "proto/kms.proto lacks %s\n", name);
        CHECK(cczi_shape_method(name) != NULL);
    }
    CHECK(known >= 16 && known + 1 == cczi_shape_methods_len); /* and Unseal */
    CHECK(!cczi_kms_method_known("Unseal") && !cczi_kms_method_known("release"));
    const struct cczi_shape *put = request_of("PutSecret");
    for (const struct cczi_msg_field *f = cczi_msg_put_req; f->type != CCZI_MSG_END; f++) {
        const struct cczi_shape_field *t = cczi_shape_number(put, f->number);
        CHECK(t != NULL);
        bool span = t->kind == CCZI_SHAPE_STRING || t->kind == CCZI_SHAPE_BYTES;
        CHECK(span == (f->type == CCZI_MSG_SPAN));
    }
    CHECK(strcmp(cczi_shape_number(put, 6)->json, "checkVersion") == 0);
    CHECK(cczi_shape_named(put, ccz_span_str("check_version"))->number == 6);
    CHECK(cczi_shape_number(put, 63) == NULL);
}

/* The file in the documentation is what the server says. */
static void test_openapi(void)
{
    CCZ_AUTO_BUF is, doc;
    CCZ_AUTO(ccz_json) parsed = NULL;
    struct ccz_err err;
    ccz_buf_init(&is, 1 << 20);
    ccz_buf_init(&doc, 1 << 20);
    ccz_kms_door_openapi(&is);
    CHECK(ccz_json_parse(&parsed, ccz_buf_span(&is), &err) == CCZ_OK);
    const struct ccz_json *paths = ccz_json_get(parsed, "paths");
    for (size_t i = 0; cczi_kms_method_name(i); i++) {
        char path[64];
        (void)snprintf(path, sizeof(path), "/v1/%s", cczi_kms_method_name(i));
        CHECK(ccz_json_get(ccz_json_get(paths, path), "post") != NULL);
    }
    CHECK(ccz_json_get(paths, "/v1/Unseal") == NULL);
    CHECK(ccz_file_read(&doc, CCZ_OPENAPI_FILE, &err) == CCZ_OK);
    if (!ccz_span_eq(ccz_buf_span(&is), ccz_buf_span(&doc)))
        fprintf(stderr, "write it again: cczoo-kmsd openapi > docs/reference/kms-openapi.json\n");
    CHECK(ccz_span_eq(ccz_buf_span(&is), ccz_buf_span(&doc)));
}

static const struct ccz_test tests[] = {
    {"door.json_get", test_get},           {"door.json_get_refused", test_get_refused},
    {"door.json_get_size", test_get_size}, {"door.json_get_cut", test_get_cut},
    {"door.json_put", test_put},           {"door.json_put_refused", test_put_refused},
    {"door.tables", test_tables},          {"door.openapi", test_openapi},
};

int main(int argc, char **argv)
{
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
