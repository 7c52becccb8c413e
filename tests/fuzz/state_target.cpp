// The target of state files.  Nearly every damaged one fails at its checksum; so each input is read as it is,
// and again with the checksum that belongs to it.
#include <ATen/TensorOperators.h>
#include <ATen/ops/zeros.h>

#include <array>
#include <cstring>
#include <future>

#include "base/error.h"
#include "checkpoint/formats/crc32.h"
#include "model/sampler/sampler.h"
#include "tests/fuzz/scratch.h"
#include "tests/fuzz/target.h"
#include "worker/state/identity.h"
#include "worker/state/run_identity.h"
#include "worker/state/state_file.h"
#include "worker/state/unfinished_run.h"

namespace ferry::fuzz {
namespace {

constexpr int kSteps = 4;
constexpr std::array<std::int64_t, 4> kShape = {2, 1, 1, 2};

worker::Job job() {
  worker::Job job;
  job.sampler = "unipc";
  job.steps = kSteps;
  job.shift = 3;
  job.guidance = 5;
  job.latent_shape = kShape;
  return job;
}

std::string with_checksum(std::string_view input) {
  std::string bytes(input);
  std::uint64_t sum = 0;
  if (bytes.size() <= sizeof sum) return bytes;
  const std::size_t end = bytes.size() - sizeof sum;
  sum = checkpoint::crc32(0, std::as_bytes(std::span(bytes.data(), end)));
  std::memcpy(bytes.data() + end, &sum, sizeof sum);
  return bytes;
}

// As prepare() does (worker/engine.h), for a run that is the file's own but for its tensors.
void resume(const std::string& path) {
  worker::UnfinishedRun run({path}, true);
  worker::Options options;
  options.job.seed = -1;
  run.take_over(options, 1);
  std::promise<worker::Identity> mine;
  mine.set_value(worker::identity_from_json(worker::read_state(path).identity));
  run.set_identity(mine.get_future());
  run.check(job());
}

void read_state(std::string_view input) {
  const std::string path = put("x.state", input);
  static_cast<void>(worker::is_state(path));
  try {
    static_cast<void>(worker::read_state(path));
  } catch (const UserError&) {  // a refusal is an answer; resume() goes on with a checksum that fits
  }
  resume(put("x.state", with_checksum(input)));
}

// After `steps` steps of a network that halves.
std::string state_after(int steps) {
  worker::StateFile state;
  at::Tensor latent = at::zeros(kShape) + 0.5;
  model::Sampler sampler = model::make_sampler(job().sampler, kSteps, job().shift);
  for (int step = 0; step < steps; ++step) latent = sampler.step(step, latent, latent * 0.5);
  state.sampling.latent = latent;
  state.sampling.sampler = sampler.state();
  state.sampling.contexts = {at::zeros({1, 2}, at::kBFloat16), at::zeros({2, 2})};
  const worker::Identity identity{.values = {{"prompt", "a boat"},
                                             {worker::kSeedValue, "7"},
                                             {worker::kRanksValue, "1"},
                                             {worker::kCfgValue, "serial"}},
                                  .tensors = {{"dit", {{"a.weight", "bf16 [2] 00"}}}}};
  state.identity = worker::to_json(identity);
  return made_by([&](const std::string& path) { worker::write_state(path, state); });
}

std::vector<std::string> state_corpus() { return {state_after(0), state_after(2), state_after(kSteps)}; }

}  // namespace

Target state_target() {
  return {"state",
          read_state,
          state_corpus,
          {"ferry_state",
           "steps_done",
           "identity",
           "checksum",
           "latent",
           "sampler.predicted",
           "sampler.",
           "context.0",
           "context.1",
           "\\\"values\\\"",
           "\\\"tensors\\\"",
           "\\\"ranks\\\"",
           "[",
           "]",
           "{",
           "}",
           "null",
           "BF16",
           "F8_E4M3",
           "BOOL",
           "\"1\"",
           "-1",
           "\\u0000"}};
}

}  // namespace ferry::fuzz
