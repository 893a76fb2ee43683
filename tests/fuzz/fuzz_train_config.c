/// Training configurations from arbitrary bytes: refused with a message, or sound: what is read passes the checks of
/// all that it is for, and the document written again is read as the same.
#include "fuzz.h"

#include <stdlib.h>
#include <string.h>

#include "tools/train_config.h"

static size_t width_of(const nm_config_field *f) {
    switch (f->kind) {
    case NM_CONFIG_U64:
    case NM_CONFIG_F64:
        return 8;
    case NM_CONFIG_TEXT:
        return (size_t)f->most + 1;
    default:
        return 4;
    }
}

static void check_same(const nm_train_config *a, const nm_train_config *b) {
    size_t count;
    const nm_train_section *sections = nm_train_sections(&count);
    for (size_t i = 0; i < count; ++i) {
        for (size_t k = 0; k < sections[i].count; ++k) {
            const nm_config_field *f = &sections[i].fields[k];
            const size_t at = sections[i].offset + f->offset;
            if (f->kind == NM_CONFIG_TEXT && strcmp((const char *)a + at, (const char *)b + at) == 0) continue;
            if (memcmp((const char *)a + at, (const char *)b + at, width_of(f)) != 0) abort();
        }
    }
    if (a->data.count != b->data.count || a->validation.count != b->validation.count) abort();
    for (uint32_t i = 0; i < a->data.count; ++i) {
        const nm_train_part *x = &a->data.part[i], *y = &b->data.part[i];
        if (x->from != y->from || strcmp(x->path, y->path) != 0 || x->weight != y->weight || x->maps != y->maps)
            abort();
        for (size_t k = 0; k < NM_TRAIN_PATTERNS && (x->only[k] || y->only[k]); ++k)
            if (!x->only[k] || !y->only[k] || strcmp(x->only[k], y->only[k]) != 0) abort();
    }
}

static void check_sound(const nm_train_config *c) {
    if (nm_token_config_check(&c->set.tokens, NULL) != NM_OK || nm_model_config_check(&c->model, NULL) != NM_OK ||
        nm_trainer_config_check(&c->trainer, NULL) != NM_OK ||
        nm_augmentation_check(&c->set.augmentation, NULL) != NM_OK)
        abort();
    nm_training_set *set = NULL;
    if (nm_training_set_create(&c->set, &set, NULL) != NM_OK) abort();
    nm_training_set_destroy(set);
    if (c->data.count < 1 || c->data.count > NM_TRAIN_PARTS || c->validation.count > NM_TRAIN_PARTS) abort();
    if (c->model.channels != nm_token_channels(&c->set.tokens)) abort();
    char *text = nm_recipe_format(&c->recipe);
    nm_recipe recipe = {.tokens = nm_token_config_default(NM_TOKENS_EGO)};
    if (!text || nm_recipe_parse(text, &recipe, NULL) != NM_OK) abort();
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    char *text = malloc(size + 1);
    nm_train_config *c = calloc(2, sizeof *c);
    cJSON *document = NULL;
    nm_error error;
    if (!text || !c) abort();
    memcpy(text, data, size);
    text[size] = '\0';
    nm_error_clear(&error);
    nm_status status = nm_config_parse(text, "fuzz", &document, &error);
    if (status == NM_OK) status = nm_train_config_take(document, "fuzz", &c[0], &error);
    if (status != NM_OK && (error.code != status || !error.message[0])) abort();
    if (status == NM_OK) {
        check_sound(&c[0]);
        char *again = cJSON_Print(c[0].document);
        if (!again || nm_config_parse(again, "again", &document, &error) != NM_OK) abort();
        if (nm_train_config_take(document, "again", &c[1], &error) != NM_OK) abort();
        check_same(&c[0], &c[1]);
        cJSON_free(again);
        nm_train_config_release(&c[1]);
    }
    nm_train_config_release(&c[0]);
    free(c);
    free(text);
    return 0;
}

size_t nm_fuzz_seed(size_t index, uint8_t *buffer, size_t capacity) {
    static const char *const seeds[] = {
        "{\"data\":[{\"simulate\":\"all\"}]}",
        "{\"name\":\"n\",\"seed\":7,\"steps\":9,\"scenes\":2,\"precision\":\"f32\",\"shard_mb\":1.5,"
        "\"tokens\":{\"encoding\":\"ego\",\"past\":2,\"map_range\":33.3},\"model\":{\"hidden\":16,\"heads\":2,"
        "\"latents\":8},"
        "\"data\":[{\"store\":\"a.db\",\"only\":[\"x*\",\"y\"],\"without\":\"z?\",\"weight\":0.25}]}",
        "{\"tokens\":{\"future\":3,\"statics\":false,\"speed_scale\":5},\"model\":{\"pose_bias\":false,\"rotary\":true}"
        ","
        "\"noise\":{\"loss\":\"v\",\"prior\":\"none\",\"scene\":0,\"goals\":0.5},\"optimizer\":{\"rate\":1e-3,\"ema\":"
        "0},"
        "\"augmentation\":{\"mirror\":0.5,\"least_future\":3},\"validation\":{\"examples\":4,\"every\":3,"
        "\"data\":[{\"simulate\":\"highway\",\"density\":20}]},\"data\":[{\"simulate\":\"all\",\"maps\":3}]}",
    };
    if (index >= sizeof seeds / sizeof *seeds || strlen(seeds[index]) > capacity) return 0;
    memcpy(buffer, seeds[index], strlen(seeds[index]));
    return strlen(seeds[index]);
}
