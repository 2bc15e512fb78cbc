/* SPDX-License-Identifier: Apache-2.0 */
/* TCB info v3 and QE identity v2 of a simulated platform, member by member as PCS API v4 delivers
 * them. */
#include "tee/sim_priv.h"

#include <stdio.h>
#include <string.h>

enum { TCB_EVAL_NUMBER = 17, BODY_SIZE_MAX = 65536 };
#define ADVISORY ",\"advisoryIDs\":[\"SIMULATED-SA-00001\"]"
/* TCB levels are older than the collateral that lists them. */
#define TCB_DATE     "2025-01-01T00:00:00Z"
#define TCB_DATE_OLD "2024-01-01T00:00:00Z"
#define TDX_MODULE_RULE                                                                              \
    "\"mrsigner\":\"000000000000000000000000000000000000000000000000" /* 48 bytes: Intel's module  \
                                                                       */ \
    "000000000000000000000000000000000000000000000000\",\"attributes\":\"0000000000000000\","        \
    "\"attributesMask\":\"FFFFFFFFFFFFFFFF\""

ccz_rc cczi_sim_status(const char **out, const struct ccz_sim_cfg *cfg, struct ccz_err *err)
{
    static const char *const known[] = {"UpToDate",
                                        "SWHardeningNeeded",
                                        "ConfigurationNeeded",
                                        "ConfigurationAndSWHardeningNeeded",
                                        "OutOfDate",
                                        "Revoked",
                                        "OutOfDateConfigurationNeeded"};
    const char *want = cfg->tcb_status ? cfg->tcb_status : known[0];
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
        if (strcmp(want, known[i]) == 0) {
            *out = known[i];
            return CCZ_OK;
        }
    return ccz_refuse(err, CCZ_E_ARG, "tee:sim-tcb-status", want,
                      "UpToDate, [ConfigurationAnd]SWHardeningNeeded, ConfigurationNeeded, "
                      "OutOfDate[ConfigurationNeeded] or Revoked");
}

static void dates_put(struct ccz_buf *out, const struct cczi_sim_pki *pki)
{
    char issued[21], next[21];
    ccz_time_format(issued, pki->now_s);
    ccz_time_format(next, pki->next_update_s);
    ccz_buf_printf(out, "\"issueDate\":\"%s\",\"nextUpdate\":\"%s\",", issued, next);
}

static void hex_put(struct ccz_buf *out, const char *key, const uint8_t *bytes, size_t size)
{
    char hex[2 * 48 + 1];
    ccz_hex(hex, bytes, size);
    for (char *c = hex; *c; c++)
        if (*c >= 'a') /* PCS writes upper case */
            *c = (char)(*c - 'a' + 'A');
    ccz_buf_printf(out, "\"%s\":\"%s\",", key, hex);
}

/* ,"name":[{"svn":..}..]; `step` is added to the first component. */
static void components_put(struct ccz_buf *out, const char *name, const uint8_t svn[16], int step)
{
    ccz_buf_printf(out, "\"%s\":[", name);
    for (int i = 0; i < 16; i++)
        ccz_buf_printf(out, "%s{\"svn\":%d}", i ? "," : "", svn[i] + (i == 0 ? step : 0));
    ccz_buf_put_str(out, "]");
}

/* One level, `step` above (or below) what the platform has. */
static void level_put(struct ccz_buf *out, int qe, int step, const char *status)
{
    bool current = strcmp(status, "UpToDate") == 0;
    ccz_buf_put_str(out, "{\"tcb\":{");
    components_put(out, "sgxtcbcomponents", cczi_sim_tcb.cpu_svn, step);
    ccz_buf_printf(out, ",\"pcesvn\":%d", cczi_sim_tcb.pce_svn + (step < 0 ? step : 0));
    if (qe == CCZI_SIM_TDX) {
        ccz_buf_put_str(out, ",");
        /* With a module version in TEE_TCB_SVN[1] the first two belong to tdxModuleIdentities. */
        uint8_t svn[16];
        memcpy(svn, cczi_sim_tcb.tee_tcb_svn, sizeof(svn));
        svn[0] = svn[1] = 0;
        components_put(out, "tdxtcbcomponents", svn, 0);
    }
    ccz_buf_printf(out, "},\"tcbDate\":\"%s\",\"tcbStatus\":\"%s\"%s}",
                   current ? TCB_DATE : TCB_DATE_OLD, status, current ? "" : ADVISORY);
}

static void tdx_module_put(struct ccz_buf *out)
{
    unsigned svn = cczi_sim_tcb.tee_tcb_svn[0], major = cczi_sim_tcb.tee_tcb_svn[1];
    ccz_buf_put_str(out, "\"tdxModule\":{" TDX_MODULE_RULE "},\"tdxModuleIdentities\":[");
    ccz_buf_printf(out,
                   "{\"id\":\"TDX_%02X\"," TDX_MODULE_RULE ",\"tcbLevels\":["
                   "{\"tcb\":{\"isvsvn\":%u},\"tcbDate\":\"" TCB_DATE
                   "\",\"tcbStatus\":\"UpToDate\"},"
                   "{\"tcb\":{\"isvsvn\":%u},\"tcbDate\":\"" TCB_DATE_OLD
                   "\",\"tcbStatus\":\"OutOfDate\"" ADVISORY "}]}],",
                   major, svn, svn - 2);
}

/* {"<name>":<body>,"signature":"<hex>"}, the signature over exactly the bytes of the body. */
static ccz_rc sign_put(struct ccz_buf *out, const char *name, const struct ccz_buf *body,
                       const struct ccz_key *key)
{
    uint8_t sig[64];
    char hex[2 * sizeof(sig) + 1];
    struct ccz_span text = ccz_buf_span(body);
    if (body->bad)
        return CCZ_E_NOMEM;
    ccz_rc rc = ccz_ecdsa_sign(sig, key, &text, 1);
    if (rc != CCZ_OK)
        return rc;
    ccz_hex(hex, sig, sizeof(sig));
    ccz_buf_printf(out, "{\"%s\":", name);
    ccz_buf_put_span(out, text);
    ccz_buf_printf(out, ",\"signature\":\"%s\"}", hex);
    return out->bad ? CCZ_E_NOMEM : CCZ_OK;
}

ccz_rc cczi_sim_tcb_info(struct ccz_buf *out, const struct cczi_sim_pki *pki, int qe,
                         const char *status)
{
    CCZ_AUTO_BUF b;
    ccz_buf_init(&b, BODY_SIZE_MAX);
    ccz_buf_printf(&b, "{\"id\":\"%s\",\"version\":3,", qe == CCZI_SIM_TDX ? "TDX" : "SGX");
    dates_put(&b, pki);
    hex_put(&b, "fmspc", cczi_sim_tcb.fmspc, sizeof(cczi_sim_tcb.fmspc));
    hex_put(&b, "pceId", cczi_sim_tcb.pce_id, sizeof(cczi_sim_tcb.pce_id));
    ccz_buf_printf(&b, "\"tcbType\":0,\"tcbEvaluationDataNumber\":%d,", TCB_EVAL_NUMBER);
    if (qe == CCZI_SIM_TDX)
        tdx_module_put(&b);
    ccz_buf_put_str(&b, "\"tcbLevels\":[");
    if (strcmp(status, "UpToDate") != 0) { /* what the platform would have to reach */
        level_put(&b, qe, 1, "UpToDate");
        ccz_buf_put_str(&b, ",");
    }
    level_put(&b, qe, 0, status);
    ccz_buf_put_str(&b, ",");
    level_put(&b, qe, -2, "OutOfDate");
    ccz_buf_put_str(&b, "]}");
    return sign_put(out, "tcbInfo", &b, pki->tcb_key);
}

ccz_rc cczi_sim_qe_identity(struct ccz_buf *out, const struct cczi_sim_pki *pki, int qe)
{
    const struct cczi_sim_qe *q = &cczi_sim_qe[qe];
    uint8_t signer[32];
    ccz_rc rc = cczi_sim_digest(signer, CCZ_SHA256, cczi_sim_qe_signer);
    if (rc != CCZ_OK)
        return rc;
    CCZ_AUTO_BUF b;
    ccz_buf_init(&b, BODY_SIZE_MAX);
    ccz_buf_printf(&b, "{\"id\":\"%s\",\"version\":2,", q->identity_id);
    dates_put(&b, pki);
    /* INIT and PROVISIONKEY must be set and DEBUG clear; MODE64BIT and XFRM do not matter. */
    ccz_buf_printf(&b,
                   "\"tcbEvaluationDataNumber\":%d,\"miscselect\":\"00000000\",\"miscselectMask\":"
                   "\"FFFFFFFF\","
                   "\"attributes\":\"11000000000000000000000000000000\","
                   "\"attributesMask\":\"FBFFFFFFFFFFFFFF0000000000000000\",",
                   TCB_EVAL_NUMBER);
    hex_put(&b, "mrsigner", signer, sizeof(signer));
    ccz_buf_printf(&b,
                   "\"isvprodid\":%u,\"tcbLevels\":["
                   "{\"tcb\":{\"isvsvn\":%u},\"tcbDate\":\"" TCB_DATE
                   "\",\"tcbStatus\":\"UpToDate\"},"
                   "{\"tcb\":{\"isvsvn\":%u},\"tcbDate\":\"" TCB_DATE_OLD
                   "\",\"tcbStatus\":\"OutOfDate\"" ADVISORY "}]}",
                   q->prod_id, q->isv_svn, q->isv_svn - 2);
    return sign_put(out, "enclaveIdentity", &b, pki->tcb_key);
}
