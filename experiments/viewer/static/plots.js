// The figures of a pane, which Bokeh draws.
const WINDOW = 200     // steps of the detailed heat map
const FIGURES = ["overview", "detail", "received", "alive", "shift", "reward"]
const plotsOf = (pane) => Object.fromEntries(FIGURES.map((name) => [name, Bokeh.documents[0].get_model_by_name(`${name}${pane}`)]))
const source = (plot, name) => plot.renderers.find((r) => r.data_source.name === name).data_source
const finite = ({T}, span) => span >= 1e30 ? T : span  // endless ones are drawn as long as the episode

// Marks a step, or the selected memory, on all figures of the pane.
function mark(pane, name, t) {
  const {T} = pane.episode, {start, end} = pane.plots.detail.x_range
  pane.$("figures").style.setProperty(name, (t + 0.5) / T)
  pane.$("plot-detail").style.setProperty(name, t > start && t < end ? (t - start) / (end - start) : -2)
}

function setImage(plot, name, out, rows, columns, from, to) {
  const target = source(plot, name)
  const Kind = target.data.image[0].constructor  // Bokeh's array with a shape
  target.data = {image: [new Kind(out, [rows, columns])], x: [from - 0.5], y: [0.5], dw: [to - from], dh: [rows]}
}

function drawSpans(plot, episode, from, to) {
  const {L, T, span, cue} = episode
  const {out, columns} = pool(span, L, T, from, to, "max")
  setImage(plot, "image", out.map((v) => finite(episode, v)), L, columns, from, to)
  const x = []
  for (let t = from; t < to; t++) if (cue[t] && (t === from || !cue[t - 1] || to - from <= WINDOW)) x.push(t)
  source(plot, "cues").data = {x, y: x.map(() => 0.5 + 0.06 * L)}
}

function drawFigures(pane) {
  const {episode, plots} = pane
  const {L, T, k, K, span, alive: counts, window: xl, value, reward: rewards, strongest} = episode
  pane.$("window").hidden = !L || T <= WINDOW
  pane.$("reading").hidden = !L || !k
  pane.$("shifting").hidden = !K
  for (const [name, plot] of Object.entries(plots)) if (name !== "detail") plot.x_range.setv({start: -0.5, end: T - 0.5})
  const x = Array.from(pool(Float32Array.from({length: T}, (_, t) => t), 1, T, 0, T, "mean").out)
  const curve = (values, how = "mean") => pool(values, 1, T, 0, T, how).out
  const values = curve(value)
  const low = Math.min(0, ...values, rewards.reduce((a, b) => Math.min(a, b), 0))
  const high = Math.max(0, ...values, rewards.reduce((a, b) => Math.max(a, b), 0))
  source(plots.reward, "lines").data = {x, value: values}
  plots.reward.y_range.setv({start: low - 0.06 * (high - low || 1), end: high + 0.06 * (high - low || 1)})
  const sums = pool(rewards, 1, T, 0, T, "sum").out
  const given = x.map((_, i) => i).filter((i) => sums[i] !== 0)
  source(plots.reward, "rewards").data = {x: given.map((i) => x[i]), reward: given.map((i) => sums[i]), zero: given.map(() => 0)}
  pane.$("key-reward").hidden = !given.length
  if (!L) return
  const longest = Math.max(2, span.reduce((a, b) => Math.max(a, finite(episode, b)), 0))
  plots.overview.renderers[0].glyph.color_mapper.setv({high: longest})
  pane.$("most").textContent = number(longest)
  for (const plot of [plots.overview, plots.detail, plots.received]) {
    plot.y_range.setv({start: L + 0.5, end: 0.5})
    plot.height = 40 + Math.min(20 * Math.max(L, 2), 200)
    plot.left[0].ticker.ticks = L <= 6 ? Array.from({length: L}, (_, i) => i + 1) : [1, Math.ceil(L / 2), L]
  }
  drawSpans(plots.overview, episode, 0, T)
  if (K) {
    const most = curve(strongest, "max")
    source(plots.shift, "lines").data = {x, shift: most}
    plots.shift.y_range.setv({start: 0, end: 1.08 * Math.max(0.1, ...most)})
  }
  const kept = new Float32Array(T)
  let a = 0, b = 0
  for (let t = 0; t < T; t++) {
    for (let l = 0; l < L; l++) kept[t] += counts[l * T + t]
    a += kept[t]
    b += xl[t]
  }
  const [ours, theirs] = [curve(kept), curve(xl)]
  source(plots.alive, "lines").data = {x, kept: ours, window: theirs}
  plots.alive.y_range.setv({start: 0, end: 1.08 * Math.max(...theirs, ...ours)})
  pane.$("reach").textContent = `${whole(episode.reach)} steps`
  pane.$("saved").textContent = `memory saved over the episode: ${Math.round(100 * (1 - a / b))} %`
  const mean = whole(a / T)
  pane.$("plot-alive").setAttribute("aria-label", `Memories alive in all layers: ${mean} in the mean; a Transformer-XL that reaches as far back has ${whole(b / T)}`)
  pane.$("plot-overview").setAttribute("aria-label", `Span of every memory, layer by step: at most ${number(longest)} steps. The table of the memories kept longest has the numbers`)
}

function drawWindow(pane) {
  const {L, T, death} = pane.episode, {detail} = pane.plots
  if (!L || T <= WINDOW) return
  const half = WINDOW / 2
  const from = Math.max(0, Math.min(Math.round((pane.t - half) / half) * half, T - WINDOW))
  if (detail.x_range.start !== from - 0.5 || detail.x_range.end !== from + WINDOW - 0.5) {
    detail.x_range.setv({start: from - 0.5, end: from + WINDOW - 0.5})
    drawSpans(detail, pane.episode, from, from + WINDOW)
  }
  const gone = new Uint8Array(L * WINDOW)
  for (let l = 0; l < L; l++) {
    for (let i = 0; i < WINDOW; i++) gone[l * WINDOW + i] = from + i <= pane.t && death[l * T + from + i] < pane.t ? 1 : 0
  }
  setImage(detail, "forgotten", gone, L, WINDOW, from, from + WINDOW)
}

function drawReceived(pane, values) {
  const {L, T} = pane.episode, {received} = pane.plots
  const most = Math.max(0.01, values.reduce((a, b) => Math.max(a, b), 0))
  received.renderers[0].glyph.color_mapper.setv({high: most})
  const {out, columns} = pool(values, L, T, 0, T, "max")
  setImage(received, "image", out, L, columns, 0, T)
  pane.$("attention-most").textContent = number(most, 2)
}
