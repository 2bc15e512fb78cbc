/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_CLI_EXEC_TUNNEL_H
#define CCZ_CLI_EXEC_TUNNEL_H
/*
 * Tunnels around a program that `cczoo exec` starts. Then there are two processes: the child fetches the secrets and
 * becomes the program; the parent has the tunnels and no secret, passes signals on, and ends as the program ends.
 */
#include "launch.h"

#include <cczoo/party.h>
#include <cczoo/tunnel.h>

#include <signal.h>

enum { EXEC_TUNNELS_MAX = 32 };

/* "listen=ADDR,connect=ADDR[,side=in|out][,policy=FILE|,anyone][,proxy-v2][,reattest=SECONDS]" */
struct exec_tunnel {
    char *text; /* cut into the pieces below */
    enum ccz_tunnel_side side;
    const char *listen, *connect, *policy;
    bool anyone, proxy_v2;
    int64_t reattest_s;
    int policy_fd; /* sealed copy, which the record names */
    struct ccz_party *party;
};
struct exec_tunnels {
    struct exec_tunnel list[EXEC_TUNNELS_MAX];
    size_t len;
    struct ccz_attester *attester; /* of all of them */
    struct ccz_tunnel *tunnel;
};
/* "exec:tunnel". @p t is zeroed; free with exec_tunnels_end() in any case. */
CCZ_MUST_USE ccz_rc exec_tunnels_parse(struct exec_tunnels *t, const struct launch_list *texts,
                                       struct ccz_err *err);
/* Puts them into the record of the launch. */
CCZ_MUST_USE ccz_rc exec_tunnels_record(struct exec_tunnels *t, struct launch *l,
                                        struct ccz_err *err);
/* Opens the ports. Takes t->attester; @p trust has who else is trusted, and where collateral is. */
CCZ_MUST_USE ccz_rc exec_tunnels_start(struct exec_tunnels *t, const struct ccz_party_cfg *trust,
                                       const char *port_file, struct ccz_err *err);
void exec_tunnels_end(struct exec_tunnels *t);

/* The two processes. */
struct exec_pair {
    pid_t child;       /* 0 in the child */
    int from, to;      /* the other process */
    sigset_t old_mask; /* as before: the program's */
    struct sigaction old_chld;
};
/* Before there are threads. */
CCZ_MUST_USE ccz_rc exec_pair_fork(struct exec_pair *p, struct ccz_err *err);
/* Child: everything is in place; returns when the tunnels are open. CCZ_E_CLOSED: they are not, which the parent has
 * told. */
CCZ_MUST_USE ccz_rc exec_pair_ready(struct exec_pair *p, struct ccz_err *err);
/* Parent: true when the child has everything; false if it has failed, and told why. */
bool exec_pair_wait(const struct exec_pair *p);
/* Parent: lets the child start. */
void exec_pair_go(const struct exec_pair *p);
/* Parent: passes signals on until the program ends. @return its status as of wait() */
int exec_pair_supervise(const struct exec_pair *p);
/* Parent: ends as that status says, by the same signal if it was one. */
int exec_pair_finish(const struct exec_pair *p, int status);

#endif
