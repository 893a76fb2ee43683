/// `nearmiss generate --list-kinds`.
#include "scenarios/kinds.h"
#include "tools/cmd_generate.h"

static void list_params(const nm_kind_spec *spec, cJSON *object) {
    cJSON *list = cJSON_AddArrayToObject(object, "parameters");
    for (size_t i = 0; i < spec->param_count; ++i) {
        const nm_kind_param *p = &spec->params[i];
        cJSON *one = cJSON_CreateObject();
        cJSON_AddStringToObject(one, "name", p->name);
        cJSON_AddStringToObject(one, "unit", p->unit);
        nm_json_number(one, "lowest", (double)p->bounds.low);
        nm_json_number(one, "highest", (double)p->bounds.high);
        for (int s = 0; s < NM_SEVERITY_COUNT; ++s) {
            if (!(spec->severities >> s & 1u)) continue;
            cJSON *range = cJSON_AddArrayToObject(one, nm_severity_name((nm_severity)s));
            cJSON_AddItemToArray(range, cJSON_CreateNumber((double)p->fallback[s].low));
            cJSON_AddItemToArray(range, cJSON_CreateNumber((double)p->fallback[s].high));
        }
        cJSON_AddStringToObject(one, "meaning", p->source);
        cJSON_AddItemToArray(list, one);
    }
}

static int list_json(const nm_command *command) {
    cJSON *document = cJSON_CreateObject(), *list = cJSON_AddArrayToObject(document, "kinds");
    for (int k = 0; k < NM_KIND_COUNT; ++k) {
        const nm_kind_spec *spec = nm_kind_spec_of((nm_kind)k);
        cJSON *object = cJSON_CreateObject();
        cJSON_AddStringToObject(object, "kind", spec->name);
        cJSON_AddStringToObject(object, "definition", spec->definition);
        cJSON_AddBoolToObject(object, "generable", spec->generable);
        cJSON_AddStringToObject(object, "ego", spec->ego ? spec->ego : "");
        cJSON_AddStringToObject(object, "adversary", spec->adversary ? spec->adversary : "");
        cJSON_AddStringToObject(object, "typology", spec->typology ? spec->typology : "");
        cJSON_AddStringToObject(object, "tests", spec->tests ? spec->tests : "");
        cJSON *needs = cJSON_AddArrayToObject(object, "needs");
        for (unsigned b = 0; b < NM_NEED_COUNT; ++b)
            if (spec->needs >> b & 1u) cJSON_AddItemToArray(needs, cJSON_CreateString(nm_need_text(1u << b)));
        list_params(spec, object);
        cJSON_AddItemToArray(list, object);
    }
    return nm_cli_print_json(command, document);
}

int nm_generate_list_kinds(const nm_command *command, int json) {
    if (json) return list_json(command);
    for (int k = 0; k < NM_KIND_COUNT; ++k) {
        const nm_kind_spec *spec = nm_kind_spec_of((nm_kind)k);
        printf("%s%s\n  %s\n", k ? "\n" : "", spec->name, spec->definition);
        if (!spec->generable) continue;
        if (spec->typology && spec->typology[0]) printf("  NHTSA: %s\n", spec->typology);
        if (spec->tests && spec->tests[0]) printf("  tests: %s\n", spec->tests);
        for (size_t i = 0; i < spec->param_count; ++i) {
            const nm_kind_param *p = &spec->params[i];
            const nm_kind_range r = p->fallback[spec->severities & 1u ? NM_SEVERITY_NEAR_MISS : NM_SEVERITY_COLLISION];
            printf("  %-16s %-6s %g..%g (possible %g..%g)  %s\n", p->name, p->unit, (double)r.low, (double)r.high,
                   (double)p->bounds.low, (double)p->bounds.high, p->source);
        }
    }
    return nm_cli_finish(command);
}
