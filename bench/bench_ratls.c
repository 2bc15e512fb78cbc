/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Handshakes per second, both ends in one thread, no sockets:   taskset -c 1 bench_ratls [seconds]
 *   tls      mutual TLS 1.3, P-256 certificates, X25519
 *   session  the same and mutual attestation: evidence by the software TEE, verified against its
 * collateral (chains and QE report cached, as a server has them after its first peer) and judged by
 * a policy The two take turns in the same loop. Lines: name, handshakes/s of processor time; then
 * the ratio.
 */
#define _GNU_SOURCE /* nftw */
#include <cczoo/ratls.h>
#include <cczoo/tee.h>
#include <cczoo/verifier.h>

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { BATCH = 20 };

static char base[] = "/tmp/bench_ratls.XXXXXX";

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
    (void)st, (void)flag, (void)ftw;
    return remove(path);
}

static void cleanup(void)
{
    (void)nftw(base, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static void must(ccz_rc rc, const struct ccz_err *err)
{
    if (rc == CCZ_OK)
        return;
    fprintf(stderr, "error: %s: %s\n", err->where, err->msg);
    exit(1);
}

static ccz_rc attest(void *arg, struct ccz_buf *quote, const uint8_t report_data[64],
                     struct ccz_err *err)
{
    return ccz_attester_quote(quote, arg, report_data, err);
}

static ccz_rc accept_key(void *arg, struct ccz_span spki, struct ccz_err *err)
{
    (void)arg, (void)spki, (void)err;
    return CCZ_OK;
}

struct pair {
    struct ccz_ratls_ctx *client, *server;
};

static void move(struct ccz_ratls *to, struct ccz_ratls *from, struct ccz_buf *wire)
{
    struct ccz_err err = {0};
    ccz_buf_clear(wire);
    must(ccz_ratls_drain(wire, from), &err);
    must(ccz_ratls_feed(to, ccz_buf_span(wire)), &err);
    must(ccz_ratls_step(to, &err), &err);
}

static void handshake(const struct pair *p, struct ccz_buf *wire)
{
    struct ccz_err err = {0};
    CCZ_AUTO(ccz_ratls) c = NULL;
    CCZ_AUTO(ccz_ratls) s = NULL;
    must(ccz_ratls_new(&c, p->client), &err);
    must(ccz_ratls_new(&s, p->server), &err);
    must(ccz_ratls_step(c, &err), &err);
    while (!ccz_ratls_ready(c) || !ccz_ratls_ready(s)) {
        move(s, c, wire);
        move(c, s, wire);
    }
}

static double cpu_s(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static double batch(const struct pair *p, struct ccz_buf *wire)
{
    double from = cpu_s();
    for (int i = 0; i < BATCH; i++)
        handshake(p, wire);
    return cpu_s() - from;
}

static void open_pair(struct pair *p, struct ccz_ratls_cfg cfg)
{
    struct ccz_err err = {0};
    must(ccz_ratls_ctx_new(&p->client, &cfg, &err), &err);
    cfg.server = true;
    must(ccz_ratls_ctx_new(&p->server, &cfg, &err), &err);
}

static void open_verifier(struct ccz_verifier **v, struct ccz_policy **policy,
                          struct ccz_attester *a, const char *trust)
{
    static const uint8_t report_data[64];
    struct ccz_err err = {0};
    struct ccz_claims claims;
    CCZ_AUTO_BUF quote;
    CCZ_AUTO_BUF text;
    ccz_buf_init(&quote, CCZ_QUOTE_SIZE_MAX);
    ccz_buf_init(&text, CCZ_POLICY_SIZE_MAX);
    struct ccz_verifier_cfg cfg = {.clock = ccz_clock_system(), .trust_sim_dir = trust};
    must(ccz_verifier_new(v, &cfg, &err), &err);
    must(ccz_attester_quote(&quote, a, report_data, &err), &err);
    must(ccz_verifier_verify(*v, &claims, ccz_buf_span(&quote), &err), &err);
    must(ccz_policy_draft(&text, &claims, &err), &err);
    must(ccz_policy_parse(policy, ccz_buf_span(&text), &err), &err);
    ccz_verifier_free(*v);
    cfg.policy = *policy;
    must(ccz_verifier_new(v, &cfg, &err), &err);
}

int main(int argc, char **argv)
{
    double seconds = argc > 1 ? strtod(argv[1], NULL) : 3, took[2] = {0};
    char dir[64], trust[80];
    struct ccz_err err = {0};
    if (!mkdtemp(base) || atexit(cleanup) != 0)
        return 1;
    (void)snprintf(dir, sizeof(dir), "%s/p", base);
    (void)snprintf(trust, sizeof(trust), "%s/trust", dir);
    int64_t now_s = ccz_clock_now_s(ccz_clock_system());
    must(ccz_sim_init(dir, &(struct ccz_sim_cfg){.now_s = now_s}, &err), &err);
    CCZ_AUTO(ccz_attester) a = NULL;
    CCZ_AUTO(ccz_verifier) v = NULL;
    CCZ_AUTO(ccz_policy) policy = NULL;
    must(ccz_attester_open(&a, &(struct ccz_attester_cfg){.provider = "sim-sgx", .sim_dir = dir},
                           &err),
         &err);
    open_verifier(&v, &policy, a, trust);
    struct pair pair[2];
    open_pair(&pair[0], (struct ccz_ratls_cfg){.profile = CCZ_RATLS_TLS_ONLY_INSECURE,
                                               .now_s = now_s,
                                               .pin = accept_key});
    open_pair(&pair[1], (struct ccz_ratls_cfg){.now_s = now_s,
                                               .attest = attest,
                                               .attest_arg = a,
                                               .appraise = ccz_verifier_appraise,
                                               .appraise_arg = v});
    CCZ_AUTO_BUF wire;
    ccz_buf_init(&wire, 1 << 20);
    long batches = 0;
    for (int i = 0; i < 2; i++)
        (void)batch(&pair[i], &wire); /* warm: caches of OpenSSL and of the verifier */
    for (; took[0] + took[1] < seconds; batches++)
        for (int i = 0; i < 2; i++)
            took[i] += batch(&pair[i], &wire);
    double tls = (double)(batches * BATCH) / took[0], session = (double)(batches * BATCH) / took[1];
    printf("handshake\ttls\t%.0f\nhandshake\tsession\t%.0f\nhandshake\tratio\t%.3f\n", tls, session,
           session / tls);
    for (int i = 0; i < 2; i++) {
        ccz_ratls_ctx_free(pair[i].client);
        ccz_ratls_ctx_free(pair[i].server);
    }
    return 0;
}
