/* All of the insides, for tests and tools; the sources include what they use. */
#ifndef OCLIN_INTERNAL_H
#define OCLIN_INTERNAL_H

#include "check/random.h"
#include "check/verify.h"
#include "core/base.h"
#include "core/cache.h"
#include "core/context.h"
#include "core/device.h"
#include "core/error.h"
#include "core/intervals.h"
#include "core/launch.h"
#include "core/memory.h"
#include "core/os.h"
#include "core/program.h"
#include "layer.h"
#include "open.h"
#include "ops/activation.h"
#include "ops/product.h"
#include "ops/rule.h"
#include "plan/additions.h"
#include "plan/plan.h"
#include "plan/simd.h"
#include "plan/way.h"
#include "plan/tune_table.h"
#include "tensor/element.h"
#include "tensor/rectangle.h"
#include "tensor/tensor.h"
#include "tensor/uses.h"
#include "tensor/written.h"
#include "top/self_check.h"

#endif
