/// Options of a command: parsing and help.
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tools/cli.h"

#define THREADS_MAX 256
#define COMMON_COUNT 5
#define OPTIONS_MAX 64

/// The command's own options followed by the common ones.
typedef struct option_set {
    const nm_command *command;
    const nm_option *own;
    size_t own_count;
    nm_option common[COMMON_COUNT];
} option_set;

static size_t count_of(const option_set *set) {
    return set->own_count + COMMON_COUNT;
}
static const nm_option *option_at(const option_set *set, size_t index) {
    return index < set->own_count ? &set->own[index] : &set->common[index - set->own_count];
}

static void add_common(option_set *set, nm_common *common) {
    const nm_option options[COMMON_COUNT] = {
        {"json", NM_OPTION_FLAG, &common->json, NULL, "one JSON document on standard output", 0, 0},
        {"quiet", NM_OPTION_FLAG, &common->quiet, NULL, "no progress bar, no remarks", 0, 0},
        {"threads", NM_OPTION_INTEGER, &common->threads, "N", "threads to use; default 0 = one per core", 0,
         THREADS_MAX},
        {"device", NM_OPTION_TEXT, &common->device, "NAME", "cpu or cuda; default cpu", 0, 0},
        {"help", NM_OPTION_FLAG, &common->help, NULL, "this text", 0, 0},
    };
    memcpy(set->common, options, sizeof options);
}

static int print_option(const nm_option *option) {
    const char *placeholder = option->type == NM_OPTION_FLAG ? "" : option->placeholder ? option->placeholder : "VALUE";
    char left[64];
    snprintf(left, sizeof left, "--%s%s%s", option->name, placeholder[0] ? " " : "", placeholder);
    return printf("  %-24s %s\n", left, option->help);
}

static int print_help(const option_set *set) {
    printf("Usage: nearmiss %s\n\n%s\n", set->command->usage, set->command->summary);
    if (set->own_count > 0) printf("\nOptions:\n");
    for (size_t i = 0; i < set->own_count; i++) print_option(&set->own[i]);
    printf("\nCommon options:\n");
    for (size_t i = 0; i < COMMON_COUNT; i++) {
        int own = 0; // the command's own option of that name replaces it
        for (size_t k = 0; k < set->own_count; k++) own |= strcmp(set->own[k].name, set->common[i].name) == 0;
        if (!own) print_option(&set->common[i]);
    }
    printf("\nExample:\n  %s\n", set->command->example);
    return nm_cli_finish(set->command);
}

static int unknown_option(const option_set *set, const char *name, size_t length) {
    const char *names[OPTIONS_MAX + COMMON_COUNT];
    for (size_t i = 0; i < count_of(set); i++) names[i] = option_at(set, i)->name;
    char word[64];
    snprintf(word, sizeof word, "%.*s", (int)(length < sizeof word ? length : sizeof word - 1), name);
    const char *near = nm_cli_nearest(word, names, count_of(set));
    if (near) return nm_cli_usage(set->command, "there is no option --%s; did you mean --%s?", word, near);
    return nm_cli_usage(set->command, "there is no option --%s", word);
}

static int store_integer(const option_set *set, const nm_option *option, const char *text) {
    char *end;
    errno = 0;
    const long long value = strtoll(text, &end, 10);
    const int outside = option->min < option->max && ((double)value < option->min || (double)value > option->max);
    if (end == text || *end || errno == ERANGE || outside) {
        if (option->min >= option->max) {
            return nm_cli_usage(set->command, "--%s wants a whole number, not '%s'", option->name, text);
        }
        return nm_cli_usage(set->command, "--%s wants a whole number in [%.0f, %.0f], not '%s'", option->name,
                            option->min, option->max, text);
    }
    *(int64_t *)option->value = value;
    return -1;
}

static int store_real(const option_set *set, const nm_option *option, const char *text) {
    char *end;
    const double value = strtod(text, &end);
    const int outside = option->min < option->max && (value < option->min || value > option->max);
    if (end == text || *end || !isfinite(value) || outside) {
        if (option->min >= option->max) {
            return nm_cli_usage(set->command, "--%s wants a number, not '%s'", option->name, text);
        }
        return nm_cli_usage(set->command, "--%s wants a number in [%g, %g], not '%s'", option->name, option->min,
                            option->max, text);
    }
    *(double *)option->value = value;
    return -1;
}

static int store_item(const option_set *set, const nm_option *option, const char *text) {
    nm_text_list *list = option->value;
    if (list->count == NM_LIST_MAX) {
        return nm_cli_usage(set->command, "--%s is given more than %d times", option->name, NM_LIST_MAX);
    }
    list->items[list->count++] = text;
    return -1;
}

static int store_value(const option_set *set, const nm_option *option, const char *text) {
    switch (option->type) {
    case NM_OPTION_INTEGER:
        return store_integer(set, option, text);
    case NM_OPTION_REAL:
        return store_real(set, option, text);
    case NM_OPTION_TEXT:
        *(const char **)option->value = text;
        return -1;
    case NM_OPTION_LIST:
        return store_item(set, option, text);
    case NM_OPTION_FLAG:
        *(int *)option->value = 1;
        return -1;
    }
    return -1;
}

/// One "--name", "--name=value" or "--name value". *next [in, out] is the index of the following argument.
static int parse_option(const option_set *set, const char *argument, int argc, char **argv, int *next) {
    const char *name = argument + 2;
    const size_t length = strcspn(name, "=");
    const nm_option *option = NULL;
    for (size_t i = 0; i < count_of(set) && !option; i++) {
        const nm_option *candidate = option_at(set, i);
        if (strlen(candidate->name) == length && memcmp(candidate->name, name, length) == 0) option = candidate;
    }
    if (!option) return unknown_option(set, name, length);
    const char *value = name[length] == '=' ? name + length + 1 : NULL;
    if (option->type == NM_OPTION_FLAG) {
        if (value) return nm_cli_usage(set->command, "--%s takes no value", option->name);
    } else if (!value) {
        if (*next >= argc || strncmp(argv[*next], "--", 2) == 0) {
            return nm_cli_usage(set->command, "--%s wants a value: %s", option->name,
                                option->placeholder ? option->placeholder : "VALUE");
        }
        value = argv[(*next)++];
    }
    return store_value(set, option, value);
}

static int is_number(const char *text) {
    char *end;
    strtod(text, &end);
    return end != text && !*end;
}

static int check_common(const option_set *set, const nm_common *common) {
    if (strcmp(common->device, "cpu") == 0) return -1;
    if (strcmp(common->device, "cuda") == 0) {
        if (set->command->cuda) return -1;
        return nm_cli_usage(set->command, "--device cuda: this command runs on the CPU only");
    }
    return nm_cli_usage(set->command, "--device wants cpu or cuda, not '%s'", common->device);
}

static int check_positional(const nm_command *command, int count, int least, int most, char **argv) {
    if (count < least) {
        if (most == least) return nm_cli_usage(command, "wants %d argument%s", least, least == 1 ? "" : "s");
        return nm_cli_usage(command, "wants at least %d argument%s", least, least == 1 ? "" : "s");
    }
    if (most >= 0 && count > most) {
        return nm_cli_usage(command, "there is one argument too many: '%s'", argv[most]);
    }
    return -1;
}

int nm_cli_parse(const nm_command *command, const nm_option *options, size_t option_count, nm_common *common, int argc,
                 char **argv, int min_positional, int max_positional, int *positional) {
    NM_ASSERT(option_count <= OPTIONS_MAX);
    option_set set = {.command = command, .own = options, .own_count = option_count};
    if (!common->device) common->device = "cpu";
    add_common(&set, common);
    int count = 0, options_ended = 0;
    for (int i = 0; i < argc;) {
        char *argument = argv[i++];
        if (options_ended || argument[0] != '-' || argument[1] == '\0' || is_number(argument)) {
            argv[count++] = argument;
        } else if (strcmp(argument, "--") == 0) {
            options_ended = 1;
        } else if (strcmp(argument, "-h") == 0) {
            common->help = 1;
        } else if (argument[1] != '-') {
            return nm_cli_usage(command, "there is no option %s; options begin with two dashes", argument);
        } else {
            const int status = parse_option(&set, argument, argc, argv, &i);
            if (status >= 0) return status;
        }
        if (common->help) return print_help(&set);
    }
    *positional = count;
    const int status = check_common(&set, common);
    return status >= 0 ? status : check_positional(command, count, min_positional, max_positional, argv);
}
