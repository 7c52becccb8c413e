// What is said when a stage finds no more memory on its device: what was asked for, who holds the rest, and
// the setting that would fit.
#pragma once

#include <array>
#include <cstddef>
#include <exception>
#include <functional>
#include <optional>
#include <string>

#include "worker/gpu.h"
#include "worker/rank.h"
#include "worker/record/torch_memory.h"
#include "worker/weights/loaded_model.h"

namespace ferry::worker {

// Memory that an allocation wanted and did not get.
struct Wanted {
  std::size_t bytes = 0;  // 0: unknown
  std::string words;      // "LibTorch asked for 2.147 GB"; or the error's own
};

// What `error` wanted, if it says that a device has no memory left: OutOfMemory, and errors of LibTorch and
// CUDA that mean it.
std::optional<Wanted> wanted_memory(const std::exception& error);

// Memory of one device, in bytes.
struct DeviceHeld {
  std::string device;                                       // its name
  MemoryUse use;                                            // now
  std::array<std::size_t, offload::kCategories> weights{};  // at most, in this stage
  std::size_t weights_now = 0;                              // without those used in the host copy itself
  bool in_place = false;                                    // weights are used in the host copy
  TorchPeak torch;                                          // at most, in this stage
  std::size_t torch_now = 0;                                // held, with the cache
  std::size_t buffers = 0;                                  // of exchanges and flags
  std::size_t others_at_start = 0;                          // of libraries and other processes, then
};

// One line on a stage of `plan` and about `activation_bytes` of activations that wanted more than there was.
// A setting is named that fits what the device has for this stage without what it holds already.
std::string device_full_text(const offload::StagePlan& plan, std::size_t activation_bytes,
                             const DeviceHeld& held, const Wanted& wanted);

// While one exists, speak_first() explains a lack of device memory as one of the stage of `source`.
class ExplainsDeviceFull {
 public:
  // `torch` (optional) counts LibTorch's memory of a CPU.  All must outlive it.
  ExplainsDeviceFull(Rank& rank, const StageSource& source, const LoadedStage& stage,
                     const TorchMemory* torch = nullptr);
  ~ExplainsDeviceFull() { rank_.explain = before_; }
  ExplainsDeviceFull(const ExplainsDeviceFull&) = delete;
  ExplainsDeviceFull& operator=(const ExplainsDeviceFull&) = delete;

 private:
  std::string text(const std::exception& error) const;
  DeviceHeld held() const;

  Rank& rank_;
  const StageSource& source_;
  const LoadedStage& stage_;
  const TorchMemory* torch_;
  std::function<std::string(const std::exception&)> before_;
};

}  // namespace ferry::worker
