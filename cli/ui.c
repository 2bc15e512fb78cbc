/* SPDX-License-Identifier: Apache-2.0 */
#include "ui.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool g_bar; /* a progress bar is standing on the current terminal line */

CCZ_FMT(2, 0) static void line_v(const char *prefix, const char *fmt, va_list ap)
{
    char text[1024];
    (void)vsnprintf(text, sizeof(text), fmt, ap);
    if (g_bar)
        (void)fprintf(stderr, "\r\033[K");
    (void)fprintf(stderr, "%s%s\n", prefix, text);
    g_bar = false;
}

void ui_out(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    (void)vprintf(fmt, ap);
    va_end(ap);
}

void ui_out_span(struct ccz_span s)
{
    (void)fwrite(s.ptr, 1, s.size, stdout);
}

bool ui_out_is_terminal(void)
{
    return isatty(STDOUT_FILENO) != 0;
}

bool ui_out_flush(void)
{
    return fflush(stdout) == 0 && !ferror(stdout);
}

int ui_finish(int status)
{
    if (ui_out_flush())
        return status;
    ui_error("cannot write to standard output");
    return UI_ENV;
}

void ui_say(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    line_v("", fmt, ap);
    va_end(ap);
}

void ui_error(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    line_v("error: ", fmt, ap);
    va_end(ap);
}

void ui_hint(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    line_v("hint: ", fmt, ap);
    va_end(ap);
}

static int exit_status(ccz_rc rc)
{
    switch (rc) {
    case CCZ_OK:
        return UI_OK;
    case CCZ_E_ARG:
        return UI_USAGE;
    case CCZ_E_FORMAT:
    case CCZ_E_LIMIT:
    case CCZ_E_UNSUPPORTED:
    case CCZ_E_SIG:
    case CCZ_E_EXPIRED:
    case CCZ_E_POLICY:
    case CCZ_E_REVOKED:
    case CCZ_E_UNTRUSTED:
    case CCZ_E_MISMATCH:
    case CCZ_E_DENIED:
        return UI_NO;
    default:
        return UI_ENV;
    }
}

int ui_status(const struct ccz_err *err)
{
    return err->got[0] || err->expected[0] ? UI_NO : exit_status(err->rc);
}

/* Texts of a peer come escaped (ccz_escape()), for logs. What can be printed is shown to people as it is. */
static const char *readable(char out[CCZ_ERR_MSG_SIZE], const char *text)
{
    size_t n = 0;
    for (const char *p = text; *p && n + 1 < CCZ_ERR_MSG_SIZE; p++) {
        bool quote = strncmp(p, "\\x22", 4) == 0, backslash = strncmp(p, "\\x5c", 4) == 0;
        out[n++] = quote ? '"' : *p; /* a backslash is one already */
        p += quote || backslash ? 3 : 0;
    }
    out[n] = 0;
    return out;
}

int ui_fail(const struct ccz_err *err)
{
    char msg[CCZ_ERR_MSG_SIZE];
    if (err->got[0] || err->expected[0])
        ui_say("refused: %s: %s / %s", err->where, err->got, err->expected);
    else
        ui_error("%s: %s", err->where, readable(msg, err->msg));
    if (err->hint[0])
        ui_hint("%s", readable(msg, err->hint));
    return ui_status(err);
}

void ui_simulated(const char *what)
{
    static bool said;
    if (!said)
        ui_say("SIMULATED: %s; this proves nothing about real hardware", what);
    said = true;
}

void ui_progress(const char *label, uint64_t done, uint64_t total)
{
    static int64_t last_ms;
    int64_t now = ccz_mono_ms();
    bool tty = isatty(STDERR_FILENO) != 0;
    bool end = done >= total;
    if (last_ms == 0)
        last_ms = tty ? 0 : now;
    if (!end && now - last_ms < (tty ? 100 : 10000))
        return;
    last_ms = now;
    unsigned percent = total ? (unsigned)(done * 100 / total) : 100;
    if (!tty) {
        if (!end)
            (void)fprintf(stderr, "%s %u %%\n", label, percent);
        return;
    }
    char bar[31];
    for (unsigned i = 0; i < 30; i++)
        bar[i] = i < percent * 30 / 100 ? '#' : '.';
    bar[30] = 0;
    (void)fprintf(stderr, "\r\033[K%s [%s] %3u %%%s", label, bar, percent, end ? "\n" : "");
    g_bar = !end;
}

/* ------------------------------------------------------------------------------ options */

enum { OPT_MAX = 64, OPT_HELP = 1000 };

static void print_help(const char *usage, const struct ui_opt *opts)
{
    ui_out("usage: %s\n", usage);
    for (const struct ui_opt *o = opts; o->name; o++) {
        char left[64];
        (void)snprintf(left, sizeof(left), "--%s%s%s", o->name, o->arg ? " " : "",
                       o->arg ? o->arg : "");
        ui_out("  %-28s %s\n", left, o->help);
    }
}

static bool set_option(const struct ui_opt *o, const char *value)
{
    if (o->flag)
        *o->flag = true;
    if (o->text)
        *o->text = value;
    if (o->number) {
        char *end = NULL;
        errno = 0;
        long long v = strtoll(value, &end, 10);
        if (errno != 0 || end == value || *end != 0) {
            ui_error("--%s: \"%s\" is not a number", o->name, value);
            return false;
        }
        *o->number = v;
    }
    return true;
}

int ui_parse(int argc, char **argv, const char *usage, const struct ui_opt *opts)
{
    struct option lo[OPT_MAX + 2] = {0};
    int n = 0;
    for (; opts[n].name && n < OPT_MAX; n++)
        lo[n] =
            (struct option){opts[n].name, opts[n].flag ? no_argument : required_argument, NULL, n};
    if (opts[n].name) { /* the rest would be unknown */
        ui_error("more than %d options: --%s is one too many", OPT_MAX, opts[n].name);
        return -1;
    }
    lo[n] = (struct option){"help", no_argument, NULL, OPT_HELP};
    optind = 1;
    opterr = 0;
    for (int c; (c = getopt_long(argc, argv, "h", lo, NULL)) != -1;) {
        if (c == 'h' || c == OPT_HELP) {
            print_help(usage, opts);
            return -2;
        }
        if (c < 0 || c >= n) {
            ui_error("unknown option or missing value: %s", argv[optind - 1]);
            ui_hint("usage: %s", usage);
            return -1;
        }
        if (!set_option(&opts[c], optarg))
            return -1;
    }
    int left = argc - optind;
    memmove(argv, argv + optind,
            sizeof(char *) * (size_t)left); /* getopt_long moved operands last */
    return left;
}

int ui_parse_status(int n)
{
    return n == -2 ? UI_OK : UI_USAGE;
}

bool ui_real(double *out, const char *name, const char *text, double fallback, double low,
             double high)
{
    char *end = NULL;
    *out = fallback;
    if (!text)
        return true;
    *out = strtod(text, &end);
    if (end != text && *end == '\0' && *out >= low && *out <= high)
        return true;
    ui_error("--%s: %s is no number from %g to %g", name, text, low, high);
    return false;
}

bool ui_count(const char *name, int64_t v, int64_t low, int64_t high)
{
    if (v >= low && v <= high)
        return true;
    ui_error("--%s: %lld is not from %lld to %lld", name, (long long)v, (long long)low,
             (long long)high);
    return false;
}

bool ui_needs(const struct ui_need *needs, size_t len)
{
    size_t i = 0;
    while (i < len && needs[i].given)
        i++;
    if (i < len)
        ui_error("--%s is required", needs[i].name);
    return i == len;
}

int ui_verbs(const char *command, const struct ui_verb *verbs, size_t len, int argc, char **argv)
{
    if (argc < 2 || strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
        ui_out("usage: cczoo %s VERB [--help]\n\n", command);
        for (size_t i = 0; i < len; i++)
            ui_out("  %-10s %-8s %s\n", verbs[i].name, verbs[i].args, verbs[i].help);
        return argc < 2 ? UI_USAGE : UI_OK;
    }
    for (size_t i = 0; i < len; i++)
        if (strcmp(argv[1], verbs[i].name) == 0)
            return verbs[i].run(argc - 1, argv + 1);
    ui_error("no such verb: %s %s", command, argv[1]);
    ui_hint("cczoo %s --help lists the verbs", command);
    return UI_USAGE;
}
