#include <gmock/gmock.h>

#include "launcher_support.h"

namespace ferry::launcher {
namespace {

using ::testing::HasSubstr;

TEST(Options, AKeyOfTheJobIsAFlagWithAndWithoutItsGroup) {
  EXPECT_EQ(read({"--prompt", "a cat"}).job.prompt, "a cat");
  EXPECT_EQ(read({"--job.prompt", "a cat"}).job.prompt, "a cat");
  EXPECT_EQ(read({"--prompt=a cat"}).job.prompt, "a cat");
  EXPECT_EQ(read({"--path", "/m"}).model.path, "/m");
  EXPECT_EQ(read({"--model", "/m"}).model.path, "/m");
}

TEST(Options, ValuesReachTheirPlaces) {
  const worker::Options o = read({"--size",
                                  "832x480",
                                  "--frames",
                                  "81",
                                  "--steps",
                                  "50",
                                  "--sampler",
                                  "dpm++",
                                  "--guidance",
                                  "5",
                                  "--shift",
                                  "3.5",
                                  "--seed",
                                  "-1",
                                  "--device",
                                  "cpu",
                                  "--dtype",
                                  "fp32",
                                  "--ulysses",
                                  "2",
                                  "--cfg",
                                  "serial",
                                  "--data",
                                  "0",
                                  "--overwrite",
                                  "--run.deadline_s",
                                  "30",
                                  "--fps",
                                  "16",
                                  "--out_scale",
                                  "4"});
  EXPECT_EQ(o.job.width, 832);
  EXPECT_EQ(o.job.height, 480);
  EXPECT_EQ(o.job.frames, 81);
  EXPECT_EQ(o.job.steps, 50);
  EXPECT_EQ(o.job.sampler, "dpm++");
  EXPECT_EQ(o.job.guidance, 5);
  EXPECT_EQ(o.job.shift, 3.5);
  EXPECT_EQ(o.job.seed, -1);
  EXPECT_EQ(o.job.fps, 16);
  EXPECT_EQ(o.job.out_scale, 4);
  EXPECT_EQ(o.model.device, "cpu");
  EXPECT_EQ(o.model.dtype, "fp32");
  EXPECT_EQ(o.parallel.ulysses, 2);
  EXPECT_EQ(o.parallel.cfg, parallel::CfgMode::Serial);
  EXPECT_EQ(o.parallel.data, 0);
  EXPECT_TRUE(o.job.overwrite);
  EXPECT_EQ(o.run.deadline_s, 30);
}

TEST(Options, ASwitchTakesNoValueAndLeavesTheNextWordAlone) {
  worker::Options options;
  const std::vector<FlagGroup> groups = run_keys(options);
  const CommandLine line = parse_command_line(groups, {"--overwrite", "word"});
  EXPECT_THAT(line.positional, ::testing::ElementsAre("word"));
  EXPECT_EQ(line.settings.at(0).value, "true");
  EXPECT_EQ(error_of({"--overwrite=false"}), "--overwrite: takes no value");
}

TEST(Options, UnsetStaysUnset) {
  const worker::Options o = read({});
  EXPECT_FALSE(o.job.frames || o.job.steps || o.job.width || o.job.guidance || o.job.negative_prompt);
  EXPECT_EQ(o.offload[worker::Role::Dit].type, offload::StrategyKind::None);
}

TEST(Options, AnEmptyNegativePromptIsAValue) {
  for (const std::vector<std::string>& args : {std::vector<std::string>{"--negative_prompt", ""},
                                               {"--negative_prompt="},
                                               {"--job.negative_prompt="}}) {
    ASSERT_TRUE(read(args).job.negative_prompt.has_value());
    EXPECT_EQ(*read(args).job.negative_prompt, "");
  }
}

TEST(Options, AnUnknownOptionNamesTheNearest) {
  EXPECT_EQ(error_of({"--promt", "x"}), "--promt: unknown option; did you mean --prompt?");
  EXPECT_EQ(error_of({"--offload.prefetch=2"}),
            "--offload.prefetch: unknown option; did you mean --offload.prefetch_size?");
  EXPECT_EQ(error_of({"--zzzzzzzz"}), "--zzzzzzzz: unknown option");
  EXPECT_THAT(error_of({"-p", "x"}), HasSubstr("-p: unknown option"));
}

TEST(Options, APrefixOfAnOptionIsNotThatOption) {
  EXPECT_THAT(error_of({"--prom", "x"}), HasSubstr("--prom: unknown option"));
}

TEST(Options, AMissingValueAndARepetitionAreSaid) {
  EXPECT_EQ(error_of({"--steps"}), "--steps: the value is missing");
  EXPECT_EQ(error_of({"--steps", "--seed", "1"}), "--steps: the value is missing");
  EXPECT_EQ(error_of({"--steps", "2", "--job.steps", "3"}), "--job.steps: given twice");
}

TEST(Options, AnOptionInAValuesPlaceMeansThatTheValueIsMissing) {
  for (const char* option :
       {"--seed=3", "--seed", "--config", "--config=a.cfg", "--ranks", "-n", "-n2", "-h"}) {
    EXPECT_EQ(error_of({"--negative_prompt", option, "1"}), "--negative_prompt: the value is missing")
        << option;
    EXPECT_EQ(error_of({"--config", option, "1"}), "--config: the value is missing") << option;
    EXPECT_EQ(error_of({"-n", option, "1"}), "-n: the value is missing") << option;
  }
}

TEST(Options, AValueMayLookLikeAnOption) {
  for (const char* value : {"-no text", "-nights", "-", "--", "--no such option", "--seeds"}) {
    EXPECT_EQ(read({"--negative_prompt", value, "--seed=3"}).job.negative_prompt, value);
    EXPECT_EQ(read({"--negative_prompt", value, "--seed=3"}).job.seed, 3);
  }
  EXPECT_EQ(read({"--negative_prompt=--seed=3"}).job.negative_prompt, "--seed=3");
  EXPECT_EQ(read({"--negative_prompt=-n"}).job.negative_prompt, "-n");
}

TEST(Options, WrongValuesSayWhatIsAccepted) {
  EXPECT_EQ(error_of({"--frames", "0"}), "--frames: 0 is out of range; accepted: from 1 to 100000");
  EXPECT_EQ(error_of({"--frames", "ten"}), "--frames: 'ten' is not a whole number");
  EXPECT_EQ(error_of({"--frames", "5x"}), "--frames: '5x' is not a whole number");
  EXPECT_EQ(error_of({"--size", "832"}), "--size: '832' is not WIDTHxHEIGHT, as in 832x480");
  EXPECT_EQ(error_of({"--sampler", "ddim"}),
            "--sampler: 'ddim' is not known; accepted: unipc, dpm++, euler, step_distill");
  EXPECT_EQ(error_of({"--steps", "0"}), "--steps: 0 is out of range; accepted: from 1 to 1000");
  EXPECT_EQ(error_of({"--guidance", "nan"}), "--guidance: 'nan' is not a number");
  EXPECT_THAT(error_of({"--device", "gpu"}), HasSubstr("accepted: auto, cpu, cuda"));
  EXPECT_THAT(error_of({"--offload.offload_ratio", "1.5"}), HasSubstr("from 0 to 1"));
  EXPECT_THAT(error_of({"--offload.prefetch_size", "0"}), HasSubstr("at least 1"));
  EXPECT_THAT(error_of({"--offload.type", "disk"}), HasSubstr("none, model, sequential, async, auto"));
  EXPECT_THAT(error_of({"--attention.impl", "sage"}), HasSubstr("auto, cudnn, flash, math, fa3"));
}

TEST(Options, RanksAndHelpAreTheOnlyShortOptions) {
  worker::Options options;
  const std::vector<FlagGroup> groups = run_keys(options);
  EXPECT_EQ(parse_command_line(groups, {"-n", "4"}).ranks, 4);
  EXPECT_EQ(parse_command_line(groups, {"-n4"}).ranks, 4);
  EXPECT_EQ(parse_command_line(groups, {"--ranks", "4"}).ranks, 4);
  EXPECT_TRUE(parse_command_line(groups, {"-h"}).help);
  EXPECT_TRUE(parse_command_line(groups, {"--help"}).help);
  EXPECT_THAT(user_error_of([&] {
                parse_command_line(groups, {"-n", "0"});
              }),
              HasSubstr("-n: 0 is out of range"));
}

TEST(Options, HelpNamesEveryKeyOnceWithItsGroup) {
  worker::Options options;
  const std::string help = describe(run_keys(options));
  for (const char* word : {"--prompt TEXT", "[job]", "[parallel]", "--offload.prefetch_size N",
                           "--run.dry_run", "[dit] [vae] [text_encoder]"}) {
    EXPECT_THAT(help, HasSubstr(word));
  }
  EXPECT_EQ(help.find("--prompt TEXT"), help.rfind("--prompt TEXT"));
}

}  // namespace
}  // namespace ferry::launcher
