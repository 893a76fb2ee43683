/// TensorBoard event files: scalars over the steps of a run.
///
/// An event file is a TFRecord file (dataset/tfrecord.h) of Event messages (protos/event.proto); the first one says
/// "brain.Event:2". TensorBoard reads all files of a folder whose names have "tfevents" in them, in the order of the
/// names. So a run that is resumed adds a file, and what the slices before wrote is never touched; a file that was cut
/// off by a crash loses its last record only.
#ifndef NM_DATASET_EVENTS_H
#define NM_DATASET_EVENTS_H

#include "base/status.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef double nm_event_clock(void *context); ///< s since 1970, UTC

/// Fill with nm_event_config_default().
typedef struct nm_event_config {
    int64_t first_step;    ///< of this slice, >= 0, default 0: when not 0, readers forget what earlier files say about
                           ///< this step and later ones (a resumed run takes them again)
    const char *host;      ///< in the file's name, default NULL: the machine's. Other than [A-Za-z0-9.-] becomes '_'
    nm_event_clock *clock; ///< default NULL: the system's
    void *context;         ///< of the clock
} nm_event_config;
NM_API nm_event_config nm_event_config_default(void);

/// One thread at a time per writer; two writers may share a folder.
typedef struct nm_event_writer nm_event_writer;

/// Makes FOLDER/events.out.tfevents.SECONDS.HOST.PID.N, the first N that is free, and writes its first records. The
/// folder must be there. config nullable. NM_E_IO, NM_E_MEMORY; NM_E_ARGUMENT for a negative step. *writer is NULL
/// then.
NM_API nm_status nm_event_writer_create(const char *folder, const nm_event_config *config, nm_event_writer **writer,
                                        nm_error *error);
/// Path of the file; valid as long as the writer.
NM_API const char *nm_event_writer_path(const nm_event_writer *writer);

typedef struct nm_event_scalar {
    const char *tag; ///< such as "loss/train": what is before a '/' is a group
    float value;     ///< any: TensorBoard shows NaN as such
} nm_event_scalar;
/// The values of one step, in one record. NM_E_ARGUMENT for a negative step, a tag that is empty or not UTF-8: nothing
/// is written. After NM_E_IO the file ends in the middle of a record; every further call returns NM_E_IO, too.
NM_API nm_status nm_event_writer_scalars(nm_event_writer *writer, int64_t step, const nm_event_scalar *scalars,
                                         size_t count, nm_error *error);
/// One value.
NM_API nm_status nm_event_writer_scalar(nm_event_writer *writer, const char *tag, int64_t step, float value,
                                        nm_error *error);
/// Hands all records to the system, so that TensorBoard sees them and a crash of the program loses none of them.
NM_API nm_status nm_event_writer_flush(nm_event_writer *writer, nm_error *error);
/// Closes; what the last flush did not see goes in as far as it can: flush first to know. NULL is fine.
NM_API void nm_event_writer_destroy(nm_event_writer *writer);

#ifdef __cplusplus
}
#endif
#endif
