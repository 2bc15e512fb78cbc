/* SPDX-License-Identifier: Apache-2.0 */
/* A roster: what is accepted has different names and different keys, each a point, and can be written and read again. */
#include <cczoo/fl.h>

#include <stdlib.h>
#include <string.h>

static void require(bool holds)
{
    if (!holds)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ccz_fl_identity *roster, *again;
    struct ccz_err err = {0};
    size_t len, again_len;
    if (ccz_fl_roster_parse(&roster, &len, CCZ_SPAN(data, size), &err) != CCZ_OK) {
        require(!roster && len == 0 && err.where[0]);
        return 0;
    }
    CCZ_AUTO_BUF out;
    ccz_buf_init(&out, (size_t)1 << 20);
    ccz_buf_put_str(&out, "{\"members\":[");
    for (size_t i = 0; i < len; i++) {
        CCZ_AUTO(ccz_key) key = NULL;
        require(ccz_key_from_xy(&key, CCZ_P256, CCZ_SPAN(roster[i].xy, 64)) == CCZ_OK);
        for (size_t j = 0; j < i; j++)
            require(strcmp(roster[i].name, roster[j].name) != 0 &&
                    memcmp(roster[i].xy, roster[j].xy, 64) != 0);
        ccz_buf_put_str(&out, i ? "," : "");
        require(ccz_fl_roster_entry(&out, roster[i].name, key, NULL) == CCZ_OK);
    }
    ccz_buf_put_str(&out, "]}");
    require(ccz_fl_roster_parse(&again, &again_len, ccz_buf_span(&out), NULL) == CCZ_OK);
    require(len == again_len && memcmp(roster, again, len * sizeof(*roster)) == 0);
    free(roster);
    free(again);
    return 0;
}
