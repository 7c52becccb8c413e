#include <ATen/ops/empty.h>

#include <nlohmann/json.hpp>

#include "base/clock.h"
#include "model/tensor.h"
#include "model/text/clean.h"
#include "model/text/tokenizer.h"
#include "model/text/umt5.h"
#include "worker/activations.h"
#include "worker/cores.h"
#include "worker/noise.h"
#include "worker/stage_weights.h"
#include "worker/stages.h"

namespace ferry::worker {
namespace {

std::vector<at::Tensor> read_contexts(const StageInput& input) {
  const at::Device device = model::torch_device(*input.rank->device);
  std::vector<at::Tensor> contexts = {read_float_tensor(input.job->context, "positive").to(device)};
  if (input.job->guided()) contexts.push_back(read_float_tensor(input.job->context, "negative").to(device));
  return contexts;
}

std::vector<std::vector<std::int64_t>> token_ids(const StageInput& input, std::int64_t text_len) {
  const model::Tokenizer tokenizer(input.networks->tokenizer, text_len);
  std::vector<std::vector<std::int64_t>> ids = {tokenizer.encode(model::clean_prompt(input.job->prompt))};
  if (input.job->guided()) ids.push_back(tokenizer.encode(model::clean_prompt(input.job->negative_prompt)));
  return ids;
}

std::vector<at::Tensor> encode(const StageInput& input, StageRecord& record) {
  const Network& text = input.networks->text.value();
  const model::Umt5Config& config = input.networks->facts.text.value();
  LoadedStage stage(
      {&text, &input.options->text_encoder, Runs::Alone, activation_bytes(config, text.compute)}, *input.rank,
      *input.progress, record);
  std::vector<at::Tensor> contexts;
  input.progress->begin("text", 0);
  if (input.rank->is_first()) {
    const TraceScope span(input.rank->trace.get(), Lane::Compute, "text", input.rank->device->compute());
    const AllCores cores(input.rank->on_gpu() ? 1 : input.rank->session->node_size());
    const auto ids = token_ids(input, config.text_len);
    input.rank->session->send_sign_of_life();
    contexts = model::umt5_encode(config, stage.weights(), ids,
                                  {.device = input.rank->device.get(), .compute = text.compute});
  }
  stage.finish(record);
  input.progress->end();
  return contexts;
}

// How many rows each context has, and of what type, so that the others can make room.
std::string describe(const std::vector<at::Tensor>& contexts) {
  nlohmann::json shapes = nlohmann::json::array();
  for (const at::Tensor& context : contexts) {
    shapes.push_back({context.size(0), context.size(1), static_cast<int>(context.scalar_type())});
  }
  return shapes.dump();
}

std::vector<at::Tensor> share(Rank& rank, const std::vector<at::Tensor>& mine) {
  const auto shapes =
      nlohmann::json::parse(rank.session->broadcast(rank.is_first() ? describe(mine) : "", 0));
  std::vector<at::Tensor> contexts;
  for (std::size_t i = 0; i < shapes.size(); ++i) {
    const at::TensorOptions options = at::TensorOptions(model::torch_device(*rank.device))
                                          .dtype(static_cast<at::ScalarType>(shapes[i][2].get<int>()));
    contexts.push_back(
        rank.is_first()
            ? mine[i].contiguous()
            : at::empty({shapes[i][0].get<std::int64_t>(), shapes[i][1].get<std::int64_t>()}, options));
    rank.groups.data_root->broadcast(contexts[i].mutable_data_ptr(), contexts[i].nbytes(), 0,
                                     rank.device->compute());
  }
  return contexts;
}

}  // namespace

std::vector<at::Tensor> text_stage(const StageInput& input, StageRecord& record) {
  record.name = "text";
  const Clock::time_point begin = Clock::now();
  std::vector<at::Tensor> contexts;
  if (input.networks->text) {
    contexts = encode(input, record);
  } else if (input.rank->is_first()) {
    contexts = read_contexts(input);
  }
  contexts = share(*input.rank, contexts);
  record.run_s = seconds_since(begin) - record.load_s;
  return contexts;
}

}  // namespace ferry::worker
