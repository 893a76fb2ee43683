/// Where the map of a log is.
#include <dirent.h>
#include <stdio.h>
#include <sys/stat.h>

#include "dataset/nuplan.h"

#define FOLDERS_UP 5

static int is_file(const char *path) {
    struct stat about;
    return stat(path, &about) == 0 && S_ISREG(about.st_mode);
}

/// Numbers within the names count as numbers: "9.17.1964" comes behind "9.2.3".
static int compare_versions(const char *a, const char *b) {
    while (*a && *b) {
        if (*a >= '0' && *a <= '9' && *b >= '0' && *b <= '9') {
            char *end_a, *end_b;
            const unsigned long long x = strtoull(a, &end_a, 10), y = strtoull(b, &end_b, 10);
            if (x != y) return x < y ? -1 : 1;
            a = end_a;
            b = end_b;
        } else if (*a != *b) {
            return (unsigned char)*a < (unsigned char)*b ? -1 : 1;
        } else {
            ++a, ++b;
        }
    }
    return (*a != 0) - (*b != 0);
}

/// FOLDER/NAME/VERSION/map.gpkg of the highest version. 1 when there is one.
static int find_version(const char *folder, const char *name, char path[NM_NP_PATH]) {
    char place[NM_NP_PATH], best[256] = "", file[NM_NP_PATH];
    if (snprintf(place, sizeof place, "%s/%s", folder, name) >= (int)sizeof place) return 0;
    DIR *directory = opendir(place);
    if (!directory) return 0;
    for (struct dirent *entry; (entry = readdir(directory));) {
        if (entry->d_name[0] == '.' || strlen(entry->d_name) >= sizeof best) continue;
        if (snprintf(file, sizeof file, "%s/%s/map.gpkg", place, entry->d_name) >= (int)sizeof file) continue;
        if (is_file(file) && (!best[0] || compare_versions(entry->d_name, best) > 0))
            snprintf(best, sizeof best, "%s", entry->d_name);
    }
    closedir(directory);
    return best[0] && snprintf(path, NM_NP_PATH, "%s/%s/map.gpkg", place, best) < NM_NP_PATH;
}

static int find_in(const char *folder, const char *name, char path[NM_NP_PATH]) {
    if (find_version(folder, name, path)) return 1;
    return snprintf(path, NM_NP_PATH, "%s/%s.gpkg", folder, name) < NM_NP_PATH && is_file(path);
}

/// Names come out of a log: they must not lead anywhere else.
static int usable_name(const char *name) {
    if (!name[0] || name[0] == '.') return 0;
    return strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") == strlen(name);
}

nm_status nm_np_find_map(const char *log, const char *maps, const char *map, char path[NM_NP_PATH], nm_error *error) {
    if (maps && is_file(maps)) {
        if (snprintf(path, NM_NP_PATH, "%s", maps) < NM_NP_PATH) return NM_OK;
        return NM_ERROR_AT(error, NM_E_LIMIT, log, 0, -1, "the name of the map's file is too long");
    }
    if (!usable_name(map))
        return NM_ERROR_AT(error, NM_E_FORMAT, log, 0, -1, "the log's map is called \"%.60s\", which names no map",
                           map);
    if (maps) {
        if (find_in(maps, map, path)) return NM_OK;
        return NM_ERROR_AT(error, NM_E_NOT_FOUND, log, 0, -1, "no map %s in %s (%s/VERSION/map.gpkg or %s.gpkg)", map,
                           maps, map, map);
    }
    char folder[NM_NP_PATH + 16];
    if (snprintf(folder, NM_NP_PATH, "%s%s", log[0] == '/' ? "" : "./", log) >= NM_NP_PATH) folder[0] = '\0';
    char *end = strrchr(folder, '/');
    for (int up = 0; end && up <= FOLDERS_UP; ++up) {
        // a relative name ends at some "."; from there on the folders above are written so
        strcpy(end, "/maps");
        if (find_in(folder, map, path)) return NM_OK;
        *end = '\0';
        if (find_in(end == folder ? "/" : folder, map, path)) return NM_OK;
        if (strlen(folder) + 8 >= NM_NP_PATH || end == folder) break;
        char *slash = strrchr(folder, '/');
        const char *last = slash ? slash + 1 : folder;
        if (strcmp(last, ".") == 0 || strcmp(last, "..") == 0) {
            strcat(folder, "/..");
            end = folder + strlen(folder);
        } else {
            end = slash;
        }
    }
    return NM_ERROR_AT(error, NM_E_NOT_FOUND, log, 0, -1,
                       "no map %s beside the log or in a folder \"maps\" beside or above it", map);
}
