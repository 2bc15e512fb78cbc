/* SPDX-License-Identifier: Apache-2.0 */
/* A line of the table of optimisations: an epoch of guest, host and arbiter, as threads of this process. */
#include "fedlr.h"

#include "../../cli/ui.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

struct seat {
    const struct ccz_paillier_key *key; /* the arbiter's */
    struct ccz_chan *chan[2];
    const struct ccz_fedlr_table *t;
    bool guest;
    struct ccz_fedlr_run run;
    struct ccz_fedlr_model *model;
    struct ccz_err err;
    ccz_rc rc;
    uint64_t bytes;
    pthread_t thread;
};

static void count(void *arg, const struct ccz_fedlr_progress *p)
{
    ((struct seat *)arg)->bytes += p->sent_size;
}

static void *take_seat(void *arg)
{
    struct seat *s = arg;
    if (s->key)
        s->rc = ccz_fedlr_arbitrate(&s->model, s->key, s->chan, 2, 0, &s->run, &s->err);
    else if (s->guest)
        s->rc = ccz_fedlr_guest(&s->model, NULL, s->chan, 1, s->chan[1], s->t, &s->run, &s->err);
    else
        s->rc = ccz_fedlr_host(&s->model, NULL, s->chan[0], s->chan[1], s->t, &s->run, &s->err);
    return NULL;
}

static ccz_rc run_seats(struct seat seat[3], struct ccz_err *err)
{
    size_t started = 0;
    ccz_rc rc = ccz_chan_pair(&seat[0].chan[0], &seat[1].chan[0], NULL, err);
    if (rc == CCZ_OK)
        rc = ccz_chan_pair(&seat[0].chan[1], &seat[2].chan[0], NULL, err);
    if (rc == CCZ_OK)
        rc = ccz_chan_pair(&seat[1].chan[1], &seat[2].chan[1], NULL, err);
    for (; rc == CCZ_OK && started < 3; started++)
        if (pthread_create(&seat[started].thread, NULL, take_seat, &seat[started]) != 0) {
            rc = ccz_fail(err, CCZ_E_NOMEM, "fedlr:thread", 0, "no thread could be started");
            break;
        }
    for (size_t i = 0; rc != CCZ_OK && i < 3; i++)
        for (size_t c = 0; c < 2; c++)
            if (seat[i].chan[c])
                ccz_chan_close(seat[i].chan[c], "no thread");
    for (size_t i = 0; i < started; i++) {
        (void)pthread_join(seat[i].thread, NULL);
        if (rc == CCZ_OK && seat[i].rc != CCZ_OK) {
            rc = seat[i].rc;
            *err = seat[i].err;
        }
    }
    for (size_t i = 0; i < 3; i++) {
        ccz_chan_free(seat[i].chan[0]);
        ccz_chan_free(seat[i].chan[1]);
        ccz_fedlr_model_free(seat[i].model);
    }
    return rc;
}

struct opts {
    const char *data, *label, *id, *key, *optimize;
    int64_t rows, all_rows, guest_cols, threads;
};

/* What an epoch costs. */
struct cost {
    double s, bytes;
};

static ccz_rc epoch(struct cost *cost, const struct opts *o, size_t rows,
                    const struct ccz_fedlr_table *all, unsigned optimize,
                    const struct ccz_paillier_key *key, struct ccz_err *err)
{
    CCZ_AUTO(ccz_fedlr_table) some = NULL;
    CCZ_AUTO(ccz_fedlr_table) guest = NULL;
    CCZ_AUTO(ccz_fedlr_table) host = NULL;
    size_t mine = (size_t)o->guest_cols, *index = calloc(rows, sizeof(*index));
    if (!index)
        return ccz_fail(err, CCZ_E_NOMEM, "fedlr:memory", 0, "out of memory");
    for (size_t i = 0; i < rows; i++)
        index[i] = i % all->rows;
    ccz_rc rc = ccz_fedlr_table_rows(&some, all, index, rows, err);
    free(index);
    if (rc == CCZ_OK)
        rc = ccz_fedlr_table_cols(&guest, some, 0, mine, true, err);
    if (rc == CCZ_OK)
        rc = ccz_fedlr_table_cols(&host, some, mine, some->cols - mine, false, err);
    const struct ccz_fedlr_cfg cfg = {
        .mode = CCZ_FEDLR_HETERO, .rounds = 1, .parties = 1, .optimize = optimize};
    struct seat seat[3] = {{.t = guest, .guest = true}, {.t = host}, {.key = key}};
    for (size_t i = 0; i < 3; i++)
        seat[i].run = (struct ccz_fedlr_run){.cfg = &cfg,
                                             .threads = (unsigned)o->threads,
                                             .timeout_ms = INT64_C(3600000),
                                             .few_rows_insecure = true, /* all of it is ours */
                                             .on_round = count,
                                             .arg = &seat[i]};
    int64_t start_ns = ccz_mono_ns();
    if (rc == CCZ_OK)
        rc = run_seats(seat, err);
    cost->s = (double)(ccz_mono_ns() - start_ns) / 1e9;
    cost->bytes = (double)(seat[0].bytes + seat[1].bytes + seat[2].bytes);
    return rc;
}

/* One line. More rows than measured: what the second half of them cost more than the first goes on so. */
static ccz_rc print_line(const struct opts *o, const struct ccz_fedlr_table *all, unsigned optimize,
                         const struct ccz_paillier_key *key, struct ccz_err *err)
{
    size_t rows = (size_t)o->rows, half = rows / 2;
    struct cost part = {0}, whole;
    bool more = o->all_rows > o->rows;
    ccz_rc rc = more ? epoch(&part, o, half, all, optimize, key, err) : CCZ_OK;
    if (rc == CCZ_OK)
        rc = epoch(&whole, o, rows, all, optimize, key, err);
    if (rc != CCZ_OK)
        return rc;
    double times = more ? (double)(o->all_rows - o->rows) / (double)(rows - half) : 0;
    whole.s += times * (whole.s - part.s);
    whole.bytes += times * (whole.bytes - part.bytes);
    ui_out("%-5s  %9.2f s  %9.1f kB  for %zu rows, %s %zu\n", o->optimize, whole.s,
           whole.bytes / 1e3, more ? (size_t)o->all_rows : rows,
           more ? "extrapolated from" : "measured on", rows);
    return CCZ_OK;
}

int fedlr_cmd_table(int argc, char **argv)
{
    struct opts o = {
        .label = "y", .id = "id", .optimize = "all", .rows = 64, .guest_cols = 1, .threads = 1};
    const struct ui_opt opts[] = {
        {"data", &o.data, NULL, NULL, "FILE", "CSV with a header, standardised"},
        {"label", &o.label, NULL, NULL, "NAME", "column of the labels, default y"},
        {"id", &o.id, NULL, NULL, "NAME", "column of the row names, default id; - = none"},
        {"key", &o.key, NULL, NULL, "FILE", "Paillier key"},
        {"rows", NULL, &o.rows, NULL, "N", "rows measured (repeated if need be), default 64"},
        {"for", NULL, &o.all_rows, NULL, "N",
         "rows to tell about, extrapolated if more than --rows"},
        {"guest-cols", NULL, &o.guest_cols, NULL, "N",
         "columns of the guest; the host has the rest"},
        {"optimize", &o.optimize, NULL, NULL, "WHAT",
         "none, djn, pack, ifma or all; without ifma also pins the portable kernels"},
        {"threads", NULL, &o.threads, NULL, "N", "default 1"},
        {0},
    };
    int n = ui_parse(argc, argv, "cczoo-fedlr table --data FILE --key FILE ...", opts);
    if (n < 0)
        return ui_parse_status(n);
    unsigned optimize;
    if (n > 0 || !o.data || !o.key || !fedlr_optimize(&optimize, o.optimize) || o.rows < 2 ||
        o.rows > (int64_t)CCZ_FEDLR_ROWS_MAX || o.guest_cols < 1 || o.threads < 1) {
        ui_error("--data and --key are required, and the other options have limits: see --help");
        return UI_USAGE;
    }
    if (!(optimize & CCZ_FEDLR_PRODUCT)) /* before anything asks which kernels there are */
        (void)setenv("CCZOO_CPU", "portable", 1);
    CCZ_AUTO(ccz_fedlr_table) all = NULL;
    CCZ_AUTO(ccz_paillier_key) key = NULL;
    struct ccz_err err = {0};
    const struct ccz_fedlr_csv_cfg csv = {.label = o.label,
                                          .id = strcmp(o.id, "-") == 0 ? NULL : o.id};
    ccz_rc rc = ccz_fedlr_csv_read(&all, o.data, &csv, &err);
    if (rc == CCZ_OK)
        rc = fedlr_read_key(&key, o.key, &err);
    if (rc == CCZ_OK)
        rc = print_line(&o, all, optimize, key, &err);
    return rc == CCZ_OK ? UI_OK : ui_fail(&err);
}
