// Contexts of prompts that later videos need, encoded in one visit of the text encoder.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstddef>
#include <map>
#include <set>
#include <string>
#include <vector>

namespace ferry::worker {

// In host memory of the first rank.  Rows [Lt, text_dim] in the text encoder's compute type.
class ContextStore {
 public:
  bool has(const std::string& prompt) const { return rows_.contains(prompt); }
  // Needs has().
  const at::Tensor& rows(const std::string& prompt) const { return rows_.at(prompt); }
  void put(const std::string& prompt, const at::Tensor& rows);
  // Drops the contexts of all other prompts.
  void keep_only(const std::set<std::string>& prompts);
  std::size_t bytes() const;

 private:
  std::map<std::string, at::Tensor> rows_;
};

// What a video's text stage finds encoded, and what it encodes for later videos.
struct TextPlan {
  ContextStore* store = nullptr;  // on the first rank; nullptr: none
  bool known = false;             // on every rank: the store has all prompts of the video
  std::vector<std::string>
      ahead{};  // on the first rank: prompts of later videos, to be encoded in this visit
};

}  // namespace ferry::worker
