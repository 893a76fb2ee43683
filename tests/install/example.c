/// Drives traffic on a built-in on-ramp for half a minute and counts what went wrong. README.md shows the same text.
#include <nearmiss/nearmiss.h>
#include <stdio.h>

int main(void) {
    nm_error error;
    const nm_scene *scene = NULL;
    nm_rollout_result result = {0};
    nm_world_config config = nm_world_config_default();
    config.seed = 7;
    if (nm_builtin_scene("on_ramp:density=30", 1, &scene, &error) != NM_OK ||
        nm_rollout(scene, &config, 300, 0, &result, &error) != NM_OK) {
        char text[1024];
        nm_error_format(&error, text, sizeof text);
        fprintf(stderr, "%s\n", text);
        nm_scene_destroy(scene);
        return 1;
    }
    printf("%u agents, %u collided, %u left the road\n", result.stats.agents, result.stats.collided,
           result.stats.off_road);
    nm_scene_destroy(scene);
    return 0;
}
