/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZI_KMSDOOR_CONSOLE_H
#define CCZI_KMSDOOR_CONSOLE_H
/* The files of web/, as embed.cmake puts them into the program during the build. */
#include <stddef.h>

struct cczi_console_file {
    const char *name; /* behind /console/; "" is index.html */
    const char *type; /* Content-Type */
    const char *etag; /* SHA-256 of the bytes, hex, in quotes */
    const unsigned char *ptr;
    size_t size;
};
extern const struct cczi_console_file cczi_console_files[];
extern const size_t cczi_console_files_len;

#endif
