#include <sys/mman.h>
#include <unistd.h>

#include "model/checkpoint/checkpoint.h"
#include "model/checkpoint/describe.h"

namespace ferry::model {

namespace {

// The pages that lie wholly inside the tensor's bytes, or that its bytes touch.
void advise(const TensorEntry& entry, int advice, bool inner) {
  const auto page = static_cast<std::uintptr_t>(::sysconf(_SC_PAGESIZE));
  const auto begin = reinterpret_cast<std::uintptr_t>(entry.data);
  const auto end = begin + static_cast<std::uintptr_t>(entry.numel()) * size_of(entry.dtype);
  const std::uintptr_t first = inner ? (begin + page - 1) / page * page : begin / page * page;
  const std::uintptr_t last = inner ? end / page * page : end;
  if (last > first) ::madvise(reinterpret_cast<void*>(first), last - first, advice);
}

}  // namespace

std::string_view name_of(Part part) {
  switch (part) {
    case Part::Dit:
      return "DiT";
    case Part::Vae:
      return "VAE";
    case Part::TextEncoder:
      return "text encoder";
  }
  return "unknown";
}

std::int64_t TensorEntry::numel() const { return checked_numel(shape).value_or(0); }

bool TensorEntry::contiguous() const {
  std::int64_t step = 1;
  for (std::size_t i = shape.size(); i-- > 0;) {
    if (shape[i] != 1 && strides[i] != step) return false;
    step *= shape[i];
  }
  return true;
}

void prefetch_pages(const TensorEntry& entry) {
  if (entry.contiguous()) advise(entry, MADV_WILLNEED, false);
}

void drop_pages(const TensorEntry& entry) {
  if (entry.contiguous()) advise(entry, MADV_DONTNEED, true);
}

}  // namespace ferry::model
