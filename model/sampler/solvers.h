// The solvers; each step updates the history.
//
// Rounding follows the reference: scalars are combined in fp32 before they are applied to a tensor, and
// dividing a tensor by a scalar multiplies by the rounded reciprocal.
//
// lambda(sigma) = log(1 - sigma) - log(sigma) is -inf at sigma = 1, where the grids may start, and +inf at
// sigma = 0, where all end.  The end is a special case (the result is the predicted x0).  At the start the
// formulas hold in IEEE arithmetic: a step h = inf has exp(-h) = 0, and a step ratio r = +-inf makes the
// second-order term 0.  The noise levels of a schedule are distinct, so inf - inf does not occur.
#pragma once

#include "model/sampler/sampler.h"

namespace ferry::model {

Solver unipc_solver();
Solver dpmpp_solver();
Solver euler_solver();

// log(1 - sigma) - log(sigma) in fp32.
float lambda_of(float sigma);

}  // namespace ferry::model
