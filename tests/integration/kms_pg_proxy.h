/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KMS_PG_PROXY_H
#define KMS_PG_PROXY_H
/* A proxy before PostgreSQL that cuts connections at a COMMIT, or goes silent; for kms_pg_cases.c. */
#include "ccz_test.h"

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* Between the store and the server: cuts the connection at a COMMIT. Silent: keeps it and lets nothing through any more, as a server that
 * stands still; from the statement g_silent_at on, or from a COMMIT on and on new connections as well. */
enum cut { PASS, BEFORE, AFTER, AFTER_AND_AWAY, SILENT, AFTER_AND_SILENT };
static _Atomic enum cut g_cut;
static atomic_int g_cuts, g_asked;   /* connections that met a silent server */
static atomic_int g_conns, g_chunks; /* connections; what came over them from the client */
static char g_silent_at[16];         /* name of a prepared statement */
static char g_proxy_dir[300], g_proxy_info[600];

static int connect_server(void)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    (void)snprintf(a.sun_path, sizeof(a.sun_path), "%.80s/.s.PGSQL.5499",
                   getenv("CCZ_TEST_PG_DIR"));
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(fd >= 0 && connect(fd, (struct sockaddr *)&a, sizeof(a)) == 0);
    return fd;
}

/* Until the client gives up. The server is not told: it has to notice by itself. */
static void keep_silent(int client)
{
    char buf[4096];
    atomic_fetch_add(&g_asked, 1);
    while (read(client, buf, sizeof(buf)) > 0)
        ;
    (void)poll(NULL, 0, 60000);
}

/* A Bind of g_silent_at: portal "", then the name. */
static bool binds(const char *buf, size_t n)
{
    char bind[20] = "";
    size_t size = strlen(g_silent_at) + 2;
    memcpy(bind + 1, g_silent_at, size - 1);
    return memmem(buf, n, bind, size) != NULL;
}

/* Takes one chunk; false = the connection ends. */
static bool relay(int from, int to, bool *discard, bool from_client)
{
    char buf[65536];
    ssize_t n = read(from, buf, sizeof(buf));
    if (n <= 0)
        return false;
    if (from_client)
        atomic_fetch_add(&g_chunks, 1);
    if (from_client && g_cut == SILENT) {
        if (binds(buf, (size_t)n)) {
            g_cut = PASS;
            keep_silent(from);
            return false;
        }
    } else if (from_client && g_cut != PASS && memmem(buf, (size_t)n, "COMMIT", 7)) {
        atomic_fetch_add(&g_cuts, 1);
        if (g_cut == BEFORE) {
            g_cut = PASS;
            return false;
        }
        *discard = true; /* the answer is read, so that it is committed, and goes nowhere */
    } else if (*discard) {
        if (g_cut == AFTER)
            g_cut = PASS;
        if (g_cut == AFTER_AND_SILENT)
            keep_silent(to);
        return false;
    }
    return write(to, buf, (size_t)n) == n;
}

static void *serve_one(void *arg)
{
    int client = (int)(intptr_t)arg, server = connect_server();
    atomic_fetch_add(&g_conns, 1);
    if (g_cut == AFTER_AND_SILENT && g_cuts) {
        keep_silent(client);
        close(server);
        return NULL;
    }
    bool discard = false;
    struct pollfd p[2] = {{client, POLLIN, 0}, {server, POLLIN, 0}};
    while (poll(p, 2, -1) > 0) {
        if (p[0].revents && !relay(client, server, &discard, true))
            break;
        if (p[1].revents && !relay(server, client, &discard, false))
            break;
    }
    close(client);
    close(server);
    return NULL;
}

static void *accept_all(void *arg)
{
    int listener = (int)(intptr_t)arg;
    for (;;) {
        int fd = accept(listener, NULL, NULL);
        if (fd < 0)
            return NULL;
        pthread_t t;
        if (g_cut == AFTER_AND_AWAY && g_cuts) { /* and the server is away */
            close(fd);
            continue;
        }
        CHECK(pthread_create(&t, NULL, serve_one, (void *)(intptr_t)fd) == 0 &&
              pthread_detach(t) == 0);
    }
}

/* @param dir  where its socket goes */
static void start_proxy(const char *dir)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    pthread_t t;
    (void)snprintf(g_proxy_dir, sizeof(g_proxy_dir), "%s", dir);
    CHECK(snprintf(a.sun_path, sizeof(a.sun_path), "%.80s/.s.PGSQL.5498", g_proxy_dir) < 100);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(fd >= 0 && bind(fd, (struct sockaddr *)&a, sizeof(a)) == 0 && listen(fd, 8) == 0);
    CHECK(pthread_create(&t, NULL, accept_all, (void *)(intptr_t)fd) == 0);
    (void)snprintf(g_proxy_info, sizeof(g_proxy_info),
                   "host=%s port=5498 user=tester dbname=postgres", g_proxy_dir);
    (void)signal(SIGPIPE, SIG_IGN);
}
#endif
