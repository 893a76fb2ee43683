// Files that say what a set of corner cases is to be: refused with file and line, or sound.
#include "fuzz.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tools/cmd_generate_mix.h"

static void check_kind(const nm_corner_kind *kind) {
    const nm_kind_spec *spec = nm_kind_spec_of(kind->kind);
    if (!spec->generable || !(kind->weight > 0 && kind->weight <= 1)) abort();
    if (!(kind->collisions >= 0 && kind->collisions <= 1) || kind->sampling >= NM_SAMPLING_COUNT) abort();
    for (int s = 0; s < NM_SEVERITY_COUNT; s++) {
        if (!(spec->severities >> s & 1u)) continue;
        const nm_kind_ranges *ranges = &kind->ranges[s];
        if (ranges->kind != kind->kind || (int)ranges->severity != s) abort();
        for (size_t i = 0; i < spec->param_count; i++)
            if (!(ranges->range[i].low <= ranges->range[i].high)) abort();
        if (nm_kind_ranges_check(ranges, NULL) != NM_OK) abort();
    }
}

static void check_sound(const nm_mix *mix) {
    double shares = 0, weights = 0;
    if (mix->kind_count < 1 || mix->kind_count > NM_KIND_COUNT || mix->source_count > NM_MIX_SOURCES) abort();
    for (uint32_t k = 0; k < mix->kind_count; k++) {
        check_kind(&mix->kinds[k]);
        weights += mix->kinds[k].weight;
        if (k && mix->kinds[k].kind <= mix->kinds[k - 1].kind) abort();
    }
    for (int g = 0; g < NM_CASE_GENERATOR_COUNT; g++) shares += mix->generators[g];
    if (!(fabs(shares - 1) < 1e-9) || !(fabs(weights - 1) < 1e-6)) abort();
    if (mix->count && mix->hours > 0) abort();
    for (uint32_t i = 0; i < mix->source_count; i++)
        if (!mix->sources[i].from[0] == !mix->sources[i].map[0] || !(mix->sources[i].weight > 0)) abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    char *text = malloc(size + 1);
    nm_mix *mix = calloc(2, sizeof *mix);
    nm_error error;
    if (!text || !mix) abort();
    memcpy(text, data, size);
    text[size] = '\0';
    nm_error_clear(&error);
    const nm_status status = nm_mix_parse(text, "fuzz", &mix[0], &error);
    if (status == NM_OK) {
        check_sound(&mix[0]);
        if (nm_mix_parse(text, "again", &mix[1], &error) != NM_OK) abort();
        if (memcmp(&mix[0].generators, &mix[1].generators, sizeof mix[0].generators) != 0) abort();
    } else if (error.code != status || !error.message[0]) {
        abort();
    } else if (status != NM_E_FORMAT && status != NM_E_LIMIT && status != NM_E_MEMORY) {
        abort();
    }
    free(mix);
    free(text);
    return 0;
}

size_t nm_fuzz_seed(size_t index, uint8_t *buffer, size_t capacity) {
    static const char large[] =
        "{\"hours\":540,\"seed\":1,\"seconds\":10,\"traffic\":6,\"adversaries\":2,\"ego\":\"idm\",\"collisions\":0.25,"
        "\"sampling\":\"uniform\",\"generators\":{\"manoeuvre\":0.5,\"resample\":0.45,\"diffusion\":0.05},"
        "\"params\":{\"ego_speed\":[10,30]},\n\"kinds\":[{\"kind\":\"cut_in\",\"weight\":3,\"sampling\":\"critical\","
        "\"params\":{\"gap\":[3,12],\"min_ttc\":[0.5,1.2]}},{\"kind\":\"all\"}],\n\"sources\":[{\"map\":\"all\"},"
        "{\"from\":\"a.db\",\"scenes\":9,\"weight\":2}]}";
    static const char small[] = "{\"kinds\":[{\"kind\":\"tailgate\",\"collisions\":0},{\"kind\":\"hard_brake\","
                                "\"collisions\":1,\"generators\":{\"resample\":1},\"params\":{\"headway\":0.9}}]}";
    static const char *const seeds[] = {"{\"count\": 2}", large, small};
    if (index >= sizeof seeds / sizeof *seeds || strlen(seeds[index]) > capacity) return 0;
    memcpy(buffer, seeds[index], strlen(seeds[index]));
    return strlen(seeds[index]);
}
