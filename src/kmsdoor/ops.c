/* SPDX-License-Identifier: Apache-2.0 */
/* For those who run the server: is it alive, can it work, what does it do. No names of anything in the store. */
#include "door_priv.h"

#include "shape.h"

#include <string.h>

enum { READY_FOR_MS = 1000, METRICS_SIZE_MAX = 64 << 10 };

static void reply_text(struct cczi_door_req *r, const char *type, struct ccz_span text)
{
    cczi_door_reply(r,
                    &(struct ccz_http_answer){.status = 200, .content_type = type, .body = text});
}

/* -------------------------------------------------------------------------------- health */

/* The process runs its loop. Nothing else: whoever restarts a server for this would not mend a database. */
static void on_healthz(struct cczi_door_req *r, void *arg)
{
    (void)arg;
    reply_text(r, "text/plain; charset=utf-8", ccz_span_str("ok\n"));
}

static ccz_rc check_here(struct ccz_kms_door *d, struct ccz_err *err)
{
    if (d->cfg.sealed)
        return ccz_fail(err, CCZ_E_UNAVAILABLE, "kms:sealed", 0,
                        "this KMS waits for shares of its master key");
    int64_t until_s =
        d->cfg.collateral_expires_s ? d->cfg.collateral_expires_s(d->cfg.collateral_arg) : 0;
    if (until_s != 0 && until_s < cczi_door_now_s(d)) {
        char until[21];
        ccz_time_format(until, until_s);
        return ccz_refuse(err, CCZ_E_UNAVAILABLE, "door:collateral-expired", until,
                          "collateral that is valid now");
    }
    return d->cfg.ready ? d->cfg.ready(d->cfg.ready_arg, err) : CCZ_OK;
}

static void reply_ready(struct cczi_door_req *r)
{
    const struct ccz_err *e = &r->door->health;
    if (e->rc == CCZ_OK)
        cczi_door_reply_json(r, 200, ccz_span_str("{\"ready\":true}"));
    else
        cczi_door_reply_err_as(r, 503, e);
}

static void on_probed(struct cczi_door_req *r, void *arg, struct ccz_span response,
                      const struct ccz_err *err)
{
    (void)arg;
    (void)response;
    struct ccz_kms_door *d = r->door;
    d->probing = false;
    d->probed_ms = ccz_mono_ms();
    d->health = err ? *err : (struct ccz_err){0};
    reply_ready(r);
}

/* Anybody may ask, as often as he likes: one probe at a time reaches the store, and one a second. */
static void on_readyz(struct cczi_door_req *r, void *arg)
{
    (void)arg;
    struct ccz_kms_door *d = r->door;
    struct ccz_err err = {0};
    ccz_rc rc = check_here(d, &err);
    if (rc != CCZ_OK) {
        cczi_door_reply_err_as(r, 503, &err);
    } else if (d->cfg.service && ccz_kms_service_answers(d->cfg.service, &err) != CCZ_OK) {
        cczi_door_reply_err_as(r, 503, &err); /* a probe would say so later, or be what waits */
    } else if (d->probed_ms && (d->probing || ccz_mono_ms() - d->probed_ms < READY_FOR_MS)) {
        reply_ready(r);
    } else if (d->probing) {
        ccz_fail(&err, CCZ_E_UNAVAILABLE, "door:not-ready", 0, "the store was not heard of yet");
        cczi_door_reply_err_as(r, 503, &err);
    } else {
        d->probing = true;
        cczi_door_probe(r, NULL, on_probed, NULL);
    }
}

/* ------------------------------------------------------------------------------- metrics */

static const char *const refusals[CCZI_REFUSALS] = {
    [CCZI_REFUSED_CONNECTIONS] = "connections",
    [CCZI_REFUSED_ADDRESS_CONNECTIONS] = "address_connections",
    [CCZI_REFUSED_SLOW] = "slow",
    [CCZI_REFUSED_BYTES] = "bytes",
    [CCZI_REFUSED_RATE_HANDSHAKES] = "rate_handshakes",
    [CCZI_REFUSED_RATE_ADDRESS] = "rate_address",
    [CCZI_REFUSED_RATE_PRINCIPAL] = "rate_principal",
    [CCZI_REFUSED_RATE_TOTAL] = "rate_total",
    [CCZI_REFUSED_REQUESTS] = "requests",
    [CCZI_REFUSED_REQUEST] = "request",
    [CCZI_REFUSED_TOKEN] = "token",
    [CCZI_REFUSED_UNKNOWN] = "unknown",
};

void cczi_door_refused(struct ccz_kms_door *d, enum cczi_door_refusal why)
{
    atomic_fetch_add(&d->refused[why], 1);
}

void cczi_metric_head(struct ccz_buf *out, const char *name, const char *type, const char *help)
{
    ccz_buf_printf(out, "# HELP cczoo_kms_%s %s\n# TYPE cczoo_kms_%s %s\n", name, help, name, type);
}

void cczi_metric_one(struct ccz_buf *out, const char *name, const char *type, const char *help,
                     uint64_t value)
{
    cczi_metric_head(out, name, type, help);
    ccz_buf_printf(out, "cczoo_kms_%s %llu\n", name, (unsigned long long)value);
}

static const char *route_name(const struct ccz_kms_door *d, size_t i)
{
    return i < d->routes_len ? d->routes[i].name : "none";
}

static uint64_t all_answers(struct cczi_door_count *c)
{
    uint64_t n = 0;
    for (size_t i = 0; i < 6; i++)
        n += atomic_load(&c->by_class[i]);
    return n;
}

/* Routes may share a name: their counters are one. */
static bool first_of_name(const struct ccz_kms_door *d, size_t i)
{
    for (size_t n = 0; n < i; n++)
        if (strcmp(route_name(d, n), route_name(d, i)) == 0)
            return false;
    return true;
}

static void put_requests(struct ccz_buf *out, struct ccz_kms_door *d, size_t i)
{
    uint64_t by_class[6] = {0};
    for (size_t n = i; n <= d->routes_len; n++) {
        struct cczi_door_count *c = &d->count[n < d->routes_len ? n : CCZI_DOOR_ROUTES_MAX];
        for (size_t k = 0; k < 6 && strcmp(route_name(d, n), route_name(d, i)) == 0; k++)
            by_class[k] += atomic_load(&c->by_class[k]);
    }
    for (size_t k = 2; k < 6; k++)
        ccz_buf_printf(out, "cczoo_kms_http_requests_total{route=\"%s\",class=\"%zuxx\"} %llu\n",
                       route_name(d, i), k, (unsigned long long)by_class[k]);
}

static void put_times(struct ccz_buf *out, struct ccz_kms_door *d, size_t i)
{
    uint64_t us = 0, len = 0;
    for (size_t n = i; n <= d->routes_len; n++) {
        struct cczi_door_count *c = &d->count[n < d->routes_len ? n : CCZI_DOOR_ROUTES_MAX];
        if (strcmp(route_name(d, n), route_name(d, i)) == 0) {
            us += atomic_load(&c->us);
            len += all_answers(c);
        }
    }
    ccz_buf_printf(out, "cczoo_kms_http_request_seconds_sum{route=\"%s\"} %llu.%06llu\n",
                   route_name(d, i), (unsigned long long)(us / 1000000),
                   (unsigned long long)(us % 1000000));
    ccz_buf_printf(out, "cczoo_kms_http_request_seconds_count{route=\"%s\"} %llu\n",
                   route_name(d, i), (unsigned long long)len);
}

void ccz_kms_door_metrics(void *door, struct ccz_buf *out)
{
    struct ccz_kms_door *d = door;
    cczi_metric_head(out, "http_requests_total", "counter",
                     "Answers by route and class of status.");
    for (size_t i = 0; i <= d->routes_len; i++)
        if (first_of_name(d, i))
            put_requests(out, d, i);
    cczi_metric_head(out, "http_request_seconds", "summary",
                     "From the whole request to its answer.");
    for (size_t i = 0; i <= d->routes_len; i++)
        if (first_of_name(d, i))
            put_times(out, d, i);
    cczi_metric_head(out, "http_refused_total", "counter",
                     "Requests and connections turned away before any handler.");
    for (size_t i = 0; i < CCZI_REFUSALS; i++)
        ccz_buf_printf(out, "cczoo_kms_http_refused_total{reason=\"%s\"} %llu\n", refusals[i],
                       (unsigned long long)atomic_load(&d->refused[i]));
    cczi_metric_one(out, "http_connections", "gauge", "TLS connections that are open.",
                    atomic_load(&d->conns_now));
    cczi_metric_one(out, "http_connections_total", "counter", "TLS connections that were accepted.",
                    atomic_load(&d->conns_all));
    cczi_metric_one(out, "http_requests_in_flight", "gauge", "Requests that wait for their answer.",
                    atomic_load(&d->requests_now));
    cczi_metric_one(out, "http_certificate_expires_seconds", "gauge",
                    "When the certificate of this door ends, since 1970; 0 = there is none.",
                    (uint64_t)atomic_load(&d->cert_until_s));
    pthread_mutex_lock(&d->lock); /* the others may be gone once the door has stopped */
    if (d->cfg.service && !d->stopping)
        ccz_kms_service_metrics(d->cfg.service, out);
    if (d->cfg.metrics && !d->stopping)
        d->cfg.metrics(d->cfg.metrics_arg, out);
    pthread_mutex_unlock(&d->lock);
}

/* What of StatusResponse is worth a curve. */
static const struct {
    const char *field, *name, *type, *help;
} gauges[] = {
    {"keys", "keys", "gauge", "Versions of keys in the store."},
    {"secrets", "secrets", "gauge", "Versions of secrets in the store."},
    {"policies", "policies", "gauge", "Policies in the store."},
    {"unbound", "unbound_items", "gauge", "Items that no policy releases."},
    {"audit_seq", "audit_lines_total", "counter", "Lines of the audit log."},
    {"started_s", "started_seconds", "gauge", "When the server was started, since 1970."},
    {"collateral_expires_s", "collateral_expires_seconds", "gauge",
     "When the first part of the collateral expires, since 1970; 0 = there is none."},
    {"simulated", "simulated", "gauge",
     "1 = evidence of this KMS, or that it accepts, is simulated."},
};

static void on_status(struct cczi_door_req *r, void *arg, struct ccz_span response,
                      const struct ccz_err *err)
{
    (void)arg;
    const struct cczi_shape_method *m = cczi_shape_method("Status");
    if (err) {
        cczi_door_reply_err(r, err);
        return;
    }
    CCZ_AUTO_BUF text;
    ccz_buf_init(&text, METRICS_SIZE_MAX);
    ccz_kms_door_metrics(r->door, &text);
    for (size_t i = 0; m && i < sizeof(gauges) / sizeof(*gauges); i++)
        cczi_metric_one(&text, gauges[i].name, gauges[i].type, gauges[i].help,
                        cczi_shape_uint(m->response, response, gauges[i].field));
    if (text.bad) {
        struct ccz_err why = {0};
        (void)cczi_door_no_memory(&why);
        cczi_door_reply_err(r, &why);
        return;
    }
    reply_text(r, "text/plain; version=0.0.4; charset=utf-8", ccz_buf_span(&text));
}

/* For those who may read the status: how many secrets there are is nobody else's business. */
static void on_metrics(struct cczi_door_req *r, void *arg)
{
    (void)arg;
    cczi_door_call(r, &(struct cczi_door_call){.method = "Status"}, on_status, NULL);
}

ccz_rc cczi_door_add_ops(struct ccz_kms_door *d, struct ccz_err *err)
{
    static const struct cczi_door_route routes[] = {
        {.name = "healthz",
         .methods = "GET",
         .path = "/healthz",
         .flags = CCZI_DOOR_OWN_AUTH | CCZI_DOOR_NO_RATE,
         .fn = on_healthz},
        {.name = "readyz",
         .methods = "GET",
         .path = "/readyz",
         .flags = CCZI_DOOR_OWN_AUTH | CCZI_DOOR_NO_RATE,
         .fn = on_readyz},
        {.name = "metrics",
         .methods = "GET",
         .path = "/metrics",
         .flags = CCZI_DOOR_KNOWN,
         .fn = on_metrics},
    };
    ccz_rc rc = CCZ_OK;
    for (size_t i = 0; rc == CCZ_OK && i < sizeof(routes) / sizeof(*routes); i++)
        rc = cczi_door_route(d, &routes[i], err);
    return rc;
}
