#include "worker/job/prompts.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"
#include "model/text/clean.h"
#include "model/text/tokenizer.h"

namespace ferry::worker {
namespace {

TokenCount count(const std::string& prompt, const model::Tokenizer& tokenizer, std::int64_t window) {
  const std::int64_t total = tokenizer.count(model::clean_prompt(prompt));
  return {.total = total, .used = std::min(total, window)};
}

}  // namespace

std::vector<std::string> prompts_of(const Job& job) {
  std::vector<std::string> prompts = {job.prompt};
  if (job.guided()) prompts.push_back(job.negative_prompt);
  return prompts;
}

std::vector<std::string> count_tokens(Job& job, const Networks& networks) {
  if (needed_network(networks, Role::TextEncoder, given_to(job)) == nullptr) return {};
  const std::int64_t window = networks.facts.text->text_len;
  const model::Tokenizer tokenizer(networks.tokenizer, window);
  job.prompt_tokens = count(job.prompt, tokenizer, window);
  // Only end-of-sentence.
  if (job.prompt_tokens.total == 1) throw UserError("prompt: it is empty: the tokenizer finds no text in it");
  if (job.guided()) job.negative_prompt_tokens = count(job.negative_prompt, tokenizer, window);
  std::vector<std::string> cuts;
  for (const auto& [name, tokens] :
       {std::pair("prompt", job.prompt_tokens), std::pair("negative prompt", job.negative_prompt_tokens)}) {
    if (tokens.used == tokens.total) continue;
    cuts.push_back(fmt::format("{}: {} tokens, {} used: the model reads no more, the end of the text is cut",
                               name, tokens.total, tokens.used));
  }
  return cuts;
}

}  // namespace ferry::worker
