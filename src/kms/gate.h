/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZI_KMS_GATE_H
#define CCZI_KMS_GATE_H
/* gate.c: how fast handshakes and calls may come in by gRPC, before anything of them is looked at. Any thread. */
#include <cczoo/kms.h>

struct cczi_kms_gate;
/* @param limits  zeros are defaults */
CCZ_MUST_USE ccz_rc cczi_kms_gate_new(struct cczi_kms_gate **out,
                                      const struct ccz_kms_rates *limits, struct ccz_err *err);
void cczi_kms_gate_free(struct cczi_kms_gate *g); /* NULL is fine */
/* For ccz_rpc_server_cfg.admit. */
CCZ_MUST_USE bool cczi_kms_gate_admit(struct cczi_kms_gate *g, const char *address, int64_t now_ms);
/* Somebody with a role, or whom a policy accepted, called from there: while a crowd connects he has handshakes that are kept. */
void cczi_kms_gate_known(struct cczi_kms_gate *g, const char *address, int64_t now_ms);
/* Takes one call from the buckets of the address, of the peer and of everybody; what the first of them refuses costs the others
 * nothing, so that nobody uses up what is everybody's.
 * @param[out] wait_s  if it is refused: when to come again, at least 1
 * @retval CCZ_E_LIMIT  "kms:rate-address", "kms:rate-principal", "kms:rate-total" */
CCZ_MUST_USE ccz_rc cczi_kms_gate_pass(uint32_t *wait_s, struct cczi_kms_gate *g,
                                       const struct ccz_ratls_peer *peer, const char *address,
                                       int64_t now_ms, struct ccz_err *err);
/* The same now; a call that is refused is answered: with the refusal, and when to come again. */
CCZ_MUST_USE bool cczi_kms_gate_pass_call(struct cczi_kms_gate *g, struct ccz_rpc_call *call);
/* Appends text for Prometheus. */
void cczi_kms_gate_metrics(struct cczi_kms_gate *g, struct ccz_buf *out);

#endif
