#include "offload/sequential/module_image.h"

namespace ferry::offload {

namespace {

std::size_t count_of(const TensorPlace& tensor) { return tensor.format.bytes / size_of(tensor.dtype); }

}  // namespace

ModulePlace image_place(const model::ModuleSpec& module, const std::vector<DType>& dtypes) {
  model::ModuleSpec typed = module;
  for (std::size_t i = 0; i < dtypes.size(); ++i) typed.tensors[i].dtype = dtypes[i];
  std::size_t end = 0;
  return place_module(typed, end);
}

bool same_dtypes(const ModulePlace& a, const ModulePlace& b) {
  for (std::size_t i = 0; i < a.tensors.size(); ++i) {
    if (a.tensors[i].dtype != b.tensors[i].dtype) return false;
  }
  return true;
}

std::size_t staging_bytes(const Image& from, const ModulePlace& to) {
  return from.where == Place::Device || same_dtypes(from.place, to) ? 0
                                                                    : round_up(from.bytes(), kTensorAlign);
}

void bring(const Image& from, const ModulePlace& to, std::byte* target, Stream& stream, Link& link,
           StagingPool& pool) {
  const bool on_host = from.where == Place::Host;
  if (same_dtypes(from.place, to)) {
    on_host ? link.copy(stream, target, from.data, from.bytes())
            : stream.copy(target, from.data, from.bytes());
    return;
  }
  const std::byte* source = from.data;
  std::byte* raw = nullptr;
  if (on_host) {
    raw = pool.take(from.bytes());
    link.copy(stream, raw, from.data, from.bytes());
    source = raw;
  }
  for (std::size_t i = 0; i < to.tensors.size(); ++i) {
    const TensorPlace& a = from.place.tensors[i];
    const TensorPlace& b = to.tensors[i];
    if (a.dtype == b.dtype) {
      stream.copy(target + b.offset, source + a.offset, b.format.bytes);
    } else {
      stream.cast(target + b.offset, b.dtype, source + a.offset, a.dtype, count_of(b));
    }
  }
  if (raw != nullptr) pool.give(raw);
}

void convert_on_host(const Image& from, const ModulePlace& to, std::byte* target) {
  for (std::size_t i = 0; i < to.tensors.size(); ++i) {
    const TensorPlace& a = from.place.tensors[i];
    const TensorPlace& b = to.tensors[i];
    convert(target + b.offset, b.dtype, from.data + a.offset, a.dtype, count_of(b));
  }
}

}  // namespace ferry::offload
