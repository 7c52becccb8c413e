# Compilers run through ccache where it is installed; two cores build slowly.
find_program(FERRY_CCACHE ccache)
mark_as_advanced(FERRY_CCACHE)
if(FERRY_CCACHE)
  set(CMAKE_C_COMPILER_LAUNCHER ${FERRY_CCACHE})
  set(CMAKE_CXX_COMPILER_LAUNCHER ${FERRY_CCACHE})
  set(CMAKE_CUDA_COMPILER_LAUNCHER ${FERRY_CCACHE})
endif()
