/* SPDX-License-Identifier: Apache-2.0 */
/* Run under valgrind: any branch or address that depends on a secret is reported. */
#include <cczoo/base.h>

#include "base/ct.h"

#include <stdio.h>
#include <string.h>

int main(int argc, char **argv)
{
    uint8_t a[64] = {1}, b[64] = {1}, hex[32] = {7};
    CCZ_CT_SECRET(a, sizeof(a));
    CCZ_CT_SECRET(hex, sizeof(hex));

    int eq = ccz_ct_eq(a, b, sizeof(a));
    struct ccz_secret *s = NULL;
    if (ccz_secret_from(&s, hex, sizeof(hex)) != CCZ_OK)
        return 1;
    int eq2 = ccz_ct_eq(ccz_secret_view(s), b, sizeof(hex));
    /* Negative control: a secret index. (A secret branch would not do: clang -O1 compiles
     * `memcmp(a, b, 32) == 0` without a branch, and the control would pass silently.) */
    if (argc > 1 && strcmp(argv[1], "--leak") == 0) {
        static volatile uint8_t table[256];
        eq += table[a[0]];
    }
    ccz_secret_free(s);

    CCZ_CT_PUBLIC(&eq, sizeof(eq));
    CCZ_CT_PUBLIC(&eq2, sizeof(eq2));
    printf("eq=%d eq2=%d\n", eq, eq2);
    return eq == 1 && eq2 == 0 ? 0 : 1;
}
