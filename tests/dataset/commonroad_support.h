/// Shared by the CommonRoad tests: documents of the fuzz corpus, edits of them, and an import that catches what comes.
#ifndef NM_TESTS_COMMONROAD_SUPPORT_H
#define NM_TESTS_COMMONROAD_SUPPORT_H

#include "support.h"

#include "dataset/import.h"

/// Reads a whole file; terminated. Release with free.
static inline char *read_text(const char *path, size_t *size) {
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    fseek(file, 0, SEEK_END);
    long length = ftell(file);
    rewind(file);
    char *text = malloc((size_t)length + 1);
    assert_non_null(text);
    assert_int_equal(fread(text, 1, (size_t)length, file), length);
    fclose(file);
    text[length] = 0;
    if (size) *size = (size_t)length;
    return text;
}

static inline char *read_document(const char *name, size_t *size) {
    char path[512];
    snprintf(path, sizeof path, NM_SOURCE_DIR "/tests/fuzz/corpus/commonroad/%s", name);
    return read_text(path, size);
}

/// `text` with the first `from` made into `to`. `from` must be there. Release with free.
static inline char *edited(const char *text, const char *from, const char *to) {
    const char *at = strstr(text, from);
    if (!at) fail_msg("the document does not hold: %s", from);
    size_t before = (size_t)(at - text), length = strlen(text) - strlen(from) + strlen(to);
    char *result = malloc(length + 1);
    assert_non_null(result);
    memcpy(result, text, before);
    memcpy(result + before, to, strlen(to));
    strcpy(result + before + strlen(to), at + strlen(from));
    return result;
}

typedef struct catch {
    const nm_scene *scene; ///< the last one
    int scenes, refusals;
    nm_error refusal; ///< the last one
    char input[512];  ///< of the last scene
    uint64_t agents, states;
}
catch;

static inline nm_status catch_scene(void *context, const nm_scene *scene, const char *input, uint64_t record,
                                    nm_error *error) {
    (void)error;
    catch *c = context;
    assert_int_equal(record, 0);
    nm_scene_destroy(c->scene);
    c->scene = scene;
    ++c->scenes;
    uint64_t agents, states;
    nm_scene_count(scene, &agents, &states);
    c->agents += agents;
    c->states += states;
    snprintf(c->input, sizeof c->input, "%s", input);
    return NM_OK;
}

static inline void catch_refusal(void *context, const nm_error *error) {
    catch *c = context;
    c->refusal = *error;
    ++c->refusals;
}

/// Imports bytes from memory, with an importer of their own. Release with release_catch.
static inline catch import_bytes(const char *name, const void *bytes, size_t size) {
    catch c = {0};
    nm_error error;
    nm_importer *importer = nm_importer_create(NULL);
    assert_non_null(importer);
    assert_int_equal(nm_import_memory(importer, name, bytes, size, catch_scene, catch_refusal, &c, &error), NM_OK);
    nm_importer_destroy(importer);
    return c;
}
static inline void release_catch(catch *c) {
    nm_scene_destroy(c->scene);
    c->scene = NULL;
}

#endif
