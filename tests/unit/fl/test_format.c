/* SPDX-License-Identifier: Apache-2.0 */
/* Layouts, digests, messages. */
#include "ccz_test.h"

#include "fl/fl_priv.h"

#include <cczoo/codec.h>
#include <math.h>
#include <stdint.h>

static ccz_rc make(struct ccz_fl_layout **out, const struct ccz_fl_tensor *t, size_t len,
                   const char *where)
{
    struct ccz_err err = {0};
    ccz_rc rc = ccz_fl_layout_new(out, t, len, &err);
    CHECK(strcmp(err.where, where) == 0 && (rc == CCZ_OK) == (*out != NULL));
    return rc;
}

static void test_layout(void)
{
    const struct ccz_fl_tensor t[] = {{.name = "conv/kernel", .rank = 4, .dims = {5, 5, 1, 6}},
                                      {.name = "conv/bias", .rank = 1, .dims = {6}},
                                      {.name = "step"}};
    struct ccz_fl_layout *l, *same, *copy;
    struct ccz_buf b;
    struct ccz_err err;
    ccz_buf_init(&b, 4096);
    CHECK(make(&l, t, 3, "") == CCZ_OK);
    CHECK(l->len == 157 && l->tensors[1].offset == 150 && l->tensors[2].offset == 156);
    CHECK(l->tensors[2].len == 1 && l->tensors[2].rank == 0);
    ccz_fl_layout_encode(&b, l);
    CHECK(ccz_fl_layout_decode(&same, ccz_buf_span(&b), NULL) == CCZ_OK);
    CHECK(ccz_fl_layout_same(same, l, NULL) == CCZ_OK);
    CHECK(ccz_fl_layout_copy(&copy, l, NULL) == CCZ_OK);
    CHECK(memcmp(copy->digest, l->digest, 32) == 0);
    for (size_t cut = 0; cut < b.size;
         cut++) { /* whole tensors may be cut off: that is another layout */
        struct ccz_fl_layout *part;
        if (ccz_fl_layout_decode(&part, CCZ_SPAN(b.ptr, cut), &err) == CCZ_OK)
            CHECK(part->tensors_len < 3 && memcmp(part->digest, l->digest, 32) != 0);
        else
            CHECK(!part);
        ccz_fl_layout_free(part);
    }
    ccz_fl_layout_free(same);
    struct ccz_fl_tensor u[3];
    memcpy(u, t, sizeof(u));
    u[1].dims[0] = 7;
    CHECK(make(&same, u, 3, "") == CCZ_OK);
    CHECK(ccz_fl_layout_same(same, l, &err) == CCZ_E_MISMATCH);
    CHECK(strcmp(err.got, "conv/bias (7)") == 0 && strcmp(err.expected, "conv/bias (6)") == 0);
    ccz_fl_layout_free(same);
    ccz_fl_layout_free(copy);
    ccz_fl_layout_free(l);
    ccz_buf_free(&b);
}

static void test_layout_refusals(void)
{
    struct ccz_fl_layout *l;
    struct ccz_fl_tensor t[2] = {{.name = "a", .rank = 1, .dims = {1}},
                                 {.name = "b", .rank = 1, .dims = {1}}};
    CHECK(make(&l, t, 0, "fl:layout-tensors") == CCZ_E_LIMIT);
    CHECK(make(&l, t, CCZ_FL_TENSORS_MAX + 1, "fl:layout-tensors") == CCZ_E_LIMIT);
    t[1].name[0] = 'a';
    CHECK(make(&l, t, 2, "fl:layout-name") == CCZ_E_ARG);
    t[1].name[0] = '\0';
    CHECK(make(&l, t, 2, "fl:layout-name") == CCZ_E_ARG);
    t[1].name[0] = '\n';
    CHECK(make(&l, t, 2, "fl:layout-name") == CCZ_E_ARG);
    memset(t[1].name, 'x', sizeof(t[1].name));
    CHECK(make(&l, t, 2, "fl:layout-name") == CCZ_E_ARG);
    t[1].name[1] = '\0';
    t[1].dims[0] = 0;
    CHECK(make(&l, t, 2, "fl:layout-dims") == CCZ_E_ARG);
    t[1].rank = CCZ_FL_RANK_MAX + 1;
    CHECK(make(&l, t, 2, "fl:layout-dims") == CCZ_E_ARG);
    t[1].rank = 2;
    t[1].dims[0] = t[1].dims[1] = UINT64_C(1) << 32; /* their product is 0 modulo 2^64 */
    CHECK(make(&l, t, 2, "fl:layout-size") == CCZ_E_LIMIT);
    t[1].dims[1] = 1;
    t[0].dims[0] = CCZ_FL_LEN_MAX;
    CHECK(make(&l, t, 2, "fl:layout-size") == CCZ_E_LIMIT);
    t[0].dims[0] = CCZ_FL_LEN_MAX - (UINT64_C(1) << 32);
    CHECK(make(&l, t, 2, "") == CCZ_OK);
    CHECK(l->len == CCZ_FL_LEN_MAX);
    ccz_fl_layout_free(l);
    /* One layout has one encoding: an unknown field, a dimension in more bytes than it needs */
    const uint8_t odd[][12] = {{0x0a, 0x83, 0x80, 0x80, 0x80, 0x00, 0x0a, 0x01, 'a', 0x18, 0x01},
                               {0x0a, 0x03, 0x0a, 0x01, 'a'}};
    CHECK(ccz_fl_layout_decode(&l, CCZ_SPAN(odd[0], 11), NULL) == CCZ_E_FORMAT);
    CHECK(ccz_fl_layout_decode(&l, CCZ_SPAN(odd[1], 5), NULL) == CCZ_E_FORMAT);
    CHECK(ccz_fl_layout_decode(&l, CCZ_SPAN(NULL, 0), NULL) == CCZ_E_FORMAT);
}

/* The definition in fl.h, computed another way; and it depends on layout, round and every byte. */
static void test_digest(void)
{
    enum {
        PIECES =
            35, /* two times 16, which are hashed side by side, then two, and the last one short */
        LEN = (PIECES - 1) * 262144 + 75712
    };
    const struct ccz_fl_tensor t = {.name = "w", .rank = 1, .dims = {LEN}};
    const struct ccz_fl_tensor u = {.name = "v", .rank = 1, .dims = {LEN}};
    struct ccz_fl_layout *l, *m;
    uint8_t want[32], got[32], piece[PIECES][32], round[8] = {5};
    float *x = calloc(LEN, sizeof(float));
    CHECK(x && make(&l, &t, 1, "") == CCZ_OK && make(&m, &u, 1, "") == CCZ_OK);
    for (size_t i = 0; i < LEN; i++)
        x[i] = (float)i;
    const uint8_t *b = (const uint8_t *)x;
    const size_t size = LEN * sizeof(float), mib = (size_t)1 << 20;
    for (size_t i = 0; i < PIECES; i++)
        CHECK(ccz_sha256(piece[i], CCZ_SPAN(b + i * mib, i + 1 < PIECES ? mib : size - i * mib)) ==
              CCZ_OK);
    const struct ccz_span parts[] = {CCZ_SPAN("cczoo fl model 1", 17), CCZ_SPAN(l->digest, 32),
                                     CCZ_SPAN(round, 8), CCZ_SPAN(piece, sizeof(piece))};
    CHECK(ccz_hash(want, CCZ_SHA256, parts, 4) == CCZ_OK);
    CHECK(ccz_fl_model_digest(got, l, 5, x, NULL) == CCZ_OK && memcmp(got, want, 32) == 0);
    struct cczi_hfl_digest d = {0};
    CHECK(cczi_hfl_digest_begin(&d, l, 5, NULL) == CCZ_OK);
    uint8_t early[32];
    for (size_t at = 0, n = 1; at < size; n = n * 3 + 1) { /* cut anywhere */
        CHECK(cczi_hfl_digest_end(early, &d, NULL) == CCZ_E_INTERNAL);
        at = n < size - at ? at + n : size;
        CHECK(cczi_hfl_digest_upto(&d, x, at, NULL) == CCZ_OK);
    }
    CHECK(cczi_hfl_digest_end(got, &d, NULL) == CCZ_OK && memcmp(got, want, 32) == 0);
    cczi_hfl_digest_free(&d);
    CHECK(ccz_fl_model_digest(got, l, 6, x, NULL) == CCZ_OK && memcmp(got, want, 32) != 0);
    CHECK(ccz_fl_model_digest(got, m, 5, x, NULL) == CCZ_OK && memcmp(got, want, 32) != 0);
    x[LEN - 1] += 1;
    CHECK(ccz_fl_model_digest(got, l, 5, x, NULL) == CCZ_OK && memcmp(got, want, 32) != 0);
    free(x);
    ccz_fl_layout_free(l);
    ccz_fl_layout_free(m);
}

/* Every kind with every field set. */
static struct cczi_hfl_msg sample(enum cczi_hfl_kind kind)
{
    static const uint8_t bytes[64] = {1, 2, 3, 4};
    const struct ccz_fl_metrics metrics = {7, 0.5, NAN, 9};
    struct cczi_hfl_msg m = {.kind = kind};
    switch (kind) {
    case CCZI_HFL_HELLO:
        m.hello.version = 1;
        memcpy(m.hello.layout, bytes, 32);
        break;
    case CCZI_HFL_WELCOME:
        m.welcome = (struct cczi_hfl_welcome){
            .layout = CCZ_SPAN(bytes, 9), .round = 3, .rounds = UINT64_MAX, .accepted = 2};
        memcpy(m.welcome.run, bytes, 16);
        memcpy(m.welcome.key, bytes, 64);
        break;
    case CCZI_HFL_TASK:
        m.task = (struct cczi_hfl_task){.round = 4,
                                        .work = 3,
                                        .epochs = 5,
                                        .batch = UINT32_MAX,
                                        .lr = 0.25F,
                                        .momentum = 0.5F,
                                        .prox_mu = -0.0F,
                                        .seed = UINT64_MAX,
                                        .codec = 4,
                                        .block = 32,
                                        .topk = 12,
                                        .scaffold = true};
        memcpy(m.task.digest, bytes, 32);
        memcpy(m.task.sig, bytes, 64);
        break;
    case CCZI_HFL_CHUNK:
        m.chunk = (struct cczi_hfl_chunk){1, UINT64_C(0x123456789abc), CCZ_SPAN(bytes, 40)};
        break;
    case CCZI_HFL_OFFER:
        m.offer = (struct cczi_hfl_offer){.round = 9, .train = metrics, .eval = metrics, .size = 8};
        memcpy(m.offer.base, bytes, 32);
        break;
    case CCZI_HFL_GRANT:
        m.granted = 11;
        break;
    case CCZI_HFL_VERDICT:
        m.verdict = (struct cczi_hfl_verdict){1,
                                              true,
                                              22,
                                              CCZ_SPAN("w", 1),
                                              CCZ_SPAN("gg", 2),
                                              CCZ_SPAN("eee", 3),
                                              CCZ_SPAN("text", 4)};
        break;
    case CCZI_HFL_REPORT:
        m.report = (struct cczi_hfl_report){2, metrics};
        break;
    case CCZI_HFL_PRIVATE:
        m.secret = (struct cczi_hfl_private){2, 3, CCZ_SPAN(bytes, 5)};
        break;
    default:
        m.over = (struct cczi_hfl_over){2, 3, CCZ_SPAN("why", 3)};
    }
    return m;
}

static void test_messages(void)
{
    struct ccz_buf a, b;
    struct cczi_hfl_msg got;
    struct ccz_err err;
    ccz_buf_init(&a, 4096);
    ccz_buf_init(&b, 4096);
    for (int kind = CCZI_HFL_HELLO; kind < CCZI_HFL_KINDS; kind++) {
        const struct cczi_hfl_msg m = sample((enum cczi_hfl_kind)kind);
        ccz_buf_clear(&a);
        cczi_hfl_msg_put(&a, &m);
        CHECK(cczi_hfl_msg_parse(&got, ccz_buf_span(&a), NULL) == CCZ_OK && got.kind == m.kind);
        ccz_buf_clear(&b);
        cczi_hfl_msg_put(&b, &got); /* all fields came through */
        CHECK(ccz_span_eq(ccz_buf_span(&a), ccz_buf_span(&b)));
        for (size_t cut = 0; cut < a.size; cut++) {
            CHECK(cczi_hfl_msg_parse(&got, CCZ_SPAN(a.ptr, cut), &err) == CCZ_E_PEER);
            CHECK(strcmp(err.where, "fl:message") == 0 && (int)got.kind == 0);
        }
        ccz_buf_u8(&a, 0); /* trailing byte */
        CHECK(cczi_hfl_msg_parse(&got, ccz_buf_span(&a), NULL) == CCZ_E_PEER);
    }
    const struct cczi_hfl_msg m = sample(CCZI_HFL_CHUNK);
    ccz_buf_clear(&a);
    ccz_buf_clear(&b);
    cczi_hfl_msg_put(&a, &m);
    cczi_hfl_chunk_head(&b, m.chunk.vector, m.chunk.offset, m.chunk.data.size);
    ccz_buf_put_span(&b, m.chunk.data);
    CHECK(cczi_hfl_msg_parse(&got, ccz_buf_span(&b), NULL) == CCZ_OK);
    CHECK(got.chunk.vector == 1 && got.chunk.offset == m.chunk.offset);
    CHECK(ccz_span_eq(got.chunk.data, m.chunk.data));
    ccz_buf_free(&a);
    ccz_buf_free(&b);
}

/* Well-formed protobuf that is none of ours. */
static void test_odd_messages(void)
{
    static const struct {
        const char *bytes;
        size_t size;
    } bad[] = {
        {"", 0},
        {"\x08\x01", 2},                         /* hello as a number */
        {"\x5a\x00", 2},                         /* kind 11 */
        {"\x0a\x02\x0a\x00", 4},                 /* version as bytes */
        {"\x0a\x06\x08\xff\xff\xff\xff\x1f", 8}, /* version of 33 bits */
        {"\x0a\x03\x12\x01\x00", 5},             /* a digest of one byte */
        {"\x0a\x00\x0a\x00", 4},                 /* two messages */
        {"\x3a\x02\x10\x02", 4},                 /* a boolean of 2 */
        {"\x2a\x04\x1a\x02\x08", 5},             /* metrics cut short */
    };
    struct cczi_hfl_msg got;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        CHECK(cczi_hfl_msg_parse(&got, CCZ_SPAN(bad[i].bytes, bad[i].size), NULL) == CCZ_E_PEER);
    /* a field of a later version is skipped */
    CHECK(cczi_hfl_msg_parse(&got, CCZ_SPAN("\x0a\x04\x08\x01\x78\x05", 6), NULL) == CCZ_OK);
    CHECK(got.kind == CCZI_HFL_HELLO && got.hello.version == 1);
}

static void test_record(void)
{
    struct ccz_buf b;
    ccz_buf_init(&b, 4096);
    struct ccz_fl_record r = {.round = 3,
                              .attempt = 1,
                              .train = {.samples = 5, .loss = NAN, .accuracy = 0.25},
                              .epsilon = -1};
    ccz_fl_record_json(&b, &r);
    CHECK(strstr(ccz_buf_str(&b), "\"train\":{\"samples\":5,\"loss\":null,\"accuracy\":0.25}"));
    CHECK(!strstr(ccz_buf_str(&b), "epsilon") && !strstr(ccz_buf_str(&b), "base_eval"));
    ccz_buf_clear(&b);
    r.epsilon = 1.5;
    r.delta = 1e-5;
    ccz_fl_record_json(&b, &r);
    CHECK(strstr(ccz_buf_str(&b), "\"epsilon\":1.5,\"delta\":0.00001") ||
          strstr(ccz_buf_str(&b), "\"epsilon\":1.5,\"delta\":1e-"));
    struct ccz_json *j;
    CHECK(ccz_json_parse(&j, ccz_buf_span(&b), NULL) == CCZ_OK);
    ccz_json_free(j);
    ccz_buf_free(&b);
}

static const struct ccz_test tests[] = {
    {"fl.layout", test_layout},
    {"fl.layout_refusals", test_layout_refusals},
    {"fl.digest", test_digest},
    {"fl.messages", test_messages},
    {"fl.odd_messages", test_odd_messages},
    {"fl.record", test_record},
};

int main(int argc, char **argv)
{
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
