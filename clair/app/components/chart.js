// Draws one figure with plotly.js. Streamlit calls the function again with every change of the
// data; the drawing is then changed in place, which costs a fraction of making it anew.

const BUNDLE = "app/static/plotly-cartesian.min.js"
const LINE = 22
const BASE_TYPE = 15
const STAGE_SHARE = 0.55
const STAGE_WIDTH = 1100  // narrower windows are phones and tablets, where a page may scroll
const LEAST_SHARE = 0.4
const PIXELS = ["ticklen", "standoff", "xshift", "yshift"]

// The server sends scripts of its static folder as plain text, which a script element refuses.
function library() {
  window.clairPlotly ??= fetch(new URL(BUNDLE, document.baseURI))
    .then((answer) => answer.ok ? answer.text() : Promise.reject(new Error(`HTTP ${answer.status}`)))
    .then((text) => new Promise((resolve, reject) => {
      const script = document.createElement("script")
      script.src = URL.createObjectURL(new Blob([text], { type: "text/javascript" }))
      script.onload = () => window.Plotly ? resolve(window.Plotly) : reject(new Error("no plotly.js"))
      script.onerror = reject
      document.head.append(script)
    }))
    .catch((error) => {
      window.clairPlotly = undefined  // the next drawing tries again
      throw error
    })
  return window.clairPlotly
}

// On stage a chart's type grows with the page's; nothing else says how large that is in a window.
function enlarged(part, factor) {
  if (factor === 1 || part === null || typeof part !== "object") return part
  if (Array.isArray(part)) return part.map((entry) => enlarged(entry, factor))
  return Object.fromEntries(Object.entries(part).map(([key, value]) => {
    const inside = enlarged(value, factor)
    if (typeof value === "number") return [key, PIXELS.includes(key) ? value * factor : value]
    if ((key.endsWith("font") || key === "marker") && typeof value?.size === "number") {
      return [key, { ...inside, size: value.size * factor }]
    }
    if (key !== "margin") return [key, inside]
    return [key, Object.fromEntries(Object.entries(value).map(([side, n]) => [side, n * factor]))]
  }))
}

function wrapped(text, width) {
  const lines = [""]
  for (const word of text.split(" ")) {
    const line = lines.at(-1)
    if (line && line.length + word.length > width) lines.push(word)
    else lines[lines.length - 1] = line ? `${line} ${word}` : word
  }
  return lines
}

// The figure as a file: with its takeaway as title, on paper instead of transparent.
async function save(root, format) {
  const Plotly = await library()
  const plot = root.querySelector(".plot")
  const { title, file } = root.chart
  // plotly.js reads tags in titles, and a title may hold a name from an upload
  const plain = title.replace(/[&<>]/g, (sign) => ({ "&": "&amp;", "<": "&lt;", ">": "&gt;" })[sign])
  const width = Math.max(plot.clientWidth, 640)
  const lines = wrapped(plain, width / 9)
  const margin = plot._fullLayout.margin
  const raised = (lines.length + 0.5) * LINE
  const layout = {
    ...plot.layout,
    title: {
      text: lines.join("<br>"), x: 0, xref: "container", xanchor: "left", y: 1,
      yref: "container", yanchor: "top", pad: { l: 12, t: 12 }, font: { size: 17 },
    },
    margin: { ...margin, t: margin.t + raised },
    paper_bgcolor: getComputedStyle(root).getPropertyValue("--st-background-color"),
  }
  await Plotly.downloadImage(
    { data: plot.data, layout },
    { format, filename: file, width, height: plot.clientHeight + raised, scale: 2 },
  )
}

// What spreadsheets take for a formula becomes text, as in the tables that the server writes.
function cell(value) {
  if (value === null || value === undefined || Number.isNaN(value)) return ""
  if (typeof value === "number") return String(value)
  const plain = String(value).replace(/<br>/g, "; ").replace(/<[^>]*>/g, "")
  const safe = /^[=+\-@＝＋－＠]/.test(plain) ? `'${plain}` : plain
  return /[",\n\r]/.test(safe) ? `"${safe.replace(/"/g, '""')}"` : safe
}

// The points of one trace, a row each; a map of colours gives a row a cell.
function points(trace) {
  const at = (name, index) => trace[name]?.[index] ?? null
  if (trace.z) {
    return Array.from(trace.z).flatMap((row, i) => Array.from(row, (z, j) => ({
      x: trace.x?.[j] ?? j, y: trace.y?.[i] ?? i, z,
    })))
  }
  const n = Math.max(trace.x?.length ?? 0, trace.y?.length ?? 0)
  return Array.from({ length: n }, (_, i) => ({
    x: at("x", i), y: at("y", i), z: null,
    text: Array.isArray(trace.text) ? at("text", i) : trace.text,
    x_error: trace.error_x?.array?.[i], y_error: trace.error_y?.array?.[i],
  })).filter(({ x, y }) => x !== null || y !== null)
}

// The numbers that are drawn, a row a point, without columns that hold nothing.
function table(plot) {
  const written = (value, axis) => {
    const index = Array.from(axis?.tickvals ?? []).findIndex((tick) => Object.is(tick, value))
    return index < 0 ? null : axis.ticktext?.[index]
  }
  const { _fullData: traces, _fullLayout: layout } = plot
  const axis = (trace, side) => layout[(trace[`${side}axis`] ?? side).replace(side, `${side}axis`)]
  const rows = traces.flatMap((trace, i) => points(trace).map((point) => ({
    series: plot.data[i].name, ...point,
    x_label: written(point.x, axis(trace, "x")), y_label: written(point.y, axis(trace, "y")),
  })))
  const columns = ["series", "x", "x_label", "y", "y_label", "z", "x_error", "y_error", "text"]
    .filter((name) => rows.some((row) => cell(row[name]) !== ""))
  const lines = rows.map((row) => columns.map((name) => cell(row[name])).join(","))
  return [columns.join(","), ...lines].join("\n") + "\n"
}

function saveTable(root) {
  const link = document.createElement("a")
  const content = new Blob([table(root.querySelector(".plot"))], { type: "text/csv" })
  link.href = URL.createObjectURL(content)
  link.download = `${root.chart.file}.csv`
  link.click()
  setTimeout(() => URL.revokeObjectURL(link.href), 1000)
}

function prepare(root) {
  const plot = root.querySelector(".plot")
  const menu = root.querySelector("details")
  const size = new ResizeObserver(() => requestAnimationFrame(() => {
    const drawn = plot._fullLayout
    if (!drawn || !plot.isConnected || !plot.clientWidth) return
    if (render(root)) return  // the type of the stage has changed with the window
    if (drawn.width !== plot.clientWidth || drawn.height !== plot.clientHeight) {
      window.Plotly.Plots.resize(plot)
    }
  }))
  size.observe(plot)
  // words come and go around the charts; only on stage is anything `wanted` of them
  const around = new ResizeObserver(soon)
  around.observe(root.closest("[data-testid=stMainBlockContainer]") ?? root)
  window.addEventListener("resize", soon)
  for (const button of root.querySelectorAll("[data-format]")) {
    button.onclick = () => {
      menu.open = false
      menu.querySelector("summary").focus()
      save(root, button.dataset.format)
    }
  }
  root.querySelector("[data-csv]").onclick = () => {
    menu.open = false
    menu.querySelector("summary").focus()
    saveTable(root)
  }
  root.querySelector("[data-full]").onclick = () => {
    menu.open = false
    if (document.fullscreenElement === root) document.exitFullscreen()
    else root.requestFullscreen()
  }
  menu.onkeydown = (event) => {
    if (event.key !== "Escape" || !menu.open) return
    event.preventDefault()
    menu.open = false
    menu.querySelector("summary").focus()
  }
  menu.onfocusout = (event) => {
    if (!menu.contains(event.relatedTarget)) menu.open = false
  }
  // No purge: a drawing under way would stumble over it, and nothing outside refers to the plot.
  return () => {
    size.disconnect()
    around.disconnect()
    window.removeEventListener("resize", soon)
  }
}

// On stage everything has to be in sight at once: the charts give up as much of their height,
// each the same share, as the page is too tall.
function fit() {
  const main = document.querySelector("[data-testid=stMain]")
  const plots = [...document.querySelectorAll(".clair-chart .plot")].filter((plot) => plot.wanted)
  if (!main || !plots.length) return
  const apply = (share) => {
    for (const plot of plots) plot.style.height = `${Math.floor(plot.wanted * share)}px`
  }
  const fits = (share) => { apply(share); return main.scrollHeight <= main.clientHeight }
  if (window.innerWidth < STAGE_WIDTH || fits(1)) return apply(1)
  let low = LEAST_SHARE, high = 1
  if (!fits(low)) return apply(1)  // no use: the rest alone is too tall
  while (high - low > 0.01) {
    const middle = (low + high) / 2
    if (fits(middle)) low = middle
    else high = middle
  }
  apply(low)
}

function soon() {
  cancelAnimationFrame(window.clairFit)
  window.clairFit = requestAnimationFrame(fit)
}

// Draw what Streamlit sent last, unless it stands there already; returns whether it had to.
function render(root) {
  const plot = root.querySelector(".plot")
  const { spec, stage, clickable, alt } = root.chart
  const type = parseFloat(getComputedStyle(document.documentElement).fontSize)
  const factor = stage ? type / BASE_TYPE : 1
  if (root.spec === spec && root.factor === factor) return false
  Object.assign(root, { spec, factor })
  const figure = JSON.parse(spec)
  const { height, ...layout } = enlarged(figure.layout, factor)
  const traces = enlarged(figure.data, factor)
  // a little less than the type, so that chart and caption still fit on the screen
  const grown = height * (1 + 0.8 * (factor - 1))
  const most = stage ? Math.max(STAGE_SHARE * window.innerHeight, height) : Infinity
  plot.style.height = `${Math.min(grown, most)}px`
  plot.wanted = stage ? Math.min(grown, most) : null
  root.classList.toggle("on-stage", stage)
  if (stage) soon()
  plot.style.cursor = clickable ? "pointer" : ""
  library().then(async (Plotly) => {
    if (root.spec !== spec || root.factor !== factor || !plot.isConnected) return
    if (!plot._fullLayout) plot.textContent = ""  // words of an earlier failure
    await Plotly.react(plot, traces, { ...layout, autosize: true }, { displayModeBar: false })
    plot.removeAllListeners("plotly_click")
    if (clickable) plot.on("plotly_click", ({ points }) => root.clicked(points[0].customdata))
  }, (error) => {
    root.spec = undefined
    const missing = `This chart is not drawn: ${BUNDLE} cannot be loaded (${error.message}).`
    plot.replaceChildren(...[missing, alt].map((words) => {
      const paragraph = document.createElement("p")
      paragraph.textContent = words
      return paragraph
    }))
  })
  return true
}

export default function ({ data, parentElement, setTriggerValue }) {
  const root = parentElement.querySelector(".clair-chart")
  root.chart = data
  root.clicked = (point) => setTriggerValue("clicked", point)
  root.setAttribute("aria-label", data.alt)
  root.leave ??= prepare(root)
  render(root)
  // A call that another one has followed may still be asked to clean up; the chart stays.
  const turn = root.turn = (root.turn ?? 0) + 1
  return () => {
    if (turn !== root.turn) return
    root.leave()
    root.leave = root.spec = undefined
  }
}
