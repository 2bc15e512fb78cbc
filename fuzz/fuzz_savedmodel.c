/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Signatures of a model from any saved_model.pb, through the echo back end. Invariants: names are
 * sorted and unique, whatever is runnable has types that can be fed and a source for each output.
 */
#include <cczoo/engine.h>

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static ccz_rc read_at(void *arg, size_t file, uint64_t offset, void *out, size_t size,
                      struct ccz_err *err)
{
    const struct ccz_span *in = arg;
    if (file != 0 || offset > in->size || size > in->size - offset)
        return ccz_fail(err, CCZ_E_IO, "fuzz:read", 0, "out of range");
    memcpy(out, in->ptr + offset, size);
    return CCZ_OK;
}

static void check_infos(const struct ccz_tensor_info *t, size_t len, bool runnable)
{
    for (size_t i = 0; i < len; i++) {
        if (i > 0 && strcmp(t[i - 1].name, t[i].name) >= 0)
            abort();
        for (int k = 0; k < t[i].rank; k++)
            if (t[i].dims[k] < -1)
                abort();
        if (runnable && (t[i].dtype == CCZ_DT_INVALID || !t[i].tensor_name[0]))
            abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ccz_span in = {data, size};
    struct ccz_model_file file = {"saved_model.pb", size};
    struct ccz_model_cfg cfg = {.files = &file, .files_len = 1, .read_at = read_at, .arg = &in};
    struct ccz_engine *e = NULL;
    struct ccz_model *m = NULL;
    if (ccz_engine_open(&e, &(struct ccz_engine_cfg){.backend = "echo"}, NULL) != CCZ_OK)
        abort();
    if (ccz_model_load(&m, e, &cfg, NULL) == CCZ_OK) {
        const struct ccz_signature *s;
        size_t len = ccz_model_signatures(&s, m);
        for (size_t i = 0; i < len; i++) {
            if ((i > 0 && strcmp(s[i - 1].name, s[i].name) >= 0) ||
                ccz_model_signature(m, s[i].name) != &s[i])
                abort();
            check_infos(s[i].in, s[i].in_len, s[i].runnable);
            check_infos(s[i].out, s[i].out_len, s[i].runnable);
        }
    }
    ccz_model_free(m);
    ccz_engine_free(e);
    return 0;
}
