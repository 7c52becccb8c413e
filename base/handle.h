// The owner of a raw handle: stream, event, communicator, descriptor.  Move-only; functions that use the
// handle take it raw.
#pragma once

#include <utility>

namespace ferry {

// Owns `value` and calls Destroy(value) once, unless it equals `Null`.  Destroy must not throw; its result is
// ignored.
//
//   using OwnedStream = Handle<cudaStream_t, cudaStreamDestroy>;
//   using OwnedFile = Handle<int, ::close, -1>;
template <class T, auto Destroy, T Null = T{}>
class Handle {
 public:
  Handle() = default;
  explicit Handle(T value) noexcept : value_(value) {}
  Handle(Handle&& other) noexcept : value_(other.release()) {}
  Handle& operator=(Handle&& other) noexcept {
    Handle(std::move(other)).swap(*this);
    return *this;
  }
  Handle(const Handle&) = delete;
  Handle& operator=(const Handle&) = delete;
  ~Handle() {
    if (value_ != Null) static_cast<void>(Destroy(value_));
  }

  T get() const noexcept { return value_; }
  explicit operator bool() const noexcept { return value_ != Null; }
  // Gives the handle away without destroying it.
  T release() noexcept { return std::exchange(value_, Null); }
  void swap(Handle& other) noexcept { std::swap(value_, other.value_); }

 private:
  T value_ = Null;
};

}  // namespace ferry
