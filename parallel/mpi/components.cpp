#include "parallel/mpi/components.h"

#include <mpi.h>

#include <array>
#include <cstdlib>
#include <string_view>

namespace ferry::parallel {

void avoid_broken_components() {
  std::array<char, MPI_MAX_LIBRARY_VERSION_STRING> version = {};
  int length = 0;
  if (MPI_Get_library_version(version.data(), &length) != MPI_SUCCESS) return;
  if (std::string_view(version.data()).starts_with("Open MPI v4.")) setenv("OMPI_MCA_osc", "^rdma,ucx", 0);
}

}  // namespace ferry::parallel
