/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What stubs add to protobuf-c: taskset -c 1 bench_stubs
 * One line per message, tab separated: name, bytes, protobuf-c alone (unpack, free, pack; ns), the stub (ns), ratio. The two
 * are measured in turns, the best of each counts.
 *   picture  Animal with 1 KiB in one field          tags  Animal with 64 submessages
 *   tree     64 branches; a type that can hold itself, whose depth is looked at first
 */
#define _POSIX_C_SOURCE 200809L
#include "zoo.ccz-rpc.c" /* its static functions */

#include "bench.h"

enum { LEN = 64 };

struct work {
    const ProtobufCMessageDescriptor *d;
    bool nested;
    struct ccz_buf bytes;
};

static void plain(void *arg)
{
    static uint8_t out[1 << 16];
    const struct work *w = arg;
    ProtobufCMessage *m = protobuf_c_message_unpack(w->d, NULL, w->bytes.size, w->bytes.ptr);
    must(m && protobuf_c_message_get_packed_size(m) <= sizeof(out), "unpack");
    must(protobuf_c_message_pack(m, out) == w->bytes.size, "pack");
    protobuf_c_message_free_unpacked(m, NULL);
}

static void stub(void *arg)
{
    const struct work *w = arg;
    CCZ_AUTO_BUF out;
    ProtobufCMessage *m;
    must(stub_unpack(&m, w->d, w->nested, ccz_buf_span(&w->bytes), "bench", NULL) == CCZ_OK,
         "unpack");
    must(stub_pack(&out, m, "bench", NULL) == CCZ_OK && out.size == w->bytes.size, "pack");
    protobuf_c_message_free_unpacked(m, NULL);
}

static void measure(const char *name, const ProtobufCMessage *m, bool nested)
{
    struct work w = {.d = m->descriptor, .nested = nested};
    must(stub_pack(&w.bytes, m, "bench", NULL) == CCZ_OK, "message");
    double alone = 1e9 / per_second(plain, &w), ours = 1e9 / per_second(stub, &w);
    double again = 1e9 / per_second(plain, &w);
    alone = again < alone ? again : alone;
    (void)printf("%s\t%zu\t%.0f\t%.0f\t%.2f\n", name, w.bytes.size, alone, ours, ours / alone);
    ccz_buf_free(&w.bytes);
}

int main(void)
{
    static uint8_t picture[1024];
    static Zoo__KeepV1__Animal__Tag tag[LEN], *tags[LEN];
    static Zoo__KeepV1__Tree leaf[LEN], *branches[LEN];
    static char name[] = "lion";
    Zoo__KeepV1__Animal one = ZOO__KEEP_V1__ANIMAL__INIT, many = one;
    Zoo__KeepV1__Tree tree = ZOO__KEEP_V1__TREE__INIT;
    for (size_t i = 0; i < LEN; i++) {
        zoo__keep_v1__animal__tag__init(&tag[i]);
        tag[i].weight = (int64_t)(i + 1) << i % 40;
        tag[i].a = 1.5;
        tags[i] = &tag[i];
        zoo__keep_v1__tree__init(&leaf[i]);
        leaf[i].leaf = name;
        branches[i] = &leaf[i];
    }
    one.name = many.name = name;
    one.picture = (ProtobufCBinaryData){sizeof(picture), picture};
    many.tags = tags;
    many.n_tags = LEN;
    tree.branches = branches;
    tree.n_branches = LEN;
    measure("picture", (const ProtobufCMessage *)&one, false);
    measure("tags", (const ProtobufCMessage *)&many, false);
    measure("tree", (const ProtobufCMessage *)&tree, true);
    return 0;
}
