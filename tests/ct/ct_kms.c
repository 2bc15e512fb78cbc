/* SPDX-License-Identifier: Apache-2.0 */
/* Run under valgrind: no branch and no address may depend on a master key that is shared out, or on its shares. */
#include "base/ct.h"
#include "kms/master_priv.h"

#include <stdio.h>
#include <string.h>

enum { NEEDED = 3, TOTAL = 5 };

int main(int argc, char **argv)
{
    uint8_t key[CCZI_SHARE_KEY_SIZE], again[CCZI_SHARE_KEY_SIZE];
    struct cczi_share shares[TOTAL];
    memset(key, 0x5a, sizeof(key));
    CCZ_CT_SECRET(key, sizeof(key));
    bool good = cczi_shamir_split(shares, key, NEEDED, TOTAL) == CCZ_OK;
    for (size_t i = 0; i < TOTAL; i++)
        CCZ_CT_SECRET(shares[i].y, sizeof(shares[i].y));
    cczi_shamir_combine(again, shares + 1, NEEDED);
    if (argc == 2 && strcmp(argv[1], "--leak") == 0)
        return again[0] == 0x5a ? 0 : 1; /* what valgrind has to object to */
    CCZ_CT_PUBLIC(again, sizeof(again));
    for (size_t i = 0; i < sizeof(again); i++)
        good &= again[i] == 0x5a;
    puts(good ? "ok" : "failed");
    return good ? 0 : 1;
}
