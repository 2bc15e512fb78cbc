/* SPDX-License-Identifier: Apache-2.0 */
/* Text of the KBS protocol that strangers send: cookies and the paths of resources, and what sessions make of them. */
#include "kmsdoor/kbs_priv.h"

#include <stdlib.h>
#include <string.h>

enum { NOW_S = 1750000000 };

static void expect(bool ok)
{
    if (!ok)
        abort();
}

static void check_path(const char *text)
{
    char name[CCZI_KBS_NAME_SIZE];
    struct ccz_err err = {0};
    if (cczi_kbs_resource(name, text, &err) != CCZ_OK) {
        expect(name[0] == 0 && strcmp(err.where, "kbs:path") == 0);
        return;
    }
    size_t slashes = 0;
    expect(strcmp(name, text) == 0 && !strchr(name, '%') && !strstr(name, "/.") && name[0] != '.');
    for (const char *p = name; *p; p++)
        slashes += *p == '/';
    expect(slashes == 2 && !strstr(name, "//") && name[strlen(name) - 1] != '/');
}

/* Nobody guesses a session. */
static void check_cookie(const char *text, const struct cczi_kbs_sessions *s)
{
    struct ccz_span cookie = cczi_kbs_cookie(text);
    struct cczi_kbs_session *e = NULL;
    struct cczi_kbs_open o;
    expect(cookie.size == 0 || (cookie.ptr >= (const uint8_t *)text &&
                                cookie.ptr + cookie.size <= (const uint8_t *)text + strlen(text)));
    expect(!cookie.size || !memchr(cookie.ptr, ';', cookie.size));
    expect(cczi_kbs_by_cookie(&e, s, cookie, NOW_S, NULL) != CCZ_OK && !e);
    expect(cczi_kbs_by_token(&e, s, ccz_span_str(text), NOW_S, NULL) != CCZ_OK && !e);
    expect(cczi_kbs_resume(&o, s, cookie, ccz_span_str(text), NOW_S, NULL) != CCZ_OK);
    expect(o.tee == CCZ_TEE_NONE);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct cczi_kbs_sessions *s;
    const struct cczi_kbs_sessions_cfg cfg = {4, 4, 300};
    if (!s)
        expect(cczi_kbs_sessions_new(&s, &cfg, NULL) == CCZ_OK);
    char *text = malloc(size + 1);
    expect(text);
    if (size)
        memcpy(text, data, size);
    text[size] = 0;
    check_path(text);
    check_cookie(text, s);
    free(text);
    return 0;
}
