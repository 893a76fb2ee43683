/// The folder that `nearmiss evaluate --report` fills.
#ifndef NM_TOOLS_EVALUATE_FOLDER_H
#define NM_TOOLS_EVALUATE_FOLDER_H

#include "tools/evaluate_report.h"

#define NM_EVALUATE_PATH 1024

typedef struct nm_evaluate_folder {
    const char *path; ///< borrowed; NULL = none
    char page[NM_EVALUATE_PATH], csv[NM_EVALUATE_PATH], json[NM_EVALUATE_PATH], junit[NM_EVALUATE_PATH];
    char losses[NM_EVALUATE_PATH];  ///< losses.csv: why scores are not 1
    char results[NM_EVALUATE_PATH]; ///< results.db
    char driven[NM_EVALUATE_PATH];  ///< worst.db: store of the scenes of the gallery, as they were driven
    char made[32];                  ///< now, UTC
} nm_evaluate_folder;

/// Makes the folder where it is missing, and makes sure that it can be written to: before hours of work. NM_E_IO naming
/// it; NM_E_ARGUMENT for a path that is too long. Zero it before.
nm_status nm_evaluate_folder_open(nm_evaluate_folder *folder, const char *path, nm_error *error);
/// Writes page, both CSV, JSON and JUnit XML, in the reverse order: who sees the page finds the rest.
nm_status nm_evaluate_folder_write(const nm_evaluate_folder *folder, const nm_evaluate_study *study, nm_error *error);

#endif
