/* SPDX-License-Identifier: Apache-2.0 */
/* What is refused before or while a connection to PostgreSQL is made, by strings and by a server of our own that says what
 * it is told to. The rest needs a real one: tests/integration/kms_pg_cases.c. */
#define _GNU_SOURCE
#include "kms_pg/kms_pg.h"

#include "ccz_test.h"
#include "kms/kms_db.h"
#include "refused.h"
#include "temp_dir.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#define SECRET "hunter2"

/* Nothing that the one who runs the tests has set reaches libpq. */
static void alone(void)
{
    static const char *const names[] = {"PGHOST",
                                        "PGHOSTADDR",
                                        "PGPORT",
                                        "PGDATABASE",
                                        "PGUSER",
                                        "PGPASSWORD",
                                        "PGPASSFILE",
                                        "PGSERVICE",
                                        "PGSERVICEFILE",
                                        "PGSSLMODE",
                                        "PGREQUIREAUTH",
                                        "PGCHANNELBINDING",
                                        "PGOPTIONS",
                                        "PGSSLPASSWORD",
                                        "PGCONNECT_TIMEOUT",
                                        "PGLOADBALANCEHOSTS",
                                        "PGTARGETSESSIONATTRS"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        CHECK(unsetenv(names[i]) == 0);
}

static void folder(void)
{
    static bool made;
    if (!made)
        temp_setup();
    made = true;
}

static ccz_rc try_open(const char *conninfo, struct ccz_err *err)
{
    void *db = &db;
    *err = (struct ccz_err){0};
    ccz_rc rc = ccz_kms_postgresql()->open(&db, conninfo, false, err);
    CHECK((rc == CCZ_OK) == (db != NULL));
    if (db)
        ccz_kms_postgresql()->close(db);
    return rc;
}

static bool says(const struct ccz_err *err, const char *text)
{
    return strstr(err->msg, text) || strstr(err->got, text) || strstr(err->expected, text) ||
           strstr(err->hint, text);
}

static void test_password(void)
{
    static const char *const strings[] = {"host=/nonexistent password=" SECRET,
                                          "host=/nonexistent password='" SECRET "' dbname=x",
                                          "host=/nonexistent sslpassword=" SECRET,
                                          "host=/nonexistent password=''", /* nor an empty one */
                                          "postgresql://u:" SECRET "@localhost:1/d",
                                          "postgres://u:" SECRET "@/d?host=/nonexistent",
                                          "postgresql://u@/d?host=/nonexistent&password=" SECRET,
                                          "postgresql:///d?host=/nonexistent&sslpassword=" SECRET,
                                          "postgresql:///d?host=/nonexistent&pass%77ord=" SECRET};
    struct ccz_err err;
    alone();
    for (size_t i = 0; i < sizeof(strings) / sizeof(strings[0]); i++) {
        CHECK(is_refused(try_open(strings[i], &err), CCZ_E_DENIED, &err, "kms:database-password"));
        CHECK(!says(&err, SECRET) && strcmp(err.expected, "passfile=FILE") == 0);
    }
}

/* The words of libpq repeat what they are about: not where that may be a password. */
static void test_malformed(void)
{
    static const struct {
        const char *text, *said;
    } cases[] = {{"no such thing", "missing"},
                 {"host=/nonexistent nonsense=1", "nonsense"},
                 {"host='/nonexistent", "unterminated"},
                 {"password=correct " SECRET, "a password"},
                 {"password='" SECRET, "a password"},
                 {"postgresql://u:" SECRET "@[::1", "a password"},
                 {"postgresql://u:" SECRET "%zz@h/", "a password"},
                 {"postgresql://h/d?password=" SECRET "%zz", "a password"},
                 {"postgresql://h/d?pass%77ord=" SECRET "%zz", "a password"},
                 {"postgresql://u:" SECRET "/3@h/d", "port"}}; /* a slash that is not escaped */
    struct ccz_err err;
    alone();
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        CHECK(is_refused(try_open(cases[i].text, &err), CCZ_E_FORMAT, &err, "kms:store-connect"));
        CHECK(!says(&err, SECRET) && strstr(err.msg, cases[i].said) != NULL);
    }
}

static void test_unreachable(void)
{
    struct ccz_err err;
    char info[600];
    alone();
    folder();
    CHECK(setenv("PGPASSWORD", SECRET, 1) == 0);
    (void)snprintf(info, sizeof(info), "host=%s dbname=d user=u", temp_make_dir("empty"));
    CHECK(is_refused(try_open(info, &err), CCZ_E_UNAVAILABLE, &err, "kms:store-connect"));
    CHECK(says(&err, temp_path("empty")) && !says(&err, SECRET) && !strchr(err.msg, '\n'));
    (void)snprintf(info, sizeof(info), "host=%s", temp_path("absent"));
    CHECK(is_refused(try_open(info, &err), CCZ_E_UNAVAILABLE, &err, "kms:store-connect"));
    CHECK(says(&err, temp_path("absent")) && !says(&err, SECRET));
    /* an empty string is no refusal by itself: the environment says where */
    CHECK(setenv("PGHOST", temp_path("elsewhere"), 1) == 0);
    CHECK(is_refused(try_open("", &err), CCZ_E_UNAVAILABLE, &err, "kms:store-connect"));
    CHECK(says(&err, temp_path("elsewhere")) && !says(&err, SECRET));
    static const char *const options[] = {"port=99999", "sslmode=strange",
                                          "target_session_attrs=strange", "connect_timeout=x",
                                          "service=absent"};
    for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++) {
        CHECK(is_refused(try_open(options[i], &err), CCZ_E_UNAVAILABLE, &err, "kms:store-connect"));
        CHECK(says(&err, strchr(options[i], '=') + 1) && !says(&err, SECRET));
    }
}

/* ------------------------------------------------------------- a server that says what it is told to */

struct server {
    const char *version, *standby, *fsync, *pages, *commit;
    const char *fatal; /* refuses with this text */
    bool hangs_up,
        then_hangs_up;  /* instead of an answer to the first message, to the first query */
    const char *notice; /* severity of what it says before it answers COMMIT */
    bool mute;          /* gives no answer to it */
    int listener;
    pthread_t thread;
    size_t queries;
    bool set_commit; /* was asked for the stronger commit */
};

/* One message of the protocol ("Message Formats"): type, length of what follows, body. */
static void put_msg(struct ccz_buf *b, char type, struct ccz_span body)
{
    const uint32_t size = (uint32_t)body.size + 4;
    const uint8_t head[5] = {(uint8_t)type, (uint8_t)(size >> 24), (uint8_t)(size >> 16),
                             (uint8_t)(size >> 8), (uint8_t)size};
    ccz_buf_put(b, head, sizeof(head));
    ccz_buf_put(b, body.ptr, body.size);
}

static void put_parameter(struct ccz_buf *b, const char *name, const char *value)
{
    char body[100];
    int n = snprintf(body, sizeof(body), "%s%c%s", name, 0, value) + 1;
    put_msg(b, 'S', CCZ_SPAN(body, (size_t)n));
}

static void put_row(struct ccz_buf *b, const char *const *values, size_t len)
{
    uint8_t names[2 + 3 * 20] = {0, (uint8_t)len}, row[2 + 3 * 20] = {0, (uint8_t)len};
    size_t row_size = 2;
    for (size_t i = 0; i < len; i++) {
        uint8_t *name = names + 2 + i * 20; /* "c", its table and number: none; text */
        name[0] = 'c';
        name[11] = 25;
        memset(name + 12, 0xff, 6); /* a size that varies, no modifier */
        size_t size = strlen(values[i]);
        row[row_size + 3] = (uint8_t)size;
        memcpy(row + row_size + 4, values[i], size);
        row_size += 4 + size;
    }
    put_msg(b, 'T', CCZ_SPAN(names, 2 + len * 20));
    put_msg(b, 'D', CCZ_SPAN(row, row_size));
}

static void send_all(int fd, struct ccz_buf *b)
{
    CHECK(!b->bad && send(fd, b->ptr, b->size, MSG_NOSIGNAL) == (ssize_t)b->size);
    ccz_buf_free(b);
}

/* The next message, without its length. @return false at the end of the connection */
static bool take_msg(char *type, char body[1024], int fd)
{
    uint8_t n[4];
    if ((type && recv(fd, type, 1, MSG_WAITALL) != 1) || recv(fd, n, 4, MSG_WAITALL) != 4)
        return false;
    size_t size = ((size_t)n[2] << 8 | n[3]) - 4;
    CHECK(n[0] == 0 && n[1] == 0 && size < 1024);
    body[size] = 0;
    return size == 0 || recv(fd, body, size, MSG_WAITALL) == (ssize_t)size;
}

static void answer(int fd, struct server *s, const char *query)
{
    struct ccz_buf b;
    ccz_buf_init(&b, 4096);
    s->queries++;
    s->set_commit = s->set_commit || strstr(query, "SET synchronous_commit = on");
    if (strstr(query, "current_setting('fsync')"))
        put_row(&b, (const char *const[]){s->fsync, s->pages, s->commit}, 3);
    if (strstr(query, "pg_settings"))
        put_row(&b, (const char *const[]){"10"}, 1); /* ms: nobody waits for long */
    bool begin = strncmp(query, "BEGIN", 5) == 0, commit = strcmp(query, "COMMIT") == 0;
    if (commit && s->notice) {
        char text[200];
        int n = snprintf(text, sizeof(text), "S%s%cV%s%cC01000%cMnot\nreplicated%c", s->notice, 0,
                         s->notice, 0, 0, 0);
        put_msg(&b, 'N', CCZ_SPAN(text, (size_t)n + 1));
    }
    if (commit)
        put_msg(&b, 'C', CCZ_SPAN("COMMIT", 7));
    else
        put_msg(&b, 'C', CCZ_SPAN("SELECT 1", 9));
    put_msg(&b, 'Z', CCZ_SPAN(begin ? "T" : "I", 1));
    if (commit && s->mute)
        ccz_buf_clear(&b);
    send_all(fd, &b);
}

static void *serve(void *arg)
{
    struct server *s = arg;
    char type, body[1024];
    int fd = accept(s->listener, NULL, NULL);
    CHECK(fd >= 0 && take_msg(NULL, body, fd));
    struct ccz_buf b;
    ccz_buf_init(&b, 4096);
    if (s->fatal) {
        char text[200];
        int n = snprintf(text, sizeof(text), "SFATAL%cVFATAL%cC28000%cM%s%c", 0, 0, 0, s->fatal, 0);
        put_msg(&b, 'E', CCZ_SPAN(text, (size_t)n + 1));
    } else if (!s->hangs_up) {
        put_msg(&b, 'R', CCZ_SPAN("\0\0\0\0", 4)); /* no password */
        put_parameter(&b, "server_version", s->version);
        put_parameter(&b, "client_encoding", "UTF8");
        put_parameter(&b, "default_transaction_read_only", "off");
        put_parameter(&b, "in_hot_standby", s->standby);
        put_msg(&b, 'Z', CCZ_SPAN("I", 1));
    }
    bool goes_on = b.size && !s->fatal;
    send_all(fd, &b);
    while (goes_on && take_msg(&type, body, fd) && type == 'Q' && !s->then_hangs_up)
        answer(fd, s, body);
    (void)close(fd);
    return NULL;
}

typedef ccz_rc (*meet_fn)(const char *conninfo, struct ccz_err *err);

/* Does something with a server like @p s. */
static ccz_rc meet_and(meet_fn fn, struct server *s, struct ccz_err *err)
{
    alone();
    folder();
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    CHECK((size_t)snprintf(a.sun_path, sizeof(a.sun_path), "%s", temp_path(".s.PGSQL.5432")) <
          sizeof(a.sun_path));
    (void)unlink(a.sun_path);
    s->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(s->listener >= 0 && bind(s->listener, (struct sockaddr *)&a, sizeof(a)) == 0 &&
          listen(s->listener, 1) == 0);
    CHECK(pthread_create(&s->thread, NULL, serve, s) == 0);
    char info[600];
    (void)snprintf(info, sizeof(info), "host=%s port=5432 user=u dbname=d gssencmode=disable",
                   temp_base);
    ccz_rc rc = fn(info, err);
    CHECK(pthread_join(s->thread, NULL) == 0 && close(s->listener) == 0);
    return rc;
}

/* Opens a connection to it. */
static ccz_rc meet(struct server *s, struct ccz_err *err)
{
    return meet_and(try_open, s, err);
}

static enum cczi_kms_fault g_fault;

/* A transaction without anything in it. */
static ccz_rc try_commit(const char *conninfo, struct ccz_err *err)
{
    const struct ccz_kms_backend *ops = ccz_kms_postgresql();
    void *db = NULL;
    *err = (struct ccz_err){0};
    CHECK(ops->open(&db, conninfo, false, err) == CCZ_OK);
    CHECK(ops->first(db, CCZI_SQL_BEGIN, NULL, 0) == CCZI_KMS_STEP_DONE);
    ops->end(db, CCZI_SQL_BEGIN);
    enum cczi_kms_step step = ops->first(db, CCZI_SQL_COMMIT, NULL, 0);
    ccz_rc rc = step == CCZI_KMS_STEP_DONE ? CCZ_OK : ops->fail(&g_fault, db, err);
    ops->end(db, CCZI_SQL_COMMIT);
    ops->close(db);
    return rc;
}

static struct server sound(void)
{
    return (struct server){
        .version = "15.0", .standby = "off", .fsync = "on", .pages = "on", .commit = "on"};
}

static void test_version(void)
{
    struct ccz_err err;
    struct server s = sound();
    s.version = "11.22";
    CHECK(is_refused(meet(&s, &err), CCZ_E_UNSUPPORTED, &err, "kms:store-connect"));
    CHECK(strcmp(err.got, "110022") == 0 && strcmp(err.expected, "120000") == 0 && s.queries == 0);
    s = sound();
    s.version = "12.0";
    CHECK(meet(&s, &err) == CCZ_OK && s.queries == 2);
    s = sound(); /* one that can notice when its clients end */
    CHECK(meet(&s, &err) == CCZ_OK && s.queries == 3);
}

/* Durability: read back, refused where it is not ours to set. */
static void test_settings(void)
{
    struct ccz_err err;
    struct server s = sound();
    s.fsync = "off";
    CHECK(is_refused(meet(&s, &err), CCZ_E_IO, &err, "kms:store-setting"));
    CHECK(strcmp(err.got, "fsync=off") == 0 && strcmp(err.expected, "fsync=on") == 0);
    s = sound();
    s.pages = "off";
    CHECK(is_refused(meet(&s, &err), CCZ_E_IO, &err, "kms:store-setting"));
    CHECK(strcmp(err.got, "full_page_writes=off") == 0);
    static const struct {
        const char *commit;
        bool set;
    } cases[] = {{"on", false},
                 {"remote_apply", false},
                 {"off", true},
                 {"local", true},
                 {"remote_write", true}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        s = sound();
        s.commit = cases[i].commit;
        CHECK(meet(&s, &err) == CCZ_OK && s.set_commit == cases[i].set);
    }
}

/* A replica that cannot be written, a server that refuses, and one that goes away. */
static void test_peer(void)
{
    struct ccz_err err;
    struct server s = sound();
    s.standby = "on";
    CHECK(is_refused(meet(&s, &err), CCZ_E_UNAVAILABLE, &err, "kms:store-connect"));
    CHECK(s.queries == 0);
    s = sound();
    s.fatal = "go\x1b[2J away\nsecond line";
    CHECK(is_refused(meet(&s, &err), CCZ_E_UNAVAILABLE, &err, "kms:store-connect"));
    CHECK(says(&err, " away") && !strchr(err.msg, '\x1b') && !says(&err, "second"));
    s = sound();
    s.hangs_up = true;
    CHECK(is_refused(meet(&s, &err), CCZ_E_UNAVAILABLE, &err, "kms:store-connect"));
    s = sound();
    s.then_hangs_up = true;
    CHECK(is_refused(meet(&s, &err), CCZ_E_UNAVAILABLE, &err, "kms:store-lost"));
}

/* "COMMIT" is no success if the server adds that it may be lost; nor is it one that never comes. */
static void test_commit(void)
{
    struct ccz_err err;
    struct server s = sound();
    CHECK(meet_and(try_commit, &s, &err) == CCZ_OK);
    s = sound();
    s.notice = "NOTICE";
    CHECK(meet_and(try_commit, &s, &err) == CCZ_OK);
    s = sound();
    s.notice = "WARNING";
    CHECK(is_refused(meet_and(try_commit, &s, &err), CCZ_E_UNAVAILABLE, &err,
                     "kms:store-unreplicated"));
    CHECK(g_fault == CCZI_KMS_FAULT_DONE && says(&err, "not") && !says(&err, "replicated"));
    s = sound();
    s.mute = true;
    int64_t from = ccz_mono_ms();
    CHECK(is_refused(meet_and(try_commit, &s, &err), CCZ_E_UNAVAILABLE, &err, "kms:store-timeout"));
    CHECK(g_fault == CCZI_KMS_FAULT_UNKNOWN && ccz_mono_ms() - from >= 1000);
}

static const struct ccz_test tests[] = {
    {"kms_pg.password", test_password},       {"kms_pg.malformed", test_malformed},
    {"kms_pg.unreachable", test_unreachable}, {"kms_pg.version", test_version},
    {"kms_pg.settings", test_settings},       {"kms_pg.peer", test_peer},
    {"kms_pg.commit", test_commit},
};

int main(int argc, char **argv)
{
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
