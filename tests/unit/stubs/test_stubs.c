/* SPDX-License-Identifier: Apache-2.0 */
/* Generated stubs: every kind of method, both sides, over 127.0.0.1; then peers that do not keep to the .proto. */
#define _DEFAULT_SOURCE
#include "ccz_test.h"
#include "common/note.ccz-rpc.h"
#include "words.ccz-rpc.h"
#include "zoo.ccz-rpc.h"

#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

typedef Zoo__KeepV1__Animal Animal;
typedef Zoo__KeepV1__Tally Tally;
typedef Zoo__KeepV1__Tree Tree;
typedef Zoo__Common__Deep__Note Note;
typedef Zoo__Common__Deep__Note__HTMLText HTMLText;

static char lion[] = "lion";

/* -------------------------------------------------------------------------------- the service */

static struct keeper {
    atomic_int fed, opened, done, writable;
} g_keeper;

static void feed(struct ccz_rpc_call *call, void *arg, const Animal *animal)
{
    Note note = ZOO__COMMON__DEEP__NOTE__INIT;
    struct keeper *k = arg;
    char text[128];
    CHECK(k == &g_keeper);
    (void)snprintf(text, sizeof(text), "%s, %u legs, %zu bytes, default %s", animal->name,
                   animal->legs, animal->picture.len, animal->default_);
    note.text = text;
    atomic_fetch_add(&k->fed, 1);
    zoo_keep_v1_zoo_feed_reply(call, &note);
}

static void *count_start(struct ccz_rpc_call *call, void *arg)
{
    Tally *t = malloc(sizeof(*t));
    CHECK(call && arg == &g_keeper && t);
    zoo__keep_v1__tally__init(t);
    atomic_fetch_add(&g_keeper.opened, 1);
    return t;
}

static void count_message(struct ccz_rpc_call *call, void *state, const Animal *animal)
{
    Tally *t = state;
    t->animals++;
    t->legs += animal->legs;
    if (animal->legs == 13)
        ccz_rpc_finish(call, CCZ_RPC_OUT_OF_RANGE, "no such beast");
}

static void count_half_close(struct ccz_rpc_call *call, void *state)
{
    zoo_keep_v1_zoo_count_reply(call, state);
}

static void count_done(struct ccz_rpc_call *call, void *state, bool cancelled)
{
    (void)call, (void)cancelled;
    free(state);
    atomic_fetch_add(&g_keeper.done, 1);
}

struct listing {
    uint32_t left, legs;
};

static void list_more(struct ccz_rpc_call *call, void *state)
{
    struct listing *l = state;
    static uint8_t picture[100000];
    Animal a = ZOO__KEEP_V1__ANIMAL__INIT;
    while (l->left > 0 && ccz_rpc_pending(call) < CCZ_RPC_PENDING_HIGH) {
        a.legs = l->legs;
        a.picture = (ProtobufCBinaryData){sizeof(picture), picture};
        zoo_keep_v1_zoo_list_write(call, &a);
        l->left--;
    }
    if (l->left == 0)
        ccz_rpc_finish(call, l->legs == 13 ? CCZ_RPC_NOT_FOUND : CCZ_RPC_OK, "that was all");
}

static void *list_request(struct ccz_rpc_call *call, void *arg,
                          const Zoo__KeepV1__Tally__Wanted *wanted)
{
    struct listing *l = malloc(sizeof(*l));
    CHECK(l && arg == &g_keeper);
    *l = (struct listing){wanted->most, wanted->legs};
    atomic_fetch_add(&g_keeper.opened, 1);
    list_more(call, l);
    return l;
}

static void list_writable(struct ccz_rpc_call *call, void *state)
{
    atomic_fetch_add(&g_keeper.writable, 1);
    list_more(call, state);
}

static void talk_message(struct ccz_rpc_call *call, void *state, const Note *note)
{
    HTMLText html = ZOO__COMMON__DEEP__NOTE__HTMLTEXT__INIT;
    CHECK(state == &g_keeper); /* without on_start: the service's */
    html.text = note->text;
    zoo_keep_v1_zoo_talk_write(call, &html);
}

static void talk_half_close(struct ccz_rpc_call *call, void *state)
{
    CHECK(state == &g_keeper);
    ccz_rpc_finish(call, CCZ_RPC_OK, NULL);
}

/* Answers from another thread, with a copy of the request. */
struct later {
    struct ccz_rpc_call *call;
    Tree *tree;
};

static void *grow_later(void *arg)
{
    struct later l = *(struct later *)arg;
    CCZ_AUTO(Zoo__KeepV1__Tree) tree = l.tree;
    free(arg);
    usleep(2000);
    zoo_keep_v1_zoo_grow_reply(l.call, tree);
    ccz_rpc_call_unref(l.call);
    return NULL;
}

static void grow(struct ccz_rpc_call *call, void *arg, const Tree *tree)
{
    struct later *l = malloc(sizeof(*l));
    pthread_t thread;
    CHECK(l && arg == &g_keeper);
    *l = (struct later){call, zoo_keep_v1_zoo_grow_copy(tree)};
    CHECK(l->tree);
    ccz_rpc_call_ref(call);
    CHECK(pthread_create(&thread, NULL, grow_later, l) == 0);
    pthread_detach(thread);
}

static const struct zoo_keep_v1_zoo_service g_zoo = {
    .arg = &g_keeper,
    .feed = feed,
    .count = {.on_start = count_start,
              .on_message = count_message,
              .on_half_close = count_half_close,
              .on_done = count_done},
    .list = {.on_request = list_request, .on_writable = list_writable, .on_done = count_done},
    .talk = {.on_message = talk_message, .on_half_close = talk_half_close},
    .grow = grow,
};

/* ---------------------------------------------------------------------------------- both ends */

struct ends {
    struct ccz_ratls_ctx *server_ctx, *client_ctx;
    struct ccz_rpc_server *server;
    struct ccz_rpc_client *client;
    char target[64];
    struct ccz_err err;
    struct ccz_rpc_result result;
};

static struct ccz_ratls_ctx *tls(bool server)
{
    static const char *const h2[] = {"h2", NULL};
    struct ccz_ratls_ctx *ctx;
    const struct ccz_ratls_cfg cfg = {.profile = CCZ_RATLS_TLS_ONLY_INSECURE,
                                      .server = server,
                                      .now_s = INT64_C(1767225600),
                                      .alpn = h2};
    CHECK(ccz_ratls_ctx_new(&ctx, &cfg, NULL) == CCZ_OK);
    return ctx;
}

/* Before ends_start(), a test may register what it likes. */
static void ends_new(struct ends *e)
{
    memset(e, 0, sizeof(*e));
    memset(&g_keeper, 0, sizeof(g_keeper));
    e->server_ctx = tls(true);
    e->client_ctx = tls(false);
    const struct ccz_rpc_server_cfg cfg = {.listen = "127.0.0.1:0", .ratls = e->server_ctx};
    CHECK(ccz_rpc_server_new(&e->server, &cfg, NULL) == CCZ_OK);
}

static void ends_start(struct ends *e)
{
    CHECK(ccz_rpc_server_start(e->server, NULL) == CCZ_OK);
    (void)snprintf(e->target, sizeof(e->target), "127.0.0.1:%u", ccz_rpc_server_port(e->server));
    const struct ccz_rpc_client_cfg cfg = {.target = e->target, .ratls = e->client_ctx};
    CHECK(ccz_rpc_client_new(&e->client, &cfg, NULL) == CCZ_OK);
}

static void ends_open(struct ends *e)
{
    ends_new(e);
    CHECK(zoo_keep_v1_zoo_register(e->server, &g_zoo) == CCZ_OK);
    ends_start(e);
}

static void ends_close(struct ends *e)
{
    ccz_rpc_client_free(e->client);
    ccz_rpc_server_stop(e->server, 1000);
    ccz_rpc_server_free(e->server);
    ccz_ratls_ctx_free(e->client_ctx);
    ccz_ratls_ctx_free(e->server_ctx);
    CHECK(atomic_load(&g_keeper.opened) == atomic_load(&g_keeper.done));
}

static void test_unary(void)
{
    struct ends e;
    ends_open(&e);
    CCZ_AUTO(Zoo__Common__Deep__Note) note = NULL;
    Animal a = ZOO__KEEP_V1__ANIMAL__INIT;
    uint8_t picture[3] = {1, 2, 3};
    a.name = lion;
    a.legs = 4;
    a.picture = (ProtobufCBinaryData){3, picture};
    a.default_ = lion;
    CHECK(zoo_keep_v1_zoo_feed_call(&note, &e.result, e.client, &a, NULL, &e.err) == CCZ_OK);
    CHECK(strcmp(note->text, "lion, 4 legs, 3 bytes, default lion") == 0);
    CHECK(e.result.code == CCZ_RPC_OK && atomic_load(&g_keeper.fed) == 1);
    a = (Animal)ZOO__KEEP_V1__ANIMAL__INIT; /* no bytes at all */
    Note *second;
    CHECK(zoo_keep_v1_zoo_feed_call(&second, NULL, e.client, &a, NULL, NULL) == CCZ_OK);
    CHECK(strcmp(second->text, ", 0 legs, 0 bytes, default ") == 0);
    protobuf_c_message_free_unpacked((ProtobufCMessage *)second, NULL);
    CHECK(strcmp(ZOO_KEEP_V1_ZOO_FEED_PATH, "/zoo.keep_v1.Zoo/Feed") == 0);
    CHECK(strcmp(ZOO_KEEP_V1_ZOO_NAME, "zoo.keep_v1.Zoo") == 0);

    ProtobufCMessage nothing = {0}; /* never initialised: nothing is sent */
    CHECK(zoo_keep_v1_zoo_feed_call(&second, &e.result, e.client, (Animal *)&nothing, NULL,
                                    &e.err) == CCZ_E_INTERNAL);
    CHECK(e.result.code == CCZ_RPC_INTERNAL && e.result.message[0] == '\0');
    CHECK(!second && strcmp(e.err.where, "stub:request") == 0 && atomic_load(&g_keeper.fed) == 2);
    ends_close(&e);
}

static void test_later(void)
{
    struct ends e;
    ends_open(&e);
    CCZ_AUTO(Zoo__KeepV1__Tree) grown = NULL;
    Tree leaf = ZOO__KEEP_V1__TREE__INIT, tree = ZOO__KEEP_V1__TREE__INIT, *branches[] = {&leaf};
    leaf.leaf = lion;
    tree.n_branches = 1;
    tree.branches = branches;
    CHECK(zoo_keep_v1_zoo_grow_call(&grown, NULL, e.client, &tree, NULL, &e.err) == CCZ_OK);
    CHECK(grown->n_branches == 1 && strcmp(grown->branches[0]->leaf, "lion") == 0);
    ends_close(&e);
}

/* --------------------------------------------------------------------------------------- async */

struct waiter {
    pthread_mutex_t lock;
    pthread_cond_t cond;
    bool over;
    char text[128];
    struct ccz_rpc_result result;
    struct ccz_err err;
};

static void fed(void *arg, const Note *note, const struct ccz_rpc_result *result,
                const struct ccz_err *err)
{
    struct waiter *w = arg;
    pthread_mutex_lock(&w->lock);
    CHECK(!note == !!err);
    (void)snprintf(w->text, sizeof(w->text), "%s", note ? note->text : "");
    w->result = *result;
    w->err = err ? *err : (struct ccz_err){0};
    w->over = true;
    pthread_cond_signal(&w->cond);
    pthread_mutex_unlock(&w->lock);
}

static void wait_over(struct waiter *w)
{
    pthread_mutex_lock(&w->lock);
    while (!w->over)
        pthread_cond_wait(&w->cond, &w->lock);
    w->over = false;
    pthread_mutex_unlock(&w->lock);
}

static void garbage(struct ccz_rpc_call *call, void *arg, struct ccz_span request)
{
    (void)arg, (void)request;
    ccz_rpc_reply(call, ccz_span_str("\x0a\x7fshort"));
}

static void test_async(void)
{
    struct ends e;
    struct waiter w = {.lock = PTHREAD_MUTEX_INITIALIZER, .cond = PTHREAD_COND_INITIALIZER};
    Animal a = ZOO__KEEP_V1__ANIMAL__INIT;
    a.name = lion;
    ends_open(&e);
    CHECK(zoo_keep_v1_zoo_feed_async(e.client, &a, NULL, fed, &w) == CCZ_OK);
    wait_over(&w);
    CHECK(strncmp(w.text, "lion", 4) == 0 && w.result.code == CCZ_RPC_OK);
    ProtobufCMessage nothing = {0}; /* refused at once, and `fed` is not called */
    CHECK(zoo_keep_v1_zoo_feed_async(e.client, (Animal *)&nothing, NULL, fed, &w) ==
          CCZ_E_INTERNAL);
    ends_close(&e);

    ends_new(&e);
    CHECK(ccz_rpc_server_add_unary(e.server, ZOO_KEEP_V1_ZOO_FEED_PATH, garbage, NULL) == CCZ_OK);
    ends_start(&e);
    CHECK(zoo_keep_v1_zoo_feed_async(e.client, &a, NULL, fed, &w) == CCZ_OK);
    wait_over(&w);
    CHECK(w.err.rc == CCZ_E_FORMAT && strcmp(w.err.where, "stub:response") == 0);
    CHECK(w.result.code == CCZ_RPC_INTERNAL && !w.text[0]);
    ends_close(&e);

    ends_new(&e); /* the call's own failure comes through */
    ends_start(&e);
    CHECK(zoo_keep_v1_zoo_feed_async(e.client, &a, NULL, fed, &w) == CCZ_OK);
    wait_over(&w);
    CHECK(w.err.rc == CCZ_E_UNSUPPORTED && w.result.code == CCZ_RPC_UNIMPLEMENTED);
    ends_close(&e);
}

/* ------------------------------------------------------------------------------------- streams */

static void test_client_streaming(void)
{
    struct ends e;
    ends_open(&e);
    CCZ_AUTO(zoo_keep_v1_zoo_count) s = NULL;
    CCZ_AUTO(Zoo__KeepV1__Tally) tally = NULL;
    Animal a = ZOO__KEEP_V1__ANIMAL__INIT;
    CHECK(zoo_keep_v1_zoo_count_open(&s, e.client, NULL, &e.err) == CCZ_OK);
    for (uint32_t i = 0; i < 1000; i++) {
        a.legs = i % 3;
        CHECK(zoo_keep_v1_zoo_count_send(s, &a) == CCZ_OK);
    }
    CHECK(zoo_keep_v1_zoo_count_finish(&tally, &e.result, s, &e.err) == CCZ_OK);
    CHECK(tally->animals == 1000 && tally->legs == 999 && e.result.code == CCZ_RPC_OK);

    CCZ_AUTO(zoo_keep_v1_zoo_count)
    none = NULL; /* nothing sent is a stream, too; no result wanted */
    CCZ_AUTO(Zoo__KeepV1__Tally) zero = NULL;
    CHECK(zoo_keep_v1_zoo_count_open(&none, e.client, NULL, NULL) == CCZ_OK);
    CHECK(zoo_keep_v1_zoo_count_finish(&zero, NULL, none, NULL) == CCZ_OK && zero->animals == 0);

    CCZ_AUTO(zoo_keep_v1_zoo_count) bad = NULL; /* the server ends it in the middle */
    Tally *nothing;
    a.legs = 13;
    CHECK(zoo_keep_v1_zoo_count_open(&bad, e.client, NULL, NULL) == CCZ_OK);
    CHECK(zoo_keep_v1_zoo_count_send(bad, &a) == CCZ_OK);
    CHECK(zoo_keep_v1_zoo_count_finish(&nothing, &e.result, bad, &e.err) == CCZ_E_LIMIT);
    CHECK(!nothing && e.result.code == CCZ_RPC_OUT_OF_RANGE);

    CCZ_AUTO(zoo_keep_v1_zoo_count) gone = NULL; /* left open: free cancels, the state is freed */
    CHECK(zoo_keep_v1_zoo_count_open(&gone, e.client, NULL, NULL) == CCZ_OK);
    a.legs = 1;
    CHECK(zoo_keep_v1_zoo_count_send(gone, &a) == CCZ_OK);
    zoo_keep_v1_zoo_count_cancel(gone);
    for (int i = 0; i < 2000 && atomic_load(&g_keeper.opened) < 4; i++)
        usleep(1000);
    ends_close(&e);
}

static size_t list(struct ends *e, uint32_t legs, uint32_t most)
{
    CCZ_AUTO(zoo_keep_v1_zoo_list) s = NULL;
    Zoo__KeepV1__Tally__Wanted wanted = ZOO__KEEP_V1__TALLY__WANTED__INIT;
    wanted.legs = legs;
    wanted.most = most;
    size_t n = 0;
    CHECK(zoo_keep_v1_zoo_list_open(&s, e->client, &wanted, NULL, &e->err) == CCZ_OK);
    for (;; n++) {
        CCZ_AUTO(Zoo__KeepV1__Animal) a = NULL;
        ccz_rc rc = zoo_keep_v1_zoo_list_recv(&a, &e->result, s, &e->err);
        if (rc != CCZ_OK) {
            CHECK(rc == CCZ_E_NOT_FOUND && !a);
            return n;
        }
        CHECK(a->legs == legs && a->picture.len == 100000);
    }
}

static void test_server_streaming(void)
{
    struct ends e;
    ends_open(&e);
    CHECK(list(&e, 4, 200) == 200 && e.result.code == CCZ_RPC_OK);
    CHECK(atomic_load(&g_keeper.writable) > 0); /* 20 MB do not fit into PENDING_HIGH */
    CHECK(list(&e, 4, 0) == 0 && e.result.code == CCZ_RPC_OK);
    CHECK(list(&e, 13, 1) == 1 && e.result.code == CCZ_RPC_NOT_FOUND); /* a status, not the end */
    ends_close(&e);
}

static void test_bidi(void)
{
    struct ends e;
    ends_open(&e);
    CCZ_AUTO(zoo_keep_v1_zoo_talk) s = NULL;
    CHECK(zoo_keep_v1_zoo_talk_open(&s, e.client, NULL, &e.err) == CCZ_OK);
    for (int i = 0; i < 10; i++) {
        Note note = ZOO__COMMON__DEEP__NOTE__INIT;
        CCZ_AUTO(Zoo__Common__Deep__Note__HTMLText) html = NULL;
        char text[16];
        (void)snprintf(text, sizeof(text), "<b>%d</b>", i);
        note.text = text;
        CHECK(zoo_keep_v1_zoo_talk_send(s, &note) == CCZ_OK);
        CHECK(zoo_keep_v1_zoo_talk_recv(&html, &e.result, s, &e.err) == CCZ_OK);
        CHECK(strcmp(html->text, text) == 0);
    }
    HTMLText *end;
    CHECK(zoo_keep_v1_zoo_talk_close(s) == CCZ_OK);
    CHECK(zoo_keep_v1_zoo_talk_recv(&end, &e.result, s, &e.err) == CCZ_E_NOT_FOUND && !end);
    CHECK(e.result.code == CCZ_RPC_OK);
    ends_close(&e);
}

/* ------------------------------------------------------------------------- names that mean something */

static void do_it(struct ccz_rpc_call *call, void *arg, const Note *note)
{
    CHECK(!arg);
    int_do_reply(call, note);
}

static void *arg_request(struct ccz_rpc_call *call, void *arg, const Note *note)
{
    CHECK(!arg);
    int_arg_write(call, note);
    int_arg_write(call, note);
    ccz_rpc_finish(call, CCZ_RPC_OK, NULL);
    return NULL;
}

static void service_message(struct ccz_rpc_call *call, void *state, const Note *note)
{
    CHECK(!state);
    int_service__write(call, note);
    ccz_rpc_finish(call, CCZ_RPC_OK, NULL);
}

static void test_words(void)
{
    static const struct int_service words = {.do_ = do_it,
                                             .arg_ = {.on_request = arg_request},
                                             .service = {.on_message = service_message}};
    struct ends e;
    Note note = ZOO__COMMON__DEEP__NOTE__INIT;
    ends_new(&e);
    CHECK(int_register(e.server, &words) == CCZ_OK);
    CHECK(int_register(e.server, &words) == CCZ_E_EXISTS); /* as ccz_rpc_server_add() */
    ends_start(&e);
    CCZ_AUTO(Zoo__Common__Deep__Note) a = NULL;
    CCZ_AUTO(Zoo__Common__Deep__Note) b = NULL;
    CCZ_AUTO(Zoo__Common__Deep__Note) c = NULL;
    CCZ_AUTO(int_arg) s = NULL;
    CCZ_AUTO(int_service_) t = NULL;
    note.text = lion;
    CHECK(int_do_call(&a, NULL, e.client, &note, NULL, &e.err) == CCZ_OK);
    CHECK(strcmp(a->text, "lion") == 0 && strcmp(INT_DO_PATH, "/int/Do") == 0);
    CHECK(int_arg_open(&s, e.client, &note, NULL, &e.err) == CCZ_OK);
    CHECK(int_arg_recv(&b, NULL, s, &e.err) == CCZ_OK && strcmp(b->text, "lion") == 0);
    CHECK(int_service__open(&t, e.client, NULL, &e.err) == CCZ_OK);
    CHECK(int_service__send(t, &note) == CCZ_OK && int_service__recv(&c, NULL, t, NULL) == CCZ_OK);
    Note *none; /* in the .proto, but the server has no function for it */
    CHECK(int_errno_call(&none, &e.result, e.client, &note, NULL, &e.err) == CCZ_E_UNSUPPORTED);
    CHECK(!none && e.result.code == CCZ_RPC_UNIMPLEMENTED);
    ends_close(&e);
}

static void test_unimplemented(void)
{
    static const struct zoo_keep_v1_zoo_service nothing = {0};
    struct ends e;
    ends_new(&e);
    CHECK(zoo_keep_v1_zoo_register(e.server, &nothing) == CCZ_OK);
    ends_start(&e);
    CCZ_AUTO(zoo_keep_v1_zoo_count) count = NULL;
    Tally *tally;
    Tree tree = ZOO__KEEP_V1__TREE__INIT, *grown;
    CHECK(zoo_keep_v1_zoo_grow_call(&grown, &e.result, e.client, &tree, NULL, NULL) ==
          CCZ_E_UNSUPPORTED);
    CHECK(zoo_keep_v1_zoo_count_open(&count, e.client, NULL, NULL) == CCZ_OK);
    CHECK(zoo_keep_v1_zoo_count_finish(&tally, &e.result, count, NULL) == CCZ_E_UNSUPPORTED);
    CHECK(e.result.code == CCZ_RPC_UNIMPLEMENTED);
    CCZ_AUTO(zoo_keep_v1_zoo_list) listing = NULL;
    Zoo__KeepV1__Tally__Wanted wanted = ZOO__KEEP_V1__TALLY__WANTED__INIT;
    Animal *animal;
    CHECK(zoo_keep_v1_zoo_list_open(&listing, e.client, &wanted, NULL, NULL) == CCZ_OK);
    CHECK(zoo_keep_v1_zoo_list_recv(&animal, &e.result, listing, NULL) == CCZ_E_UNSUPPORTED);
    CHECK(e.result.code == CCZ_RPC_UNIMPLEMENTED);
    ends_close(&e);
}

/* --------------------------------------------------------------- peers that do not keep to the .proto */

/* A request of bytes, as any client may send it. */
static enum ccz_rpc_code send_raw(struct ends *e, const char *path, struct ccz_span request)
{
    CCZ_AUTO_BUF got;
    ccz_buf_init(&got, 1 << 20);
    memset(&e->err, 0, sizeof(e->err));
    ccz_rc rc = ccz_rpc_unary(&got, &e->result, e->client, path, request, NULL, &e->err);
    CHECK((rc == CCZ_OK) == (e->result.code == CCZ_RPC_OK));
    return e->result.code;
}

static void test_requests(void)
{
    struct ends e;
    ends_open(&e);
    Animal a = ZOO__KEEP_V1__ANIMAL__INIT;
    Zoo__KeepV1__Animal__Tag tag = ZOO__KEEP_V1__ANIMAL__TAG__INIT, *tags[] = {&tag, &tag};
    int32_t marks[] = {1, -2, 300};
    uint8_t picture[] = "0123456789", bytes[256];
    a.name = lion;
    a.picture = (ProtobufCBinaryData){sizeof(picture), picture};
    a.n_tags = 2;
    a.tags = tags;
    tag.weight = 1 << 20;
    tag.n_marks = 3;
    tag.marks = marks;
    a.default_ = lion;
    size_t size = zoo__keep_v1__animal__get_packed_size(&a), refused = 0;
    CHECK(size <= sizeof(bytes) && zoo__keep_v1__animal__pack(&a, bytes) == size);
    for (size_t n = 0; n <= size; n++) { /* cut off at each byte: accepted only between fields */
        enum ccz_rpc_code code = send_raw(&e, ZOO_KEEP_V1_ZOO_FEED_PATH, CCZ_SPAN(bytes, n));
        Animal *whole = zoo__keep_v1__animal__unpack(NULL, n, bytes);
        CHECK(code == (whole ? CCZ_RPC_OK : CCZ_RPC_INVALID_ARGUMENT));
        if (!whole) {
            CHECK(e.err.rc == CCZ_E_FORMAT && strcmp(e.err.where, "stub:request") == 0);
            CHECK(strstr(e.err.msg, "bytes are no zoo.keep_v1.Animal"));
            refused++;
        }
        protobuf_c_message_free_unpacked((ProtobufCMessage *)whole, NULL);
    }
    CHECK(refused > size / 2 && (size_t)atomic_load(&g_keeper.fed) == size + 1 - refused);

    /* in the middle of a stream: the rest is not listened to, the state is freed (ends_close) */
    CCZ_AUTO(ccz_rpc_stream) s = NULL;
    CCZ_AUTO_BUF got;
    ccz_buf_init(&got, 1 << 20);
    CHECK(ccz_rpc_stream_open(&s, e.client, ZOO_KEEP_V1_ZOO_COUNT_PATH, NULL, NULL) == CCZ_OK);
    CHECK(ccz_rpc_stream_send(s, CCZ_SPAN(bytes, size)) == CCZ_OK);
    CHECK(ccz_rpc_stream_send(s, CCZ_SPAN(bytes, 3)) == CCZ_OK);
    CHECK(ccz_rpc_stream_recv(&got, s, &e.result, &e.err) == CCZ_E_FORMAT);
    CHECK(e.result.code == CCZ_RPC_INVALID_ARGUMENT && got.size == 0);
    /* the only request of a server stream: on_request, and so on_done, are not called */
    CHECK(send_raw(&e, ZOO_KEEP_V1_ZOO_LIST_PATH, CCZ_SPAN("\x08", 1)) == CCZ_RPC_INVALID_ARGUMENT);
    CHECK(atomic_load(&g_keeper.opened) == 1);
    ends_close(&e);
}

static void garbage_stream(struct ccz_rpc_call *call, void *arg)
{
    (void)arg;
    ccz_rpc_reply(call, ccz_span_str("\x07"));
}

static const struct ccz_rpc_handler g_garbage = {.on_half_close = garbage_stream};

static void test_responses(void)
{
    struct ends e;
    ends_new(&e);
    CHECK(ccz_rpc_server_add_unary(e.server, ZOO_KEEP_V1_ZOO_FEED_PATH, garbage, NULL) == CCZ_OK);
    CHECK(ccz_rpc_server_add(e.server, ZOO_KEEP_V1_ZOO_COUNT_PATH, &g_garbage, NULL) == CCZ_OK);
    CHECK(ccz_rpc_server_add(e.server, ZOO_KEEP_V1_ZOO_LIST_PATH, &g_garbage, NULL) == CCZ_OK);
    ends_start(&e);
    Animal a = ZOO__KEEP_V1__ANIMAL__INIT, *animal;
    Zoo__KeepV1__Tally__Wanted wanted = ZOO__KEEP_V1__TALLY__WANTED__INIT;
    Note *note;
    Tally *tally;
    CCZ_AUTO(zoo_keep_v1_zoo_count) count = NULL;
    CCZ_AUTO(zoo_keep_v1_zoo_list) listing = NULL;
    CHECK(zoo_keep_v1_zoo_feed_call(&note, &e.result, e.client, &a, NULL, &e.err) == CCZ_E_FORMAT);
    CHECK(!note && strcmp(e.err.where, "stub:response") == 0 && e.result.code == CCZ_RPC_INTERNAL);
    CHECK(zoo_keep_v1_zoo_count_open(&count, e.client, NULL, NULL) == CCZ_OK);
    CHECK(zoo_keep_v1_zoo_count_finish(&tally, &e.result, count, &e.err) == CCZ_E_FORMAT);
    CHECK(!tally && e.result.code == CCZ_RPC_INTERNAL);
    CHECK(zoo_keep_v1_zoo_list_open(&listing, e.client, &wanted, NULL, NULL) == CCZ_OK);
    CHECK(zoo_keep_v1_zoo_list_recv(&animal, &e.result, listing, &e.err) == CCZ_E_FORMAT);
    CHECK(!animal && e.result.code == CCZ_RPC_INTERNAL);
    ends_close(&e);
}

static void answer_none(struct ccz_rpc_call *call, void *arg)
{
    (void)arg;
    ccz_rpc_finish(call, CCZ_RPC_OK, NULL);
}

static void answer_twice(struct ccz_rpc_call *call, void *arg)
{
    (void)arg;
    ccz_rpc_send(call, (struct ccz_span){0});
    ccz_rpc_reply(call, (struct ccz_span){0});
}

static void answer_then_fail(struct ccz_rpc_call *call, void *arg)
{
    (void)arg;
    ccz_rpc_send(call, (struct ccz_span){0});
    ccz_rpc_finish(call, CCZ_RPC_NOT_FOUND, "on second thoughts");
}

static void expect_one(void (*answer)(struct ccz_rpc_call *, void *), ccz_rc rc,
                       enum ccz_rpc_code code, const char *msg)
{
    const struct ccz_rpc_handler h = {.on_half_close = answer};
    struct ends e;
    Tally *tally;
    CCZ_AUTO(zoo_keep_v1_zoo_count) s = NULL;
    ends_new(&e);
    CHECK(ccz_rpc_server_add(e.server, ZOO_KEEP_V1_ZOO_COUNT_PATH, &h, NULL) == CCZ_OK);
    ends_start(&e);
    CHECK(zoo_keep_v1_zoo_count_open(&s, e.client, NULL, NULL) == CCZ_OK);
    CHECK(zoo_keep_v1_zoo_count_finish(&tally, &e.result, s, &e.err) == rc && !tally);
    CHECK(e.result.code == code && strstr(e.err.msg, msg));
    zoo_keep_v1_zoo_count_free(zoo_keep_v1_zoo_count_take(&s));
    ends_close(&e);
}

static void test_cardinality(void)
{
    expect_one(answer_none, CCZ_E_PEER, CCZ_RPC_INTERNAL, "without a response");
    expect_one(answer_twice, CCZ_E_PEER, CCZ_RPC_INTERNAL, "more than one");
    expect_one(answer_then_fail, CCZ_E_NOT_FOUND, CCZ_RPC_NOT_FOUND, "on second thoughts");

    struct ends e; /* server streaming: one request, neither none nor two */
    ends_open(&e);
    for (int n = 0; n < 3; n += 2) {
        CCZ_AUTO(ccz_rpc_stream) s = NULL;
        CCZ_AUTO_BUF got;
        ccz_buf_init(&got, 1 << 20);
        CHECK(ccz_rpc_stream_open(&s, e.client, ZOO_KEEP_V1_ZOO_LIST_PATH, NULL, NULL) == CCZ_OK);
        for (int i = 0; i < n; i++) {
            ccz_rc rc = ccz_rpc_stream_send(s, (struct ccz_span){0});
            CHECK(rc == CCZ_OK || rc == CCZ_E_CLOSED);
        }
        ccz_rc rc = ccz_rpc_stream_half_close(s);
        CHECK(rc == CCZ_OK || rc == CCZ_E_CLOSED);
        CHECK(ccz_rpc_stream_recv(&got, s, &e.result, &e.err) == CCZ_E_UNSUPPORTED);
        CHECK(e.result.code == CCZ_RPC_UNIMPLEMENTED && got.size == 0);
        CHECK(strstr(e.result.message, n ? "more than one" : "no message"));
    }
    CHECK(atomic_load(&g_keeper.opened) == 0);
    ends_close(&e);
}

/* A tree of @p levels, branch in branch (or box in box), from the inside out; at the end of @p out. */
static struct ccz_span deep_tree(uint8_t *out, size_t size, size_t levels, uint8_t tag)
{
    size_t at = size, inner = 0;
    for (size_t i = 1; i < levels; i++) {
        uint8_t head[8] = {tag};
        size_t n = 1, left = inner;
        for (; left >= 0x80; left >>= 7)
            head[n++] = (uint8_t)(left | 0x80);
        head[n++] = (uint8_t)left;
        at -= n;
        memcpy(out + at, head, n);
        inner += n;
    }
    return CCZ_SPAN(out + at, inner);
}

static struct ccz_span g_answer;

static void answer_as_told(struct ccz_rpc_call *call, void *arg, struct ccz_span request)
{
    (void)arg, (void)request;
    ccz_rpc_reply(call, g_answer);
}

static void test_nesting(void)
{
    enum { SIZE = 8 << 20, DEEP = 1000000, BRANCH = 0x0a, BOX = 0x1a };
    struct ends e;
    uint8_t *bytes = malloc(SIZE);
    CHECK(bytes);
    ends_open(&e);
    const char *path = ZOO_KEEP_V1_ZOO_GROW_PATH;
    CHECK(send_raw(&e, path, deep_tree(bytes, SIZE, 100, BRANCH)) == CCZ_RPC_OK);
    CHECK(send_raw(&e, path, deep_tree(bytes, SIZE, 101, BRANCH)) == CCZ_RPC_RESOURCE_EXHAUSTED);
    CHECK(strstr(e.err.msg, "zoo.keep_v1.Tree nested more than 100 deep"));
    /* as deep as the size limit of messages allows: would use up the stack if it got to the unpacker */
    CHECK(send_raw(&e, path, deep_tree(bytes, SIZE, DEEP, BRANCH)) == CCZ_RPC_RESOURCE_EXHAUSTED);
    struct ccz_span cut = deep_tree(bytes, SIZE, 50, BRANCH);
    CHECK(send_raw(&e, path, CCZ_SPAN(cut.ptr, cut.size - 1)) == CCZ_RPC_INVALID_ARGUMENT);
    CHECK(send_raw(&e, path, CCZ_SPAN("\x0b", 1)) == CCZ_RPC_INVALID_ARGUMENT); /* a group */
    /* levels behind each other are not deep */
    for (size_t i = 0; i < 2000; i++)
        memcpy(bytes + 2 * i, "\x0a\x00", 2);
    CHECK(send_raw(&e, path, CCZ_SPAN(bytes, 4000)) == CCZ_RPC_OK);
    /* a leaf of text that looks like messages is text */
    memcpy(bytes, "\x12\x7f", 2);
    for (size_t i = 0; i < 127; i++)
        bytes[2 + i] = 'a';
    CHECK(send_raw(&e, path, CCZ_SPAN(bytes, 129)) == CCZ_RPC_OK);
    ends_close(&e);

    Tree tree = ZOO__KEEP_V1__TREE__INIT, *grown; /* a server's answer likewise */
    ends_new(&e);
    CHECK(ccz_rpc_server_add_unary(e.server, path, answer_as_told, NULL) == CCZ_OK);
    ends_start(&e);
    g_answer = deep_tree(bytes, SIZE, DEEP, BRANCH);
    CHECK(zoo_keep_v1_zoo_grow_call(&grown, &e.result, e.client, &tree, NULL, &e.err) ==
          CCZ_E_LIMIT);
    CHECK(!grown && strcmp(e.err.where, "stub:response") == 0);
    ends_close(&e);
    free(bytes);
}

/* Two bytes of an empty tag become a structure: what that may come to is bounded. */
static void test_memory(void)
{
    enum { SIZE = 4 << 20, FEW = 20000 };
    struct ends e;
    uint8_t *bytes = malloc(SIZE);
    CHECK(bytes);
    for (size_t i = 0; i < SIZE; i += 2)
        memcpy(bytes + i, "\x22\x00", 2);
    ends_open(&e);
    CHECK(send_raw(&e, ZOO_KEEP_V1_ZOO_FEED_PATH, CCZ_SPAN(bytes, 2 * FEW)) == CCZ_RPC_OK);
    CHECK(send_raw(&e, ZOO_KEEP_V1_ZOO_FEED_PATH, CCZ_SPAN(bytes, SIZE)) ==
          CCZ_RPC_RESOURCE_EXHAUSTED);
    CHECK(strstr(e.err.msg, "needs too much memory"));
    ends_close(&e);
    free(bytes);
}

/* FileDescriptorSet: files in order, imports first, without comments. */
static void test_descriptors(void)
{
    static const char *const want[] = {"common/note.proto", "zoo.proto"};
    struct ccz_rd r = ccz_rd_from(zoo_descriptors());
    size_t n = 0;
    while (r.left > 0) {
        CHECK(ccz_rd_u8(&r) == 0x0a);
        size_t size = ccz_rd_u8(&r); /* a varint of at most two bytes here */
        if (size >= 0x80)
            size = (size & 0x7f) | (size_t)ccz_rd_u8(&r) << 7;
        struct ccz_span file = ccz_rd_take(&r, size);
        struct ccz_rd f = ccz_rd_from(file);
        CHECK(ccz_rd_u8(&f) == 0x0a && n < 2);
        struct ccz_span name = ccz_rd_take(&f, ccz_rd_u8(&f));
        CHECK(ccz_span_eq(name, ccz_span_str(want[n++])));
        for (size_t i = 0; i + 4 < file.size; i++)
            CHECK(memcmp(file.ptr + i, "food", 4) != 0);
    }
    CHECK(ccz_rd_done(&r) && n == 2 && words_descriptors().size > 0);
    CHECK(common_note_descriptors().size < zoo_descriptors().size);
}

static const struct ccz_test tests[] = {
    {"stubs.unary", test_unary},
    {"stubs.later", test_later},
    {"stubs.async", test_async},
    {"stubs.client_streaming", test_client_streaming},
    {"stubs.server_streaming", test_server_streaming},
    {"stubs.bidi", test_bidi},
    {"stubs.words", test_words},
    {"stubs.unimplemented", test_unimplemented},
    {"stubs.requests", test_requests},
    {"stubs.responses", test_responses},
    {"stubs.cardinality", test_cardinality},
    {"stubs.nesting", test_nesting},
    {"stubs.memory", test_memory},
    {"stubs.descriptors", test_descriptors},
};

int main(int argc, char **argv)
{
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
