/* The program under test from outside: what it says, on which stream, with which exit status. */
#ifndef PP_TEST_CLI_PROGRAM_H
#define PP_TEST_CLI_PROGRAM_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "support/support.h"

/* What one run of the program left. */
typedef struct outcome {
    int status;
    char out[1 << 20], err[1 << 16];
} outcome;

static inline void read_text(const char *path, char *text, size_t capacity) {
    FILE *file = fopen(path, "rb");
    ck_assert_msg(file != NULL, "%s is not there", path);
    size_t length = fread(text, 1, capacity - 1, file);
    text[length] = '\0';
    fclose(file);
}

/* Runs `environment` pocketprop `arguments` through the shell. Borrowed until the next run. */
static inline const outcome *run_with(const char *environment, const char *arguments) {
    static outcome result;
    const char *scratch = test_scratch_folder();
    char command[2048], path[256];
    snprintf(command, sizeof command, "%s '%s' %s >%s/out 2>%s/err </dev/null", environment, PP_CLI,
             arguments, scratch, scratch);
    int status = system(command);
    ck_assert_msg(status != -1 && WIFEXITED(status), "%s ended by a signal", command);
    result.status = WEXITSTATUS(status);
    snprintf(path, sizeof path, "%s/out", scratch);
    read_text(path, result.out, sizeof result.out);
    snprintf(path, sizeof path, "%s/err", scratch);
    read_text(path, result.err, sizeof result.err);
    return &result;
}

static inline const outcome *run(const char *arguments) {
    return run_with("", arguments);
}

static inline size_t line_count(const char *text) {
    size_t count = 0;
    for (; *text; text++) count += *text == '\n';
    return count;
}

/* The number behind "key": in JSON text. */
static inline double member(const char *json, const char *key) {
    char quoted[64];
    snprintf(quoted, sizeof quoted, "\"%s\": ", key);
    const char *place = strstr(json, quoted);
    ck_assert_msg(place != NULL, "no %s in %s", key, json);
    char *end = NULL;
    double value = strtod(place + strlen(quoted), &end);
    ck_assert_msg(end != place + strlen(quoted), "%s is no number in %s", key, json);
    return value;
}

/* The end of the JSON value that begins at `text`, or NULL where there is none (RFC 8259; escapes
 * and numbers are only skipped). */
static inline const char *skip_value(const char *text) {
    static const char blank[] = " \n";
    text += strspn(text, blank);
    if (*text == '"') {
        for (text++; *text && *text != '"'; text++) text += *text == '\\';
        return *text ? text + 1 : NULL;
    }
    if (*text != '{' && *text != '[') {
        size_t length = strspn(text, "0123456789+-.eEtrufalsn");
        return length ? text + length : NULL;
    }
    const char closer = *text == '{' ? '}' : ']';
    text += 1 + strspn(text + 1, blank);
    if (*text == closer) return text + 1;
    for (;; text++) {
        if (closer == '}') {
            text = skip_value(text);
            if (!text || *text++ != ':') return NULL;
        }
        text = skip_value(text);
        if (!text) return NULL;
        text += strspn(text, blank);
        if (*text == closer) return text + 1;
        if (*text != ',') return NULL;
    }
}

static inline void check_json(const char *text) {
    const char *end = skip_value(text);
    ck_assert_msg(end && !strcmp(end, "\n"), "no JSON: %s", text);
}

static inline size_t count_parts(const char *text, const char *part) {
    size_t count = 0;
    for (; (text = strstr(text, part)); text += strlen(part)) count++;
    return count;
}

/* Bad input: exit status 2, nothing on stdout, one line on stderr that holds `part`. */
static inline void check_refused(const char *arguments, const char *part) {
    const outcome *found = run(arguments);
    ck_assert_msg(found->status == 2, "%s: exit status %d, expected 2: %s", arguments,
                  found->status, found->err);
    ck_assert_msg(!found->out[0], "%s: wrote %s", arguments, found->out);
    ck_assert_msg(line_count(found->err) == 1 && !strncmp(found->err, "pocketprop", 10),
                  "%s: expected one line of pocketprop's, found %s", arguments, found->err);
    ck_assert_msg(test_contains(found->err, part), "%s: \"%s\" is not in %s", arguments, part,
                  found->err);
}

static inline bool is_there(const char *name) {
    char path[256];
    struct stat info;
    snprintf(path, sizeof path, "%s/%s", test_scratch_folder(), name);
    return stat(path, &info) == 0;
}

static inline void write_file(const char *folder, const char *name, const void *bytes,
                              size_t byte_count) {
    char path[1024];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "wb");
    ck_assert_msg(file != NULL, "%s cannot be written", path);
    ck_assert(fwrite(bytes, 1, byte_count, file) == byte_count);
    ck_assert(fclose(file) == 0);
}

static inline const char *new_folder(const char *name) {
    static char path[256];
    snprintf(path, sizeof path, "%s/%s", test_scratch_folder(), name);
    ck_assert_msg(mkdir(path, 0700) == 0, "%s cannot be made", path);
    return path;
}

#endif
