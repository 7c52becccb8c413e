#include "checkpoint/pickle/pickle_machine.h"

#include <fmt/format.h>

#include "base/error.h"
#include "base/text/describe.h"
#include "checkpoint/pickle/pickle_rebuild.h"

namespace ferry::checkpoint {

namespace {

constexpr std::size_t kMostValues = 1'000'000;
constexpr PickleRef kMark = ~PickleRef{0};

}  // namespace

void PickleMachine::refuse(const std::string& why) const {
  throw UserError(fmt::format("{}: damaged pickle: {}", file_, why));
}

void PickleMachine::push(PickleValue value) {
  if (values_.size() >= kMostValues) refuse(fmt::format("more than {} values", kMostValues));
  stack_.push_back(static_cast<PickleRef>(values_.size()));
  values_.push_back(std::move(value));
}

void PickleMachine::push_text(std::string_view text) {
  if (!is_utf8(text)) refuse("text " + printable(text) + " is not UTF-8");
  push({.kind = PickleKind::Text, .text = std::string(text)});
}

void PickleMachine::push_global(const std::string& name) {
  if (find_global(name) == nullptr) {
    throw UserError(
        fmt::format("{}: refused: its pickle asks for \"{}\", which no state dict of tensors needs", file_,
                    printable(name)));
  }
  push({.kind = PickleKind::Global, .text = name});
}

PickleRef PickleMachine::pop() {
  if (stack_.empty() || stack_.back() == kMark) refuse("its stack is empty where a value is due");
  const PickleRef ref = stack_.back();
  stack_.pop_back();
  return ref;
}

void PickleMachine::push_mark() { stack_.push_back(kMark); }

std::vector<PickleRef> PickleMachine::pop_to_mark() {
  std::size_t mark = stack_.size();
  while (mark > 0 && stack_[mark - 1] != kMark) --mark;
  if (mark == 0) refuse("a mark is missing");
  std::vector<PickleRef> items(stack_.begin() + static_cast<std::ptrdiff_t>(mark), stack_.end());
  stack_.resize(mark - 1);
  return items;
}

void PickleMachine::make_tuple(std::size_t count) {
  std::vector<PickleRef> items(count);
  for (std::size_t i = count; i-- > 0;) items[i] = pop();
  push({.kind = PickleKind::Tuple, .items = std::move(items)});
}

void PickleMachine::extend(PickleKind kind, const std::vector<PickleRef>& items) {
  const PickleRef target = pop();
  stack_.push_back(target);
  if (values_[target].kind == PickleKind::Other) return;
  if (values_[target].kind != kind) refuse("items are added to something that cannot hold them");
  if (kind == PickleKind::Dict && items.size() % 2 != 0) refuse("a dict's key has no value");
  auto& held = values_[target].items;
  held.insert(held.end(), items.begin(), items.end());
}

void PickleMachine::set_state() {
  pop();
  const PickleRef target = pop();
  stack_.push_back(target);
  const PickleKind kind = values_[target].kind;
  if (kind != PickleKind::Dict && kind != PickleKind::Other) refuse("a state for something that has none");
}

void PickleMachine::call() {
  const PickleValue& arguments = values_[pop()];
  const PickleValue& callable = values_[pop()];
  if (arguments.kind != PickleKind::Tuple || callable.kind != PickleKind::Global) {
    refuse("a call of something that is no function");
  }
  push(call_global(*find_global(callable.text), arguments.items, values_, file_));
}

void PickleMachine::load_storage() { push(storage_of(values_[pop()], values_, file_)); }

void PickleMachine::put(std::uint32_t place) {
  const PickleRef top = pop();
  stack_.push_back(top);
  memo_[place] = top;
  if (memo_.size() > kMostValues) refuse(fmt::format("more than {} memos", kMostValues));
}

void PickleMachine::get(std::uint32_t place) {
  const auto found = memo_.find(place);
  if (found == memo_.end()) refuse(fmt::format("memo {} was never set", place));
  stack_.push_back(found->second);
}

}  // namespace ferry::checkpoint
