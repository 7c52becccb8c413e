// main() of the probes: a missing device ends with 77, which ctest takes for skipped.
#pragma once

#include <cstdio>
#include <exception>
#include <functional>
#include <string>
#include <vector>

#include "tests/support/test_device.h"

namespace ferry::testing {

using Arguments = std::vector<std::string>;

// `run` gets what follows the program's name; without that, `usage` is printed.
inline int probe_main(int argc, char** argv, const char* usage,
                      const std::function<void(const Arguments&, Device&)>& run) {
  try {
    const auto device = make_test_device();
    if (device == nullptr) return 77;
    if (argc > 1) {
      run({argv + 1, argv + argc}, *device);
      return 0;
    }
    std::fprintf(stderr, "usage: %s\n", usage);
    return 2;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s: %s\n", argv[0], error.what());
    return 1;
  }
}

}  // namespace ferry::testing
