// What goes over the connection between page and server: runs asked for, begun and ended.
// The numbers of the fields in Streamlit's messages are put in by conftest.py.
(() => {
  // Counts begin somewhere else in every document, so that a reload is a change, too.
  const wire = window.wire = { sent: 0, heard: 0, asked: performance.timeOrigin, rest: true }

  function* fields(bytes) {
    let at = 0
    const number = () => {
      let value = 0, scale = 1, byte
      do {
        byte = bytes[at++]
        value += (byte & 127) * scale
        scale *= 128
      } while (byte > 127)
      return value
    }
    while (at < bytes.length) {
      const tag = number(), kind = tag % 8
      if (kind === 0) yield [Math.floor(tag / 8), number()]
      else {
        const length = kind === 2 ? number() : kind === 1 ? 8 : 4
        yield [Math.floor(tag / 8), bytes.subarray(at, at + length)]
        at += length
      }
    }
  }

  // A run is under way from when it is asked for to its end; one that gives way to another goes on.
  let begun = false
  const say = (bytes) => {
    wire.sent += 1
    for (const [field, value] of fields(bytes)) {
      if (field !== FIELDS.rerun) continue
      wire.rest = begun = false
      // What a page asks for by the clock is nobody's doing.
      if (![...fields(value)].some(([part, on]) => part === FIELDS.clock && on)) wire.asked += 1
    }
  }
  const hear = (bytes) => {
    wire.heard += 1
    for (const [field, value] of fields(bytes)) {
      if (field === FIELDS.begun) [wire.rest, begun] = [false, true]
      if (field === FIELDS.ended && value !== FIELDS.early && begun) wire.rest = true
    }
  }

  window.WebSocket = class extends WebSocket {
    constructor(...where) {
      super(...where)
      this.addEventListener("message", ({ data }) => hear(new Uint8Array(data)))
    }
    send(data) {
      say(new Uint8Array(data))
      super.send(data)
    }
  }
})()
