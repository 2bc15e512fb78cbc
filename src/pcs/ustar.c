/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The one USTAR archive (POSIX.1-2017, pax, "ustar Interchange Format") for given paths and contents: regular files
 * of mode 0644, owner 0, date 0. A reader that would make the same header from what it understood has overlooked
 * nothing.
 */
#define _POSIX_C_SOURCE 200809L
#include "pcs/pcs_priv.h"

#include <stdio.h>
#include <string.h>

enum {
    BLOCK = 512,
    NAME_SIZE = 100,
    SIZE_AT = 124,
    SIZE_DIGITS = 11,
    SUM_AT = 148,
    SUM_SIZE = 8,
    PREFIX_AT = 345,
    PREFIX_SIZE = 155,
};

/* Long paths are split at a slash: what is in front of it is the prefix. */
static bool put_path(uint8_t header[BLOCK], const char *path)
{
    size_t size = strlen(path), cut = 0;
    if (size == 0 || size > CCZI_USTAR_PATH_MAX)
        return false;
    if (size > NAME_SIZE) {
        const char *slash = strchr(path + size - NAME_SIZE - 1, '/');
        cut = slash ? (size_t)(slash - path) : 0;
        if (cut == 0 || cut > PREFIX_SIZE || cut + 1 == size)
            return false;
        memcpy(header + PREFIX_AT, path, cut);
        cut++;
    }
    memcpy(header, path + cut, size - cut);
    return true;
}

static bool make_header(uint8_t header[BLOCK], const char *path, size_t size)
{
    char text[16];
    memset(header, 0, BLOCK);
    if (!put_path(header, path) || size > CCZ_PCS_ARCHIVE_SIZE_MAX)
        return false;
    memcpy(header + 100, "0000644", 8);
    memcpy(header + 108, "0000000", 8);
    memcpy(header + 116, "0000000", 8);
    (void)snprintf(text, sizeof(text), "%0*zo", SIZE_DIGITS, size);
    memcpy(header + SIZE_AT, text, SIZE_DIGITS + 1);
    memcpy(header + 136, "00000000000", 12);
    memset(header + SUM_AT, ' ', SUM_SIZE);
    header[156] = '0';
    memcpy(header + 257,
           "ustar\0"
           "00",
           8);
    unsigned sum = 0;
    for (int i = 0; i < BLOCK; i++)
        sum += header[i];
    (void)snprintf(text, sizeof(text), "%06o", sum);
    memcpy(header + SUM_AT, text, 7); /* digits, NUL; the blank behind stays */
    return true;
}

static size_t padding(size_t size)
{
    return (BLOCK - size % BLOCK) % BLOCK;
}

ccz_rc cczi_ustar_put(struct ccz_buf *out, const char *path, struct ccz_span data)
{
    static const uint8_t zeros[BLOCK];
    uint8_t header[BLOCK];
    if (!make_header(header, path, data.size))
        return CCZ_E_ARG;
    ccz_buf_put(out, header, sizeof(header));
    ccz_buf_put_span(out, data);
    ccz_buf_put(out, zeros, padding(data.size));
    return CCZ_OK;
}

void cczi_ustar_end(struct ccz_buf *out)
{
    static const uint8_t zeros[2 * BLOCK];
    ccz_buf_put(out, zeros, sizeof(zeros));
}

static bool all_zero(struct ccz_span s)
{
    uint8_t any = 0;
    for (size_t i = 0; i < s.size; i++)
        any |= s.ptr[i];
    return any == 0;
}

static void take_path(char path[CCZI_USTAR_PATH_MAX + 1], const uint8_t *header)
{
    const char *name = (const char *)header, *prefix = (const char *)header + PREFIX_AT;
    int name_size = (int)strnlen(name, NAME_SIZE), prefix_size = (int)strnlen(prefix, PREFIX_SIZE);
    if (prefix_size > 0)
        (void)snprintf(path, CCZI_USTAR_PATH_MAX + 1, "%.*s/%.*s", prefix_size, prefix, name_size,
                       name);
    else
        (void)snprintf(path, CCZI_USTAR_PATH_MAX + 1, "%.*s", name_size, name);
}

static ccz_rc malformed(struct ccz_err *err, const char *what)
{
    return ccz_fail(err, CCZ_E_FORMAT, "archive:format", 0, "%s", what);
}

ccz_rc cczi_ustar_next(struct cczi_member *out, struct ccz_span *left, struct ccz_err *err)
{
    uint8_t want[BLOCK];
    size_t size = 0;
    *out = (struct cczi_member){0};
    if (left->size < 2 * (size_t)BLOCK)
        return malformed(err, "the archive is cut off");
    if (left->ptr[0] == 0) {
        if (left->size != 2 * (size_t)BLOCK || !all_zero(*left))
            return malformed(err, "bytes behind the end of the archive");
        return CCZ_E_NOT_FOUND;
    }
    for (int i = 0; i < SIZE_DIGITS; i++) {
        uint8_t c = left->ptr[SIZE_AT + i];
        if (c < '0' || c > '7')
            return malformed(err, "the size of a member is no octal number");
        size = size * 8 + (size_t)(c - '0');
    }
    take_path(out->path, left->ptr);
    if (!make_header(want, out->path, size) || memcmp(want, left->ptr, BLOCK) != 0)
        return malformed(err, "a header is not exactly as prescribed");
    if (size > left->size - BLOCK || padding(size) > left->size - BLOCK - size)
        return malformed(err, "a member is cut off");
    out->data = ccz_span_sub(*left, BLOCK, size);
    if (!all_zero(ccz_span_sub(*left, BLOCK + size, padding(size))))
        return malformed(err, "bytes behind a member");
    size += BLOCK + padding(size);
    *left = ccz_span_sub(*left, size, left->size - size);
    return CCZ_OK;
}
