/* SPDX-License-Identifier: Apache-2.0 */
/* The listener: who gets in, how much, for how long, and what comes back from other threads. */
#define _GNU_SOURCE
#include "kmsdoor/door_kit.h"

#include <poll.h>
#include <pthread.h>

/* -------------------------------------------------------------------------------- health */

static void test_health(void)
{
    struct kit k;
    struct reply r;
    kit_open(&k, &(struct kit_opts){0});
    CHECK(kit_ask(&k, &r, &(struct ask){.path = "/healthz"}) == 200 && strcmp(r.body, "ok\n") == 0);
    CHECK(strstr(r.headers, "Cache-Control: no-store") != NULL);
    CHECK(kit_ask(&k, &r, &(struct ask){.path = "/healthz", .method = "HEAD"}) == 200 &&
          r.size == 0);
    CHECK(kit_ask(&k, &r, &(struct ask){.path = "/healthz", .method = "POST", .body = ""}) == 405);
    CHECK(kit_where(&r, "door:method") && strstr(r.headers, "Allow: GET, HEAD") != NULL);
    CHECK(kit_ask(&k, &r, &(struct ask){.path = "/healthz", .body = "x", .method = "GET"}) == 413);
    CHECK(kit_where(&r, "door:body-size"));
    CHECK(kit_ask(&k, &r, &(struct ask){.path = "/readyz"}) == 200);
    CHECK(strcmp(r.body, "{\"ready\":true}") == 0);
    CHECK(kit_ask(&k, &r, &(struct ask){.path = "/nothing"}) == 404 &&
          kit_where(&r, "door:not-found"));
    kit_close(&k);
}

static const struct ccz_test tests[] = {
    {"door.health", test_health},
};

int main(int argc, char **argv)
{
    CHECK(curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK);
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
