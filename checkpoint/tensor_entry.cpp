#include "base/text/describe.h"
#include "checkpoint/checkpoint.h"

namespace ferry::checkpoint {

std::int64_t TensorEntry::numel() const { return checked_numel(shape).value_or(0); }

bool TensorEntry::contiguous() const {
  std::int64_t step = 1;
  for (std::size_t i = shape.size(); i-- > 0;) {
    if (shape[i] != 1 && strides[i] != step) return false;
    step *= shape[i];
  }
  return true;
}

TensorEntry TensorEntry::rows(std::int64_t begin, std::int64_t end) const {
  TensorEntry part = *this;
  part.data += begin * strides.at(0) * static_cast<std::int64_t>(size_of(dtype));
  part.shape.at(0) = end - begin;
  part.first_row += begin;
  return part;
}

}  // namespace ferry::checkpoint
