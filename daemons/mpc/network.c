/* SPDX-License-Identifier: Apache-2.0 */
/* Inference: one party has a network with its weights, the other one images, or rows of a table. */
#include "daemon.h"

#include <cczoo/dataset.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { RING_BITS = 32 };

static ccz_rc no_memory(struct ccz_err *err)
{
    return ccz_fail(err, CCZ_E_NOMEM, "mpc:memory", 0, "out of memory");
}

static ccz_rc check_width(size_t width, const struct mpc_party *p, struct ccz_err *err)
{
    const size_t want = ccz_mpcml_network_inputs(p->net);
    if (width == want)
        return CCZ_OK;
    return ccz_refuse_num(err, CCZ_E_MISMATCH, "mpc:network-inputs", (int64_t)width, (int64_t)want);
}

/* At most --rows of them. */
static size_t wanted(const struct mpc_party *p, size_t have)
{
    return p->o->rows > 0 && (size_t)p->o->rows < have ? (size_t)p->o->rows : have;
}

/* Bytes become numbers from 0 to 1. */
static ccz_rc read_images(size_t *len, struct mpc_party *p, struct ccz_err *err)
{
    struct ccz_idx images = {0}, labels = {0};
    ccz_rc rc = ccz_idx_read(&images, p->o->images, 3, err);
    if (rc == CCZ_OK)
        rc = check_width((size_t)images.dims[1] * images.dims[2], p, err);
    if (rc == CCZ_OK && p->o->image_labels)
        rc = ccz_idx_read(&labels, p->o->image_labels, 1, err);
    if (rc == CCZ_OK && p->o->image_labels && labels.dims[0] != images.dims[0])
        rc =
            ccz_refuse_num(err, CCZ_E_MISMATCH, "mpc:image-labels", labels.dims[0], images.dims[0]);
    if (rc == CCZ_OK) {
        *len = wanted(p, images.dims[0]);
        const size_t numbers = *len * ccz_mpcml_network_inputs(p->net);
        p->images = calloc(numbers, sizeof(*p->images));
        p->images_len = p->images ? numbers : 0;
        p->image_labels_len = *len;
        p->image_labels = labels.data ? calloc(*len, sizeof(*p->image_labels)) : NULL;
        if (!p->images || (labels.data && !p->image_labels))
            rc = no_memory(err);
        for (size_t i = 0; rc == CCZ_OK && i < numbers; i++)
            p->images[i] = (float)images.data[i] / 255;
        for (size_t i = 0; rc == CCZ_OK && p->image_labels && i < *len; i++)
            p->image_labels[i] = labels.data[i];
    }
    images.file.wipe = labels.file.wipe = true;
    ccz_idx_free(&images);
    ccz_idx_free(&labels);
    return rc;
}

static ccz_rc read_table(size_t *len, struct mpc_party *p, struct ccz_err *err)
{
    const struct mpc_opts *o = p->o;
    const struct ccz_fedlr_csv_cfg csv = {.label = o->label, .label_real = true, .id = o->id};
    ccz_rc rc = ccz_fedlr_csv_read(&p->data, o->data, &csv, err);
    if (rc == CCZ_OK)
        rc = check_width(p->data->cols, p, err);
    if (rc != CCZ_OK)
        return rc;
    *len = wanted(p, p->data->rows);
    p->images = calloc(*len * p->data->cols, sizeof(*p->images));
    p->images_len = *len * p->data->cols;
    p->image_labels_len = *len;
    p->image_labels = p->data->y ? calloc(*len, sizeof(*p->image_labels)) : NULL;
    if (!p->images || (p->data->y && !p->image_labels))
        return no_memory(err);
    for (size_t i = 0; i < *len * p->data->cols; i++)
        p->images[i] = (float)p->data->x[i];
    for (size_t i = 0; p->image_labels && i < *len; i++)
        p->image_labels[i] = p->data->y[i] >= 0 && p->data->y[i] < UINT32_MAX
                                 ? (uint32_t)p->data->y[i]
                                 : UINT32_MAX; /* no class */
    return CCZ_OK;
}

ccz_rc mpc_nn_read(struct mpc_party *p, struct ccz_err *err)
{
    const struct mpc_opts *o = p->o;
    CCZ_AUTO_BUF file = {0};
    size_t len = 0;
    ccz_buf_init(&file, CCZ_MPCML_NETWORK_SIZE_MAX);
    file.wipe = true; /* also where it grows, and on every way out */
    ccz_rc rc = ccz_file_read(&file, o->network, err);
    if (rc == CCZ_OK)
        rc = ccz_mpcml_network_read(&p->net, ccz_buf_span(&file), err);
    if (rc != CCZ_OK)
        return rc;
    const bool server = !o->images && !o->data;
    if (server != ccz_mpcml_network_has_weights(p->net))
        return ccz_hint(
            err,
            ccz_fail(err, CCZ_E_ARG, "mpc:network", 0,
                     server ? "a network without weights, and nothing to infer from"
                            : "a network with weights, which this party should not have"),
            "models/export_mpc.py writes both: weights for one party, without for the other");
    if (!server)
        rc = o->images ? read_images(&len, p, err) : read_table(&len, p, err);
    p->self[p->role] = (struct mpc_self){.labels = server,
                                         .verifies = o->net.evidence.policy != NULL,
                                         .columns = ccz_mpcml_network_inputs(p->net),
                                         .rows = len};
    return rc;
}

struct ccz_mpcml_nn_cfg mpc_nn_cfg(const struct mpc_opts *o, unsigned server, size_t images)
{
    const bool logits = o->cfg.score == CCZ_MPCML_SCORE_LINEAR;
    return (struct ccz_mpcml_nn_cfg){.server = server,
                                     .ring_bits = o->ring ? (unsigned)o->ring : RING_BITS,
                                     .images = images,
                                     .output = logits ? CCZ_MPCML_NN_LOGITS : CCZ_MPCML_NN_CLASS};
}

ccz_rc mpc_nn_make(struct mpc_party *p, struct ccz_err *err)
{
    const unsigned server = p->self[0].labels ? 0 : 1;
    p->nn_cfg = mpc_nn_cfg(p->o, server, (size_t)p->self[1 - server].rows);
    ccz_rc rc = ccz_mpcml_nn_new(&p->nn, p->role, p->net, &p->nn_cfg, p->images, err);
    if (rc == CCZ_OK)
        p->program = ccz_mpcml_nn_program(p->nn);
    return rc;
}

/* The most likely class of each image: what was revealed, or the largest of the logits. */
static double class_of(const struct mpc_party *p, const uint64_t *out, size_t i)
{
    const size_t outputs = ccz_mpcml_network_outputs(p->net);
    size_t best = 0;
    if (p->nn_cfg.output == CCZ_MPCML_NN_CLASS)
        return (double)out[i];
    for (size_t k = 1; k < outputs; k++)
        if (ccz_mpc_signed(out[i * outputs + k], p->nn_cfg.ring_bits) >
            ccz_mpc_signed(out[i * outputs + best], p->nn_cfg.ring_bits))
            best = k;
    return (double)best;
}

ccz_rc mpc_nn_tell(struct mpc_party *p, struct ccz_err *err)
{
    const uint64_t *out = ccz_mpcml_nn_output(p->nn);
    const size_t len = p->nn_cfg.images;
    size_t right = 0;
    if (!out) /* the server's */
        return CCZ_OK;
    double *class = calloc(len, sizeof(*class));
    int64_t *words = calloc(len, sizeof(*words));
    ccz_rc rc = class && words ? CCZ_OK : no_memory(err);
    for (size_t i = 0; rc == CCZ_OK && i < len; i++) {
        class[i] = class_of(p, out, i);
        words[i] = (int64_t) class[i];
        right += p->image_labels && p->image_labels[i] == (uint32_t)words[i];
    }
    if (rc == CCZ_OK)
        rc = mpc_scores_write(p->o->scores_out, p->data, class, words, len, err);
    if (rc == CCZ_OK && p->image_labels)
        ui_out("accuracy %.4f (%zu of %zu)\n", (double)right / (double)len, right, len);
    if (class)
        ccz_wipe(class, len * sizeof(*class));
    if (words)
        ccz_wipe(words, len * sizeof(*words));
    free(class);
    free(words);
    return rc;
}
