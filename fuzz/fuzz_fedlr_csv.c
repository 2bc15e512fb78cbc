/* SPDX-License-Identifier: Apache-2.0 */
/* A table as text; the first byte says which columns are asked for. What is accepted is finite and of one shape. */
#include <cczoo/fedlr.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

static void require(bool holds)
{
    if (!holds)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ccz_fedlr_table *t;
    struct ccz_err err = {0};
    if (size == 0)
        return 0;
    const struct ccz_fedlr_csv_cfg cfg = {.label = data[0] & 1 ? "y" : NULL,
                                          .id = data[0] & 2 ? "id" : NULL};
    if (ccz_fedlr_csv_parse(&t, CCZ_SPAN(data + 1, size - 1), &cfg, &err) != CCZ_OK) {
        require(!t && strncmp(err.where, "fedlr:", 6) == 0);
        return 0;
    }
    require(t->rows > 0 && t->cols > 0 && !t->y == !cfg.label && !t->id == !cfg.id);
    for (size_t i = 0; i < t->rows * t->cols; i++)
        require(isfinite(t->x[i]));
    for (size_t i = 0; i < t->rows; i++) {
        require(!t->y || t->y[i] == 0 || t->y[i] == 1);
        require(!t->id || (t->id[i][0] && memchr(t->id[i], 0, sizeof(t->id[i]))));
    }
    ccz_fedlr_table_free(t);
    return 0;
}
