#include "parallel/mpi/mpi_check.h"

#include <array>
#include <string>

namespace ferry::parallel {

void check_mpi(int result, const char* text, const std::source_location& place) {
  if (result == MPI_SUCCESS) return;
  std::array<char, MPI_MAX_ERROR_STRING> words = {};
  int length = 0;
  MPI_Error_string(result, words.data(), &length);
  throw MpiError(at_place(text, place) + ": " + std::string(words.data(), static_cast<std::size_t>(length)));
}

}  // namespace ferry::parallel
