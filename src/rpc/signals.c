/* SPDX-License-Identifier: Apache-2.0 */
/* Daemons: a signal ends the servers of a program, calls in flight first. */
#define _DEFAULT_SOURCE
#include "server.h"

#include <errno.h>
#include <signal.h>
#include <time.h>

enum { LOOK_MS = 20 }; /* how often it is asked whether the last call is over */

static void ending_signals(sigset_t *set)
{
    sigemptyset(set);
    sigaddset(set, SIGTERM);
    sigaddset(set, SIGINT);
}

void ccz_rpc_signals_block(void)
{
    sigset_t set;
    ending_signals(&set);
    (void)pthread_sigmask(SIG_BLOCK, &set, NULL);
}

static bool all_stopped(struct ccz_rpc_server *const *servers, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (!cczi_server_stopped(servers[i]))
            return false;
    return true;
}

void ccz_rpc_serve(struct ccz_rpc_server *const *servers, size_t servers_len, int64_t grace_ms)
{
    const struct timespec look = {.tv_nsec = (long)LOOK_MS * 1000000};
    sigset_t set;
    int signo = 0;
    ccz_rpc_signals_block();
    ending_signals(&set);
    while (sigwait(&set, &signo) != 0 && errno == EINTR) {
    }
    ccz_log(CCZ_LOG_INFO, "rpc", "stopping signal=%d grace_ms=%lld", signo, (long long)grace_ms);
    for (size_t i = 0; i < servers_len; i++)
        cczi_server_begin_stop(servers[i], grace_ms);
    bool hurried = false;
    while (!all_stopped(servers, servers_len)) {
        if (sigtimedwait(&set, NULL, &look) < 0 || hurried)
            continue;
        hurried = true;
        for (size_t i = 0; i < servers_len; i++)
            cczi_server_hurry_stop(servers[i]);
    }
    for (size_t i = 0; i < servers_len; i++)
        cczi_server_end_stop(servers[i]);
}
