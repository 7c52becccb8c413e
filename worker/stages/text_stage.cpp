#include <ATen/ops/empty.h>
#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <span>

#include "base/clock.h"
#include "model/tensor.h"
#include "model/text/clean.h"
#include "model/text/tokenizer.h"
#include "model/text/umt5.h"
#include "parallel/agree.h"
#include "worker/cores.h"
#include "worker/job/noise.h"
#include "worker/job/prompts.h"
#include "worker/stages/not_finite.h"
#include "worker/stages/stages.h"
#include "worker/weights/stage_weights.h"

namespace ferry::worker {
namespace {

// Result of the first rank: contexts, or an error.
struct Encoded {
  std::vector<at::Tensor> contexts;
  std::string failure;
};

Encoded read_contexts(const StageInput& input) {
  Encoded read;
  const Job& job = *input.job;
  for (const char* name : {"positive", "negative"}) {
    const at::Device device = model::torch_device(*input.rank->device);
    read.contexts.push_back(read_float_tensor(job.context, name).to(device));
    if (!all_finite(*input.rank->device, read.contexts.back())) {
      read.failure = fmt::format("text: the context is not finite: tensor '{}' of {}", name, job.context);
      break;
    }
    if (!job.guided()) break;
  }
  return read;
}

using TokenIds = std::vector<std::vector<std::int64_t>>;

TokenIds token_ids(const model::Tokenizer& tokenizer, std::span<const std::string> prompts) {
  TokenIds ids;
  for (const std::string& prompt : prompts) ids.push_back(tokenizer.encode(model::clean_prompt(prompt)));
  return ids;
}

model::Umt5Runtime runtime_of(const StageInput& input) {
  return {.device = input.rank->device.get(), .compute = input.network(Role::TextEncoder).compute, .tap = {}};
}

// On the first rank.
bool shares_contexts(const StageInput& input) {
  return input.text != nullptr && input.text->store != nullptr;
}

// Encodes the prompts again, to find where values stop being finite.
std::string cause(const StageInput& input, model::Weights& weights, const TokenIds& ids) {
  const model::Umt5Config& config = input.networks->facts.text.value();
  // Checks: the embedding, two per block, the norm.
  FiniteTrail trail(*input.rank->device, ids.size() * static_cast<std::size_t>(2 + 2 * config.layers));
  model::Umt5Runtime runtime = runtime_of(input);
  runtime.tap = trail.tap();
  model::Umt5Encoder(config, weights, runtime).encode(ids);
  const std::optional<Place> place = trail.first();
  return begun_at(place, place && ids.size() > 1 ? branch_name(place->turn) : "", weights);
}

// MKL divides products of a few rows among threads in one of two ways, from run to run, which gives two
// results (oneMKL 2024.0, two cores, 128 columns: 1 in 15 runs).  Products of a small network gain nothing by
// threads.
constexpr std::int64_t kSmallDim = 1024;

int threads_for(const StageInput& input, const model::Umt5Config& config) {
  if (input.rank->on_gpu()) return threads_of_ranks(1);
  return config.dim < kSmallDim ? 1 : threads_of_ranks(input.rank->session->group_node_size());
}

// Later videos' prompts that are encoded together: as many as a video has, for which the device has room.
constexpr std::size_t kTogether = 2;

// Encodes prompts of later videos into the store; `not_finite` is called for one whose context is not.
void encode_ahead(const StageInput& input, model::Umt5Encoder& encoder, const model::Tokenizer& tokenizer,
                  const std::function<void(const std::string& prompt)>& not_finite) {
  std::span<const std::string> left = input.text->ahead;
  while (!left.empty()) {
    const auto prompts = left.first(std::min(kTogether, left.size()));
    left = left.subspan(prompts.size());
    const std::vector<at::Tensor> contexts = encoder.encode(token_ids(tokenizer, prompts));
    for (std::size_t i = 0; i < prompts.size(); ++i) {
      if (all_finite(*input.rank->device, contexts[i])) {
        input.text->store->put(prompts[i], contexts[i]);
      } else {
        not_finite(prompts[i]);
      }
      input.progress->step();
    }
  }
}

// Runs on the first rank.
Encoded encode_prompts(const StageInput& input, model::Weights& weights) {
  const TraceScope span(input.rank->trace.get(), Lane::Compute, "text", input.rank->device->compute());
  const model::Umt5Config& config = input.networks->facts.text.value();
  const ThreadScope threads(threads_for(input, config));
  const model::Tokenizer tokenizer(input.networks->tokenizer, config.text_len);
  const std::vector<std::string> prompts = prompts_of(*input.job);
  const TokenIds ids = token_ids(tokenizer, prompts);
  input.rank->session->send_heartbeat();
  model::Umt5Encoder encoder(config, weights, runtime_of(input));
  Encoded encoded{encoder.encode(ids), {}};
  for (std::size_t i = 0; i < encoded.contexts.size(); ++i) {
    if (!all_finite(*input.rank->device, encoded.contexts[i])) {
      input.rank->session->send_heartbeat();
      encoded.failure = fmt::format("text: the context of {} is not finite: {}",
                                    branch_name(static_cast<int>(i)), cause(input, weights, ids));
      return encoded;
    }
    if (shares_contexts(input)) input.text->store->put(prompts[i], encoded.contexts[i]);
  }
  // One that is not finite is left to its own video.
  if (shares_contexts(input)) encode_ahead(input, encoder, tokenizer, [](const std::string&) {});
  return encoded;
}

// Runs on the first rank.
void encode_for_others(const StageInput& input, model::Weights& weights) {
  const TraceScope span(input.rank->trace.get(), Lane::Compute, "text", input.rank->device->compute());
  const model::Umt5Config& config = input.networks->facts.text.value();
  const ThreadScope threads(threads_for(input, config));
  const model::Tokenizer tokenizer(input.networks->tokenizer, config.text_len);
  model::Umt5Encoder encoder(config, weights, runtime_of(input));
  encode_ahead(input, encoder, tokenizer, [&](const std::string& prompt) {
    input.rank->session->send_heartbeat();
    const std::string alone[] = {prompt};
    input.text->store->put_cause(prompt, cause(input, weights, token_ids(tokenizer, alone)));
  });
}

// From the store.  Runs on the first rank.
Encoded known_contexts(const StageInput& input) {
  Encoded known;
  for (const std::string& prompt : prompts_of(*input.job)) {
    const std::string cause = input.text->store->cause(prompt);
    if (!cause.empty()) {
      known.failure = fmt::format("text: the context of {} is not finite: {}",
                                  branch_name(static_cast<int>(known.contexts.size())), cause);
      break;
    }
    known.contexts.push_back(input.text->store->rows(prompt).to(model::torch_device(*input.rank->device)));
  }
  return known;
}

Encoded encode(const StageInput& input, StageRecord& record, const std::function<void()>& read) {
  BorrowedStage stage(*input.model, source_of(input, Role::TextEncoder), *input.progress, record, read);
  Encoded encoded;
  input.rank->begin(parallel::Stage::Text);
  const std::size_t ahead = shares_contexts(input) ? input.text->ahead.size() : 0;
  input.progress->begin("text", static_cast<std::int64_t>(ahead));
  speak_first(*input.rank, [&] {
    if (input.rank->is_first()) encoded = encode_prompts(input, stage.weights());
  });
  stage.finish(record);
  if (encoded.failure.empty()) {
    input.progress->end();
  } else {
    input.progress->give_up();
  }
  return encoded;
}

// Rows and type of each context, so that the other ranks can allocate them; or the error.
std::string describe(const Encoded& encoded) {
  if (!encoded.failure.empty()) return nlohmann::json(encoded.failure).dump();
  nlohmann::json shapes = nlohmann::json::array();
  for (const at::Tensor& context : encoded.contexts) {
    shapes.push_back({context.size(0), context.size(1), static_cast<int>(context.scalar_type())});
  }
  return shapes.dump();
}

std::vector<at::Tensor> to_all_ranks(Rank& rank, const Encoded& mine) {
  const auto shapes =
      nlohmann::json::parse(rank.session->broadcast(rank.is_first() ? describe(mine) : "", 0));
  if (shapes.is_string()) throw NotFinite(shapes.get<std::string>());
  std::vector<at::Tensor> contexts;
  for (std::size_t i = 0; i < shapes.size(); ++i) {
    const at::TensorOptions options = at::TensorOptions(model::torch_device(*rank.device))
                                          .dtype(static_cast<at::ScalarType>(shapes[i][2].get<int>()));
    contexts.push_back(
        rank.is_first()
            ? mine.contexts[i].contiguous()
            : at::empty({shapes[i][0].get<std::int64_t>(), shapes[i][1].get<std::int64_t>()}, options));
    rank.groups.data_root->broadcast(contexts[i].mutable_data_ptr(), contexts[i].nbytes(), 0,
                                     rank.device->compute());
  }
  return contexts;
}

}  // namespace

bool encodes_text(const StageInput& input) {
  return entry_of(Role::TextEncoder).needed(given_to(*input.job)) &&
         (input.text == nullptr || !input.text->known);
}

void text_visit(const StageInput& input, StageRecord& record, const std::function<void()>& read) {
  record.name = "text";
  BorrowedStage stage(*input.model, source_of(input, Role::TextEncoder), *input.progress, record, read);
  input.rank->begin(parallel::Stage::Text);
  input.progress->begin("text", static_cast<std::int64_t>(input.text->ahead.size()));
  speak_first(*input.rank, [&] {
    if (input.rank->is_first()) encode_for_others(input, stage.weights());
  });
  stage.finish(record);
  input.progress->end();
}

std::vector<at::Tensor> text_stage(const StageInput& input, StageRecord& record,
                                   const std::function<void()>& read) {
  record.name = "text";
  const Clock::time_point begin = Clock::now();
  input.rank->begin(parallel::Stage::Text);
  Encoded encoded;
  if (encodes_text(input)) {
    encoded = encode(input, record, read);
  } else {
    from_rank_0(*input.rank->session, [&] {
      encoded = input.job->context.empty() ? known_contexts(input) : read_contexts(input);
      return "";
    });
  }
  std::vector<at::Tensor> contexts = to_all_ranks(*input.rank, encoded);
  record.run_s = seconds_since(begin) - record.load_s;
  return contexts;
}

}  // namespace ferry::worker
