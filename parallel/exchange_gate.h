// Where the network says that its ranks exchange activations, for whoever moves weights meanwhile.
//
// On machines whose GPUs share one path to the host (no NVLink), an all-to-all and a weight copy slow each
// other down.  A network calls before() and after() around each exchange, in program order, on the thread
// that queues the work; offload/ answers by keeping weight chunks off the link in between.  Where both go by
// the engine that copies between GPUs, an exchange stands in line behind weights on their way from one to
// another: soon() says when those had better leave it the engine.  None makes the host wait.
#pragma once

#include "base/device.h"

namespace ferry::parallel {

class ExchangeGate {
 public:
  virtual ~ExchangeGate() = default;
  // So many exchanges follow, close to each other, from where `compute` is now, which has waited for those
  // before.
  virtual void soon(Stream& compute, int exchanges) {
    static_cast<void>(compute);
    static_cast<void>(exchanges);
  }
  // The next work queued on `exchange` is an exchange (all its all-to-alls up to after()).
  virtual void before(Stream& exchange) = 0;
  // The exchange has been queued.  Same stream; calls do not nest.
  virtual void after(Stream& exchange) = 0;
};

// Calls `work`, which queues an exchange, between before() and after(); `work` alone when `gate` is nullptr.
// What `work` throws is thrown behind after(), whose own failure then counts for nothing.
template <class Work>
void gated_exchange(ExchangeGate* gate, Stream& exchange, const Work& work) {
  if (gate == nullptr) return work();
  gate->before(exchange);
  try {
    work();
  } catch (...) {
    try {
      gate->after(exchange);
    } catch (...) {  // the first failure is thrown
    }
    throw;
  }
  gate->after(exchange);
}

}  // namespace ferry::parallel
