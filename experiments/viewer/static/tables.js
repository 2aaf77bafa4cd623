// Tables: the memories kept longest, and the kinds of observations by span.
function fill(table, caption, heads, rows) {
  const head = make("tr", "", ...heads.map((name) => { const cell = make("th", name.startsWith("-") ? "minor" : "", name.replace(/^-/, "")); cell.scope = "col"; return cell }))
  table.replaceChildren(make("caption", "", caption), make("thead", "", head), make("tbody", "", ...rows))
}

const cells = (...values) => values.map((value) => make("td", "", value))
const minor = (cells) => cells.map((cell) => { cell.classList.add("minor"); return cell })  // left out where there is little room
const goButton = (t, act) => { const button = make("button", "", whole(t)); button.onclick = act; return button }
const shows = (pane, t, label) => make("td", pane.episode.cue[t] ? "iscue" : "", make("div", "", pane.episode.lines ? null : thumbnail(pane.episode, t, 34), make("b", "", label)))

function showTables(pane) {
  const {episode} = pane, {L, longest, others, kinds, kindsLeftOut, decisive} = episode
  if (!L) return
  const read = decisive?.whatIf ? "shifts the actions most at" : "read most at"
  fill(pane.$("longest"), `Kept longest${others === null ? "" : ` (all others: at most ${whole(others)} steps)`}`, ["observation", "step", "kept for", "-until", ...(L > 1 ? ["-layer"] : []), "span", ...(decisive ? [read] : [])], longest.map((row) => {
    const use = row.use && make("td", "", goButton(row.use.step, () => { go(row.use.step); pane.select(row.step) }), ` ${decisive.whatIf ? number(row.use.amount, 2) : percent(row.use.amount)}`)
    return make("tr", "", shows(pane, row.step, label(row)), make("td", "", goButton(row.step, () => pane.select(row.step))),
      ...cells(`${whole(row.stayed)} steps`), ...minor(cells(row.kept ? "the end" : whole(row.step + row.stayed), ...(L > 1 ? [row.layer] : []))), ...cells(steps(row.span)), ...(decisive ? [use ?? make("td", "", "never")] : []))
  }))
  const several = kinds.length > 1
  pane.$("kinds").hidden = !several
  if (several) {
    const caption = `Kinds of observations, by span${kindsLeftOut ? ` (${whole(kindsLeftOut)} more kinds have shorter ones)` : ""}`
    fill(pane.$("kinds"), caption, ["observations like", "seen", "median span", "longest span", "kept at the end"], kinds.map((kind) =>
      make("tr", "", shows(pane, kind.step, kindLabel(episode, kind)), ...cells(whole(kind.seen), steps(kind.median), steps(kind.span), whole(kind.kept)))))
  }
}

const label = ({step, words}) => words === "what it saw" ? `step ${whole(step)}` : words

function kindLabel(episode, kind) {
  if (!episode.lines) return wordsAt(episode, kind.step) || (kind.cue ? "a cue" : `step ${whole(kind.step)}`)
  return kind.seen === 1 ? wordsAt(episode, kind.step) : kind.cue ? "lines that are cues" : "other lines"
}
