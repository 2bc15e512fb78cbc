/* SPDX-License-Identifier: Apache-2.0 */
/* The end: balancers hear of it before connections do, and nothing that runs can put it off for ever. */
#include "served.h"

#include "../../cli/ui.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

void served_leave(struct served_work *w, struct served_grpc *g, int64_t wait_ms)
{
    const struct timespec wait = {.tv_sec = wait_ms / 1000, .tv_nsec = wait_ms % 1000 * 1000000};
    sigset_t ends;
    ccz_infer_leave(w->models);
    served_grpc_leave(g);
    if (wait_ms <= 0)
        return;
    ccz_log(CCZ_LOG_INFO, "served", "leaving ready=no wait_ms=%lld", (long long)wait_ms);
    (void)sigemptyset(&ends);
    (void)sigaddset(&ends, SIGTERM); /* once more: whoever says so twice does not want to wait */
    (void)sigaddset(&ends, SIGINT);
    (void)sigtimedwait(&ends, NULL, &wait);
}

static void *end_main(void *arg)
{
    const int64_t *ms = arg;
    const int64_t until_ms = ccz_mono_ms() + *ms;
    for (int64_t left; (left = until_ms - ccz_mono_ms()) > 0;) {
        const struct timespec rest = {.tv_sec = left / 1000, .tv_nsec = left % 1000 * 1000000};
        (void)nanosleep(&rest, NULL);
    }
    ccz_log(CCZ_LOG_ERROR, "served",
            "ended=by-force after_ms=%lld: something still ran, its answers are lost",
            (long long)*ms);
    _exit(UI_ENV);
}

void served_end_within(int64_t ms)
{
    static int64_t limit_ms; /* once in a process */
    pthread_t thread;
    limit_ms = ms;
    int e = pthread_create(&thread, NULL, end_main, &limit_ms);
    if (e == 0)
        (void)pthread_detach(thread);
    else
        ccz_log(CCZ_LOG_WARN, "served", "end=unbounded: no thread, errno=%d", e);
}
