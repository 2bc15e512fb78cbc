/* SPDX-License-Identifier: Apache-2.0 */
/* /resource: for those who have attested, a value encrypted to the key that was attested; for administrators, putting and deleting. */
#include "kbs_door.h"

#include <cczoo/crypto.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ITEM_FIELD = 1, VALUE_FIELD = 1, BODY_ROOM = 1024 };

/* ----------------------------------------------------------------------------------- get */

/* Fields of a response of the KMS; the last value of one counts, as the KMS writes it once. */
static struct ccz_span bytes_field(struct ccz_span message, uint32_t number)
{
    struct ccz_span found = {0};
    struct ccz_rd rd = ccz_rd_from(message);
    struct ccz_pb_field f;
    while (ccz_pb_next(&f, &rd))
        if (f.number == number && f.wire == CCZ_PB_LEN)
            found = f.bytes;
    return found;
}

static uint64_t uint_field(struct ccz_span message, uint32_t number)
{
    uint64_t found = 0;
    struct ccz_rd rd = ccz_rd_from(message);
    struct ccz_pb_field f;
    while (ccz_pb_next(&f, &rd))
        if (f.number == number && f.wire == CCZ_PB_VARINT)
            found = f.num;
    return found;
}

/* Released and on record: from here on only the key that was attested opens it. */
static void on_released(struct cczi_door_req *r, void *arg, struct ccz_span response,
                        const struct ccz_err *err)
{
    struct cczi_kbs_session *e = arg;
    struct ccz_err why = {0};
    CCZ_AUTO_BUF jwe;
    ccz_buf_init(&jwe, CCZ_JWE_SIZE_MAX);
    struct ccz_span value = bytes_field(response, VALUE_FIELD);
    ccz_rc rc = CCZ_OK;
    if (err)
        rc = (why = *err, err->rc);
    else if (value.size == 0)
        rc = ccz_fail(&why, CCZ_E_INTERNAL, "kbs:response", 0, "a release without a value");
    else
        rc = ccz_jwe_seal(&jwe, e->tee_key, value, &why);
    cczi_kbs_session_unref(e);
    if (rc == CCZ_OK) {
        cczi_door_conn_known(r);
        cczi_door_reply_built(r, &jwe);
    } else {
        cczi_kbs_reply_err(r, &why);
    }
}

/* A token that is shown decides alone: a cookie beside it is no second try. */
static ccz_rc find_session(struct cczi_kbs_session **out, struct cczi_door_req *r,
                           const struct cczi_kbs *k, struct ccz_err *err)
{
    int64_t now_s = cczi_door_now_s(r->door);
    if (ccz_http_header(r->http, "Authorization"))
        return cczi_kbs_by_token(out, k->sessions, cczi_door_bearer(r), now_s, err);
    return cczi_kbs_by_cookie(out, k->sessions, cczi_kbs_cookie(ccz_http_header(r->http, "Cookie")),
                              now_s, err);
}

static void put_target(struct ccz_buf *out, const char *name)
{
    char item[CCZ_KMS_ITEM_SIZE];
    (void)snprintf(item, sizeof(item), "secret/%s", name);
    ccz_pb_put_bytes(out, ITEM_FIELD, ccz_span_str(item));
}

static void get(struct cczi_door_req *r, const struct cczi_kbs *k, const char *name)
{
    struct ccz_err err = {0};
    struct cczi_kbs_session *e = NULL;
    ccz_rc rc = find_session(&e, r, k, &err);
    if (rc == CCZ_OK)
        rc = cczi_door_workload(r, &e->peer.claims, &err);
    if (rc != CCZ_OK) {
        cczi_kbs_session_unref(e);
        cczi_kbs_reply_err(r, &err);
        return;
    }
    CCZ_AUTO_BUF body;
    ccz_buf_init(&body, BODY_ROOM);
    put_target(&body, name);
    const struct cczi_door_call call = {.method = "Release", .body = &body, .peer = &e->peer};
    cczi_door_call(r, &call, on_released, e);
}

/* ---------------------------------------------------------------------------- administrators */

struct put {
    char name[CCZI_KBS_NAME_SIZE];
    struct ccz_buf policy; /* to bind to; empty: as it is */
    bool
        new_version; /* it exists: the next version. Never by itself, for what workloads get would be another value */
};

static void put_free(struct put *p)
{
    ccz_buf_free(&p->policy);
    free(p);
}

static void reply_version(struct cczi_door_req *r, uint64_t version)
{
    char json[48];
    int n = snprintf(json, sizeof(json), "{\"version\":%llu}", (unsigned long long)version);
    cczi_door_reply_json(r, 200, CCZ_SPAN(json, (size_t)n));
}

static void on_put(struct cczi_door_req *r, void *arg, struct ccz_span response,
                   const struct ccz_err *err)
{
    struct put *p = arg;
    put_free(p);
    ccz_http_wipe(r->http);
    if (err)
        cczi_kbs_reply_admin_err(r, err);
    else
        reply_version(r, uint_field(response, 1));
}

/* PutRequest: name 1, value 3, policy 4, new_version 5. */
static void send_put(struct cczi_door_req *r, struct put *p)
{
    CCZ_AUTO_BUF body;
    struct ccz_span value = ccz_http_body(r->http);
    ccz_buf_init(&body, value.size + p->policy.size + BODY_ROOM);
    body.wipe = true;
    ccz_pb_put_bytes(&body, 1, ccz_span_str(p->name));
    ccz_pb_put_bytes(&body, 3, value);
    if (p->policy.size)
        ccz_pb_put_bytes(&body, 4, ccz_buf_span(&p->policy));
    if (p->new_version)
        ccz_pb_put_uint(&body, 5, 1);
    const struct cczi_door_call call = {.method = "PutSecret", .body = &body};
    cczi_door_call(r, &call, on_put, p);
}

static ccz_rc take_query(struct put *p, struct cczi_door_req *r, struct ccz_err *err)
{
    struct ccz_span policy, again;
    ccz_buf_init(&p->policy, CCZ_KMS_NAME_SIZE);
    p->new_version = ccz_http_query_get(&again, ccz_http_query(r->http), "new_version");
    if (p->new_version && (again.size != 1 || again.ptr[0] != '1'))
        return ccz_refuse(err, CCZ_E_FORMAT, "kbs:new-version", "another value", "new_version=1");
    if (!ccz_http_query_get(&policy, ccz_http_query(r->http), "policy"))
        return CCZ_OK;
    return ccz_http_decode(&p->policy, policy, err);
}

static void put(struct cczi_door_req *r, const char *name)
{
    struct ccz_err err = {0};
    struct put *p = calloc(1, sizeof(*p));
    if (!p) {
        ccz_fail(&err, CCZ_E_NOMEM, "kbs:memory", 0, "out of memory");
        cczi_kbs_reply_admin_err(r, &err);
        return;
    }
    memcpy(p->name, name, sizeof(p->name));
    if (take_query(p, r, &err) == CCZ_OK) {
        send_put(r, p);
        return;
    }
    put_free(p);
    ccz_http_wipe(r->http);
    cczi_kbs_reply_admin_err(r, &err);
}

static void on_deleted(struct cczi_door_req *r, void *arg, struct ccz_span response,
                       const struct ccz_err *err)
{
    (void)arg;
    (void)response;
    if (err)
        cczi_kbs_reply_admin_err(r, err);
    else
        cczi_door_reply_json(r, 200, ccz_span_str("{}"));
}

/* With the window in which it can be undone. */
static void delete (struct cczi_door_req *r, const char *name)
{
    CCZ_AUTO_BUF body;
    ccz_buf_init(&body, BODY_ROOM);
    put_target(&body, name);
    const struct cczi_door_call call = {.method = "Delete", .body = &body};
    cczi_door_call(r, &call, on_deleted, NULL);
}

/* Who it is has been found out; what they may do, the KMS says. */
static void change(struct cczi_door_req *r, void *arg)
{
    struct ccz_err err = {0};
    char name[CCZI_KBS_NAME_SIZE];
    (void)arg;
    if (cczi_kbs_resource(name, r->rest, &err) != CCZ_OK)
        cczi_kbs_reply_err(r, &err);
    else if (strcmp(ccz_http_method(r->http), "POST") == 0)
        put(r, name);
    else
        delete (r, name);
}

void cczi_kbs_on_resource(struct cczi_door_req *r, void *arg)
{
    struct ccz_err err = {0};
    char name[CCZI_KBS_NAME_SIZE];
    const char *method = ccz_http_method(r->http);
    bool reads = strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0;
    if (cczi_kbs_resource(name, r->rest, &err) != CCZ_OK)
        cczi_kbs_reply_err(r, &err);
    else if (reads)
        get(r, arg, name);
    else
        cczi_door_admin(r, change, NULL);
}
