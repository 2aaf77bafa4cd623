// Reading what the page holds. All text of an episode is set as textContent, never as markup.
const SHEET = 16       // pictures on a side of a sheet
const page = JSON.parse(document.getElementById("episodes").textContent)

const make = (tag, className, ...children) => {
  const element = document.createElement(tag)
  if (className) element.className = className
  element.append(...children.filter((child) => child !== undefined && child !== null).map((child) => typeof child === "number" ? String(child) : child))
  return element
}
const number = (value, digits = 3) => Math.abs(value) >= 1e30 ? "∞" : Number(value.toPrecision(digits)).toLocaleString("en")
const steps = (span) => span !== null && span < 10 ? String(Number(span.toFixed(1))) : span === null ? "∞" : number(span)
const whole = (value) => Math.round(value).toLocaleString("en")
const percent = (value) => `${(100 * value).toFixed(value > 0 && value < 0.1 ? 1 : 0)} %`

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
  episode.row = new Int32Array(episode.T)  // of each step, the last stored one up to it
  for (let s = 0; s < episode.stored.length; s++) episode.row.fill(s, episode.stored[s])
  return episode
}

const urlsOf = (episode) => episode?.urls ?? []

// What an observation shows, in words, or "" where nothing says.
function wordsAt({lines, said, words, cue}, t) {
  if (lines) return `“${lines[t]}”`
  if (words.length) return words[said[t]]
  return cue[t] ? "a cue" : ""
}

function actionAt({T, action, actions, discrete}, t) {
  const A = action.length / T, chosen = Array.from(action.subarray(t * A, (t + 1) * A))
  return A === 1 && actions[chosen[0]] ? actions[chosen[0]] : chosen.map((v) => discrete ? v : number(v)).join(", ")
}

// Names of the A numbers by which a distribution of actions is recorded.
function labels({A, T, action, actions, discrete}) {
  if (actions.length === A) return actions
  const one = action.length === T
  return Array.from({length: A}, (_, a) => discrete ? (one ? `action ${a}` : `choice ${a + 1}`) : `mean of action ${a + 1}`)
}
