/* SPDX-License-Identifier: Apache-2.0 */
/* What a server leaves of messages in its memory. It is a process of its own, which searches all that it can write to; what it looks for comes
 * with every bit turned over, so that looking puts nothing there. */
#include "rpc_fixture.h"

#include <cczoo/crypto.h>

#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1 /* which keep what was freed, and map more than can be searched */
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(memory_sanitizer) ||                         \
    __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

enum {
    NEEDLE_SIZE = 32,
    LOOKS_MAX = 250, /* 5 s */
    ANSWER_OF = 0x5a /* the answer's secret is the request's, changed by this */
};

/* ------------------------------------------------------------------------------- server */

/* Answers with as many bytes as came, each changed. */
static void change(struct ccz_rpc_call *call, void *arg, struct ccz_span request)
{
    (void)arg;
    struct ccz_buf b; /* as the KMS does it */
    ccz_buf_init(&b, request.size);
    b.wipe = true;
    for (size_t i = 0; i < request.size; i++)
        ccz_buf_u8(&b, request.ptr[i] ^ ANSWER_OF);
    ccz_rpc_reply(call, ccz_buf_span(&b));
    ccz_buf_free(&b);
}

/* Takes it, and says nothing: what it makes of memory hides nothing. */
static void take(struct ccz_rpc_call *call, void *arg, struct ccz_span request)
{
    (void)arg;
    ccz_rpc_reply(call, ccz_span_str(request.size ? "some" : "none"));
}

/* Places where @p turned stands, turned over and changed by @p by. */
static uint64_t count(const uint8_t *turned, uint8_t by)
{
    FILE *maps = fopen("/proc/self/maps", "r");
    CHECK(maps);
    static char line[512];
    uint64_t found = 0;
    while (fgets(line, sizeof(line), maps)) {
        unsigned long from, to;
        char mode[5];
        if (sscanf(line, "%lx-%lx %4s", &from, &to, mode) != 3 || mode[0] != 'r' ||
            mode[1] != 'w' || strstr(line, "[v"))
            continue;
        const uint8_t first = turned[0] ^ 0xff ^ by;
        for (const volatile uint8_t *p = (const uint8_t *)from;
             (unsigned long)p + NEEDLE_SIZE <= to; p++) {
            size_t i = 0;
            if (*p != first)
                continue;
            while (i < NEEDLE_SIZE && (uint8_t)(p[i] ^ turned[i]) == (0xff ^ by))
                i++;
            found += i == NEEDLE_SIZE;
        }
    }
    (void)fclose(maps);
    return found;
}

/* @param framed  application bytes in frames of RA-TLS, as where evidence is asked for again */
static void serve(int fd, bool wipe, bool framed)
{
    struct fixture f = {0};
    struct ccz_ratls_ctx *ctx = NULL;
    const struct ccz_ratls_cfg ratls = {.server = true,
                                        .now_s = INT64_C(1767225600),
                                        .attest = toy_attest,
                                        .attest_arg = &f.server_toy,
                                        .appraise = toy_appraise,
                                        .appraise_arg = &f.server_toy,
                                        .reattest_interval_ms = framed ? INT64_MAX : 0};
    CHECK(ccz_ratls_ctx_new(&ctx, &ratls, NULL) == CCZ_OK);
    const struct ccz_rpc_server_cfg cfg = {.listen = "127.0.0.1:0", .wipe = wipe, .ratls = ctx};
    CHECK(ccz_rpc_server_new(&f.server, &cfg, NULL) == CCZ_OK);
    CHECK(ccz_rpc_server_add_unary(f.server, "/t.T/Change", change, NULL) == CCZ_OK);
    CHECK(ccz_rpc_server_add_unary(f.server, "/t.T/Take", take, NULL) == CCZ_OK);
    CHECK(ccz_rpc_server_start(f.server, NULL) == CCZ_OK);
    uint16_t port = ccz_rpc_server_port(f.server);
    CHECK(write(fd, &port, sizeof(port)) == sizeof(port));
    uint8_t turned[NEEDLE_SIZE];
    while (read(fd, turned, sizeof(turned)) == sizeof(turned)) {
        uint64_t found[2] = {count(turned, 0), count(turned, ANSWER_OF)};
        CHECK(write(fd, found, sizeof(found)) == sizeof(found));
    }
    _exit(0);
}

/* ------------------------------------------------------------------------------- client */

/* One call with a message full of one secret, and what is left of it and of the answer. @p wipe: what is there for a moment more,
 * because the server's thread is not through yet, is looked for again. */
static void ask(uint64_t found[2], struct fixture *f, int fd, size_t size,
                enum ccz_rpc_compression compression, bool wipe)
{
    uint8_t needle[NEEDLE_SIZE], turned[NEEDLE_SIZE];
    CCZ_AUTO_BUF msg;
    CCZ_AUTO_BUF answer;
    ccz_buf_init(&msg, size + NEEDLE_SIZE);
    ccz_buf_init(&answer, size + NEEDLE_SIZE);
    CHECK(ccz_random(needle, sizeof(needle)) == CCZ_OK);
    while (msg.size < size)
        ccz_buf_put(&msg, needle, sizeof(needle));
    const struct ccz_rpc_call_cfg cfg = {.compression = compression};
    bool taken = compression == CCZ_RPC_GZIP;
    CHECK(ccz_rpc_unary(&answer, NULL, f->client, taken ? "/t.T/Take" : "/t.T/Change",
                        ccz_buf_span(&msg), &cfg, NULL) == CCZ_OK);
    CHECK(taken || (answer.size == msg.size && answer.ptr[1] == (uint8_t)(needle[1] ^ ANSWER_OF)));
    /* a second call: the first one is over for the server, too */
    ccz_buf_clear(&answer);
    CHECK(ccz_rpc_unary(&answer, NULL, f->client, "/t.T/Change", ccz_span_str("x"), NULL, NULL) ==
          CCZ_OK);
    for (size_t i = 0; i < NEEDLE_SIZE; i++)
        turned[i] = needle[i] ^ 0xff;
    for (int i = 0; i < LOOKS_MAX; i++) {
        CHECK(write(fd, turned, sizeof(turned)) == sizeof(turned));
        CHECK(read(fd, found, 2 * sizeof(*found)) == 2 * sizeof(*found));
        if (!wipe || !(found[0] || found[1]))
            return;
        (void)nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
    }
}

static void talk(bool wipe, bool framed)
{
    static const struct {
        size_t size; /* in one record; in several; in a block of the stock */
        enum ccz_rpc_compression compression;
    } cases[] = {{64, CCZ_RPC_IDENTITY},     {1500, CCZ_RPC_IDENTITY}, {60000, CCZ_RPC_IDENTITY},
                 {400000, CCZ_RPC_IDENTITY}, {30000, CCZ_RPC_GZIP},    {400000, CCZ_RPC_GZIP}};
    int fd[2];
    if (SANITIZED)
        return;
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, fd) == 0);
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        close(fd[0]);
        serve(fd[1], wipe, framed);
    }
    close(fd[1]);
    struct fixture f = {0};
    uint16_t port;
    CHECK(read(fd[0], &port, sizeof(port)) == sizeof(port));
    (void)snprintf(f.target, sizeof(f.target), "127.0.0.1:%u", port);
    make_client(&f, CCZ_RATLS_SESSION, (struct ccz_rpc_client_cfg){0});
    uint64_t requests = 0, answers = 0;
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        uint64_t found[2];
        ask(found, &f, fd[0], cases[i].size, cases[i].compression, wipe);
        if (wipe && (found[0] || found[1]))
            fprintf(stderr, "%zu bytes: %llu of the request, %llu of the answer\n", cases[i].size,
                    (unsigned long long)found[0], (unsigned long long)found[1]);
        requests += found[0];
        answers += found[1];
    }
    CHECK((requests == 0) == wipe);
    CHECK((answers == 0) == wipe);
    teardown(&f);
    close(fd[0]);
    int status;
    CHECK(waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

/* Without it they are there: the search finds what is to be found. */
static void test_left(void)
{
    talk(false, false);
}

static void test_wiped(void)
{
    talk(true, false);
    talk(true, true);
}

static const struct ccz_test tests[] = {
    {"rpc.wipe_without", test_left},
    {"rpc.wipe", test_wiped},
};

int main(int argc, char **argv)
{
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
