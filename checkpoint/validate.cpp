#include <fmt/format.h>

#include "base/error.h"
#include "base/text/describe.h"
#include "checkpoint/checkpoint.h"

namespace ferry::checkpoint {

namespace {

bool is_readable(const TensorEntry& entry, const model::TensorSpec& spec) {
  if (entry.scale != nullptr) return true;
  switch (entry.dtype) {
    case DType::F64:
    case DType::F32:
    case DType::F16:
    case DType::BF16:
    case DType::F8E4M3:
      return true;
    default:
      return entry.dtype == spec.dtype;
  }
}

void check_tensor(const Checkpoint& checkpoint, const model::TensorSpec& spec) {
  const TensorEntry* entry = checkpoint.find(spec.key);
  if (entry == nullptr) {
    throw UserError(fmt::format("{}: the {} needs tensor {} {}, which is missing", checkpoint.files().front(),
                                name_of(checkpoint.part()), spec.key, shape_text(spec.shape)));
  }
  if (entry->shape != spec.shape) {
    throw UserError(fmt::format("{}: tensor {} has shape {}, expected {}", entry->file, spec.key,
                                shape_text(entry->shape), shape_text(spec.shape)));
  }
  if (!is_readable(*entry, spec)) {
    throw UserError(fmt::format("{}: tensor {} is {}, expected fp64, fp32, fp16, bf16 or fp8", entry->file,
                                spec.key, name_of(entry->dtype)));
  }
}

void check_module(const Checkpoint& checkpoint, const model::ModuleSpec& module) {
  for (const model::TensorSpec& spec : module.tensors) check_tensor(checkpoint, spec);
}

}  // namespace

void validate(const Checkpoint& checkpoint, const model::NetworkSpec& spec) {
  for (const model::ModuleSpec& module : spec.head) check_module(checkpoint, module);
  for (const model::BlockSpec& block : spec.blocks) {
    for (const model::ModuleSpec& module : block.modules) check_module(checkpoint, module);
  }
  for (const model::ModuleSpec& module : spec.tail) check_module(checkpoint, module);
}

}  // namespace ferry::checkpoint
