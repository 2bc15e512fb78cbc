/* SPDX-License-Identifier: Apache-2.0 */
#include "tee/tee_priv.h"

#include <string.h>

enum { PROBE_MS = 2000 };

size_t cczi_attester_detect(struct ccz_attester_probe *out, const char *fs_root,
                            const struct cczi_tee_fs *fs)
{
    static const struct cczi_tee_provider *const hardware[CCZ_ATTESTER_PROBES] = {
        &cczi_tee_gramine, &cczi_tee_configfs, &cczi_tee_tdx_guest, &cczi_tee_sev_guest};
    size_t answer = 0;
    memset(out, 0, CCZ_ATTESTER_PROBES * sizeof(*out));
    for (size_t i = 0; i < CCZ_ATTESTER_PROBES; i++) {
        CCZ_AUTO(ccz_attester) a = NULL;
        const struct ccz_attester_cfg cfg = {
            .provider = hardware[i]->name, .fs_root = fs_root, .timeout_ms = PROBE_MS};
        out[i].provider = hardware[i]->name;
        if (cczi_attester_open(&a, &cfg, fs, &out[i].err) == CCZ_OK) {
            out[i].tee = ccz_attester_tee(a);
            answer++;
        }
    }
    return answer;
}

size_t ccz_attester_detect(struct ccz_attester_probe *out, const char *fs_root)
{
    return cczi_attester_detect(out, fs_root, &cczi_tee_fs_posix);
}
