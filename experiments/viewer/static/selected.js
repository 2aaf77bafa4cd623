// The selected memory: what it shows, what the step would do without it, who read it.
const BARS = 8  // actions shown, those that change most

function showSelected(pane) {
  const {episode, t, selected: i} = pane, {T, L, k, death, span} = episode
  const box = pane.$("selected")
  pane.$("whatif").replaceChildren()
  pane.$("heads").hidden = !episode.H || i < 0
  if (i < 0) return box.replaceChildren("none")
  const stay = Array.from({length: L}, (_, l) => Math.min(death[l * T + i], T - 1) - i)
  const best = stay.indexOf(Math.max(...stay)), end = death[best * T + i] >= T ? "to the end" : `until step ${whole(death[best * T + i])}`
  const words = wordsAt(episode, i), age = i <= t ? `age ${whole(t - i)} now` : "not written yet"
  const there = i <= t && death.some((last, at) => at % T === i && last >= t)
  const layers = L > 1 ? ` (layer ${best + 1}, its longest)` : ""
  const facts = make("div", "", make("b", "", episode.lines ? `Step ${whole(i)}` : `${words || "The observation"}, step ${whole(i)}`), make("br"),
    `kept for ${whole(stay[best])} steps, ${end}${layers}; span ${steps(span[best * T + i])}; ${age}${there || i > t ? "" : ", deleted"}`)
  if (episode.lines) facts.append(thumbnail(episode, i))
  box.replaceChildren(...(episode.lines ? [facts] : [thumbnail(episode, i, 72), facts].filter(Boolean)))
  if (episode.K) showWithout(pane, there)
  if (pane.$("heads").open) showHeads(pane)
  const weight = k ? pane.read.get(i) : 0
  pane.$("read").textContent = !k || i >= t ? "" : `It receives ${percent(weight ?? 0)} of this step's attention${weight === undefined && there ? " or less" : ""}.`
}

// How probabilities and value change without the memory, as bars with figures.
function showWithout(pane, there) {
  const {episode, t, selected: i} = pane, {A, row, probability, value, discrete} = episode
  const tried = pane.tried.get(i), box = pane.$("whatif")
  if (!tried) {
    const others = [...pane.tried].sort(([, a], [, b]) => b.shift - a.shift)
    const note = make("p", "key", there && i < t ? "It was not tried what this step does without it; of these it was: " : others.length ? "This step does not read it; tried were: " : "")
    note.append(...others.map(([j]) => { const button = make("button", "", `step ${whole(j)}`); button.onclick = () => pane.select(j); return button }))
    return box.replaceChildren(note)
  }
  const names = labels(episode), now = probability.subarray(row[t] * A, (row[t] + 1) * A)
  const change = (a) => Math.abs(now[a] - tried.probability[a])
  const chosen = discrete && episode.action.length === episode.T ? episode.action[t] : -1
  const shown = Array.from({length: A}, (_, a) => a).sort((a, b) => (b === chosen) - (a === chosen) || change(b) - change(a)).slice(0, BARS).sort((a, b) => a - b)
  const what = chosen >= 0 && chosen < A ? `Without it, “${names[chosen]}” has probability ${now[chosen].toFixed(2)} → ${tried.probability[chosen].toFixed(2)}` : "Without it, the actions shift"
  const sentence = `${what} (shift ${number(tried.shift)} nats), and the value is ${number(value[t])} → ${number(tried.value)}.`
  const table = make("table", "bars", make("caption", "key", make("span", "", make("i", "bar with"), " as it is"), make("span", "", make("i", "bar without"), " without this memory")))
  table.append(...shown.map((a) => {
    const name = make("th", "", names[a]), cell = make("td")
    name.scope = "row"
    for (const [kind, p, said] of [["with", now[a], "as it is"], ["without", tried.probability[a], "without"]]) {
      const track = make("span", `track ${kind}`)
      track.style.width = discrete ? `calc(${Math.max(0, Math.min(1, p))} * (100% - 4em))` : "1px"
      track.title = said
      cell.append(make("div", "", track, ` ${discrete ? p.toFixed(3) : number(p)}`))
    }
    return make("tr", a === chosen ? "chosen-action" : "", name, cell)
  }))
  const rest = A > shown.length ? ` ${A - shown.length} more actions change less.` : ""
  box.replaceChildren(make("p", "what", sentence), table, make("p", "key", `Later memories may hold a copy of it, so that a small change does not mean that it was not needed.${rest}`))
}

function showHeads(pane) {
  const {episode, t, selected: i} = pane, {L, H} = episode
  const head = make("tr", "", ...["layer", ...Array.from({length: H}, (_, h) => `head ${h + 1}`)].map((name) => { const cell = make("th", "", name); cell.scope = "col"; return cell }))
  const rows = headsAt(episode, t, i).map((weights, l) => make("tr", "", make("th", "", `${l + 1}`), ...weights.map((w) => make("td", "", bar("attention", w), percent(w)))))
  rows.forEach((row) => { row.firstChild.scope = "row" })
  const table = make("table", "bars heads", make("caption", "key", `Attention of step ${whole(t)} to the memory of step ${whole(i)}; 0 % where it is not among the ${episode.k} read most in a layer`), head, ...rows)
  pane.$("by-head").replaceChildren(make("div", "wide", table))
}

// Once per selection: the steps that read it most, and the figure.
function showReaders(pane) {
  const {episode, selected: i} = pane, {L, T, k} = episode
  if (!k) return pane.$("readers").replaceChildren()
  const values = receivedBy(episode, i)
  drawReceived(pane, values)
  const weight = Float32Array.from({length: T}, (_, t) => { let sum = 0; for (let l = 0; l < L; l++) sum += values[l * T + t]; return sum / L })
  const best = Array.from(episode.stored).filter((t) => weight[t] > 0).sort((p, q) => weight[q] - weight[p]).slice(0, 5)
  pane.$("readers").replaceChildren(...(best.length ? ["read most at "] : []), ...best.map((t) => {
    const button = make("button", "", `step ${whole(t)}: ${percent(weight[t])}`)
    button.onclick = () => go(t)
    return button
  }))
}
