/// The encoders behind export.h, one per format. Private to dataset/.
#ifndef NM_DATASET_ENCODERS_H
#define NM_DATASET_ENCODERS_H

#include "dataset/export.h"
#include "sim/pile.h"

/// Bytes that grow and keep their memory when emptied.
typedef struct nm_byte_buffer {
    uint8_t *bytes;
    size_t size, capacity;
    int failed; ///< memory was out: everything after is dropped. Asked once, at the end
} nm_byte_buffer;
void nm_byte_buffer_free(nm_byte_buffer *buffer);
/// `size` new bytes at the end, uninitialised; NULL when memory is out.
uint8_t *nm_byte_buffer_grow(nm_byte_buffer *buffer, size_t size);
void nm_byte_buffer_put(nm_byte_buffer *buffer, const void *bytes, size_t size);
void nm_byte_buffer_text(nm_byte_buffer *buffer, const char *text);
void nm_byte_buffer_format(nm_byte_buffer *buffer, const char *format, ...) __attribute__((format(printf, 2, 3)));

typedef enum nm_encoder_layout {
    NM_ENCODER_RECORDS, ///< one payload a scene; many to a TFRecord shard
    NM_ENCODER_ROWS,    ///< bytes that follow one another in a shard, behind the header
    NM_ENCODER_FILES    ///< files of their own
} nm_encoder_layout;

/// What an encoder makes of one scene. RECORDS and ROWS fill `main` alone. Of FILES: the scene's own file is `main`, in
/// a file called main_name or, where that stays "", ID + the encoder's extension; what several scenes share (their map)
/// is `shared`, written once under shared_name. Both are plain file names: main_name one that is_name knows,
/// shared_name WORD-0123456789abcdef.EXTENSION, by the content: of two scenes that give the same one, the second's
/// bytes are dropped. An export that is overwritten removes what is called so and nothing else. Where `main` stays
/// empty the shared file is all there is of the scene (opendrive): the manifest names it as the scene's, and several
/// may have it.
typedef struct nm_encoded {
    nm_byte_buffer main;
    nm_byte_buffer shared;
    char shared_name[64]; ///< "map-0123456789abcdef.xodr"; "" = none
    uint32_t left_out;    ///< tracks, or stretches of them, that a strict file can not hold
    char main_name[64];   ///< where names follow another convention (osi); "" = ID + the extension
    /// Given to the encoder: 1 when a shared file of that name is written already, so that its bytes need not be made
    /// again. Safe from any thread while scenes are encoded. NULL: none is.
    int (*is_written)(const void *written, const char *shared_name);
    const void *written;
} nm_encoded;

/// `work` is the memory of an encoder on one thread; what is in it is the encoder's affair.
typedef struct nm_encoder {
    nm_export_format format;
    nm_encoder_layout layout;
    const char *extension;            ///< ".tfrecord"
    int (*is_name)(const char *file); ///< 1 when it can be a main_name; NULL: the encoder sets none
    const char *header;               ///< of ROWS: the first line of every shard, with its end; else NULL
    /// Both or neither; an encoder that has them takes nm_export_item.window_first. The first steps of the windows of a
    /// scene as nm_export_options.windows has them, appended to `out` (uint32_t); none where the scene is one record.
    nm_status (*windows)(const nm_scene *scene, uint32_t every, nm_pile *out, nm_error *error);
    /// Does the window hold this step of the scene, counted in the scene's own time steps?
    int (*window_holds)(const nm_scene *scene, uint32_t first, uint32_t step);
    void *(*create)(void); ///< NULL: no memory; a NULL function: the encoder needs none
    void (*destroy)(void *work);
    /// The buffers of `out` are emptied before. NM_E_UNSUPPORTED, saying why, for a scene the format cannot hold;
    /// NM_E_MEMORY.
    nm_status (*encode)(void *work, const nm_export_item *item, nm_encoded *out, nm_error *error);
} nm_encoder;

extern const nm_encoder nm_encoder_nearmiss;     ///< nearmiss_encode.c
extern const nm_encoder nm_encoder_osi;          ///< osi_encode.c: static content in the first message
extern const nm_encoder nm_encoder_osi_complete; ///< the same in every message
extern const nm_encoder nm_encoder_csv;          ///< csv_encode.c
/// The encoder of a format, NULL where there is none. In encoders.c.
const nm_encoder *nm_encoder_of(nm_export_format format);

extern const nm_encoder nm_encoder_commonroad;   // commonroad_write.c
extern const nm_encoder nm_encoder_openscenario; // openscenario_write.c
extern const nm_encoder nm_encoder_womd;         // womd_write.c
extern const nm_encoder nm_encoder_womd_example; // womd_example_write.c

#endif
