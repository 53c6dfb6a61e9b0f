/* export.h: PP_API, which stands in front of every function of the public headers.
 *
 * The libraries are compiled with hidden visibility and are archives, so PP_API matters only where
 * an application links them into a shared library of its own: these functions, and no others, are
 * then seen from outside. An application that wants to keep them to itself defines PP_API as
 * nothing when it builds Pocketprop (-DPP_API=). */
#ifndef POCKETPROP_EXPORT_H
#define POCKETPROP_EXPORT_H

#ifndef PP_API
#if defined(__GNUC__)
#define PP_API __attribute__((visibility("default")))
#else
#define PP_API
#endif
#endif

#endif
