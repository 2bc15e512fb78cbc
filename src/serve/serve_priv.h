/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_SERVE_PRIV_H
#define CCZ_SERVE_PRIV_H
/* Shared by the sources that read configuration files. */
#include <cczoo/serve.h>
#include <cczoo/textpb.h>

/* Schemas, in schema.c: TensorFlow Serving's config/ and session_bundle_config.proto, TensorFlow's config.proto. */
extern const struct ccz_textpb_message cczi_model_server_config, cczi_batching_parameters,
    cczi_ssl_config, cczi_monitoring_config, cczi_config_proto, cczi_platform_config_map;

/* Wire format of @p in, checked: a copy in @p out if it was text. */
ccz_rc cczi_config_wire(struct ccz_span *wire, struct ccz_buf *out, struct ccz_span in,
                        enum ccz_serve_form form, const struct ccz_textpb_message *schema,
                        struct ccz_err *err);
/* Notes each field of the message that has no effect. @param prefix  path to it, "" or with a point at its end */
void cczi_config_note(struct ccz_buf *notes, const char *prefix, struct ccz_span wire,
                      const struct ccz_textpb_message *schema);
#endif
