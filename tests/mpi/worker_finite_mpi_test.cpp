// A run whose values stop being finite ends on every rank alike, says where that began, and keeps the last
// latent that was finite: under every strategy and guidance mode, on as many ranks as there are.
#include <ATen/TensorOperators.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/full.h>
#include <ATen/ops/full_like.h>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <functional>
#include <limits>

#include "model/sampler/sampler.h"
#include "tests/support/demo_job.h"
#include "tests/support/mpi_fixture.h"
#include "tests/support/safetensors_io.h"
#include "tests/support/temporary_folder.h"
#include "worker/generate.h"
#include "worker/stages/branches.h"
#include "worker/stages/not_finite.h"
#include "worker/weights/stage_weights.h"

namespace ferry::worker {
namespace {

using ::ferry::testing::demo_model;
using ::ferry::testing::MpiTest;
using ::ferry::testing::small_job;
using ::ferry::testing::TemporaryFolder;
using ::ferry::testing::TensorMap;
using parallel::CfgMode;
using ::testing::HasSubstr;

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInfinity = std::numeric_limits<float>::infinity();
const std::string kDit = "transformer/diffusion_pytorch_model.safetensors";

// A unit of the time embedding that gives 0 at timesteps above `limit` and infinity below it: the sinusoid's
// slowest sine, sin(t w), through a SiLU.
void overflow_below(TensorMap& tensors, double limit) {
  const double slowest = std::pow(10000.0, -127.0 / 128);
  const std::string name = "condition_embedder.time_embedder.linear_";
  constexpr double kSteep = 1e30;
  const at::Tensor weight = tensors.at(name + "1.weight");
  weight[0].zero_();
  weight[0][255] = -kSteep;
  tensors.at(name + "1.bias")[0] = kSteep * std::sin(slowest * limit);
  tensors.at(name + "2.weight")[0][0] = 1e12;
}

class NotFiniteRun : public MpiTest {
 protected:
  NotFiniteRun() {
    options.job.shift = 3.0;
    options.job.sampler = "unipc";
  }
  // The demo model with one file changed; rank 0's, which all use.
  void damage(const std::string& file, const std::function<void(TensorMap&)>& change) {
    const std::string model = session().broadcast(folder.file("model"), 0);
    if (rank() == 0) {
      std::filesystem::copy(demo_model(), model, std::filesystem::copy_options::recursive);
      TensorMap tensors = testing::read_safetensors(model + "/" + file);
      change(tensors);
      testing::write_safetensors(model + "/" + file, tensors);
    }
    session().barrier();
    options.model.path = model;
  }

  // What every rank says, the same; `made` is what was there before.
  std::string failure() {
    made = {};
    Engine engine(options, session());
    const Prepared prepared = engine.prepare(options.job);
    Progress silent;
    std::string mine;
    try {
      generate(engine, prepared, silent, made);
    } catch (const NotFinite& error) {
      mine = error.what();
      whose = error.whose();
    }
    for (const std::string& other : session().all_gather(mine)) EXPECT_EQ(other, mine);
    EXPECT_FALSE(made.frames.defined());
    return mine;
  }

  std::vector<CfgMode> modes() const {
    std::vector<CfgMode> modes = {CfgMode::Serial, CfgMode::Paired};
    if (size() % 2 == 0) modes.push_back(CfgMode::Parallel);
    return modes;
  }

  // The latent after so many of the job's steps, with nobody watching.
  at::Tensor latent_after(int steps) {
    Engine engine(options, session());
    const Prepared prepared = engine.prepare(options.job);
    Progress silent;
    StageRecord record;
    const StageInput input{.options = &prepared.options,
                           .job = &prepared.job,
                           .networks = &engine.networks(),
                           .rank = &engine.rank(),
                           .model = &engine.model(),
                           .progress = &silent};
    BorrowedStage stage(engine.model(), source_of(input, Role::Dit), silent, record);
    const model::DitRuntime runtime =
        engine.rank().dit_runtime(input.network(Role::Dit).compute, stage.weights().exchange_gate());
    model::Dit dit(engine.networks().facts.dit, stage.weights(), runtime);
    Branches branches(input, dit, made.contexts);
    model::Sampler sampler =
        model::make_sampler(prepared.job.sampler, prepared.job.steps, prepared.job.shift);
    at::Tensor x = made.noise;
    for (int i = 0; i < steps; ++i) {
      const double t = sampler.timesteps()[static_cast<std::size_t>(i)];
      x = sampler.step(i, x, combined(branches(x, t), prepared.job.guidance)).contiguous();
    }
    return x;
  }

  TemporaryFolder folder;
  Options options = small_job(folder.file("video.mp4"));
  Generation made;
  std::string whose;
};

TEST_F(NotFiniteRun, NamesStageStepBlockAndTensorUnderEveryStrategyAndGuidanceMode) {
  damage(kDit, [](TensorMap& tensors) { tensors.at("blocks.2.ffn.net.2.weight")[0][0] = kNan; });
  const auto expect_named = [&] {
    EXPECT_THAT(
        failure(),
        HasSubstr("denoise: the latent is not finite after step 1 of 4: first in block 2 (blocks.2 ffn) "
                  "for the prompt, where blocks.2.ffn.2.weight is not finite"));
    EXPECT_TRUE(at::equal(made.latents, made.noise));
    EXPECT_EQ(whose, "the noise");
  };
  using offload::StrategyKind;
  for (const StrategyKind type : {StrategyKind::None, StrategyKind::Model, StrategyKind::Sequential}) {
    options.offload[Role::Dit].type = type;
    expect_named();
  }
  options.offload[Role::Dit].type = StrategyKind::Async;
  for (const CfgMode mode : modes()) {
    options.parallel.cfg = mode;
    expect_named();
  }
}

TEST_F(NotFiniteRun, ShardedAndGatedFerryingCanRunAStepAgain) {
  damage(kDit, [](TensorMap& tensors) { tensors.at("blocks.5.attn2.to_k.bias")[7] = kInfinity; });
  options.offload[Role::Dit].type = offload::StrategyKind::Async;
  for (const auto transport : {offload::Transport::Full, offload::Transport::Sharded}) {
    options.offload[Role::Dit].transport = transport;
    options.offload[Role::Dit].interleave = offload::Interleave::Gated;
    EXPECT_THAT(failure(), HasSubstr("block 5 (blocks.5 cross_attn) for the prompt, where "
                                     "blocks.5.cross_attn.k.bias is not finite"));
  }
}

TEST_F(NotFiniteRun, TheBranchIsNamed) {
  {
    // Gone before the next, which writes to the same names.
    Engine engine(options, session());
    const Prepared prepared = engine.prepare(options.job);
    Progress silent;
    generate(engine, prepared, silent, made);
  }
  options.job.context = session().broadcast(folder.file("context.safetensors"), 0);
  // Finite, but its sums are not.
  const at::Tensor large = at::full_like(made.contexts[1], 3e38);
  if (rank() == 0)
    testing::write_safetensors(options.job.context, {{"positive", made.contexts[0]}, {"negative", large}});
  session().barrier();
  for (const CfgMode mode : modes()) {
    options.parallel.cfg = mode;
    EXPECT_THAT(failure(), HasSubstr("text_embedding for the negative prompt, whose weights are finite"));
  }
}

TEST_F(NotFiniteRun, KeepsTheLatentOfTheStepBefore) {
  const auto times = model::make_sampler("unipc", 4, 3.0).timesteps();
  damage(kDit, [&](TensorMap& tensors) { overflow_below(tensors, (times[1] + times[2]) / 2); });
  for (const CfgMode mode : modes()) {
    options.parallel.cfg = mode;
    EXPECT_THAT(failure(), HasSubstr("after step 3 of 4: first in time_embedding"));
    EXPECT_EQ(whose, "of step 2");
    EXPECT_TRUE(at::equal(made.latents, latent_after(2)));
    EXPECT_FALSE(at::equal(made.latents, made.noise));
  }
}

TEST_F(NotFiniteRun, TheLastStepIsLookedAtToo) {
  const auto times = model::make_sampler("unipc", 4, 3.0).timesteps();
  damage(kDit, [&](TensorMap& tensors) { overflow_below(tensors, (times[2] + times[3]) / 2); });
  EXPECT_THAT(failure(), HasSubstr("after step 4 of 4"));
  EXPECT_TRUE(at::equal(made.latents, latent_after(3)));
}

TEST_F(NotFiniteRun, GuidanceMayBeWhatOverflows) {
  options.job.guidance = 1e39;  // infinite in fp32
  EXPECT_THAT(failure(), HasSubstr("guidance 1e+39 between them is not"));
}

TEST_F(NotFiniteRun, TheTextEncoderNamesItsPart) {
  damage("text_encoder/model.safetensors",
         [](TensorMap& tensors) { tensors.at("encoder.final_layer_norm.weight")[3] = kNan; });
  for (const auto type : {offload::StrategyKind::None, offload::StrategyKind::Sequential}) {
    options.offload[Role::TextEncoder].type = type;
    EXPECT_THAT(failure(),
                HasSubstr("text: the context of the prompt is not finite: first in norm for the prompt, "
                          "where norm.weight is not finite"));
    EXPECT_FALSE(made.latents.defined());
  }
}

TEST_F(NotFiniteRun, TheDecoderNamesFramesAndUnitAndTheLatentsStay) {
  damage("vae/diffusion_pytorch_model.safetensors",
         [](TensorMap& tensors) { tensors.at("decoder.up_blocks.1.resnets.0.conv2.bias")[0] = kInfinity; });
  for (const bool split : {true, false}) {
    for (const auto type : {offload::StrategyKind::None, offload::StrategyKind::Async}) {
      options.offload[Role::Vae].type = type;
      options.parallel.split_vae = split;
      const std::string said = failure();
      EXPECT_THAT(said, HasSubstr("decode: frames 1 to 1 of 5 are not finite: first in block "));
      EXPECT_THAT(said, HasSubstr(".bias is not finite"));
    }
  }
  EXPECT_TRUE(at::equal(made.latents, latent_after(4)));
}

// The second latent frame has a value in its last row, so of the last rank, that overflows.
TEST_F(NotFiniteRun, TheDecoderNamesWhatBeginsOnAnotherRank) {
  at::Tensor latents = at::full({16, 2, 6, 10}, 0.1, at::kFloat);
  latents.select(1, 1).select(1, 5).fill_(3e38);
  options.job.latents = session().broadcast(folder.file("latents.safetensors"), 0);
  if (rank() == 0) testing::write_safetensors(options.job.latents, {{"latents", latents}});
  session().barrier();
  options.parallel.split_vae = false;
  const std::string alone = failure();
  EXPECT_THAT(alone, HasSubstr("decode: frames 2 to 5 of 5 are not finite: first in "));
  options.parallel.split_vae = true;
  EXPECT_EQ(failure(), alone);
}

}  // namespace
}  // namespace ferry::worker
