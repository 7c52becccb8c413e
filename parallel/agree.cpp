#include "parallel/agree.h"

#include "base/error.h"

namespace ferry::parallel {
namespace {

// What went wrong, or nothing.  A UserError without words would otherwise look like success.
std::string error_of(const std::function<void()>& work) {
  try {
    work();
    return {};
  } catch (const UserError& error) {
    const std::string what = error.what();
    return what.empty() ? "wrong input" : what;
  }
}

}  // namespace

void agree(Session& session, const std::function<void()>& work) {
  for (const std::string& error : session.all_gather(error_of(work))) {
    if (!error.empty()) throw UserError(error);
  }
}

std::string from_rank_0(Session& session, const std::function<std::string()>& work) {
  std::string result;
  std::string error;
  if (session.rank() == 0) {
    error = error_of([&] { result = work(); });
  }
  error = session.broadcast(error, 0);
  if (!error.empty()) throw UserError(error);
  return session.broadcast(result, 0);
}

}  // namespace ferry::parallel
