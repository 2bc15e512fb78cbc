/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_SRC_CONDWAIT_H
#define CCZ_SRC_CONDWAIT_H
/* Condition variables with deadlines on the clock of ccz_mono_ms(), which no one sets back. */
#include <cczoo/base.h>

#include <pthread.h>
#include <time.h>

static inline void cczi_cond_init(pthread_cond_t *cond)
{
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(cond, &attr);
    pthread_condattr_destroy(&attr);
}

/* The time @p timeout_ms from now; INT64_MAX stays "never". */
static inline int64_t cczi_deadline_ms(int64_t timeout_ms)
{
    int64_t now = ccz_mono_ms();
    if (timeout_ms > INT64_MAX - now)
        return INT64_MAX;
    return timeout_ms > 0 ? now + timeout_ms : now;
}

/* @return false once the deadline passed; true says nothing (spurious wake-ups) */
static inline bool cczi_cond_wait(pthread_cond_t *cond, pthread_mutex_t *lock, int64_t deadline_ms)
{
    if (deadline_ms == INT64_MAX)
        return pthread_cond_wait(cond, lock) == 0;
    struct timespec at = {.tv_sec = (time_t)(deadline_ms / 1000),
                          .tv_nsec = (long)(deadline_ms % 1000) * 1000000};
    return pthread_cond_timedwait(cond, lock, &at) == 0;
}
#endif
