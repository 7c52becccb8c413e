#include "worker/stages/context_store.h"

#include <ATen/ops/empty.h>

#include <cstring>
#include <nlohmann/json.hpp>

namespace ferry::worker {
namespace {

nlohmann::json shape_of(const std::string& prompt, const at::Tensor& rows) {
  return {prompt, rows.size(0), rows.size(1), static_cast<int>(rows.scalar_type())};
}

}  // namespace

void ContextStore::put(const std::string& prompt, const at::Tensor& rows) {
  rows_.insert_or_assign(prompt, rows.to(at::kCPU).contiguous());
}

void ContextStore::drop(const std::string& prompt) {
  rows_.erase(prompt);
  causes_.erase(prompt);
}

std::size_t ContextStore::bytes() const {
  std::size_t bytes = 0;
  for (const auto& [prompt, rows] : rows_) bytes += rows.nbytes();
  return bytes;
}

std::string ContextStore::cause(const std::string& prompt) const {
  const auto found = causes_.find(prompt);
  return found == causes_.end() ? "" : found->second;
}

void ContextStore::put_cause(const std::string& prompt, const std::string& cause) { causes_[prompt] = cause; }

void ContextStore::share(parallel::Control& ranks, bool wanted) {
  nlohmann::json mine = {nlohmann::json::array(), causes_};
  for (const auto& [prompt, rows] : rows_) mine[0].push_back(shape_of(prompt, rows));
  const auto shared = nlohmann::json::parse(ranks.broadcast(ranks.rank() == 0 ? mine.dump() : "", 0));
  causes_ = shared[1].get<std::map<std::string, std::string>>();
  for (const auto& shape : shared[0]) {
    const auto prompt = shape[0].get<std::string>();
    std::string bytes;
    if (ranks.rank() == 0) {
      const at::Tensor& rows = rows_.at(prompt);
      bytes.assign(static_cast<const char*>(rows.const_data_ptr()), rows.nbytes());
    }
    bytes = ranks.broadcast(bytes, 0);
    if (ranks.rank() == 0 || !wanted) continue;
    const at::Tensor rows = at::empty({shape[1].get<std::int64_t>(), shape[2].get<std::int64_t>()},
                                      static_cast<at::ScalarType>(shape[3].get<int>()));
    std::memcpy(rows.mutable_data_ptr(), bytes.data(), bytes.size());
    rows_[prompt] = rows;
  }
}

}  // namespace ferry::worker
