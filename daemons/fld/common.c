/* SPDX-License-Identifier: Apache-2.0 */
#include "fld.h"

#include "../../cli/ui.h"

#include <malloc.h>
#include <string.h>

/* A chunk and a welcome fit; what is under way to a slow member takes little of the server's memory. */
const struct ccz_rpc_chan_limits fld_limits = {.message_size_max =
                                                   CCZ_FL_MESSAGE_SIZE_MAX + CCZ_FL_LAYOUT_SIZE_MAX,
                                               .queue_size_max = (size_t)512 << 10,
                                               .send_size_max = (size_t)256 << 10};

/* Messages of a hundred kilobytes come and go by the thousand: their memory stays with the process instead of being asked of the kernel,
 * and zeroed, each time. Takes a tenth off a round. */
void fld_tune_memory(void)
{
    (void)mallopt(M_TRIM_THRESHOLD, 16 << 20);
    (void)mallopt(M_MMAP_THRESHOLD, 16 << 20);
    (void)mallopt(M_TOP_PAD, 256 << 10);
}

ccz_rc fld_party_open(struct ccz_attester **attester, struct ccz_party **party,
                      const struct fld_trust *t, bool server, struct ccz_err *err)
{
    const struct ccz_attester_cfg tee = {.provider = t->tee,
                                         .sim_dir = t->sim_dir,
                                         .measure = t->measure,
                                         .measure_len = t->measure_len};
    ccz_rc rc = t->tee ? ccz_attester_open(attester, &tee, err) : CCZ_OK;
    if (rc != CCZ_OK)
        return rc;
    const struct ccz_party_cfg cfg = {.attester = *attester,
                                      .collateral_dir = t->collateral,
                                      .collateral_from = t->collateral_from,
                                      .trust_sim_dir = t->trust_sim,
                                      .policy_file = t->policy,
                                      .server = server,
                                      .peer_evidence_optional = !t->policy,
                                      .reattest_interval_ms = t->reattest_s * 1000};
    rc = ccz_party_new(party, &cfg, err);
    if (rc == CCZ_OK && ccz_party_simulated(*party))
        ui_simulated("evidence comes from a software TEE");
    return rc;
}

ccz_rc fld_read_seal(struct ccz_secret **out, const char *path, struct ccz_err *err)
{
    *out = NULL;
    ccz_rc rc = ccz_file_read_secret(out, path, CCZ_FL_KEY_SIZE, err);
    if (rc != CCZ_OK || ccz_secret_size(*out) == CCZ_FL_KEY_SIZE)
        return rc;
    rc = ccz_refuse_num(err, CCZ_E_FORMAT, "fl:checkpoint-key", (int64_t)ccz_secret_size(*out),
                        CCZ_FL_KEY_SIZE);
    ccz_secret_free(*out);
    *out = NULL;
    return rc;
}

ccz_rc fld_check_names(const struct ccz_json *object, const char *const *known, struct ccz_err *err)
{
    const char *key = NULL;
    while (ccz_json_next(&key, object)) {
        size_t i = 0;
        while (known[i] && strcmp(known[i], key) != 0)
            i++;
        if (!known[i]) {
            char name[96];
            ccz_escape(name, sizeof(name), ccz_span_str(key));
            return ccz_refuse(err, CCZ_E_FORMAT, "fl:config-name", name,
                              "a setting of docs/reference/fl.md");
        }
    }
    return CCZ_OK;
}

ccz_rc fld_read_roster(struct ccz_fl_identity **out, size_t *len, const char *path,
                       struct ccz_err *err)
{
    CCZ_AUTO_BUF text;
    ccz_buf_init(&text, FLD_CONFIG_SIZE_MAX);
    *out = NULL;
    *len = 0;
    ccz_rc rc = ccz_file_read(&text, path, err);
    return rc == CCZ_OK ? ccz_fl_roster_parse(out, len, ccz_buf_span(&text), err) : rc;
}
