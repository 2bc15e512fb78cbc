/* SPDX-License-Identifier: Apache-2.0 */
/* The first byte chooses: a request line, answered by an agent whose KMS has everything, or an answer, or a wrapped key. */
#include "agent/agent_priv.h"

#include <stdlib.h>
#include <string.h>

static ccz_rc give(void *arg, struct ccz_secret **out, struct ccz_kms_release *info,
                   const char *item, uint32_t version, struct ccz_err *err)
{
    (void)arg;
    (void)item;
    (void)err;
    *info = (struct ccz_kms_release){.version = version ? version : 1};
    return ccz_secret_from(out, "0123456789abcdef", 16);
}

static void request(struct ccz_span line)
{
    static const char *const names[] = {"a", "b/*"};
    const struct ccz_agent_cfg cfg = {
        .release = give, .unwrap = {names, 2}, .wrap = {names, 2}, .secret = {names, 2}};
    const struct cczi_agent_peer peer = {.pid = 1};
    struct ccz_span value;
    CCZ_AUTO_BUF out;
    ccz_buf_init(&out, CCZI_AGENT_ANSWER_SIZE_MAX);
    cczi_agent_handle(&out, &cfg, line, &peer);
    if (out.size < 2 || memchr(out.ptr, '\n', out.size) != out.ptr + out.size - 1)
        abort(); /* one line, whatever was asked */
    if (cczi_agent_answer_parse(&value, CCZ_SPAN(out.ptr, out.size - 1), NULL) == CCZ_E_PEER)
        abort(); /* which a client understands */
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ccz_span value, in = CCZ_SPAN(data + 1, size - 1);
    struct ccz_err err = {0};
    CCZ_AUTO(ccz_secret) master = NULL;
    CCZ_AUTO(ccz_secret) plain = NULL;
    if (size == 0)
        return 0;
    if (data[0] == 'r' && !memchr(in.ptr, '\n', in.size))
        request(in);
    if (data[0] == 'a' && cczi_agent_answer_parse(&value, in, &err) != CCZ_OK && err.rc == CCZ_OK)
        abort();
    if (data[0] == 'w' && ccz_secret_from(&master, "0123456789abcdef", 16) == CCZ_OK &&
        ccz_agent_unwrap(&plain, master, "a", in, &err) == CCZ_OK && !plain)
        abort();
    return 0;
}
