#include "base/cuda/event.h"

#include <stdexcept>

#include "base/cuda/check.h"

namespace ferry {

namespace {

cudaEvent_t make(EventKind kind) {
  // Waiting host threads sleep instead of spinning: the core may be needed by another rank.
  const unsigned flags = cudaEventBlockingSync | (kind == EventKind::Order ? cudaEventDisableTiming : 0U);
  cudaEvent_t event = nullptr;
  FERRY_CHECK(cudaEventCreateWithFlags(&event, flags));
  return event;
}

}  // namespace

CudaEvent::CudaEvent(EventKind kind) : kind_(kind), event_(make(kind)) {}

bool CudaEvent::done() const {
  const cudaError_t state = cudaEventQuery(event_.get());
  if (state == cudaErrorNotReady) {
    static_cast<void>(cudaGetLastError());
    return false;
  }
  FERRY_CHECK(state);
  return true;
}

void CudaEvent::synchronize() const { FERRY_CHECK(cudaEventSynchronize(event_.get())); }

double CudaEvent::ms_since(const Event& begin) const {
  const auto* from = dynamic_cast<const CudaEvent*>(&begin);
  if (from == nullptr || kind_ != EventKind::Timed || from->kind_ != EventKind::Timed) {
    throw std::invalid_argument("ms_since needs two events of one device that were made as Timed");
  }
  if (!done() || !from->done()) throw std::invalid_argument("ms_since needs two events that are done");
  float ms = 0;
  const cudaError_t result = cudaEventElapsedTime(&ms, from->event_.get(), event_.get());
  if (result == cudaErrorInvalidResourceHandle) {
    static_cast<void>(cudaGetLastError());
    throw std::invalid_argument("ms_since needs two events that were recorded");
  }
  FERRY_CHECK(result);
  return ms;
}

cudaEvent_t as_cuda(const Event& event) {
  const auto* found = dynamic_cast<const CudaEvent*>(&event);
  if (found == nullptr) throw std::invalid_argument("an event of another device was given to a CUDA stream");
  return static_cast<cudaEvent_t>(found->native());
}

}  // namespace ferry
