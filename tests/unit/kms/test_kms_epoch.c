/* SPDX-License-Identifier: Apache-2.0 */
/* The counter outside of a store: rolled back, forked, lost, behind, broken, with a lag, through a rekey. */
#define _GNU_SOURCE
#include "kms/kms_dir.h"

#include <limits.h>
#include <sqlite3.h>
#include <time.h>

static struct ccz_err err;

static struct ccz_kms_epoch *counter_in(const char *name, struct ccz_kms_epoch_cfg cfg)
{
    struct ccz_kms_epoch *e = NULL;
    char spec[420];
    (void)snprintf(spec, sizeof(spec), "file:%s", dir_path(name));
    cfg.spec = spec;
    cfg.dir = dir_path("kms");
    CHECK(ccz_kms_epoch_open(&e, &cfg, &err) == CCZ_OK);
    return e;
}

static struct ccz_kms_epoch *counter_with(struct ccz_kms_epoch_cfg cfg)
{
    return counter_in("other/counter", cfg);
}

/* One that is new, and takes the store as it is. */
static struct ccz_kms_epoch *counter_at(const char *name)
{
    return counter_in(name, (struct ccz_kms_epoch_cfg){.accept_lost = true});
}

static struct ccz_kms_epoch *counter(void)
{
    return counter_with((struct ccz_kms_epoch_cfg){0});
}

/* Opens the store with the counter in its file, strictly. */
static ccz_rc try_counted(void)
{
    CCZ_AUTO(ccz_kms_epoch) e = counter();
    return dir_try(NULL, e, &err);
}

/* One change of the store; the first one brings the line that names the signing key. */
static void change(const char *name)
{
    CCZ_AUTO(ccz_kms_epoch) e = counter();
    CCZ_AUTO(ccz_kms_store) s = NULL;
    CHECK(dir_open(&s, NULL, e, &err) == CCZ_OK);
    CHECK(fix_put_secret(s, name, "v", NULL, false, &err) == CCZ_OK);
}

static void start(void)
{
    dir_make();
    CCZ_AUTO(ccz_kms_epoch) e = counter();
    CHECK(dir_init(NULL, e, &err) == CCZ_OK);
    CHECK(dir_has("other/counter") && dir_has("kms/epoch"));
}

static uint64_t counted(void)
{
    CCZ_AUTO(ccz_secret) s = NULL;
    CHECK(ccz_file_read_secret(&s, dir_path("other/counter"), 1024, &err) == CCZ_OK &&
          ccz_secret_size(s) == CCZI_EPOCH_SIZE);
    uint64_t v = 0;
    for (size_t i = 8; i-- > 0;)
        v = v << 8 | ccz_secret_view(s)[8 + i];
    return v;
}

static void test_rolled_back(void)
{
    start();
    CHECK(try_counted() == CCZ_OK && counted() == 1);
    change("one");
    dir_copy("kms", "backup");
    change("two");
    CHECK(counted() == 4 && try_counted() == CCZ_OK);
    dir_copy("kms", "newest");
    dir_copy("backup", "kms");
    CHECK(dir_refused(try_counted(), &err, CCZ_E_SIG, "kms:rolled-back"));
    CHECK(strcmp(err.got, "3") == 0 && strcmp(err.expected, "4") == 0 && err.hint[0]);
    CHECK(dir_refused(try_counted(), &err, CCZ_E_SIG, "kms:rolled-back")); /* it did not learn */
    /* nor without the counter: the folder says that there is one */
    CHECK(dir_refused(dir_try(NULL, NULL, &err), &err, CCZ_E_DENIED, "kms:epoch-required"));

    /* an older copy that went on where somebody else counted: longer, with another line */
    CHECK(unlink(dir_path("kms/epoch")) == 0); /* nor without the file: the store says so, too */
    CHECK(dir_refused(dir_try(NULL, NULL, &err), &err, CCZ_E_DENIED, "kms:epoch-required"));
    CCZ_AUTO(ccz_kms_store) s = NULL;
    CCZ_AUTO(ccz_kms_epoch) elsewhere = counter_at("other/counter2");
    CHECK(dir_open(&s, NULL, elsewhere, &err) == CCZ_OK);
    CHECK(fix_put_secret(s, "mine", "v", NULL, false, &err) == CCZ_OK);
    CHECK(fix_put_secret(s, "mine2", "v", NULL, false, &err) == CCZ_OK);
    ccz_kms_store_free(ccz_kms_store_take(&s));
    CHECK(dir_refused(try_counted(), &err, CCZ_E_SIG, "kms:forked"));
    CHECK(counted() == 4);
    dir_copy("newest", "kms");
    CHECK(try_counted() == CCZ_OK);
}

static void drop_heads(void)
{
    CCZ_AUTO(ccz_kms_epoch) e = counter();
    CCZ_AUTO(ccz_kms_store) s = NULL;
    CHECK(dir_open(&s, NULL, e, &err) == CCZ_OK);
    fix_drop_heads(s, 0);
}

/* Closed, it becomes one of schema 3. */
static void make_older(void)
{
    drop_heads();
    sqlite3 *db;
    CHECK(sqlite3_open(dir_path("kms/kms.sqlite"), &db) == SQLITE_OK);
    CHECK(sqlite3_exec(db,
                       "DROP TABLE item_head; DROP TABLE reference; DROP TABLE raw_evidence; "
                       "PRAGMA user_version = 3",
                       NULL, NULL, NULL) == SQLITE_OK);
    CHECK(sqlite3_close(db) == SQLITE_OK);
}

/* A store of schema 3 that is counted: an older copy does not become a newer store by being migrated. */
static void test_migrated(void)
{
    for (int rolled = 0; rolled < 2; rolled++) {
        start();
        change("one");
        dir_copy("kms", "kept");
        make_older();
        dir_copy("kms", "backup");
        dir_copy("kept", "kms");
        change("two");
        make_older();
        if (rolled)
            dir_copy("backup", "kms");
        CCZ_AUTO(ccz_kms_epoch) e = counter();
        struct ccz_kms_state st = {.dir = dir_path("kms")};
        CHECK(dir_refused(ccz_kms_migrate(&st, FIX_NOW, &err), &err, CCZ_E_DENIED,
                          "kms:epoch-required"));
        st.epoch = e;
        ccz_rc rc = ccz_kms_migrate(&st, FIX_NOW, &err);
        if (!rolled)
            CHECK(rc == CCZ_OK && try_counted() == CCZ_OK && counted() == 5);
        else /* whatever it did to the old copy, nobody takes that for the store */
            CHECK(try_counted() == CCZ_E_SIG);
    }
}

/* Processes that share a counter: the one that is late does not take it back, and one that only looks leaves it alone. */
static void test_shared(void)
{
    start();
    change("one");
    dir_copy("other/counter", "other/old");
    CCZ_AUTO(ccz_kms_epoch) late = counter();
    CCZ_AUTO(ccz_kms_store) s = NULL;
    CHECK(dir_open(&s, NULL, late, &err) == CCZ_OK);
    struct cczi_kms_head then = s->head;
    ccz_kms_store_free(ccz_kms_store_take(&s));
    change("two"); /* the other one commits and counts */
    CHECK(then.seq == 3 && counted() == 4);
    late->saved.seq = 0; /* it has read the end of the log, and not written it yet */
    CHECK(cczi_kms_epoch_advance(late, &then, &err) == CCZ_OK && counted() == 4);
    CHECK(late->saved.seq == 4);
    then.seq = 5;
    CHECK(cczi_kms_epoch_advance(late, &then, &err) == CCZ_OK && counted() == 5);
    /* both MACs of a rekey go to the higher one */
    late->saved.seq = late->due.seq = 2;
    CCZ_AUTO(ccz_secret) next = fix_master(9);
    CHECK(cczi_kms_epoch_bind_next(late, next, &err) == CCZ_OK && counted() == 5);

    dir_copy("other/old", "other/counter"); /* behind, as after a crash */
    CCZ_AUTO(ccz_kms_epoch) looks = counter_with((struct ccz_kms_epoch_cfg){.read_only = true});
    CHECK(dir_try(NULL, looks, &err) == CCZ_OK && counted() == 3);
    CHECK(try_counted() == CCZ_OK && counted() == 4);
}

/* A folder of another server that shares the database, or a new one: the store says that it is counted. */
static void test_required(void)
{
    start();
    change("one");
    CHECK(unlink(dir_path("kms/epoch")) == 0);
    CHECK(dir_refused(dir_try(NULL, NULL, &err), &err, CCZ_E_DENIED, "kms:epoch-required"));
    CHECK(try_counted() == CCZ_OK);
    /* from the moment on when an older store begins to be counted */
    dir_make();
    CHECK(dir_init(NULL, NULL, &err) == CCZ_OK && dir_try(NULL, NULL, &err) == CCZ_OK);
    CCZ_AUTO(ccz_kms_epoch) e = counter_at("other/counter");
    CCZ_AUTO(ccz_kms_store) s = NULL;
    CHECK(dir_open(&s, NULL, e, &err) == CCZ_OK);
    CHECK(ccz_kms_epoch_accept(NULL, s, FIX_NOW, &err) == CCZ_OK);
    ccz_kms_store_free(ccz_kms_store_take(&s));
    CHECK(unlink(dir_path("kms/epoch")) == 0);
    CHECK(dir_refused(dir_try(NULL, NULL, &err), &err, CCZ_E_DENIED, "kms:epoch-required"));
    /* a folder that cannot be looked into is not one without the file */
    CHECK(symlink("epoch", dir_path("kms/epoch")) == 0); /* ELOOP, for root too */
    CHECK(dir_refused(dir_try(NULL, NULL, &err), &err, CCZ_E_IO, "kms:epoch"));
}

static void test_behind(void)
{
    start();
    change("one");
    dir_copy("other/counter", "other/old");
    change("two");
    /* a crash came between the commit and the counter */
    dir_copy("other/old", "other/counter");
    CHECK(counted() == 3 && try_counted() == CCZ_OK && counted() == 4);
    /* a crash of an init before its database: done again, it goes on */
    dir_make();
    CCZ_AUTO(ccz_kms_epoch) e = counter();
    CCZ_AUTO(ccz_kms_master) m = dir_master(NULL, NULL);
    CCZ_AUTO(ccz_secret) key = NULL;
    CHECK(cczi_kms_master_make(&key, m, false, &err) == CCZ_OK);
    CHECK(cczi_kms_epoch_bind(e, key, &err) == CCZ_OK && cczi_kms_epoch_first(e, &err) == CCZ_OK);
    CHECK(counted() == 0);
    CHECK(dir_init(NULL, e, &err) == CCZ_OK && counted() == 1);
}

static void test_lost(void)
{
    start();
    change("one");
    CHECK(unlink(dir_path("other/counter")) == 0);
    CHECK(dir_refused(try_counted(), &err, CCZ_E_NOT_FOUND, "kms:epoch-lost") && err.hint[0]);
    CHECK(!dir_has("other/counter"));
    /* the flag of another weakness does not help */
    CCZ_AUTO(ccz_kms_epoch)
    e = counter_with((struct ccz_kms_epoch_cfg){.accept_rolled_back = true});
    CHECK(dir_refused(dir_try(NULL, e, &err), &err, CCZ_E_NOT_FOUND, "kms:epoch-lost"));
    ccz_kms_epoch_free(ccz_kms_epoch_take(&e));
    e = counter_with((struct ccz_kms_epoch_cfg){.accept_lost = true});
    CCZ_AUTO(ccz_kms_store) s = NULL;
    CHECK(dir_open(&s, NULL, e, &err) == CCZ_OK && !dir_has("other/counter"));
    const char *what = NULL;
    CHECK(ccz_kms_epoch_accept(&what, s, FIX_NOW, &err) == CCZ_OK && strcmp(what, "lost") == 0);
    CHECK(ccz_kms_epoch_accept(&what, s, FIX_NOW, &err) == CCZ_OK && strcmp(what, "nothing") == 0);
    CHECK(s->head.seq == 4 && counted() == 4); /* with a line of its own */
    ccz_kms_store_free(ccz_kms_store_take(&s));
    CHECK(try_counted() == CCZ_OK);

    /* a backup that was put back on purpose */
    dir_copy("kms", "backup");
    change("two");
    dir_copy("backup", "kms");
    ccz_kms_epoch_free(ccz_kms_epoch_take(&e));
    e = counter_with((struct ccz_kms_epoch_cfg){.accept_lost = true});
    CHECK(dir_refused(dir_try(NULL, e, &err), &err, CCZ_E_SIG, "kms:rolled-back"));
    ccz_kms_epoch_free(ccz_kms_epoch_take(&e));
    e = counter_with((struct ccz_kms_epoch_cfg){.accept_rolled_back = true});
    CHECK(dir_open(&s, NULL, e, &err) == CCZ_OK);
    CHECK(ccz_kms_epoch_accept(&what, s, FIX_NOW, &err) == CCZ_OK &&
          strcmp(what, "rolled-back") == 0);
    ccz_kms_store_free(ccz_kms_store_take(&s));
    CHECK(try_counted() == CCZ_OK && counted() == 5);
}

static void put_counter(const uint8_t *bytes, size_t size)
{
    CHECK(ccz_file_write(dir_path("other/counter"), CCZ_SPAN(bytes, size), 0600, CCZ_FILE_REPLACE,
                         &err) == CCZ_OK);
}

static void test_damaged(void)
{
    start();
    change("one");
    uint8_t good[2 * CCZI_EPOCH_SIZE], one[CCZI_EPOCH_SIZE];
    CCZ_AUTO(ccz_secret) s = NULL;
    CHECK(ccz_file_read_secret(&s, dir_path("other/counter"), 1024, &err) == CCZ_OK);
    memcpy(one, ccz_secret_view(s), sizeof(one));
    for (size_t i = 0; i < CCZI_EPOCH_SIZE; i += 3) {
        memcpy(good, one, sizeof(one));
        good[i] ^= 4;
        put_counter(good, sizeof(one));
        bool second = i >= 8 + 8 + 32 + 32; /* the MAC of a next key that there is none of */
        ccz_rc rc = try_counted();
        CHECK(second ? rc == CCZ_OK : dir_refused(rc, &err, CCZ_E_SIG, "kms:epoch-mac"));
        put_counter(one, i ? i : 1);
        CHECK(dir_refused(try_counted(), &err, CCZ_E_SIG, "kms:epoch-mac"));
    }
    /* two records, as a token has after a crash: the newer one counts, in either order */
    put_counter(one, sizeof(one));
    dir_copy("kms", "backup");
    change("two");
    ccz_secret_free(ccz_secret_take(&s));
    CHECK(counted() == 4);
    CHECK(ccz_file_read_secret(&s, dir_path("other/counter"), 1024, &err) == CCZ_OK);
    for (int order = 0; order < 2; order++) {
        memcpy(good + (order ? CCZI_EPOCH_SIZE : 0), one, sizeof(one));
        memcpy(good + (order ? 0 : CCZI_EPOCH_SIZE), ccz_secret_view(s), sizeof(one));
        put_counter(good, sizeof(good));
        CHECK(try_counted() == CCZ_OK);
        dir_copy("kms", "newest");
        dir_copy("backup", "kms"); /* which the older record would take */
        put_counter(good, sizeof(good));
        CHECK(dir_refused(try_counted(), &err, CCZ_E_SIG, "kms:rolled-back"));
        dir_copy("newest", "kms");
    }
    /* of another store, which has another master key */
    start();
    change("x");
    CHECK(try_counted() == CCZ_OK);
    CCZ_AUTO(ccz_kms_epoch) e = counter();
    CHECK(unlink(dir_path("kms/kms.sqlite")) == 0 && unlink(dir_path("kms/master.key")) == 0);
    CHECK(dir_refused(dir_init(NULL, e, &err), &err, CCZ_E_EXISTS, "kms:epoch-exists"));
    CHECK(counted() == 3);
    CHECK(chmod(dir_path("other/counter"), 0644) == 0);
    CHECK(try_counted() != CCZ_OK);
}

static void test_place(void)
{
    dir_make();
    struct ccz_kms_epoch *e = NULL;
    char spec[500], link_to[400];
    struct ccz_kms_epoch_cfg cfg = {.dir = dir_path("kms")};
    static const char *const inside[] = {"kms/counter", "kms/sub/counter", "link/counter",
                                         "other/../kms/counter"};
    (void)snprintf(link_to, sizeof(link_to), "%s", dir_path("kms"));
    CHECK(symlink(link_to, dir_path("link")) == 0 && mkdir(dir_path("kms/sub"), 0700) == 0);
    for (size_t i = 0; i < 4; i++) {
        (void)snprintf(spec, sizeof(spec), "file:%s", dir_path(inside[i]));
        cfg.spec = spec;
        err = (struct ccz_err){0};
        CHECK(dir_refused(ccz_kms_epoch_open(&e, &cfg, &err), &err, CCZ_E_ARG, "kms:epoch-place") &&
              !e);
    }
    (void)snprintf(spec, sizeof(spec), "file:%s", dir_path("unmounted/counter"));
    CHECK(ccz_kms_epoch_open(&e, &cfg, &err) == CCZ_E_NOT_FOUND && !e);
    static const char *const bad[] = {"file:", "other", "", "tee:x", "files:/x"};
    for (size_t i = 0; i < 5; i++) {
        cfg.spec = bad[i];
        CHECK(ccz_kms_epoch_open(&e, &cfg, &err) == CCZ_E_ARG && !e);
    }
    cfg.lag_s = CCZ_KMS_EPOCH_LAG_MAX_S + 1;
    cfg.spec = "file:/x";
    CHECK(dir_refused(ccz_kms_epoch_open(&e, &cfg, &err), &err, CCZ_E_ARG, "kms:epoch-lag"));
    /* "kms2" is no part of "kms" */
    CHECK(mkdir(dir_path("kms2"), 0700) == 0);
    (void)snprintf(spec, sizeof(spec), "file:%s", dir_path("kms2/counter"));
    cfg = (struct ccz_kms_epoch_cfg){.spec = spec, .dir = dir_path("kms")};
    CHECK(ccz_kms_epoch_open(&e, &cfg, &err) == CCZ_OK);
    ccz_kms_epoch_free(e);
}

/* ------------------------------------------------------------------ advancing that fails */

static bool broken;
static unsigned good_saves = UINT_MAX; /* then it breaks */
static const struct cczi_kms_epoch_ops *real_ops;

static ccz_rc flaky_save(struct ccz_kms_epoch *e, struct ccz_span record, struct ccz_err *er)
{
    if (broken || good_saves == 0)
        return ccz_fail(er, CCZ_E_IO, "kms:epoch", 5, "the disk of the counter is gone");
    good_saves -= good_saves != UINT_MAX;
    return real_ops->save(e, record, er);
}

static struct cczi_kms_epoch_ops flaky;

static void make_flaky(struct ccz_kms_epoch *e)
{
    real_ops = e->ops;
    flaky = *e->ops;
    flaky.save = flaky_save;
    e->ops = &flaky;
}

/* A store with something in it, whose counter can break. */
static struct ccz_kms_store *populated(struct ccz_kms_epoch *e)
{
    struct ccz_kms_store *s = NULL;
    make_flaky(e);
    CHECK(dir_open(&s, NULL, e, &err) == CCZ_OK);
    fix_populate(s);
    return s;
}

static void test_advance_fails(void)
{
    start();
    CCZ_AUTO(ccz_kms_epoch) e = counter();
    CCZ_AUTO(ccz_kms_store) s = populated(e);
    CCZ_AUTO_BUF b;
    ccz_buf_init(&b, CCZ_KMS_MESSAGE_SIZE_MAX);
    CHECK(fix_release(&b, s, FIX_WORKLOAD, "key/model", 0, &err) == CCZ_OK && b.size > 0);
    broken = true;
    err = (struct ccz_err){0};
    CHECK(dir_refused(fix_release(&b, s, FIX_WORKLOAD, "key/model", 0, &err), &err, CCZ_E_IO,
                      "kms:epoch"));
    CHECK(b.size == 0 && err.hint[0]); /* recorded, and yet nothing left */
    CHECK(fix_put_secret(s, "x", "v", NULL, false, &err) == CCZ_E_IO);
    CHECK(ccz_kms_store_check(NULL, s, &err) == CCZ_OK);
    broken = false;
    CHECK(fix_release(&b, s, FIX_WORKLOAD, "key/model", 0, &err) == CCZ_OK && b.size > 0);
    uint64_t seq = s->head.seq;
    ccz_kms_store_free(ccz_kms_store_take(&s));
    CHECK(try_counted() == CCZ_OK && counted() == seq);
}

/* Calls that share a transaction: none of them is answered, and none is done again one by one. */
static void test_batch(void)
{
    static struct fix_batch b;
    start();
    CCZ_AUTO(ccz_kms_epoch) e = counter();
    CCZ_AUTO(ccz_kms_store) s = populated(e);
    uint64_t before = s->head.seq;
    broken = true;
    fix_batch_begin(&b);
    fix_batch_release(&b, FIX_WORKLOAD, "key/model");
    fix_batch_put_secret(&b, "once", "v", "server");
    fix_batch_release(&b, FIX_STALE, "key/model");
    fix_batch_run(&b, s);
    for (size_t i = 0; i < b.len; i++)
        CHECK(b.entry[i].rc != CCZ_OK && b.entry[i].answer.size == 0);
    CHECK(strcmp(b.entry[0].err.where, "kms:epoch") == 0 &&
          strcmp(b.entry[1].err.where, "kms:epoch") == 0);
    fix_batch_end(&b);
    broken = false;
    struct ccz_kms_check c;
    CHECK(ccz_kms_store_check(&c, s, &err) == CCZ_OK && c.audit_lines == before + 3);
    ccz_kms_store_free(ccz_kms_store_take(&s));
    ccz_kms_epoch_free(ccz_kms_epoch_take(&e));
    CHECK(try_counted() == CCZ_OK && counted() == before + 3);
}

/* A checkpoint shows lines of its own transaction, or of one that is not counted: it leaves when their answers do. */
static void test_checkpoint(void)
{
    static struct fix_batch b;
    start();
    CCZ_AUTO(ccz_kms_epoch) e = counter();
    CCZ_AUTO(ccz_kms_store) s = populated(e);
    broken = true;
    fix_batch_begin(&b);
    fix_batch_release(&b, FIX_WORKLOAD, "key/model");
    fix_batch_add(&b, FIX_AUDITOR, "Checkpoint", cczi_msg_none, NULL);
    fix_batch_run(&b, s);
    for (size_t i = 0; i < b.len; i++)
        CHECK(b.entry[i].rc == CCZ_E_IO && b.entry[i].answer.size == 0 &&
              strcmp(b.entry[i].err.where, "kms:epoch") == 0);
    fix_batch_end(&b);
    CCZ_AUTO_BUF out;
    ccz_buf_init(&out, CCZ_KMS_MESSAGE_SIZE_MAX);
    err = (struct ccz_err){0};
    CHECK(dir_refused(fix_call(&out, s, FIX_AUDITOR, "Checkpoint", (struct ccz_span){0}, &err),
                      &err, CCZ_E_IO, "kms:epoch"));
    CHECK(out.size == 0);
    /* what shows nothing of the log is answered */
    CHECK(fix_call(&out, s, FIX_AUDITOR, "List", (struct ccz_span){0}, &err) == CCZ_OK);
    broken = false;
    CHECK(fix_call(&out, s, FIX_AUDITOR, "Checkpoint", (struct ccz_span){0}, &err) == CCZ_OK &&
          out.size);
    CHECK(counted() == s->head.seq);
}

static void pause_ms(long ms)
{
    struct timespec t = {.tv_nsec = ms * 1000000};
    (void)nanosleep(&t, NULL);
}

static void test_lag(void)
{
    start();
    CCZ_AUTO(ccz_kms_epoch) e = counter_with((struct ccz_kms_epoch_cfg){.lag_s = 3600});
    CCZ_AUTO(ccz_kms_store) s = NULL;
    CHECK(dir_open(&s, NULL, e, &err) == CCZ_OK);
    CHECK(fix_put_secret(s, "a", "v", NULL, false, &err) == CCZ_OK);
    CHECK(counted() == 1); /* not yet */
    /* a store that goes back while it is open is told by what was committed, not by what was written */
    struct cczi_kms_head head = {.seq = 3}; /* init, "a", the signing key */
    CHECK(cczi_kms_epoch_seen(cczi_kms_epoch_last(e), &head, &err) == CCZ_OK);
    head.seq--;
    CHECK(dir_refused(cczi_kms_epoch_seen(cczi_kms_epoch_last(e), &head, &err), &err, CCZ_E_SIG,
                      "kms:rolled-back"));
    ccz_kms_store_free(ccz_kms_store_take(&s));
    ccz_kms_epoch_free(ccz_kms_epoch_take(&e));
    CHECK(counted() == 3); /* when it ends, at the latest */

    e = counter_with((struct ccz_kms_epoch_cfg){.lag_s = 1});
    make_flaky(e);
    CHECK(dir_open(&s, NULL, e, &err) == CCZ_OK);
    CHECK(fix_put_secret(s, "b", "v", NULL, false, &err) == CCZ_OK);
    for (int i = 0; i < 3000 && counted() != 4; i++) /* without another commit */
        pause_ms(10);
    CHECK(counted() == 4);
    /* once it is known to fail, nothing is acknowledged any more */
    broken = true;
    CHECK(fix_put_secret(s, "c", "v", NULL, false, &err) == CCZ_OK);
    ccz_rc rc = CCZ_OK;
    char name[16];
    for (int i = 0; i < 3000 && rc == CCZ_OK; i++) {
        pause_ms(10);
        (void)snprintf(name, sizeof(name), "d%d", i);
        rc = fix_put_secret(s, name, "v", NULL, false, &err);
    }
    CHECK(dir_refused(rc, &err, CCZ_E_IO, "kms:epoch"));
    broken = false;
    for (int i = 0; i < 3000 && rc != CCZ_OK; i++) {
        pause_ms(10);
        (void)snprintf(name, sizeof(name), "e%d", i);
        rc = fix_put_secret(s, name, "v", NULL, false, &err);
    }
    CHECK(rc == CCZ_OK);
    uint64_t seq = s->head.seq;
    ccz_kms_store_free(ccz_kms_store_take(&s));
    ccz_kms_epoch_free(ccz_kms_epoch_take(&e));
    CHECK(counted() == seq);
}

/* ------------------------------------------------------------------------------ rekey */

static void test_rekey(void)
{
    start();
    change("one");
    dir_copy("kms", "before");
    CCZ_AUTO(ccz_kms_epoch) e = counter();
    make_flaky(e);
    CCZ_AUTO(ccz_kms_store) s = NULL;
    CHECK(dir_open(&s, NULL, e, &err) == CCZ_OK);
    CCZ_AUTO(ccz_secret) next = fix_master(9);
    /* before the commit: the counter has the MACs of both */
    CHECK(cczi_kms_epoch_bind_next(e, next, &err) == CCZ_OK);
    dir_copy("other/counter", "other/both");
    cczi_kms_epoch_settle(e, CCZI_KMS_REKEY_UNDONE);
    CCZ_AUTO(ccz_kms_master) to = dir_master(NULL, NULL);
    CHECK(ccz_kms_rekey(s, to, FIX_NOW, &err) == CCZ_OK);
    ccz_kms_store_free(ccz_kms_store_take(&s));
    ccz_kms_epoch_free(ccz_kms_epoch_take(&e));
    CHECK(counted() == 4 && try_counted() == CCZ_OK);
    /* the store of before is older, and under a key that the counter does not know any more */
    dir_copy("kms", "after");
    dir_copy("before", "kms");
    CHECK(dir_refused(try_counted(), &err, CCZ_E_SIG, "kms:epoch-mac"));
    /* a crash before the commit: old store, counter with both */
    dir_copy("other/counter", "other/after");
    dir_copy("other/both", "other/counter");
    CHECK(try_counted() == CCZ_OK && counted() == 3);

    /* a crash behind the commit: new store, counter with both; made by a counter that breaks then */
    dir_copy("after", "kms");
    dir_copy("other/after", "other/counter");
    e = counter();
    CHECK(dir_open(&s, NULL, e, &err) == CCZ_OK);
    CCZ_AUTO(ccz_secret) key = NULL;
    CCZ_AUTO(ccz_kms_master) again = dir_master(NULL, NULL);
    CHECK(cczi_kms_master_stage(&key, again, &err) == CCZ_OK);
    CHECK(cczi_kms_epoch_bind_next(e, key, &err) == CCZ_OK);
    dir_copy("other/counter", "other/both");
    ccz_kms_store_free(ccz_kms_store_take(&s));
    ccz_kms_epoch_free(ccz_kms_epoch_take(&e));
    e = counter();
    CHECK(cczi_kms_epoch_bind(e, key, &err) == CCZ_OK); /* the new key opens it */
    CHECK(cczi_kms_epoch_first(e, &err) == CCZ_E_EXISTS && err.aux == 4);
    ccz_kms_epoch_free(ccz_kms_epoch_take(&e));
}

/* The counter breaks in the middle of a rekey: whichever key the store is under, it opens. */
static void test_rekey_broken(void)
{
    start();
    CCZ_AUTO(ccz_kms_epoch) e = counter();
    CCZ_AUTO(ccz_kms_store) s = populated(e);
    CCZ_AUTO(ccz_kms_master) to = dir_master(NULL, NULL);
    broken = true;
    CHECK(dir_refused(ccz_kms_rekey(s, to, FIX_NOW, &err), &err, CCZ_E_IO, "kms:epoch"));
    CHECK(!dir_has("kms/master.key.old")); /* nothing was committed */
    broken = false;
    CHECK(ccz_kms_store_check(NULL, s, &err) == CCZ_OK);
    uint64_t seq = s->head.seq;
    CHECK(ccz_kms_rekey(s, to, FIX_NOW, &err) == CCZ_OK && s->head.seq == seq + 1);
    CHECK(fix_put_secret(s, "after", "v", NULL, false, &err) == CCZ_OK);
    ccz_kms_store_free(ccz_kms_store_take(&s));
    ccz_kms_epoch_free(ccz_kms_epoch_take(&e));
    CHECK(try_counted() == CCZ_OK);
}

/* Another master key, through the counter that the tests have. */
static void rekey(void)
{
    CCZ_AUTO(ccz_kms_epoch) e = counter();
    CCZ_AUTO(ccz_kms_store) s = NULL;
    CCZ_AUTO(ccz_kms_master) to = dir_master(NULL, NULL);
    CHECK(dir_open(&s, NULL, e, &err) == CCZ_OK);
    CHECK(ccz_kms_rekey(s, to, FIX_NOW, &err) == CCZ_OK);
}

/*
 * A server that still has the old master key, with a change that is to be counted, beside a rekey: what it saves late does not take
 * the place of what the rekey has counted. @param cut  the rekey ends between its COMMIT and its counter
 */
static void rekey_beside(bool cut)
{
    start();
    dir_copy("other/counter", "other/first");
    CCZ_AUTO(ccz_kms_epoch) rekeys = counter();
    CCZ_AUTO(ccz_kms_epoch) late = counter_with((struct ccz_kms_epoch_cfg){.lag_s = 3600});
    CCZ_AUTO(ccz_kms_epoch) at_once = counter();
    CCZ_AUTO(ccz_kms_store) s = NULL;
    make_flaky(rekeys);
    CHECK(dir_try(NULL, at_once, &err) == CCZ_OK);
    CHECK(dir_open(&s, NULL, late, &err) == CCZ_OK);
    CHECK(fix_put_secret(s, "a", "v", NULL, false, &err) == CCZ_OK); /* and the signing key */
    ccz_kms_store_free(ccz_kms_store_take(&s)); /* for SQLite; its server would go on */
    dir_copy("kms", "backup");
    CHECK(counted() == 1 && dir_open(&s, NULL, rekeys, &err) == CCZ_OK && counted() == 3);
    dir_copy("other/first", "other/counter"); /* as if it had been opened before "a" */
    uint64_t seq;
    CHECK(cczi_kms_epoch_load(&seq, rekeys, &err) == CCZ_OK && seq == 1);
    CCZ_AUTO(ccz_kms_master) to = dir_master(NULL, NULL);
    good_saves = cut ? 1 : UINT_MAX; /* both MACs */
    CHECK(ccz_kms_rekey(s, to, FIX_NOW, &err) == (cut ? CCZ_E_IO : CCZ_OK));
    good_saves = UINT_MAX;
    CHECK(s->head.seq == 4 && counted() == (cut ? 1 : 4));
    struct cczi_kms_head head = {.seq = 9};
    err = (struct ccz_err){0};
    CHECK(cut || dir_refused(cczi_kms_epoch_advance(at_once, &head, &err), &err, CCZ_E_SIG,
                             "kms:epoch-mac"));
    ccz_kms_epoch_free(ccz_kms_epoch_take(&late)); /* counts what is due */
    CHECK(counted() == (cut ? 3 : 4));
    ccz_kms_store_free(ccz_kms_store_take(&s));
}

static void test_rekey_stale(void)
{
    for (int cut = 0; cut < 2; cut++) {
        rekey_beside(cut);
        CHECK(try_counted() == CCZ_OK && counted() == 4); /* the store that is genuine */
        /* that of before, with the old key */
        dir_copy("backup", "kms");
        CHECK(dir_refused(try_counted(), &err, CCZ_E_SIG, "kms:epoch-mac"));
    }
}

/* The same between the counter with both MACs and the end of the rekey, which then has to take the place of a record without its own. */
static void test_rekey_late(void)
{
    dir_make();
    CCZ_AUTO(ccz_secret) old = fix_master(1);
    CCZ_AUTO(ccz_secret) new = fix_master(2);
    CCZ_AUTO(ccz_kms_epoch) rekeys = counter_with((struct ccz_kms_epoch_cfg){.lag_s = 3600});
    CCZ_AUTO(ccz_kms_epoch) late = counter();
    CHECK(cczi_kms_epoch_bind(rekeys, old, &err) == CCZ_OK);
    CHECK(cczi_kms_epoch_bind(late, old, &err) == CCZ_OK);
    CHECK(cczi_kms_epoch_first(rekeys, &err) == CCZ_OK && counted() == 0);
    CHECK(cczi_kms_epoch_bind_next(rekeys, new, &err) == CCZ_OK);
    struct cczi_kms_head head = {.seq = 3};
    CHECK(cczi_kms_epoch_advance(late, &head, &err) == CCZ_OK && counted() == 3);
    head.seq = 4;
    CHECK(cczi_kms_epoch_advance(rekeys, &head, &err) == CCZ_OK && counted() == 3);
    cczi_kms_epoch_settle(rekeys, CCZI_KMS_REKEY_DONE);
    CHECK(counted() == 4);
    head.seq = 5;
    err = (struct ccz_err){0};
    CHECK(dir_refused(cczi_kms_epoch_advance(late, &head, &err), &err, CCZ_E_SIG, "kms:epoch-mac"));
    CHECK(err.hint[0] && counted() == 4);
    CHECK(cczi_kms_epoch_advance(rekeys, &head, &err) == CCZ_OK);
    ccz_kms_epoch_free(ccz_kms_epoch_take(&rekeys));
    CHECK(counted() == 5);
}

/* Rows of the store that keep keys of earlier counters. */
static int kept_keys(void)
{
    sqlite3 *db;
    sqlite3_stmt *st;
    CHECK(sqlite3_open(dir_path("kms/kms.sqlite"), &db) == SQLITE_OK);
    CHECK(sqlite3_prepare_v2(db, "SELECT count(*) FROM item WHERE name = 'epoch-keys'", -1, &st,
                             NULL) == SQLITE_OK);
    CHECK(sqlite3_step(st) == SQLITE_ROW);
    int n = sqlite3_column_int(st, 0);
    CHECK(sqlite3_finalize(st) == SQLITE_OK && sqlite3_close(db) == SQLITE_OK);
    return n;
}

/* The counter of another machine, strictly. */
static ccz_rc try_other(void)
{
    CCZ_AUTO(ccz_kms_epoch) e = counter_in("other/counter2", (struct ccz_kms_epoch_cfg){0});
    return dir_try(NULL, e, &err);
}

/* A store of line 4, and a counter of another machine that has seen it. */
static void start_other(void)
{
    start();
    change("one");
    CCZ_AUTO(ccz_kms_epoch) e = counter_at("other/counter2");
    CCZ_AUTO(ccz_kms_store) s = NULL;
    CHECK(dir_open(&s, NULL, e, &err) == CCZ_OK);
    CHECK(ccz_kms_epoch_accept(NULL, s, FIX_NOW, &err) == CCZ_OK && s->head.seq == 4);
    ccz_kms_store_free(ccz_kms_store_take(&s));
    ccz_kms_epoch_free(ccz_kms_epoch_take(&e));
    CHECK(try_counted() == CCZ_OK && try_other() == CCZ_OK);
    dir_copy("other/counter2", "other/behind");
}

/* A rekey renews the counter of the server that does it; that of another machine goes on from where it was. */
static void test_rekey_other(void)
{
    start_other();
    CHECK(kept_keys() == 0);
    rekey();
    CHECK(kept_keys() == 1);
    dir_copy("kms", "rekeyed");
    change("two");
    CCZ_AUTO(ccz_kms_epoch)
    looks = counter_in("other/counter2", (struct ccz_kms_epoch_cfg){.read_only = true});
    CHECK(dir_try(NULL, looks, &err) == CCZ_OK);
    /* there is nothing to accept */
    CCZ_AUTO(ccz_kms_epoch) accepts = counter_at("other/counter2");
    CCZ_AUTO(ccz_kms_store) s = NULL;
    const char *what = NULL;
    CHECK(dir_open(&s, NULL, accepts, &err) == CCZ_OK);
    CHECK(ccz_kms_epoch_accept(&what, s, FIX_NOW, &err) == CCZ_OK && !strcmp(what, "nothing"));
    ccz_kms_store_free(ccz_kms_store_take(&s));
    ccz_kms_epoch_free(ccz_kms_epoch_take(&accepts));
    CHECK(try_other() == CCZ_OK);
    /* under the key of now it knows the line of now */
    dir_copy("rekeyed", "kms");
    CHECK(dir_refused(try_other(), &err, CCZ_E_SIG, "kms:rolled-back"));
    dir_copy("other/behind", "other/counter2");
    CHECK(try_other() == CCZ_OK);
    /* a store that was never counted keeps no such key */
    dir_make();
    CHECK(dir_init(NULL, NULL, &err) == CCZ_OK && dir_open(&s, NULL, NULL, &err) == CCZ_OK);
    CCZ_AUTO(ccz_kms_master) to = dir_master(NULL, NULL);
    CHECK(ccz_kms_rekey(s, to, FIX_NOW, &err) == CCZ_OK);
    ccz_kms_store_free(ccz_kms_store_take(&s));
    CHECK(kept_keys() == 0);
}

/* What is under an earlier key is compared as always: an older copy does not become a newer store by a rekey. */
static void test_rekey_older(void)
{
    for (unsigned lines = 0; lines < 2; lines++) {
        start();
        dir_copy("kms", "backup");
        change("one");
        change("two");
        CHECK(counted() == 4);
        dir_copy("other/counter", "other/counter2");
        dir_copy("backup", "kms"); /* and the other counter with it */
        CHECK(unlink(dir_path("other/counter")) == 0);
        CCZ_AUTO(ccz_kms_epoch) e = counter_at("other/counter");
        CCZ_AUTO(ccz_kms_store) s = NULL;
        CCZ_AUTO(ccz_kms_master) to = dir_master(NULL, NULL);
        CHECK(dir_open(&s, NULL, e, &err) == CCZ_OK);
        CHECK(ccz_kms_epoch_accept(NULL, s, FIX_NOW, &err) == CCZ_OK);
        CHECK(ccz_kms_rekey(s, to, FIX_NOW, &err) == CCZ_OK && s->head.seq == 3);
        for (unsigned n = 0; n < 2 * lines; n++) /* as long, and longer */
            CHECK(fix_put_secret(s, n ? "mine" : "mine2", "v", NULL, false, &err) == CCZ_OK);
        ccz_kms_store_free(ccz_kms_store_take(&s));
        ccz_kms_epoch_free(ccz_kms_epoch_take(&e));
        CHECK(dir_refused(try_other(), &err, CCZ_E_SIG, lines ? "kms:forked" : "kms:rolled-back"));
        CHECK(dir_refused(try_other(), &err, CCZ_E_SIG, lines ? "kms:forked" : "kms:rolled-back"));
    }
}

/* The keys of the last rekeys, and no others. */
static void test_rekey_many(void)
{
    start_other();
    rekey();
    CHECK(try_other() == CCZ_OK);
    dir_copy("other/counter2", "other/second");
    dir_copy("other/behind", "other/counter2");
    for (unsigned n = 1; n < CCZI_EPOCH_PAST_MAX; n++)
        rekey();
    CHECK(try_other() == CCZ_OK && kept_keys() == 1);
    dir_copy("other/behind", "other/counter2");
    make_older(); /* which stays through a migration */
    CCZ_AUTO(ccz_kms_epoch) e = counter();
    const struct ccz_kms_state st = {.dir = dir_path("kms"), .epoch = e};
    CHECK(ccz_kms_migrate(&st, FIX_NOW, &err) == CCZ_OK && try_other() == CCZ_OK);
    dir_copy("other/behind", "other/counter2");
    rekey();
    CHECK(kept_keys() == 1);
    CHECK(dir_refused(try_other(), &err, CCZ_E_SIG, "kms:epoch-mac"));
    dir_copy("other/second", "other/counter2");
    CHECK(try_other() == CCZ_OK);
    /* one that was changed, and that of another store */
    start_other();
    rekey();
    CCZ_AUTO(ccz_secret) good = NULL;
    CHECK(ccz_file_read_secret(&good, dir_path("other/behind"), 1024, &err) == CCZ_OK);
    uint8_t bad[CCZI_EPOCH_SIZE];
    memcpy(bad, ccz_secret_view(good), sizeof(bad));
    bad[8] ^= 1;
    CHECK(ccz_file_write(dir_path("other/counter2"), CCZ_SPAN(bad, sizeof(bad)), 0600,
                         CCZ_FILE_REPLACE, &err) == CCZ_OK);
    CHECK(dir_refused(try_other(), &err, CCZ_E_SIG, "kms:epoch-mac"));
    start_other();
    rekey();
    bad[8] ^= 1; /* whole again, of the store before */
    CHECK(ccz_file_write(dir_path("other/counter2"), CCZ_SPAN(bad, sizeof(bad)), 0600,
                         CCZ_FILE_REPLACE, &err) == CCZ_OK);
    CHECK(dir_refused(try_other(), &err, CCZ_E_SIG, "kms:epoch-mac"));
}

/* An init whose counter cannot be made leaves a folder in which another one makes a store that opens, or none. */
static void test_init(void)
{
    dir_make();
    CCZ_AUTO(ccz_kms_epoch) e = counter();
    make_flaky(e);
    broken = true;
    CHECK(dir_refused(dir_init(NULL, e, &err), &err, CCZ_E_IO, "kms:epoch"));
    broken = false;
    CHECK(!dir_has("kms/epoch"));
    CHECK(dir_init(NULL, NULL, &err) == CCZ_OK && dir_try(NULL, NULL, &err) == CCZ_OK);
    /* one that was cut short behind its counter */
    dir_make();
    CHECK(ccz_file_write(dir_path("kms/epoch"), ccz_span_str("x"), 0600, CCZ_FILE_REPLACE, &err) ==
          CCZ_OK);
    CHECK(dir_refused(dir_init(NULL, NULL, &err), &err, CCZ_E_DENIED, "kms:epoch-required"));
    CHECK(err.hint[0] && !dir_has("kms/master.key"));
    ccz_kms_epoch_free(ccz_kms_epoch_take(&e));
    e = counter();
    CHECK(dir_init(NULL, e, &err) == CCZ_OK && try_counted() == CCZ_OK);
}

/* ------------------------------------------------------------ counted while it was read */

static struct {
    struct ccz_kms_backend ops;
    const struct ccz_kms_backend *real;
    struct ccz_kms_epoch *raised;
} behind;

/* Another process commits and counts behind the first statement of a transaction, which does not see it. */
static enum cczi_kms_step raising_first(void *db, enum cczi_kms_sql q,
                                        const struct cczi_kms_param *p, size_t n)
{
    enum cczi_kms_step st = behind.real->first(db, q, p, n);
    if (q == CCZI_SQL_META_READ && behind.raised) {
        behind.raised->saved.seq++;
        behind.raised = NULL;
    }
    return st;
}

static void test_seen(void)
{
    start();
    CCZ_AUTO(ccz_kms_epoch) e = counter();
    CCZ_AUTO(ccz_kms_store) s = NULL;
    CHECK(dir_open(&s, NULL, e, &err) == CCZ_OK);
    behind.real = s->db.ops;
    behind.ops = *behind.real;
    behind.ops.first = raising_first;
    behind.raised = e;
    s->db.ops = &behind.ops;
    CHECK(cczi_kms_begin_read(s, &err) == CCZ_OK && !behind.raised);
    cczi_kms_rollback(s);
    err = (struct ccz_err){0};
    CHECK(dir_refused(cczi_kms_begin_read(s, &err), &err, CCZ_E_SIG, "kms:rolled-back"));
    s->db.ops = behind.real;
}

static const struct ccz_test tests[] = {
    {"kms.epoch_rolled_back", test_rolled_back},
    {"kms.epoch_migrated", test_migrated},
    {"kms.epoch_shared", test_shared},
    {"kms.epoch_required", test_required},
    {"kms.epoch_behind", test_behind},
    {"kms.epoch_lost", test_lost},
    {"kms.epoch_damaged", test_damaged},
    {"kms.epoch_place", test_place},
    {"kms.epoch_advance_fails", test_advance_fails},
    {"kms.epoch_batch", test_batch},
    {"kms.epoch_checkpoint", test_checkpoint},
    {"kms.epoch_lag", test_lag},
    {"kms.epoch_rekey", test_rekey},
    {"kms.epoch_rekey_broken", test_rekey_broken},
    {"kms.epoch_rekey_stale", test_rekey_stale},
    {"kms.epoch_rekey_late", test_rekey_late},
    {"kms.epoch_rekey_other", test_rekey_other},
    {"kms.epoch_rekey_older", test_rekey_older},
    {"kms.epoch_rekey_many", test_rekey_many},
    {"kms.epoch_init", test_init},
    {"kms.epoch_seen", test_seen},
};

int main(int argc, char **argv)
{
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
