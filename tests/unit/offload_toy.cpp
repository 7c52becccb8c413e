#include "tests/unit/offload_toy.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/layer_norm.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/sin.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/tanh.h>

#include <barrier>
#include <cstring>
#include <exception>
#include <mutex>
#include <thread>

#include "model/shape.h"
#include "tests/support/plain_weights.h"

namespace ferry::testing {

namespace {

using model::ModuleKind;

constexpr std::int64_t kRows = 8;
constexpr std::int64_t kTableRows = 50;

model::ModuleSpec module(const std::string& name, ModuleKind kind, DType dtype,
                         std::vector<std::vector<std::int64_t>> shapes) {
  model::ModuleSpec spec{.name = name, .kind = kind, .tensors = {}};
  const char* const suffixes[] = {".weight", ".bias"};
  for (std::size_t i = 0; i < shapes.size(); ++i) {
    spec.tensors.push_back({.key = name + suffixes[i], .shape = shapes[i], .dtype = dtype});
  }
  return spec;
}

at::Tensor apply_linear(const at::Tensor& x, const model::ModuleView& view) {
  const at::Tensor& weight = view[0];
  at::Tensor y = at::linear(x.to(weight.scalar_type()), weight, view[1]);
  if (view.lora != nullptr) {
    const at::Tensor low = at::linear(x.to(view.lora->down.scalar_type()), view.lora->down);
    y = y + at::linear(low, view.lora->up) * view.lora->scale;
  }
  return y.to(at::kFloat);
}

// q of the weights, or what was kept of it.
at::Tensor apply_q(const at::Tensor& x, model::Weights& weights, int block, ToyKept* kept) {
  const auto b = static_cast<std::size_t>(block);
  if (kept != nullptr && kept->size() > b) return apply_linear(x, {.tensors = (*kept)[b]});
  const model::ModuleScope q(weights, {block, 2});
  if (kept != nullptr) kept->push_back({q[0].clone(), q[1].clone()});
  return apply_linear(x, q.view());
}

at::Tensor start(const at::Tensor& table, std::int64_t dim, int branch) {
  const at::Tensor x = at::sin(at::arange(kRows * dim, at::kFloat) * 0.37 + branch).reshape({kRows, dim});
  return x + table.to(at::kFloat).sum() * 1e-3;
}

std::vector<at::Tensor> run_pass(model::Weights& weights, int branches,
                                 const std::function<void(int block)>& around_exchange, ToyKept* kept) {
  const model::ModuleScope in(weights, {model::ModuleId::kHead, 1});
  const at::Tensor& table = weights.on_host({model::ModuleId::kHead, 0})[0];
  std::vector<at::Tensor> x;
  for (int i = 0; i < branches; ++i) x.push_back(apply_linear(start(table, in[0].size(0), i), in.view()));
  for (int b = 0; b < static_cast<int>(weights.spec().blocks.size()); ++b) {
    const model::BlockScope block(weights, b);
    const model::ModuleScope norm(weights, {b, 0});
    const model::ModuleScope modulation(weights, {b, 1});
    for (at::Tensor& each : x) {
      const at::Tensor h =
          at::layer_norm(each, {each.size(1)}, norm[0], norm[1]) * modulation[0][0][0] + modulation[0][0][1];
      const at::Tensor from_q = apply_q(h, weights, b, kept);
      const model::ModuleScope k(weights, {b, 3});
      const at::Tensor product = from_q * at::tanh(apply_linear(h, k.view()));
      if (around_exchange) around_exchange(b);
      const model::ModuleScope ffn(weights, {b, 4});
      const at::Tensor wide = at::tanh(apply_linear(product, ffn.view())).reshape({kRows, 2, -1});
      if (around_exchange) around_exchange(b);
      each = each + wide.sum(1) * (modulation[0][0][2] + 0.5);
    }
  }
  const model::ModuleScope out(weights, {model::ModuleId::kTail, 0});
  for (at::Tensor& each : x) each = apply_linear(each, out.view());
  return x;
}

}  // namespace

model::NetworkSpec toy_spec(const ToyShape& shape) {
  const std::int64_t d = shape.dim;
  model::NetworkSpec spec{.name = "toy", .head = {}, .blocks = {}, .tail = {}, .compute = shape.compute};
  spec.head.push_back(module("table", ModuleKind::Embedding, shape.compute, {{kTableRows, d}}));
  spec.head.back().host_only = shape.host_table;
  spec.head.push_back(module("in", ModuleKind::Linear, shape.compute, {{d, d}, {d}}));
  for (int b = 0; b < shape.layers; ++b) {
    const std::string name = "blocks." + std::to_string(b) + ".";
    model::BlockSpec block{.name = "blocks." + std::to_string(b), .modules = {}};
    block.modules.push_back(module(name + "norm", ModuleKind::LayerNorm, DType::F32, {{d}, {d}}));
    block.modules.push_back(module(name + "modulation", ModuleKind::Parameter, DType::F32, {{1, 3, d}}));
    block.modules.push_back(module(name + "q", ModuleKind::Linear, shape.compute, {{d, d}, {d}}));
    block.modules.back().once = shape.q_once;
    block.modules.push_back(module(name + "k", ModuleKind::Linear, shape.compute, {{d, d}, {d}}));
    block.modules.push_back(module(name + "ffn", ModuleKind::Linear, shape.compute, {{2 * d, d}, {2 * d}}));
    spec.blocks.push_back(block);
  }
  spec.tail.push_back(module("out", ModuleKind::Linear, DType::F32, {{d, d}, {d}}));
  return spec;
}

float toy_value(const std::string& key, std::int64_t i) {
  return toy_value(std::hash<std::string>{}(key), i);
}

float toy_value(std::size_t key_hash, std::int64_t i) {
  std::uint64_t hash = key_hash + static_cast<std::uint64_t>(i) * 0x9E3779B97F4A7C15ULL;
  hash = (hash ^ (hash >> 29)) * 0xBF58476D1CE4E5B9ULL;
  hash ^= hash >> 32;
  return (static_cast<float>(hash % 4096) / 4096.0F - 0.5F) * 0.25F;
}

offload::TensorSource toy_source() {
  return [](const model::TensorSpec& spec, std::byte* tensor, std::int64_t row_begin, std::int64_t row_end) {
    const std::int64_t row = model::numel(spec.shape) / spec.shape[0];
    const std::size_t key = std::hash<std::string>{}(spec.key);
    for (std::int64_t i = row_begin * row; i < row_end * row; ++i) {
      const float value = toy_value(key, i);
      convert(tensor + static_cast<std::size_t>(i) * size_of(spec.dtype), spec.dtype, &value, DType::F32, 1);
    }
  };
}

std::vector<at::Tensor> toy_forward(model::Weights& weights, int branches,
                                    const std::function<void(int block)>& around_exchange, ToyKept* kept) {
  model::PassScope pass(weights, {.kind = "forward", .branches = branches});
  std::vector<at::Tensor> x = run_pass(weights, branches, around_exchange, kept);
  pass.end();
  return x;
}

std::vector<at::Tensor> toy_reference(const ToyShape& shape, int branches) {
  PlainWeights weights(toy_spec(shape), [](const model::TensorSpec& spec) {
    const at::Tensor value = at::empty({model::numel(spec.shape)}, at::kFloat);
    for (std::int64_t i = 0; i < value.numel(); ++i) value.data_ptr<float>()[i] = toy_value(spec.key, i);
    return value;
  });
  return toy_forward(weights, branches);
}

std::unique_ptr<offload::NodeArena> toy_arena(const ToyShape& shape, const offload::Options& options,
                                              int weight_ranks) {
  auto arena = std::make_unique<offload::NodeArena>(
      offload::make_plan(toy_spec(shape), options, weight_ranks).arena, offload::NodeRanks{});
  arena->load(toy_source(), 1, {});
  return arena;
}

void run_ranks(int ranks, const std::function<void(const parallel::Peers&)>& body) {
  std::vector<std::string> words(static_cast<std::size_t>(ranks));
  std::barrier meet(ranks);
  std::mutex mutex;
  std::exception_ptr failure;
  const auto rank_body = [&](int rank) {
    const parallel::Peers peers{
        .rank = rank, .size = ranks, .all_gather = [&, rank](const std::string& mine) {
          words[static_cast<std::size_t>(rank)] = mine;
          meet.arrive_and_wait();
          std::vector<std::string> all = words;
          meet.arrive_and_wait();
          return all;
        }};
    try {
      body(peers);
    } catch (...) {
      const std::lock_guard lock(mutex);
      if (!failure) failure = std::current_exception();
      meet.arrive_and_drop();
    }
  };
  std::vector<std::jthread> threads;
  for (int rank = 0; rank < ranks; ++rank) threads.emplace_back(rank_body, rank);
  threads.clear();
  if (failure) std::rethrow_exception(failure);
}

bool same_bits(const at::Tensor& a, const at::Tensor& b) {
  const at::Tensor left = a.contiguous().cpu();
  const at::Tensor right = b.contiguous().cpu();
  return left.sizes() == right.sizes() && left.nbytes() == right.nbytes() &&
         std::memcmp(left.const_data_ptr(), right.const_data_ptr(), left.nbytes()) == 0;
}

bool same_bits(const std::vector<at::Tensor>& a, const std::vector<at::Tensor>& b) {
  if (a.size() != b.size()) return false;
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (!same_bits(a[i], b[i])) return false;
  }
  return true;
}

}  // namespace ferry::testing
