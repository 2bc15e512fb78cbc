/* SPDX-License-Identifier: Apache-2.0 */
/* Stand-ins for ONNX Runtime, for the tests of the loader: one that is older than what is asked for; FAKE_NETWORK: one that could
 * open connections. */
#include "engine/ort_api.h"

#if FAKE_NETWORK
#include <sys/socket.h>

int use_network(void);
int use_network(void)
{
    return socket(AF_INET, SOCK_STREAM, 0);
}
#endif

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
