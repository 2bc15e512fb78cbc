/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "agent/agent_priv.h"
#include "refused.h"
#include "temp_dir.h"

#include <cczoo/codec.h>
#include <cczoo/crypto.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

/* --------------------------------------------------------------------- a KMS of a test */

struct fake_kms {
    atomic_bool revoked; /* nothing is released any more */
    atomic_int calls;
    atomic_int block_ms;
    uint32_t latest; /* version of keys */
    char last[CCZ_KMS_ITEM_SIZE];
};

/* The value of an item is its name and version hashed; a secret is the text "value of NAME". */
static ccz_rc fake_release(void *arg, struct ccz_secret **out, struct ccz_kms_release *info,
                           const char *item, uint32_t version, struct ccz_err *err)
{
    struct fake_kms *k = arg;
    *out = NULL;
    *info = (struct ccz_kms_release){0};
    (void)snprintf(k->last, sizeof(k->last), "%s", item);
    if (k->block_ms)
        (void)usleep((useconds_t)k->block_ms * 1000);
    if (k->revoked)
        return ccz_refuse(err, CCZ_E_POLICY, "policy:mrenclave", "aa", "bb");
    if (version > k->latest)
        return ccz_fail(err, CCZ_E_NOT_FOUND, "kms:not-found", 0, "no such version");
    info->version = version ? version : k->latest;
    info->receipt.audit_seq = (uint64_t)++k->calls;
    if (strncmp(item, "secret/", 7) == 0) {
        char text[256];
        int n = snprintf(text, sizeof(text), "value of %s", item + 7);
        return ccz_secret_from(out, text, (size_t)n);
    }
    uint8_t digest[32];
    struct ccz_span parts[] = {ccz_span_str(item), CCZ_SPAN(&info->version, 4)};
    CHECK(ccz_hash(digest, CCZ_SHA256, parts, 2) == CCZ_OK);
    return ccz_secret_from(out, digest, sizeof(digest));
}

static const char *const open_names[] = {"ratings", "spark/*"};
static const char *const wrap_names[] = {"ratings"};
static const char *const secret_names[] = {"spark/auth"};

static struct ccz_agent_cfg config(struct fake_kms *k, const char *path)
{
    return (struct ccz_agent_cfg){.socket = path,
                                  .release = fake_release,
                                  .release_arg = k,
                                  .unwrap = {open_names, 2},
                                  .wrap = {wrap_names, 1},
                                  .secret = {secret_names, 1}};
}

static struct ccz_secret *master_of(uint8_t fill)
{
    struct ccz_secret *s = NULL;
    uint8_t bytes[16];
    memset(bytes, fill, sizeof(bytes));
    CHECK(ccz_secret_from(&s, bytes, sizeof(bytes)) == CCZ_OK);
    return s;
}

/* ------------------------------------------------------------------------------ wrapped */

static const uint8_t data_key[16] = "0123456789abcdef";

static void wrap_text(struct ccz_buf *text, const struct ccz_secret *master, uint32_t version,
                      const char *name)
{
    ccz_buf_init(text, 4096);
    CHECK(ccz_agent_wrap(text, master, version, name, CCZ_SPAN(data_key, 16), NULL) == CCZ_OK);
}

static void test_wrap(void)
{
    CCZ_AUTO(ccz_secret) master = master_of(7);
    for (size_t size = 1; size <= CCZ_AGENT_KEY_SIZE_MAX; size++) {
        CCZ_AUTO_BUF text, again;
        CCZ_AUTO(ccz_secret) plain = NULL;
        uint8_t key[CCZ_AGENT_KEY_SIZE_MAX];
        uint32_t version;
        memset(key, (int)size, size);
        ccz_buf_init(&text, 4096);
        ccz_buf_init(&again, 4096);
        CHECK(ccz_agent_wrap(&text, master, 3, "a/b", CCZ_SPAN(key, size), NULL) == CCZ_OK);
        CHECK(text.size <= CCZ_AGENT_WRAPPED_SIZE_MAX && memcmp(text.ptr, "ccz1.", 5) == 0);
        CHECK(ccz_agent_wrapped_version(&version, ccz_buf_span(&text), NULL) == CCZ_OK &&
              version == 3);
        CHECK(ccz_agent_unwrap(&plain, master, "a/b", ccz_buf_span(&text), NULL) == CCZ_OK);
        CHECK(ccz_secret_size(plain) == size && memcmp(ccz_secret_view(plain), key, size) == 0);
        CHECK(ccz_agent_wrap(&again, master, 3, "a/b", CCZ_SPAN(key, size), NULL) == CCZ_OK);
        CHECK(!ccz_span_eq(ccz_buf_span(&text), ccz_buf_span(&again))); /* a nonce of its own */
    }
}

static void refuse_wrapped(const struct ccz_secret *master, const char *name,
                           struct ccz_span wrapped, ccz_rc want)
{
    struct ccz_err err = {0};
    struct ccz_secret *plain = NULL;
    ccz_rc rc = ccz_agent_unwrap(&plain, master, name, wrapped, &err);
    CHECK(is_refused(rc, want, &err, "agent:wrapped") && !plain);
}

static void test_wrap_refused(void)
{
    CCZ_AUTO(ccz_secret) master = master_of(7);
    CCZ_AUTO(ccz_secret) other = master_of(8);
    CCZ_AUTO_BUF text, raw;
    struct ccz_err err = {0};
    wrap_text(&text, master, 1, "ratings");
    refuse_wrapped(other, "ratings", ccz_buf_span(&text), CCZ_E_SIG);
    refuse_wrapped(master, "factors", ccz_buf_span(&text), CCZ_E_SIG);
    for (size_t size = 0; size < text.size; size++) { /* truncated: each spare bit shows, too */
        struct ccz_secret *plain = NULL;
        CHECK(ccz_agent_unwrap(&plain, master, "ratings", CCZ_SPAN(text.ptr, size), NULL) !=
              CCZ_OK);
    }
    ccz_buf_init(&raw, 4096);
    CHECK(ccz_base64_get(&raw, CCZ_SPAN(text.ptr + 5, text.size - 5), CCZ_BASE64_STD, NULL) ==
          CCZ_OK);
    for (size_t bit = 0; bit < raw.size * 8; bit++) { /* version, nonce, key, tag */
        CCZ_AUTO_BUF changed;
        struct ccz_secret *plain = NULL;
        ccz_buf_init(&changed, 4096);
        raw.ptr[bit / 8] ^= (uint8_t)(1 << bit % 8);
        ccz_buf_put_str(&changed, "ccz1.");
        ccz_base64_put(&changed, ccz_buf_span(&raw), CCZ_BASE64_STD);
        CHECK(ccz_agent_unwrap(&plain, master, "ratings", ccz_buf_span(&changed), &err) != CCZ_OK);
        CHECK(err.rc == CCZ_E_SIG || err.rc == CCZ_E_FORMAT);
        raw.ptr[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    refuse_wrapped(master, "ratings", ccz_span_str("ccz2.AAAA"), CCZ_E_FORMAT);
    refuse_wrapped(master, "ratings", ccz_span_str(""), CCZ_E_FORMAT);
    char big[1024];
    memset(big, 'A', sizeof(big));
    memcpy(big, "ccz1.", 5);
    refuse_wrapped(master, "ratings", CCZ_SPAN(big, sizeof(big)), CCZ_E_FORMAT);
    CCZ_AUTO_BUF zero; /* version 0 would be the latest one, whichever that is */
    uint8_t bytes[64] = {0};
    ccz_buf_init(&zero, 4096);
    ccz_buf_put_str(&zero, "ccz1.");
    ccz_base64_put(&zero, CCZ_SPAN(bytes, sizeof(bytes)), CCZ_BASE64_STD);
    refuse_wrapped(master, "ratings", ccz_buf_span(&zero), CCZ_E_FORMAT);
    const size_t sizes[] = {0, CCZ_AGENT_KEY_SIZE_MAX + 1};
    for (size_t i = 0; i < 2; i++) {
        ccz_buf_clear(&zero);
        ccz_rc rc = ccz_agent_wrap(&zero, master, 1, "x", CCZ_SPAN(big, sizes[i]), &err);
        CHECK(is_refused(rc, CCZ_E_LIMIT, &err, "agent:key-size") && zero.size == 0);
    }
}

/* -------------------------------------------------------------------------------- lines */

static void test_line(void)
{
    struct cczi_agent_request r;
    CHECK(cczi_agent_request_parse(&r, ccz_span_str("unwrap a/b-c.d_E ccz1.x"), NULL) == CCZ_OK);
    CHECK(r.verb == CCZI_AGENT_UNWRAP && ccz_span_eq(r.name, ccz_span_str("a/b-c.d_E")) &&
          ccz_span_eq(r.value, ccz_span_str("ccz1.x")));
    CHECK(cczi_agent_request_parse(&r, ccz_span_str("wrap a AAAA"), NULL) == CCZ_OK);
    CHECK(r.verb == CCZI_AGENT_WRAP);
    CHECK(cczi_agent_request_parse(&r, ccz_span_str("secret a"), NULL) == CCZ_OK);
    CHECK(r.verb == CCZI_AGENT_SECRET && r.value.size == 0);
    CHECK(cczi_agent_request_parse(&r, ccz_span_str("hello 1"), NULL) == CCZ_OK);
    CHECK(r.verb == CCZI_AGENT_HELLO);
}

static void test_line_refused(void)
{
    static const char *const bad[] = {"",
                                      " ",
                                      "unwrap",
                                      "unwrap a",
                                      "unwrap a b c",
                                      "unwrap  a b",
                                      "unwrap a b ",
                                      " unwrap a b",
                                      "UNWRAP a b",
                                      "secret",
                                      "secret a b",
                                      "wrap a",
                                      "release key/a",
                                      "secret\ta",
                                      "secret a\r",
                                      "hello",
                                      "get a",
                                      "secret a\x01",
                                      "secret \xc3\xa9"};
    static const char *const names[] = {"secret ../a", "secret a/../b", "secret /a",
                                        "secret a/",   "secret a//b",   "secret .a",
                                        "secret a*",   "unwrap a=b c"};
    struct cczi_agent_request r;
    struct ccz_err err = {0};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        CHECK(is_refused(cczi_agent_request_parse(&r, ccz_span_str(bad[i]), &err), CCZ_E_FORMAT,
                         &err, "agent:request"));
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        CHECK(is_refused(cczi_agent_request_parse(&r, ccz_span_str(names[i]), &err), CCZ_E_FORMAT,
                         &err, "agent:name"));
    char longest[200] = "secret ";
    memset(longest + 7, 'a', 128);
    CHECK(cczi_agent_request_parse(&r, ccz_span_str(longest), NULL) == CCZ_OK);
    longest[7 + 128] = 'a';
    CHECK(cczi_agent_request_parse(&r, ccz_span_str(longest), NULL) == CCZ_E_FORMAT);
}

static void test_answer(void)
{
    CCZ_AUTO_BUF line;
    struct ccz_span value;
    struct ccz_err in = {0}, out = {0};
    ccz_refuse(&in, CCZ_E_POLICY, "policy:mrenclave", "a \"b\" \\ \n", "bb");
    ccz_hint(&in, CCZ_E_POLICY, "do this");
    ccz_buf_init(&line, 4096);
    cczi_agent_put_error(&line, &in);
    CHECK(memchr(line.ptr, '\n', line.size) == line.ptr + line.size - 1); /* one line in any case */
    CHECK(cczi_agent_answer_parse(&value, CCZ_SPAN(line.ptr, line.size - 1), &out) == CCZ_E_POLICY);
    CHECK(out.rc == CCZ_E_POLICY && strcmp(out.where, in.where) == 0 &&
          strcmp(out.got, "a \\x22b\\x22 \\ \\x0a") == 0 && strcmp(out.expected, "bb") == 0 &&
          strcmp(out.hint, "do this") == 0);
    static const char *const bad[] = {"",          "ok",           "ok ",           "no",
                                      "no rc=",    "no rc=CCZ_OK", "no rc=CCZ_E_X", "yes 1",
                                      "no rc=-32", "OK AAAA"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        CHECK(is_refused(cczi_agent_answer_parse(&value, ccz_span_str(bad[i]), &out), CCZ_E_PEER,
                         &out, "agent:answer"));
    CHECK(cczi_agent_answer_parse(&value, ccz_span_str("ok AAAA"), &out) == CCZ_OK &&
          ccz_span_eq(value, ccz_span_str("AAAA")));
}

static void test_allowed(void)
{
    static const char *const list[] = {"a", "b/*", "c/d/*"};
    const struct ccz_agent_names names = {list, 3}, none = {0};
    static const char *const yes[] = {"a", "b/x", "b/x/y", "c/d/e"};
    static const char *const no[] = {"b", "b/", "c/d", "c/x", "ab", "a/b", "bb/x", "*", ""};
    for (size_t i = 0; i < sizeof(yes) / sizeof(yes[0]); i++) {
        CHECK(cczi_agent_allowed(&names, ccz_span_str(yes[i])));
        CHECK(!cczi_agent_allowed(&none, ccz_span_str(yes[i])));
    }
    for (size_t i = 0; i < sizeof(no) / sizeof(no[0]); i++)
        CHECK(!cczi_agent_allowed(&names, ccz_span_str(no[i])));
}

/* -------------------------------------------------------------------------------- verbs */

static ccz_rc answer_to(struct ccz_buf *out, struct fake_kms *k, const char *line,
                        struct ccz_err *err)
{
    const struct ccz_agent_cfg cfg = config(k, "unused");
    const struct cczi_agent_peer peer = {.pid = 1};
    struct ccz_span value;
    ccz_buf_free(out);
    ccz_buf_init(out, CCZI_AGENT_ANSWER_SIZE_MAX);
    cczi_agent_handle(out, &cfg, ccz_span_str(line), &peer);
    CHECK(out->size > 1 && out->ptr[out->size - 1] == '\n');
    return cczi_agent_answer_parse(&value, CCZ_SPAN(out->ptr, out->size - 1), err);
}

static void test_verbs(void)
{
    struct fake_kms k = {.latest = 2};
    struct ccz_err err = {0};
    CCZ_AUTO_BUF out = {0}, line;
    ccz_buf_init(&line, 4096);
    CHECK(answer_to(&out, &k, "hello 1", &err) == CCZ_OK);
    CHECK(
        is_refused(answer_to(&out, &k, "hello 2", &err), CCZ_E_UNSUPPORTED, &err, "agent:version"));
    CHECK(answer_to(&out, &k, "wrap ratings MDEyMzQ1Njc4OWFiY2RlZg==", &err) == CCZ_OK);
    CHECK(strcmp(k.last, "key/ratings") == 0 && k.calls == 1);
    ccz_buf_put_str(&line, "unwrap ratings ");
    ccz_buf_put(&line, out.ptr + 3, out.size - 4);
    k.latest = 3; /* a new version of the master key: the old one opens what it wrapped */
    CHECK(answer_to(&out, &k, ccz_buf_str(&line), &err) == CCZ_OK);
    CHECK(strcmp(ccz_buf_str(&out), "ok MDEyMzQ1Njc4OWFiY2RlZg==\n") == 0);
    CHECK(answer_to(&out, &k, "secret spark/auth", &err) == CCZ_OK);
    CHECK(strcmp(ccz_buf_str(&out), "ok dmFsdWUgb2Ygc3BhcmsvYXV0aA==\n") == 0);
    /* what is on no list, or on another verb's, is refused before the KMS is asked */
    static const char *const denied[] = {"wrap spark/x AAAA", "secret ratings",
                                         "secret spark/other", "unwrap factors ccz1.AAAA"};
    int calls = k.calls;
    for (size_t i = 0; i < sizeof(denied) / sizeof(denied[0]); i++)
        CHECK(is_refused(answer_to(&out, &k, denied[i], &err), CCZ_E_DENIED, &err,
                         "agent:not-allowed"));
    CHECK(is_refused(answer_to(&out, &k, "unwrap ratings nonsense", &err), CCZ_E_FORMAT, &err,
                     "agent:wrapped"));
    CHECK(answer_to(&out, &k, "wrap ratings !!!!", &err) == CCZ_E_FORMAT);
    CHECK(k.calls == calls);
    struct ccz_agent_cfg cfg = {.release = fake_release, .release_arg = &k}; /* zeroed: nothing */
    const struct cczi_agent_peer peer = {.pid = 1};
    ccz_buf_clear(&out);
    cczi_agent_handle(&out, &cfg, ccz_buf_span(&line), &peer);
    CHECK(strstr(ccz_buf_str(&out), "agent:not-allowed") && k.calls == calls);
}

static void test_revoked(void)
{
    struct fake_kms k = {.latest = 1};
    struct ccz_err err = {0};
    CCZ_AUTO_BUF out = {0};
    CHECK(answer_to(&out, &k, "secret spark/auth", &err) == CCZ_OK);
    k.revoked = true; /* nothing is remembered: refused at the next call */
    CHECK(is_refused(answer_to(&out, &k, "secret spark/auth", &err), CCZ_E_POLICY, &err,
                     "policy:mrenclave"));
    CHECK(strcmp(err.got, "aa") == 0 && strcmp(err.expected, "bb") == 0);
    CHECK(!memmem(out.ptr, out.size, "dmFsdWU", 7));
}

/* ------------------------------------------------------------------------------- socket */

static void test_socket(void)
{
    struct fake_kms k = {.latest = 1};
    const char *path = temp_path("agent.sock");
    struct ccz_agent_cfg cfg = config(&k, path);
    cfg.request_timeout_ms = cfg.idle_timeout_ms = INT64_MAX; /* no sum wraps */
    struct ccz_err err = {0};
    CCZ_AUTO(ccz_agent) a = NULL;
    CCZ_AUTO(ccz_agent_client) c = NULL;
    CCZ_AUTO(ccz_secret) plain = NULL;
    CCZ_AUTO(ccz_secret) value = NULL;
    CCZ_AUTO_BUF text;
    ccz_buf_init(&text, 4096);
    (void)umask(0);
    CHECK(ccz_agent_new(&a, &cfg, &err) == CCZ_OK);
    struct stat st;
    CHECK(stat(path, &st) == 0 && (st.st_mode & 0777) == 0600); /* whatever the umask */
    CHECK(ccz_agent_client_new(&c, path, 0, &err) == CCZ_OK);
    CHECK(ccz_agent_client_wrap(&text, c, "ratings", CCZ_SPAN(data_key, 16), &err) == CCZ_OK);
    CHECK(ccz_agent_client_unwrap(&plain, c, "ratings", ccz_buf_span(&text), &err) == CCZ_OK);
    CHECK(ccz_secret_size(plain) == 16 && memcmp(ccz_secret_view(plain), data_key, 16) == 0);
    CHECK(ccz_agent_client_secret(&value, c, "spark/auth", &err) == CCZ_OK);
    CHECK(ccz_secret_size(value) == 19);
    struct ccz_secret *no = NULL;
    CHECK(is_refused(ccz_agent_client_secret(&no, c, "other", &err), CCZ_E_DENIED, &err,
                     "agent:not-allowed") &&
          !no);
    CHECK(ccz_agent_client_wrap(&text, c, "ratings", CCZ_SPAN(data_key, 0), &err) != CCZ_OK);
    uint8_t big[CCZ_AGENT_REQUEST_SIZE_MAX] = {0};
    CHECK(is_refused(ccz_agent_client_wrap(&text, c, "ratings", CCZ_SPAN(big, sizeof(big)), &err),
                     CCZ_E_LIMIT, &err, "agent:request"));
    CHECK(is_refused(ccz_agent_client_wrap(&text, c, "ratings", CCZ_SPAN(big, 65), &err),
                     CCZ_E_LIMIT, &err, "base64:size"));
    ccz_agent_free(ccz_agent_take(&a));
    CHECK(access(path, F_OK) != 0);
    CHECK(ccz_agent_client_wrap(&text, c, "ratings", CCZ_SPAN(data_key, 16), &err) != CCZ_OK);
    CHECK(err.rc == CCZ_E_CLOSED || err.rc == CCZ_E_IO);
    struct ccz_agent_client *gone = NULL;
    CHECK(is_refused(ccz_agent_client_new(&gone, path, 0, &err), CCZ_E_UNAVAILABLE, &err,
                     "agent:connect"));
}

static void test_socket_path(void)
{
    struct fake_kms k = {.latest = 1};
    const char *path = temp_path("dead.sock");
    struct ccz_agent_cfg cfg = config(&k, path);
    struct ccz_err err = {0};
    CCZ_AUTO(ccz_agent) a = NULL;
    struct ccz_agent *second = NULL;
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    (void)snprintf(at.sun_path, sizeof(at.sun_path), "%s", path);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    CHECK(fd >= 0 && bind(fd, (struct sockaddr *)&at, sizeof(at)) == 0 && close(fd) == 0);
    CHECK(ccz_agent_new(&a, &cfg, &err) == CCZ_OK); /* what a killed agent leaves is replaced */
    CHECK(is_refused(ccz_agent_new(&second, &cfg, &err), CCZ_E_EXISTS, &err, "agent:socket"));
    CCZ_AUTO(ccz_agent_client) c = NULL;
    CHECK(ccz_agent_client_new(&c, path, 0, &err) == CCZ_OK); /* the first one goes on */
    cfg.socket = temp_path("file");
    CHECK(ccz_file_write(cfg.socket, ccz_span_str("precious"), 0600, CCZ_FILE_REPLACE, NULL) ==
          CCZ_OK);
    CHECK(is_refused(ccz_agent_new(&second, &cfg, &err), CCZ_E_EXISTS, &err, "agent:socket"));
    CHECK(access(cfg.socket, F_OK) == 0);
    cfg.socket = temp_path("absent/agent.sock");
    CHECK(is_refused(ccz_agent_new(&second, &cfg, &err), CCZ_E_IO, &err, "agent:socket"));
    char longest[200];
    memset(longest, 'a', sizeof(longest) - 1);
    longest[sizeof(longest) - 1] = 0;
    cfg.socket = longest;
    CHECK(is_refused(ccz_agent_new(&second, &cfg, &err), CCZ_E_ARG, &err, "agent:config"));
    cfg = config(&k, path);
    cfg.release = NULL;
    CHECK(is_refused(ccz_agent_new(&second, &cfg, &err), CCZ_E_ARG, &err, "agent:config"));
}

static void needs_root(void)
{
    if (geteuid() == 0)
        return;
    puts("skipped: changing users takes root");
    _Exit(77);
}

/* Root may connect to every socket; the agent looks at who it is. */
static void test_strangers(void)
{
    needs_root();
    struct fake_kms k = {.latest = 1};
    const char *path = temp_path("his.sock");
    struct ccz_agent_cfg cfg = config(&k, path);
    struct ccz_err err = {0};
    CCZ_AUTO(ccz_agent) a = NULL;
    struct ccz_agent_client *c = NULL;
    cfg.peer_uid_set = true;
    cfg.peer_uid = 65534;
    CHECK(ccz_agent_new(&a, &cfg, &err) == CCZ_OK);
    struct stat st;
    CHECK(stat(path, &st) == 0 && (st.st_mode & 0777) == 0600 && st.st_uid == 65534);
    CHECK(
        is_refused(ccz_agent_client_new(&c, path, 0, &err), CCZ_E_DENIED, &err, "agent:peer-uid") &&
        !c);
    CHECK(strcmp(err.got, "0") == 0 && strcmp(err.expected, "65534") == 0);
    CHECK(chmod(temp_base, 0755) == 0);
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        if (setgid(65534) != 0 || setuid(65534) != 0)
            _Exit(2);
        struct ccz_secret *s = NULL;
        bool ok = ccz_agent_client_new(&c, path, 0, NULL) == CCZ_OK &&
                  ccz_agent_client_secret(&s, c, "spark/auth", NULL) == CCZ_OK;
        _Exit(ok ? 0 : 1);
    }
    int status;
    CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

/* ------------------------------------------------------------------------ whose child is it */

static void test_stat(void)
{
    CHECK(cczi_agent_stat_parent("7 (sh) S 12 7 7 0 -1 4194304") == 12);
    CHECK(cczi_agent_stat_parent("7 (a b) S 99) S 12 7 7") == 12); /* as it calls itself */
    CHECK(cczi_agent_stat_parent("1 (init) S 0 1 1") == 0);
    static const char *const bad[] = {"",
                                      "7",
                                      "7 (sh",
                                      "7 (sh)",
                                      "7 (sh) ",
                                      "7 (sh) S",
                                      "7 (sh) S ",
                                      "7 (sh) S 12",
                                      "7 (sh) SS 12 7",
                                      "7 (sh) S x 7",
                                      "7 (sh) S -1 7",
                                      "7 (sh) S 99999999999999999999 7"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        CHECK(cczi_agent_stat_parent(bad[i]) == -1);
}

/* A process that runs @p work and tells what came out; more of them in between with @p deep. */
static pid_t start_family(int out, int deep, bool (*work)(void *), void *arg)
{
    pid_t child = fork();
    CHECK(child >= 0);
    if (child > 0)
        return child;
    if (deep > 0) {
        int status;
        pid_t below = start_family(out, deep - 1, work, arg);
        _Exit(waitpid(below, &status, 0) == below && status == 0 ? 0 : 1);
    }
    char said = work(arg) ? 'y' : 'n';
    _Exit(write(out, &said, 1) == 1 ? 0 : 1);
}

static bool tell_pid(void *arg)
{
    const int *pipes = arg; /* its own number, then it waits */
    pid_t self = getpid();
    char c;
    return write(pipes[0], &self, sizeof(self)) == sizeof(self) && read(pipes[1], &c, 1) == 0;
}

static void test_descends(void)
{
    for (int deep = 0; deep < 4; deep++) {
        int said[2], number[2], stay[2];
        char c;
        pid_t last = 0;
        CHECK(pipe(said) == 0 && pipe(number) == 0 && pipe2(stay, O_CLOEXEC) == 0);
        pid_t other = fork();
        CHECK(other >= 0);
        if (other == 0) {
            (void)close(stay[1]); /* the family waits for the last one to do so */
            for (;;)
                (void)pause();
        }
        int pipes[2] = {number[1], stay[0]};
        pid_t root = fork();
        CHECK(root >= 0);
        if (root == 0) {
            (void)close(stay[1]);
            pid_t below = start_family(said[1], deep, tell_pid, pipes);
            int status;
            _Exit(waitpid(below, &status, 0) == below && status == 0 ? 0 : 1);
        }
        CHECK(read(number[0], &last, sizeof(last)) == sizeof(last));
        CHECK(cczi_agent_descends(last, root) && cczi_agent_descends(root, root));
        CHECK(!cczi_agent_descends(last, last)); /* no child of ours, but of a child */
        CHECK(!cczi_agent_descends(other, root) && !cczi_agent_descends(last, other));
        CHECK(!cczi_agent_descends(getpid(), root) && !cczi_agent_descends(1, root));
        CHECK(!cczi_agent_descends(0, root) && !cczi_agent_descends(-1, root));
        CHECK(!cczi_agent_descends(root, getppid()));
        CHECK(close(stay[1]) == 0 && read(said[0], &c, 1) == 1 && c == 'y');
        CHECK(waitpid(root, NULL, 0) == root && !cczi_agent_descends(root, root));
        CHECK(kill(other, SIGKILL) == 0 && waitpid(other, NULL, 0) == other);
        for (int i = 0; i < 2; i++)
            CHECK(close(said[i]) == 0 && close(number[i]) == 0);
        CHECK(close(stay[0]) == 0);
    }
}

/* A child with this number, which is free; 0 if others were always faster. */
static pid_t child_with_number(pid_t want)
{
    for (int i = 0; i < 200; i++) {
        char text[16];
        int n = snprintf(text, sizeof(text), "%d", want - 1);
        int fd = open("/proc/sys/kernel/ns_last_pid", O_WRONLY | O_CLOEXEC);
        if (fd < 0 || write(fd, text, (size_t)n) != n) {
            puts("skipped: this system lets nobody choose numbers of processes");
            _Exit(77);
        }
        (void)close(fd);
        pid_t child = fork();
        CHECK(child >= 0);
        if (child == 0)
            for (;;)
                (void)pause();
        if (child == want)
            return child;
        CHECK(kill(child, SIGKILL) == 0 && waitpid(child, NULL, 0) == child);
    }
    return 0;
}

/* Who connects and ends leaves its number to somebody else, who is not at the other end. */
static void test_reused(void)
{
    needs_root();
    const char *path = temp_path("reused.sock");
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    (void)snprintf(at.sun_path, sizeof(at.sun_path), "%s", path);
    int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), pidfd = -1;
    CHECK(listener >= 0 && bind(listener, (struct sockaddr *)&at, sizeof(at)) == 0 &&
          listen(listener, 8) == 0);
    pid_t gone = fork();
    CHECK(gone >= 0);
    if (gone == 0) {
        int fd = socket(AF_UNIX, SOCK_STREAM, 0);
        _Exit(fd >= 0 && connect(fd, (struct sockaddr *)&at, sizeof(at)) == 0 ? 0 : 1);
    }
    CHECK(waitpid(gone, NULL, 0) == gone);
    pid_t later = child_with_number(gone);
    int fd = accept(listener, NULL, NULL);
    struct cczi_agent_peer peer;
    CHECK(fd >= 0 && cczi_agent_peer_of(&peer, fd) && peer.pid == gone);
    socklen_t size = sizeof(pidfd);
    if (!later || (getsockopt(fd, SOL_SOCKET, 77, &pidfd, &size) != 0 && errno == ENOPROTOOPT)) {
        puts("skipped: the number was taken, or this kernel cannot tell processes apart");
        _Exit(77);
    }
    CHECK(cczi_agent_descends(peer.pid, later)); /* as far as /proc knows */
    CHECK(!cczi_agent_peer_descends(&peer, fd, later));
    CHECK(kill(later, SIGKILL) == 0 && waitpid(later, NULL, 0) == later);
    CHECK(close(fd) == 0 && close(listener) == 0);
}

/* What a child does when it may: waits for its number to be known to the agent, then asks. */
struct asker {
    const char *path;
    int go;         /* read: the agent listens */
    char where[64]; /* of the refusal; "" = it was served */
};

static bool ask_when_told(void *arg)
{
    struct asker *k = arg;
    struct ccz_err err = {0};
    struct ccz_agent_client *c = NULL;
    struct ccz_secret *s = NULL;
    char g;
    if (read(k->go, &g, 1) != 1)
        return false;
    ccz_rc rc = ccz_agent_client_new(&c, k->path, 0, &err);
    if (rc == CCZ_OK)
        rc = ccz_agent_client_secret(&s, c, "spark/auth", &err);
    ccz_secret_free(s);
    ccz_agent_client_free(c);
    return rc == CCZ_OK ? k->where[0] == 0 : rc == CCZ_E_DENIED && strcmp(err.where, k->where) == 0;
}

/* The program and what it started are served; others of the same user are not, nor is this process. */
static void test_siblings(void)
{
    struct fake_kms k = {.latest = 1};
    struct ccz_err err = {0};
    const char *path = temp_path("family.sock");
    int said[2], go[2];
    CHECK(pipe(said) == 0 && pipe(go) == 0);
    for (int deep = 0; deep < 3; deep++) {
        struct asker in = {.path = path, .go = go[0]};
        struct asker out = {.path = path, .go = go[0], .where = "agent:peer"};
        struct ccz_agent_cfg cfg = config(&k, path);
        char c = 0;
        cfg.peer_root = start_family(said[1], deep, ask_when_told, &in);
        CCZ_AUTO(ccz_agent) a = NULL;
        CHECK(ccz_agent_new(&a, &cfg, &err) == CCZ_OK);
        CHECK(write(go[1], "g", 1) == 1 && read(said[0], &c, 1) == 1 && c == 'y');
        CHECK(waitpid((pid_t)cfg.peer_root, NULL, 0) == cfg.peer_root);
        int calls = k.calls;
        pid_t sibling = start_family(said[1], deep, ask_when_told, &out);
        CHECK(write(go[1], "g", 1) == 1 && read(said[0], &c, 1) == 1 && c == 'y');
        CHECK(waitpid(sibling, NULL, 0) == sibling);
        struct ccz_agent_client *self = NULL;
        CHECK(is_refused(ccz_agent_client_new(&self, path, 0, &err), CCZ_E_DENIED, &err,
                         "agent:peer"));
        CHECK(k.calls == calls);
    }
    struct ccz_agent_cfg cfg = config(&k, path);
    struct ccz_agent *none = NULL;
    cfg.peer_root = -1;
    CHECK(is_refused(ccz_agent_new(&none, &cfg, &err), CCZ_E_ARG, &err, "agent:config"));
    for (int i = 0; i < 2; i++)
        CHECK(close(said[i]) == 0 && close(go[i]) == 0);
}

static int dial(const char *path)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    (void)snprintf(at.sun_path, sizeof(at.sun_path), "%s", path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(fd >= 0 && connect(fd, (struct sockaddr *)&at, sizeof(at)) == 0);
    return fd;
}

/* Everything until the other side hangs up. */
static size_t read_all(char *out, size_t size, int fd)
{
    size_t n = 0;
    for (ssize_t got; n + 1 < size && (got = recv(fd, out + n, size - 1 - n, 0)) > 0;)
        n += (size_t)got;
    out[n] = 0;
    return n;
}

static void test_limits(void)
{
    struct fake_kms k = {.latest = 1};
    const char *path = temp_path("limits.sock");
    struct ccz_agent_cfg cfg = config(&k, path);
    struct ccz_err err = {0};
    char text[4096];
    CCZ_AUTO(ccz_agent) a = NULL;
    cfg.connections_max = 2;
    cfg.request_timeout_ms = 200;
    cfg.idle_timeout_ms = 60000;
    CHECK(ccz_agent_new(&a, &cfg, &err) == CCZ_OK);
    CCZ_AUTO(ccz_agent_client) one = NULL;
    CHECK(ccz_agent_client_new(&one, path, 0, &err) == CCZ_OK);
    int slow = dial(path);
    CHECK(send(slow, "hello 1\nsec", 11, 0) == 11); /* the second is in place, and in a request */
    CHECK(recv(slow, text, 5, MSG_WAITALL) == 5 && memcmp(text, "ok 1\n", 5) == 0);
    struct ccz_agent_client *third = NULL;
    CHECK(is_refused(ccz_agent_client_new(&third, path, 0, &err), CCZ_E_LIMIT, &err,
                     "agent:connections"));
    CHECK(read_all(text, sizeof(text), slow) == 0); /* half a request has its time, then it ends */
    (void)close(slow);
    ccz_rc rc = CCZ_E_LIMIT; /* its place is free again */
    for (int i = 0; rc == CCZ_E_LIMIT && i < 200; i++, (void)usleep(10000))
        rc = ccz_agent_client_new(&third, path, 0, &err);
    CHECK(rc == CCZ_OK);
    ccz_agent_client_free(third);
    int trickle = -1, sent = 0;
    for (bool in = false; !in; (void)usleep(10000)) { /* until it is not turned away */
        if (trickle >= 0)
            CHECK(close(trickle) == 0);
        trickle = dial(path);
        in = send(trickle, "hello 1\n", 8, MSG_NOSIGNAL) == 8 &&
             recv(trickle, text, 5, MSG_WAITALL) == 5 && memcmp(text, "ok 1\n", 5) == 0;
    }
    /* bytes one by one do not buy time */
    while (sent < 100 && send(trickle, "x", 1, MSG_NOSIGNAL) == 1 && usleep(30000) == 0)
        sent++;
    CHECK(sent < 100 && close(trickle) == 0);
    CCZ_AUTO(ccz_secret) s = NULL; /* who is idle is not hurried */
    CHECK(ccz_agent_client_secret(&s, one, "spark/auth", &err) == CCZ_OK);
}

static void test_hostile(void)
{
    struct fake_kms k = {.latest = 1};
    const char *path = temp_path("hostile.sock");
    const struct ccz_agent_cfg cfg = config(&k, path);
    char text[8192], flood[CCZ_AGENT_REQUEST_SIZE_MAX + 100];
    CCZ_AUTO(ccz_agent) a = NULL;
    CHECK(ccz_agent_new(&a, &cfg, NULL) == CCZ_OK);
    int fd = dial(path); /* nonsense is answered, requests behind it too, several in one packet */
    CHECK(send(fd, "\n\x80\xff\nsecret spark/auth\nquit\n", 27, 0) == 27);
    CHECK(shutdown(fd, SHUT_WR) == 0);
    (void)read_all(text, sizeof(text), fd);
    char *line = text;
    static const char *const want[] = {"no rc=CCZ_E_FORMAT", "no rc=CCZ_E_FORMAT", "ok dmFsdWUg",
                                       "no rc=CCZ_E_FORMAT"};
    for (size_t i = 0; i < 4; i++) {
        CHECK(strncmp(line, want[i], strlen(want[i])) == 0);
        line = strchr(line, '\n') + 1;
    }
    CHECK(*line == 0 && close(fd) == 0);
    fd = dial(path); /* a line that does not end ends the connection: its rest is no request */
    memset(flood, 'x', sizeof(flood));
    memcpy(flood + sizeof(flood) - 20, "\nsecret spark/auth\n", 19);
    CHECK(send(fd, flood, sizeof(flood), MSG_NOSIGNAL) > 0);
    (void)read_all(text, sizeof(text), fd);
    CHECK(strstr(text, "no rc=CCZ_E_LIMIT where=\"agent:request\"") == text &&
          !strstr(text, "ok "));
    CHECK(close(fd) == 0);
    for (int i = 0; i < 300; i++) /* who hangs up without a word costs no place */
        CHECK(close(dial(path)) == 0);
    CCZ_AUTO(ccz_agent_client) c = NULL;
    ccz_rc rc = CCZ_E_LIMIT;
    for (int i = 0; rc == CCZ_E_LIMIT && i < 200; i++, (void)usleep(10000))
        rc = ccz_agent_client_new(&c, path, 0, NULL);
    CHECK(rc == CCZ_OK);
}

/* A socket of somebody else, in a folder where he may make one. */
static void test_server_uid(void)
{
    needs_root();
    CHECK(chmod(temp_base, 0777) == 0);
    const char *path = temp_path("trap.sock");
    int ready[2];
    CHECK(pipe(ready) == 0);
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        struct sockaddr_un at = {.sun_family = AF_UNIX};
        (void)snprintf(at.sun_path, sizeof(at.sun_path), "%s", path);
        int fd = socket(AF_UNIX, SOCK_STREAM, 0);
        if (setgid(65534) != 0 || setuid(65534) != 0 ||
            bind(fd, (struct sockaddr *)&at, sizeof(at)) != 0 || listen(fd, 8) != 0 ||
            write(ready[1], "r", 1) != 1)
            _Exit(2);
        for (;;)
            (void)pause();
    }
    char r;
    struct ccz_err err = {0};
    struct ccz_agent_client *c = NULL;
    CHECK(read(ready[0], &r, 1) == 1);
    CHECK(is_refused(ccz_agent_client_new(&c, path, 0, &err), CCZ_E_UNTRUSTED, &err,
                     "agent:server-uid"));
    CHECK(kill(child, SIGKILL) == 0 && waitpid(child, NULL, 0) == child);
}

/* Another process of this user listens where the agent did: it would be told keys, and tell keys of its choice. */
static void test_impostor(void)
{
    const char *path = temp_path("taken.sock");
    struct fake_kms k = {.latest = 1};
    const struct ccz_agent_cfg cfg = config(&k, path);
    struct ccz_err err = {0};
    CCZ_AUTO(ccz_agent) a = NULL;
    CCZ_AUTO(ccz_agent_client) c = NULL;
    struct ccz_agent_client *no = NULL;
    char pid[24], got[24];
    int ready[2];
    (void)snprintf(pid, sizeof(pid), "%d", (int)getpid());
    CHECK(ccz_agent_new(&a, &cfg, &err) == CCZ_OK);
    CHECK(is_refused(ccz_agent_client_of_env(&no, &err), CCZ_E_NOT_FOUND, &err, "agent:none"));
    CHECK(setenv(CCZ_AGENT_VARIABLE, path, 1) == 0 && setenv(CCZ_AGENT_PID_VARIABLE, pid, 1) == 0);
    CHECK(ccz_agent_client_of_env(&c, &err) == CCZ_OK);
    CHECK(rename(path, temp_path("moved.sock")) == 0 && pipe(ready) == 0);
    const pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        struct sockaddr_un at = {.sun_family = AF_UNIX};
        (void)snprintf(at.sun_path, sizeof(at.sun_path), "%s", path);
        int fd = socket(AF_UNIX, SOCK_STREAM, 0);
        if (bind(fd, (struct sockaddr *)&at, sizeof(at)) != 0 || listen(fd, 8) != 0 ||
            write(ready[1], "r", 1) != 1)
            _Exit(2);
        for (;;) {
            const int one = accept(fd, NULL, NULL);
            (void)!send(one, "ok 1\n", 5, MSG_NOSIGNAL); /* whoever looked at us has hung up */
        }
    }
    CHECK(read(ready[0], got, 1) == 1);
    CHECK(
        is_refused(ccz_agent_client_of_env(&no, &err), CCZ_E_UNTRUSTED, &err, "agent:server-pid"));
    (void)snprintf(got, sizeof(got), "%d", (int)child);
    CHECK(!no && strcmp(err.got, got) == 0 && strcmp(err.expected, pid) == 0);
    CHECK(unsetenv(CCZ_AGENT_PID_VARIABLE) == 0); /* nobody said which process it is */
    CHECK(ccz_agent_client_of_env(&no, &err) == CCZ_OK);
    ccz_agent_client_free(no);
    static const char *const bad[] = {"", "0", "-1", "x", "12x", "99999999999"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        CHECK(setenv(CCZ_AGENT_PID_VARIABLE, bad[i], 1) == 0);
        CHECK(is_refused(ccz_agent_client_of_env(&no, &err), CCZ_E_ARG, &err, "agent:connect"));
    }
    CHECK(is_refused(ccz_agent_client_new(&no, path, -1, &err), CCZ_E_ARG, &err, "agent:connect"));
    CHECK(unsetenv(CCZ_AGENT_VARIABLE) == 0 && unsetenv(CCZ_AGENT_PID_VARIABLE) == 0);
    CHECK(kill(child, SIGKILL) == 0 && waitpid(child, NULL, 0) == child);
}

static void *ask_once(void *path)
{
    struct ccz_secret *s = NULL;
    struct ccz_agent_client *c = NULL;
    if (ccz_agent_client_new(&c, path, 0, NULL) == CCZ_OK)
        (void)!ccz_agent_client_secret(&s, c, "spark/auth", NULL);
    ccz_secret_free(s);
    ccz_agent_client_free(c);
    return NULL;
}

/* Ends while the KMS is asked, while others are idle, in the middle of requests. */
static void test_stop(void)
{
    struct fake_kms k = {.latest = 1, .block_ms = 100};
    const char *path = temp_path("stop.sock");
    const struct ccz_agent_cfg cfg = config(&k, path);
    for (int i = 0; i < 5; i++) {
        struct ccz_agent *a = NULL;
        pthread_t asking[4];
        CHECK(ccz_agent_new(&a, &cfg, NULL) == CCZ_OK);
        int idle = dial(path), half = dial(path);
        CHECK(send(half, "secret", 6, 0) == 6);
        for (int t = 0; t < 4; t++)
            CHECK(pthread_create(&asking[t], NULL, ask_once, (void *)(uintptr_t)path) == 0);
        (void)usleep((useconds_t)i * 30000);
        ccz_agent_free(a);
        for (int t = 0; t < 4; t++)
            CHECK(pthread_join(asking[t], NULL) == 0);
        CHECK(access(path, F_OK) != 0 && close(idle) == 0 && close(half) == 0);
    }
}

int main(int argc, char **argv)
{
    static const struct ccz_test tests[] = {
        {"agent.wrap", test_wrap},           {"agent.wrap_refused", test_wrap_refused},
        {"agent.line", test_line},           {"agent.line_refused", test_line_refused},
        {"agent.answer", test_answer},       {"agent.allowed", test_allowed},
        {"agent.verbs", test_verbs},         {"agent.revoked", test_revoked},
        {"agent.socket", test_socket},       {"agent.socket_path", test_socket_path},
        {"agent.stat", test_stat},           {"agent.descends", test_descends},
        {"agent.reused", test_reused},       {"agent.siblings", test_siblings},
        {"agent.strangers", test_strangers}, {"agent.limits", test_limits},
        {"agent.hostile", test_hostile},     {"agent.server_uid", test_server_uid},
        {"agent.impostor", test_impostor},   {"agent.stop", test_stop},
    };
    temp_setup();
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
