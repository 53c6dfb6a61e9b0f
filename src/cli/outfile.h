/* A file that an option names, and that is there whole or not at all: it grows under a temporary
 * name beside its own and gets its name when everything is written. Every function that returns an
 * exit status has put one line on stderr where that is not CLI_OK. */
#ifndef PP_CLI_OUTFILE_H
#define PP_CLI_OUTFILE_H

#include <stdio.h>

#include "cli/args.h"

typedef struct cli_outfile {
    const cli_command *command; /* borrowed, as the two texts are */
    const char *option, *path;  /* "--trace", and what was given with it */
    char *temporary;
    FILE *file; /* NULL: not open */
} cli_outfile;

/* Call it before anything slow: a path that cannot be written, or that is no regular file, shows
 * here. */
int cli_outfile_open(cli_outfile *outfile, const cli_command *command, const char *option,
                     const char *path);

/* Gives the file its name. */
int cli_outfile_finish(cli_outfile *outfile);

/* Leaves nothing behind but a finished file. Accepts a zeroed one. */
void cli_outfile_discard(cli_outfile *outfile);

#endif
