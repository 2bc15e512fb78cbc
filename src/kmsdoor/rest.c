/* SPDX-License-Identifier: Apache-2.0 */
/* POST /v1/<Method>: the methods of gRPC with messages as JSON. */
#include "door_priv.h"

#include "json.h"
#include "kms/kms_methods.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { JSON_SIZE_MAX = 8 << 20, OPENAPI_SIZE_MAX = 1 << 20 };

static bool is_json(const char *type)
{
    static const char json[] = "application/json";
    size_t n = sizeof(json) - 1;
    return type && strncasecmp(type, json, n) == 0 &&
           (type[n] == 0 || type[n] == ';' || type[n] == ' ');
}

static void on_answer(struct cczi_door_req *r, void *arg, struct ccz_span response,
                      const struct ccz_err *err)
{
    const struct cczi_shape_method *m = arg;
    struct ccz_err why = {0};
    if (err) {
        cczi_door_reply_err(r, err);
        return;
    }
    CCZ_AUTO_BUF json;
    ccz_buf_init(&json, JSON_SIZE_MAX);
    json.wipe = true;
    if (cczi_json_put(&json, m->response, response, &why) == CCZ_OK)
        cczi_door_reply_built(r, &json);
    else
        cczi_door_reply_err_as(r, 500, &why);
}

static ccz_rc find_method(const struct cczi_shape_method **out, const struct cczi_door_req *r,
                          struct ccz_err *err)
{
    *out = cczi_shape_method(r->rest);
    if (!*out || !cczi_kms_method_known(r->rest))
        return ccz_hint(
            err, ccz_fail(err, CCZ_E_NOT_FOUND, "door:not-found", 0, "there is no such method"),
            "GET /openapi.json lists the methods");
    const char *type = ccz_http_header(r->http, "Content-Type");
    if (is_json(type))
        return CCZ_OK;
    char got[CCZ_ERR_VALUE_SIZE];
    ccz_escape(got, sizeof(got), ccz_span_str(type ? type : ""));
    return ccz_refuse(err, CCZ_E_UNSUPPORTED, "door:content-type", got, "application/json");
}

static void on_call(struct cczi_door_req *r, void *arg)
{
    (void)arg;
    const struct cczi_shape_method *m;
    struct ccz_err err = {0};
    CCZ_AUTO_BUF body;
    ccz_buf_init(&body, CCZ_KMS_MESSAGE_SIZE_MAX);
    body.wipe = true;
    ccz_rc rc = find_method(&m, r, &err);
    if (rc == CCZ_OK)
        rc = cczi_json_get(&body, m->request, ccz_http_body(r->http), &err);
    ccz_http_wipe(r->http); /* of PutSecret it is a secret */
    if (rc != CCZ_OK) {
        cczi_door_reply_err(r, &err);
        return;
    }
    const struct cczi_door_call call = {.method = m->name, .body = &body};
    cczi_door_call(r, &call, on_answer, (void *)(uintptr_t)m);
}

/* Made once: it takes longer than all else that a stranger may ask for. */
struct document {
    struct ccz_buf json;
    char etag[2 + 64 + 1];
};

static void document_free(void *arg)
{
    struct document *doc = arg;
    ccz_buf_free(&doc->json);
    free(doc);
}

static ccz_rc document_new(struct document **out, struct ccz_kms_door *d, struct ccz_err *err)
{
    uint8_t digest[32];
    char hex[65];
    struct document *doc = calloc(1, sizeof(*doc));
    if (!doc)
        return cczi_door_no_memory(err);
    ccz_buf_init(&doc->json, OPENAPI_SIZE_MAX);
    ccz_kms_door_openapi(&doc->json);
    if (doc->json.bad || ccz_sha256(digest, ccz_buf_span(&doc->json)) != CCZ_OK ||
        cczi_door_at_free(d, document_free, doc) != CCZ_OK) {
        document_free(doc);
        return cczi_door_no_memory(err);
    }
    ccz_hex(hex, digest, sizeof(digest));
    (void)snprintf(doc->etag, sizeof(doc->etag), "\"%s\"", hex);
    *out = doc;
    return CCZ_OK;
}

static void on_openapi(struct cczi_door_req *r, void *arg)
{
    const struct document *doc = arg;
    const struct ccz_http_field headers[] = {{"Cache-Control", "no-cache"}, {"ETag", doc->etag}};
    const char *have = ccz_http_header(r->http, "If-None-Match");
    bool same = have && strstr(have, doc->etag) != NULL;
    cczi_door_reply(
        r, &(struct ccz_http_answer){.status = same ? 304 : 200,
                                     .content_type = "application/json",
                                     .body = same ? (struct ccz_span){0} : ccz_buf_span(&doc->json),
                                     .headers = headers,
                                     .headers_len = sizeof(headers) / sizeof(*headers)});
}

ccz_rc cczi_door_add_rest(struct ccz_kms_door *d, struct ccz_err *err)
{
    struct document *doc = NULL;
    ccz_rc rc = document_new(&doc, d, err);
    if (rc != CCZ_OK)
        return rc;
    const struct cczi_door_route rest = {.name = "rest",
                                         .methods = "POST",
                                         .path = "/v1/",
                                         .flags = CCZI_DOOR_KNOWN,
                                         .body_size_max = CCZI_DOOR_BODY_ANY,
                                         .fn = on_call};
    const struct cczi_door_route openapi = {.name = "openapi",
                                            .methods = "GET",
                                            .path = "/openapi.json",
                                            .flags = CCZI_DOOR_OWN_AUTH,
                                            .fn = on_openapi,
                                            .arg = doc};
    rc = cczi_door_route(d, &rest, err);
    return rc == CCZ_OK ? cczi_door_route(d, &openapi, err) : rc;
}
