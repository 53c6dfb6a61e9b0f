/* The only place that reads the process environment. */
#ifndef PP_UTIL_ENV_H
#define PP_UTIL_ENV_H

/* The variable's value, or NULL when it is not set or empty. Borrowed from the environment. */
const char *pp__env(const char *name);

#endif
