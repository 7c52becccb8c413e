#include "worker/output/encoding.h"

#include <fmt/format.h>

#include <stdexcept>
#include <system_error>
#include <utility>

#include "base/error.h"
#include "worker/output/frames.h"

namespace ferry::worker {

Encoding::Encoding(const VideoFormat& format, const VideoCodec& codec) : format_(format), codec_(codec) {}

Encoding::~Encoding() { stop(); }

void Encoding::stop() noexcept {
  {
    const std::lock_guard lock(mutex_);
    broken_off_ = true;
  }
  changed_.notify_all();
  if (thread_.joinable()) thread_.join();
}

void Encoding::take(const at::Tensor& frames) {
  const Clip clip = clip_of(frames);
  if (clip.width != format_.width || clip.height != format_.height) {
    throw std::invalid_argument(fmt::format("Encoding: frames of {}x{} for {}x{}", clip.width, clip.height,
                                            format_.width, format_.height));
  }
  {
    const std::lock_guard lock(mutex_);
    if (error_ != nullptr) std::rethrow_exception(error_);
    waiting_.push_back(frames);
  }
  changed_.notify_all();
  if (thread_.joinable()) return;
  try {
    thread_ = std::thread([this] { run(); });
  } catch (const std::system_error&) {  // finish() encodes
  }
}

std::string Encoding::finish(const std::function<void()>& at_work) {
  std::unique_lock lock(mutex_);
  if (waiting_.empty() && !thread_.joinable()) throw std::invalid_argument("Encoding: there is no frame");
  closed_ = true;
  changed_.notify_all();
  if (!thread_.joinable()) {
    lock.unlock();
    at_work_ = at_work;
    run();
    lock.lock();
  }
  for (int seen = done_; !over_; seen = done_) {
    changed_.wait(lock, [&] { return over_ || done_ != seen; });
    lock.unlock();
    at_work();
    lock.lock();
  }
  if (error_ != nullptr) std::rethrow_exception(error_);
  return std::move(file_);
}

void Encoding::run() noexcept {
  std::string file;
  std::exception_ptr error;
  try {
    file = encode();
  } catch (...) {
    error = std::current_exception();
  }
  const std::lock_guard lock(mutex_);
  file_ = std::move(file);
  error_ = error;
  over_ = true;
  changed_.notify_all();
}

std::string Encoding::encode() {
  const std::unique_ptr<VideoEncoder> encoder = open_encoder(format_, codec_, [this] { frame_done(); });
  for (at::Tensor frames; next(frames);) {
    const Clip clip = clip_of(frames);
    for (int i = 0; i < clip.frames; ++i) encoder->take(clip.frame(i));
  }
  return encoder->finish();
}

// Throws Error to leave the encoder once the file is no longer wanted.
void Encoding::frame_done() {
  const std::lock_guard lock(mutex_);
  if (broken_off_) throw Error("encoding was broken off");
  ++done_;
  changed_.notify_all();
  if (at_work_) at_work_();  // set only without a thread
}

// Waits for frames; returns false after the last.
bool Encoding::next(at::Tensor& frames) {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return !waiting_.empty() || closed_ || broken_off_; });
  if (broken_off_) throw Error("encoding was broken off");
  if (waiting_.empty()) return false;
  frames = std::move(waiting_.front());
  waiting_.pop_front();
  return true;
}

}  // namespace ferry::worker
