// The memories alive at a step, as cards, of which only those in view exist; each has the step its memory was written at.
const CARD = {width: 90, line: 46, text: 45}  // pixels: card, line of text observations, text under a picture

function picture(episode, t, width, words = wordsAt(episode, t) || `observation of step ${t}`) {
  const {frame, picture: [h, w], urls} = episode, element = make("span", "picture")
  const at = frame[t] % SHEET ** 2, scale = width / w
  element.setAttribute("role", "img")
  element.setAttribute("aria-label", words)
  Object.assign(element.style, {
    display: "block", width: `${width}px`, height: `${Math.round(h * scale)}px`,
    backgroundImage: `url("${urls[Math.floor(frame[t] / SHEET ** 2)]}")`, backgroundSize: `${width * SHEET}px auto`,
    backgroundPosition: `${-(at % SHEET) * width}px ${-Math.floor(at / SHEET) * h * scale}px`,
  })
  return element
}

// A thumbnail of at most so many pixels, or the text, or nothing.
function thumbnail(episode, t, most, words) {
  const {lines, frame, picture: [h, w]} = episode
  if (lines) return make("span", episode.cue[t] ? "text iscue" : "text", lines[t])
  return frame[t] >= 0 ? picture(episode, t, Math.min(most, Math.round(most * w / h) || 1), words) : null
}

function bar(kind, share) {
  const filled = make("i", kind), track = make("span", "weight", filled)
  filled.style.width = `${100 * Math.max(0, Math.min(1, share))}%`
  return track
}

function layout({episode}, strip) {
  const {lines, K, picture: [h, w]} = episode, room = strip.clientWidth - 4
  if (lines) return {columns: 1, width: room, height: room < 460 ? 66 : CARD.line}
  const columns = Math.max(1, Math.floor(room / CARD.width))
  return {columns, width: Math.floor(room / columns), height: CARD.text + (K ? 36 : 28) + Math.min(56, Math.round(56 * h / w))}
}

function remainingAt({T, L, span, death}, i, t, layer) {
  const layers = layer < 0 ? Array.from({length: L}, (_, l) => l) : [layer]
  const holders = layers.filter((l) => death[l * T + i] >= t)
  const left = Math.max(...holders.map((l) => span[l * T + i])) - (t - i)
  return {holders, text: left >= 0 ? `${left >= 1e30 ? "∞" : whole(left)} remaining` : "on its ramp"}
}

// A card without what changes from step to step; its parts are at hand by name.
function newCard({episode}, i) {
  const {K, k, cue, lines} = episode, card = make("button", `card${lines ? " line" : ""}${cue[i] ? " iscue" : ""}`)
  const parts = {age: make("span"), rest: make("span")}
  if (k) parts.attention = bar("attention", 0)
  if (K) parts.shift = bar("shift", 0)
  const bars = make("span", "", parts.attention, parts.shift), name = make("b", "", `step ${whole(i)}`)
  if (lines) card.append(name, bars, make("span", "", parts.age, ", ", parts.rest), make("span", "said", lines[i]))
  else card.append(thumbnail(episode, i, 56) ?? make("span", "", wordsAt(episode, i)), bars, name, parts.age, make("br"), parts.rest)
  card.dataset.t = i
  card.parts = parts
  return card
}

const setText = (element, text) => { if (element.textContent !== text) element.textContent = text }
const setWidth = (track, share) => { if (track) track.firstChild.style.width = `${(100 * Math.max(0, Math.min(1, share))).toFixed(1)}%` }

// Cards of memories that stay alive stay in the page: to make them anew for every step is slow.
function showCards(pane) {
  const {episode, t} = pane, {L} = episode
  const strip = pane.$("strip"), cards = pane.$("cards"), {columns, width, height} = layout(pane, strip)
  cards.style.height = `${Math.ceil(pane.alive.length / columns) * height}px`
  const first = Math.max(0, Math.floor(strip.scrollTop / height) - 1) * columns
  const last = Math.min(pane.alive.length, (Math.ceil((strip.scrollTop + strip.clientHeight) / height) + 1) * columns)
  const largest = Math.max(0.01, ...Array.from(pane.tried.values(), ({shift}) => shift))
  const stop = pane.alive.includes(pane.selected) ? pane.selected : pane.alive[0]
  const have = new Map(Array.from(cards.children, (card) => [Number(card.dataset.t), card]))
  const wanted = new Set(pane.alive.slice(first, last))
  for (const [i, card] of have) if (!wanted.has(i)) card.remove()
  for (let place = first; place < last; place++) {
    const i = pane.alive[place], card = have.get(i) ?? newCard(pane, i)
    if (cards.children[place - first] !== card) cards.insertBefore(card, cards.children[place - first] ?? null)
    const {holders, text: rest} = remainingAt(episode, i, t, pane.layer)
    const weight = pane.read.get(i) ?? 0, shift = pane.tried.get(i)?.shift, shown = wordsAt(episode, i)
    const where = pane.layer < 0 && L > 1 ? `, in ${holders.length}/${L} layers` : ""
    card.title = `${shown && `${shown}, `}written at step ${i}, age ${t - i}, ${rest}${where}, attention ${weight.toFixed(3)}${shift === undefined ? "" : `, shift ${shift.toFixed(3)}`}`
    card.setAttribute("aria-label", card.title)
    card.setAttribute("aria-pressed", i === pane.selected)
    card.tabIndex = i === stop ? 0 : -1
    Object.assign(card.style, {width: `${width}px`, height: `${height}px`, left: `${(place - first) % columns * width}px`, top: `${Math.floor(place / columns) * height}px`})
    setWidth(card.parts.attention, weight)
    setWidth(card.parts.shift, (shift ?? 0) / largest)
    setText(card.parts.age, `age ${whole(t - i)}`)
    setText(card.parts.rest, rest)
  }
}

const ORDERS = {
  age: () => 0,
  attention: (pane) => (i, j) => (pane.read.get(j) ?? 0) - (pane.read.get(i) ?? 0),
  shift: (pane) => (i, j) => (pane.tried.get(j)?.shift ?? -1) - (pane.tried.get(i)?.shift ?? -1),
}

function stayAfter({episode: {T, L, death}, t, layer, alive}) {
  const layers = layer < 0 ? Array.from({length: L}, (_, l) => l) : [layer]
  return alive.filter((i) => layers.some((l) => death[l * T + i] > t)).length
}

function showMemories(pane) {
  const {episode, t} = pane, {L, K} = episode
  pane.alive = L ? aliveAt(episode, t, pane.layer) : []
  pane.read = attentionAt(episode, t, pane.layer)
  pane.tried = K ? withoutAt(episode, t) : new Map()
  if (pane.order !== "age") pane.alive.sort(ORDERS[pane.order](pane))
  pane.$("count").textContent = L ? `${whole(pane.alive.length)} of ${whole(t + 1)} memories${pane.layer < 0 && L > 1 ? " in some layer" : ""}; ${whole(stayAfter(pane))} stay after this step` : "one state, no single memories"
  showCards(pane)
}
