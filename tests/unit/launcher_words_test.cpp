// Words that people bring from other programs, as names of options and as values.
#include <gmock/gmock.h>

#include "launcher_support.h"

namespace ferry::launcher {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;

TEST(Words, AnOptionOfAnotherProgramNamesTheOneHere) {
  const std::vector<std::pair<const char*, const char*>> cases = {
      // the official scripts
      {"--frame_num", "--frames"},
      {"--ckpt_dir", "--model"},
      {"--save_file", "--out"},
      {"--sample_steps", "--steps"},
      {"--base_seed", "--seed"},
      {"--sample_shift", "--shift"},
      {"--sample_guide_scale", "--guidance"},
      {"--sample_solver", "--sampler"},
      {"--ulysses_size", "--ulysses"},
      {"--offload_model", "--offload.type model"},
      {"--t5_cpu", "--text_encoder.offload.type model"},
      // diffusers
      {"--num_frames", "--frames"},
      {"--num_inference_steps", "--steps"},
      {"--num-inference-steps", "--steps"},
      {"--guidance_scale", "--guidance"},
      {"--width", "--size WIDTHxHEIGHT"},
      {"--height", "--size WIDTHxHEIGHT"},
      {"--torch_dtype", "--dtype"},
      // musubi-tuner, xDiT, FastVideo, LightX2V, ComfyUI, torchrun
      {"--flow_shift", "--shift"},
      {"--flow-shift", "--shift"},
      {"--video_size", "--size"},
      {"--video_length", "--frames"},
      {"--infer_steps", "--steps"},
      {"--save_path", "--out"},
      {"--lora_weight", "--lora.strength"},
      {"--lora_weights", "--lora.path"},
      {"--lora_multiplier", "--lora.strength"},
      {"--blocks_to_swap", "--dit.offload.type async"},
      {"--ulysses_degree", "--ulysses"},
      {"--use_cfg_parallel", "--cfg parallel"},
      {"--sp-size", "--ulysses"},
      {"--num-gpus", "-n"},
      {"--nproc_per_node", "-n"},
      {"--noise_seed", "--seed"},
      {"--sampler_name", "--sampler"},
      {"--output", "--out"},
      {"--model_path", "--model"}};
  for (const auto& [given, meant] : cases) {
    EXPECT_EQ(error_of({given, "1"}), std::string(given) + ": unknown option; did you mean " + meant + "?");
  }
}

TEST(Words, AnOptionWithoutCounterpartNamesNothing) {
  for (const char* option : {"--fp8", "--use-fp8", "--int8", "--quantize"}) {
    EXPECT_EQ(error_of({option}), std::string(option) + ": unknown option");
  }
}

TEST(Words, DashesAndCapitalsAreNotTheName) {
  EXPECT_THAT(error_of({"--negative-prompt", "x"}), EndsWith("did you mean --negative_prompt?"));
  EXPECT_THAT(error_of({"--Negative-Prompt=x"}), EndsWith("did you mean --negative_prompt?"));
  EXPECT_THAT(error_of({"--PROMPT", "x"}), EndsWith("did you mean --prompt?"));
  EXPECT_THAT(error_of({"-prompt", "x"}), EndsWith("did you mean --prompt?"));
  EXPECT_THAT(error_of({"--dit.offload.prefetch-size", "1"}),
              EndsWith("did you mean --dit.offload.prefetch_size?"));
  EXPECT_THAT(error_of({"--offload_type", "async"}), EndsWith("did you mean --offload.type?"));
}

TEST(Words, AKeyWithoutItsGroupNamesTheGroup) {
  EXPECT_THAT(error_of({"--prefetch_size", "1"}), EndsWith("did you mean --offload.prefetch_size?"));
  EXPECT_THAT(error_of({"--log-level", "debug"}), EndsWith("did you mean --run.log_level?"));
  EXPECT_THAT(error_of({"--dit.offload.prefetch", "1"}),
              EndsWith("did you mean --dit.offload.prefetch_size?"));
  EXPECT_EQ(error_of({"-np", "2"}), "-np: unknown option; did you mean -n?");
}

TEST(Words, InAFileTheKeyIsNamedWithItsGroup) {
  const TemporaryFolder folder;
  const std::vector<std::pair<const char*, const char*>> cases = {
      {"[job]\nnum_frames = 5", "job.num_frames'; did you mean job.frames?"},
      {"[job]\nguidance-scale = 5", "did you mean job.guidance?"},
      {"[job]\nwidth = 128", "did you mean job.size = WIDTHxHEIGHT?"},
      {"[job]\nnegative-prompt = x", "did you mean job.negative_prompt?"},
      {"num_inference_steps = 5", "'num_inference_steps'; did you mean job.steps?"},
      {"--steps = 5", "'--steps'; did you mean job.steps?"},
      {"[parallel]\nulysses_size = 2", "did you mean parallel.ulysses?"},
      {"[model]\nckpt_dir = x", "did you mean model.path?"}};
  for (const auto& [text, meant] : cases) {
    EXPECT_THAT(error_of({"--config", folder.write("a.cfg", text)}), EndsWith(meant));
  }
}

TEST(Words, AValueOfAnotherProgramNamesTheOneHere) {
  const std::vector<std::pair<const char*, const char*>> samplers = {
      {"dpmpp", "dpm++"},      {"DPM++", "dpm++"},      {"dpmpp_2m", "dpm++"},
      {"uni_pc", "unipc"},     {"UniPC", "unipc"},      {"euler_discrete", "euler"},
      {"flow_euler", "euler"}, {"lcm", "step_distill"}, {"step-distill", "step_distill"},
      {"uni_pc_bh2", "unipc"}};
  for (const auto& [given, meant] : samplers) {
    EXPECT_EQ(error_of({"--sampler", given}),
              std::string("--sampler: '") + given +
                  "' is not known; accepted: unipc, dpm++, euler, step_distill; did you mean " + meant + "?");
  }
  EXPECT_THAT(error_of({"--dtype", "bfloat16"}), EndsWith("did you mean bf16?"));
  EXPECT_THAT(error_of({"--device", "gpu"}), EndsWith("did you mean cuda?"));
  EXPECT_THAT(error_of({"--device", "cuda:0"}), EndsWith("did you mean cuda?"));
  EXPECT_THAT(error_of({"--offload.type", "asynch"}), EndsWith("did you mean async?"));
  EXPECT_THAT(error_of({"--cfg", "5.0"}), EndsWith("did you mean --guidance 5.0?"));
}

TEST(Words, SizesAreReadInEverySpelling) {
  for (const char* size :
       {"128x64", "128X64", "128*64", "128 x 64", "128 X 64", "128\u00d764", "128 \u00d7 64"}) {
    const worker::Options o = read({"--size", size});
    EXPECT_EQ(o.job.width, 128) << size;
    EXPECT_EQ(o.job.height, 64) << size;
  }
  for (const char* size : {"128", "x64", "128x", "128xx64", "128x64x3", "128,64", "480p", ""}) {
    EXPECT_THAT(error_of({"--size", size}), HasSubstr("is not WIDTHxHEIGHT, as in 832x480")) << size;
  }
}

TEST(Words, ANumberTooLargeIsOutOfRangeAndNotUnread) {
  EXPECT_EQ(error_of({"--seed", "18446744073709551615"}),
            "--seed: 18446744073709551615 is out of range; accepted: from -1 to 9223372036854775807");
  EXPECT_EQ(error_of({"--seed", "9223372036854775808"}),
            "--seed: 9223372036854775808 is out of range; accepted: from -1 to 9223372036854775807");
  EXPECT_EQ(read({"--seed", "9223372036854775807"}).job.seed, INT64_MAX);
  EXPECT_THAT(error_of({"--shift", "1e999"}), HasSubstr("is out of range"));
  EXPECT_THAT(error_of({"--steps", "-99999999999999999999"}),
              HasSubstr("is out of range; accepted: from 1 to 1000"));
}

TEST(Words, GuidanceBelowOneIsRefused) {
  for (const char* value : {"0", "0.5", "0.999999", "-1", "-0"}) {
    EXPECT_EQ(error_of({"--guidance", value}),
              std::string("--guidance: ") + value +
                  " is out of range; accepted: from 1 to 1000; 1 turns guidance off");
  }
  EXPECT_EQ(read({"--guidance", "1"}).job.guidance, 1);
  EXPECT_EQ(read({"--guidance", "1.0001"}).job.guidance, 1.0001);
  EXPECT_THAT(error_of({"--guidance", "1001"}), HasSubstr("from 1 to 1000"));
}

TEST(Words, TrueAndFalseAreReadInCapitals) {
  EXPECT_TRUE(read({"--offload.lazy_gpu_cache", "True"}).offload[worker::Role::Dit].lazy_gpu_cache);
  EXPECT_FALSE(read({"--offload.pin_cpu_memory", "OFF"}).offload[worker::Role::Dit].pin_cpu_memory);
}

TEST(Words, AModuleMapOrConfigurationIsReadWhateverTheType) {
  EXPECT_THAT(error_of({"--offload.module_map", "linaer"}), HasSubstr("--offload.module_map: \"linaer\""));
  EXPECT_THAT(error_of({"--offload.module_config", "onload_dtype=int3"}), HasSubstr("int3"));
  EXPECT_THAT(error_of({"--offload.module_config", "onload_dtype=bf16,onload_dtype=fp32"}),
              HasSubstr("onload_dtype is given twice"));
}

}  // namespace
}  // namespace ferry::launcher
