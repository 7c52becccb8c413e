// Latents on disk and the names that a run holds.
#include "worker/job/latents.h"

#include <ATen/ops/equal.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/zeros.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "base/error.h"
#include "tests/support/refusal.h"
#include "tests/support/safetensors_io.h"
#include "tests/support/temporary_folder.h"
#include "worker/job/noise.h"
#include "worker/job/outputs.h"
#include "worker/job/resolve.h"
#include "worker/job/without_effect.h"

namespace ferry::worker {
namespace {

namespace fs = std::filesystem;
using ::ferry::testing::refusal_of;
using ::ferry::testing::TemporaryFolder;
using ::ferry::testing::write_safetensors;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::SizeIs;

class Latents : public ::testing::Test {
 protected:
  Latents() {
    options.prompt = "a boat";
    options.out = folder.file("x.mp4");
    options.seed = 7;
    options.fps = 8;
    setenv("TMPDIR", elsewhere.path().c_str(), 1);
  }
  ~Latents() override { unsetenv("TMPDIR"); }
  Job job() const {
    return resolve_job(options, {.dit = {}, .vae = {}, .text = model::Umt5Config{}, .flow_shift = {}}, false);
  }
  std::string refusal() const {
    return refusal_of([&] { job(); });
  }

  TemporaryFolder elsewhere;
  TemporaryFolder folder;
  Options with_trace() const {
    Options traced = all;
    traced.trace_file = folder.file("trace.json");
    return traced;
  }

  JobOptions options;
  Options all;
  at::Tensor latents = at::randn({16, 2, 8, 6});
  std::string kept = folder.file("x.latents.safetensors");
};

TEST_F(Latents, NamesLieBesideTheVideoAndAlwaysFit) {
  EXPECT_EQ(latents_path("a/x.mp4", 1), "a/x.latents.safetensors");
  EXPECT_EQ(latents_path("a/x.mp4", 2), "a/x.latents-2.safetensors");
  std::string chinese;
  for (int i = 0; i < 83; ++i) chinese += "船";
  const std::string name = fs::path(latents_path(folder.file(chinese + ".mp4"), 1)).filename().string();
  EXPECT_EQ(name, chinese.substr(0, 78 * 3) + ".latents.safetensors");
  for (const char* path :
       {"b/x.latents.safetensors", "x.latents-12.safetensors", "x.safetensors", "x.st", "x"}) {
    EXPECT_EQ(stem_of_latents(path), "x") << path;
  }
  EXPECT_EQ(stem_of_latents(".latents.safetensors"), "video");
}

TEST_F(Latents, AreKeptBesideTheVideoAndReadBackAsAJob) {
  const Job made = job();
  const HeldNames names = hold_names(all, made);
  KeptLatents kept_latents(all, made, names);
  kept_latents.keep(latents);
  EXPECT_TRUE(at::equal(read_float_tensor(kept, "latents"), latents));
  EXPECT_THAT(kept_latents.way_on(), HasSubstr("--latents " + kept));
  options = {};
  options.latents = kept;
  options.out = folder.file("y.mp4");
  const Job again = job();
  EXPECT_EQ(again.width, 48);
  EXPECT_EQ(again.height, 64);
  EXPECT_EQ(again.frames, 5);
  EXPECT_EQ(again.fps, 8);
  EXPECT_THAT(again.made_by, HasSubstr("a boat"));
  kept_latents.remove();
  EXPECT_EQ(folder.entries(), 0U);
  EXPECT_EQ(kept_latents.way_on(), "");
}

TEST_F(Latents, GoElsewhereWhenTheFolderVanishes) {
  const std::string gone = folder.file("gone");
  fs::create_directory(gone);
  options.out = gone + "/x.mp4";
  const Job made = job();
  const HeldNames names = hold_names(all, made);
  KeptLatents before(all, made, names);
  KeptLatents after(all, made, names);
  before.keep(latents);
  fs::remove_all(gone);
  EXPECT_THAT(before.way_on(), HasSubstr("--latents " + elsewhere.file("x.latents.safetensors")));
  after.keep(latents);
  EXPECT_TRUE(at::equal(read_float_tensor(elsewhere.file("x.latents-2.safetensors"), "latents"), latents));
  after.remove();
  EXPECT_EQ(elsewhere.entries(), 1U) << "each run removes its own";
}

TEST_F(Latents, NeverReplaceAFileThatIsNotThisJobs) {
  std::ofstream(kept) << "mine";
  const Job made = job();
  {
    const HeldNames names = hold_names(all, made);
    EXPECT_EQ(names.latents, folder.file("x.latents-2.safetensors"));
    KeptLatents(all, made, names).keep(latents);
  }
  options.overwrite = true;
  EXPECT_EQ(hold_names(all, job()).latents, folder.file("x.latents-3.safetensors"));
  EXPECT_EQ(fs::file_size(kept), 4U);
}

TEST_F(Latents, OfTheSameJobThatWasKilledAreReplaced) {
  const Job made = job();
  {
    const HeldNames names = hold_names(all, made);
    KeptLatents(all, made, names).keep(latents);
  }
  Options other;
  other.echo = {{"model.path", "another"}};
  EXPECT_EQ(hold_names(other, made).latents, folder.file("x.latents-2.safetensors"));
  const HeldNames names = hold_names(all, made);
  EXPECT_EQ(names.latents, kept);
  KeptLatents again(all, made, names);
  again.keep(latents);
  again.remove();
  EXPECT_EQ(folder.entries(), 0U);
  EXPECT_EQ(elsewhere.entries(), 0U);
}

TEST_F(Latents, ARemovedOneIsOnlyItsOwn) {
  const Job made = job();
  const HeldNames names = hold_names(all, made);
  KeptLatents kept_latents(all, made, names);
  kept_latents.keep(latents);
  fs::remove(kept);
  std::ofstream(kept) << "mine";
  kept_latents.remove();
  EXPECT_TRUE(fs::exists(kept));
}

TEST_F(Latents, ThatAreNoneAreRefused) {
  options.latents = kept;
  EXPECT_THAT(refusal(), HasSubstr("x.latents.safetensors"));  // no such file
  write_safetensors(kept, {{"noise", at::zeros({16, 1, 2, 2})}});
  EXPECT_THAT(refusal(), AllOf(HasSubstr(kept), HasSubstr("no tensor latents"), HasSubstr("noise")));
  for (const std::vector<std::int64_t>& shape :
       {std::vector<std::int64_t>{16, 2, 2}, {8, 1, 2, 2}, {1, 16, 1, 2, 2}, {16, 0, 2, 2}}) {
    write_safetensors(kept, {{"latents", at::zeros(shape)}});
    EXPECT_THAT(refusal(), HasSubstr("this VAE needs [16, T, h, w] fp32"));
  }
  write_safetensors(kept, {{"latents", at::zeros({16, 1, 2, 2}, at::kInt)}});
  EXPECT_THAT(refusal(), HasSubstr("int32"));
}

TEST_F(Latents, ASizeOrFramesThatAreNotTheirsAreRefused) {
  write_safetensors(kept, {{"latents", latents}});
  options.latents = kept;
  EXPECT_EQ(refusal(), "");
  options.width = 48;
  options.height = 64;
  options.frames = 5;
  EXPECT_EQ(refusal(), "");
  options.frames = 9;
  EXPECT_THAT(refusal(), AllOf(HasSubstr("frames 9"), HasSubstr("5 frames")));
  options.frames = 5;
  options.width = 64;
  EXPECT_THAT(refusal(), AllOf(HasSubstr("size 64x64"), HasSubstr("48x64")));
}

TEST_F(Latents, OptionsWithoutEffectAreNamed) {
  all.echo = {{"model.path", "m"}, {"job.prompt", "a"},          {"job.noise_device", "cpu"},
              {"job.out", "x"},    {"dit.offload.type", "none"}, {"vae.offload.type", "none"}};
  Job job;
  job.latents = "x";
  EXPECT_THAT(options_without_effect(all, job),
              ElementsAre("job.prompt", "job.noise_device", "dit.offload.type"));
}

TEST_F(Latents, PromptsBesideAFileOfContextsHaveNoEffect) {
  all.echo = {{"job.prompt", "a"}, {"job.negative_prompt", "b"}, {"job.noise_device", "cpu"}};
  Job job;
  EXPECT_THAT(options_without_effect(all, job), ElementsAre());
  job.context = "c";
  EXPECT_THAT(options_without_effect(all, job), ElementsAre("job.prompt", "job.negative_prompt"));
  job.noise = "n";
  EXPECT_THAT(options_without_effect(all, job), SizeIs(3));
}

TEST_F(Latents, SettingsOfAnotherOffloadTypeHaveNoEffect) {
  all.echo = {{"offload.prefetch_size", "9"},
              {"offload.vram_limit", "1"},
              {"dit.offload.offload_ratio", "0.5"},
              {"offload.pin_cpu_memory", "1"}};
  EXPECT_THAT(options_without_effect(all, {}),
              ElementsAre("offload.prefetch_size", "offload.vram_limit", "dit.offload.offload_ratio"));
  all.offload[Role::Vae].type = offload::StrategyKind::Async;
  EXPECT_THAT(options_without_effect(all, {}),
              ElementsAre("offload.vram_limit", "dit.offload.offload_ratio"));
  all.offload[Role::Dit].type = offload::StrategyKind::Auto;
  EXPECT_THAT(options_without_effect(all, {}), ElementsAre("dit.offload.offload_ratio"));
  all.offload[Role::Dit].type = offload::StrategyKind::Sequential;
  EXPECT_THAT(options_without_effect(all, {}), ElementsAre("dit.offload.offload_ratio"));
}

TEST_F(Latents, RatesHaveAnEffectOnTypeAutoOfTheDitAlone) {
  all.echo = {{"run.machine", "h100"}};
  all.offload[Role::Vae].type = offload::StrategyKind::Auto;
  EXPECT_THAT(options_without_effect(all, {}), ElementsAre("run.machine"));
  all.offload[Role::Dit].type = offload::StrategyKind::Auto;
  EXPECT_THAT(options_without_effect(all, {}), ElementsAre());
  Job decodes;
  decodes.latents = "x.safetensors";
  EXPECT_THAT(options_without_effect(all, decodes), ElementsAre("run.machine"));
}

TEST_F(Latents, ANameThatAnotherRunWritesIsRefused) {
  const Job made = job();
  const HeldNames first = hold_names(with_trace(), made);
  EXPECT_THAT(refusal_of([&] { hold_names(all, made); }),
              AllOf(HasSubstr("video " + made.video), HasSubstr("another run is writing it")));
  options.out = folder.file("./x.y4m");
  EXPECT_THAT(refusal_of([&] { hold_names(all, job()); }),
              AllOf(HasSubstr("x.png"), HasSubstr("another run")));
  options.out = folder.file("y.mp4");
  EXPECT_THAT(refusal_of([&] { hold_names(with_trace(), job()); }), HasSubstr("trace.file"));
  EXPECT_EQ(refusal_of([&] { hold_names(all, job()); }), "");
}

TEST_F(Latents, TwoResultsOfOneRunCannotBeOneFile) {
  options.save = folder.file("./x.png");
  EXPECT_THAT(refusal_of([&] { hold_names(all, job()); }),
              AllOf(HasSubstr("save"), HasSubstr("this run writes its sheet there")));
  options.save = kept;
  EXPECT_EQ(hold_names(all, job()).latents, folder.file("x.latents-2.safetensors"));
  write_safetensors(folder.file("in.safetensors"), {{"latents", latents}});
  options.latents = folder.file("in.safetensors");
  options.save = folder.file("in.safetensors");
  options.overwrite = true;
  EXPECT_THAT(refusal_of([&] { hold_names(all, job()); }), HasSubstr("this run reads its latents there"));
}

TEST_F(Latents, NoResultTakesThePlaceOfAnInput) {
  const std::string context = folder.file("c.safetensors");
  write_safetensors(context, {{"positive", at::zeros({3, model::DitConfig{}.text_dim})},
                              {"negative", at::zeros({3, model::DitConfig{}.text_dim})}});
  options.overwrite = true;
  options.context = context;
  options.save = context;
  EXPECT_THAT(refusal_of([&] { hold_names(all, job()); }), HasSubstr("this run reads its context there"));
  fs::create_symlink(context, folder.file("link.safetensors"));
  options.save = folder.file("link.safetensors");
  EXPECT_THAT(refusal_of([&] { hold_names(all, job()); }), HasSubstr("this run reads its context there"));
  options.save = folder.file("s.safetensors");
  EXPECT_EQ(refusal_of([&] { hold_names(all, job()); }), "");
  // x.json is the record's name.
  std::ofstream(folder.file("x.json")) << "[job]\n";
  all.config_files = {folder.file("x.json")};
  EXPECT_THAT(refusal_of([&] { hold_names(all, job()); }),
              AllOf(HasSubstr("record"), HasSubstr("this run reads its options there")));
}

TEST_F(Latents, AWayOnIsTextForAShell) {
  options.out = folder.file("it's a\nvideo.mp4");
  const Job made = job();
  const HeldNames names = hold_names(all, made);
  KeptLatents kept_latents(all, made, names);
  kept_latents.keep(latents);
  const std::string way_on = kept_latents.way_on();
  EXPECT_THAT(way_on,
              HasSubstr("--latents $'" + folder.path() + "/it\\x27s a\\x0avideo.latents.safetensors'"));
  EXPECT_EQ(way_on.find('\n'), std::string::npos);
}

TEST_F(Latents, AFileThatIsFinishedBetweenTheTwoLooksIsSeen) {
  const Job made = job();
  std::ofstream(made.sheet) << "x";
  EXPECT_THAT(refusal_of([&] { hold_names(all, made); }), HasSubstr("exists already"));
}

}  // namespace
}  // namespace ferry::worker
