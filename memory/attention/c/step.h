// One step of acting: each environment's only query reads its slots. Included like attend.h, after it.

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

static int NAME(step)(const Step *a) {
  const int64_t C = a->C, d = a->d, padded = (C + LANES - 1) / LANES * LANES;
  NUMBER *score = malloc(2 * sizeof(NUMBER) * (padded + LANES) + sizeof(int64_t) * C), *mask = score + padded + LANES;
  if (!score) return 1;
  int64_t *slot = (int64_t *)(mask + padded + LANES);
  for (int64_t job; (job = __atomic_fetch_add(a->next, 1, __ATOMIC_RELAXED)) < a->B * a->H;) {
    const int64_t b = job / a->H, h = job % a->H;
    const NUMBER *m = (const NUMBER *)a->mask + b * a->mask_env + h % a->mask_heads * a->mask_head;
    const int64_t *age = a->age + b * a->age_env;
    const NUMBER *q = (const NUMBER *)a->q + b * a->q_env + h * d, *near = (const NUMBER *)a->near + b * a->near_env + h * a->M;
    const NUMBER *k = (const NUMBER *)a->k + job * C * d, *v = (const NUMBER *)a->v + job * C * d;
    NUMBER top = -LARGE;
    int64_t n = 0;
    for (int64_t j = 0; j < C; j += LANES) {
      const int64_t count = C - j < LANES ? C - j : LANES;
      int any = 0;
      for (int64_t i = 0; i < count; i++) any |= m[j + i] > 0;
      if (!any) continue;
      NUMBER found[LANES];
      NAME(store)(found, NAME(column_scores)(q, k + j, C, d, count));
      for (int64_t i = 0; i < count; i++) {
        if (!(m[j + i] > 0)) continue;
        const NUMBER s = found[i] + near[age[j + i] < a->M ? age[j + i] : a->M - 1];
        slot[n] = j + i, score[n] = s, mask[n] = m[j + i], n++;
        top = s > top ? s : top;
      }
    }
    for (int64_t j = n; j < n + LANES; j++) score[j] = 0, mask[j] = 0;
    VEC total = NAME(all)(0);
    for (int64_t j = 0; j < n; j += LANES) {
      VEC x = NAME(load)(score + j) - top;
      x = NAME(load)(mask + j) * NAME(exponential)(NAME(either)(x > (NUMBER)0, NAME(all)(0), x));
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
  free(score);
  return 0;
}
