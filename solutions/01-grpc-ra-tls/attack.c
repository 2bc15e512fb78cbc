/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An attacker for break.sh: it has no TEE, and wants to pass for somebody who has. As a server (--listen) or a client
 * (--target) it keeps the evidence that it is shown (--keep FILE), or shows some that was made for others (--show FILE).
 */
#include "../options.h"
#include "hello.ccz-rpc.h"

static const char *o_listen, *o_port_file, *o_target, *o_keep, *o_show;

static ccz_rc keep(void *arg, struct ccz_claims *claims, struct ccz_span quote, struct ccz_err *err)
{
    (void)arg;
    memset(claims, 0, sizeof(*claims));
    ccz_rc rc = ccz_file_write(o_keep, quote, 0600, CCZ_FILE_REPLACE, err);
    return rc != CCZ_OK ? rc : ccz_fail(err, CCZ_E_CLOSED, "attack:kept", 0, "that is all");
}

/* What the attacker cannot have is a quote over the report data of this session. */
static ccz_rc show(void *arg, struct ccz_buf *quote, const uint8_t report_data[64],
                   struct ccz_err *err)
{
    (void)arg, (void)report_data;
    return ccz_file_read(quote, o_show, err);
}

static void lie(struct ccz_rpc_call *call, void *arg, const Hello__V1__HelloRequest *request)
{
    Hello__V1__HelloReply reply = HELLO__V1__HELLO_REPLY__INIT;
    (void)arg;
    reply.text = request->name;
    hello_v1_greeter_say_hello_reply(call, &reply);
}

static ccz_rc serve(struct ccz_ratls_ctx *ratls, struct ccz_err *err)
{
    static const struct hello_v1_greeter_service greeter = {.say_hello = lie};
    CCZ_AUTO(ccz_rpc_server) server = NULL;
    const struct ccz_rpc_server_cfg cfg = {.listen = o_listen, .ratls = ratls};
    ccz_rc rc = ccz_rpc_server_new(&server, &cfg, err);
    if (rc == CCZ_OK)
        rc = hello_v1_greeter_register(server, &greeter);
    if (rc == CCZ_OK)
        rc = ccz_rpc_server_start(server, err);
    if (rc == CCZ_OK)
        rc = write_port(o_port_file, ccz_rpc_server_port(server), err);
    if (rc == CCZ_OK)
        ccz_rpc_serve((struct ccz_rpc_server *const[]){server}, 1, 0);
    return rc;
}

static ccz_rc ask(struct ccz_ratls_ctx *ratls, struct ccz_err *err)
{
    CCZ_AUTO(ccz_rpc_client) client = NULL;
    CCZ_AUTO(Hello__V1__HelloReply) reply = NULL;
    Hello__V1__HelloRequest request = HELLO__V1__HELLO_REQUEST__INIT;
    const struct ccz_rpc_client_cfg cfg = {.target = o_target, .ratls = ratls};
    ccz_rc rc = ccz_rpc_client_new(&client, &cfg, err);
    return rc == CCZ_OK ? hello_v1_greeter_say_hello_call(&reply, NULL, client, &request, NULL, err)
                        : rc;
}

int main(int argc, char **argv)
{
    const struct option opts[] = {{"--listen", &o_listen},
                                  {"--port-file", &o_port_file},
                                  {"--target", &o_target},
                                  {"--keep", &o_keep},
                                  {"--show", &o_show}};
    CCZ_AUTO(ccz_ratls_ctx) ratls = NULL;
    struct ccz_err err = {0};
    if (!options(opts, sizeof(opts) / sizeof(*opts), argc, argv) || !o_target == !o_listen)
        return usage("cczoo-greet-attack --listen ADDR --port-file FILE | --target ADDR ..");
    ccz_rpc_signals_block();
    const struct ccz_ratls_cfg cfg = {.server = o_listen != NULL,
                                      .now_s = ccz_clock_now_s(ccz_clock_system()),
                                      .attest = o_show ? show : NULL,
                                      .appraise = o_keep ? keep : NULL,
                                      .peer_evidence_optional = true};
    ccz_rc rc = ccz_ratls_ctx_new(&ratls, &cfg, &err);
    if (rc == CCZ_OK)
        rc = o_target ? ask(ratls, &err) : serve(ratls, &err);
    return verdict(rc, &err);
}
