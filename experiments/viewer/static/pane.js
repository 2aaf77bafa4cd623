// One agent's episode on the page: its step, its selected memory, and all that shows them.
class Pane {
  constructor(root, number) {
    Object.assign(this, {root, number, plots: plotsOf(number), episode: null, t: 0, layer: -1, order: "age", selected: -1, alive: [], read: new Map(), tried: new Map()})
    this.parts = new Map(Array.from(root.querySelectorAll("[data-part]"), (element) => [element.dataset.part, element]))
    this.$("layer").onchange = () => { this.layer = Number(this.$("layer").value); this.refresh() }
    this.$("order").onchange = () => { this.order = this.$("order").value; this.refresh(); this.reveal() }
    this.$("strip").onscroll = () => showCards(this)
    this.$("strip").onkeydown = (event) => this.key(event)
    this.$("cards").onclick = (event) => { const card = event.target.closest(".card"); if (card) this.select(Number(card.dataset.t)) }
    this.$("heads").ontoggle = () => showHeads(this)
    for (const [name, plot] of Object.entries(this.plots)) plot.on_event("tap", ({x}) => name === "detail" ? this.select(Math.round(x)) : go(x))
  }

  $(name) { return this.parts.get(name) }

  show(episode) {
    const {L, k, K, every, cue, lines, ramp, verdict} = episode
    Object.assign(this, {episode, selected: -1, t: 0, layer: L === 1 ? 0 : -1, order: "age"})
    this.$("verdict").textContent = verdict
    this.$("cards").replaceChildren()
    this.root.classList.toggle("texts", Boolean(lines))
    this.$("thin").hidden = every === 1
    this.$("thin").textContent = `This episode is long: attention${K ? " and what-if" : ""} of every ${whole(every)}th step and of the decisive ones is on this page; between them that of the step before is shown. Spans and deletions are exact.`
    for (const block of this.root.querySelectorAll(".spans")) block.hidden = !L
    for (const name of ["key-cue", "key-cues"]) this.$(name).hidden = !cue.some(Boolean)
    this.$("key-attention").hidden = !k
    this.$("key-shift").hidden = !K
    this.$("key-ramp").textContent = ramp ? `remaining: steps until a memory begins to fade; on its ramp: it fades, over ${whole(ramp)} steps, and is deleted` : ""
    this.$("layer").parentElement.hidden = L < 2
    this.$("layer").replaceChildren(...(L > 1 ? [new Option("any", -1)] : []), ...Array.from({length: L}, (_, l) => new Option(l + 1, l)))
    this.$("layer").value = this.layer
    this.$("order").replaceChildren(new Option("oldest first", "age"), ...(k ? [new Option("most attention first", "attention")] : []), ...(K ? [new Option("greatest shift first", "shift")] : []))
    this.plots.detail.x_range.setv({start: -1, end: 0})  // to be drawn anew
    drawFigures(this)
    showTables(this)
  }

  go(t) {
    this.t = Math.max(0, Math.min(this.episode.T - 1, t))
    this.refresh()
    drawWindow(this)
    mark(this, "--step-at", this.t)
    mark(this, "--chosen-at", this.selected)
  }

  refresh() {
    this.showNow()
    showMemories(this)
    showSelected(this)
  }

  select(i) {
    const {L, T} = this.episode
    if (!L || i < 0 || i >= T) return
    this.selected = i
    mark(this, "--chosen-at", i)
    showReaders(this)
    showCards(this)
    showSelected(this)
    this.reveal()
  }

  // Scrolls the list, not the page, to the selected memory.
  reveal() {
    const place = this.alive.indexOf(this.selected), strip = this.$("strip")
    if (place < 0) { strip.scrollTop = 0; return showCards(this) }
    const {columns, height} = layout(this, strip), top = Math.floor(place / columns) * height
    if (top < strip.scrollTop || top + height > strip.scrollTop + strip.clientHeight) strip.scrollTop = top
    showCards(this)
  }

  key(event) {
    const move = {ArrowUp: -1, ArrowDown: 1}[event.key]
    if (!move || !this.alive.length) return
    event.preventDefault()
    const place = this.alive.indexOf(this.selected)
    this.select(this.alive[Math.max(0, Math.min(this.alive.length - 1, place < 0 ? 0 : place + move))])
    this.$("cards").querySelector('[aria-pressed="true"]')?.focus({preventScroll: true})
  }

  showNow() {
    const {T, L, lines, frame, components, observation, value, reward: rewards, cue, alive: counts, picture: [h, w]} = this.episode
    const t = this.t, box = this.$("frame"), words = wordsAt(this.episode, t), size = page.names.length > 1 || matchMedia("(max-width: 700px)").matches ? 120 : 200
    box.replaceChildren()
    if (lines) box.append(make("div", cue[t] ? "text iscue" : "text", lines[t]))
    else if (frame[t] >= 0) box.append(picture(this.episode, t, Math.min(size, Math.round(size * w / h))))
    const rows = [["action", actionAt(this.episode, t)], ["reward", number(rewards[t])], ["value", number(value[t])]]
    if (words && !lines) rows.unshift(["shows", words])
    if (components) rows.push(["observation", Array.from(observation.subarray(t * components, (t + 1) * components), (v) => number(v)).join(", ")])
    if (cue[t]) rows.push(["cue", "in view"])
    if (L) rows.push([L > 1 ? "alive, by layer" : "alive", Array.from({length: L}, (_, l) => whole(counts[l * T + t])).join(", ")])
    this.$("numbers").replaceChildren(...rows.flatMap(([name, text]) => [make("dt", "", name), make("dd", "", text)]))
  }

  // One sentence on the step, for those who hear the page and for those who see it.
  sentence() {
    const {T, L, k, lines, cue} = this.episode, t = this.t, words = wordsAt(this.episode, t)
    const sees = words ? ` the agent sees ${words}${cue[t] && words !== "a cue" ? ", a cue," : ""} and` : " the agent"
    const most = Array.from(this.read).filter(([i]) => i < t).sort(([, a], [, b]) => b - a)[0]
    const old = most && wordsAt(this.episode, most[0])
    const reads = most ? `; of earlier steps it attends most to ${old ? `${old} of step` : "step"} ${whole(most[0])} (${percent(most[1])})` : ""
    return `Step ${whole(t)} of ${whole(T - 1)}:${sees} takes “${actionAt(this.episode, t)}”${reads}${t === T - 1 ? ". The episode ends" : ""}.`
  }
}
