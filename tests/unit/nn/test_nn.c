/* SPDX-License-Identifier: Apache-2.0 */
#include "ccz_test.h"

#include <cczoo/nn.h>

static void test_spec(void)
{
}

int main(int argc, char **argv)
{
    static const struct ccz_test tests[] = {{"nn.spec", test_spec}};
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
