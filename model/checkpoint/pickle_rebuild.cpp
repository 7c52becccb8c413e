#include "model/checkpoint/pickle_rebuild.h"

#include <fmt/format.h>

#include <array>

#include "base/error.h"

namespace ferry::model {

namespace {

constexpr std::array<KnownGlobal, 13> kGlobals = {{
    {"collections OrderedDict", PickleGlobal::OrderedDict},
    {"torch._utils _rebuild_tensor_v2", PickleGlobal::RebuildTensor},
    {"torch._utils _rebuild_parameter", PickleGlobal::RebuildParameter},
    {"torch DoubleStorage", PickleGlobal::StorageClass, DType::F64},
    {"torch FloatStorage", PickleGlobal::StorageClass, DType::F32},
    {"torch HalfStorage", PickleGlobal::StorageClass, DType::F16},
    {"torch BFloat16Storage", PickleGlobal::StorageClass, DType::BF16},
    {"torch LongStorage", PickleGlobal::StorageClass, DType::I64},
    {"torch IntStorage", PickleGlobal::StorageClass, DType::I32},
    {"torch ShortStorage", PickleGlobal::StorageClass, DType::I16},
    {"torch CharStorage", PickleGlobal::StorageClass, DType::I8},
    {"torch ByteStorage", PickleGlobal::StorageClass, DType::U8},
    {"torch BoolStorage", PickleGlobal::StorageClass, DType::Bool},
}};

[[noreturn]] void refuse(const std::string& file, const std::string& why) {
  throw UserError(fmt::format("{}: damaged pickle: {}", file, why));
}

bool is_count(const PickleValue& value) { return value.kind == PickleKind::Int && value.number >= 0; }

std::vector<std::int64_t> counts(const PickleValue& tuple, const std::vector<PickleValue>& values,
                                 const char* what, const std::string& file) {
  constexpr std::size_t kHighestRank = 16;
  if (tuple.kind != PickleKind::Tuple || tuple.items.size() > kHighestRank) {
    refuse(file, fmt::format("a tensor's {} is no tuple of at most 16 numbers", what));
  }
  std::vector<std::int64_t> numbers;
  for (const PickleRef item : tuple.items) {
    if (!is_count(values[item]))
      refuse(file, fmt::format("a tensor's {} has a member that is no number >= 0", what));
    numbers.push_back(values[item].number);
  }
  return numbers;
}

// _rebuild_tensor_v2(storage, offset, size, stride, requires_grad, hooks[, metadata])
PickleValue rebuild_tensor(std::span<const PickleRef> arguments, const std::vector<PickleValue>& values,
                           const std::string& file) {
  if (arguments.size() != 6 && arguments.size() != 7)
    refuse(file, "a tensor is made from six or seven values");
  const PickleValue& storage = values[arguments[0]];
  if (storage.kind != PickleKind::Storage) refuse(file, "a tensor is made from something that is no storage");
  if (!is_count(values[arguments[1]])) refuse(file, "a tensor's offset is no number >= 0");
  if (arguments.size() == 7 && !values[arguments[6]].items.empty()) {
    refuse(file, "a tensor with metadata (conjugated or negated views) is not supported");
  }
  PickleValue tensor = storage;
  tensor.kind = PickleKind::Tensor;
  tensor.tensor.offset = values[arguments[1]].number;
  tensor.tensor.shape = counts(values[arguments[2]], values, "size", file);
  tensor.tensor.strides = counts(values[arguments[3]], values, "stride", file);
  if (tensor.tensor.shape.size() != tensor.tensor.strides.size())
    refuse(file, "a tensor's size and stride differ in length");
  return tensor;
}

}  // namespace

const KnownGlobal* find_global(std::string_view name) {
  for (const KnownGlobal& known : kGlobals) {
    if (known.name == name) return &known;
  }
  return nullptr;
}

PickleValue call_global(const KnownGlobal& callable, std::span<const PickleRef> arguments,
                        const std::vector<PickleValue>& values, const std::string& file) {
  switch (callable.meaning) {
    case PickleGlobal::OrderedDict: {
      if (!arguments.empty()) refuse(file, "OrderedDict is called with arguments");
      PickleValue dict;
      dict.kind = PickleKind::Dict;
      return dict;
    }
    case PickleGlobal::RebuildTensor:
      return rebuild_tensor(arguments, values, file);
    case PickleGlobal::RebuildParameter:
      if (arguments.size() != 3 || values[arguments[0]].kind != PickleKind::Tensor) {
        refuse(file, "a parameter is made from something that is no tensor");
      }
      return values[arguments[0]];
    case PickleGlobal::StorageClass:
      break;
  }
  refuse(file, fmt::format("{} is called as a function", callable.name));
}

PickleValue storage_of(const PickleValue& id, const std::vector<PickleValue>& values,
                       const std::string& file) {
  if (id.kind != PickleKind::Tuple || id.items.size() != 5)
    refuse(file, "a persistent id is no tuple of five");
  const PickleValue& word = values[id.items[0]];
  const PickleValue& type = values[id.items[1]];
  const PickleValue& key = values[id.items[2]];
  const PickleValue& elements = values[id.items[4]];
  if (word.kind != PickleKind::Text || word.text != "storage")
    refuse(file, "a persistent id that is no storage");
  constexpr std::size_t kLongestKey = 64;
  const KnownGlobal* known = type.kind == PickleKind::Global ? find_global(type.text) : nullptr;
  if (known == nullptr || known->meaning != PickleGlobal::StorageClass)
    refuse(file, "a storage without a storage class");
  if (key.kind != PickleKind::Text || !is_count(elements)) refuse(file, "a storage without key or size");
  if (key.text.size() > kLongestKey) refuse(file, "a storage's key is longer than 64 characters");
  PickleValue storage;
  storage.kind = PickleKind::Storage;
  storage.tensor.storage = key.text;
  storage.tensor.dtype = known->dtype;
  storage.tensor.storage_numel = elements.number;
  return storage;
}

}  // namespace ferry::model
