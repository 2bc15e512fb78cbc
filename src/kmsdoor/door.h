/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZI_KMSDOOR_DOOR_H
#define CCZI_KMSDOOR_DOOR_H
/*
 * What a door of another protocol builds on. How to add one:
 *
 *  1. A file (or several) of its own: src/kmsdoor/<name>.c. Public: ccz_rc ccz_kms_door_<name>(struct ccz_kms_door *d,
 *     const struct ccz_kms_door_<name>_cfg *cfg, struct ccz_err *err) in a header of its own, include/cczoo/kms_door_<name>.h,
 *     called between ccz_kms_door_new() and ccz_kms_door_start(). It calls cczi_door_route() for each path.
 *  2. State of the door: made there, handed to the routes as `arg`; cczi_door_at_free() frees it.
 *  3. A handler runs on the door's thread and must not block. It answers once, now or later, by one of the
 *     cczi_door_reply functions, on the door's thread; after that the request is gone.
 *  4. What needs the store goes through cczi_door_call(): never around the service. The answer comes back on the door's thread.
 *  5. Work of more than a millisecond or so goes to cczi_door_work().
 *  6. Evidence in a body: verify it, fill in a struct ccz_ratls_peer (attested, fresh only if it is bound to a nonce of ours),
 *     give it to the call. Never set `pinned` beside `attested`. cczi_door_workload() before each call that it makes.
 *
 * Done for all routes before the handler: limits of sizes, connections and rates, refusal of unsound paths, who calls, and that
 * what changes something was not sent by a page of another site.
 * A client that has gone changes nothing for the handler: replies then do nothing but free the request.
 */
#include <cczoo/kms_door.h>
#include <cczoo/net.h>
#include <cczoo/ratls.h>

/* ------------------------------------------------------------------------------ requests */

enum cczi_door_kind {
    CCZI_DOOR_NOBODY = 0,
    CCZI_DOOR_PINNED, /* a client certificate: its holder has that key, nothing more is known */
    CCZI_DOOR_TOKEN   /* a verified token of a configured issuer */
};
/* Who calls. Whether they may do anything is for the handler of the KMS to say, which looks the id up. */
struct cczi_door_auth {
    enum cczi_door_kind kind;
    uint8_t id[32]; /* SHA-256 of the SPKI, or ccz_kms_door_subject() */
    struct ccz_ratls_peer
        peer; /* the same for ccz_kms_request: pinned and spki_sha256 set unless NOBODY */
};

enum { CCZI_DOOR_DECISION_SIZE = 24 };
struct cczi_door_req {
    struct ccz_http_req *http; /* method, query, headers, body: valid until the reply */
    struct ccz_kms_door *door;
    const char *path; /* as sent, %-encoded, begins with that of the route */
    const char
        *rest; /* what is behind that: "" for exact routes. ccz_http_decode() it, piece by piece */
    const char *address; /* of the client, "ip:port" */
    struct cczi_door_auth auth;
    /* "D17": the audit line of the last call of the KMS, if that was refused; "" = none. Refusals name it by themselves. */
    char decision[CCZI_DOOR_DECISION_SIZE];
};
typedef void (*cczi_door_fn)(struct cczi_door_req *r, void *arg);

enum {
    /* The Authorization header, and cookies, are the handler's: the door does not look at them, and `auth` is NOBODY or PINNED.
     * Without this flag a bearer token that does not verify is refused with 401 before the handler. */
    CCZI_DOOR_OWN_AUTH = 1,
    CCZI_DOOR_NO_RATE = 2, /* not counted in the rates: answers that cost nothing, for probes */
    /* Only for principals that have a role in the store: others get 401 or 403 and leave no audit line, which strangers could
     * otherwise fill the log with. What they may do is looked up again by the call itself. */
    CCZI_DOOR_KNOWN = 4,
    /* A token may stand in X-Vault-Token instead of the Authorization header. */
    CCZI_DOOR_VAULT_TOKEN = 64
};
struct cczi_door_route {
    const char
        *name; /* label of metrics and log lines: a fixed word, [a-z0-9_], one per kind of call */
    const char *methods; /* "GET", "POST", "GET POST", ...; GET covers HEAD. Others get 405 */
    const char *path; /* "/openapi.json": that alone; with '/' at its end, "/v1/": all behind it */
    unsigned flags;
    size_t
        body_size_max; /* 0 = none at all; CCZI_DOOR_BODY_ANY = what the limits of the door say. More gets 413 */
    cczi_door_fn fn;
    void *arg;
    /* Refusals in the form of another protocol, also those before the handler: appends the body, returns the status to send. NULL =
     * cczi_door_err_json(). */
    unsigned (*put_err)(struct ccz_buf *out, unsigned status, const struct ccz_err *err);
};
#define CCZI_DOOR_BODY_ANY SIZE_MAX
enum { CCZI_DOOR_ROUTES_MAX = 64 };
/* Before ccz_kms_door_start(). The longest path that covers a request decides; texts are not copied (constants).
 * @retval CCZ_E_EXISTS "door:route" the path is taken  @retval CCZ_E_LIMIT "door:route" */
CCZ_MUST_USE ccz_rc cczi_door_route(struct ccz_kms_door *d, const struct cczi_door_route *route,
                                    struct ccz_err *err);
/* Called by ccz_kms_door_free(), last first, when no handler runs any more. @retval CCZ_E_NOMEM  fn was not kept */
CCZ_MUST_USE ccz_rc cczi_door_at_free(struct ccz_kms_door *d, void (*fn)(void *arg), void *arg);

int64_t cczi_door_now_s(const struct ccz_kms_door *d); /* of the door's clock */
/* For timers and sockets of a door's own, on its thread. Free them in a function given to cczi_door_at_free(). */
struct ccz_loop *cczi_door_loop(struct ccz_kms_door *d);

/* ------------------------------------------------------------------------------- replies */

/* All: on the door's thread, once for each request, which is freed. Cache-Control: no-store is added unless the answer has one. The
 * body of the request is wiped first: answers must not borrow from it. */
void cczi_door_reply(struct cczi_door_req *r, const struct ccz_http_answer *answer);
/* Content-Type: application/json */
void cczi_door_reply_json(struct cczi_door_req *r, unsigned status, struct ccz_span json);
/* 200 with what was put together; if there was no memory for it 503 "door:memory", and not half of it. */
void cczi_door_reply_built(struct cczi_door_req *r, const struct ccz_buf *json);
/* {"where","got","expected","hint","message","decision"} (absent where empty) with cczi_door_status(err), Retry-After and
 * WWW-Authenticate where they belong. */
void cczi_door_reply_err(struct cczi_door_req *r, const struct ccz_err *err);
/* The same with a status of the protocol's own. */
void cczi_door_reply_err_as(struct cczi_door_req *r, unsigned status, const struct ccz_err *err);
/* The JSON of it, for protocols with members of their own; appended. */
void cczi_door_err_json(struct ccz_buf *out, const struct ccz_err *err);
/* 400 malformed, 401 who are you, 403 refused, 404, 409 conflict or exists, 413, 415, 429, 500, 502, 503 busy, sealed, away.
 * @param auth  tells 401 from 403; NULL = somebody */
unsigned cczi_door_status(const struct ccz_err *err, const struct cczi_door_auth *auth);

/* --------------------------------------------------------------------------------- calls */

/* What a call of the KMS came to: @p err is NULL and @p response the protobuf message, or why not (then it is empty). Both are
 * borrowed; the response is wiped afterwards. On the door's thread. Has to reply (or to call again). */
typedef void (*cczi_door_done_fn)(struct cczi_door_req *r, void *arg, struct ccz_span response,
                                  const struct ccz_err *err);
struct cczi_door_call {
    const char *method; /* "Release" */
    const struct ccz_buf
        *body; /* protobuf, copied; NULL = empty; of a bad one nothing is asked: "door:memory" */
    const struct ccz_ratls_peer *peer; /* copied; NULL = r->auth.peer */
    struct ccz_span evidence;          /* of that peer, copied; or empty */
};
/* Queues it. @p done is called exactly once, later, also if the service refuses at once (busy), and while everything
 * stops; `arg` may live in memory that the handler frees in @p done. */
void cczi_door_call(struct cczi_door_req *r, const struct cczi_door_call *call,
                    cczi_door_done_fn done, void *arg);

/* Runs @p work(arg) on one of the door's workers, where it may take its time, then @p done(r, arg) on the door's thread. The worker
 * reads @p r (http, auth) and must not reply. @retval CCZ_E_UNAVAILABLE "door:busy": neither is called; reply with that */
CCZ_MUST_USE ccz_rc cczi_door_work(struct cczi_door_req *r, void (*work)(void *arg),
                                   void (*done)(struct cczi_door_req *r, void *arg), void *arg,
                                   struct ccz_err *err);

/* One request of a workload that the door found out about by itself: what was measured on which platform is its principal, with the
 * rate of one, whatever keys, sessions and addresses it has. Before a call: its refusals are lines of the audit log.
 * @retval CCZ_E_LIMIT "door:rate-principal", aux = seconds to wait */
CCZ_MUST_USE ccz_rc cczi_door_workload(struct cczi_door_req *r, const struct ccz_claims *claims,
                                       struct ccz_err *err);

/* Whoever sent @p r is somebody to this KMS (has a role, or was given what a policy guards): its address may come in again while a
 * crowd of others uses up the handshakes. */
void cczi_door_conn_known(const struct cczi_door_req *r);

/* -------------------------------------------------------------------------------- tokens */

/* For CCZI_DOOR_OWN_AUTH, where a part of a route is for administrators after all: who has a role in the store, as with
 * CCZI_DOOR_KNOWN, gets to @p fn with r->auth filled in; others get their refusal. Has to be the last that a handler does. */
void cczi_door_admin(struct cczi_door_req *r, cczi_door_fn fn, void *arg);

/* The token of "Authorization: Bearer TOKEN" (RFC 6750, 2.1); empty: there is none, or another scheme. For CCZI_DOOR_OWN_AUTH. */
struct ccz_span cczi_door_bearer(const struct cczi_door_req *r);

#endif
