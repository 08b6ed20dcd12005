// Plays the iterations of a solver. Everything comes with `data`, once; nothing is sent back.
const SVG = "http://www.w3.org/2000/svg"
const PACES = { slow: 1600, normal: 700, fast: 250 }  // milliseconds of the first steps
const HEIGHT = 214, FOOT = 34
const TICKS = 4
const TYPE = 15  // size of the page's type that the drawing is made for

const make = (tag, attributes = {}, text) => {
  const node = document.createElementNS(SVG, tag)
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value)
  if (text !== undefined) node.textContent = text
  return node
}

const write = (value) => {
  if (value === null) return "–"
  if (value === 0) return "0"
  return Math.abs(value) < 1e-3 ? value.toExponential(1) : String(Number(value.toPrecision(4)))
}

// Round numbers from 0 to at least `top`.
const ticks = (top) => {
  const raw = top / TICKS, power = 10 ** Math.floor(Math.log10(raw))
  const step = [1, 2, 2.5, 5, 10].map((m) => m * power).find((s) => s >= raw * 0.999)
  const found = []
  for (let v = 0; v < top * 1.001; v += step) found.push(Number(v.toPrecision(6)))
  return found
}

// One frame around a panel: axes, and scales from data to pixels.
const axes = (svg, width, y, { left = 38, bottom = FOOT, label = "", marks = [] } = {}) => {
  const right = 10, top = 8
  const box = { left, right: width - right, top, bottom: HEIGHT - bottom }
  const place = (v) => box.bottom - y.at(v) * (box.bottom - box.top)
  for (const v of y.ticks) {
    const h = place(v)
    svg.append(make("line", { x1: left, x2: box.right, y1: h, y2: h, class: "grid" }))
    svg.append(make("text", { x: left - 6, y: h + 4, class: "tick", "text-anchor": "end" }, y.text(v)))
  }
  for (const [x, text] of marks) {
    svg.append(make("text", { x, y: box.bottom + 15, class: "tick", "text-anchor": "middle" }, text))
  }
  svg.append(make("line", {
    x1: left, x2: box.right, y1: box.bottom, y2: box.bottom, class: "axis",
  }))
  svg.append(make("text", {
    x: (left + box.right) / 2, y: HEIGHT - 2, class: "tick", "text-anchor": "middle",
  }, label))
  return { box, place }
}

// The circle of honest clients and the cross of poisoned ones, as everywhere in the app.
const mark = (poisoned, size, color) => poisoned
  ? make("path", {
    d: `M${-size} ${-size}L${size} ${size}M${-size} ${size}L${size} ${-size}`,
    stroke: color, "stroke-width": 2, fill: "none",
  })
  : make("circle", { r: size, fill: color })

const linear = (top) => {
  const shown = ticks(top || 1), high = Math.max(shown[shown.length - 1], top || 1)
  return { at: (v) => v / high, ticks: shown, text: (v) => String(v) }
}

const logarithmic = (low, high) => {
  const from = Math.floor(Math.log10(low)), to = Math.max(Math.ceil(Math.log10(high)), from + 1)
  const powers = []
  for (let p = from; p <= to; p += Math.ceil((to - from) / TICKS)) powers.push(10 ** p)
  const sign = (p) => String(p).replace("-", "⁻").replace(/\d/g, (d) => "⁰¹²³⁴⁵⁶⁷⁸⁹"[d])
  return {
    at: (v) => (Math.log10(Math.max(v, 10 ** from)) - from) / (to - from),
    ticks: powers,
    text: (v) => (v === 1 ? "1" : `10${sign(Math.round(Math.log10(v)))}`),
  }
}

// Bars of the singular values before the outlines of those of everything received.
function spectrum(svg, width, data) {
  const n = data.values[0].length
  const received = data.received.slice(0, n)
  const y = linear(Math.max(...received, ...data.values.flat()))
  const left = 38, step = (width - left - 10) / n
  const every = Math.ceil(n / (width < 420 ? 8 : 16))
  const marks = []
  for (let i = 0; i < n; i += 1) {
    if ((i + 1) % every === 0 || i === 0) marks.push([left + (i + 0.5) * step, i + 1])
  }
  const kept = Math.min(data.rank, n) * step
  svg.append(make("rect", { class: "kept", x: left, y: 8, width: kept, height: HEIGHT - FOOT - 8 }))
  const { box, place } = axes(svg, width, y, { label: "direction", marks })
  if (data.rank < n) {
    const room = left + kept + 70 < width
    svg.append(make("text", {
      x: left + kept + (room ? 5 : -5), y: 20, class: "tick strong",
      "text-anchor": room ? "start" : "end",
    }, `kept: ${data.rank}`))
  }
  const bars = received.map((value, i) => {
    const x = left + (i + 0.15) * step, w = 0.7 * step
    svg.append(make("rect", {
      x, width: w, y: place(value), height: box.bottom - place(value), class: "ghost",
    }))
    const bar = make("rect", { x, width: w, y: box.top, height: box.bottom - box.top, class: "value" })
    bar.style.transformOrigin = `0 ${box.bottom}px`
    bar.append(make("title"))
    svg.append(bar)
    return bar
  })
  return (at) => bars.forEach((bar, i) => {
    const value = data.values[at][i]
    bar.style.transform = `scaleY(${y.at(value)})`
    bar.firstChild.textContent = `direction ${i + 1}: ${write(value)}`
  })
}

// A tile a client, its ink the size of its part; empty when that is exactly zero.
function tiles(svg, width, data) {
  const n = data.truth.length, below = 19, above = 13, gap = 6
  let columns = 1, size = 0
  for (let c = 1; c <= n; c += 1) {
    const rows = Math.ceil(n / c)
    const fits = Math.min(width / c - gap, HEIGHT / rows - below - above, 62)
    if (fits >= size) { size = fits; columns = c }
  }
  const top = Math.max(...data.norms.flat(), 1e-300)
  const shown = data.truth.map((poisoned, k) => {
    const x = (k % columns) * (size + gap) + 1
    const y = Math.floor(k / columns) * (size + below + above) + above
    const color = poisoned ? data.colors.contaminated : data.colors.benign
    const group = make("g", { transform: `translate(${x} ${y})` })
    const title = make("title")
    const frame = make("rect", { width: size, height: size, rx: 3, class: "frame" })
    const ink = make("rect", { width: size, height: size, rx: 3, fill: color, class: "ink" })
    const empty = make("path", { d: `M4 ${size - 4}L${size - 4} 4`, class: "empty" })
    const flag = make("path", { d: `M${size / 2 - 5} -10h10l-5 8z`, class: "flag" })
    const foot = make("g", { transform: `translate(${size / 2 - 9} ${size + 10})` })
    foot.append(mark(poisoned, 3.2, color))
    foot.append(make("text", { x: 7, y: 4, class: "tick" }, k + 1))
    group.append(title, frame, ink, empty, flag, foot)
    svg.append(group)
    return { title, frame, ink, empty, flag }
  })
  const end = data.norms.length - 1
  return (at) => shown.forEach((tile, k) => {
    const value = data.norms[at][k], off = value === 0
    tile.ink.style.opacity = value / top
    tile.empty.style.opacity = off ? 1 : 0
    tile.flag.style.opacity = at === end && data.flagged[k] ? 1 : 0
    tile.frame.classList.toggle("off", off)
    const who = data.truth[k] ? "poisoned" : "honest"
    tile.title.textContent = `client ${k + 1} (${who}): ${off ? "nothing" : write(value)}`
  })
}

// Where an iteration stands across: long histories on a logarithmic axis, or the start is lost.
const across = (data, left, right) => {
  const n = data.iterations.length, long = n > 60
  const first = data.iterations[0]
  const share = (i) => n === 1 ? 0 : long ? Math.log(1 + i) / Math.log(n) : i / (n - 1)
  const at = (i) => left + share(i) * (right - left)
  const marks = []
  const step = long ? 0 : Math.max(1, Math.ceil(n / 10))
  for (let i = 0, back = -1e9; i < n; i += 1) {
    const iteration = first + i
    const wanted = long ? [1, 2, 5, 10, 20, 50, 100, 200, 500].includes(iteration)
      : iteration % step === 0
    if (wanted && at(i) - back > 26) { marks.push([at(i), iteration]); back = at(i) }
  }
  return { at, marks }
}

// Lines that have grown as far as the iteration shown, each with its mark at the front.
function lines(svg, width, data, y, series, name) {
  const right = width - 10
  const x = across(data, 46, right - 6)
  const { box, place } = axes(svg, width, y, { left: 38, label: "iteration", marks: x.marks })
  const clip = make("clipPath", { id: name })
  const window = make("rect", { x: 0, y: 0, width: right, height: HEIGHT, class: "window" })
  clip.append(window)
  svg.append(clip)
  const group = make("g", { "clip-path": `url(#${name})` })
  svg.append(group)
  const heads = series.map(({ values, color, dash, poisoned, width: w }) => {
    let path = "", pen = "M"
    values.forEach((v, i) => {
      if (v === null) { pen = "M"; return }
      path += `${pen}${x.at(i).toFixed(1)} ${place(v).toFixed(1)}`
      pen = "L"
    })
    group.append(make("path", {
      d: path, stroke: color, class: "line", "stroke-dasharray": dash, "stroke-width": w,
    }))
    const head = make("g", { class: "head" })
    head.append(mark(poisoned, 3.4, color))
    svg.append(head)
    return { head, values }
  })
  const now = make("line", { y1: box.top, y2: box.bottom, x1: 0, x2: 0, class: "now" })
  svg.prepend(now)
  return (at) => {
    window.style.transform = `translateX(${x.at(at) - right}px)`
    now.style.transform = `translateX(${x.at(at)}px)`
    for (const { head, values } of heads) {
      const value = values[at]
      head.style.opacity = value === null ? 0 : 1
      if (value !== null) head.style.transform = `translate(${x.at(at)}px, ${place(value)}px)`
    }
  }
}

function norms(svg, width, data) {
  const series = data.truth.map((poisoned, k) => ({
    values: data.norms.map((row) => row[k]),
    color: poisoned ? data.colors.contaminated : data.colors.benign,
    dash: poisoned ? "6 3" : "none",
    poisoned,
    width: 1.3,
  }))
  series.sort((a, b) => a.poisoned - b.poisoned)
  return lines(svg, width, data, linear(Math.max(...data.norms.flat())), series, "norms")
}

function residuals(svg, width, data) {
  const dual = data.dual.map((v) => v === 0 ? null : v)
  const primal = data.primal.map((v) => v === 0 ? null : v)
  const all = [...primal, ...dual].filter((v) => v !== null)
  const y = logarithmic(Math.min(data.tolerance, ...all), Math.max(data.tolerance * 10, ...all))
  const series = [
    { values: primal, color: data.colors.clair, dash: "none", poisoned: false, width: 1.8 },
    { values: dual, color: "var(--st-text-color)", dash: "2 3", poisoned: false, width: 1.4 },
  ].filter(({ values }) => values.some((v) => v !== null))
  const show = lines(svg, width, data, y, series, "residuals")
  const box = { left: 38, right: width - 10, top: 8, bottom: HEIGHT - FOOT }
  const h = box.bottom - y.at(data.tolerance) * (box.bottom - box.top)
  svg.append(make("line", { x1: box.left, x2: box.right, y1: h, y2: h, class: "goal" }))
  svg.append(make("text", { x: box.left + 5, y: h - 5, class: "tick" }, "stops below"))
  return show
}

const PANELS = { spectrum, tiles, norms, residuals }

export default function ({ data, parentElement }) {
  const root = parentElement.querySelector(".stepper")
  const find = (name) => root.querySelector(`[data-is=${name}]`)
  const [play, back, forward] = ["play", "back", "forward"].map(find)
  const [slider, pace, where, words] = ["slider", "pace", "where", "words"].map(find)
  const calm = window.matchMedia("(prefers-reduced-motion: reduce)")
  const end = data.iterations.length - 1
  // Streamlit calls this again after every run, and cleans up only when the player leaves the page.
  const wasPlaying = root.kept?.stop?.() ?? false
  const kept = root.kept ?? { at: 0, atEnd: calm.matches, seen: false, pace: "normal" }
  // Other settings, same iteration: what does the third step look like there?
  let at = kept.atEnd ? end : Math.min(kept.at, end)
  let timer = null, painters = []

  root.classList.toggle("irls", data.solver === "irls")
  root.classList.toggle("stage", data.stage)
  for (const [name, color] of Object.entries(data.colors)) {
    root.style.setProperty(`--${name}`, color)
  }
  for (const node of root.querySelectorAll("[data-convex]")) {
    node.textContent = data.solver === "irls" ? node.dataset.irls : node.dataset.convex
  }
  slider.max = end
  pace.value = kept.pace

  const iteration = () => data.iterations[at]
  const last = data.iterations[end]
  const show = () => {
    const name = iteration() === 0 ? "start" : `iteration ${iteration()} of ${last}`
    slider.value = at
    slider.setAttribute("aria-valuetext", name)
    slider.style.setProperty("--done", `${end ? (100 * at) / end : 100}%`)
    where.textContent = name
    words.textContent = data.words[at]
    find("positive").textContent = data.values[at].filter((v) => v > 0).length
    find("off").textContent = data.norms[at].filter((v) => v === 0).length
    find("objective").textContent = write(data.objective[at])
    find("primal").textContent = write(data.primal[at])
    find("dual").textContent = write(data.dual[at])
    find("penalty").textContent = write(data.penalty[at])
    back.disabled = at === 0
    forward.disabled = at === end
    play.disabled = end === 0
    for (const paint of painters) paint(at)
    Object.assign(kept, { at, atEnd: at === end && end > 0, pace: pace.value })
    root.kept = kept
  }
  const draw = () => {
    root.classList.add("still")
    // In presenter mode the type is larger, and the drawing with it.
    const scale = parseFloat(getComputedStyle(document.documentElement).fontSize) / TYPE
    painters = Object.entries(PANELS).map(([name, panel]) => {
      const svg = find(name)
      const room = Math.max(svg.parentElement.clientWidth, 240)
      const width = room / scale
      const caption = svg.closest("figure").querySelector("figcaption")
      svg.setAttribute("aria-label", [...caption.children].map((e) => e.textContent).join(". "))
      svg.replaceChildren()
      svg.setAttribute("viewBox", `0 0 ${width} ${HEIGHT}`)
      svg.setAttribute("width", room)
      svg.setAttribute("height", HEIGHT * scale)
      return panel(svg, width, data)
    })
    show()
    requestAnimationFrame(() => root.classList.remove("still"))
  }
  const playing = () => timer !== null
  const label = () => {
    play.setAttribute("aria-label", playing() ? "Pause" : "Play")
    play.classList.toggle("on", playing())
    find("verb").textContent = playing() ? "Pause" : "Play"
    words.setAttribute("aria-live", playing() ? "off" : "polite")
  }
  const pause = () => { clearTimeout(timer); timer = null; label() }
  const go = (to) => { at = Math.max(0, Math.min(end, to)); show(); label() }
  // The first steps matter most, and long histories must come to an end: later ones go faster.
  const next = () => {
    const length = PACES[pace.value] * (calm.matches ? 1.5 : 1) / (1 + at / 12)
    root.style.setProperty("--tween", `${Math.min(0.8 * length, 450)}ms`)
    timer = setTimeout(() => {
      go(at + 1)
      if (at === end) pause()
      else next()
    }, length)
  }
  const start = () => { if (at === end) go(0); next(); label() }
  const toggle = () => playing() ? pause() : start()
  const by = (distance) => {
    pause()
    root.style.setProperty("--tween", "250ms")
    go(at + distance)
  }

  play.onclick = toggle
  back.onclick = () => { by(-1); if (back.disabled) forward.focus() }
  forward.onclick = () => { by(1); if (forward.disabled) back.focus() }
  slider.oninput = () => { pause(); root.style.setProperty("--tween", "120ms"); go(Number(slider.value)) }
  pace.onchange = () => { kept.pace = pace.value }
  root.onkeydown = (event) => {
    const inside = event.composedPath()[0]
    if (event.ctrlKey || event.metaKey || event.altKey || inside === pace) return
    const moves = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1, Home: -at, End: end - at }
    if (event.key === " " && inside.tagName !== "BUTTON") toggle()
    else if (event.key in moves) by(moves[event.key])
    else return
    event.preventDefault()
    event.stopPropagation()
  }
  // On stage nobody looks for the button: the space bar plays wherever nothing else has the focus.
  const press = (event) => {
    if (event.key !== " " || event.repeat || event.target !== document.body) return
    event.preventDefault()
    toggle()
  }
  if (data.stage) document.addEventListener("keydown", press)

  draw()
  if (wasPlaying && at < end) next()
  label()
  let drawn = root.clientWidth
  const sizes = new ResizeObserver(() => {
    if (root.clientWidth !== drawn && root.clientWidth) { drawn = root.clientWidth; draw() }
  })
  sizes.observe(root)
  // Plays by itself once, when first seen, however many runs that takes, and never for those who
  // want no motion.
  const seen = new IntersectionObserver((entries) => {
    if (!entries.some((entry) => entry.isIntersecting) || kept.seen) return
    kept.seen = true
    if (!playing() && !calm.matches && end > 0) start()
  }, { threshold: 1 })
  seen.observe(play)
  kept.stop = () => {
    const running = playing()
    clearTimeout(timer)
    document.removeEventListener("keydown", press)
    sizes.disconnect()
    seen.disconnect()
    return running
  }
  return kept.stop
}
