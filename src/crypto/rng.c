/* SPDX-License-Identifier: Apache-2.0 */
#include <cczoo/crypto.h>

#include <limits.h>
#include <openssl/rand.h>

ccz_rc ccz_random(void *out, size_t size)
{
    uint8_t *p = out;
    while (size) {
        int n = size > INT_MAX ? INT_MAX : (int)size;
        /* the private DRBG: keys must not share a generator state with public nonces of TLS */
        if (RAND_priv_bytes(p, n) != 1) {
            ccz_wipe(out, (size_t)(p - (uint8_t *)out));
            return CCZ_E_INTERNAL;
        }
        p += n;
        size -= (size_t)n;
    }
    return CCZ_OK;
}
