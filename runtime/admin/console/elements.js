/**
 * Elements, made by calls alone: whatever a text holds, it is never read as markup. Knows nothing of what is shown.
 */

const SVG = 'http://www.w3.org/2000/svg'

/**
 * @param {string} name `tag.class.class`
 * @param {Record<string, unknown>} more attributes; a function listens to the event of that name; false and null are left out
 * @param {...(Node | string | null)} children
 */
export function make(name, more = {}, ...children) {
  const [tag, ...classes] = name.split('.')
  return dress(document.createElement(tag), classes, more, children)
}

/** The same of SVG. */
export function draw(name, more = {}, ...children) {
  const [tag, ...classes] = name.split('.')
  return dress(document.createElementNS(SVG, tag), classes, more, children)
}

function dress(element, classes, more, children) {
  if (classes.length > 0) element.classList.add(...classes)
  for (const [name, value] of Object.entries(more)) {
    if (typeof value === 'function') element.addEventListener(name, value)
    else if (value !== false && value !== null)
      element.setAttribute(name, value === true ? '' : String(value))
  }
  element.append(...children.filter((child) => child !== null))
  return element
}

export function byId(id) {
  return document.getElementById(id)
}

/** A text, only where it has changed: what somebody has selected stays so. */
export function write(element, text) {
  if (element.textContent !== text) element.textContent = text
}

/** A word with its colour; the colour never stands alone. @param tone `ok`, `warn`, `bad`, `info` or `quiet` */
export function state(word, tone) {
  return make('span.state', { 'data-tone': tone }, word)
}

export function button(label, onClick, more = {}) {
  return make('button', { type: 'button', click: onClick, ...more }, label)
}

const signatures = new WeakMap()

/**
 * Other children, only where the signature has changed; a button that has the focus hands it on to the one in its place.
 * @param {() => (Node | string)[]} children
 */
export function rebuild(parent, signature, children) {
  if (signatures.get(parent) === signature) return
  signatures.set(parent, signature)
  const at = [...parent.querySelectorAll('button')].indexOf(document.activeElement)
  parent.replaceChildren(...children())
  if (at === -1) return
  const buttons = parent.querySelectorAll('button')
  const next = buttons[Math.min(at, buttons.length - 1)]
  next?.focus({ preventScroll: true })
}
