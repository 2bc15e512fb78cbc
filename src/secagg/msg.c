/* SPDX-License-Identifier: Apache-2.0 */
/*
 * header: "CCZA", version 1, kind, 2 bytes 0, round (8), tag of the configuration (16)     all integers little-endian
 * KEYS:       mask key (32), box key (32) [, signature (64)]                    [..] with a roster
 * NEIGHBOURS: number (4), each: member (4), mask key, box key [, signature]
 * SEALED:     commitment to the self seed (32), number (4), each: member (4), commitments to both shares (64), sealed shares (80)
 * INBOX:      number (4), each: member (4), sealed shares (80)
 * DELIVERED:  bitmap of members             SIGNED: signature (64)
 * UNMASK:     bitmap of those who delivered, bitmap of those who vanished, number (4), each: member (4), signature (64)
 * REVEAL:     number (4), each: member (4), which: 0 mask key, 1 self seed (1), share (32)
 * Entries are sorted by member, so that none comes twice.
 */
#include "secagg/secagg_priv.h"

#include <string.h>

static const uint8_t MAGIC[4] = {'C', 'C', 'Z', 'A'};
enum { VERSION = 1, NUMBER = 4 };

/* Sizes of what is fixed, and of an entry (0: there are none). */
static void sizes(size_t *fixed, size_t *entry, const struct cczi_sa_params *p,
                  enum cczi_sa_kind kind)
{
    size_t keys = 2 * CCZI_SA_KEY + (p->cfg.attested_server ? 0 : CCZI_SA_SIG);
    const struct {
        size_t fixed, entry;
    } table[CCZI_SA_KIND_LEN] = {
        [CCZI_SA_KEYS] = {keys, 0},
        [CCZI_SA_NEIGHBOURS] = {0, NUMBER + keys},
        [CCZI_SA_SEALED] = {CCZI_SA_DIGEST, NUMBER + CCZI_SA_COMMITS + CCZI_SA_BOX},
        [CCZI_SA_INBOX] = {0, NUMBER + CCZI_SA_BOX},
        [CCZI_SA_DELIVERED] = {p->bitmap_size, 0},
        [CCZI_SA_SIGNED] = {CCZI_SA_SIG, 0},
        [CCZI_SA_UNMASK] = {2 * p->bitmap_size, NUMBER + CCZI_SA_SIG},
        [CCZI_SA_REVEAL] = {0, NUMBER + 1 + CCZI_SA_SHARE},
    };
    *fixed = table[kind].fixed;
    *entry = table[kind].entry;
}

static bool clean_bitmap(const struct cczi_sa_params *p, const uint8_t *bitmap)
{
    for (uint32_t i = p->cfg.members; i < 8 * p->bitmap_size; i++)
        if (cczi_sa_bit(bitmap, i))
            return false;
    return true;
}

static bool parse_body(struct cczi_sa_msg *m, const struct cczi_sa_params *p, struct ccz_rd *r)
{
    size_t fixed;
    sizes(&fixed, &m->entry_size, p, m->kind);
    m->fixed = ccz_rd_take(r, fixed);
    if (m->entry_size) {
        m->len = ccz_rd_le32(r);
        if (m->len > p->cfg.members)
            return false;
        m->entries = ccz_rd_take(r, m->len * m->entry_size);
    }
    if (!ccz_rd_done(r))
        return false;
    for (uint32_t i = 0; i < m->len; i++) {
        uint32_t member = cczi_sa_msg_member(m, i);
        if (member >= p->cfg.members || (i && member <= cczi_sa_msg_member(m, i - 1)))
            return false;
        if (m->kind == CCZI_SA_REVEAL && *cczi_sa_msg_body(m, i) > 1)
            return false;
    }
    if (m->kind == CCZI_SA_DELIVERED)
        return clean_bitmap(p, m->fixed.ptr);
    return m->kind != CCZI_SA_UNMASK ||
           (clean_bitmap(p, m->fixed.ptr) && clean_bitmap(p, m->fixed.ptr + p->bitmap_size));
}

ccz_rc cczi_sa_msg_parse(struct cczi_sa_msg *out, const struct cczi_sa_params *p,
                         struct ccz_span in, struct ccz_err *err)
{
    struct cczi_sa_msg m = {0};
    struct ccz_rd r = ccz_rd_from(in);
    *out = m;
    bool good = ccz_span_eq(ccz_rd_take(&r, sizeof(MAGIC)), CCZ_SPAN(MAGIC, sizeof(MAGIC)));
    good &= ccz_rd_u8(&r) == VERSION;
    m.kind = (enum cczi_sa_kind)ccz_rd_u8(&r);
    good &= ccz_rd_le16(&r) == 0;
    uint64_t round = ccz_rd_le64(&r);
    struct ccz_span tag = ccz_rd_take(&r, CCZI_SA_TAG);
    if (!good || r.bad || m.kind < CCZI_SA_KEYS || m.kind >= CCZI_SA_KIND_LEN)
        return ccz_fail(err, CCZ_E_FORMAT, "secagg:message", (int64_t)in.size,
                        "malformed header of a message of %zu bytes", in.size);
    if (round != p->cfg.round)
        return ccz_refuse_num(err, CCZ_E_MISMATCH, "secagg:round", (int64_t)round,
                              (int64_t)p->cfg.round);
    if (!ccz_span_eq(tag, CCZ_SPAN(p->digest, CCZI_SA_TAG)))
        return ccz_refuse_bytes(err, CCZ_E_MISMATCH, "secagg:session", tag.ptr, tag.size, p->digest,
                                CCZI_SA_TAG);
    if (!parse_body(&m, p, &r))
        return ccz_fail(err, CCZ_E_FORMAT, "secagg:message", (int64_t)in.size,
                        "malformed message of kind %d, %zu bytes", (int)m.kind, in.size);
    *out = m;
    return CCZ_OK;
}

uint32_t cczi_sa_msg_member(const struct cczi_sa_msg *m, uint32_t i)
{
    struct ccz_rd r = ccz_rd_from(ccz_span_sub(m->entries, i * m->entry_size, NUMBER));
    return ccz_rd_le32(&r);
}

const uint8_t *cczi_sa_msg_body(const struct cczi_sa_msg *m, uint32_t i)
{
    return m->entries.ptr + i * m->entry_size + NUMBER;
}

void cczi_sa_msg_begin(struct ccz_buf *out, const struct cczi_sa_params *p, enum cczi_sa_kind kind)
{
    ccz_buf_put(out, MAGIC, sizeof(MAGIC));
    ccz_buf_u8(out, VERSION);
    ccz_buf_u8(out, (uint8_t)kind);
    ccz_buf_le16(out, 0);
    ccz_buf_le64(out, p->cfg.round);
    ccz_buf_put(out, p->digest, CCZI_SA_TAG);
}

uint32_t cczi_sa_count(const uint8_t *bitmap, size_t size)
{
    uint32_t n = 0;
    for (size_t i = 0; i < size; i++)
        for (uint8_t b = bitmap[i]; b; b = (uint8_t)(b & (b - 1)))
            n++;
    return n;
}
