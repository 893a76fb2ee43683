# Python: the package lies in python/nearmiss and finds the library of the build tree by itself. `wheel` packs both,
# with the model.
find_package(Python3 3.9 COMPONENTS Interpreter)
if(Python3_FOUND AND NOT NM_CORE_ONLY)
  add_custom_target(wheel
    COMMAND ${Python3_EXECUTABLE} ${PROJECT_SOURCE_DIR}/python/make_wheel.py --library $<TARGET_FILE:nearmiss_shared>
            --version ${PROJECT_VERSION} --out ${PROJECT_BINARY_DIR}/wheel
            --weights ${PROJECT_SOURCE_DIR}/nexus/weights/nearmiss.safetensors
    DEPENDS nearmiss_shared COMMENT "Packing the wheel of the Python package" VERBATIM)
endif()
