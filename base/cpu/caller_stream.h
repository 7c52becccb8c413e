// The CPU's compute stream: the calling thread itself.
#pragma once

#include <string>

#include "base/device.h"

namespace ferry {

// Runs every operation at once; wait() blocks the caller, synchronize() has nothing left to do.  A failed
// operation throws where it is called.
class CallerStream final : public Stream {
 public:
  const std::string& name() const override { return name_; }
  void record(Event& event) override;
  void wait(const Event& event) override;
  void copy(void* dst, const void* src, std::size_t bytes) override;
  void fill(void* dst, std::uint8_t byte, std::size_t bytes) override;
  void cast(void* dst, DType dst_type, const void* src, DType src_type, std::size_t count) override;
  void call(std::function<void()> work) override { work(); }
  void synchronize() override {}
  void* native() const override { return nullptr; }

 private:
  std::string name_ = "compute";
};

}  // namespace ferry
