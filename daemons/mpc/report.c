/* SPDX-License-Identifier: Apache-2.0 */
/* What a run cost, and what left it: in words on stdout, and as JSON. */
#include "daemon.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { REPORT_SIZE_MAX = 16 << 20 };

static const char *const phases[CCZ_MPC_PHASES] = {
    [CCZ_MPC_SETUP] = "setup", [CCZ_MPC_OFFLINE] = "offline", [CCZ_MPC_ONLINE] = "online"};

void mpc_report_init(struct mpc_report *r, unsigned role)
{
    *r = (struct mpc_report){.role = role};
    ccz_buf_init(&r->reveals, REPORT_SIZE_MAX);
}

void mpc_on_reveal(void *report, const struct ccz_mpc_reveal *v)
{
    static const char *const to[] = {"nobody", "A", "B", "A and B"};
    struct mpc_report *r = report;
    const char *who = to[v->to & CCZ_MPC_TO_BOTH];
    ui_out("revealed to %s: %s, %zu value%s\n", who, v->label, v->len, v->len == 1 ? "" : "s");
    ccz_buf_printf(&r->reveals, "%s{\"to\":\"%s\",\"what\":", r->reveals_len++ ? "," : "", who);
    ccz_json_put_str(&r->reveals, ccz_span_str(v->label));
    ccz_buf_printf(&r->reveals, ",\"values\":%zu}", v->len);
}

void mpc_print_stats(const struct mpc_report *r, const struct ccz_mpc_stats *s)
{
    uint64_t size = 0, rounds = 0;
    int64_t time_ns = 0, cpu_ns = 0;
    ui_out("%-8s  %12s  %12s  %7s  %9s  %9s\n", "phase", "sent", "received", "rounds", "seconds",
           "cpu");
    for (int i = 0; i < CCZ_MPC_PHASES; i++) {
        const struct ccz_mpc_phase_stats *p = &s->phase[i];
        ui_out("%-8s  %9.1f kB  %9.1f kB  %7" PRIu64 "  %9.3f  %9.3f\n", phases[i],
               (double)p->sent_size / 1e3, (double)p->received_size / 1e3, p->rounds,
               (double)p->time_ns / 1e9, (double)p->cpu_ns / 1e9);
        size += p->sent_size + p->received_size;
        rounds += p->rounds;
        time_ns += p->time_ns;
        cpu_ns += p->cpu_ns;
    }
    ui_out("total     %.1f kB both ways, %" PRIu64 " rounds, %.3f s, cpu %.3f s",
           (double)size / 1e3, rounds, (double)time_ns / 1e9, (double)cpu_ns / 1e9);
    if (r->planned_size)
        ui_out("; planned %.1f kB, %" PRIu64 " rounds", (double)r->planned_size / 1e3,
               r->planned_rounds);
    ui_out("\nrevealed: %" PRIu64 " times, %" PRIu64 " values\n", s->reveals, s->revealed_len);
}

ccz_rc mpc_write_stats(const char *path, const struct mpc_report *r, const struct mpc_opts *o,
                       const struct ccz_mpc_stats *s, struct ccz_err *err)
{
    CCZ_AUTO_BUF b = {0};
    if (!path)
        return CCZ_OK;
    ccz_buf_init(&b, REPORT_SIZE_MAX);
    ccz_buf_printf(&b, "{\"party\":\"%c\",\"program\":\"%s\",\"setting\":\"%s\",\"phases\":{",
                   mpc_letter(r->role), o->program, o->run.setting->name);
    for (int i = 0; i < CCZ_MPC_PHASES; i++) {
        const struct ccz_mpc_phase_stats *p = &s->phase[i];
        ccz_buf_printf(&b,
                       "%s\"%s\":{\"sent\":%" PRIu64 ",\"received\":%" PRIu64
                       ",\"messages_sent\":%" PRIu64 ",\"messages_received\":%" PRIu64
                       ",\"rounds\":%" PRIu64 ",\"seconds\":",
                       i ? "," : "", phases[i], p->sent_size, p->received_size, p->sent_len,
                       p->received_len, p->rounds);
        ccz_json_put_double(&b, (double)p->time_ns / 1e9);
        ccz_buf_put_str(&b, ",\"cpu_seconds\":");
        ccz_json_put_double(&b, (double)p->cpu_ns / 1e9);
        ccz_buf_put_str(&b, "}");
    }
    ccz_buf_printf(&b, "},\"planned\":{\"size\":%" PRIu64 ",\"rounds\":%" PRIu64 "},\"reveals\":[",
                   r->planned_size, r->planned_rounds);
    ccz_buf_put_span(&b, ccz_buf_span(&r->reveals));
    ccz_buf_put_str(&b, "]}\n");
    if (b.bad || r->reveals.bad)
        return ccz_fail(err, CCZ_E_NOMEM, "mpc:memory", 0, "out of memory");
    return ccz_file_write(path, ccz_buf_span(&b), 0644, CCZ_FILE_REPLACE, err);
}

void mpc_print_metrics(const double *p, const double *y, size_t len, const struct mpc_opts *o)
{
    const bool squared = o->cfg.model == CCZ_MPCML_LINEAR,
               class = o->cfg.score == CCZ_MPCML_SCORE_CLASS;
    struct ccz_fedlr_metrics m;
    struct ccz_fedlr_fit fit;
    size_t right = 0;
    if (squared && ccz_fedlr_measure_fit(&fit, p, y, len, NULL) == CCZ_OK) {
        ui_out("test rows  RMSE %.4f  MAE %.4f  R2 %.4f\n", fit.rmse, fit.mae, fit.r2);
        return;
    }
    for (size_t i = 0; i < len; i++) /* of z: the class is its sign */
        right += (p[i] >= (o->cfg.score == CCZ_MPCML_SCORE_LINEAR ? 0 : 0.5)) == (y[i] > 0.5);
    ui_out("test rows  accuracy %.4f (%zu of %zu)", (double)right / (double)len, right, len);
    if (!class && o->cfg.score == CCZ_MPCML_SCORE_VALUE &&
        ccz_fedlr_measure(&m, p, y, len, NULL) == CCZ_OK)
        ui_out("  AUC %.4f", m.auc);
    ui_out("\n");
}
