/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "net_test.h"

#include <stdatomic.h>

struct source {
    atomic_int asked;
    atomic_bool too_much;
};

static void put(void *arg, struct ccz_buf *out)
{
    struct source *s = arg;
    int n = atomic_fetch_add(&s->asked, 1) + 1;
    if (atomic_load(&s->too_much))
        out->bad = true;
    ccz_buf_printf(out, "asked_total %d\n", n);
}

static unsigned get(struct ccz_buf *body, struct ccz_buf *headers, uint16_t port, const char *path)
{
    CCZ_AUTO(ccz_http_client) c = NULL;
    char url[96];
    unsigned status = 0;
    CHECK(ccz_http_client_new(&c, &(struct ccz_http_client_cfg){0}, NULL) == CCZ_OK);
    (void)snprintf(url, sizeof(url), "http://127.0.0.1:%u%s", port, path);
    ccz_buf_clear(body);
    ccz_buf_clear(headers);
    CHECK(ccz_http_get(&status, body, headers, c, url, NULL) == CCZ_OK);
    return status;
}

static void test_scrape(void)
{
    struct source s = {0};
    CCZ_AUTO(ccz_metrics) m = NULL;
    CCZ_AUTO_BUF body, headers;
    ccz_buf_init(&body, 4096);
    ccz_buf_init(&headers, 4096);
    const struct ccz_metrics_cfg cfg = {.listen = "127.0.0.1:0", .put = put, .arg = &s};
    CHECK(ccz_metrics_start(&m, &cfg, NULL) == CCZ_OK && ccz_metrics_port(m) != 0);
    for (int i = 1; i <= 3; i++) {
        char want[32];
        (void)snprintf(want, sizeof(want), "asked_total %d\n", i);
        CHECK(get(&body, &headers, ccz_metrics_port(m), "/metrics") == 200);
        CHECK(strcmp(ccz_buf_str(&body), want) == 0);
        struct ccz_span type = ccz_http_field_get(ccz_buf_span(&headers), "content-type");
        CHECK(ccz_span_eq(type, ccz_span_str("text/plain; version=0.0.4; charset=utf-8")));
    }
    CHECK(get(&body, &headers, ccz_metrics_port(m), "/") == 404);
    CHECK(get(&body, &headers, ccz_metrics_port(m), "/metrics/x") == 404);
    CHECK(atomic_load(&s.asked) == 3);
    atomic_store(&s.too_much, true); /* half of the numbers is none of them */
    CHECK(get(&body, &headers, ccz_metrics_port(m), "/metrics") == 500);
    CHECK(!strstr(ccz_buf_str(&body), "asked_total"));
}

/* Other methods change nothing; a client that says nothing, or goes away, keeps nobody. */
static void test_others(void)
{
    static const char *const requests[] = {
        "POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
        "DELETE /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"};
    struct source s = {0};
    struct ccz_metrics *m;
    const struct ccz_metrics_cfg cfg = {.listen = "127.0.0.1:0", .put = put, .arg = &s};
    CHECK(ccz_metrics_start(&m, &cfg, NULL) == CCZ_OK);
    int silent = net_dial(ccz_metrics_port(m));
    for (int i = 0; i < 2; i++) {
        char answer[1024] = {0};
        size_t got = 0;
        int fd = net_dial(ccz_metrics_port(m));
        CHECK(write(fd, requests[i], strlen(requests[i])) == (ssize_t)strlen(requests[i]));
        for (ssize_t n; (n = read(fd, answer + got, sizeof(answer) - 1 - got)) > 0;)
            got += (size_t)n;
        CHECK(strncmp(answer, "HTTP/1.1 405 ", 13) == 0 && strstr(answer, "Allow: GET, HEAD\r\n"));
        close(fd);
    }
    CHECK(atomic_load(&s.asked) == 0);
    ccz_metrics_free(m);
    close(silent);
    ccz_metrics_free(NULL);
}

static void test_refuse(void)
{
    struct source s = {0};
    struct ccz_metrics *m, *second;
    struct ccz_err err = {0};
    char taken[32];
    struct ccz_metrics_cfg cfg = {.listen = "127.0.0.1:0", .put = put, .arg = &s};
    CHECK(ccz_metrics_start(&m, &cfg, NULL) == CCZ_OK);
    (void)snprintf(taken, sizeof(taken), "127.0.0.1:%u", ccz_metrics_port(m));
    cfg.listen = taken;
    CHECK(ccz_metrics_start(&second, &cfg, &err) == CCZ_E_IO && !second);
    CHECK(strcmp(err.where, "net:listen") == 0);
    cfg.listen = "nowhere";
    CHECK(ccz_metrics_start(&second, &cfg, &err) != CCZ_OK && !second);
    ccz_metrics_free(m);
}

static const struct ccz_test tests[] = {
    {"metrics.scrape", test_scrape},
    {"metrics.others", test_others},
    {"metrics.refuse", test_refuse},
};

int main(int argc, char **argv)
{
    return ccz_test_main(tests, sizeof(tests) / sizeof(*tests), argc, argv);
}
