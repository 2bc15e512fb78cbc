/* SPDX-License-Identifier: Apache-2.0 */
/* First byte: which file; odd: as text. What is accepted keeps what the header promises. */
#include <cczoo/serve.h>

#include <stdlib.h>
#include <string.h>

static void expect(bool ok)
{
    if (!ok)
        abort();
}

static void models(struct ccz_span in, enum ccz_serve_form form, struct ccz_buf *notes)
{
    struct ccz_serve_models m;
    if (ccz_serve_read_models(&m, notes, in, form, NULL) != CCZ_OK) {
        expect(!m.model && m.len == 0 && !m.own);
        return;
    }
    for (size_t i = 0; i < m.len; i++) {
        const struct ccz_serve_model *k = &m.model[i];
        expect(strlen(k->name) >= 1 && strlen(k->name) <= 255 && !strchr(k->name, '/'));
        expect(k->base_path[0] == '/' && strlen(k->base_path) <= CCZ_SERVE_PATH_SIZE_MAX);
        expect(k->latest >= 1 && k->latest <= CCZ_SERVE_VERSIONS_MAX && strlen(k->platform) <= 255);
        for (size_t v = 0; v < k->versions_len; v++)
            expect(k->versions[v] >= 0 && (v == 0 || k->versions[v - 1] < k->versions[v]));
        for (size_t l = 0; l < k->labels_len; l++)
            expect(k->labels[l].label[0] && k->labels[l].version >= 0);
        for (size_t o = 0; o < i; o++)
            expect(strcmp(m.model[o].name, k->name) != 0);
    }
    ccz_serve_models_free(&m);
}

static void batching(struct ccz_span in, enum ccz_serve_form form, struct ccz_buf *notes)
{
    struct ccz_sched_batching b;
    if (ccz_serve_read_batching(&b, notes, in, form, NULL) != CCZ_OK)
        return;
    expect(b.max_batch_size >= 0 && b.batch_timeout_us >= 0 && b.num_batch_threads >= 0);
    expect(b.allowed_len <= CCZ_SCHED_ALLOWED_MAX &&
           b.thread_pool_name[CCZ_SCHED_POOL_NAME_MAX] == 0);
    for (size_t i = 1; i < b.allowed_len; i++)
        expect(b.allowed_batch_sizes[i - 1] < b.allowed_batch_sizes[i]);
}

static void others(unsigned which, struct ccz_span in, enum ccz_serve_form form,
                   struct ccz_buf *notes)
{
    struct ccz_serve_ssl ssl;
    struct ccz_serve_monitoring monitoring;
    struct ccz_serve_session session;
    if (which == 0 && ccz_serve_read_ssl(&ssl, notes, in, form, NULL) == CCZ_OK) {
        expect(!ssl.server_key == !ssl.server_cert[0] && (!ssl.client_verify || ssl.custom_ca[0]));
        ccz_serve_ssl_free(&ssl);
    } else if (which == 1 &&
               ccz_serve_read_monitoring(&monitoring, notes, in, form, NULL) == CCZ_OK) {
        expect(monitoring.path[0] == '/');
    } else if (which == 2 && ccz_serve_read_session(&session, notes, in, form, NULL) == CCZ_OK) {
        expect(session.intra_threads >= 0 && session.inter_threads >= 0);
    } else if (which == 3) {
        ccz_rc rc = ccz_serve_read_platforms(notes, in, form, NULL);
        expect(rc == CCZ_OK || rc == CCZ_E_FORMAT || rc == CCZ_E_LIMIT);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CCZ_AUTO_BUF notes;
    ccz_buf_init(&notes, CCZ_SERVE_NOTES_SIZE_MAX);
    if (size == 0)
        return 0;
    const enum ccz_serve_form form = data[0] & 1 ? CCZ_SERVE_TEXT : CCZ_SERVE_WIRE;
    const struct ccz_span in = {data + 1, size - 1};
    const unsigned which = data[0] / 2 % 6;
    if (which == 0)
        models(in, form, &notes);
    else if (which == 1)
        batching(in, form, &notes);
    else
        others(which - 2, in, form, &notes);
    return 0;
}
