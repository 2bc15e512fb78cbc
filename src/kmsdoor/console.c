/* SPDX-License-Identifier: Apache-2.0 */
/* GET /console/: the files of web/. Anybody may have them, they hold nothing of the store: what the console shows it asks for
 * by POST /v1/..., as the one who sits before it. */
#include "console.h"
#include "door_priv.h"

#include <string.h>

/* Nothing but what came from here runs, is shown or is talked to; no other page frames it; and what the scripts would make
 * markup of text with, browsers refuse (Trusted Types without any policy). */
static const char csp[] =
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'";

static const struct cczi_console_file *find_file(const char *name)
{
    for (size_t i = 0; i < cczi_console_files_len; i++)
        if (strcmp(cczi_console_files[i].name, name) == 0)
            return &cczi_console_files[i];
    return NULL;
}

static void on_file(struct cczi_door_req *r, void *arg)
{
    (void)arg;
    const struct cczi_console_file *f = find_file(r->rest);
    struct ccz_err err = {0};
    if (!f) {
        ccz_fail(&err, CCZ_E_NOT_FOUND, "door:not-found", 0, "the console has no such file");
        cczi_door_reply_err(r, &err);
        return;
    }
    /* kept by the browser, but asked about each time: after an update nobody mixes the files of two versions */
    const struct ccz_http_field headers[] = {
        {"Cache-Control", "no-cache"},
        {"ETag", f->etag},
        {"Content-Security-Policy", csp},
        {"Referrer-Policy", "no-referrer"},
        {"X-Frame-Options", "DENY"},
        {"Cross-Origin-Opener-Policy", "same-origin"},
        {"Cross-Origin-Resource-Policy", "same-origin"},
        {"Permissions-Policy", "camera=(), geolocation=(), microphone=(), payment=(), usb=()"},
    };
    const char *have = ccz_http_header(r->http, "If-None-Match");
    bool same = have && strstr(have, f->etag) != NULL;
    cczi_door_reply(r,
                    &(struct ccz_http_answer){.status = same ? 304 : 200,
                                              .content_type = f->type,
                                              .body = CCZ_SPAN(f->ptr, same ? 0 : f->size),
                                              .headers = headers,
                                              .headers_len = sizeof(headers) / sizeof(*headers)});
}

static void on_bare(struct cczi_door_req *r, void *arg)
{
    (void)arg;
    const struct ccz_http_field to = {"Location", "/console/"};
    cczi_door_reply(r, &(struct ccz_http_answer){.status = 308, .headers = &to, .headers_len = 1});
}

ccz_rc cczi_door_add_console(struct ccz_kms_door *d, struct ccz_err *err)
{
    static const struct cczi_door_route files = {.name = "console",
                                                 .methods = "GET",
                                                 .path = "/console/",
                                                 .flags = CCZI_DOOR_OWN_AUTH,
                                                 .fn = on_file};
    static const struct cczi_door_route bare = {.name = "console",
                                                .methods = "GET",
                                                .path = "/console",
                                                .flags = CCZI_DOOR_OWN_AUTH,
                                                .fn = on_bare};
    ccz_rc rc = cczi_door_route(d, &files, err);
    return rc == CCZ_OK ? cczi_door_route(d, &bare, err) : rc;
}
