// The page: time, keys, and the episodes to choose from.
const $ = (id) => document.getElementById(id)
const panes = Array.from(document.querySelectorAll(".pane"), (root, number) => new Pane(root, number))
const now = {t: 0, T: 0, view: 0, timer: null, saying: null}

function go(t) {
  now.t = Math.max(0, Math.min(now.T - 1, Math.round(t)))
  $("slider").value = now.t
  $("slider").setAttribute("aria-valuetext", `step ${now.t} of ${now.T - 1}`)
  $("clock").textContent = `step ${whole(now.t)} / ${whole(now.T - 1)}`
  for (const pane of panes) pane.go(now.t)
  clearTimeout(now.saying)
  now.saying = setTimeout(say, now.timer ? 1000 : 150)  // not every step of many is read aloud
}

function say() {
  for (const pane of panes) pane.$("sentence").textContent = pane.sentence()
}

// To the step that was decided by an old memory, with that memory selected.
function jump(pane) {
  const {decisive} = pane.episode
  if (!decisive) return
  go(decisive.step)
  pane.select(decisive.memory)
  say()
}

function play(on) {
  clearInterval(now.timer)
  now.timer = on ? setInterval(() => now.t + 1 < now.T ? go(now.t + 1) : play(false), 1000 / $("speed").value) : null
  $("play").textContent = on ? "❚❚ Pause" : "▶ Play"
  if (on && now.t + 1 >= now.T) go(0)
}

async function open(view) {
  play(false)
  document.body.dataset.ready = ""
  const before = panes.map((pane) => pane.episode)
  const episodes = await Promise.all(page.views[view].map((i) => unpack(page.episodes[i])))
  now.T = Math.max(...episodes.map(({T}) => T))
  $("slider").max = now.T - 1
  panes.forEach((pane, i) => pane.show(episodes[i]))
  before.forEach((episode) => urlsOf(episode).forEach((url) => URL.revokeObjectURL(url)))
  const compared = page.compared?.[view], first = compared?.first ?? null
  if (compared) $("compared").textContent = compared.sentence
  const buttons = panes.filter((pane) => pane.episode.decisive).map((pane) => [`Decisive step${panes.length > 1 ? ` of ${"AB"[pane.number]}` : ""}`, () => jump(pane)])
  if (first !== null && first < now.T) buttons.unshift(["First difference", () => { go(first); say() }])
  $("jumps").replaceChildren(...buttons.map(([text, act]) => { const button = make("button", "", text); button.onclick = act; return button }))
  go(now.T - 1)
  panes.forEach((pane) => pane.select(pane.episode.decisive?.memory ?? pane.episode.longest[0]?.step ?? -1))
  if (first !== null) { go(first); panes.forEach((pane) => pane.reveal()) }
  else if (panes[0].episode.decisive) jump(panes[0])
  say()
  document.body.dataset.ready = view
}

page.views.forEach((view, i) => $("episode").append(new Option(view.map((e) => page.episodes[e].facts).join("  |  "), i)))
$("episodes-label").hidden = false
$("episode").onchange = () => open(Number($("episode").value))
$("slider").oninput = () => go(Number($("slider").value))
$("play").onclick = () => play(!now.timer)
$("speed").onchange = () => now.timer && play(true)
window.onresize = () => panes[0].episode && go(now.t)
document.addEventListener("keydown", (event) => {
  const {target} = event
  if (target.tagName === "SELECT" || event.ctrlKey || event.altKey || event.metaKey) return
  if (event.key === " " && (target.tagName === "BUTTON" || target.tagName === "SUMMARY")) return  // the button's own
  const step = event.shiftKey ? 10 : 1
  const moves = {ArrowLeft: () => go(now.t - step), ArrowRight: () => go(now.t + step), Home: () => go(0), End: () => go(now.T - 1), d: () => jump(panes[0]), D: () => jump(panes.at(-1)), " ": () => play(!now.timer)}
  if (moves[event.key]) { event.preventDefault(); moves[event.key]() }
})
open(0)
