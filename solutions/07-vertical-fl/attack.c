/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A dishonest follower, made of the public headers: it knows the ids, but has no model, and plays its fourth message a second
 * time. Its program is not the one that the others expect.
 */
#include <cczoo/party.h>
#include <cczoo/rpc_chan.h>
#include <cczoo/vfl.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WIDTH = 32, FILE_SIZE_MAX = 1 << 28, LINES_MAX = 1 << 20 };

/* A bottom model that computes nothing. */
static ccz_rc forward(float *act, void *self, unsigned slot, const struct ccz_tensor *in,
                      size_t in_len, struct ccz_err *err)
{
    (void)self, (void)slot, (void)in_len, (void)err;
    memset(act, 0, (size_t)in->dims[0] * WIDTH * sizeof(*act));
    return CCZ_OK;
}
static ccz_rc backward(void *self, unsigned slot, const float *grad, struct ccz_err *err)
{
    (void)self, (void)slot, (void)grad, (void)err;
    return CCZ_OK;
}
static ccz_rc infer(float *act, void *self, const struct ccz_tensor *in, size_t in_len,
                    struct ccz_err *err)
{
    return forward(act, self, 0, in, in_len, err);
}
static ccz_rc save(struct ccz_buf *out, void *self, struct ccz_err *err)
{
    (void)out, (void)self, (void)err;
    return CCZ_OK;
}
static ccz_rc load(void *self, struct ccz_span state, struct ccz_err *err)
{
    (void)self, (void)state, (void)err;
    return CCZ_OK;
}
static void no_free(void *self)
{
    (void)self;
}
static const struct ccz_vfl_bottom_ops OPS = {forward, backward, infer, save, load, no_free, NULL};

struct table {
    struct ccz_buf text;
    struct ccz_span *id;
    uint8_t *zero;
    struct ccz_tensor in;
    struct ccz_vfl_table table;
    uint8_t digest[CCZ_VFL_DIGEST_SIZE];
};

/* As many empty rows as there are ids. */
static ccz_rc read_table(struct table *t, const char *dir, const char *what, struct ccz_err *err)
{
    char path[4096];
    size_t rows = 0;
    (void)snprintf(path, sizeof(path), "%s/%s.ids", dir, what);
    ccz_buf_init(&t->text, FILE_SIZE_MAX);
    ccz_rc rc = ccz_file_read(&t->text, path, err);
    t->id = calloc(LINES_MAX, sizeof(*t->id));
    t->zero = calloc(LINES_MAX, 1);
    if (rc != CCZ_OK || !t->id || !t->zero)
        return rc;
    for (size_t at = 0; at < t->text.size && rows < LINES_MAX; rows++) {
        const uint8_t *line = t->text.ptr + at, *end = memchr(line, '\n', t->text.size - at);
        t->id[rows] = CCZ_SPAN(line, end ? (size_t)(end - line) : t->text.size - at);
        at += t->id[rows].size + 1;
    }
    t->in = (struct ccz_tensor){.name = "x",
                                .dtype = CCZ_DT_UINT8,
                                .rank = 2,
                                .dims = {(int64_t)rows, 1},
                                .len = rows,
                                .data = CCZ_SPAN(t->zero, rows)};
    t->table = (struct ccz_vfl_table){.rows = rows, .in = &t->in, .in_len = 1};
    return ccz_vfl_alignment(t->digest, t->id, rows, err);
}

/* The digest of split.json, as text. */
static ccz_rc schema_of(uint8_t out[CCZ_VFL_DIGEST_SIZE], const char *hex, struct ccz_err *err)
{
    ccz_rc rc = ccz_unhex(out, CCZ_VFL_DIGEST_SIZE, hex, strlen(hex));
    return rc == CCZ_OK ? rc : ccz_fail(err, rc, "attack:schema", 0, "64 hex digits");
}

static ccz_rc attack(char **argv, struct ccz_err *err)
{
    struct table train = {0}, test = {0};
    CCZ_AUTO(ccz_party) party = NULL;
    CCZ_AUTO(ccz_rpc_client) client = NULL;
    struct ccz_chan *chan = NULL;
    struct ccz_vfl_result result;
    struct ccz_vfl_cfg cfg = {.epochs = 3,
                              .batch = 256,
                              .eval_batch = 1000,
                              .staleness = 1,
                              .checkpoint_steps = 100,
                              .seed = 1};
    const struct ccz_party_cfg p = {.tee = {.provider = "sim-sgx", .sim_dir = argv[4]},
                                    .peer_evidence_optional = true,
                                    .trust_sim_dir = argv[5]};
    const struct ccz_rpc_chan_cfg open = {.channel = "vfl", .party = "follower-1"};
    const struct ccz_chan_fault_cfg twice = {.send_repeat = 4};
    struct ccz_vfl_bottom bottom = {.ops = &OPS, .width = WIDTH};
    ccz_rc rc = read_table(&train, argv[2], "train", err);
    if (rc == CCZ_OK)
        rc = read_table(&test, argv[2], "test", err);
    if (rc == CCZ_OK)
        rc = schema_of(cfg.schema, argv[3], err);
    if (rc == CCZ_OK)
        rc = ccz_party_new(&party, &p, err);
    if (rc == CCZ_OK) {
        const struct ccz_rpc_client_cfg c = {.target = argv[1], .ratls = ccz_party_ratls(party)};
        rc = ccz_rpc_client_new(&client, &c, err);
    }
    if (rc == CCZ_OK)
        rc = ccz_rpc_client_connect(NULL, client, err);
    if (rc == CCZ_OK)
        rc = ccz_rpc_chan_connect(&chan, client, &open, err);
    if (rc == CCZ_OK)
        rc = ccz_chan_fault_new(&chan, chan, &twice, err);
    memcpy(cfg.alignment, train.digest, sizeof(train.digest));
    memcpy(cfg.test_alignment, test.digest, sizeof(test.digest));
    const struct ccz_vfl_run run = {.cfg = &cfg, .train = &train.table, .test = &test.table};
    if (rc == CCZ_OK)
        rc = ccz_vfl_follow(&result, chan, &bottom, &run, err);
    ccz_chan_free(chan);
    return rc;
}

int main(int argc, char **argv)
{
    struct ccz_err err = {0};
    if (argc != 6) {
        fprintf(stderr,
                "usage: cczoo-vfl-attack ADDRESS IDS-DIR SCHEMA-SHA256 SIM-DIR TRUST-DIR\n");
        return 2;
    }
    ccz_rc rc = attack(argv, &err);
    fprintf(stderr, "%s: %s\n", err.where, err.msg);
    return rc == CCZ_OK ? 0 : 1;
}
