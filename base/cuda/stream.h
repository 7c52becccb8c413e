// Streams of the CUDA device.
#pragma once

#include <cuda_runtime_api.h>

#include <memory>
#include <string>

#include "base/device.h"
#include "base/handle.h"

namespace ferry {

// A non-blocking cudaStream_t.  Host memory should be pinned, or copies make the host wait.
class CudaStream final : public Stream {
 public:
  CudaStream(std::string name, Priority priority);
  CudaStream(const CudaStream&) = delete;
  CudaStream& operator=(const CudaStream&) = delete;
  ~CudaStream() override;

  const std::string& name() const override { return name_; }
  void record(Event& event) override;
  void wait(const Event& event) override;
  void copy(void* dst, const void* src, std::size_t bytes) override;
  void fill(void* dst, std::uint8_t byte, std::size_t bytes) override;
  void cast(void* dst, DType dst_type, const void* src, DType src_type, std::size_t count) override;
  void call(std::function<void()> work) override;
  void synchronize() override;
  void* native() const override { return stream_.get(); }

 private:
  struct Failure;  // the first error of a host call
  struct HostCall;
  static void run_host_call(void* data);

  std::string name_;
  std::shared_ptr<Failure> failure_;
  Handle<cudaStream_t, cudaStreamDestroy> stream_;
};

}  // namespace ferry
