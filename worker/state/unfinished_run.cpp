#include "worker/state/unfinished_run.h"

#include <fmt/format.h>
#include <unistd.h>

#include <charconv>
#include <filesystem>
#include <stdexcept>
#include <utility>

#include "base/error.h"
#include "base/log.h"
#include "base/text/shown.h"
#include "parallel/options.h"
#include "worker/state/run_identity.h"

namespace ferry::worker {
namespace {

namespace fs = std::filesystem;

bool is_there(const std::string& path) {
  std::error_code error;
  return fs::exists(fs::symlink_status(path, error));
}

parallel::CfgMode mode_named(const std::string& name) {
  return from_word<parallel::CfgMode>(name).value_or(parallel::CfgMode::Auto);
}

// A damaged state may be replaced, somebody's other file not.
void refuse_other_file(const std::string& path) {
  if (fs::path(path).extension() == ".state" || is_state(path)) return;
  throw UserError(fmt::format("state {}: it is another kind of file; choose another name for run.state",
                              shown(path, std::string::npos)));
}

// Throws std::invalid_argument if it is no state of this job's sampler.
void check_sampling(const SamplingState& sampling, const Job& job) {
  model::Sampler sampler = model::make_sampler(job.sampler, job.steps, job.shift);
  if (sampling.steps_done() < job.steps) sampler.restore(sampling.sampler);
  const auto shape = sampling.latent.sizes();
  if (sampling.steps_done() > job.steps || !shape.equals(job.latent_shape))
    throw std::invalid_argument("its latent is not of this size and length");
  if (sampling.contexts.size() != (job.guided() ? 2U : 1U))
    throw std::invalid_argument("its contexts are not of this guidance");
}

}  // namespace

std::string refusal_of_state(const std::string& path, const std::string& reason) {
  return fmt::format("state {}: {}; --run.resume false ignores and replaces it",
                     shown(path, std::string::npos), reason);
}

UnfinishedRun::UnfinishedRun(StateName name, bool resume) : name_(std::move(name)) {
  if (!is_there(path())) return;
  if (!resume) {
    refuse_other_file(path());
    return;
  }
  try {
    kept_ = read_state(path());
    kept_identity_ = identity_from_json(kept_->identity);
  } catch (const UserError& error) {
    throw UserError(refusal_of_state(path(), error.what()));
  }
  attention_ = kept_identity_.take(kAttentionValue);
}

void UnfinishedRun::take_over(Options& options, int ranks) const {
  const std::string kept_ranks = kept_identity_.value(kRanksValue);
  if (kept_ranks != std::to_string(ranks)) {
    throw UserError(
        refusal_of_state(path(), fmt::format("ranks are {}, in the state {}", ranks, shown(kept_ranks))));
  }
  const std::string seed = kept_identity_.value(kSeedValue);
  if (options.job.seed == -1 && !seed.empty())
    std::from_chars(seed.data(), seed.data() + seed.size(), options.job.seed);
  if (options.parallel.cfg == parallel::CfgMode::Auto)
    options.parallel.cfg = mode_named(kept_identity_.value(kCfgValue));
}

const Identity& UnfinishedRun::mine() {
  if (pending_.valid()) mine_ = pending_.get();
  return mine_;
}

void UnfinishedRun::check(const Job& job) {
  const std::string found = differences(mine(), kept_identity_);
  if (!found.empty()) throw UserError(refusal_of_state(path(), "of another run: " + found));
  try {
    check_sampling(kept_->sampling, job);
  } catch (const std::invalid_argument& error) {
    throw UserError(refusal_of_state(path(), error.what()));
  }
}

void UnfinishedRun::save(const SamplingState& sampling) {
  Identity identity = mine();
  identity.values.emplace_back(kAttentionValue, attention_);
  write_state(path(), {.sampling = sampling, .identity = to_json(identity)});
  spdlog::info("the state after {} steps is in {}: the same command goes on from there",
               sampling.steps_done(), shown(path(), std::string::npos));
}

void UnfinishedRun::remove() noexcept { ::unlink(path().c_str()); }

}  // namespace ferry::worker
