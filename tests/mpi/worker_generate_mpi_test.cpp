// The whole pipeline on the small model (4 heads), on as many ranks as there are: the guidance mode and the
// strategy may not change a bit, and every rank ends with the same latent.  tests/e2e compares numbers of
// ranks.
#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/linalg_vector_norm.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <filesystem>

#include "base/error.h"
#include "tests/support/demo_job.h"
#include "tests/support/mpi_fixture.h"
#include "tests/support/safetensors_io.h"
#include "tests/support/temporary_folder.h"
#include "worker/generate.h"
#include "worker/job/noise.h"

namespace ferry::worker {
namespace {

using ::ferry::testing::MpiTest;
using ::ferry::testing::small_job;
using ::ferry::testing::TemporaryFolder;
using ::ferry::testing::write_safetensors;
using parallel::CfgMode;
using ::testing::HasSubstr;

double relative_l2(const at::Tensor& a, const at::Tensor& b) {
  return (at::linalg_vector_norm(a - b) / at::linalg_vector_norm(b)).item<double>();
}

class Generate : public MpiTest {
 protected:
  Generation make(const Options& options) {
    Engine engine(options, session());
    const Prepared prepared = engine.prepare(options.job);
    Progress silent;
    Generation made;
    generate(engine, prepared, silent, made);
    return made;
  }
  at::Tensor latents(const Options& options) { return make(options).latents; }

  // The UserError that every rank must throw alike.
  std::string refusal(const Options& options) {
    std::string mine;
    try {
      Engine(options, session()).prepare(options.job);
    } catch (const UserError& error) {
      mine = error.what();
    }
    for (const std::string& other : session().all_gather(mine)) EXPECT_EQ(other, mine);
    return mine;
  }

  TemporaryFolder folder;  // one for each rank; only rank 0's is checked
  Options options = small_job(folder.file("video.mp4"));
};

TEST_F(Generate, EveryRankEndsWithTheSameLatent) {
  const at::Tensor mine = latents(options);
  const std::string bytes(static_cast<const char*>(mine.const_data_ptr()), mine.nbytes());
  EXPECT_EQ(mine.sizes(), at::IntArrayRef({16, 2, 6, 10}));
  EXPECT_EQ(session().broadcast(bytes, 0), bytes);
}

TEST_F(Generate, TheSameSeedGivesTheSameBitsAndAnotherSeedDoesNot) {
  const Generation first = make(options);
  const Generation again = make(options);
  EXPECT_TRUE(at::equal(first.latents, again.latents));
  if (rank() == 0) {
    EXPECT_EQ(first.frames.sizes(), at::IntArrayRef({5, 48, 80, 3}));
    EXPECT_TRUE(at::equal(first.frames, again.frames));
  }
  options.job.seed = 4;
  EXPECT_FALSE(at::equal(latents(options), first.latents));
}

TEST_F(Generate, PairedAndSerialGuidanceGiveTheSameBits) {
  options.parallel.cfg = CfgMode::Serial;
  const at::Tensor serial = latents(options);
  options.parallel.cfg = CfgMode::Paired;
  EXPECT_TRUE(at::equal(latents(options), serial));
}

TEST_F(Generate, ParallelGuidanceIsCloseToSerialAndAlikeOnEveryRank) {
  if (size() % 2 != 0) GTEST_SKIP() << "parallel guidance needs an even number of ranks";
  const at::Tensor serial = latents(options);
  options.parallel.cfg = CfgMode::Parallel;
  const at::Tensor parallel = latents(options);
  const std::string bytes(static_cast<const char*>(parallel.const_data_ptr()), parallel.nbytes());
  EXPECT_EQ(session().broadcast(bytes, 1), bytes);
  // Half the Ulysses degree: GEMMs of another number of rows round otherwise, in fp32.
  EXPECT_LE(relative_l2(parallel, serial), 1e-5);
}

// The rule itself: parallel_choose_cfg_test.
TEST_F(Generate, AutoGuidanceIsDecidedAlikeOnEveryRankAndGivesTheBitsOfItsMode) {
  const CfgMode mode = size() == 2 ? CfgMode::Parallel : CfgMode::Paired;
  {
    // Gone before the next, which writes to the same names.
    Engine engine(options, session());
    const Prepared prepared = engine.prepare(options.job);
    EXPECT_EQ(prepared.options.parallel.cfg, mode);
    EXPECT_EQ(engine.rank().mesh.cfg, size() == 2 ? 2 : 1);
    EXPECT_EQ(prepared.cfg.why.empty(), rank() != 0) << "said by the first";
  }
  const at::Tensor automatic = latents(options);
  options.parallel.cfg = mode;
  EXPECT_TRUE(at::equal(automatic, latents(options)));
}

TEST_F(Generate, AutoGuidanceFollowsAGivenUlyssesDegree) {
  if (size() != 4) GTEST_SKIP() << "for four ranks";
  options.parallel.ulysses = 2;
  EXPECT_EQ(Engine(options, session()).prepare(options.job).mesh.cfg, 2);
  options.job.guidance = 1;
  EXPECT_THAT(refusal(options), HasSubstr("use --cfg paired (ulysses 4)"));
}

// Both halves of the ranks share one copy of the weights: each link carries a share of all ranks.
TEST_F(Generate, ParallelGuidanceSharesItsWeightsOverAllLinks) {
  if (size() % 2 != 0) GTEST_SKIP() << "parallel guidance needs an even number of ranks";
  options.parallel.cfg = CfgMode::Parallel;
  const at::Tensor resident = latents(options);
  options.offload[Role::Dit].type = offload::StrategyKind::Async;
  const auto ferried = [&](offload::Transport transport, offload::Interleave interleave) {
    options.offload[Role::Dit].transport = transport;
    options.offload[Role::Dit].interleave = interleave;
    const Generation made = make(options);
    EXPECT_TRUE(at::equal(made.latents, resident));
    EXPECT_EQ(made.stages[1].offload->transport, transport);
    return made.stages[1].offload->ferried_bytes;
  };
  const std::uint64_t full = ferried(offload::Transport::Full, offload::Interleave::Free);
  const std::uint64_t share = ferried(offload::Transport::Sharded, offload::Interleave::Free);
  EXPECT_EQ(ferried(offload::Transport::Sharded, offload::Interleave::Gated), share);
  const double even = static_cast<double>(full) / size();
  std::uint64_t all = 0;
  for (const std::string& each : session().all_gather(std::to_string(share))) {
    EXPECT_NEAR(std::stod(each), even, 0.02 * even) << "up to the padding of each block";
    all += std::stoull(each);
  }
  EXPECT_EQ(all, full);
}

TEST_F(Generate, GuidanceOneLeavesTheNegativePromptOut) {
  options.job.guidance = 1.0;
  const Generation made = make(options);
  EXPECT_EQ(made.contexts.size(), 1U);
  options.job.negative_prompt = "something else";
  EXPECT_TRUE(at::equal(latents(options), made.latents));
}

TEST_F(Generate, OffloadingAWholeStageChangesNoBit) {
  const Generation resident = make(options);
  options.offload[Role::Dit].type = options.offload[Role::Vae].type =
      options.offload[Role::TextEncoder].type = offload::StrategyKind::Model;
  const Generation ferried = make(options);
  EXPECT_TRUE(at::equal(ferried.latents, resident.latents));
  if (rank() == 0) {
    EXPECT_TRUE(at::equal(ferried.frames, resident.frames));
  }
  ASSERT_TRUE(ferried.stages[1].offload.has_value());
  EXPECT_EQ(ferried.stages[1].offload->type, offload::StrategyKind::Model);
  EXPECT_GT(ferried.stages[1].offload->copied_once_bytes, 0U);
}

TEST_F(Generate, FerryingBlocksChangesNoBit) {
  const at::Tensor resident = latents(options);
  options.offload[Role::Dit].type = offload::StrategyKind::Async;
  options.offload[Role::Dit].prefetch_size = 2;
  const Generation ferried = make(options);
  EXPECT_TRUE(at::equal(ferried.latents, resident));
  ASSERT_TRUE(ferried.stages[1].offload.has_value());
  EXPECT_EQ(ferried.stages[1].offload->offloaded, 6);
  EXPECT_GT(ferried.stages[1].offload->ferried_bytes, 0U);
}

TEST_F(Generate, RefusesAStrategyThatDoesNotSuitTheNetworkBeforeLoading) {
  options.offload[Role::Dit].type = offload::StrategyKind::Async;
  options.offload[Role::Dit].prefetch_size = 7;  // of 6 blocks
  EXPECT_THAT(refusal(options), HasSubstr("prefetch"));
}

TEST_F(Generate, ContextsFromAFileTakeThePlaceOfThePrompt) {
  const Generation made = make(options);
  ASSERT_EQ(made.contexts.size(), 2U);
  options.job.context = folder.file("context.safetensors");
  write_safetensors(options.job.context, {{"positive", made.contexts[0]}, {"negative", made.contexts[1]}});
  options.job.prompt.clear();
  EXPECT_TRUE(at::equal(latents(options), made.latents));
}

TEST_F(Generate, NoiseFromAFileTakesThePlaceOfTheSeed) {
  Job job;
  job.latent_shape = {16, 2, 6, 10};
  job.seed = 3;
  job.noise_device = "cpu";
  const at::Tensor drawn = latents(options);
  options.job.noise = folder.file("noise.safetensors");
  write_safetensors(options.job.noise, {{"noise", make_noise(job, *make_cpu_device())}});
  options.job.seed = 99;
  EXPECT_TRUE(at::equal(latents(options), drawn));
}

TEST_F(Generate, TimesEveryStepAndStage) {
  const Generation made = make(options);
  ASSERT_EQ(made.stages.size(), 3U);
  EXPECT_EQ(made.stages[1].name, "denoise");
  EXPECT_EQ(made.stages[1].step_s.size(), 4U);
  for (const double seconds : made.stages[1].step_s) EXPECT_GT(seconds, 0);
  EXPECT_EQ(made.stages[2].step_s.size(), 2U);
  RankRecord record{.rank = rank(), .host = "h", .device = "cpu", .peak_rss_bytes = 5, .stages = made.stages};
  const RankRecord back = rank_record_from_json(to_json(record));
  EXPECT_EQ(to_json(back), to_json(record));
  EXPECT_EQ(back.stages[1].step_s, made.stages[1].step_s);
}

TEST_F(Generate, FramesAreHandedOverWhileTheNextAreDecoded) {
  Engine engine(options, session());
  const Prepared prepared = engine.prepare(options.job);
  Progress silent;
  Generation made;
  std::vector<at::Tensor> parts;
  generate(engine, prepared, silent, made,
           {.before_decode = {}, .frames_made = [&](const at::Tensor& frames) {
              EXPECT_FALSE(made.frames.defined()) << "the decoding is not over";
              parts.push_back(frames);
            }});
  if (rank() != 0) {
    EXPECT_TRUE(parts.empty());
    return;
  }
  ASSERT_EQ(parts.size(), 2U) << "one for each latent frame";
  EXPECT_EQ(parts[0].size(0), 1);
  EXPECT_TRUE(at::equal(at::cat(parts), made.frames));
  EXPECT_EQ(parts[0].const_data_ptr(), made.frames.const_data_ptr()) << "a slice of it";
}

// Of two pictures in 8 bits, which round-off may put on both sides of a step.
void expect_close(const at::Tensor& frames, const at::Tensor& wanted) {
  ASSERT_EQ(frames.sizes(), wanted.sizes());
  const at::Tensor difference = (frames.to(at::kInt) - wanted.to(at::kInt)).abs();
  EXPECT_LE(difference.max().item<int>(), 1);
  EXPECT_LE(difference.to(at::kDouble).mean().item<double>(), 1e-3);
}

// 6 latent rows: 4 ranks have 2, 2, 1 and 1.
TEST_F(Generate, RanksThatDecodeTogetherGiveTheFramesOfOneUnderEveryStrategy) {
  options.parallel.split_vae = false;
  const Generation alone = make(options);
  EXPECT_EQ(alone.stages[2].step_s.size(), rank() == 0 ? 2U : 0U);
  options.parallel.split_vae = true;
  const Generation together = make(options);
  EXPECT_TRUE(at::equal(together.latents, alone.latents));
  EXPECT_EQ(together.frames.defined(), rank() == 0);
  if (rank() == 0) expect_close(together.frames, alone.frames);
  const auto expect_same = [&] {
    const Generation made = make(options);
    EXPECT_EQ(made.stages[2].offload->type, options.offload[Role::Vae].type);
    if (rank() == 0) {
      EXPECT_TRUE(at::equal(made.frames, together.frames));
    }
  };
  for (const auto type :
       {offload::StrategyKind::Model, offload::StrategyKind::Sequential, offload::StrategyKind::Async}) {
    options.offload[Role::Vae].type = type;
    expect_same();
  }
  options.offload[Role::Vae].transport = offload::Transport::Sharded;
  expect_same();
}

// 24 latent rows, so that a row of each neighbour is little.
TEST_F(Generate, RanksThatDecodeTogetherShareTheActivations) {
  options.job.width = 48;
  options.job.height = 192;
  options.job.steps = 1;
  options.parallel.split_vae = false;
  const Generation alone = make(options);
  const auto whole = std::stod(session().broadcast(std::to_string(alone.stages[2].torch_peak_bytes), 0));
  options.parallel.split_vae = true;
  const StageRecord record = make(options).stages[2];
  const double share = 1.0 / size();
  EXPECT_GT(record.torch_peak_bytes, 0.9 * share * whole);
  EXPECT_LT(record.torch_peak_bytes, (size() == 1 ? 1.01 : 1.2 * share) * whole);
  EXPECT_LE(record.activation_estimate_bytes,
            (share + 4.0 / 192) * 1.01 * alone.stages[2].activation_estimate_bytes);
}

TEST_F(Generate, TooFewRowsForTheRanksAreDecodedWholeByEach) {
  options.job.width = 48;
  options.job.height = 16;
  options.job.steps = 1;
  const Generation together = make(options);
  options.parallel.split_vae = false;
  const Generation alone = make(options);
  if (rank() == 0) expect_close(together.frames, alone.frames);
}

TEST_F(Generate, SavedLatentsAreDecodedByAllRanks) {
  const Generation made = make(options);
  options.job.latents = session().broadcast(folder.file("latents.safetensors"), 0);
  if (rank() == 0) write_safetensors(options.job.latents, {{"latents", made.latents}});
  session().barrier();
  const Generation decoded = make(options);
  EXPECT_TRUE(at::equal(decoded.latents, made.latents)) << "on every rank";
  ASSERT_EQ(decoded.stages.size(), 1U);
  if (rank() == 0) {
    EXPECT_TRUE(at::equal(decoded.frames, made.frames));
  }
}

TEST_F(Generate, RanksRefuseTogether) {
  options.job.frames = 6;
  EXPECT_THAT(refusal(options), HasSubstr("frames 6"));
  options.job.frames = 5;
  options.parallel.ulysses = 3;
  EXPECT_THAT(refusal(options), HasSubstr("ulysses"));
  options.parallel.ulysses = 0;
  options.model.path = folder.file("nothing");
  EXPECT_THAT(refusal(options), HasSubstr("nothing"));
}

TEST_F(Generate, AFileThatVanishesAfterTheChecksIsRefusedOnEveryRank) {
  const Generation made = make(options);
  const std::string file = folder.file("in.safetensors");
  for (std::string JobOptions::*input : {&JobOptions::noise, &JobOptions::context, &JobOptions::latents}) {
    Options given = options;
    given.job.*input = file;
    write_safetensors(file, {{"noise", made.noise},
                             {"positive", made.contexts[0]},
                             {"negative", made.contexts[1]},
                             {"latents", made.latents}});
    Engine engine(given, session());
    const Prepared prepared = engine.prepare(given.job);
    std::filesystem::remove(file);
    Progress silent;
    Generation none;
    std::string mine;
    try {
      generate(engine, prepared, silent, none);
    } catch (const UserError& error) {
      mine = error.what();
    }
    EXPECT_THAT(mine, HasSubstr("in.safetensors"));
    for (const std::string& other : session().all_gather(mine)) EXPECT_EQ(other, mine);
  }
}

TEST_F(Generate, RefusesParallelGuidanceWithoutASecondBranch) {
  if (size() == 1) GTEST_SKIP() << "parallel guidance needs two ranks";
  options.parallel.cfg = CfgMode::Parallel;
  options.job.guidance = 1;
  EXPECT_THAT(refusal(options), HasSubstr("cfg parallel"));
}

TEST_F(Generate, RefusesSeveralVideosAtATime) {
  if (size() == 1) GTEST_SKIP() << "one rank makes one video";
  options.parallel.data = size();
  EXPECT_THAT(refusal(options), HasSubstr("--jobs FILE"));
}

}  // namespace
}  // namespace ferry::worker
