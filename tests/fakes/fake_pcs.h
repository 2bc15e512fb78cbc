/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_FAKE_PCS_H
#define CCZ_FAKE_PCS_H
/* Intel PCS, a PCCS and AMD KDS on loopback, with a knob for everything that such a server can do wrong. */
#include "fake_site.h"

#include "quote/kit.h"

#include <cczoo/snp.h>

/* What AMD publishes for one chip, Milan or Turin, and a report of it; made by fake_amd_new() (fake_amd.c). */
struct fake_amd {
    bool turin;
    struct ccz_buf ark, ask, asvk, crl, vek, later_crl, revoking_crl, report;
    struct ccz_snp_roots roots;
    uint8_t chip_id[64], tcb[8];
};
void fake_amd_new(struct fake_amd *a, bool turin);
void fake_amd_free(struct fake_amd *a);

enum fake_crl { FAKE_DER, FAKE_HEX, FAKE_PEM };
struct fake_knobs {
    const struct ccz_collateral_src *serve[4]; /* by FMSPC of the TCB info; zeroed = end */
    const struct fake_amd *amd;
    struct ccz_span pck_leaf, pck_chain; /* for pckcert */
    enum fake_crl crl;
    bool plus_literally, lower_escapes; /* how headers are encoded */
    const char *max_age;                /* Cache-Control */
    /* A defect concerns requests whose path and query contain this; NULL = none. */
    const char *on;
    unsigned status;
    const char *retry_after;
    int64_t delay_ms;
    bool no_header, bad_escape, any_fmspc;
    struct ccz_span chain, body; /* instead of the right ones */
};
struct fake_pcs {
    struct fake_site site;
    pthread_mutex_t lock;
    struct fake_knobs knobs;
    char last_tcb[256]; /* query of the last request for TCB info */
    struct ccz_buf body, chain;
};
void fake_pcs_open(struct fake_pcs *f, const struct fake_knobs *knobs);
void fake_pcs_open_tls(struct fake_pcs *f, const struct fake_knobs *knobs, const char *pem_file);
void fake_pcs_set(struct fake_pcs *f, const struct fake_knobs *knobs);
void fake_pcs_close(struct fake_pcs *f);
/* Requests since the last call. */
int fake_pcs_requests(struct fake_pcs *f);

#endif
