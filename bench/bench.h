/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_BENCH_H
#define CCZ_BENCH_H
/* What the one-threaded benches share. Define _POSIX_C_SOURCE 200809L first. */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { BENCH_ROUNDS = 7, BENCH_BATCH = 20 };
#define BENCH_ROUND_NS 300000000

static inline void must(bool ok, const char *what)
{
    if (!ok) {
        fprintf(stderr, "error: %s\n", what);
        exit(1);
    }
}

/* CPU time of this one-threaded process: what other processes take does not count. */
static inline int64_t cpu_ns(void)
{
    struct timespec t;
    must(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t) == 0, "clock");
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* Wall time, for what uses more than one thread. */
static inline int64_t wall_ns(void)
{
    struct timespec t;
    must(clock_gettime(CLOCK_MONOTONIC, &t) == 0, "clock");
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* The most memory that the process has had at a time, VmHWM, in kB. */
static inline long peak_kb(void)
{
    char line[128];
    long kb = -1;
    FILE *f = fopen("/proc/self/status", "r");
    must(f, "/proc/self/status");
    while (kb < 0 && fgets(line, sizeof(line), f))
        if (strncmp(line, "VmHWM:", 6) == 0)
            kb = strtol(line + 6, NULL, 10);
    (void)fclose(f);
    return kb;
}

/* Best of BENCH_ROUNDS, calls per second. */
static inline double per_second(void (*call)(void *arg), void *arg)
{
    double best = 0;
    for (int r = 0; r < BENCH_ROUNDS; r++) {
        int64_t start_ns = cpu_ns(), now_ns;
        int n = 0;
        do {
            for (int i = 0; i < BENCH_BATCH; i++)
                call(arg);
            n += BENCH_BATCH;
            now_ns = cpu_ns();
        } while (now_ns - start_ns < BENCH_ROUND_NS);
        double rate = n * 1e9 / (double)(now_ns - start_ns);
        best = rate > best ? rate : best;
    }
    return best;
}
#endif
