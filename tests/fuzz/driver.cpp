// Runs one fuzz target on seeded mutations of its corpus:
//
//   ferry_fuzz TARGET               for FERRY_FUZZ_SECONDS (60; some targets less), from the seed
//                                   FERRY_FUZZ_SEED (1)
//   ferry_fuzz TARGET FILE...       on these inputs, once each
//   ferry_fuzz --list               the names of the targets
//   ferry_fuzz --corpus TARGET DIR  writes the good inputs there, for libFuzzer
//   ferry_fuzz --planted FAULT      a target with a fault (planted.h)
//
// A finding ends it with its input in fuzz-TARGET-SEED.input, in the folder FERRY_FUZZ_KEEP (the current
// one). Mutations start from the corpus and from inputs that were accepted, or refused with a new reason.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <fstream>
#include <sstream>
#include <stdexcept>
#include <unordered_set>

#include "base/files/file.h"
#include "tests/fuzz/mutate.h"
#include "tests/fuzz/planted.h"
#include "tests/fuzz/target.h"
#include "tests/fuzz/watch.h"

namespace ferry::fuzz {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::size_t kMostInPool = 2000;
constexpr std::size_t kMostPoolBytes = std::size_t{64} << 20;  // of the memory that is limited
constexpr std::size_t kMostReasons = 100'000;                  // they take memory, which is limited

// That this process has computed for, s.
double computing_s() { return static_cast<double>(std::clock()) / CLOCKS_PER_SEC; }

std::string environment(const char* name, const std::string& otherwise) {
  const char* value = std::getenv(name);
  return value == nullptr ? otherwise : value;
}

// A refusal's first plain words, without the names and numbers that differ from input to input.
std::string reason_of(const std::string& refusal) {
  constexpr std::size_t kMostWords = 12;
  std::istringstream words(refusal);
  std::string reason;
  std::size_t count = 0;
  for (std::string word; count < kMostWords && words >> word;) {
    const bool plain = std::all_of(word.begin(), word.end(), [](char c) { return c >= 'a' && c <= 'z'; });
    if (plain) reason += word + ' ';
    if (plain) ++count;
  }
  return reason;
}

class Run {
 public:
  Run(const Target& target, std::uint64_t seed)
      : target_(target), pool_(target.corpus()), mutate_(seed, target.tokens) {}

  // For so much computing, and at most twice that by the clock, as other tests may run beside it.
  // Throws std::logic_error for a finding; the input stays kept then.
  void run(std::chrono::duration<double> time) {
    for (const std::string& good : pool_) {
      const Outcome outcome = read(good);
      if (!outcome.accepted) throw std::logic_error("a good input was refused: " + outcome.refusal);
    }
    const std::size_t good = pool_.size();
    const double begun_s = computing_s();
    const auto goes_on = [&, end = Clock::now() + 2 * time] {
      computed_s_ = computing_s() - begun_s;
      return computed_s_ < time.count() && Clock::now() < end;
    };
    while (goes_on()) {
      std::string input = mutate_(any(good), any(good));
      const Outcome outcome = read(input);
      if (is_new(outcome)) add(std::move(input), good);
    }
  }

  std::string report() const {
    return fmt::format(
        "{}: {} executions in {:.0f} s of computing, {:.0f}/s; {} accepted, {} refused with {} reasons; "
        "slowest {:.0f} ms",
        target_.name, accepted_ + refused_, computed_s_,
        static_cast<double>(accepted_ + refused_) / computed_s_, accepted_, refused_, reasons_.size(),
        1e3 * slowest_.count());
  }

 private:
  // Half of the time a good input: others drift away from the format.
  const std::string& any(std::size_t good) {
    return pool_[mutate_.below(mutate_.below(2) == 0 ? good : pool_.size())];
  }

  // Of accepted inputs one in 64.
  bool is_new(const Outcome& outcome) {
    if (outcome.accepted) return mutate_.below(64) == 0;
    return reasons_.size() < kMostReasons && reasons_.insert(reason_of(outcome.refusal)).second;
  }

  void add(std::string input, std::size_t good) {
    if (pool_.size() < kMostInPool && pool_bytes_ + input.size() <= kMostPoolBytes) {
      pool_bytes_ += input.size();
      pool_.push_back(std::move(input));
      return;
    }
    if (pool_.size() == good) return;
    std::string& old = pool_[good + mutate_.below(pool_.size() - good)];
    const std::size_t bytes = pool_bytes_ - old.size() + input.size();
    if (bytes > kMostPoolBytes) return;
    pool_bytes_ = bytes;
    old = std::move(input);
  }

  // The input is kept while it is there.
  Outcome kept_outcome(const std::string& input) const {
    try {
      return outcome_of(target_, input);
    } catch (const std::logic_error&) {
      keep_input();
      throw;
    }
  }

  Outcome read(const std::string& input) {
    const auto begin = Clock::now();
    reads_now(input);
    Outcome outcome = kept_outcome(input);
    reads_nothing();
    slowest_ = std::max(slowest_, std::chrono::duration<double>(Clock::now() - begin));
    ++(outcome.accepted ? accepted_ : refused_);
    return outcome;
  }

  const Target& target_;
  std::vector<std::string> pool_;
  std::size_t pool_bytes_ = 0;  // of what was added to the good inputs
  Mutator mutate_;
  std::unordered_set<std::string> reasons_;
  std::uint64_t accepted_ = 0;
  std::uint64_t refused_ = 0;
  double computed_s_ = 0;
  std::chrono::duration<double> slowest_{};
};

void fuzz(const Target& target) {
  const std::uint64_t seed = std::stoull(environment("FERRY_FUZZ_SEED", "1"));
  const double seconds = std::stod(environment("FERRY_FUZZ_SECONDS", fmt::format("{}", target.seconds)));
  Run run(target, seed);
  watch_this_process(
      fmt::format("{}/fuzz-{}-{}.input", environment("FERRY_FUZZ_KEEP", "."), target.name, seed));
  fmt::print("{}: seed {}, {} s\n", target.name, seed, seconds);
  std::fflush(stdout);
  run.run(std::chrono::duration<double>(seconds));
  fmt::print("{}\n", run.report());
}

void read_again(const Target& target, const std::string& path) {
  const Outcome outcome = outcome_of(target, read_file(path));
  fmt::print("{}: {}\n", path, outcome.accepted ? "accepted" : outcome.refusal);
}

void write_corpus(const Target& target, const std::string& folder) {
  int number = 0;
  for (const std::string& good : target.corpus())
    std::ofstream(fmt::format("{}/good-{}", folder, number++), std::ios::binary) << good;
}

void list() {
  std::vector<std::string_view> names;
  for (const Target& target : targets()) names.push_back(target.name);
  fmt::print("{}\n", fmt::join(names, " "));
}

void run_command(const std::vector<std::string>& words) {
  if (words.empty()) throw std::invalid_argument("which target?  ferry_fuzz --list names them");
  if (words[0] == "--list") return list();
  if (words[0] == "--planted") return fuzz(planted_target(words.at(1)));
  if (words[0] == "--corpus") return write_corpus(target_named(words.at(1)), words.at(2));
  const Target& target = target_named(words[0]);
  if (words.size() == 1) return fuzz(target);
  for (std::size_t i = 1; i < words.size(); ++i) read_again(target, words[i]);
}

}  // namespace
}  // namespace ferry::fuzz

int main(int argc, char** argv) {
  ::setenv("TMPDIR", "/dev/shm", 0);  // files are written a thousand times a second
  try {
    ferry::fuzz::run_command({argv + 1, argv + argc});
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "fuzz: %s\n", error.what());
    return 1;
  }
}
