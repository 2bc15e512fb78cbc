/* SPDX-License-Identifier: Apache-2.0 */
#include "collateral.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { KEY_FILE_SIZE_MAX = 4096 };
static const char intel_key_header[] = "Ocp-Apim-Subscription-Key";

ccz_rc cli_roots(struct cli_roots *out, const char *sim, struct ccz_err *err)
{
    *out = (struct cli_roots){0};
    if (sim) {
        ccz_rc rc = ccz_verifier_sim_roots(&out->intel, &out->amd, sim, err);
        if (rc == CCZ_OK)
            ui_simulated("only collateral of a software TEE is accepted");
        return rc;
    }
    ccz_rc rc = ccz_roots_add_intel(&out->intel);
    return rc == CCZ_OK ? ccz_snp_roots_add_amd(&out->amd) : rc;
}

/* ----------------------------------------------------------------------------------- store */

static void wait_ms(void *arg, int64_t ms)
{
    const struct timespec t = {ms / 1000, ms % 1000 * 1000000};
    (void)arg;
    ui_say("the server asks to wait %lld s", (long long)(ms / 1000));
    (void)nanosleep(&t, NULL);
}

static ccz_rc http_get(void *client, unsigned *status, struct ccz_buf *body,
                       struct ccz_buf *headers, const char *url, struct ccz_err *err)
{
    return ccz_http_get(status, body, headers, client, url, err);
}

/* Editors end a file with a line end. */
static ccz_rc read_key(struct ccz_secret **key, const char *file, struct ccz_err *err)
{
    ccz_rc rc = ccz_file_read_secret(key, file, KEY_FILE_SIZE_MAX, err);
    size_t size = rc == CCZ_OK ? ccz_secret_size(*key) : 0;
    while (size > 0 && strchr("\r\n", ccz_secret_bytes(*key)[size - 1]))
        size--;
    if (rc == CCZ_OK && size < ccz_secret_size(*key)) {
        struct ccz_secret *whole = *key;
        *key = NULL;
        rc = ccz_secret_from(key, ccz_secret_view(whole), size ? size : 1);
        ccz_secret_free(whole);
    }
    return rc;
}

ccz_rc cli_store_open(struct cli_store *s, const struct cli_site *site,
                      struct ccz_pcs_store_cfg cfg, struct ccz_err *err)
{
    *s = (struct cli_store){0};
    ccz_rc rc = CCZ_OK;
    struct ccz_http_client_cfg http = {.ca_file = site->ca_file,
                                       .proxy = site->proxy,
                                       .any_certificate_insecure = site->any_certificate,
                                       .plain_http_insecure = site->plain_http};
    if (site->key_file) {
        rc = read_key(&s->key, site->key_file, err);
        http.secret = s->key;
        http.secret_name = intel_key_header;
        http.secret_prefix = CCZ_PCS_INTEL_URL "/";
    }
    if (rc == CCZ_OK)
        rc = ccz_http_client_new(&s->client, &http, err);
    cfg.getter = (struct ccz_pcs_getter){http_get, s->client};
    cfg.intel_url = site->from && strcmp(site->from, "pcs") != 0 ? site->from : NULL;
    cfg.root_crl_url = site->root_crl_url;
    cfg.amd_url = site->amd_url;
    cfg.sleep_ms = wait_ms;
    if (rc == CCZ_OK)
        rc = ccz_pcs_store_new(&s->store, &cfg, err);
    if (rc != CCZ_OK)
        cli_store_close(s);
    return rc;
}

void cli_store_close(struct cli_store *s)
{
    ccz_pcs_store_free(s->store);
    ccz_http_client_free(s->client);
    ccz_secret_free(s->key);
    *s = (struct cli_store){0};
}

/* ----------------------------------------------------------------------------------- cache */

bool cli_collateral_is_remote(const char *text)
{
    return text && (strcmp(text, "pcs") == 0 || strstr(text, "://"));
}

ccz_rc cli_cache_dir(char *out, size_t size, const char *name, struct ccz_err *err)
{
    const char *cache = getenv("CCZOO_CACHE"), *home = getenv("HOME");
    int n;
    if (cache && cache[0])
        n = snprintf(out, size, "%s/%s", cache, name);
    else if (home && home[0])
        n = snprintf(out, size, "%s/.cache/cczoo/%s", home, name);
    else
        return ccz_hint(
            err, ccz_fail(err, CCZ_E_ARG, "cli:cache", 0, "there is no folder for the cache"),
            "set CCZOO_CACHE or HOME");
    if (n < 0 || (size_t)n >= size)
        return ccz_fail(err, CCZ_E_LIMIT, "cli:path", n, "the path of the cache is too long");
    return ccz_dir_make(out, 0700, err);
}
