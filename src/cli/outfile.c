#include "cli/outfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int fail(const cli_outfile *outfile, const char *reason) {
    return cli_fail(outfile->command, "%s: found '%s', expected a file that can be written: %s",
                    outfile->option, outfile->path, reason);
}

int cli_outfile_open(cli_outfile *outfile, const cli_command *command, const char *option,
                     const char *path) {
    *outfile = (cli_outfile){.command = command, .option = option, .path = path};
    struct stat info;
    if (stat(path, &info) == 0 && !S_ISREG(info.st_mode))
        return fail(outfile, "it is there and no regular file");
    size_t capacity = strlen(path) + 32;
    outfile->temporary = malloc(capacity);
    if (!outfile->temporary) {
        cli_fail(command, "no host memory for a file name");
        return CLI_FAILURE;
    }
    snprintf(outfile->temporary, capacity, "%s.%ld.part", path, (long)getpid());
    int descriptor = open(outfile->temporary, O_WRONLY | O_CREAT | O_TRUNC, 0666);
    if (descriptor < 0) return fail(outfile, strerror(errno));
    outfile->file = fdopen(descriptor, "w");
    if (outfile->file) return CLI_OK;
    int code = fail(outfile, strerror(errno));
    close(descriptor);
    remove(outfile->temporary);
    return code;
}

int cli_outfile_finish(cli_outfile *outfile) {
    /* A write that failed earlier left its mark on the stream and its bytes in the buffer, so that
     * flushing says again why. */
    errno = 0;
    bool written = fflush(outfile->file) == 0 && !ferror(outfile->file);
    int reason = errno;
    if (fclose(outfile->file) != 0 && written) {
        written = false;
        reason = errno;
    }
    outfile->file = NULL;
    if (written && rename(outfile->temporary, outfile->path) != 0) {
        written = false;
        reason = errno;
    }
    if (written) return CLI_OK;
    remove(outfile->temporary);
    return fail(outfile, strerror(reason ? reason : EIO));
}

void cli_outfile_discard(cli_outfile *outfile) {
    if (outfile->file) {
        fclose(outfile->file);
        remove(outfile->temporary);
    }
    free(outfile->temporary);
    *outfile = (cli_outfile){0};
}
