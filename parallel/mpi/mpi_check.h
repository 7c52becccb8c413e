// FERRY_MPI_CHECK(MPI_X(...)): throws MpiError with the call's text, place and MPI's error string.
#pragma once

#include <mpi.h>

#include <source_location>

#include "base/error.h"

namespace ferry::parallel {

void check_mpi(int result, const char* text,
               const std::source_location& place = std::source_location::current());

}  // namespace ferry::parallel

#define FERRY_MPI_CHECK(call) ::ferry::parallel::check_mpi((call), #call)
