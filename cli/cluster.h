/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_CLI_CLUSTER_H
#define CCZ_CLI_CLUSTER_H
/*
 * `cczoo cluster`: replicas of a model server on this machine behind one address.
 *   cluster_plan.c  what has to be started and stopped next: no processes, no time, no files
 *   cluster_run.c   processes, the balancer, the control socket
 *   cmd_cluster.c   options; asking a cluster that runs
 * The host's tool: nobody trusts it. It sees no key, no model and no request; replicas attest by themselves, and the balancer
 * passes TLS bytes.
 */
#include <cczoo/base.h>

enum {
    CLUSTER_REPLICAS_MAX = 64,
    CLUSTER_SLOTS = CLUSTER_REPLICAS_MAX + 1 /* one more while rolling */
};

/* ---------------------------------------------------------------------------- plan */

enum cluster_state {
    CLUSTER_EMPTY,
    CLUSTER_STARTING, /* its process runs, its port is not known yet */
    CLUSTER_READY,    /* behind the balancer */
    CLUSTER_DRAINING  /* gets no new connections; will be told to end, then has to */
};
struct cluster_slot {
    enum cluster_state state;
    unsigned generation; /* which command line it was started with */
    uint16_t port, rest; /* once it is ready; rest 0 = none */
    int64_t since_ms;    /* when the state began */
    bool told;           /* draining: SIGTERM was sent */
    unsigned starts;     /* of all time, for `status` */
};
/* What the plan does to the world. */
struct cluster_ops {
    /* Starts a replica; false: it could not even be started. */
    bool (*start)(void *arg, unsigned slot, unsigned generation);
    /* Whether it said its port (and the one of REST). */
    bool (*ready)(void *arg, unsigned slot, uint16_t *port, uint16_t *rest);
    void (*stop)(void *arg, unsigned slot, bool at_once); /* SIGTERM, or SIGKILL */
    /* The balancer's list is those that are READY now. */
    void (*balance)(void *arg);
    void (*told)(void *arg, const char *event, unsigned slot); /* for the log */
};
struct cluster_times {
    int64_t start_ms; /* a replica that is not ready by then is killed and counts as failed */
    int64_t leave_ms; /* between leaving the balancer's list and SIGTERM */
    int64_t grace_ms; /* after SIGTERM until SIGKILL */
};
struct cluster {
    const struct cluster_ops *ops;
    void *arg;
    struct cluster_times times;
    unsigned replicas;   /* wanted */
    unsigned generation; /* wanted; newer ones have higher numbers */
    /* Rolling: what the wanted generation replaces, and goes back to if the new one fails before it is complete. */
    bool rolling;
    unsigned before;
    unsigned failures; /* in a row, since something became ready */
    int64_t again_ms;  /* nothing is started before */
    bool ending;
    struct cluster_slot slot[CLUSTER_SLOTS];
};
/* Looks at the world and does what is due. To be called often, and after each of the calls below. */
void cluster_tick(struct cluster *c, int64_t now_ms);
/* The process of @p slot is gone. */
void cluster_gone(struct cluster *c, unsigned slot, int64_t now_ms);
/* Replaces all replicas by such of @p generation, one after the other: a new one is ready before an old one leaves. A new one that
 * ends or is not ready in time takes the roll back. False while another roll goes on. */
bool cluster_roll(struct cluster *c, unsigned generation);
void cluster_scale(struct cluster *c, unsigned replicas);
/* One replica leaves and is replaced by a new one. False: it is not ready. */
bool cluster_drain(struct cluster *c, unsigned slot, int64_t now_ms);
void cluster_end(struct cluster *c); /* all of them leave */
unsigned cluster_count(const struct cluster *c, enum cluster_state state);
const char *cluster_state_name(enum cluster_state s);

/* ----------------------------------------------------------------------------- run */

struct cluster_cfg {
    const char *dir;                  /* run files, logs, the socket; made with mode 0700 */
    const char *listen, *rest_listen; /* the balancer's addresses; rest_listen NULL = none */
    const char *nginx;                /* program */
    unsigned replicas;
    struct cluster_times times;
    char *const
        *argv; /* of a replica, NULL behind the last; "--listen", "--port-file", ... are appended */
};
/* Runs until SIGTERM, SIGINT or `down`; returns when every replica has ended. */
CCZ_MUST_USE ccz_rc cluster_run(const struct cluster_cfg *cfg, struct ccz_err *err);
/* Asks the cluster of @p dir; @p request is one line of JSON. @param[out] answer appended, one line of JSON */
CCZ_MUST_USE ccz_rc cluster_ask(struct ccz_buf *answer, const char *dir, struct ccz_span request,
                                struct ccz_err *err);
#endif
