/* What is trained: rules by name pattern, taken in order, over parameters and running statistics. */
#include <stdio.h>
#include <string.h>

#include "plan/plan.h"

/* The order of a normalising operator's parameters (op.h). */
enum { RUNNING_MEAN = 2, RUNNING_VARIANCE = 3 };

enum { NAME_TEXT = 512 };

static bool rule_matches(const pp_parameter_rule *rule, const char *node, const char *suffix) {
    char name[NAME_TEXT];
    snprintf(name, sizeof name, "%s.%s", node, suffix);
    return pp__plan_matches(rule->pattern, strlen(rule->pattern), name);
}

pp_status pp__plan_check_rules(const pp_plan *plan) {
    for (size_t i = 0; i < plan->rule_count; i++) {
        const pp_parameter_rule *rule = &plan->rules[i];
        if (rule->kind == PP_RULE_RATE && !(rule->rate > 0 && rule->rate <= 1e6f))
            return pp__fail(plan->engine, PP_ERROR_INVALID_ARGUMENT,
                            "plan: rate %g for '%s'; above 0 and at most 1e6 is expected",
                            (double)rule->rate, rule->pattern);
        bool found = false;
        for (size_t p = 0; p < plan->parameter_count && !found; p++)
            found =
                pp__plan_matches(rule->pattern, strlen(rule->pattern), plan->parameters[p].name);
        if (!found)
            return pp__fail(plan->engine, PP_ERROR_INVALID_ARGUMENT,
                            "plan: a rule for '%s', which no parameter's name matches; the first "
                            "is '%s'",
                            rule->pattern,
                            plan->parameter_count ? plan->parameters[0].name : "(none)");
    }
    return PP_OK;
}

static void apply(const pp_plan *plan, pp__plan_node *node, size_t parameter, const char *suffix) {
    node->frozen[parameter] = false;
    node->rates[parameter] = 1;
    for (size_t i = 0; i < plan->rule_count; i++) {
        const pp_parameter_rule *rule = &plan->rules[i];
        if (!rule_matches(rule, node->name, suffix)) continue;
        if (rule->kind == PP_RULE_RATE)
            node->rates[parameter] = rule->rate;
        else
            node->frozen[parameter] = rule->kind == PP_RULE_FREEZE;
    }
}

pp_status pp__plan_apply_rules(pp_plan *plan, pp__plan_node *node, const pp__op_shapes *shapes) {
    for (size_t p = 0; p < shapes->parameter_count; p++)
        apply(plan, node, p, shapes->parameters[p].suffix);
    if (!(node->op->traits & PP__OP_NORMALISES) ||
        node->frozen[RUNNING_MEAN] == node->frozen[RUNNING_VARIANCE])
        return PP_OK;
    return pp__fail(plan->engine, PP_ERROR_INVALID_ARGUMENT,
                    "plan: the rules freeze one of %s.running_mean and %s.running_var; both or "
                    "none are expected",
                    node->name, node->name);
}

void pp__plan_freeze_statistics(const pp_plan *plan, pp__plan_node *node) {
    if (plan->inference || !(node->op->traits & PP__OP_NORMALISES) || node->wants_gradient) return;
    node->frozen[RUNNING_MEAN] = node->frozen[RUNNING_VARIANCE] = true;
}

bool pp__plan_normalises(const pp__plan_node *node) {
    return node->op->traits & PP__OP_NORMALISES && !node->frozen[RUNNING_MEAN];
}
