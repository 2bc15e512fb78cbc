/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connections of secret provisioning: handshake, request, one call of the KMS, answer. All on one thread but two: the KMS answers on its
 * worker's, and reload comes from any.
 */
#define _DEFAULT_SOURCE
#include "prov.h"

#include "door_priv.h"

#include "wire/wire.h"

#include <cczoo/net.h>
#include <pthread.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum {
    CONNECTIONS_MAX = 256,
    CONNECTIONS_LIMIT = 65536,
    TIMEOUT_MS = 10000,
    LINGER_MS = 2000,    /* for a refused client to read its alert */
    PLAIN_SIZE_MAX = 256 /* of bytes in one read; only the first 35 count */
};
enum rate_of { OF_ADDRESS, OF_WORKLOAD, OF_ALL, RATES };
static const char *const too_fast[RATES] = {"prov:rate-address", "prov:rate-workload",
                                            "prov:rate-total"};
static const char release_path[] = "/cczoo.kms.v1.Kms/Release";

/* One way through: it has not asked; the KMS was asked; it has its value or its refusal and is waited for to take it. All three
 * are counted, and in a crowd the last go first. */
enum stage { ASKING, ANSWERED, LEAVING, STAGES };
struct conn {
    struct conn *next, **link; /* in its list */
    enum stage stage;
    struct ccz_kms_prov *prov;
    struct cczi_prov_site *site;
    struct ccz_conn *net;
    struct ccz_tls *tls;
    struct ccz_ratls_peer *peer; /* the hook's, once the evidence was verified */
    struct call *call;           /* the KMS is asked; or NULL */
    bool eof;                    /* the client has ended its direction */
    struct cczi_deadline deadline;
    struct cczi_prov_request request;
    char address[CCZ_ADDR_TEXT_SIZE];
};
/* Outlives its connection: the KMS answers exactly once. */
struct call {
    struct ccz_kms_prov *prov;
    struct conn *conn; /* NULL = gone */
    struct ccz_secret *value;
    struct ccz_err err; /* without a value: why */
};
struct list {
    struct conn *first, **last;
    size_t len;
};
struct ccz_kms_prov {
    struct ccz_kms_prov_cfg cfg; /* with the texts below */
    char *texts[3];
    struct ccz_loop *loop;
    struct ccz_listener *listener;
    uint16_t port;
    struct cczi_deadlines deadlines;
    pthread_t thread;
    bool running;
    bool stopping;
    struct list list[STAGES]; /* oldest first */
    size_t calls;             /* of which the KMS has not answered */
    pthread_mutex_t lock;     /* site */
    struct cczi_prov_site *site;
    struct cczi_rate rate[RATES];
    struct cczi_rates by_address, by_workload;
    struct cczi_shakes shakes; /* of the loop */
    struct cczi_bucket log_lines;
    uint64_t unlogged; /* since the last line */
    atomic_ullong open, accepted, released, refused, dropped, limited[RATES];
};

/* --------------------------------------------------------------------------------- lists */

static void list_add(struct list *l, struct conn *c)
{
    c->next = NULL;
    c->link = l->last;
    *l->last = c;
    l->last = &c->next;
    l->len++;
}

static void list_remove(struct list *l, struct conn *c)
{
    *c->link = c->next;
    if (c->next)
        c->next->link = c->link;
    else
        l->last = c->link;
    l->len--;
}

static void leave_list(struct conn *c)
{
    list_remove(&c->prov->list[c->stage], c);
    if (c->stage == ASKING)
        atomic_fetch_sub(&c->prov->open, 1);
}

static void go_to(struct conn *c, enum stage stage)
{
    leave_list(c);
    c->stage = stage;
    list_add(&c->prov->list[stage], c);
}

/* --------------------------------------------------------------------------------- ends */

/* @p linger_ms: what is queued is sent first; 0 = it ends at once */
static void destroy(struct conn *c, int64_t linger_ms)
{
    struct ccz_kms_prov *p = c->prov;
    if (c->call)
        c->call->conn = NULL;
    leave_list(c);
    cczi_deadline_cancel(&p->deadlines, &c->deadline);
    if (linger_ms > 0)
        ccz_conn_end(c->net, linger_ms);
    else
        ccz_conn_free(c->net);
    ccz_tls_free(c->tls);
    cczi_prov_site_unref(c->site);
    free(c->peer);
    free(c);
}

/* @return false: the client will not get it */
static bool flush(struct conn *c)
{
    CCZ_AUTO_BUF out;
    ccz_buf_init(&out, CCZ_TLS_BUFFER_MAX);
    return ccz_tls_drain(&out, c->tls) == CCZ_OK &&
           (out.size == 0 || ccz_conn_write(c->net, ccz_buf_span(&out)) == CCZ_OK);
}

static struct conn *conn_of(struct cczi_deadline *d)
{
    return (struct conn *)((char *)d - offsetof(struct conn, deadline));
}

static void on_left(struct cczi_deadline *d)
{
    destroy(conn_of(d), 0);
}

/* What has been queued is sent and the client's end awaited; meanwhile it is one of those that are counted. */
static void leave(struct conn *c, int64_t wait_ms)
{
    struct ccz_kms_prov *p = c->prov;
    if (c->call) /* which is over */
        c->call->conn = NULL;
    c->call = NULL;
    bool nothing_left = c->eof && ccz_conn_pending(c->net) == 0;
    if (p->stopping || nothing_left) { /* the loop ends when the last of them has */
        destroy(c, nothing_left ? 0 : wait_ms);
        return;
    }
    go_to(c, LEAVING);
    ccz_conn_shutdown(c->net);
    if (c->eof)
        ccz_conn_tell_sent(c->net);
    c->deadline.fn = on_left;
    if (!cczi_deadline_set(&p->deadlines, &c->deadline, ccz_mono_ms() + wait_ms))
        destroy(c, 0);
}

/* A flood of clients is no flood of lines; the counters have them all. */
static bool may_log(struct ccz_kms_prov *p)
{
    static const struct cczi_rate rate = {10, 50};
    uint32_t wait_s;
    bool may = cczi_bucket_take(&wait_s, &p->log_lines, rate, ccz_mono_ms());
    p->unlogged = may ? p->unlogged : p->unlogged + 1;
    return may;
}

static void log_line(struct ccz_kms_prov *p, const char *what, const char *address,
                     const struct ccz_err *err)
{
    char text[CCZ_ADDR_TEXT_SIZE + 64];
    if (!may_log(p))
        return;
    (void)snprintf(text, sizeof(text), "%s peer=%s unlogged=%llu", what, address,
                   (unsigned long long)p->unlogged);
    p->unlogged = 0;
    ccz_log_err(CCZ_LOG_INFO, "prov", text, err);
}

/* The client learns from an alert or an early end that there is nothing; the log says why. */
static void refuse(struct conn *c, const struct ccz_err *err)
{
    log_line(c->prov, "refused", c->address, err);
    atomic_fetch_add(&c->prov->refused, 1);
    ccz_tls_close(c->tls);
    (void)flush(c);
    leave(c, LINGER_MS);
}

static void drop(struct conn *c, const char *where)
{
    struct ccz_err err = {0};
    (void)ccz_fail(&err, CCZ_E_CLOSED, where, 0, "the connection has ended");
    log_line(c->prov, "dropped", c->address, &err);
    atomic_fetch_add(&c->prov->dropped, 1);
    destroy(c, 0);
}

static void on_deadline(struct cczi_deadline *d)
{
    drop(conn_of(d), "prov:timeout");
}

static ccz_rc set_deadline(struct conn *c, struct ccz_err *err)
{
    c->deadline.fn = on_deadline;
    return cczi_deadline_set(&c->prov->deadlines, &c->deadline,
                             ccz_mono_ms() + c->prov->cfg.timeout_ms)
               ? CCZ_OK
               : ccz_fail(err, CCZ_E_NOMEM, "prov:memory", 0, "out of memory");
}

/* -------------------------------------------------------------------------------- evidence */

/* Inside the handshake, before the client has proved that it holds the key: nothing is done with what is found before
 * that. */
static ccz_rc judge_cert(void *prov, void *conn, struct ccz_span der, struct ccz_err *err)
{
    struct ccz_kms_prov *p = prov;
    struct conn *c = conn;
    CCZ_AUTO(ccz_cert) cert = NULL;
    ccz_rc rc = ccz_cert_parse(&cert, der, err);
    if (rc != CCZ_OK)
        return rc;
    if (!c->peer)
        c->peer = malloc(sizeof(*c->peer));
    if (!c->peer)
        return ccz_fail(err, CCZ_E_NOMEM, "prov:memory", 0, "out of memory");
    *c->peer = (struct ccz_ratls_peer){0};
    rc = ccz_sha256(c->peer->spki_sha256, ccz_cert_spki(cert));
    if (rc != CCZ_OK)
        return ccz_fail(err, rc, "prov:hash", 0, "the client's key could not be hashed");
    rc = ccz_ratls_cert_verify(&c->peer->claims, cert, p->cfg.appraise, p->cfg.appraise_arg, err);
    c->peer->attested = rc == CCZ_OK;
    return rc;
}

/* ------------------------------------------------------------------------------------- call */

static void write_secret(struct conn *c, const struct ccz_secret *value)
{
    struct ccz_err err = {0};
    struct cczi_rate_addr addr;
    uint8_t head[CCZI_PROV_HEAD_SIZE];
    cczi_rate_addr_of(&addr, c->address);
    cczi_shakes_known(&c->prov->shakes, &addr, ccz_mono_ms());
    cczi_prov_head_put(head, (uint32_t)ccz_secret_size(value)); /* at most CCZ_KMS_VALUE_SIZE_MAX */
    ccz_rc rc = ccz_tls_write(c->tls, CCZ_SPAN(head, sizeof(head)), &err);
    if (rc == CCZ_OK)
        rc = ccz_tls_write(c->tls, CCZ_SPAN(ccz_secret_view(value), ccz_secret_size(value)), &err);
    if (rc != CCZ_OK) {
        refuse(c, &err);
        return;
    }
    ccz_tls_close(c->tls);
    if (!flush(c)) {
        drop(c, "prov:gone");
        return;
    }
    ccz_log(CCZ_LOG_INFO, "prov", "released peer=%s", c->address);
    atomic_fetch_add(&c->prov->released, 1);
    leave(c, c->prov->cfg.timeout_ms);
}

static void free_call(struct call *k)
{
    ccz_secret_free(k->value);
    free(k);
}

/* On the loop. */
static void call_done(void *arg)
{
    struct call *k = arg;
    struct ccz_kms_prov *p = k->prov;
    p->calls--;
    if (k->conn && k->value)
        write_secret(k->conn, k->value);
    else if (k->conn)
        refuse(k->conn, &k->err);
    free_call(k);
    if (p->stopping && p->calls == 0)
        ccz_loop_finish(p->loop);
}

/* On a thread of the service. */
static void on_answer(void *arg, struct ccz_span response, const struct ccz_err *err)
{
    struct call *k = arg;
    struct ccz_span value;
    if (err)
        k->err = *err;
    else if (cczi_prov_release_get(&value, response, &k->err) == CCZ_OK &&
             ccz_secret_from(&k->value, value.ptr, value.size) != CCZ_OK)
        (void)ccz_fail(&k->err, CCZ_E_NOMEM, "prov:memory", 0, "out of memory");
    /* the loop must hear of it: it waits for every call before it ends */
    while (ccz_loop_post(k->prov->loop, call_done, k) != CCZ_OK)
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
}

static ccz_rc start_call(struct conn *c, const char *item, struct ccz_err *err)
{
    struct ccz_kms_prov *p = c->prov;
    CCZ_AUTO_BUF body;
    ccz_buf_init(&body, 2 * CCZ_KMS_ITEM_SIZE);
    cczi_prov_release_put(&body, item);
    struct call *k = calloc(1, sizeof(*k));
    if (!k || body.bad) {
        free(k);
        return ccz_fail(err, CCZ_E_NOMEM, "prov:memory", 0, "out of memory");
    }
    k->prov = p;
    k->conn = c;
    const struct ccz_kms_request req = {.path = release_path,
                                        .body = ccz_buf_span(&body),
                                        .peer = c->peer,
                                        .address = c->address,
                                        .doors = CCZ_KMS_DOOR_KEY_BOUND};
    ccz_rc rc = ccz_kms_service_call(p->cfg.service, &req, on_answer, k, err);
    if (rc != CCZ_OK) {
        free(k);
        return rc;
    }
    p->calls++;
    c->call = k;
    go_to(c, ANSWERED);
    return CCZ_OK;
}

static ccz_rc too_many(struct ccz_kms_prov *p, enum rate_of of, uint32_t wait_s,
                       struct ccz_err *err)
{
    atomic_fetch_add(&p->limited[of], 1);
    return ccz_fail(err, CCZ_E_LIMIT, too_fast[of], wait_s, "too many connections, %u a second",
                    p->rate[of].rate);
}

/* A refusal of the KMS is a line of its audit log: what was measured on one platform does not make them from many addresses. */
static ccz_rc check_workload(struct conn *c, struct ccz_err *err)
{
    struct ccz_kms_prov *p = c->prov;
    uint8_t id[32];
    uint32_t wait_s;
    ccz_rc rc = ccz_claims_identity(id, &c->peer->claims, err);
    if (rc != CCZ_OK || cczi_rates_take(&wait_s, &p->by_workload, CCZ_SPAN(id, sizeof(id)),
                                        p->rate[OF_WORKLOAD], ccz_mono_ms()))
        return rc;
    return too_many(p, OF_WORKLOAD, wait_s, err);
}

static ccz_rc ask_kms(struct conn *c, struct ccz_err *err)
{
    const char *item;
    if (!c->peer ||
        !c->peer
             ->attested) /* the handshake was done without the hook: a bug below must not open the door */
        return ccz_fail(err, CCZ_E_INTERNAL, "prov:unverified", 0, "no evidence was verified");
    ccz_rc rc = check_workload(c, err);
    if (rc == CCZ_OK)
        rc = cczi_prov_map_find(&item, c->site->map, &c->peer->claims, err);
    if (rc == CCZ_OK)
        rc = set_deadline(c, err);
    return rc == CCZ_OK ? start_call(c, item, err) : rc;
}

/* ------------------------------------------------------------------------------- connection */

/* What is decrypted goes into the request; what comes behind it is dropped. */
static ccz_rc read_request(bool *done, struct conn *c, struct ccz_err *err)
{
    CCZ_AUTO_BUF plain;
    ccz_rc rc;
    *done = false;
    ccz_buf_init(&plain, PLAIN_SIZE_MAX);
    do {
        ccz_buf_clear(&plain);
        rc = ccz_tls_read(&plain, c->tls, err);
        if (rc == CCZ_OK && plain.size > 0)
            rc = cczi_prov_request_feed(done, &c->request, ccz_buf_span(&plain), err);
    } while (rc == CCZ_OK && plain.size > 0 && !*done);
    return rc;
}

static void on_data(struct ccz_conn *net, void *arg, struct ccz_span data)
{
    (void)net;
    struct conn *c = arg;
    if (c->stage != ASKING) /* bytes of the client's own protocol: nobody reads them */
        return;
    struct ccz_err err = {0};
    bool done = false;
    ccz_rc rc = ccz_tls_feed(c->tls, data);
    if (rc != CCZ_OK)
        (void)ccz_fail(&err, rc, "prov:memory", 0, "received bytes could not be stored");
    else
        rc = ccz_tls_step(c->tls, &err);
    if (rc == CCZ_OK && ccz_tls_ready(c->tls))
        rc = read_request(&done, c, &err);
    if (rc == CCZ_OK && done)
        rc = ask_kms(c, &err);
    if (rc != CCZ_OK)
        refuse(c, &err);
    else if (!flush(c))
        drop(c, "prov:gone");
}

static void on_closed(struct ccz_conn *net, void *arg, const struct ccz_err *err)
{
    struct conn *c = arg;
    c->eof = true;
    /* who has asked may have ended its direction: what is sent still arrives */
    bool more = err->rc == CCZ_E_CLOSED && ccz_conn_pending(net) > 0;
    if (c->stage == LEAVING && more)
        ccz_conn_tell_sent(net);
    else if (c->stage == LEAVING)
        destroy(c, 0);
    else if (c->stage == ASKING || err->rc != CCZ_E_CLOSED)
        drop(c, err->where);
}

static void on_drained(struct ccz_conn *net, void *arg)
{
    (void)net;
    struct conn *c = arg;
    if (c->stage == LEAVING && c->eof)
        destroy(c, 0);
}

bool cczi_prov_same_client(const char *a, const char *b)
{
    struct cczi_rate_addr of_a, of_b;
    cczi_rate_addr_of(&of_a, a);
    cczi_rate_addr_of(&of_b, b);
    return memcmp(&of_a, &of_b, sizeof(of_a)) == 0;
}

/* The oldest of @p stage, of the host of @p address (NULL = of any). @param[in,out] same  those of that host are added */
static struct conn *oldest(size_t *same, struct ccz_kms_prov *p, enum stage stage,
                           const char *address)
{
    struct conn *first = NULL;
    for (struct conn *c = p->list[stage].first; c; c = c->next) {
        if (address && !cczi_prov_same_client(c->address, address))
            continue;
        (*same)++;
        if (!first)
            first = c;
    }
    return first;
}

/* A client is some milliseconds from its connection to its request: first goes who has all that it will get, then who has been silent
 * for longest; of the same host where that one has its share. @return false: nobody can be sent away */
static bool make_room(struct ccz_kms_prov *p, const char *address)
{
    size_t same = 0, all = 0;
    struct conn *left = oldest(&same, p, LEAVING, address);
    struct conn *silent = oldest(&same, p, ASKING, address);
    /* those that the KMS works for are not sent away, and count */
    (void)oldest(&same, p, ANSWERED, address);
    bool share = same >= p->cfg.per_address_max;
    for (size_t i = 0; i < STAGES; i++)
        all += p->list[i].len;
    if (!share && all < p->cfg.connections_max)
        return true;
    if (!share) {
        left = p->list[LEAVING].first;
        silent = p->list[ASKING].first;
    }
    if (left)
        destroy(left, 0);
    else if (silent)
        drop(silent, share ? "prov:per-address" : "prov:connections");
    return left || silent;
}

static const struct ccz_conn_ops conn_ops = {
    .on_data = on_data, .on_closed = on_closed, .on_drained = on_drained};

static struct conn *new_conn(struct ccz_kms_prov *p, const char *address)
{
    struct conn *c = calloc(1, sizeof(*c));
    if (!c)
        return NULL;
    c->prov = p;
    (void)snprintf(c->address, sizeof(c->address), "%s", address);
    pthread_mutex_lock(&p->lock);
    c->site = cczi_prov_site_ref(p->site);
    pthread_mutex_unlock(&p->lock);
    if (ccz_tls_new(&c->tls, c->site->tls, c, NULL) == CCZ_OK)
        return c;
    cczi_prov_site_unref(c->site);
    free(c);
    return NULL;
}

/* @return RATES, or whose rate it is beyond */
static enum rate_of beyond(uint32_t *wait_s, struct ccz_kms_prov *p, const char *address)
{
    struct cczi_rate_addr addr;
    int64_t now_ms = ccz_mono_ms();
    cczi_rate_addr_of(&addr, address);
    if (!cczi_rates_take(wait_s, &p->by_address, CCZ_SPAN(addr.bytes, sizeof(addr.bytes)),
                         p->rate[OF_ADDRESS], now_ms))
        return OF_ADDRESS;
    return cczi_shakes_take(wait_s, &p->shakes, &addr, now_ms) ? RATES : OF_ALL;
}

/* @return false: the connection is closed */
static bool may_come(struct ccz_kms_prov *p, int fd, const char *address)
{
    uint32_t wait_s;
    enum rate_of of = beyond(&wait_s, p, address);
    if (of == RATES)
        return true;
    struct ccz_err err = {0};
    (void)too_many(p, of, wait_s, &err);
    log_line(p, "refused", address, &err);
    close(fd);
    return false;
}

static void on_accept(void *arg, int fd, const char *address)
{
    struct ccz_kms_prov *p = arg;
    atomic_fetch_add(&p->accepted, 1);
    if (!may_come(p, fd, address))
        return;
    struct conn *c = make_room(p, address) ? new_conn(p, address) : NULL;
    const struct ccz_conn_cfg cfg = {
        .ops = &conn_ops, .arg = c, .out_size_max = 4 * CCZ_KMS_VALUE_SIZE_MAX};
    struct ccz_err err = {0};
    if (!c) {
        (void)ccz_fail(&err, CCZ_E_LIMIT, "prov:busy", p->cfg.connections_max,
                       "all connections, or all of this address, wait for the KMS");
        log_line(p, "dropped", address, &err);
        atomic_fetch_add(&p->dropped, 1);
        close(fd);
        return;
    }
    list_add(&p->list[ASKING], c);
    atomic_fetch_add(&p->open, 1);
    if (ccz_conn_adopt(&c->net, p->loop, fd, &cfg) != CCZ_OK || set_deadline(c, &err) != CCZ_OK)
        drop(c, "prov:memory");
}

/* ------------------------------------------------------------------------------- life cycle */

/* @p burst  0 = twice the rate */
static struct cczi_rate rate_of(uint32_t rate, uint32_t burst)
{
    return (struct cczi_rate){rate, burst ? burst : 2 * rate};
}

static ccz_rc take_rates(struct ccz_kms_prov *p, const struct ccz_kms_prov_cfg *cfg,
                         struct ccz_err *err)
{
    uint32_t one = cfg->address_rate ? cfg->address_rate : CCZ_KMS_PROV_ADDRESS_RATE;
    uint32_t usual = cczi_shakes_usual(one);
    usual = usual < CCZ_KMS_RATE_MAX ? usual : CCZ_KMS_RATE_MAX;
    uint32_t all = cfg->total_rate ? cfg->total_rate : usual;
    if (one > CCZ_KMS_RATE_MAX || all > CCZ_KMS_RATE_MAX)
        return ccz_fail(err, CCZ_E_ARG, "prov:config", one > all ? one : all,
                        "rates of at most %d a second", CCZ_KMS_RATE_MAX);
    p->rate[OF_ADDRESS] = p->rate[OF_WORKLOAD] = rate_of(one, cfg->address_burst);
    p->rate[OF_ALL] = rate_of(all, cfg->total_burst);
    return cczi_rates_init(&p->by_address) == CCZ_OK &&
                   cczi_rates_init(&p->by_workload) == CCZ_OK &&
                   cczi_shakes_init(&p->shakes, p->rate[OF_ALL], ccz_mono_ms()) == CCZ_OK
               ? CCZ_OK
               : ccz_fail(err, CCZ_E_UNAVAILABLE, "prov:random", 0, "no random bytes");
}

static ccz_rc take_cfg(struct ccz_kms_prov *p, const struct ccz_kms_prov_cfg *cfg,
                       struct ccz_err *err)
{
    if (!cfg->service || !cfg->appraise || !cfg->listen || !cfg->cert_file || !cfg->key_file ||
        !cfg->map_file)
        return ccz_fail(err, CCZ_E_ARG, "prov:config", 0,
                        "a service, an appraisal, an address, and files of certificate, key and "
                        "map are needed");
    if (cfg->connections_max > CONNECTIONS_LIMIT || cfg->timeout_ms < 0)
        return ccz_fail(err, CCZ_E_ARG, "prov:config", cfg->connections_max,
                        "at most %d connections, and no negative time", CONNECTIONS_LIMIT);
    p->cfg = *cfg;
    const char **const copied[] = {&p->cfg.cert_file, &p->cfg.key_file, &p->cfg.map_file};
    for (size_t i = 0; i < sizeof(copied) / sizeof(copied[0]); i++) {
        p->texts[i] = strdup(*copied[i]);
        if (!p->texts[i])
            return ccz_fail(err, CCZ_E_NOMEM, "prov:config", 0, "out of memory");
        *copied[i] = p->texts[i];
    }
    if (p->cfg.connections_max == 0)
        p->cfg.connections_max = CONNECTIONS_MAX;
    if (p->cfg.per_address_max == 0)
        p->cfg.per_address_max = p->cfg.connections_max / 4 > 0 ? p->cfg.connections_max / 4 : 1;
    if (p->cfg.timeout_ms == 0)
        p->cfg.timeout_ms = TIMEOUT_MS;
    return take_rates(p, cfg, err);
}

static void *run(void *arg)
{
    struct ccz_kms_prov *p = arg;
    struct ccz_err err = {0};
    if (ccz_loop_run(p->loop, &err) != CCZ_OK)
        ccz_log_err(CCZ_LOG_ERROR, "prov", "loop ended", &err);
    return NULL;
}

static ccz_rc open_port(struct ccz_kms_prov *p, struct ccz_err *err)
{
    const struct ccz_listen_cfg listen = {
        .address = p->cfg.listen, .on_accept = on_accept, .arg = p};
    ccz_rc rc = ccz_loop_new(&p->loop, err);
    if (rc == CCZ_OK)
        rc = cczi_deadlines_init(&p->deadlines, p->loop) == CCZ_OK
                 ? CCZ_OK
                 : ccz_fail(err, CCZ_E_NOMEM, "prov:memory", 0, "out of memory");
    if (rc == CCZ_OK)
        rc = ccz_listen(&p->listener, p->loop, &listen, err);
    if (rc != CCZ_OK)
        return rc;
    p->port = ccz_listener_port(p->listener);
    p->cfg.listen = NULL; /* the caller's text need not live on */
    p->running = pthread_create(&p->thread, NULL, run, p) == 0;
    return p->running ? CCZ_OK
                      : ccz_fail(err, CCZ_E_UNAVAILABLE, "prov:thread", 0, "cannot start a thread");
}

ccz_rc ccz_kms_prov_start(struct ccz_kms_prov **out, const struct ccz_kms_prov_cfg *cfg,
                          struct ccz_err *err)
{
    *out = NULL;
    struct ccz_kms_prov *p = calloc(1, sizeof(*p));
    if (!p)
        return ccz_fail(err, CCZ_E_NOMEM, "prov:config", 0, "out of memory");
    for (size_t i = 0; i < STAGES; i++)
        p->list[i].last = &p->list[i].first;
    pthread_mutex_init(&p->lock, NULL);
    ccz_rc rc = take_cfg(p, cfg, err);
    if (rc == CCZ_OK)
        rc = cczi_prov_site_load(&p->site, &p->cfg, judge_cert, p, err);
    if (rc == CCZ_OK)
        rc = open_port(p, err);
    if (rc == CCZ_OK) {
        ccz_log(CCZ_LOG_INFO, "prov", "listening port=%u items=%zu", p->port,
                cczi_prov_map_len(p->site->map));
        *out = p;
    } else {
        ccz_kms_prov_free(p);
    }
    return rc;
}

uint16_t ccz_kms_prov_port(const struct ccz_kms_prov *p)
{
    return p->port;
}

ccz_rc ccz_kms_prov_reload(struct ccz_kms_prov *p, struct ccz_err *err)
{
    struct cczi_prov_site *fresh;
    ccz_rc rc = cczi_prov_site_load(&fresh, &p->cfg, judge_cert, p, err);
    if (rc != CCZ_OK)
        return rc;
    pthread_mutex_lock(&p->lock);
    struct cczi_prov_site *old = p->site;
    p->site = fresh;
    pthread_mutex_unlock(&p->lock);
    cczi_prov_site_unref(old);
    return CCZ_OK;
}

void ccz_kms_prov_stats(struct ccz_kms_prov_stats *out, const struct ccz_kms_prov *p)
{
    *out = (struct ccz_kms_prov_stats){.open = atomic_load(&p->open),
                                       .accepted = atomic_load(&p->accepted),
                                       .released = atomic_load(&p->released),
                                       .refused = atomic_load(&p->refused),
                                       .dropped = atomic_load(&p->dropped),
                                       .rate_address = atomic_load(&p->limited[OF_ADDRESS]),
                                       .rate_workload = atomic_load(&p->limited[OF_WORKLOAD]),
                                       .rate_total = atomic_load(&p->limited[OF_ALL])};
}

void ccz_kms_prov_metrics(void *prov, struct ccz_buf *out)
{
    struct ccz_kms_prov_stats s;
    ccz_kms_prov_stats(&s, prov);
    cczi_metric_one(out, "prov_connections", "gauge",
                    "Connections of secret provisioning that have not made their request.", s.open);
    cczi_metric_one(out, "prov_connections_total", "counter",
                    "Connections of secret provisioning that came.", s.accepted);
    cczi_metric_one(out, "prov_released_total", "counter",
                    "Values handed out by secret provisioning.", s.released);
    cczi_metric_head(out, "prov_refused_total", "counter",
                     "Clients of secret provisioning that got nothing.");
    const struct {
        const char *reason;
        uint64_t value;
    } by_reason[] = {{"refused", s.refused},
                     {"dropped", s.dropped},
                     {"rate_address", s.rate_address},
                     {"rate_workload", s.rate_workload},
                     {"rate_total", s.rate_total}};
    for (size_t i = 0; i < sizeof(by_reason) / sizeof(*by_reason); i++)
        ccz_buf_printf(out, "cczoo_kms_prov_refused_total{reason=\"%s\"} %llu\n",
                       by_reason[i].reason, (unsigned long long)by_reason[i].value);
}

/* On the loop: nobody new, nobody waiting; the KMS still answers what it was asked. */
static void stop(void *arg)
{
    struct ccz_kms_prov *p = arg;
    p->stopping = true;
    ccz_listener_free(p->listener);
    p->listener = NULL;
    while (p->list[ASKING].first)
        destroy(p->list[ASKING].first, 0);
    while (p->list[LEAVING].first)
        destroy(p->list[LEAVING].first, LINGER_MS);
    if (p->calls == 0)
        ccz_loop_finish(p->loop);
}

void ccz_kms_prov_free(struct ccz_kms_prov *p)
{
    if (!p)
        return;
    if (p->running) {
        while (ccz_loop_post(p->loop, stop, p) != CCZ_OK)
            nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
        pthread_join(p->thread, NULL);
    }
    ccz_listener_free(p->listener);
    if (p->loop)
        cczi_deadlines_deinit(&p->deadlines);
    ccz_loop_free(p->loop);
    cczi_prov_site_unref(p->site);
    pthread_mutex_destroy(&p->lock);
    for (size_t i = 0; i < sizeof(p->texts) / sizeof(p->texts[0]); i++)
        free(p->texts[i]);
    free(p);
}
