// Contexts of prompts that later videos need, encoded in one visit of the text encoder.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstddef>
#include <map>
#include <string>
#include <vector>

#include "parallel/mpi/control.h"

namespace ferry::worker {

// In host memory of the first rank.  Rows [Lt, text_dim] in the text encoder's compute type.
class ContextStore {
 public:
  bool has(const std::string& prompt) const { return rows_.contains(prompt) || causes_.contains(prompt); }
  // Needs has() and an empty cause().
  const at::Tensor& rows(const std::string& prompt) const { return rows_.at(prompt); }
  void put(const std::string& prompt, const at::Tensor& rows);
  // Where the context of a prompt stops being finite, if it does: then there are no rows.
  std::string cause(const std::string& prompt) const;
  void put_cause(const std::string& prompt, const std::string& cause);
  void drop(const std::string& prompt);
  std::size_t bytes() const;
  // Gives what the first rank has to those that want it.  Collective over `ranks`.
  void share(parallel::Control& ranks, bool wanted);

 private:
  std::map<std::string, at::Tensor> rows_;
  std::map<std::string, std::string> causes_;
};

// What a video's text stage finds encoded, and what it encodes for later videos.
struct TextPlan {
  ContextStore* store = nullptr;  // on the first rank; nullptr: none
  bool known = false;             // on every rank: the store has all prompts of the video
  std::vector<std::string>
      ahead{};  // on the first rank: prompts of later videos, to be encoded in this visit
};

}  // namespace ferry::worker
