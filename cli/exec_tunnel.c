/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "exec_tunnel.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { REATTEST_MAX_S = 30 * 86400, DRAIN_MS = 2000 };

/* -------------------------------------------------------------------------------- tunnels */

static ccz_rc bad(struct ccz_err *err, const char *text, const char *why)
{
    char shown[64];
    ccz_escape(shown, sizeof(shown), ccz_span_str(text));
    ccz_rc rc = ccz_fail(err, CCZ_E_ARG, "exec:tunnel", 0, "\"%s\": %s", shown, why);
    return ccz_hint(err, rc,
                    "listen=ADDR,connect=ADDR[,side=in|out][,policy=FILE|,anyone][,proxy-v2]"
                    "[,reattest=SECONDS]");
}

static bool take_text(const char **out, const char *value)
{
    if (*out || !value || !*value)
        return false;
    *out = value;
    return true;
}

/* NAME or NAME=VALUE; false if it is not known, not complete, or there already. */
static bool parse_field(struct exec_tunnel *t, bool *side_set, char *field)
{
    char *value = strchr(field, '=');
    if (value)
        *value++ = 0;
    if (strcmp(field, "listen") == 0)
        return take_text(&t->listen, value);
    if (strcmp(field, "connect") == 0)
        return take_text(&t->connect, value);
    if (strcmp(field, "policy") == 0)
        return take_text(&t->policy, value);
    if (strcmp(field, "side") == 0 && !*side_set && value) {
        *side_set = true;
        t->side = strcmp(value, "out") == 0 ? CCZ_TUNNEL_OUT : CCZ_TUNNEL_IN;
        return strcmp(value, "out") == 0 || strcmp(value, "in") == 0;
    }
    if (strcmp(field, "reattest") == 0 && t->reattest_s == 0 && value) {
        char *end = NULL;
        errno = 0;
        t->reattest_s = strtoll(value, &end, 10);
        return errno == 0 && end != value && *end == 0 && t->reattest_s > 0 &&
               t->reattest_s <= REATTEST_MAX_S;
    }
    bool *flag = strcmp(field, "anyone") == 0     ? &t->anyone
                 : strcmp(field, "proxy-v2") == 0 ? &t->proxy_v2
                                                  : NULL;
    if (!flag || *flag || value)
        return false;
    *flag = true;
    return true;
}

/* Who may come has to be said: nobody is let in because a policy was forgotten. */
static const char *what_is_wrong(const struct exec_tunnel *t)
{
    if (!t->listen || !t->connect)
        return "listen and connect are required";
    if (t->side == CCZ_TUNNEL_OUT && (!t->policy || t->anyone || t->proxy_v2))
        return "side=out needs a policy for the server, and takes neither anyone nor proxy-v2";
    if (!t->policy == !t->anyone)
        return "either policy=FILE, or anyone to let in clients without evidence";
    if (t->anyone && t->reattest_s)
        return "who is not asked once is not asked again: reattest needs a policy";
    return NULL;
}

ccz_rc exec_tunnels_parse(struct exec_tunnels *t, const struct launch_list *texts,
                          struct ccz_err *err)
{
    if (texts->len > EXEC_TUNNELS_MAX)
        return bad(err, "--tunnel", "too many");
    for (; t->len < texts->len; t->len++) {
        struct exec_tunnel *e = &t->list[t->len];
        const char *text = texts->text[t->len];
        bool side_set = false;
        *e = (struct exec_tunnel){.side = CCZ_TUNNEL_IN, .policy_fd = -1, .text = strdup(text)};
        if (!e->text)
            return ccz_fail(err, CCZ_E_NOMEM, "exec:tunnel", 0, "out of memory");
        char *rest = e->text;
        for (char *field; (field = strsep(&rest, ",")) != NULL;)
            if (!parse_field(e, &side_set, field)) {
                t->len++;
                return bad(err, text, field);
            }
        const char *why = what_is_wrong(e);
        if (why) {
            t->len++;
            return bad(err, text, why);
        }
    }
    return CCZ_OK;
}

ccz_rc exec_tunnels_record(struct exec_tunnels *t, struct launch *l, struct ccz_err *err)
{
    ccz_rc rc = CCZ_OK;
    for (size_t i = 0; rc == CCZ_OK && i < t->len; i++) {
        struct exec_tunnel *e = &t->list[i];
        char path[32];
        launch_record(l, "tunnel", ccz_span_str(e->side == CCZ_TUNNEL_IN ? "in" : "out"));
        launch_record(l, "tunnel-listen", ccz_span_str(e->listen));
        launch_record(l, "tunnel-connect", ccz_span_str(e->connect));
        launch_record(l, e->proxy_v2 ? "tunnel-proxy-v2" : "tunnel-plain", (struct ccz_span){0});
        char reattest[24];
        (void)snprintf(reattest, sizeof(reattest), "%lld", (long long)e->reattest_s);
        launch_record(l, "tunnel-reattest", ccz_span_str(reattest));
        if (!e->policy) {
            launch_record(l, "tunnel-anyone", (struct ccz_span){0});
            continue;
        }
        rc = ccz_handover_copy(&e->policy_fd, e->policy, err);
        (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", e->policy_fd);
        if (rc == CCZ_OK)
            rc = launch_record_file(l, "tunnel-policy-sha256", path, err);
    }
    return rc;
}

static ccz_rc open_party(struct exec_tunnel *e, struct ccz_attester *attester,
                         const struct ccz_party_cfg *trust, struct ccz_err *err)
{
    char path[32];
    (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", e->policy_fd);
    struct ccz_party_cfg cfg = *trust;
    cfg.attester = attester;
    cfg.policy_file = e->policy ? path : NULL;
    cfg.peer_evidence_optional = e->anyone;
    cfg.server = e->side == CCZ_TUNNEL_IN;
    cfg.reattest_interval_ms = e->reattest_s * 1000;
    return ccz_party_new(&e->party, &cfg, err);
}

static ccz_rc write_ports(const struct exec_tunnels *t, const char *file, struct ccz_err *err)
{
    CCZ_AUTO_BUF ports;
    ccz_buf_init(&ports, (size_t)16 * EXEC_TUNNELS_MAX);
    for (size_t i = 0; i < t->len; i++)
        ccz_buf_printf(&ports, "%u\n", ccz_tunnel_port(t->tunnel, i));
    return file ? ccz_file_write(file, ccz_buf_span(&ports), 0644, CCZ_FILE_REPLACE, err) : CCZ_OK;
}

ccz_rc exec_tunnels_start(struct exec_tunnels *t, const struct ccz_party_cfg *trust,
                          const char *port_file, struct ccz_err *err)
{
    struct ccz_tunnel_map maps[EXEC_TUNNELS_MAX];
    ccz_rc rc = CCZ_OK;
    for (size_t i = 0; rc == CCZ_OK && i < t->len; i++) {
        struct exec_tunnel *e = &t->list[i];
        rc = open_party(e, t->attester, trust, err);
        if (rc == CCZ_OK)
            maps[i] = (struct ccz_tunnel_map){.side = e->side,
                                              .listen = e->listen,
                                              .connect = e->connect,
                                              .ratls = ccz_party_ratls(e->party),
                                              .anyone = e->anyone,
                                              .proxy_v2 = e->proxy_v2};
    }
    const struct ccz_tunnel_cfg cfg = {.maps = maps, .maps_len = t->len};
    if (rc == CCZ_OK)
        rc = ccz_tunnel_new(&t->tunnel, &cfg, err);
    if (rc == CCZ_OK)
        rc = ccz_tunnel_start(t->tunnel, err);
    return rc == CCZ_OK ? write_ports(t, port_file, err) : rc;
}

void exec_tunnels_end(struct exec_tunnels *t)
{
    if (t->tunnel)
        ccz_tunnel_stop(t->tunnel, DRAIN_MS); /* what the program said last is still on its way */
    ccz_tunnel_free(t->tunnel);
    for (size_t i = 0; i < t->len; i++) {
        ccz_party_free(t->list[i].party);
        if (t->list[i].policy_fd >= 0)
            (void)close(t->list[i].policy_fd);
        free(t->list[i].text);
    }
    ccz_attester_free(t->attester);
}

/* -------------------------------------------------------------------------- two processes */

/* What reaches us and is meant for the program. Not those of job control, which stop both of us, nor those that
 * the processor raises. */
static void passed_on(sigset_t *set)
{
    static const int list[] = {SIGHUP,  SIGINT,   SIGQUIT, SIGTERM, SIGUSR1,
                               SIGUSR2, SIGWINCH, SIGALRM, SIGIO,   SIGPWR};
    (void)sigemptyset(set);
    for (size_t i = 0; i < sizeof(list) / sizeof(list[0]); i++)
        (void)sigaddset(set, list[i]);
    for (int s = SIGRTMIN; s <= SIGRTMAX; s++)
        (void)sigaddset(set, s);
}

static void watched(sigset_t *set)
{
    passed_on(set);
    (void)sigaddset(set, SIGCHLD);
}

/* In the child. */
static ccz_rc follow_parent(pid_t parent, struct ccz_err *err)
{
    if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) == 0 && getppid() == parent)
        return CCZ_OK;
    return ccz_fail(err, CCZ_E_CLOSED, "exec:parent", errno, "the process beside it is gone");
}

ccz_rc exec_pair_fork(struct exec_pair *p, struct ccz_err *err)
{
    int up[2], down[2];
    sigset_t set;
    pid_t parent = getpid();
    const struct sigaction by_default = {.sa_handler = SIG_DFL};
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, up) != 0 ||
        socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, down) != 0)
        return ccz_fail(err, CCZ_E_IO, "exec:fork", errno, "no sockets: %s", strerror(errno));
    watched(&set); /* what comes before we listen waits */
    (void)sigprocmask(SIG_BLOCK, &set, &p->old_mask);
    /* where the caller ignores it, the kernel tells nobody of the end of a child */
    (void)sigaction(SIGCHLD, &by_default, &p->old_chld);
    p->child = fork();
    if (p->child < 0)
        return ccz_fail(err, CCZ_E_IO, "exec:fork", errno, "no process: %s", strerror(errno));
    bool child = p->child == 0;
    p->from = child ? down[0] : up[0];
    p->to = child ? up[1] : down[1];
    (void)close(child ? down[1] : up[1]);
    (void)close(child ? up[0] : down[0]);
    if (!child)
        return CCZ_OK;
    (void)sigaction(SIGCHLD, &p->old_chld, NULL);
    (void)sigprocmask(SIG_SETMASK, &p->old_mask, NULL);
    return follow_parent(parent, err);
}

static bool receive(int fd, char want)
{
    char c = 0;
    ssize_t n;
    do
        n = read(fd, &c, 1);
    while (n < 0 && errno == EINTR);
    return n == 1 && c == want;
}

static bool tell(int fd, char c)
{
    ssize_t n;
    do
        n = send(fd, &c, 1, MSG_NOSIGNAL); /* the other may be gone */
    while (n < 0 && errno == EINTR);
    return n == 1;
}

ccz_rc exec_pair_ready(struct exec_pair *p, struct ccz_err *err)
{
    if (tell(p->to, 'r') && receive(p->from, 'g'))
        return CCZ_OK;
    return ccz_fail(err, CCZ_E_CLOSED, "exec:parent", 0,
                    "the process beside it gave up, and has told why");
}

bool exec_pair_wait(const struct exec_pair *p)
{
    return receive(p->from, 'r');
}

void exec_pair_go(const struct exec_pair *p)
{
    (void)tell(p->to, 'g'); /* a child that is gone is noticed below */
}

int exec_pair_supervise(const struct exec_pair *p)
{
    sigset_t set;
    watched(&set);
    for (;;) {
        siginfo_t info;
        int status, s = sigwaitinfo(&set, &info);
        if (s == SIGCHLD) {
            /* as the first process of a container, we have more children than the one we made */
            for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;)
                if (pid == p->child)
                    return status;
        } else if (s > 0 &&
                   info.si_code <= 0) { /* a terminal's signals reach the program by themselves */
            (void)kill(p->child, s);
        }
    }
}

int exec_pair_finish(const struct exec_pair *p, int status)
{
    if (!WIFSIGNALED(status))
        return WEXITSTATUS(status);
    int s = WTERMSIG(status);
    (void)signal(s, SIG_DFL);
    (void)sigprocmask(SIG_SETMASK, &p->old_mask, NULL);
    (void)raise(s);
    return 128 + s; /* where it is blocked, or we are the first process of a container */
}
