/// The commands and benches of the program. To add one: write cmd_NAME.c with `const nm_command nm_command_NAME`, or
/// bench_NAME.c with `const nm_bench_entry nm_bench_NAME`, and add its line here. CORE is what needs base, sim and
/// nexus only; FULL is left out of core builds, PICTURES also of builds without NM_RENDER, as are their sources (see
/// CMakeLists.txt).
#ifndef NM_TOOLS_COMMANDS_H
#define NM_TOOLS_COMMANDS_H

#include "tools/cli.h"

// clang-format off
/// In the order of the help.
#define NM_COMMANDS(CORE, FULL, PICTURES) \
    FULL(import) \
    FULL(simulate) \
    FULL(generate) \
    FULL(mine) \
    FULL(find) \
    FULL(show) \
    FULL(stats) \
    FULL(audit) \
    FULL(export) \
    FULL(shards) \
    FULL(train) \
    FULL(score) \
    FULL(evaluate) \
    PICTURES(view) \
    PICTURES(render) \
    CORE(bench)

#define NM_BENCHES(CORE, FULL, PICTURES) \
    CORE(sim) \
    CORE(denoise) \
    CORE(attention) \
    CORE(train) \
    FULL(import) \
    FULL(export) \
    FULL(store) \
    FULL(generate) \
    FULL(rollout) \
    FULL(evaluate) \
    PICTURES(render)
// clang-format on

#define NM_DECLARE_COMMAND(name) extern const nm_command nm_command_##name;
#define NM_DECLARE_BENCH(name) extern const nm_bench_entry nm_bench_##name;
#define NM_POINT_TO_COMMAND(name) &nm_command_##name,
#define NM_POINT_TO_BENCH(name) &nm_bench_##name,
#define NM_LEAVE_OUT(name)

#ifdef NM_CORE_ONLY
#define NM_FULL(use) NM_LEAVE_OUT
#else
#define NM_FULL(use) use
#endif

#ifdef NM_NO_PICTURES
#define NM_PICTURES(use) NM_LEAVE_OUT
#else
#define NM_PICTURES(use) use
#endif

NM_COMMANDS(NM_DECLARE_COMMAND, NM_FULL(NM_DECLARE_COMMAND), NM_PICTURES(NM_DECLARE_COMMAND))
NM_BENCHES(NM_DECLARE_BENCH, NM_FULL(NM_DECLARE_BENCH), NM_PICTURES(NM_DECLARE_BENCH))

#endif
