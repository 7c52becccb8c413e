#include "model/torch_stream.h"

namespace ferry::model {

struct TorchStream::Guard {};

TorchStream::TorchStream(Device&) {}

TorchStream::~TorchStream() = default;

}  // namespace ferry::model
