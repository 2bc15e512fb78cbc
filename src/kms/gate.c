/* SPDX-License-Identifier: Apache-2.0 */
/* Rates of the gRPC port. A refusal here leaves no audit line: a flood of calls must not become a flood of lines. */
#include "gate.h"

#include "kms_priv.h"
#include "rate.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum why { HANDSHAKES, HANDSHAKES_TOTAL, ADDRESS, PRINCIPAL, TOTAL, WHYS };
static const char *const reasons[WHYS] = {"rate_handshakes", "rate_handshakes_total",
                                          "rate_address", "rate_principal", "rate_total"};

struct cczi_kms_gate {
    struct cczi_rate limit[WHYS];
    _Atomic uint64_t refused[WHYS], passed;
    pthread_mutex_t lock; /* everything below */
    struct cczi_rates handshakes, by_address, by_principal;
    struct cczi_shakes shakes;
    struct cczi_bucket total, log_lines;
    uint64_t unlogged; /* refusals since the last line */
};

static const struct cczi_rate lines = {10, 50};

/* @param burst  0 = twice the rate */
static struct cczi_rate limit_of(uint32_t rate, uint32_t burst, uint32_t usual)
{
    rate = rate ? rate : usual;
    return (struct cczi_rate){rate, burst ? burst : rate <= UINT32_MAX / 2 ? 2 * rate : rate};
}

ccz_rc cczi_kms_gate_new(struct cczi_kms_gate **out, const struct ccz_kms_rates *limits,
                         struct ccz_err *err)
{
    *out = NULL;
    struct cczi_kms_gate *g = calloc(1, sizeof(*g));
    if (!g)
        return ccz_fail(err, CCZ_E_NOMEM, "kms:service", 0, "out of memory");
    struct cczi_rate *one = &g->limit[HANDSHAKES], *all = &g->limit[HANDSHAKES_TOTAL];
    *one = limit_of(limits->handshake_rate, limits->handshake_burst, CCZ_KMS_HANDSHAKE_RATE);
    *all = limit_of(limits->handshake_total_rate, limits->handshake_total_burst,
                    cczi_shakes_usual(one->rate));
    all->rate = all->rate < one->rate ? one->rate : all->rate;
    all->burst = all->burst < one->burst ? one->burst : all->burst;
    if (cczi_rates_init(&g->handshakes) != CCZ_OK || cczi_rates_init(&g->by_address) != CCZ_OK ||
        cczi_rates_init(&g->by_principal) != CCZ_OK ||
        cczi_shakes_init(&g->shakes, *all, ccz_mono_ms()) != CCZ_OK) {
        free(g);
        return ccz_fail(err, CCZ_E_UNAVAILABLE, "kms:random", 0, "no random bytes");
    }
    g->limit[ADDRESS] = limit_of(limits->address_rate, limits->address_burst, CCZ_KMS_ADDRESS_RATE);
    g->limit[PRINCIPAL] =
        limit_of(limits->principal_rate, limits->principal_burst, CCZ_KMS_PRINCIPAL_RATE);
    g->limit[TOTAL] = limit_of(limits->total_rate, limits->total_burst, CCZ_KMS_TOTAL_RATE);
    pthread_mutex_init(&g->lock, NULL);
    cczi_bucket_init(&g->total, g->limit[TOTAL], ccz_mono_ms());
    cczi_bucket_init(&g->log_lines, lines, ccz_mono_ms());
    *out = g;
    return CCZ_OK;
}

void cczi_kms_gate_free(struct cczi_kms_gate *g)
{
    if (!g)
        return;
    pthread_mutex_destroy(&g->lock);
    free(g);
}

/* The lock is held. */
static void count(struct cczi_kms_gate *g, enum why why, const char *address, int64_t now_ms)
{
    uint32_t wait_s;
    atomic_fetch_add(&g->refused[why], 1);
    if (!cczi_bucket_take(&wait_s, &g->log_lines, lines, now_ms)) {
        g->unlogged++;
        return;
    }
    char peer[64];
    ccz_escape(peer, sizeof(peer), ccz_span_str(address));
    ccz_log(CCZ_LOG_WARN, "kms", "refused peer=%s reason=%s unlogged=%llu", peer, reasons[why],
            (unsigned long long)g->unlogged);
    g->unlogged = 0;
}

bool cczi_kms_gate_admit(struct cczi_kms_gate *g, const char *address, int64_t now_ms)
{
    struct cczi_rate_addr addr;
    uint32_t wait_s;
    cczi_rate_addr_of(&addr, address);
    pthread_mutex_lock(&g->lock);
    enum why why = WHYS;
    if (!cczi_rates_take(&wait_s, &g->handshakes, CCZ_SPAN(addr.bytes, sizeof(addr.bytes)),
                         g->limit[HANDSHAKES], now_ms))
        why = HANDSHAKES;
    else if (!cczi_shakes_take(&wait_s, &g->shakes, &addr, now_ms))
        why = HANDSHAKES_TOTAL;
    if (why != WHYS)
        count(g, why, address, now_ms);
    pthread_mutex_unlock(&g->lock);
    return why == WHYS;
}

void cczi_kms_gate_known(struct cczi_kms_gate *g, const char *address, int64_t now_ms)
{
    struct cczi_rate_addr addr;
    cczi_rate_addr_of(&addr, address);
    pthread_mutex_lock(&g->lock);
    cczi_shakes_known(&g->shakes, &addr, now_ms);
    pthread_mutex_unlock(&g->lock);
}

/* Who calls: a workload on its platform, whatever keys and addresses it has; else a key. @return false: nobody in particular */
static bool principal_of(uint8_t id[32], const struct ccz_ratls_peer *peer)
{
    if (peer->attested && ccz_claims_identity(id, &peer->claims, NULL) == CCZ_OK)
        return true;
    memcpy(id, peer->spki_sha256, 32);
    return peer->attested || peer->pinned;
}

/* The lock is held. @return WHYS: nothing refuses it */
static enum why take(uint32_t *wait_s, struct cczi_kms_gate *g, const uint8_t *principal,
                     const char *address, int64_t now_ms)
{
    struct cczi_rate_addr addr;
    cczi_rate_addr_of(&addr, address);
    if (!cczi_rates_take(wait_s, &g->by_address, CCZ_SPAN(addr.bytes, sizeof(addr.bytes)),
                         g->limit[ADDRESS], now_ms))
        return ADDRESS;
    if (principal && !cczi_rates_take(wait_s, &g->by_principal, CCZ_SPAN(principal, 32),
                                      g->limit[PRINCIPAL], now_ms))
        return PRINCIPAL;
    return cczi_bucket_take(wait_s, &g->total, g->limit[TOTAL], now_ms) ? WHYS : TOTAL;
}

ccz_rc cczi_kms_gate_pass(uint32_t *wait_s, struct cczi_kms_gate *g,
                          const struct ccz_ratls_peer *peer, const char *address, int64_t now_ms,
                          struct ccz_err *err)
{
    static const char *const where[WHYS] = {[ADDRESS] = "kms:rate-address",
                                            [PRINCIPAL] = "kms:rate-principal",
                                            [TOTAL] = "kms:rate-total"};
    uint8_t id[32];
    bool somebody = principal_of(id, peer);
    pthread_mutex_lock(&g->lock);
    enum why why = take(wait_s, g, somebody ? id : NULL, address, now_ms);
    if (why != WHYS)
        count(g, why, address, now_ms);
    pthread_mutex_unlock(&g->lock);
    if (why == WHYS) {
        atomic_fetch_add(&g->passed, 1);
        return CCZ_OK;
    }
    ccz_fail(err, CCZ_E_LIMIT, where[why], *wait_s, "too many calls, come again in %u s", *wait_s);
    return cczi_kms_hint(err, CCZ_E_LIMIT);
}

bool cczi_kms_gate_pass_call(struct cczi_kms_gate *g, struct ccz_rpc_call *call)
{
    struct ccz_err err = {0};
    uint32_t wait_s;
    char ms[16];
    if (cczi_kms_gate_pass(&wait_s, g, ccz_rpc_peer(call), ccz_rpc_peer_address(call),
                           ccz_mono_ms(), &err) == CCZ_OK)
        return true;
    (void)snprintf(ms, sizeof(ms), "%llu", (unsigned long long)wait_s * 1000);
    ccz_rpc_add_trailer(call, "grpc-retry-pushback-ms", ccz_span_str(ms));
    ccz_rpc_fail(call, &err);
    return false;
}

void cczi_kms_gate_metrics(struct cczi_kms_gate *g, struct ccz_buf *out)
{
    ccz_buf_put_str(out, "# HELP cczoo_kms_rpc_calls_total Calls over gRPC that were let in.\n"
                         "# TYPE cczoo_kms_rpc_calls_total counter\n");
    ccz_buf_printf(out, "cczoo_kms_rpc_calls_total %llu\n",
                   (unsigned long long)atomic_load(&g->passed));
    ccz_buf_put_str(out,
                    "# HELP cczoo_kms_rpc_refused_total Calls and connections over gRPC turned "
                    "away before any handler.\n# TYPE cczoo_kms_rpc_refused_total counter\n");
    for (size_t i = 0; i < WHYS; i++)
        ccz_buf_printf(out, "cczoo_kms_rpc_refused_total{reason=\"%s\"} %llu\n", reasons[i],
                       (unsigned long long)atomic_load(&g->refused[i]));
}
