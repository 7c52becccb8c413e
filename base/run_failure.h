// A failure on which all ranks agree.
#pragma once

#include <string>

#include "base/error.h"

namespace ferry {

// The run cannot go on.  Every rank throws it at the same point, so that they end together and one of them
// reports it: one line, which main() prints before it exits with code 1.
class RunFailure : public Error {
 public:
  explicit RunFailure(const std::string& what) : Error(what) {}
};

}  // namespace ferry
