// P ranks decode what one rank decodes: the VAE with its rows divided, on real ranks and the devices of the
// program.
//
// Tolerances.  fp32 on the CPU: each value is the same sum of the same terms, but oneDNN and attention may
// add them up in another order at another number of rows: 1e-6, and where a band is one row 3e-6, what fp32
// itself is from fp64 with these weights.  fp32 on a GPU, without TF32: 1e-5, what a decode there differs
// from the CPU's.  bf16: another order flips last bits (2^-9) of single values, which some thirty
// convolutions carry on: 1e-2.
#include <ATen/Context.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/linalg_vector_norm.h>
#include <gtest/gtest.h>

#include "model/vae/band.h"
#include "model/vae/vae.h"
#include "tests/support/plain_weights.h"
#include "tests/support/torch_ranks_fixture.h"
#include "tests/unit/vae_golden.h"
#include "tests/unit/vae_reference.h"

namespace ferry::testing {
namespace {

using model::VaeConfig;
using model::vae::Band;

class VaeRanks : public TorchRanksTest {
 protected:
  VaeRanks() { at::globalContext().setAllowTF32CuDNN(false); }
  ~VaeRanks() override { at::globalContext().setAllowTF32CuDNN(tf32_); }

  Band band_of(std::int64_t height) { return model::vae::band_of(groups().data_root.get(), height); }

  // The frames [3, F, rows, W] that this rank makes, alone or with the others.
  at::Tensor decode(const VaeConfig& config, const Tensors& tensors, const at::Tensor& latent, DType compute,
                    parallel::Group* group) {
    PlainWeights weights(
        model::vae_decoder_spec(config, compute),
        [&](const model::TensorSpec& spec) { return tensors.at(spec.key); }, place());
    std::vector<at::Tensor> parts;
    const model::VaeRuntime runtime = {.device = &device(), .compute = compute, .tap = {}, .group = group};
    model::VaeDecoder decoder(config, weights, runtime);
    decoder.decode(latent.to(place()),
                   [&](std::int64_t, const at::Tensor& frames) { parts.push_back(frames); });
    return at::cat(parts, 1);
  }
  at::Tensor alone(const VaeConfig& config, const Tensors& tensors, const at::Tensor& latent, DType compute) {
    return decode(config, tensors, latent, compute, nullptr);
  }
  // Whole frames, on every rank.
  at::Tensor together(const VaeConfig& config, const Tensors& tensors, const at::Tensor& latent,
                      DType compute) {
    const at::Tensor mine = decode(config, tensors, latent, compute, groups().data_root.get());
    const Band band = band_of(latent.size(2));
    if (!band.split()) return mine;
    const at::Tensor rows = mine.permute({1, 2, 3, 0}).contiguous();
    return model::vae::gather_rows(band, rows, device().compute()).permute({3, 0, 1, 2});
  }
  double tolerance(DType compute, std::int64_t rows) {
    if (compute == DType::BF16) return 1e-2;
    if (on_gpu()) return 1e-5;
    return rows / size() > 1 ? 1e-6 : 3e-6;
  }
  static double relative_l2(const at::Tensor& found, const at::Tensor& wanted) {
    return (at::linalg_vector_norm(found - wanted) / at::linalg_vector_norm(wanted)).item<double>();
  }

 private:
  bool tf32_ = at::globalContext().allowTF32CuDNN();
};

VaeConfig wan() { return vae_config_of(16, {1, 2, 4, 4}, {false, true, true}, 2); }

TEST_F(VaeRanks, BandsAreEvenAndCoverTheFrame) {
  for (const std::int64_t height : {1, 2, 3, 4, 5, 7, 60, 90}) {
    const Band band = band_of(height);
    EXPECT_EQ(band.split(), size() > 1 && height >= size());
    EXPECT_EQ(band.height, height);
    if (!band.split()) {
      EXPECT_EQ(band.begin, 0);
      EXPECT_EQ(band.rows, height);
      continue;
    }
    std::int64_t begin = 0;
    const std::string mine = std::to_string(band.begin) + " " + std::to_string(band.rows);
    for (const std::string& text : session().all_gather(mine)) {
      EXPECT_EQ(std::stoll(text), begin);
      const std::int64_t rows = std::stoll(text.substr(text.find(' ')));
      EXPECT_GE(rows, height / size());
      EXPECT_LE(rows, height / size() + 1);
      begin += rows;
    }
    EXPECT_EQ(begin, height);
  }
}

TEST_F(VaeRanks, GatheredRowsLieWhereTheyBelong) {
  for (const std::int64_t height : {4, 5, 7}) {
    const Band band = band_of(height);
    if (!band.split()) continue;
    constexpr std::int64_t kScale = 2;
    const at::Tensor whole = at::arange(3 * height * kScale * 5, at::device(place()).dtype(at::kInt))
                                 .view({3, height * kScale, 5});
    const at::Tensor mine = whole.narrow(1, band.begin * kScale, band.rows * kScale).contiguous();
    EXPECT_TRUE(at::equal(model::vae::gather_rows(band, mine, device().compute()), whole));
    const at::Tensor first = model::vae::gather_rows_on_first(band, mine, device().compute());
    EXPECT_EQ(first.defined(), rank() == 0);
    if (first.defined()) {
      EXPECT_TRUE(at::equal(first, whole));
    }
  }
}

TEST_F(VaeRanks, HalosAreTheNeighboursRowsAndZerosBeyondThePicture) {
  for (const std::int64_t height : {4, 5, 7}) {
    const Band band = band_of(height);
    if (!band.split()) continue;
    // The picture with a row of zeros above and below: a band with its halos is a piece of it.
    const at::Tensor padded =
        at::arange(2 * (height + 2) * 3 * 4, at::device(place()).dtype(at::kInt)).view({2, height + 2, 3, 4});
    padded.select(1, 0).zero_();
    padded.select(1, height + 1).zero_();
    const at::Tensor wanted = padded.narrow(1, band.begin, band.rows + 2);
    const at::Tensor frames = wanted.clone(at::MemoryFormat::Contiguous);
    frames.select(1, 0).fill_(-1);
    frames.select(1, band.rows + 1).fill_(-1);
    model::vae::fetch_halos(band, frames, device().compute());
    EXPECT_TRUE(at::equal(frames, wanted));
  }
}

struct Case {
  VaeConfig config;
  std::vector<std::vector<std::int64_t>> latents;  // T, h, w
};

// Rows that the ranks divide and rows that they do not, 1 and 3 of which are too few for some.
TEST_F(VaeRanks, GiveWhatOneRankGives) {
  const std::vector<Case> cases = {
      {wan(), {{3, 4, 6}, {2, 5, 3}, {5, 12, 2}, {1, 7, 4}, {3, 3, 2}, {2, 1, 3}}},
      {vae_config_of(6, {1, 3, 5}, {true, true}, 1, 4), {{4, 6, 3}}},
      {vae_config_of(8, {1, 2, 2, 4}, {true, false, true}, 0, 16), {{2, 4, 3}}},
      {vae_config_of(12, {2, 1}, {false}, 2, 3), {{3, 9, 3}}}};
  for (const auto& [config, latents] : cases) {
    const Tensors tensors = random_weights(config);
    for (const auto& shape : latents) {
      const at::Tensor latent = golden_input({config.z_dim, shape[0], shape[1], shape[2]}, 0.7, 0.37);
      for (const DType compute : {DType::F32, DType::BF16}) {
        const at::Tensor one = alone(config, tensors, latent, compute);
        const at::Tensor all = together(config, tensors, latent, compute);
        ASSERT_EQ(all.sizes(), one.sizes());
        EXPECT_LE(relative_l2(all, one), tolerance(compute, shape[1]))
            << name_of(compute) << ", " << shape[1] << " rows";
      }
    }
  }
}

TEST_F(VaeRanks, GoldenVectorsMatch) {
  expect_golden(together(wan(), golden_fill(vae_keys(wan())), golden_latent(), DType::F32));
}

}  // namespace
}  // namespace ferry::testing
