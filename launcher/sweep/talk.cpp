#include "launcher/sweep/talk.h"

#include <fcntl.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <utility>

#include "base/error.h"

namespace ferry::launcher {
namespace {

void write_all(int to, const std::string& text) {
  for (std::size_t written = 0; written < text.size();) {
    const ssize_t more = ::write(to, text.data() + written, text.size() - written);
    if (more < 0 && errno == EINTR) continue;
    if (more <= 0) return;  // the ranks are gone, or nobody reads
    written += static_cast<std::size_t>(more);
  }
}

// Calls `take` with each line, the last one too if it does not end.
void read_lines(int from, const std::function<void(const std::string&)>& take) {
  std::array<char, 1 << 12> piece;
  std::string text;
  while (true) {
    const ssize_t got = ::read(from, piece.data(), piece.size());
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) break;
    text.append(piece.data(), static_cast<std::size_t>(got));
    std::size_t end = 0;
    while ((end = text.find('\n')) != std::string::npos) {
      const std::string line = text.substr(0, end);
      text.erase(0, end + 1);
      take(line);
    }
  }
  if (!text.empty()) take(text);
}

std::string behind(const std::string& line, const std::string& mark) {
  const std::size_t at = line.find(mark);
  return at == std::string::npos ? "" : line.substr(at + mark.size());
}

}  // namespace

std::string reason_in(const std::string& line) {
  std::string reason = behind(line, "critical: ");
  if (reason.empty() && line.starts_with("ferry: ")) reason = behind(line, "ferry: ");
  return reason;
}

Talk::Pipe::Pipe() {
  std::array<int, 2> ends = {};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) throw_errno("pipe2");
  output = Descriptor(ends[0]);
  input = Descriptor(ends[1]);
}

Talk::Talk(std::string first, Answer answer) : answer_(std::move(answer)) {
  answers_ = std::thread([this, first = std::move(first)] { answer_all(first); });
  errors_ = std::thread([this] { relay_errors(); });
}

// The threads end with the pipes, whose other ends the ranks had.
Talk::~Talk() {
  out_.input = {};
  err_.input = {};
  if (answers_.joinable()) answers_.join();
  if (errors_.joinable()) errors_.join();
}

JobStreams Talk::streams() const {
  return {.in = in_.output.get(), .out = out_.input.get(), .err = err_.input.get()};
}

void Talk::finish() {
  out_.input = {};
  err_.input = {};
  answers_.join();
  errors_.join();
  if (failure_) std::rethrow_exception(std::exchange(failure_, nullptr));
}

void Talk::answer_all(const std::string& first) {
  tell(first);
  read_lines(out_.output.get(), [this](const std::string& line) {
    if (line.starts_with('{')) {
      answer(line);
    } else {
      write_all(STDERR_FILENO, line + "\n");
    }
  });
}

void Talk::answer(const std::string& line) {
  if (failure_) return;
  try {
    tell(answer_(line));
  } catch (...) {
    failure_ = std::current_exception();
    tell("");
  }
}

void Talk::tell(const std::string& line) {
  if (line.empty()) {
    in_.input = {};
  } else if (in_.input) {
    write_all(in_.input.get(), line + "\n");
  }
}

void Talk::relay_errors() {
  read_lines(err_.output.get(), [this](const std::string& line) {
    write_all(STDERR_FILENO, line + "\n");
    const std::string reason = reason_in(line);
    if (reason_.empty()) reason_ = reason;
  });
}

}  // namespace ferry::launcher
