/// Planners in shared libraries.
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/text.h"
#include "scenarios/planner_private.h"

static void unload(void *library) {
    dlclose(library);
}

static nm_status refuse(void *library, nm_status status) {
    dlclose(library);
    return status;
}

nm_status nm_planner_open_library(const char *path, const nm_planner_options *options, nm_planner **planner,
                                  nm_error *error) {
    char full[4096], why[256];
    *planner = NULL;
    if (access(path, R_OK) != 0) return NM_ERROR(error, NM_E_NOT_FOUND, "there is no planner library '%s'", path);
    // without a slash dlopen would search the system's folders instead
    if ((size_t)snprintf(full, sizeof full, "%s%s", strchr(path, '/') ? "" : "./", path) >= sizeof full)
        return NM_ERROR(error, NM_E_ARGUMENT, "the path of the planner library is too long");
    void *library = dlopen(full, RTLD_NOW | RTLD_LOCAL);
    if (!library) {
        nm_text_escape(why, sizeof why, dlerror());
        return NM_ERROR(error, NM_E_FORMAT, "planner library can not be loaded: %s", why);
    }
    // ISO C has no way from an object pointer to a function; POSIX promises that they agree
    union {
        void *object;
        nm_planner_entry_function *function;
    } entry = {dlsym(library, NM_PLANNER_ENTRY)};
    if (!entry.object)
        return refuse(library, NM_ERROR(error, NM_E_FORMAT, "planner library '%s' does not export %s(abi)", path,
                                        NM_PLANNER_ENTRY));
    const nm_planner_vtable *table = entry.function(NM_PLANNER_ABI);
    if (!table)
        return refuse(library, NM_ERROR(error, NM_E_VERSION,
                                        "planner library '%s' does not offer version %u of sim/planner.h: it was built "
                                        "for another one",
                                        path, NM_PLANNER_ABI));
    nm_planner *made = NULL;
    const nm_status status = nm_planner_create(table, nm_base_name(path), options->config, &made, error);
    if (status != NM_OK) return refuse(library, status);
    nm_planner_release_with(made, unload, library);
    *planner = made;
    return NM_OK;
}
