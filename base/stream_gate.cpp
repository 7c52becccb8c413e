#include "base/stream_gate.h"

#include <thread>

#include "base/gate_timeout.h"

namespace ferry {

namespace {

class CpuStreamGate final : public StreamGate {
 public:
  void close(Stream& stream) override {
    stream.call([gate = gate_, number = ++closed_] { gate->state = number; });
  }
  void open(Stream& stream) override {
    stream.call([gate = gate_] { gate->state = kGateOpen; });
  }
  void pass(Stream& stream) override {
    stream.call([gate = gate_] {
      while (gate->state != kGateOpen) std::this_thread::sleep_for(std::chrono::microseconds(50));
    });
  }

 private:
  struct Gate {
    GateState state = kGateOpen;
    GateTimeout timeout{state};
  };
  std::shared_ptr<Gate> gate_ = std::make_shared<Gate>();
  std::uint32_t closed_ = 0;
};

}  // namespace

std::unique_ptr<StreamGate> make_stream_gate(Device& device) {
  if (device.type() == DeviceType::Cuda) return make_cuda_stream_gate(device);
  return std::make_unique<CpuStreamGate>();
}

}  // namespace ferry
