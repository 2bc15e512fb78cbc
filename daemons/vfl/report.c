/* SPDX-License-Identifier: Apache-2.0 */
#include "vfl.h"

#include "../../cli/ui.h"

#include <math.h>
#include <time.h>

enum { REPORT_SIZE_MAX = 64 << 20 };

static void put_number(struct ccz_buf *b, const char *name, double v)
{
    ccz_buf_printf(b, ",\"%s\":", name);
    if (isfinite(v))
        ccz_json_put_double(b, v);
    else
        ccz_buf_put_str(b, "null");
}

static void put_leakage(struct ccz_buf *b, const char *name, const struct ccz_vfl_leakage *k)
{
    ccz_buf_printf(b, ",\"%s\":{\"batches\":%llu", name, (unsigned long long)k->batches);
    put_number(b, "norm_auc", k->norm);
    put_number(b, "cosine_auc", k->cosine);
    put_number(b, "norm_auc_q95", k->norm_q95);
    put_number(b, "cosine_auc_q95", k->cosine_q95);
    ccz_buf_put_str(b, "}");
}

double vfl_cpu_s(void)
{
    struct timespec t = {0};
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void put_epoch(struct vfl_report *r, const struct ccz_vfl_epoch *e, double rate,
                      double cpu_s)
{
    struct ccz_buf *b = &r->lines;
    struct ccz_err err;
    if (b->max_size == 0)
        ccz_buf_init(b, REPORT_SIZE_MAX);
    ccz_buf_printf(b, "{\"epoch\":%u,\"step\":%llu", e->epoch, (unsigned long long)e->step);
    put_number(b, "loss", e->loss);
    put_number(b, "test_accuracy", e->accuracy);
    put_number(b, "test_auc", e->auc);
    put_number(b, "test_loss", e->test_loss);
    put_number(b, "rows_per_s", rate);
    put_number(b, "waited_s", (double)e->waited_ns / 1e9);
    put_number(b, "cpu_s", cpu_s);
    ccz_buf_printf(b, ",\"sent_size\":%llu,\"received_size\":%llu",
                   (unsigned long long)e->sent_size, (unsigned long long)e->received_size);
    if (r->leader) {
        put_leakage(b, "leakage_raw", &e->raw);
        put_leakage(b, "leakage_sent", &e->sent);
    }
    ccz_buf_put_str(b, "}\n");
    if (ccz_file_write(r->path, ccz_buf_span(b), 0644, CCZ_FILE_REPLACE, &err) != CCZ_OK)
        ui_say("report: %s", err.msg);
}

void vfl_report_epoch(void *report, const struct ccz_vfl_epoch *e)
{
    struct vfl_report *r = report;
    double rate = e->took_ns > 0 ? (double)r->rows / ((double)e->took_ns / 1e9) : 0;
    double cpu_s = vfl_cpu_s(), used_s = cpu_s - r->cpu_s;
    r->cpu_s = cpu_s;
    ui_out("epoch %u of %u", e->epoch, e->epochs);
    if (isfinite(e->loss))
        ui_out("  loss %.4f", e->loss);
    if (isfinite(e->accuracy))
        ui_out("  test accuracy %.4f", e->accuracy);
    if (isfinite(e->auc))
        ui_out("  AUC %.4f", e->auc);
    ui_out("  %.0f rows/s  cpu %.2f s  waited %.2f s  sent %.1f MB  received %.1f MB\n", rate,
           used_s, (double)e->waited_ns / 1e9, (double)e->sent_size / 1e6,
           (double)e->received_size / 1e6);
    if (r->leader && e->raw.batches)
        ui_out("  label leakage, AUC of attacks (before -> sent): norm %.3f -> %.3f  cosine %.3f "
               "-> %.3f\n",
               e->raw.norm, e->sent.norm, e->raw.cosine, e->sent.cosine);
    (void)ui_out_flush();
    if (r->path)
        put_epoch(r, e, rate, used_s);
}
