/* SPDX-License-Identifier: Apache-2.0 */
/* Run under valgrind: no branch and no address may depend on secrets that are shared out, shares, or a vector that is masked. */
#include "base/ct.h"
#include "secagg/secagg_priv.h"

#include <stdio.h>
#include <string.h>

enum { HOLDERS = 7, THRESHOLD = 4, LEN = 37 };

static bool shares(uint8_t out[CCZI_SA_KEY])
{
    const uint32_t members[HOLDERS] = {0, 3, 4, 9, 500, 65000, 65534};
    const uint8_t *some[THRESHOLD];
    uint8_t secrets[CCZI_SA_SHARES], all[HOLDERS * CCZI_SA_SHARES];
    memset(secrets, 0x5a, sizeof(secrets));
    CCZ_CT_SECRET(secrets, sizeof(secrets));
    if (cczi_sa_split(all, secrets, members, HOLDERS, THRESHOLD) != CCZ_OK)
        return false;
    for (size_t i = 0; i < THRESHOLD; i++)
        some[i] = all + i * CCZI_SA_SHARES;
    return cczi_sa_combine(out, some, members, THRESHOLD) == CCZ_OK;
}

static bool vector(uint32_t q[LEN])
{
    float x[LEN];
    const struct ccz_secagg_quant quant = {1, 10};
    uint8_t key[CCZI_SA_KEY] = {7};
    for (size_t i = 0; i < LEN; i++)
        x[i] = (float)i / LEN - 0.5F;
    CCZ_CT_SECRET(key, sizeof(key));
    const struct cczi_sa_mask masks[2] = {{key, false}, {key, true}};
    uint64_t clipped;
    /* whether a value is finite is told by the result; what it is, is not */
    if (ccz_secagg_quantize(q, &clipped, x, LEN, 1, &quant, NULL) != CCZ_OK)
        return false;
    CCZ_CT_SECRET(q, LEN * sizeof(*q));
    return cczi_sa_apply(q, 3, LEN, masks, 2) == CCZ_OK;
}

int main(int argc, char **argv)
{
    uint8_t secret[CCZI_SA_KEY];
    uint32_t q[LEN];
    bool good = shares(secret);
    if (argc == 2 && strcmp(argv[1], "--leak") == 0)
        return secret[0] == 0x5a ? 0 : 1; /* what valgrind has to object to */
    good = vector(q) && good;
    CCZ_CT_PUBLIC(secret, sizeof(secret));
    CCZ_CT_PUBLIC(q, sizeof(q));
    for (size_t i = 0; i < sizeof(secret); i++)
        good &= secret[i] == 0x5a;
    puts(good ? "ok" : "failed");
    return good ? 0 : 1;
}
