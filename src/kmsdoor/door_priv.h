/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZI_KMSDOOR_DOOR_PRIV_H
#define CCZI_KMSDOOR_DOOR_PRIV_H
/* Inside of the listener; doors of other protocols need door.h alone. */
#include "crypto/tls_web.h"
#include "door.h"
#include "kms/rate.h"

#include <pthread.h>
#include <stdatomic.h>

/* --------------------------------------------------------------------------------- conn.c */

/* One TLS connection, from accept() until its SSL is freed. */
struct cczi_door_conn {
    struct ccz_http_counter counter; /* first: a connection is found by it */
    struct ccz_kms_door *door;
    struct cczi_door_conn *prev, *next;
    struct ssl_st *ssl; /* NULL: there is none yet */
    struct cczi_rate_addr addr;
    bool placed;      /* addr is known, and it was counted */
    bool cut;         /* shut down, its end is on the way */
    bool busy;        /* a request waits for its answer */
    int64_t from_ms;  /* when its time began */
    bool heard;       /* something came after the handshake */
    int64_t known_ms; /* when it last was from somebody known; 0 = never */
    size_t kept;      /* memory of what came since the last answer, and of answers on their way */
    size_t input;     /* bytes that wait to be parsed */
    size_t room;      /* in the chain that they lie in */
    size_t output;    /* bytes of answers that the socket has not taken */
    uint32_t key_updates; /* of TLS, since the last answer */
    int64_t large_ms;     /* since when there are more than is free */
};
/* ccz_http_server_cfg.new_ssl */
struct ssl_st *cczi_door_new_ssl(void *door);
struct ccz_http_counter *cczi_door_counter_of(struct ssl_st *ssl);
/* Cuts connections whose time is over. */
void cczi_door_sweep(struct ccz_kms_door *d, int64_t now_ms);
void cczi_door_conn_busy(const struct cczi_door_req *r, bool busy);
void cczi_door_place(void *door); /* timer: those that came in this turn */

/* ------------------------------------------------------------------------------- issuer.c */

/* Whose tokens count, and their keys; a thread fetches those that have a URL. Any thread. */
struct cczi_issuers;
CCZ_MUST_USE ccz_rc cczi_issuers_new(struct cczi_issuers **out,
                                     const struct ccz_kms_door_issuer *cfg, size_t len,
                                     struct ccz_err *err);
CCZ_MUST_USE ccz_rc cczi_issuers_start(struct cczi_issuers *s, struct ccz_err *err);
/* No fetch begins any more, and one under way ends within a second or so; nothing is waited for. */
void cczi_issuers_end(struct cczi_issuers *s);
void cczi_issuers_stop(struct cczi_issuers *s); /* and waits for the thread */
void cczi_issuers_free(struct cczi_issuers *s); /* NULL is fine */
/* Test hook, before the start: instead of 60 s. */
void cczi_issuers_set_again(struct cczi_issuers *s, int64_t ms);
ccz_rc cczi_issuers_reload(struct cczi_issuers *s);
/* @param[out] id  of the subject
 * @retval "door:token" (no token, or no claims), "door:token-issuer", "door:token-keys" (none are known yet), "door:token-subject",
 *         and those of ccz_jwt_verify() behind "door:token-" */
CCZ_MUST_USE ccz_rc cczi_issuers_verify(uint8_t id[32], struct cczi_issuers *s,
                                        struct ccz_span token, int64_t now_s, struct ccz_err *err);

/* --------------------------------------------------------------------------------- auth.c */

/* Fills in r->auth. @retval CCZ_E_DENIED, ...  a token that does not verify: 401 */
CCZ_MUST_USE ccz_rc cczi_door_identify(struct cczi_door_req *r, unsigned flags,
                                       struct ccz_err *err);

/* -------------------------------------------------------------------------------- route.c */

struct cczi_door_job {
    struct cczi_door_req req; /* first: a request is found in its job */
    struct cczi_door_job *next;
    const struct cczi_door_route *route;
    int64_t from_us;
    uint8_t paid[32]; /* whom the rate of principals was charged to; zeros = nobody */
    /* call.c */
    bool calling;
    cczi_door_done_fn done;
    void (*work)(void *arg);
    void (*worked)(struct cczi_door_req *r, void *arg);
    void *arg;
    struct ccz_buf response;
    bool failed;
    struct ccz_err err;
    cczi_door_fn admin; /* of cczi_door_admin() */
    void *admin_arg;
};
void cczi_door_on_request(void *door, struct ccz_http_req *req);

/* --------------------------------------------------------------------------------- call.c */

struct cczi_door_list {
    struct cczi_door_job *first, **last;
    size_t len;
};
void cczi_door_list_init(struct cczi_door_list *l);
/* Calls what came back: on the door's thread, or where that has ended. */
void cczi_door_deliver(struct ccz_kms_door *d);
/* ccz_kms_service_probe() */
void cczi_door_probe(struct cczi_door_req *r, const uint8_t *principal, cczi_door_done_fn done,
                     void *arg);
CCZ_MUST_USE ccz_rc cczi_door_workers_start(struct ccz_kms_door *d, struct ccz_err *err);
void cczi_door_workers_stop(struct ccz_kms_door *d); /* after what is queued */

/* ---------------------------------------------------------------------------------- ops.c */

/* Why a request or connection was turned away before any handler. */
enum cczi_door_refusal {
    CCZI_REFUSED_CONNECTIONS,
    CCZI_REFUSED_ADDRESS_CONNECTIONS,
    CCZI_REFUSED_SLOW,
    CCZI_REFUSED_BYTES, /* too much of requests that are not answered */
    CCZI_REFUSED_RATE_HANDSHAKES,
    CCZI_REFUSED_RATE_ADDRESS,
    CCZI_REFUSED_RATE_PRINCIPAL,
    CCZI_REFUSED_RATE_TOTAL,
    CCZI_REFUSED_REQUESTS,
    CCZI_REFUSED_REQUEST, /* path, method, encoding, size */
    CCZI_REFUSED_TOKEN,
    CCZI_REFUSED_UNKNOWN, /* nobody, or somebody without a role */
    CCZI_REFUSALS
};
struct cczi_door_count {
    _Atomic uint64_t by_class[6]; /* answers by the first digit of their status */
    _Atomic uint64_t us;          /* microseconds, summed */
};
void cczi_door_refused(struct ccz_kms_door *d, enum cczi_door_refusal why);
/* CCZ_E_NOMEM "door:memory" */
ccz_rc cczi_door_no_memory(struct ccz_err *err);
/* For Prometheus, "cczoo_kms_" before the name: what stands above a metric; and a whole one without labels. */
void cczi_metric_head(struct ccz_buf *out, const char *name, const char *type, const char *help);
void cczi_metric_one(struct ccz_buf *out, const char *name, const char *type, const char *help,
                     uint64_t value);
CCZ_MUST_USE ccz_rc cczi_door_add_ops(struct ccz_kms_door *d, struct ccz_err *err);
CCZ_MUST_USE ccz_rc cczi_door_add_rest(struct ccz_kms_door *d, struct ccz_err *err); /* rest.c */
CCZ_MUST_USE ccz_rc cczi_door_add_console(struct ccz_kms_door *d,
                                          struct ccz_err *err); /* console.c */

/* --------------------------------------------------------------------------------- door.c */

struct cczi_door_end {
    void (*fn)(void *arg);
    void *arg;
};
enum { CCZI_DOOR_ENDS_MAX = 32, CCZI_DOOR_WORKERS_MAX = 16 };

struct ccz_kms_door {
    struct ccz_kms_door_cfg cfg; /* texts: NULL, but for what is copied */
    char *cert_file, *key_file;
    struct ccz_kms_door_limits limits; /* without zeros */
    struct ccz_loop *loop;
    struct ccz_http_server *http;
    struct ccz_timer *tick, *place, *grace;
    pthread_t thread;
    bool running;
    int64_t grace_ms;

    struct cczi_door_route routes[CCZI_DOOR_ROUTES_MAX];
    size_t routes_len;
    struct cczi_door_end ends[CCZI_DOOR_ENDS_MAX];
    size_t ends_len;
    struct cczi_issuers *issuers; /* NULL = none */

    /* ops.c, of the door's thread */
    bool probing;          /* a probe is under way */
    int64_t probed_ms;     /* when the last one came back; 0 = none did */
    struct ccz_err health; /* what it said; rc CCZ_OK = well */

    /* of the door's thread */
    int64_t warned_s; /* when it was last said that the certificate ends; 0 = never */
    struct cczi_door_conn *conns;
    uint32_t conns_len;
    size_t kept;       /* by all that are not cut */
    uint32_t requests; /* that wait for their answer */
    struct cczi_rates by_address, by_principal, handshakes;
    struct cczi_shakes shakes;
    struct cczi_bucket total, log_lines;
    uint64_t unlogged; /* refusals since the last line */

    pthread_mutex_t tls_lock;
    struct cczi_web *tls; /* for new connections; NULL = plain HTTP */

    pthread_mutex_t lock;       /* everything below */
    struct cczi_door_list done; /* jobs on their way back to the door's thread */
    bool posted;                /* cczi_door_deliver() is on its way */
    struct cczi_door_list todo; /* for workers */
    pthread_cond_t wake;
    bool stopping;
    pthread_t workers[CCZI_DOOR_WORKERS_MAX];
    size_t workers_len;

    struct cczi_door_count count[CCZI_DOOR_ROUTES_MAX + 1]; /* the last: no route */
    _Atomic uint64_t refused[CCZI_REFUSALS];
    _Atomic uint64_t conns_now, conns_all, requests_now;
    _Atomic int64_t cert_until_s; /* 0 = there is no certificate */
};
#endif
