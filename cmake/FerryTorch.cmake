# LibTorch as the imported target ferry::torch (with FERRY_CUDA also ferry::torch_cuda, and ferry::nccl).
#
# Found under CMAKE_PREFIX_PATH (a LibTorch, or `torch.utils.cmake_prefix_path` of a wheel), else in the
# repository's .venv.  Its own package file insists on a CUDA toolkit that it can compile with, so the
# libraries are imported here by name; this works with and without one.
file(GLOB _ferry_venv_torch ${PROJECT_SOURCE_DIR}/.venv/lib/python3*/site-packages/torch)
set(_ferry_torch_hints ${_ferry_venv_torch})
foreach(prefix IN LISTS CMAKE_PREFIX_PATH)
  list(PREPEND _ferry_torch_hints ${prefix} ${prefix}/.. ${prefix}/../..)
endforeach()

find_path(FERRY_TORCH_INCLUDE ATen/ATen.h HINTS ${_ferry_torch_hints} PATH_SUFFIXES include NO_DEFAULT_PATH)
find_path(FERRY_TORCH_INCLUDE ATen/ATen.h)
if(NOT FERRY_TORCH_INCLUDE)
  message(FATAL_ERROR "LibTorch not found: run tools/setup.sh, or set CMAKE_PREFIX_PATH to a LibTorch >= 2.9")
endif()
get_filename_component(_ferry_torch_root ${FERRY_TORCH_INCLUDE} DIRECTORY)

file(STRINGS ${FERRY_TORCH_INCLUDE}/torch/headeronly/version.h _ferry_torch_version
  REGEX "define TORCH_VERSION_(MAJOR|MINOR|PATCH) ")
string(REGEX REPLACE ".*MAJOR ([0-9]+).*MINOR ([0-9]+).*PATCH ([0-9]+).*" "\\1.\\2.\\3"
  FERRY_TORCH_VERSION "${_ferry_torch_version}")
if(FERRY_TORCH_VERSION VERSION_LESS 2.9)
  message(FATAL_ERROR "LibTorch ${FERRY_TORCH_VERSION} in ${_ferry_torch_root}: at least 2.9 is needed")
endif()
message(STATUS "LibTorch ${FERRY_TORCH_VERSION} in ${_ferry_torch_root}")

function(_ferry_torch_library name)
  find_library(FERRY_LIB_${name} ${name} HINTS ${_ferry_torch_root}/lib NO_DEFAULT_PATH REQUIRED)
  mark_as_advanced(FERRY_LIB_${name})
endfunction()

_ferry_torch_library(torch_cpu)
_ferry_torch_library(c10)
add_library(ferry_torch INTERFACE)
add_library(ferry::torch ALIAS ferry_torch)
# The wheel carries headers of an fmt that it does not carry the library of; those of the linked fmt come first.
get_target_property(_ferry_fmt fmt::fmt INTERFACE_INCLUDE_DIRECTORIES)
find_path(FERRY_FMT_INCLUDE fmt/core.h PATHS ${_ferry_fmt} /usr/include NO_DEFAULT_PATH REQUIRED)
mark_as_advanced(FERRY_FMT_INCLUDE)
file(MAKE_DIRECTORY ${PROJECT_BINARY_DIR}/first)
file(CREATE_LINK ${FERRY_FMT_INCLUDE}/fmt ${PROJECT_BINARY_DIR}/first/fmt SYMBOLIC)
target_include_directories(ferry_torch SYSTEM INTERFACE ${PROJECT_BINARY_DIR}/first ${FERRY_TORCH_INCLUDE})
# The wheel's libraries find their own dependencies at run time; the linker need not.
target_link_libraries(ferry_torch INTERFACE ${FERRY_LIB_torch_cpu} ${FERRY_LIB_c10})
target_link_options(ferry_torch INTERFACE -Wl,--unresolved-symbols=ignore-in-shared-libs)
# LibTorch's own OpenMP runtime serves our loops too: one pool.  It is GCC's; Clang's code would need another one, so
# loops of a build with Clang (preset fuzz) run on one thread.
target_compile_options(ferry_torch INTERFACE $<$<COMPILE_LANG_AND_ID:CXX,GNU>:-fopenmp>)
file(GLOB _ferry_gomp ${_ferry_torch_root}/lib/libgomp*.so*)
if(NOT _ferry_gomp)
  set(_ferry_gomp gomp)
endif()
target_link_libraries(ferry_torch INTERFACE ${_ferry_gomp})
if(CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
  # Clang does not read the header of GCC's runtime; this is all that is used of it.
  file(CONFIGURE OUTPUT ${PROJECT_BINARY_DIR}/first/omp.h CONTENT "extern \"C\" int omp_get_num_procs();\n")
endif()

if(FERRY_CUDA)
  _ferry_torch_library(torch_cuda)
  _ferry_torch_library(c10_cuda)
  add_library(ferry_torch_cuda INTERFACE)
  add_library(ferry::torch_cuda ALIAS ferry_torch_cuda)
  # Nothing in an executable may refer to torch_cuda directly, and its kernels register themselves.
  target_link_libraries(ferry_torch_cuda INTERFACE ferry_torch
    -Wl,--no-as-needed ${FERRY_LIB_torch_cuda} ${FERRY_LIB_c10_cuda} -Wl,--as-needed CUDA::cudart)

  # The NCCL that LibTorch brings is the one that will be loaded; its header goes with it.
  find_path(FERRY_NCCL_INCLUDE nccl.h HINTS ${_ferry_torch_root}/../nvidia/nccl/include
    ${CUDAToolkit_INCLUDE_DIRS} REQUIRED)
  find_library(FERRY_NCCL_LIB NAMES libnccl.so.2 nccl NAMES_PER_DIR HINTS ${_ferry_torch_root}/../nvidia/nccl/lib
    ${CUDAToolkit_LIBRARY_DIR} REQUIRED)
  add_library(ferry_nccl INTERFACE)
  add_library(ferry::nccl ALIAS ferry_nccl)
  target_include_directories(ferry_nccl SYSTEM INTERFACE ${FERRY_NCCL_INCLUDE})
  target_link_libraries(ferry_nccl INTERFACE ${FERRY_NCCL_LIB} CUDA::cudart)
  message(STATUS "NCCL ${FERRY_NCCL_LIB}")
endif()
