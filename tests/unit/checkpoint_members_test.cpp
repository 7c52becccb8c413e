// Members of config.json, model_index.json and scheduler_config.json that say another network or other
// computations than Ferry's.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "checkpoint/folder/pipeline_files.h"
#include "checkpoint/inspect/inspect.h"
#include "checkpoint/make/make_model.h"
#include "tests/unit/checkpoint_support.h"

namespace ferry::checkpoint {
namespace {

using nlohmann::json;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::TempFolder;

// A tiny diffusers folder; each test changes one member of one JSON file.
class Members : public ::testing::Test {
 public:
  static void SetUpTestSuite() {
    folder_ = std::make_unique<TempFolder>();
    MakeModelOptions options;
    options.out = folder_->path();
    options.sparse = true;
    options.layout = KeyLayout::Diffusers;
    make_model(options, {});
  }
  static void TearDownTestSuite() { folder_.reset(); }

  // What inspect says of a part's file with the member changed, as one text; empty when all is well.
  static std::string said(const std::string& file, const std::string& name, const json& value) {
    const std::string path = *folder_ / file;
    const std::string good = testing::read_bytes(path);
    json config = json::parse(good);
    config[name] = value;
    testing::write_bytes(path, config.dump());
    const InspectReport report = inspect(folder_->path());
    testing::write_bytes(path, good);
    std::string text;
    for (const PartReport& part : report.parts) {
      text += part.error;
      for (const std::string& setting : part.unknown_settings) text += "unknown: " + setting;
    }
    text += report.scheduler_error;
    EXPECT_EQ(report.usable(), text.empty()) << file << " " << name << ": " << text;
    return text;
  }

  static void expect_refused(const std::string& file, const std::string& name, const json& value,
                             const std::string& word = "expected") {
    EXPECT_THAT(said(file, name, value), AllOf(HasSubstr(file), HasSubstr(name + " is"), HasSubstr(word)))
        << name << " " << value;
  }
  static void expect_fine(const std::string& file, const std::string& name, const json& value) {
    EXPECT_EQ(said(file, name, value), "") << name << " " << value;
  }

 private:
  static std::unique_ptr<TempFolder> folder_;
};
std::unique_ptr<TempFolder> Members::folder_;

const std::string kDit = "transformer/config.json";
const std::string kVae = "vae/config.json";
const std::string kText = "text_encoder/config.json";
const std::string kIndex = "model_index.json";
const std::string kScheduler = "scheduler/scheduler_config.json";

TEST_F(Members, ClassesOfOtherNetworksAreRefusedWithWhatTheyAre) {
  expect_refused(kDit, "_class_name", "SkyReelsV2Transformer3DModel", "SkyReels-V2");
  expect_refused(kDit, "_class_name", "CausalWanModel", "causal");
  expect_refused(kDit, "_class_name", "WanVACETransformer3DModel", "VACE");
  expect_refused(kDit, "_class_name", "HunyuanVideoTransformer3DModel",
                 "expected WanModel or WanTransformer3DModel");
  expect_refused(kDit, "_class_name", 7, "expected text");
  expect_refused(kDit, "architectures", {"CausalWanModel"}, "causal");
  expect_refused(kVae, "_class_name", "AutoencoderKLQwenImage", "expected AutoencoderKLWan");
  expect_refused(kText, "architectures", {"T5EncoderModel"}, "T5");
  expect_refused(kText, "model_type", "t5", "umt5");
  expect_refused(kText, "model_type", "mt5", "umt5");
  for (const char* type : {"i2v", "vace", "flf2v", "ti2v"})
    EXPECT_THAT(said(kDit, "model_type", type), AllOf(HasSubstr(type), HasSubstr("not supported yet")));
  expect_refused(kDit, "model_type", "llama", "t2v");
  expect_fine(kDit, "_class_name", "WanModel");
  expect_fine(kDit, "_class_name", nullptr);
  expect_fine(kDit, "model_type", "t2v");
  for (const char* name : {"UMT5EncoderModel", "UMT5ForConditionalGeneration", "UMT5Model"})
    expect_fine(kText, "architectures", {name});
}

TEST_F(Members, SettingsOfTheDitThatChangeWhatIsComputed) {
  expect_refused(kDit, "qk_norm", false);
  expect_refused(kDit, "qk_norm", nullptr);
  expect_refused(kDit, "qk_norm", "rms_norm");
  expect_refused(kDit, "cross_attn_norm", nullptr);
  expect_refused(kDit, "window_size", {8, 8});
  expect_refused(kDit, "rope_theta", 500000);
  expect_refused(kDit, "local_attn_size", 12);
  expect_refused(kDit, "sink_size", 3);
  for (const char* name :
       {"add_img_emb", "inject_sample_info", "addition_embed", "add_control_adapter", "add_ref_conv"})
    expect_refused(kDit, name, true);
  for (const char* name : {"added_kv_proj_dim", "image_dim", "pos_embed_seq_len", "vace_in_dim"})
    expect_refused(kDit, name, 96);
  expect_refused(kDit, "vace_layers", {0, 2});
  for (const json& value : {json(true), json("rms_norm_across_heads")}) expect_fine(kDit, "qk_norm", value);
  expect_fine(kDit, "window_size", {-1, -1});
  expect_fine(kDit, "rope_theta", 10000.0);
  expect_fine(kDit, "vace_layers", json::array());
  expect_fine(kDit, "local_attn_size", -1);
}

TEST_F(Members, SettingsOfTheVaeThatChangeWhatIsComputed) {
  expect_refused(kVae, "attn_scales", {1.0});
  expect_refused(kVae, "clip_output", false);
  expect_refused(kVae, "scaling_factor", 0.5);
  expect_refused(kVae, "shift_factor", 0.1);
  expect_refused(kVae, "scale_factor_spatial", 16, "the tensors say 8");
  expect_refused(kVae, "scale_factor_temporal", 8, "the tensors say 4");
  expect_refused(kVae, "patch_size", 2);
  expect_refused(kVae, "out_channels", 12);
  expect_fine(kVae, "scale_factor_spatial", 8);
  expect_fine(kVae, "scale_factor_temporal", 4);
  expect_fine(kVae, "dropout", 0.1);
  expect_fine(kVae, "patch_size", nullptr);
}

TEST_F(Members, SettingsOfTheTextEncoderThatChangeWhatIsComputed) {
  expect_refused(kText, "feed_forward_proj", "relu");
  expect_refused(kText, "is_gated_act", false);
  expect_refused(kText, "dense_act_fn", "relu");
  expect_refused(kText, "relative_attention_max_distance", 64);
  expect_refused(kText, "is_decoder", true);
  expect_fine(kText, "scalable_attention", true);
  expect_fine(kText, "tie_word_embeddings", true);
}

// Nobody knows whether they change the network.
TEST_F(Members, UnknownSettingsAreListedUnlessTheyAreOff) {
  EXPECT_EQ(said(kDit, "num_memory_tokens", 4), "unknown: num_memory_tokens = 4");
  EXPECT_EQ(said(kDit, "action_config", {{"blocks", 3}}), "unknown: action_config = {\"blocks\":3}");
  EXPECT_EQ(said(kVae, "block_out_channels", {1, 2}), "unknown: block_out_channels = [1,2]");
  EXPECT_EQ(said(kText, "lora_rank", 8), "unknown: lora_rank = 8");
  for (const json& off : {json(), json(false), json(0), json(0.0), json(""), json::array(), json::object()}) {
    expect_fine(kDit, "num_memory_tokens", off);
  }
  expect_fine(kDit, "_name_or_path", "/somewhere");
  expect_fine(kDit, "torch_dtype", "bfloat16");
}

TEST_F(Members, PipelinesOfOtherModels) {
  expect_refused(kIndex, "_class_name", "WanImageToVideoPipeline", "image-to-video");
  expect_refused(kIndex, "_class_name", "SkyReelsV2DiffusionForcingPipeline", "SkyReels-V2");
  expect_refused(kIndex, "_class_name", "WanDMDPipeline", "few steps");
  expect_refused(kIndex, "boundary_ratio", 0.875);
  expect_refused(kIndex, "expand_timesteps", true);
  expect_refused(kIndex, "transformer_2", {"diffusers", "WanTransformer3DModel"});
  expect_refused(kIndex, "transformer", {"diffusers", "WanVACETransformer3DModel"}, "VACE");
  expect_refused(kIndex, "vae", {"diffusers", "AutoencoderKLCogVideoX"}, "AutoencoderKLWan");
  expect_refused(kIndex, "text_encoder", {"transformers", "T5EncoderModel"}, "T5");
  expect_fine(kIndex, "boundary_ratio", nullptr);
  expect_fine(kIndex, "expand_timesteps", false);
  expect_fine(kIndex, "transformer_2", {nullptr, nullptr});
  expect_fine(kIndex, "_class_name", "WanVideoToVideoPipeline");
}

TEST_F(Members, SchedulersThatComputeSomethingElse) {
  expect_refused(kScheduler, "_class_name", "EulerDiscreteScheduler");
  expect_refused(kScheduler, "_class_name", "SelfForcingFlowMatchScheduler");
  for (const char* type : {"epsilon", "v_prediction", "sample"})
    expect_refused(kScheduler, "prediction_type", type);
  for (const char* name : {"use_flow_sigmas", "predict_x0", "lower_order_final"})
    expect_refused(kScheduler, name, false);
  for (const char* name :
       {"use_karras_sigmas", "use_exponential_sigmas", "use_beta_sigmas", "use_dynamic_shifting",
        "thresholding", "invert_sigmas", "stochastic_sampling", "euler_at_final"})
    expect_refused(kScheduler, name, true);
  expect_refused(kScheduler, "num_train_timesteps", 500);
  expect_refused(kScheduler, "solver_order", 3);
  expect_refused(kScheduler, "solver_type", "heun");
  expect_refused(kScheduler, "algorithm_type", "sde-dpmsolver++");
  expect_refused(kScheduler, "final_sigmas_type", "sigma_min");
  expect_refused(kScheduler, "shift_terminal", 0.02);
  expect_refused(kScheduler, "disable_corrector", {0});
  for (const char* name : {"FlowMatchEulerDiscreteScheduler", "DPMSolverMultistepScheduler"})
    expect_fine(kScheduler, "_class_name", name);
  expect_fine(kScheduler, "lambda_min_clipped", "-Infinity");
  expect_refused(kScheduler, "lambda_min_clipped", -5.1);
  expect_fine(kScheduler, "beta_end", 0.02);
  expect_fine(kScheduler, "timestep_spacing", "linspace");
}

// json.dumps of Python writes them bare.
TEST_F(Members, NumbersThatAreNotFinite) {
  const TempFolder folder;
  const auto write = [&](const std::string& members) {
    testing::write_bytes(folder / "scheduler/scheduler_config.json",
                         "{\"prefix\": \"-Infinity \\\" NaN\", " + members + "}");
  };
  write("\"lambda_min_clipped\": -Infinity, \"flow_shift\": 5.0");
  EXPECT_EQ(scheduler_flow_shift(folder.path()), 5.0);
  write("\"flow_shift\": NaN");
  EXPECT_THAT(testing::refusal([&] { scheduler_flow_shift(folder.path()); }),
              HasSubstr("flow_shift is \"NaN\""));
}

}  // namespace
}  // namespace ferry::checkpoint
