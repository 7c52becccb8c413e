// Filling in what the user did not say, and refusing what cannot be done.
#include <ATen/ops/zeros.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "base/error.h"
#include "tests/support/safetensors_io.h"
#include "tests/support/temporary_folder.h"
#include "worker/job/resolve.h"

namespace ferry::worker {
namespace {

using ::ferry::testing::TemporaryFolder;
using ::ferry::testing::write_safetensors;
using ::testing::AllOf;
using ::testing::HasSubstr;

ModelFacts facts_of_1_3b() { return {.dit = {}, .vae = {}, .text = model::Umt5Config{}, .flow_shift = {}}; }

class Resolve : public ::testing::Test {
 protected:
  Resolve() {
    options.prompt = "a boat";
    options.out = folder.file("video.mp4");
    options.seed = 7;
  }

  Job job() { return resolve_job(options, facts, false); }
  std::string refusal(bool cuda = false) {
    try {
      resolve_job(options, facts, cuda);
    } catch (const UserError& error) {
      return error.what();
    }
    return "";
  }

  TemporaryFolder folder;
  JobOptions options;
  ModelFacts facts = facts_of_1_3b();
};

TEST_F(Resolve, TakesTheModelsDefaults) {
  const Job made = job();
  EXPECT_EQ(made.width, 832);
  EXPECT_EQ(made.height, 480);
  EXPECT_EQ(made.frames, 81);
  EXPECT_EQ(made.steps, 50);
  EXPECT_EQ(made.sampler, "unipc");
  EXPECT_EQ(made.guidance, 5.0);
  EXPECT_EQ(made.shift, 5.0);
  EXPECT_EQ(made.fps, 16.0);
  EXPECT_THAT(made.negative_prompt, HasSubstr("静态"));
  EXPECT_EQ(made.latent_shape, (std::array<std::int64_t, 4>{16, 21, 60, 104}));
}

TEST_F(Resolve, WhatTheUserSaysWinsOverTheSchedulerOverTheModel) {
  facts.flow_shift = 3.0;
  EXPECT_EQ(job().shift, 3.0);
  options.shift = 8.0;
  options.negative_prompt = "";
  options.fps = 24;
  EXPECT_EQ(job().shift, 8.0);
  EXPECT_EQ(job().negative_prompt, "");
  EXPECT_EQ(job().fps, 24.0);
}

TEST_F(Resolve, StepDistillHasDefaultsOfItsOwn) {
  facts.flow_shift = 3.0;
  options.sampler = "step_distill";
  EXPECT_EQ(job().steps, 4);
  EXPECT_FALSE(job().guided());
  EXPECT_EQ(job().shift, 5.0);
  options.guidance = 2;
  EXPECT_TRUE(job().guided());
}

TEST_F(Resolve, DrawsASeedAndSaysSo) {
  options.seed = -1;
  const Job one = job();
  const Job two = job();
  EXPECT_TRUE(one.seed_drawn);
  EXPECT_GE(one.seed, 0);
  EXPECT_NE(one.seed, two.seed);  // equal once in 2^32 runs
  options.seed = 7;
  EXPECT_FALSE(job().seed_drawn);
}

TEST_F(Resolve, NamesTheResultsAfterTheVideo) {
  const Job made = job();
  EXPECT_EQ(made.video, folder.file("video") + made.codec.extension);
  EXPECT_EQ(made.sheet, folder.file("video.png"));
  EXPECT_EQ(made.record, folder.file("video.json"));
  options.out = folder.file("raw.y4m");
  EXPECT_EQ(job().video, folder.file("raw.y4m"));
  options.out = folder.file("plain");
  EXPECT_EQ(job().sheet, folder.file("plain.png"));
}

TEST_F(Resolve, NamesTheVideoAfterPromptAndSeed) {
  options.out.clear();
  options.prompt = "A boat, at 3 o'clock";
  EXPECT_EQ(job().sheet, "a-boat-at-3-o-clock-7.png");
}

TEST_F(Resolve, SurvivesTheWayToOtherRanks) {
  options.prompt = "ein Boot \xE2\x9B\xB5 \"quoted\"";
  options.guidance = 1.1;
  Job made = job();
  made.prompt_tokens = {.total = 61, .used = 32};
  const Job back = job_from_json(to_json(made));
  EXPECT_EQ(to_json(back), to_json(made));
  EXPECT_EQ(back.prompt, made.prompt);
  EXPECT_EQ(back.prompt_tokens.total, 61);
  EXPECT_EQ(back.guidance, 1.1);
  EXPECT_EQ(back.latent_shape, made.latent_shape);
}

TEST_F(Resolve, RefusesFramesThatAreNot4nPlus1) {
  options.frames = 80;
  EXPECT_THAT(refusal(), AllOf(HasSubstr("frames 80"), HasSubstr("4n+1"), HasSubstr("77 and 81")));
  options.frames = 0;
  EXPECT_THAT(refusal(), HasSubstr("frames 0"));
}

TEST_F(Resolve, RefusesSizesThatAreNotMultiplesOf16) {
  options.width = 840;
  options.height = 480;
  EXPECT_THAT(refusal(), AllOf(HasSubstr("size 840x480"), HasSubstr("multiples of 16")));
  options.width = 0;
  EXPECT_THAT(refusal(), HasSubstr("size 0x480"));
  options.width.reset();
  EXPECT_THAT(refusal(), HasSubstr("width and height"));
  options.width = 16400;
  options.height = 16;
  EXPECT_THAT(refusal(), HasSubstr("16384 pixels"));
}

TEST_F(Resolve, RefusesAnEmptyPromptUnlessThereIsAContext) {
  options.prompt = " \n";
  EXPECT_THAT(refusal(), HasSubstr("prompt"));
  facts.text.reset();
  options.context = folder.file("context.safetensors");
  write_safetensors(options.context,
                    {{"positive", at::zeros({3, 4096})}, {"negative", at::zeros({512, 4096})}});
  EXPECT_EQ(refusal(), "");
}

TEST_F(Resolve, APromptOfWhiteSpaceOfAnyScriptIsEmpty) {
  for (const char* prompt : {"\u3000", "\u00a0 ", "\u200b", "&nbsp;", "\ufeff"}) {
    options.prompt = prompt;
    EXPECT_THAT(refusal(), HasSubstr("prompt: it is empty")) << prompt;
  }
  options.prompt = "caf\xe9";
  EXPECT_THAT(refusal(), HasSubstr("prompt: it is not UTF-8"));
  options.prompt = "a boat";
  options.negative_prompt = "\xff";
  EXPECT_THAT(refusal(), HasSubstr("negative_prompt: it is not UTF-8"));
}

TEST_F(Resolve, ExtensionsInCapitalsStayAsTheyAreWritten) {
  options.out = folder.file("A.Y4M");
  EXPECT_EQ(job().video, folder.file("A.Y4M"));
  EXPECT_EQ(job().codec.encoder, "y4m");
  EXPECT_EQ(job().sheet, folder.file("A.png"));
  options.out = folder.file("A.MP4");
  const Job made = job();
  EXPECT_EQ(made.video, made.codec.extension == ".mp4" ? options.out : folder.file("A.y4m"));
  options.out = folder.file("A.AVI");
  EXPECT_THAT(refusal(), HasSubstr("ends in .mp4 or .y4m"));
}

TEST_F(Resolve, GuidanceBelowOneIsRefused) {
  for (const double guidance : {0.0, 0.5, 0.999, -1.0}) {
    options.guidance = guidance;
    EXPECT_THAT(refusal(), HasSubstr("1 turns guidance off")) << guidance;
  }
  options.guidance = 1;
  EXPECT_EQ(refusal(), "");
}

TEST_F(Resolve, RefusesContextsOfAnotherShape) {
  options.context = folder.file("context.safetensors");
  EXPECT_THAT(refusal(), HasSubstr("context.safetensors"));  // no such file
  write_safetensors(options.context, {{"positive", at::zeros({513, 4096})}});
  EXPECT_THAT(refusal(), AllOf(HasSubstr("`positive` is [513, 4096]"), HasSubstr("[1 to 512, 4096]")));
  write_safetensors(options.context, {{"positive", at::zeros({5, 4096})}});
  EXPECT_THAT(refusal(), HasSubstr("negative"));
  options.guidance = 1;
  EXPECT_EQ(refusal(), "");
}

TEST_F(Resolve, RefusesNoiseOfAnotherShape) {
  options.width = options.height = 64;
  options.frames = 5;
  options.noise = folder.file("noise.safetensors");
  write_safetensors(options.noise, {{"noise", at::zeros({16, 2, 8, 9})}});
  EXPECT_THAT(refusal(), AllOf(HasSubstr("[16, 2, 8, 9]"), HasSubstr("[16, 2, 8, 8]")));
  write_safetensors(options.noise, {{"noise", at::zeros({16, 2, 8, 8}, at::kInt)}});
  EXPECT_THAT(refusal(), HasSubstr("int32"));
  write_safetensors(options.noise, {{"noise", at::zeros({16, 2, 8, 8})}});
  EXPECT_EQ(refusal(), "");
  EXPECT_EQ(job().noise_device, "file");
}

TEST_F(Resolve, NoiseComesFromTheRunsDeviceUnlessSaidOtherwise) {
  EXPECT_EQ(job().noise_device, "cpu");
  EXPECT_EQ(resolve_job(options, facts, true).noise_device, "cuda");
  options.noise_device = "cpu";
  EXPECT_EQ(resolve_job(options, facts, true).noise_device, "cpu");
  options.noise_device = "cuda";
  EXPECT_THAT(refusal(), HasSubstr("noise_device cuda"));
}

TEST_F(Resolve, RefusesSamplingThatCannotBe) {
  options.sampler = "ddim";
  EXPECT_THAT(refusal(), HasSubstr("ddim"));
  options.sampler = "unipc";
  options.steps = 0;
  EXPECT_NE(refusal(), "");
  options.steps = 4;
  options.shift = -1;
  EXPECT_NE(refusal(), "");
  options.shift = 5;
  options.guidance = -2;
  EXPECT_THAT(refusal(), HasSubstr("guidance -2"));
  options.guidance = 5;
  options.seed = -2;
  EXPECT_THAT(refusal(), HasSubstr("seed -2"));
}

TEST_F(Resolve, RefusesResultsThatCannotBeWritten) {
  std::ofstream(folder.file("video.json")) << "{}";
  EXPECT_THAT(refusal(), AllOf(HasSubstr("video.json"), HasSubstr("--overwrite")));
  options.overwrite = true;
  EXPECT_EQ(refusal(), "");
  options.out = folder.file("no/video.mp4");
  EXPECT_THAT(refusal(), HasSubstr("/no"));
  options.out = "/proc/video.mp4";
  EXPECT_THAT(refusal(), HasSubstr("/proc"));
  options.out = folder.file("video.avi");
  EXPECT_THAT(refusal(), AllOf(HasSubstr("video.avi"), HasSubstr(".mp4")));
}

TEST_F(Resolve, ALongNameIsRefusedUnlessAllResultsFit) {
  options.out = folder.file(std::string(245, 'n') + ".mp4");
  EXPECT_EQ(refusal(), "");
  options.out = folder.file(std::string(251, 'n') + ".mp4");
  EXPECT_THAT(refusal(), AllOf(HasSubstr("n.json"), HasSubstr("the name has 256 bytes")));
}

TEST_F(Resolve, RefusesPartsOfDifferentModels) {
  facts.text->dim = 1024;
  EXPECT_THAT(refusal(), AllOf(HasSubstr("4096"), HasSubstr("1024")));
  facts.text.reset();
  facts.vae.z_dim = 48;
  EXPECT_THAT(refusal(), AllOf(HasSubstr("16"), HasSubstr("48")));
}

TEST_F(Resolve, RefusesAValueThatMakesNoFile) {
  options.fps = 0;
  EXPECT_THAT(refusal(), HasSubstr("fps 0"));
  options.fps = 8;
  options.out_scale = 0;
  EXPECT_THAT(refusal(), HasSubstr("out_scale 0"));
}

}  // namespace
}  // namespace ferry::worker
