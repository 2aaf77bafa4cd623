// `attend.h` for both number types, on the kind of processor KIND.

#define NUMBER float
#define INTEGER int32_t
#define NAME(name) JOINED(name, f32, KIND)
#define LANES (BYTES / 4)
#define LARGE 3e38f
#define EXP_LEAST (-87.0f)
#define EXP_ROUNDER 12582912.0f  // 1.5 * 2^23
#define EXP_TERMS 8
#define EXP_BIAS 127
#define EXP_SHIFT 23
#include "attend.h"
#include "step.h"
#include "forget.h"

#define NUMBER double
#define INTEGER int64_t
#define NAME(name) JOINED(name, f64, KIND)
#define LANES (BYTES / 8)
#define LARGE 1e308
#define EXP_LEAST (-700.0)
#define EXP_ROUNDER 6755399441055744.0  // 1.5 * 2^52
#define EXP_TERMS 15
#define EXP_BIAS 1023
#define EXP_SHIFT 52
#include "attend.h"
#include "step.h"
#include "forget.h"
