/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PROV_CLIENT_H
#define PROV_CLIENT_H
/*
 * A client of secret provisioning with nothing of ours in it: OpenSSL and sockets, certificates and bytes as the protocol's description has
 * them. Its evidence is a toy: 64 bytes of report data and 32 of a measurement.
 */
#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum pc_ext { PC_LEGACY, PC_LEGACY_MEANT, PC_DICE, PC_NO_EVIDENCE };

static inline EVP_PKEY *pc_key(const char *kind)
{
    static EVP_PKEY *rsa; /* making one takes long */
    if (strcmp(kind, "RSA") != 0)
        return EVP_PKEY_Q_keygen(NULL, NULL, "EC", kind);
    if (!rsa)
        rsa = EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)3072);
    CHECK(rsa && EVP_PKEY_up_ref(rsa) == 1);
    return rsa;
}

static inline void pc_sha256(uint8_t out[32], const void *p, size_t size)
{
    CHECK(EVP_Q_digest(NULL, "SHA256", NULL, p, size, out, NULL) == 1);
}

static inline void pc_spki_hash(uint8_t out[32], EVP_PKEY *key)
{
    uint8_t *der = NULL;
    int size = i2d_PUBKEY(key, &der);
    CHECK(size > 0);
    pc_sha256(out, der, (size_t)size);
    OPENSSL_free(der);
}

static inline void pc_add_ext(X509 *x, const char *oid, const uint8_t *p, size_t size)
{
    ASN1_OBJECT *obj = OBJ_txt2obj(oid, 1);
    ASN1_OCTET_STRING *value = ASN1_OCTET_STRING_new();
    CHECK(obj && value && ASN1_OCTET_STRING_set(value, p, (int)size) == 1);
    X509_EXTENSION *ext = X509_EXTENSION_create_by_OBJ(NULL, obj, 0, value);
    CHECK(ext && X509_add_ext(x, ext, -1) == 1);
    X509_EXTENSION_free(ext);
    ASN1_OCTET_STRING_free(value);
    ASN1_OBJECT_free(obj);
}

/* The extension with evidence over @p bound_key, which is the certificate's unless it is stolen. */
static inline void pc_add_evidence(X509 *x, enum pc_ext kind, EVP_PKEY *bound_key,
                                   const uint8_t measurement[32])
{
    uint8_t hash[32], quote[96] = {0}, dice[5 + 2 + 96 + 2 + 51];
    static const uint8_t claims_head[] = "\xa1\x6bpubkey-hash\x58\x24\x82\x01\x58\x20";
    pc_spki_hash(hash, bound_key);
    memcpy(quote + 64, measurement, 32);
    if (kind == PC_DICE) {
        uint8_t claims[51];
        memcpy(claims, claims_head, 19);
        memcpy(claims + 19, hash, 32);
        pc_sha256(quote, claims, sizeof(claims));
        memcpy(dice, "\xd9\xea\x60\x82\x58\x60", 6);
        memcpy(dice + 6, quote, 96);
        memcpy(dice + 102, "\x58\x33", 2);
        memcpy(dice + 104, claims, 51);
        pc_add_ext(x, "2.23.133.5.4.9", dice, 155);
    } else {
        memcpy(quote, hash, 32);
        pc_add_ext(x, kind == PC_LEGACY ? "0.6.9.42.840.113741.1337.6" : "1.2.840.113741.1337.6",
                   quote, sizeof(quote));
    }
}

/* As Gramine makes them: self-signed with SHA-256, valid 2001 to 2030. @p bound_key NULL = @p key */
static inline X509 *pc_cert(EVP_PKEY *key, enum pc_ext kind, EVP_PKEY *bound_key,
                            const uint8_t measurement[32])
{
    X509 *x = X509_new();
    CHECK(x && X509_set_version(x, X509_VERSION_3) == 1 && X509_set_pubkey(x, key) == 1);
    CHECK(ASN1_INTEGER_set(X509_get_serialNumber(x), 1) == 1);
    CHECK(ASN1_TIME_set_string_X509(X509_getm_notBefore(x), "20010101000000Z") == 1 &&
          ASN1_TIME_set_string_X509(X509_getm_notAfter(x), "20301231235959Z") == 1);
    X509_NAME *name = X509_get_subject_name(x);
    CHECK(X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const uint8_t *)"RATLS", -1, -1,
                                     0) == 1 &&
          X509_set_issuer_name(x, name) == 1);
    if (kind != PC_NO_EVIDENCE)
        pc_add_evidence(x, kind, bound_key ? bound_key : key, measurement);
    CHECK(X509_sign(x, key, EVP_sha256()) > 0);
    return x;
}

/* ---------------------------------------------------------------------------- connection */

struct pc {
    SSL_CTX *ctx;
    SSL *ssl;
    int fd;
};

static uint32_t pc_from = 1; /* 127.0.0.N: which host the client is */

static inline int pc_socket(uint16_t port)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in sa = {.sin_family = AF_INET, .sin_port = htons(port)};
    struct sockaddr_in from = {.sin_family = AF_INET};
    sa.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    from.sin_addr.s_addr = htonl(0x7f000000 + pc_from);
    CHECK(fd >= 0 && bind(fd, (struct sockaddr *)&from, sizeof(from)) == 0);
    CHECK(connect(fd, (struct sockaddr *)&sa, sizeof(sa)) == 0);
    return fd;
}

/* @param cert NULL = none. @return after SSL_connect(), whose result is *ret */
static inline struct pc pc_connect(int *ret, uint16_t port, int version, X509 *root, X509 *cert,
                                   EVP_PKEY *key)
{
    struct pc c = {.ctx = SSL_CTX_new(TLS_client_method()), .fd = pc_socket(port)};
    CHECK(c.ctx && SSL_CTX_set_min_proto_version(c.ctx, version) == 1 &&
          SSL_CTX_set_max_proto_version(c.ctx, version) == 1);
    CHECK(X509_STORE_add_cert(SSL_CTX_get_cert_store(c.ctx), root) == 1);
    SSL_CTX_set_verify(c.ctx, SSL_VERIFY_PEER, NULL);
    if (cert)
        CHECK(SSL_CTX_use_certificate(c.ctx, cert) == 1 && SSL_CTX_use_PrivateKey(c.ctx, key) == 1);
    c.ssl = SSL_new(c.ctx);
    CHECK(c.ssl && SSL_set1_host(c.ssl, "localhost") == 1 && SSL_set_fd(c.ssl, c.fd) == 1);
    *ret = SSL_connect(c.ssl);
    ERR_clear_error();
    return c;
}

static inline void pc_close(struct pc *c)
{
    SSL_free(c->ssl);
    SSL_CTX_free(c->ctx);
    close(c->fd);
    ERR_clear_error();
}

/* All that comes before the end. @return bytes, or -1 if it ended without close_notify */
static inline int pc_read_all(struct pc *c, uint8_t *out, size_t size)
{
    size_t have = 0, n;
    while (SSL_read_ex(c->ssl, out + have, size - have, &n) == 1)
        have += n;
    int kind = SSL_get_error(c->ssl, 0);
    ERR_clear_error();
    return kind == SSL_ERROR_ZERO_RETURN ? (int)have : -1;
}

static const uint8_t pc_request[35] = "SECRET_PROVISION_RA_TLS_REQUEST_V1"; /* and its NUL */

/* @return the size of the secret in @p out, -1: there is none */
static inline int pc_ask(struct pc *c, uint8_t *out, size_t size)
{
    static uint8_t answer[1 << 17];
    static const uint8_t head[37] = "SECRET_PROVISION_RA_TLS_RESPONSE_V1:";
    if (SSL_write(c->ssl, pc_request, sizeof(pc_request)) != sizeof(pc_request)) {
        ERR_clear_error();
        return -1;
    }
    int n = pc_read_all(c, answer, sizeof(answer));
    if (n <= 0)
        return -1;
    CHECK(n > 41 && memcmp(answer, head, sizeof(head)) == 0);
    size_t len =
        (size_t)answer[37] << 24 | (size_t)answer[38] << 16 | (size_t)answer[39] << 8 | answer[40];
    CHECK(len == (size_t)n - 41 && len <= size);
    memcpy(out, answer + 41, len);
    return (int)len;
}
#endif
