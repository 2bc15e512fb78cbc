/* SPDX-License-Identifier: Apache-2.0 */
/* One folder of protected files under one key of the KMS. The key is wiped before the first client is served: the model is all that is
 * needed from then on. */
#include "served.h"

#include <inttypes.h>
#include <stdio.h>

ccz_rc served_protected_load(struct served_single *single, const struct served_opts *o,
                             struct ccz_kms_instance *kms, struct ccz_attester *attester,
                             struct served_engines *engines, struct ccz_err *err)
{
    struct served_item key = {.name = o->kms_key};
    struct served_folder *folder = NULL;
    CCZ_AUTO(ccz_model) model = NULL;
    const int64_t t0 = ccz_mono_ms();
    if (served_single_version(single)) /* nothing says that other files are newer ones */
        return CCZ_OK;
    ccz_rc rc = served_get_items(&key, 1, o, kms, attester, err);
    if (rc == CCZ_OK)
        rc = served_folder_open(&folder, o->model_dir, key.value, err);
    if (rc == CCZ_OK)
        rc = served_folder_load(&model, folder, engines, o->tfs.saved_model_tag, err);
    if (rc == CCZ_OK && o->tfs.warm_up)
        served_first_run(model);
    if (rc == CCZ_OK)
        ccz_log(CCZ_LOG_INFO, "served", "model name=%s files=%zu key_version=%u loaded_ms=%" PRId64,
                o->model_name, served_folder_cfg(folder).files_len, key.version,
                ccz_mono_ms() - t0);
    served_folder_free(folder);
    ccz_secret_free(key.value);
    if (rc != CCZ_OK)
        return rc;
    struct served_held held = {.version = o->model_version, .key_version = key.version};
    (void)snprintf(held.model, sizeof(held.model), "%s", o->model_name);
    (void)snprintf(held.item, sizeof(held.item), "%s", o->kms_key);
    return served_single_publish(single, &held, kms, &model, err);
}
