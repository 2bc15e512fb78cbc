/* SPDX-License-Identifier: Apache-2.0 */
/* Named ways to run a program. */
#include <cczoo/mpcml.h>

#include <string.h>

static const struct ccz_mpcml_setting settings[CCZ_MPCML_OPTIMIZES] = {
    [CCZ_MPCML_ROUNDS] = {.optimize = CCZ_MPCML_ROUNDS,
                          .name = "rounds",
                          .summary = "shared ciphertexts, silent transfers, shared rounds",
                          .source = CCZ_MPC_SOURCE_MIXED,
                          .ot = CCZ_MPC_OT_SILENT,
                          .prepare_all = true},
    [CCZ_MPCML_OT] = {.optimize = CCZ_MPCML_OT,
                      .name = "ot",
                      .summary = "all products from oblivious transfer",
                      .source = CCZ_MPC_SOURCE_OT,
                      .ot = CCZ_MPC_OT_SOFTSPOKEN,
                      .prepare_all = true,
                      .one_by_one = true},
    [CCZ_MPCML_PAILLIER] = {.optimize = CCZ_MPCML_PAILLIER,
                            .name = "paillier",
                            .summary = "products from Paillier ciphertexts",
                            .source = CCZ_MPC_SOURCE_PAILLIER,
                            .ot = CCZ_MPC_OT_SOFTSPOKEN,
                            .prepare_all = true,
                            .one_by_one = true},
    [CCZ_MPCML_HE_EACH] = {.optimize = CCZ_MPCML_HE_EACH,
                           .name = "he-each",
                           .summary = "products from lattice ciphertexts, each from its own",
                           .source = CCZ_MPC_SOURCE_HE,
                           .ot = CCZ_MPC_OT_SOFTSPOKEN,
                           .one_by_one = true},
    [CCZ_MPCML_HE_PACKED] = {.optimize = CCZ_MPCML_HE_PACKED,
                             .name = "he-packed",
                             .summary = "products from lattice ciphertexts that all of them share",
                             .source = CCZ_MPC_SOURCE_HE,
                             .ot = CCZ_MPC_OT_SOFTSPOKEN,
                             .prepare_all = true,
                             .one_by_one = true},
    [CCZ_MPCML_SILENT] = {.optimize = CCZ_MPCML_SILENT,
                          .name = "silent",
                          .summary = "he-packed with silent transfers",
                          .source = CCZ_MPC_SOURCE_HE,
                          .ot = CCZ_MPC_OT_SILENT,
                          .prepare_all = true,
                          .one_by_one = true},
    [CCZ_MPCML_DEALER] = {.optimize = CCZ_MPCML_DEALER,
                          .name = "dealer",
                          .summary = "products from an attested dealer, shared rounds",
                          .source = CCZ_MPC_SOURCE_DEALER,
                          .ot = CCZ_MPC_OT_SOFTSPOKEN,
                          .prepare_all = true},
};

const struct ccz_mpcml_setting *ccz_mpcml_setting(enum ccz_mpcml_optimize optimize)
{
    return (unsigned)optimize < CCZ_MPCML_OPTIMIZES ? &settings[optimize] : NULL;
}

const struct ccz_mpcml_setting *ccz_mpcml_setting_named(const char *name)
{
    if (!name)
        return &settings[CCZ_MPCML_ROUNDS];
    for (unsigned i = 0; i < CCZ_MPCML_OPTIMIZES; i++)
        if (strcmp(settings[i].name, name) == 0)
            return &settings[i];
    return NULL;
}
