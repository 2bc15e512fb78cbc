/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Mutual handshakes per second, both ends in one thread, no sockets:   taskset -c 1 bench_ratls [seconds]
 *   tls           TLS 1.3, P-256 certificates, X25519
 *   session       the same and attestation inside the session
 *   cert-warm     evidence in the certificates (legacy and DICE: two quotes each), remembered by the verifier
 *   cert-cold     the same, verified each time
 *   dice-..       certificates with the DICE extension alone
 *   strangers     as dice-cold, each time of other platforms, whose keys and chain nobody has seen: nothing is remembered
 * Evidence is of the software TEE, verified against its collateral (chains and QE report are remembered, as a server
 * does after its first peer) and judged by a policy. All take turns in one loop.
 * Lines: "handshake", name, handshakes/s of processor time, ratio to tls.
 * Then bulk data over the session profile, as it is (version 1) and in frames (version 2, which can ask for evidence
 * again): "data", size of a write, MB/s of version 1, of version 2, ratio.
 */
#define _GNU_SOURCE /* nftw */
#include <cczoo/pcs.h>
#include <cczoo/ratls.h>
#include <cczoo/tee.h>
#include <cczoo/verifier.h>

#include <ftw.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { BATCH = 20, STRANGERS = 24 /* with more keys than are remembered */ };

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

enum { TLS, SESSION, CERT_WARM, CERT_COLD, DICE_WARM, DICE_COLD, COLD_STRANGERS, ROWS };

struct pair {
    const char *name;
    struct ccz_ratls_ctx *client, *server;
    struct stranger *turn; /* instead of these: another one each time */
    size_t next;
    double took_s;
};

/* A platform with an authority of its own. */
struct stranger {
    struct ccz_attester *attester;
    struct ccz_roots roots;
    struct ccz_pcs *pcs;
    struct pair pair;
};

static void move(struct ccz_ratls *to, struct ccz_ratls *from, struct ccz_buf *wire)
{
    struct ccz_err err = {0};
    ccz_buf_clear(wire);
    must(ccz_ratls_drain(wire, from), &err);
    must(ccz_ratls_feed(to, ccz_buf_span(wire)), &err);
    must(ccz_ratls_step(to, &err), &err);
}

static void handshake(struct pair *p, struct ccz_buf *wire)
{
    if (p->turn)
        p = &p->turn[p->next++ % STRANGERS].pair;
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

static void batch(struct pair *p, struct ccz_buf *wire)
{
    double from = cpu_s();
    for (int i = 0; i < BATCH; i++)
        handshake(p, wire);
    p->took_s += cpu_s() - from;
}

static void open_pair(struct pair *p, const char *name, struct ccz_ratls_cfg cfg)
{
    struct ccz_err err = {0};
    p->name = name;
    must(ccz_ratls_ctx_new(&p->client, &cfg, &err), &err);
    cfg.server = true;
    must(ccz_ratls_ctx_new(&p->server, &cfg, &err), &err);
}

/* The policy that a look at the evidence drafts. */
static void draft_policy(struct ccz_policy **policy, struct ccz_attester *a, const char *trust)
{
    static const uint8_t report_data[64];
    struct ccz_err err = {0};
    struct ccz_claims claims;
    CCZ_AUTO(ccz_verifier) v = NULL;
    CCZ_AUTO_BUF quote;
    CCZ_AUTO_BUF text;
    ccz_buf_init(&quote, CCZ_QUOTE_SIZE_MAX);
    ccz_buf_init(&text, CCZ_POLICY_SIZE_MAX);
    struct ccz_verifier_cfg cfg = {.clock = ccz_clock_system(), .trust_sim_dir = trust};
    must(ccz_verifier_new(&v, &cfg, &err), &err);
    must(ccz_attester_quote(&quote, a, report_data, &err), &err);
    must(ccz_verifier_verify(v, &claims, ccz_buf_span(&quote), &err), &err);
    must(ccz_policy_draft(&text, &claims, &err), &err);
    must(ccz_policy_parse(policy, ccz_buf_span(&text), &err), &err);
}

static void open_pairs(struct pair pair[ROWS], struct ccz_attester *a, struct ccz_verifier *cold,
                       struct ccz_verifier *warm)
{
    int64_t now_s = ccz_clock_now_s(ccz_clock_system());
    open_pair(&pair[TLS], "tls",
              (struct ccz_ratls_cfg){
                  .profile = CCZ_RATLS_TLS_ONLY_INSECURE, .now_s = now_s, .pin = accept_key});
    struct ccz_ratls_cfg cfg = {.now_s = now_s,
                                .attest = attest,
                                .attest_arg = a,
                                .appraise = ccz_verifier_appraise,
                                .appraise_arg = cold};
    open_pair(&pair[SESSION], "session", cfg);
    cfg.profile = CCZ_RATLS_CERTIFICATE;
    cfg.emit = CCZ_RATLS_EMIT_BOTH;
    open_pair(&pair[CERT_COLD], "cert-cold", cfg);
    cfg.emit = CCZ_RATLS_EMIT_DICE;
    open_pair(&pair[DICE_COLD], "dice-cold", cfg);
    cfg.appraise_arg = warm;
    open_pair(&pair[DICE_WARM], "dice-warm", cfg);
    cfg.emit = CCZ_RATLS_EMIT_BOTH;
    open_pair(&pair[CERT_WARM], "cert-warm", cfg);
}

static ccz_rc verify_stranger(void *arg, struct ccz_claims *claims, struct ccz_span quote,
                              struct ccz_err *err)
{
    const struct stranger *s = arg;
    const struct ccz_verify_cfg cfg = {.now_s = ccz_clock_now_s(ccz_clock_system()),
                                       .roots = &s->roots,
                                       .collateral = ccz_pcs_find_only(s->pcs, CCZ_TEE_SGX)};
    return ccz_quote_verify(claims, quote, &cfg, err);
}

static void open_stranger(struct stranger *s, int number)
{
    char dir[64], path[96];
    struct ccz_err err = {0};
    CCZ_AUTO_BUF root;
    ccz_buf_init(&root, 65536);
    int64_t now_s = ccz_clock_now_s(ccz_clock_system());
    (void)snprintf(dir, sizeof(dir), "%s/s%d", base, number);
    must(ccz_sim_init(dir, &(struct ccz_sim_cfg){.now_s = now_s}, &err), &err);
    const struct ccz_attester_cfg cfg = {.provider = "sim-sgx", .sim_dir = dir};
    must(ccz_attester_open(&s->attester, &cfg, &err), &err);
    (void)snprintf(path, sizeof(path), "%s/trust/root.pem", dir);
    must(ccz_file_read(&root, path, &err), &err);
    must(ccz_roots_add_cert(&s->roots, ccz_buf_span(&root), true, &err), &err);
    (void)snprintf(path, sizeof(path), "%s/trust", dir);
    must(ccz_pcs_load(&s->pcs, path, &s->roots, &err), &err);
    open_pair(&s->pair, "stranger",
              (struct ccz_ratls_cfg){.profile = CCZ_RATLS_CERTIFICATE,
                                     .now_s = now_s,
                                     .attest = attest,
                                     .attest_arg = s->attester,
                                     .appraise = verify_stranger,
                                     .appraise_arg = s});
}

static void close_stranger(struct stranger *s)
{
    ccz_ratls_ctx_free(s->pair.client);
    ccz_ratls_ctx_free(s->pair.server);
    ccz_pcs_free(s->pcs);
    ccz_attester_free(s->attester);
}

static void measure(struct pair pair[ROWS], double seconds)
{
    CCZ_AUTO_BUF wire;
    ccz_buf_init(&wire, 1 << 20);
    for (int i = 0; i < ROWS; i++) {
        batch(&pair[i], &wire); /* warm: caches of OpenSSL and of the verifier */
        pair[i].took_s = 0;
    }
    long batches = 0;
    for (double all = 0; all < seconds; batches++) {
        all = 0;
        for (int i = 0; i < ROWS; i++) {
            batch(&pair[i], &wire);
            all += pair[i].took_s;
        }
    }
    for (int i = 0; i < ROWS; i++)
        printf("handshake\t%s\t%.0f\t%.3f\n", pair[i].name,
               (double)(batches * BATCH) / pair[i].took_s, pair[TLS].took_s / pair[i].took_s);
}

/* Connections of both versions of the session profile, ready. */
struct stream {
    struct pair pair;
    struct ccz_ratls *client, *server;
    double took_s;
};

static void open_stream(struct stream *s, struct ccz_attester *a, struct ccz_verifier *v,
                        int64_t interval_ms)
{
    struct ccz_err err = {0};
    CCZ_AUTO_BUF wire;
    ccz_buf_init(&wire, 1 << 20);
    open_pair(&s->pair, "data",
              (struct ccz_ratls_cfg){.now_s = ccz_clock_now_s(ccz_clock_system()),
                                     .attest = attest,
                                     .attest_arg = a,
                                     .appraise = ccz_verifier_appraise,
                                     .appraise_arg = v,
                                     .reattest_interval_ms = interval_ms});
    must(ccz_ratls_new(&s->client, s->pair.client), &err);
    must(ccz_ratls_new(&s->server, s->pair.server), &err);
    must(ccz_ratls_step(s->client, &err), &err);
    while (!ccz_ratls_ready(s->client) || !ccz_ratls_ready(s->server)) {
        move(s->server, s->client, &wire);
        move(s->client, s->server, &wire);
    }
}

static void close_stream(struct stream *s)
{
    ccz_ratls_free(s->client);
    ccz_ratls_free(s->server);
    ccz_ratls_ctx_free(s->pair.client);
    ccz_ratls_ctx_free(s->pair.server);
}

/* Sixteen writes of @p size, on the wire each by itself. */
static void send_some(struct stream *s, struct ccz_span data, struct ccz_buf *wire,
                      struct ccz_buf *plain)
{
    struct ccz_err err = {0};
    double from = cpu_s();
    for (int i = 0; i < 16; i++) {
        ccz_buf_clear(wire);
        ccz_buf_clear(plain);
        must(ccz_ratls_write(s->client, data, &err), &err);
        must(ccz_ratls_drain(wire, s->client), &err);
        must(ccz_ratls_feed(s->server, ccz_buf_span(wire)), &err);
        must(ccz_ratls_read(plain, s->server, &err), &err);
        if (plain->size != data.size)
            exit(1);
    }
    s->took_s += cpu_s() - from;
}

static void measure_data(struct ccz_attester *a, struct ccz_verifier *v, double seconds)
{
    static const size_t sizes[] = {100, 1000, 4000, 16384, 65536, 262144};
    static uint8_t bytes[262144];
    struct stream s[2] = {0};
    CCZ_AUTO_BUF wire, plain;
    ccz_buf_init(&wire, 1 << 20);
    ccz_buf_init(&plain, 1 << 20);
    open_stream(&s[0], a, v, 0);
    open_stream(&s[1], a, v, INT64_MAX);
    for (size_t k = 0; k < sizeof(sizes) / sizeof(sizes[0]); k++) {
        long turns = 0;
        s[0].took_s = s[1].took_s = 0;
        for (; s[0].took_s + s[1].took_s < seconds / 6; turns++)
            for (int i = 0; i < 2; i++)
                send_some(&s[i], CCZ_SPAN(bytes, sizes[k]), &wire, &plain);
        double mb = (double)turns * 16 * (double)sizes[k] / 1e6;
        printf("data\t%zu\t%.0f\t%.0f\t%.3f\n", sizes[k], mb / s[0].took_s, mb / s[1].took_s,
               s[0].took_s / s[1].took_s);
    }
    close_stream(&s[0]);
    close_stream(&s[1]);
}

int main(int argc, char **argv)
{
    double seconds = argc > 1 ? strtod(argv[1], NULL) : 3;
    char dir[64], trust[80];
    struct ccz_err err = {0};
    if (!mkdtemp(base) || atexit(cleanup) != 0)
        return 1;
    /* The heap of a server with more than one peer does not shrink after each handshake; here, giving the pages back
     * and taking them again costs up to 80 us in some rows, depending on where the heap begins. */
    (void)mallopt(M_TRIM_THRESHOLD, 1 << 24);
    (void)snprintf(dir, sizeof(dir), "%s/p", base);
    (void)snprintf(trust, sizeof(trust), "%s/trust", dir);
    int64_t now_s = ccz_clock_now_s(ccz_clock_system());
    must(ccz_sim_init(dir, &(struct ccz_sim_cfg){.now_s = now_s}, &err), &err);
    CCZ_AUTO(ccz_attester) a = NULL;
    CCZ_AUTO(ccz_verifier) cold = NULL;
    CCZ_AUTO(ccz_verifier) warm = NULL;
    CCZ_AUTO(ccz_policy) policy = NULL;
    must(ccz_attester_open(&a, &(struct ccz_attester_cfg){.provider = "sim-sgx", .sim_dir = dir},
                           &err),
         &err);
    draft_policy(&policy, a, trust);
    struct ccz_verifier_cfg cfg = {
        .clock = ccz_clock_system(), .trust_sim_dir = trust, .policy = policy};
    must(ccz_verifier_new(&cold, &cfg, &err), &err);
    cfg.verdicts_len = 1024;
    must(ccz_verifier_new(&warm, &cfg, &err), &err);
    static struct stranger strangers[STRANGERS];
    for (int i = 0; i < STRANGERS; i++)
        open_stranger(&strangers[i], i);
    struct pair pair[ROWS] = {[COLD_STRANGERS] = {.name = "strangers", .turn = strangers}};
    open_pairs(pair, a, cold, warm);
    measure(pair, seconds);
    measure_data(a, cold, seconds / 2);
    for (int i = 0; i < ROWS && !pair[i].turn; i++) {
        ccz_ratls_ctx_free(pair[i].client);
        ccz_ratls_ctx_free(pair[i].server);
    }
    for (int i = 0; i < STRANGERS; i++)
        close_stranger(&strangers[i]);
    return 0;
}
