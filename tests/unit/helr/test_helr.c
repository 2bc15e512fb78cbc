/* SPDX-License-Identifier: Apache-2.0 */
#include "helr_test.h"

#include "ccz_test.h"
#include "helr/helr_priv.h"

#include <math.h>
#include <pthread.h>
#include <stdatomic.h>

#define ERROR_MAX 0x1p-24

struct pair {
    struct ccz_helr_model *model;
    struct ccz_helr_server *server;
    struct ccz_helr_client *client;
    struct ccz_buf keys, model_msg;
};

static struct ccz_helr_client *join(struct ccz_helr_server *s, struct ccz_buf *keys,
                                    const struct ccz_helr_client_cfg *cfg)
{
    CCZ_AUTO_BUF info, ready;
    ccz_buf_init(&info, CCZ_HELR_INFO_SIZE_MAX);
    ccz_buf_init(&ready, 64);
    ccz_buf_init(keys, CCZ_HELR_KEYS_SIZE_MAX);
    struct ccz_helr_client *c = NULL;
    struct ccz_err err = {0};
    ccz_helr_server_info(&info, s);
    if (ccz_helr_client_new(&c, ccz_buf_span(&info), cfg, &err) != CCZ_OK)
        fprintf(stderr, "%s: %s\n", err.where, err.msg);
    CHECK(c && ccz_helr_client_keys(keys, c, NULL) == CCZ_OK);
    if (ccz_helr_server_keys(&ready, s, ccz_buf_span(keys), &err) != CCZ_OK)
        fprintf(stderr, "%s: %s\n", err.where, err.msg);
    CHECK(ccz_helr_client_ready(c, ccz_buf_span(&ready), NULL) == CCZ_OK);
    return c;
}

static void pair_new(struct pair *p, size_t features, unsigned degree, size_t per_ct_max)
{
    memset(p, 0, sizeof(*p));
    p->model = made_model(features, 7 * features);
    CHECK(ccz_helr_server_new(&p->server,
                              &(struct ccz_helr_server_cfg){.model = p->model, .degree = degree},
                              NULL) == CCZ_OK);
    p->client = join(p->server, &p->keys, &(struct ccz_helr_client_cfg){.per_ct_max = per_ct_max});
    ccz_buf_init(&p->model_msg, 0);
}

static void pair_free(struct pair *p)
{
    ccz_helr_client_free(p->client);
    ccz_helr_server_free(p->server);
    ccz_helr_model_free(p->model);
    ccz_buf_free(&p->keys);
    ccz_buf_free(&p->model_msg);
}

/* One request and its reply. @return bytes of the request */
static size_t score(double *out, struct ccz_helr_server *s, struct ccz_helr_client *c,
                    const double *x, size_t rows)
{
    CCZ_AUTO_BUF request, reply;
    struct ccz_err err = {0};
    ccz_buf_init(&request, CCZ_HELR_REQUEST_SIZE_MAX);
    ccz_buf_init(&reply, CCZ_HELR_REPLY_SIZE_MAX);
    ccz_rc rc = ccz_helr_encrypt(&request, c, x, rows, &err);
    if (rc == CCZ_OK)
        rc = ccz_helr_server_score(&reply, s, ccz_buf_span(&request), &err);
    if (rc == CCZ_OK)
        rc = ccz_helr_decrypt(out, c, ccz_buf_span(&reply), rows, &err);
    if (rc != CCZ_OK)
        fprintf(stderr, "%s: %s\n", err.where, err.msg);
    CHECK(rc == CCZ_OK);
    return request.size;
}

/* Largest difference from the polynomial in the clear. */
static double difference(const struct ccz_helr_model *m, unsigned degree, const double *x,
                         const double *got, size_t rows)
{
    double c[4], worst = 0;
    ccz_helr_sigmoid(c, degree, m->radius);
    for (size_t i = 0; i < rows; i++) {
        double t = ccz_helr_model_linear(m, x + i * m->features_len);
        double e = fabs(got[i] - ccz_helr_sigmoid_at(c, degree, t));
        CHECK(fabs(t) < m->radius && !isnan(e));
        worst = e > worst ? e : worst;
    }
    return worst;
}

static void check_scores(struct ccz_helr_server *s, struct ccz_helr_client *c,
                         const struct ccz_helr_model *m, unsigned degree, size_t rows)
{
    double *x = made_rows(m, rows, rows), *got = malloc(rows * sizeof(*got));
    CHECK(got);
    (void)score(got, s, c, x, rows);
    CHECK(difference(m, degree, x, got, rows) <= ERROR_MAX);
    free(x);
    free(got);
}

static void test_scores(void)
{
    static const size_t rows[] = {1, 2, 256, 257, 1000, 4096};
    struct pair p;
    pair_new(&p, 30, 3, 0);
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
        check_scores(p.server, p.client, p.model, 3, rows[i]);
    pair_free(&p);
    pair_new(&p, 1, 3, 0); /* no packing to do */
    check_scores(p.server, p.client, p.model, 3, 5);
    pair_free(&p);
}

static void test_degrees(void)
{
    for (unsigned degree = 5; degree <= 7; degree += 2) {
        struct pair p;
        pair_new(&p, 9, degree, 0);
        check_scores(p.server, p.client, p.model, degree, 1);
        check_scores(p.server, p.client, p.model, degree, 3000);
        pair_free(&p);
    }
}

/* The same rows in every layout: the same scores, and bytes that fall with the packing. */
static void test_layouts(void)
{
    size_t last = SIZE_MAX;
    for (size_t per_ct = 1; per_ct <= 8; per_ct *= 2) {
        struct pair p;
        double got[20];
        pair_new(&p, 13, 3, per_ct);
        CHECK(ccz_helr_client_layout(p.client, 20).per_ct == per_ct);
        double *x = made_rows(p.model, 20, 5);
        size_t size = score(got, p.server, p.client, x, 20);
        CHECK(difference(p.model, 3, x, got, 20) <= ERROR_MAX && size < last);
        last = size;
        free(x);
        pair_free(&p);
    }
}

static void test_fold(void)
{
    for (unsigned degree = 3; degree <= 7; degree += 2) {
        struct cczi_helr_poly p;
        double c[4];
        ccz_helr_sigmoid(c, degree, 8);
        cczi_helr_fold(&p, degree, 8);
        for (double t = -8; t <= 8; t += 0.25) {
            double u = p.fold * t, v = u * u;
            double q = degree == 3   ? v + p.q[0]
                       : degree == 5 ? v * (v + p.q[1]) + p.q[0]
                                     : (v + p.q[2]) * v * v + p.q[1] * v + p.q[0];
            CHECK(fabs(0.5 + u * q - ccz_helr_sigmoid_at(c, degree, t)) < 1e-12);
        }
    }
}

static void test_encrypted_model(void)
{
    CCZ_AUTO(ccz_helr_model) m = made_model(11, 3);
    m->radius = 11; /* goes along with the weights */
    CCZ_AUTO(ccz_helr_server) s = NULL;
    CHECK(ccz_helr_server_new(&s, &(struct ccz_helr_server_cfg){0}, NULL) == CCZ_OK);
    CCZ_AUTO_BUF keys, msg, ready, request;
    ccz_buf_init(&msg, CCZ_HELR_REQUEST_SIZE_MAX);
    ccz_buf_init(&request, CCZ_HELR_REQUEST_SIZE_MAX);
    ccz_buf_init(&ready, 64);
    CCZ_AUTO(ccz_helr_client) c = join(s, &keys, &(struct ccz_helr_client_cfg){.model = m});
    struct ccz_err err = {0};
    double row[11] = {0};
    CHECK(ccz_helr_encrypt(&request, c, row, 1, &err) == CCZ_E_ARG);
    CHECK(strcmp(err.where, "helr:model-missing") == 0);
    CHECK(ccz_helr_client_model(&msg, c, 100, NULL) == CCZ_OK);
    for (size_t i = 0; i < 11; i++)
        row[i] = m->features[i].mean;
    CHECK(ccz_helr_encrypt(&request, c, row, 1, NULL) == CCZ_OK);
    CHECK(ccz_helr_server_score(&ready, s, ccz_buf_span(&request), &err) == CCZ_E_NOT_FOUND);
    CHECK(strcmp(err.where, "helr:model-missing") == 0);
    CHECK(ccz_helr_server_model(&ready, s, ccz_buf_span(&msg), &err) == CCZ_OK);
    CHECK(ccz_helr_client_ready(c, ccz_buf_span(&ready), NULL) == CCZ_OK);
    check_scores(s, c, m, 3, 1);
    check_scores(s, c, m, 3, 100);
    CHECK(ccz_helr_client_layout(c, 1).per_ct == ccz_helr_client_layout(c, 100).per_ct);
    struct cczi_helr_rows h; /* a request in another layout than the model's */
    CHECK(cczi_helr_get_rows(&h, ccz_buf_span(&request), CCZI_HELR_REQUEST,
                             CCZ_HELR_REQUEST_SIZE_MAX, "x", NULL) == CCZ_OK);
    CCZ_AUTO_BUF halves;
    ccz_buf_init(&halves, CCZ_HELR_REQUEST_SIZE_MAX);
    CHECK(h.per_ct == 16 && h.cts == 1);
    h.per_ct = 8;
    h.cts = 2;
    cczi_helr_put_rows(&halves, CCZI_HELR_REQUEST, &h);
    ccz_buf_put_span(&halves, h.body);
    ccz_buf_put_span(&halves, h.body);
    CHECK(ccz_helr_server_score(&ready, s, ccz_buf_span(&halves), &err) == CCZ_E_ARG);
    CHECK(strcmp(err.where, "helr:layout") == 0);
    for (size_t cut = 0; cut < msg.size; cut += cut < 64 ? 1 : 40000)
        CHECK(ccz_helr_server_model(&ready, s, CCZ_SPAN(msg.ptr, cut), NULL) != CCZ_OK);
    double radius[] = {0.5, 33, NAN};
    for (size_t i = 0; i < 3; i++) {
        memcpy(msg.ptr + 40, &radius[i], sizeof(radius[i])); /* behind the size of a ciphertext */
        CHECK(ccz_helr_server_model(&ready, s, ccz_buf_span(&msg), &err) == CCZ_E_ARG);
        CHECK(strcmp(err.where, "helr:radius") == 0);
    }
    h.rows = CCZ_HELR_FEATURES_MAX + 1; /* judged before any ciphertext */
    h.per_ct = 1;
    h.cts = h.rows + 1;
    h.ct_size = 1;
    h.radius = 8;
    ccz_buf_clear(&halves);
    cczi_helr_put_rows(&halves, CCZI_HELR_MODEL, &h);
    memset(ccz_buf_extend(&halves, h.cts), 0, h.cts);
    CHECK(ccz_helr_server_model(&ready, s, ccz_buf_span(&halves), &err) == CCZ_E_LIMIT);
    CHECK(strcmp(err.where, "helr:features") == 0);
    struct pair p; /* who has a model takes none */
    pair_new(&p, 3, 3, 0);
    CHECK(ccz_helr_server_model(&ready, p.server, ccz_buf_span(&msg), &err) == CCZ_E_DENIED);
    CHECK(strcmp(err.where, "helr:model-own") == 0);
    pair_free(&p);
}

/* Heads of ciphertexts, up to the residues (seed excluded): bounds among them. @return ciphertexts */
static size_t heads(uint8_t out[16][84], const struct ccz_buf *msg, enum cczi_helr_kind kind)
{
    struct cczi_helr_rows h;
    CHECK(cczi_helr_get_rows(&h, ccz_buf_span(msg), kind, CCZ_HELR_REQUEST_SIZE_MAX, "x", NULL) ==
          CCZ_OK);
    CHECK(h.cts <= 16);
    for (size_t i = 0; i < h.cts; i++)
        memcpy(out[i], h.body.ptr + i * h.ct_size, 84);
    return h.cts;
}

/* In the clear stands nothing that depends on values, however large they are. */
static void test_nothing_shown(void)
{
    CCZ_AUTO(ccz_helr_model) m = made_model(5, 3);
    CCZ_AUTO(ccz_helr_server) s = NULL;
    CHECK(ccz_helr_server_new(&s, &(struct ccz_helr_server_cfg){0}, NULL) == CCZ_OK);
    CCZ_AUTO_BUF keys, msg;
    ccz_buf_init(&msg, CCZ_HELR_REQUEST_SIZE_MAX);
    CCZ_AUTO(ccz_helr_client)
    c = join(s, &keys, &(struct ccz_helr_client_cfg){.model = m, .per_ct_max = 1});
    static const double sizes[] = {0.001, 5, 1000};
    uint8_t first[16][84], got[16][84];
    for (size_t kind = 0; kind < 2; kind++) {
        for (size_t i = 0; i < 3; i++) {
            double row[5] = {0};
            for (size_t f = 0; f < 5; f++) {
                row[f] = m->features[f].mean + (f == 2 ? sizes[i] * m->features[f].scale : 0);
                m->features[f].weight = f == 2 ? sizes[i] : 0;
            }
            ccz_buf_clear(&msg);
            size_t len;
            if (kind == 0) {
                CHECK(ccz_helr_client_model(&msg, c, 1, NULL) == CCZ_OK);
                len = heads(i ? got : first, &msg, CCZI_HELR_MODEL);
            } else {
                CHECK(ccz_helr_encrypt(&msg, c, row, 1, NULL) == CCZ_OK);
                len = heads(i ? got : first, &msg, CCZI_HELR_REQUEST);
            }
            CHECK(len == (kind ? 5 : 6) && (i == 0 || memcmp(got, first, len * 84) == 0));
        }
    }
    m->features[2].weight = 1e6;
    struct ccz_err err = {0};
    CHECK(ccz_helr_client_model(&msg, c, 1, &err) == CCZ_E_ARG);
    CHECK(strcmp(err.where, "ckks:declared") == 0);
}

/* ------------------------------------------------------------------------------------- refusals */

static ccz_rc open_info(struct ccz_span info, const struct ccz_helr_client_cfg *cfg,
                        struct ccz_err *err)
{
    CCZ_AUTO(ccz_helr_client) c = NULL;
    static const struct ccz_helr_client_cfg none;
    ccz_rc rc = ccz_helr_client_new(&c, info, cfg ? cfg : &none, err);
    CHECK((rc == CCZ_OK) == (c != NULL));
    return rc;
}

static void test_info_refusals(void)
{
    CCZ_AUTO(ccz_helr_model) m = made_model(3, 1);
    CCZ_AUTO(ccz_helr_server) s = NULL;
    CCZ_AUTO(ccz_helr_server) weak = NULL;
    struct ccz_helr_server_cfg cfg = {.model = m};
    struct ccz_err err = {0};
    CHECK(ccz_helr_server_new(&s, &cfg, NULL) == CCZ_OK);
    CCZ_AUTO_BUF info;
    ccz_buf_init(&info, CCZ_HELR_INFO_SIZE_MAX);
    ccz_helr_server_info(&info, s);
    CHECK(open_info(ccz_buf_span(&info), NULL, NULL) == CCZ_OK);
    for (size_t cut = 0; cut < info.size; cut++)
        CHECK(open_info(CCZ_SPAN(info.ptr, cut), NULL, NULL) == CCZ_E_FORMAT);
    ccz_buf_u8(&info, 0);
    CHECK(open_info(ccz_buf_span(&info), NULL, &err) == CCZ_E_FORMAT);
    CHECK(strcmp(err.where, "helr:info") == 0);
    info.size--;
    static const struct {
        size_t at;
        uint8_t xor ;
        const char *where;
    } flips[] = {{0, 1, "helr:magic"}, {4, 2, "helr:version"}, {5, 3, "helr:kind"},
                 {6, 1, "helr:kind"},  {8, 1, "helr:params"},  {51, 1, "helr:info"},
                 {52, 1, "helr:info"}, {53, 1, "helr:info"},   {61, 0x80, "helr:info"}};
    for (size_t i = 0; i < sizeof(flips) / sizeof(*flips); i++) {
        info.ptr[flips[i].at] ^= flips[i].xor ;
        CHECK(open_info(ccz_buf_span(&info), NULL, &err) != CCZ_OK);
        CHECK(strcmp(err.where, flips[i].where) == 0);
        info.ptr[flips[i].at] ^= flips[i].xor ;
    }
    /* well formed, but more than a client lets a server make it spend */
    struct ccz_helr_info spend = {.ring = {.n = 65536, .data_len = 4, .special_len = 1},
                                  .scale_bits = 40,
                                  .degree = 3,
                                  .radius = 8,
                                  .name = "m",
                                  .features_len = 3,
                                  .features = m->features};
    cczi_helr_ring(&spend.ring, 3);
    static const struct {
        size_t n, data_len, special_len;
        double scale;
    } spends[] = {{65536, 4, 1, 1}, {32768, 7, 1, 1}, {32768, 4, 2, 1},         {8192, 3, 1, 1},
                  {8192, 4, 1, 0},  {8192, 4, 1, -1}, {8192, 4, 1, (double)NAN}};
    for (size_t i = 0; i < sizeof(spends) / sizeof(*spends); i++) {
        CCZ_AUTO_BUF msg;
        ccz_buf_init(&msg, 1000);
        spend.ring.n = spends[i].n;
        spend.ring.data_len = spends[i].data_len;
        spend.ring.special_len = spends[i].special_len;
        double keep = m->features[1].scale;
        m->features[1].scale = spends[i].scale;
        memset(spend.ring.bits, 40, spends[i].data_len + spends[i].special_len);
        cczi_helr_put_info(&msg, &spend, (const uint8_t *)spend.name);
        m->features[1].scale = keep;
        CHECK(open_info(ccz_buf_span(&msg), NULL, &err) == CCZ_E_FORMAT);
        CHECK(strcmp(err.where, "helr:info") == 0);
    }
    /* names that would steer a terminal */
    static const char *const names[] = {"\033[2J", "\177", "\xc2\x9b", "\xc2\xa0"};
    const size_t name_at = 62 + 1; /* behind its size; the model's name is longer */
    for (size_t i = 0; i < 4; i++) {
        size_t size = strlen(names[i]);
        uint8_t keep[8];
        CHECK(info.ptr[name_at - 1] >= size);
        memcpy(keep, info.ptr + name_at, size);
        memcpy(info.ptr + name_at, names[i], size);
        CHECK((open_info(ccz_buf_span(&info), NULL, NULL) == CCZ_OK) == (i == 3));
        memcpy(info.ptr + name_at, keep, size);
    }
    CHECK(open_info(ccz_buf_span(&info), &(struct ccz_helr_client_cfg){.model = m}, &err) ==
          CCZ_E_ARG);
    CHECK(strcmp(err.where, "helr:model-wanted") == 0);
    CHECK(open_info(ccz_buf_span(&info), &(struct ccz_helr_client_cfg){.security = 192}, &err) ==
          CCZ_E_POLICY);
    CHECK(strcmp(err.where, "rlwe:security") == 0);

    /* the chain of the original has 300 bits at n = 8192, where 218 are secure */
    cfg.ring_insecure = (struct ccz_rlwe_cfg){
        .n = 8192, .bits = {50, 50, 50, 50, 50, 50}, .data_len = 5, .special_len = 1};
    CHECK(ccz_helr_server_new(&weak, &cfg, NULL) == CCZ_OK);
    ccz_buf_clear(&info);
    ccz_helr_server_info(&info, weak);
    CHECK(open_info(ccz_buf_span(&info), NULL, &err) == CCZ_E_POLICY);
    CHECK(strcmp(err.where, "rlwe:security") == 0);
    CCZ_AUTO(ccz_helr_server) none = NULL;
    cfg.ring_insecure.data_len = 3;
    CHECK(ccz_helr_server_new(&none, &cfg, &err) == CCZ_E_ARG &&
          strcmp(err.where, "helr:level") == 0);
    cfg = (struct ccz_helr_server_cfg){.model = m, .degree = 4};
    CHECK(ccz_helr_server_new(&none, &cfg, &err) == CCZ_E_ARG &&
          strcmp(err.where, "helr:degree") == 0);
    cfg.degree = 0;
    for (size_t i = 0; i < m->features_len; i++)
        m->features[i].weight = 0;
    CHECK(ccz_helr_server_new(&none, &cfg, &err) == CCZ_E_FORMAT &&
          strcmp(err.where, "helr:model") == 0);
}

static void test_client_refusals(void)
{
    struct pair p, q;
    pair_new(&p, 5, 3, 0);
    pair_new(&q, 5, 3, 0);
    CCZ_AUTO_BUF request, reply;
    ccz_buf_init(&request, CCZ_HELR_REQUEST_SIZE_MAX);
    ccz_buf_init(&reply, CCZ_HELR_REPLY_SIZE_MAX);
    struct ccz_err err = {0};
    double *x = made_rows(p.model, 3, 1), got[4] = {1, 1, 1, 1};
    CHECK(ccz_helr_encrypt(&request, p.client, x, 0, &err) == CCZ_E_ARG);
    CHECK(strcmp(err.where, "helr:rows") == 0);
    CHECK(ccz_helr_encrypt(&request, p.client, x, 4097, &err) == CCZ_E_ARG);
    static const double bad[] = {NAN, INFINITY, -INFINITY, 1e9};
    for (size_t i = 0; i < 4; i++) {
        double keep = x[7];
        x[7] = bad[i];
        CHECK(ccz_helr_encrypt(&request, p.client, x, 3, &err) == CCZ_E_ARG && err.aux == 7);
        CHECK(strcmp(err.where, "helr:value") == 0);
        x[7] = keep;
    }
    ccz_buf_clear(&request);
    CHECK(ccz_helr_encrypt(&request, p.client, x, 3, NULL) == CCZ_OK);
    CHECK(ccz_helr_server_score(&reply, p.server, ccz_buf_span(&request), NULL) == CCZ_OK);
    for (size_t cut = 0; cut < reply.size; cut += cut < 100 ? 1 : 997)
        CHECK(ccz_helr_decrypt(got, p.client, CCZ_SPAN(reply.ptr, cut), 3, NULL) != CCZ_OK &&
              got[0] == 0);
    CHECK(ccz_helr_decrypt(got, p.client, ccz_buf_span(&reply), 2, &err) == CCZ_E_PEER);
    CHECK(strcmp(err.where, "helr:reply-rows") == 0);
    CHECK(ccz_helr_decrypt(got, q.client, ccz_buf_span(&reply), 3, &err) == CCZ_E_PEER);
    /* the same bytes as two ciphertexts of half the size */
    size_t half = (reply.size - CCZ_HELR_CT_AT) / 2;
    uint8_t keep[8];
    CHECK((reply.size - CCZ_HELR_CT_AT) % 2 == 0);
    memcpy(keep, reply.ptr + 32, sizeof(keep));
    reply.ptr[32] = 2;
    for (size_t i = 0; i < 4; i++)
        reply.ptr[36 + i] = (uint8_t)(half >> 8 * i);
    CHECK(ccz_helr_decrypt(got, p.client, ccz_buf_span(&reply), 3, &err) == CCZ_E_PEER);
    memcpy(reply.ptr + 32, keep, sizeof(keep));
    CHECK(ccz_helr_decrypt(got, p.client, ccz_buf_span(&reply), 3, NULL) == CCZ_OK);
    /* a reply that claims to be ours but holds somebody else's ciphertext */
    uint8_t id[CCZ_HELR_SESSION_SIZE];
    CHECK(cczi_helr_session_id(id, ccz_buf_span(&q.keys), NULL) == CCZ_OK);
    memcpy(reply.ptr + 8, id, sizeof(id));
    CHECK(ccz_helr_decrypt(got, q.client, ccz_buf_span(&reply), 3, &err) == CCZ_E_MISMATCH);
    CHECK(strcmp(err.where, "rlwe:key-id") == 0);
    CCZ_AUTO_BUF ready;
    ccz_buf_init(&ready, 64);
    CHECK(ccz_helr_server_keys(&ready, q.server, ccz_buf_span(&q.keys), NULL) == CCZ_OK);
    CHECK(ccz_helr_client_ready(p.client, ccz_buf_span(&ready), &err) == CCZ_E_PEER);
    CHECK(strcmp(err.where, "helr:session") == 0);
    CHECK(ccz_helr_client_ready(q.client, CCZ_SPAN(ready.ptr, ready.size - 1), NULL) ==
          CCZ_E_FORMAT);
    free(x);
    pair_free(&p);
    pair_free(&q);
}

/* A request of one ciphertext (5 features, 1 row), with the ciphertext replaced by @p ct, in which @p flip is
 * flipped in the first byte of the second part. */
static ccz_rc send_bits(struct pair *p, struct cczi_helr_rows h, const struct ccz_ckks_ct *ct,
                        uint8_t flip, struct ccz_err *err)
{
    CCZ_AUTO_BUF body, request, reply;
    ccz_buf_init(&body, CCZ_HELR_REQUEST_SIZE_MAX);
    ccz_buf_init(&request, CCZ_HELR_REQUEST_SIZE_MAX);
    ccz_buf_init(&reply, CCZ_HELR_REPLY_SIZE_MAX);
    CHECK(ccz_ckks_ct_write(&body, ct, NULL) == CCZ_OK);
    body.ptr[84 + (body.size - 84) / 2] ^= flip;
    h.ct_size = (uint32_t)body.size;
    cczi_helr_put_rows(&request, CCZI_HELR_REQUEST, &h);
    ccz_buf_put_span(&request, ccz_buf_span(&body));
    memset(err, 0, sizeof(*err));
    return ccz_helr_server_score(&reply, p->server, ccz_buf_span(&request), err);
}

static ccz_rc send_ct(struct pair *p, struct cczi_helr_rows h, const struct ccz_ckks_ct *ct,
                      struct ccz_err *err)
{
    return send_bits(p, h, ct, 0, err);
}

static void test_request_cts(struct pair *p, const struct cczi_helr_rows *h)
{
    struct ccz_err err;
    CCZ_AUTO(ccz_ckks) ckks = NULL;
    CCZ_AUTO(ccz_ckks_eval) eval = NULL;
    CCZ_AUTO(ccz_ckks_ct) ct = NULL;
    CCZ_AUTO(ccz_ckks_ct) other = NULL;
    struct ccz_ckks_cfg cfg = {0};
    cczi_helr_ring(&cfg.ring, 3);
    CHECK(ccz_ckks_new(&ckks, &cfg, NULL) == CCZ_OK);
    CHECK(ccz_ckks_eval_new(&eval, ckks, NULL, NULL) == CCZ_OK);
    CHECK(ccz_ckks_ct_new(&ct, ckks, NULL) == CCZ_OK &&
          ccz_ckks_ct_new(&other, ckks, NULL) == CCZ_OK);
    CHECK(ccz_ckks_ct_read(ct, eval, h->body, NULL, NULL) == CCZ_OK);
    CHECK(send_ct(p, *h, ct, &err) == CCZ_OK);

    CHECK(ccz_ckks_copy(other, ct) == CCZ_OK);
    other->ct.key_id[0] ^= 1;
    CHECK(send_ct(p, *h, other, &err) == CCZ_E_MISMATCH && strcmp(err.where, "rlwe:key-id") == 0);

    CHECK(ccz_ckks_copy(other, ct) == CCZ_OK);
    other->ct.seeded = false;
    memset(other->ct.c[1], 0, 8192 * 4 * sizeof(uint64_t));
    other->ct.c[1][0] = 1;
    CHECK(send_bits(p, *h, other, 1, &err) == CCZ_E_FORMAT &&
          strcmp(err.where, "rlwe:transparent") == 0);

    CHECK(ccz_ckks_copy(other, ct) == CCZ_OK);
    other->ct.c[0][8192 + 17] = ccz_rlwe_prime(ccz_ckks_ring(ckks), 1);
    CHECK(send_ct(p, *h, other, &err) == CCZ_E_FORMAT && strcmp(err.where, "rlwe:residue") == 0);

    CHECK(ccz_ckks_copy(other, ct) == CCZ_OK);
    other->scale *= 2;
    CHECK(send_ct(p, *h, other, &err) == CCZ_E_ARG && strcmp(err.where, "helr:scale") == 0);

    CHECK(ccz_ckks_drop(other, eval, ct, 3, NULL) == CCZ_OK);
    CHECK(send_ct(p, *h, other, &err) == CCZ_E_ARG && strcmp(err.where, "helr:level") == 0);

    CHECK(ccz_ckks_copy(other, ct) == CCZ_OK);
    other->ct.seeded = false;
    CHECK(ccz_rlwe_ct_reserve(&other->ct, 3) == CCZ_OK);
    memset(other->ct.c[2], 0, 8192 * 4 * sizeof(uint64_t));
    other->ct.parts = 3;
    CHECK(send_ct(p, *h, other, &err) == CCZ_E_ARG && strcmp(err.where, "helr:level") == 0);

    CHECK(ccz_ckks_square(other, eval, ct, NULL) == CCZ_OK);
    CHECK(send_ct(p, *h, other, &err) != CCZ_OK);
}

static void test_request_refusals(void)
{
    struct pair p;
    pair_new(&p, 5, 3, 0);
    CCZ_AUTO_BUF request, reply;
    ccz_buf_init(&request, CCZ_HELR_REQUEST_SIZE_MAX);
    ccz_buf_init(&reply, CCZ_HELR_REPLY_SIZE_MAX);
    struct ccz_err err = {0};
    double *x = made_rows(p.model, 1, 1);
    CHECK(ccz_helr_encrypt(&request, p.client, x, 1, NULL) == CCZ_OK);
    for (size_t cut = 0; cut < request.size; cut += cut < 100 ? 1 : 4099)
        CHECK(ccz_helr_server_score(&reply, p.server, CCZ_SPAN(request.ptr, cut), NULL) != CCZ_OK);
    CHECK(reply.size == 0);
    /* offsets: session 8, rows 24, per_ct 28, cts 32, ct_size 36 */
    static const struct {
        size_t at;
        uint8_t xor ;
        const char *where;
    } flips[] = {{1, 1, "helr:magic"},    {4, 1, "helr:version"},  {5, 1, "helr:kind"},
                 {8, 1, "helr:session"},  {24, 1, "helr:rows"},    {26, 1, "helr:rows"},
                 {28, 1, "helr:layout"},  {28, 8, "helr:layout"},  {28, 24, "helr:layout"},
                 {28, 12, "helr:layout"}, {28, 14, "helr:layout"}, {32, 3, "helr:request"},
                 {36, 1, "helr:request"}};
    for (size_t i = 0; i < sizeof(flips) / sizeof(*flips); i++) {
        request.ptr[flips[i].at] ^= flips[i].xor ;
        CHECK(ccz_helr_server_score(&reply, p.server, ccz_buf_span(&request), &err) != CCZ_OK);
        CHECK(strcmp(err.where, flips[i].where) == 0 && reply.size == 0);
        request.ptr[flips[i].at] ^= flips[i].xor ;
    }
    struct ccz_span huge = {request.ptr, CCZ_HELR_REQUEST_SIZE_MAX + 1}; /* refused unread */
    CHECK(ccz_helr_server_score(&reply, p.server, huge, &err) == CCZ_E_LIMIT);
    CHECK(strcmp(err.where, "helr:message-size") == 0);
    struct cczi_helr_rows h;
    CHECK(cczi_helr_get_rows(&h, ccz_buf_span(&request), CCZI_HELR_REQUEST,
                             CCZ_HELR_REQUEST_SIZE_MAX, "x", NULL) == CCZ_OK);
    test_request_cts(&p, &h);
    for (size_t i = 0; i < 2; i++) { /* none, or of no size: both are zero bytes */
        h.cts = i == 0 ? 0 : 1;
        h.ct_size = i == 0 ? 1 : 0;
        ccz_buf_clear(&request);
        cczi_helr_put_rows(&request, CCZI_HELR_REQUEST, &h);
        CHECK(ccz_helr_server_score(&reply, p.server, ccz_buf_span(&request), &err) ==
              CCZ_E_FORMAT);
        CHECK(strcmp(err.where, "helr:request") == 0);
    }
    free(x);
    pair_free(&p);
}

static ccz_rc send_keys(struct ccz_helr_server *s, struct ccz_buf *msg, struct ccz_err *err)
{
    CCZ_AUTO_BUF ready;
    ccz_buf_init(&ready, 64);
    memset(err, 0, sizeof(*err));
    ccz_rc rc = ccz_helr_server_keys(&ready, s, ccz_buf_span(msg), err);
    CHECK((rc == CCZ_OK) == (ready.size > 0));
    return rc;
}

/* A keys message of parts as a client would not make it. */
static void put_keys(struct ccz_buf *out, const struct ccz_rlwe_swk *relin,
                     const struct ccz_rlwe_galois_set *galois)
{
    CCZ_AUTO_BUF part;
    ccz_buf_init(&part, CCZ_HELR_KEYS_SIZE_MAX);
    ccz_buf_clear(out);
    cczi_helr_put_head(out, CCZI_HELR_KEYS);
    CHECK(ccz_rlwe_swk_write(&part, relin, NULL) == CCZ_OK);
    ccz_buf_le32(out, (uint32_t)part.size);
    ccz_buf_put_span(out, ccz_buf_span(&part));
    ccz_buf_clear(&part);
    if (galois)
        CHECK(ccz_rlwe_galois_set_write(&part, galois, NULL) == CCZ_OK);
    ccz_buf_put_span(out, ccz_buf_span(&part));
}

static void test_keys_sets(struct ccz_helr_server *s)
{
    struct ccz_err err;
    CCZ_AUTO_BUF msg;
    ccz_buf_init(&msg, CCZ_HELR_KEYS_SIZE_MAX);
    CCZ_AUTO(ccz_ckks) ckks = NULL;
    CCZ_AUTO(ccz_ckks_eval) eval = NULL;
    struct ccz_ckks_cfg cfg = {0};
    cczi_helr_ring(&cfg.ring, 3);
    CHECK(ccz_ckks_new(&ckks, &cfg, NULL) == CCZ_OK);
    CHECK(ccz_ckks_eval_new(&eval, ckks, NULL, NULL) == CCZ_OK);
    struct ccz_rlwe_work *work = ccz_ckks_eval_work(eval);
    CCZ_AUTO(ccz_rlwe_sk) sk = NULL;
    CCZ_AUTO(ccz_rlwe_sk) sk2 = NULL;
    CCZ_AUTO(ccz_rlwe_swk) relin = NULL;
    CCZ_AUTO(ccz_rlwe_swk) turn = NULL;
    CHECK(ccz_rlwe_sk_new(&sk, work, NULL) == CCZ_OK &&
          ccz_rlwe_sk_new(&sk2, work, NULL) == CCZ_OK);
    CHECK(ccz_rlwe_relin_new(&relin, work, sk, NULL) == CCZ_OK);
    CHECK(ccz_rlwe_galois_new(&turn, work, sk, 5, NULL) == CCZ_OK);
    put_keys(&msg, turn, NULL); /* no relinearization key */
    CHECK(send_keys(s, &msg, &err) == CCZ_E_FORMAT && strcmp(err.where, "helr:keys") == 0);
    static const struct {
        int64_t steps[3];
        size_t len;
        bool conjugation, foreign;
        const char *where; /* NULL: accepted */
    } sets[] = {
        {{2048}, 1, true, false, NULL},           {{0}, 0, true, false, NULL},
        {{2048}, 1, false, false, "helr:keys"},   {{1024}, 1, true, false, "helr:keys"},
        {{2048, 1}, 2, true, false, "helr:keys"}, {{2048}, 1, true, true, "rlwe:key-id"},
    };
    for (size_t i = 0; i < sizeof(sets) / sizeof(*sets); i++) {
        CCZ_AUTO(ccz_rlwe_galois_set) set = NULL;
        CHECK(ccz_ckks_galois_new(&set, eval, sets[i].foreign ? sk2 : sk, sets[i].steps,
                                  sets[i].len, sets[i].conjugation, NULL) == CCZ_OK);
        put_keys(&msg, relin, set);
        ccz_rc rc = send_keys(s, &msg, &err);
        CHECK((rc == CCZ_OK) == (sets[i].where == NULL));
        CHECK(!sets[i].where || strcmp(err.where, sets[i].where) == 0);
    }
}

static void test_keys_refusals(void)
{
    struct pair p, q;
    struct ccz_err err;
    pair_new(&p, 5, 3, 0);
    for (size_t cut = 0; cut < p.keys.size; cut += cut < 300 ? 1 : 100003) {
        struct ccz_buf part = p.keys;
        part.size = cut;
        CHECK(send_keys(p.server, &part, &err) != CCZ_OK);
    }
    p.keys.ptr[p.keys.size / 2] ^= 0x80; /* other keys, as far as can be seen, or no residue */
    (void)send_keys(p.server, &p.keys, &err);
    test_keys_sets(p.server);
    CCZ_AUTO(ccz_helr_server) other = NULL; /* another ring of the same size */
    struct ccz_helr_server_cfg cfg = {
        .model = p.model,
        .ring_insecure = {
            .n = 8192, .bits = {48, 40, 40, 40, 49}, .data_len = 4, .special_len = 1}};
    CHECK(ccz_helr_server_new(&other, &cfg, NULL) == CCZ_OK);
    CCZ_AUTO_BUF keys;
    CCZ_AUTO(ccz_helr_client) c = join(other, &keys, &(struct ccz_helr_client_cfg){0});
    CHECK(send_keys(p.server, &keys, &err) == CCZ_E_MISMATCH);
    CHECK(strcmp(err.where, "rlwe:params") == 0);
    pair_new(&q, 40, 3, 0); /* rotations for more features than the model has */
    CHECK(send_keys(p.server, &q.keys, &err) == CCZ_E_FORMAT &&
          strcmp(err.where, "helr:keys") == 0);
    pair_free(&q);
    pair_free(&p);
}

static void test_sessions(void)
{
    CCZ_AUTO(ccz_helr_model) m = made_model(4, 1);
    CCZ_AUTO(ccz_helr_server) s = NULL;
    struct ccz_helr_server_cfg cfg = {.model = m, .sessions_max = 2};
    CHECK(ccz_helr_server_new(&s, &cfg, NULL) == CCZ_OK);
    struct ccz_helr_client *c[3];
    struct ccz_buf keys[3];
    double *x = made_rows(m, 1, 1), got;
    for (size_t i = 0; i < 3; i++) {
        c[i] = join(s, &keys[i], &(struct ccz_helr_client_cfg){0});
        if (i == 1)
            (void)score(&got, s, c[0], x, 1); /* now the second one is the oldest */
    }
    CCZ_AUTO_BUF request, reply;
    ccz_buf_init(&request, CCZ_HELR_REQUEST_SIZE_MAX);
    ccz_buf_init(&reply, CCZ_HELR_REPLY_SIZE_MAX);
    struct ccz_err err;
    (void)score(&got, s, c[0], x, 1);
    (void)score(&got, s, c[2], x, 1);
    CHECK(ccz_helr_encrypt(&request, c[1], x, 1, NULL) == CCZ_OK);
    CHECK(ccz_helr_server_score(&reply, s, ccz_buf_span(&request), &err) == CCZ_E_NOT_FOUND);
    CHECK(strcmp(err.where, "helr:session") == 0 && err.hint[0]);
    CHECK(send_keys(s, &keys[1], &err) == CCZ_OK && send_keys(s, &keys[1], &err) == CCZ_OK);
    CHECK(ccz_helr_server_score(&reply, s, ccz_buf_span(&request), NULL) == CCZ_OK);
    (void)score(&got, s, c[2], x, 1); /* sent twice, it took one place */
    for (size_t i = 0; i < 3; i++) {
        ccz_helr_client_free(c[i]);
        ccz_buf_free(&keys[i]);
    }
    free(x);
}

/* Room for the keys of one client and a half, then for less than one. */
static void test_sessions_size(void)
{
    CCZ_AUTO(ccz_helr_model) m = made_model(4, 1);
    CCZ_AUTO(ccz_helr_server) s = NULL;
    CCZ_AUTO(ccz_helr_server) small = NULL;
    CCZ_AUTO(ccz_helr_server) large = NULL;
    struct ccz_helr_server_cfg cfg = {.model = m};
    struct ccz_buf keys[2];
    struct ccz_helr_client *c[2];
    struct ccz_err err;
    double *x = made_rows(m, 1, 1), got;
    CHECK(ccz_helr_server_new(&large, &cfg, NULL) == CCZ_OK);
    c[0] = join(large, &keys[0], &(struct ccz_helr_client_cfg){0});
    cfg.sessions_size_max = 3 * keys[0].size;
    CHECK(ccz_helr_server_new(&s, &cfg, NULL) == CCZ_OK);
    CHECK(send_keys(s, &keys[0], &err) == CCZ_OK);
    (void)score(&got, s, c[0], x, 1);
    c[1] = join(s, &keys[1], &(struct ccz_helr_client_cfg){0});
    CCZ_AUTO_BUF request, reply;
    ccz_buf_init(&request, CCZ_HELR_REQUEST_SIZE_MAX);
    ccz_buf_init(&reply, CCZ_HELR_REPLY_SIZE_MAX);
    CHECK(ccz_helr_encrypt(&request, c[0], x, 1, NULL) == CCZ_OK);
    CHECK(ccz_helr_server_score(&reply, s, ccz_buf_span(&request), &err) == CCZ_E_NOT_FOUND);
    (void)score(&got, s, c[1], x, 1);
    cfg.sessions_size_max = 2 * keys[0].size - 1;
    CHECK(ccz_helr_server_new(&small, &cfg, NULL) == CCZ_OK);
    CHECK(send_keys(small, &keys[0], &err) == CCZ_E_LIMIT);
    CHECK(strcmp(err.where, "helr:sessions-size") == 0 && err.got[0] && err.expected[0]);
    for (size_t i = 0; i < 2; i++) {
        ccz_helr_client_free(c[i]);
        ccz_buf_free(&keys[i]);
    }
    free(x);
}

/* A transport that forgets: before call `forget` another client takes the only place. */
struct wire {
    struct ccz_helr_server *server;
    const char *method[16];
    size_t len, forget;
    struct ccz_span other_keys;
};

static ccz_rc wire_call(void *arg, struct ccz_buf *reply, const char *method, struct ccz_span msg,
                        struct ccz_err *err)
{
    struct wire *w = arg;
    CCZ_AUTO_BUF ready;
    ccz_buf_init(&ready, 64);
    CHECK(w->len < 16);
    w->method[w->len++] = method;
    if (w->len == w->forget)
        CHECK(ccz_helr_server_keys(&ready, w->server, w->other_keys, NULL) == CCZ_OK);
    return ccz_helr_server_call(reply, w->server, method, msg, err);
}

static void check_calls(const struct wire *w, const char *want)
{
    char got[200] = "";
    for (size_t i = 0; i < w->len; i++)
        (void)snprintf(got + strlen(got), sizeof(got) - strlen(got), "%s ", w->method[i]);
    CHECK(strcmp(got, want) == 0);
}

static void test_remote(void)
{
    CCZ_AUTO(ccz_helr_model) m = made_model(4, 1);
    double *x = made_rows(m, 3, 1), score[3];
    for (int own = 0; own < 2; own++) {
        CCZ_AUTO(ccz_helr_server) s = NULL;
        struct ccz_helr_server_cfg cfg = {.model = own ? NULL : m, .sessions_max = 1};
        CHECK(ccz_helr_server_new(&s, &cfg, NULL) == CCZ_OK);
        CCZ_AUTO_BUF keys;
        struct ccz_helr_client_cfg who = {.model = own ? m : NULL};
        CCZ_AUTO(ccz_helr_client) other = join(s, &keys, &who);
        struct wire w = {.server = s, .other_keys = ccz_buf_span(&keys)};
        struct ccz_helr_remote_cfg remote = {.client = who, .call = wire_call, .arg = &w};
        CCZ_AUTO(ccz_helr_remote) r = NULL;
        struct ccz_err err = {0};
        CHECK(ccz_helr_remote_new(&r, &remote, NULL) == CCZ_OK);
        check_calls(&w, own ? "Info Keys Model " : "Info Keys ");
        for (int forget = 0; forget < 2; forget++) {
            w.len = 0;
            w.forget = (size_t)forget;
            CHECK(ccz_helr_remote_score(score, r, x, 3, NULL) == CCZ_OK);
            CHECK(difference(m, 3, x, score, 3) <= ERROR_MAX);
            check_calls(&w, !forget ? "Score "
                            : own   ? "Score Keys Model Score "
                                    : "Score Keys Score ");
        }
        struct ccz_helr_stats st = ccz_helr_remote_stats(r);
        CHECK(st.requests == 2 && st.sent_size > st.received_size && st.once_size >= 2 * keys.size);
        w.len = 0;
        CHECK(ccz_helr_remote_score(score, r, x, 0, &err) == CCZ_E_ARG && w.len == 0);
        CHECK(ccz_helr_server_call(&keys, s, "Other", (struct ccz_span){0}, &err) ==
                  CCZ_E_UNSUPPORTED &&
              strcmp(err.where, "helr:method") == 0);
    }
    free(x);
}

struct job {
    struct ccz_helr_server *server;
    const struct ccz_helr_model *model;
};

static void *one_client(void *arg)
{
    struct job *j = arg;
    struct ccz_buf keys;
    for (int i = 0; i < 2; i++) {
        struct ccz_helr_client *c = join(j->server, &keys, &(struct ccz_helr_client_cfg){0});
        check_scores(j->server, c, j->model, 3, 3);
        check_scores(j->server, c, j->model, 3, 1500);
        ccz_helr_client_free(c);
        ccz_buf_free(&keys);
    }
    return NULL;
}

static void test_threads(void)
{
    CCZ_AUTO(ccz_helr_model) m = made_model(12, 1);
    CCZ_AUTO(ccz_helr_server) s = NULL;
    struct ccz_helr_server_cfg cfg = {.model = m, .sessions_max = 3};
    CHECK(ccz_helr_server_new(&s, &cfg, NULL) == CCZ_OK);
    struct job j = {s, m};
    pthread_t other;
    CHECK(pthread_create(&other, NULL, one_client, &j) == 0);
    (void)one_client(&j);
    CHECK(pthread_join(other, NULL) == 0);
}

struct busy {
    struct ccz_helr_server *server;
    struct ccz_span request;
    atomic_bool stop;
};

static void *keep_scoring(void *arg)
{
    struct busy *b = arg;
    while (!b->stop) {
        CCZ_AUTO_BUF reply;
        ccz_buf_init(&reply, CCZ_HELR_REPLY_SIZE_MAX);
        CHECK(ccz_helr_server_score(&reply, b->server, b->request, NULL) == CCZ_OK);
    }
    return NULL;
}

/* A model is not replaced under a request that is computed with it. */
static void test_model_in_use(void)
{
    CCZ_AUTO(ccz_helr_model) m = made_model(2, 3);
    CCZ_AUTO(ccz_helr_server) s = NULL;
    CHECK(ccz_helr_server_new(&s, &(struct ccz_helr_server_cfg){0}, NULL) == CCZ_OK);
    CCZ_AUTO_BUF keys, msg, ready, request;
    ccz_buf_init(&msg, CCZ_HELR_REQUEST_SIZE_MAX);
    ccz_buf_init(&request, CCZ_HELR_REQUEST_SIZE_MAX);
    ccz_buf_init(&ready, 1 << 20);
    CCZ_AUTO(ccz_helr_client) c = join(s, &keys, &(struct ccz_helr_client_cfg){.model = m});
    double *x = made_rows(m, 1, 1);
    struct ccz_err err = {0};
    CHECK(ccz_helr_client_model(&msg, c, 1, NULL) == CCZ_OK);
    CHECK(ccz_helr_server_model(&ready, s, ccz_buf_span(&msg), NULL) == CCZ_OK);
    CHECK(ccz_helr_encrypt(&request, c, x, 1, NULL) == CCZ_OK);
    struct busy b = {.server = s, .request = ccz_buf_span(&request)};
    pthread_t other;
    CHECK(pthread_create(&other, NULL, keep_scoring, &b) == 0);
    ccz_rc rc = CCZ_OK;
    for (int i = 0; i < 1000 && rc == CCZ_OK; i++)
        rc = ccz_helr_server_model(&ready, s, ccz_buf_span(&msg), &err);
    b.stop = true;
    CHECK(pthread_join(other, NULL) == 0);
    CHECK(rc == CCZ_E_UNAVAILABLE && strcmp(err.where, "helr:model-in-use") == 0);
    CHECK(ccz_helr_server_model(&ready, s, ccz_buf_span(&msg), NULL) == CCZ_OK);
    free(x);
}

struct guest {
    struct ccz_helr_server *server;
    struct ccz_helr_client *client;
    struct ccz_buf keys;
    const struct ccz_helr_model *model;
    atomic_bool stop;
};

/* Scores that are right, or none because the session was forgotten before the request came. */
static void *come_again(void *arg)
{
    struct guest *g = arg;
    double *x = made_rows(g->model, 1, 1), got[1];
    struct ccz_err err = {0};
    while (!g->stop) {
        CCZ_AUTO_BUF request, reply;
        ccz_buf_init(&request, CCZ_HELR_REQUEST_SIZE_MAX);
        ccz_buf_init(&reply, CCZ_HELR_REPLY_SIZE_MAX);
        CHECK(ccz_helr_encrypt(&request, g->client, x, 1, NULL) == CCZ_OK);
        ccz_rc rc = ccz_helr_server_score(&reply, g->server, ccz_buf_span(&request), &err);
        CHECK(rc == CCZ_OK || (rc == CCZ_E_NOT_FOUND && strcmp(err.where, "helr:session") == 0));
        if (rc == CCZ_OK)
            CHECK(ccz_helr_decrypt(got, g->client, ccz_buf_span(&reply), 1, NULL) == CCZ_OK &&
                  difference(g->model, 3, x, got, 1) <= ERROR_MAX);
        else
            CHECK(send_keys(g->server, &g->keys, &err) == CCZ_OK);
    }
    free(x);
    return NULL;
}

/* With room for one session, others come all the time: the one in use is not taken away under its request. */
static void test_in_use(void)
{
    CCZ_AUTO(ccz_helr_model) m = made_model(4, 1);
    CCZ_AUTO(ccz_helr_server) s = NULL;
    struct ccz_helr_server_cfg cfg = {.model = m, .sessions_max = 1};
    CHECK(ccz_helr_server_new(&s, &cfg, NULL) == CCZ_OK);
    struct guest g = {.server = s, .model = m};
    struct ccz_buf keys[2];
    struct ccz_helr_client *c[2];
    for (size_t i = 0; i < 2; i++)
        c[i] = join(s, &keys[i], &(struct ccz_helr_client_cfg){.per_ct_max = 1});
    g.client = join(s, &g.keys, &(struct ccz_helr_client_cfg){0});
    pthread_t other;
    struct ccz_err err;
    CHECK(pthread_create(&other, NULL, come_again, &g) == 0);
    for (size_t i = 0; i < 30; i++)
        CHECK(send_keys(s, &keys[i % 2], &err) == CCZ_OK);
    g.stop = true;
    CHECK(pthread_join(other, NULL) == 0);
    for (size_t i = 0; i < 2; i++) {
        ccz_helr_client_free(c[i]);
        ccz_buf_free(&keys[i]);
    }
    ccz_helr_client_free(g.client);
    ccz_buf_free(&g.keys);
}

/* The workload of the original: classes as in the clear, error and size within the bars. */
static void test_original(void)
{
    struct original o;
    original_load(&o);
    CCZ_AUTO(ccz_helr_server) s = NULL;
    CCZ_AUTO_BUF keys;
    CHECK(ccz_helr_server_new(&s, &(struct ccz_helr_server_cfg){.model = o.model}, NULL) == CCZ_OK);
    CCZ_AUTO(ccz_helr_client) c = join(s, &keys, &(struct ccz_helr_client_cfg){.per_ct_max = 4});
    double *got = malloc(o.rows * sizeof(*got));
    CHECK(got);
    CHECK(score(got, s, c, o.x, o.rows) <= 12000000);
    CHECK(difference(o.model, 3, o.x, got, o.rows) <= ERROR_MAX);
    size_t right = 0;
    for (size_t i = 0; i < o.rows; i++) {
        bool one = ccz_helr_model_linear(o.model, o.x + 80 * i) >= 0;
        CHECK((got[i] >= 0.5) == one);
        right += one == (o.label[i] == 1);
    }
    CHECK(right == 1888);
    free(got);
    original_free(&o);
}

static const struct ccz_test tests[] = {
    {"helr.scores", test_scores},
    {"helr.degrees", test_degrees},
    {"helr.encrypted_model", test_encrypted_model},
    {"helr.nothing_shown", test_nothing_shown},
    {"helr.model_in_use", test_model_in_use},
    {"helr.session_in_use", test_in_use},
    {"helr.layouts", test_layouts},
    {"helr.fold", test_fold},
    {"helr.info_refusals", test_info_refusals},
    {"helr.client_refusals", test_client_refusals},
    {"helr.request_refusals", test_request_refusals},
    {"helr.keys_refusals", test_keys_refusals},
    {"helr.sessions", test_sessions},
    {"helr.sessions_size", test_sessions_size},
    {"helr.remote", test_remote},
    {"helr.threads", test_threads},
    {"helr.original", test_original}, /* last: it may skip */
};

int main(int argc, char **argv)
{
    return ccz_test_main(tests, sizeof(tests) / sizeof(*tests), argc, argv);
}
