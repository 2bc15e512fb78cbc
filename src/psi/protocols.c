/* SPDX-License-Identifier: Apache-2.0 */
#include "psi_priv.h"

#include <string.h>

static const struct cczi_psi_protocol protocols[CCZ_PSI_PROTOCOLS] = {
    [CCZ_PSI_VOLE] = {.name = "vole", .bucket = cczi_psi_vole_bucket},
    [CCZ_PSI_VOLE_SEMI_HONEST] = {.name = "vole-semi-honest", .bucket = cczi_psi_vole_bucket},
    [CCZ_PSI_ECDH] = {.name = "ecdh", .hides_rows = true, .bucket = cczi_psi_ecdh_bucket},
    [CCZ_PSI_UNBALANCED] = {.name = "unbalanced", .bucket = cczi_psi_ecdh_bucket},
};

const struct cczi_psi_protocol *cczi_psi_protocol(enum ccz_psi_protocol p)
{
    return &protocols[p];
}

bool cczi_psi_rows_hidden(const struct ccz_psi_cfg *cfg)
{
    return protocols[cfg->protocol].hides_rows &&
           (cfg->output == CCZ_PSI_CARDINALITY || cfg->min_intersection > 0);
}

const char *ccz_psi_protocol_name(enum ccz_psi_protocol p)
{
    return (unsigned)p < CCZ_PSI_PROTOCOLS ? protocols[p].name : NULL;
}

enum ccz_psi_protocol ccz_psi_protocol_from(const char *name)
{
    unsigned p = 0;
    while (p < CCZ_PSI_PROTOCOLS && strcmp(protocols[p].name, name) != 0)
        p++;
    return (enum ccz_psi_protocol)p;
}
