/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests as stubs take them (tests/unit/stubs/zoo.proto). First byte: bit 0 chooses the type that holds itself. What is
 * accepted is no deeper than allowed, goes back into bytes, and these mean the same again.
 */
#include "zoo.ccz-rpc.c" /* its static functions */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool ok)
{
    if (!ok)
        abort();
}

static void round_trip(const ProtobufCMessageDescriptor *d, bool nested, struct ccz_span in)
{
    CCZ_AUTO_BUF once;
    CCZ_AUTO_BUF twice;
    ProtobufCMessage *m, *again;
    struct ccz_err err = {0};
    ccz_buf_init(&once, 0);
    ccz_buf_init(&twice, 0);
    if (stub_unpack(&m, d, nested, in, "stub:fuzz", &err) != CCZ_OK) {
        require(!m && err.where[0] && err.msg[0]);
        return;
    }
    size_t levels = stub_nesting(d, in);
    require(!nested || (levels > 0 && levels <= STUB_NESTING_MAX));
    require(stub_pack(&once, m, "stub:fuzz", NULL) == CCZ_OK);
    /* protobuf-c takes a field of number 0 in one spelling and not in the other */
    if (stub_unpack(&again, d, nested, ccz_buf_span(&once), "stub:fuzz", NULL) == CCZ_OK) {
        require(stub_pack(&twice, again, "stub:fuzz", NULL) == CCZ_OK);
        require(ccz_span_eq(ccz_buf_span(&once), ccz_buf_span(&twice)));
    }
    protobuf_c_message_free_unpacked(again, NULL);
    protobuf_c_message_free_unpacked(m, NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ccz_span in = CCZ_SPAN(data + 1, size - 1);
    if (size == 0)
        return 0;
    if (data[0] & 1)
        round_trip(&zoo__keep_v1__tree__descriptor, true, in);
    else
        round_trip(&zoo__keep_v1__animal__descriptor, false, in);
    return 0;
}
