/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Messages of helr, by their first byte: 0 info, 1 request, 2 keys. Infos and frames that are accepted are
 * written alike; a server with a session, of a small ring so that it is fast, answers or gives a reason.
 */
#include "helr/helr_priv.h"

#include <stdlib.h>
#include <string.h>

static void expect(bool ok)
{
    if (!ok)
        abort();
}

static struct ccz_helr_server *g_server;
static uint8_t g_session[CCZ_HELR_SESSION_SIZE];

/* Keys of a fixed seed, so that a corpus of requests stays valid. */
static ccz_rc fill(void *arg, void *out, size_t size)
{
    uint8_t *count = arg;
    memset(out, ++*count, size);
    return CCZ_OK;
}

static void set_up(void)
{
    static const char model[] =
        "{\"version\":1,\"name\":\"m\",\"bias\":1,\"features\":[{\"name\":\"a\","
        "\"weight\":1},{\"name\":\"b\",\"weight\":-1}]}";
    static struct ccz_helr_model *m;
    static uint8_t count;
    struct ccz_rlwe_cfg ring = {
        .n = 1024, .bits = {49, 40, 40, 40, 49}, .data_len = 4, .special_len = 1};
    struct ccz_ckks_cfg cfg = {.ring = ring};
    cfg.ring.security_insecure = true;
    CCZ_AUTO(ccz_ckks) ckks = NULL;
    CCZ_AUTO(ccz_ckks_eval) eval = NULL;
    CCZ_AUTO(ccz_rlwe_sk) sk = NULL;
    CCZ_AUTO(ccz_rlwe_swk) relin = NULL;
    struct ccz_rlwe_work_cfg work = {.rng = {fill, &count}};
    expect(ccz_helr_model_parse(&m, ccz_span_str(model), NULL) == CCZ_OK);
    struct ccz_helr_server_cfg server = {.model = m, .ring_insecure = ring};
    expect(ccz_helr_server_new(&g_server, &server, NULL) == CCZ_OK);
    expect(ccz_ckks_new(&ckks, &cfg, NULL) == CCZ_OK);
    expect(ccz_ckks_eval_new(&eval, ckks, &work, NULL) == CCZ_OK);
    expect(ccz_rlwe_sk_new(&sk, ccz_ckks_eval_work(eval), NULL) == CCZ_OK);
    expect(ccz_rlwe_relin_new(&relin, ccz_ckks_eval_work(eval), sk, NULL) == CCZ_OK);
    CCZ_AUTO_BUF keys, part, ready;
    ccz_buf_init(&keys, 1 << 20);
    ccz_buf_init(&part, 1 << 20);
    ccz_buf_init(&ready, 64);
    expect(ccz_rlwe_swk_write(&part, relin, NULL) == CCZ_OK);
    cczi_helr_put_head(&keys, CCZI_HELR_KEYS);
    ccz_buf_le32(&keys, (uint32_t)part.size);
    ccz_buf_put_span(&keys, ccz_buf_span(&part));
    expect(ccz_helr_server_keys(&ready, g_server, ccz_buf_span(&keys), NULL) == CCZ_OK);
    expect(cczi_helr_session_id(g_session, ccz_buf_span(&keys), NULL) == CCZ_OK);
}

static void check_info(struct ccz_span msg)
{
    struct ccz_helr_info info;
    struct ccz_err err = {0};
    uint8_t id[CCZ_RLWE_PARAMS_ID_SIZE];
    if (cczi_helr_get_info(&info, id, msg, &err) != CCZ_OK) {
        expect(err.where[0] && info.features == NULL);
        return;
    }
    CCZ_AUTO_BUF again;
    ccz_buf_init(&again, msg.size);
    cczi_helr_put_info(&again, &info, id);
    expect(ccz_span_eq(ccz_buf_span(&again), msg));
    cczi_helr_info_deinit(&info);
}

/* The message as it is, then as one of our session: its name is a hash that no mutation finds. */
static void check_request(struct ccz_span msg)
{
    CCZ_AUTO_BUF ours, reply;
    struct cczi_helr_rows h;
    struct ccz_err err = {0};
    ccz_buf_init(&ours, msg.size);
    ccz_buf_init(&reply, CCZ_HELR_REPLY_SIZE_MAX);
    expect(ccz_helr_server_score(&reply, g_server, msg, &err) == CCZ_E_NOT_FOUND ||
           reply.size > 0 || err.where[0]);
    ccz_buf_clear(&reply);
    if (cczi_helr_get_rows(&h, msg, CCZI_HELR_REQUEST, CCZ_HELR_REQUEST_SIZE_MAX, "x", NULL) !=
        CCZ_OK)
        return;
    memcpy(h.session, g_session, sizeof(h.session));
    cczi_helr_put_rows(&ours, CCZI_HELR_REQUEST, &h);
    ccz_buf_put_span(&ours, h.body);
    expect(ours.size == msg.size);
    memset(&err, 0, sizeof(err));
    ccz_rc rc = ccz_helr_server_score(&reply, g_server, ccz_buf_span(&ours), &err);
    expect(rc == CCZ_OK ? reply.size > 0 : reply.size == 0 && err.where[0]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!g_server)
        set_up();
    if (size == 0)
        return 0;
    struct ccz_span msg = {data + 1, size - 1};
    CCZ_AUTO_BUF ready;
    ccz_buf_init(&ready, 64);
    if (data[0] == 0)
        check_info(msg);
    else if (data[0] == 1)
        check_request(msg);
    else
        expect(ccz_helr_server_keys(&ready, g_server, msg, NULL) != CCZ_OK || ready.size > 0);
    return 0;
}
