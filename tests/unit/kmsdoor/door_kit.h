/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DOOR_KIT_H
#define DOOR_KIT_H
/* A store, its service and a door on the loopback, and a client (libcurl). Define _GNU_SOURCE first. */
#include "ccz_test.h"
#include "kms/kms_dir.h"
#include "kmsdoor/door_priv.h"

#include <cczoo/tls.h>
#include <curl/curl.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

/* What tests change about a door. */
struct kit_opts {
    bool plain;  /* no TLS */
    bool sealed; /* no service either */
    struct ccz_kms_door_limits limits;
    const struct ccz_kms_door_issuer *issuers;
    size_t issuers_len;
    int64_t (*collateral_expires_s)(void *arg);
    ccz_rc (*ready)(void *arg, struct ccz_err *err);
    void (*metrics)(void *arg, struct ccz_buf *out);
    /* doors of other protocols, before the start */
    void (*add)(struct ccz_kms_door *d);
    /* while the store is nobody's yet: afterwards it is the worker's */
    void (*fill)(struct ccz_kms_store *store);
};
struct kit {
    struct ccz_kms_store *store;
    struct ccz_kms_service *service;
    struct ccz_kms_door *door;
    struct ccz_key *admin, *auditor; /* of the table of administrators */
    char base[64];
};

/* Per test; Status, tokens and evidence are judged by it. */
static _Atomic int64_t kit_now_s = FIX_NOW;
static atomic_uint kit_clock_reads; /* each call of the KMS needs the time at least once */
static inline int64_t kit_clock(void *arg)
{
    (void)arg;
    atomic_fetch_add(&kit_clock_reads, 1);
    return kit_now_s;
}

static inline void kit_spki(uint8_t out[32], const struct ccz_key *key)
{
    CCZ_AUTO_BUF spki;
    ccz_buf_init(&spki, 256);
    CHECK(ccz_key_spki(&spki, key) == CCZ_OK && ccz_sha256(out, ccz_buf_span(&spki)) == CCZ_OK);
}

/* A self-signed certificate of @p key as PEM in file @p name, and the key in @p name.key. */
static inline void kit_write_pair(const char *name, const struct ccz_key *key)
{
    CCZ_AUTO_BUF der, pem;
    char path[128];
    struct ccz_err err;
    ccz_buf_init(&der, CCZ_CERT_SIZE_MAX);
    ccz_buf_init(&pem, CCZ_CERT_SIZE_MAX);
    const struct ccz_cert_cfg cert = {
        .cn = "kit", .key = key, .not_before_s = 0, .not_after_s = INT64_C(4000000000)};
    CHECK(ccz_cert_issue(&der, &cert, &err) == CCZ_OK);
    ccz_pem_put(&pem, "CERTIFICATE", ccz_buf_span(&der));
    CHECK(ccz_file_write(dir_path(name), ccz_buf_span(&pem), 0644, CCZ_FILE_REPLACE, &err) ==
          CCZ_OK);
    (void)snprintf(path, sizeof(path), "%s.key", name);
    (void)unlink(dir_path(path));
    CHECK(ccz_key_save(key, dir_path(path), &err) == CCZ_OK);
}

static inline struct ccz_key *kit_key(const char *name)
{
    struct ccz_key *key;
    CHECK(ccz_key_generate(&key, CCZ_P256) == CCZ_OK);
    kit_write_pair(name, key);
    return key;
}

static inline struct ccz_kms_store *kit_store(void)
{
    struct ccz_kms_store *store;
    uint8_t spki[32];
    CCZ_AUTO(ccz_secret) master = fix_master(0x55);
    fix_spki(spki, FIX_ADMIN);
    CHECK(cczi_kms_store_memory(&store, master, spki, FIX_NOW, NULL) == CCZ_OK);
    fix_populate(store);
    return store;
}

/* The folder of the test has admin, auditor, server (each with .key). */
static inline void kit_open(struct kit *k, const struct kit_opts *o)
{
    struct ccz_err err = {0};
    uint8_t spki[32];
    *k = (struct kit){0};
    kit_now_s = FIX_NOW;
    dir_fresh();
    k->admin = kit_key("admin");
    k->auditor = kit_key("auditor");
    ccz_key_free(kit_key("server"));
    ccz_key_free(kit_key("stranger"));
    k->store = kit_store();
    kit_spki(spki, k->admin);
    CHECK(ccz_kms_store_set_admin(k->store, spki, CCZ_KMS_ROLE_ADMIN, FIX_NOW, NULL) == CCZ_OK);
    kit_spki(spki, k->auditor);
    CHECK(ccz_kms_store_set_admin(k->store, spki, CCZ_KMS_ROLE_AUDITOR, FIX_NOW, NULL) == CCZ_OK);
    if (o->fill)
        o->fill(k->store);
    const struct ccz_kms_service_cfg service = {
        .store = k->store,
        .clock = {kit_clock, NULL},
        .info = {.version = "test", .tee = "sim-sgx", .simulated = true, .started_s = FIX_NOW}};
    CHECK(o->sealed || ccz_kms_service_new(&k->service, &service, &err) == CCZ_OK);
    const struct ccz_kms_door_cfg cfg = {.service = k->service,
                                         .clock = {kit_clock, NULL},
                                         .listen = "127.0.0.1:0",
                                         .cert_file = o->plain ? NULL : dir_path("server"),
                                         .key_file = o->plain ? NULL : dir_path("server.key"),
                                         .plain_http_insecure = o->plain,
                                         .sealed = o->sealed,
                                         .limits = o->limits,
                                         .issuers = o->issuers,
                                         .issuers_len = o->issuers_len,
                                         .collateral_expires_s = o->collateral_expires_s,
                                         .ready = o->ready,
                                         .metrics = o->metrics,
                                         .workers = 2};
    if (ccz_kms_door_new(&k->door, &cfg, &err) != CCZ_OK) {
        fprintf(stderr, "%s: %s\n", err.where, err.msg);
        CHECK(false);
    }
    if (o->add)
        o->add(k->door);
    CHECK(ccz_kms_door_start(k->door, &err) == CCZ_OK);
    (void)snprintf(k->base, sizeof(k->base), "%s://127.0.0.1:%u", o->plain ? "http" : "https",
                   ccz_kms_door_port(k->door));
}

static inline void kit_close(struct kit *k)
{
    ccz_kms_door_stop(k->door, 2000);
    ccz_kms_service_free(k->service);
    ccz_kms_door_free(k->door);
    ccz_kms_store_free(k->store);
    ccz_key_free(k->admin);
    ccz_key_free(k->auditor);
}

/* -------------------------------------------------------------------------------- client */

struct ask {
    const char *method; /* NULL = GET, or POST with a body */
    const char *path;
    const char *body; /* NULL = none */
    size_t body_size; /* 0 = strlen */
    const char *as;   /* a pair of the folder: "admin"; NULL = no client certificate */
    const char *bearer;
    const char *header; /* one more, or NULL */
};
struct reply {
    unsigned status; /* 0 = there was none */
    char body[262144];
    size_t size;
    char headers[4096];
    size_t headers_size;
};

static size_t kit_take(char *p, size_t size, size_t n, void *to, size_t *used, size_t room)
{
    size_t all = size * n, keep = all < room - 1 - *used ? all : room - 1 - *used;
    memcpy((char *)to + *used, p, keep);
    *used += keep;
    ((char *)to)[*used] = 0;
    return all;
}
static size_t kit_on_body(char *p, size_t size, size_t n, void *arg)
{
    struct reply *r = arg;
    return kit_take(p, size, n, r->body, &r->size, sizeof(r->body));
}
static size_t kit_on_header(char *p, size_t size, size_t n, void *arg)
{
    struct reply *r = arg;
    return kit_take(p, size, n, r->headers, &r->headers_size, sizeof(r->headers));
}

/* One request on @p c (kept alive between calls), or on a connection of its own. */
static inline unsigned kit_ask_on(CURL *c, struct kit *k, struct reply *r, const struct ask *a)
{
    char url[2048], bearer[20000], key[64];
    struct curl_slist *headers = NULL;
    *r = (struct reply){0};
    (void)snprintf(url, sizeof(url), "%s%s", k->base, a->path);
    curl_easy_reset(c);
    curl_easy_setopt(c, CURLOPT_URL, url);
    curl_easy_setopt(c, CURLOPT_PATH_AS_IS, 1L);
    curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(c, CURLOPT_TIMEOUT_MS, 20000L);
    curl_easy_setopt(c, CURLOPT_SSL_VERIFYPEER, 0L);
    curl_easy_setopt(c, CURLOPT_SSL_VERIFYHOST, 0L);
    curl_easy_setopt(c, CURLOPT_PROXY, "");
    curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, kit_on_body);
    curl_easy_setopt(c, CURLOPT_WRITEDATA, r);
    curl_easy_setopt(c, CURLOPT_HEADERFUNCTION, kit_on_header);
    curl_easy_setopt(c, CURLOPT_HEADERDATA, r);
    if (a->as) {
        (void)snprintf(key, sizeof(key), "%s.key", a->as);
        curl_easy_setopt(c, CURLOPT_SSLCERT, dir_path(a->as));
        curl_easy_setopt(c, CURLOPT_SSLKEY, dir_path(key));
    }
    if (a->body) {
        curl_easy_setopt(c, CURLOPT_POSTFIELDS, a->body);
        curl_easy_setopt(c, CURLOPT_POSTFIELDSIZE,
                         (long)(a->body_size ? a->body_size : strlen(a->body)));
        if (!a->header || strncmp(a->header, "Content-Type:", 13) != 0)
            headers = curl_slist_append(headers, "Content-Type: application/json");
        headers = curl_slist_append(headers, "Expect:");
    }
    if (a->method && strcmp(a->method, "HEAD") == 0)
        curl_easy_setopt(c, CURLOPT_NOBODY, 1L);
    else if (a->method)
        curl_easy_setopt(c, CURLOPT_CUSTOMREQUEST, a->method);
    if (a->bearer) {
        (void)snprintf(bearer, sizeof(bearer), "Authorization: Bearer %s", a->bearer);
        headers = curl_slist_append(headers, bearer);
    }
    if (a->header)
        headers = curl_slist_append(headers, a->header);
    curl_easy_setopt(c, CURLOPT_HTTPHEADER, headers);
    long status = 0;
    if (curl_easy_perform(c) == CURLE_OK)
        curl_easy_getinfo(c, CURLINFO_RESPONSE_CODE, &status);
    curl_slist_free_all(headers);
    r->status = (unsigned)status;
    return r->status;
}

static inline unsigned kit_ask(struct kit *k, struct reply *r, const struct ask *a)
{
    CURL *c = curl_easy_init();
    CHECK(c != NULL);
    unsigned status = kit_ask_on(c, k, r, a);
    curl_easy_cleanup(c);
    return status;
}

/* Lines of the audit log, as an auditor is told: the store itself is its worker's. */
static inline unsigned long long kit_lines(struct kit *k)
{
    struct reply r;
    static const char name[] = "\"auditSeq\":\"";
    CHECK(kit_ask(k, &r, &(struct ask){.path = "/v1/Status", .body = "{}", .as = "auditor"}) ==
          200);
    const char *at = strstr(r.body, name);
    CHECK(at != NULL);
    return strtoull(at + sizeof(name) - 1, NULL, 10);
}

/* Gives roles as the administrator does, over the door: the store is the worker's. @param roles  0 takes them away */
static inline void kit_set_role(struct kit *k, const uint8_t id[32], uint32_t roles, bool token)
{
    struct reply r;
    CCZ_AUTO_BUF json;
    ccz_buf_init(&json, 512);
    ccz_buf_put_str(&json, "{\"namespace\":\"*\",\"principal\":\"");
    ccz_base64_put(&json, CCZ_SPAN(id, 32), CCZ_BASE64_STD);
    ccz_buf_printf(&json, "\",\"roles\":%u,\"kind\":%d}", roles, token);
    const struct ask a = {.path = "/v1/SetRole", .body = ccz_buf_str(&json), .as = "admin"};
    if (kit_ask(k, &r, &a) != 200)
        fprintf(stderr, "SetRole: %u %s\n", r.status, r.body);
    CHECK(r.status == 200);
}

/* The refusal of a reply has this reason. */
static inline bool kit_where(const struct reply *r, const char *where)
{
    char want[96];
    (void)snprintf(want, sizeof(want), "{\"where\":\"%s\"", where);
    if (strncmp(r->body, want, strlen(want)) == 0)
        return true;
    fprintf(stderr, "status %u, expected %s: %s\n", r->status, where, r->body);
    return false;
}

/* Whether the door knows any address; between two requests, when its thread does nothing. @param forget  none any more */
static inline bool kit_knows(struct kit *k, bool forget)
{
    struct cczi_rates *r = &k->door->shakes.known;
    bool any = false;
    for (size_t i = 0; i < CCZI_RATES_SETS * CCZI_RATES_WAYS; i++)
        any |= r->bucket[i / CCZI_RATES_WAYS][i % CCZI_RATES_WAYS].tag != 0;
    if (forget)
        memset(r->bucket, 0, sizeof(r->bucket));
    return any;
}

/* ----------------------------------------------------------------------------- raw socket */

static inline int kit_dial_from(const struct kit *k, const char *address)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(ccz_kms_door_port(k->door))};
    struct sockaddr_in from = {.sin_family = AF_INET};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    CHECK(fd >= 0 && inet_pton(AF_INET, address, &from.sin_addr) == 1 &&
          bind(fd, (struct sockaddr *)&from, sizeof(from)) == 0 &&
          connect(fd, (struct sockaddr *)&to, sizeof(to)) == 0);
    return fd;
}

static inline int kit_dial(const struct kit *k)
{
    return kit_dial_from(k, "127.0.0.1");
}
#endif
