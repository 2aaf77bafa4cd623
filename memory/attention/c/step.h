// One step of acting in one layer: what is new is written, each environment's only query reads, what can no longer be
// read is deleted. Included like attend.h, after it.

// The scores of up to LANES slots from the first of `count` columns on, for keys of d rows of `width` numbers.
static inline VEC NAME(column_scores)(const NUMBER *q, const NUMBER *k, int64_t width, int64_t d, int64_t count) {
  VEC sum = NAME(all)(0), row = NAME(all)(0);
  if (count >= LANES)
    for (int64_t i = 0; i < d; i++) sum += q[i] * NAME(load)(k + i * width);
  else
    for (int64_t i = 0; i < d; i++) {
      memcpy(&row, k + i * width, sizeof(NUMBER) * count);
      sum += q[i] * row;
    }
  return sum;
}

// Keys, values and the state itself, to the new slot of environment b.
static inline void NAME(write_new)(const Step *a, int64_t b, const NUMBER *p) {
  const int64_t H = a->H, C = a->C, d = a->d, D = H * d;
  NUMBER *k = (NUMBER *)a->k + b * D * C + a->slot, *v = (NUMBER *)a->v + b * D * C + a->slot * d;
  memcpy((NUMBER *)a->h + (b * C + a->slot) * D, (const NUMBER *)a->x + b * D, sizeof(NUMBER) * D);
  for (int64_t i = 0; i < D; i++) k[i * C] = p[D + i];
  for (int64_t h = 0; h < H; h++) memcpy(v + h * C * d, p + 2 * D + h * d, sizeof(NUMBER) * d);
}

// Ages of what environment b holds, LARGE where there is nothing, and births after this step.
static inline void NAME(grow_old)(const Step *a, int64_t b, NUMBER *age) {
  const int64_t now = a->time[b], *birth = a->birth + b * a->birth_env;
  const NUMBER *keep = (const NUMBER *)a->keep + b * a->keep_env;
  int64_t *after = a->after + b * a->after_env;
  for (int64_t j = 0; j < a->C; j++) {
    const int64_t born = j == a->slot ? now : a->forget[b] ? -1 : birth[j];
    NUMBER longest = keep[j];
    for (int64_t h = 1; h < a->keep_heads; h++) longest = keep[h * a->keep_head + j] > longest ? keep[h * a->keep_head + j] : longest;
    age[j] = born < 0 ? LARGE : (NUMBER)(now - born);
    after[j] = born < 0 || longest - (NUMBER)(now - born + 1) <= -(NUMBER)a->ramp ? -1 : born;
  }
}

// What one head reads of environment b; `mask` of all its slots.
static inline void NAME(read_slots)(const Step *a, int64_t b, int64_t h, const NUMBER *p, const NUMBER *age, const NUMBER *mask, NUMBER *score, NUMBER *weight, int64_t *slot) {
  const int64_t C = a->C, d = a->d, D = a->H * d, job = b * a->H + h;
  const NUMBER *q = p + h * d, *near = p + 3 * D + h * (a->M + 1);
  const NUMBER *k = (const NUMBER *)a->k + job * C * d, *v = (const NUMBER *)a->v + job * C * d;
  NUMBER top = -LARGE;
  int64_t n = 0;
  for (int64_t j = 0; j < C; j += LANES) {
    const int64_t count = C - j < LANES ? C - j : LANES;
    int any = 0;
    for (int64_t i = 0; i < count; i++) any |= mask[j + i] > 0;
    if (!any) continue;
    NUMBER found[LANES];
    NAME(store)(found, NAME(column_scores)(q, k + j, C, d, count));
    for (int64_t i = 0; i < count; i++) {
      if (!(mask[j + i] > 0)) continue;
      const NUMBER s = found[i] + near[age[j + i] < (NUMBER)a->M ? (int64_t)age[j + i] : a->M];
      slot[n] = j + i, score[n] = s, weight[n] = mask[j + i], n++;
      top = s > top ? s : top;
    }
  }
  for (int64_t j = n; j < n + LANES; j++) score[j] = 0, weight[j] = 0;
  VEC total = NAME(all)(0);
  for (int64_t j = 0; j < n; j += LANES) {
    VEC x = NAME(load)(score + j) - top;
    x = NAME(load)(weight + j) * NAME(exponential)(NAME(either)(x > (NUMBER)0, NAME(all)(0), x));
    NAME(store)(score + j, x);
    total += x;
  }
  const NUMBER inverse = 1 / NAME(sum)(total);
  NUMBER *y = (NUMBER *)a->y + job * d;
  int64_t i = 0;
  for (; i + LANES <= d; i += LANES) {
    VEC sum = NAME(all)(0);
    for (int64_t j = 0; j < n; j++) sum += score[j] * NAME(load)(v + slot[j] * d + i);
    NAME(store)(y + i, sum * inverse);
  }
  for (; i < d; i++) {
    NUMBER sum = 0;
    for (int64_t j = 0; j < n; j++) sum += score[j] * v[slot[j] * d + i];
    y[i] = sum * inverse;
  }
}

static int NAME(step)(const Step *a) {
  const int64_t C = a->C, padded = C + LANES;
  const NUMBER ramp = (NUMBER)a->ramp;
  NUMBER *age = malloc((4 * sizeof(NUMBER) + 2 * sizeof(int64_t)) * padded), *mask = age + padded;
  if (!age) return 1;
  NUMBER *score = mask + padded, *weight = score + padded;
  int64_t *slot = (int64_t *)(weight + padded), *seen = slot + padded;
  for (int64_t b; (b = __atomic_fetch_add(a->next, 1, __ATOMIC_RELAXED)) < a->B;) {
    const NUMBER *p = (const NUMBER *)a->p + b * a->p_env, *reach = (const NUMBER *)a->read + b * a->read_env;
    NAME(write_new)(a, b, p);
    NAME(grow_old)(a, b, age);
    memset(seen, 0, sizeof *seen * C);
    for (int64_t h = 0; h < a->H; h++) {
      if (h < a->read_heads)
        for (int64_t j = 0; j < C; j++) {
          const NUMBER m = 1 + (reach[h * a->read_head + j] - age[j]) / ramp;
          mask[j] = m > 1 ? 1 : m > 0 ? m : 0;
          seen[j] |= m > 0;
        }
      NAME(read_slots)(a, b, h, p, age, mask, score, weight, slot);
    }
    int64_t alive = 0;
    for (int64_t j = 0; j < C; j++) alive += seen[j];
    a->alive[b * a->alive_env] = alive;
  }
  free(age);
  return 0;
}
