#include "worker/stages/context_store.h"

namespace ferry::worker {

void ContextStore::put(const std::string& prompt, const at::Tensor& rows) {
  rows_.insert_or_assign(prompt, rows.to(at::kCPU).contiguous());
}

void ContextStore::keep_only(const std::set<std::string>& prompts) {
  std::erase_if(rows_, [&](const auto& entry) { return !prompts.contains(entry.first); });
}

std::size_t ContextStore::bytes() const {
  std::size_t bytes = 0;
  for (const auto& [prompt, rows] : rows_) bytes += rows.nbytes();
  return bytes;
}

}  // namespace ferry::worker
