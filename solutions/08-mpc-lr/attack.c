/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Attackers for break.sh: a party B that says yes to everything, then takes part in the training, on made-up columns.
 * --ids FILE: a table whose first column is the names of rows that A has; without it this one knows none, and sends back what A said.
 *   stranger  does what the real program does; but it is another one
 *   garbage   begins with something else than its options
 *   truncate  cuts the last byte off one of its messages
 *   die       kills itself in the middle of the training
 *   dealer    offers randomness to two parties; it is not the dealer that they mean
 *   replay    has a dealer deal to a session of its own, then greets it once more with what both parties said then
 */
#define _POSIX_C_SOURCE 200809L
#include "../options.h"

#include <cczoo/crypto.h>
#include <cczoo/links.h>
#include <cczoo/mpcml.h>

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { DIGEST_SIZE = 32, NONCE_SIZE = 32, LINE_SIZE = 4096, OWN_SIZE = 6 * 8 };
enum { COLUMNS = 15, BATCH = 64, MESSAGE_MAX = 4096, WHEN = 60 /* of its messages */ };

struct tap {
    struct ccz_chan *inner;
    bool die;
    uint64_t sent;
    struct ccz_buf *first; /* where the first message is kept; NULL: nowhere */
};

static ccz_rc tap_send(void *self, const struct ccz_span *parts, size_t len, int64_t timeout_ms,
                       struct ccz_err *err)
{
    struct tap *t = self;
    (void)timeout_ms;
    t->sent++;
    if (t->die && t->sent == WHEN)
        (void)kill(getpid(), SIGKILL);
    for (size_t i = 0; t->first && t->sent == 1 && i < len; i++)
        ccz_buf_put_span(t->first, parts[i]);
    return ccz_chan_send_parts(t->inner, parts, len, err);
}

static ccz_rc tap_recv(struct ccz_buf *msg, void *self, int64_t timeout_ms, struct ccz_err *err)
{
    return ccz_chan_recv_within(msg, ((struct tap *)self)->inner, timeout_ms, err);
}

static void tap_close(void *self, const char *reason)
{
    ccz_chan_close(((struct tap *)self)->inner, reason);
}

static void tap_free(void *self)
{
    ccz_chan_free(((struct tap *)self)->inner);
}

static const struct ccz_chan_ops TAP = {
    .send = tap_send, .recv = tap_recv, .close = tap_close, .free = tap_free};

static void put_le64(uint8_t *to, uint64_t v)
{
    for (int i = 0; i < 8; i++)
        to[i] = (uint8_t)(v >> 8 * i);
}

/* Names of A's patients, that this one knows: the first column of a table. The digest of --aligned, as party B gives it. */
static ccz_rc digest(uint8_t out[DIGEST_SIZE], size_t *rows, const char *ids,
                     const uint8_t nonces[2 * NONCE_SIZE], struct ccz_err *err)
{
    static const char domain[] = "cczoo-mpc aligned rows", kind[] = "train";
    static const uint8_t role = 1;
    char line[LINE_SIZE];
    CCZ_AUTO(ccz_hasher) h = NULL;
    FILE *f = fopen(ids, "r");
    if (!f || !fgets(line, sizeof(line), f)) { /* the header */
        if (f)
            (void)fclose(f);
        return ccz_fail(err, CCZ_E_IO, "attack:ids", 0, "cannot read %.80s", ids);
    }
    ccz_rc rc = ccz_hasher_new(&h, CCZ_SHA256);
    const struct ccz_span parts[] = {CCZ_SPAN(domain, sizeof(domain)),
                                     CCZ_SPAN(nonces, 2 * NONCE_SIZE), CCZ_SPAN(&role, 1),
                                     CCZ_SPAN(kind, sizeof(kind))};
    for (size_t i = 0; rc == CCZ_OK && i < sizeof(parts) / sizeof(parts[0]); i++)
        rc = ccz_hasher_put(h, parts[i]);
    for (*rows = 0; rc == CCZ_OK && fgets(line, sizeof(line), f); ++*rows) {
        line[strcspn(line, ",\r\n")] = '\0';
        rc = ccz_hasher_put(h, CCZ_SPAN(line, strlen(line) + 1));
    }
    (void)fclose(f);
    if (rc == CCZ_OK)
        rc = ccz_hasher_done(out, h);
    return rc == CCZ_OK ? rc : ccz_fail(err, rc, "attack:digest", 0, "cannot hash");
}

/* Rows that are the same at both: what is agreed on behind the options. */
static ccz_rc align(size_t *rows, struct ccz_chan *chan, const char *ids, struct ccz_err *err)
{
    uint8_t nonces[2 * NONCE_SIZE] = {0}, theirs[DIGEST_SIZE], mine[DIGEST_SIZE];
    ccz_rc rc = ccz_chan_recv_exact(nonces, NONCE_SIZE, chan, err);
    if (rc == CCZ_OK)
        rc = ccz_chan_send(chan, CCZ_SPAN(nonces + NONCE_SIZE, NONCE_SIZE), err);
    if (rc == CCZ_OK)
        rc = ccz_chan_recv_exact(theirs, sizeof(theirs), chan, err);
    if (rc == CCZ_OK && !ids) /* who knows no names sends the digest back */
        return ccz_chan_send(chan, CCZ_SPAN(theirs, sizeof(theirs)), err);
    if (rc == CCZ_OK)
        rc = digest(mine, rows, ids, nonces, err);
    return rc == CCZ_OK ? ccz_chan_send(chan, CCZ_SPAN(mine, sizeof(mine)), err) : rc;
}

/* The other party's options, as one's own. */
static ccz_rc agree(size_t *rows, struct ccz_chan *chan, bool garbage, const char *ids,
                    struct ccz_err *err)
{
    CCZ_AUTO_BUF terms;
    ccz_buf_init(&terms, MESSAGE_MAX);
    ccz_rc rc = ccz_chan_recv(&terms, chan, err);
    if (rc == CCZ_OK && terms.size < 8 + OWN_SIZE)
        rc = ccz_fail(err, CCZ_E_PEER, "attack:terms", (int64_t)terms.size, "no terms");
    if (rc != CCZ_OK)
        return rc;
    uint8_t *own = terms.ptr + terms.size - OWN_SIZE; /* role, labels, columns, .. */
    terms.ptr[0] ^= garbage;
    put_le64(own, 1);
    put_le64(own + 8, 0);
    put_le64(own + 16, COLUMNS);
    rc = ccz_chan_send(chan, ccz_buf_span(&terms), err);
    return rc == CCZ_OK ? align(rows, chan, ids, err) : rc;
}

/* With the options that break.sh gives to party A. */
static ccz_rc train(struct ccz_chan *chan, size_t rows, struct ccz_err *err)
{
    CCZ_AUTO(ccz_mpcml_lr) lr = NULL;
    const struct ccz_mpcml_lr_cfg cfg = {.rows = {rows, rows},
                                         .columns = {COLUMNS, COLUMNS},
                                         .batch = BATCH,
                                         .epochs = 1,
                                         .rate = 0.1,
                                         .seed = 1,
                                         .score_to = CCZ_MPC_TO_0};
    const struct ccz_mpcml_run_cfg run = {.role = 1};
    double *x = calloc(rows * COLUMNS, sizeof(*x));
    if (!x)
        return ccz_fail(err, CCZ_E_NOMEM, "attack:memory", 0, "out of memory");
    for (size_t i = 0; i < rows * COLUMNS; i++)
        x[i] = (double)(i % 7) / 4 - 0.75;
    const struct ccz_mpcml_lr_data data = {.x = x};
    ccz_rc rc = ccz_mpcml_lr_new(&lr, 1, &cfg, &data, err);
    if (rc == CCZ_OK)
        rc = ccz_mpcml_run(NULL, chan, ccz_mpcml_lr_program(lr), &run, err);
    free(x);
    return rc;
}

struct args {
    const char *what, *connect, *ids, *sim_dir, *trust_sim, *port_file;
};

static ccz_rc be_party(const struct args *a, struct ccz_err *err)
{
    CCZ_AUTO(ccz_links) links = NULL;
    CCZ_AUTO(ccz_chan) chan = NULL;
    struct tap tap = {.die = strcmp(a->what, "die") == 0};
    const struct ccz_links_cfg cfg = {
        .channel = "mpc",
        .party = {.tee = {.provider = a->sim_dir ? "sim-sgx" : NULL, .sim_dir = a->sim_dir},
                  .trust_sim_dir = a->trust_sim},
        .connects = true,
        .limits = {.message_size_max = CCZ_CHAN_MESSAGE_SIZE_MAX}};
    const struct ccz_chan_fault_cfg fault = {.send_shorten =
                                                 strcmp(a->what, "truncate") == 0 ? WHEN : 0};
    ccz_rc rc = ccz_links_new(&links, &cfg, err);
    if (rc == CCZ_OK)
        rc = ccz_links_connect(&tap.inner, links, a->connect, "party-1", err);
    if (rc != CCZ_OK)
        return rc;
    struct ccz_chan *tapped = NULL;
    size_t rows = 1;
    rc = ccz_chan_new(&tapped, &TAP, &tap, "tap", err);
    if (rc == CCZ_OK)
        rc = ccz_chan_fault_new(&chan, tapped, &fault, err);
    if (rc == CCZ_OK)
        rc = agree(&rows, chan, strcmp(a->what, "garbage") == 0, a->ids, err);
    if (rc == CCZ_OK)
        rc = train(chan, rows, err);
    ccz_chan_free(chan); /* before the links */
    chan = NULL;
    return rc;
}

static ccz_rc be_dealer(const struct args *a, struct ccz_err *err)
{
    CCZ_AUTO(ccz_links) links = NULL;
    struct ccz_chan *chan[2] = {0};
    const struct ccz_links_cfg cfg = {
        .channel = "mpc-dealer",
        .party = {.tee = {.provider = "sim-sgx", .sim_dir = a->sim_dir},
                  .trust_sim_dir = a->trust_sim},
        .listen = "127.0.0.1:0",
        .port_file = a->port_file,
        .limits = {.message_size_max = CCZ_CHAN_MESSAGE_SIZE_MAX},
        .seats = 2};
    const struct ccz_mpc_dealer_cfg dealer = {0};
    ccz_rc rc = ccz_links_new(&links, &cfg, err);
    if (rc == CCZ_OK)
        rc = ccz_links_accept(chan, links, 60000, err);
    if (rc == CCZ_OK)
        rc = ccz_mpc_dealer_run(chan[0], chan[1], &dealer, err);
    ccz_chan_free(chan[0]);
    ccz_chan_free(chan[1]);
    return rc;
}

/* ------------------------------------------------------------------------------------- replay */

struct seat {
    unsigned role;
    struct ccz_chan *peer;
    struct tap tap; /* on the channel to the dealer */
    struct ccz_buf hello;
    struct ccz_err err;
    ccz_rc rc;
    pthread_t thread;
};

static void *deal_in(void *arg)
{
    struct seat *s = arg;
    struct ccz_chan *dealer = NULL;
    CCZ_AUTO(ccz_mpcml_lr) lr = NULL;
    const double x[4] = {0.5, -0.5, 0.25, 1}, y[4] = {1, 0, 1, 1};
    const struct ccz_mpcml_lr_cfg cfg = {
        .rows = {4, 4}, .columns = {1, 1}, .batch = 2, .epochs = 1, .rate = 0.5};
    const struct ccz_mpcml_lr_data data = {.x = x, .y = s->role == 0 ? y : NULL};
    struct ccz_mpcml_run_cfg run = {.role = s->role,
                                    .setting = ccz_mpcml_setting(CCZ_MPCML_DEALER)};
    s->tap.first = &s->hello;
    s->rc = ccz_chan_new(&dealer, &TAP, &s->tap, "dealer", &s->err);
    run.dealer = dealer;
    if (s->rc == CCZ_OK)
        s->rc = ccz_mpcml_lr_new(&lr, s->role, &cfg, &data, &s->err);
    if (s->rc == CCZ_OK)
        s->rc = ccz_mpcml_run(NULL, s->peer, ccz_mpcml_lr_program(lr), &run, &s->err);
    ccz_chan_free(dealer);
    return NULL;
}

/* Both parties, in one process, and a dealer that deals to them. */
static ccz_rc deal_once(struct seat seat[2], struct ccz_err *err)
{
    size_t started = 0;
    ccz_rc rc = ccz_chan_pair(&seat[0].peer, &seat[1].peer, NULL, err);
    for (; rc == CCZ_OK && started < 2; started++)
        if (pthread_create(&seat[started].thread, NULL, deal_in, &seat[started]) != 0)
            return ccz_fail(err, CCZ_E_NOMEM, "attack:thread", 0, "no thread");
    for (size_t i = 0; i < started; i++) {
        (void)pthread_join(seat[i].thread, NULL);
        if (rc == CCZ_OK && seat[i].rc != CCZ_OK) {
            rc = seat[i].rc;
            *err = seat[i].err;
        }
    }
    ccz_chan_free(seat[0].peer);
    ccz_chan_free(seat[1].peer);
    return rc;
}

static ccz_rc connect_both(struct ccz_chan *chan[2], struct ccz_links *links, const char *dealer,
                           struct ccz_err *err)
{
    ccz_rc rc = ccz_links_connect(&chan[0], links, dealer, "party-0", err);
    return rc == CCZ_OK ? ccz_links_connect(&chan[1], links, dealer, "party-1", err) : rc;
}

static ccz_rc replay(const struct args *a, struct ccz_err *err)
{
    CCZ_AUTO(ccz_links) links = NULL;
    static struct seat seat[2] = {{.role = 0}, {.role = 1}};
    struct ccz_chan *chan[2] = {0};
    CCZ_AUTO_BUF answer;
    const struct ccz_links_cfg cfg = {.channel = "mpc-dealer",
                                      .connects = true,
                                      .limits = {.message_size_max = CCZ_CHAN_MESSAGE_SIZE_MAX}};
    ccz_buf_init(&answer, MESSAGE_MAX);
    for (int i = 0; i < 2; i++)
        ccz_buf_init(&seat[i].hello, MESSAGE_MAX);
    ccz_rc rc = ccz_links_new(&links, &cfg, err);
    if (rc == CCZ_OK)
        rc = connect_both(chan, links, a->connect, err);
    for (int i = 0; i < 2; i++)
        seat[i].tap.inner = chan[i]; /* freed with the tap */
    if (rc == CCZ_OK)
        rc = deal_once(seat, err);
    if (rc == CCZ_OK)
        rc = connect_both(chan, links, a->connect, err);
    for (int i = 0; rc == CCZ_OK && i < 2; i++)
        rc = ccz_chan_send(chan[i], ccz_buf_span(&seat[i].hello), err);
    if (rc == CCZ_OK)
        rc = ccz_chan_recv(&answer, chan[1], err); /* a seed, if it deals again */
    for (int i = 0; i < 2 && seat[1].tap.sent > 0; i++)
        ccz_chan_free(chan[i]);
    for (int i = 0; i < 2; i++)
        ccz_buf_free(&seat[i].hello);
    return rc;
}

int main(int argc, char **argv)
{
    struct args a = {.what = argc > 1 ? argv[1] : ""};
    const struct option opts[] = {{"--connect", &a.connect},
                                  {"--ids", &a.ids},
                                  {"--sim-dir", &a.sim_dir},
                                  {"--trust-sim", &a.trust_sim},
                                  {"--port-file", &a.port_file}};
    const bool dealer = strcmp(a.what, "dealer") == 0;
    struct ccz_err err = {0};
    if (argc < 2 || !options(opts, sizeof(opts) / sizeof(opts[0]), argc - 1, argv + 1) ||
        (dealer ? !a.sim_dir || !a.port_file : !a.connect))
        return usage(
            "cczoo-mpc-attack stranger|garbage|truncate|die|replay --connect ADDR [--ids FILE] "
            "[--sim-dir DIR "
            "--trust-sim DIR]\n       cczoo-mpc-attack dealer --sim-dir DIR --port-file FILE");
    (void)signal(SIGPIPE, SIG_IGN);
    return verdict(dealer                          ? be_dealer(&a, &err)
                   : strcmp(a.what, "replay") == 0 ? replay(&a, &err)
                                                   : be_party(&a, &err),
                   &err);
}
