/* SPDX-License-Identifier: Apache-2.0 */
/* Values of a page of any type and encoding: one by one they are the same as many at once. The first byte chooses; pages that are packed
 * unpack to the size that is asked for or not at all. */
#include "parquet/format_priv.h"

#include <stdlib.h>

enum { SLOTS = 400 };

static void expect(bool ok)
{
    if (!ok)
        abort();
}

static void batch_init(struct cczi_pq_batch *b, const struct cczi_pq_leaf *l)
{
    *b = (struct cczi_pq_batch){.slots = calloc(SLOTS, l->slot_size)};
    expect(b->slots != NULL);
    ccz_buf_init(&b->arena, 1 << 18);
}

static void batch_free(struct cczi_pq_batch *b)
{
    free(b->slots);
    ccz_buf_free(&b->arena);
}

/* @return values that were given, in steps */
static size_t get(struct cczi_pq_batch *b, struct cczi_pq_values *v, size_t step)
{
    size_t done = 0;
    while (done + step <= SLOTS && cczi_pq_values_get(b, done, v, step) == CCZ_OK)
        done += step;
    return done;
}

static void values(const struct cczi_pq_leaf *l, int32_t encoding, struct ccz_span in)
{
    static const uint8_t entries[] = "\1\0\0\0a\2\0\0\0bc\0\0\0\0\0\0\0\0\0\0\0\0\0";
    struct ccz_span spans[3] = {{entries + 4, 1}, {entries + 9, 2}, {entries, l->value_size}};
    struct cczi_pq_dict dict = {.spans = spans, .len = 3, .there = true};
    ccz_buf_init(&dict.bytes, 100);
    ccz_buf_put(&dict.bytes, entries, sizeof(entries));
    struct cczi_pq_values v = {0};
    struct cczi_pq_batch one, many;
    batch_init(&one, l);
    batch_init(&many, l);
    size_t a = 0, b = 0;
    if (cczi_pq_values_init(&v, l, &dict, encoding, in, SLOTS) == CCZ_OK) {
        a = get(&one, &v, 1);
        expect(cczi_pq_values_init(&v, l, &dict, encoding, in, SLOTS) == CCZ_OK);
        b = get(&many, &v, 100);
        expect(b <= a && a - b < 100);
        expect(memcmp(one.slots, many.slots, b * l->slot_size) == 0);
    } else {
        expect(v.where && v.what);
    }
    cczi_pq_values_free(&v);
    ccz_buf_free(&dict.bytes);
    batch_free(&one);
    batch_free(&many);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const int32_t encodings[] = {0, 2, 3, 5, 6, 7, 8, 9};
    if (size < 2)
        return 0;
    struct ccz_span in = CCZ_SPAN(data + 2, size - 2);
    struct cczi_pq_leaf l = {
        .c = {.type = (enum ccz_pq_type)(data[0] & 7), .name = "x", .path = "x"}};
    l.c.type_size = l.c.type == CCZ_PQ_FIXED ? 3 : 0;
    l.c.meaning = l.c.type == CCZ_PQ_BYTES && data[1] & 1 ? CCZ_PQ_STRING : CCZ_PQ_PLAIN;
    cczi_pq_leaf_sizes(&l);
    values(&l, encodings[data[0] >> 3 & 7], in);
    uint8_t plain[1000];
    size_t want = (size_t)data[1] * 4;
    (void)cczi_pq_unpack(plain, want < sizeof(plain) ? want : 0,
                         data[0] >> 6 == 3 ? CCZ_PQ_ZSTD : data[0] >> 6, in);
    return 0;
}
