/* SPDX-License-Identifier: Apache-2.0 */
/* ACPI 6.5, 5.2.34 "CC Event Log ACPI Table": header 36 | type u8 | subtype u8 | reserved 2 | size u64 | address u64 */
#include "eventlog/eventlog_priv.h"

#include <string.h>

enum { ACPI_HEADER_SIZE = 36, CCEL_SIZE_MIN = 56 };

ccz_rc ccz_ccel_parse(struct ccz_ccel *out, struct ccz_span table, struct ccz_err *err)
{
    memset(out, 0, sizeof(*out));
    struct ccz_rd r = ccz_rd_from(table);
    struct ccz_span name = ccz_rd_take(&r, 4);
    uint32_t size = ccz_rd_le32(&r);
    (void)ccz_rd_take(&r, ACPI_HEADER_SIZE - 8);
    uint8_t type = ccz_rd_u8(&r), subtype = ccz_rd_u8(&r);
    (void)ccz_rd_le16(&r);
    uint64_t log_size = ccz_rd_le64(&r), address = ccz_rd_le64(&r);
    if (r.bad || size != table.size)
        return ccz_refuse_num(err, CCZ_E_FORMAT, "eventlog:ccel-size", (int64_t)table.size,
                              r.bad ? CCEL_SIZE_MIN : (int64_t)size);
    if (!ccz_span_eq(name, ccz_span_str("CCEL")))
        return ccz_fail(err, CCZ_E_FORMAT, "eventlog:ccel-signature", 0, "not a CCEL table");
    uint8_t sum = 0;
    for (size_t i = 0; i < table.size; i++)
        sum = (uint8_t)(sum + table.ptr[i]);
    if (sum != 0)
        return ccz_refuse_num(err, CCZ_E_FORMAT, "eventlog:ccel-checksum", sum, 0);
    if (type != CCZ_CCEL_SEV && type != CCZ_CCEL_TDX)
        return ccz_refuse_num(err, CCZ_E_UNSUPPORTED, "eventlog:ccel-type", type, CCZ_CCEL_TDX);
    *out = (struct ccz_ccel){(enum ccz_ccel_type)type, subtype, log_size, address};
    return CCZ_OK;
}
