#include "worker/record/version.h"

#include <mpi.h>
#include <torch/headeronly/version.h>

#include <array>
#include <fstream>

#include "worker/gpu.h"

namespace ferry::worker {
namespace {

std::string first_line(const std::string& text) { return text.substr(0, text.find_first_of("\n,")); }

std::string mpi_version() {
  std::array<char, MPI_MAX_LIBRARY_VERSION_STRING> text{};
  int length = 0;
  MPI_Get_library_version(text.data(), &length);
  return first_line(text.data());
}

}  // namespace

// "NVRM version: NVIDIA UNIX x86_64 Kernel Module  580.95.05  Tue ..."
std::string driver_version() {
  std::ifstream file("/proc/driver/nvidia/version");
  std::string word;
  while (file >> word) {
    if (word.find_first_not_of("0123456789.") == std::string::npos && word.find('.') != std::string::npos) {
      return word;
    }
  }
  return "none";
}

std::vector<std::pair<std::string, std::string>> versions() {
  return {{"ferry", ferry_version()},  {"git", git_commit()},       {"compiler", "g++ " __VERSION__},
          {"libtorch", TORCH_VERSION}, {"mpi", mpi_version()},      {"nccl", nccl_version()},
          {"cuda", cuda_version()},    {"driver", driver_version()}};
}

}  // namespace ferry::worker
