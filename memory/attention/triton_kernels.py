# mypy: ignore-errors
"""Attention over memories that expire in Triton's language: kernels for one GPU, called by `in_triton.py`.

    s_ti = q_t . k_i / sqrt(d) + near_t,age         age = t - place_i; near for the first M ages
    m_ti = clamp(1 + (reach_i - age) / ramp, 0, 1)  0 unless place_i >= begin_t and age >= youngest_i
    y_t  = sum_i m_ti exp(s_ti) v_i / sum_j m_tj exp(s_tj)

Programs of `forward` and `backward_queries` have TILE queries of one head and go through the keys; those of
`backward_keys` have BLOCK keys and go through the queries. All skip a block of keys if no query of the tile can read
one of them. Each number is summed by one program, in a fixed order, so that results are equal from run to run.

A view is a tensor (B, rows, H, d) as (pointer, strides of environments, rows and heads); those of d follow each other.
Rows are padded to WIDTH, a power of 2.
"""

import triton
import triton.language as tl

FAR = tl.constexpr(1 << 39)
"""Places before minus this hold no key."""
LONGEST = tl.constexpr((1 << 30) - 1)
"""Ages are told apart up to here, in steps."""
LEAST = tl.constexpr(-1e30)
"""Below every score."""


@triton.jit
def _job(rows, H, SIZE: tl.constexpr):
    """Environment, head and first row of this program, whose neighbours have the same head."""
    parts = tl.cdiv(rows, SIZE)
    job = tl.program_id(0) // parts
    return (job // H).to(tl.int64), job % H, (tl.program_id(0) % parts) * SIZE


@triton.jit
def _at(view, b, h, rows, WIDTH: tl.constexpr):
    """Pointers to rows of one head."""
    return view[0] + b * view[1] + h * view[3] + rows[:, None] * view[2] + tl.arange(0, WIDTH)[None, :]


@triton.jit
def _held(rows, count, d: tl.constexpr, WIDTH: tl.constexpr):
    """Which of those pointers there is a number at."""
    return (rows < count)[:, None] & (tl.arange(0, WIDTH) < d)[None, :]


@triton.jit
def _load(view, b, h, rows, count, d: tl.constexpr, WIDTH: tl.constexpr):
    return tl.load(_at(view, b, h, rows, WIDTH), mask=_held(rows, count, d, WIDTH), other=0.0)


@triton.jit
def _dot(a, b):
    return tl.dot(a, b, input_precision="ieee")


@triton.jit
def _begins(begin, b, t, T):
    """Where the episodes of queries began: after everything for those that there are not."""
    return tl.maximum(tl.load(begin + b * T + t, mask=t < T, other=LONGEST), -LONGEST).to(tl.int32)


@triton.jit
def _keys(reach, place, youngest, b, h, heads, i, K):
    """Reach, place and youngest age of keys; the place of what is no key lies before every episode."""
    held = i < K
    own_reach = tl.load(reach + (b * heads + h % heads) * K + i, mask=held, other=0.0)
    own_place = tl.load(place + b * K + i, mask=held, other=-FAR)
    own_place = tl.where(own_place <= -FAR, -LONGEST - 1, tl.maximum(own_place, -LONGEST)).to(tl.int32)
    own_youngest = tl.zeros_like(i)
    if youngest is not None:
        own_youngest = tl.load(youngest + b * K + i, mask=held, other=0).to(tl.int32)
    return own_reach, own_place, own_youngest


@triton.jit
def _readable(reach, place, youngest, first_begin, t0, ramp, TILE: tl.constexpr):
    """Whether some query of a tile could read some of these keys; one step more than needed, for rounding."""
    age = tl.maximum(t0 - place, 0)  # the least, at the tile's first query
    alive = reach - age.to(tl.float32) > -ramp - 1
    seen = (place >= first_begin) & (place + youngest < t0 + TILE)
    return tl.max((alive & seen).to(tl.int32), 0) > 0


@triton.jit
def _by_age(near, b, h, t, age):
    """Pointers to the scores by age."""
    return near[0] + b * near[1] + h * near[3] + t[:, None] * near[2] + age


@triton.jit
def _scores(q, k, near, b, h, t, begin, reach, place, youngest, T, M, scale, ramp):
    """s, m, ages, and where a score by age is part of s."""
    age = t[:, None] - place[None, :]
    mask = tl.minimum(1 + tl.div_rn(reach[None, :] - age.to(tl.float32), ramp), 1)
    seen = (place[None, :] >= begin[:, None]) & (age >= youngest[None, :]) & (mask > 0)
    close = seen & (age < M) & (youngest == 0)[None, :]
    score = _dot(q, tl.trans(k)) * scale + tl.load(_by_age(near, b, h, t, age), mask=close, other=0.0)
    return score, tl.where(seen, mask, 0.0), age, close


@triton.jit(do_not_specialize=["T", "K"])
def forward(
    q, k, v, near, reach, place, begin, youngest, y, log_total, T, K, H, M, heads, scale, ramp,
    d: tl.constexpr, WIDTH: tl.constexpr, TILE: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """y, and log sum_j m_tj exp(s_tj), (B, H, T)."""
    b, h, t0 = _job(T, H, TILE)
    t = t0 + tl.arange(0, TILE)
    begins, first_begin = _begins(begin, b, t, T), _begins(begin, b, t0, T)
    own_q = _load(q, b, h, t, T, d, WIDTH)
    most, total = tl.full([TILE], LEAST, tl.float32), tl.zeros([TILE], tl.float32)
    read = tl.zeros([TILE, WIDTH], tl.float32)
    for i0 in range(0, K, BLOCK):
        i = i0 + tl.arange(0, BLOCK)
        reaches, places, youngests = _keys(reach, place, youngest, b, h, heads, i, K)
        if _readable(reaches, places, youngests, first_begin, t0, ramp, TILE):
            own_k, own_v = _load(k, b, h, i, K, d, WIDTH), _load(v, b, h, i, K, d, WIDTH)
            s, m, _, _ = _scores(
                own_q, own_k, near, b, h, t, begins, reaches, places, youngests, T, M, scale, ramp
            )
            s = tl.where(m > 0, s, LEAST)
            top = tl.maximum(most, tl.max(s, 1))
            weights, fading = m * tl.exp(s - top[:, None]), tl.exp(most - top)
            total = total * fading + tl.sum(weights, 1)
            read = read * fading[:, None] + _dot(weights, own_v)
            most = top
    total = tl.where(total > 0, total, 1.0)  # of queries that there are not
    tl.store(log_total + (b * H + h) * T + t, most + tl.log(total), mask=t < T)
    tl.store(_at(y, b, h, t, WIDTH), read / total[:, None], mask=_held(t, T, d, WIDTH))


@triton.jit
def _gradients(s, m, total, dy, v, mean):
    """Weights / m, and the gradient in log m / m: finite where m is 0."""
    share = tl.exp(tl.where(m > 0, s - total[:, None], LEAST))
    return share, share * (_dot(dy, tl.trans(v)) - mean[:, None])


@triton.jit(do_not_specialize=["T", "K"])
def backward_queries(
    q, k, v, near, reach, place, begin, youngest, y, log_total, dy, mean, dq, d_near, T, K, H, M, heads, scale, ramp,
    d: tl.constexpr, WIDTH: tl.constexpr, TILE: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Gradients in q and, added to zeros, in the scores by age; and the mean of dL/dw (B, H, T), for `backward_keys`.

    A query has one key of each age, so that what is added to a number does not depend on an order.
    """
    b, h, t0 = _job(T, H, TILE)
    t = t0 + tl.arange(0, TILE)
    begins, first_begin = _begins(begin, b, t, T), _begins(begin, b, t0, T)
    own_q, own_dy = _load(q, b, h, t, T, d, WIDTH), _load(dy, b, h, t, T, d, WIDTH)
    own_mean = tl.sum(own_dy * _load(y, b, h, t, T, d, WIDTH), 1)
    of_query = (b * H + h) * T + t
    tl.store(mean + of_query, own_mean, mask=t < T)
    total = tl.load(log_total + of_query, mask=t < T, other=0.0)
    own_dq = tl.zeros([TILE, WIDTH], tl.float32)
    for i0 in range(0, K, BLOCK):
        i = i0 + tl.arange(0, BLOCK)
        reaches, places, youngests = _keys(reach, place, youngest, b, h, heads, i, K)
        if _readable(reaches, places, youngests, first_begin, t0, ramp, TILE):
            own_k, own_v = _load(k, b, h, i, K, d, WIDTH), _load(v, b, h, i, K, d, WIDTH)
            s, m, age, close = _scores(
                own_q, own_k, near, b, h, t, begins, reaches, places, youngests, T, M, scale, ramp
            )
            _, gain = _gradients(s, m, total, own_dy, own_v, own_mean)
            own_dq += _dot(m * gain, own_k)
            tl.atomic_add(_by_age(d_near, b, h, t, age), m * gain, mask=close, sem="relaxed")
    tl.store(_at(dq, b, h, t, WIDTH), own_dq * scale, mask=_held(t, T, d, WIDTH))


@triton.jit(do_not_specialize=["T", "K"])
def backward_keys(
    q, k, v, near, reach, place, begin, youngest, log_total, dy, mean, dk, dv, d_reach, T, K, H, M, heads, scale, ramp,
    d: tl.constexpr, WIDTH: tl.constexpr, TILE: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Gradients in k, v and in each head's reach (B, H, K)."""
    b, h, i0 = _job(K, H, BLOCK)
    i = i0 + tl.arange(0, BLOCK)
    reaches, places, youngests = _keys(reach, place, youngest, b, h, heads, i, K)
    own_k, own_v = _load(k, b, h, i, K, d, WIDTH), _load(v, b, h, i, K, d, WIDTH)
    own_dk, own_dv = tl.zeros([BLOCK, WIDTH], tl.float32), tl.zeros([BLOCK, WIDTH], tl.float32)
    own_d_reach = tl.zeros([BLOCK], tl.float32)
    for t0 in range(0, T, TILE):
        if _readable(reaches, places, youngests, _begins(begin, b, t0, T), t0, ramp, TILE):
            t = t0 + tl.arange(0, TILE)
            own_q, own_dy = _load(q, b, h, t, T, d, WIDTH), _load(dy, b, h, t, T, d, WIDTH)
            of_query = (b * H + h) * T + t
            total = tl.load(log_total + of_query, mask=t < T, other=0.0)
            own_mean = tl.load(mean + of_query, mask=t < T, other=0.0)
            s, m, _, _ = _scores(
                own_q, own_k, near, b, h, t, _begins(begin, b, t, T), reaches, places, youngests, T, M, scale, ramp
            )  # fmt: skip
            share, gain = _gradients(s, m, total, own_dy, own_v, own_mean)
            own_dv += _dot(tl.trans(m * share), own_dy)
            own_dk += _dot(tl.trans(m * gain), own_q)
            own_d_reach += tl.sum(tl.where(m < 1, gain, 0.0), 0)
    tl.store(_at(dk, b, h, i, WIDTH), own_dk * scale, mask=_held(i, K, d, WIDTH))
    tl.store(_at(dv, b, h, i, WIDTH), own_dv, mask=_held(i, K, d, WIDTH))
    tl.store(d_reach + (b * H + h) * K + i, own_d_reach / ramp, mask=i < K)
