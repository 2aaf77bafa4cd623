// Moves through an episode. Runs once the figures stand; they are at hand by name. All text of the episode is set as
// textContent, never as markup.
const plots = {overview, detail, received, alive, total, reward}
const COLUMNS = 2000   // of a heat map or line over a whole episode: more than any screen shows
const WINDOW = 200     // steps of the detailed heat map
const SHEET = 16       // pictures on a side of a sheet
const CARD = {width: 76, line: 46, text: 45}  // pixels: card, line of text observations, text under a picture

const $ = (id) => document.getElementById(id)
const make = (tag, className, text) => {
  const element = document.createElement(tag)
  if (className) element.className = className
  if (text !== undefined) element.textContent = text
  return element
}
const number = (value, digits = 3) => Math.abs(value) >= 1e30 ? "∞" : Number(value.toPrecision(digits)).toLocaleString("en")
const whole = (value) => Math.round(value).toLocaleString("en")
const finite = (span) => span >= 1e30 ? now.episode.T : span  // endless ones are drawn as long as the episode
const source = (plot, name) => plot.renderers.find((r) => r.data_source.name === name).data_source
const line = (plot, name) => plot.center.find((m) => m.name === name)
const episodes = JSON.parse($("episodes").textContent)
const now = {episode: null, t: 0, layer: -1, selected: -1, alive: [], timer: null}

// Reading what the page holds ---------------------------------------------------------------------

async function inflate(base64) {
  const bytes = Uint8Array.from(atob(base64), (c) => c.charCodeAt(0))
  return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))).arrayBuffer()
}

async function unpack(packed) {
  const types = {Float32Array, Int32Array, Uint16Array, Uint8Array}
  const episode = {...packed, lines: null}
  await Promise.all(Object.entries(packed.arrays).map(async ([name, [type, data]]) => {
    episode[name] = new types[type](await inflate(data))
  }))
  if (packed.text) episode.lines = JSON.parse(new TextDecoder().decode(await inflate(packed.text)))
  episode.urls = packed.sheets.map((sheet) => {
    const bytes = Uint8Array.from(atob(sheet), (c) => c.charCodeAt(0))
    return URL.createObjectURL(new Blob([bytes], {type: "image/png"}))
  })
  return episode
}

// Mathematics of a trace --------------------------------------------------------------------------

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
function attentionAt({T, L, k, attended, attention}, t, layer) {
  const found = new Map()
  if (!k) return found
  const [first, last] = layer < 0 ? [0, L] : [layer, layer + 1]
  for (let l = first; l < last; l++) {
    for (let j = (l * T + t) * k; j < (l * T + t + 1) * k; j++) {
      if (attended[j] >= 0) found.set(attended[j], (found.get(attended[j]) ?? 0) + attention[j] / 65535 / (last - first))
    }
  }
  return found
}

// Attention (L x T) that the memory of step i received from every step after its own.
function receivedBy({T, L, k, attended, attention}, i) {
  const found = new Float32Array(L * T)
  for (let row = 0; row < L * T; row++) {
    if (row % T === i) continue
    for (let j = row * k; j < (row + 1) * k; j++) if (attended[j] === i) found[row] += attention[j] / 65535
  }
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

// Figures -----------------------------------------------------------------------------------------

function setImage(plot, name, out, rows, columns, from, to) {
  const target = source(plot, name)
  const Kind = target.data.image[0].constructor  // Bokeh's array with a shape
  target.data = {image: [new Kind(out, [rows, columns])], x: [from - 0.5], y: [0.5], dw: [to - from], dh: [rows]}
}

function drawSpans(plot, from, to) {
  const {L, T, span, cue} = now.episode
  const {out, columns} = pool(span, L, T, from, to, "max")
  setImage(plot, "image", out.map((v) => finite(v)), L, columns, from, to)
  const x = []
  for (let t = from; t < to; t++) if (cue[t] && (t === from || !cue[t - 1] || to - from <= WINDOW)) x.push(t)
  source(plot, "cues").data = {x, y: x.map(() => 0.5 + 0.06 * L)}
}

function drawFigures() {
  const {L, T, k, span, alive: counts, window: xl, value, reward: rewards} = now.episode
  for (const block of document.querySelectorAll(".spans")) block.hidden = !L
  $("window").hidden = !L || T <= WINDOW
  for (const plot of Object.values(plots)) if (plot !== detail) plot.x_range.setv({start: -0.5, end: T - 0.5})
  const x = Array.from(pool(Float32Array.from({length: T}, (_, t) => t), 1, T, 0, T, "mean").out)
  const curve = (values) => pool(values, 1, T, 0, T, "mean").out
  const values = curve(value)
  const low = Math.min(0, ...values, rewards.reduce((a, b) => Math.min(a, b), 0))
  const high = Math.max(0, ...values, rewards.reduce((a, b) => Math.max(a, b), 0))
  source(reward, "lines").data = {x, value: values}
  reward.y_range.setv({start: low - 0.06 * (high - low || 1), end: high + 0.06 * (high - low || 1)})
  const sums = pool(rewards, 1, T, 0, T, "sum").out
  const given = x.map((_, i) => i).filter((i) => sums[i] !== 0)
  source(reward, "rewards").data = {x: given.map((i) => x[i]), reward: given.map((i) => sums[i]), zero: given.map(() => 0)}
  if (!L) return
  const longest = Math.max(2, span.reduce((a, b) => Math.max(a, finite(b)), 0))
  overview.renderers[0].glyph.color_mapper.setv({high: longest})
  $("most").textContent = number(longest)
  for (const plot of [overview, detail, received]) {
    plot.y_range.setv({start: L + 0.5, end: 0.5})
    plot.height = 62 + Math.min(22 * Math.max(L, 2), 220)
    plot.left[0].ticker.ticks = L <= 6 ? Array.from({length: L}, (_, i) => i + 1) : [1, Math.ceil(L / 2), L]
  }
  drawSpans(overview, 0, T)
  const kept = new Float32Array(T), keptSum = new Float32Array(T), xlSum = new Float32Array(T)
  let a = 0, b = 0
  for (let t = 0; t < T; t++) {
    for (let l = 0; l < L; l++) kept[t] += counts[l * T + t]
    keptSum[t] = a += kept[t]
    xlSum[t] = b += xl[t]
  }
  source(alive, "lines").data = {x, kept: curve(kept), window: curve(xl)}
  source(total, "lines").data = {x, kept: curve(keptSum), window: curve(xlSum)}
  alive.y_range.setv({start: 0, end: 1.08 * Math.max(...curve(xl), ...curve(kept))})
  total.y_range.setv({start: 0, end: 1.08 * Math.max(a, b)})
  $("reach").textContent = `${whole(now.episode.reach)} steps`
  $("saved").textContent = `${whole(a)} states kept for a step each, by a Transformer-XL of equal reach ${whole(b)}: saved ${Math.round(100 * (1 - a / b))} %`
}

function drawWindow() {
  const {L, T, death} = now.episode
  if (!L || T <= WINDOW) return
  const half = WINDOW / 2
  const from = Math.max(0, Math.min(Math.round((now.t - half) / half) * half, T - WINDOW))
  const {x_range} = detail
  if (x_range.start !== from - 0.5 || x_range.end !== from + WINDOW - 0.5) {
    x_range.setv({start: from - 0.5, end: from + WINDOW - 0.5})
    drawSpans(detail, from, from + WINDOW)
  }
  const gone = new Uint8Array(L * WINDOW)
  for (let l = 0; l < L; l++) {
    for (let i = 0; i < WINDOW; i++) gone[l * WINDOW + i] = from + i <= now.t && death[l * T + from + i] < now.t ? 1 : 0
  }
  setImage(detail, "forgotten", gone, L, WINDOW, from, from + WINDOW)
}

// What is seen and remembered ---------------------------------------------------------------------

function picture(element, t, width) {
  const {frame, picture: [h, w], urls} = now.episode
  const at = frame[t] % SHEET ** 2, scale = width / w
  element.className = "picture"
  element.style.width = `${width}px`
  element.style.height = `${Math.round(h * scale)}px`
  element.style.backgroundImage = `url("${urls[Math.floor(frame[t] / SHEET ** 2)]}")`
  element.style.backgroundSize = `${width * SHEET}px auto`
  element.style.backgroundPosition = `${-(at % SHEET) * width}px ${-Math.floor(at / SHEET) * h * scale}px`
}

function showNow() {
  const {T, L, lines, frame, action, actions, discrete, components, observation, value, reward: rewards, cue, alive: counts} = now.episode
  const t = now.t, [h, w] = now.episode.picture
  const box = $("frame")
  box.replaceChildren()
  if (lines) box.append(make("div", cue[t] ? "text iscue" : "text", lines[t]))
  if (frame[t] >= 0) {
    const element = make("div")
    picture(element, t, Math.min(matchMedia("(max-width: 700px)").matches ? 120 : 200, Math.round(200 * w / h)))
    box.append(element)
  }
  const A = action.length / T
  const chosen = Array.from(action.subarray(t * A, (t + 1) * A))
  const said = A === 1 && actions[chosen[0]] ? actions[chosen[0]] : chosen.map((v) => discrete ? v : number(v)).join(", ")
  const rows = [["timestep", `${whole(t)} of ${whole(T)}`], ["action", said], ["reward", number(rewards[t])], ["value", number(value[t])]]
  if (components) rows.push(["observation", Array.from(observation.subarray(t * components, (t + 1) * components), (v) => number(v)).join(", ")])
  if (cue[t]) rows.push(["cue", "in view"])
  if (L) rows.push([L > 1 ? "alive, by layer" : "alive", Array.from({length: L}, (_, l) => whole(counts[l * T + t])).join(", ")])
  $("numbers").replaceChildren(...rows.flatMap(([name, text]) => [make("dt", "", name), make("dd", "", text)]))
}

function layout() {
  const {lines, picture: [h, w]} = now.episode, room = $("strip").clientWidth - 4
  if (lines) return {columns: 1, width: room, height: matchMedia("(max-width: 700px)").matches ? 66 : CARD.line}
  const columns = Math.max(1, Math.floor(room / CARD.width))
  return {columns, width: Math.floor(room / columns), height: CARD.text + 28 + Math.min(56, Math.round(56 * h / w))}
}

// Only cards in view exist; each bears the step its memory was written at.
function showCards() {
  const {T, L, span, death, cue, lines, frame, picture: [h, w]} = now.episode
  const {columns, width, height} = layout(), strip = $("strip"), cards = $("cards")
  cards.style.height = `${Math.ceil(now.alive.length / columns) * height}px`
  const first = Math.max(0, Math.floor(strip.scrollTop / height) - 1) * columns
  const last = Math.min(now.alive.length, (Math.ceil((strip.scrollTop + strip.clientHeight) / height) + 1) * columns)
  while (cards.children.length > Math.max(0, last - first)) cards.lastChild.remove()
  while (cards.children.length < last - first) cards.append(make("button"))
  const layers = now.layer < 0 ? Array.from({length: L}, (_, l) => l) : [now.layer]
  for (let place = first; place < last; place++) {
    const i = now.alive[place], card = cards.children[place - first]
    const holders = layers.filter((l) => death[l * T + i] >= now.t)
    const left = Math.max(...holders.map((l) => span[l * T + i])) - (now.t - i)
    const weight = now.read.get(i) ?? 0
    const name = `card${lines ? " line" : ""}${cue[i] ? " iscue" : ""}${i === now.selected ? " selected" : ""}`
    const rest = left >= 0 ? `remaining ${left >= 1e30 ? "∞" : whole(left)}` : "on its ramp"
    const where = now.layer < 0 && L > 1 ? `${holders.length}/${L} layers` : ""
    card.className = name
    card.dataset.t = i
    card.title = `written at step ${i}, age ${now.t - i}, ${rest}${where && ", in " + where}, attention ${weight.toFixed(3)}`
    Object.assign(card.style, {width: `${width}px`, height: `${height}px`, left: `${(place - first) % columns * width}px`, top: `${Math.floor(place / columns) * height}px`})
    const bar = make("span", "weight"), filled = make("i")
    filled.style.width = `${100 * Math.min(1, weight)}%`
    bar.append(filled)
    const label = make("b", "", `t = ${whole(i)}`), age = `age ${whole(now.t - i)}`
    if (lines) {
      card.replaceChildren(label, bar, make("span", "", `${age}, ${rest}`), make("span", "said", lines[i]))
    } else {
      const image = make("span")
      if (frame[i] >= 0) { picture(image, i, Math.min(56, Math.round(56 * w / h) || 1)); image.style.display = "block" }
      card.replaceChildren(image, bar, label, make("span", "", age), make("br"), make("span", "", rest))
    }
  }
}

function showMemories() {
  const {L, alive: counts} = now.episode
  now.alive = L ? aliveAt(now.episode, now.t, now.layer) : []
  now.read = attentionAt(now.episode, now.t, now.layer)
  $("count").textContent = L ? `${whole(now.alive.length)} of ${whole(now.t + 1)} ${now.layer < 0 && L > 1 ? "in some layer" : ""}` : "this memory keeps no separate states"
  showCards()
}

// Moving and choosing -----------------------------------------------------------------------------

function go(t) {
  const {T} = now.episode
  now.t = Math.max(0, Math.min(T - 1, Math.round(t)))
  $("slider").value = now.t
  $("clock").textContent = `t = ${whole(now.t)} / ${whole(T - 1)}`
  for (const plot of Object.values(plots)) line(plot, "cursor").location = now.t
  showNow()
  showMemories()
  drawWindow()
}

function select(i) {
  const {L, T, k, span, death} = now.episode
  if (!L || i < 0 || i >= T) return
  now.selected = i
  for (const plot of Object.values(plots)) line(plot, "selected").setv({location: i, visible: true})
  const values = k ? receivedBy(now.episode, i) : new Float32Array(L * T)
  const most = values.reduce((a, b) => Math.max(a, b), 0)
  received.renderers[0].glyph.color_mapper.setv({high: Math.max(most, 0.01)})
  const {out, columns} = pool(values, L, T, 0, T, "max")
  setImage(received, "image", out, L, columns, 0, T)
  const ends = Array.from({length: L}, (_, l) => death[l * T + i])
  const lives = ends.map((end, l) => `layer ${l + 1} ${end >= T ? "to the end" : `for ${whole(end - i)} steps`} (span ${number(span[l * T + i])})`)
  $("selection").textContent = `The memory written at step ${whole(i)} was kept in ${lives.slice(0, 4).join(", ")}${L > 4 ? `, and ${L - 4} more` : ""}. ` +
    (most ? `Yellow is ${number(most, 2)} of the attention, among the ${k} memories read most. It was read most at` : "No later step read it much.")
  const weight = Float32Array.from({length: T}, (_, t) => { let m = 0; for (let l = 0; l < L; l++) m = Math.max(m, values[l * T + t]); return m })
  const best = Array.from(weight.keys()).filter((t) => weight[t] > 0).sort((p, q) => weight[q] - weight[p]).slice(0, 6)
  $("readers").replaceChildren(...best.map((t) => {
    const button = make("button", "", `t = ${whole(t)}: ${number(weight[t], 2)}`)
    button.onclick = () => go(t)
    return button
  }))
  showCards()
}

function play(on) {
  clearInterval(now.timer)
  now.timer = on ? setInterval(() => now.t + 1 < now.episode.T ? go(now.t + 1) : play(false), 1000 / $("speed").value) : null
  $("play").textContent = on ? "❚❚ Pause" : "▶ Play"
  if (on && now.t + 1 >= now.episode.T) go(0)
}

async function open(which) {
  play(false)
  document.body.dataset.ready = ""
  const before = now.episode
  now.episode = await unpack(episodes[which])
  before?.urls.forEach((url) => URL.revokeObjectURL(url))
  const {T, L, death} = now.episode
  now.layer = L === 1 ? 0 : -1
  $("layer").replaceChildren(...(L > 1 ? [new Option("any", -1)] : []), ...Array.from({length: L}, (_, l) => new Option(l + 1, l)))
  $("layer").value = now.layer
  $("slider").max = T - 1
  detail.x_range.setv({start: -1, end: 0})  // to be drawn anew
  drawFigures()
  now.selected = -1
  go(0)
  let longest = 0, life = 0
  for (let i = 0; i < T; i++) {
    let sum = 0
    for (let l = 0; l < L; l++) sum += death[l * T + i] - i
    if (sum > life) [longest, life] = [i, sum]
  }
  select(longest)
  document.body.dataset.ready = which
}

episodes.forEach((episode, i) => $("episode").append(new Option(episode.facts, i)))
$("episode").onchange = () => open(Number($("episode").value))
$("slider").oninput = () => go(Number($("slider").value))
$("layer").onchange = () => { now.layer = Number($("layer").value); showMemories() }
$("play").onclick = () => play(!now.timer)
$("speed").onchange = () => now.timer && play(true)
$("strip").onscroll = showCards
$("cards").onclick = (event) => { const card = event.target.closest(".card"); if (card) select(Number(card.dataset.t)) }
window.onresize = () => now.episode && go(now.t)
document.addEventListener("keydown", (event) => {
  if (event.target.tagName === "SELECT" || event.ctrlKey || event.altKey || event.metaKey) return
  const step = event.shiftKey ? 10 : 1
  const moves = {ArrowLeft: () => go(now.t - step), ArrowRight: () => go(now.t + step), Home: () => go(0), End: () => go(now.episode.T - 1), " ": () => play(!now.timer)}
  if (moves[event.key]) { event.preventDefault(); moves[event.key]() }
})
for (const [name, plot] of Object.entries(plots)) plot.on_event("tap", ({x}) => name === "detail" ? select(Math.round(x)) : go(x))
open(0)
