/* SPDX-License-Identifier: Apache-2.0 */
/* Checks of what the caller gives, and loading of batches. */
#include "nn_priv.h"

#include <string.h>

size_t cczi_nn_rows(const struct ccz_nn_data *data)
{
    return data->rows ? data->rows_len : data->len;
}

static ccz_rc check_row(const struct ccz_nn *nn, const struct ccz_nn_data *data, size_t row,
                        bool labels, struct ccz_err *err)
{
    const size_t classes = nn->spec.loss == CCZ_NN_LOGISTIC ? 2 : nn->outputs;
    if (row >= data->len)
        return ccz_refuse_num(err, CCZ_E_ARG, "nn:row", (int64_t)row, (int64_t)data->len);
    if (labels && data->labels[row] >= classes)
        return ccz_refuse_num(err, CCZ_E_FORMAT, "nn:label", data->labels[row], (int64_t)classes);
    return CCZ_OK;
}

ccz_rc cczi_nn_check(const struct ccz_nn *nn, const struct ccz_nn_data *data, bool labels,
                     struct ccz_err *err)
{
    const size_t rows = cczi_nn_rows(data);
    if (!data->bytes == !data->floats || (labels && !data->labels) || rows == 0 ||
        data->len > UINT32_MAX || rows > UINT32_MAX ||
        (data->bytes && nn->spec.channels > CCZ_NN_CHANNELS_SCALED))
        return ccz_fail(err, CCZ_E_ARG, "nn:data", (int64_t)rows,
                        "no samples, no labels, both kinds of samples, or bytes of more than %d "
                        "channels",
                        CCZ_NN_CHANNELS_SCALED);
    ccz_rc rc = CCZ_OK;
    for (size_t i = 0; rc == CCZ_OK && i < rows; i++)
        rc = check_row(nn, data, data->rows ? data->rows[i] : i, labels, err);
    return rc;
}

static void scale_of(float *scale, float *shift, const struct ccz_nn_data *data, size_t channel)
{
    bool set = false;
    for (size_t i = 0; i < CCZ_NN_CHANNELS_SCALED; i++)
        set |= data->scale[i] != 0 || data->shift[i] != 0;
    *scale = set ? data->scale[channel] : 1.0f / 255;
    *shift = set ? data->shift[channel] : 0;
}

/* One sample as [channel][height][width]. */
static void load_row(float *to, const struct ccz_nn *nn, const struct ccz_nn_data *data, size_t row)
{
    const size_t channels = nn->spec.channels, plane = nn->features / channels;
    const uint8_t *bytes = data->bytes ? data->bytes + row * nn->features : NULL;
    const float *floats = data->floats ? data->floats + row * nn->features : NULL;
    const bool interleaved = data->channels_last && channels > 1;
    if (floats && !interleaved) {
        memcpy(to, floats, nn->features * sizeof(*to));
        return;
    }
    for (size_t c = 0; c < channels; c++) {
        float scale = 1, shift = 0, *out = to + c * plane;
        if (bytes)
            scale_of(&scale, &shift, data, c);
        if (bytes && !interleaved)
            nn->k->from_bytes(out, bytes + c * plane, plane, scale, shift);
        for (size_t i = 0; interleaved && i < plane; i++)
            out[i] =
                bytes ? (float)bytes[i * channels + c] * scale + shift : floats[i * channels + c];
    }
}

void cczi_nn_load(struct ccz_nn *nn, const struct ccz_nn_data *data, const uint32_t *order,
                  size_t first, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        const size_t at = order ? order[i] : first + i;
        const size_t row = data->rows ? data->rows[at] : at;
        if (data->labels)
            nn->label[i] = data->labels[row];
        if (nn->spatial_len == 0) {
            load_row(nn->input + i * nn->features, nn, data, row);
            continue;
        }
        load_row(nn->rows + i % LANES * nn->features, nn, data, row);
        if (i % LANES == LANES - 1 || i == len - 1) {
            const size_t filled = i % LANES + 1;
            memset(nn->rows + filled * nn->features, 0,
                   (LANES - filled) * nn->features * sizeof(float));
            nn->k->to_lanes(nn->input + i / LANES * LANES * nn->features, nn->rows, nn->features);
        }
    }
}
