/* What every reader of files needs: joined paths, and the sentence for a system call that fails. */
#ifndef PP_IO_PATH_H
#define PP_IO_PATH_H

#include <pocketprop/engine.h>
#include <stdbool.h>
#include <stddef.h>

enum { PP__PATH_CAPACITY = 4096 };

/* Writes "folder/name" to `path_out`, which holds PP__PATH_CAPACITY characters. */
pp_status pp__join_path(pp_engine *engine, const char *folder, const char *name, char *path_out);

/* Follow links; false also where the path cannot be looked at. */
bool pp__is_folder(const char *path);
bool pp__is_file(const char *path);

/* PP_ERROR_IO with "PATH: cannot ACTION: the system's reason". Safe in background threads. */
pp_status pp__fail_system(pp_engine *engine, const char *path, const char *action,
                          int error_number);

/* A rename or a new entry is safe on disk once its folder is: syncs the folder that `path` lies in.
 * Some file systems cannot do that, which is no failure of ours. */
void pp__sync_folder_of(const char *path);

/* The size of an existing file in bytes. */
pp_status pp__file_bytes(pp_engine *engine, const char *path, size_t *bytes_out);

#endif
