// parallel/nccl_group.h in a program that was built without NCCL.
#include "base/error.h"
#include "parallel/nccl_group.h"

namespace ferry::parallel {

std::unique_ptr<Group> make_nccl_group(Control&, double) {
  throw UserError("this program was built without NCCL: use --device cpu");
}

}  // namespace ferry::parallel
