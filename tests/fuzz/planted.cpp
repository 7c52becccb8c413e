#include "tests/fuzz/planted.h"

#include <csignal>
#include <limits>
#include <stdexcept>

#include "base/error.h"

namespace ferry::fuzz {
namespace {

// Only mutations are at fault: the good input is accepted.
constexpr std::string_view kGood = "good";

void two_lines(std::string_view input) {
  if (input != kGood) throw UserError("one line\nand another");
}

void another_exception(std::string_view input) {
  if (input != kGood) throw std::runtime_error("planted");
}

void crash(std::string_view input) {
  if (input != kGood) std::raise(SIGSEGV);
}

void hang(std::string_view input) {
  for (volatile bool forever = input != kGood; forever;) continue;
}

void much_memory(std::string_view input) {
  constexpr std::size_t kMuch = std::size_t{1} << 30;
  if (input != kGood) std::string(kMuch, 'x').back();
}

volatile int sink = 0;

void read_beyond(std::string_view input) {
  if (input != kGood) sink = input.data()[input.size()];
}

void overflow(std::string_view input) {
  volatile int most = std::numeric_limits<int>::max();
  if (input != kGood) sink = most + 1;
}

struct Fault {
  std::string_view name;
  void (*read)(std::string_view input);
};
constexpr Fault kFaults[] = {
    {"lines", two_lines},    {"exception", another_exception}, {"crash", crash},       {"hang", hang},
    {"memory", much_memory}, {"beyond", read_beyond},          {"undefined", overflow}};

}  // namespace

Target planted_target(std::string_view name) {
  for (const Fault& fault : kFaults) {
    if (fault.name == name)
      return {"planted", fault.read, [] { return std::vector<std::string>{std::string(kGood)}; }, {}};
  }
  throw std::invalid_argument("no fault of that name");
}

}  // namespace ferry::fuzz
