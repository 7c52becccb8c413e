#include "checkpoint/pickle/pickle.h"

#include <fmt/format.h>

#include <cstring>

#include "checkpoint/pickle/pickle_dicts.h"
#include "checkpoint/pickle/pickle_machine.h"

namespace ferry::checkpoint {

namespace {

constexpr std::size_t kMostBytes = 64'000'000;

// Reads opcodes and their arguments (names in comments are those of Python's pickletools) and drives the
// machine.
class Reader {
 public:
  Reader(std::span<const std::byte> pickle, PickleMachine& machine) : rest_(pickle), machine_(machine) {}

  // Runs to STOP and returns the root.
  PickleRef run() {
    for (;;) {
      const auto op = number<std::uint8_t>();
      if (op == '.') return machine_.pop();  // STOP
      if (!frame(op) && !text(op) && !constant(op) && !container(op) && !memo(op) && !object(op)) {
        machine_.refuse(fmt::format("opcode 0x{:02x} is not one that state dicts use", op));
      }
    }
  }

 private:
  bool frame(std::uint8_t op);
  bool text(std::uint8_t op);
  bool constant(std::uint8_t op);
  bool container(std::uint8_t op);
  bool memo(std::uint8_t op);
  bool object(std::uint8_t op);

  std::string_view bytes(std::uint64_t count);
  std::string line();
  template <typename T>
  T number();
  void long_integer(std::size_t count);
  void other(std::string_view dropped);

  std::span<const std::byte> rest_;
  PickleMachine& machine_;
};

std::string_view Reader::bytes(std::uint64_t count) {
  if (count > rest_.size()) machine_.refuse("it ends too early");
  const std::string_view text(reinterpret_cast<const char*>(rest_.data()), count);
  rest_ = rest_.subspan(count);
  return text;
}

// Reads an argument terminated by a newline.
std::string Reader::line() {
  const std::string_view text(reinterpret_cast<const char*>(rest_.data()), rest_.size());
  const std::size_t end = text.find('\n');
  if (end == std::string_view::npos) machine_.refuse("it ends too early");
  bytes(end + 1);
  return std::string(text.substr(0, end));
}

template <typename T>
T Reader::number() {
  T value = 0;
  std::memcpy(&value, bytes(sizeof value).data(), sizeof value);
  return value;
}

// Little-endian two's complement of any length; tensors have no integers beyond 64 bits, a seed may.
void Reader::long_integer(std::size_t count) {
  const std::string_view digits = bytes(count);
  if (count > 8) return other(digits);
  std::uint64_t value =
      count > 0 && (static_cast<unsigned char>(digits.back()) & 0x80U) != 0 ? ~std::uint64_t{0} : 0;
  std::memcpy(&value, digits.data(), count);
  machine_.push_integer(static_cast<std::int64_t>(value));
}

void Reader::other(std::string_view) { machine_.push({.kind = PickleKind::Other}); }

bool Reader::frame(std::uint8_t op) {
  if (op == 0x95) {  // FRAME
    number<std::uint64_t>();
    return true;
  }
  if (op != 0x80) return false;  // PROTO
  const auto protocol = number<std::uint8_t>();
  if (protocol < 2 || protocol > 5) machine_.refuse(fmt::format("protocol {}; 2 to 5 are read", protocol));
  return true;
}

bool Reader::text(std::uint8_t op) {
  switch (op) {
    case 'X':
      machine_.push_text(bytes(number<std::uint32_t>()));
      return true;  // BINUNICODE
    case 0x8c:
      machine_.push_text(bytes(number<std::uint8_t>()));
      return true;  // SHORT_BINUNICODE
    case 0x8d:
      machine_.push_text(bytes(number<std::uint64_t>()));
      return true;  // BINUNICODE8
    case 'C':
      other(bytes(number<std::uint8_t>()));
      return true;  // SHORT_BINBYTES
    case 'B':
      other(bytes(number<std::uint32_t>()));
      return true;  // BINBYTES
    case 0x8e:
    case 0x96:
      other(bytes(number<std::uint64_t>()));
      return true;  // BINBYTES8, BYTEARRAY8
    default:
      return false;
  }
}

bool Reader::constant(std::uint8_t op) {
  switch (op) {
    case 'K':
      machine_.push_integer(number<std::uint8_t>());
      return true;  // BININT1
    case 'M':
      machine_.push_integer(number<std::uint16_t>());
      return true;  // BININT2
    case 'J':
      machine_.push_integer(number<std::int32_t>());
      return true;  // BININT
    case 0x8a:
      long_integer(number<std::uint8_t>());
      return true;  // LONG1
    case 'G':       // BINFLOAT
      bytes(8);
      machine_.push({.kind = PickleKind::Float});
      return true;
    case 0x88:
      machine_.push({.kind = PickleKind::Bool, .number = 1});
      return true;  // NEWTRUE
    case 0x89:
      machine_.push({.kind = PickleKind::Bool});
      return true;  // NEWFALSE
    case 'N':
      machine_.push({});
      return true;  // NONE
    default:
      return false;
  }
}

bool Reader::container(std::uint8_t op) {
  switch (op) {
    case '(':
      machine_.push_mark();
      return true;
    case ')':
      machine_.make_tuple(0);
      return true;  // EMPTY_TUPLE
    case 0x85:
      machine_.make_tuple(1);
      return true;  // TUPLE1
    case 0x86:
      machine_.make_tuple(2);
      return true;
    case 0x87:
      machine_.make_tuple(3);
      return true;
    case 't':
      machine_.push({.kind = PickleKind::Tuple, .items = machine_.pop_to_mark()});
      return true;
    case '}':
      machine_.push({.kind = PickleKind::Dict});
      return true;  // EMPTY_DICT
    case ']':
      machine_.push({.kind = PickleKind::List});
      return true;  // EMPTY_LIST
    case 0x8f:
      other("");
      return true;  // EMPTY_SET
    case 0x91:
      machine_.pop_to_mark();
      other("");
      return true;  // FROZENSET
    case 'u':
      machine_.extend(PickleKind::Dict, machine_.pop_to_mark());
      return true;  // SETITEMS
    case 'e':
    case 0x90:
      machine_.extend(PickleKind::List, machine_.pop_to_mark());
      return true;  // APPENDS, ADDITEMS
    case 'a':
      machine_.extend(PickleKind::List, {machine_.pop()});
      return true;  // APPEND
    case 's': {     // SETITEM
      const PickleRef item = machine_.pop();
      const PickleRef key = machine_.pop();
      machine_.extend(PickleKind::Dict, {key, item});
      return true;
    }
    default:
      return false;
  }
}

bool Reader::memo(std::uint8_t op) {
  switch (op) {
    case 'q':
      machine_.put(number<std::uint8_t>());
      return true;  // BINPUT
    case 'r':
      machine_.put(number<std::uint32_t>());
      return true;  // LONG_BINPUT
    case 0x94:
      machine_.memoize();
      return true;
    case 'h':
      machine_.get(number<std::uint8_t>());
      return true;  // BINGET
    case 'j':
      machine_.get(number<std::uint32_t>());
      return true;  // LONG_BINGET
    default:
      return false;
  }
}

bool Reader::object(std::uint8_t op) {
  switch (op) {
    case 'c': {  // GLOBAL
      const std::string module = line();
      machine_.push_global(module + " " + line());
      return true;
    }
    case 0x93: {  // STACK_GLOBAL
      const PickleValue& name = machine_[machine_.pop()];
      const PickleValue& module = machine_[machine_.pop()];
      if (name.kind != PickleKind::Text || module.kind != PickleKind::Text)
        machine_.refuse("a global without name");
      machine_.push_global(module.text + " " + name.text);
      return true;
    }
    case 'Q':
      machine_.load_storage();
      return true;  // BINPERSID
    case 'R':       // REDUCE
    case 0x81:
      machine_.call();
      return true;  // NEWOBJ
    case 0x92:      // NEWOBJ_EX: keyword arguments on top
      machine_.pop();
      machine_.call();
      return true;
    case 'b':
      machine_.set_state();
      return true;  // BUILD
    default:
      return false;
  }
}

}  // namespace

std::vector<PickledDict> read_pickle(std::span<const std::byte> pickle, const std::string& file) {
  PickleMachine machine(file);
  if (pickle.size() > kMostBytes) machine.refuse("more than 64 MB");
  return tensor_dicts(machine, Reader(pickle, machine).run());
}

}  // namespace ferry::checkpoint
