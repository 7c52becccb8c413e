// Versions of this program and of its libraries.
#pragma once

#include <string>
#include <utility>
#include <vector>

namespace ferry::worker {

// "0.1.0".
std::string ferry_version();

// The commit of the build, with "+" appended if the tree had changes; "unknown" outside git.
std::string git_commit();

// Name and version of everything that may affect a result or speed, in a fixed order: ferry, git, compiler,
// libtorch, mpi, nccl, cuda, driver. "none" for what is missing from this build or node.  Needs no MPI
// session.
std::vector<std::pair<std::string, std::string>> versions();

}  // namespace ferry::worker
