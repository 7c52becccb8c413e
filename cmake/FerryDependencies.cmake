# Everything else that is found on the system; nothing is downloaded.
find_package(MPI REQUIRED COMPONENTS C)
find_package(Threads REQUIRED)
find_package(nlohmann_json REQUIRED)
find_package(spdlog REQUIRED)
find_package(fmt REQUIRED)
find_package(PNG REQUIRED)
find_package(PkgConfig REQUIRED)
pkg_check_modules(SENTENCEPIECE IMPORTED_TARGET sentencepiece)
if(NOT SENTENCEPIECE_FOUND)
  message(FATAL_ERROR "SentencePiece not found: run tools/setup.sh, or install libsentencepiece-dev")
endif()

# Machines that have Boost's headers but not its libraries name a copy: <prefix>/include and <prefix>/lib.
set(FERRY_BOOST_PREFIX "" CACHE PATH "A Boost with program_options, where the system's is not complete")
if(FERRY_BOOST_PREFIX)
  add_library(Boost::program_options STATIC IMPORTED)
  set_target_properties(Boost::program_options PROPERTIES
    IMPORTED_LOCATION ${FERRY_BOOST_PREFIX}/lib/libboost_program_options.a
    INTERFACE_INCLUDE_DIRECTORIES ${FERRY_BOOST_PREFIX}/include)
else()
  find_package(Boost 1.74 REQUIRED COMPONENTS program_options)
endif()

# Without libav, frames go into a Y4M file.
pkg_check_modules(LIBAV IMPORTED_TARGET libavformat libavcodec libavutil libswscale)

add_library(ferry_mpi INTERFACE)
add_library(ferry::mpi ALIAS ferry_mpi)
target_link_libraries(ferry_mpi INTERFACE MPI::MPI_C)
target_compile_definitions(ferry_mpi INTERFACE OMPI_SKIP_MPICXX)

if(FERRY_CUDA)
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
