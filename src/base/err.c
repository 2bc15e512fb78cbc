/* SPDX-License-Identifier: Apache-2.0 */
#include <cczoo/base.h>

#include <stdio.h>
#include <string.h>

const char *ccz_rc_str(ccz_rc rc)
{
    switch (rc) {
#define X(name, value, text)                                                                       \
    case CCZ_##name:                                                                               \
        return text;
        CCZ_RC_MAP(X)
#undef X
    }
    return "unknown error";
}

const char *ccz_rc_name(ccz_rc rc)
{
    switch (rc) {
#define X(name, value, text)                                                                       \
    case CCZ_##name:                                                                               \
        return "CCZ_" #name;
        CCZ_RC_MAP(X)
#undef X
    }
    return "CCZ_?";
}

static void err_start(struct ccz_err *err, ccz_rc rc, const char *where, int64_t aux)
{
    char w[CCZ_ERR_WHERE_SIZE]; /* where may point into *err */
    (void)snprintf(w, sizeof(w), "%s", where);
    *err = (struct ccz_err){.rc = rc, .aux = aux};
    memcpy(err->where, w, sizeof(w));
}

ccz_rc ccz_fail(struct ccz_err *err, ccz_rc rc, const char *where, int64_t aux, const char *fmt,
                ...)
{
    if (err) {
        va_list ap;
        err_start(err, rc, where, aux);
        va_start(ap, fmt);
        (void)vsnprintf(err->msg, sizeof(err->msg), fmt, ap);
        va_end(ap);
    }
    return rc;
}

ccz_rc ccz_refuse(struct ccz_err *err, ccz_rc rc, const char *where, const char *got,
                  const char *expected)
{
    if (err) {
        /* Either argument may point into *err (a refusal that quotes an earlier one). */
        char g[CCZ_ERR_VALUE_SIZE], e[CCZ_ERR_VALUE_SIZE];
        (void)snprintf(g, sizeof(g), "%s", got);
        (void)snprintf(e, sizeof(e), "%s", expected);
        err_start(err, rc, where, 0);
        (void)snprintf(err->got, sizeof(err->got), "%s", g);
        (void)snprintf(err->expected, sizeof(err->expected), "%s", e);
        (void)snprintf(err->msg, sizeof(err->msg), "got %.85s, expected %.85s", g, e);
    }
    return rc;
}

static void hex_cut(char out[CCZ_ERR_VALUE_SIZE], const void *bytes, size_t size)
{
    size_t max = (CCZ_ERR_VALUE_SIZE - 3) / 2;
    bool cut = size > max;
    ccz_hex(out, bytes, cut ? max : size);
    if (cut)
        (void)snprintf(out + 2 * max, 3, "..");
    if (size == 0)
        (void)snprintf(out, CCZ_ERR_VALUE_SIZE, "(empty)");
}

ccz_rc ccz_refuse_bytes(struct ccz_err *err, ccz_rc rc, const char *where, const void *got,
                        size_t got_size, const void *expected, size_t expected_size)
{
    char g[CCZ_ERR_VALUE_SIZE], e[CCZ_ERR_VALUE_SIZE];
    hex_cut(g, got, got_size);
    hex_cut(e, expected, expected_size);
    return ccz_refuse(err, rc, where, g, e);
}

ccz_rc ccz_refuse_num(struct ccz_err *err, ccz_rc rc, const char *where, int64_t got,
                      int64_t expected)
{
    char g[24], e[24];
    (void)snprintf(g, sizeof(g), "%lld", (long long)got);
    (void)snprintf(e, sizeof(e), "%lld", (long long)expected);
    ccz_refuse(err, rc, where, g, e);
    if (err)
        err->aux = got;
    return rc;
}

ccz_rc ccz_hint(struct ccz_err *err, ccz_rc rc, const char *hint)
{
    if (err)
        (void)snprintf(err->hint, sizeof(err->hint), "%s", hint ? hint : "");
    return rc;
}
