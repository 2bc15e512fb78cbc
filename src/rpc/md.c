/* SPDX-License-Identifier: Apache-2.0 */
/* Custom-Metadata of PROTOCOL-HTTP2. */
#include "rpc_priv.h"

#include <cczoo/codec.h>

#include <string.h>

enum { BIN_VALUE_SIZE_MAX = 32768 };

void cczi_md_init(struct cczi_md *md)
{
    ccz_buf_init(&md->raw, CCZI_MD_SIZE_MAX);
    md->len = 0;
}

void cczi_md_free(struct cczi_md *md)
{
    ccz_buf_free(&md->raw);
    md->len = 0;
}

bool cczi_md_add(struct cczi_md *md, struct ccz_span key, struct ccz_span value)
{
    size_t room = md->raw.max_size - md->raw.size;
    if (md->len == CCZI_MD_LEN_MAX || key.size > CCZI_MD_SIZE_MAX ||
        value.size > CCZI_MD_SIZE_MAX || key.size + value.size + 10 > room)
        return false;
    size_t before = md->raw.size;
    ccz_buf_le32(&md->raw, (uint32_t)key.size);
    ccz_buf_le32(&md->raw, (uint32_t)value.size);
    ccz_buf_put_span(&md->raw, key);
    ccz_buf_u8(&md->raw, 0);
    ccz_buf_put_span(&md->raw, value);
    ccz_buf_u8(&md->raw, 0);
    if (md->raw.bad) {
        md->raw.size = before;
        md->raw.bad = false;
        return false;
    }
    md->len++;
    return true;
}

bool cczi_md_next(struct cczi_md_field *f, struct ccz_rd *r)
{
    if (r->left == 0)
        return false;
    f->key_size = ccz_rd_le32(r);
    size_t value_size = ccz_rd_le32(r);
    f->key = (const char *)ccz_rd_take(r, f->key_size + 1).ptr;
    f->value = ccz_rd_take(r, value_size + 1);
    f->value.size = value_size;
    return true;
}

struct ccz_span cczi_md_get(const struct cczi_md *md, const char *key)
{
    struct cczi_md_field f;
    struct ccz_rd r = ccz_rd_from(ccz_buf_span(&md->raw));
    while (cczi_md_next(&f, &r))
        if (strcmp(f.key, key) == 0)
            return f.value;
    return (struct ccz_span){0};
}

bool cczi_md_is_bin(struct ccz_span key)
{
    return key.size > 4 && memcmp(key.ptr + key.size - 4, "-bin", 4) == 0;
}

/* One base64 value, with or without padding: receivers must take both. */
static ccz_rc add_bin(struct cczi_md *md, struct ccz_span key, struct ccz_span text)
{
    CCZ_AUTO_BUF padded;
    CCZ_AUTO_BUF raw;
    ccz_buf_init(&padded, BIN_VALUE_SIZE_MAX * 2);
    ccz_buf_init(&raw, BIN_VALUE_SIZE_MAX);
    ccz_buf_put_span(&padded, text);
    while (padded.size % 4 != 0 && !padded.bad)
        ccz_buf_u8(&padded, '=');
    ccz_rc rc = ccz_base64_get(&raw, ccz_buf_span(&padded), CCZ_BASE64_STD, NULL);
    if (rc != CCZ_OK)
        return rc;
    return cczi_md_add(md, key, ccz_buf_span(&raw)) ? CCZ_OK : CCZ_E_LIMIT;
}

ccz_rc cczi_md_add_wire(struct cczi_md *md, struct ccz_span key, struct ccz_span value)
{
    if (!cczi_md_is_bin(key))
        return cczi_md_add(md, key, value) ? CCZ_OK : CCZ_E_LIMIT;
    /* several values of one key may have been joined by commas on the way */
    for (size_t from = 0; from <= value.size;) {
        size_t to = from;
        while (to < value.size && value.ptr[to] != ',')
            to++;
        ccz_rc rc = add_bin(md, key, ccz_span_sub(value, from, to - from));
        if (rc != CCZ_OK)
            return rc;
        from = to + 1;
    }
    return CCZ_OK;
}

static bool reserved(struct ccz_span key)
{
    static const char *const names[] = {"te", "content-type", "user-agent", "host", "connection"};
    /* what applications write: google.rpc.Status, and how long a client that may try again should wait */
    if (ccz_span_eq(key, ccz_span_str("grpc-status-details-bin")) ||
        ccz_span_eq(key, ccz_span_str("grpc-retry-pushback-ms")))
        return false;
    if (key.size >= 5 && memcmp(key.ptr, "grpc-", 5) == 0)
        return true;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (ccz_span_eq(key, ccz_span_str(names[i])))
            return true;
    return false;
}

bool cczi_md_allowed(struct ccz_span key, struct ccz_span value)
{
    if (key.size == 0 || reserved(key))
        return false;
    for (size_t i = 0; i < key.size; i++) {
        uint8_t c = key.ptr[i];
        bool ok =
            (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '-' || c == '.';
        if (!ok)
            return false;
    }
    if (cczi_md_is_bin(key))
        return value.size <= BIN_VALUE_SIZE_MAX;
    for (size_t i = 0; i < value.size; i++)
        if (value.ptr[i] < 0x20 || value.ptr[i] > 0x7e)
            return false;
    /* a space at either end would be trimmed or refused on the way */
    return value.size == 0 || (value.ptr[0] != ' ' && value.ptr[value.size - 1] != ' ');
}
