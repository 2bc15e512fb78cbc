/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_NET_PRIV_H
#define CCZ_NET_PRIV_H
/* Shared by the sources of src/net only. */
#include <cczoo/net.h>

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <sys/time.h>

struct event;
struct event_base;

/* -------------------------------------------------------------------------------- mailbox (loop.c)
 */

/**
 * Functions posted to a loop from other threads. Counted, so that a thread that outlives the loop
 * (name resolution) finds it closed instead of gone.
 */
struct cczi_mail;
struct cczi_mail *cczi_mail_ref(struct cczi_mail *m);
void cczi_mail_unref(struct cczi_mail *m);
/** @retval CCZ_E_CLOSED the loop was freed   @retval CCZ_E_NOMEM */
ccz_rc cczi_mail_post(struct cczi_mail *m, void (*fn)(void *arg), void *arg);

/* ------------------------------------------------------------------------------------ loop
 * (loop.c) */

struct cczi_signal {
    struct event *ev;
    void (*fn)(void *arg, int signo);
    void *arg;
    SLIST_ENTRY(cczi_signal) next;
};

struct ccz_loop {
    struct event_base *base;
    struct cczi_mail *mail;
    struct event *mail_ev;
    struct event *turn_ev; /* runs behind the events of a turn, see cczi_loop_turn_end() */
    bool turn_due, in_turn_end;
    TAILQ_HEAD(, ccz_conn) dirty; /* connections with something to do at the end of the turn */
    size_t dirty_len;
    LIST_HEAD(, ccz_conn) ended; /* given up by their owners, still sending */
    bool finishing;              /* stops once there are none of them */
    LIST_HEAD(, ccz_conn) dead;  /* closed; memory is released when no callback can be using it */
    SLIST_HEAD(, cczi_signal) signals;
    atomic_bool running;
    pthread_t thread; /* valid while running */
    uint8_t read_buf[CCZ_CONN_READ_SIZE];
};
/** Has the work of the turn's end (sending, burying) done after the events that are active now. */
void cczi_loop_turn_end(struct ccz_loop *loop);
/* A connection left loop->ended. */
void cczi_loop_unended(struct ccz_loop *loop);
/** @p ms as libevent wants it; negative counts as 0. */
struct timeval cczi_timeval(int64_t ms);

/* conn.c, called by loop.c at the end of a turn and when the loop is freed */
void cczi_conn_flush(struct ccz_conn *c);
void cczi_conn_bury(struct ccz_conn *c);

/* -------------------------------------------------------------------------------- addresses
 * (addr.c) */

#define CCZI_HOST_SIZE 256 /* RFC 1035: 253 characters */

struct cczi_addr {
    struct sockaddr_storage ss;
    socklen_t size;
};
/** What an address text says: either `addr` (literal IP, unix path), or a name to resolve. */
struct cczi_target {
    bool literal;
    struct cczi_addr addr;
    char host[CCZI_HOST_SIZE];
    uint16_t port;
};
/** where = "net:address" */
ccz_rc cczi_addr_parse(struct cczi_target *out, const char *text, struct ccz_err *err);
void cczi_addr_text(char out[CCZ_ADDR_TEXT_SIZE], const struct sockaddr *sa, socklen_t size);
/** A bound, listening, non-blocking socket; *port = 0 for unix. where = "net:listen" */
ccz_rc cczi_listen_socket(int *fd, uint16_t *port, const struct ccz_listen_cfg *cfg,
                          struct cczi_addr *bound, struct ccz_err *err);
/** Removes the file of a unix socket; nothing for others. */
void cczi_unlink_addr(const struct cczi_addr *bound);

/* ------------------------------------------------------------------------------ names (resolve.c)
 */

#define CCZI_RESOLVE_MAX 8 /* addresses of one name that are tried */

struct cczi_resolve; /* one look-up under way */
struct cczi_resolved {
    int eai; /* 0 or an EAI_* code */
    size_t len;
    struct cczi_addr addrs[CCZI_RESOLVE_MAX];
};
/** Looks @p host up on a thread of its own; @p done runs once on the loop unless cancelled before.
 */
ccz_rc cczi_resolve_start(struct cczi_resolve **out, struct ccz_loop *loop, const char *host,
                          uint16_t port, void (*done)(void *arg, const struct cczi_resolved *res),
                          void *arg);
/** As cczi_resolve_start(), for up to CCZ_LOOKUP_MAX addresses. */
ccz_rc cczi_resolve_all(struct cczi_resolve **out, struct ccz_loop *loop, const char *host,
                        uint16_t port,
                        void (*done)(void *arg, int eai, const struct cczi_addr *addrs, size_t len),
                        void *arg);
void cczi_resolve_cancel(struct cczi_resolve *r); /* NULL is fine */
/* -------------------------------------------------------------------------------- SIGPIPE
 * (sigpipe.c) */

struct cczi_sigpipe {
    sigset_t old;
    bool was_pending;
};
/* Between the two, on one thread, a write to a peer that is gone fails and does nothing else. */
void cczi_sigpipe_block(struct cczi_sigpipe *s);
void cczi_sigpipe_restore(const struct cczi_sigpipe *s);

#endif
