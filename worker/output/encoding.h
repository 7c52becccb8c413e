// Encodes a video on a thread of its own while its last frames are still being made.
#pragma once

#include <ATen/core/Tensor.h>

#include <condition_variable>
#include <deque>
#include <exception>
#include <functional>
#include <mutex>
#include <string>
#include <thread>

#include "worker/output/video.h"

namespace ferry::worker {

class Encoding {
 public:
  // Takes nothing of the encoder before the first frame comes.
  Encoding(const VideoFormat& format, const VideoCodec& codec);
  Encoding(const Encoding&) = delete;
  Encoding& operator=(const Encoding&) = delete;
  // Breaks off what is not finished.
  ~Encoding();

  // The next frames, [f, H, W, 3] uint8 on the CPU, of the format's extents; nobody writes to them from now
  // on.  Returns at once.  Throws std::invalid_argument for any other tensor, and what the encoder threw, if
  // it has ended so: nobody need make more frames.
  void take(const at::Tensor& frames);
  // Waits for the encoder.  Returns the bytes of the file, once.  `at_work` is called meanwhile, whenever
  // more frames are done.  Throws what the encoder threw, std::invalid_argument when there was no frame.
  std::string finish(const std::function<void()>& at_work);

 private:
  void run() noexcept;
  std::string encode();
  void frame_done();
  bool next(at::Tensor& frames);
  void stop() noexcept;

  VideoFormat format_;
  VideoCodec codec_;
  std::mutex mutex_;  // of all below but the thread
  std::condition_variable changed_;
  std::deque<at::Tensor> waiting_;
  bool closed_ = false;  // no more frames come
  bool broken_off_ = false;
  bool over_ = false;
  int done_ = 0;  // calls of frame_done()
  std::string file_;
  std::exception_ptr error_;
  std::function<void()> at_work_;  // where finish() encodes
  std::thread thread_;
};

}  // namespace ferry::worker
