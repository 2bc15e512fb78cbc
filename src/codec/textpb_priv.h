/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_TEXTPB_PRIV_H
#define CCZ_TEXTPB_PRIV_H
/* Words of the text format: textpb_lex.c cuts, textpb.c understands. */
#include <cczoo/textpb.h>

enum cczi_tok {
    CCZI_TOK_END,
    CCZI_TOK_NAME,   /* letters, digits, '_'; not a digit first */
    CCZI_TOK_NUMBER, /* begins with a digit, or with a point and a digit; without a sign */
    CCZI_TOK_STRING, /* with its quotes */
    CCZI_TOK_MARK    /* one of {}<>[]:,;-./ */
};
struct cczi_lex {
    struct ccz_span text;
    size_t at;               /* behind the token */
    size_t line, line_start; /* of `at`: from 1, offset */
    bool secret;             /* errors do not show words */
    enum cczi_tok tok;
    struct ccz_span word; /* of the token */
    size_t tok_line, tok_column;
};
/* At the first token. */
ccz_rc cczi_lex_begin(struct cczi_lex *l, struct ccz_span text, bool secret, struct ccz_err *err);
ccz_rc cczi_lex_next(struct cczi_lex *l, struct ccz_err *err);
bool cczi_lex_is(const struct cczi_lex *l, char mark);
bool cczi_lex_word(const struct cczi_lex *l, const char *word); /* a name, exactly */
/* Appends what the string token stands for. @param out  NULL: only looks */
ccz_rc cczi_lex_unescape(struct ccz_buf *out, const struct cczi_lex *l, struct ccz_err *err);
unsigned cczi_hex_digit(uint8_t c); /* 16: none */
/* "line 3, column 7: got "x", expected ..." at the token. */
ccz_rc cczi_lex_refuse(const struct cczi_lex *l, ccz_rc rc, const char *where, const char *expected,
                       struct ccz_err *err);
#endif
