/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "cluster.h"

#include <cczoo/codec.h>
#include <cczoo/net.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    TICK_MS = 50,
    PATH_SIZE = 512,
    EXTRA_MAX = 12,          /* arguments that are appended */
    ASK_SIZE_MAX = 256 << 10 /* of a request or an answer */
};
/* One command line, as somebody asked for it. */
struct command {
    char **argv; /* NULL behind the last */
    size_t len;
};
struct run {
    const struct cluster_cfg *cfg;
    struct ccz_loop *loop;
    struct ccz_timer *tick;
    struct ccz_listener *control;
    struct cluster plan;
    struct command *command; /* by generation */
    unsigned commands_len;
    pid_t pid[CLUSTER_SLOTS], nginx;
    char last[256]; /* event that `status` shows */
};

/* ------------------------------------------------------------------------------ files */

static void path_of(char out[PATH_SIZE], const struct run *r, const char *name)
{
    (void)snprintf(out, PATH_SIZE, "%s/%s", r->cfg->dir, name);
}

static void slot_path(char out[PATH_SIZE], const struct run *r, unsigned slot, const char *end)
{
    (void)snprintf(out, PATH_SIZE, "%s/replica-%u.%s", r->cfg->dir, slot, end);
}

/* A port that a replica wrote; 0: not yet. */
static uint16_t read_port(const char *path)
{
    char text[16] = "";
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
    if (fd >= 0)
        (void)close(fd);
    unsigned long v = n > 0 && text[n - 1] == '\n' ? strtoul(text, NULL, 10) : 0;
    return v <= UINT16_MAX ? (uint16_t)v : 0;
}

/* -------------------------------------------------------------------------- processes */

/* In the child: only what is allowed after fork(). */
static void become(const char *const *argv, int log, pid_t parent)
{
    sigset_t none;
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    int null = open("/dev/null", O_RDONLY);
    (void)setpgid(0, 0);
    bool ok = null >= 0 && dup2(null, 0) == 0 && dup2(log, 1) == 1 && dup2(log, 2) == 2 &&
              prctl(PR_SET_PDEATHSIG, SIGTERM) == 0 && getppid() == parent;
    if (ok)
        (void)execvp(argv[0], (char *const *)(uintptr_t)argv); /* which changes nothing */
    static const char why[] = "error: the program cannot be started\n";
    (void)!write(2, why, sizeof(why) - 1);
    _exit(127);
}

/* With output to the file @p log and no input; a process group of its own, so that a Ctrl-C ends this program first, which then
 * ends it in order. If this program is killed, it goes, too. */
static bool spawn(pid_t *pid, const char *const *argv, const char *log)
{
    int fd = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    pid_t parent = getpid(), child = fd < 0 ? -1 : fork();
    if (child == 0)
        become(argv, fd, parent);
    if (child < 0)
        ccz_log(CCZ_LOG_ERROR, "cluster", "cannot start %s: %s", argv[0], strerror(errno));
    else
        *pid = child;
    if (fd >= 0)
        (void)close(fd);
    return child > 0;
}

static bool start(void *arg, unsigned slot, unsigned generation)
{
    struct run *r = arg;
    const struct command *c = &r->command[generation];
    char port[PATH_SIZE], rest[PATH_SIZE], log[PATH_SIZE], name[32];
    slot_path(port, r, slot, "port");
    slot_path(rest, r, slot, "rest");
    slot_path(log, r, slot, "log");
    (void)snprintf(name, sizeof(name), "replica-%u", slot);
    (void)unlink(port);
    (void)unlink(rest);
    const char *const extra[EXTRA_MAX] = {
        "--listen", "127.0.0.1:0", "--port-file",      port, "--replica", name,
        "--rest",   "127.0.0.1:0", "--rest-port-file", rest};
    const size_t extra_len = r->cfg->rest_listen ? 10 : 6;
    const char **argv = calloc(c->len + extra_len + 1, sizeof(argv[0]));
    if (!argv)
        return false;
    memcpy(argv, c->argv, c->len * sizeof(argv[0]));
    memcpy(argv + c->len, extra, extra_len * sizeof(argv[0]));
    bool ok = spawn(&r->pid[slot], argv, log);
    free(argv);
    return ok;
}

static bool ready(void *arg, unsigned slot, uint16_t *port, uint16_t *rest)
{
    const struct run *r = arg;
    char path[PATH_SIZE];
    slot_path(path, r, slot, "port");
    *port = read_port(path);
    slot_path(path, r, slot, "rest");
    *rest = r->cfg->rest_listen ? read_port(path) : 0;
    return *port && (*rest || !r->cfg->rest_listen);
}

static void stop(void *arg, unsigned slot, bool at_once)
{
    const struct run *r = arg;
    if (r->pid[slot] > 0)
        (void)kill(r->pid[slot], at_once ? SIGKILL : SIGTERM);
}

static void told(void *arg, const char *event, unsigned slot)
{
    struct run *r = arg;
    if (slot < CLUSTER_SLOTS)
        (void)snprintf(r->last, sizeof(r->last), "replica-%u %s", slot, event);
    else
        (void)snprintf(r->last, sizeof(r->last), "%s", event);
    ccz_log(CCZ_LOG_INFO, "cluster", "%s pid=%d", r->last,
            slot < CLUSTER_SLOTS ? (int)r->pid[slot] : 0);
}

/* --------------------------------------------------------------------------- balancer */

static void put_server(struct ccz_buf *out, const struct run *r, const char *name,
                       const char *listen, bool rest)
{
    ccz_buf_printf(out, "    upstream %s {\n", name);
    for (unsigned i = 0; i < CLUSTER_SLOTS; i++) {
        const struct cluster_slot *s = &r->plan.slot[i];
        if (s->state == CLUSTER_READY)
            ccz_buf_printf(out, "        server 127.0.0.1:%u max_fails=1 fail_timeout=1s;\n",
                           rest ? s->rest : s->port);
    }
    ccz_buf_printf(out,
                   "    }\n    server {\n        listen %s;\n        proxy_pass %s;\n        "
                   "proxy_connect_timeout 1s;\n        proxy_next_upstream on;\n    }\n",
                   listen, name);
}

/* TCP alone: TLS ends in the replicas. */
static void put_nginx(struct ccz_buf *out, const struct run *r)
{
    ccz_buf_printf(out,
                   "load_module /usr/lib/nginx/modules/ngx_stream_module.so;\ndaemon off;\n"
                   "worker_processes 1;\npid %s/nginx.pid;\nerror_log %s/nginx-error.log warn;\n"
                   "worker_shutdown_timeout 60s;\nevents { worker_connections 4096; }\nstream {\n",
                   r->cfg->dir, r->cfg->dir);
    put_server(out, r, "grpc", r->cfg->listen, false);
    if (r->cfg->rest_listen)
        put_server(out, r, "rest", r->cfg->rest_listen, true);
    ccz_buf_put_str(out, "}\n");
}

/* The list is the balancer's from its next connection on; connections that there are go on. nginx takes no empty list: without a
 * replica it keeps the last one, and its clients are refused by the system. */
static void balance(void *arg)
{
    struct run *r = arg;
    char conf[PATH_SIZE], log[PATH_SIZE];
    struct ccz_err err = {0};
    if (!cluster_count(&r->plan, CLUSTER_READY))
        return;
    path_of(conf, r, "nginx.conf");
    path_of(log, r, "nginx-error.log");
    CCZ_AUTO_BUF text;
    ccz_buf_init(&text, 65536);
    put_nginx(&text, r);
    if (ccz_file_write(conf, ccz_buf_span(&text), 0600, CCZ_FILE_REPLACE, &err) != CCZ_OK) {
        ccz_log_err(CCZ_LOG_ERROR, "cluster", "balancer=kept", &err);
        return;
    }
    if (r->nginx > 0) {
        (void)kill(r->nginx, SIGHUP);
        return;
    }
    const char *const argv[] = {r->cfg->nginx, "-p", r->cfg->dir, "-c", conf, "-e", log, NULL};
    if (!spawn(&r->nginx, argv, log))
        r->nginx = 0;
}

static void reap(void *arg, int signo)
{
    struct run *r = arg;
    pid_t pid;
    int status;
    (void)signo;
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        if (pid == r->nginx) {
            ccz_log(CCZ_LOG_ERROR, "cluster", "the balancer ended, see %s/nginx-error.log",
                    r->cfg->dir);
            /* the worker of one that was killed goes on, with a list that nobody changes, and keeps the port from the next one: it is
             * to end when its connections have */
            (void)kill(-pid, SIGQUIT);
            r->nginx = 0; /* started again by the next tick */
        }
        for (unsigned i = 0; i < CLUSTER_SLOTS; i++) {
            if (r->pid[i] != pid)
                continue;
            r->pid[i] = 0;
            ccz_log(CCZ_LOG_INFO, "cluster", "replica-%u ended %s=%d", i,
                    WIFSIGNALED(status) ? "signal" : "status",
                    WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
            cluster_gone(&r->plan, i, ccz_mono_ms());
        }
    }
}

static void on_tick(void *arg)
{
    struct run *r = arg;
    reap(r, 0);
    cluster_tick(&r->plan, ccz_mono_ms());
    if (!r->nginx && !r->plan.ending)
        balance(r);
    if (r->plan.ending && cluster_count(&r->plan, CLUSTER_EMPTY) == CLUSTER_SLOTS)
        ccz_loop_stop(r->loop);
}

static void on_signal(void *arg, int signo)
{
    struct run *r = arg;
    (void)signo;
    cluster_end(&r->plan);
}

/* ---------------------------------------------------------------------------- control */

static void command_free(struct command *c)
{
    for (size_t i = 0; c->argv && i < c->len; i++)
        free(c->argv[i]);
    free(c->argv);
    *c = (struct command){0};
}

static bool command_put(struct command *c, const char *text)
{
    char **more = realloc(c->argv, (c->len + 2) * sizeof(more[0]));
    char *copy = more ? strdup(text) : NULL;
    if (more)
        c->argv = more;
    if (!copy)
        return false;
    more[c->len++] = copy;
    more[c->len] = NULL;
    return true;
}

static bool command_add(struct run *r, const struct command *c)
{
    struct command *more = realloc(r->command, (r->commands_len + 1) * sizeof(more[0]));
    if (!more)
        return false;
    r->command = more;
    more[r->commands_len++] = *c;
    return true;
}

static void put_status(struct ccz_buf *out, const struct run *r)
{
    const struct cluster *p = &r->plan;
    ccz_buf_printf(
        out,
        "{\"replicas\":%u,\"ready\":%u,\"generation\":%u,\"rolling\":%s,\"listen\":", p->replicas,
        cluster_count(p, CLUSTER_READY), p->generation, p->rolling ? "true" : "false");
    ccz_json_put_str(out, ccz_span_str(r->cfg->listen));
    ccz_buf_printf(out, ",\"balancer\":%d,\"last\":", (int)r->nginx);
    ccz_json_put_str(out, ccz_span_str(r->last));
    ccz_buf_put_str(out, ",\"slots\":[");
    const char *comma = "";
    for (unsigned i = 0; i < CLUSTER_SLOTS; i++) {
        const struct cluster_slot *s = &p->slot[i];
        if (s->state == CLUSTER_EMPTY)
            continue;
        ccz_buf_printf(out,
                       "%s{\"name\":\"replica-%u\",\"state\":\"%s\",\"generation\":%u,\"pid\":%d,"
                       "\"port\":%u,\"rest\":%u,\"starts\":%u}",
                       comma, i, cluster_state_name(s->state), s->generation, (int)r->pid[i],
                       s->state == CLUSTER_STARTING ? 0u : s->port,
                       s->state == CLUSTER_STARTING ? 0u : s->rest, s->starts);
        comma = ",";
    }
    ccz_buf_put_str(out, "]}\n");
}

/* {"roll": ["program", "argument", ...]}: what replicas are from now on. */
static const char *ask_roll(struct run *r, const struct ccz_json *argv)
{
    struct command c = {0};
    bool ok = ccz_json_len(argv) > 0;
    for (size_t i = 0; ok && i < ccz_json_len(argv); i++) {
        const char *text = ccz_json_str(ccz_json_at(argv, i));
        ok = text && command_put(&c, text);
    }
    if (ok && r->plan.rolling) {
        command_free(&c);
        return "another roll goes on";
    }
    if (!ok || !command_add(r, &c)) {
        command_free(&c);
        return "a roll needs a command line";
    }
    return cluster_roll(&r->plan, r->commands_len - 1) ? NULL : "another roll goes on";
}

/* What is wrong with it, or NULL: done, and the status is the answer. */
static const char *ask(struct run *r, const struct ccz_json *j)
{
    int64_t n = 0;
    const char *verb = ccz_json_str(ccz_json_get(j, "do"));
    if (!verb)
        return "no JSON object with \"do\"";
    if (strcmp(verb, "status") == 0)
        return NULL;
    if (strcmp(verb, "down") == 0) {
        cluster_end(&r->plan);
        return NULL;
    }
    if (strcmp(verb, "roll") == 0)
        return ask_roll(r, ccz_json_get(j, "argv"));
    bool number = ccz_json_int(&n, ccz_json_get(j, "n"));
    if (strcmp(verb, "scale") == 0) {
        if (!number || n < 1 || n > CLUSTER_REPLICAS_MAX)
            return "replicas must be 1..64";
        cluster_scale(&r->plan, (unsigned)n);
        return NULL;
    }
    if (strcmp(verb, "drain") == 0)
        return number && n >= 0 && n < CLUSTER_SLOTS &&
                       cluster_drain(&r->plan, (unsigned)n, ccz_mono_ms())
                   ? NULL
                   : "no such replica is ready";
    return "unknown verb";
}

/* One question per connection, both sides of a line each. Who may open the socket may do all of it; it lies in a folder of mode
 * 0700. Blocking, for a peer that is slower than a second is not waited for. */
static void on_control(void *arg, int fd, const char *peer)
{
    struct run *r = arg;
    (void)peer;
    const struct timeval limit = {.tv_sec = 1};
    char *text = malloc(ASK_SIZE_MAX);
    size_t len = 0;
    ssize_t n = 1;
    (void)fcntl(fd, F_SETFL, 0);
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    (void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
    while (text && n > 0 && len < ASK_SIZE_MAX && !memchr(text, '\n', len)) {
        n = read(fd, text + len, ASK_SIZE_MAX - len);
        len += n > 0 ? (size_t)n : 0;
    }
    CCZ_AUTO(ccz_json) j = NULL;
    CCZ_AUTO_BUF out;
    ccz_buf_init(&out, ASK_SIZE_MAX);
    const char *wrong = "no JSON";
    if (text && ccz_json_parse(&j, CCZ_SPAN(text, len), NULL) == CCZ_OK)
        wrong = ask(r, j);
    if (wrong)
        ccz_buf_printf(&out, "{\"error\":\"%s\"}\n", wrong);
    else
        put_status(&out, r);
    (void)!send(fd, out.ptr, out.size, MSG_NOSIGNAL);
    (void)close(fd);
    free(text);
}

ccz_rc cluster_ask(struct ccz_buf *answer, const char *dir, struct ccz_span request,
                   struct ccz_err *err)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    int n = snprintf(a.sun_path, sizeof(a.sun_path), "%s/control", dir);
    if (n < 0 || (size_t)n >= sizeof(a.sun_path))
        return ccz_fail(err, CCZ_E_LIMIT, "cluster:dir", n, "the folder's name is too long");
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (const struct sockaddr *)&a, sizeof(a)) != 0) {
        int e = errno;
        if (fd >= 0)
            (void)close(fd);
        ccz_rc rc = ccz_fail(err, CCZ_E_UNAVAILABLE, "cluster:control", e, "cannot reach %s: %s",
                             a.sun_path, strerror(e));
        return ccz_hint(err, rc, "does `cczoo cluster up` run with this --dir?");
    }
    bool ok = send(fd, request.ptr, request.size, MSG_NOSIGNAL) == (ssize_t)request.size;
    ssize_t got = ok ? 1 : 0;
    while (got > 0) {
        char part[4096];
        got = read(fd, part, sizeof(part));
        if (got > 0)
            ccz_buf_put(answer, part, (size_t)got);
    }
    (void)close(fd);
    return ok && answer->size && !answer->bad
               ? CCZ_OK
               : ccz_fail(err, CCZ_E_CLOSED, "cluster:control", 0, "the cluster gave no answer");
}

/* --------------------------------------------------------------------------------- run */

static ccz_rc open_control(struct run *r, struct ccz_err *err)
{
    char address[PATH_SIZE + 8];
    (void)snprintf(address, sizeof(address), "unix:%s/control", r->cfg->dir);
    CCZ_AUTO_BUF answer;
    ccz_buf_init(&answer, ASK_SIZE_MAX);
    if (cluster_ask(&answer, r->cfg->dir, ccz_span_str("{\"do\":\"status\"}\n"), NULL) == CCZ_OK)
        return ccz_hint(
            err, ccz_fail(err, CCZ_E_EXISTS, "cluster:dir", 0, "a cluster runs in %s", r->cfg->dir),
            "`cczoo cluster down` ends it; or choose another --dir");
    (void)unlink(address + 5); /* of one that was killed */
    const struct ccz_listen_cfg cfg = {.address = address, .on_accept = on_control, .arg = r};
    return ccz_listen(&r->control, r->loop, &cfg, err);
}

static ccz_rc prepare(struct run *r, struct ccz_err *err)
{
    struct command first = {0};
    bool ok = true;
    for (size_t i = 0; ok && r->cfg->argv[i]; i++)
        ok = command_put(&first, r->cfg->argv[i]);
    ok = ok && command_add(r, &first);
    if (!ok)
        command_free(&first);
    if (!ok)
        return ccz_fail(err, CCZ_E_NOMEM, "cluster:memory", 0, "out of memory");
    ccz_rc rc = ccz_dir_make(r->cfg->dir, 0700, err);
    if (rc == CCZ_OK)
        rc = ccz_loop_new(&r->loop, err);
    if (rc == CCZ_OK)
        rc = open_control(r, err);
    if (rc == CCZ_OK)
        rc = ccz_timer_new(&r->tick, r->loop, on_tick, r);
    for (size_t i = 0; rc == CCZ_OK && i < 2; i++)
        rc = ccz_loop_on_signal(r->loop, i ? SIGTERM : SIGINT, on_signal, r, err);
    if (rc == CCZ_OK)
        rc = ccz_loop_on_signal(r->loop, SIGCHLD, reap, r, err);
    return rc;
}

ccz_rc cluster_run(const struct cluster_cfg *cfg, struct ccz_err *err)
{
    static const struct cluster_ops ops = {start, ready, stop, balance, told};
    struct run *r = calloc(1, sizeof(*r));
    if (!r)
        return ccz_fail(err, CCZ_E_NOMEM, "cluster:memory", 0, "out of memory");
    r->cfg = cfg;
    r->plan =
        (struct cluster){.ops = &ops, .arg = r, .times = cfg->times, .replicas = cfg->replicas};
    ccz_rc rc = prepare(r, err);
    if (rc == CCZ_OK) {
        ccz_timer_set(r->tick, 0, TICK_MS);
        rc = ccz_loop_run(r->loop, err);
    }
    if (r->nginx > 0) {
        (void)kill(r->nginx, SIGTERM);
        (void)waitpid(r->nginx, NULL, 0);
    }
    ccz_timer_free(r->tick);
    ccz_listener_free(r->control);
    ccz_loop_free(r->loop);
    for (unsigned i = 0; i < r->commands_len; i++)
        command_free(&r->command[i]);
    free(r->command);
    free(r);
    return rc;
}
