/* SPDX-License-Identifier: Apache-2.0 */
/* The header by which a server behind the tunnel learns who is connected. */
#include "tunnel/tunnel_priv.h"

#include <netinet/in.h>
#include <string.h>

enum {
    COMMAND_PROXY = 0x21, /* version 2 */
    TCP_IPV4 = 0x11,
    TCP_IPV6 = 0x21,
    UNSPEC = 0x00,
    TYPE_SSL = 0x20,
    SUBTYPE_SSL_VERSION = 0x21,
    CLIENT_SSL = 0x01,       /* over TLS .. */
    CLIENT_CERT_CONN = 0x02, /* .. with a certificate, on this very connection */
    MEASUREMENT_SIZE_MAX = 48
};

void cczi_proxy_addrs(struct cczi_proxy_addrs *out, int fd)
{
    socklen_t from = sizeof(out->from), to = sizeof(out->to);
    *out = (struct cczi_proxy_addrs){0};
    if (getpeername(fd, (struct sockaddr *)&out->from, &from) != 0 ||
        getsockname(fd, (struct sockaddr *)&out->to, &to) != 0)
        *out = (struct cczi_proxy_addrs){0};
}

static void put_ipv6(struct ccz_buf *out, const struct sockaddr_in6 *from,
                     const struct sockaddr_in6 *to)
{
    ccz_buf_put(out, &from->sin6_addr, 16);
    ccz_buf_put(out, &to->sin6_addr, 16);
    ccz_buf_put(out, &from->sin6_port, 2); /* in network order already */
    ccz_buf_put(out, &to->sin6_port, 2);
}

/* IPv4 that came in on an IPv6 socket is IPv4. */
static bool is_mapped(const struct sockaddr_in6 *a)
{
    return IN6_IS_ADDR_V4MAPPED(&a->sin6_addr);
}

static void put_addrs(struct ccz_buf *out, const struct cczi_proxy_addrs *a)
{
    const struct sockaddr_in6 *from6 = (const struct sockaddr_in6 *)&a->from;
    const struct sockaddr_in6 *to6 = (const struct sockaddr_in6 *)&a->to;
    const struct sockaddr_in *from4 = (const struct sockaddr_in *)&a->from;
    const struct sockaddr_in *to4 = (const struct sockaddr_in *)&a->to;
    sa_family_t family = a->from.ss_family == a->to.ss_family ? a->from.ss_family : AF_UNSPEC;
    if (family == AF_INET) {
        ccz_buf_u8(out, TCP_IPV4);
        ccz_buf_be16(out, 0); /* the size, known later */
        ccz_buf_put(out, &from4->sin_addr, 4);
        ccz_buf_put(out, &to4->sin_addr, 4);
        ccz_buf_put(out, &from4->sin_port, 2);
        ccz_buf_put(out, &to4->sin_port, 2);
    } else if (family == AF_INET6 && is_mapped(from6) && is_mapped(to6)) {
        ccz_buf_u8(out, TCP_IPV4);
        ccz_buf_be16(out, 0);
        ccz_buf_put(out, from6->sin6_addr.s6_addr + 12, 4);
        ccz_buf_put(out, to6->sin6_addr.s6_addr + 12, 4);
        ccz_buf_put(out, &from6->sin6_port, 2);
        ccz_buf_put(out, &to6->sin6_port, 2);
    } else if (family == AF_INET6) {
        ccz_buf_u8(out, TCP_IPV6);
        ccz_buf_be16(out, 0);
        put_ipv6(out, from6, to6);
    } else {
        ccz_buf_u8(out, UNSPEC);
        ccz_buf_be16(out, 0);
    }
}

static void put_tlv(struct ccz_buf *out, uint8_t type, struct ccz_span value)
{
    ccz_buf_u8(out, type);
    ccz_buf_be16(out, (uint16_t)value.size); /* more than fits is refused by the total below */
    ccz_buf_put_span(out, value);
}

static bool has_certificate(const struct ccz_ratls_peer *peer)
{
    static const uint8_t none[sizeof(peer->spki_sha256)];
    return memcmp(peer->spki_sha256, none, sizeof(none)) != 0;
}

/* Servers that know the standard TLV alone take verify = 0 for an authenticated client: a certificate that nobody judged
 * must not look like one. */
static void put_ssl(struct ccz_buf *out, const struct ccz_ratls_peer *peer)
{
    static const char version[] = "TLSv1.3";
    enum { VERSION_SIZE = sizeof(version) - 1 };
    ccz_buf_u8(out, TYPE_SSL);
    ccz_buf_be16(out, 1 + 4 + 3 + VERSION_SIZE);
    ccz_buf_u8(out, (uint8_t)(CLIENT_SSL | (has_certificate(peer) ? CLIENT_CERT_CONN : 0)));
    ccz_buf_be32(out, peer->attested || peer->pinned ? 0 : 1); /* verify */
    put_tlv(out, SUBTYPE_SSL_VERSION, CCZ_SPAN(version, VERSION_SIZE));
}

static struct ccz_span measurement(const struct ccz_claims *c)
{
    switch (c->tee) {
    case CCZ_TEE_SGX:
        return CCZ_SPAN(c->mrenclave, sizeof(c->mrenclave));
    case CCZ_TEE_TDX:
        return CCZ_SPAN(c->mrtd, sizeof(c->mrtd));
    default:
        return CCZ_SPAN(c->snp.measurement, sizeof(c->snp.measurement));
    }
}

void cczi_measurement_hex(char out[CCZI_MEASUREMENT_HEX_SIZE], const struct ccz_claims *c)
{
    _Static_assert(CCZI_MEASUREMENT_HEX_SIZE > 2 * MEASUREMENT_SIZE_MAX, "room for the largest");
    struct ccz_span m = measurement(c);
    ccz_hex(out, m.ptr, m.size);
}

static void put_identity(struct ccz_buf *out, const struct ccz_ratls_peer *peer)
{
    char hex[CCZI_MEASUREMENT_HEX_SIZE];
    CCZ_AUTO_BUF json;
    ccz_buf_init(&json, UINT16_MAX);
    uint8_t status =
        (uint8_t)((peer->attested ? CCZ_PP2_ATTESTED : 0) | (peer->fresh ? CCZ_PP2_FRESH : 0) |
                  (peer->claims.simulated ? CCZ_PP2_SIMULATED : 0));
    put_tlv(out, CCZ_PP2_TYPE_STATUS, CCZ_SPAN(&status, 1));
    if (has_certificate(peer))
        put_tlv(out, CCZ_PP2_TYPE_SPKI, CCZ_SPAN(peer->spki_sha256, sizeof(peer->spki_sha256)));
    if (!peer->attested)
        return;
    cczi_measurement_hex(hex, &peer->claims);
    put_tlv(out, CCZ_PP2_TYPE_MEASUREMENT, ccz_span_str(hex));
    ccz_claims_json(&json, &peer->claims);
    put_tlv(out, CCZ_PP2_TYPE_CLAIMS, ccz_buf_span(&json));
    out->bad = out->bad || json.bad;
}

ccz_rc cczi_proxy_put(struct ccz_buf *out, const struct cczi_proxy_addrs *addrs,
                      const struct ccz_ratls_peer *peer)
{
    static const uint8_t signature[12] = "\r\n\r\n\0\r\nQUIT\n";
    size_t start = out->size;
    ccz_buf_put(out, signature, sizeof(signature));
    ccz_buf_u8(out, COMMAND_PROXY);
    put_addrs(out, addrs);
    if (peer) {
        put_ssl(out, peer);
        put_identity(out, peer);
    }
    size_t size = out->size - start - 16;
    if (out->bad || size > UINT16_MAX)
        return CCZ_E_LIMIT;
    out->ptr[start + 14] = (uint8_t)(size >> 8);
    out->ptr[start + 15] = (uint8_t)size;
    return CCZ_OK;
}
