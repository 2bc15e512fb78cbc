/* SPDX-License-Identifier: Apache-2.0 */
/* Trust anchors are keys: pre-production platforms chain to roots with Intel's name and another
 * key, and Intel has reissued its root certificate under the same key. */
#include "quote/quote_priv.h"

#include <string.h>

/* Intel SGX Root CA, production; certificate of 2018-05-21, SHA-256
 * 44a0196b2b99f889b8e149e95b807a350e7424964399e885a7cbb8ccfab674d3. */
static const uint8_t intel_root_xy[64] = {
    0x0b, 0xa9, 0xc4, 0xc0, 0xc0, 0xc8, 0x61, 0x93, 0xa3, 0xfe, 0x23, 0xd6, 0xb0, 0x2c, 0xda, 0x10,
    0xa8, 0xbb, 0xd4, 0xe8, 0x8e, 0x48, 0xb4, 0x45, 0x85, 0x61, 0xa3, 0x6e, 0x70, 0x55, 0x25, 0xf5,
    0x67, 0x91, 0x8e, 0x2e, 0xdc, 0x88, 0xe4, 0x0d, 0x86, 0x0b, 0xd0, 0xcc, 0x4e, 0xe2, 0x6a, 0xac,
    0xc9, 0x88, 0xe5, 0x05, 0xa9, 0x53, 0x55, 0x8c, 0x45, 0x3f, 0x6b, 0x09, 0x04, 0xae, 0x73, 0x94};

static const struct ccz_root *find(const struct ccz_roots *roots, const uint8_t xy[64])
{
    for (size_t i = 0; i < roots->len && i < CCZ_ROOTS_MAX; i++) {
        if (memcmp(roots->root[i].xy, xy, 64) == 0)
            return &roots->root[i];
    }
    return NULL;
}

static ccz_rc add(struct ccz_roots *roots, const uint8_t xy[64], bool simulated,
                  struct ccz_err *err)
{
    const struct ccz_root *old = find(roots, xy);
    if (old && old->simulated == simulated)
        return CCZ_OK;
    if (old) /* a key cannot be genuine and simulated at once */
        return ccz_refuse(err, CCZ_E_ARG, "roots:simulated", simulated ? "simulated" : "genuine",
                          simulated ? "genuine" : "simulated");
    if (roots->len >= CCZ_ROOTS_MAX)
        return ccz_refuse_num(err, CCZ_E_LIMIT, "roots:len", (int64_t)roots->len + 1,
                              CCZ_ROOTS_MAX);
    struct ccz_root *r = &roots->root[roots->len++];
    memcpy(r->xy, xy, sizeof(r->xy));
    r->simulated = simulated;
    return CCZ_OK;
}

/* Raw key of a P-256 certificate; false for other keys. */
static bool cert_xy(uint8_t xy[64], const struct ccz_cert *cert)
{
    const struct ccz_key *k = ccz_cert_key(cert);
    return k && ccz_key_curve(k) == CCZ_P256 && ccz_key_xy(xy, k) == CCZ_OK;
}

const struct ccz_root *cczi_roots_find(const struct ccz_roots *roots, const struct ccz_cert *cert)
{
    uint8_t xy[64];
    return cert_xy(xy, cert) ? find(roots, xy) : NULL;
}

ccz_rc ccz_roots_add_intel(struct ccz_roots *roots)
{
    return add(roots, intel_root_xy, false, NULL);
}

ccz_rc ccz_roots_add_cert(struct ccz_roots *roots, struct ccz_span cert, bool simulated,
                          struct ccz_err *err)
{
    CCZ_AUTO(ccz_cert) c = NULL;
    bool pem = cert.size > 0 && cert.ptr[0] == '-';
    ccz_rc rc = pem ? cczi_pem_cert(&c, &cert, err) : ccz_cert_parse(&c, cert, err);
    if (rc != CCZ_OK)
        return cczi_at(err, rc == CCZ_E_NOT_FOUND ? CCZ_E_FORMAT : rc, "roots:cert");
    CCZ_AUTO(ccz_cert) second = NULL;
    if (pem && cczi_pem_cert(&second, &cert, NULL) != CCZ_E_NOT_FOUND)
        return ccz_fail(err, CCZ_E_FORMAT, "roots:cert", 0,
                        "more than one certificate in the file of one root");
    rc = ccz_cert_check_issuer(c, c, err);
    if (rc != CCZ_OK)
        return cczi_at(err, rc, "roots:self-signed");
    uint8_t xy[64];
    if (!cert_xy(xy, c))
        return ccz_fail(err, CCZ_E_UNSUPPORTED, "roots:key", 0, "the key of the root is not P-256");
    return add(roots, xy, simulated, err);
}
