#include "base/cpu/caller_stream.h"

#include <cstring>

#include "base/cpu/event.h"

namespace ferry {

void CallerStream::record(Event& event) {
  const auto& state = as_cpu(event).state();
  state->fire(state->begin(), nullptr);
}

void CallerStream::wait(const Event& event) { as_cpu(event).synchronize(); }

void CallerStream::copy(void* dst, const void* src, std::size_t bytes) {
  if (bytes > 0) std::memcpy(dst, src, bytes);
}

void CallerStream::fill(void* dst, std::uint8_t byte, std::size_t bytes) {
  if (bytes > 0) std::memset(dst, byte, bytes);
}

void CallerStream::cast(void* dst, DType dst_type, const void* src, DType src_type, std::size_t count) {
  convert(dst, dst_type, src, src_type, count);
}

}  // namespace ferry
