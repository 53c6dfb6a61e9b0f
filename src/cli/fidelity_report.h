/* What `fidelity` measured, as a table, as JSON and as a page.
 *
 * With the exact gradient g of a parameter and the policy's g~ in draw d of D, which differ where
 * codecs round at random:
 *
 *     cosine   = mean of g.g~ / |g||g~|
 *     error^2  = mean of |g~ - g|^2 / |g|^2 = bias^2 + spread^2
 *     spread^2 = sum over d of |g~ - mean of g~|^2 / (D - 1) / |g|^2
 *
 * The mean of D draws is off by bias^2 + spread^2 / D in expectation; bias is what is left of it
 * without the second term, so that more draws measure the same thing better (METHODS E.15: ActNN's
 * check of its gradients). Over several batches numerators and denominators are added up apart. */
#ifndef PP_CLI_FIDELITY_REPORT_H
#define PP_CLI_FIDELITY_REPORT_H

#include <stdbool.h>
#include <stddef.h>

#include "cli/outfile.h"
#include "cli/setup.h"

/* Sums over the batches of one parameter, or of all together. */
typedef struct cli_match {
    double exact;      /* |g|^2 */
    double error;      /* |g~ - g|^2, means over the draws */
    double mean_error; /* |mean of g~ - g|^2 */
    double spread;     /* as above, not yet divided by |g|^2 */
    double chance;     /* spread / D: its share in mean_error */
    double cosines, least_cosine;
    size_t cosine_count;
} cli_match;

typedef struct cli_gradient {
    const char *name;  /* the parameter's, borrowed as the codec is */
    const char *codec; /* that the gradient is taken from; "" where no stored code is */
    size_t elem_count;
    cli_match match;
} cli_gradient;

typedef struct cli_gradients {
    const cli_setup *setup; /* borrowed; its plan is the one that training has */
    cli_gradient *items;    /* in the plan's order */
    size_t count, elem_count;
    cli_match overall;
    bool draws_differ;
    size_t draws_done; /* in the last batch */
    double warm_up_loss;
} cli_gradients;

/* On standard output, and on `page` where that is open. */
int cli_fidelity_report(const cli_gradients *found, cli_outfile *page);

#endif
