// Row loops on the CPU: LibTorch's threads, and code for the processor's widest vectors.
//
// The binary is built for any x86-64.  A body is compiled three times, since everything it calls is inlined
// into functions for three instruction sets; the loops inside are plain and auto-vectorise (reductions need
// `#pragma omp simd`).  GCC's target_clones would do the same, but its resolvers run before the sanitizers
// start and crash there.
#pragma once

#include <ATen/Parallel.h>

#include <algorithm>
#include <cstdint>

namespace ferry::model::kernels {

enum class Vectors : std::uint8_t { Base, Avx2, Avx512 };

inline Vectors widest_vectors() {
  if (__builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
      __builtin_cpu_supports("avx512vl")) {
    return Vectors::Avx512;
  }
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") ? Vectors::Avx2 : Vectors::Base;
}

template <typename Body>
__attribute__((flatten, target("avx512f,avx512bw,avx512dq,avx512vl"))) void run_avx512(const Body& body,
                                                                                       std::int64_t begin,
                                                                                       std::int64_t end) {
  body(begin, end);
}

template <typename Body>
__attribute__((flatten, target("avx2,fma"))) void run_avx2(const Body& body, std::int64_t begin,
                                                           std::int64_t end) {
  body(begin, end);
}

// Calls body(first, last) on parts of [0, rows), in parallel if there are enough elements.
template <typename Body>
void for_rows(std::int64_t rows, std::int64_t row_elements, const Body& body) {
  constexpr std::int64_t kElementsWorthAThread = 16384;
  const std::int64_t grain =
      std::max<std::int64_t>(1, kElementsWorthAThread / std::max<std::int64_t>(1, row_elements));
  const Vectors vectors = widest_vectors();
  at::parallel_for(0, rows, grain, [&](std::int64_t begin, std::int64_t end) {
    if (vectors == Vectors::Avx512) return run_avx512(body, begin, end);
    if (vectors == Vectors::Avx2) return run_avx2(body, begin, end);
    body(begin, end);
  });
}

}  // namespace ferry::model::kernels
