// The target FERRY_FUZZ_TARGET under libFuzzer (preset fuzz); tools/fuzz_coverage.sh runs it.
#include <cstdint>
#include <cstdlib>
#include <exception>
#include <iostream>
#include <string>

#include "tests/fuzz/target.h"

namespace {

const ferry::fuzz::Target& asked_target() {
  const char* name = std::getenv("FERRY_FUZZ_TARGET");
  static const ferry::fuzz::Target& target = ferry::fuzz::target_named(name == nullptr ? "" : name);
  return target;
}

}  // namespace

// A finding leaves as an exception, which ends the program: libFuzzer keeps the input.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t bytes) {
  ferry::fuzz::outcome_of(asked_target(), {reinterpret_cast<const char*>(data), bytes});
  return 0;
}
