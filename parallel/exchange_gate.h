// Hook that brackets each activation exchange, so that weight copies can stay off the link meanwhile.
//
// On nodes whose GPUs share one path to the host (no NVLink), an all-to-all and a weight copy slow each other
// down.  A network calls before() and after() around each exchange, in program order, on the thread that
// queues the work; offload/ keeps weight chunks off the link in between.  If both use the engine that copies
// between GPUs, an exchange queues behind weights in transit between GPUs: soon() announces exchanges so that
// weights leave that engine free.  None of these blocks the host.
#pragma once

#include "base/device.h"

namespace ferry::parallel {

class ExchangeGate {
 public:
  virtual ~ExchangeGate() = default;
  // Announces that `exchanges` exchanges follow in close succession from the current point of `compute`,
  // which has waited for the previous ones.
  virtual void soon(Stream& compute, int exchanges) {
    static_cast<void>(compute);
    static_cast<void>(exchanges);
  }
  // The next work queued on `exchange_stream` is an exchange (all its all-to-alls up to after()).
  virtual void before(Stream& exchange_stream) = 0;
  // The exchange has been queued.  Same stream; calls do not nest.
  virtual void after(Stream& exchange_stream) = 0;
};

// Calls `work`, which queues an exchange, between before() and after(); only `work` if `gate` is nullptr. If
// `work` throws, after() is still called, and its own failure is ignored.
template <class Work>
void gated_exchange(ExchangeGate* gate, Stream& exchange_stream, const Work& work) {
  if (gate == nullptr) return work();
  gate->before(exchange_stream);
  try {
    work();
  } catch (...) {
    try {
      gate->after(exchange_stream);
    } catch (...) {  // the failure of `work` is thrown
    }
    throw;
  }
  gate->after(exchange_stream);
}

}  // namespace ferry::parallel
