/* SPDX-License-Identifier: Apache-2.0 */
/* The life of a door: port, identity, thread. */
#define _DEFAULT_SOURCE
#include "door_priv.h"

#include <cczoo/party.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    TICK_MS = 1000,
    DAY_S = 86400,
    SOON_S = 14 * DAY_S,
    PEM_SIZE_MAX = 256 << 10,
    KEY_SIZE_MAX = 16384,
    HEADER_SIZE = 16 << 10,
    REQUEST_MS = 30000,
    KEPT_SIZE = 64 << 20,
    FEW = 16 /* connections that a single client may open at once */
};

/* ---------------------------------------------------------------------------- configuration */

static void set_default(uint32_t *value, uint32_t usual)
{
    if (*value == 0)
        *value = usual;
}

static void set_limits(struct ccz_kms_door_limits *out, const struct ccz_kms_door_limits *in)
{
    *out = *in;
    if (out->body_size_max == 0)
        out->body_size_max = CCZ_KMS_DOOR_BODY_SIZE_MAX;
    if (out->header_size_max == 0)
        out->header_size_max = HEADER_SIZE;
    if (out->request_ms <= 0)
        out->request_ms = REQUEST_MS;
    set_default(&out->connections, 1024);
    if (out->kept_size_max == 0)
        out->kept_size_max = KEPT_SIZE;
    uint32_t few = out->connections < FEW ? out->connections : FEW;
    set_default(&out->per_address, out->connections / 8 > few ? out->connections / 8 : few);
    set_default(&out->requests, 512);
    set_default(&out->address_rate, 200);
    set_default(&out->address_burst, 2 * out->address_rate);
    set_default(&out->principal_rate, 100);
    set_default(&out->principal_burst, 2 * out->principal_rate);
    set_default(&out->total_rate, 5000);
    set_default(&out->total_burst, 2 * out->total_rate);
    set_default(&out->handshake_total_rate, cczi_shakes_usual(out->address_rate));
    set_default(&out->handshake_total_burst, 2 * out->handshake_total_rate);
}

/* "127.0.0.1:8080", "[::1]:8080", "unix:/path" */
static bool is_loopback(const char *listen)
{
    char ip[64];
    const char *colon = strrchr(listen, ':');
    if (strncmp(listen, "unix:", 5) == 0)
        return true;
    bool brackets = listen[0] == '[';
    const char *from = listen + brackets;
    size_t size = colon ? (size_t)(colon - from) : 0;
    if (size < 2 || size - brackets >= sizeof(ip))
        return false;
    size -= brackets;
    memcpy(ip, from, size);
    ip[size] = 0;
    struct in_addr v4;
    struct in6_addr v6;
    if (inet_pton(AF_INET, ip, &v4) == 1)
        return (ntohl(v4.s_addr) >> 24) == 127;
    return inet_pton(AF_INET6, ip, &v6) == 1 && IN6_IS_ADDR_LOOPBACK(&v6);
}

static ccz_rc check_cfg(const struct ccz_kms_door_cfg *cfg, struct ccz_err *err)
{
    bool files = cfg->cert_file || cfg->key_file;
    if (!cfg->listen || !cfg->clock.now_s || (!cfg->service && !cfg->sealed) ||
        (cfg->issuers_len && !cfg->issuers) || cfg->workers > CCZI_DOOR_WORKERS_MAX)
        return ccz_fail(err, CCZ_E_ARG, "door:config", 0,
                        "an address, a clock and a service are required");
    if (!!cfg->cert_file != !!cfg->key_file ||
        files + !!cfg->party + cfg->plain_http_insecure != 1) {
        ccz_fail(err, CCZ_E_ARG, "door:identity", 0,
                 "one identity is needed: a certificate with its key, or evidence");
        return ccz_hint(err, CCZ_E_ARG,
                        "for a loopback address there is --plain-http-insecure, too");
    }
    if (cfg->plain_http_insecure && !is_loopback(cfg->listen)) {
        ccz_refuse(err, CCZ_E_ARG, "door:plain", cfg->listen, "a loopback address");
        return ccz_hint(err, CCZ_E_ARG, "tokens and secrets would cross the network in clear");
    }
    return CCZ_OK;
}

/* --------------------------------------------------------------------------------- identity */

static ccz_rc web_of_files(struct cczi_web **out, const struct ccz_kms_door *d, struct ccz_err *err)
{
    CCZ_AUTO_BUF pem;
    CCZ_AUTO(ccz_secret) key = NULL;
    ccz_buf_init(&pem, PEM_SIZE_MAX);
    ccz_rc rc = ccz_file_read(&pem, d->cert_file, err);
    if (rc == CCZ_OK)
        rc = ccz_file_read_secret(&key, d->key_file, KEY_SIZE_MAX, err);
    if (rc != CCZ_OK)
        return rc;
    const struct cczi_web_cfg web = {
        .cert_pem = ccz_buf_span(&pem), .key_pem = key, .ask_client = true};
    rc = cczi_web_new(out, &web, err);
    char hint[CCZ_ERR_HINT_SIZE];
    (void)snprintf(hint, sizeof(hint), "the certificates are those of %s, the key that of %s",
                   d->cert_file, d->key_file);
    return rc == CCZ_OK ? rc : ccz_hint(err, rc, hint);
}

static ccz_rc web_of_party(struct cczi_web **out, const struct ccz_kms_door *d, struct ccz_err *err)
{
    CCZ_AUTO(ccz_key) key = NULL;
    CCZ_AUTO_BUF der;
    ccz_buf_init(&der, CCZ_CERT_SIZE_MAX);
    if (ccz_key_generate(&key, CCZ_P256) != CCZ_OK)
        return ccz_fail(err, CCZ_E_UNAVAILABLE, "door:key", 0, "cannot make a key");
    ccz_rc rc = ccz_party_cert_issue(&der, d->cfg.party, key, err);
    if (rc != CCZ_OK)
        return rc;
    const struct cczi_web_cfg web = {
        .cert_der = ccz_buf_span(&der), .key = key, .ask_client = true};
    return cczi_web_new(out, &web, err);
}

static ccz_rc load_identity(struct ccz_kms_door *d, struct ccz_err *err)
{
    if (d->cfg.plain_http_insecure)
        return CCZ_OK;
    struct cczi_web *web = NULL;
    ccz_rc rc = d->cert_file ? web_of_files(&web, d, err) : web_of_party(&web, d, err);
    if (rc != CCZ_OK)
        return rc;
    int64_t from_s, until_s, now_s = cczi_door_now_s(d);
    char until[21];
    cczi_web_validity(&from_s, &until_s, web);
    ccz_time_format(until, until_s);
    ccz_log(now_s < from_s || now_s > until_s ? CCZ_LOG_WARN : CCZ_LOG_INFO, "kms-door",
            "identity=%s until=%s%s", d->cert_file ? "file" : "evidence", until,
            now_s < from_s || now_s > until_s ? " NOT VALID NOW" : "");
    atomic_store(&d->cert_until_s, until_s > 0 ? until_s : 0);
    pthread_mutex_lock(&d->tls_lock);
    struct cczi_web *old = d->tls;
    d->tls = web;
    pthread_mutex_unlock(&d->tls_lock);
    cczi_web_free(old);
    return CCZ_OK;
}

ccz_rc ccz_kms_door_reload(struct ccz_kms_door *d)
{
    struct ccz_err err = {0};
    ccz_rc rc = load_identity(d, &err);
    if (rc != CCZ_OK)
        ccz_log_err(CCZ_LOG_ERROR, "kms-door", "identity=kept", &err);
    ccz_rc keys = d->issuers ? cczi_issuers_reload(d->issuers) : CCZ_OK;
    return keys == CCZ_OK ? rc : keys;
}

/* -------------------------------------------------------------------------------- new, free */

/* Once a day, in time for somebody to get another one. */
static void warn_of_end(struct ccz_kms_door *d)
{
    int64_t until_s = atomic_load(&d->cert_until_s), now_s = cczi_door_now_s(d);
    bool told = d->warned_s && now_s >= d->warned_s && now_s - d->warned_s < DAY_S;
    if (until_s == 0 || until_s - now_s >= SOON_S || told)
        return;
    char until[21];
    ccz_time_format(until, until_s);
    d->warned_s = now_s;
    ccz_log(CCZ_LOG_WARN, "kms-door", "identity=%s until=%s %s", d->cert_file ? "file" : "evidence",
            until,
            now_s > until_s ? "HAS ENDED: clients refuse it"
                            : "ENDS SOON: replace it, then send SIGHUP");
}

static void on_tick(void *arg)
{
    struct ccz_kms_door *d = arg;
    warn_of_end(d);
    cczi_door_sweep(d, ccz_mono_ms());
    cczi_door_deliver(d);
}

static void stop_loop(void *arg)
{
    struct ccz_kms_door *d = arg;
    ccz_loop_stop(d->loop);
}

static ccz_rc open_port(struct ccz_kms_door *d, const char *listen, struct ccz_err *err)
{
    const struct ccz_http_server_cfg http = {
        .listen = listen,
        .on_request = cczi_door_on_request,
        .arg = d,
        .new_ssl = d->cfg.plain_http_insecure ? NULL : cczi_door_new_ssl,
        .ssl_arg = d,
        .header_size_max = d->limits.header_size_max,
        .body_size_max = d->limits.body_size_max,
        .idle_timeout_ms = d->limits.request_ms,
        .connections_max = d->limits.connections,
        .address_connections_max = d->limits.connections, /* plain: a proxy's */
        .kept_size_max = d->limits.kept_size_max,
        .request_timeout_ms = d->limits.request_ms,
        .counter_of = cczi_door_counter_of, /* conn.c; but plain HTTP is counted there */
    };
    ccz_rc rc = ccz_loop_new(&d->loop, err);
    if (rc == CCZ_OK && (ccz_timer_new(&d->tick, d->loop, on_tick, d) != CCZ_OK ||
                         ccz_timer_new(&d->place, d->loop, cczi_door_place, d) != CCZ_OK ||
                         ccz_timer_new(&d->grace, d->loop, stop_loop, d) != CCZ_OK))
        rc = ccz_fail(err, CCZ_E_NOMEM, "door:new", 0, "out of memory");
    return rc == CCZ_OK ? ccz_http_server_new(&d->http, d->loop, &http, err) : rc;
}

static uint32_t processors(void)
{
    long n = sysconf(_SC_NPROCESSORS_ONLN);
    return n < 1 ? 1 : n > CCZI_DOOR_WORKERS_MAX ? CCZI_DOOR_WORKERS_MAX : (uint32_t)n;
}

static ccz_rc copy_cfg(struct ccz_kms_door *d, const struct ccz_kms_door_cfg *cfg,
                       struct ccz_err *err)
{
    d->cfg = *cfg;
    d->cfg.listen = d->cfg.cert_file = d->cfg.key_file = NULL;
    d->cfg.issuers = NULL;
    set_default(&d->cfg.workers, processors());
    set_limits(&d->limits, &cfg->limits);
    if (cfg->cert_file &&
        (!(d->cert_file = strdup(cfg->cert_file)) || !(d->key_file = strdup(cfg->key_file))))
        return ccz_fail(err, CCZ_E_NOMEM, "door:new", 0, "out of memory");
    if (cczi_rates_init(&d->by_address) != CCZ_OK || cczi_rates_init(&d->by_principal) != CCZ_OK ||
        cczi_rates_init(&d->handshakes) != CCZ_OK ||
        cczi_shakes_init(
            &d->shakes,
            (struct cczi_rate){d->limits.handshake_total_rate, d->limits.handshake_total_burst},
            ccz_mono_ms()) != CCZ_OK)
        return ccz_fail(err, CCZ_E_UNAVAILABLE, "door:new", 0, "no randomness");
    d->log_lines = (struct cczi_bucket){.at_ms = ccz_mono_ms(), .milli = 50000};
    cczi_bucket_init(&d->total, (struct cczi_rate){d->limits.total_rate, d->limits.total_burst},
                     ccz_mono_ms());
    return CCZ_OK;
}

ccz_rc ccz_kms_door_new(struct ccz_kms_door **out, const struct ccz_kms_door_cfg *cfg,
                        struct ccz_err *err)
{
    *out = NULL;
    ccz_rc rc = check_cfg(cfg, err);
    if (rc != CCZ_OK)
        return rc;
    CCZ_AUTO(ccz_kms_door) d = calloc(1, sizeof(*d));
    if (!d)
        return ccz_fail(err, CCZ_E_NOMEM, "door:new", 0, "out of memory");
    pthread_mutex_init(&d->lock, NULL);
    pthread_mutex_init(&d->tls_lock, NULL);
    pthread_cond_init(&d->wake, NULL);
    cczi_door_list_init(&d->done);
    cczi_door_list_init(&d->todo);
    rc = copy_cfg(d, cfg, err);
    if (rc == CCZ_OK)
        rc = load_identity(d, err);
    if (rc == CCZ_OK && cfg->issuers_len)
        rc = cczi_issuers_new(&d->issuers, cfg->issuers, cfg->issuers_len, err);
    if (rc == CCZ_OK)
        rc = open_port(d, cfg->listen, err);
    if (rc == CCZ_OK)
        rc = cczi_door_add_ops(d, err);
    if (rc == CCZ_OK)
        rc = cczi_door_add_rest(d, err);
    if (rc == CCZ_OK)
        rc = cczi_door_add_console(d, err);
    if (rc == CCZ_OK)
        *out = ccz_kms_door_take(&d);
    return rc;
}

static void *loop_main(void *arg)
{
    struct ccz_kms_door *d = arg;
    struct ccz_err err = {0};
    if (ccz_loop_run(d->loop, &err) != CCZ_OK)
        ccz_log_err(CCZ_LOG_ERROR, "kms-door", "the loop ended", &err);
    return NULL;
}

ccz_rc ccz_kms_door_start(struct ccz_kms_door *d, struct ccz_err *err)
{
    ccz_rc rc = cczi_door_workers_start(d, err);
    if (rc == CCZ_OK && d->issuers)
        rc = cczi_issuers_start(d->issuers, err);
    if (rc != CCZ_OK)
        return rc;
    ccz_timer_set(d->tick, TICK_MS, TICK_MS);
    int e = pthread_create(&d->thread, NULL, loop_main, d);
    if (e != 0)
        return ccz_fail(err, CCZ_E_UNAVAILABLE, "door:threads", e, "cannot start a thread");
    d->running = true;
    return CCZ_OK;
}

uint16_t ccz_kms_door_port(const struct ccz_kms_door *d)
{
    return ccz_http_server_port(d->http);
}

static void begin_drain(void *arg)
{
    struct ccz_kms_door *d = arg;
    ccz_timer_set(d->grace, d->grace_ms, 0);
    ccz_http_server_drain(d->http, stop_loop, d);
}

void ccz_kms_door_stop(struct ccz_kms_door *d, int64_t grace_ms)
{
    if (d->issuers)
        cczi_issuers_end(d->issuers); /* while those who wait get their answers */
    if (d->running) {
        d->grace_ms = grace_ms;
        if (ccz_loop_post(d->loop, begin_drain, d) != CCZ_OK)
            ccz_loop_stop(d->loop); /* no memory to say it: no grace */
        pthread_join(d->thread, NULL);
        d->running = false;
    }
    cczi_door_workers_stop(d);
    if (d->issuers)
        cczi_issuers_stop(d->issuers);
}

void ccz_kms_door_free(struct ccz_kms_door *d)
{
    if (!d)
        return;
    ccz_kms_door_stop(d, 0);
    ccz_http_server_free(d->http); /* whoever still waits is gone from now on */
    cczi_door_deliver(d);
    while (d->ends_len) {
        const struct cczi_door_end *e = &d->ends[--d->ends_len];
        e->fn(e->arg);
    }
    ccz_timer_free(d->tick);
    ccz_timer_free(d->place);
    ccz_timer_free(d->grace);
    ccz_loop_free(d->loop); /* and the last connections */
    cczi_issuers_free(d->issuers);
    cczi_web_free(d->tls);
    pthread_cond_destroy(&d->wake);
    pthread_mutex_destroy(&d->tls_lock);
    pthread_mutex_destroy(&d->lock);
    free(d->cert_file);
    free(d->key_file);
    free(d);
}

/* ------------------------------------------------------------------------------ for doors */

ccz_rc cczi_door_at_free(struct ccz_kms_door *d, void (*fn)(void *arg), void *arg)
{
    if (d->ends_len == CCZI_DOOR_ENDS_MAX)
        return CCZ_E_NOMEM;
    d->ends[d->ends_len++] = (struct cczi_door_end){fn, arg};
    return CCZ_OK;
}

int64_t cczi_door_now_s(const struct ccz_kms_door *d)
{
    return ccz_clock_now_s(d->cfg.clock);
}

struct ccz_loop *cczi_door_loop(struct ccz_kms_door *d)
{
    return d->loop;
}
