/* SPDX-License-Identifier: Apache-2.0 */
/* PKCS#11 URIs (RFC 7512), as much as kms_master.h promises. */
#include "master_priv.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Undoes percent-encoding into a bounded text; no control bytes. */
static bool decode(char *out, size_t out_size, const char *in, size_t size)
{
    size_t n = 0;
    for (size_t i = 0; i < size; i++) {
        uint8_t c = (uint8_t)in[i];
        if (c == '%') {
            if (size - i < 3 || ccz_unhex(&c, 1, in + i + 1, 2) != CCZ_OK)
                return false;
            i += 2;
        }
        if (c < 0x20 || c == 0x7f || n + 1 >= out_size)
            return false;
        out[n++] = (char)c;
    }
    out[n] = 0;
    return n > 0;
}

static ccz_rc bad(struct ccz_err *err, const char *name)
{
    return ccz_refuse(err, CCZ_E_ARG, "kms:p11-uri", name,
                      "token=LABEL;object=LABEL[;type=private]?module-path=/FILE&pin-source=/FILE");
}

/* "file:/PATH", "/PATH" or "fd:N" */
static bool pin_source(struct cczi_p11_uri *u, const char *value)
{
    if (strncmp(value, "fd:", 3) == 0) {
        char *end;
        long n = strtol(value + 3, &end, 10);
        u->pin_fd = (int)n;
        return end != value + 3 && *end == 0 && n >= 0 && n < 1 << 20;
    }
    const char *path = strncmp(value, "file:", 5) == 0 ? value + 5 : value;
    (void)snprintf(u->pin_file, sizeof(u->pin_file), "%s", path);
    return path[0] == '/';
}

/* A set of bits of what was given, so that nothing is given twice. */
enum { TOKEN = 1, OBJECT = 2, TYPE = 4, MODULE = 8, PIN = 16, OAEP = 32 };

static ccz_rc attribute(struct cczi_p11_uri *u, unsigned *seen, bool query, const char *name,
                        const char *text, size_t size, struct ccz_err *err)
{
    static const struct {
        const char *name;
        bool query;
        unsigned bit;
    } known[] = {{"token", false, TOKEN},       {"object", false, OBJECT}, {"type", false, TYPE},
                 {"module-path", true, MODULE}, {"pin-source", true, PIN}, {"oaep", true, OAEP}};
    if (query && strcmp(name, "pin-value") == 0) {
        (void)ccz_refuse(err, CCZ_E_ARG, "kms:p11-pin", "pin-value", "pin-source=/FILE");
        return ccz_hint(err, CCZ_E_ARG,
                        "everybody on this machine can read a command line: change that PIN");
    }
    unsigned bit = 0;
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
        if (known[i].query == query && strcmp(known[i].name, name) == 0)
            bit = known[i].bit;
    char value[4096];
    if (!bit || *seen & bit || !decode(value, sizeof(value), text, size))
        return bad(err, name);
    *seen |= bit;
    bool ok = true;
    if (bit == TOKEN) {
        ok = decode(u->token, sizeof(u->token), text, size);
    } else if (bit == OBJECT) {
        ok = decode(u->object, sizeof(u->object), text, size);
    } else if (bit == TYPE) {
        u->rsa = strcmp(value, "private") == 0;
        ok = u->rsa || strcmp(value, "secret-key") == 0 || strcmp(value, "data") == 0;
    } else if (bit == MODULE) {
        (void)snprintf(u->module, sizeof(u->module), "%s", value);
        ok = value[0] == '/'; /* dlopen() would search for anything else */
    } else if (bit == PIN) {
        ok = pin_source(u, value);
    } else {
        u->oaep_sha1 = strcmp(value, "sha1") == 0;
        ok = u->oaep_sha1 || strcmp(value, "sha256") == 0;
    }
    return ok ? CCZ_OK : bad(err, name);
}

/* One part of the URI: "name=value" with this separator between them. */
static ccz_rc part(struct cczi_p11_uri *u, unsigned *seen, bool query, const char *text,
                   size_t size, struct ccz_err *err)
{
    const char separator = query ? '&' : ';';
    for (;;) {
        const char *end = memchr(text, separator, size);
        size_t n = end ? (size_t)(end - text) : size;
        const char *equal = memchr(text, '=', n);
        char name[16] = "";
        size_t name_size = equal ? (size_t)(equal - text) : 0;
        if (name_size == 0 || name_size >= sizeof(name))
            return bad(err, "an attribute without a known name");
        memcpy(name, text, name_size);
        if (strspn(name, "abcdefghijklmnopqrstuvwxyz-") != name_size)
            return bad(err, "an attribute without a known name");
        ccz_rc rc = attribute(u, seen, query, name, equal + 1, n - name_size - 1, err);
        if (rc != CCZ_OK || !end)
            return rc;
        text = end + 1;
        size -= n + 1;
    }
}

ccz_rc cczi_p11_uri_parse(struct cczi_p11_uri *out, const char *text, struct ccz_err *err)
{
    *out = (struct cczi_p11_uri){.pin_fd = -1};
    unsigned seen = 0;
    size_t path = strcspn(text, "?");
    ccz_rc rc = part(out, &seen, false, text, path, err);
    if (rc == CCZ_OK && text[path])
        rc = part(out, &seen, true, text + path + 1, strlen(text + path + 1), err);
    if (rc == CCZ_OK && (seen & (TOKEN | OBJECT | MODULE | PIN)) != (TOKEN | OBJECT | MODULE | PIN))
        rc = bad(err, "a URI without one of its four parts");
    if (rc == CCZ_OK && seen & OAEP && !out->rsa)
        rc = bad(err, "oaep");
    if (rc != CCZ_OK)
        *out = (struct cczi_p11_uri){.pin_fd = -1};
    return rc;
}
