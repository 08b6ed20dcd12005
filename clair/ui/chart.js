// Draws one figure with plotly.js. Streamlit calls the function again with every change of the
// data; the drawing is then changed in place, which costs a fraction of making it anew.

const BUNDLE = "app/static/plotly-cartesian.min.js"
const LINE = 22

// The server sends scripts of its static folder as plain text, which a script element refuses.
function library() {
  window.clairPlotly ??= fetch(new URL(BUNDLE, document.baseURI))
    .then((answer) => answer.text())
    .then((text) => new Promise((resolve, reject) => {
      const script = document.createElement("script")
      script.src = URL.createObjectURL(new Blob([text], { type: "text/javascript" }))
      script.onload = () => resolve(window.Plotly)
      script.onerror = reject
      document.head.append(script)
    }))
  return window.clairPlotly
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
  const width = Math.max(plot.clientWidth, 640)
  const lines = wrapped(title, width / 9)
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

function prepare(root) {
  const plot = root.querySelector(".plot")
  const menu = root.querySelector("details")
  const size = new ResizeObserver(() => requestAnimationFrame(() => {
    const drawn = plot._fullLayout
    if (!drawn || !plot.isConnected || !plot.clientWidth) return
    if (drawn.width !== plot.clientWidth || drawn.height !== plot.clientHeight) {
      window.Plotly.Plots.resize(plot)
    }
  }))
  size.observe(plot)
  for (const button of root.querySelectorAll("[data-format]")) {
    button.onclick = () => {
      menu.open = false
      menu.querySelector("summary").focus()
      save(root, button.dataset.format)
    }
  }
  root.querySelector("[data-full]").onclick = () => {
    menu.open = false
    if (document.fullscreenElement === root) document.exitFullscreen()
    else root.requestFullscreen()
  }
  menu.onkeydown = (event) => {
    if (event.key !== "Escape" || !menu.open) return
    menu.open = false
    menu.querySelector("summary").focus()
  }
  menu.onfocusout = (event) => {
    if (!menu.contains(event.relatedTarget)) menu.open = false
  }
  return () => {
    size.disconnect()
    if (window.Plotly) window.Plotly.purge(plot)
  }
}

export default function ({ data, parentElement, setTriggerValue }) {
  const root = parentElement.querySelector(".clair-chart")
  const plot = root.querySelector(".plot")
  root.chart = data
  root.setAttribute("aria-label", data.alt)
  root.leave ??= prepare(root)
  if (root.spec !== data.spec) {
    root.spec = data.spec
    const { data: traces, layout: { height, ...layout } } = JSON.parse(data.spec)
    plot.style.height = `${height}px`
    plot.style.cursor = data.clickable ? "pointer" : ""
    library().then(async (Plotly) => {
      if (root.spec !== data.spec || !plot.isConnected) return
      await Plotly.react(plot, traces, { ...layout, autosize: true }, { displayModeBar: false })
      plot.removeAllListeners("plotly_click")
      if (data.clickable) {
        plot.on("plotly_click", ({ points }) => setTriggerValue("clicked", points[0].customdata))
      }
    })
  }
  return root.leave
}
