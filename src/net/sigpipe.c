/* SPDX-License-Identifier: Apache-2.0 */
/* OpenSSL writes with write(), not with send(MSG_NOSIGNAL). A process that uses this library need not ignore SIGPIPE
 * for it: the signal goes to the thread that writes, which keeps it blocked and takes it away. */
#define _POSIX_C_SOURCE 200809L
#include "net/net_priv.h"

#include <time.h>

void cczi_sigpipe_block(struct cczi_sigpipe *s)
{
    sigset_t pipe_only, pending;
    (void)sigemptyset(&pipe_only);
    (void)sigaddset(&pipe_only, SIGPIPE);
    (void)sigpending(&pending);
    s->was_pending = sigismember(&pending, SIGPIPE) == 1;
    (void)pthread_sigmask(SIG_BLOCK, &pipe_only, &s->old);
}

void cczi_sigpipe_restore(const struct cczi_sigpipe *s)
{
    static const struct timespec at_once;
    sigset_t pipe_only;
    (void)sigemptyset(&pipe_only);
    (void)sigaddset(&pipe_only, SIGPIPE);
    if (!s->was_pending)
        (void)sigtimedwait(&pipe_only, NULL, &at_once);
    (void)pthread_sigmask(SIG_SETMASK, &s->old, NULL);
}
