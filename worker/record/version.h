// What this program was built from and runs with.
#pragma once

#include <string>
#include <utility>
#include <vector>

namespace ferry::worker {

// "0.1.0".
std::string ferry_version();

// The commit the program was built from, "+" appended when the tree had changes; "unknown" outside of git.
std::string git_commit();

// Name and version of each thing that may change a result or a speed, in a fixed order: ferry, git,
// compiler, libtorch, mpi, nccl, cuda, driver.  "none" for what this build or machine does not have.  Needs
// no MPI session.
std::vector<std::pair<std::string, std::string>> versions();

}  // namespace ferry::worker
