/* SPDX-License-Identifier: Apache-2.0 */
/* What pages of reports have in common. */
#include "plot.h"

#include <math.h>

static const char style[] =
    "<style>\n"
    ":root{--ink:#1c1c1e;--paper:#fff;--grid:#e3e3e8;--dim:#6b6b72}\n"
    "@media(prefers-color-scheme:dark){:root{--ink:#e8e8ea;--paper:#17181b;--grid:#34353a;--dim:#"
    "9b9ba3}}\n"
    "body{font:15px/1.5 "
    "system-ui,sans-serif;color:var(--ink);background:var(--paper);max-width:1200px;"
    "margin:0 auto;padding:1rem 1.5rem}\n"
    "h1{font-size:1.5rem}h2{font-size:1.15rem;margin-top:2rem}\n"
    ".charts{display:grid;grid-template-columns:repeat(auto-fit,minmax(440px,1fr));gap:1rem}\n"
    "svg{width:100%;height:auto;font:11px system-ui,sans-serif;fill:var(--ink)}\n"
    ".title{font-size:14px;font-weight:600}.x{text-anchor:middle;fill:var(--dim)}\n"
    ".y{text-anchor:end;fill:var(--dim)}.grid{stroke:var(--grid)}\n"
    ".curve{fill:none;stroke-width:2;stroke-linejoin:round}\n"
    ".ref{stroke:var(--dim);stroke-dasharray:5 "
    "4}.reftext{text-anchor:end;fill:var(--dim);paint-order:stroke;stroke:var(--paper);stroke-"
    "width:3px}\n"
    "table{border-collapse:collapse;font-variant-numeric:tabular-nums}\n"
    "td,th{padding:.2rem .7rem;border-bottom:1px solid var(--grid);text-align:right}\n"
    "td:first-child,th:first-child{text-align:left}.facts td{text-align:left}\n"
    ".key{display:inline-block;width:1.6em;height:.3em;vertical-align:middle;margin-right:.5em}\n";

/* Okabe and Ito's colours: told apart by everybody, on light and dark. */
static const char *const colours[CCZI_PLOT_SERIES_MAX] = {
    "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8a8a00", "#7f7f7f"};

void cczi_page_number(struct ccz_buf *out, double v, unsigned digits)
{
    double unit = 1;
    for (unsigned i = 0; i < digits; i++)
        unit *= 10;
    if (!isfinite(v) || fabs(v) * unit >= 9e18) {
        ccz_buf_put_str(out, "\xe2\x80\x93");
        return;
    }
    const long long n = llround(v * unit), u = (long long)unit, whole = (n < 0 ? -n : n) / u;
    ccz_buf_printf(out, "%s%lld", n < 0 ? "-" : "", whole);
    if (digits)
        ccz_buf_printf(out, ".%0*lld", (int)digits, (n < 0 ? -n : n) % u);
}

void cczi_page_text(struct ccz_buf *out, const char *text)
{
    for (; *text; text++) {
        switch (*text) {
        case '&':
            ccz_buf_put_str(out, "&amp;");
            break;
        case '<':
            ccz_buf_put_str(out, "&lt;");
            break;
        case '>':
            ccz_buf_put_str(out, "&gt;");
            break;
        case '"':
            ccz_buf_put_str(out, "&quot;");
            break;
        case '\'':
            ccz_buf_put_str(out, "&#39;");
            break;
        default:
            ccz_buf_put(out, text, 1);
        }
    }
}

void cczi_page_cell(struct ccz_buf *out, double v, unsigned digits)
{
    ccz_buf_put_str(out, "<td>");
    cczi_page_number(out, v, digits);
    ccz_buf_put_str(out, "</td>");
}

void cczi_page_key(struct ccz_buf *out, size_t series, const char *name)
{
    ccz_buf_printf(out, "<span class=\"key\" style=\"background:%s\"></span>", colours[series]);
    cczi_page_text(out, name);
}

void cczi_page_fact(struct ccz_buf *out, const char *name, const char *value)
{
    ccz_buf_put_str(out, "<tr><td>");
    cczi_page_text(out, name);
    ccz_buf_put_str(out, "</td><td>");
    cczi_page_text(out, value);
    ccz_buf_put_str(out, "</td></tr>\n");
}

void cczi_page_begin(struct ccz_buf *out, const char *title)
{
    ccz_buf_put_str(out,
                    "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n<title>");
    cczi_page_text(out, title);
    ccz_buf_put_str(out, "</title>\n");
    ccz_buf_put_str(out, style);
    for (size_t i = 0; i < CCZI_PLOT_SERIES_MAX; i++)
        ccz_buf_printf(out, ".curve.c%zu{stroke:%s}.dot.c%zu{fill:%s}\n", i, colours[i], i,
                       colours[i]);
    ccz_buf_put_str(out, "</style></head><body>\n<h1>");
    cczi_page_text(out, title);
    ccz_buf_put_str(out, "</h1>\n");
}

void cczi_page_end(struct ccz_buf *out)
{
    ccz_buf_put_str(out, "</body></html>\n");
}
