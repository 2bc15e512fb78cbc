/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Certificate table of AMD 56421 (GHCB), section 4.1.8.1: entries { GUID 16, offset u32, length u32 } up to one of
 * zeros, then the certificates; offsets count from the start of the table. The host fills it, so that every number
 * in it is an attacker's.
 *
 * GUIDs stand in the order in which they are printed (RFC 4122), although Linux calls the field guid_t: the tools on
 * hosts write them so, and cloud providers deliver them so. Unknown ones are ignored, because hosts add their own.
 */
#include "quote/snp_priv.h"

#include <string.h>

enum { GUID_SIZE = 16, ENTRY_SIZE = 24 };

static const uint8_t guid_vcek[GUID_SIZE] = {0x63, 0xda, 0x75, 0x8d, 0xe6, 0x64, 0x45, 0x64,
                                             0xad, 0xc5, 0xf4, 0xb9, 0x3b, 0xe8, 0xac, 0xcd};
static const uint8_t guid_vlek[GUID_SIZE] = {0xa8, 0x07, 0x4b, 0xc2, 0xa2, 0x5a, 0x48, 0x3e,
                                             0xaa, 0xe6, 0x39, 0xc0, 0x45, 0xa0, 0xb8, 0xa1};
static const uint8_t guid_ask[GUID_SIZE] = {0x4a, 0xb7, 0xb3, 0x79, 0xbb, 0xac, 0x4f, 0xe4,
                                            0xa0, 0x2f, 0x05, 0xae, 0xf3, 0x27, 0xc7, 0x82};
static const uint8_t guid_ark[GUID_SIZE] = {0xc0, 0xb4, 0x06, 0xa4, 0xa8, 0x03, 0x49, 0x52,
                                            0x97, 0x43, 0x3f, 0xb6, 0x01, 0x4c, 0xd0, 0xae};

/* Where the certificate of this GUID belongs, or NULL. */
static struct ccz_span *place_of(struct cczi_snp_table *t, const uint8_t *guid)
{
    const struct {
        const uint8_t *guid;
        struct ccz_span *to;
    } known[] = {
        {guid_vcek, &t->vcek}, {guid_vlek, &t->vlek}, {guid_ask, &t->ca}, {guid_ark, &t->ark}};
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        if (memcmp(guid, known[i].guid, GUID_SIZE) == 0)
            return known[i].to;
    }
    return NULL;
}

/* Size of the entries with the one of zeros; 0 if there is none. */
static size_t head_size(struct ccz_span table)
{
    for (size_t at = 0; at + ENTRY_SIZE <= table.size; at += ENTRY_SIZE) {
        if (cczi_is_zero(table.ptr + at, ENTRY_SIZE))
            return at + ENTRY_SIZE;
    }
    return 0;
}

/* Bytes of the table that an entry speaks for. */
struct covered {
    uint8_t byte[CCZ_SNP_TABLE_SIZE_MAX];
};

static bool cover(struct covered *c, size_t from, size_t size)
{
    bool fresh = true;
    for (size_t i = from; i < from + size; i++) {
        fresh = fresh && !c->byte[i];
        c->byte[i] = 1;
    }
    return fresh;
}

static ccz_rc read_entry(struct cczi_snp_table *t, struct covered *covered, struct ccz_span table,
                         size_t head, struct ccz_rd *r, struct ccz_err *err)
{
    struct ccz_span guid = ccz_rd_take(r, GUID_SIZE);
    size_t from = ccz_rd_le32(r), size = ccz_rd_le32(r);
    if (from == 0 && size == 0) /* the host has a place for it, and nothing to put there */
        return CCZ_OK;
    if (from < head || from > table.size || size > table.size - from)
        return ccz_fail(err, CCZ_E_FORMAT, "snp:table-bounds", (int64_t)from,
                        "%zu bytes at offset %zu are outside of a table of %zu bytes", size, from,
                        table.size);
    if (!cover(covered, from, size))
        return ccz_fail(err, CCZ_E_FORMAT, "snp:table-overlap", (int64_t)from,
                        "two entries for the bytes at offset %zu", from);
    struct ccz_span *to = place_of(t, guid.ptr);
    if (!to)
        return CCZ_OK;
    if (to->ptr)
        return ccz_fail(err, CCZ_E_FORMAT, "snp:table-repeated", (int64_t)from,
                        "two certificates of one kind");
    if (size == 0)
        return ccz_fail(err, CCZ_E_FORMAT, "snp:table-empty", (int64_t)from,
                        "an empty certificate");
    *to = ccz_span_sub(table, from, size);
    return CCZ_OK;
}

ccz_rc cczi_snp_table_read(struct cczi_snp_table *out, struct ccz_span table, struct ccz_err *err)
{
    *out = (struct cczi_snp_table){0};
    if (table.size == 0)
        return CCZ_OK;
    if (table.size > CCZ_SNP_TABLE_SIZE_MAX)
        return ccz_refuse_num(err, CCZ_E_LIMIT, "snp:table", (int64_t)table.size,
                              CCZ_SNP_TABLE_SIZE_MAX);
    size_t head = head_size(table);
    if (head == 0)
        return ccz_fail(err, CCZ_E_FORMAT, "snp:table", (int64_t)table.size,
                        "the certificate table does not end");
    struct cczi_snp_table t = {0};
    struct covered covered = {0};
    struct ccz_rd r = ccz_rd_from(ccz_span_sub(table, 0, head - ENTRY_SIZE));
    (void)cover(&covered, 0, head);
    ccz_rc rc = CCZ_OK;
    while (r.left > 0 && rc == CCZ_OK)
        rc = read_entry(&t, &covered, table, head, &r, err);
    /* Tables are delivered in whole pages: zeros may stand between and behind, a second message may not. */
    for (size_t i = head; i < table.size && rc == CCZ_OK; i++) {
        if (table.ptr[i] && !covered.byte[i])
            rc = ccz_fail(err, CCZ_E_FORMAT, "snp:table-slack", (int64_t)i,
                          "byte 0x%02x at offset %zu of the table belongs to no entry",
                          table.ptr[i], i);
    }
    if (rc == CCZ_OK)
        *out = t;
    return rc;
}
