// Stack, memo and values of the pickle machine.  Every step that a damaged pickle could break is checked, and
// throws a UserError that names the file.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "checkpoint/pickle/pickle_value.h"

namespace ferry::checkpoint {

class PickleMachine {
 public:
  explicit PickleMachine(const std::string& file) : file_(file) {}

  const PickleValue& operator[](PickleRef ref) const { return values_[ref]; }
  [[noreturn]] void refuse(const std::string& why) const;

  void push(PickleValue value);
  void push_text(std::string_view text);
  void push_integer(std::int64_t number) { push({.kind = PickleKind::Int, .number = number}); }
  // Throws for a global that is not allowed, naming it.
  void push_global(const std::string& name);
  PickleRef pop();
  void push_mark();
  std::vector<PickleRef> pop_to_mark();
  // Replaces the top `count` values by a tuple.
  void make_tuple(std::size_t count);
  // Adds items to the list or dict on top; PickleKind::Other accepts and drops anything.
  void extend(PickleKind kind, const std::vector<PickleRef>& items);
  // Applies a state to the value on top; it is dropped: an OrderedDict's is its _metadata.
  void set_state();
  // Replaces a callable and its arguments by its result.
  void call();
  // Replaces a persistent id by its storage.
  void load_storage();
  void put(std::uint32_t place);
  void memoize() { put(static_cast<std::uint32_t>(memo_.size())); }
  void get(std::uint32_t place);

 private:
  const std::string& file_;
  std::vector<PickleValue> values_;
  std::vector<PickleRef> stack_;
  std::unordered_map<std::uint32_t, PickleRef> memo_;
};

}  // namespace ferry::checkpoint
