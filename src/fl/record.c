/* SPDX-License-Identifier: Apache-2.0 */
/* What is told of rounds: a line of JSON each, and Prometheus text of the whole. */
#include "fl/server.h"

#include <cczoo/codec.h>
#include <math.h>
#include <stdio.h>

/* JSON has no NaN: what is not known is null. */
static void put_real(struct ccz_buf *out, double v)
{
    if (isfinite(v))
        ccz_json_put_double(out, v);
    else
        ccz_buf_put_str(out, "null");
}

static void put_metrics(struct ccz_buf *out, const char *name, const struct ccz_fl_metrics *m)
{
    if (m->samples == 0)
        return;
    ccz_buf_printf(out, ",\"%s\":{\"samples\":%llu,\"loss\":", name,
                   (unsigned long long)m->samples);
    put_real(out, m->loss);
    ccz_buf_put_str(out, ",\"accuracy\":");
    put_real(out, m->accuracy);
    ccz_buf_put_str(out, "}");
}

static void put_pair(struct ccz_buf *out, const char *name, double v)
{
    ccz_buf_printf(out, ",\"%s\":", name);
    put_real(out, v);
}

void ccz_fl_record_json(struct ccz_buf *out, const struct ccz_fl_record *r)
{
    char digest[2 * CCZ_FL_DIGEST_SIZE + 1];
    ccz_hex(digest, r->digest, sizeof(r->digest));
    ccz_buf_printf(out,
                   "{\"round\":%llu,\"attempt\":%u,\"selected\":%u,\"delivered\":%u,"
                   "\"dropped\":%u,\"refused\":%u,\"samples\":%llu",
                   (unsigned long long)r->round, r->attempt, r->selected, r->delivered, r->dropped,
                   r->refused, (unsigned long long)r->samples);
    put_metrics(out, "train", &r->train);
    put_metrics(out, "base_eval", &r->base_eval);
    put_metrics(out, "eval", &r->eval);
    put_pair(out, "update_norm", r->update_norm);
    put_pair(out, "norm_mean", r->norm_mean);
    put_pair(out, "norm_max", r->norm_max);
    put_pair(out, "staleness", r->staleness_mean);
    ccz_buf_printf(out,
                   ",\"sent_bytes\":%llu,\"received_bytes\":%llu,\"wait_ms\":%lld,"
                   "\"apply_ms\":%lld,\"duration_ms\":%lld",
                   (unsigned long long)r->sent_size, (unsigned long long)r->received_size,
                   (long long)r->wait_ms, (long long)r->apply_ms, (long long)r->duration_ms);
    if (r->epsilon >= 0) {
        put_pair(out, "epsilon", r->epsilon);
        put_pair(out, "delta", r->delta);
    }
    if (r->clip > 0)
        put_pair(out, "clip", r->clip);
    if (r->private_size > 0)
        ccz_buf_printf(out, ",\"private_bytes\":%llu,\"private_ms\":%lld",
                       (unsigned long long)r->private_size, (long long)r->private_ms);
    ccz_buf_printf(out, ",\"digest\":\"%s\"}", digest);
}

static void metric(struct ccz_buf *out, const char *name, const char *type, const char *help,
                   double v)
{
    ccz_buf_printf(out, "# HELP cczoo_fl_%s %s\n# TYPE cczoo_fl_%s %s\ncczoo_fl_%s ", name, help,
                   name, type, name);
    ccz_json_put_double(out, v);
    ccz_buf_put_str(out, "\n");
}

static void put_refusals(struct ccz_buf *out, const struct ccz_fl_server *s)
{
    ccz_buf_put_str(out, "# HELP cczoo_fl_refusals_total updates refused, by reason\n"
                         "# TYPE cczoo_fl_refusals_total counter\n");
    for (size_t i = 0; i < HFL_REFUSALS_MAX && s->totals.refusal[i].where[0]; i++)
        ccz_buf_printf(out, "cczoo_fl_refusals_total{where=\"%s\"} %llu\n",
                       s->totals.refusal[i].where, (unsigned long long)s->totals.refusal[i].count);
}

static void put_gauges(struct ccz_buf *out, const struct ccz_fl_record *r)
{
    const struct {
        const char *name, *help;
        const struct ccz_fl_metrics *m;
    } kinds[] = {{"train", "of local training", &r->train},
                 {"base_eval", "of the model that the round began with", &r->base_eval},
                 {"eval", "of the new model on the server's data", &r->eval}};
    char name[48], help[96];
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        if (kinds[i].m->samples == 0)
            continue;
        (void)snprintf(name, sizeof(name), "%s_loss", kinds[i].name);
        (void)snprintf(help, sizeof(help), "loss %s, last round", kinds[i].help);
        metric(out, name, "gauge", help, kinds[i].m->loss);
        (void)snprintf(name, sizeof(name), "%s_accuracy", kinds[i].name);
        (void)snprintf(help, sizeof(help), "accuracy %s, last round", kinds[i].help);
        metric(out, name, "gauge", help, kinds[i].m->accuracy);
    }
    metric(out, "round_seconds", "gauge", "duration of the last round",
           (double)r->duration_ms / 1e3);
    metric(out, "update_norm", "gauge", "L2 norm of the last step", r->update_norm);
    if (r->epsilon >= 0)
        metric(out, "epsilon", "gauge", "differential privacy spent so far", r->epsilon);
}

void ccz_fl_server_prometheus(struct ccz_buf *out, const struct ccz_fl_server *cs)
{
    struct ccz_fl_server *s = (struct ccz_fl_server *)(uintptr_t)cs;
    pthread_mutex_lock(&s->lock);
    const struct hfl_totals *t = &s->totals;
    metric(out, "rounds_total", "counter", "finished rounds", (double)s->round);
    metric(out, "round_restarts_total", "counter", "rounds that had to begin anew",
           (double)t->attempts);
    metric(out, "members", "gauge", "members that are here", s->here);
    metric(out, "updates_accepted_total", "counter", "updates folded", (double)t->accepted);
    metric(out, "updates_refused_total", "counter", "updates refused", (double)t->refused);
    metric(out, "dropouts_total", "counter", "members lost within a round", (double)t->dropped);
    metric(out, "sent_bytes_total", "counter", "bytes of messages to members",
           (double)t->sent_size);
    metric(out, "received_bytes_total", "counter", "bytes of messages from members",
           (double)t->received_size);
    put_refusals(out, s);
    if (s->last.round > 0)
        put_gauges(out, &s->last);
    pthread_mutex_unlock(&s->lock);
}
