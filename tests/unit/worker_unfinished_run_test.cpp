// What decides a run's bits, and the state of one run in the hands of another.
#include "worker/state/unfinished_run.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/zeros.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <future>

#include "base/error.h"
#include "parallel/mesh.h"
#include "tests/support/demo_job.h"
#include "tests/support/refusal.h"
#include "tests/support/safetensors_io.h"
#include "tests/support/temporary_folder.h"
#include "worker/job/outputs.h"
#include "worker/job/resolve.h"
#include "worker/state/run_identity.h"

namespace ferry::worker {
namespace {

namespace fs = std::filesystem;
using ::ferry::testing::refusal_of;
using ::ferry::testing::small_job;
using ::ferry::testing::TemporaryFolder;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::MatchesRegex;
using ::testing::Not;
using ::testing::StartsWith;

class UnfinishedRuns : public ::testing::Test {
 protected:
  UnfinishedRuns() { options.parallel.cfg = parallel::CfgMode::Paired; }

  Job job_of(const Options& of) const { return resolve_job(of.job, networks.facts, false); }
  Identity identity_of(const Options& of, int ranks = 1) const {
    const Job job = job_of(of);
    const parallel::Mesh mesh = parallel::make_mesh(of.parallel, ranks, 0, 4);
    const IdentitySource source{of, job, networks, mesh, DeviceType::Cpu};
    Identity identity = values_of(source);
    add_tensors(identity, weight_files_of(source));
    return identity;
  }
  // As if it came from another thread.
  std::future<Identity> pending(const Options& of) const {
    return std::async(std::launch::deferred, [this, of] { return identity_of(of); });
  }
  // A state after two of four steps.
  void save_state(const std::string& to) const {
    UnfinishedRun run({to}, true);
    run.set_identity(pending(options));
    run.set_attention("flash");
    run.save(sampling);
  }
  // What a run with these options says of the state.
  std::string refusal(const Options& of) const {
    return refusal_of([&] {
      UnfinishedRun run({path}, true);
      run.set_identity(pending(of));
      run.check(job_of(of));
    });
  }

  TemporaryFolder folder;
  Options options = small_job(folder.file("x.mp4"));
  Networks networks = open_networks(options);
  std::string path = folder.file(".x.mp4.state");
  SamplingState sampling{.latent = at::zeros({16, 2, 6, 10}),
                         .sampler = {.next_step = 2,
                                     .tensors = {{"predicted", at::ones({16, 2, 6, 10})},
                                                 {"before", at::zeros({16, 2, 6, 10})},
                                                 {"sample", at::zeros({16, 2, 6, 10})}}},
                         .contexts = {at::zeros({3, 4}), at::ones({3, 4})}};
};

TEST_F(UnfinishedRuns, EachOptionThatDecidesTheBitsIsNamed) {
  using Change = std::function<void(Options&)>;
  const std::vector<std::pair<std::string, Change>> changes = {
      {"prompt is a boat, in the state", [](Options& o) { o.job.prompt = "a boat"; }},
      {"negative_prompt is not given", [](Options& o) { o.job.negative_prompt = ""; }},
      {"size is 64x48, in the state 80x48", [](Options& o) { o.job.width = 64; }},
      {"frames is 9, in the state 5", [](Options& o) { o.job.frames = 9; }},
      {"steps is 5, in the state 4", [](Options& o) { o.job.steps = 5; }},
      {"sampler is euler, in the state unipc", [](Options& o) { o.job.sampler = "euler"; }},
      {"guidance is 5.5, in the state 5", [](Options& o) { o.job.guidance = 5.5; }},
      {"shift is 4.5, in the state", [](Options& o) { o.job.shift = 4.5; }},
      {"seed is 4, in the state 3", [](Options& o) { o.job.seed = 4; }},
      {"cfg is serial, in the state paired", [](Options& o) { o.parallel.cfg = parallel::CfgMode::Serial; }},
      {"dit.offload.module_config is", [](Options& o) {
         o.offload[Role::Dit].type = offload::StrategyKind::Sequential;
         o.offload[Role::Dit].module_config = {{"offload_dtype", "bf16"}};
       }}};
  const Identity kept = identity_of(options);
  EXPECT_EQ(differences(identity_of(options), kept), "");
  for (const auto& [said, change] : changes) {
    Options other = options;
    change(other);
    EXPECT_THAT(differences(identity_of(other), kept), StartsWith(said));
  }
  EXPECT_THAT(differences(identity_of(options, 2), kept), StartsWith("ranks is 2, in the state 1"));
}

TEST_F(UnfinishedRuns, OptionsThatKeepTheBitsAreFree) {
  const Identity kept = identity_of(options);
  Options other = options;
  other.job.out = folder.file("y.mp4");
  other.job.fps = 3;
  other.run.save_every = 2;
  for (const auto type :
       {offload::StrategyKind::Async, offload::StrategyKind::Model, offload::StrategyKind::Sequential}) {
    other.offload[Role::Dit].type = type;
    EXPECT_EQ(differences(identity_of(other), kept), "");
  }
}

TEST_F(UnfinishedRuns, FilesOfNoiseAndContextsCountByTheirNumbers) {
  const std::string noise = folder.file("noise.safetensors");
  const std::string same = folder.file("same.safetensors");
  const std::string other = folder.file("other.safetensors");
  testing::write_safetensors(noise, {{"noise", at::zeros({16, 2, 6, 10})}});
  testing::write_safetensors(same, {{"noise", at::zeros({16, 2, 6, 10})}, {"more", at::ones({1})}});
  testing::write_safetensors(other, {{"noise", at::ones({16, 2, 6, 10})}});
  options.job.noise = noise;
  const Identity kept = identity_of(options);
  options.job.noise = same;
  options.job.seed = 99;  // without effect
  EXPECT_EQ(differences(identity_of(options), kept), "");
  options.job.noise = other;
  EXPECT_THAT(differences(identity_of(options), kept), StartsWith("noise is file "));
}

TEST_F(UnfinishedRuns, ALoraCountsByItsNumbersItsStrengthAndHowItIsAdded) {
  const auto write_lora = [&](const char* name, double value) {
    const std::int64_t dim = networks.facts.dit.dim;
    testing::write_safetensors(folder.file(name),
                               {{"blocks.0.self_attn.q.lora_A.weight", at::zeros({2, dim}) + value},
                                {"blocks.0.self_attn.q.lora_B.weight", at::ones({dim, 2})}});
    Options with = options;
    with.job.loras = {{folder.file(name)}};
    return with;
  };
  const auto of = [&](const Options& with) {
    networks = open_networks(with);
    return identity_of(with);
  };
  Options with = write_lora("a.safetensors", 0.5);
  const Identity kept = of(with);
  EXPECT_EQ(differences(of(write_lora("copy.safetensors", 0.5)), kept), "");
  EXPECT_THAT(differences(of(write_lora("b.safetensors", 0.25)), kept),
              StartsWith("lora: blocks.0.self_attn.q is "));
  EXPECT_THAT(differences(of(options), kept), HasSubstr("lora.strength is not given, in the state 1"));
  with.job.loras[0].strength = 0.5;
  EXPECT_THAT(differences(of(with), kept), StartsWith("lora.strength is 0.5, in the state 1"));
  with.job.loras[0].strength = 1;
  with.job.loras.push_back({folder.file("b.safetensors"), 2});
  EXPECT_THAT(differences(of(with), kept), StartsWith("lora.strength 2 is 2, in the state not given"));
  const Identity both = of(with);
  EXPECT_EQ(both.tensors.back().first, "lora 2");
  std::swap(with.job.loras[0], with.job.loras[1]);
  EXPECT_NE(differences(of(with), both), "");
  with.job.loras = {{folder.file("b.safetensors"), 0}, {folder.file("a.safetensors")}};
  EXPECT_EQ(differences(of(with), kept), "") << "strength 0 adds nothing";
  with.job.loras.erase(with.job.loras.begin());
  with.offload[Role::Dit].type = offload::StrategyKind::Sequential;
  EXPECT_THAT(differences(of(with), kept),
              StartsWith("lora is added in calls (sequential), in the state merged"));
}

TEST_F(UnfinishedRuns, EachTensorOfTheModelCounts) {
  const Identity kept = identity_of(options);
  ASSERT_EQ(kept.tensors.size(), 3U);
  for (const auto& [network, tensors] : kept.tensors) EXPECT_GT(tensors.size(), 10U) << network;
  Identity other = kept;
  std::string& mark = other.tensors[0].second[7].second;
  mark.back() = mark.back() == '0' ? '1' : '0';
  EXPECT_THAT(differences(other, kept),
              AllOf(StartsWith("model: dit " + other.tensors[0].second[7].first), HasSubstr("fp32 [")));
}

TEST_F(UnfinishedRuns, AStateOfThisRunIsTaken) {
  EXPECT_FALSE(UnfinishedRun({path}, true).found());
  save_state(path);
  EXPECT_EQ(refusal(options), "");
  const UnfinishedRun run({path}, true);
  EXPECT_EQ(run.sampling().steps_done(), 2);
  EXPECT_EQ(run.attention(), "flash");
  Options open = options;
  open.job.seed = -1;
  open.parallel.cfg = parallel::CfgMode::Auto;
  run.take_over(open, 1);
  EXPECT_EQ(open.job.seed, 3);
  EXPECT_EQ(open.parallel.cfg, parallel::CfgMode::Paired);
  EXPECT_THAT(refusal_of([&] { run.take_over(open, 2); }), HasSubstr("ranks are 2, in the state 1"));
}

TEST_F(UnfinishedRuns, AnotherOneIsRefusedWithTheWayOn) {
  save_state(path);
  Options other = options;
  other.job.seed = 8;
  EXPECT_THAT(refusal(other), AllOf(StartsWith("state " + path), HasSubstr("seed is 8, in the state 3"),
                                    HasSubstr("--run.resume false")));
  std::ofstream(path) << "mine";
  EXPECT_THAT(refusal(options),
              AllOf(StartsWith("state " + path), HasSubstr("damaged"), HasSubstr("--run.resume false")));
  EXPECT_FALSE(UnfinishedRun({path}, false).found());
}

TEST_F(UnfinishedRuns, NothingButAStateIsReplaced) {
  path = folder.file("kept");
  save_state(path);
  EXPECT_FALSE(UnfinishedRun({path}, false).found());
  std::ofstream(path) << "mine";
  EXPECT_THAT(refusal_of([&] { const UnfinishedRun run({path}, false); }), HasSubstr("another kind of file"));
}

TEST_F(UnfinishedRuns, TensorsThatAreNotThisSamplersAreRefused) {
  sampling.sampler.tensors.erase("before");
  save_state(path);
  EXPECT_THAT(refusal(options), HasSubstr("no tensor 'before'"));
  sampling.sampler = {.next_step = 4, .tensors = {}};  // only decoding is left
  save_state(path);
  EXPECT_EQ(refusal(options), "");
  sampling.sampler.next_step = 5;
  save_state(path);
  EXPECT_THAT(refusal(options), HasSubstr("not of this"));
}

TEST_F(UnfinishedRuns, AreRemovedWithTheirResults) {
  save_state(path);
  UnfinishedRun({path}, true).remove();
  EXPECT_FALSE(fs::exists(path));
}

TEST_F(UnfinishedRuns, LieBesideTheVideoUnlessNamed) {
  EXPECT_EQ(hold_state(options, job_of(options)).path, path);
  options.run.state = folder.file("else");
  const StateName named = hold_state(options, job_of(options));
  EXPECT_EQ(named.path, options.run.state);
  EXPECT_THAT(refusal_of([&] { hold_state(options, job_of(options)); }),
              HasSubstr("another run is writing it"));
}

TEST_F(UnfinishedRuns, WithoutANameForTheVideoAreNamedByWhatIsSampled) {
  const fs::path before = fs::current_path();
  fs::current_path(folder.path());
  options.job.out = "";
  options.job.seed = -1;
  const auto hold = [&] { return hold_state(options, job_of(options)); };
  const std::string named = hold().path;
  EXPECT_THAT(named, MatchesRegex("\\.a-red-circle-moving-right-on-a-black-background-[0-9a-f]+\\.state"));
  EXPECT_EQ(hold().path, named) << "whatever seed was drawn";
  {
    const StateName first = hold();
    const StateName second = hold();
    EXPECT_EQ(first.path, named);
    EXPECT_EQ(second.path, named.substr(0, named.size() - 6) + "-2.state") << "both are at work";
    save_state(second.path);
  }
  EXPECT_EQ(hold().path, named.substr(0, named.size() - 6) + "-2.state") << "it is unfinished";
  options.job.seed = 4;
  EXPECT_NE(hold().path, named);
  fs::current_path(before);
}

TEST_F(UnfinishedRuns, AStateThatIsAnInputOrOutputIsRefused) {
  options.run.state = folder.file("x.png");
  EXPECT_THAT(refusal_of([&] { hold_names(options, job_of(options)); }), HasSubstr("run.state"));
  options.run.state = folder.path();
  EXPECT_THAT(refusal_of([&] { hold_state(options, job_of(options)); }), HasSubstr("folder"));
}

}  // namespace
}  // namespace ferry::worker
