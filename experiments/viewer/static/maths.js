// Mathematics of a trace.
const COLUMNS = 2000   // of a heat map or line over a whole episode: more than any screen shows

// Steps whose states step t could read in a layer, or in any (-1), oldest first.
function aliveAt({T, L, death}, t, layer) {
  const found = []
  const [first, last] = layer < 0 ? [0, L] : [layer, layer + 1]
  for (let i = 0; i <= t; i++) {
    for (let l = first; l < last; l++) {
      if (death[l * T + i] >= t) { found.push(i); break }
    }
  }
  return found
}

// Attention that step t gives to each memory, the mean over the layers looked at.
function attentionAt({L, k, row, stored, attended, attention}, t, layer) {
  const found = new Map(), S = stored.length
  if (!k) return found
  const [first, last] = layer < 0 ? [0, L] : [layer, layer + 1]
  for (let l = first; l < last; l++) {
    const begin = (l * S + row[t]) * k
    for (let j = begin; j < begin + k; j++) {
      if (attended[j] >= 0) found.set(attended[j], (found.get(attended[j]) ?? 0) + attention[j] / 65535 / (last - first))
    }
  }
  return found
}

// Attention that each head of each layer gives at step t to the memory of step i: L rows of H.
function headsAt({L, H, k, row, stored, attended, heads}, t, i) {
  const S = stored.length
  return Array.from({length: L}, (_, l) => {
    const sums = new Array(H).fill(0), begin = (l * S + row[t]) * k
    for (let j = begin; j < begin + k; j++) if (attended[j] === i) for (let h = 0; h < H; h++) sums[h] += heads[j * H + h] / 255
    return sums
  })
}

// What step t would do without each memory tried: by its step, the shift, and what is needed to show it.
function withoutAt({K, A, row, removed, without, value_without: values, shift}, t) {
  const found = new Map()
  for (let j = row[t] * K; j < (row[t] + 1) * K; j++) {
    if (removed[j] >= 0) found.set(removed[j], {shift: shift[j], value: values[j], probability: without.subarray(j * A, (j + 1) * A)})
  }
  return found
}

// Attention (L x T) that the memory of step i received from every step after its own.
function receivedBy({T, L, k, row, stored, attended, attention}, i) {
  const S = stored.length, sums = new Float32Array(L * S), found = new Float32Array(L * T)
  for (let j = 0; j < attended.length; j++) if (attended[j] === i) sums[Math.floor(j / k)] += attention[j] / 65535
  for (let l = 0; l < L; l++) for (let t = i + 1; t < T; t++) if (stored[row[t]] > i) found[l * T + t] = sums[l * S + row[t]]
  return found
}

// Rows (L x T) cut to steps [from, to) and shrunk to at most COLUMNS by the maximum or mean of neighbours.
function pool(values, rows, T, from, to, how) {
  const columns = Math.min(to - from, COLUMNS), out = new Float32Array(rows * columns)
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      const begin = from + Math.floor(column * (to - from) / columns)
      const end = from + Math.floor((column + 1) * (to - from) / columns)
      let most = -Infinity, sum = 0
      for (let t = begin; t < end; t++) { const v = values[row * T + t]; if (v > most) most = v; sum += v }
      out[row * columns + column] = how === "max" ? most : how === "sum" ? sum : sum / (end - begin)
    }
  }
  return {out, columns}
}
