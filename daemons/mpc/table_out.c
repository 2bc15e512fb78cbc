/* SPDX-License-Identifier: Apache-2.0 */
#include "table.h"

#include "../../cli/ui.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { TEXT_SIZE_MAX = 1 << 20 };

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double mpc_median(double *v, size_t len)
{
    qsort(v, len, sizeof(*v), by_value);
    return len % 2 ? v[len / 2] : (v[len / 2 - 1] + v[len / 2]) / 2;
}

bool mpc_table_add(struct mpc_table *t, const char *name, const struct ccz_mpc_stats *s)
{
    struct mpc_table_row *r = t->len ? &t->row[t->len - 1] : NULL;
    if (!r || strcmp(r->name, name) != 0) {
        if (t->len == MPC_TABLE_ROWS)
            return false;
        r = &t->row[t->len++];
        *r = (struct mpc_table_row){.name = name};
        r->seconds = calloc(MPC_TABLE_REPEATS, sizeof(*r->seconds));
        r->cpu_s = calloc(MPC_TABLE_REPEATS, sizeof(*r->cpu_s));
    }
    if (!r->seconds || !r->cpu_s || r->len == MPC_TABLE_REPEATS)
        return false;
    for (int i = 0; i < CCZ_MPC_PHASES; i++) {
        const struct ccz_mpc_phase_stats *p = &s->phase[i];
        r->size[i] = p->sent_size + p->received_size;
        r->rounds[i] = p->rounds;
        r->seconds[r->len] += (double)p->time_ns / 1e9;
        r->cpu_s[r->len] += (double)p->cpu_ns / 1e9;
    }
    r->len++;
    return true;
}

void mpc_table_deinit(struct mpc_table *t)
{
    for (size_t i = 0; i < t->len; i++) {
        free(t->row[i].seconds);
        free(t->row[i].cpu_s);
    }
    *t = (struct mpc_table){0};
}

static uint64_t sum(const uint64_t v[CCZ_MPC_PHASES])
{
    return v[CCZ_MPC_SETUP] + v[CCZ_MPC_OFFLINE] + v[CCZ_MPC_ONLINE];
}

void mpc_table_print(struct mpc_table *t)
{
    ui_out("round trip %.2f ms; bytes of both directions, without TLS; seconds of party A\n",
           t->rtt_ms);
    ui_out("%-10s  %8s  %8s  %10s  %10s  %10s  %7s  %7s\n", "setting", "seconds", "cpu", "bytes",
           "offline", "online", "rounds", "online");
    for (size_t i = 0; i < t->len; i++) {
        struct mpc_table_row *r = &t->row[i];
        ui_out("%-10s  %8.3f  %8.3f  %7.1f kB  %7.1f kB  %7.1f kB  %7" PRIu64 "  %7" PRIu64 "\n",
               r->name, mpc_median(r->seconds, r->len), mpc_median(r->cpu_s, r->len),
               (double)sum(r->size) / 1e3,
               (double)(r->size[CCZ_MPC_SETUP] + r->size[CCZ_MPC_OFFLINE]) / 1e3,
               (double)r->size[CCZ_MPC_ONLINE] / 1e3, sum(r->rounds), r->rounds[CCZ_MPC_ONLINE]);
    }
}

static ccz_rc write_text(const char *path, struct ccz_buf *b, struct ccz_err *err)
{
    if (b->bad)
        return ccz_fail(err, CCZ_E_NOMEM, "mpc:memory", 0, "out of memory");
    return ccz_file_write(path, ccz_buf_span(b), 0644, CCZ_FILE_REPLACE, err);
}

ccz_rc mpc_table_csv(const char *path, struct mpc_table *t, struct ccz_err *err)
{
    CCZ_AUTO_BUF b;
    ccz_buf_init(&b, TEXT_SIZE_MAX);
    ccz_buf_put_str(&b, "setting,rtt_ms,seconds,cpu_seconds,setup_bytes,offline_bytes,online_bytes,"
                        "setup_rounds,offline_rounds,online_rounds\n");
    for (size_t i = 0; i < t->len; i++) {
        struct mpc_table_row *r = &t->row[i];
        ccz_buf_printf(&b, "%s,%.3f,%.4f,%.4f", r->name, t->rtt_ms, mpc_median(r->seconds, r->len),
                       mpc_median(r->cpu_s, r->len));
        for (int p = 0; p < CCZ_MPC_PHASES; p++)
            ccz_buf_printf(&b, ",%" PRIu64, r->size[p]);
        for (int p = 0; p < CCZ_MPC_PHASES; p++)
            ccz_buf_printf(&b, ",%" PRIu64, r->rounds[p]);
        ccz_buf_put_str(&b, "\n");
    }
    return write_text(path, &b, err);
}

/* --------------------------------------------------------------------------------------- picture */

enum { PANELS = 3, BAR = 18, STEP = 24, LABEL = 90, BARS = 200, PANEL = BARS + 90, TOP = 46 };
static const char *const titles[PANELS] = {"seconds", "kB, both directions", "rounds"};

static double value_of(struct mpc_table_row *r, int panel)
{
    return panel == 0   ? mpc_median(r->seconds, r->len)
           : panel == 1 ? (double)sum(r->size) / 1e3
                        : (double)sum(r->rounds);
}

static void put_panel(struct ccz_buf *b, struct mpc_table *t, int panel)
{
    const int left = LABEL + panel * PANEL;
    double most = 0;
    for (size_t i = 0; i < t->len; i++)
        most = value_of(&t->row[i], panel) > most ? value_of(&t->row[i], panel) : most;
    ccz_buf_printf(b, "<text x=\"%d\" y=\"%d\" font-weight=\"bold\">%s</text>\n", left, TOP - 10,
                   titles[panel]);
    for (size_t i = 0; i < t->len; i++) {
        const double v = value_of(&t->row[i], panel);
        const int y = TOP + (int)i * STEP;
        const double width = most > 0 ? BARS * v / most : 0;
        ccz_buf_printf(b, "<rect x=\"%d\" y=\"%d\" width=\"%.1f\" height=\"%d\" fill=\"#4878a8\"/>",
                       left, y, width, BAR);
        ccz_buf_printf(b,
                       panel == 0 ? "<text x=\"%.1f\" y=\"%d\">%.3g</text>\n"
                                  : "<text x=\"%.1f\" y=\"%d\">%.0f</text>\n",
                       left + width + 5, y + BAR - 4, v);
    }
}

ccz_rc mpc_table_svg(const char *path, struct mpc_table *t, struct ccz_err *err)
{
    CCZ_AUTO_BUF b;
    ccz_buf_init(&b, TEXT_SIZE_MAX);
    ccz_buf_printf(&b,
                   "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" "
                   "font-family=\"sans-serif\" font-size=\"12\">\n"
                   "<rect width=\"100%%\" height=\"100%%\" fill=\"white\"/>\n"
                   "<text x=\"10\" y=\"16\">one program, several sources of randomness; round trip "
                   "%.1f ms</text>\n",
                   LABEL + PANELS * PANEL, TOP + (int)t->len * STEP + 10, t->rtt_ms);
    for (size_t i = 0; i < t->len; i++)
        ccz_buf_printf(&b, "<text x=\"10\" y=\"%d\">%s</text>\n", TOP + (int)i * STEP + BAR - 4,
                       t->row[i].name);
    for (int p = 0; p < PANELS; p++)
        put_panel(&b, t, p);
    ccz_buf_put_str(&b, "</svg>\n");
    return write_text(path, &b, err);
}
