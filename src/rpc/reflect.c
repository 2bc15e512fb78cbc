/* SPDX-License-Identifier: Apache-2.0 */
/* The reflection service: proto/reflection.proto. */
#include "desc.h"
#include "server.h"

#include <cczoo/codec.h>
#include <cczoo/rpc_services.h>

#include <stdlib.h>
#include <string.h>

struct ccz_rpc_reflection {
    const struct ccz_rpc_server *server;
    struct cczi_desc_pool pool; /* does not change while the server runs */
};

/* One stream: a file that was sent is not sent again as an import. */
struct talk {
    const struct ccz_rpc_reflection *r;
    bool sent[];
};

enum { REQUEST_SIZE_MAX = 65536 }; /* it comes back with the answer */
enum { FIELD_HOST = 1, FIELD_FILE = 3, FIELD_SYMBOL, FIELD_EXTENSION, FIELD_NUMBERS, FIELD_LIST };

struct request {
    struct ccz_span raw, host;
    uint32_t kind; /* one of the fields, 0 = none */
    struct ccz_span value;
};

/* The members of a oneof override each other, as in every parser. @return false if malformed */
static bool get_request(struct request *rq, struct ccz_span msg)
{
    struct ccz_rd r = ccz_rd_from(msg);
    struct ccz_pb_field f;
    *rq = (struct request){.raw = msg};
    while (ccz_pb_next(&f, &r)) {
        bool ours = f.number == FIELD_HOST || (f.number >= FIELD_FILE && f.number <= FIELD_LIST);
        if (!ours)
            continue;
        if (f.wire != CCZ_PB_LEN)
            return false;
        if (f.number == FIELD_HOST) {
            rq->host = f.bytes;
            continue;
        }
        rq->kind = f.number;
        rq->value = f.bytes;
    }
    return !r.bad;
}

/* ExtensionRequest */
static bool get_extension(struct ccz_span *type, uint64_t *number, struct ccz_span msg)
{
    struct ccz_rd r = ccz_rd_from(msg);
    struct ccz_pb_field f;
    *type = (struct ccz_span){0};
    *number = 0;
    while (ccz_pb_next(&f, &r)) {
        if (f.number > 2)
            continue;
        if (f.wire != (f.number == 1 ? CCZ_PB_LEN : CCZ_PB_VARINT))
            return false;
        if (f.number == 1)
            *type = f.bytes;
        else
            *number = f.num;
    }
    return !r.bad;
}

/* ----------------------------------------------------------------------------------- answers */

static void put_error(struct ccz_buf *out, enum ccz_rpc_code code, const char *what,
                      struct ccz_span name)
{
    char text[256];
    ccz_escape(text, sizeof(text), name);
    size_t m = ccz_pb_open(out, 7);
    ccz_pb_put_uint(out, 1, (uint64_t)code);
    size_t message = ccz_pb_open(out, 2);
    ccz_buf_printf(out, "%s%s", what, text);
    ccz_pb_close(out, message);
    ccz_pb_close(out, m);
}

/* The file, and what it imports, directly or not, unless it was sent: FileDescriptorResponse */
static void put_files(struct ccz_buf *out, struct talk *t, size_t first)
{
    const struct cczi_desc_pool *p = &t->r->pool;
    const size_t *imports = CCZI_DESC_AT(p->imports, const size_t);
    size_t m = ccz_pb_open(out, 4);
    bool *wanted = calloc(cczi_desc_files_len(p), sizeof(*wanted));
    if (!wanted) {
        out->bad = true;
        return;
    }
    wanted[first] = true;
    /* imports have smaller numbers than what imports them: one walk downwards finds all */
    for (size_t i = first + 1; i-- > 0;) {
        const struct cczi_desc_file *f = cczi_desc_file(p, i);
        if (!wanted[i])
            continue;
        for (size_t k = 0; k < f->imports_len; k++) {
            size_t other = imports[f->imports_at + k];
            wanted[other] |= !t->sent[other];
        }
        ccz_pb_put_bytes(out, 1, f->bytes);
        t->sent[i] = true;
    }
    free(wanted);
    ccz_pb_close(out, m);
}

static void put_file(struct ccz_buf *out, struct talk *t, ptrdiff_t file, const char *what,
                     struct ccz_span name)
{
    if (file < 0)
        put_error(out, CCZ_RPC_NOT_FOUND, what, name);
    else
        put_files(out, t, (size_t)file);
}

static void put_extension(struct ccz_buf *out, struct talk *t, struct ccz_span msg)
{
    struct ccz_span type;
    uint64_t number;
    if (!get_extension(&type, &number, msg)) {
        put_error(out, CCZ_RPC_INVALID_ARGUMENT, "malformed ExtensionRequest",
                  (struct ccz_span){0});
        return;
    }
    ptrdiff_t file =
        number <= UINT32_MAX ? cczi_desc_by_extension(&t->r->pool, type, (uint32_t)number) : -1;
    put_file(out, t, file, "no such extension of ", type);
}

/* ExtensionNumberResponse */
static void put_numbers(struct ccz_buf *out, const struct cczi_desc_pool *p, struct ccz_span type)
{
    size_t len;
    const struct cczi_desc_ext *x = cczi_desc_extensions(&len, p, type);
    const struct cczi_desc_symbol *s = cczi_desc_by_symbol(p, type);
    if (!x && !(s && s->message)) {
        put_error(out, CCZ_RPC_NOT_FOUND, "unknown message ", type);
        return;
    }
    size_t m = ccz_pb_open(out, 5);
    ccz_pb_put_bytes(out, 1, type);
    if (len) {
        size_t packed = ccz_pb_open(out, 2);
        for (size_t i = 0; i < len; i++)
            ccz_pb_put_varint(out, x[i].number);
        ccz_pb_close(out, packed);
    }
    ccz_pb_close(out, m);
}

/* ListServiceResponse: the paths of methods are sorted, so that those of a service stand together. */
static void put_services(struct ccz_buf *out, const struct ccz_rpc_server *server)
{
    struct ccz_span last = {0};
    const char *path;
    size_t m = ccz_pb_open(out, 6);
    for (size_t i = 0; (path = ccz_rpc_server_method_path(server, i)) != NULL; i++) {
        const char *end = strrchr(path, '/');
        if (end <= path + 1)
            continue;
        struct ccz_span name = CCZ_SPAN(path + 1, (size_t)(end - path - 1));
        if (ccz_span_eq(name, last))
            continue;
        last = name;
        size_t service = ccz_pb_open(out, 1);
        ccz_pb_put_bytes(out, 1, name);
        ccz_pb_close(out, service);
    }
    ccz_pb_close(out, m);
}

static void put_answer(struct ccz_buf *out, struct talk *t, const struct request *rq)
{
    const struct cczi_desc_pool *p = &t->r->pool;
    const struct cczi_desc_symbol *s;
    ccz_pb_put_bytes(out, 1, rq->host);
    ccz_pb_put_bytes(out, 2, rq->raw);
    switch (rq->kind) {
    case FIELD_FILE:
        put_file(out, t, cczi_desc_by_file(p, rq->value), "unknown file ", rq->value);
        break;
    case FIELD_SYMBOL:
        s = cczi_desc_by_symbol(p, rq->value);
        put_file(out, t, s ? (ptrdiff_t)s->file : -1, "unknown symbol ", rq->value);
        break;
    case FIELD_EXTENSION:
        put_extension(out, t, rq->value);
        break;
    case FIELD_NUMBERS:
        put_numbers(out, p, rq->value);
        break;
    default:
        put_services(out, t->r->server);
    }
}

/* ------------------------------------------------------------------------------------ stream */

static void on_start(struct ccz_rpc_call *call, void *arg)
{
    const struct ccz_rpc_reflection *r = arg;
    struct talk *t = calloc(1, sizeof(*t) + cczi_desc_files_len(&r->pool));
    ccz_rpc_call_set_arg(call, t);
    if (!t)
        ccz_rpc_finish(call, CCZ_RPC_RESOURCE_EXHAUSTED, "out of memory");
    else
        t->r = r;
}

static void on_message(struct ccz_rpc_call *call, void *arg, struct ccz_span msg)
{
    struct talk *t = arg;
    struct request rq;
    if (!t)
        return;
    if (msg.size > REQUEST_SIZE_MAX) {
        ccz_rpc_finish(call, CCZ_RPC_RESOURCE_EXHAUSTED, "the request is too large");
        return;
    }
    if (!get_request(&rq, msg) || !rq.kind) {
        ccz_rpc_finish(call, CCZ_RPC_INVALID_ARGUMENT, "malformed ServerReflectionRequest");
        return;
    }
    if (ccz_rpc_pending(call) > CCZ_RPC_PENDING_HIGH) { /* stock clients read before they ask on */
        ccz_rpc_finish(call, CCZ_RPC_RESOURCE_EXHAUSTED, "the answers are not read");
        return;
    }
    CCZ_AUTO_BUF out;
    ccz_buf_init(&out, SIZE_MAX / 2);
    put_answer(&out, t, &rq);
    if (out.bad)
        ccz_rpc_finish(call, CCZ_RPC_RESOURCE_EXHAUSTED, "out of memory");
    else
        ccz_rpc_send(call, ccz_buf_span(&out));
}

static void on_half_close(struct ccz_rpc_call *call, void *arg)
{
    (void)arg;
    ccz_rpc_finish(call, CCZ_RPC_OK, NULL);
}

static void on_done(struct ccz_rpc_call *call, void *arg, bool cancelled)
{
    (void)call, (void)cancelled;
    free(arg);
}

/* ------------------------------------------------------------------------------------ object */

ccz_rc ccz_rpc_reflection_new(struct ccz_rpc_reflection **out, struct ccz_rpc_server *s,
                              struct ccz_err *err)
{
    static const struct ccz_rpc_handler handler = {.on_start = on_start,
                                                   .on_message = on_message,
                                                   .on_half_close = on_half_close,
                                                   .on_done = on_done};
    *out = NULL;
    CCZ_AUTO(ccz_rpc_reflection) r = calloc(1, sizeof(*r));
    if (!r)
        return ccz_fail(err, CCZ_E_NOMEM, "rpc:memory", 0, "out of memory");
    r->server = s;
    cczi_desc_init(&r->pool, CCZ_RPC_REFLECTION_SIZE_MAX);
    ccz_rc rc = cczi_desc_add(&r->pool, CCZ_SPAN(cczi_services_desc, cczi_services_desc_size), err);
    if (rc != CCZ_OK)
        return rc;
    static const char *const paths[] = {
        "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
        "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"};
    for (size_t i = 0; rc == CCZ_OK && i < sizeof(paths) / sizeof(paths[0]); i++)
        rc = ccz_rpc_server_add(s, paths[i], &handler, r);
    if (rc == CCZ_E_NOMEM)
        return ccz_fail(err, rc, "rpc:memory", 0, "out of memory");
    if (rc != CCZ_OK)
        return ccz_fail(err, rc, "rpc:reflection", 0,
                        "the server runs already or has a reflection service");
    *out = ccz_rpc_reflection_take(&r);
    return CCZ_OK;
}

void ccz_rpc_reflection_free(struct ccz_rpc_reflection *r)
{
    if (!r)
        return;
    cczi_desc_deinit(&r->pool);
    free(r);
}

ccz_rc ccz_rpc_reflection_add(struct ccz_rpc_reflection *r, struct ccz_span set,
                              struct ccz_err *err)
{
    if (cczi_server_running(r->server))
        return ccz_fail(err, CCZ_E_ARG, "rpc:reflection", 0, "the server runs already");
    return cczi_desc_add(&r->pool, set, err);
}
