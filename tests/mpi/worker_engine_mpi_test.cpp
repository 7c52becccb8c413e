// Videos that one engine makes one after the other: the small model, on as many ranks as there are, on the
// device that the program was built for.
#include <ATen/ops/equal.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <vector>

#include "base/clock.h"
#include "base/error.h"
#include "tests/support/demo_job.h"
#include "tests/support/engine_fixture.h"
#include "tests/support/safetensors_io.h"
#include "tests/support/temporary_folder.h"
#include "worker/engine.h"
#include "worker/generate.h"
#include "worker/stages/not_finite.h"
#include "worker/stages/stages.h"
#include "worker/weights/stage_weights.h"

namespace ferry::worker {
namespace {

using ::ferry::testing::demo_model;
using ::ferry::testing::EngineRanksTest;
using ::ferry::testing::TemporaryFolder;
using offload::StrategyKind;

constexpr ByRole<bool> kAll = {{true, true, true}};
constexpr ByRole<bool> kNone = {};
constexpr std::size_t kHeader = 64 << 10;

class Videos : public EngineRanksTest {
 protected:
  void SetUp() override {
    EngineRanksTest::SetUp();
    if (!has_device()) return;
    options.model.device = device_name();
    // A folder of its own: its files may be damaged.
    options.model.path = session().broadcast(folder.file("model"), 0);
    if (rank() == 0) {
      std::filesystem::copy(demo_model(), options.model.path, std::filesystem::copy_options::recursive);
    }
    session().barrier();
  }

  // Another prompt, size, length and number of steps.
  JobOptions other_job() const {
    JobOptions job = options.job;
    job.prompt = "a green square moving left";
    job.width = 96;
    job.height = 64;
    job.frames = 9;
    job.steps = 2;
    job.seed = 17;
    return job;
  }

  Generation make(Engine& engine, const JobOptions& job, const ByRole<bool>& later, const Hooks& hooks = {}) {
    Prepared prepared = engine.prepare(job);
    prepared.later = later;
    Progress silent;
    Generation made;
    generate(engine, prepared, silent, made, hooks);
    return made;
  }
  // Of an engine that makes nothing else.
  Generation alone(const JobOptions& job) {
    Engine engine(options, session());
    return make(engine, job, kNone);
  }
  void expect_same(const Generation& made, const Generation& wanted) {
    EXPECT_TRUE(at::equal(made.latents, wanted.latents));
    ASSERT_EQ(made.frames.defined(), wanted.frames.defined());
    EXPECT_TRUE(!made.frames.defined() || at::equal(made.frames, wanted.frames));
  }
  void expect_other(const Generation& made, const Generation& wanted) {
    EXPECT_FALSE(at::equal(made.latents, wanted.latents));
  }

  // Whoever reads weights from the files from now on gets zeros.
  void damage_files() {
    session().barrier();
    if (rank() == 0) {
      for (const auto& entry : std::filesystem::recursive_directory_iterator(options.model.path)) {
        if (entry.path().extension() == ".safetensors") write_zeros(entry.path());
      }
    }
    session().barrier();
  }
  static void write_zeros(const std::filesystem::path& path) {
    std::filesystem::permissions(path, std::filesystem::perms::owner_write,
                                 std::filesystem::perm_options::add);
    const auto size = static_cast<std::size_t>(std::filesystem::file_size(path));
    ASSERT_GT(size, kHeader) << path;
    std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(kHeader);
    const std::vector<char> zeros(size - kHeader);
    file.write(zeros.data(), static_cast<std::streamsize>(zeros.size()));
    ASSERT_TRUE(file.good()) << path;
  }

  StageInput input_of(Engine& engine, const Prepared& prepared) {
    return {.options = &prepared.options,
            .job = &prepared.job,
            .networks = &engine.networks(),
            .rank = &engine.rank(),
            .model = &engine.model(),
            .progress = &nobody};
  }

  // Ranks of the DiT divide its weights, and what they share goes by copies.
  void share_weights_by_copies() {
    options.parallel.exchange = parallel::ExchangeBy::Copy;
    options.offload[Role::Dit].type = StrategyKind::Async;
    options.offload[Role::Dit].transport = offload::Transport::Sharded;
  }
  // Of this rank's memory on the CPU, what copy groups hold.
  static int exchange_mappings() {
    std::ifstream maps("/proc/self/maps");
    int count = 0;
    for (std::string line; std::getline(maps, line);) count += line.find("ferry-exchange") != line.npos;
    return count;
  }

  // Bytes of the host copies of some roles.
  std::size_t bytes_of(Engine& engine, const Prepared& prepared, const std::vector<Role>& some) {
    const StageInput input = input_of(engine, prepared);
    std::size_t bytes = 0;
    for (const Role role : some) bytes += host_bytes(source_of(input, role), engine.rank());
    return bytes;
  }
  static std::size_t held(Engine& engine) {
    engine.rank().janitor.finish();
    return engine.rank().host_account.now();
  }

  Progress nobody;
  TemporaryFolder folder;  // one for each rank; only rank 0's is used
  Options options = testing::small_job(folder.file("video.mp4"));
};

TEST_F(Videos, EachHasTheBitsOfARunOfItsOwn) {
  const Generation first = alone(options.job);
  const Generation second = alone(other_job());
  for (const Keep keep : {Keep::One, Keep::All, Keep::Auto}) {
    options.run.keep = keep;
    Engine engine(options, session());
    expect_same(make(engine, options.job, kAll), first);
    expect_same(make(engine, other_job(), kAll), second);
    expect_same(make(engine, options.job, kNone), first);
  }
}

TEST_F(Videos, TheSecondReadsNothingAndMakesNoStrategy) {
  const Generation first = alone(options.job);
  const Generation second = alone(other_job());
  for (const Keep keep : {Keep::All, Keep::Auto}) {
    options.run.keep = keep;
    Engine engine(options, session());
    expect_same(make(engine, options.job, kAll), first);
    damage_files();
    expect_same(make(engine, other_job(), kAll), second);
    for (const RoleEntry& entry : roles()) {
      const LoadedStage& stage = engine.model().stage(entry.role);
      const bool computes = entry.role != Role::TextEncoder || rank() == 0;
      EXPECT_EQ(stage.loads, 1) << entry.name;
      EXPECT_EQ(stage.strategies, computes ? 1 : 0) << entry.name;
    }
    if (rank() == 0) {
      std::filesystem::copy(
          demo_model(), options.model.path,
          std::filesystem::copy_options::recursive | std::filesystem::copy_options::overwrite_existing);
    }
    session().barrier();
  }
}

TEST_F(Videos, WhatIsNotKeptIsReadAgain) {
  const Generation second = alone(other_job());
  options.run.keep = Keep::One;
  Engine engine(options, session());
  make(engine, options.job, kAll);
  expect_same(make(engine, other_job(), kAll), second);
  for (const RoleEntry& entry : roles()) EXPECT_EQ(engine.model().stage(entry.role).loads, 2) << entry.name;
  damage_files();
  // Weights of zero make a video too, of which nothing is right.
  expect_other(make(engine, other_job(), kNone), second);
}

TEST_F(Videos, TheFirstStepComesSoonAfterTheVideoBefore) {
  options.run.keep = Keep::All;
  Engine engine(options, session());
  const Generation first = make(engine, options.job, kAll);
  // Machines of tests have other things to do, which delays some videos; what they wait for delays all.
  constexpr double kAim = 0.2;  // seconds beside the text encoder's
  constexpr int kTries = 10;
  std::vector<double> beside_text;
  while (beside_text.size() < kTries && (beside_text.empty() || beside_text.back() > kAim)) {
    const Clock::time_point begin = Clock::now();
    const Generation made = make(engine, options.job, kAll);
    double before_steps = seconds_since(begin);
    for (const double step : made.stages[1].step_s) before_steps -= step;
    before_steps -= made.stages[0].run_s + made.stages[2].run_s;
    beside_text.push_back(std::stod(session().broadcast(std::to_string(before_steps), 0)));
  }
  const std::string times = fmt::format("{:.3f} s beside text", fmt::join(beside_text, ", "));
  if (rank() == 0) RecordProperty("first_step_after", times);
  EXPECT_LE(beside_text.back(), kAim) << times;
  for (const RoleEntry& entry : roles()) EXPECT_EQ(engine.model().stage(entry.role).loads, 1) << entry.name;
}

TEST_F(Videos, HostMemoryIsTheSumOfWhatStays) {
  for (const Keep keep : {Keep::One, Keep::All, Keep::Auto}) {
    options.run.keep = keep;
    const bool one = keep == Keep::One;
    Engine engine(options, session());
    Prepared prepared = engine.prepare(options.job);
    prepared.later = kAll;
    const auto bytes = [&](const std::vector<Role>& some) { return bytes_of(engine, prepared, some); };
    std::size_t before_decode = 0;
    Hooks hooks;
    hooks.before_decode = [&](const at::Tensor&) {
      before_decode = held(engine);
      engine.rank().host_account.reset_peak();
    };
    for (int video = 0; video < 2; ++video) {
      Progress silent;
      Generation made;
      generate(engine, prepared, silent, made, hooks);
      const std::size_t all = bytes({Role::TextEncoder, Role::Dit, Role::Vae});
      EXPECT_EQ(before_decode, one ? 0 : video == 0 ? bytes({Role::TextEncoder, Role::Dit}) : all);
      EXPECT_EQ(engine.rank().host_account.peak(), one ? bytes({Role::Vae}) : all) << "while it decodes";
      EXPECT_EQ(held(engine), one ? 0 : all);
    }
  }
}

TEST_F(Videos, WhatNoLaterVideoNeedsIsGivenBackWhateverIsKept) {
  options.run.keep = Keep::All;
  Engine engine(options, session());
  Prepared prepared = engine.prepare(options.job);
  prepared.later[Role::Vae] = true;
  Progress silent;
  Generation made;
  generate(engine, prepared, silent, made);
  EXPECT_EQ(held(engine), bytes_of(engine, prepared, {Role::Vae}));
  prepared.later = kNone;
  Generation last;
  generate(engine, prepared, silent, last);
  EXPECT_EQ(held(engine), 0U);
}

TEST_F(Videos, EveryStrategyServesAgainAndReportsItsOwnVideo) {
  options.run.keep = Keep::All;
  const Generation wanted = alone(other_job());
  options.offload[Role::Vae].type = StrategyKind::Model;
  for (const StrategyKind type : {StrategyKind::Async, StrategyKind::Sequential, StrategyKind::Model}) {
    options.offload[Role::Dit].type = type;
    options.offload[Role::TextEncoder].type = type == StrategyKind::Model ? StrategyKind::Sequential : type;
    options.offload[Role::Dit].offload_ratio = 0.5;
    options.offload[Role::Dit].transport = offload::Transport::Full;  // comparing shares changes bytes
    const Generation own = alone(other_job());
    Engine engine(options, session());
    make(engine, options.job, kAll);
    const Generation made = make(engine, other_job(), kNone);
    expect_same(made, wanted);
    const offload::Report& report = made.stages[1].offload.value();
    const offload::Report& own_report = own.stages[1].offload.value();
    EXPECT_EQ(report.passes, own_report.passes) << name_of(type);
    EXPECT_EQ(report.copied_once_bytes, own_report.copied_once_bytes) << name_of(type);
    EXPECT_EQ(report.ferried_bytes, own_report.ferried_bytes) << name_of(type);
    EXPECT_EQ(report.exposed_ms_by_pass.size(), own_report.exposed_ms_by_pass.size()) << name_of(type);
    EXPECT_EQ(made.stages[1].weights_peak_bytes, own.stages[1].weights_peak_bytes) << name_of(type);
    EXPECT_EQ(engine.rank().account.now(), 0U) << "on the device";
  }
}

TEST_F(Videos, ACopyOnTheDeviceStaysOnlyForALaterVideo) {
  options.run.keep = Keep::All;
  Engine engine(options, session());
  make(engine, options.job, kAll);
  const bool encodes = rank() == 0;
  for (const RoleEntry& entry : roles()) {
    EXPECT_EQ(engine.model().stage(entry.role).on_device, on_gpu()) << entry.name;
  }
  EXPECT_EQ(engine.rank().account.now() > 0, on_gpu()) << "the CPU uses the host copy in place";
  const Generation made = make(engine, options.job, kNone);
  EXPECT_EQ(engine.rank().account.now(), 0U);
  if (on_gpu() && encodes) {
    for (const StageRecord& stage : made.stages) {
      EXPECT_EQ(stage.offload->copied_once_bytes, 0U) << stage.name << ": it was there";
    }
  }
}

TEST_F(Videos, OneThatFailsLeavesTheNextItsWeights) {
  const Generation wanted = alone(options.job);
  options.run.keep = Keep::All;
  Engine engine(options, session());
  JobOptions bad = options.job;
  bad.guidance = 1e39;  // infinite in fp32
  EXPECT_THROW(make(engine, bad, kAll), NotFinite);
  EXPECT_EQ(engine.model().stage(Role::Dit).loads, 1);
  EXPECT_FALSE(engine.model().stage(Role::Dit).on_device);
  EXPECT_TRUE(on_gpu() || engine.rank().account.now() == 0) << "the stage that failed holds nothing";
  bad = options.job;
  bad.frames = 6;
  EXPECT_THROW(engine.prepare(bad), UserError);
  expect_same(make(engine, options.job, kAll), wanted);
  for (const RoleEntry& entry : roles()) EXPECT_EQ(engine.model().stage(entry.role).loads, 1) << entry.name;
  EXPECT_EQ(engine.model().stage(Role::Dit).strategies, 2)
      << "that of the stage that failed is not used again";
}

TEST_F(Videos, AFileThatVanishesFailsItsVideoAlone) {
  const Generation wanted = alone(options.job);
  Engine engine(options, session());
  JobOptions job = options.job;
  job.context = session().broadcast(folder.file("context.safetensors"), 0);
  if (rank() == 0) {
    testing::write_safetensors(job.context,
                               {{"positive", wanted.contexts[0]}, {"negative", wanted.contexts[1]}});
  }
  session().barrier();
  Progress silent;
  {
    Prepared prepared = engine.prepare(job);
    prepared.later = kAll;
    session().barrier();
    if (rank() == 0) std::filesystem::remove(job.context);
    Generation none;
    EXPECT_THROW(generate(engine, prepared, silent, none), UserError);
  }
  expect_same(make(engine, options.job, kNone), wanted);
}

TEST_F(Videos, EachNeedsItsOwnNetworks) {
  const Generation wanted = alone(options.job);
  Engine engine(options, session());
  JobOptions decoding = options.job;
  decoding.latents = session().broadcast(folder.file("latents.safetensors"), 0);
  JobOptions with_context = options.job;
  with_context.context = session().broadcast(folder.file("contexts.safetensors"), 0);
  if (rank() == 0) {
    testing::write_safetensors(decoding.latents, {{"latents", wanted.latents}});
    testing::write_safetensors(with_context.context,
                               {{"positive", wanted.contexts[0]}, {"negative", wanted.contexts[1]}});
  }
  session().barrier();
  expect_same(make(engine, decoding, kAll), wanted);
  EXPECT_FALSE(engine.networks()[Role::Dit].has_value());
  expect_same(make(engine, with_context, kAll), wanted);
  EXPECT_FALSE(engine.networks()[Role::TextEncoder].has_value());
  expect_same(make(engine, options.job, kAll), wanted);
  const Generation decoded = make(engine, decoding, kNone);
  EXPECT_EQ(decoded.stages.size(), 1U);
  expect_same(decoded, wanted);
}

TEST_F(Videos, AJobThatIsRefusedRefusesNoOther) {
  const Generation wanted = alone(options.job);
  JobOptions decoding = options.job;
  decoding.latents = session().broadcast(folder.file("latents.safetensors"), 0);
  if (rank() == 0) testing::write_safetensors(decoding.latents, {{"latents", wanted.latents}});
  session().barrier();
  options.offload[Role::Dit].type = StrategyKind::Async;
  options.offload[Role::Dit].vram_limit = 1e-6;  // GiB
  Engine engine(options, session());
  expect_same(make(engine, decoding, kAll), wanted);
  EXPECT_THROW(engine.prepare(options.job), UserError);
  expect_same(make(engine, decoding, kNone), wanted);
}

TEST_F(Videos, OneThatFailsLeavesNoMemoryBehind) {
  options.run.keep = Keep::All;
  share_weights_by_copies();
  Engine engine(options, session());
  const Generation first = make(engine, options.job, kAll);
  const int before = exchange_mappings();
  JobOptions bad = options.job;
  bad.guidance = 1e39;  // infinite in fp32
  for (int i = 0; i < 2; ++i) {
    EXPECT_THROW(make(engine, bad, kAll), NotFinite);
    engine.prepare(options.job);
    EXPECT_EQ(exchange_mappings(), before);
  }
  expect_same(make(engine, options.job, kNone), first);
}

// As one that is out of memory: it throws while the others go on, and brings them down afterwards.
TEST_F(Videos, ARankThatFailsAloneWaitsForNoOther) {
  if (size() == 1) GTEST_SKIP() << "needs another rank";
  if (on_gpu()) GTEST_SKIP() << "there `read` is called before the strategy is made";
  constexpr double kDeadline = 20;
  share_weights_by_copies();
  Engine engine(options, session());
  const Prepared prepared = engine.prepare(options.job);
  const StageInput input = input_of(engine, prepared);
  const bool fails = rank() == size() - 1;
  session().set_deadline(kDeadline);
  const Clock::time_point begin = Clock::now();
  const auto borrow = [&] {
    StageRecord record;
    BorrowedStage stage(engine.model(), source_of(input, Role::Dit), nobody, record, [&] {
      if (fails) throw OutOfMemory("this rank alone");
    });
    session().barrier();
    throw OutOfMemory("the others, afterwards");
  };
  EXPECT_THROW(borrow(), OutOfMemory);
  if (fails) session().barrier();
  EXPECT_LT(seconds_since(begin), kDeadline / 2);
  session().set_deadline(600);
}

// Guidance 1 has one branch: the ranks are laid out anew.
TEST_F(Videos, RanksMayDivideTheNextVideoOtherwise) {
  JobOptions single = options.job;
  single.guidance = 1;
  const Generation wanted = alone(options.job);
  const Generation wanted_single = alone(single);
  Engine engine(options, session());
  expect_same(make(engine, options.job, kAll), wanted);
  const int cfg = engine.rank().mesh.cfg;
  expect_same(make(engine, single, kAll), wanted_single);
  EXPECT_EQ(engine.rank().mesh.cfg, 1);
  EXPECT_EQ(engine.model().stage(Role::Dit).strategies, cfg == 1 ? 1 : 2);
  expect_same(make(engine, options.job, kNone), wanted);
  EXPECT_EQ(engine.rank().mesh.cfg, cfg);
}

}  // namespace
}  // namespace ferry::worker
