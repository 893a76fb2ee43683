/// What a training run writes about itself: DIR/log.csv (a row a step), DIR/validation.csv, the same for TensorBoard
/// (DIR/events.out.tfevents...; one file a slice), and DIR/curves.png where pictures are built in. A run that is
/// resumed goes on where its checkpoint stands: later rows are taken out first.
#ifndef NM_TOOLS_TRAIN_LOG_H
#define NM_TOOLS_TRAIN_LOG_H

#include "nexus/trainer.h"

typedef struct nm_train_log nm_train_log;

/// Opens the files in `folder`, cut after step `step`. NM_E_IO names the file; NM_E_BUSY: another process writes them,
/// and so trains there; NM_E_EXISTS: a file of that name that is no such log, which is left alone. Until the log is
/// closed no other process gets it.
nm_status nm_train_log_open(const char *folder, uint64_t step, nm_train_log **log, nm_error *error);
/// seconds: what the step took.
nm_status nm_train_log_step(nm_train_log *log, const nm_train_report *report, double seconds, nm_error *error);
nm_status nm_train_log_validation(nm_train_log *log, uint64_t step, double loss, double average_loss, nm_error *error);
/// Everything to the disk: before a checkpoint says that the steps were done.
nm_status nm_train_log_flush(nm_train_log *log, nm_error *error);
void nm_train_log_close(nm_train_log *log); ///< NULL is fine

#endif
