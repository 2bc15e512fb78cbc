/* SPDX-License-Identifier: Apache-2.0 */
#include "log_maker.h"

#include <openssl/sha.h>
#include <stdlib.h>
#include <string.h>

static uint16_t size_of(uint16_t alg)
{
    return alg == LOG_SHA256 ? 32 : alg == LOG_SHA384 ? 48 : 64;
}

void log_begin(struct ccz_buf *b, const uint16_t *algs, size_t len)
{
    static const uint8_t sha1[20];
    ccz_buf_le32(b, 1); /* register: as EDK II writes it */
    ccz_buf_le32(b, 3); /* EV_NO_ACTION */
    ccz_buf_put(b, sha1, sizeof(sha1));
    ccz_buf_le32(b, (uint32_t)(28 + 4 * len + 1));
    ccz_buf_put(b, "Spec ID Event03", 16);
    ccz_buf_le32(b, 0);                    /* platform class: client */
    ccz_buf_put(b, "\x00\x02\x00\x02", 4); /* minor, major, errata, size of UINTN */
    ccz_buf_le32(b, (uint32_t)len);
    for (size_t i = 0; i < len; i++) {
        ccz_buf_le16(b, algs[i]);
        ccz_buf_le16(b, size_of(algs[i]));
    }
    ccz_buf_u8(b, 0); /* no vendor information */
}

void log_event(struct ccz_buf *b, const uint16_t *algs, size_t len, uint32_t mr, uint32_t type,
               const uint8_t digest[48], struct ccz_span data)
{
    static const uint8_t zero[64];
    ccz_buf_le32(b, mr);
    ccz_buf_le32(b, type);
    ccz_buf_le32(b, (uint32_t)len);
    for (size_t i = 0; i < len; i++) {
        ccz_buf_le16(b, algs[i]);
        ccz_buf_put(b, algs[i] == LOG_SHA384 ? digest : zero, size_of(algs[i]));
    }
    ccz_buf_le32(b, (uint32_t)data.size);
    ccz_buf_put_span(b, data);
}

void log_measure(struct ccz_buf *b, uint32_t mr, uint32_t type, struct ccz_span data)
{
    static const uint16_t algs[] = {LOG_SHA384};
    uint8_t digest[48];
    SHA384(data.ptr, data.size, digest);
    log_event(b, algs, 1, mr, type, digest, data);
}

void log_variable(struct ccz_buf *b, const char *name, struct ccz_span value)
{
    static const uint8_t guid[16] = {0x61, 0xdf, 0xe4, 0x8b, 0xca, 0x93, 0xd2, 0x11,
                                     0xaa, 0x0d, 0x00, 0xe0, 0x98, 0x03, 0x2b, 0x8c};
    ccz_buf_put(b, guid, sizeof(guid));
    ccz_buf_le64(b, strlen(name));
    ccz_buf_le64(b, value.size);
    for (size_t i = 0; name[i]; i++)
        ccz_buf_le16(b, (uint16_t)name[i]);
    ccz_buf_put_span(b, value);
}

void log_pad(struct ccz_buf *b, size_t size)
{
    uint8_t *p = ccz_buf_extend(b, size);
    if (!p)
        abort();
    memset(p, 0xff, size);
}
