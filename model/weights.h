// The seam between the networks and whatever holds their weights.
//
// A network is head modules + blocks + tail modules; a block is a list of modules (linear, norm,
// convolution ...), each a few named tensors.  The network describes itself with a NetworkSpec and, in a
// forward, acquires blocks and modules through Weights, which it owns as an interface; offload/ implements
// it.  So a network does not know whether a weight was always there, has just been ferried in, or was cast
// for this one call.
//
// Rules a forward keeps: begin() and end() around each pass; blocks acquired in ascending order, each once,
// released before the next but one is acquired; a module of a block only while its block is held; the same
// order on every rank and in every pass with the same key.  Modules of a block may be a subset.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <exception>
#include <span>
#include <string>
#include <vector>

#include "base/dtype.h"

namespace ferry::model {

// How a tensor of the checkpoint is laid out in memory once loaded.
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
  std::vector<TensorSpec> tensors;  // Linear, LayerNorm, Conv: weight, bias (when there is one)
  bool host_only = false;           // token embeddings: gathered on the host, never on the device
  bool once = false;                // passes after the first leave it out, what it made is kept
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
  // What its linears and convolutions compute in.  Tensors may be kept in other types: wider for precision,
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

// Shape, strides (in elements) and bytes of a tensor as it is kept in memory.
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

// A pass over a network whose acquires are the same each time: (stage, kind of chunk, branches).
struct PassKey {
  std::string kind;  // "forward", "decode.first", "decode.next"
  int branches = 1;  // guidance branches that run through each block
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
  // The module's tensors in host memory, whatever the strategy; for host_only modules.
  virtual std::span<const at::Tensor> on_host(ModuleId id) = 0;

  // A failure that a destructor cannot throw; the first one is kept.
  void keep(std::exception_ptr failure) noexcept;
  // Throws the failure that is kept, which then no longer is.
  void throw_kept();
  void forget_kept() noexcept { kept_ = nullptr; }

 private:
  std::exception_ptr kept_;
};

// The scopes of a pass, its blocks and its modules.  A destructor throws nothing: when the weights fail to
// end or release something they keep the failure, and the next scope that begins, or PassScope::end(), throws
// it.

// A forward calls end() behind its last block and module.  Where an exception ends the scope instead, that
// exception alone is thrown: what the weights have kept of the pass is forgotten.
class PassScope {
 public:
  PassScope(Weights& weights, const PassKey& key);
  ~PassScope();
  PassScope(const PassScope&) = delete;
  PassScope& operator=(const PassScope&) = delete;
  // Throws the first failure of a scope inside the pass, or what Weights::end() throws.
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
