#include "base/cuda/stream.h"

#include <exception>
#include <mutex>
#include <utility>

#include "base/cuda/cast.h"
#include "base/cuda/check.h"
#include "base/cuda/event.h"

namespace ferry {

struct CudaStream::Failure {
  std::mutex mutex;
  std::exception_ptr first;

  std::exception_ptr get() {
    const std::lock_guard lock(mutex);
    return first;
  }
  void keep(std::exception_ptr error) {
    const std::lock_guard lock(mutex);
    if (first == nullptr) first = std::move(error);
  }
  void rethrow() {
    if (const std::exception_ptr error = get()) std::rethrow_exception(error);
  }
};

struct CudaStream::HostCall {
  std::function<void()> work;
  std::shared_ptr<Failure> failure;
};

namespace {

cudaStream_t make(Priority priority) {
  int least = 0;
  int greatest = 0;
  FERRY_CHECK(cudaDeviceGetStreamPriorityRange(&least, &greatest));
  cudaStream_t stream = nullptr;
  FERRY_CHECK(cudaStreamCreateWithPriority(&stream, cudaStreamNonBlocking,
                                           priority == Priority::High ? greatest : least));
  return stream;
}

}  // namespace

CudaStream::CudaStream(std::string name, Priority priority)
    : name_(std::move(name)), failure_(std::make_shared<Failure>()), stream_(make(priority)) {}

// Drain the stream: the owner usually frees the buffers of queued work next.
CudaStream::~CudaStream() { static_cast<void>(cudaStreamSynchronize(stream_.get())); }

void CudaStream::record(Event& event) { FERRY_CHECK(cudaEventRecord(as_cuda(event), stream_.get())); }

void CudaStream::wait(const Event& event) {
  failure_->rethrow();
  FERRY_CHECK(cudaStreamWaitEvent(stream_.get(), as_cuda(event), 0));
}

void CudaStream::copy(void* dst, const void* src, std::size_t bytes) {
  if (bytes > 0) FERRY_CHECK(cudaMemcpyAsync(dst, src, bytes, cudaMemcpyDefault, stream_.get()));
}

void CudaStream::fill(void* dst, std::uint8_t byte, std::size_t bytes) {
  if (bytes > 0) FERRY_CHECK(cudaMemsetAsync(dst, byte, bytes, stream_.get()));
}

void CudaStream::cast(void* dst, DType dst_type, const void* src, DType src_type, std::size_t count) {
  FERRY_CHECK(cast_on_device(dst, dst_type, src, src_type, count, stream_.get()));
}

void CudaStream::run_host_call(void* data) {
  const std::unique_ptr<HostCall> call(static_cast<HostCall*>(data));
  if (call->failure->get() != nullptr) return;
  std::exception_ptr failure;
  try {
    call->work();
  } catch (...) {
    failure = std::current_exception();
  }
  if (failure != nullptr) call->failure->keep(std::move(failure));
}

void CudaStream::call(std::function<void()> work) {
  auto call = std::make_unique<HostCall>(HostCall{std::move(work), failure_});
  FERRY_CHECK(cudaLaunchHostFunc(stream_.get(), run_host_call, call.get()));
  call.release();  // NOLINT(bugprone-unused-return-value): run_host_call deletes it
}

void CudaStream::synchronize() {
  FERRY_CHECK(cudaStreamSynchronize(stream_.get()));
  failure_->rethrow();
}

}  // namespace ferry
