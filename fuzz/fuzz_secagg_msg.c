/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Messages of secure aggregation. The first byte: bit 0 with a roster; the rest which party gets the message. What the parser accepts is
 * written back the same; no message makes a server or a client do more than accept or refuse.
 */
#include "secagg/secagg_priv.h"

#include <stdlib.h>
#include <string.h>

enum { MEMBERS = 5, TAG_AT = 16 };

static void require(bool holds)
{
    if (!holds)
        abort();
}

static void write_back(struct ccz_buf *out, const struct cczi_sa_msg *m,
                       const struct cczi_sa_params *p)
{
    cczi_sa_msg_begin(out, p, m->kind);
    ccz_buf_put_span(out, m->fixed);
    if (!m->entry_size)
        return;
    ccz_buf_le32(out, m->len);
    for (uint32_t i = 0; i < m->len; i++) {
        require(cczi_sa_msg_member(m, i) < MEMBERS);
        ccz_buf_le32(out, cczi_sa_msg_member(m, i));
        ccz_buf_put(out, cczi_sa_msg_body(m, i), m->entry_size - 4);
    }
}

static void parse(const struct cczi_sa_params *p, struct ccz_span in)
{
    struct cczi_sa_msg m;
    struct ccz_err err = {0};
    if (cczi_sa_msg_parse(&m, p, in, &err) != CCZ_OK) {
        require(m.kind == 0 && m.entries.size == 0 && strncmp(err.where, "secagg:", 7) == 0);
        return;
    }
    CCZ_AUTO_BUF out;
    ccz_buf_init(&out, in.size);
    write_back(&out, &m, p);
    require(!out.bad && ccz_span_eq(ccz_buf_span(&out), in));
}

/* An honest round of a server and its clients up to some phase; then `in` for one of them. */
static void play(const struct ccz_secagg_cfg *cfg, enum ccz_secagg_phase until, bool to_server,
                 struct ccz_span in)
{
    struct ccz_secagg_client *client[MEMBERS] = {0};
    CCZ_AUTO(ccz_secagg_server) s = NULL;
    CCZ_AUTO_BUF msg;
    CCZ_AUTO_BUF out;
    uint32_t y[8] = {0};
    ccz_buf_init(&msg, 65536);
    ccz_buf_init(&out, 65536);
    require(ccz_secagg_server_new(&s, cfg, NULL, NULL) == CCZ_OK);
    for (uint32_t i = 0; i < MEMBERS; i++) {
        const struct ccz_secagg_client_cfg c = {.round = *cfg, .self = i};
        require(ccz_secagg_client_new(&client[i], &c, NULL) == CCZ_OK);
    }
    while (ccz_secagg_server_phase(s) < until) {
        enum ccz_secagg_phase phase = ccz_secagg_server_phase(s);
        for (uint32_t i = 0; i < MEMBERS; i++) {
            ccz_buf_clear(&msg);
            ccz_buf_clear(&out);
            if (phase > CCZ_SECAGG_KEYS)
                require(ccz_secagg_server_output(&msg, s, i, NULL) == CCZ_OK);
            require(ccz_secagg_client_step(&out, client[i], ccz_buf_span(&msg), NULL) == CCZ_OK);
            if (phase == CCZ_SECAGG_INPUT)
                require(ccz_secagg_client_mask(y, client[i], 0, 8, NULL) == CCZ_OK &&
                        ccz_secagg_server_uploaded(s, i, NULL) == CCZ_OK);
            else
                require(ccz_secagg_server_input(s, i, ccz_buf_span(&out), NULL) == CCZ_OK);
        }
        require(ccz_secagg_server_next(s, NULL) == CCZ_OK);
    }
    ccz_buf_clear(&out);
    if (to_server)
        (void)!ccz_secagg_server_input(s, 1, in, NULL);
    else if (ccz_secagg_client_step(&out, client[1], in, NULL) != CCZ_OK)
        require(out.size == 0 && !ccz_secagg_client_masking(client[1]));
    for (uint32_t i = 0; i < MEMBERS; i++)
        ccz_secagg_client_free(client[i]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t roster[MEMBERS][CCZ_SECAGG_ID_SIZE] = {{1}, {2}, {3}, {4}, {5}};
    struct ccz_secagg_cfg cfg = {.members = MEMBERS, .threshold = 3, .quorum = 3, .len = 8};
    struct cczi_sa_params p;
    if (size == 0)
        return 0;
    /* the tag is what no mutation guesses: it is put right */
    uint8_t *copy = malloc(size);
    require(copy);
    struct ccz_span in = {memcpy(copy, data + 1, size - 1), size - 1};
    cfg.attested_server = !(data[0] & 1);
    require(cczi_sa_params_init(&p, &cfg, data[0] & 1 ? roster : NULL, NULL) == CCZ_OK);
    if (in.size >= TAG_AT + CCZI_SA_TAG)
        memcpy(copy + TAG_AT, p.digest, CCZI_SA_TAG);
    parse(&p, in);
    if (cfg.attested_server && data[0] >> 5 == 7) /* not always: a round takes a while */
        play(&cfg, (enum ccz_secagg_phase)((data[0] >> 2 & 7) % 5), data[0] >> 1 & 1, in);
    free(copy);
    return 0;
}
