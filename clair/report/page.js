const specs = JSON.parse(document.getElementById("charts").textContent)
const draw = (spec, index) => {
  const place = document.getElementById(`chart-${index}`)
  // On paper a chart is scaled as a picture: nothing is drawn anew while the browser prints.
  const scale = () => {
    for (const drawing of place.querySelectorAll("svg.main-svg")) {
      const width = drawing.getAttribute("width")
      const height = drawing.getAttribute("height")
      drawing.setAttribute("viewBox", `0 0 ${width} ${height}`)
      place.style.setProperty("--ratio", `${width} / ${height}`)
    }
  }
  Plotly.newPlot(place, spec.data, spec.layout, { displayModeBar: false, responsive: true })
    .then(() => { scale(); place.on("plotly_afterplot", scale) })
}
// Plotly measures its words once, so the fonts must be there first.
document.fonts.ready.then(() => specs.forEach(draw))
