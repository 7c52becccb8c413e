#include "parallel/agree.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/run_failure.h"

namespace ferry::parallel {
namespace {

struct Kind {
  std::string_view name;  // prefix of failure_words(), before a colon
  bool (*is)(const std::exception& error);
  void (*raise)(const std::string& what);
};

template <class E>
constexpr Kind kind(std::string_view name) {
  return {name, [](const std::exception& error) { return dynamic_cast<const E*>(&error) != nullptr; },
          [](const std::string& what) { throw E(what); }};
}

constexpr std::string_view kUser = "user";
constexpr Kind kOther = kind<Error>("error");
constexpr std::array kKinds = {
    kind<UserError>(kUser), kind<OutOfMemory>("memory"), kind<CudaError>("cuda"),    kind<NcclError>("nccl"),
    kind<MpiError>("mpi"),  kind<SystemError>("system"), kind<RunFailure>("failure")};

template <class Is>
const Kind& kind_where(const Is& is) {
  const auto* const found = std::find_if(kKinds.begin(), kKinds.end(), is);
  return found == kKinds.end() ? kOther : *found;
}

// Throws the error that failure_words() encoded; does nothing if `words` is empty.
void raise(const std::string& words, std::string_view rank) {
  if (words.empty()) return;
  const std::string_view name = std::string_view(words).substr(0, words.find(':'));
  const std::string what = words.substr(name.size() + 1);
  kind_where([&](const Kind& each) {
    return each.name == name;
  }).raise(name == kUser ? what : std::string(rank) + what);
}

std::string user_failure_of(const std::function<void()>& work) {
  try {
    work();
    return {};
  } catch (const UserError& error) {
    return failure_words(error);
  }
}

}  // namespace

std::string failure_words(const std::exception& error) {
  const Kind& found = kind_where([&](const Kind& each) { return each.is(error); });
  return std::string(found.name) + ":" + error.what();
}

void throw_first_failure(const Peers& peers, const std::string& mine) {
  const std::vector<std::string> all = all_gather_text(peers, mine);
  for (std::size_t r = 0; r < all.size(); ++r) {
    raise(all[r], all.size() == 1 ? "" : "rank " + std::to_string(peers.number(r)) + ": ");
  }
}

void fail_together(const Peers& peers, const std::function<void()>& work) {
  std::string mine;
  try {
    work();
  } catch (const std::exception& error) {
    mine = failure_words(error);
  }
  throw_first_failure(peers, mine);
}

void agree(Session& session, const std::function<void()>& work) {
  throw_first_failure(world_peers(session), user_failure_of(work));
}

std::string from_rank_0(Session& session, const std::function<std::string()>& work) {
  std::string result;
  std::string failure;
  if (session.rank() == 0) failure = user_failure_of([&] { result = work(); });
  raise(session.broadcast(failure, 0), "");
  return session.broadcast(result, 0);
}

}  // namespace ferry::parallel
