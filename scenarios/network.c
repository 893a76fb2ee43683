/// Traffic on road networks. See network.h.
#include "scenarios/network.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include <cjson/cJSON.h>

#include "base/text.h"
#include "sim/builtin.h"

nm_status nm_network_traffic(const nm_scene *network, uint64_t seed, const nm_scene **scene, nm_error *error) {
    char json[1000], file[400], source[100];
    nm_spawn_params params = nm_spawn_params_default();
    params.density = NM_NETWORK_DENSITY;
    params.seed = seed;
    nm_text_escape_json(source, sizeof source, network->provenance.source);
    nm_text_escape_json(file, sizeof file, network->provenance.file);
    snprintf(json, sizeof json,
             "{\"network\":\"%016" PRIx64 "\",\"seed\":\"%" PRIu64 "\",\"source\":\"%s\",\"file\":\"%s\"}",
             network->hash, seed, source, file);
    nm_status status = nm_spawn_traffic(network->map, &params, json, scene, error);
    if (status != NM_OK || (*scene)->track_count > 0) return status;
    nm_scene_destroy(*scene);
    *scene = NULL;
    return NM_ERROR(error, NM_E_ARGUMENT, "%s: no lane has room for a vehicle", network->provenance.file);
}

int nm_network_of_case(const char *parameters, uint64_t *network, uint64_t *seed) {
    cJSON *recipe = cJSON_Parse(parameters);
    const cJSON *how = cJSON_GetObjectItemCaseSensitive(recipe, "parent_parameters");
    const cJSON *map = cJSON_GetObjectItemCaseSensitive(how, "map");
    const cJSON *hash = cJSON_GetObjectItemCaseSensitive(map, "network");
    const cJSON *drawn = cJSON_GetObjectItemCaseSensitive(map, "seed"); // a text: a JSON number may not hold it
    int found = cJSON_IsString(hash) && cJSON_IsString(drawn);
    if (found) {
        *network = strtoull(hash->valuestring, NULL, 16);
        *seed = strtoull(drawn->valuestring, NULL, 10);
    }
    cJSON_Delete(recipe);
    return found;
}
