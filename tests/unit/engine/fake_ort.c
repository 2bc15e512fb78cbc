/* SPDX-License-Identifier: Apache-2.0 */
/* Stand-in for an ONNX Runtime that is older than the API that is asked for, for the test of the loader. */
#include "engine/ort_api.h"

const struct OrtApiBase *OrtGetApiBase(void);

static const void *const *get_api(uint32_t version)
{
    static const void *const empty[1];
    return version < ORT_API_VERSION ? empty : NULL;
}

static const char *get_version(void)
{
    return "1.16-fake";
}

const struct OrtApiBase *OrtGetApiBase(void)
{
    static const struct OrtApiBase base = {get_api, get_version};
    return &base;
}
