/* SPDX-License-Identifier: Apache-2.0 */
/* Bearer tokens: whose count, and every way in which one does not. */
#define _GNU_SOURCE
#include "kmsdoor/door_kit.h"
#include "kmsdoor/statuses.h"

#include <cczoo/jose.h>

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <poll.h>
#include <pthread.h>

#define ISS "https://issuer.example/realm"
#define AUD "cczoo-kms"

/* An issuer's key and the JWKS file of it. */
static struct ccz_key *issuer_key(const char *file)
{
    struct ccz_key *key;
    CCZ_AUTO(ccz_jwk) jwk = NULL;
    CCZ_AUTO_BUF json;
    struct ccz_err err;
    ccz_buf_init(&json, 8192);
    CHECK(ccz_key_generate(&key, CCZ_P256) == CCZ_OK);
    CHECK(ccz_jwk_from_key(&jwk, key, &err) == CCZ_OK);
    const struct ccz_jwk *keys[] = {jwk};
    ccz_jwks_put(&json, keys, 1);
    CHECK(ccz_file_write(file, ccz_buf_span(&json), 0644, CCZ_FILE_REPLACE, &err) == CCZ_OK);
    return key;
}

static const char *kid_of(const struct ccz_key *key)
{
    static char kid[CCZ_JWK_THUMBPRINT_SIZE + 1];
    CCZ_AUTO(ccz_jwk) jwk = NULL;
    CHECK(ccz_jwk_from_key(&jwk, key, NULL) == CCZ_OK && ccz_jwk_thumbprint(kid, jwk) == CCZ_OK);
    return kid;
}

/* A token of these claims; good until it is overwritten by the next call. */
static const char *sign(const struct ccz_key *key, const char *kid, const char *typ,
                        const char *claims)
{
    static char text[32768];
    CCZ_AUTO_BUF token;
    struct ccz_err err;
    ccz_buf_init(&token, sizeof(text));
    const struct ccz_jws_header header = {.typ = typ, .kid = kid};
    CHECK(ccz_jws_sign(&token, key, &header, ccz_span_str(claims), &err) == CCZ_OK);
    (void)snprintf(text, sizeof(text), "%s", ccz_buf_str(&token));
    return text;
}

static const char *claims(const char *iss, const char *aud, const char *sub, int64_t iat_s,
                          int64_t exp_s, const char *more)
{
    static char text[4096];
    (void)snprintf(text, sizeof(text),
                   "{\"iss\":\"%s\",\"aud\":\"%s\",\"sub\":\"%s\",\"iat\":%lld,\"exp\":%lld%s}",
                   iss, aud, sub, (long long)iat_s, (long long)exp_s, more);
    return text;
}

/* "header.payload" of texts, in base64url. */
static void put_parts(struct ccz_buf *out, const char *header, const char *payload)
{
    ccz_base64_put(out, ccz_span_str(header), CCZ_BASE64_URL);
    ccz_buf_put_str(out, ".");
    ccz_base64_put(out, ccz_span_str(payload), CCZ_BASE64_URL);
}

static unsigned ask_with(struct kit *k, struct reply *r, const char *token)
{
    return kit_ask(k, r, &(struct ask){.path = "/v1/Status", .body = "{}", .bearer = token});
}

static void set_role(struct kit *k, const char *iss, const char *sub, enum ccz_kms_role role)
{
    uint8_t id[32];
    CHECK(ccz_kms_door_subject(id, iss, sub, NULL) == CCZ_OK);
    kit_set_role(k, id, role, true);
}

/* The issuer's keys are in a folder that kit_open() does not empty. */
static char keys_file[2][300];
static struct ccz_kms_door_issuer issuers[2];
static struct ccz_key *keys[2];

static void open_with(struct kit *k, struct kit_opts *o)
{
    const char *tmp = getenv("TMPDIR");
    for (int i = 0; i < 2; i++) {
        (void)snprintf(keys_file[i], sizeof(keys_file[i]), "%s/cczoo-jwks-%d-%d.json",
                       tmp && *tmp ? tmp : "/tmp", (int)getpid(), i);
        keys[i] = issuer_key(keys_file[i]);
        issuers[i] = (struct ccz_kms_door_issuer){.iss = i ? "https://second.example" : ISS,
                                                  .aud = i ? "second" : AUD,
                                                  .jwks_file = keys_file[i],
                                                  .skew_s = i ? 0 : 30};
    }
    o->issuers = issuers;
    o->issuers_len = 2;
    kit_open(k, o);
    set_role(k, ISS, "alice", CCZ_KMS_ROLE_ADMIN);
    set_role(k, ISS, "bob", CCZ_KMS_ROLE_AUDITOR);
}

static void close_with(struct kit *k)
{
    kit_close(k);
    for (int i = 0; i < 2; i++) {
        ccz_key_free(keys[i]);
        (void)unlink(keys_file[i]);
    }
}

static void test_token(void)
{
    struct kit k;
    struct reply r;
    struct kit_opts o = {0};
    open_with(&k, &o);
    const char *t = sign(keys[0], kid_of(keys[0]), "JWT",
                         claims(ISS, AUD, "alice", FIX_NOW - 10, FIX_NOW + 300, ""));
    CHECK(ask_with(&k, &r, t) == 200 && strstr(r.body, "\"version\":\"test\"") != NULL);
    CHECK(kit_ask(&k, &r,
                  &(struct ask){.path = "/v1/PutSecret",
                                .bearer = t,
                                .body = "{\"name\":\"by-token\",\"value\":\"AAEC\"}"}) == 200 &&
          strstr(r.body, "\"version\":1") != NULL && strstr(r.body, "\"auditSeq\":\"") != NULL);
    /* roles are of the table, not of the token */
    t = sign(
        keys[0], NULL, NULL,
        claims(ISS, AUD, "bob", FIX_NOW, FIX_NOW + 300, ",\"role\":\"admin\",\"roles\":[\"*\"]"));
    CHECK(ask_with(&k, &r, t) == 200);
    CHECK(kit_ask(&k, &r,
                  &(struct ask){.path = "/v1/PutSecret",
                                .bearer = t,
                                .body = "{\"name\":\"by-bob\",\"value\":\"AAEC\"}"}) == 403 &&
          kit_where(&r, "kms:role"));
    /* nobody gets a value by a token */
    CHECK(kit_ask(&k, &r,
                  &(struct ask){.path = "/v1/Release",
                                .bearer = t,
                                .body = "{\"item\":\"key/model\"}"}) == 403 &&
          kit_where(&r, "kms:workload-required"));
    /* the same subject of another issuer is somebody else */
    t = sign(keys[1], NULL, NULL,
             claims("https://second.example", "second", "alice", FIX_NOW, FIX_NOW + 300, ""));
    CHECK(ask_with(&k, &r, t) == 403 && kit_where(&r, "kms:admin-unknown"));
    t = sign(keys[0], NULL, NULL, claims(ISS, AUD, "carol", FIX_NOW, FIX_NOW + 300, ""));
    CHECK(ask_with(&k, &r, t) == 403 && kit_where(&r, "kms:admin-unknown"));
    /* "bearer" in any case; several audiences */
    char header[4096];
    (void)snprintf(header, sizeof(header), "Authorization: bEARER %s",
                   sign(keys[0], NULL, NULL,
                        "{\"iss\":\"" ISS "\",\"aud\":[\"x\",\"" AUD "\"],\"sub\":\"bob\",\"iat\":"
                        "1700000000,\"exp\":1700000300}"));
    CHECK(kit_ask(&k, &r, &(struct ask){.path = "/v1/Status", .body = "{}", .header = header}) ==
          200);
    /* taken away: gone with the next call */
    set_role(&k, ISS, "bob", CCZ_KMS_ROLE_NONE);
    CHECK(kit_ask(&k, &r, &(struct ask){.path = "/v1/Status", .body = "{}", .header = header}) ==
          403);
    close_with(&k);
}

struct bad {
    const char *iss, *aud, *sub;
    int64_t iat, exp;
    const char *more, *where;
};

static void test_claims(void)
{
    static const struct bad bad[] = {
        {"https://evil.example", AUD, "alice", 0, 300, "", "door:token-issuer"},
        {ISS "/", AUD, "alice", 0, 300, "", "door:token-issuer"},
        {"", AUD, "alice", 0, 300, "", "door:token-issuer"},
        {ISS, "other", "alice", 0, 300, "", "door:token-aud"},
        {ISS, "", "alice", 0, 300, "", "door:token-aud"},
        {ISS, AUD, "alice", -600, -31, "", "door:token-exp"},
        {ISS, AUD, "alice", 0, 300, ",\"nbf\":1700000031", "door:token-nbf"},
        {ISS, AUD, "alice", 31, 300, "", "door:token-iat"},
        {ISS, AUD, "alice", -3600 - 31, 300, "", "door:token-age"},
        {ISS, AUD, "", 0, 300, "", "door:token-subject"},
    };
    static const char *const texts[][2] = {
        {"{\"iss\":\"" ISS "\",\"aud\":\"" AUD "\",\"sub\":\"alice\",\"iat\":1700000000}",
         "door:token-claim"}, /* no exp */
        {"{\"iss\":\"" ISS "\",\"aud\":\"" AUD "\",\"sub\":\"alice\",\"exp\":1700000300}",
         "door:token-claim"}, /* no iat: how old is it? */
        {"{\"iss\":\"" ISS "\",\"sub\":\"alice\",\"iat\":1700000000,\"exp\":1700000300}",
         "door:token-claim"}, /* no aud */
        {"{\"iss\":\"" ISS "\",\"aud\":\"" AUD "\",\"iat\":1700000000,\"exp\":1700000300}",
         "door:token-subject"},
        {"{\"iss\":\"" ISS "\",\"aud\":\"" AUD
         "\",\"sub\":7,\"iat\":1700000000,\"exp\":1700000300}",
         "door:token-subject"},
        {"{\"iss\":\"" ISS "\",\"aud\":\"" AUD
         "\",\"sub\":\"alice\",\"iat\":1700000000,\"exp\":\"1700000300\"}",
         "door:token-claim"},
        {"{\"iss\":\"" ISS "\",\"aud\":\"" AUD
         "\",\"sub\":\"bob\",\"sub\":\"alice\",\"iat\":1700000000,\"exp\":1700000300}",
         "door:token"}, /* two readers, two subjects */
        {"{\"iss\":[\"" ISS "\"],\"aud\":\"" AUD "\",\"sub\":\"alice\"}", "door:token"},
        {"[]", "door:token"},
        {"", "door:token"},
    };
    struct kit k;
    struct reply r;
    struct kit_opts o = {0};
    open_with(&k, &o);
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        const struct bad *b = &bad[i];
        const char *t =
            sign(keys[0], kid_of(keys[0]), "JWT",
                 claims(b->iss, b->aud, b->sub, FIX_NOW + b->iat, FIX_NOW + b->exp, b->more));
        CHECK(ask_with(&k, &r, t) == 401 && kit_where(&r, b->where));
        CHECK(strstr(r.headers, "WWW-Authenticate: Bearer") != NULL);
        /* and what to do about it; a token without a subject is for nobody */
        CHECK((strstr(r.body, "\"hint\":") != NULL) == (b->sub[0] != '\0'));
    }
    for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++)
        CHECK(ask_with(&k, &r, sign(keys[0], NULL, "JWT", texts[i][0])) == 401 &&
              kit_where(&r, texts[i][1]));
    /* within the skew that was allowed for this issuer */
    CHECK(ask_with(&k, &r,
                   sign(keys[0], NULL, NULL,
                        claims(ISS, AUD, "alice", FIX_NOW + 29, FIX_NOW + 300, ""))) == 200);
    /* a type that says it is for something else */
    CHECK(ask_with(&k, &r,
                   sign(keys[0], NULL, "logout+jwt",
                        claims(ISS, AUD, "alice", FIX_NOW, FIX_NOW + 300, ""))) == 401 &&
          kit_where(&r, "door:token-typ"));
    /* it ends while the clock goes on */
    char t[4096];
    (void)snprintf(
        t, sizeof(t), "%s",
        sign(keys[0], NULL, NULL, claims(ISS, AUD, "alice", FIX_NOW, FIX_NOW + 300, "")));
    CHECK(ask_with(&k, &r, t) == 200);
    kit_now_s = FIX_NOW + 331;
    CHECK(ask_with(&k, &r, t) == 401 && kit_where(&r, "door:token-exp"));
    close_with(&k);
}

/* ------------------------------------------------------------------------------- signatures */

static void put_hmac(struct ccz_buf *token, struct ccz_span key)
{
    uint8_t mac[32];
    unsigned size = sizeof(mac);
    CHECK(HMAC(EVP_sha256(), key.ptr, (int)key.size, token->ptr, token->size, mac, &size) != NULL);
    ccz_buf_put_str(token, ".");
    ccz_base64_put(token, CCZ_SPAN(mac, size), CCZ_BASE64_URL);
}

static void test_signatures(void)
{
    struct kit k;
    struct reply r;
    struct kit_opts o = {0};
    open_with(&k, &o);
    char good[512];
    (void)snprintf(good, sizeof(good), "%s", claims(ISS, AUD, "alice", FIX_NOW, FIX_NOW + 300, ""));
    CCZ_AUTO_BUF token, spki, pem, jwks;
    struct ccz_err err;
    ccz_buf_init(&token, 8192);
    ccz_buf_init(&spki, 256);
    ccz_buf_init(&pem, 1024);
    ccz_buf_init(&jwks, 8192);
    CHECK(ask_with(&k, &r, sign(keys[0], NULL, NULL, good)) == 200);
    /* another issuer's key, and a stranger's */
    CHECK(ask_with(&k, &r, sign(keys[1], NULL, NULL, good)) == 401 &&
          kit_where(&r, "door:token-signature"));
    CHECK(ask_with(&k, &r, sign(keys[1], kid_of(keys[1]), NULL, good)) == 401 &&
          kit_where(&r, "door:token-kid"));
    /* "none", in its spellings */
    static const char *const none[] = {"none", "None", "nOnE", ""};
    for (size_t i = 0; i < 4; i++) {
        char header[64];
        (void)snprintf(header, sizeof(header), "{\"alg\":\"%s\"}", none[i]);
        ccz_buf_clear(&token);
        put_parts(&token, header, good);
        ccz_buf_put_str(&token, ".");
        CHECK(ask_with(&k, &r, ccz_buf_str(&token)) == 401);
        CHECK(strncmp(r.body, "{\"where\":\"door:token-", 21) == 0);
    }
    /* HS256 with what everybody knows as the secret: the public key, in each form that it is published in */
    CHECK(ccz_key_spki(&spki, keys[0]) == CCZ_OK);
    ccz_pem_put(&pem, "PUBLIC KEY", ccz_buf_span(&spki));
    CHECK(ccz_file_read(&jwks, keys_file[0], &err) == CCZ_OK);
    const struct ccz_span secrets[] = {ccz_buf_span(&spki), ccz_buf_span(&pem), ccz_buf_span(&jwks),
                                       ccz_span_str("")};
    for (size_t i = 0; i < 4; i++) {
        ccz_buf_clear(&token);
        put_parts(&token, "{\"alg\":\"HS256\",\"typ\":\"JWT\"}", good);
        put_hmac(&token, secrets[i]);
        CHECK(ask_with(&k, &r, ccz_buf_str(&token)) == 401 && kit_where(&r, "door:token-alg"));
    }
    /* other algorithms than the key's */
    static const char *const algs[] = {"ES384", "RS256", "PS256", "EdDSA", "ES256K", "es256"};
    for (size_t i = 0; i < sizeof(algs) / sizeof(*algs); i++) {
        char header[64];
        (void)snprintf(header, sizeof(header), "{\"alg\":\"%s\"}", algs[i]);
        ccz_buf_clear(&token);
        put_parts(&token, header, good);
        ccz_buf_put_str(&token, ".AAAA");
        CHECK(ask_with(&k, &r, ccz_buf_str(&token)) == 401 && kit_where(&r, "door:token-alg"));
    }
    /* a key that the token brings along, signed with it */
    CCZ_AUTO(ccz_key) own = NULL;
    CHECK(ccz_key_generate(&own, CCZ_P256) == CCZ_OK);
    ccz_buf_clear(&token);
    const struct ccz_jws_header header = {.with_jwk = true};
    CHECK(ccz_jws_sign(&token, own, &header, ccz_span_str(good), &err) == CCZ_OK);
    CHECK(ask_with(&k, &r, ccz_buf_str(&token)) == 401 && kit_where(&r, "door:token-signature"));
    /* every bit of the signature, and the ends of the token */
    char t[2048], changed[2048];
    (void)snprintf(t, sizeof(t), "%s", sign(keys[0], NULL, NULL, good));
    size_t size = strlen(t);
    for (size_t at = 0; at < size; at += 7) {
        memcpy(changed, t, size + 1);
        changed[at] = changed[at] == 'A' ? 'B' : 'A';
        CHECK(ask_with(&k, &r, changed) == 401);
        memcpy(changed, t, at);
        changed[at] = 0;
        CHECK(at == 0 || ask_with(&k, &r, changed) == 401);
    }
    static char huge[16400];
    memset(huge, 'a', sizeof(huge) - 1);
    CHECK(ask_with(&k, &r, huge) != 200);
    close_with(&k);
}

/* ------------------------------------------------------------------------------------ keys */

static void test_keys_file(void)
{
    struct kit k;
    struct reply r;
    struct ccz_err err;
    struct kit_opts o = {0};
    open_with(&k, &o);
    char old[2048], new[2048], good[512];
    (void)snprintf(good, sizeof(good), "%s", claims(ISS, AUD, "alice", FIX_NOW, FIX_NOW + 300, ""));
    (void)snprintf(old, sizeof(old), "%s", sign(keys[0], NULL, NULL, good));
    CHECK(ask_with(&k, &r, old) == 200);
    CCZ_AUTO(ccz_key) next = issuer_key(keys_file[0]);
    (void)snprintf(new, sizeof(new), "%s", sign(next, NULL, NULL, good));
    CHECK(ask_with(&k, &r, new) == 401 && ask_with(&k, &r, old) == 200);
    CHECK(ccz_kms_door_reload(k.door) == CCZ_OK);
    CHECK(ask_with(&k, &r, new) == 200 && ask_with(&k, &r, old) == 401);
    /* beside keys that are none for us it counts all the same */
    CCZ_AUTO_BUF odd;
    ccz_buf_init(&odd, 8192);
    CHECK(ccz_file_read(&odd, keys_file[0], &err) == CCZ_OK && odd.size > 2);
    odd.size -= 2; /* "]}" */
    ccz_buf_put_str(&odd, ",{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"AA\",\"y\":\"AA\",\"use\":"
                          "\"x509-svid\"},{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"AA\"}]}");
    CHECK(ccz_file_write(keys_file[0], ccz_buf_span(&odd), 0644, CCZ_FILE_REPLACE, &err) == CCZ_OK);
    CHECK(ccz_kms_door_reload(k.door) == CCZ_OK && ask_with(&k, &r, new) == 200);
    static const char *const bad[] = {"", "{\"keys\":[]}",
                                      "{\"keys\":[{\"kty\":\"oct\",\"k\":\"AA\"}]}"};
    for (size_t i = 0; i < 3; i++) { /* kept as they were */
        CHECK(ccz_file_write(keys_file[0], ccz_span_str(bad[i]), 0644, CCZ_FILE_REPLACE, &err) ==
              CCZ_OK);
        CHECK(ccz_kms_door_reload(k.door) != CCZ_OK);
        CHECK(ask_with(&k, &r, new) == 200);
    }
    close_with(&k);
}

/* The issuer's own server. */
struct site {
    struct ccz_loop *loop;
    struct ccz_http_server *http;
    pthread_t thread;
    pthread_mutex_t lock;
    char body[8192];
    unsigned status, asked;
};

static void on_site(void *arg, struct ccz_http_req *req)
{
    struct site *s = arg;
    pthread_mutex_lock(&s->lock);
    s->asked++;
    ccz_http_reply(req,
                   &(struct ccz_http_answer){.status = s->status, .body = ccz_span_str(s->body)});
    pthread_mutex_unlock(&s->lock);
}

static void *site_main(void *arg)
{
    struct site *s = arg;
    CHECK(ccz_loop_run(s->loop, NULL) == CCZ_OK);
    return NULL;
}

/* @param[out] url  of the keys */
static void site_open(struct site *s, char url[64])
{
    const struct ccz_http_server_cfg cfg = {
        .listen = "127.0.0.1:0", .on_request = on_site, .arg = s};
    CHECK(ccz_loop_new(&s->loop, NULL) == CCZ_OK);
    CHECK(ccz_http_server_new(&s->http, s->loop, &cfg, NULL) == CCZ_OK);
    CHECK(pthread_create(&s->thread, NULL, site_main, s) == 0);
    (void)snprintf(url, 64, "http://127.0.0.1:%u/keys", ccz_http_server_port(s->http));
}

static void site_close(struct site *s)
{
    ccz_loop_stop(s->loop);
    CHECK(pthread_join(s->thread, NULL) == 0);
    ccz_http_server_free(s->http);
    ccz_loop_free(s->loop);
}

static void site_set(struct site *s, unsigned status, const char *file)
{
    CCZ_AUTO_BUF b;
    ccz_buf_init(&b, sizeof(s->body) - 1);
    CHECK(ccz_file_read(&b, file, NULL) == CCZ_OK);
    pthread_mutex_lock(&s->lock);
    s->status = status;
    (void)snprintf(s->body, sizeof(s->body), "%s", ccz_buf_str(&b));
    pthread_mutex_unlock(&s->lock);
}

static unsigned site_asked(struct site *s)
{
    pthread_mutex_lock(&s->lock);
    unsigned n = s->asked;
    pthread_mutex_unlock(&s->lock);
    return n;
}

static ccz_rc verify(struct cczi_issuers *s, const char *token, struct ccz_err *err)
{
    uint8_t id[32];
    *err = (struct ccz_err){0};
    return cczi_issuers_verify(id, s, ccz_span_str(token), FIX_NOW, err);
}

static void await_verdict(struct cczi_issuers *s, const char *token, ccz_rc want)
{
    struct ccz_err err;
    for (int i = 0; i < 2000 && verify(s, token, &err) != want; i++)
        usleep(5000);
    CHECK(verify(s, token, &err) == want);
}

static void test_keys_url(void)
{
    struct site site = {.status = 503, .lock = PTHREAD_MUTEX_INITIALIZER};
    struct ccz_err err = {0};
    dir_fresh();
    CCZ_AUTO(ccz_key) first = issuer_key(dir_path("first"));
    CCZ_AUTO(ccz_key) second = issuer_key(dir_path("second"));
    char good[512], t1[2048], t2[2048], url[64];
    (void)snprintf(good, sizeof(good), "%s", claims(ISS, AUD, "alice", FIX_NOW, FIX_NOW + 300, ""));
    (void)snprintf(t1, sizeof(t1), "%s", sign(first, kid_of(first), NULL, good));
    (void)snprintf(t2, sizeof(t2), "%s", sign(second, kid_of(second), NULL, good));
    site_open(&site, url);
    const struct ccz_kms_door_issuer of = {.iss = ISS, .aud = AUD, .jwks_url = url};
    struct cczi_issuers *s;
    CHECK(cczi_issuers_new(&s, &of, 1, &err) == CCZ_OK);
    cczi_issuers_set_again(s, 30);
    CHECK(cczi_issuers_start(s, &err) == CCZ_OK);
    while (site_asked(&site) < 3) /* while it fails it is asked again */
        usleep(5000);
    CHECK(verify(s, t1, &err) == CCZ_E_UNAVAILABLE && strcmp(err.where, "door:token-keys") == 0);
    site_set(&site, 200, dir_path("first"));
    await_verdict(s, t1, CCZ_OK);
    unsigned asked = site_asked(&site);
    usleep(150000);
    CHECK(site_asked(&site) == asked); /* well served, it is left alone */
    /* keys changed over there: a token that names the new one makes us look, once in a while */
    site_set(&site, 200, dir_path("second"));
    CHECK(verify(s, t2, &err) == CCZ_E_NOT_FOUND && strcmp(err.where, "door:token-kid") == 0);
    await_verdict(s, t2, CCZ_OK);
    CHECK(site_asked(&site) == asked + 1);
    CHECK(verify(s, t1, &err) ==
          CCZ_E_NOT_FOUND); /* the old one is no more, and makes us look again */
    /* away, or nonsense: what was fetched counts on */
    site_set(&site, 404, dir_path("first"));
    cczi_issuers_reload(s);
    while (site_asked(&site) < asked + 4)
        usleep(5000);
    CHECK(verify(s, t2, &err) == CCZ_OK);
    cczi_issuers_free(s);
    site_close(&site);
}

/* A port where nobody answers. @param[out] url  of it, without a path */
static int mute_port(char url[64])
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof(at);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    CHECK(fd >= 0 && bind(fd, (struct sockaddr *)&at, size) == 0 && listen(fd, 16) == 0);
    CHECK(getsockname(fd, (struct sockaddr *)&at, &size) == 0);
    (void)snprintf(url, 64, "http://127.0.0.1:%u", ntohs(at.sin_port));
    return fd;
}

/* Who stops does not wait for every issuer that is away: one fetch was under way, and no other begins. */
static void test_keys_stop(void)
{
    struct ccz_err err = {0};
    char base[64], url[3][80], iss[3][8];
    struct ccz_kms_door_issuer of[3];
    int fd = mute_port(base), came = 0;
    for (int i = 0; i < 3; i++) {
        (void)snprintf(url[i], sizeof(url[i]), "%s/%d", base, i);
        (void)snprintf(iss[i], sizeof(iss[i]), "%d", i);
        of[i] = (struct ccz_kms_door_issuer){.iss = iss[i], .aud = AUD, .jwks_url = url[i]};
    }
    struct cczi_issuers *s;
    struct pollfd first = {.fd = fd, .events = POLLIN};
    CHECK(cczi_issuers_new(&s, of, 3, &err) == CCZ_OK);
    CHECK(cczi_issuers_start(s, &err) == CCZ_OK);
    CHECK(poll(&first, 1, 20000) == 1);
    cczi_issuers_stop(s);
    for (int c; (c = accept(fd, NULL, NULL)) >= 0; came++)
        close(c);
    CHECK(came == 1);
    cczi_issuers_free(s);
    close(fd);
}

static struct cczi_door_req *held;
static atomic_bool is_held;

static void on_hold(struct cczi_door_req *r, void *arg)
{
    (void)arg;
    held = r;
    atomic_store(&is_held, true);
}

static void let_go(void *arg)
{
    (void)arg;
    cczi_door_reply_json(held, 200, ccz_span_str("{}"));
}

static void add_hold(struct ccz_kms_door *d)
{
    struct ccz_err err = {0};
    const struct cczi_door_route route = {"hold", "GET", "/hold", 0, 0, on_hold, NULL, NULL};
    CHECK(cczi_door_route(d, &route, &err) == CCZ_OK);
    cczi_issuers_set_again(d->issuers, 10);
}

static void *stop_door(void *arg)
{
    struct kit *k = arg;
    ccz_kms_door_stop(k->door, 20000);
    return NULL;
}

static bool can_connect(const struct kit *k)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(ccz_kms_door_port(k->door))};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    bool ok = fd >= 0 && connect(fd, (struct sockaddr *)&to, sizeof(to)) == 0;
    close(fd);
    return ok;
}

/* From when a door ends, and not only once its last answer is out. */
static void test_keys_drain(void)
{
    static struct site site = {.status = 503, .lock = PTHREAD_MUTEX_INITIALIZER};
    struct kit k;
    char url[64];
    pthread_t stopper;
    static const char get[] = "GET /hold HTTP/1.1\r\nHost: x\r\n\r\n";
    site_open(&site, url);
    const struct ccz_kms_door_issuer of = {.iss = ISS, .aud = AUD, .jwks_url = url};
    const struct kit_opts o = {.plain = true, .add = add_hold, .issuers = &of, .issuers_len = 1};
    kit_open(&k, &o);
    int fd = kit_dial(&k);
    CHECK(send(fd, get, sizeof(get) - 1, MSG_NOSIGNAL) == (ssize_t)sizeof(get) - 1);
    while (!atomic_load(&is_held) || site_asked(&site) < 3)
        usleep(1000);
    CHECK(pthread_create(&stopper, NULL, stop_door, &k) == 0);
    while (can_connect(&k))
        usleep(1000);
    unsigned asked = site_asked(&site);
    usleep(300000);                        /* thirty times as long as it waits between tries */
    CHECK(site_asked(&site) <= asked + 1); /* one was under way */
    CHECK(ccz_loop_post(cczi_door_loop(k.door), let_go, NULL) == CCZ_OK);
    CHECK(pthread_join(stopper, NULL) == 0);
    kit_close(&k);
    close(fd);
    site_close(&site);
}

static unsigned status_of_nobody(const struct ccz_err *err)
{
    return cczi_door_status(err, NULL);
}

/* What went wrong here is no question who calls, and no reason to send his user to the issuer. */
static void test_statuses(void)
{
    static const struct status_case t[] = {
        {CCZ_E_NOMEM, "door:token-payload", 503},
        {CCZ_E_NOMEM, "door:token", 503},
        {CCZ_E_INTERNAL, "door:token-signature", 500},
        {CCZ_E_UNAVAILABLE, "door:token-keys", 503},
        {CCZ_E_SIG, "door:token-signature", 401},
        {CCZ_E_DENIED, "door:token-subject", 401},
        {CCZ_E_LIMIT, "door:token", 401},
    };
    check_statuses(t, sizeof(t) / sizeof(*t), status_of_nobody);
}

static void test_issuer_config(void)
{
    struct ccz_err err;
    struct cczi_issuers *s;
    dir_fresh();
    CCZ_AUTO(ccz_key) key = issuer_key(dir_path("keys"));
    CHECK(key != NULL);
    const struct ccz_kms_door_issuer good = {.iss = ISS, .aud = AUD, .jwks_file = dir_path("keys")};
    CHECK(cczi_issuers_new(&s, &good, 1, &err) == CCZ_OK);
    cczi_issuers_free(s);
    struct ccz_kms_door_issuer c[8];
    for (int i = 0; i < 8; i++)
        c[i] = good;
    c[0].iss = NULL;
    c[1].iss = "";
    c[2].aud = NULL;
    c[3].aud = "";
    c[4].jwks_file = NULL;
    c[5].jwks_url = "https://both.example";
    c[6].skew_s = CCZ_JWT_SKEW_MAX_S + 1;
    c[7].skew_s = -1;
    for (int i = 0; i < 8; i++)
        CHECK(cczi_issuers_new(&s, &c[i], 1, &err) == CCZ_E_ARG &&
              strcmp(err.where, "door:issuer") == 0 && s == NULL);
    const struct ccz_kms_door_issuer twice[] = {good, good};
    CHECK(cczi_issuers_new(&s, twice, 2, &err) == CCZ_E_ARG &&
          strcmp(err.where, "door:issuer") == 0);
    static const char *const urls[] = {
        "http://issuer.example/keys",     "ftp://127.0.0.1/", "file:///etc/keys",
        "http://127.0.0.1.evil.example/", "https:/x",         ""};
    for (size_t i = 0; i < sizeof(urls) / sizeof(*urls); i++) {
        c[0] = good;
        c[0].jwks_file = NULL;
        c[0].jwks_url = urls[i];
        CHECK(cczi_issuers_new(&s, c, 1, &err) == CCZ_E_ARG &&
              strcmp(err.where, "door:issuer") == 0);
    }
    c[0] = good;
    c[0].jwks_file = dir_path("absent");
    CHECK(cczi_issuers_new(&s, c, 1, &err) != CCZ_OK);
    uint8_t a[32], b[32];
    CHECK(ccz_kms_door_subject(a, "x", "yz", &err) == CCZ_OK &&
          ccz_kms_door_subject(b, "xy", "z", &err) == CCZ_OK && memcmp(a, b, 32) != 0);
    CHECK(ccz_kms_door_subject(a, "", "y", &err) == CCZ_E_ARG &&
          ccz_kms_door_subject(a, "x", "", &err) == CCZ_E_ARG);
}

static const struct ccz_test tests[] = {
    {"door.token", test_token},
    {"door.token_claims", test_claims},
    {"door.token_signatures", test_signatures},
    {"door.token_keys_file", test_keys_file},
    {"door.token_keys_url", test_keys_url},
    {"door.token_keys_stop", test_keys_stop},
    {"door.token_keys_drain", test_keys_drain},
    {"door.token_statuses", test_statuses},
    {"door.issuer_config", test_issuer_config},
};

int main(int argc, char **argv)
{
    CHECK(curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK);
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
