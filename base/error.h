// The three kinds of error and the one way to report each.
//
//   the caller is wrong   throw std::invalid_argument with the offending values
//   a call failed         FERRY_CHECK(cudaX(...)), FERRY_CHECK(ncclX(...)), FERRY_MPI_CHECK(MPI_X(...))
//   we are wrong          assert
//
// Wrong input of the *user* is a UserError: one line, which main() prints before it exits with code 2.
#pragma once

#include <source_location>
#include <stdexcept>
#include <string>

namespace ferry {

// A failed call of a library or of the system.
class Error : public std::runtime_error {
 public:
  explicit Error(const std::string& what) : std::runtime_error(what) {}
};

// A request that cannot be met: what was wrong, the offending value, what would be accepted.
class UserError : public Error {
 public:
  explicit UserError(const std::string& what) : Error(what) {}
};

class CudaError : public Error {
 public:
  explicit CudaError(const std::string& what) : Error(what) {}
};

class NcclError : public Error {
 public:
  explicit NcclError(const std::string& what) : Error(what) {}
};

class MpiError : public Error {
 public:
  explicit MpiError(const std::string& what) : Error(what) {}
};

// A failed system call, with errno's text.
class SystemError : public Error {
 public:
  explicit SystemError(const std::string& what) : Error(what) {}
};

// The device or the host lacks the memory requested.
class OutOfMemory : public Error {
 public:
  explicit OutOfMemory(const std::string& what) : Error(what) {}
};

// Appends ": <text of errno>" and throws SystemError.
[[noreturn]] void throw_errno(const std::string& what);

// "text (file:line)" for messages of failed calls.
std::string at_place(const char* text, const std::source_location& place);

}  // namespace ferry

// One line over an overloaded check_call(): base/cuda/check.h adds cudaError_t, parallel/nccl/nccl_check.h
// ncclResult_t, parallel/mpi/mpi_check.h has FERRY_MPI_CHECK.
#define FERRY_CHECK(call) ::ferry::check_call((call), #call)
