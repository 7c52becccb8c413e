#include "offload/async/expectations.h"

namespace ferry::offload {

Expectations::Expectations(const std::vector<std::size_t>& modules) {
  for (const std::size_t count : modules) used_.emplace_back(count, false);
}

void Expectations::reset() {
  for (auto& [kind, blocks] : learnt_) blocks.assign(used_.size(), {});
  for (std::vector<bool>& modules : used_) modules.assign(modules.size(), false);
}

void Expectations::begin(const std::string& kind) {
  now_ = &learnt_.try_emplace(kind, used_.size()).first->second;
}

void Expectations::learn(std::size_t block) {
  if (now_ != nullptr) (*now_)[block] = used_[block];
  used_[block].assign(used_[block].size(), false);
}

std::vector<bool> Expectations::of_this_pass(std::size_t block) const {
  if (now_ == nullptr) return of_any_pass(block);
  return (*now_)[block].empty() ? std::vector<bool>(used_[block].size(), true) : (*now_)[block];
}

std::vector<bool> Expectations::of_any_pass(std::size_t block) const {
  std::vector<bool> wanted(used_[block].size(), false);
  bool learnt = false;
  for (const auto& [kind, blocks] : learnt_) {
    if (blocks[block].empty()) continue;
    learnt = true;
    for (std::size_t i = 0; i < wanted.size(); ++i) wanted[i] = wanted[i] || blocks[block][i];
  }
  return learnt ? wanted : std::vector<bool>(wanted.size(), true);
}

}  // namespace ferry::offload
