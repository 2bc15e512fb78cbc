/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Attackers for break.sh. Each is an honest worker whose messages are changed on their way out:
 *   weak-key   has a key of 1024 bits
 *   large      its ciphertext is 2^(2 bits) - 1, not below n^2
 *   factor     its ciphertext is n: not invertible, what is left of it after decryption would depend on the factors
 *   other-key  its ciphertext names another key
 *   plain      tries to send a ciphertext without randomness
 */
#include <cczoo/fedlr.h>
#include <cczoo/party.h>
#include <cczoo/rpc_chan.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    KIND_AT = 5,
    UPDATE = 5,
    HEADER_SIZE = 16,
    KEY_ID_AT = HEADER_SIZE + 8,
    KEY_FILE_MAX = 16384
};

struct tap {
    struct ccz_chan *inner;
    const char *what;
    uint8_t n[CCZ_PAILLIER_N_SIZE_MAX];
    size_t n_size;
};

/* An update ends with its one ciphertext, of twice the size of n. */
static void change(struct ccz_buf *msg, const struct tap *t)
{
    uint8_t *c = msg->ptr + msg->size - 2 * t->n_size;
    if (strcmp(t->what, "large") == 0) {
        memset(c, 0xff, 2 * t->n_size);
    } else if (strcmp(t->what, "factor") == 0) {
        memset(c, 0, t->n_size);
        memcpy(c + t->n_size, t->n, t->n_size);
    } else if (strcmp(t->what, "other-key") == 0) {
        msg->ptr[KEY_ID_AT] ^= 1;
    }
}

static ccz_rc tap_send(void *self, const struct ccz_span *parts, size_t len, int64_t timeout_ms,
                       struct ccz_err *err)
{
    struct tap *t = self;
    CCZ_AUTO_BUF msg;
    (void)timeout_ms;
    ccz_buf_init(&msg, CCZ_RPC_CHAN_MESSAGE_SIZE_MAX);
    for (size_t i = 0; i < len; i++)
        ccz_buf_put_span(&msg, parts[i]);
    if (!msg.bad && msg.size > HEADER_SIZE + 2 * t->n_size && msg.ptr[KIND_AT] == UPDATE)
        change(&msg, t);
    return ccz_chan_send(t->inner, ccz_buf_span(&msg), err);
}

static ccz_rc tap_recv(struct ccz_buf *msg, void *self, int64_t timeout_ms, struct ccz_err *err)
{
    return ccz_chan_recv_within(msg, ((struct tap *)self)->inner, timeout_ms, err);
}

static void tap_close(void *self, const char *reason)
{
    ccz_chan_close(((struct tap *)self)->inner, reason);
}

static void tap_free(void *self)
{
    ccz_chan_free(((struct tap *)self)->inner);
}

static const struct ccz_chan_ops TAP = {
    .send = tap_send, .recv = tap_recv, .close = tap_close, .free = tap_free};

static ccz_rc get_key(struct ccz_paillier_key **key, const char *what, const char *path,
                      struct ccz_err *err)
{
    CCZ_AUTO(ccz_secret) file = NULL;
    const struct ccz_paillier_keygen_cfg weak = {.bits_1024_insecure = true};
    if (strcmp(what, "weak-key") == 0)
        return ccz_paillier_keygen(key, &weak, err);
    ccz_rc rc = ccz_file_read_secret(&file, path, KEY_FILE_MAX, err);
    return rc == CCZ_OK ? ccz_paillier_key_read(key, file, NULL, err) : rc;
}

static ccz_rc send_plain(const struct ccz_paillier_pub *pub, struct ccz_err *err)
{
    CCZ_AUTO(ccz_paillier_plain) p = NULL;
    CCZ_AUTO(ccz_paillier_vec) v = NULL;
    CCZ_AUTO_BUF out;
    const int64_t weight = 42;
    ccz_buf_init(&out, CCZ_RPC_CHAN_MESSAGE_SIZE_MAX);
    ccz_rc rc = ccz_paillier_plain_i64(&p, pub, &weight, 1, 8, NULL, err);
    if (rc == CCZ_OK)
        rc = ccz_paillier_encrypt_trivial(&v, p, err); /* 1 + 42 n */
    return rc == CCZ_OK ? ccz_paillier_vec_write(&out, v, err) : rc;
}

/* A worker like any other, through the tap. It needs no evidence of its own and asks for none. */
static ccz_rc work(const char *what, const char *aggregator, const char *data,
                   const struct ccz_paillier_key *key, const struct ccz_paillier_pub *pub,
                   struct ccz_err *err)
{
    CCZ_AUTO(ccz_party) party = NULL;
    CCZ_AUTO(ccz_rpc_client) client = NULL;
    CCZ_AUTO(ccz_fedlr_table) t = NULL;
    CCZ_AUTO(ccz_chan) chan = NULL;
    struct ccz_fedlr_model *model = NULL;
    const struct ccz_fedlr_csv_cfg csv = {.label = "y", .id = "id"};
    const struct ccz_party_cfg who = {.peer_evidence_optional = true};
    struct tap tap = {.what = what, .n_size = ccz_paillier_bits(pub) / 8};
    ccz_paillier_n(tap.n, pub);
    ccz_rc rc = ccz_fedlr_csv_read(&t, data, &csv, err);
    if (rc == CCZ_OK)
        rc = ccz_party_new(&party, &who, err);
    if (rc != CCZ_OK)
        return rc;
    const struct ccz_rpc_client_cfg c = {.target = aggregator, .ratls = ccz_party_ratls(party)};
    const struct ccz_rpc_chan_cfg cfg = {.channel = "fedlr", .party = "worker-1"};
    rc = ccz_rpc_client_new(&client, &c, err);
    if (rc == CCZ_OK)
        rc = ccz_rpc_chan_connect(&tap.inner, client, &cfg, err);
    if (rc == CCZ_OK)
        rc = ccz_chan_new(&chan, &TAP, &tap, "tap", err);
    const struct ccz_fedlr_cfg training = {
        .mode = CCZ_FEDLR_HOMO, .rounds = 3, .parties = 1, .optimize = CCZ_FEDLR_ALL};
    const struct ccz_fedlr_run run = {.cfg = &training};
    if (rc == CCZ_OK)
        rc = ccz_fedlr_work(&model, key, chan, t, &run, err);
    ccz_fedlr_model_free(model);
    return rc;
}

int main(int argc, char **argv)
{
    const char *what = argc > 1 ? argv[1] : "", *aggregator = NULL, *data = NULL, *path = NULL;
    for (int i = 2; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--aggregator") == 0)
            aggregator = argv[i + 1];
        else if (strcmp(argv[i], "--data") == 0)
            data = argv[i + 1];
        else if (strcmp(argv[i], "--key") == 0)
            path = argv[i + 1];
    }
    bool plain = strcmp(what, "plain") == 0;
    if (!path || (!plain && (!aggregator || !data))) {
        (void)fprintf(stderr, "usage: cczoo-fedlr-attack weak-key|large|factor|other-key|plain "
                              "--key FILE [--aggregator ADDR --data FILE]\n");
        return 2;
    }
    CCZ_AUTO(ccz_paillier_key) key = NULL;
    CCZ_AUTO(ccz_paillier_pub) pub = NULL;
    struct ccz_err err = {0};
    ccz_rc rc = get_key(&key, what, path, &err);
    if (rc == CCZ_OK) {
        pub = ccz_paillier_key_pub(key);
        rc = plain ? send_plain(pub, &err) : work(what, aggregator, data, key, pub, &err);
    }
    if (rc != CCZ_OK && err.got[0])
        (void)fprintf(stderr, "refused: %s: %s / %s\n", err.where, err.got, err.expected);
    else if (rc != CCZ_OK)
        (void)fprintf(stderr, "error: %s: %s\n", err.where, err.msg);
    return rc == CCZ_OK ? 0 : err.got[0] ? 1 : 3;
}
