/* SPDX-License-Identifier: Apache-2.0 */
#define _DEFAULT_SOURCE
#include <cczoo/base.h>

#include <stdio.h>
#include <time.h>
#include <unistd.h>

static struct {
    ccz_log_sink sink;
    void *arg;
    enum ccz_log_level max_level;
} g_log;

void ccz_log_install(ccz_log_sink sink, void *arg, enum ccz_log_level max_level)
{
    g_log.arg = arg;
    g_log.max_level = max_level;
    g_log.sink = sink;
}

void ccz_log(enum ccz_log_level level, const char *module, const char *fmt, ...)
{
    if (!g_log.sink || level > g_log.max_level)
        return;
    char line[1024];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(line, sizeof(line), fmt, ap);
    va_end(ap);
    g_log.sink(g_log.arg, level, module, line);
}

void ccz_log_stderr(void *arg, enum ccz_log_level level, const char *module, const char *line)
{
    (void)arg;
    static const char *const names[] = {"error", "warn", "info", "debug"};
    char at[21], out[1200];
    ccz_time_format(at, (int64_t)time(NULL));
    int n = snprintf(out, sizeof(out), "%s %s %s: %s\n", at, names[level], module, line);
    if (n > (int)sizeof(out) - 1)
        n = (int)sizeof(out) - 1;
    if (n > 0 && write(STDERR_FILENO, out, (size_t)n) < 0)
        return; /* nowhere left to complain */
}
