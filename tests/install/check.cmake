# Installs the build into a scratch prefix, moves it elsewhere, and uses it there the ways people do: pkg-config with the
# shared library, pkg-config --static, CMake's find_package, and a C++ compiler where there is one.
#   cmake -DBUILD=... -DSOURCE=... -DSCRATCH=... -DCC=... -P check.cmake
function(run)
  execute_process(COMMAND ${ARGV} RESULT_VARIABLE result OUTPUT_VARIABLE output ERROR_VARIABLE output)
  if(NOT result EQUAL 0)
    string(JOIN " " line ${ARGV})
    message(FATAL_ERROR "${line}\n${output}\nexit status ${result}")
  endif()
  set(output "${output}" PARENT_SCOPE)
endfunction()

file(REMOVE_RECURSE ${SCRATCH})
run(${CMAKE_COMMAND} --install ${BUILD} --prefix ${SCRATCH}/installed)
set(prefix "${SCRATCH}/else where/pre fix") # blanks, because people have them
file(MAKE_DIRECTORY "${SCRATCH}/else where")
file(RENAME ${SCRATCH}/installed "${prefix}") # nothing is left where it was installed
file(GLOB_RECURSE pc_file "${prefix}/nearmiss.pc")
file(GLOB_RECURSE shared "${prefix}/libnearmiss.so")
file(GLOB_RECURSE archive "${prefix}/libnearmiss.a")
get_filename_component(pc_folder "${pc_file}" DIRECTORY)
get_filename_component(library_folder "${shared}" DIRECTORY)
set(ENV{PKG_CONFIG_PATH} "${pc_folder}")
set(ENV{LD_LIBRARY_PATH} "${library_folder}")
set(example ${SOURCE}/tests/install/example.c)

find_program(PKG_CONFIG NAMES pkgconf pkg-config REQUIRED)
run(${PKG_CONFIG} --cflags --libs nearmiss)
separate_arguments(shared_flags UNIX_COMMAND "${output}")
run(${CC} -std=c17 -Wall -Wextra -Wpedantic -Werror ${example} -o ${SCRATCH}/with_shared ${shared_flags})
run(${SCRATCH}/with_shared)

run(${PKG_CONFIG} --static --cflags --libs nearmiss)
# all of the archive, so that a library missing from Libs.private is seen whatever the example uses
string(REPLACE "-lnearmiss" "-Wl,--whole-archive \"${archive}\" -Wl,--no-whole-archive" output "${output}")
separate_arguments(static_flags UNIX_COMMAND "${output}")
run(${CC} -std=c17 ${example} -o ${SCRATCH}/with_archive ${static_flags})
set(ENV{LD_LIBRARY_PATH} "")
run(${SCRATCH}/with_archive)

run(${CMAKE_COMMAND} -S ${SOURCE}/tests/install -B ${SCRATCH}/user -DCMAKE_PREFIX_PATH=${prefix} -DCMAKE_C_COMPILER=${CC})
run(${CMAKE_COMMAND} --build ${SCRATCH}/user)
run(${SCRATCH}/user/user)

find_program(CXX NAMES c++ g++ clang++)
if(CXX)
  file(WRITE ${SCRATCH}/headers.cc "#include <nearmiss/nearmiss.h>\nint main() { return 0; }\n")
  run(${CXX} -std=c++17 -fsyntax-only ${shared_flags} ${SCRATCH}/headers.cc)
endif()

find_program(NM NAMES nm)
if(NM)
  run(${NM} -D --defined-only ${shared})
  string(REGEX MATCHALL "[^\n]+" symbols "${output}")
  list(FILTER symbols EXCLUDE REGEX " nm_[a-z0-9_]+$")
  if(symbols)
    message(FATAL_ERROR "libnearmiss.so shows symbols that are not its own: ${symbols}")
  endif()
endif()

# README.md shows the example: it must be this one.
file(READ ${example} text)
file(READ ${SOURCE}/README.md readme)
string(FIND "${readme}" "${text}" place)
if(place EQUAL -1)
  message(FATAL_ERROR "README.md does not show tests/install/example.c as it is")
endif()
