# SPDX-License-Identifier: Apache-2.0
"""The C text of stubs: what is the same in each file, then what each kind of method needs. See protoc-gen-ccz."""
import re
import string

from ccz_proto import Failure

C_WORDS = """auto break case char const continue default do double else enum extern float for goto if inline int long register
restrict return short signed sizeof static struct switch typedef union unsigned void volatile while asm typeof
bool true false alignas alignof noreturn thread_local static_assert constexpr nullptr complex imaginary I
and and_eq bitand bitor catch class compl const_cast delete dynamic_cast explicit export friend mutable namespace new not
not_eq operator or or_eq private protected public reinterpret_cast static_cast template this throw try typeid typename using
virtual wchar_t xor xor_eq char8_t char16_t char32_t concept consteval constinit decltype noexcept requires
errno stdin stdout stderr assert offsetof setjmp unix linux i386 NULL EOF arg""".split()


# ------------------------------------------------------------------------------------------------------ names of protobuf-c

def lower(word):
    """HelloRequest -> hello_request, HTTPReq -> httpreq"""
    out, was_upper = "", True
    for c in word:
        out += "_" + c.lower() if c.isupper() and not was_upper else c.lower()
        was_upper = c.isupper()
    return out


def camel(word):
    """hello_v1 -> HelloV1"""
    return "".join(p[:1].upper() + p[1:] for p in word.split("_"))


def in_c(name, file):
    """The full name with the package that file says it has in C."""
    if file.c_package is None:
        return name
    return file.c_package.decode() + ("" if file.package else ".") + name[len(file.package):]


def parts(name):
    return [p for p in name.split(".") if p]


def stem(name):
    for end in (".protodevel", ".proto"):
        if name.endswith(end):
            return name[:-len(end)]
    return name


# ---------------------------------------------------------------------------------------------------------------- the text

HEAD = string.Template("""\
/* Made by protoc-gen-ccz from $file. How to use it: docs/reference/grpc.md of CCZoo. */
""")

HEADER = string.Template("""\
#ifndef $guard
#define $guard
#include "$stem.pb-c.h"

#include <cczoo/rpc.h>

#ifdef __cplusplus
extern "C" {
#endif

$body#ifdef __cplusplus
}
#endif
#endif
""")

FREE = string.Template("""\
#ifndef CCZ_STUBS_AUTO_$type
#define CCZ_STUBS_AUTO_$type
/** CCZ_AUTO($type) m = NULL; frees itself. */
static inline void ${type}_freep($type **m)
{
    protobuf_c_message_free_unpacked((ProtobufCMessage *)*m, NULL);
}
#endif
""")

DESCRIPTORS_H = string.Template("""\
/** google.protobuf.FileDescriptorSet of this file and all it imports, for server reflection; static. */
struct ccz_span ${id}_descriptors(void);

""")

COMMON = string.Template("""\
#include "$stem.ccz-rpc.h"

#include <stdlib.h>
#include <string.h>

/* ------------------------------------------------------------------- messages and their bytes */

/* Unpacked, a message is larger than its bytes: an element of two bytes may be a structure of a hundred. What unpacking may
 * allocate is bounded, and so is how deep messages that can hold themselves are nested (the unpacker is recursive). */
enum { STUB_MEMORY_MIN = 4 << 20, STUB_MEMORY_PER_BYTE = 64, STUB_NESTING_MAX = 100 };

struct stub_memory {
    ProtobufCAllocator allocator;
    size_t left;
    bool over, none;
};

static void *stub_alloc(void *arg, size_t size)
{
    struct stub_memory *m = (struct stub_memory *)arg;
    if (size > m->left) {
        m->over = true;
        return NULL;
    }
    m->left -= size;
    void *p = malloc(size);
    m->none |= !p;
    return p;
}

static void stub_release(void *arg, void *p)
{
    (void)arg;
    free(p);
}

static uint64_t stub_varint(struct ccz_rd *r)
{
    uint64_t v = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
        uint8_t byte = ccz_rd_u8(r);
        v |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80)
            return v;
    }
    r->bad = true;
    return 0;
}

/* The next field. If it is a message: its descriptor, and its bytes in *inner. */
static const ProtobufCMessageDescriptor *
stub_field(struct ccz_span *inner, const ProtobufCMessageDescriptor *d, struct ccz_rd *r)
{
    uint64_t tag = stub_varint(r), size;
    const ProtobufCFieldDescriptor *f = NULL;
    switch (tag & 7) {
    case 0:
        (void)stub_varint(r);
        return NULL;
    case 1:
        (void)ccz_rd_take(r, 8);
        return NULL;
    case 2:
        size = stub_varint(r);
        *inner = ccz_rd_take(r, size > r->left ? SIZE_MAX : (size_t)size);
        if (tag >> 3 <= UINT32_MAX)
            f = protobuf_c_message_descriptor_get_field(d, (unsigned)(tag >> 3));
        return f && f->type == PROTOBUF_C_TYPE_MESSAGE && !r->bad
                   ? (const ProtobufCMessageDescriptor *)f->descriptor
                   : NULL;
    case 5:
        (void)ccz_rd_take(r, 4);
        return NULL;
    default: /* groups, which protobuf-c does not know */
        r->bad = true;
        return NULL;
    }
}

/* Levels of messages in @p bytes, at most one more than allowed; 0 if they are malformed. */
static size_t stub_nesting(const ProtobufCMessageDescriptor *d, struct ccz_span bytes)
{
    struct {
        const ProtobufCMessageDescriptor *d;
        struct ccz_rd r;
    } at[STUB_NESTING_MAX] = {{d, ccz_rd_from(bytes)}};
    size_t level = 0, deepest = 1;
    for (;;) {
        struct ccz_span inner = {0};
        while (at[level].r.left == 0) {
            if (level-- == 0)
                return deepest;
        }
        const ProtobufCMessageDescriptor *next = stub_field(&inner, at[level].d, &at[level].r);
        if (at[level].r.bad)
            return 0;
        if (!next)
            continue;
        if (level + 1 == STUB_NESTING_MAX)
            return STUB_NESTING_MAX + 1;
        at[++level].d = next;
        at[level].r = ccz_rd_from(inner);
        deepest = level + 1 > deepest ? level + 1 : deepest;
    }
}

/* @param nested  the type can hold itself, so that the depth has to be looked at */
static ccz_rc stub_unpack(ProtobufCMessage **out, const ProtobufCMessageDescriptor *d, bool nested,
                          struct ccz_span bytes, const char *where, struct ccz_err *err)
{
    size_t depth = nested ? stub_nesting(d, bytes) : 1;
    size_t most = bytes.size > SIZE_MAX / STUB_MEMORY_PER_BYTE ? SIZE_MAX
                                                               : bytes.size * STUB_MEMORY_PER_BYTE;
    struct stub_memory m = {.allocator = {stub_alloc, stub_release, &m},
                            .left = most > STUB_MEMORY_MIN ? most : STUB_MEMORY_MIN};
    *out = NULL;
    if (depth > STUB_NESTING_MAX)
        return ccz_fail(err, CCZ_E_LIMIT, where, STUB_NESTING_MAX, "%s nested more than %d deep", d->name,
                        STUB_NESTING_MAX);
    if (depth)
        *out = protobuf_c_message_unpack(d, &m.allocator, bytes.size,
                                         bytes.size ? bytes.ptr : (const uint8_t *)"");
    if (*out)
        return CCZ_OK;
    if (m.over)
        return ccz_fail(err, CCZ_E_LIMIT, where, (int64_t)bytes.size,
                        "%s of %zu bytes needs too much memory", d->name, bytes.size);
    if (m.none)
        return ccz_fail(err, CCZ_E_NOMEM, where, (int64_t)bytes.size, "no memory for %s of %zu bytes",
                        d->name, bytes.size);
    return ccz_fail(err, CCZ_E_FORMAT, where, (int64_t)bytes.size, "%zu bytes are no %s", bytes.size,
                    d->name);
}

static ccz_rc stub_pack(struct ccz_buf *out, const ProtobufCMessage *m, const char *where,
                        struct ccz_err *err)
{
    ccz_buf_init(out, UINT32_MAX);
    if (!protobuf_c_message_check(m))
        return ccz_fail(err, CCZ_E_INTERNAL, where, 0,
                        "the message is not initialised, or a pointer that it needs is NULL");
    size_t size = protobuf_c_message_get_packed_size(m);
    uint8_t *p = size ? ccz_buf_extend(out, size) : NULL;
    if (p)
        (void)protobuf_c_message_pack(m, p);
    return out->bad ? ccz_fail(err, CCZ_E_NOMEM, where, (int64_t)size,
                               "no memory for %s of %zu bytes", m->descriptor->name, size)
                    : CCZ_OK;
}

static ProtobufCMessage *stub_copy(const ProtobufCMessage *m)
{
    CCZ_AUTO_BUF bytes;
    ProtobufCMessage *copy = NULL;
    ccz_rc rc = stub_pack(&bytes, m, "stub:copy", NULL);
    if (rc == CCZ_OK)
        rc = stub_unpack(&copy, m->descriptor, false, ccz_buf_span(&bytes), "stub:copy", NULL);
    return rc == CCZ_OK ? copy : NULL;
}

/* ------------------------------------------------------------------------------------- server */

static ProtobufCMessage *stub_request(struct ccz_rpc_call *call, const ProtobufCMessageDescriptor *d,
                                      bool nested, struct ccz_span bytes)
{
    ProtobufCMessage *m;
    struct ccz_err err = {0};
    if (stub_unpack(&m, d, nested, bytes, "stub:request", &err) != CCZ_OK)
        ccz_rpc_fail(call, &err);
    return m;
}

static void stub_respond(struct ccz_rpc_call *call, const ProtobufCMessage *m, bool last)
{
    CCZ_AUTO_BUF bytes;
    struct ccz_err err = {0};
    if (stub_pack(&bytes, m, "stub:response", &err) != CCZ_OK)
        ccz_rpc_fail(call, &err);
    else if (last)
        ccz_rpc_reply(call, ccz_buf_span(&bytes));
    else
        ccz_rpc_send(call, ccz_buf_span(&bytes));
}

""")

STREAM_SERVER = """\
/* A call of a streaming method: what its handler keeps of it, and ours. */
struct stub_call {
    const void *service;
    void *state;
    ProtobufCMessage *request; /* server streaming: until the client's end of sending */
    bool begun, over;
};

/* NULL: no memory, and the call has ended. */
static struct stub_call *stub_call_new(struct ccz_rpc_call *call, const void *service)
{
    struct stub_call *c = (struct stub_call *)calloc(1, sizeof(*c));
    ccz_rpc_call_set_arg(call, c);
    if (c)
        c->service = service;
    else
        ccz_rpc_finish(call, CCZ_RPC_RESOURCE_EXHAUSTED, "no memory for the call");
    return c;
}

static void stub_call_free(struct stub_call *c)
{
    if (c)
        protobuf_c_message_free_unpacked(c->request, NULL);
    free(c);
}

"""

SERVER_STREAMING = """\
static void stub_only_request(struct ccz_rpc_call *call, struct stub_call *c,
                              const ProtobufCMessageDescriptor *d, bool nested, struct ccz_span bytes)
{
    if (!c || c->over)
        return;
    if (c->request)
        ccz_rpc_finish(call, CCZ_RPC_UNIMPLEMENTED, "more than one message where one is expected");
    else
        c->request = stub_request(call, d, nested, bytes);
    c->over = !c->request;
}

static void stub_stream_start(struct ccz_rpc_call *call, void *arg)
{
    (void)stub_call_new(call, arg);
}

/* The client has sent all: @return true if there is a request to answer */
static bool stub_stream_begins(struct ccz_rpc_call *call, struct stub_call *c)
{
    if (!c || c->over)
        return false;
    c->begun = c->request != NULL;
    if (!c->begun)
        ccz_rpc_finish(call, CCZ_RPC_UNIMPLEMENTED, "no message where one is expected");
    return c->begun;
}

"""

CLIENT = """\
/* ------------------------------------------------------------------------------------- client */

static ccz_rc stub_response(ProtobufCMessage **out, struct ccz_rpc_result *result,
                            const ProtobufCMessageDescriptor *d, bool nested, struct ccz_span bytes,
                            struct ccz_err *err)
{
    ccz_rc rc = stub_unpack(out, d, nested, bytes, "stub:response", err);
    if (rc != CCZ_OK && result)
        result->code = CCZ_RPC_INTERNAL;
    return rc;
}

"""

CLIENT_UNARY = """\
static ccz_rc stub_unary(ProtobufCMessage **out, struct ccz_rpc_result *result,
                         struct ccz_rpc_client *c, const char *path, const ProtobufCMessage *request,
                         const ProtobufCMessageDescriptor *d, bool nested,
                         const struct ccz_rpc_call_cfg *cfg, struct ccz_err *err)
{
    CCZ_AUTO_BUF sent;
    CCZ_AUTO_BUF got;
    *out = NULL;
    ccz_buf_init(&got, UINT32_MAX);
    if (result)
        *result = (struct ccz_rpc_result){.code = CCZ_RPC_INTERNAL}; /* if it is not even sent */
    ccz_rc rc = stub_pack(&sent, request, "stub:request", err);
    if (rc == CCZ_OK)
        rc = ccz_rpc_unary(&got, result, c, path, ccz_buf_span(&sent), cfg, err);
    return rc == CCZ_OK ? stub_response(out, result, d, nested, ccz_buf_span(&got), err) : rc;
}

"""

CLIENT_SEND = """\
static ccz_rc stub_send(struct ccz_rpc_stream *s, const ProtobufCMessage *m)
{
    CCZ_AUTO_BUF bytes;
    ccz_rc rc = stub_pack(&bytes, m, "stub:request", NULL);
    return rc == CCZ_OK ? ccz_rpc_stream_send(s, ccz_buf_span(&bytes)) : rc;
}

"""

CLIENT_RECV = """\
static ccz_rc stub_recv(ProtobufCMessage **out, struct ccz_rpc_result *result, struct ccz_rpc_stream *s,
                        const ProtobufCMessageDescriptor *d, bool nested, struct ccz_err *err)
{
    CCZ_AUTO_BUF bytes;
    *out = NULL;
    if (result)
        *result = (struct ccz_rpc_result){0};
    ccz_buf_init(&bytes, UINT32_MAX);
    ccz_rc rc = ccz_rpc_stream_recv(&bytes, s, result, err);
    return rc == CCZ_OK ? stub_response(out, result, d, nested, ccz_buf_span(&bytes), err) : rc;
}

"""

CLIENT_STREAMING = """\
static ccz_rc stub_broken(ProtobufCMessage **out, struct ccz_rpc_result *result, const char *msg,
                          struct ccz_err *err)
{
    protobuf_c_message_free_unpacked(*out, NULL);
    *out = NULL;
    result->code = CCZ_RPC_INTERNAL;
    return ccz_fail(err, CCZ_E_PEER, "stub:response", 0, "%s", msg);
}

/* One response, then the status. */
static ccz_rc stub_finish(ProtobufCMessage **out, struct ccz_rpc_result *result,
                          struct ccz_rpc_stream *s, const ProtobufCMessageDescriptor *d, bool nested,
                          struct ccz_err *err)
{
    struct ccz_rpc_result own;
    ProtobufCMessage *more = NULL;
    *out = NULL;
    result = result ? result : &own;
    ccz_rc rc = ccz_rpc_stream_half_close(s);
    if (rc != CCZ_OK && rc != CCZ_E_CLOSED) /* a call that is over says so below */
        return ccz_fail(err, rc, "stub:request", 0, "the end of the requests could not be sent");
    rc = stub_recv(out, result, s, d, nested, err);
    if (rc == CCZ_E_NOT_FOUND && result->code == CCZ_RPC_OK)
        return stub_broken(out, result, "the call ended well, but without a response", err);
    if (rc != CCZ_OK)
        return rc;
    rc = stub_recv(&more, result, s, d, nested, err);
    if (rc == CCZ_OK) {
        protobuf_c_message_free_unpacked(more, NULL);
        return stub_broken(out, result, "more than one response", err);
    }
    if (rc == CCZ_E_NOT_FOUND && result->code == CCZ_RPC_OK) /* not the status NOT_FOUND */
        return CCZ_OK;
    protobuf_c_message_free_unpacked(*out, NULL);
    *out = NULL;
    return rc;
}

"""
# ------------------------------------------------------------------------------------------------------------- each service

SERVICE_H = string.Template("""\
/* --------------------------------------------------------------- $full_name */

#define ${P}_NAME "$full_name"
$paths
/** What a server does. Functions run on the loop of the call's connection and must not wait (rpc.h). Messages are the
 *  stub's, until the function returns: ..._copy() keeps one. Methods without a function are UNIMPLEMENTED.$comment */
struct ${p}_service {
    void *arg; /**< for the functions */
$members};
/** @param service  borrowed; outlives the server @retval those of ccz_rpc_server_add() */
CCZ_MUST_USE ccz_rc ${p}_register(struct ccz_rpc_server *s, const struct ${p}_service *service);

""")

MEMBER = {
    "unary": string.Template("""\
    /** $Name, unary: ends with ${f}_reply() or ccz_rpc_fail(), now or later (ccz_rpc_call_ref()).$comment */
    void (*$member)(struct ccz_rpc_call *call, void *arg, const $In *request);
"""),
    "server": string.Template("""\
    /** $Name, one request, a stream of responses: ${f}_write(), then ccz_rpc_finish() or ccz_rpc_fail().$comment */
    struct {
        /** Required. @return what the others get as `state` */
        void *(*on_request)(struct ccz_rpc_call *call, void *arg, const $In *request);
        void (*on_writable)(struct ccz_rpc_call *call, void *state); /**< as in rpc.h */
        /** Once, last, if on_request() was called: the state may be freed. */
        void (*on_done)(struct ccz_rpc_call *call, void *state, bool cancelled);
    } $member;
"""),
    "streams": string.Template("""\
    /** $Name, a stream of requests, $answer.$comment */
    struct {
        /** @return what the others get as `state`; without it, that is arg */
        void *(*on_start)(struct ccz_rpc_call *call, void *arg);
        void (*on_message)(struct ccz_rpc_call *call, void *state, const $In *message); /**< required */
        void (*on_half_close)(struct ccz_rpc_call *call, void *state); /**< the client has sent all */
        void (*on_writable)(struct ccz_rpc_call *call, void *state);   /**< as in rpc.h */
        /** Once, last: the state may be freed. */
        void (*on_done)(struct ccz_rpc_call *call, void *state, bool cancelled);
    } $member;
"""),
}
ANSWER = {"client": "one response: ${f}_reply() or ccz_rpc_fail()",
          "bidi": "a stream of responses: ${f}_write(), then ccz_rpc_finish() or ccz_rpc_fail()"}

COPY_H = string.Template("""\
/** Of a request that has to live longer; freed by CCZ_AUTO($In). NULL: no memory. */
$In *${f}_copy(const $In *request);
""")
REPLY_H = string.Template("""\
/** Sends the response and ends the call with OK; any thread, as ccz_rpc_reply(). If it cannot be encoded, the call fails. */
void ${f}_reply(struct ccz_rpc_call *call, const $Out *response);
""")
WRITE_H = string.Template("""\
/** Sends one response of the stream; any thread, as ccz_rpc_send(). If it cannot be encoded, the call fails. */
void ${f}_write(struct ccz_rpc_call *call, const $Out *response);
""")

CLIENT_H = {
    "unary": string.Template("""\
/** Blocking, as ccz_rpc_unary(). @param[out] response  CCZ_AUTO($Out); NULL unless CCZ_OK
 *  @retval CCZ_E_FORMAT, CCZ_E_LIMIT  "stub:response": what came back is no $Out */
CCZ_MUST_USE ccz_rc ${f}_call($Out **response, struct ccz_rpc_result *result, struct ccz_rpc_client *c,
                              const $In *request, const struct ccz_rpc_call_cfg *cfg, struct ccz_err *err);
/** @p response and @p err are borrowed: one of them is NULL. */
typedef void (*${f}_fn)(void *arg, const $Out *response, const struct ccz_rpc_result *result,
                        const struct ccz_err *err);
/** As ccz_rpc_unary_async(). */
CCZ_MUST_USE ccz_rc ${f}_async(struct ccz_rpc_client *c, const $In *request,
                               const struct ccz_rpc_call_cfg *cfg, ${f}_fn done, void *arg);

"""),
    "server": string.Template("""\
/** A call of $Name by a client; threads as in rpc.h. */
struct $f;
CCZ_MUST_USE ccz_rc ${f}_open(struct $f **out, struct ccz_rpc_client *c, const $In *request,
                              const struct ccz_rpc_call_cfg *cfg, struct ccz_err *err);
$recv$rest"""),
    "client": string.Template("""\
/** A call of $Name by a client; threads as in rpc.h. */
struct $f;
$open$send/** No more requests: waits for the response. @retval CCZ_E_PEER  "stub:response": none, or more than one
 *  @retval CCZ_E_FORMAT, CCZ_E_LIMIT  "stub:response" */
CCZ_MUST_USE ccz_rc ${f}_finish($Out **response, struct ccz_rpc_result *result, struct $f *s,
                                struct ccz_err *err);
$rest"""),
    "bidi": string.Template("""\
/** A call of $Name by a client; threads as in rpc.h. */
struct $f;
$open${send}CCZ_MUST_USE ccz_rc ${f}_close(struct $f *s); /**< no more requests */
$recv$rest"""),
}
CLIENT_PARTS_H = {
    "open": """\
CCZ_MUST_USE ccz_rc ${f}_open(struct $f **out, struct ccz_rpc_client *c, const struct ccz_rpc_call_cfg *cfg,
                              struct ccz_err *err);
""",
    "send": """\
/** As ccz_rpc_stream_send(). @retval CCZ_E_INTERNAL, CCZ_E_NOMEM  it cannot be encoded */
CCZ_MUST_USE ccz_rc ${f}_send(struct $f *s, const $In *request);
""",
    "recv": """\
/** As ccz_rpc_stream_recv(): CCZ_E_NOT_FOUND with result->code CCZ_RPC_OK is the end.
 *  @retval CCZ_E_FORMAT, CCZ_E_LIMIT  "stub:response" */
CCZ_MUST_USE ccz_rc ${f}_recv($Out **response, struct ccz_rpc_result *result, struct $f *s,
                              struct ccz_err *err);
""",
    "rest": """\
/** The stream as bytes, for what rpc.h can do with it. */
static inline struct ccz_rpc_stream *${f}_raw(struct $f *s)
{
    return (struct ccz_rpc_stream *)s;
}
static inline void ${f}_cancel(struct $f *s)
{
    ccz_rpc_stream_cancel(${f}_raw(s));
}
/** Cancels what is still open. */
static inline void ${f}_free(struct $f *s)
{
    ccz_rpc_stream_free(${f}_raw(s));
}
CCZ_DEFINE_AUTO($f)

""",
}

SERVER_C = {
    "unary": string.Template("""\
static void ${f}_on_request(struct ccz_rpc_call *call, void *arg, struct ccz_span bytes)
{
    const struct ${p}_service *service = (const struct ${p}_service *)arg;
    ProtobufCMessage *m = stub_request(call, &$in_d, $in_nested, bytes);
    if (m)
        service->$member(call, service->arg, (const $In *)m);
    protobuf_c_message_free_unpacked(m, NULL);
}

"""),
    "server": string.Template("""\
static void ${f}_on_message(struct ccz_rpc_call *call, void *arg, struct ccz_span bytes)
{
    stub_only_request(call, (struct stub_call *)arg, &$in_d, $in_nested, bytes);
}

static void ${f}_on_half_close(struct ccz_rpc_call *call, void *arg)
{
    struct stub_call *c = (struct stub_call *)arg;
    if (!stub_stream_begins(call, c))
        return;
    const struct ${p}_service *service = (const struct ${p}_service *)c->service;
    c->state = service->$member.on_request(call, service->arg, (const $In *)c->request);
    protobuf_c_message_free_unpacked(c->request, NULL);
    c->request = NULL;
}

static void ${f}_on_writable(struct ccz_rpc_call *call, void *arg)
{
    struct stub_call *c = (struct stub_call *)arg;
    const struct ${p}_service *service = c ? (const struct ${p}_service *)c->service : NULL;
    if (service && c->begun && service->$member.on_writable)
        service->$member.on_writable(call, c->state);
}

static void ${f}_on_done(struct ccz_rpc_call *call, void *arg, bool cancelled)
{
    struct stub_call *c = (struct stub_call *)arg;
    const struct ${p}_service *service = c ? (const struct ${p}_service *)c->service : NULL;
    if (service && c->begun && service->$member.on_done)
        service->$member.on_done(call, c->state, cancelled);
    stub_call_free(c);
}

"""),
    "streams": string.Template("""\
static void ${f}_on_start(struct ccz_rpc_call *call, void *arg)
{
    const struct ${p}_service *service = (const struct ${p}_service *)arg;
    struct stub_call *c = stub_call_new(call, service);
    if (c)
        c->state = service->$member.on_start ? service->$member.on_start(call, service->arg)
                                             : service->arg;
}

static void ${f}_on_message(struct ccz_rpc_call *call, void *arg, struct ccz_span bytes)
{
    struct stub_call *c = (struct stub_call *)arg;
    if (!c || c->over)
        return;
    ProtobufCMessage *m = stub_request(call, &$in_d, $in_nested, bytes);
    c->over = !m;
    if (m)
        ((const struct ${p}_service *)c->service)->$member.on_message(call, c->state, (const $In *)m);
    protobuf_c_message_free_unpacked(m, NULL);
}

static void ${f}_on_half_close(struct ccz_rpc_call *call, void *arg)
{
    struct stub_call *c = (struct stub_call *)arg;
    const struct ${p}_service *service = c ? (const struct ${p}_service *)c->service : NULL;
    if (service && !c->over && service->$member.on_half_close)
        service->$member.on_half_close(call, c->state);
}

static void ${f}_on_writable(struct ccz_rpc_call *call, void *arg)
{
    struct stub_call *c = (struct stub_call *)arg;
    const struct ${p}_service *service = c ? (const struct ${p}_service *)c->service : NULL;
    if (service && service->$member.on_writable)
        service->$member.on_writable(call, c->state);
}

static void ${f}_on_done(struct ccz_rpc_call *call, void *arg, bool cancelled)
{
    struct stub_call *c = (struct stub_call *)arg;
    const struct ${p}_service *service = c ? (const struct ${p}_service *)c->service : NULL;
    if (service && service->$member.on_done)
        service->$member.on_done(call, c->state, cancelled);
    stub_call_free(c);
}

"""),
}
COPY_C = string.Template("""\
$In *${f}_copy(const $In *request)
{
    return ($In *)stub_copy((const ProtobufCMessage *)request);
}

""")
REPLY_C = string.Template("""\
void ${f}_reply(struct ccz_rpc_call *call, const $Out *response)
{
    stub_respond(call, (const ProtobufCMessage *)response, true);
}

""")
WRITE_C = string.Template("""\
void ${f}_write(struct ccz_rpc_call *call, const $Out *response)
{
    stub_respond(call, (const ProtobufCMessage *)response, false);
}

""")
REGISTER_C = string.Template("""\
ccz_rc ${p}_register(struct ccz_rpc_server *s, const struct ${p}_service *service)
{
    void *arg = (void *)(uintptr_t)service; /* read only */
    ccz_rc rc = CCZ_OK;
$methods    return rc;
}

""")
REGISTER_ONE = {
    "unary": string.Template("""\
    if (rc == CCZ_OK && service->$member)
        rc = ccz_rpc_server_add_unary(s, ${F}_PATH, ${f}_on_request, arg);
"""),
    "stream": string.Template("""\
    if (rc == CCZ_OK && service->$member.$required)
        rc = ccz_rpc_server_add(s, ${F}_PATH,
                                &(struct ccz_rpc_handler){.on_start = $start,
                                                          .on_message = ${f}_on_message,
                                                          .on_half_close = ${f}_on_half_close,
                                                          .on_writable = ${f}_on_writable,
                                                          .on_done = ${f}_on_done},
                                arg);
"""),
}
CALL_C = string.Template("""\
ccz_rc ${f}_call($Out **response, struct ccz_rpc_result *result, struct ccz_rpc_client *c,
                 const $In *request, const struct ccz_rpc_call_cfg *cfg, struct ccz_err *err)
{
    ProtobufCMessage *m;
    ccz_rc rc = stub_unary(&m, result, c, ${F}_PATH, (const ProtobufCMessage *)request, &$out_d,
                           $out_nested, cfg, err);
    *response = ($Out *)m;
    return rc;
}

struct ${f}_wait {
    ${f}_fn done;
    void *arg;
};

static void ${f}_on_response(void *arg, struct ccz_span bytes, const struct ccz_rpc_result *result,
                             const struct ccz_err *err)
{
    struct ${f}_wait wait = *(struct ${f}_wait *)arg;
    ProtobufCMessage *m = NULL;
    struct ccz_rpc_result told = {0};
    struct ccz_err own = {0};
    free(arg);
    if (result)
        told = *result;
    if (!err && stub_response(&m, &told, &$out_d, $out_nested, bytes, &own) != CCZ_OK)
        err = &own;
    wait.done(wait.arg, (const $Out *)m, &told, err);
    protobuf_c_message_free_unpacked(m, NULL);
}

ccz_rc ${f}_async(struct ccz_rpc_client *c, const $In *request, const struct ccz_rpc_call_cfg *cfg,
                  ${f}_fn done, void *arg)
{
    CCZ_AUTO_BUF bytes;
    ccz_rc rc = stub_pack(&bytes, (const ProtobufCMessage *)request, "stub:request", NULL);
    if (rc != CCZ_OK)
        return rc;
    struct ${f}_wait *wait = (struct ${f}_wait *)malloc(sizeof(*wait));
    if (!wait)
        return CCZ_E_NOMEM;
    *wait = (struct ${f}_wait){done, arg};
    rc = ccz_rpc_unary_async(c, ${F}_PATH, ccz_buf_span(&bytes), cfg, ${f}_on_response, wait);
    if (rc != CCZ_OK)
        free(wait);
    return rc;
}

""")
OPEN_C = string.Template("""\
ccz_rc ${f}_open(struct $f **out, struct ccz_rpc_client *c, const struct ccz_rpc_call_cfg *cfg,
                 struct ccz_err *err)
{
    struct ccz_rpc_stream *s = NULL;
    ccz_rc rc = ccz_rpc_stream_open(&s, c, ${F}_PATH, cfg, err);
    *out = (struct $f *)s;
    return rc;
}

""")
OPEN_WITH_C = string.Template("""\
ccz_rc ${f}_open(struct $f **out, struct ccz_rpc_client *c, const $In *request,
                 const struct ccz_rpc_call_cfg *cfg, struct ccz_err *err)
{
    CCZ_AUTO_BUF bytes;
    CCZ_AUTO(ccz_rpc_stream) s = NULL;
    *out = NULL;
    ccz_rc rc = stub_pack(&bytes, (const ProtobufCMessage *)request, "stub:request", err);
    if (rc == CCZ_OK)
        rc = ccz_rpc_stream_open(&s, c, ${F}_PATH, cfg, err);
    if (rc != CCZ_OK)
        return rc;
    rc = ccz_rpc_stream_send(s, ccz_buf_span(&bytes));
    if (rc == CCZ_OK)
        rc = ccz_rpc_stream_half_close(s);
    if (rc != CCZ_OK && rc != CCZ_E_CLOSED) /* a call that is over: receiving says how it ended */
        return ccz_fail(err, rc, "stub:request", 0, "the request could not be sent");
    *out = (struct $f *)ccz_rpc_stream_take(&s);
    return CCZ_OK;
}

""")
SEND_C = string.Template("""\
ccz_rc ${f}_send(struct $f *s, const $In *request)
{
    return stub_send(${f}_raw(s), (const ProtobufCMessage *)request);
}

""")
CLOSE_C = string.Template("""\
ccz_rc ${f}_close(struct $f *s)
{
    return ccz_rpc_stream_half_close(${f}_raw(s));
}

""")
RECV_C = string.Template("""\
ccz_rc ${f}_$verb($Out **response, struct ccz_rpc_result *result, struct $f *s, struct ccz_err *err)
{
    ProtobufCMessage *m;
    ccz_rc rc = $how(&m, result, ${f}_raw(s), &$out_d, $out_nested, err);
    *response = ($Out *)m;
    return rc;
}

""")


def kind(method):
    return {(0, 0): "unary", (0, 1): "server", (1, 0): "client", (1, 1): "bidi"}[
        method.client_streams, method.server_streams]


def comment_text(text):
    return "".join("\n     *  " + line.strip() for line in text.splitlines() if line.strip())


class Names:
    """Two methods may differ in the .proto and be called the same in C."""

    def __init__(self):
        self.owner = {}

    def claim(self, name, owner):
        other = self.owner.setdefault(name, owner)
        if other != owner:
            raise Failure(f"{other} and {owner} are both called {name} in C; rename one")


def values(service, method, file, types, names):
    p = "_".join(lower(x) for x in parts(in_c(service.full_name, file)))
    m = lower(method.name)
    member = m + "_" if m in C_WORDS else m
    m = m + "_" if m == "service" else m  # struct p_service is taken
    f = f"{p}_{m}"
    full = f"{service.full_name}.{method.name}"
    for name in (f, f.upper()):
        names.claim(name, full)
    names.claim(f"{p}.{member}", full)
    v = {"p": p, "P": p.upper(), "f": f, "F": f.upper(), "member": member, "Name": method.name,
         "comment": comment_text(method.comment)}
    for key, name in (("in", method.input), ("out", method.output)):
        if name not in types:
            raise Failure(f"{full}: message {name} is not in what protoc handed over")
        owner, nested = types[name]
        pieces = parts(in_c(name, owner))
        v[key.capitalize()] = "__".join(camel(x) for x in pieces)
        v[f"{key}_d"] = "__".join(lower(x) for x in pieces) + "__descriptor"
        v[f"{key}_nested"] = "true" if nested else "false"
    return v


def header_of(service, methods):
    v = methods[0][1] if methods else None
    if not v:
        return ""
    paths = "".join(f'#define {m["F"]}_PATH "/{service.full_name}/{m["Name"]}"\n' for _, m in methods)
    members = ""
    for k, m in methods:
        answer = string.Template(ANSWER.get(k, "")).substitute(m)
        members += MEMBER.get(k, MEMBER["streams"]).substitute(m, answer=answer)
    text = SERVICE_H.substitute(v, full_name=service.full_name, paths=paths, members=members,
                                comment=comment_text(service.comment).replace("\n     *", "\n *"))
    for k, m in methods:
        text += COPY_H.substitute(m)
        text += (REPLY_H if k in ("unary", "client") else WRITE_H).substitute(m)
        pieces = {name: string.Template(t).substitute(m) for name, t in CLIENT_PARTS_H.items()}
        text += CLIENT_H[k].substitute(m, **pieces)
    return text


def source_of(methods):
    text, registers = "", ""
    for k, m in methods:
        text += SERVER_C.get(k, SERVER_C["streams"]).substitute(m) + COPY_C.substitute(m)
        text += (REPLY_C if k in ("unary", "client") else WRITE_C).substitute(m)
        if k == "unary":
            registers += REGISTER_ONE["unary"].substitute(m)
            text += CALL_C.substitute(m)
            continue
        server = k == "server"
        registers += REGISTER_ONE["stream"].substitute(
            m, required="on_request" if server else "on_message",
            start="stub_stream_start" if server else m["f"] + "_on_start")
        text += (OPEN_WITH_C if server else OPEN_C).substitute(m)
        if not server:
            text += SEND_C.substitute(m)
        if k == "bidi":
            text += CLOSE_C.substitute(m)
        verb, how = ("finish", "stub_finish") if k == "client" else ("recv", "stub_recv")
        text += RECV_C.substitute(m, verb=verb, how=how)
    return text + REGISTER_C.substitute(methods[0][1], methods=registers) if methods else text


def with_imports(file, files, seen):
    """Imports first, each once."""
    if file.name in seen:
        return []
    seen.add(file.name)
    return [f for i in file.imports for f in with_imports(files[i], files, seen)] + [file]


def descriptor_set(file, files):
    from ccz_proto import put
    data = b"".join(put(1, f.raw) for f in with_imports(file, files, set()))
    rows = [", ".join(f"0x{b:02x}" for b in data[i:i + 16]) for i in range(0, len(data), 16)]
    return "    " + ",\n    ".join(rows)


def make(file, files, types, descriptors):
    """(suffix, text) of the two files."""
    names = Names()
    services = []
    for s in file.services:
        services.append((s, [(kind(m), values(s, m, file, types, names)) for m in s.methods]))
        names.claim("_".join(lower(x) for x in parts(in_c(s.full_name, file))) + "_service", s.full_name)
    kinds = {k for _, methods in services for k, _ in methods}
    v = {"file": file.name, "stem": stem(file.name), "id": re.sub(r"\W", "_", stem(file.name))}
    auto = {m[t] for _, methods in services for _, m in methods for t in ("In", "Out")}
    body = "".join(FREE.substitute(type=t) for t in sorted(auto)) + ("\n" if auto else "")
    if descriptors:
        body += DESCRIPTORS_H.substitute(v)
    body += "".join(header_of(s, methods) for s, methods in services)
    guard = "CCZ_STUBS_" + re.sub(r"\W", "_", stem(file.name)).upper() + "_H"
    header = HEAD.substitute(v) + HEADER.substitute(v, guard=guard, body=body)

    text = HEAD.substitute(v)
    if kinds:
        text += COMMON.substitute(v)
        text += STREAM_SERVER if kinds - {"unary"} else ""
        text += SERVER_STREAMING if "server" in kinds else ""
        text += CLIENT
        text += CLIENT_UNARY if "unary" in kinds else ""
        text += CLIENT_SEND if kinds & {"client", "bidi"} else ""
        text += CLIENT_RECV if kinds - {"unary"} else ""
        text += CLIENT_STREAMING if "client" in kinds else ""
    else:
        text += f'#include "{v["stem"]}.ccz-rpc.h"\n\n'
    for s, methods in services:
        if methods:
            text += f"/* {'-' * 60} {s.full_name} */\n\n" + source_of(methods)
    if descriptors:
        text += (f"static const uint8_t stub_descriptors[] = {{\n{descriptor_set(file, files)}}};\n\n"
                 f"struct ccz_span {v['id']}_descriptors(void)\n{{\n"
                 "    return CCZ_SPAN(stub_descriptors, sizeof(stub_descriptors));\n}\n")
    return (".ccz-rpc.h", header), (".ccz-rpc.c", text)
