/// What a set of corner cases is to be: from options, from a file (`--mix F`, docs/corner_cases.md), or both.
#ifndef NM_TOOLS_CMD_GENERATE_MIX_H
#define NM_TOOLS_CMD_GENERATE_MIX_H

#include "scenarios/corner_set.h"
#include "tools/cmd_generate.h"

enum { NM_MIX_SOURCES = 32, NM_MIX_TEXT = 256 };

/// Where roads and traffic come from.
typedef struct nm_mix_source {
    char from[NM_MIX_TEXT];  ///< a store; "" = none
    char map[NM_MIX_TEXT];   ///< or built-in map(s): a specification, or "all"
    uint32_t scenes;         ///< of a store: as many at most, drawn by the seed; default 256
    double weight;           ///< share of the attempts; default 1
    const nm_text_list *ids; ///< of a store: these scenes, by id; NULL = drawn
} nm_mix_source;

typedef struct nm_mix {
    nm_corner_kind kinds[NM_KIND_COUNT]; ///< in the order of nm_kind, whatever they were asked for in
    uint32_t kind_count;
    uint32_t every; ///< bit per nm_kind that is there because all were asked for: it may be missing
    double generators[NM_CASE_GENERATOR_COUNT]; ///< their sum is 1
    nm_mix_source sources[NM_MIX_SOURCES];
    uint32_t source_count;
    uint64_t count; ///< of each kind; 0 = by hours
    double hours;   ///< 0 = by count
    uint64_t seed;
    double seconds, collisions;
    uint32_t traffic, adversaries;
    nm_sampling sampling;
    nm_policy_kind ego;
} nm_mix;

/// From the file that the options name, if any, and from the options, which count where both say something: hours,
/// count, seed, seconds, traffic, ego, adversaries, generators and sources. Kinds that are asked for with all others
/// and have no such severity are left out and, unless quiet, named on standard error.
///
/// NM_E_ARGUMENT for what makes no sense; in a file NM_E_FORMAT with its name and line, NM_E_IO, NM_E_NOT_FOUND.
nm_status nm_mix_read(const nm_generate_options *options, int quiet, nm_mix *mix, nm_error *error);

/// From the text of a file alone; `path` stands for it in messages.
nm_status nm_mix_parse(const char *text, const char *path, nm_mix *mix, nm_error *error);

/// 1 = a share goes to a generator that takes the model.
int nm_mix_uses_model(const nm_mix *mix);

#endif
