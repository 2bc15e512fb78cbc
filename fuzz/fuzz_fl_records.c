/* SPDX-License-Identifier: Apache-2.0 */
/* Logs of federated training: what is accepted is in order of rounds, and becomes a page whatever the numbers are. */
#include <cczoo/fl_report.h>

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
    struct ccz_fl_record *records;
    size_t len;
    if (ccz_fl_records_parse(&records, &len, CCZ_SPAN(data, size), NULL) != CCZ_OK) {
        require(!records && len == 0);
        return 0;
    }
    for (size_t i = 1; i < len; i++)
        require(records[i - 1].round < records[i].round);
    const struct ccz_fl_report_series s = {"log", records, len};
    const struct ccz_fl_report r = {.title = "page", .series = &s, .series_len = 1};
    CCZ_AUTO_BUF page;
    ccz_buf_init(&page, (size_t)8 << 20);
    if (len > 0 && ccz_fl_report_html(&page, &r, NULL) == CCZ_OK) {
        const char *text = ccz_buf_str(&page);
        require(strstr(text, "</html>") && !strstr(text, "nan") && !strstr(text, "inf"));
    }
    free(records);
    return 0;
}
