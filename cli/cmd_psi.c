/* SPDX-License-Identifier: Apache-2.0 */
/* `cczoo psi`: private set intersection of files, over RA-TLS. Rows go to stdout or a file. Databases: psi_db.c. */
#include "psi.h"

#include <cczoo/psi_db.h>
#include <cczoo/psi_tee.h>

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SECONDS_MAX = 30 * 86400 };

static bool is(const struct psi_opts *o, const char *verb)
{
    return strcmp(o->verb, verb) == 0;
}

/* ----------------------------------------------------------------------------------------- network */

struct link {
    struct ccz_links *links;
    struct ccz_chan *chan[CCZ_PSI_TEE_PARTIES_MAX];
};

static void link_close(struct link *l)
{
    for (size_t i = 0; i < CCZ_PSI_TEE_PARTIES_MAX; i++)
        ccz_chan_free(l->chan[i]);
    ccz_links_free(l->links);
}

/* Who listens takes parties of any names; the evidence of either side is judged by the one policy. */
ccz_rc psi_links(struct ccz_links **out, const struct psi_opts *o, unsigned seats,
                 struct ccz_err *err)
{
    const struct ccz_links_cfg cfg = {.channel = "psi",
                                      .party = {.tee = {.provider = o->tee, .sim_dir = o->sim_dir},
                                                .collateral_dir = o->collateral,
                                                .trust_sim_dir = o->trust_sim},
                                      .listen = o->listen,
                                      .port_file = o->port_file,
                                      .listen_policy = o->listen ? o->policy : NULL,
                                      .connects = o->connect != NULL,
                                      .connect_policy = o->connect ? o->policy : NULL,
                                      .limits = {.message_size_max = CCZ_CHAN_MESSAGE_SIZE_MAX},
                                      .seats = seats};
    ccz_rc rc = ccz_links_new(out, &cfg, err);
    if (rc != CCZ_OK)
        return rc;
    if (ccz_links_simulated(*out))
        ui_simulated("evidence comes from a software TEE");
    if (!o->policy)
        ui_say("INSECURE: the peer is asked for no evidence");
    return rc;
}

static ccz_rc link_open(struct link *l, const struct psi_opts *o, size_t len, struct ccz_err *err)
{
    ccz_rc rc = psi_links(&l->links, o, (unsigned)len, err);
    if (rc != CCZ_OK)
        return rc;
    rc = o->listen ? ccz_links_accept(l->chan, l->links, 1000 * o->timeout_s, err)
                   : ccz_links_connect(&l->chan[0], l->links, o->connect, o->name, err);
    for (size_t i = 0; rc == CCZ_OK && i < len; i++)
        ccz_chan_set_timeout(l->chan[i], 1000 * o->timeout_s);
    return rc;
}

/* ------------------------------------------------------------------------------------ ids and rows */

ccz_rc psi_read_ids(struct ccz_psi_ids **out, const struct psi_opts *o, struct ccz_err *err)
{
    const struct ccz_psi_ids_cfg cfg = {.domain = o->domain,
                                        .trim = o->trim,
                                        .fold_case = o->fold_case,
                                        .duplicates = o->first ? CCZ_PSI_FIRST : CCZ_PSI_REJECT,
                                        .spool_dir = o->spool};
    return o->column ? ccz_psi_ids_read_csv(out, o->ids, o->column, &cfg, err)
                     : ccz_psi_ids_read_lines(out, o->ids, &cfg, err);
}

static ccz_rc put_rows(const struct psi_opts *o, const struct ccz_psi_result *r,
                       struct ccz_err *err)
{
    CCZ_AUTO_BUF text;
    ccz_buf_init(&text, (size_t)r->len * 22 + 1);
    for (uint64_t i = 0; r->rows && i < r->len; i++)
        ccz_buf_printf(&text, "%" PRIu64 "\n", r->rows[i]);
    if (text.bad)
        return ccz_fail(err, CCZ_E_NOMEM, "psi:rows", (int64_t)r->len, "no memory for rows");
    if (o->out)
        return ccz_file_write(o->out, ccz_buf_span(&text), 0600, CCZ_FILE_REPLACE, err);
    ui_out_span(ccz_buf_span(&text));
    return CCZ_OK;
}

static void put_json(const struct ccz_psi_result *r)
{
    char digest[65], session[65];
    ccz_hex(digest, r->digest, sizeof(r->digest));
    ccz_hex(session, r->session, sizeof(r->session));
    ui_out("{\"learned\":%s,\"common\":%" PRIu64
           ",\"digest\":\"%s\",\"session\":\"%s\",\"peer_ids\":%" PRIu64
           ",\"buckets\":%u,\"sent\":%" PRIu64 ",\"received\":%" PRIu64 "}\n",
           r->learned ? "true" : "false", r->len, digest, session, r->peer_len,
           (unsigned)r->buckets, r->sent_size, r->received_size);
}

/* Rows where they are wanted, and in words or as JSON what happened. */
ccz_rc psi_report(const struct psi_opts *o, const struct ccz_psi_result *r, double seconds,
                  struct ccz_err *err)
{
    char digest[65], session[65];
    ccz_rc rc = r->learned && (o->out || !o->json) ? put_rows(o, r, err) : CCZ_OK;
    if (rc != CCZ_OK)
        return rc;
    if (o->json)
        put_json(r);
    ccz_hex(digest, r->digest, sizeof(r->digest));
    ccz_hex(session, r->session, sizeof(r->session));
    if (!r->learned)
        ui_say("done: the peer learned the intersection, this side did not");
    else if (is(o, "ask"))
        ui_say("%" PRIu64 " common ids; database %.16s of %" PRIu64 " ids", r->len, session,
               r->peer_len);
    else if (r->rows)
        ui_say("%" PRIu64 " common ids; alignment %.16s, the same on all sides", r->len, digest);
    else
        ui_say("%" PRIu64 " common ids", r->len);
    ui_say("%.1f s, %.1f MB sent, %.1f MB received", seconds, (double)r->sent_size / 1e6,
           (double)r->received_size / 1e6);
    return rc;
}

/* -------------------------------------------------------------------------------------------- runs */

static struct ccz_span session_of(const struct psi_opts *o)
{
    return o->session ? ccz_span_str(o->session) : CCZ_SPAN(NULL, 0);
}

static ccz_rc run_two(struct ccz_psi_result **out, struct link *l, const struct psi_opts *o,
                      const struct ccz_psi_ids *ids, struct ccz_err *err)
{
    const struct ccz_psi_cfg cfg = {.role = is(o, "send") ? CCZ_PSI_SENDER : CCZ_PSI_RECEIVER,
                                    .protocol = ccz_psi_protocol_from(o->protocol),
                                    .learns = o->both ? CCZ_PSI_BOTH : CCZ_PSI_RECEIVER_ONLY,
                                    .output = o->cardinality ? CCZ_PSI_CARDINALITY : CCZ_PSI_ROWS,
                                    .min_intersection = (uint64_t)o->minimum,
                                    .session = session_of(o),
                                    .pad = o->pad,
                                    .trusted_receiver = o->trusted_receiver,
                                    .peer_len_max = (uint64_t)o->peer_len_max,
                                    .bucket_len = (uint64_t)o->bucket,
                                    .threads = (unsigned)o->threads};
    return ccz_psi_run(out, l->chan[0], ids, &cfg, err);
}

static struct ccz_psi_tee_terms terms_of(const struct psi_opts *o)
{
    return (struct ccz_psi_tee_terms){.parties = (unsigned)o->parties,
                                      .output = o->cardinality ? CCZ_PSI_CARDINALITY : CCZ_PSI_ROWS,
                                      .min_intersection = (uint64_t)o->minimum,
                                      .session = session_of(o)};
}

static ccz_rc run_join(struct ccz_psi_result **out, struct link *l, const struct psi_opts *o,
                       const struct ccz_psi_ids *ids, struct ccz_err *err)
{
    CCZ_AUTO(ccz_secret) key = NULL;
    ccz_rc rc = o->key ? ccz_file_read_secret(&key, o->key, 4096, err) : CCZ_OK;
    if (rc != CCZ_OK)
        return rc;
    if (!key)
        ui_say("without --key the server can test guesses of ids");
    const struct ccz_psi_tee_join_cfg cfg = {.terms = terms_of(o), .key = key, .pad = o->pad};
    return ccz_psi_tee_join(out, l->chan[0], ids, &cfg, err);
}

static int run_party(const struct psi_opts *o)
{
    struct ccz_err err = {0};
    struct link l = {0};
    CCZ_AUTO(ccz_psi_ids) ids = NULL;
    CCZ_AUTO(ccz_psi_result) result = NULL;
    ccz_rc rc = psi_read_ids(&ids, o, &err);
    if (rc == CCZ_OK)
        rc = link_open(&l, o, 1, &err);
    int64_t start_ms = ccz_mono_ms();
    if (rc == CCZ_OK)
        rc = is(o, "join") ? run_join(&result, &l, o, ids, &err)
                           : run_two(&result, &l, o, ids, &err);
    if (rc == CCZ_OK)
        rc = psi_report(o, result, (double)(ccz_mono_ms() - start_ms) / 1e3, &err);
    link_close(&l); /* waits until the peer has what was sent last */
    return rc == CCZ_OK ? UI_OK : ui_fail(&err);
}

struct seat {
    struct ccz_psi_tee *tee;
    unsigned number;
    struct ccz_chan *chan;
    struct ccz_err err;
    ccz_rc rc;
    pthread_t thread;
    bool started;
};

static void *serve_seat(void *arg)
{
    struct seat *s = arg;
    s->rc = ccz_psi_tee_serve(s->tee, s->number, s->chan, &s->err);
    return NULL;
}

/* @return the first failure that is no consequence of another one, or CCZ_OK */
static ccz_rc serve_all(struct link *l, const struct psi_opts *o, struct ccz_err *err)
{
    static struct seat seats[CCZ_PSI_TEE_PARTIES_MAX];
    CCZ_AUTO(ccz_psi_tee) tee = NULL;
    const struct ccz_psi_tee_cfg cfg = {
        .terms = terms_of(o), .len_max = (uint64_t)o->peer_len_max, .wait_ms = 1000 * o->timeout_s};
    size_t n = (size_t)o->parties;
    ccz_rc rc = ccz_psi_tee_new(&tee, &cfg, err);
    for (size_t i = 0; rc == CCZ_OK && i < n; i++) {
        seats[i] = (struct seat){.tee = tee, .number = (unsigned)i, .chan = l->chan[i]};
        seats[i].started = pthread_create(&seats[i].thread, NULL, serve_seat, &seats[i]) == 0;
        if (!seats[i].started)
            rc = ccz_fail(err, CCZ_E_NOMEM, "psi:thread", (int64_t)i, "cannot start a thread");
    }
    for (size_t i = 0; rc != CCZ_OK && i < n; i++) /* nobody shall wait for who is not served */
        ccz_chan_close(l->chan[i], "the server failed");
    for (size_t i = 0; i < n; i++) {
        if (!seats[i].started)
            continue;
        (void)pthread_join(seats[i].thread, NULL);
        bool own = seats[i].rc != CCZ_OK && strcmp(seats[i].err.where, "psi:tee-peer") != 0;
        if (own && rc == CCZ_OK) {
            rc = seats[i].rc;
            *err = seats[i].err;
        }
    }
    if (rc == CCZ_OK)
        ui_say("%" PRIu64 " ids are common to %zu parties", ccz_psi_tee_len(tee), n);
    return rc;
}

static int run_serve(const struct psi_opts *o)
{
    struct ccz_err err = {0};
    struct link l = {0};
    ccz_rc rc = link_open(&l, o, (size_t)o->parties, &err);
    if (rc == CCZ_OK)
        rc = serve_all(&l, o, &err);
    link_close(&l);
    return rc == CCZ_OK ? UI_OK : ui_fail(&err);
}

/* ----------------------------------------------------------------------------------------- options */

static bool number_in(const char *name, int64_t value, int64_t least, int64_t most)
{
    if (value >= least && value <= most)
        return true;
    ui_error("--%s must be %lld..%lld", name, (long long)least, (long long)most);
    return false;
}

static bool check_network(const struct psi_opts *o)
{
    bool server = is(o, "serve") || is(o, "answer"), joins = is(o, "join") || is(o, "ask");
    if (!o->listen == !o->connect || (server && !o->listen) || (joins && !o->connect)) {
        ui_error(server  ? "--listen is required"
                 : joins ? "--connect is required"
                         : "one of --listen and --connect is required");
        return false;
    }
    if (!o->policy && !o->unattested_insecure) {
        ui_error("--policy is required: it says whose evidence is accepted");
        ui_hint("--unattested-insecure asks for none");
        return false;
    }
    if (o->policy && o->unattested_insecure) {
        ui_error("--policy and --unattested-insecure exclude each other");
        return false;
    }
    if (is(o, "serve") && !o->tee && !o->unattested_insecure) {
        ui_error("--tee is required: the server shows evidence");
        return false;
    }
    return number_in("timeout", o->timeout_s, 1, SECONDS_MAX);
}

/* An option that the verb would ignore is an error: who gives it expects something of it. */
static const char *misplaced(const struct psi_opts *o)
{
    bool prepare = is(o, "prepare"), answer = is(o, "answer"), ask = is(o, "ask");
    bool two = is(o, "send") || is(o, "receive"), db = prepare || answer || ask;
    const struct {
        const char *name;
        bool given, taken;
    } list[] = {{"db", o->db, prepare || answer},
                {"seal", o->seal, prepare || answer},
                {"replace", o->replace, prepare},
                {"query-max", o->query_len_max, prepare || answer},
                {"total-max", o->total, answer},
                {"clients", o->clients, answer},
                {"filter", o->filter, ask},
                {"refresh", o->refresh, ask},
                {"ids", db && o->ids, !answer},
                {"column", db && o->column, !answer},
                {"domain", db && o->domain, !answer},
                {"trim", db && o->trim, !answer},
                {"fold-case", db && o->fold_case, !answer},
                {"first", db && o->first, !answer},
                {"spool", db && o->spool, !answer},
                {"out", db && o->out, ask},
                {"json", db && o->json, ask},
                {"min", prepare && o->minimum, false},
                {"trusted-receiver", db && o->trusted_receiver, answer},
                {"protocol", db && strcmp(o->protocol, "vole") != 0, two},
                {"both", db && o->both, two},
                {"cardinality", db && o->cardinality, two},
                {"session", db && o->session, two},
                {"pad", db && o->pad, two},
                {"peer-max", db && o->peer_len_max, two},
                {"bucket", db && o->bucket, two},
                {"key", db && o->key, false},
                {"listen", prepare && o->listen, false},
                {"connect", prepare && o->connect, false},
                {"policy", prepare && o->policy, false},
                {"tee", prepare && o->tee, false}};
    for (size_t i = 0; i < sizeof(list) / sizeof(list[0]); i++)
        if (list[i].given && !list[i].taken)
            return list[i].name;
    return NULL;
}

static bool check_db(const struct psi_opts *o)
{
    bool file = is(o, "prepare") || is(o, "answer");
    if (file && (!o->db || !o->seal)) {
        ui_error("--db and --seal are required");
        return false;
    }
    if (is(o, "answer") && o->minimum > 0 && !o->trusted_receiver) {
        ui_error("--min is kept by the client's program: it needs --trusted-receiver");
        ui_hint("say so if --policy has the measurement of a client that keeps it");
        return false;
    }
    return number_in("query-max", o->query_len_max, 0, INT64_C(1) << 28) &&
           number_in("total-max", o->total, 0, INT64_MAX) &&
           number_in("clients", o->clients, 0, INT64_MAX);
}

static bool check(const struct psi_opts *o)
{
    bool many = is(o, "serve") || is(o, "join");
    const char *name = misplaced(o);
    if (name) {
        ui_error("--%s is not for psi %s", name, o->verb);
        return false;
    }
    if (!is(o, "serve") && !is(o, "answer") && !o->ids) {
        ui_error("--ids is required");
        return false;
    }
    if (!many && ccz_psi_protocol_from(o->protocol) == CCZ_PSI_PROTOCOLS) {
        ui_error("--protocol must be vole, vole-semi-honest, ecdh or unbalanced");
        return false;
    }
    return check_db(o) && (is(o, "prepare") || check_network(o)) &&
           number_in("min", o->minimum, 0, (int64_t)CCZ_PSI_LEN_MAX) &&
           number_in("bucket", o->bucket, 0, INT64_C(1) << 30) &&
           number_in("threads", o->threads, 0, 16) &&
           number_in("peer-max", o->peer_len_max, 0, (int64_t)CCZ_PSI_LEN_MAX) &&
           (!many || number_in("parties", o->parties, 2, CCZ_PSI_TEE_PARTIES_MAX));
}

static int parse(struct psi_opts *o, int argc, char **argv)
{
    const struct ui_opt opts[] = {
        {"ids", &o->ids, NULL, NULL, "FILE", "one id per line, or CSV with --column"},
        {"column", &o->column, NULL, NULL, "NAME", "column of the ids in a CSV file with a header"},
        {"out", &o->out, NULL, NULL, "FILE",
         "rows of common ids, one a line, from 0; default stdout"},
        {"json", NULL, NULL, &o->json, NULL, "a summary on stdout; rows only with --out"},
        {"domain", &o->domain, NULL, NULL, "NAME", "kind of id; the same on all sides"},
        {"trim", NULL, NULL, &o->trim, NULL, "cut white space at both ends of ids"},
        {"fold-case", NULL, NULL, &o->fold_case, NULL, "A-Z are a-z"},
        {"first", NULL, NULL, &o->first, NULL,
         "an id that repeats is its first row; default: refused"},
        {"spool", &o->spool, NULL, NULL, "DIR", "sets beyond memory go to a sealed file here"},
        {"listen", &o->listen, NULL, NULL, "ADDR", "wait for the other side here; port 0 = any"},
        {"connect", &o->connect, NULL, NULL, "ADDR", "where the other side listens"},
        {"port-file", &o->port_file, NULL, NULL, "FILE", "write the port here when ready"},
        {"name", &o->name, NULL, NULL, "NAME", "own name; of join: different for each party"},
        {"policy", &o->policy, NULL, NULL, "FILE",
         "policy that the other side's evidence must satisfy"},
        {"unattested-insecure", NULL, NULL, &o->unattested_insecure, NULL,
         "ask the other side for no evidence"},
        UI_OWN_EVIDENCE(o),
        UI_TRUST_FILES(o),
        {"protocol", &o->protocol, NULL, NULL, "NAME",
         "send, receive: vole (default), vole-semi-honest, ecdh, unbalanced"},
        {"both", NULL, NULL, &o->both, NULL, "the sender learns the rows, too"},
        {"cardinality", NULL, NULL, &o->cardinality, NULL, "only how many are common"},
        {"min", NULL, &o->minimum, NULL, "N", "fewer common ids: nobody learns which"},
        {"trusted-receiver", NULL, NULL, &o->trusted_receiver, NULL,
         "the receiver's program was verified: it may keep --min and --cardinality with vole"},
        {"session", &o->session, NULL, NULL, "NAME", "name of this run; the same on all sides"},
        {"pad", NULL, NULL, &o->pad, NULL, "hide the number of ids: up to a power of two"},
        {"peer-max", NULL, &o->peer_len_max, NULL, "N", "refuse more ids of a peer"},
        {"bucket", NULL, &o->bucket, NULL, "N", "ids at a time in memory"},
        {"threads", NULL, &o->threads, NULL, "N", "of ecdh and unbalanced; 0 = all processors"},
        {"parties", NULL, &o->parties, NULL, "N", "serve, join: how many parties"},
        {"key", &o->key, NULL, NULL, "FILE",
         "join: secret of the parties, so that the server sees keyed hashes"},
        {"db", &o->db, NULL, NULL, "FILE", "prepare, answer: the database, a protected file"},
        {"seal", &o->seal, NULL, NULL, "FILE", "prepare, answer: its key, 32 bytes"},
        {"replace", NULL, NULL, &o->replace, NULL, "prepare: in place of a database that is there"},
        {"query-max", NULL, &o->query_len_max, NULL, "N",
         "prepare, answer: ids of one query at most, default 65536"},
        {"total-max", NULL, &o->total, NULL, "N", "answer: ids of all queries together at most"},
        {"clients", NULL, &o->clients, NULL, "N", "answer: end after so many; default: at SIGTERM"},
        {"filter", &o->filter, NULL, NULL, "FILE",
         "ask: the database's filter; downloaded if it is not there, and kept"},
        {"refresh", NULL, NULL, &o->refresh, NULL, "ask: download the filter in any case"},
        {"timeout", NULL, &o->timeout_s, NULL, "SECONDS",
         "longest wait for the other side, default 600"},
        {0},
    };
    return ui_parse(argc, argv, "cczoo psi send|receive|serve|join|prepare|answer|ask ...", opts);
}

int cmd_psi(int argc, char **argv)
{
    struct psi_opts o = {.verb = argc > 1 ? argv[1] : "--help",
                         .protocol = "vole",
                         .name = "party",
                         .parties = 2,
                         .timeout_s = 600};
    static const struct {
        const char *verb;
        int (*run)(const struct psi_opts *o);
    } verbs[] = {{"send", run_party},  {"receive", run_party},   {"join", run_party},
                 {"serve", run_serve}, {"prepare", psi_prepare}, {"answer", psi_answer},
                 {"ask", psi_ask}};
    int (*run)(const struct psi_opts *o) = NULL;
    for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++)
        if (is(&o, verbs[i].verb))
            run = verbs[i].run;
    if (is(&o, "--help") || is(&o, "-h")) {
        ui_out("usage: cczoo psi VERB [--help]\n\n"
               "  receive  learn which ids the sender has, too\n"
               "  send     take part; learns nothing but with --both\n"
               "  join     a party of a session with a server in a TEE\n"
               "  serve    that server\n"
               "  prepare  make a database of a large set, once\n"
               "  answer   serve clients that ask it\n"
               "  ask      learn which of a few ids a database has\n");
        return argc > 1 ? UI_OK : UI_USAGE;
    }
    if (!run) {
        ui_error("no such command: psi %s", o.verb);
        ui_hint("cczoo psi --help lists them");
        return UI_USAGE;
    }
    int n = parse(&o, argc - 1, argv + 1);
    if (n < 0)
        return ui_parse_status(n);
    if (n > 0) {
        ui_error("unexpected operand: %s", argv[1]);
        return UI_USAGE;
    }
    if (!check(&o))
        return UI_USAGE;
    return run(&o);
}
