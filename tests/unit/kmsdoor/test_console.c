/* SPDX-License-Identifier: Apache-2.0 */
/* GET /console/: the files, their digests, and what browsers are told. What the console does: tests/web. */
#define _GNU_SOURCE
#include "kmsdoor/console.h"
#include "kmsdoor/door_kit.h"

static bool has_line(const struct reply *r, const char *line)
{
    char want[512];
    (void)snprintf(want, sizeof(want), "\r\n%s\r\n", line);
    if (strstr(r->headers, want) != NULL)
        return true;
    fprintf(stderr, "no \"%s\" in\n%s", line, r->headers);
    return false;
}

static unsigned get(struct kit *k, struct reply *r, const char *path, const char *header)
{
    return kit_ask(k, r, &(struct ask){.path = path, .header = header});
}

static void test_files(void)
{
    struct kit k;
    struct reply r;
    kit_open(&k, &(struct kit_opts){0});
    for (size_t i = 0; i < cczi_console_files_len; i++) {
        const struct cczi_console_file *f = &cczi_console_files[i];
        uint8_t sum[32];
        char path[96], line[160], tag[96], hex[65];
        (void)snprintf(path, sizeof(path), "/console/%s", f->name);
        CHECK(get(&k, &r, path, NULL) == 200);
        CHECK(r.size == f->size && memcmp(r.body, f->ptr, f->size) == 0);
        CHECK(ccz_sha256(sum, CCZ_SPAN(r.body, r.size)) == CCZ_OK);
        ccz_hex(hex, sum, 32);
        (void)snprintf(line, sizeof(line), "ETag: \"%s\"", hex);
        CHECK(has_line(&r, line));
        (void)snprintf(line, sizeof(line), "Content-Type: %s", f->type);
        CHECK(has_line(&r, line));
        (void)snprintf(tag, sizeof(tag), "If-None-Match: \"other\", W/\"%s\"", hex);
        CHECK(get(&k, &r, path, tag) == 304 && r.size == 0);
        CHECK(get(&k, &r, path, "If-None-Match: \"other\"") == 200);
    }
    kit_close(&k);
}

static void test_headers(void)
{
    struct kit k;
    struct reply r;
    kit_open(&k, &(struct kit_opts){0});
    CHECK(get(&k, &r, "/console/", NULL) == 200);
    CHECK(has_line(&r, "Cache-Control: no-cache") && strstr(r.headers, "no-store") == NULL);
    CHECK(has_line(&r, "X-Content-Type-Options: nosniff"));
    CHECK(has_line(&r, "Referrer-Policy: no-referrer"));
    CHECK(has_line(&r, "Cross-Origin-Opener-Policy: same-origin"));
    CHECK(has_line(&r, "X-Frame-Options: DENY"));
    CHECK(has_line(&r, "Content-Security-Policy: default-src 'none'; script-src 'self'; "
                       "style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; "
                       "form-action 'none'; frame-ancestors 'none'; require-trusted-types-for "
                       "'script'; trusted-types 'none'"));
    /* only what is in files: nothing in the page that the policy would have to allow */
    CHECK(strcasestr(r.body, " onclick") == NULL && strcasestr(r.body, "<style") == NULL &&
          strcasestr(r.body, " style=") == NULL);
    CHECK(strcasestr(r.body, "http:") == NULL && strcasestr(r.body, "https:") == NULL);
    kit_close(&k);
}

static void test_others(void)
{
    struct kit k;
    struct reply r;
    kit_open(&k, &(struct kit_opts){0});
    CHECK(get(&k, &r, "/console", NULL) == 308 && has_line(&r, "Location: /console/"));
    static const char *const none[] = {"/console/index.html", "/console/main.jsx",
                                       "/console/main.js/",   "/console/x/main.js",
                                       "/console/MAIN.JS",    "/console/%6dain.js"};
    for (size_t i = 0; i < sizeof(none) / sizeof(*none); i++) {
        CHECK(get(&k, &r, none[i], NULL) == 404 && kit_where(&r, "door:not-found"));
        CHECK(has_line(&r, "Cache-Control: no-store"));
    }
    CHECK(get(&k, &r, "/console/../healthz", NULL) == 400 && kit_where(&r, "door:path"));
    CHECK(kit_ask(&k, &r, &(struct ask){.path = "/console/", .method = "HEAD"}) == 200 &&
          r.size == 0);
    CHECK(kit_ask(&k, &r, &(struct ask){.path = "/console/", .body = "", .method = "POST"}) == 405);
    CHECK(kit_ask(&k, &r, &(struct ask){.path = "/console/", .body = "x", .method = "GET"}) == 413);
    /* a token that does not verify keeps nobody from the page where he would give another one */
    CHECK(kit_ask(&k, &r, &(struct ask){.path = "/console/", .bearer = "x"}) == 200);
    kit_close(&k);
}

static void test_sealed(void)
{
    struct kit k;
    struct reply r;
    kit_open(&k, &(struct kit_opts){.sealed = true});
    CHECK(get(&k, &r, "/console/", NULL) == 503 && kit_where(&r, "kms:sealed"));
    kit_close(&k);
}

static const struct ccz_test tests[] = {
    {"door.console_files", test_files},
    {"door.console_headers", test_headers},
    {"door.console_others", test_others},
    {"door.console_sealed", test_sealed},
};

int main(int argc, char **argv)
{
    CHECK(curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK);
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
