/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZI_COPY_H
#define CCZI_COPY_H
/* For code on the path of every byte; elsewhere memcpy() will do. */
#include <stddef.h>
#include <string.h>

/*
 * memcpy() in pieces. glibc copies from 2 KiB upwards with "rep movsb", which AMD Zen 3 runs 20
 * times slower when the destination is 1 to 31 bytes ahead of the source modulo 4096: 16 KiB take 6
 * to 9 us, as much as encrypting them. Neighbouring heap blocks of a power of two are that far
 * apart (16 bytes). Pieces below the threshold cost nothing measurable. Their size is hidden from the compiler, which would make
 * "rep movsq" of a constant one, with the same weakness.
 */
static inline void cczi_copy(void *to, const void *from, size_t size)
{
    static const volatile size_t hidden = 1024;
    size_t piece = hidden;
    unsigned char *d = to;
    const unsigned char *s = from;
    while (size > 0) {
        size_t n = size < piece ? size : piece;
        memcpy(d, s, n);
        d += n;
        s += n;
        size -= n;
    }
}
#endif
