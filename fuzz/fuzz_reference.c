/* SPDX-License-Identifier: Apache-2.0 */
/* A set of reference values: whatever the bytes, it parses or is refused; what parsed can be given to a policy, which then
 * accepts exactly its values. */
#include <cczoo/policy.h>

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char json[] = "{\"version\":1,\"rules\":[{\"name\":\"r\",\"tee\":\"sgx\","
                               "\"mrenclave\":{\"reference\":\"set\"}}]}";
    struct ccz_reference *set = NULL;
    struct ccz_err err = {0};
    ccz_rc rc = ccz_reference_parse(&set, CCZ_SPAN(data, size), &err);
    if ((rc == CCZ_OK) != (set != NULL) || (rc != CCZ_OK && err.where[0] == 0))
        abort();
    if (rc != CCZ_OK)
        return 0;
    if (ccz_reference_len(set) == 0 || ccz_reference_size(set) == 0)
        abort();
    struct ccz_policy *p = NULL;
    struct ccz_verdict v;
    struct ccz_claims c = {.tee = CCZ_TEE_SGX};
    if (ccz_policy_parse(&p, ccz_span_str(json), &err) != CCZ_OK ||
        ccz_policy_resolve(p, 0, 1, set, &err) != CCZ_OK)
        abort();
    if ((ccz_policy_resolved(p, NULL) == CCZ_OK) !=
        (ccz_reference_size(set) == sizeof(c.mrenclave)))
        abort();
    if (ccz_policy_eval(&v, p, &c, 0, &err) == CCZ_OK && v.references[0] == 0)
        abort();
    ccz_policy_free(p);
    ccz_reference_free(set);
    return 0;
}
