/* SPDX-License-Identifier: Apache-2.0 */
/* Names that certificates are made for: text with commas, and the extensions that say them. */
#include "x509_priv.h"

#include <arpa/inet.h>
#include <string.h>

enum {
    NAME_SIZE_MAX = 253, /* RFC 1035, 2.3.4, without the root's dot */
    LABEL_SIZE_MAX = 63,
    TAG_DNS = 0x82, /* GeneralName: [2] IA5String, [7] OCTET STRING */
    TAG_IP = 0x87,
    IP_SIZE_MAX = 16,
};

/* Takes the first of a list; what is behind its comma stays. A comma at the end leaves an empty one. */
static struct ccz_span take(struct ccz_span *list, bool *more)
{
    const uint8_t *comma = list->size ? memchr(list->ptr, ',', list->size) : NULL;
    size_t n = comma ? (size_t)(comma - list->ptr) : list->size;
    struct ccz_span one = ccz_span_sub(*list, 0, n);
    *more = comma != NULL;
    *list = comma ? ccz_span_sub(*list, n + 1, list->size - n - 1) : (struct ccz_span){0};
    return one;
}

/* Bytes of an address in its only spelling: 4 or 16; 0 = it is none. */
static size_t address_of(uint8_t out[IP_SIZE_MAX], struct ccz_span name)
{
    char text[INET6_ADDRSTRLEN], again[INET6_ADDRSTRLEN];
    if (name.size == 0 || name.size >= sizeof(text) || memchr(name.ptr, 0, name.size))
        return 0;
    memcpy(text, name.ptr, name.size);
    text[name.size] = 0;
    int family = strchr(text, ':') ? AF_INET6 : AF_INET;
    if (inet_pton(family, text, out) != 1 || !inet_ntop(family, out, again, sizeof(again)) ||
        strcmp(text, again) != 0)
        return 0;
    return family == AF_INET6 ? 16 : 4;
}

static bool is_lower_or_digit(uint8_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

/* Labels of letters, digits and inner hyphens; the last one has a letter, or it could be taken for an address. */
static bool is_dns(struct ccz_span name)
{
    size_t label = 0;
    bool letter = false;
    if (name.size == 0 || name.size > NAME_SIZE_MAX)
        return false;
    for (size_t i = 0; i < name.size; i++) {
        uint8_t c = name.ptr[i];
        bool last = i + 1 == name.size || name.ptr[i + 1] == '.';
        if (c == '.') {
            if (label == 0 || i + 1 == name.size)
                return false;
            label = 0;
            letter = false;
            continue;
        }
        if (!is_lower_or_digit(c) && !(c == '-' && label > 0 && !last))
            return false;
        letter |= c >= 'a' && c <= 'z';
        if (++label > LABEL_SIZE_MAX)
            return false;
    }
    return letter;
}

static bool is_among(struct ccz_span list, struct ccz_span name)
{
    for (bool more = list.size > 0; more;)
        if (ccz_span_eq(take(&list, &more), name))
            return true;
    return false;
}

static ccz_rc refuse_name(struct ccz_err *err, ccz_rc rc, const char *where, struct ccz_span name,
                          const char *expected)
{
    char got[CCZ_ERR_VALUE_SIZE];
    ccz_escape(got, sizeof(got), name);
    return ccz_refuse(err, rc, where, got, expected);
}

ccz_rc ccz_names_check(struct ccz_span names, struct ccz_err *err)
{
    if (names.size > CCZ_NAMES_SIZE_MAX)
        return ccz_refuse_num(err, CCZ_E_LIMIT, "x509:names", (int64_t)names.size,
                              CCZ_NAMES_SIZE_MAX);
    size_t len = 0;
    for (bool more = true; more;) {
        struct ccz_span name = take(&names, &more);
        uint8_t ip[IP_SIZE_MAX];
        if (address_of(ip, name) == 0 && !is_dns(name))
            return refuse_name(err, CCZ_E_FORMAT, "x509:names", name,
                               "DNS names in lower case, without wildcards, or addresses");
        if (is_among(names, name))
            return refuse_name(err, CCZ_E_FORMAT, "x509:names", name, "each name once");
        if (++len > CCZ_NAMES_MAX)
            return ccz_refuse_num(err, CCZ_E_LIMIT, "x509:names", (int64_t)len, CCZ_NAMES_MAX);
    }
    return CCZ_OK;
}

ccz_rc ccz_names_within(struct ccz_span names, struct ccz_span allowed, struct ccz_err *err)
{
    for (bool more = true; more;) {
        struct ccz_span name = take(&names, &more);
        if (!is_among(allowed, name))
            return refuse_name(err, CCZ_E_DENIED, "x509:name-not-allowed", name,
                               "one of the names that the issuer may give");
    }
    return CCZ_OK;
}

void ccz_names_put_san(struct ccz_buf *out, struct ccz_span names)
{
    size_t seq = cczi_der_open(out, CCZI_DER_SEQUENCE);
    for (bool more = true; more;) {
        struct ccz_span name = take(&names, &more);
        uint8_t ip[IP_SIZE_MAX];
        size_t size = address_of(ip, name);
        cczi_der_put(out, size ? TAG_IP : TAG_DNS, size ? CCZ_SPAN(ip, size) : name);
    }
    cczi_der_close(out, seq);
}

static void put_subtree(struct ccz_buf *out, uint8_t tag, struct ccz_span base)
{
    size_t seq = cczi_der_open(out, CCZI_DER_SEQUENCE);
    cczi_der_put(out, tag, base);
    cczi_der_close(out, seq);
}

void ccz_names_put_constraints(struct ccz_buf *out, struct ccz_span names)
{
    static const uint8_t zero[2 * IP_SIZE_MAX]; /* an address and its mask: all of them */
    bool dns = false, address = false;
    size_t seq = cczi_der_open(out, CCZI_DER_SEQUENCE);
    size_t permitted = cczi_der_open(out, CCZI_DER_CONTEXT(0));
    for (bool more = true; more;) {
        struct ccz_span name = take(&names, &more);
        uint8_t ip[2 * IP_SIZE_MAX];
        size_t size = address_of(ip, name);
        memset(ip + size, 0xff, size);
        put_subtree(out, size ? TAG_IP : TAG_DNS, size ? CCZ_SPAN(ip, 2 * size) : name);
        address |= size > 0;
        dns |= size == 0;
    }
    cczi_der_close(out, permitted);
    if (!dns || !address) {
        size_t excluded = cczi_der_open(out, CCZI_DER_CONTEXT(1));
        if (!dns)
            put_subtree(out, TAG_DNS, (struct ccz_span){0});
        if (!address) {
            put_subtree(out, TAG_IP, CCZ_SPAN(zero, 8));
            put_subtree(out, TAG_IP, CCZ_SPAN(zero, 2 * IP_SIZE_MAX));
        }
        cczi_der_close(out, excluded);
    }
    cczi_der_close(out, seq);
}
