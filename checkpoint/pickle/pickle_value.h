// Values on the stack of the pickle machine.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "checkpoint/pickle/pickle.h"

namespace ferry::checkpoint {

enum class PickleKind : std::uint8_t {
  None,
  Bool,
  Int,
  Float,
  Text,
  Tuple,
  List,
  Dict,
  Global,
  Storage,
  Tensor,
  Other  // not needed in state dicts: bytes, sets, integers beyond 64 bits, values of inert globals
};

// Values live in one list and refer to each other by index, so that a pickle's cycles and depth are harmless.
using PickleRef = std::uint32_t;

struct PickleValue {
  PickleKind kind = PickleKind::None;
  std::int64_t number = 0;            // Bool, Int
  std::string text = {};              // Text; Global: "module name"
  std::vector<PickleRef> items = {};  // Tuple, List; Dict: key, value, key, value ...
  PickledTensor tensor = {};          // Tensor; Storage: its first three members
};

// Meaning of a global in a pickle.  An inert one is a class or function of harmless values beside the tensors
// (torch.device, numpy scalars, paths): its name is allowed, its calls give PickleKind::Other.
enum class PickleGlobal : std::uint8_t {
  Dict,
  RebuildTensor,
  RebuildTypedTensor,
  RebuildParameter,
  StorageClass,
  Inert
};

struct KnownGlobal {
  std::string_view name;  // "module name"
  PickleGlobal meaning;
  DType dtype = DType::U8;  // of a StorageClass
};

// Returns nullptr for a name that is not allowed.
const KnownGlobal* find_global(std::string_view name);

}  // namespace ferry::checkpoint
