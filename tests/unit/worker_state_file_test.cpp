// The file of an unfinished run, and what it says it is of.
#include "worker/state/state_file.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/zeros.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <functional>

#include "base/error.h"
#include "base/files/file.h"
#include "base/files/pending_file.h"
#include "model/sampler/names.h"
#include "tests/support/refusal.h"
#include "tests/support/safetensors_io.h"
#include "tests/support/temporary_folder.h"
#include "worker/state/identity.h"

namespace ferry::worker {
namespace {

namespace fs = std::filesystem;
using ::ferry::testing::refusal_of;
using ::ferry::testing::TemporaryFolder;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

StateFile small_state(double value = 0.5) {
  StateFile state;
  state.sampling.latent = at::zeros({2, 1, 1, 2}) + value;
  state.sampling.sampler.next_step = 3;
  state.sampling.sampler.tensors = {{"predicted", at::zeros({2, 1, 1, 2}) - value}};
  state.sampling.contexts = {at::zeros({1, 2}, at::kBFloat16) + value, at::zeros({2, 2})};
  state.identity = R"({"tensors":[],"values":[["seed","7"]]})";
  return state;
}

bool same(const at::Tensor& a, const at::Tensor& b) {
  return a.scalar_type() == b.scalar_type() && a.sizes() == b.sizes() && at::equal(a, b);
}

void write_bytes(const std::string& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary) << bytes;
}

class StateFiles : public ::testing::Test {
 protected:
  std::string refusal() const {
    return refusal_of([&] { read_state(path); });
  }
  TemporaryFolder folder;
  std::string path = folder.file(".x.mp4.state");
};

TEST_F(StateFiles, AreReadAsTheyWereWritten) {
  const StateFile written = small_state();
  write_state(path, written);
  const StateFile read = read_state(path);
  EXPECT_TRUE(same(read.sampling.latent, written.sampling.latent));
  EXPECT_EQ(read.sampling.steps_done(), 3);
  ASSERT_EQ(read.sampling.sampler.tensors.size(), 1U);
  EXPECT_TRUE(
      same(read.sampling.sampler.tensors.at("predicted"), written.sampling.sampler.tensors.at("predicted")));
  ASSERT_EQ(read.sampling.contexts.size(), 2U);
  for (std::size_t i = 0; i < 2; ++i)
    EXPECT_TRUE(same(read.sampling.contexts[i], written.sampling.contexts[i])) << i;
  EXPECT_EQ(read.identity, written.identity);
}

TEST_F(StateFiles, ReplaceOlderOnesAndLeaveNothingElse) {
  write_state(path, small_state(1));
  const StateFile second = small_state(2);
  write_state(path, second);
  EXPECT_TRUE(same(read_state(path).sampling.latent, second.sampling.latent));
  EXPECT_EQ(folder.entries(), 1U);
  EXPECT_THROW(write_state(folder.file("none/x.state"), second), FileError);
}

TEST_F(StateFiles, OneFlippedBitAnywhereIsRefused) {
  write_state(path, small_state());
  const std::string whole = read_file(path);
  ASSERT_LT(whole.size(), 2000U);
  const std::string other = folder.file("flipped.state");
  for (std::size_t i = 0; i < whole.size(); ++i) {
    for (int bit = 0; bit < 8; ++bit) {
      std::string flipped = whole;
      flipped[i] = static_cast<char>(flipped[i] ^ (1 << bit));
      write_bytes(other, flipped);
      const std::string said = refusal_of([&] { read_state(other); });
      ASSERT_THAT(said, AllOf(HasSubstr("damaged"), HasSubstr("checksum"))) << "byte " << i << " bit " << bit;
    }
  }
}

TEST_F(StateFiles, CutOrLongerOnesAreRefused) {
  write_state(path, small_state());
  const std::string whole = read_file(path);
  for (std::size_t bytes = 0; bytes < whole.size(); ++bytes) {
    write_bytes(path, whole.substr(0, bytes));
    ASSERT_THAT(refusal(), HasSubstr("damaged")) << bytes;
  }
  write_bytes(path, whole + '\0');
  EXPECT_THAT(refusal(), HasSubstr("damaged"));
}

TEST_F(StateFiles, ThatAreNoneAreRefused) {
  EXPECT_THAT(refusal(), AllOf(HasSubstr(path), HasSubstr("No such file")));
  fs::create_directory(path);
  EXPECT_THAT(refusal(), HasSubstr("directory"));
  fs::remove(path);
  testing::write_safetensors(path, {{"latents", at::zeros({16, 1, 2, 2})}});
  EXPECT_THAT(refusal(), HasSubstr("no state file"));
  StateFile wrong = small_state();
  wrong.sampling.sampler.tensors["predicted"] = at::zeros({3});
  write_state(path, wrong);
  EXPECT_THAT(refusal(), HasSubstr("not those of a run"));
}

class MidRun : public ::testing::TestWithParam<std::string> {};

// The network of wan21.md section 13.4.
at::Tensor velocity(const at::Tensor& x, double timestep) { return x * 0.5 + timestep / 1000.0; }

TEST_P(MidRun, AStateFromDiskGoesOnToTheSameBits) {
  constexpr int kSteps = 10;
  const TemporaryFolder folder;
  const std::string path = folder.file(".x.state");
  at::Tensor x = at::randn({2, 1, 3, 2});
  model::Sampler whole = model::make_sampler(GetParam(), kSteps, 3);
  for (int i = 0; i < kSteps; ++i) {
    StateFile state = small_state();
    state.sampling.latent = x;
    state.sampling.sampler = whole.state();
    write_state(folder.file(std::to_string(i)), state);
    x = whole.step(i, x, velocity(x, whole.timesteps()[static_cast<std::size_t>(i)]));
  }
  for (int stop = 0; stop < kSteps; ++stop) {
    const SamplingState state = read_state(folder.file(std::to_string(stop))).sampling;
    model::Sampler rest = model::make_sampler(GetParam(), kSteps, 3);
    rest.restore(state.sampler);
    at::Tensor y = state.latent;
    for (int i = state.steps_done(); i < kSteps; ++i)
      y = rest.step(i, y, velocity(y, rest.timesteps()[static_cast<std::size_t>(i)]));
    EXPECT_TRUE(at::equal(x, y)) << "stopped after " << stop;
  }
}

INSTANTIATE_TEST_SUITE_P(Samplers, MidRun, ::testing::ValuesIn(model::sampler_names()));

Identity small_identity() {
  return {.values = {{"prompt", "a boat"}, {"seed", "7"}, {"size", "64x48"}},
          .tensors = {{"dit", {{"a.weight", "bf16 [2] 00"}, {"b.weight", "bf16 [2] 01"}}},
                      {"lora", {{"a down", "fp32 [1] 02"}}}}};
}

TEST(Identities, AreReadAsTheyWereWritten) {
  Identity written = small_identity();
  written.values[0].second = "船\n\"x\"";
  const Identity read = identity_from_json(to_json(written));
  EXPECT_EQ(read.values, written.values);
  EXPECT_EQ(read.tensors, written.tensors);
  EXPECT_EQ(differences(read, written), "");
  for (const char* text : {"", "[]", "{}", R"({"values":7,"tensors":[]})"}) {
    EXPECT_NE(refusal_of([&] { identity_from_json(text); }), "") << text;
  }
}

TEST(Identities, EachValueThatDiffersIsNamed) {
  const Identity kept = small_identity();
  for (std::size_t i = 0; i < kept.values.size(); ++i) {
    Identity mine = kept;
    mine.values[i].second = "else";
    EXPECT_EQ(differences(mine, kept),
              kept.values[i].first + " is else, in the state " + kept.values[i].second);
  }
  Identity mine = kept;
  mine.take("seed");
  EXPECT_EQ(differences(mine, kept), "seed is not given, in the state 7");
  EXPECT_EQ(differences(kept, mine), "seed is 7, in the state not given");
}

TEST(Identities, AnotherTensorIsNamed) {
  const Identity kept = small_identity();
  Identity mine = kept;
  mine.tensors[0].second[1].second = "bf16 [2] 99";
  EXPECT_EQ(differences(mine, kept), "model: dit b.weight is bf16 [2] 99, in the state bf16 [2] 01");
  mine = kept;
  mine.tensors[0].second.pop_back();
  EXPECT_EQ(differences(mine, kept), "model: dit has 1 tensors, in the state 2");
  mine = kept;
  mine.tensors.pop_back();
  EXPECT_EQ(differences(mine, kept), "lora: has 0 tensors, in the state 1");
  EXPECT_THAT(differences(kept, mine), HasSubstr("lora: a down is fp32 [1] 02, in the state not given"));
}

TEST(Identities, LongValuesAndListsStayOneShortLine) {
  Identity mine;
  Identity kept;
  for (int i = 0; i < 20; ++i) {
    mine.values.emplace_back("v" + std::to_string(i), std::string(5000, 'a') + "\n");
    kept.values.emplace_back("v" + std::to_string(i), std::string(5000, 'b') + "\n");
  }
  const std::string said = differences(mine, kept);
  EXPECT_LT(said.size(), 1000U);
  EXPECT_THAT(said, AllOf(HasSubstr("v0 is aaa"), HasSubstr("and 16 more"), Not(HasSubstr("\n"))));
}

}  // namespace
}  // namespace ferry::worker
