/* SPDX-License-Identifier: Apache-2.0 */
#include <cczoo/base.h>

#include <stdio.h>
#include <string.h>

void ccz_hex(char *out, const void *bytes, size_t size)
{
    static const char digit[] = "0123456789abcdef";
    const uint8_t *b = bytes;
    for (size_t i = 0; i < size; i++) {
        out[2 * i] = digit[b[i] >> 4];
        out[2 * i + 1] = digit[b[i] & 15];
    }
    out[2 * size] = 0;
}

static int nibble(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

ccz_rc ccz_unhex(void *out, size_t size, const char *hex, size_t hex_size)
{
    uint8_t *o = out;
    bool bad = hex_size != 2 * size;
    for (size_t i = 0; !bad && i < size; i++) {
        int hi = nibble(hex[2 * i]), lo = nibble(hex[2 * i + 1]);
        bad = hi < 0 || lo < 0;
        if (!bad)
            o[i] = (uint8_t)(hi << 4 | lo);
    }
    if (bad)
        memset(out, 0, size);
    return bad ? CCZ_E_FORMAT : CCZ_OK;
}

/* Days since 1970-01-01 of a proleptic Gregorian date (era algorithm: 400 years = 146097 days). */
static int64_t days_from_civil(int64_t y, int64_t m, int64_t d)
{
    y -= m <= 2;
    int64_t era = (y >= 0 ? y : y - 399) / 400;
    int64_t yoe = y - era * 400;
    int64_t doy = (153 * (m + (m > 2 ? -3 : 9)) + 2) / 5 + d - 1;
    int64_t doe = yoe * 365 + yoe / 4 - yoe / 100 + doy;
    return era * 146097 + doe - 719468;
}

static void civil_from_days(int64_t z, int64_t *y, int64_t *m, int64_t *d)
{
    z += 719468;
    int64_t era = (z >= 0 ? z : z - 146096) / 146097;
    int64_t doe = z - era * 146097;
    int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    int64_t mp = (5 * doy + 2) / 153;
    *d = doy - (153 * mp + 2) / 5 + 1;
    *m = mp + (mp < 10 ? 3 : -9);
    *y = yoe + era * 400 + (*m <= 2);
}

static bool digits(int64_t *out, const char *p, size_t n)
{
    *out = 0;
    for (size_t i = 0; i < n; i++) {
        if (p[i] < '0' || p[i] > '9')
            return false;
        *out = *out * 10 + (p[i] - '0');
    }
    return true;
}

ccz_rc ccz_time_parse(int64_t *out_s, const char *text, size_t size)
{
    static const uint8_t mdays[] = {31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    int64_t y, mo, d, h, mi, s;
    *out_s = 0;
    if (size != 20 || text[4] != '-' || text[7] != '-' || text[10] != 'T' || text[13] != ':' ||
        text[16] != ':' || text[19] != 'Z')
        return CCZ_E_FORMAT;
    if (!digits(&y, text, 4) || !digits(&mo, text + 5, 2) || !digits(&d, text + 8, 2) ||
        !digits(&h, text + 11, 2) || !digits(&mi, text + 14, 2) || !digits(&s, text + 17, 2))
        return CCZ_E_FORMAT;
    bool leap = (y % 4 == 0 && y % 100 != 0) || y % 400 == 0;
    if (mo < 1 || mo > 12 || d < 1 || d > mdays[mo - 1] || (mo == 2 && d == 29 && !leap) ||
        h > 23 || mi > 59 || s > 59)
        return CCZ_E_FORMAT;
    *out_s = days_from_civil(y, mo, d) * 86400 + h * 3600 + mi * 60 + s;
    return CCZ_OK;
}

void ccz_time_format(char out[21], int64_t t_s)
{
    const int64_t first_s = -62167219200; /* 0000-01-01T00:00:00Z */
    t_s = t_s < first_s ? first_s : t_s > CCZ_TIME_MAX_S ? CCZ_TIME_MAX_S : t_s;
    int64_t days = (t_s >= 0 ? t_s : t_s - 86399) / 86400, y, m, d;
    int64_t sec = t_s - days * 86400;
    civil_from_days(days, &y, &m, &d);
    char tmp[64];
    (void)snprintf(tmp, sizeof(tmp), "%04d-%02d-%02dT%02d:%02d:%02dZ", (int)y, (int)m, (int)d,
                   (int)(sec / 3600), (int)(sec / 60 % 60), (int)(sec % 60));
    memcpy(out, tmp, 20);
    out[20] = 0;
}

void ccz_escape(char *out, size_t out_size, struct ccz_span text)
{
    size_t n = 0;
    for (size_t i = 0; i < text.size; i++) {
        uint8_t c = text.ptr[i];
        bool plain = c >= 0x20 && c < 0x7f && c != '\\' && c != '"';
        if (n + (plain ? 1 : 4) + 1 > out_size)
            break;
        if (plain)
            out[n++] = (char)c;
        else
            n += (size_t)snprintf(out + n, 5, "\\x%02x", c);
    }
    if (out_size)
        out[n] = 0;
}
