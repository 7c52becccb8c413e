#include "base/cpu/queue_stream.h"

#include <pthread.h>

#include <cstring>
#include <utility>

namespace ferry {

QueueStream::QueueStream(std::string name) : name_(std::move(name)), thread_([this] { run(); }) {
  // The kernel limits thread names to 15 characters.
  ::pthread_setname_np(thread_.native_handle(), name_.substr(0, 15).c_str());
}

QueueStream::~QueueStream() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  queued_.notify_one();
  thread_.join();
}

void QueueStream::record(Event& event) {
  const auto& state = as_cpu(event).state();
  push(Fire{{state, state->begin()}});
}

void QueueStream::wait(const Event& event) {
  const auto& state = as_cpu(event).state();
  push(Await{{state, state->latest()}});
}

void QueueStream::copy(void* dst, const void* src, std::size_t bytes) { push(Copy{dst, src, bytes}); }

void QueueStream::fill(void* dst, std::uint8_t byte, std::size_t bytes) { push(Fill{dst, byte, bytes}); }

void QueueStream::cast(void* dst, DType dst_type, const void* src, DType src_type, std::size_t count) {
  push(Cast{dst, src, count, dst_type, src_type});
}

void QueueStream::call(std::function<void()> work) { push(std::move(work)); }

void QueueStream::synchronize() {
  const EventState::Record record = finished_->begin();
  push(Fire{{finished_, record}});
  if (const std::exception_ptr error = finished_->wait(record)) std::rethrow_exception(error);
}

void QueueStream::push(Work work) {
  {
    const std::lock_guard lock(mutex_);
    queue_.push_back(std::move(work));
  }
  queued_.notify_one();
}

bool QueueStream::take(std::vector<Work>& batch) {
  std::unique_lock lock(mutex_);
  queued_.wait(lock, [&] { return stop_ || !queue_.empty(); });
  // The two vectors are swapped, so a steady state allocates nothing.
  std::swap(queue_, batch);
  return !batch.empty();
}

void QueueStream::run() {
  std::vector<Work> batch;
  while (take(batch)) {
    for (Work& work : batch) execute(work);
    batch.clear();
  }
}

void QueueStream::execute(Work& work) {
  if (const auto* fire = std::get_if<Fire>(&work)) {
    fire->event->fire(fire->record, error_);
    return;
  }
  if (error_ != nullptr) return;
  if (const auto* await = std::get_if<Await>(&work)) {
    error_ = await->event->wait(await->record);
    return;
  }
  std::exception_ptr failure;
  try {
    perform(work);
  } catch (...) {
    failure = std::current_exception();
  }
  error_ = std::move(failure);
}

void QueueStream::perform(Work& work) {
  if (const auto* copy = std::get_if<Copy>(&work)) {
    if (copy->bytes > 0) std::memcpy(copy->dst, copy->src, copy->bytes);
  } else if (const auto* fill = std::get_if<Fill>(&work)) {
    if (fill->bytes > 0) std::memset(fill->dst, fill->byte, fill->bytes);
  } else if (const auto* cast = std::get_if<Cast>(&work)) {
    convert(cast->dst, cast->dst_type, cast->src, cast->src_type, cast->count);
  } else {
    std::get<std::function<void()>>(work)();
  }
}

}  // namespace ferry
