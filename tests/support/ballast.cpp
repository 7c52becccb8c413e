// Takes the memory of GPU 0 but for some bytes, until stdin ends:  ballast BYTES_LEFT
//
// Says "taken" when it has it.
#include <cstdio>
#include <exception>
#include <string>

#include "base/device.h"

int main(int argc, char** argv) {
  try {
    const auto device = ferry::make_cuda_device(0);
    const std::size_t left = argc > 1 ? std::stoull(argv[1]) : 0;
    const std::size_t free = device->memory().free_bytes;
    const ferry::DeviceMemory taken = device->allocate(free > left ? free - left : 0);
    std::puts("taken");
    std::fflush(stdout);
    while (std::getchar() != EOF) continue;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "ballast: %s\n", error.what());
    return 1;
  }
  return 0;
}
