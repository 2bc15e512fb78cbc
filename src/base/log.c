/* SPDX-License-Identifier: Apache-2.0 */
#define _DEFAULT_SOURCE
#include <cczoo/base.h>

#include <stdio.h>
#include <string.h>
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

static void put_field(char *line, size_t size, const char *name, const char *value)
{
    size_t n = strlen(line);
    char text[CCZ_ERR_MSG_SIZE];
    if (!value[0])
        return;
    ccz_escape(text, sizeof(text), ccz_span_str(value));
    (void)snprintf(line + n, size - n, " %s=\"%s\"", name, text);
}

void ccz_log_err(enum ccz_log_level level, const char *module, const char *what,
                 const struct ccz_err *err)
{
    char line[1024], where[CCZ_ERR_WHERE_SIZE];
    ccz_escape(where, sizeof(where), ccz_span_str(err->where));
    (void)snprintf(line, sizeof(line), "%.300s where=%s", what, where);
    put_field(line, sizeof(line), "got", err->got);
    put_field(line, sizeof(line), "expected", err->expected);
    put_field(line, sizeof(line), "msg", err->msg);
    put_field(line, sizeof(line), "hint", err->hint);
    ccz_log(level, module, "%s", line);
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
