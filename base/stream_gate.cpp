#include "base/stream_gate.h"

#include <condition_variable>
#include <mutex>

namespace ferry {

namespace {

class CpuStreamGate final : public StreamGate {
 public:
  void close(Stream& stream) override { set(stream, false); }
  void open(Stream& stream) override { set(stream, true); }
  void pass(Stream& stream) override {
    stream.call([state = state_] {
      std::unique_lock lock(state->mutex);
      state->changed.wait(lock, [&] { return state->open; });
    });
  }

 private:
  struct State {
    std::mutex mutex;
    std::condition_variable changed;
    bool open = true;
  };
  void set(Stream& stream, bool open) {
    stream.call([state = state_, open] {
      {
        const std::lock_guard lock(state->mutex);
        state->open = open;
      }
      state->changed.notify_all();
    });
  }
  std::shared_ptr<State> state_ = std::make_shared<State>();
};

}  // namespace

std::unique_ptr<StreamGate> make_stream_gate(Device& device) {
  if (device.type() == DeviceType::Cuda) return make_cuda_stream_gate(device);
  return std::make_unique<CpuStreamGate>();
}

}  // namespace ferry
