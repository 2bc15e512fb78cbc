/* SPDX-License-Identifier: Apache-2.0 */
/* Addresses: the text of an accepted literal address is accepted and means the same.
 * Percent-decoding: shorter, without NUL, and the identity where there is no escape. */
#include "net/net_priv.h"

#include <stdlib.h>
#include <string.h>

static void expect(bool ok)
{
    if (!ok)
        abort();
}

static void check_address(const char *text)
{
    struct cczi_target a, b;
    struct ccz_err err;
    if (cczi_addr_parse(&a, text, &err) != CCZ_OK) {
        expect(strcmp(err.where, "net:address") == 0 && err.hint[0]);
        return;
    }
    if (!a.literal) {
        expect(a.host[0] != 0 && strlen(a.host) < sizeof(a.host));
        return;
    }
    char again[CCZ_ADDR_TEXT_SIZE];
    cczi_addr_text(again, (const struct sockaddr *)&a.addr.ss, a.addr.size);
    expect(cczi_addr_parse(&b, again, &err) == CCZ_OK && b.literal);
    expect(memcmp(&a.addr, &b.addr, sizeof(a.addr)) == 0);
}

static void check_decode(struct ccz_span text)
{
    CCZ_AUTO_BUF b;
    ccz_buf_init(&b, text.size);
    bool plain = text.size == 0 || memchr(text.ptr, '%', text.size) == NULL;
    if (ccz_http_decode(&b, text, NULL) != CCZ_OK) {
        expect(b.size == 0 && !plain);
        return;
    }
    struct ccz_span out = ccz_buf_span(&b);
    expect(plain ? ccz_span_eq(out, text) : out.size < text.size);
    if (text.size > 0 && !memchr(text.ptr, 0, text.size))
        expect(out.size > 0 && !memchr(out.ptr, 0, out.size));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1); /* exact size: a read past the NUL is seen */
    struct ccz_span value;
    expect(text != NULL);
    if (size > 0)
        memcpy(text, data, size);
    text[size] = 0;
    check_address(text);
    check_decode(CCZ_SPAN(data, size));
    if (ccz_http_query_get(&value, text, "a"))
        expect((const char *)value.ptr >= text + 2 && value.size <= strlen(text) - 2);
    free(text);
    return 0;
}
