/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Does the hook work in the libgrpc of this process? Another TLS library inside (static builds have BoringSSL) never calls
 * it, a later one could call it at another time. So: a server and a channel of libgrpc shake hands over an abstract UNIX
 * socket, with "evidence" that says no more than what it is over.
 */
#define _DEFAULT_SOURCE
#include "grpc_creds_priv.h"

#include <cczoo/crypto.h>
#include <grpc/support/time.h>

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { TIMEOUT_S = 20 };

struct side {
    atomic_uint made, judged;
    struct ccz_grpc_creds *creds;
};

static ccz_rc attest(void *arg, struct ccz_buf *quote, const uint8_t report_data[64],
                     struct ccz_err *err)
{
    struct side *s = arg;
    (void)err;
    atomic_fetch_add(&s->made, 1);
    ccz_buf_put(quote, report_data, 64);
    return CCZ_OK;
}

static ccz_rc appraise(void *arg, struct ccz_claims *claims, struct ccz_span quote,
                       struct ccz_err *err)
{
    struct side *s = arg;
    if (quote.size != 64)
        return ccz_fail(err, CCZ_E_FORMAT, "grpc:self-test", (int64_t)quote.size, "other evidence");
    memcpy(claims->report_data, quote.ptr, 64);
    atomic_fetch_add(&s->judged, 1);
    return CCZ_OK;
}

static void ignore(void *arg, const struct ccz_err *why)
{
    (void)arg, (void)why; /* shows in the counters */
}

static ccz_rc open_side(struct side *s, bool server, bool hooked, struct ccz_err *err)
{
    const struct ccz_grpc_cfg cfg = {.ratls = {.profile = CCZ_RATLS_HANDSHAKE,
                                               .server = server,
                                               .attest = attest,
                                               .attest_arg = s,
                                               .appraise = appraise,
                                               .appraise_arg = s},
                                     .peers_max = 4,
                                     .on_refused = ignore};
    return cczi_grpc_creds_make(&s->creds, &cfg, hooked, err);
}

static gpr_timespec deadline(void)
{
    return gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC),
                        gpr_time_from_seconds(TIMEOUT_S, GPR_TIMESPAN));
}

/* Until the channel is ready, or has failed once. */
static bool reaches(const char *target, struct side *c, grpc_completion_queue *cq)
{
    grpc_channel_credentials *creds;
    grpc_arg local = {.type = GRPC_ARG_INTEGER,
                      .key = (char *)(uintptr_t)GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL,
                      .value = {.integer = 1}};
    const grpc_channel_args args = {.num_args = 1, .args = &local};
    if (ccz_grpc_channel_credentials(&creds, c->creds, NULL) != CCZ_OK)
        return false;
    grpc_channel *channel = grpc_channel_create(target, creds, &args);
    gpr_timespec until = deadline();
    grpc_connectivity_state state = grpc_channel_check_connectivity_state(channel, 1);
    while (state != GRPC_CHANNEL_READY && state != GRPC_CHANNEL_TRANSIENT_FAILURE) {
        grpc_channel_watch_connectivity_state(channel, state, until, cq, channel);
        grpc_event e = grpc_completion_queue_next(cq, until, NULL);
        if (e.type != GRPC_OP_COMPLETE || !e.success)
            break;
        state = grpc_channel_check_connectivity_state(channel, 1);
    }
    grpc_channel_destroy(channel);
    grpc_channel_credentials_release(creds);
    return state == GRPC_CHANNEL_READY;
}

static void drain(grpc_completion_queue *cq)
{
    grpc_completion_queue_shutdown(cq);
    while (grpc_completion_queue_next(cq, deadline(), NULL).type == GRPC_OP_COMPLETE)
        ;
    grpc_completion_queue_destroy(cq);
}

static bool shake_hands(struct side *c, struct side *s, struct ccz_err *err)
{
    char target[64];
    uint8_t random[8] = {0};
    grpc_server_credentials *creds;
    if (ccz_random(random, sizeof(random)) != CCZ_OK ||
        ccz_grpc_server_credentials(&creds, s->creds, err) != CCZ_OK)
        return false;
    (void)snprintf(target, sizeof(target), "unix-abstract:cczoo-%02x%02x%02x%02x%02x%02x%02x%02x",
                   random[0], random[1], random[2], random[3], random[4], random[5], random[6],
                   random[7]);
    grpc_completion_queue *cq = grpc_completion_queue_create_for_next(NULL);
    grpc_server *server = grpc_server_create(NULL, NULL);
    grpc_server_register_completion_queue(server, cq, NULL);
    bool ok = grpc_server_add_http2_port(server, target, creds) != 0;
    grpc_server_start(server);
    ok = ok && reaches(target, c, cq);
    grpc_server_shutdown_and_notify(server, cq, server);
    grpc_server_cancel_all_calls(server);
    grpc_event e;
    do {
        e = grpc_completion_queue_next(cq, deadline(), NULL);
    } while (e.type == GRPC_OP_COMPLETE && e.tag != server);
    grpc_server_destroy(server);
    drain(cq);
    grpc_server_credentials_release(creds);
    return ok;
}

ccz_rc cczi_grpc_self_test(bool hooked, struct ccz_err *err)
{
    struct side c = {0}, s = {0};
    ccz_rc rc = open_side(&c, false, hooked, err);
    if (rc == CCZ_OK)
        rc = open_side(&s, true, hooked, err);
    bool connected = rc == CCZ_OK && shake_hands(&c, &s, err);
    ccz_grpc_creds_free(c.creds);
    ccz_grpc_creds_free(s.creds);
    if (rc != CCZ_OK || (connected && c.made == 1 && c.judged == 1 && s.made == 1 && s.judged == 1))
        return rc;
    char got[96];
    (void)snprintf(got, sizeof(got), "%s, evidence made %u and %u, judged %u and %u times",
                   connected ? "connected" : "not connected", c.made, s.made, c.judged, s.judged);
    (void)ccz_refuse(err, CCZ_E_UNSUPPORTED, "grpc:self-test", got, "connected, each once");
    return ccz_hint(err, CCZ_E_UNSUPPORTED,
                    "this libgrpc has another TLS library than the OpenSSL used here: link it to "
                    "that, or use the certificate profile");
}
