// `attend.c` for one number type on one kind of processor: included with NUMBER, INTEGER (of the same size) and NAME.

typedef NUMBER NAME(vec) __attribute__((vector_size(LANES * sizeof(NUMBER))));
typedef INTEGER NAME(ints) __attribute__((vector_size(LANES * sizeof(INTEGER))));
#define VEC NAME(vec)
#define INTS NAME(ints)

static inline VEC NAME(load)(const NUMBER *from) {
  VEC x;
  memcpy(&x, from, sizeof x);
  return x;
}

static inline void NAME(store)(NUMBER *to, VEC x) { memcpy(to, &x, sizeof x); }

static inline VEC NAME(all)(double x) { return (VEC){0} + (NUMBER)x; }

static inline VEC NAME(either)(INTS choice, VEC a, VEC b) { return (VEC)((choice & (INTS)a) | (~choice & (INTS)b)); }

static inline NUMBER NAME(sum)(VEC x) {
  NUMBER part[LANES];
  NAME(store)(part, x);
  for (int half = LANES / 2; half > 0; half /= 2)
    for (int i = 0; i < half; i++) part[i] += part[i + half];
  return part[0];
}

// exp(x) to a few units in the last place; 0 below EXP_LEAST; x must not exceed 80.
static inline VEC NAME(exponential)(VEC x) {
  const INTS far = x < (NUMBER)EXP_LEAST;
  x = NAME(either)(far, NAME(all)(0), x);
  const VEC n = (x * (NUMBER)1.4426950408889634074 + (NUMBER)EXP_ROUNDER) - (NUMBER)EXP_ROUNDER;
  const VEC r = (x - n * (NUMBER)0.693145751953125) - n * (NUMBER)1.42860682030941723212e-6;  // less n log 2
  VEC p = NAME(all)(1);
  for (int i = EXP_TERMS; i > 0; i--) p = p * r * (NUMBER)(1.0 / i) + (NUMBER)1;  // Taylor: 1 + r (1 + r/2 (1 + ...))
  const INTS power = (__builtin_convertvector(n, INTS) + EXP_BIAS) << EXP_SHIFT;
  return NAME(either)(far, NAME(all)(0), p * (VEC)power);
}

// What a head knows of the keys of one environment, in columns padded to blocks of LANES.
typedef struct {
  int64_t blocks;
  NUMBER *reach;            // of each column
  INTEGER *place;          // ABSENT where there is no key
  INTEGER *youngest;       // age at which it can first be read
  INTEGER *first, *until;  // of each block: the queries that could read it
  INTEGER *newest;         // of each block: the latest place
} NAME(keys);

static void NAME(describe)(const Attend *a, int64_t b, int64_t h, NAME(keys) *to) {
  const NUMBER *reach = (const NUMBER *)a->reach + (b * a->heads + h % a->heads) * a->K;
  for (int64_t u = 0; u < to->blocks; u++) {
    double first = a->T, until = 0, newest = ABSENT;
    for (int64_t j = u * LANES; j < (u + 1) * LANES; j++) {
      const int64_t place = j < a->K ? a->place[b * a->K + j] : -FAR;
      to->place[j] = place <= -FAR ? ABSENT : (INTEGER)(place < -LONGEST ? -LONGEST : place);
      to->reach[j] = j < a->K ? reach[j] : 0;
      to->youngest[j] = j < a->K && a->youngest ? (INTEGER)a->youngest[b * a->K + j] : 0;
      if (to->place[j] == ABSENT) continue;
      const double from = (double)to->place[j] + to->youngest[j];
      const double end = to->place[j] + to->reach[j] + a->ramp + 1;  // one step more, for rounding
      if (from < first) first = from;
      if (end > until) until = end;
      if (to->place[j] > newest) newest = to->place[j];
    }
    to->first[u] = (INTEGER)(first < 0 ? 0 : first);
    to->until[u] = (INTEGER)(until > a->T ? a->T : until);
    to->newest[u] = (INTEGER)newest;
  }
}

static inline INTEGER NAME(begin)(const Attend *a, int64_t b, int64_t t) {
  const int64_t begin = a->begin[b * a->T + t];
  return (INTEGER)(begin < -LONGEST ? -LONGEST : begin);
}

// Blocks that some query of t0 ... t1 - 1 can read; how many there are.
static int64_t NAME(readable)(const Attend *a, int64_t b, const NAME(keys) *keys, int64_t t0, int64_t t1, int32_t *blocks) {
  int64_t n = 0;
  const INTEGER begin = NAME(begin)(a, b, t0);
  for (int64_t u = 0; u < keys->blocks; u++)
    if (keys->first[u] < t1 && keys->until[u] > t0 && keys->newest[u] >= begin) blocks[n++] = (int32_t)u;
  return n;
}

// The mask of query t over n blocks.
static inline void NAME(mask)(const Attend *a, int64_t b, const NAME(keys) *keys, int64_t t, const int32_t *blocks, int64_t n, NUMBER *mask) {
  const INTEGER begin = NAME(begin)(a, b, t);
  const NUMBER slope = (NUMBER)(1 / a->ramp);
  for (int64_t u = 0; u < n; u++) {
    INTS place, youngest;
    memcpy(&place, keys->place + blocks[u] * LANES, sizeof place);
    memcpy(&youngest, keys->youngest + blocks[u] * LANES, sizeof youngest);
    const INTS age = (INTEGER)t - place;
    VEC m = (NAME(load)(keys->reach + blocks[u] * LANES) - __builtin_convertvector(age, VEC)) * slope + (NUMBER)1;
    m = NAME(either)(m > (NUMBER)1, NAME(all)(1), m);
    const INTS seen = (place >= begin) & (age >= youngest) & (m > (NUMBER)0);
    NAME(store)(mask + u * LANES, NAME(either)(seen, m, NAME(all)(0)));
  }
}

// Adds to a query's scores those by age; or, going back, to the gradient of those by age that of the scores.
static inline void NAME(by_age)(const Attend *a, const NAME(keys) *keys, int64_t t, const int32_t *blocks, int64_t n, NUMBER *score, NUMBER *near, int back) {
  for (int64_t u = 0; u < n; u++) {
    if (keys->newest[blocks[u]] <= t - a->M) continue;
    for (int64_t i = 0; i < LANES; i++) {
      const int64_t j = blocks[u] * LANES + i, age = t - keys->place[j];
      if (age < 0 || age >= a->M || keys->youngest[j]) continue;
      if (back) near[age] += score[u * LANES + i];
      else score[u * LANES + i] += near[age];
    }
  }
}

// Rows of a view of one environment and head, times a factor: to rows of `width`, padded with zeros up to `padded` rows.
static void NAME(rows)(View view, int64_t b, int64_t h, int64_t t0, int64_t t1, int64_t d, NUMBER factor, NUMBER *to, int64_t width, int64_t padded) {
  const NUMBER *from = (const NUMBER *)view.at + b * view.env + h * view.head;
  for (int64_t t = t0; t < t1; t++, to += width) {
    for (int64_t i = 0; i < d; i++) to[i] = from[t * view.row + i] * factor;
    for (int64_t i = d; i < width; i++) to[i] = 0;
  }
  memset(to, 0, sizeof *to * width * (padded - (t1 - t0)));
}

static void NAME(write)(View view, int64_t b, int64_t h, int64_t t0, int64_t t1, int64_t d, NUMBER factor, const NUMBER *from, int64_t width) {
  NUMBER *to = (NUMBER *)view.at + b * view.env + h * view.head;
  for (int64_t t = t0; t < t1; t++, from += width)
    for (int64_t i = 0; i < d; i++) to[t * view.row + i] = from[i] * factor;
}

static void NAME(transposed)(View view, int64_t b, int64_t h, int64_t K, int64_t d, NUMBER *to, int64_t width) {
  const NUMBER *from = (const NUMBER *)view.at + b * view.env + h * view.head;
  for (int64_t j = 0; j < K; j++)
    for (int64_t i = 0; i < d; i++) to[i * width + j] = from[j * view.row + i];
  for (int64_t i = 0; i < d; i++) memset(to + i * width + K, 0, sizeof *to * (width - K));
}

// out[t][u] = x[t] . y[columns of block u], for the TILE rows of x and y transposed.
static inline void NAME(dots)(const NUMBER *x, int64_t x_width, int64_t d, const NUMBER *y, int64_t y_width, const int32_t *blocks, int64_t n, NUMBER *out, int64_t out_width) {
  for (int64_t u = 0; u < n; u++) {
    VEC sum[TILE];
    for (int t = 0; t < TILE; t++) sum[t] = NAME(all)(0);
    const NUMBER *column = y + blocks[u] * LANES;
    for (int64_t i = 0; i < d; i++, column += y_width) {
      const VEC c = NAME(load)(column);
      for (int t = 0; t < TILE; t++) sum[t] += x[t * x_width + i] * c;
    }
    for (int t = 0; t < TILE; t++) NAME(store)(out + t * out_width + u * LANES, sum[t]);
  }
}

// out[t] = sum over the columns j of the blocks of w[t][j] y[j].
static inline void NAME(mix)(const NUMBER *w, int64_t w_width, const NUMBER *y, int64_t width, const int32_t *blocks, int64_t n, NUMBER *out) {
  for (int64_t i = 0; i < width; i += LANES) {
    VEC sum[TILE];
    for (int t = 0; t < TILE; t++) sum[t] = NAME(all)(0);
    for (int64_t u = 0; u < n; u++) {
      const NUMBER *row = y + blocks[u] * LANES * width + i;
      for (int64_t j = 0; j < LANES; j++, row += width) {
        const VEC r = NAME(load)(row);
        for (int t = 0; t < TILE; t++) sum[t] += w[t * w_width + u * LANES + j] * r;
      }
    }
    for (int t = 0; t < TILE; t++) NAME(store)(out + t * width + i, sum[t]);
  }
}

// y[j] += sum over t of w[t][j] x[t], for the columns j of the blocks.
static inline void NAME(spread)(const NUMBER *w, int64_t w_width, const NUMBER *x, int64_t width, const int32_t *blocks, int64_t n, NUMBER *y) {
  for (int64_t i = 0; i < width; i += LANES) {
    VEC part[TILE];
    for (int t = 0; t < TILE; t++) part[t] = NAME(load)(x + t * width + i);
    for (int64_t u = 0; u < n; u++) {
      NUMBER *row = y + blocks[u] * LANES * width + i;
      for (int64_t j = 0; j < LANES; j++, row += width) {
        VEC r = NAME(load)(row);
        for (int t = 0; t < TILE; t++) r += w[t * w_width + u * LANES + j] * part[t];
        NAME(store)(row, r);
      }
    }
  }
}

// Room for one head: what `describe` fills, and the tiles.
typedef struct {
  NAME(keys) keys;
  int32_t *blocks;
  NUMBER *q, *dy, *out, *score, *weight, *mask;  // tiles
  NUMBER *kT, *vT, *k, *v, *dk, *dv, *d_reach;     // columns
} NAME(room);

static void *NAME(make_room)(const Attend *a, int64_t width, int back, NAME(room) *r) {
  const int64_t columns = (a->K + LANES - 1) / LANES * LANES, blocks = columns / LANES, d = a->d;
  const int64_t numbers = columns * (2 + 3 * TILE + 2 * d + (back ? 4 : 1) * width) + 3 * TILE * width;
  const int64_t size = sizeof(NUMBER) * numbers + sizeof(INTEGER) * (2 * columns + 3 * blocks) + sizeof(int32_t) * blocks;
  char *memory = malloc(size + 64), *at = (char *)(((uintptr_t)memory + 63) & ~(uintptr_t)63);
  if (!memory) return NULL;
#define TAKE(type, count) (at += sizeof(type) * (count), (type *)(at - sizeof(type) * (count)))
  r->kT = TAKE(NUMBER, columns * d), r->vT = TAKE(NUMBER, columns * d);
  r->v = TAKE(NUMBER, columns * width);
  if (back) r->k = TAKE(NUMBER, columns * width), r->dk = TAKE(NUMBER, columns * width), r->dv = TAKE(NUMBER, columns * width);
  r->score = TAKE(NUMBER, columns * TILE), r->weight = TAKE(NUMBER, columns * TILE), r->mask = TAKE(NUMBER, columns * TILE);
  r->q = TAKE(NUMBER, TILE * width), r->dy = TAKE(NUMBER, TILE * width), r->out = TAKE(NUMBER, TILE * width);
  r->d_reach = TAKE(NUMBER, columns);
  r->keys.blocks = blocks;
  r->keys.reach = TAKE(NUMBER, columns), r->keys.place = TAKE(INTEGER, columns), r->keys.youngest = TAKE(INTEGER, columns);
  r->keys.first = TAKE(INTEGER, blocks), r->keys.until = TAKE(INTEGER, blocks), r->keys.newest = TAKE(INTEGER, blocks);
  r->blocks = TAKE(int32_t, blocks);
#undef TAKE
  return memory;
}

static int NAME(forward)(const Attend *a) {
  const int64_t d = a->d, width = (d + LANES - 1) / LANES * LANES, columns = (a->K + LANES - 1) / LANES * LANES;
  NAME(room) r;
  void *memory = NAME(make_room)(a, width, 0, &r);
  if (!memory) return 1;
  for (int64_t job; (job = __atomic_fetch_add(a->next, 1, __ATOMIC_RELAXED)) < a->B * a->H;) {
    const int64_t b = job / a->H, h = job % a->H;
    NAME(describe)(a, b, h, &r.keys);
    NAME(transposed)(a->k, b, h, a->K, d, r.kT, columns);
    NAME(rows)(a->v, b, h, 0, a->K, d, 1, r.v, width, columns);
    const NUMBER *near = (const NUMBER *)a->near.at + b * a->near.env + h * a->near.head;
    NUMBER *log_total = (NUMBER *)a->log_total + job * a->T;
    for (int64_t t0 = 0; t0 < a->T; t0 += TILE) {
      const int64_t t1 = t0 + TILE < a->T ? t0 + TILE : a->T, n = NAME(readable)(a, b, &r.keys, t0, t1, r.blocks);
      NAME(rows)(a->q, b, h, t0, t1, d, (NUMBER)a->scale, r.q, width, TILE);
      NAME(dots)(r.q, width, d, r.kT, columns, r.blocks, n, r.score, columns);
      for (int64_t t = t0; t < t1; t++) {
        NUMBER *s = r.score + (t - t0) * columns;
        NAME(mask)(a, b, &r.keys, t, r.blocks, n, r.mask);
        NAME(by_age)(a, &r.keys, t, r.blocks, n, s, (NUMBER *)near + t * a->near.row, 0);
        VEC most = NAME(all)(-LARGE);
        for (int64_t j = 0; j < n * LANES; j += LANES) {
          const VEC m = NAME(load)(r.mask + j), x = NAME(either)(m > (NUMBER)0, NAME(load)(s + j), NAME(all)(-LARGE));
          most = NAME(either)(x > most, x, most);
        }
        NUMBER top = most[0];
        for (int i = 1; i < LANES; i++) top = most[i] > top ? most[i] : top;
        VEC total = NAME(all)(0);
        for (int64_t j = 0; j < n * LANES; j += LANES) {
          const VEC m = NAME(load)(r.mask + j), x = NAME(load)(s + j) - top;
          const VEC e = m * NAME(exponential)(NAME(either)(x > (NUMBER)0, NAME(all)(0), x));
          NAME(store)(s + j, e);
          total += e;
        }
        const NUMBER sum = NAME(sum)(total), inverse = 1 / sum;
        for (int64_t j = 0; j < n * LANES; j += LANES) NAME(store)(s + j, NAME(load)(s + j) * inverse);
        log_total[t] = top + (NUMBER)log((double)sum);
      }
      for (int64_t t = t1; t < t0 + TILE; t++) memset(r.score + (t - t0) * columns, 0, sizeof(NUMBER) * n * LANES);
      NAME(mix)(r.score, columns, r.v, width, r.blocks, n, r.out);
      NAME(write)(a->y, b, h, t0, t1, d, 1, r.out, width);
    }
  }
  free(memory);
  return 0;
}

static int NAME(backward)(const Attend *a) {
  const int64_t d = a->d, width = (d + LANES - 1) / LANES * LANES, columns = (a->K + LANES - 1) / LANES * LANES;
  NAME(room) r;
  void *memory = NAME(make_room)(a, width, 1, &r);
  if (!memory) return 1;
  for (int64_t job; (job = __atomic_fetch_add(a->next, 1, __ATOMIC_RELAXED)) < a->B * a->H;) {
    const int64_t b = job / a->H, h = job % a->H;
    NAME(describe)(a, b, h, &r.keys);
    NAME(transposed)(a->k, b, h, a->K, d, r.kT, columns);
    NAME(transposed)(a->v, b, h, a->K, d, r.vT, columns);
    NAME(rows)(a->k, b, h, 0, a->K, d, (NUMBER)a->scale, r.k, width, columns);
    memset(r.dk, 0, sizeof(NUMBER) * columns * width);
    memset(r.dv, 0, sizeof(NUMBER) * columns * width);
    memset(r.d_reach, 0, sizeof(NUMBER) * columns);
    const NUMBER *near = (const NUMBER *)a->near.at + b * a->near.env + h * a->near.head;
    NUMBER *d_near = (NUMBER *)a->d_near.at + b * a->d_near.env + h * a->d_near.head;
    const NUMBER *log_total = (const NUMBER *)a->log_total + job * a->T;
    for (int64_t t0 = 0; t0 < a->T; t0 += TILE) {
      const int64_t t1 = t0 + TILE < a->T ? t0 + TILE : a->T, n = NAME(readable)(a, b, &r.keys, t0, t1, r.blocks);
      NAME(rows)(a->q, b, h, t0, t1, d, (NUMBER)a->scale, r.q, width, TILE);
      NAME(rows)(a->dy, b, h, t0, t1, d, 1, r.dy, width, TILE);
      NAME(rows)(a->y, b, h, t0, t1, d, 1, r.out, width, TILE);
      NAME(dots)(r.q, width, d, r.kT, columns, r.blocks, n, r.score, columns);
      NAME(dots)(r.dy, width, d, r.vT, columns, r.blocks, n, r.weight, columns);
      for (int64_t t = t0; t < t1; t++) {
        NUMBER *s = r.score + (t - t0) * columns, *g = r.weight + (t - t0) * columns;
        VEC product = NAME(all)(0);
        for (int64_t i = 0; i < width; i += LANES)
          product += NAME(load)(r.out + (t - t0) * width + i) * NAME(load)(r.dy + (t - t0) * width + i);
        const NUMBER mean = NAME(sum)(product), total = log_total[t];
        NAME(mask)(a, b, &r.keys, t, r.blocks, n, r.mask);
        NAME(by_age)(a, &r.keys, t, r.blocks, n, s, (NUMBER *)near + t * a->near.row, 0);
        for (int64_t u = 0; u < n; u++) {
          const VEC m = NAME(load)(r.mask + u * LANES);
          VEC x = NAME(load)(s + u * LANES) - total;
          x = NAME(either)(m > (NUMBER)0, NAME(either)(x > (NUMBER)80, NAME(all)(80), x), NAME(all)(EXP_LEAST - 1));
          const VEC e = NAME(exponential)(x), gain = e * (NAME(load)(g + u * LANES) - mean);
          NUMBER *d_reach = r.d_reach + r.blocks[u] * LANES;
          NAME(store)(d_reach, NAME(load)(d_reach) + NAME(either)(m < (NUMBER)1, gain, NAME(all)(0)));
          NAME(store)(s + u * LANES, m * e);
          NAME(store)(g + u * LANES, m * gain);
        }
        NAME(by_age)(a, &r.keys, t, r.blocks, n, g, d_near + t * a->d_near.row, 1);
      }
      for (int64_t t = t1; t < t0 + TILE; t++) {
        memset(r.score + (t - t0) * columns, 0, sizeof(NUMBER) * n * LANES);
        memset(r.weight + (t - t0) * columns, 0, sizeof(NUMBER) * n * LANES);
      }
      NAME(spread)(r.score, columns, r.dy, width, r.blocks, n, r.dv);
      NAME(spread)(r.weight, columns, r.q, width, r.blocks, n, r.dk);
      NAME(mix)(r.weight, columns, r.k, width, r.blocks, n, r.out);
      NAME(write)(a->dq, b, h, t0, t1, d, 1, r.out, width);
    }
    NAME(write)(a->dk, b, h, 0, a->K, d, 1, r.dk, width);
    NAME(write)(a->dv, b, h, 0, a->K, d, 1, r.dv, width);
    NUMBER *d_reach = (NUMBER *)a->d_reach + job * a->K;
    for (int64_t j = 0; j < a->K; j++) d_reach[j] = r.d_reach[j] * (NUMBER)(1 / a->ramp);
  }
  free(memory);
  return 0;
}
