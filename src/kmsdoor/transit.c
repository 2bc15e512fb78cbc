/* SPDX-License-Identifier: Apache-2.0 */
/* Routes of Vault's transit API: each request is one call of the KMS, reading a key is two. */
#define _DEFAULT_SOURCE
#include "transit.h"

#include "door.h"

#include <cczoo/kms_door_transit.h>

#include <cczoo/codec.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { JSON_SIZE_MAX = 2 << 20 };

static void reply_data(struct cczi_door_req *r, struct ccz_span data)
{
    struct ccz_err err = {0};
    CCZ_AUTO_BUF json;
    ccz_buf_init(&json, JSON_SIZE_MAX);
    json.wipe = true;
    if (cczi_transit_put_envelope(&json, data, &err) == CCZ_OK)
        cczi_door_reply_built(r, &json);
    else
        cczi_door_reply_err(r, &err);
}

/* ------------------------------------------------------------------------------ use, make */

static void on_used(struct cczi_door_req *r, void *arg, struct ccz_span response,
                    const struct ccz_err *err)
{
    const enum cczi_transit_op *op = arg;
    struct ccz_err why = {0};
    CCZ_AUTO_BUF data;
    ccz_buf_init(&data, JSON_SIZE_MAX);
    data.wipe = true;
    if (err)
        cczi_door_reply_err(r, err);
    else if (cczi_transit_put_use(&data, *op, response, &why) != CCZ_OK)
        cczi_door_reply_err(r, &why);
    else
        reply_data(r, ccz_buf_span(&data));
}

static void on_made(struct cczi_door_req *r, void *arg, struct ccz_span response,
                    const struct ccz_err *err)
{
    (void)arg;
    (void)response;
    if (err)
        cczi_door_reply_err(r, err);
    else
        cczi_door_reply(r, &(struct ccz_http_answer){.status = 204});
}

/* Their addresses are the arguments of routes and calls. */
static const enum cczi_transit_op ops[CCZI_TRANSIT_OPS] = {
    CCZI_TRANSIT_ENCRYPT, CCZI_TRANSIT_DECRYPT, CCZI_TRANSIT_REWRAP,
    CCZI_TRANSIT_CREATE,  CCZI_TRANSIT_ROTATE,  CCZI_TRANSIT_READ};

/* Whoever asks for a wrapped answer does not want the value in the open one. */
static ccz_rc check_wrap(const struct cczi_door_req *r, struct ccz_err *err)
{
    static const char name[] = "X-Vault-Wrap-TTL";
    const char *ttl = ccz_http_header(r->http, name);
    bool none = !ttl || ttl[0] == 0 || strcmp(ttl, "0") == 0;
    if (none && ccz_http_header_count(r->http, name) <= 1)
        return CCZ_OK;
    ccz_fail(err, CCZ_E_UNSUPPORTED, "transit:unsupported", 0, "%s: answers are not wrapped", name);
    return ccz_hint(err, CCZ_E_UNSUPPORTED, "ask without -wrap-ttl");
}

static void start(struct cczi_door_req *r, enum cczi_transit_op op, const char *segment)
{
    char key[CCZ_KMS_NAME_SIZE];
    struct ccz_err err = {0};
    CCZ_AUTO_BUF body;
    ccz_buf_init(&body, CCZ_KMS_MESSAGE_SIZE_MAX);
    body.wipe = true;
    ccz_rc rc = check_wrap(r, &err);
    if (rc == CCZ_OK)
        rc = cczi_transit_key(key, ccz_http_header(r->http, "X-Vault-Namespace"), segment, &err);
    if (rc == CCZ_OK)
        rc = cczi_transit_get(&body, op, key, ccz_http_body(r->http), &err);
    ccz_http_wipe(r->http); /* it may hold a text in the clear */
    if (rc != CCZ_OK) {
        cczi_door_reply_err(r, &err);
        return;
    }
    const struct cczi_door_call call = {.method = cczi_transit_method(op), .body = &body};
    bool makes = op == CCZI_TRANSIT_CREATE || op == CCZI_TRANSIT_ROTATE;
    cczi_door_call(r, &call, makes ? on_made : on_used, (void *)(uintptr_t)&ops[op]);
}

static void on_use(struct cczi_door_req *r, void *arg)
{
    const enum cczi_transit_op *op = arg;
    start(r, *op, r->rest);
}

/* ----------------------------------------------------------------------------------- read */

struct reading {
    char key[CCZ_KMS_NAME_SIZE];
    struct ccz_buf info; /* KeyInfoResponse */
};

static void free_reading(struct reading *g)
{
    ccz_buf_free(&g->info);
    free(g);
}

static void on_versions(struct cczi_door_req *r, void *arg, struct ccz_span response,
                        const struct ccz_err *err)
{
    struct reading *g = arg;
    struct ccz_err why = {0};
    CCZ_AUTO_BUF data;
    ccz_buf_init(&data, JSON_SIZE_MAX);
    const char *slash = strrchr(g->key, '/');
    const struct cczi_transit_key_info k = {
        .name = slash ? slash + 1 : g->key, .info = ccz_buf_span(&g->info), .versions = response};
    if (err)
        cczi_door_reply_err(r, err);
    else if (cczi_transit_put_key(&data, &k, &why) != CCZ_OK)
        cczi_door_reply_err(r, &why);
    else
        reply_data(r, ccz_buf_span(&data));
    free_reading(g);
}

static void on_info(struct cczi_door_req *r, void *arg, struct ccz_span response,
                    const struct ccz_err *err)
{
    struct reading *g = arg;
    struct ccz_err why = {0};
    char item[CCZ_KMS_ITEM_SIZE];
    CCZ_AUTO_BUF body;
    ccz_buf_init(&body, 2 * CCZ_KMS_ITEM_SIZE);
    (void)snprintf(item, sizeof(item), "key/%s", g->key);
    ccz_pb_put_str(&body, 1, item); /* DescribeRequest.item */
    ccz_buf_put_span(&g->info, response);
    if (!err && !body.bad && !g->info.bad) {
        const struct cczi_door_call call = {.method = "Describe", .body = &body};
        cczi_door_call(r, &call, on_versions, g);
        return;
    }
    (void)ccz_fail(&why, CCZ_E_NOMEM, "transit:response", 0, "out of memory");
    cczi_door_reply_err(r, err ? err : &why);
    free_reading(g);
}

static void read_key(struct cczi_door_req *r)
{
    struct ccz_err err = {0};
    struct reading *g = calloc(1, sizeof(*g));
    CCZ_AUTO_BUF body;
    ccz_buf_init(&body, 2 * CCZ_KMS_ITEM_SIZE);
    ccz_rc rc = g ? check_wrap(r, &err)
                  : ccz_fail(&err, CCZ_E_NOMEM, "transit:response", 0, "out of memory");
    if (rc == CCZ_OK)
        rc = cczi_transit_key(g->key, ccz_http_header(r->http, "X-Vault-Namespace"), r->rest, &err);
    if (rc == CCZ_OK)
        rc = cczi_transit_get(&body, CCZI_TRANSIT_READ, g->key, (struct ccz_span){0}, &err);
    if (rc != CCZ_OK) {
        free(g);
        cczi_door_reply_err(r, &err);
        return;
    }
    ccz_buf_init(&g->info, CCZ_KMS_MESSAGE_SIZE_MAX);
    const struct cczi_door_call call = {.method = cczi_transit_method(CCZI_TRANSIT_READ),
                                        .body = &body};
    cczi_door_call(r, &call, on_info, g);
}

/* keys/KEY and keys/KEY/rotate */
static void on_keys(struct cczi_door_req *r, void *arg)
{
    (void)arg;
    static const char rotate[] = "/rotate";
    char segment[3 * CCZ_KMS_NAME_SIZE];
    bool get = strcmp(ccz_http_method(r->http), "GET") == 0;
    size_t size = strlen(r->rest), tail = sizeof(rotate) - 1;
    if (get || strcmp(ccz_http_method(r->http), "HEAD") == 0) {
        read_key(r);
    } else if (size > tail && size - tail < sizeof(segment) &&
               strcmp(r->rest + size - tail, rotate) == 0) {
        (void)snprintf(segment, sizeof(segment), "%.*s", (int)(size - tail), r->rest);
        start(r, CCZI_TRANSIT_ROTATE, segment);
    } else {
        start(r, CCZI_TRANSIT_CREATE, r->rest);
    }
}

ccz_rc ccz_kms_door_transit(struct ccz_kms_door *d, struct ccz_err *err)
{
    static const struct {
        const char *name, *methods, *path;
        cczi_door_fn fn;
        enum cczi_transit_op op;
        unsigned (*put_err)(struct ccz_buf *out, unsigned status, const struct ccz_err *err);
    } routes[] = {
        {"transit_encrypt", "POST PUT", "/v1/transit/encrypt/", on_use, CCZI_TRANSIT_ENCRYPT,
         cczi_transit_put_err},
        {"transit_decrypt", "POST PUT", "/v1/transit/decrypt/", on_use, CCZI_TRANSIT_DECRYPT,
         cczi_transit_put_err},
        {"transit_rewrap", "POST PUT", "/v1/transit/rewrap/", on_use, CCZI_TRANSIT_REWRAP,
         cczi_transit_put_err},
        {"transit_keys", "GET POST PUT", "/v1/transit/keys/", on_keys, CCZI_TRANSIT_CREATE,
         cczi_transit_put_err_keys},
    };
    ccz_rc rc = CCZ_OK;
    for (size_t i = 0; rc == CCZ_OK && i < sizeof(routes) / sizeof(routes[0]); i++) {
        const struct cczi_door_route route = {.name = routes[i].name,
                                              .methods = routes[i].methods,
                                              .path = routes[i].path,
                                              .flags = CCZI_DOOR_KNOWN | CCZI_DOOR_VAULT_TOKEN,
                                              .body_size_max = CCZI_DOOR_BODY_ANY,
                                              .fn = routes[i].fn,
                                              .arg = (void *)(uintptr_t)&ops[routes[i].op],
                                              .put_err = routes[i].put_err};
        rc = cczi_door_route(d, &route, err);
    }
    return rc;
}
