// How a stage's weights come and go: the small model, on as many ranks as there are.
#include <ATen/ops/equal.h>
#include <ATen/ops/ones.h>
#include <c10/core/InferenceMode.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <fstream>
#include <functional>
#include <limits>
#include <thread>

#include "tests/support/demo_job.h"
#include "tests/support/mpi_fixture.h"
#include "tests/support/safetensors_io.h"
#include "tests/support/temporary_folder.h"
#include "worker/generate.h"
#include "worker/record/torch_memory.h"
#include "worker/stages/stages.h"
#include "worker/stages/vae_runtime.h"
#include "worker/stages/warm_up.h"
#include "worker/weights/keep.h"
#include "worker/weights/stage_weights.h"

namespace ferry::worker {
namespace {

// One branch, two steps; writes nothing.
Options dry_job() {
  Options options = testing::small_job({});
  options.job.negative_prompt.reset();
  options.job.steps = 2;
  options.job.guidance = 1.0;
  options.run.dry_run = true;
  return options;
}

constexpr std::size_t kNoRoom = std::numeric_limits<std::size_t>::max() / 4;

int arenas_mapped() {
  std::ifstream maps("/proc/self/maps");
  int count = 0;
  for (std::string line; std::getline(maps, line);) count += line.find("ferry-weights") != std::string::npos;
  return count;
}

class Load : public testing::MpiTest {
 protected:
  Load() : engine(options, session()), prepared(engine.prepare(options.job)) {}
  StageInput input() {
    return {.options = &prepared.options,
            .job = &prepared.job,
            .networks = &engine.networks(),
            .rank = &engine.rank(),
            .model = &engine.model(),
            .progress = &silent};
  }

  Options options = dry_job();
  Engine engine;
  Prepared prepared;
  Progress silent;
};

TEST_F(Load, TheDitIsReadWhileTextRunsAndGivesTheSameLatent) {
  const c10::InferenceMode inference;
  const StageInput in = input();
  const at::Tensor noise = draw_noise(in);
  StageRecord record;
  int calls = 0;
  const std::vector<at::Tensor> contexts = text_stage(in, record, [&] {
    ++calls;
    begin_denoise(in);
  });
  EXPECT_EQ(calls, 1);
  EXPECT_NE(engine.model().stage(Role::Dit).arena(), nullptr);
  SamplingState begin;
  begin.latent = noise;
  begin.contexts = contexts;
  const at::Tensor beside = denoise_stage(in, begin, record);
  EXPECT_EQ(engine.model().stage(Role::Dit).loads, 1);
  EXPECT_TRUE(at::equal(beside, denoise_stage(in, begin, record)));
  EXPECT_EQ(engine.model().stage(Role::Dit).loads, 2) << "no later video needs it";
}

// Bits of the DiT's host copy with one list of LoRAs after another.
TEST_F(Load, OtherLorasLeaveNothingOfThoseBefore) {
  const c10::InferenceMode inference;
  const StageInput in = input();
  const testing::TemporaryFolder folder;
  const auto open = [&](const std::string& name, const testing::TensorMap& tensors) {
    testing::write_safetensors(folder.file(name), tensors);
    return std::make_shared<const checkpoint::LoraFile>(
        checkpoint::LoraFile::open(folder.file(name), in.network(Role::Dit).spec, checkpoint::Part::Dit));
  };
  const auto pair = open("a.safetensors", {{"blocks.2.self_attn.q.lora_A.weight", at::ones({2, 192})},
                                           {"blocks.2.self_attn.q.lora_B.weight", at::ones({192, 2})}});
  const auto difference = open("b.safetensors", {{"blocks.2.self_attn.q.diff", at::ones({192, 192})},
                                                 {"blocks.3.diff_m", at::ones({1, 6, 192})}});
  const StageSource source = source_of(in, Role::Dit);
  VideoNeeds needs;
  needs.now[Role::Dit] = source;
  needs.later[Role::Dit] = true;
  const auto bits_with = [&](const checkpoint::LoraStack& loras) {
    StageSource with = source;
    with.loras = std::make_shared<const checkpoint::LoraStack>(loras);
    StageRecord record;
    BorrowedStage stage(engine.model(), with, silent, record);
    const offload::NodeArena& arena = *engine.model().stage(Role::Dit).arena();
    std::string bits(reinterpret_cast<const char*>(arena.data()), arena.bytes());
    stage.finish(record);
    return bits;
  };
  engine.model().begin_video(needs);
  const std::string bare = bits_with({});
  const std::string with_pair = bits_with({{pair, 0.5}});
  const std::string with_both = bits_with({{pair, 0.5}, {difference, 2}});
  const std::string with_difference = bits_with({{difference, 2}});
  EXPECT_TRUE(bits_with({}) == bare);
  EXPECT_TRUE(bits_with({{pair, 0}}) == bare);
  EXPECT_EQ(engine.model().stage(Role::Dit).loads, 1) << "only their tensors are read again";
  for (const auto& [loras, bits] : std::vector<std::pair<checkpoint::LoraStack, const std::string*>>{
           {{{pair, 0.5}}, &with_pair},
           {{{pair, 0.5}, {difference, 2}}, &with_both},
           {{{difference, 2}}, &with_difference}}) {
    EXPECT_FALSE(*bits == bare);
    engine.model().begin_video({});
    engine.model().begin_video(needs);
    EXPECT_TRUE(bits_with(loras) == *bits) << "of a load of its own";
  }
  EXPECT_EQ(engine.model().stage(Role::Dit).loads, 4);
}

TEST_F(Load, AWarmUpRunsTheJobsShapesAndChangesNothing) {
  const c10::InferenceMode inference;
  const StageInput in = input();
  const at::Tensor noise = draw_noise(in);
  StageRecord record;
  const std::vector<at::Tensor> contexts = text_stage(in, record);
  const at::Tensor before = noise.clone();
  SamplingState begin;
  begin.latent = noise;
  begin.contexts = contexts;
  const at::Tensor latent = denoise_stage(in, begin, record);
  // As much as there is no room for: LibTorch keeps nothing.
  for (const std::size_t activations : {record.activation_estimate_bytes, kNoRoom}) {
    const TorchMemory memory;
    warm_up(in, contexts, noise, activations);
    EXPECT_GT(memory.peak_bytes(), before.nbytes()) << "nothing ran";
    EXPECT_LE(memory.peak_bytes(), record.torch_peak_bytes);
  }
  EXPECT_TRUE(at::equal(noise, before));
  EXPECT_TRUE(at::equal(denoise_stage(in, begin, record), latent));
}

TEST_F(Load, AWarmUpOfDecodingChangesNothing) {
  const c10::InferenceMode inference;
  const StageInput in = input();
  const at::Tensor latent = at::ones(in.job->latent_shape);
  StageRecord record;
  const at::Tensor frames = decode_stage(in, latent, record);
  {
    const TorchMemory memory;
    warm_up_decoding(in);
    const bool decodes = rank() == 0 || decoding_group(in) != nullptr;
    EXPECT_EQ(memory.peak_bytes() > latent.nbytes(), decodes);
    EXPECT_LE(memory.peak_bytes(), record.torch_peak_bytes + latent.nbytes()) << "its own latent";
  }
  const at::Tensor again = decode_stage(in, latent, record);
  EXPECT_TRUE(rank() != 0 || at::equal(again, frames));
}

TEST_F(Load, ADitThatIsNotWantedAnyMoreIsLetGoOf) {
  begin_denoise(input());
  EXPECT_EQ(arenas_mapped(), 1);
  engine.model().begin_video({});
  engine.rank().janitor.finish();
  EXPECT_EQ(arenas_mapped(), 0);
}

TEST_F(Load, NothingBeginsWithoutRoom) {
  const StageSource vae = source_of(input(), Role::Vae);
  EXPECT_TRUE(has_room(vae, engine.rank(), 0));
  // One rank that has none is enough.
  const std::size_t beside = rank() == size() - 1 ? std::numeric_limits<std::size_t>::max() / 2 : 0;
  EXPECT_FALSE(has_room(vae, engine.rank(), beside));
}

TEST_F(Load, AStagesCopyIsGivenBackBehindItsBack) {
  StageRecord record;
  { BorrowedStage stage(engine.model(), source_of(input(), Role::Vae), silent, record); }
  engine.rank().janitor.finish();
  EXPECT_EQ(arenas_mapped(), 0);
  EXPECT_EQ(engine.rank().host_account.now(), 0U);
  EXPECT_GT(engine.rank().host_account.peak(), 0U);
}

TEST_F(Load, WhereTheNextStageHasNoRoomAllWaitForWhatIsGivenBack) {
  Rank& rank = engine.rank();
  std::atomic<bool> gone = false;
  rank.janitor.take([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(200));
    gone = true;
  });
  EXPECT_TRUE(make_room(rank, 10, 10));
  EXPECT_FALSE(gone) << "there is room";
  EXPECT_FALSE(make_room(rank, 10, this->rank() == 0 ? 9 : 10));
  EXPECT_TRUE(gone);
}

// Copies of one network differ between nodes, and some have none of another.
TEST_F(Load, EveryRankKeepsTheSame) {
  const auto kept = [&](std::size_t room) {
    const auto more = static_cast<std::size_t>(rank());
    return kept_on_all(session(), room - more, {{28 + more, 1, rank() == 0 ? 11U : 0U}},
                       {{true, true, true}});
  };
  const auto last = static_cast<std::size_t>(size() - 1);
  EXPECT_EQ(kept(40 + 2 * last), (ByRole<bool>{{true, true, true}}));
  EXPECT_EQ(kept(39 + 2 * last), (ByRole<bool>{{true, false, false}})) << "28 beside 11";
  EXPECT_EQ(kept(29 + 2 * last), (ByRole<bool>{{false, true, false}})) << "1 beside 28";
}

TEST_F(Load, AMeterGivesOneSignOfLifeForEachHundredth) {
  Progress progress;
  progress.set_heartbeat([this] { session().send_heartbeat(); });
  LoadMeter meter(session());
  constexpr std::int64_t kAge_ns = 50'000'000;
  const auto age = [this] { return session().ticks().sign().tick_age; };
  const auto gives_a_sign = [&](int done) {
    while (age() < kAge_ns) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    const std::int64_t before = age();
    meter.note({.bytes_done = static_cast<std::size_t>(done), .bytes_total = 100});
    return age() < before;
  };
  EXPECT_TRUE(gives_a_sign(1)) << "nobody looks";
  EXPECT_FALSE(gives_a_sign(1)) << "nothing new";
  meter.show(&progress);
  EXPECT_TRUE(gives_a_sign(2));
  meter.show(nullptr);
}

TEST_F(Load, AMeterCatchesUpWithWhatWasReadBeforeAnybodyLooked) {
  std::string shown;
  Progress progress([&](const std::string& text) { shown += text; }, true);
  LoadMeter meter(session());
  meter.note({.bytes_done = 30, .bytes_total = 100});
  progress.begin("load dit", 100);
  meter.show(&progress);
  // A terminal's line is not rewritten more often than that.
  std::this_thread::sleep_for(std::chrono::milliseconds(300));
  meter.note({.bytes_done = 31, .bytes_total = 100});
  EXPECT_NE(shown.find("31/100"), std::string::npos) << shown;
  meter.show(nullptr);
  std::this_thread::sleep_for(std::chrono::milliseconds(300));
  meter.note({.bytes_done = 99, .bytes_total = 100});
  EXPECT_EQ(shown.find("99/100"), std::string::npos) << shown;
}

}  // namespace
}  // namespace ferry::worker
