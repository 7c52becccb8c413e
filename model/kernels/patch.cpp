#include "model/kernels/patch.h"

#include "model/kernels/cpu_rows.h"
#include "model/kernels/cuda/launch.h"
#include "model/kernels/dispatch.h"

namespace ferry::model::kernels {

namespace {

template <typename T>
void cut(const Patchify& a) {
  for_rows(a.count, a.channels * 4, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t row = begin; row < end; ++row) {
      T* out = static_cast<T*>(a.out) + row * a.channels * 4;
      for (std::int64_t i = 0; i < a.channels * 4; ++i) {
        out[i] = from_float<T>(a.latent[pixel_of(a.grid, a.first + row, i / 4, i / 2 % 2, i % 2)]);
      }
    }
  });
}

}  // namespace

void patchify(const Patchify& args, Stream& stream) {
  if (stream.native() != nullptr) return cuda::patchify(args, stream.native());
  with_type(args.out_type, [&]<typename T>(T) { cut<T>(args); });
}

void unpatchify(const Unpatchify& args, Stream& stream) {
  if (stream.native() != nullptr) return cuda::unpatchify(args, stream.native());
  for_rows(args.grid.tokens(), args.channels * 4, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t t = begin; t < end; ++t) {
      const float* token = args.tokens + t * args.channels * 4;
      for (std::int64_t corner = 0; corner < 4; ++corner) {
        for (std::int64_t c = 0; c < args.channels; ++c) {
          args.latent[pixel_of(args.grid, t, c, corner / 2, corner % 2)] = token[corner * args.channels + c];
        }
      }
    }
  });
}

}  // namespace ferry::model::kernels
