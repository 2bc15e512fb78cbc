/* SPDX-License-Identifier: Apache-2.0 */
/* Is what came back the answer to this request? Not whether it is genuine: that is for verifiers. */
#include "tee/tee_priv.h"

#include <string.h>

enum {
    QUOTE_HEADER_SIZE = 48,
    QUOTE_V5_BODY_HEADER_SIZE = 6, /* type u16, size u32 */
    SGX_REPORT_DATA_AT = 320,      /* in the report body */
    TD_REPORT_DATA_AT = 520,
    SNP_VMPL_AT = 0x30,
    SNP_REPORT_DATA_AT = 0x50,
    REPORT_DATA_SIZE = 64,
    TABLE_ENTRY_SIZE = 24,
    TEE_TYPE_TDX = 0x81,
};

/* Offset of the report data, 0 if the format is not one of @p kind that we know: SGX quote v3 or v4, TDX v4 or v5.
 * Platforms that answer with another token (kernel ABI: CBOR, larger than 8 KiB) must be refused, as its report data
 * cannot be looked at. */
static size_t report_data_at(enum cczi_tee_kind kind, struct ccz_span blob)
{
    if (kind == CCZI_TEE_SNP)
        return blob.size == CCZI_SNP_REPORT_SIZE ? SNP_REPORT_DATA_AT : 0;
    struct ccz_rd r = ccz_rd_from(blob);
    uint16_t version = ccz_rd_le16(&r);
    (void)ccz_rd_le16(&r); /* key type */
    uint32_t tee_type = ccz_rd_le32(&r);
    if (tee_type != (kind == CCZI_TEE_TDX ? TEE_TYPE_TDX : 0))
        return 0;
    if (kind == CCZI_TEE_SGX)
        return version == 3 || version == 4 ? QUOTE_HEADER_SIZE + SGX_REPORT_DATA_AT : 0;
    if (version == 4)
        return QUOTE_HEADER_SIZE + TD_REPORT_DATA_AT;
    return version == 5 ? QUOTE_HEADER_SIZE + QUOTE_V5_BODY_HEADER_SIZE + TD_REPORT_DATA_AT : 0;
}

ccz_rc cczi_tee_check_report(const struct ccz_attester *a, const struct cczi_tee_request *q,
                             struct ccz_err *err)
{
    static const char *const known[] = {[CCZI_TEE_SGX] = "an SGX quote of version 3 or 4",
                                        [CCZI_TEE_TDX] = "a TDX quote of version 4 or 5",
                                        [CCZI_TEE_SNP] = "an SNP report of 1184 bytes"};
    struct ccz_span blob = ccz_buf_span(q->out);
    if (blob.size == 0)
        return ccz_fail(err, CCZ_E_PEER, "tee:empty", 0, "%s returned an empty quote",
                        a->provider->name);
    size_t at = report_data_at(a->kind, blob);
    if (at == 0)
        return ccz_fail(err, CCZ_E_UNSUPPORTED, "tee:quote-format", (int64_t)blob.size,
                        "%s returned %zu bytes that are not %s", a->provider->name, blob.size,
                        known[a->kind]);
    struct ccz_span got = ccz_span_sub(blob, at, REPORT_DATA_SIZE);
    if (!ccz_span_eq(got, CCZ_SPAN(q->report_data, REPORT_DATA_SIZE))) {
        ccz_rc rc = ccz_refuse_bytes(err, CCZ_E_MISMATCH, "tee:binding", got.ptr, got.size,
                                     q->report_data, REPORT_DATA_SIZE);
        return ccz_hint(err, rc, a->provider->binding_hint);
    }
    if (a->kind == CCZI_TEE_SNP && q->vmpl >= 0) {
        struct ccz_rd r = ccz_rd_from(ccz_span_sub(blob, SNP_VMPL_AT, 4));
        uint32_t vmpl = ccz_rd_le32(&r);
        if (vmpl != (uint32_t)q->vmpl)
            return ccz_refuse_num(err, CCZ_E_MISMATCH, "tee:vmpl", vmpl, q->vmpl);
    }
    return CCZ_OK;
}

/* GHCB 4.1.8.1. All of it is host data. */
ccz_rc cczi_snp_table_size(size_t *out, struct ccz_span raw, struct ccz_err *err)
{
    static const uint8_t zero[TABLE_ENTRY_SIZE];
    *out = 0;
    size_t len = 0;
    for (;; len++) {
        struct ccz_span entry = ccz_span_sub(raw, len * TABLE_ENTRY_SIZE, TABLE_ENTRY_SIZE);
        if (entry.size == 0)
            return ccz_fail(err, CCZ_E_PEER, "tee:snp-table", (int64_t)raw.size,
                            "the host's certificate table does not end");
        if (memcmp(entry.ptr, zero, sizeof(zero)) == 0)
            break;
    }
    if (len == 0)
        return CCZ_OK;
    const size_t entries = (len + 1) * TABLE_ENTRY_SIZE;
    size_t end = entries;
    for (size_t i = 0; i < len; i++) {
        struct ccz_rd r = ccz_rd_from(ccz_span_sub(raw, i * TABLE_ENTRY_SIZE + 16, 8));
        uint32_t offset = ccz_rd_le32(&r), length = ccz_rd_le32(&r);
        if (length == 0)
            continue;
        if (offset < entries || offset > raw.size || length > raw.size - offset)
            return ccz_fail(err, CCZ_E_PEER, "tee:snp-table", (int64_t)i,
                            "entry %zu of the host's certificate table is at %u, %u bytes, of %zu",
                            i, offset, length, raw.size);
        if ((size_t)offset + length > end)
            end = (size_t)offset + length;
    }
    *out = end;
    return CCZ_OK;
}
