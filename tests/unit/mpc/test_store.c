/* SPDX-License-Identifier: Apache-2.0 */
/* Offline phases in files: used in order, once, by both parties together, whatever happens in between. */
#define _GNU_SOURCE
#include "kit.h"
#include <cczoo/pf.h>

#include "mpc/session.h"
#include "temp_dir.h"

#include <fcntl.h>

static struct ccz_secret *key;
static char dirs[2][256];
static const char *dir_override[2];

static struct ccz_mpc_store_cfg store_of(const struct party *p)
{
    return (struct ccz_mpc_store_cfg){
        .dir = dir_override[p->role] ? dir_override[p->role] : dirs[p->role], .key = key};
}

static const char *file_of(unsigned role, const char *name)
{
    static char path[4][512];
    static unsigned turn;
    char *p = path[turn++ % 4];
    (void)snprintf(p, sizeof(path[0]), "%s/%s", dirs[role], name);
    return p;
}

static void start(const char *name)
{
    for (int i = 0; i < 2; i++) {
        dir_override[i] = NULL;
        (void)snprintf(dirs[i], sizeof(dirs[i]), "%s-%d", temp_path(name), i);
    }
}

/* --------------------------------------------------------------------------------- the program */

enum { STEPS = 4 };
static uint64_t x[12] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};
static const uint64_t w[8] = {3, 1, 4, 1, 5, 9, 2, 6};

static const struct ccz_mpc_need needs[STEPS] = {
    {.kind = CCZ_MPC_CROSS_MATMUL, .m = 3, .k = 4, .n = 2, .fixed = 1, .owner = 0},
    {.kind = CCZ_MPC_SQUARE, .n = 6},
    {.kind = CCZ_MPC_AND, .n = 70},
    {.kind = CCZ_MPC_MUL, .n = 6}};

struct work {
    int steps; /* of the program: products */
    bool prepared;
};

static void run_write(struct party *p, void *arg)
{
    struct ccz_err *e = &p->err;
    struct ccz_mpc_tensor *t = input(p, 1, CCZ_MPC_SHAPE2(3, 4), 0, x);
    struct ccz_mpc_store_cfg cfg = store_of(p);
    int *times = arg;
    for (int i = 0; i < *times; i++)
        OK(ccz_mpc_store_write(p->m, needs, STEPS, &cfg, e));
    ccz_mpc_tensor_free(t);
}

static ccz_rc program(struct party *p, const struct work *work)
{
    struct ccz_err *e = &p->err;
    struct ccz_mpc_source *s;
    struct ccz_mpc_store_cfg cfg = store_of(p);
    struct ccz_mpc_tensor *t = input(p, 1, CCZ_MPC_SHAPE2(3, 4), 0, x);
    struct ccz_mpc_tensor *v = input(p, 3, CCZ_MPC_SHAPE2(4, 2), 0, w);
    CCZ_AUTO(ccz_mpc_tensor) a = NULL;
    CCZ_AUTO(ccz_mpc_tensor) b = NULL;
    CCZ_AUTO(ccz_mpc_tensor) c = NULL;
    uint64_t z[2] = {0}, ones[2] = {p->role ? 0 : UINT64_MAX, p->role ? 0 : 63};
    ccz_rc rc = ccz_mpc_source_store_new(&s, p->m, &cfg, e);
    if (rc == CCZ_OK)
        rc = ccz_mpc_attach(p->m, s, e);
    if (rc == CCZ_OK && work->prepared)
        rc = ccz_mpc_prepare(p->m, needs, (size_t)work->steps, e);
    if (rc == CCZ_OK && work->steps > 0)
        rc = ccz_mpc_matmul(&a, t, v, e);
    if (rc == CCZ_OK && work->steps > 1)
        rc = ccz_mpc_square(&b, a, e);
    if (rc == CCZ_OK && work->steps > 2)
        rc = cczi_mpc_and_bits(p->m, z, ones, ones, 70, e);
    if (rc == CCZ_OK && work->steps > 3)
        rc = ccz_mpc_mul(&c, a, b, e);
    if (rc == CCZ_OK && c) {
        uint64_t y = 1 * 3 + 2 * 4 + 3 * 5 + 4 * 2, *got = values(p, c);
        CHECK(got[0] == y * y * y);
        free(got);
        cczi_mpc_open_xor(p->m, z, 70);
        OK(cczi_mpc_round(p->m, e));
        CHECK(z[0] == UINT64_MAX && z[1] == 63);
    }
    ccz_mpc_tensor_free(t);
    ccz_mpc_tensor_free(v);
    return rc;
}

static void run_program(struct party *p, void *arg)
{
    p->rc = program(p, arg);
}

static void writes(int times)
{
    kit_source = CCZ_MPC_SOURCE_OT;
    both(64, run_write, &times);
}

/* Both parties must end with this; where NULL: success. A peer may hear of it by the other's closing. */
static void reads(struct work work, ccz_rc rc, const char *where)
{
    struct duo d;
    int seen = 0;
    kit_source = CCZ_MPC_SOURCE_STORE;
    duo_init(&d, 64);
    duo_run(&d, run_program, &work);
    for (int i = 0; i < 2; i++) {
        if (!where) {
            if (d.p[i].rc != CCZ_OK)
                fprintf(stderr, "%d: %s %s\n", i, d.p[i].err.where, d.p[i].err.msg);
            CHECK(d.p[i].rc == CCZ_OK);
        } else if (d.p[i].rc == CCZ_E_CLOSED) {
            CHECK(strstr(d.p[i].err.msg, where));
        } else {
            expect_error(&d.p[i], rc, where);
            seen++;
        }
    }
    CHECK(!where || seen > 0);
    duo_free(&d);
}

static uint64_t mark(unsigned role, const char *name)
{
    CCZ_AUTO_BUF b;
    ccz_buf_init(&b, 64);
    return ccz_file_read(&b, file_of(role, name), NULL) == CCZ_OK
               ? strtoull(ccz_buf_str(&b), NULL, 10)
               : 0;
}

/* --------------------------------------------------------------------------------------- tests */

static void test_once(void)
{
    start("once");
    reads((struct work){4, false}, CCZ_E_NOT_FOUND, "mpc:store-empty");
    writes(2);
    reads((struct work){4, true}, CCZ_OK, NULL);
    CHECK(mark(0, "offline-00000001.used") == 4 && mark(1, "offline-00000001.used") == 4);
    reads((struct work){4, false}, CCZ_OK, NULL); /* the second, need by need */
    CHECK(mark(0, "offline-00000002.used") == 4);
    reads((struct work){1, false}, CCZ_E_DENIED, "mpc:store-used");
    reads((struct work){4, true}, CCZ_E_DENIED, "mpc:store-used");
    writes(1);
    reads((struct work){4, true}, CCZ_OK, NULL);
}

/* What is marked is gone, whether it was used or not; parties that differ go on from the higher mark. */
static void test_crash(void)
{
    start("crash");
    writes(2);
    CHECK(ccz_file_write(file_of(1, "offline-00000001.used"), ccz_span_str("4\n"), 0600,
                         CCZ_FILE_REPLACE, NULL) == CCZ_OK);
    reads((struct work){4, false}, CCZ_OK, NULL); /* of the second file at both */
    CHECK(mark(0, "offline-00000002.used") == 4);
    CHECK(mark(0, "offline-00000001.used") ==
          4); /* given up for good, though nothing of it was used */
    reads((struct work){1, false}, CCZ_E_DENIED, "mpc:store-used"); /* at party 1 */
    start("crash2");
    writes(1);
    CHECK(ccz_file_write(file_of(0, "offline-00000001.used"), ccz_span_str("1\n"), 0600,
                         CCZ_FILE_REPLACE, NULL) == CCZ_OK);
    reads((struct work){1, false}, CCZ_E_MISMATCH, "mpc:store-need"); /* the first is skipped */
    CHECK(mark(0, "offline-00000001.used") == 1 && mark(1, "offline-00000001.used") == 0);
    CHECK(ccz_file_write(file_of(0, "offline-00000001.used"), ccz_span_str("some\n"), 0600,
                         CCZ_FILE_REPLACE, NULL) == CCZ_OK);
    reads((struct work){1, false}, CCZ_E_FORMAT, "mpc:store-mark");
}

static void set_mark(unsigned role, const char *name, const char *text)
{
    ccz_rc rc =
        ccz_file_write(file_of(role, name), ccz_span_str(text), 0600, CCZ_FILE_REPLACE, NULL);
    CHECK(rc == CCZ_OK);
}

/* Two crashes: one party is in an older file, the other far in a newer one. Each says its place in the file that both then
 * have open, so that nobody uses an item beside another one. */
static void test_two_crashes(void)
{
    start("crashes");
    writes(2);
    set_mark(0, "offline-00000001.used", "4\n");
    set_mark(0, "offline-00000002.used", "1\n");
    set_mark(1, "offline-00000001.used", "2\n");
    set_mark(1, "offline-00000002.used", "3\n"); /* the product is what is left */
    reads((struct work){1, false}, CCZ_E_MISMATCH, "mpc:store-need");
    CHECK(mark(1, "offline-00000001.used") == 4);
    CHECK(mark(0, "offline-00000002.used") == 1 && mark(1, "offline-00000002.used") == 3);
    /* The newer file is used up at one of them: both go on behind it. */
    start("full");
    writes(3);
    set_mark(0, "offline-00000001.used", "4\n");
    set_mark(1, "offline-00000002.used", "4\n");
    reads((struct work){4, true}, CCZ_OK, NULL);
    for (unsigned role = 0; role < 2; role++)
        CHECK(mark(role, "offline-00000001.used") == 4 &&
              mark(role, "offline-00000002.used") == 4 && mark(role, "offline-00000003.used") == 4);
    reads((struct work){1, false}, CCZ_E_DENIED, "mpc:store-used");
    start("none");
    writes(1);
    set_mark(0, "offline-00000001.used", "4\n");
    reads((struct work){1, false}, CCZ_E_DENIED, "mpc:store-used");
}

/* A mark is not authenticated: one beyond the file, where places would wrap around, is refused. */
static void test_mark_range(void)
{
    start("range");
    writes(1);
    set_mark(0, "offline-00000001.used", "5\n");
    reads((struct work){1, false}, CCZ_E_FORMAT, "mpc:store-mark");
    set_mark(0, "offline-00000001.used",
             "2305843009213693952\n"); /* 2^61 items of 8 bytes are none */
    reads((struct work){1, false}, CCZ_E_FORMAT, "mpc:store-mark");
}

static void test_marked_first(void)
{
    start("first");
    writes(1);
    /* The mark cannot be written: nothing is handed out. */
    CHECK(mkdir(file_of(0, "offline-00000001.used"), 0700) == 0);
    reads((struct work){1, false}, CCZ_E_IO, "file:read");
    CHECK(rmdir(file_of(0, "offline-00000001.used")) == 0);
    /* A changed file is refused before it is marked. */
    int fd = open(file_of(0, "offline-00000001.mpc"), O_RDWR);
    uint8_t byte;
    CHECK(fd >= 0 && pread(fd, &byte, 1, 1000) == 1);
    byte ^= 1;
    CHECK(pwrite(fd, &byte, 1, 1000) == 1 && close(fd) == 0);
    kit_source = CCZ_MPC_SOURCE_STORE;
    reads((struct work){1, false}, CCZ_E_SIG, "pf:metadata");
    CHECK(mark(0, "offline-00000001.used") == 0);
}

static void test_mismatch(void)
{
    static char other[256];
    start("other");
    writes(1);
    (void)snprintf(other, sizeof(other), "%s", dirs[1]);
    start("pair");
    writes(1);
    dir_override[1] = other; /* of another offline phase */
    reads((struct work){1, false}, CCZ_E_PEER, "mpc:store-pair");
    dir_override[0] = dirs[1]; /* the other party's */
    dir_override[1] = dirs[0];
    reads((struct work){1, false}, CCZ_E_MISMATCH, "mpc:store-role");
    dir_override[0] = dir_override[1] = NULL;
    x[5]++; /* another operand than the one prepared for */
    reads((struct work){1, false}, CCZ_E_MISMATCH, "mpc:store-fixed");
    x[5]--;
    CHECK(mark(0, "offline-00000001.used") == 0); /* refused before it was marked there */
    /* A file under another's name. */
    CHECK(rename(file_of(0, "offline-00000001.mpc"), file_of(0, "offline-00000002.mpc")) == 0);
    start("two");
    writes(2);
    CHECK(rename(file_of(0, "offline-00000002.mpc"), file_of(0, "offline-00000001.mpc")) == 0);
    reads((struct work){1, false}, CCZ_E_SIG, "pf:path");
}

/* ------------------------------------------------------------------------------------- orphans */

static void run_write_once(struct party *p, void *arg)
{
    struct ccz_mpc_tensor *t = input(p, 1, CCZ_MPC_SHAPE2(3, 4), 0, x);
    struct ccz_mpc_store_cfg cfg = store_of(p);
    (void)arg;
    p->rc = ccz_mpc_store_write(p->m, needs, STEPS, &cfg, &p->err);
    ccz_mpc_tensor_free(t);
}

/* An offline phase in which what a party sends is lost from some message on. @return whether both thought that it worked */
static bool write_with_cut(unsigned role, uint64_t cut)
{
    struct duo d;
    struct ccz_chan_fault_cfg cfg = {.send_cut_after = cut};
    struct ccz_chan *broken;
    kit_source = CCZ_MPC_SOURCE_OT;
    duo_init(&d, 64);
    CHECK(ccz_chan_fault_new(&broken, d.p[role].chan, &cfg, NULL) == CCZ_OK);
    d.p[role].chan = broken;
    duo_run(&d, run_write_once, NULL);
    const bool fine = d.p[0].rc == CCZ_OK && d.p[1].rc == CCZ_OK;
    CHECK(fine || d.p[role].rc != CCZ_OK || d.p[1 - role].rc != CCZ_OK);
    duo_free(&d);
    return fine;
}

static bool there(unsigned role, uint64_t number)
{
    char name[32];
    (void)snprintf(name, sizeof(name), "offline-%08u.mpc", (unsigned)number);
    return access(file_of(role, name), F_OK) == 0;
}

/* A party dies at one of its messages: the next offline phase works, and all that both have is used, once. */
static void test_dies(void)
{
    for (unsigned role = 0; role < 2; role++) {
        bool fine = false;
        int whole = 0;
        for (uint64_t cut = 1; !fine; cut += cut < 9 ? 4 : 1) { /* denser towards the end */
            char name[32];
            (void)snprintf(name, sizeof(name), "dies-%u-%u", role, (unsigned)cut);
            start(name);
            writes(1);
            fine = write_with_cut(role, cut);
            const bool second[2] = {there(0, 2), there(1, 2)};
            CHECK(!fine || (second[0] && second[1]));
            whole += !fine && second[0] && second[1];
            writes(1);
            const uint64_t last = second[0] || second[1] ? 3 : 2;
            CHECK(there(0, last) && there(1, last));
            reads((struct work){4, true}, CCZ_OK, NULL);
            if (second[0] && second[1]) /* nobody had to hear of it */
                reads((struct work){4, true}, CCZ_OK, NULL);
            reads((struct work){4, true}, CCZ_OK, NULL);
            reads((struct work){1, false}, CCZ_E_DENIED, "mpc:store-used");
        }
        CHECK(whole > 0); /* the message that says durable was lost */
    }
}

/* One party crashed before its file was durable, the other did not. */
static void test_orphans(void)
{
    for (unsigned role = 0; role < 2; role++) {
        char saved[512];
        start(role ? "orphan-1" : "orphan-0");
        writes(2);
        (void)snprintf(saved, sizeof(saved), "%s", file_of(role, "saved"));
        CHECK(rename(file_of(role, "offline-00000002.mpc"), saved) == 0);
        writes(1); /* the number after both, not the next of each */
        CHECK(!there(role, 2) && there(role, 3) && there(1 - role, 3));
        reads((struct work){4, true}, CCZ_OK, NULL);
        reads((struct work){4, true}, CCZ_OK, NULL);
        CHECK(mark(role, "offline-00000003.used") == 4);
        CHECK(mark(1 - role, "offline-00000002.used") == 4); /* given up for good */
        CHECK(rename(saved, file_of(role, "offline-00000002.mpc")) == 0);
        reads((struct work){1, false}, CCZ_E_DENIED, "mpc:store-used");
        writes(1);
        CHECK(there(0, 4) && there(1, 4));
        reads((struct work){4, true}, CCZ_OK, NULL);
    }
    /* Each has files that the other lacks, in turns. */
    start("turns");
    writes(5);
    for (unsigned n = 1; n <= 4; n++) {
        char name[32];
        (void)snprintf(name, sizeof(name), "offline-%08u.mpc", n);
        CHECK(unlink(file_of(n % 2, name)) == 0);
    }
    reads((struct work){4, true}, CCZ_OK, NULL);
    CHECK(mark(0, "offline-00000005.used") == 4 && mark(1, "offline-00000005.used") == 4);
    CHECK(mark(0, "offline-00000001.used") == 4 && mark(1, "offline-00000002.used") == 4);
    /* The last one is an orphan: nothing is left. */
    start("last");
    writes(1);
    CHECK(unlink(file_of(0, "offline-00000001.mpc")) == 0);
    reads((struct work){1, false}, CCZ_E_NOT_FOUND, "mpc:store-empty");
    writes(1);
    CHECK(there(0, 2) && there(1, 2));
    /* A mark whose file is gone still stands: no file gets its number. */
    start("marks");
    writes(1);
    reads((struct work){4, true}, CCZ_OK, NULL);
    CHECK(unlink(file_of(0, "offline-00000001.mpc")) == 0 &&
          unlink(file_of(1, "offline-00000001.mpc")) == 0);
    writes(1);
    CHECK(there(0, 2) && there(1, 2));
    reads((struct work){4, true}, CCZ_OK, NULL);
}

/* ------------------------------------------------------------------------------ a peer that lies */

enum { BACK, BACK_AGAIN, FAR, OTHER_PAIR };

static void lie(struct party *p, int how)
{
    struct ccz_err *e = &p->err;
    uint64_t own[5] = {1}, peer[5];
    if (how == OTHER_PAIR || how == FAR)
        OK(cczi_mpc_compare_needs(p->m, needs + 1, 1, needs + 1, 1, e));
    else
        OK(cczi_mpc_compare_needs(p->m, needs, 1, NULL, 0, e));
    own[0] = how == FAR ? 100000000 : how == BACK ? 0 : how == OTHER_PAIR ? 0 : 1;
    for (int i = 0; i <= (how == BACK || how == BACK_AGAIN); i++) {
        cczi_mpc_put(p->m, own, 1, 64);
        cczi_mpc_want(p->m, peer, 1, 64);
        p->rc = cczi_mpc_round(p->m, e);
    }
    if (how == OTHER_PAIR) {
        struct ccz_mpc_item item = {0};
        uint64_t pair[4];
        OK(cczi_mpc_common(pair, 4, 64, p->m, e));
        OK(cczi_mpc_make_items(&item, p->m, needs + 1, 1, e));
        cczi_mpc_item_deinit(&item);
        memcpy(own + 1, pair, sizeof(pair));
        own[0] = 1;
        own[4] ^= 1;
        cczi_mpc_put(p->m, own, 5, 64);
        cczi_mpc_want(p->m, peer, 5, 64);
        p->rc = cczi_mpc_round(p->m, e);
    }
    ccz_chan_close(p->chan, "done");
}

static void run_lie(struct party *p, void *arg)
{
    const int how = *(int *)arg;
    struct ccz_mpc_store_cfg cfg = store_of(p);
    if (p->role == 1)
        lie(p, how);
    else if (how == FAR || how == OTHER_PAIR)
        p->rc = ccz_mpc_store_write(p->m, needs + 1, 1, &cfg, &p->err);
    else
        p->rc = program(p, &(struct work){1, true});
}

static void lied(const char *name, int how, const char *where)
{
    struct duo d;
    start(name);
    writes(2);
    if (how == BACK_AGAIN)
        set_mark(0, "offline-00000001.used", "4\n");
    kit_source = how == FAR || how == OTHER_PAIR ? CCZ_MPC_SOURCE_OT : CCZ_MPC_SOURCE_STORE;
    if (how == OTHER_PAIR)
        start("lied"); /* empty: number 1 */
    duo_init(&d, 64);
    duo_run(&d, run_lie, &how);
    expect_error(&d.p[0], CCZ_E_PEER, where);
    duo_free(&d);
}

/* One that never moves on would keep us for ever; one with numbers beyond all bounds would use them up. */
static void test_lies(void)
{
    lied("back", BACK, "mpc:store-place");
    lied("again", BACK_AGAIN, "mpc:store-place");
    lied("far", FAR, "mpc:store-place");
    lied("other-pair", OTHER_PAIR, "mpc:store-pair");
}

static void run_transfers(struct party *p, void *arg)
{
    const struct ccz_mpc_need ots = {.kind = CCZ_MPC_OTS, .n = 5};
    struct ccz_mpc_store_cfg cfg = store_of(p);
    (void)arg;
    p->rc = ccz_mpc_store_write(p->m, &ots, 1, &cfg, &p->err);
    if (p->rc != CCZ_E_CLOSED)
        expect_error(p, CCZ_E_ARG, "mpc:store-len");
}

/* A file without needs could never be read. */
static void test_transfers(void)
{
    struct duo d;
    start("transfers");
    kit_source = CCZ_MPC_SOURCE_OT;
    duo_init(&d, 64);
    duo_run(&d, run_transfers, NULL);
    CHECK(d.p[0].rc != CCZ_OK && d.p[1].rc != CCZ_OK && !there(0, 1) && !there(1, 1));
    duo_free(&d);
}

static void run_ring(struct party *p, void *arg)
{
    p->rc = program(p, arg);
    if (p->rc != CCZ_E_CLOSED)
        expect_error(p, CCZ_E_MISMATCH, "mpc:store-ring");
}

static void run_wrong_need(struct party *p, void *arg)
{
    struct ccz_err *e = &p->err;
    struct ccz_mpc_source *s;
    struct ccz_mpc_store_cfg cfg = store_of(p);
    (void)arg;
    OK(ccz_mpc_source_store_new(&s, p->m, &cfg, e));
    OK(ccz_mpc_attach(p->m, s, e));
    p->rc = ccz_mpc_prepare(p->m, needs + 1, 1, e);
    if (p->rc != CCZ_E_CLOSED)
        expect_error(p, CCZ_E_MISMATCH, "mpc:store-need");
}

static void test_ring(void)
{
    struct duo d;
    start("ring");
    writes(1);
    kit_source = CCZ_MPC_SOURCE_STORE;
    duo_init(&d, 32);
    duo_run(&d, run_ring, &(struct work){1, false});
    CHECK(d.p[0].rc != CCZ_OK && d.p[1].rc != CCZ_OK);
    duo_free(&d);
    duo_init(&d, 64);
    duo_run(&d, run_wrong_need, NULL);
    CHECK(d.p[0].rc != CCZ_OK && d.p[1].rc != CCZ_OK);
    duo_free(&d);
}

/* Two users of one folder. */
static void test_busy(void)
{
    start("busy");
    writes(1);
    dir_override[1] = dirs[0];
    struct duo d;
    kit_source = CCZ_MPC_SOURCE_STORE;
    duo_init(&d, 64);
    duo_run(&d, run_program, &(struct work){1, false});
    CHECK(d.p[0].rc != CCZ_OK && d.p[1].rc != CCZ_OK);
    CHECK(strcmp(d.p[0].err.where, "mpc:store-busy") == 0 ||
          strcmp(d.p[1].err.where, "mpc:store-busy") == 0 ||
          strcmp(d.p[1].err.where, "mpc:store-role") == 0);
    duo_free(&d);
}

int main(int argc, char **argv)
{
    static const struct ccz_test tests[] = {{"store.once", test_once},
                                            {"store.crash", test_crash},
                                            {"store.two_crashes", test_two_crashes},
                                            {"store.mark_range", test_mark_range},
                                            {"store.marked_first", test_marked_first},
                                            {"store.mismatch", test_mismatch},
                                            {"store.ring", test_ring},
                                            {"store.busy", test_busy},
                                            {"store.dies", test_dies},
                                            {"store.orphans", test_orphans},
                                            {"store.lies", test_lies},
                                            {"store.transfers", test_transfers}};
    temp_setup();
    CHECK(ccz_pf_key_generate(&key, NULL) == CCZ_OK);
    int rc = ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
    ccz_secret_free(key);
    return rc;
}
