/* SPDX-License-Identifier: Apache-2.0 */
/* The plan of a private round: what is accepted is within its limits and written back the same; a member takes part in it or refuses. */
#include "fl/privacy.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { PARAMS = 10, ROUND = 3 };

static void require(bool holds)
{
    if (!holds)
        abort();
}

/* A member with a roster, and one without. */
static void take_part(const struct cczi_hfl_plan *plan, const struct ccz_fl_client_cfg *cfg)
{
    struct cczi_hfl_part *p;
    struct ccz_err err = {0};
    CCZ_AUTO_BUF out;
    ccz_buf_init(&out, 4096);
    if (cczi_hfl_part_new(&p, plan, cfg, &err) != CCZ_OK) {
        require(!p && err.where[0]);
        return;
    }
    require(cczi_hfl_part_step(&out, p, CCZ_SPAN(NULL, 0), NULL) == CCZ_OK && out.size > 0);
    require(!cczi_hfl_part_ready(p, ROUND));
    cczi_hfl_part_free(p);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct ccz_fl_identity roster[] = {
        {"a", {1}}, {"b", {2}}, {"c", {3}}, {"member-1", {4}}};
    struct cczi_hfl_plan plan;
    struct ccz_err err = {0};
    if (cczi_hfl_plan_parse(&plan, CCZ_SPAN(data, size), PARAMS, ROUND, &err) != CCZ_OK) {
        require(strcmp(err.where, "fl:plan") == 0 && plan.secagg.members == 0);
        return 0;
    }
    require(plan.quant.range > 0 && isfinite(plan.quant.range) && plan.clip >= 0 &&
            plan.secagg.attested_server == (plan.names.size == 0));
    CCZ_AUTO_BUF out;
    ccz_buf_init(&out, size);
    cczi_hfl_plan_put(&out, &plan);
    require(!out.bad && out.size == size);
    if (plan.secagg.members > 1000) /* a long list of keys is compared in pairs: not for a fuzzer */
        return 0;
    take_part(&plan, &(struct ccz_fl_client_cfg){.name = "a"});
    take_part(&plan, &(struct ccz_fl_client_cfg){.name = "a", .roster = roster, .roster_len = 4});
    return 0;
}
