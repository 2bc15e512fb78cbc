/* SPDX-License-Identifier: Apache-2.0 */
/* Debug data of GOAWAY from a stranger. What is taken for a refusal is safe to log, and can be told again. */
#include "rpc/h2.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require_printable(const char *text, size_t size)
{
    if (!memchr(text, 0, size))
        abort();
    for (; *text; text++)
        if (*text < 0x20 || *text > 0x7e)
            abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ccz_err err = {0};
    if (!cczi_refusal_parse(&err, (struct ccz_span){data, size}))
        return 0;
    require_printable(err.where, sizeof(err.where));
    require_printable(err.msg, sizeof(err.msg));
    require_printable(err.got, sizeof(err.got));
    require_printable(err.expected, sizeof(err.expected));
    if (err.rc != CCZ_E_PEER || strncmp(err.where, "peer:", 5) != 0)
        abort();
    CCZ_AUTO_BUF text;
    struct ccz_err again = {0};
    ccz_buf_init(&text, 4096);
    cczi_refusal_text(&text, &err);
    if (text.bad || !cczi_refusal_parse(&again, ccz_buf_span(&text)))
        abort();
    return 0;
}
