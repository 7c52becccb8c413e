# What the libraries of the system are called here.  Without libav, frames go into a Y4M file.
include(FerryFind)
find_package(Threads REQUIRED)
get_property(_ferry_missing GLOBAL PROPERTY FERRY_MISSING)
list(FILTER _ferry_missing EXCLUDE REGEX "^libav ")
if(_ferry_missing)
  list(TRANSFORM _ferry_missing STRIP)
  list(JOIN _ferry_missing ", " _ferry_missing)
  message(FATAL_ERROR "not found: ${_ferry_missing}.  Run tools/setup.sh, which says what each of them is, and in "
    "which packages.")
endif()

add_library(ferry_mpi INTERFACE)
add_library(ferry::mpi ALIAS ferry_mpi)
target_link_libraries(ferry_mpi INTERFACE MPI::MPI_C)
target_compile_definitions(ferry_mpi INTERFACE OMPI_SKIP_MPICXX)
