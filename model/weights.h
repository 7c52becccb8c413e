// Interface between the networks and the holders of their weights.
//
// A network is head modules + blocks + tail modules; a block is a list of modules (linear, norm, convolution
// ...), each with a few named tensors.  The network describes itself with a NetworkSpec and, in a forward,
// acquires blocks and modules through Weights, which offload/ implements.  So a network does not know whether
// a weight is resident, was just ferried in, or was cast for this one call.
//
// Rules for a forward: begin() and end() around each pass; blocks acquired in ascending order, each once,
// released before the next but one is acquired; a module of a block only while its block is held; the same
// order on every rank and in every pass with the same key.  It may acquire a subset of a block's modules.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <exception>
#include <span>
#include <string>
#include <vector>

#include "base/dtype.h"

namespace ferry::model {

// Memory layout of a checkpoint tensor once loaded.
enum class Layout : std::uint8_t {
  Contiguous,    // as in the checkpoint, row-major
  ChannelsLast,  // 4-D or 5-D convolution weight, channels-last strides, same logical shape
};

struct TensorSpec {
  std::string key;                  // official key, e.g. "blocks.0.self_attn.q.weight"
  std::vector<std::int64_t> shape;  // in the checkpoint
  DType dtype = DType::F32;         // as kept in memory
  Layout layout = Layout::Contiguous;
};

enum class ModuleKind : std::uint8_t { Linear, LayerNorm, RmsNorm, Conv, Embedding, Parameter };

struct ModuleSpec {
  std::string name;  // "blocks.0.self_attn.q"
  ModuleKind kind = ModuleKind::Parameter;
  std::vector<TensorSpec> tensors;  // Linear, LayerNorm, Conv: weight, bias (if any)
  bool host_only = false;           // token embeddings: gathered on the host, never on the device
  bool once = false;                // skipped after the first pass; its result is cached
};

struct BlockSpec {
  std::string name;
  std::vector<ModuleSpec> modules;
};

struct NetworkSpec {
  std::string name;  // "dit", "vae", "text_encoder"
  std::vector<ModuleSpec> head;
  std::vector<BlockSpec> blocks;
  std::vector<ModuleSpec> tail;
  // Compute type of linears and convolutions.  Tensors may be kept in other types: wider for precision,
  // narrower to save memory.
  DType compute = DType::F32;
};

struct ModuleId {
  static constexpr int kHead = -1;
  static constexpr int kTail = -2;
  int block = kHead;  // or the block's index
  int module = 0;     // index in head, blocks[block].modules or tail
  friend bool operator==(const ModuleId&, const ModuleId&) = default;
};

const ModuleSpec& module_of(const NetworkSpec& spec, ModuleId id);

// Shape, strides (in elements) and bytes of a tensor in memory.
struct MemoryFormat {
  std::vector<std::int64_t> shape;
  std::vector<std::int64_t> strides;
  std::size_t bytes = 0;
};
MemoryFormat memory_format(const TensorSpec& spec);

// A low-rank addition to a linear: y += strength * (x A^T) B^T.
struct Lora {
  at::Tensor down;  // A [rank, in], compute dtype, on the device
  at::Tensor up;    // B [out, rank]
  double scale = 1.0;
};

// The tensors of one module, in the order of its spec, valid on the compute stream until release.
struct ModuleView {
  std::span<const at::Tensor> tensors;
  const Lora* lora = nullptr;  // additions not merged into tensors[0]

  const at::Tensor& operator[](std::size_t i) const { return tensors[i]; }
};

// Identifies passes over a network with the same sequence of acquires: (stage, kind of chunk, branches).
struct PassKey {
  std::string kind;  // "forward", "decode.first", "decode.next"
  int branches = 1;  // guidance branches per block
  friend bool operator==(const PassKey&, const PassKey&) = default;
};

class Weights {
 public:
  virtual ~Weights() = default;
  virtual const NetworkSpec& spec() const = 0;
  virtual void begin(const PassKey& key) = 0;
  virtual void end() = 0;
  virtual void acquire_block(int block) = 0;
  virtual void release_block(int block) = 0;
  virtual ModuleView acquire(ModuleId id) = 0;
  virtual void release(ModuleId id) = 0;
  // The module's tensors in host memory, under any strategy; for host_only modules.
  virtual std::span<const at::Tensor> on_host(ModuleId id) = 0;

  // Keeps a failure that a destructor cannot throw; only the first one.
  void keep(std::exception_ptr failure) noexcept;
  // Throws the kept failure and clears it.
  void throw_kept();
  void forget_kept() noexcept { kept_ = nullptr; }

 private:
  std::exception_ptr kept_;
};

// Scopes of a pass, its blocks and its modules.  Destructors do not throw: if the weights fail to end or
// release something, they keep the failure, and the next scope that begins, or PassScope::end(), throws it.
// A forward calls end() after its last block and module.  If an exception ends the scope instead, only that
// exception is thrown: failures kept during the pass are dropped.
class PassScope {
 public:
  PassScope(Weights& weights, const PassKey& key);
  ~PassScope();
  PassScope(const PassScope&) = delete;
  PassScope& operator=(const PassScope&) = delete;
  // Throws the first failure of a scope inside the pass, or that of Weights::end().
  void end();

 private:
  Weights& weights_;
  bool ended_ = false;
  int exceptions_ = std::uncaught_exceptions();
};

class BlockScope {
 public:
  BlockScope(Weights& weights, int block);
  ~BlockScope();
  BlockScope(const BlockScope&) = delete;
  BlockScope& operator=(const BlockScope&) = delete;

 private:
  Weights& weights_;
  int block_;
};

class ModuleScope {
 public:
  ModuleScope(Weights& weights, ModuleId id);
  ~ModuleScope();
  ModuleScope(const ModuleScope&) = delete;
  ModuleScope& operator=(const ModuleScope&) = delete;
  const ModuleView& view() const { return view_; }
  const at::Tensor& operator[](std::size_t i) const { return view_[i]; }

 private:
  Weights& weights_;
  ModuleId id_;
  ModuleView view_;
};

}  // namespace ferry::model
