/* SPDX-License-Identifier: Apache-2.0 */
/* usage: fake-pcs PORT_FILE BUNDLE_DIR...: a PCCS on loopback that serves these bundles until SIGTERM. While
 * PORT_FILE.fail exists, its content is the status of every answer. */
#define _DEFAULT_SOURCE
#include "fake_pcs.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { BUNDLES_MAX = 4, PARTS = 7 };
static volatile sig_atomic_t stopped;

static void on_term(int signo)
{
    (void)signo;
    stopped = 1;
}

static void load(struct ccz_collateral_src *src, struct ccz_buf bufs[PARTS], const char *dir)
{
    struct ccz_err err;
    const struct {
        const char *name;
        struct ccz_span *to;
    } files[PARTS] = {
        {"tcb_info.json", &src->tcb_info},
        {"tcb_info_issuer_chain.pem", &src->tcb_info_chain},
        {"qe_identity.json", &src->qe_identity},
        {"qe_identity_issuer_chain.pem", &src->qe_identity_chain},
        {"root_ca_crl.der", &src->root_ca_crl},
        {"pck_crl.der", &src->pck_crl},
        {"pck_crl_issuer_chain.pem", &src->pck_crl_chain},
    };
    for (int i = 0; i < PARTS; i++) {
        char path[4096];
        (void)snprintf(path, sizeof(path), "%s/%s", dir, files[i].name);
        ccz_buf_init(&bufs[i], 1 << 20);
        if (ccz_file_read(&bufs[i], path, &err) != CCZ_OK) {
            fprintf(stderr, "%s\n", err.msg);
            exit(3);
        }
        *files[i].to = ccz_buf_span(&bufs[i]);
    }
}

static unsigned told_status(const char *port_file)
{
    char path[4096];
    unsigned status = 0;
    (void)snprintf(path, sizeof(path), "%s.fail", port_file);
    FILE *f = fopen(path, "r");
    if (!f)
        return 0;
    if (fscanf(f, "%u", &status) != 1)
        status = 500;
    fclose(f);
    return status;
}

int main(int argc, char **argv)
{
    static struct ccz_collateral_src src[BUNDLES_MAX];
    static struct ccz_buf bufs[BUNDLES_MAX][PARTS];
    struct fake_knobs knobs = {.crl = FAKE_HEX};
    struct fake_pcs f;
    char port[16];
    if (argc < 3 || argc - 2 > BUNDLES_MAX)
        return 2;
    for (int i = 0; i + 2 < argc; i++) {
        load(&src[i], bufs[i], argv[i + 2]);
        knobs.serve[i] = &src[i];
    }
    signal(SIGTERM, on_term);
    fake_pcs_open(&f, &knobs);
    int n = snprintf(port, sizeof(port), "%u\n", f.site.port);
    if (ccz_file_write(argv[1], CCZ_SPAN(port, (size_t)n), 0644, CCZ_FILE_REPLACE, NULL) != CCZ_OK)
        return 3;
    while (!stopped) {
        knobs.status = told_status(argv[1]);
        knobs.on = knobs.status ? "/" : NULL;
        fake_pcs_set(&f, &knobs);
        usleep(20000);
    }
    fake_pcs_close(&f);
    return 0;
}
