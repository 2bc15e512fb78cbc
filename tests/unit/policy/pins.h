/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_POLICY_PINS_H
#define CCZ_POLICY_PINS_H
/* Members that pin a rule to the claims that the tests of policies make. */
#define MRENCLAVE                                                                                  \
    "\"mrenclave\":\"1111111111111111111111111111111111111111111111111111111111111111\""
#define MRSIGNER "\"mrsigner\":\"2222222222222222222222222222222222222222222222222222222222222222\""
#define MRTD                                                                                       \
    "\"mrtd\":\"666666666666666666666666666666666666666666666666"                                  \
    "666666666666666666666666666666666666666666666666\""
#define MEASUREMENT                                                                                \
    "\"measurement\":\"919191919191919191919191919191919191919191919191"                           \
    "919191919191919191919191919191919191919191919191\""
#define PRODUCT "\"product\":\"Milan\""
#define TCB                                                                                        \
    "{\"boot_loader\":{\"min\":4},\"tee\":{\"min\":2},\"snp\":{\"min\":22},"                       \
    "\"microcode\":{\"min\":213}}"
#define REPORTED_TCB "\"reported_tcb\":" TCB

#endif
