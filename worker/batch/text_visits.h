// Which prompts of a batch are encoded when: those of as many videos as fit the host's memory in one visit of
// the text encoder.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "worker/job/job.h"
#include "worker/stages/context_store.h"

namespace ferry::worker {

// What a video's text stage does.
struct TextVisit {
  bool known = false;              // all its prompts are in the store
  std::vector<std::string> ahead;  // prompts of later videos to be encoded with its own
  bool more_later = false;         // a later video will need the text encoder
};

// The prompts that the text encoder must encode for a job; none if its contexts or latents come from a file.
std::vector<std::string> prompts_to_encode(const Job& job);

// Plans the visit of the first of `jobs`; the others follow it.  `store` says which prompts are known, of
// which each takes `bytes_each` at most; all together may take `limit_bytes`.
TextVisit plan_visit(std::span<const Job* const> jobs, const ContextStore& store, std::size_t bytes_each,
                     std::size_t limit_bytes);

// Videos whose prompts are encoded together, before any of them is made.
struct TextRound {
  std::size_t videos = 0;            // how many, from the first on: one or more
  std::vector<std::string> prompts;  // theirs, each once
  bool more_later = false;           // one of the others will need the text encoder
};

// As many of `jobs`, which is not empty, as have room within `limit_bytes`, and of those only the first ones
// that have the same LoRAs, which are merged into the weights that all share.
TextRound plan_round(std::span<const Job* const> jobs, std::size_t bytes_each, std::size_t limit_bytes);

}  // namespace ferry::worker
