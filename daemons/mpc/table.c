/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One program with each setting, measured: time, bytes, rounds. Two processes over RA-TLS, of this machine (both are started
 * here, and a dealer), or with --listen and --connect of two. Inputs are made up: only shapes matter.
 */
#include "daemon.h"

#include "table.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { PINGS = 9, PATH_SIZE = 512, START_MS = 20000, POLL_NS = 20000000 };

struct bench {
    struct mpc_opts o;
    struct mpc_links links;
    unsigned role;
    double *x, *y; /* made up, for training and scoring alike */
    struct mpc_table table;
    /* of this machine alone */
    char dir[PATH_SIZE], port[2][PATH_SIZE]; /* of party A, of the dealer */
    pid_t children[2];
};

/* ------------------------------------------------------------------------------------- inputs */

static ccz_rc make_inputs(struct bench *b, struct ccz_err *err)
{
    const size_t rows = (size_t)(b->o.rows > b->o.score_rows ? b->o.rows : b->o.score_rows);
    const size_t cols = (size_t)b->o.columns_of[b->role];
    uint64_t state = 1 + b->role;
    b->x = calloc(rows * cols + 1, sizeof(*b->x));
    b->y = calloc(rows, sizeof(*b->y));
    if (!b->x || !b->y)
        return ccz_fail(err, CCZ_E_NOMEM, "mpc:memory", 0, "out of memory");
    for (size_t i = 0; i < rows * cols; i++) {
        state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        b->x[i] = (double)(state >> 40) / (double)(1 << 23) - 1;
    }
    for (size_t i = 0; i < rows; i++)
        b->y[i] = cols ? b->x[i * cols] > 0 : (double)(i % 2);
    return CCZ_OK;
}

static ccz_rc new_program(struct ccz_mpcml_lr **lr, const struct bench *b, struct ccz_err *err)
{
    const struct ccz_mpcml_lr_cfg cfg = mpc_shapes_cfg(&b->o);
    const bool labels = cfg.split == CCZ_MPCML_ROWS || cfg.labels == b->role;
    const struct ccz_mpcml_lr_data data = {.x = b->o.rows ? b->x : NULL,
                                           .y = b->o.rows && labels ? b->y : NULL,
                                           .score_x = b->o.score_rows ? b->x : NULL};
    return mpc_hint(ccz_mpcml_lr_new(lr, b->role, &cfg, &data, err), err);
}

/* --------------------------------------------------------------------------------------- runs */

/* A dealer serves a session for each connection. */
static ccz_rc call_dealer(struct bench *b, struct ccz_err *err)
{
    ccz_chan_free(b->links.dealer);
    b->links.dealer = NULL;
    ccz_links_disconnect(b->links.dealer_links);
    ccz_rc rc = ccz_links_connect(&b->links.dealer, b->links.dealer_links, b->o.net.dealer,
                                  b->role == 0 ? MPC_PARTY_0 : MPC_PARTY_1, err);
    if (rc == CCZ_OK)
        ccz_chan_set_timeout(b->links.dealer, 1000 * b->o.net.timeout_s);
    return rc;
}

static ccz_rc run_once(struct ccz_mpc_stats *stats, struct bench *b,
                       const struct ccz_mpcml_setting *setting, struct ccz_err *err)
{
    CCZ_AUTO(ccz_mpcml_lr) lr = NULL;
    struct ccz_mpcml_run_cfg run = b->o.run;
    ccz_rc rc = new_program(&lr, b, err);
    if (rc == CCZ_OK && setting->optimize == CCZ_MPCML_DEALER)
        rc = call_dealer(b, err);
    run.role = b->role;
    run.setting = setting;
    run.dealer = setting->optimize == CCZ_MPCML_DEALER ? b->links.dealer : NULL;
    return rc == CCZ_OK ? ccz_mpcml_run(stats, b->links.peer, ccz_mpcml_lr_program(lr), &run, err)
                        : rc;
}

static ccz_rc run_setting(struct bench *b, const struct ccz_mpcml_setting *setting,
                          struct ccz_err *err)
{
    ccz_rc rc = CCZ_OK;
    for (int64_t i = 0; rc == CCZ_OK && i < b->o.repeats; i++) {
        struct ccz_mpc_stats stats = {0};
        rc = run_once(&stats, b, setting, err);
        if (rc == CCZ_OK && !mpc_table_add(&b->table, setting->name, &stats))
            rc = ccz_fail(err, CCZ_E_NOMEM, "mpc:memory", 0, "out of memory");
    }
    return rc;
}

/* Round trip of the connection, TLS and both programs included: the median of a few. */
static ccz_rc ping(struct bench *b, struct ccz_err *err)
{
    double ms[PINGS];
    uint8_t byte = 0;
    ccz_rc rc = CCZ_OK;
    for (int i = 0; rc == CCZ_OK && i < PINGS; i++) {
        int64_t start_ns = ccz_mono_ns();
        if (b->role == 0)
            rc = ccz_chan_send(b->links.peer, CCZ_SPAN(&byte, 1), err);
        if (rc == CCZ_OK)
            rc = ccz_chan_recv_exact(&byte, 1, b->links.peer, err);
        if (rc == CCZ_OK && b->role == 1)
            rc = ccz_chan_send(b->links.peer, CCZ_SPAN(&byte, 1), err);
        ms[i] = (double)(ccz_mono_ns() - start_ns) / 1e6;
    }
    if (rc == CCZ_OK)
        b->table.rtt_ms = mpc_median(ms, PINGS);
    return rc;
}

static ccz_rc run_all(struct bench *b, struct ccz_err *err)
{
    const struct mpc_opts *o = &b->o;
    ccz_rc rc = make_inputs(b, err);
    if (rc == CCZ_OK)
        rc = mpc_links_open(&b->links, &o->net, err);
    if (rc == CCZ_OK) {
        struct mpc_net peer_alone = o->net;
        peer_alone.dealer = NULL;
        rc = mpc_links_join(&b->links, &peer_alone, err);
    }
    if (rc == CCZ_OK)
        rc = ping(b, err);
    if (rc == CCZ_OK && o->run.setting)
        return run_setting(b, o->run.setting, err);
    for (int i = 0; rc == CCZ_OK && i < CCZ_MPCML_OPTIMIZES; i++) {
        const struct ccz_mpcml_setting *s = ccz_mpcml_setting((enum ccz_mpcml_optimize)i);
        if (s->optimize == CCZ_MPCML_DEALER && !o->net.dealer) {
            if (b->role == 0)
                ui_say("no --dealer: its line is missing");
            continue;
        }
        rc = run_setting(b, s, err);
    }
    return rc;
}

/* ------------------------------------------------------------------------- both on this machine */

/* The address behind a port file of another process. */
static ccz_rc wait_port(char out[32], const char *file, struct ccz_err *err)
{
    static const struct timespec pause = {.tv_nsec = POLL_NS};
    for (int64_t end_ms = ccz_mono_ms() + START_MS; ccz_mono_ms() < end_ms;) {
        CCZ_AUTO_BUF text;
        ccz_buf_init(&text, 16);
        if (access(file, R_OK) == 0 && ccz_file_read(&text, file, NULL) == CCZ_OK &&
            text.size > 1) {
            (void)snprintf(out, 32, "127.0.0.1:%.*s", (int)text.size - 1, (const char *)text.ptr);
            return CCZ_OK;
        }
        (void)nanosleep(&pause, NULL);
    }
    return ccz_fail(err, CCZ_E_TIMEOUT, "mpc:table-start", 0, "another process did not start");
}

static bool wants_dealer(const struct bench *b)
{
    const struct ccz_mpcml_setting *s = b->o.run.setting;
    return !s || s->optimize == CCZ_MPCML_DEALER;
}

/* In a process of its own. */
static int be_party(struct bench *b, unsigned role)
{
    char peer[32], dealer[32];
    struct ccz_err err = {0};
    ccz_rc rc = CCZ_OK;
    b->role = role;
    b->o.net.evidence = (struct mpc_evidence){.unattested_insecure = true};
    b->o.net.listen = role == 0 ? "127.0.0.1:0" : NULL;
    b->o.net.port_file = role == 0 ? b->port[0] : NULL;
    if (role == 1) {
        rc = wait_port(peer, b->port[0], &err);
        b->o.net.connect = peer;
    }
    if (rc == CCZ_OK && wants_dealer(b)) {
        rc = wait_port(dealer, b->port[1], &err);
        b->o.net.dealer = dealer;
    }
    if (rc == CCZ_OK)
        rc = run_all(b, &err);
    mpc_links_close(&b->links);
    return rc == CCZ_OK ? UI_OK : ui_fail(&err);
}

/* What a signal takes away; set before any thread, read by the handler alone. */
static struct bench *running;

/* Calls nothing but what a handler may. */
static void on_signal(int number)
{
    for (int i = 0; i < 2; i++) {
        if (running->children[i] > 0)
            (void)kill(running->children[i], SIGTERM);
        (void)unlink(running->port[i]);
    }
    (void)rmdir(running->dir);
    (void)signal(number, SIG_DFL);
    (void)raise(number);
}

/* Before there is any thread. What it has to say is said by party A as well. */
static pid_t start_child(struct bench *b, bool dealer)
{
    const pid_t parent = getpid();
    pid_t pid = fork();
    if (pid != 0)
        return pid;
    (void)signal(SIGINT, SIG_DFL);
    (void)signal(SIGTERM, SIG_DFL);
    if (prctl(PR_SET_PDEATHSIG, SIGTERM) != 0 || getppid() != parent)
        _exit(UI_ENV); /* nobody would end it */
    int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
    if (null >= 0) {
        (void)dup2(null, STDOUT_FILENO);
        (void)dup2(null, STDERR_FILENO);
    }
    int status = dealer ? mpc_dealer_here(b->port[1]) : be_party(b, 1);
    _exit(status);
}

static void end_children(struct bench *b, bool failed)
{
    for (int i = 0; i < 2; i++) {
        if (b->children[i] <= 0)
            continue;
        if (i == 1 || failed) /* the dealer serves for ever */
            (void)kill(b->children[i], SIGTERM);
        while (waitpid(b->children[i], NULL, 0) < 0 && errno == EINTR)
            ;
    }
    for (int i = 0; i < 2; i++)
        (void)unlink(b->port[i]);
    (void)rmdir(b->dir);
}

static int run_here(struct bench *b)
{
    const char *tmp = getenv("TMPDIR");
    (void)snprintf(b->dir, sizeof(b->dir), "%.200s/cczoo-mpc.XXXXXX", tmp && *tmp ? tmp : "/tmp");
    if (!mkdtemp(b->dir)) {
        ui_error("cannot make a folder like %s: %s", b->dir, strerror(errno));
        return UI_ENV;
    }
    (void)snprintf(b->port[0], PATH_SIZE, "%.400s/party", b->dir);
    (void)snprintf(b->port[1], PATH_SIZE, "%.400s/dealer", b->dir);
    running = b;
    (void)signal(SIGINT, on_signal);
    (void)signal(SIGTERM, on_signal);
    b->children[0] = start_child(b, false);
    if (b->children[0] > 0 && wants_dealer(b))
        b->children[1] = start_child(b, true);
    int status = UI_ENV;
    if (b->children[0] < 0 || b->children[1] < 0)
        ui_error("cannot start a process: %s", strerror(errno));
    else
        status = be_party(b, 0);
    (void)signal(SIGINT,
                 SIG_DFL); /* from here on the folder goes anyway, and children are no more */
    (void)signal(SIGTERM, SIG_DFL);
    end_children(b, status != UI_OK);
    return status;
}

static int run_there(struct bench *b)
{
    struct ccz_err err = {0};
    b->role = mpc_role(&b->o);
    ccz_rc rc = run_all(b, &err);
    mpc_links_close(&b->links);
    return rc == CCZ_OK ? UI_OK : ui_fail(&err);
}

int mpc_cmd_table(int argc, char **argv)
{
    struct bench b = {0};
    struct ccz_err err = {0};
    int status = mpc_options(&b.o, argc, argv);
    if (status >= 0)
        return status;
    if (b.o.kind != MPC_LR && b.o.kind != MPC_LINEAR) {
        ui_error("the table is of regressions, and of scoring behind them: --score-rows");
        return UI_USAGE;
    }
    const bool here = !b.o.net.listen && !b.o.net.connect;
    status = here ? run_here(&b) : run_there(&b);
    if (status == UI_OK && b.role == 0) {
        mpc_table_print(&b.table);
        ccz_rc rc = b.o.csv ? mpc_table_csv(b.o.csv, &b.table, &err) : CCZ_OK;
        if (rc == CCZ_OK && b.o.svg)
            rc = mpc_table_svg(b.o.svg, &b.table, &err);
        status = rc == CCZ_OK ? UI_OK : ui_fail(&err);
    }
    mpc_table_deinit(&b.table);
    free(b.x);
    free(b.y);
    return status;
}
