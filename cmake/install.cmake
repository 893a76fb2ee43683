# What users of the library get: libnearmiss (shared and static, only NM_API symbols visible), the public headers under
# include/nearmiss, a CMake package and a pkg-config file. A header is public when it declares something NM_API, or is
# included by one that does.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

set(layers base sim nexus)
set(private_libraries "")
if(NOT NM_CORE_ONLY)
  list(APPEND layers dataset scenarios)
  set(private_libraries "-lxml2 -larchive -lnettle -lprotobuf-c -lsqlite3 -lzstd -ldl ")
endif()

get_property(products GLOBAL PROPERTY NM_PRIVATE_LIBRARIES)
string(APPEND private_libraries "${products}")

list(TRANSFORM layers PREPEND nm_ OUTPUT_VARIABLE archives)
list(TRANSFORM archives REPLACE "(.+)" "$<TARGET_OBJECTS:\\1>" OUTPUT_VARIABLE objects)
if(NM_CUDA_USED)
  list(APPEND objects $<TARGET_OBJECTS:nm_cuda>)
  string(APPEND private_libraries "-L${CUDAToolkit_LIBRARY_DIR} -lcudart_static -ldl -lrt ")
endif()

set(public "")
set(umbrella "/// Everything public in nearmiss ${PROJECT_VERSION}. Made by CMake from the list of installed headers.\n")
string(APPEND umbrella "#ifndef NM_NEARMISS_H\n#define NM_NEARMISS_H\n\n")
foreach(layer IN LISTS layers)
  file(GLOB_RECURSE headers CONFIGURE_DEPENDS RELATIVE ${PROJECT_SOURCE_DIR} ${PROJECT_SOURCE_DIR}/${layer}/*.h)
  foreach(header IN LISTS headers)
    file(STRINGS ${PROJECT_SOURCE_DIR}/${header} exported REGEX "NM_API" LIMIT_COUNT 1)
    if(exported)
      list(APPEND public ${header})
      string(APPEND umbrella "#include \"${header}\"\n")
    endif()
  endforeach()
endforeach()
set(unread ${public})
while(unread)
  list(POP_FRONT unread header)
  get_filename_component(folder ${header} DIRECTORY)
  install(FILES ${PROJECT_SOURCE_DIR}/${header} DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/nearmiss/${folder})
  file(STRINGS ${PROJECT_SOURCE_DIR}/${header} lines REGEX "^#include \"")
  foreach(line IN LISTS lines)
    string(REGEX REPLACE "^#include \"(.+)\".*" "\\1" included "${line}")
    if(NOT included IN_LIST public)
      list(APPEND public ${included})
      list(APPEND unread ${included})
    endif()
  endforeach()
endwhile()
string(APPEND umbrella "\n#endif\n")
file(CONFIGURE OUTPUT ${PROJECT_BINARY_DIR}/generated/nearmiss.h CONTENT "${umbrella}" @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/generated/nearmiss.h DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/nearmiss)

add_library(nearmiss_shared SHARED ${objects})
add_library(nearmiss_static STATIC ${objects})
foreach(library IN ITEMS nearmiss_shared nearmiss_static)
  set_target_properties(${library} PROPERTIES OUTPUT_NAME nearmiss LINKER_LANGUAGE C)
  target_include_directories(${library} INTERFACE $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>
    $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}/nearmiss>)
endforeach()
# Before 1.0 every minor version may break the binary interface, so it is part of the SONAME.
set_target_properties(nearmiss_shared PROPERTIES EXPORT_NAME nearmiss VERSION ${PROJECT_VERSION}
  SOVERSION ${PROJECT_VERSION_MAJOR}.${PROJECT_VERSION_MINOR})
# The objects are all there, so nothing is taken out of the archives: they bring what they link.
target_link_libraries(nearmiss_shared PRIVATE ${archives})
target_link_options(nearmiss_shared PRIVATE -Wl,--no-undefined -Wl,--exclude-libs,libcudart_static.a)

install(TARGETS nearmiss RUNTIME)
install(TARGETS nearmiss_shared EXPORT nearmiss-targets LIBRARY)
install(TARGETS nearmiss_static ARCHIVE)
install(EXPORT nearmiss-targets NAMESPACE nearmiss:: DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/nearmiss)
file(WRITE ${PROJECT_BINARY_DIR}/generated/nearmiss-config.cmake
  "include(\"\${CMAKE_CURRENT_LIST_DIR}/nearmiss-targets.cmake\")\n")
write_basic_package_version_file(${PROJECT_BINARY_DIR}/generated/nearmiss-config-version.cmake
  COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/generated/nearmiss-config.cmake
  ${PROJECT_BINARY_DIR}/generated/nearmiss-config-version.cmake
  DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/nearmiss)
file(RELATIVE_PATH prefix_from_pc /${CMAKE_INSTALL_LIBDIR}/pkgconfig /)
configure_file(${PROJECT_SOURCE_DIR}/cmake/nearmiss.pc.in ${PROJECT_BINARY_DIR}/generated/nearmiss.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/generated/nearmiss.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
file(GLOB weights LIST_DIRECTORIES false CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/nexus/weights/*)
if(weights) # where tools/shipped_model.h looks for them
  install(FILES ${weights} DESTINATION ${CMAKE_INSTALL_DATADIR}/nearmiss)
endif()
install(FILES LICENSE NOTICE README.md DESTINATION ${CMAKE_INSTALL_DOCDIR})
