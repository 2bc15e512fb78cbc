/* SPDX-License-Identifier: Apache-2.0 */
/* Keys that work inside over RA-TLS: the client's functions, servers that answer nonsense, and many calls at once. */
#define _GNU_SOURCE
#include "ccz_test.h"
#include "kms/kms_net.h"

#include <cczoo/kms_use.h>

#include "kms/use_priv.h"
#include "kms/wrapping_key.h"

#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

static struct ccz_err err;
static const struct ccz_span none;

#define OK(expr)                                                                                   \
    do {                                                                                           \
        err = (struct ccz_err){0};                                                                 \
        ccz_rc ok_rc = (expr);                                                                     \
        if (ok_rc != CCZ_OK)                                                                       \
            fprintf(stderr, "%s: %s\n", err.where, err.msg);                                       \
        CHECK(ok_rc == CCZ_OK);                                                                    \
    } while (0)
#define AT(expr, at) CHECK((expr) != CCZ_OK && strcmp(err.where, (at)) == 0)

static struct ccz_secret *secret_of(const char *text)
{
    struct ccz_secret *s = NULL;
    CHECK(ccz_secret_from(&s, text, strlen(text)) == CCZ_OK);
    return s;
}

static bool is_text(const struct ccz_secret *s, const char *text)
{
    return ccz_secret_size(s) == strlen(text) &&
           memcmp(ccz_secret_view(s), text, strlen(text)) == 0;
}

static void make(struct ccz_rpc_client *c, const char *name, const char *kind, const char *ops)
{
    const struct ccz_kms_key_spec spec = {.name = name, .kind = kind, .ops = ops, .policy = "p"};
    OK(ccz_kms_key_generate(NULL, c, &spec, &err));
}

/* Everything that an administrator does with keys. */
static void administer(struct ccz_rpc_client *c)
{
    struct ccz_kms_receipt r;
    struct ccz_kms_key_info info;
    uint32_t version = 0;
    OK(ccz_kms_put_policy(NULL, c, "p", ccz_span_str(fix_policy), false, &err));
    make(c, "aead", "aes-256-gcm", NULL);
    make(c, "mac", "hmac-sha256", NULL);
    make(c, "ec", "ecdsa-p256", NULL);
    make(c, "p384", "ecdsa-p384", NULL);
    make(c, "rsa", "rsa-2048", "sign,verify,public-key");
    AT(ccz_kms_key_generate(&r, c, &(struct ccz_kms_key_spec){.name = "ec", .kind = "ed25519"},
                            &err),
       "kms:exists");
    AT(ccz_kms_key_generate(&r, c, &(struct ccz_kms_key_spec){.name = "x", .kind = "rsa-2048"},
                            &err),
       "kms:key-usage");
    OK(ccz_kms_key_rotate(&version, &r, c, "aead", &err));
    CHECK(version == 2 && r.audit_seq > 1);
    OK(ccz_kms_key_set_minimum(NULL, c, "aead", 1, 1, &err));
    OK(ccz_kms_key_set_period(NULL, c, "aead", 86400, &err));
    OK(ccz_kms_key_set_expiry(NULL, c, "aead", FIX_NOW + 1000, &err));
    OK(ccz_kms_bind_op(&r, c, "aead", "unwrap", "p", &err));
    OK(ccz_kms_key_info(&info, c, "aead", &err));
    CHECK(strcmp(info.kind, "aes-256-gcm") == 0 && info.latest == 2 && info.min_encrypt == 1 &&
          info.rotate_every_s == 86400 && info.next_rotation_s == FIX_NOW + 86400 &&
          info.expires_s == FIX_NOW + 1000 && !info.exportable && !info.imported);
    CHECK(strcmp(info.ops, "encrypt,decrypt,data-key,rewrap,wrap,unwrap,derive,export") == 0);
    CHECK(info.bindings_len == 2 && info.bindings[0].op[0] == 0 &&
          strcmp(info.bindings[1].op, "unwrap") == 0 && strcmp(info.bindings[1].policy, "p") == 0);
    OK(ccz_kms_bind_op(NULL, c, "aead", "unwrap", NULL, &err));
    /* a key from here */
    CCZ_AUTO(ccz_secret) key = secret_of("0123456789abcdef0123456789abcdef");
    struct ccz_kms_key_spec spec = {.name = "in", .kind = "chacha20-poly1305", .policy = "p"};
    OK(ccz_kms_key_import(&version, &r, c, &spec, false, key, &err));
    spec.policy = NULL;
    OK(ccz_kms_key_import(&version, &r, c, &spec, true, key, &err));
    CHECK(version == 2);
}

/* What a workload does with them. */
static void work_with(struct ccz_rpc_client *c)
{
    struct ccz_kms_use use, second;
    CCZ_AUTO(ccz_secret) text = secret_of("attack at dawn");
    CCZ_AUTO(ccz_secret) back = NULL;
    CCZ_AUTO(ccz_secret) data = NULL;
    CCZ_AUTO(ccz_secret) opened = NULL;
    CCZ_AUTO(ccz_secret) unwrapped = NULL;
    CCZ_AUTO(ccz_secret) derived = NULL;
    CCZ_AUTO_BUF sealed;
    CCZ_AUTO_BUF again;
    CCZ_AUTO_BUF wrapped;
    ccz_buf_init(&sealed, 4096);
    ccz_buf_init(&again, 4096);
    ccz_buf_init(&wrapped, 4096);
    OK(ccz_kms_encrypt(&sealed, &use, c, "aead", 0, ccz_span_str("row"), text, &err));
    CHECK(use.version == 2 && use.receipt.audit_seq > 1);
    OK(ccz_kms_decrypt(&back, &second, c, "aead", ccz_span_str("row"), ccz_buf_str(&sealed), &err));
    CHECK(is_text(back, "attack at dawn") && memcmp(use.instance, second.instance, 16) == 0);
    AT(ccz_kms_decrypt(&opened, NULL, c, "aead", none, ccz_buf_str(&sealed), &err),
       "kms:key-decrypt");
    CHECK(opened == NULL);
    OK(ccz_kms_rewrap(&again, NULL, c, "aead", 0, ccz_span_str("row"), ccz_buf_str(&sealed), &err));
    ccz_buf_clear(&sealed);
    OK(ccz_kms_data_key(&data, &sealed, NULL, c, "aead", 0, none, 48, &err));
    OK(ccz_kms_decrypt(&opened, NULL, c, "aead", none, ccz_buf_str(&sealed), &err));
    CHECK(ccz_secret_size(opened) == 48 &&
          memcmp(ccz_secret_view(opened), ccz_secret_view(data), 48) == 0);
    ccz_buf_clear(&sealed);
    OK(ccz_kms_data_key(NULL, &sealed, NULL, c, "in", 0, none, 0, &err));
    OK(ccz_kms_wrap(&wrapped, NULL, c, "aead", 0, data, &err));
    OK(ccz_kms_unwrap(&unwrapped, NULL, c, "aead", 0, ccz_buf_span(&wrapped), &err));
    CHECK(ccz_secret_size(unwrapped) == 48);
    OK(ccz_kms_derive(&derived, NULL, c, "mac", 0, ccz_span_str("tenant"), 24, &err));
    CHECK(ccz_secret_size(derived) == 24);
    uint8_t mac[32];
    OK(ccz_kms_hmac(mac, NULL, c, "mac", 0, ccz_span_str("message"), &err));
    OK(ccz_kms_hmac_verify(NULL, c, "mac", 0, ccz_span_str("message"), CCZ_SPAN(mac, 32), &err));
    mac[31] ^= 1;
    AT(ccz_kms_hmac_verify(NULL, c, "mac", 0, ccz_span_str("message"), CCZ_SPAN(mac, 32), &err),
       "kms:key-mac");
}

static void sign_with(struct ccz_rpc_client *c, const char *key, const struct ccz_sign_how *how)
{
    CCZ_AUTO_BUF sig;
    CCZ_AUTO_BUF spki;
    CCZ_AUTO_BUF pem;
    CCZ_AUTO(ccz_pkey) k = NULL;
    uint32_t version = 0;
    ccz_buf_init(&sig, 1024);
    ccz_buf_init(&spki, 1024);
    ccz_buf_init(&pem, 1024);
    const struct ccz_span in = ccz_span_str("contract");
    static const struct ccz_sign_how usual = {0}, p384 = {.hash = CCZ_SHA384};
    OK(ccz_kms_sign(&sig, NULL, c, key, 0, how, in, &err));
    OK(ccz_kms_verify(NULL, c, key, 1, how, in, ccz_buf_span(&sig), &err));
    OK(ccz_kms_public_key(&spki, &pem, &version, c, key, 0, &err));
    CHECK(version == 1 && strncmp(ccz_buf_str(&pem), "-----BEGIN PUBLIC KEY-----", 26) == 0);
    CHECK(ccz_pkey_from_spki(&k, ccz_buf_span(&spki), NULL) == CCZ_OK);
    if (!how)
        how = ccz_pkey_kind(k) == CCZ_PKEY_P384 ? &p384 : &usual;
    CHECK(ccz_pkey_verify(k, how, in, ccz_buf_span(&sig), NULL) == CCZ_OK);
    AT(ccz_kms_verify(NULL, c, key, 1, how, ccz_span_str("x"), ccz_buf_span(&sig), &err),
       "pkey:signature");
}

static void test_client(void)
{
    struct server s;
    struct client admin, workload;
    serve_kms(&s);
    OK(connect_as(&admin, &s, s.admin, &err));
    administer(admin.rpc);
    OK(connect_as(&workload, &s, NULL, &err));
    work_with(workload.rpc);
    static const struct ccz_sign_how der = {.hash = CCZ_SHA512, .form = CCZ_SIG_DER},
                                     pkcs1 = {.padding = CCZ_RSA_PKCS1},
                                     of_kind = {.usual_hash = true, .form = CCZ_SIG_DER};
    sign_with(workload.rpc, "ec", NULL);
    sign_with(workload.rpc, "ec", &der);
    sign_with(workload.rpc, "p384", NULL);
    sign_with(workload.rpc, "p384", &of_kind);
    sign_with(workload.rpc, "ec", &of_kind);
    sign_with(workload.rpc, "rsa", NULL);
    sign_with(workload.rpc, "rsa", &pkcs1);
    CCZ_AUTO(ccz_secret) text = secret_of("x");
    CCZ_AUTO_BUF sealed;
    ccz_buf_init(&sealed, 1024);
    AT(ccz_kms_encrypt(&sealed, NULL, admin.rpc, "aead", 0, none, text, &err),
       "kms:workload-required");
    CHECK(sealed.size == 0);
    leave(&admin);
    leave(&workload);
    CHECK(ccz_kms_store_check(NULL, s.store, NULL) == CCZ_OK);
    stop(&s);
}

/* ----------------------------------------------------------------------- hostile server */

static struct ccz_buf g_answer; /* of the next call, whatever it is */

static void on_any(struct ccz_rpc_call *call, void *arg, struct ccz_span request)
{
    (void)arg;
    (void)request;
    ccz_rpc_reply(call, ccz_buf_span(&g_answer));
}

static void serve_nonsense(struct server *s)
{
    static const char *const methods[] = {"Encrypt", "Decrypt",   "DataKey", "Sign",       "Hmac",
                                          "Derive",  "PublicKey", "KeyInfo", "ImportToken"};
    *s = (struct server){0};
    listen_with(s, ccz_kms_service_pin, s); /* nobody comes with a key */
    for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++) {
        char path[64];
        (void)snprintf(path, sizeof(path), "%s%s", CCZI_KMS_SERVICE, methods[i]);
        CHECK(ccz_rpc_server_add_unary(s->rpc, path, on_any, NULL) == CCZ_OK);
    }
    start(s);
}

static void say(const struct cczi_msg_use_resp *m)
{
    ccz_buf_clear(&g_answer);
    cczi_msg_put(&g_answer, cczi_msg_use_resp, m);
}

static ccz_rc ask_hmac(struct ccz_rpc_client *c)
{
    uint8_t mac[32];
    return ccz_kms_hmac(mac, NULL, c, "k", 0, ccz_span_str("m"), &err);
}

static ccz_rc ask_data_key(struct ccz_rpc_client *c)
{
    struct ccz_secret *plain = NULL;
    struct ccz_buf sealed;
    ccz_buf_init(&sealed, 1024);
    ccz_rc rc = ccz_kms_data_key(&plain, &sealed, NULL, c, "k", 0, none, 32, &err);
    CHECK(rc == CCZ_OK || (plain == NULL && sealed.size == 0));
    ccz_secret_free(plain);
    ccz_buf_free(&sealed);
    return rc;
}

/* An answer without what it has to have does not pass as done. */
static void test_hostile(void)
{
    struct server s;
    struct client c;
    static const uint8_t bytes[64] = {1};
    ccz_buf_init(&g_answer, 65536);
    CCZ_AUTO_BUF receipt;
    ccz_buf_init(&receipt, 256);
    cczi_msg_put(&receipt, cczi_msg_receipt,
                 &(struct cczi_msg_receipt){.seq = 7, .sha256 = CCZ_SPAN(bytes, 32)});
    serve_nonsense(&s);
    OK(connect_as(&c, &s, NULL, &err));
    struct cczi_msg_use_resp good = {.value = CCZ_SPAN(bytes, 32),
                                     .sealed = ccz_span_str("ccz1:1:AQID"),
                                     .version = 1,
                                     .instance = CCZ_SPAN(bytes, 16),
                                     .receipt = ccz_buf_span(&receipt)};
    say(&good);
    OK(ask_hmac(c.rpc));
    OK(ask_data_key(c.rpc));
    struct cczi_msg_use_resp m = good;
    m.value.size = 31; /* a MAC, or a key, of another size */
    say(&m);
    AT(ask_hmac(c.rpc), "kms:response");
    AT(ask_data_key(c.rpc), "kms:response");
    m = good;
    m.sealed.size = 0; /* a key that cannot be had again */
    say(&m);
    AT(ask_data_key(c.rpc), "kms:response");
    m = good;
    m.version = 0;
    say(&m);
    AT(ask_hmac(c.rpc), "kms:response");
    m = good;
    m.receipt.size = 0; /* not on record */
    say(&m);
    AT(ask_hmac(c.rpc), "kms:response");
    m = good;
    m.instance.size = 0;
    say(&m);
    AT(ask_hmac(c.rpc), "kms:instance");
    struct ccz_kms_key_info info;
    say(&good);
    ccz_buf_put_str(&g_answer, "garbage");
    AT(ask_hmac(c.rpc), "kms:response");
    AT(ccz_kms_key_info(&info, c.rpc, "k", &err), "kms:response");
    CHECK(info.latest == 0);
    struct ccz_kms_import p;
    ccz_kms_import_init(&p);
    ccz_buf_clear(&g_answer);
    AT(ccz_kms_import_token(&p, c.rpc, &(struct ccz_kms_key_spec){.name = "k"}, false, 0, &err),
       "kms:response");
    ccz_kms_import_deinit(&p);
    leave(&c);
    ccz_rpc_server_stop(s.rpc, 2000);
    ccz_rpc_server_free(s.rpc);
    ccz_ratls_ctx_free(s.ratls);
    ccz_buf_free(&g_answer);
}

/* ----------------------------------------------------------------------- many at once */

enum { SIGNERS = 3, OTHERS = 3, CALLS = 20 };

struct caller {
    pthread_t thread;
    const struct server *s;
    bool rsa;
    unsigned done;
};

static void *call_often(void *arg)
{
    struct caller *me = arg;
    struct client c;
    struct ccz_err e = {0};
    if (connect_as(&c, me->s, NULL, &e) == CCZ_OK)
        for (unsigned i = 0; i < CALLS; i++) {
            struct ccz_buf sig;
            ccz_buf_init(&sig, 1024);
            uint8_t mac[32];
            ccz_rc rc = me->rsa ? ccz_kms_sign(&sig, NULL, c.rpc, "rsa", 0, NULL,
                                               ccz_span_str("contract"), &e)
                                : ccz_kms_hmac(mac, NULL, c.rpc, "mac", 0, ccz_span_str("m"), &e);
            me->done += rc == CCZ_OK;
            ccz_buf_free(&sig);
        }
    leave(&c);
    return NULL;
}

/* Calls that need work and calls that do not, from many; each is answered once and is on record. */
static void test_many(void)
{
    struct server s;
    struct client admin;
    struct caller callers[SIGNERS + OTHERS];
    serve_kms(&s);
    OK(connect_as(&admin, &s, s.admin, &err));
    OK(ccz_kms_put_policy(NULL, admin.rpc, "p", ccz_span_str(fix_policy), false, &err));
    make(admin.rpc, "mac", "hmac-sha256", NULL);
    make(admin.rpc, "rsa", "rsa-2048", "sign,verify");
    struct ccz_kms_status st;
    OK(ccz_kms_get_status(&st, admin.rpc, &err));
    for (size_t i = 0; i < SIGNERS + OTHERS; i++) {
        callers[i] = (struct caller){.s = &s, .rsa = i < SIGNERS};
        CHECK(pthread_create(&callers[i].thread, NULL, call_often, &callers[i]) == 0);
    }
    for (size_t i = 0; i < SIGNERS + OTHERS; i++) {
        CHECK(pthread_join(callers[i].thread, NULL) == 0);
        CHECK(callers[i].done == CALLS);
    }
    uint64_t before = st.audit_seq;
    OK(ccz_kms_get_status(&st, admin.rpc, &err));
    CHECK(st.audit_seq == before + (SIGNERS + OTHERS) * CALLS);
    leave(&admin);
    stop(&s);
}

/* ------------------------------------------------------------------------------- doors */

/* A worker that stands in an answer, while others answer from the threads beside it. */
struct door {
    pthread_mutex_t lock;
    unsigned answered, busy;
};

static void on_answer(void *arg, struct ccz_span response, const struct ccz_err *e)
{
    struct door *d = arg;
    CHECK(pthread_mutex_lock(&d->lock) == 0);
    d->answered++;
    d->busy += e && strcmp(e->where, "kms:busy-namespace") == 0;
    CHECK((e == NULL) == (response.size != 0));
    CHECK(pthread_mutex_unlock(&d->lock) == 0);
}

/* A key of RSA-3072 that takes no time to make. */
static void put_rsa(struct ccz_kms_store *s, const char *name)
{
    CCZ_AUTO(ccz_secret) der = NULL;
    struct cczi_kms_key_meta m;
    const struct cczi_kms_key_spec spec = {.kind = CCZI_KEY_RSA_3072,
                                           .ops = CCZI_OP_BIT(CCZI_OP_SIGN)};
    struct cczi_kms_call call = {.store = s,
                                 .req = &(struct ccz_kms_request){.now_s = FIX_NOW},
                                 .ref = {.kind = CCZI_KMS_KEY},
                                 .roles = CCZ_KMS_ROLE_AUTHOR};
    struct ccz_buf response;
    (void)snprintf(call.ref.name, sizeof(call.ref.name), "%s", name);
    ccz_buf_init(&response, 256);
    size_t size = strlen(wrapping_pkcs8) / 2;
    CHECK(ccz_secret_new(&der, size) == CCZ_OK);
    CHECK(ccz_unhex(ccz_secret_bytes(der), size, wrapping_pkcs8, 2 * size) == CCZ_OK);
    CHECK(cczi_kms_key_meta_new(&m, &spec, FIX_NOW, NULL) == CCZ_OK);
    CHECK(cczi_kms_begin(s, NULL) == CCZ_OK);
    CHECK(cczi_kms_put_key(&response, &call, &m, der, (struct ccz_span){0}, NULL) == CCZ_OK);
    CHECK(cczi_kms_bind_to(&call, ccz_span_str("server"), 0, NULL) == CCZ_OK);
    CHECK(cczi_kms_commit(s, NULL) == CCZ_OK);
    ccz_buf_free(&response);
}

/* More work than is taken is refused, and what was taken is answered, also by a service that ends. Another
 * namespace gets its turn all the same. */
static void test_work_queue(void)
{
    struct ccz_kms_store *store = fix_memory_store();
    struct ccz_kms_service *service = NULL;
    const struct ccz_kms_service_cfg cfg = {.store = store,
                                            .clock = {fixed_now, NULL},
                                            .info = {.version = "test", .tee = "toy"},
                                            .crypto_threads = 1};
    fix_populate(store);
    put_rsa(store, "rsa");
    put_rsa(store, "team/rsa");
    CHECK(ccz_kms_service_new(&service, &cfg, &err) == CCZ_OK);
    struct door d = {.lock = PTHREAD_MUTEX_INITIALIZER}, other = d;
    struct ccz_buf body;
    ccz_buf_init(&body, 256);
    struct cczi_msg_use_req m = {.key = ccz_span_str("rsa"), .text = ccz_span_str("x")};
    cczi_msg_put(&body, cczi_msg_sign_req, &m);
    const struct ccz_ratls_peer peer = fix_peer(FIX_WORKLOAD);
    struct ccz_kms_request req = {.path = CCZI_KMS_SERVICE "Sign",
                                  .body = ccz_buf_span(&body),
                                  .peer = &peer,
                                  .address = "192.0.2.7:1"};
    unsigned queued = 0;
    for (unsigned i = 0; i < 600; i++)
        queued += ccz_kms_service_call(service, &req, on_answer, &d, &err) == CCZ_OK;
    ccz_buf_clear(&body);
    m.key = ccz_span_str("team/rsa");
    cczi_msg_put(&body, cczi_msg_sign_req, &m);
    req.body = ccz_buf_span(&body);
    for (unsigned i = 0; i < 16; i++)
        CHECK(ccz_kms_service_call(service, &req, on_answer, &other, &err) == CCZ_OK);
    ccz_kms_service_free(service);
    CHECK(other.answered == 16 && other.busy == 0);
    CHECK(d.answered == queued && d.busy > 0 && d.busy < queued);
    CCZ_AUTO_BUF metrics; /* these have no line, and are counted */
    char want[64];
    ccz_buf_init(&metrics, 4096);
    cczi_kms_batch_metrics(store, false, &metrics);
    (void)snprintf(want, sizeof(want), "\ncczoo_kms_unrecorded_total %u\n", d.busy);
    CHECK(strstr(ccz_buf_str(&metrics), want));
    CHECK(strstr(ccz_buf_str(&metrics), "\ncczoo_kms_store_takes_lines 1\n"));
    CHECK(ccz_kms_store_check(NULL, store, NULL) == CCZ_OK);
    const struct ccz_kms_service_cfg many = {
        .store = store, .clock = {fixed_now, NULL}, .crypto_threads = 65};
    AT(ccz_kms_service_new(&service, &many, &err), "kms:service");
    ccz_buf_free(&body);
    ccz_kms_store_free(store);
}

int main(int argc, char **argv)
{
    static const struct ccz_test tests[] = {
        {"kms.use_net", test_client},
        {"kms.use_net_hostile", test_hostile},
        {"kms.use_net_many", test_many},
        {"kms.use_work_queue", test_work_queue},
    };
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
