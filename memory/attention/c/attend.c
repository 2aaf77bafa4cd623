// Attention over memories that expire, forward and backward, on CPUs.
//
//     s_ti = (q_t . k_i) / sqrt(d) + near_t,age         age = t - place_i; near for the first M ages
//     m_ti = clamp(1 + (reach_i - age) / ramp, 0, 1)     0 unless place_i >= begin_t and age >= youngest_i
//     y_t  = sum_i m_ti exp(s_ti) v_i / sum_j m_tj exp(s_tj)
//
// A tile of TILE queries looks at keys in blocks of LANES, and only at blocks that some query of it can read. Each
// environment and head is one thread's alone and sums run in a fixed order: results do not depend on how many threads
// call. Nothing here knows Python or PyTorch; attend.h holds the mathematics.

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define TILE 8
#define FAR (INT64_C(1) << 39)         // places before this hold no key
#define LONGEST ((INT64_C(1) << 30) - 1)  // ages are told apart up to here, in steps
#define ABSENT (-(INT64_C(1) << 30))

// A tensor (environments, rows, heads, d) by its strides in numbers; those of d follow each other.
typedef struct {
  void *at;
  int64_t env, row, head;
} View;

typedef struct {
  int64_t B, H, T, K, d, M, heads;
  double scale, ramp;
  View q, k, v, near, y;      // near: (B, T, H, M)
  const void *reach;           // (B, heads, K)
  const int64_t *place;       // (B, K)
  const int64_t *youngest;    // (B, K) or NULL for 0
  const int64_t *begin;       // (B, T), never falling
  void *log_total;            // (B, H, T)
  View dy, dq, dk, dv, d_near;  // going back; d_near holds zeros
  void *d_reach;               // (B, H, K)
  int64_t *next;                // environment and head, from 0, that the next free thread takes
} Attend;

// Acting: one step of one layer. Tensors are contiguous but for the strides given; those of slots follow each other.
typedef struct {
  int64_t B, H, C, d, M, slot;                 // slot: where the new memory goes
  int64_t read_heads, keep_heads;              // 1 where all heads have one reach, else H
  int64_t p_env, birth_env, after_env, alive_env, read_env, read_head, keep_env, keep_head;
  double ramp;
  const void *p;          // (B, >= 3 H d + H (M + 1)): query, scaled, key, value; scores by age, of all that is older last
  const void *x;          // (B, H d): what the new memory keeps
  const void *read, *keep;  // (B, heads, C): reaches by which memories are read and deleted
  const int64_t *birth;   // (B, C), below 0 where there is none
  const int64_t *time;    // (B)
  const uint8_t *forget;  // (B): what was there before is gone
  void *h, *k, *v;        // (B, C, H d), (B, H, d, C) and (B, H, C, d): written to
  void *y;                // (B, H, d)
  int64_t *after;         // (B, C): births of what can be read at the next step
  int64_t *alive;         // (B): memories that some head read
  int64_t *next;          // environment that the next free thread takes
} Step;

#define JOIN(name, type, kind) name##_##type##_##kind
#define JOINED(name, type, kind) JOIN(name, type, kind)

#define KIND baseline
#define BYTES 16
#include "numbers.h"
#undef KIND
#undef BYTES

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
#define CHOICE
#pragma GCC push_options
#pragma GCC target("avx2,fma")
#define KIND avx2
#define BYTES 32
#include "numbers.h"
#undef KIND
#undef BYTES
#pragma GCC pop_options
#pragma GCC push_options
#pragma GCC target("avx512f,avx512dq,avx512vl,avx512bw,fma,prefer-vector-width=512")
#define KIND avx512
#define BYTES 64
#include "numbers.h"
#undef KIND
#undef BYTES
#pragma GCC pop_options
#endif

// Which kind of processor this is: 0 baseline, 1 avx2, 2 avx512.
int expirespan_kind(void) {
#ifdef CHOICE
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512bw")) return 2;
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return 1;
#endif
  return 0;
}

#ifdef CHOICE
#define RUN(name) \
  (job->kind == 2 ? (job->wide ? name##_f64_avx512(a) : name##_f32_avx512(a)) \
   : job->kind == 1 ? (job->wide ? name##_f64_avx2(a) : name##_f32_avx2(a)) \
                    : (job->wide ? name##_f64_baseline(a) : name##_f32_baseline(a)))
#else
#define RUN(name) (job->wide ? name##_f64_baseline(a) : name##_f32_baseline(a))
#endif

enum { FORWARD, BACKWARD, STEP };

typedef struct {
  const void *arguments;   // Step for STEP, else Attend
  int what, wide, kind;    // wide: numbers of 64 bits; kind: of processor
  int failed;              // set if there was no memory
} Job;

// Work on a job until nothing of it is left. Every thread that takes part calls this.
void expirespan_work(void *data) {
  Job *job = data;
  const void *a = job->arguments;
  const int failed = job->what == FORWARD ? RUN(forward) : job->what == BACKWARD ? RUN(backward) : RUN(step);
  if (failed) __atomic_store_n(&job->failed, 1, __ATOMIC_RELAXED);
}
