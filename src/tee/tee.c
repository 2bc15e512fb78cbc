/* SPDX-License-Identifier: Apache-2.0 */
#include "tee/tee_priv.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TIMEOUT_MS = 30000 };

/* All there is; the caller names one, nothing is probed in its place. */
static const struct cczi_tee_provider *const providers[] = {
    &cczi_tee_gramine, &cczi_tee_configfs, &cczi_tee_tdx_guest, &cczi_tee_sev_guest,
    &cczi_tee_sim_sgx, &cczi_tee_sim_tdx,  &cczi_tee_sim_snp,
};
enum { PROVIDERS_LEN = sizeof(providers) / sizeof(providers[0]) };

static ccz_rc find_provider(const struct cczi_tee_provider **out, const char *name,
                            struct ccz_err *err)
{
    char known[CCZ_ERR_VALUE_SIZE] = "";
    size_t used = 0;
    for (size_t i = 0; i < PROVIDERS_LEN; i++) {
        if (name && strcmp(name, providers[i]->name) == 0) {
            *out = providers[i];
            return CCZ_OK;
        }
        used += (size_t)snprintf(known + used, sizeof(known) - used, "%s%s", i ? ", " : "",
                                 providers[i]->name);
    }
    return ccz_refuse(err, CCZ_E_ARG, "tee:provider", name ? name : "(none)", known);
}

ccz_rc cczi_attester_open(struct ccz_attester **out, const struct ccz_attester_cfg *cfg,
                          const struct cczi_tee_fs *fs, struct ccz_err *err)
{
    *out = NULL;
    const struct cczi_tee_provider *provider = NULL;
    ccz_rc rc = find_provider(&provider, cfg->provider, err);
    if (rc != CCZ_OK)
        return rc;
    const char *root = cfg->fs_root ? cfg->fs_root : "";
    if (strlen(root) >= CCZI_TEE_ROOT_SIZE || cfg->timeout_ms < 0)
        return ccz_fail(err, CCZ_E_ARG, "tee:open", 0,
                        "fs_root is too long or timeout_ms is negative");
    if (cfg->vmpl > CCZI_VMPL_MAX || (cfg->vmpl != 0 && !cfg->vmpl_set))
        return ccz_fail(err, CCZ_E_ARG, "tee:vmpl", cfg->vmpl, "a VMPL is 0 to 3, with vmpl_set");
    CCZ_AUTO(ccz_attester) a = calloc(1, sizeof(*a));
    if (!a)
        return ccz_fail(err, CCZ_E_NOMEM, "tee:open", 0, "out of memory");
    (void)pthread_mutex_init(&a->lock, NULL); /* cannot fail with default attributes on Linux */
    memcpy(a->root, root, strlen(root));
    a->fs = *fs;
    a->timeout_ms = cfg->timeout_ms ? cfg->timeout_ms : TIMEOUT_MS;
    a->vmpl = cfg->vmpl_set ? cfg->vmpl : -1;
    a->provider = provider;
    rc = provider->open(a, cfg, err);
    if (rc != CCZ_OK)
        return rc;
    if (cfg->vmpl_set && a->kind != CCZI_TEE_SNP)
        return ccz_fail(err, CCZ_E_ARG, "tee:vmpl", cfg->vmpl,
                        "only SEV-SNP has privilege levels, this is %s", ccz_attester_tee(a));
    *out = ccz_attester_take(&a);
    return CCZ_OK;
}

ccz_rc ccz_attester_open(struct ccz_attester **out, const struct ccz_attester_cfg *cfg,
                         struct ccz_err *err)
{
    return cczi_attester_open(out, cfg, &cczi_tee_fs_posix, err);
}

void ccz_attester_free(struct ccz_attester *a)
{
    if (!a)
        return;
    if (a->provider->close)
        a->provider->close(a);
    (void)pthread_mutex_destroy(&a->lock);
    free(a);
}

const char *ccz_attester_provider(const struct ccz_attester *a)
{
    return a->provider->name;
}

const char *ccz_attester_tee(const struct ccz_attester *a)
{
    static const char *const names[] = {"", "sgx", "tdx", "snp"};
    return names[a->kind];
}

bool ccz_attester_simulated(const struct ccz_attester *a)
{
    return a->provider->simulated;
}

struct ccz_span ccz_attester_measurement(const struct ccz_attester *a)
{
    return CCZ_SPAN(a->measurement, a->measurement_size);
}

/* Room left in a caller's buffer: what one request may bring. */
static size_t room(const struct ccz_buf *b)
{
    return b->bad || b->size > b->max_size ? 0 : b->max_size - b->size;
}

/* The certificate table behind an SNP report, without what the driver has behind it. */
static ccz_rc append_table(const struct cczi_tee_request *q, struct ccz_err *err)
{
    size_t size = 0;
    ccz_rc rc = q->certs->size ? cczi_snp_table_size(&size, ccz_buf_span(q->certs), err) : CCZ_OK;
    if (rc != CCZ_OK)
        return rc;
    ccz_buf_put(q->out, q->certs->ptr, size);
    if (q->out->bad)
        return ccz_fail(err, CCZ_E_LIMIT, "tee:snp-table", (int64_t)size,
                        "report and certificates are larger than the buffer may grow");
    return CCZ_OK;
}

ccz_rc ccz_attester_quote(struct ccz_buf *out, struct ccz_attester *a,
                          const uint8_t report_data[64], struct ccz_err *err)
{
    /* Scratch buffers, so that a failed or raced attempt leaves no half quote with the caller. */
    CCZ_AUTO_BUF quote;
    CCZ_AUTO_BUF certs;
    ccz_buf_init(&quote, room(out));
    ccz_buf_init(&certs, CCZI_SNP_TABLE_SIZE_MAX);
    struct cczi_tee_request q = {
        .out = &quote,
        .certs = &certs,
        .report_data = report_data,
        .deadline_ms = a->fs.now_ms(a->fs.arg) + a->timeout_ms,
        .vmpl = -1,
    };
    ccz_rc rc = a->provider->quote(a, &q, err);
    if (rc == CCZ_OK)
        rc = cczi_tee_check_report(a, &q, err);
    if (rc == CCZ_OK)
        rc = append_table(&q, err);
    if (rc != CCZ_OK)
        return rc;
    size_t before = out->size;
    ccz_buf_put_span(out, ccz_buf_span(&quote));
    if (out->bad) { /* the size was bounded above: this is memory */
        out->size = before;
        return ccz_fail(err, CCZ_E_NOMEM, "tee:quote", 0, "out of memory");
    }
    return CCZ_OK;
}
