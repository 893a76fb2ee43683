#include "tools/evaluate_folder.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "base/whole_file.h"
#include "tools/evaluate_reasons.h"

static void join(char to[NM_EVALUATE_PATH], const char *folder, const char *name) {
    const size_t length = strlen(folder);
    snprintf(to, NM_EVALUATE_PATH, "%s%s%s", folder, length && folder[length - 1] == '/' ? "" : "/", name);
}

nm_status nm_evaluate_folder_open(nm_evaluate_folder *folder, const char *path, nm_error *error) {
    if (!*path) return NM_ERROR(error, NM_E_ARGUMENT, "the folder of a report needs a name");
    if (strlen(path) > NM_EVALUATE_PATH - 32)
        return NM_ERROR(error, NM_E_ARGUMENT, "the path of the report's folder is too long");
    if (mkdir(path, 0777) != 0 && errno != EEXIST)
        return NM_ERROR_AT(error, NM_E_IO, path, 0, -1, "can not be made: %s", strerror(errno));
    join(folder->page, path, "index.html");
    join(folder->csv, path, "results.csv");
    join(folder->losses, path, "losses.csv");
    join(folder->json, path, "results.json");
    join(folder->junit, path, "results.xml");
    join(folder->results, path, "results.db");
    join(folder->driven, path, "worst.db");
    const time_t now = time(NULL);
    struct tm parts;
    gmtime_r(&now, &parts);
    strftime(folder->made, sizeof folder->made, "%Y-%m-%d %H:%M UTC", &parts);
    nm_whole_file probe; // leaves an old page as it is
    const nm_status status = nm_whole_file_open(&probe, folder->page, NM_WHOLE_FILE_STREAM, error);
    if (status != NM_OK) return status;
    nm_whole_file_drop(&probe);
    folder->path = path;
    return NM_OK;
}

nm_status nm_evaluate_folder_write(const nm_evaluate_folder *folder, const nm_evaluate_study *study, nm_error *error) {
    nm_status status = nm_evaluate_write_junit(study, folder->junit, error);
    if (status == NM_OK) status = nm_evaluate_write_json(study, folder->json, error);
    if (status == NM_OK) status = nm_evaluate_write_losses(study, folder->losses, error);
    if (status == NM_OK) status = nm_evaluate_write_csv(study, folder->csv, error);
    return status == NM_OK ? nm_evaluate_write_html(study, folder->page, error) : status;
}
