#include "checkpoint/pickle/pickle_rebuild.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "base/error.h"
#include "base/text/describe.h"

namespace ferry::checkpoint {

namespace {

constexpr auto kGlobals = std::to_array<KnownGlobal>({
    {"collections OrderedDict", PickleGlobal::Dict},
    {"collections defaultdict", PickleGlobal::Dict},
    {"torch._utils _rebuild_tensor_v2", PickleGlobal::RebuildTensor},
    {"torch._utils _rebuild_tensor_v3", PickleGlobal::RebuildTypedTensor},
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
    {"torch.storage UntypedStorage", PickleGlobal::StorageClass, DType::U8},
});

// Values that trainers store beside the tensors.  Some module names differ between Python 2 and 3, and
// between NumPy 1 and 2.
constexpr KnownGlobal kInert = {"", PickleGlobal::Inert};
constexpr auto kInertNames = std::to_array<std::string_view>({
    "torch device",
    "torch Size",
    "torch.torch_version TorchVersion",
    "torch.serialization _get_layout",
    "numpy dtype",
    "numpy ndarray",
    "numpy.core.multiarray scalar",
    "numpy._core.multiarray scalar",
    "numpy.core.multiarray _reconstruct",
    "numpy._core.multiarray _reconstruct",
    "numpy.core.numeric _frombuffer",
    "numpy._core.numeric _frombuffer",
    "_codecs encode",
    "argparse Namespace",
    "types SimpleNamespace",
    "collections Counter",
    "pathlib PosixPath",
    "pathlib PurePosixPath",
    "pathlib WindowsPath",
    "pathlib PureWindowsPath",
    "datetime datetime",
    "datetime date",
    "datetime time",
    "datetime timedelta",
    "datetime timezone",
    "uuid UUID",
});
constexpr auto kInertTypes = std::to_array<std::string_view>({
    "set",
    "frozenset",
    "list",
    "dict",
    "tuple",
    "int",
    "float",
    "str",
    "bool",
    "bytes",
    "bytearray",
    "complex",
    "slice",
    "range",
    "object",
});
constexpr auto kTorchTypes = std::to_array<std::string_view>({
    "float64",     "float32",         "float16",        "bfloat16",   "float8_e4m3fn", "float8_e4m3fnuz",
    "float8_e5m2", "float8_e5m2fnuz", "float8_e8m0fnu", "complex128", "complex64",     "complex32",
    "int64",       "int32",           "int16",          "int8",       "uint64",        "uint32",
    "uint16",      "uint8",           "bool",
});

template <std::size_t kCount>
bool is_one_of(const std::array<std::string_view, kCount>& words, std::string_view word) {
  return std::find(words.begin(), words.end(), word) != words.end();
}

bool is_inert(std::string_view name) {
  const std::size_t space = name.find(' ');
  const std::string_view module = name.substr(0, space);
  const std::string_view word = space == std::string_view::npos ? "" : name.substr(space + 1);
  if (module == "builtins" || module == "__builtin__") return is_one_of(kInertTypes, word);
  if (module == "torch" && is_one_of(kTorchTypes, word)) return true;
  return is_one_of(kInertNames, name);
}

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

// _rebuild_tensor_v3(storage, offset, size, stride, requires_grad, hooks, dtype[, metadata]), for types
// without a storage class: storage sizes are in bytes.
PickleValue rebuild_typed_tensor(std::span<const PickleRef> arguments, const std::vector<PickleValue>& values,
                                 const std::string& file) {
  constexpr std::string_view kFp8 = "torch float8_e4m3fn";
  if (arguments.size() != 7 && arguments.size() != 8)
    refuse(file, "a tensor with a type is made from seven or eight values");
  const PickleValue& type = values[arguments[6]];
  if (type.kind != PickleKind::Global || type.text != kFp8) {
    throw UserError(
        fmt::format("{}: a tensor of type {} is not supported; of those without a storage class "
                    "only fp8 (float8_e4m3fn) is, not e5m2 and not the fp8 scales of mxfp8",
                    file, type.kind == PickleKind::Global ? printable(type.text) : "unknown"));
  }
  if (arguments.size() == 8 && !values[arguments[7]].items.empty())
    refuse(file, "a tensor with metadata is not supported");
  if (values[arguments[0]].tensor.dtype != DType::U8) refuse(file, "a typed tensor has a typed storage");
  PickleValue tensor = rebuild_tensor(arguments.first(6), values, file);
  tensor.tensor.dtype = DType::F8E4M3;
  return tensor;
}

}  // namespace

const KnownGlobal* find_global(std::string_view name) {
  for (const KnownGlobal& known : kGlobals) {
    if (known.name == name) return &known;
  }
  return is_inert(name) ? &kInert : nullptr;
}

PickleValue call_global(const KnownGlobal& callable, std::span<const PickleRef> arguments,
                        const std::vector<PickleValue>& values, const std::string& file) {
  switch (callable.meaning) {
    case PickleGlobal::Dict: {
      // A defaultdict's only argument is its default factory.
      const std::size_t most = callable.name == "collections defaultdict" ? 1 : 0;
      if (arguments.size() > most) refuse(file, fmt::format("{} is called with arguments", callable.name));
      PickleValue dict;
      dict.kind = PickleKind::Dict;
      return dict;
    }
    case PickleGlobal::Inert: {
      PickleValue value;
      value.kind = PickleKind::Other;
      return value;
    }
    case PickleGlobal::RebuildTensor:
      return rebuild_tensor(arguments, values, file);
    case PickleGlobal::RebuildTypedTensor:
      return rebuild_typed_tensor(arguments, values, file);
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

}  // namespace ferry::checkpoint
